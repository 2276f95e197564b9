/* mcfs config: look at backup.yaml: is it right, what does it amount to, and borgmatic's files made into one. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/config/backup_config.h"
#include "engine/config/prune_config.h"
#include "tools/mcfs/cli.h"

/* ---- validate ---- */

static void print_remark(struct cli *cli, const struct config_remark *m)
{
	char line[800];
	if (cli->json) {
		cli_json(json_pack("{s:s, s:o, s:i, s:s, s:s, s:b}", "type", "remark", "file",
			cli_json_string(m->file, strlen(m->file)), "line", (int)m->line, "key", m->key,
			"message", m->text, "missing", m->missing));
		return;
	}
	snprintf(line, sizeof line, "%s:%u: %s%s: %s", m->file, m->line, m->missing ? "NOT DONE: " : "",
		m->key, m->text);
	cli_print_name(stdout, line, strlen(line));
	putchar('\n');
}

/* prune.yaml is told from backup.yaml by its keys. */
static bool is_prune_config(const char *path)
{
	struct yaml_options opt = {.allow_unset = true};
	struct ydoc *y;
	if (ydoc_load(&y, path, &opt, NULL) < 0)
		return false;
	const struct yaml_node *r = ydoc_root(y);
	bool is = !ydoc_get(r, "source_directories") && !ydoc_get(r, "location") &&
		  (ydoc_get(r, "delete_chunks") || ydoc_get(r, "query") || ydoc_get(r, "protect"));
	ydoc_free(y);
	return is;
}

static int validate_prune(struct cli *cli, const char *path)
{
	struct prune_config c;
	struct err e = ERR_INIT;
	if (prune_config_load(&c, path, &e) < 0)
		return cli_fail(cli, &e);
	prune_config_free(&c);
	if (cli->json)
		cli_json(json_pack("{s:s, s:o, s:i}", "type", "summary", "file",
			cli_json_string(path, strlen(path)), "exit_code", 0));
	else if (!cli->quiet)
		printf("%s: valid: rules of what may be pruned\n", path);
	return EXIT_DONE;
}

static int validate_one(struct cli *cli, const char *path)
{
	struct backup_config *c;
	struct err e = ERR_INIT;
	size_t missing = 0;
	if (is_prune_config(path))
		return validate_prune(cli, path);
	if (backup_config_load(&c, path, true, &e) < 0)
		return cli_fail(cli, &e);
	for (size_t i = 0; i < c->n_remarks; i++) {
		missing += c->remarks[i].missing;
		if (!cli->quiet || c->remarks[i].missing)
			print_remark(cli, &c->remarks[i]);
	}
	if (cli->json)
		cli_json(json_pack("{s:s, s:o, s:I, s:I, s:I, s:i}", "type", "summary", "file",
			cli_json_string(path, strlen(path)), "sources", (json_int_t)c->sources.n,
			"repositories", (json_int_t)c->n_repositories, "not_done", (json_int_t)missing,
			"exit_code", 0));
	else if (!cli->quiet)
		printf("%s: valid: %zu source%s, %zu repositor%s%s\n", path, c->sources.n,
			cli_s(c->sources.n), c->n_repositories, c->n_repositories == 1 ? "y" : "ies",
			missing ? "; a run will end with status 3 for what is NOT DONE"
						   : "");
	backup_config_free(c);
	return EXIT_DONE;
}

/* ---- show ---- */

static json_t *texts(const struct config_list *l)
{
	json_t *a = json_array();
	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(a, cli_json_string(l->v[i], strlen(l->v[i])));
	return a;
}

static void put(json_t *o, const char *key, const char *s)
{
	if (s)
		json_object_set_new(o, key, cli_json_string(s, strlen(s)));
}

static void put_number(json_t *o, const char *key, int64_t v)
{
	if (v)
		json_object_set_new(o, key, json_integer(v));
}

static void put_list(json_t *o, const char *key, const struct config_list *l)
{
	if (l->n)
		json_object_set_new(o, key, texts(l));
}

static void put_hooks(json_t *o, const struct backup_config *c)
{
	static const char *const points[] = {"action", "repository", "configuration", "everything",
		"error"};
	static const char *const actions[] = {"create", "prune", "compact", "check"};
	json_t *list = json_array();
	for (size_t i = 0; i < c->n_hooks; i++) {
		const struct backup_hook *h = &c->hooks[i];
		json_t *k = json_object(), *when = json_array(), *states = json_array();
		put(k, h->before ? "before" : "after", points[h->point]);
		for (unsigned a = 0; a < 4; a++)
			if (h->actions >> a & 1)
				json_array_append_new(when, json_string(actions[a]));
		if (h->states & NOTIFY_STATE_BIT(NOTIFY_FINISH))
			json_array_append_new(states, json_string("finish"));
		if (h->states & NOTIFY_STATE_BIT(NOTIFY_FAIL))
			json_array_append_new(states, json_string("fail"));
		if (json_array_size(when))
			json_object_set(k, "when", when);
		if (!h->before && h->point != HOOK_ERROR)
			json_object_set(k, "states", states);
		put_list(k, "run", &h->run);
		json_decref(when);
		json_decref(states);
		json_array_append_new(list, k);
	}
	if (c->n_hooks)
		json_object_set(o, "commands", list);
	json_decref(list);
}

