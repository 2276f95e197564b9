#include "tools/mcfs/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

/* ---- directories ---- */

static char *directory(const char *env, const char *xdg, const char *below_home)
{
	const char *v = getenv(env), *x = getenv(xdg), *home = getenv("HOME");
	char *out = NULL;
	if (v && *v)
		return strdup(v);
	if (x && *x)
		return asprintf(&out, "%s/mcfs", x) < 0 ? NULL : out;
	return asprintf(&out, "%s/%s/mcfs", home && *home ? home : "/root", below_home) < 0 ? NULL
											   : out;
}

void cli_directories(struct cli *cli)
{
	cli->cache_dir = directory("MCFS_CACHE_DIR", "XDG_CACHE_HOME", ".cache");
	cli->state_dir = directory("MCFS_STATE_DIR", "XDG_STATE_HOME", ".local/state");
	cli->key_dir = directory("MCFS_CONFIG_DIR", "XDG_CONFIG_HOME", ".config");
}

void cli_directories_free(struct cli *cli)
{
	free(cli->cache_dir);
	free(cli->state_dir);
	free(cli->key_dir);
}

/* ---- messages and exits ---- */

static bool progress_shown;

static void clear_progress(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

int cli_exit_code(int code)
{
	switch (code) {
	case E_OK:
		return EXIT_DONE;
	case E_USAGE:
		return EXIT_USAGE;
	case E_CHANGED:
	case E_LOST:
		return EXIT_PARTLY;
	case E_LOCKED:
		return EXIT_LOCKED;
	case E_AUTH:
		return EXIT_WRONG_KEY;
	case E_CORRUPT:
		return EXIT_DAMAGED;
	case E_CANCELLED:
		return EXIT_INTERRUPTED;
	default:
		return EXIT_FAILED;
	}
}

void cli_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(object);
}

int cli_fail(const struct cli *cli, const struct err *e)
{
	int code = cli_exit_code(e->code);
	clear_progress();
	if (cli->json)
		cli_json(json_pack("{s:s, s:s, s:o, s:i}", "type", "error", "error",
			err_name(e->code), "message", cli_json_string(e->msg, strlen(e->msg)),
			"exit_code", code));
	fputs("mcfs: ", stderr);
	cli_print_name(stderr, e->msg, strlen(e->msg));
	fputc('\n', stderr);
	return code;
}

int cli_usage(const struct cli *cli, const char *fmt, ...)
{
	struct err e = {.code = E_USAGE};
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e.msg, sizeof e.msg - 40, fmt, ap);
	va_end(ap);
	size_t n = strlen(e.msg);
	if (cli->command)
		snprintf(e.msg + n, sizeof e.msg - n, " (see 'mcfs %s --help')", cli->command);
	else
		snprintf(e.msg + n, sizeof e.msg - n, " (see 'mcfs --help')");
	return cli_fail(cli, &e);
}

/* The word an option was given by, for messages: getopt tells its value, or nothing of a long one that
 * it does not know. */
static const char *option_word(int value, const struct option *longs, const char *last,
	char out[64])
{
	for (; longs && longs->name && value; longs++)
		if (longs->val == value && !longs->flag && strncmp(last, "--", 2) == 0) {
			snprintf(out, 64, "--%s", longs->name);
			return out;
		}
	if (!value)
		return last;
	snprintf(out, 64, "-%c", value);
	return out;
}

static bool begins_an_option(const char *word, const struct option *longs)
{
	for (; longs && longs->name; longs++)
		if (strncmp(word, "--", 2) == 0 && strncmp(longs->name, word + 2, strlen(word + 2)) == 0)
			return true;
	return false;
}

int cli_getopt(const struct cli *cli, int argc, char **argv, const char *shorts,
	const struct option *longs, int *index)
{
	static const struct option none[] = {{0}};
	char all[64], word[64];
	bool plus = *shorts == '+';
	snprintf(all, sizeof all, "%s:%s", plus ? "+" : "", shorts + plus);
	opterr = 0;
	int o = getopt_long(argc, argv, all, longs ? longs : none, index);
	if (o != '?' && o != ':')
		return o;
	const char *last = argv[optind - 1], *name = option_word(optopt, longs, last, word);
	if (o == ':')
		cli_usage(cli, "option '%s' needs a value", name);
	else if (optopt && strchr(last, '=') && strncmp(last, "--", 2) == 0)
		cli_usage(cli, "option '%s' takes no value", name);
	else if (!optopt && begins_an_option(last, longs))
		cli_usage(cli, "option '%s' can mean several", name);
	else
		cli_usage(cli, "there is no option '%s'", name);
	return '?';
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;
	if (cli->quiet)
		return;
	clear_progress();
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void cli_problem(const struct cli *cli, const char *path, const struct err *e)
{
	clear_progress();
	if (cli->json)
		cli_json(json_pack("{s:s, s:o, s:s, s:o}", "type", "problem", "path",
			cli_json_string(path, strlen(path)), "error", err_name(e->code), "message",
			cli_json_string(e->msg, strlen(e->msg))));
	fputs("mcfs: ", stderr);
	cli_print_name(stderr, path, strlen(path));
	fputs(": ", stderr);
	cli_print_name(stderr, e->msg, strlen(e->msg));
	fputc('\n', stderr);
}

void cli_progress(const struct cli *cli, const char *verb, uint64_t files, uint64_t bytes,
	const char *path)
{
	static struct timespec last;
	struct timespec t;
	char b[16];
	if (cli->quiet || (!cli->json && !isatty(STDERR_FILENO)))
		return;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t ms = (t.tv_sec - last.tv_sec) * 1000 + (t.tv_nsec - last.tv_nsec) / 1000000;
	if (ms < (cli->json ? 1000 : 200))
		return;
	last = t;
	if (cli->json) {
		cli_json(json_pack("{s:s, s:I, s:I}", "type", "progress", "files",
			(json_int_t)files, "bytes", (json_int_t)bytes));
		fflush(stdout);
		return;
	}
	clear_progress();
	fprintf(stderr, "%s %llu files, %s  ", verb, (unsigned long long)files,
		cli_bytes(bytes, b));
	size_t n = path ? strlen(path) : 0;
	if (n > 60)
		path += n - 60;
	if (path)
		cli_print_name(stderr, path, strlen(path));
	progress_shown = true;
}

void cli_progress_end(const struct cli *cli)
{
	(void)cli;
	clear_progress();
}

static void on_log(void *ctx, enum log_level level, const char *line)
{
	const struct cli *cli = ctx;
	if (level < LOG_WARN && cli->verbose == 0)
		return;
	if (cli->quiet && level < LOG_ERROR)
		return;
	if (cli->log.fn) {
		cli->log.fn(cli->log.ctx, level, line);
		return;
	}
	clear_progress();
	fputs("mcfs: ", stderr);
	cli_print_name(stderr, line, strlen(line));
	fputc('\n', stderr);
}

int cli_open(struct cli *cli, size_t cache_bytes, struct store **ret, struct err *e)
{
	struct object_place *place;
	struct store_config cfg;
	struct secret secret = {0};
	unsigned kinds;
	if (!cli->store || !*cli->store)
		return err_set(e, E_USAGE, 0, "no store is named: use -s STORE or MCFS_STORE");
	int r = object_dir_open(&place, cli->store, false, e);
	if (r < 0)
		return r;
	r = store_peek(place, &cfg, &kinds, e);
	if (r == 0)
		r = cli_secret(cli, &cfg, kinds, &secret, e);
	if (r < 0) {
		object_place_free(place);
		return r == E_NOTFOUND ? err_wrap(e, "'%s'", cli->store) : r;
	}
	struct store_options opt = {.cache_dir = cli->cache_dir, .cache_bytes = cache_bytes,
		.what = cli->command,
		.log = {on_log, cli}};
	r = store_open(ret, place, &secret, &opt, e);
	cli_secret_free(&secret);
	return r;
}

void cli_split_spec(char *spec, const char **ret_snap, const char **ret_path)
{
	char *colon = strchr(spec, ':');
	*ret_snap = spec;
	*ret_path = "";
	if (colon) {
		*colon = 0;
		*ret_path = colon + 1;
	}
}

/* ---- formatting ---- */

/* Length of the valid UTF-8 sequence at s, or 0. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3
		     : s[0] >> 3 == 30 ? 4 : 0;
	if (len <= 1)
		return len;
	if (len > n)
		return 0;
	uint32_t v = s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if (s[i] >> 6 != 2)
			return 0;
		v = v << 6 | (s[i] & 0x3f);
	}
	return v < least[len] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : len;
}

json_t *cli_json_string(const char *s, size_t n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err ignored = ERR_INIT;
	for (size_t i = 0; i < n;) {
		size_t len = utf8_len((const unsigned char *)s + i, n - i);
		int r = len ? buf_add(&b, s + i, len, &ignored)
			    : buf_add(&b, "\xef\xbf\xbd", 3, &ignored);
		if (r < 0)
			return json_null();
		i += len ? len : 1;
	}
	return json_stringn(b.p ? (const char *)b.p : "", b.len);
}

void cli_print_name(FILE *f, const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		unsigned char c = (unsigned char)s[i];
		size_t len = utf8_len((const unsigned char *)s + i, n - i);
		bool control = c < 0x20 || c == 0x7f || (len == 2 && c == 0xc2 &&
							(unsigned char)s[i + 1] < 0xa0);
		if (len == 0 || control) {
			fprintf(f, "\\x%02x", c);
			i++;
		} else {
			fwrite(s + i, 1, len, f);
			i += len;
		}
	}
}

char *cli_bytes(uint64_t n, char out[16])
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)n;
	int u = 0;
	while (v >= 1024 && u < 6) {
		v /= 1024;
		u++;
	}
	snprintf(out, 16, u ? "%.1f %s" : "%.0f %s", v, unit[u]);
	return out;
}

const char *cli_s(uint64_t n)
{
	return n == 1 ? "" : "s";
}

const char *cli_are(uint64_t n)
{
	return n == 1 ? "is" : "are";
}

const char *cli_were(uint64_t n)
{
	return n == 1 ? "was" : "were";
}

char *cli_time(struct timestamp t, char out[32])
{
	time_t s = (time_t)t.s;
	struct tm tm;
	localtime_r(&s, &tm);
	strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm);
	return out;
}

char *cli_time_iso(struct timestamp t, char out[40])
{
	time_t s = (time_t)t.s;
	struct tm tm;
	gmtime_r(&s, &tm);
	size_t n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, 40 - n, ".%06uZ", t.ns / 1000);
	return out;
}

bool cli_parse_time(const char *s, int64_t *ret)
{
	struct tm tm = {0};
	char *end;
	if (*s == '@') {
		*ret = strtoll(s + 1, &end, 10);
		return end > s + 1 && !*end && *ret > 0;
	}
	end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end || strcmp(end, "Z") != 0)
		return false;
	*ret = timegm(&tm);
	return *ret > 0;
}

void cli_print_origin(const struct snapshot *sn)
{
	enum { NAMED = 3 };
	size_t n = sn->n_sources > NAMED + 1 ? NAMED : sn->n_sources;
	cli_print_name(stdout, sn->host, strlen(sn->host));
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : ":", stdout);
		cli_print_name(stdout, sn->sources[i].path, strlen(sn->sources[i].path));
	}
	if (n < sn->n_sources)
		printf(" and %zu more", sn->n_sources - n);
}

json_t *cli_json_snapshot(const struct snapshot *sn)
{
	char id[2 * ID_BYTES + 1], iso[40], end[40];
	json_t *sources = json_array(), *names = json_array(), *tags = json_array();
	for (size_t i = 0; i < sn->n_sources; i++) {
		const struct snapshot_source *src = &sn->sources[i];
		json_array_append_new(sources, cli_json_string(src->path, strlen(src->path)));
		json_array_append_new(names, cli_json_string(src->name, strlen(src->name)));
	}
	for (size_t i = 0; i < sn->n_tags; i++)
		json_array_append_new(tags, json_string(sn->tags[i]));
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "name", sn->name,
		"id", hex_of(sn->id.b, ID_BYTES, id), "time", cli_time_iso(sn->begin, iso),
		"end_time", cli_time_iso(sn->end, end), "host",
		cli_json_string(sn->host, strlen(sn->host)), "user",
		cli_json_string(sn->user, strlen(sn->user)), "sources", sources, "source_names",
		names, "tags", tags);
	const struct {
		const char *key;
		uint64_t v;
	} n[] = {{"files", sn->files}, {"directories", sn->dirs}, {"others", sn->others},
		{"bytes", sn->bytes}, {"files_new", sn->files_new},
		{"files_changed", sn->files_changed}, {"files_unreadable", sn->files_unreadable},
		{"files_changed_while_read", sn->files_restless},
		{"added_bytes", sn->added_bytes}, {"added_blobs", sn->added_blobs},
		{"with_attributes", sn->with_xattrs}, {"with_acls", sn->with_acls},
		{"generation", sn->generation}};
	for (size_t i = 0; i < sizeof n / sizeof *n; i++)
		json_object_set_new(o, n[i].key, json_integer((json_int_t)n[i].v));
	return o;
}