static void put_notify(json_t *o, const struct backup_config *c)
{
	static const char *const states[] = {"start", "finish", "fail"};
	for (size_t i = 0; i < c->n_notify; i++) {
		const struct notify_target *t = &c->notify[i];
		json_t *k = json_object(), *s = json_array();
		/* Addresses of hooks are secrets: who has one can speak in its name. */
		put(k, t->kind == NOTIFY_NTFY ? "server" : t->kind == NOTIFY_UPTIME_KUMA ? "push_url"
			: t->kind == NOTIFY_HEALTHCHECKS || t->kind == NOTIFY_CRONITOR ? "ping_url"
			: "webhook_url", t->kind == NOTIFY_NTFY ? t->url : "(hidden)");
		put(k, "topic", t->topic);
		for (unsigned b = 0; b < 3; b++)
			if (t->states >> b & 1)
				json_array_append_new(s, json_string(states[b]));
		if (t->kind != NOTIFY_CRONITOR)
			json_object_set(k, "states", s);
		json_decref(s);
		json_object_set_new(o, notify_kind_name(t->kind), k);
	}
}

static void put_repositories(json_t *o, const struct backup_config *c)
{
	json_t *list = json_array();
	for (size_t i = 0; i < c->n_repositories; i++) {
		json_t *k = json_object();
		put(k, "path", c->repositories[i].path);
		put(k, "label", c->repositories[i].label);
		json_array_append_new(list, k);
	}
	json_object_set_new(o, "repositories", list);
}

static void put_checks(json_t *o, const struct backup_config *c)
{
	char text[32];
	json_t *list = json_array();
	for (size_t i = 0; i < c->n_checks && (c->actions & ACTION_CHECK); i++) {
		json_t *k = json_object();
		put(k, "name", c->checks[i].name);
		snprintf(text, sizeof text, "%lld s", (long long)c->checks[i].frequency);
		put(k, "frequency", c->checks[i].frequency ? text : "always");
		json_array_append_new(list, k);
	}
	json_object_set_new(o, "checks", list);
}

static json_t *effective(const struct backup_config *c)
{
	char level[16], within[32];
	json_t *o = json_object();
	put_list(o, "source_directories", &c->sources);
	put(o, "working_directory", c->working_directory);
	put_repositories(o, c);
	put_list(o, "exclude_patterns", &c->excludes);
	put_list(o, "exclude_from", &c->exclude_files);
	put_list(o, "exclude_if_present", &c->exclude_if_present);
	if (c->exclude_caches)
		json_object_set_new(o, "exclude_caches", json_true());
	if (c->one_file_system)
		json_object_set_new(o, "one_file_system", json_true());
	put(o, "encryption_passphrase", c->passphrase ? "(hidden)" : NULL);
	put(o, "encryption_passcommand", c->passcommand);
	put(o, "key_file", c->key_file);
	snprintf(level, sizeof level, "zstd,%d", c->level);
	put(o, "compression", c->level ? level : NULL);
	put_list(o, "tags", &c->tags);
	put(o, "match_archives", c->match);
	snprintf(within, sizeof within, "%lldS", (long long)c->keep.within);
	put(o, "keep_within", c->keep.within ? within : NULL);
	put_number(o, "keep_secondly", c->keep.secondly);
	put_number(o, "keep_minutely", c->keep.minutely);
	put_number(o, "keep_hourly", c->keep.hourly);
	put_number(o, "keep_daily", c->keep.daily);
	put_number(o, "keep_weekly", c->keep.weekly);
	put_number(o, "keep_monthly", c->keep.monthly);
	put_number(o, "keep_13weekly", c->keep.quarterly13);
	put_number(o, "keep_3monthly", c->keep.quarterly);
	put_number(o, "keep_yearly", c->keep.yearly);
	put_checks(o, c);
	put_number(o, "lock_wait", c->lock_wait);
	put_hooks(o, c);
	put_notify(o, c);
	if (c->rcon.host) {
		json_t *k = json_object();
		put(k, "host", c->rcon.host);
		put_number(k, "port", c->rcon.port);
		put(k, "password", c->rcon.password ? "(hidden)" : NULL);
		put(k, "password_file", c->rcon.password_file);
		put(k, "env_file", c->rcon.env_file);
		put_number(k, "timeout", c->rcon.timeout);
		json_object_set_new(k, "flush", json_boolean(c->rcon.flush));
		json_object_set_new(o, "rcon", k);
	}
	if (c->no_staging || c->staging)
		put(o, "staging", c->no_staging ? "off" : c->staging);
	put(o, "prune_rules", c->prune_rules);
	put_number(o, "require_snapshot", c->require_snapshot);
	return o;
}

/* JSON strings are YAML as well; plain words need no quotes. */
static void print_scalar(const json_t *v)
{
	const char *s = json_string_value(v);
	if (s && *s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/_.-") == strlen(s) &&
		*s != '-' && *s != '.') {
		printf("%s\n", s);
		return;
	}
	json_dumpf(v, stdout, JSON_ENCODE_ANY);
	putchar('\n');
}

static void print_yaml(const json_t *v, int indent);

/* The value behind "key:". */
static void print_value(const json_t *v, int indent)
{
	bool below = json_is_object(v) || (json_is_array(v) && json_array_size(v));
	if (below) {
		putchar('\n');
		print_yaml(v, indent + 2);
	} else if (json_is_array(v)) {
		printf(" []\n");
	} else {
		putchar(' ');
		print_scalar(v);
	}
}

/* The first line goes behind what the caller has printed. */
static void print_map(json_t *map, int indent)
{
	bool first = true;
	for (void *i = json_object_iter(map); i; i = json_object_iter_next(map, i)) {
		printf("%*s%s:", first ? 0 : indent, "", json_object_iter_key(i));
		print_value(json_object_iter_value(i), indent);
		first = false;
	}
}

static void print_yaml(const json_t *v, int indent)
{
	for (size_t i = 0; i < json_array_size(v); i++) {
		json_t *item = json_array_get(v, i);
		printf("%*s- ", indent, "");
		if (json_is_object(item))
			print_map(item, indent + 2);
		else
			print_scalar(item);
	}
	if (json_is_object(v)) {
		printf("%*s", indent, "");
		print_map((json_t *)(uintptr_t)v, indent);
	}
}

static int show_one(struct cli *cli, const char *path)
{
	struct backup_config *c;
	struct err e = ERR_INIT;
	if (backup_config_load(&c, path, true, &e) < 0)
		return cli_fail(cli, &e);
	json_t *o = effective(c);
	if (cli->json) {
		cli_json(o);
	} else {
		print_yaml(o, 0);
		json_decref(o);
	}
	backup_config_free(c);
	return EXIT_DONE;
}

/* ---- import ---- */

static int add(struct buf *b, const char *s, size_t n, struct err *e)
{
	return buf_add(b, s, n, e);
}

static int add_remarks(struct buf *out, const struct backup_config *c, const char *file, unsigned line,
	size_t indent, struct err *e)
{
	char text[900];
	int r = 0;
	for (size_t i = 0; i < c->n_remarks && r == 0; i++) {
		const struct config_remark *m = &c->remarks[i];
		if (strcmp(m->file, file) != 0 || m->line != line)
			continue;
		int n = snprintf(text, sizeof text, "%*s# mcfs: %s%s: %s\n", (int)indent, "",
			m->missing ? "NOT DONE: " : "", m->key, m->text);
		r = add(out, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, e);
	}
	return r;
}

static int head(struct buf *out, const struct backup_config *c, const char *path, struct err *e)
{
	char text[1200];
	int n = snprintf(text, sizeof text,
		"# backup.yaml for mcfs-snapshot, from %s.\n"
		"# mcfs reads that file as it is; what differs stands above each key, behind \"# mcfs:\".\n"
		"# A store of mcfs needs a directory of its own: change `repositories` where borg's is.\n",
		path);
	int r = add(out, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, e);
	for (size_t i = 0; i < c->n_remarks && r == 0; i++)
		if (strcmp(c->remarks[i].file, path) != 0) {
			n = snprintf(text, sizeof text, "# mcfs: %s:%u: %s: %s\n", c->remarks[i].file,
				c->remarks[i].line, c->remarks[i].key, c->remarks[i].text);
			r = add(out, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, e);
		}
	return r;
}

/* The file with its remarks as comments in front of the lines they are about. */
static int annotate(const char *path, struct buf *out, struct err *e)
{
	struct backup_config *c;
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = backup_config_load(&c, path, true, e);
	if (r < 0)
		return r;
	r = io_read_file(AT_FDCWD, path, &b, YAML_FILE_MAX, e);
	if (r == 0)
		r = head(out, c, path, e);
	const char *s = (const char *)b.p, *end = s ? s + b.len : NULL;
	for (unsigned line = 1; s < end && r == 0; line++) {
		const char *nl = memchr(s, '\n', (size_t)(end - s));
		size_t n = nl ? (size_t)(nl - s) + 1 : (size_t)(end - s), indent = 0;
		while (indent < n && s[indent] == ' ')
			indent++;
		r = add_remarks(out, c, path, line, indent, e);
		if (r == 0)
			r = add(out, s, n, e);
		s += n;
	}
	backup_config_free(c);
	return r;
}

static int import_one(struct cli *cli, const char *path, const char *to)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	CLEANUP_FREE char *target = NULL;
	struct err e = ERR_INIT;
	const char *slash = strrchr(path, '/');
	if (annotate(path, &out, &e) < 0)
		return cli_fail(cli, &e);
	if (!to) {
		fwrite(out.p, 1, out.len, stdout);
		return EXIT_DONE;
	}
	struct stat st;
	bool dir = stat(to, &st) == 0 && S_ISDIR(st.st_mode);
	if (asprintf(&target, "%s%s%s", to, dir ? "/" : "", dir ? (slash ? slash + 1 : path) : "") < 0) {
		target = NULL;
		err_set(&e, E_NOMEM, 0, "no memory for a path");
		return cli_fail(cli, &e);
	}
	/* A passphrase may stand in it. */
	if (io_write_file(AT_FDCWD, target, buf_span(&out), 0600, true, &e) < 0)
		return cli_fail(cli, &e);
	cli_note(cli, "%s: made from %s", target, path);
	return EXIT_DONE;
}

/* Where borgmatic looks, and what is in a directory. */
static int find_files(int argc, char **argv, glob_t *g)
{
	static const char *const usual[] = {"/etc/borgmatic/config.yaml", "/etc/borgmatic.d/*.y*ml",
		"~/.config/borgmatic/config.yaml", "~/.config/borgmatic.d/*.y*ml"};
	int flags = GLOB_TILDE;
	for (int i = 0; i < argc; i++) {
		CLEANUP_FREE char *pattern = NULL;
		struct stat st;
		bool dir = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
		if (asprintf(&pattern, "%s%s", argv[i], dir ? "/*.y*ml" : "") < 0)
			pattern = NULL;
		if (pattern)
			glob(pattern, dir ? flags : flags | GLOB_NOCHECK, NULL, g);
		flags |= GLOB_APPEND;
	}
	for (size_t i = 0; argc == 0 && i < sizeof usual / sizeof *usual; i++) {
		glob(usual[i], flags, NULL, g);
		flags |= GLOB_APPEND;
	}
	return (int)g->gl_pathc;
}

static int import_all(struct cli *cli, int argc, char **argv, const char *to)
{
	glob_t g = {0};
	struct err e = ERR_INIT;
	int code = EXIT_DONE;
	if (find_files(argc, argv, &g) == 0) {
		err_set(&e, E_NOTFOUND, 0, "no configuration of borgmatic is found%s",
			argc ? " there" : " in /etc/borgmatic, /etc/borgmatic.d or ~/.config/borgmatic");
		code = cli_fail(cli, &e);
	}
	for (size_t i = 0; i < g.gl_pathc; i++) {
		int one = import_one(cli, g.gl_pathv[i], to);
		code = code ? code : one;
	}
	globfree(&g);
	return code;
}

/* ---- the command ---- */

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"to", required_argument, NULL, 't'}, {0}};
	const char *to = NULL;
	int o, code = EXIT_DONE;
	while ((o = cli_getopt(cli, argc, argv, "", options, NULL)) != -1) {
		if (o != 't')
			return EXIT_USAGE;
		to = optarg;
	}
	const char *what = optind < argc ? argv[optind++] : "";
	if (strcmp(what, "import") == 0)
		return import_all(cli, argc - optind, argv + optind, to);
	bool validate = strcmp(what, "validate") == 0;
	if (!*what)
		return cli_usage(cli, "config does one of validate, show, import");
	if (!validate && strcmp(what, "show") != 0)
		return cli_usage(cli, "config validate, show or import, not '%s'", what);
	if (to)
		return cli_usage(cli, "--to goes with import");
	if (optind == argc)
		return cli_usage(cli, "config %s wants a file", what);
	for (; optind < argc; optind++) {
		int one = validate ? validate_one(cli, argv[optind]) : show_one(cli, argv[optind]);
		code = code ? code : one;
	}
	return code;
}

const struct command command_config = {"config", run,
	"config validate FILE..\n       mcfs config show FILE\n"
	"       mcfs config import [--to FILE|DIR] [FILE|DIR..]",
	"look at a configuration of mcfs-snapshot, or make one of borgmatic's",
	"  validate  is it right; which keys mean nothing here, and what is instead of them\n"
	"  show      what it amounts to, with variables and included files\n"
	"  import    borgmatic's files with remarks where mcfs differs; without a name those in\n"
	"            /etc/borgmatic, /etc/borgmatic.d and ~/.config/borgmatic\n"
	"  --to F    where to; without it standard output\n"};
