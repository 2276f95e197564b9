/* The steps of a run, in borgmatic's order for each repository: create, prune, compact, check. */
#include "tools/mcfs-snapshot/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"

/* ---- results ---- */

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static void record(struct job *j, const char *action, int code, json_t *result)
{
	json_t *o = json_pack("{s:s, s:s, s:o, s:i, s:O?}", "type", "step", "action", action,
		"repository", cli_json_string(j->repository, strlen(j->repository)), "exit_code", code,
		"result", result);
	if (j->cli.json) {
		cli_json(json_incref(o));
		fflush(stdout);
	}
	/* The lists are in the step's own line. */
	json_object_del(o, "result");
	json_array_append_new(j->steps, o);
}

/* The last line that the step said, without the program's name. */
static void last_words(const struct job *j, char *out, size_t n)
{
	const char *p = (const char *)j->output.p;
	size_t end = j->output.len, start;
	while (end && strchr("\r\n ", p[end - 1]))
		end--;
	for (start = end; start && p[start - 1] != '\n'; start--)
		;
	if (end - start > 6 && memcmp(p + start, "mcfs: ", 6) == 0)
		start += 6;
	snprintf(out, n, "%.*s", (int)(end - start > n ? n : end - start), p ? p + start : "");
}

/* True when the step has done what it should; else it is told. */
static bool judge(struct job *j, const char *what, int code)
{
	char words[500];
	if (code == EXIT_DONE)
		return true;
	last_words(j, words, sizeof words);
	if (code == EXIT_PARTLY) {
		job_warn(j, EXIT_PARTLY, "%s of '%s': done, but not of everything (named above)",
			what, j->repository);
		return true;
	}
	job_fail(j, code > 130 ? EXIT_FAILED : code, "%s of '%s' failed (exit status %d)%s%s", what,
		j->repository, code, *words ? ": " : "", words);
	return false;
}

static void begin(struct job *j, struct args *a, const char *store, const char *command)
{
	args_add(a, j->mcfs, "-s", store, "--json", command, NULL);
}

/* ---- create ---- */

static int create(struct job *j, const char *store, struct server *s, char *const *sources, size_t n)
{
	const struct backup_config *c = j->cfg;
	struct args a = {0};
	json_t *result;
	char text[32], b1[16], b2[16];
	begin(j, &a, store, "snapshot");
	for (size_t i = 0; i < c->tags.n; i++)
		args_add(&a, "--tag", c->tags.v[i], NULL);
	for (size_t i = 0; i < c->excludes.n; i++)
		args_add(&a, "--exclude-borg", c->excludes.v[i], NULL);
	for (size_t i = 0; i < c->exclude_files.n; i++)
		args_add(&a, "--exclude-borg-file", c->exclude_files.v[i], NULL);
	for (size_t i = 0; i < c->exclude_if_present.n; i++)
		args_add(&a, "--exclude-if-present", c->exclude_if_present.v[i], NULL);
	if (c->exclude_caches)
		args_add(&a, "--exclude-caches", NULL);
	if (c->one_file_system)
		args_add(&a, "--one-file-system", NULL);
	snprintf(text, sizeof text, "%d", c->level);
	if (c->level)
		args_add(&a, "--level", text, NULL);
	if (j->dry_run)
		args_add(&a, "--dry-run", NULL);
	snprintf(text, sizeof text, "@%lld", (long long)j->now);
	if (j->now_is_given)
		args_add(&a, "--timestamp", text, NULL);
	if (s->c && !c->no_staging)
		args_add(&a, "--stage", NULL);
	if (c->staging)
		args_add(&a, "--stage-in", c->staging, NULL);
	args_add(&a, "--", NULL);
	for (size_t i = 0; i < n; i++)
		args_add(&a, sources[i], NULL);
	j->held = s->c ? s : NULL;
	int code = step_run(j, &a, &result);
	j->held = NULL;
	args_free(&a);
	if (result && (code == EXIT_DONE || code == EXIT_PARTLY)) {
		const char *name = json_string_value(json_object_get(json_object_get(result, "snapshot"),
			"name"));
		snprintf(j->snapshot, sizeof j->snapshot, "%s", name ? name : "");
		j->files = number(result, "files");
		j->bytes = number(result, "bytes");
		j->added = number(result, "added_bytes");
		job_say(j, "%s: snapshot %s: %llu files, %s; %llu new, %llu changed, %s added", j->repository,
			name ? name : "(dry run)", (unsigned long long)j->files, cli_bytes(j->bytes, b1),
			(unsigned long long)number(result, "files_new"),
			(unsigned long long)number(result, "files_changed"), cli_bytes(j->added, b2));
	}
	record(j, "create", code, result);
	json_decref(result);
	return code;
}

/* ---- prune: forget ---- */

static void add_keep(struct args *a, const char *option, int64_t v)
{
	char text[32];
	snprintf(text, sizeof text, "%lld", (long long)v);
	if (v)
		args_add(a, option, text, NULL);
}

static int forget(struct job *j, const char *store)
{
	const struct backup_keep *k = &j->cfg->keep;
	struct args a = {0};
	json_t *result;
	char text[40], host[256] = "";
	begin(j, &a, store, "forget");
	snprintf(text, sizeof text, "%lldS", (long long)k->within);
	if (k->within)
		args_add(&a, "--keep-within", text, NULL);
	add_keep(&a, "--keep-secondly", k->secondly);
	add_keep(&a, "--keep-minutely", k->minutely);
	add_keep(&a, "--keep-hourly", k->hourly);
	add_keep(&a, "--keep-daily", k->daily);
	add_keep(&a, "--keep-weekly", k->weekly);
	add_keep(&a, "--keep-monthly", k->monthly);
	add_keep(&a, "--keep-13weekly", k->quarterly13);
	add_keep(&a, "--keep-3monthly", k->quarterly);
	add_keep(&a, "--keep-yearly", k->yearly);
	gethostname(host, sizeof host - 1);
	if (!j->cfg->match)
		args_add(&a, "--only-host", host, "--group-by", "host,source", NULL);
	else if (strcmp(j->cfg->match, "*") == 0)
		args_add(&a, "--group-by", "none", NULL);
	else
		args_add(&a, "--only-tag", j->cfg->match, "--group-by", "none", NULL);
	if (j->dry_run)
		args_add(&a, "--dry-run", NULL);
	snprintf(text, sizeof text, "@%lld", (long long)j->now);
	if (j->now_is_given)
		args_add(&a, "--now", text, NULL);
	int code = step_run(j, &a, &result);
	args_free(&a);
	size_t kept = json_array_size(json_object_get(result, "kept"));
	if (code == EXIT_DONE)
		job_say(j, "%s: %zu snapshot%s kept, %zu %s", j->repository, kept, cli_s(kept),
			json_array_size(json_object_get(result, "forgotten")),
			j->dry_run ? "would be forgotten" : "forgotten");
	record(j, "prune", code, result);
	json_decref(result);
	return code;
}

/* ---- compact ---- */

static int compact(struct job *j, const char *store)
{
	struct args a = {0};
	char freed[16];
	json_t *result;
	begin(j, &a, store, "compact");
	if (j->dry_run)
		args_add(&a, "--dry-run", NULL);
	int code = step_run(j, &a, &result);
	args_free(&a);
	/* Less than nothing, when chunks were only compressed again: the old packs go next time. */
	json_int_t n = json_integer_value(json_object_get(result, "freed_bytes"));
	if (code == EXIT_DONE)
		job_say(j, "%s: %s, %s %s", j->repository,
			j->dry_run ? "would compact" : "compacted",
			cli_bytes((uint64_t)(n < 0 ? -n : n), freed), n < 0 ? "more" : "freed");
	record(j, "compact", code, result);
	json_decref(result);
	return code;
}

/* ---- check ---- */

/* STATE/checks/<store>-<kind>: its mtime is when the check was last done. */
static char *stamp_path(const struct job *j, const char *store, const struct backup_check *k)
{
	CLEANUP_FREE char *real = realpath(store, NULL);
	uint64_t h = 0xcbf29ce484222325u;
	char *path = NULL;
	for (const char *p = real ? real : store; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	if (asprintf(&path, "%s/checks/%016llx-%s", j->cli.state_dir, (unsigned long long)h, k->name) < 0)
		return NULL;
	return path;
}

static bool is_due(const struct job *j, const char *stamp, const struct backup_check *k)
{
	struct stat st;
	struct tm tm;
	time_t now = (time_t)j->now;
	localtime_r(&now, &tm);
	if (k->days && !(k->days >> tm.tm_wday & 1))
		return false;
	if (k->frequency == 0 || stat(stamp, &st) < 0)
		return true;
	/* A stamp from the future would hold the check back for ever. A job that starts some seconds earlier than
	 * last time is not early. */
	return st.st_mtime > now || now - st.st_mtime >= k->frequency - 60;
}

static void stamp(struct job *j, const char *path)
{
	struct err e = ERR_INIT;
	CLEANUP_FREE char *dir = strdup(path);
	if (!dir)
		return;
	*strrchr(dir, '/') = 0;
	int r = io_mkdirs(dir, 0700, &e);
	if (r == 0)
		r = io_write_file(AT_FDCWD, path, span_of("", 0), 0600, false, &e);
	struct timespec t[2] = {{.tv_sec = (time_t)j->now}, {.tv_sec = (time_t)j->now}};
	if (r == 0 && utimensat(AT_FDCWD, path, t, 0) < 0)
		r = err_set(&e, E_IO, errno, "set the time of '%s'", path);
	if (r < 0)
		job_warn(j, EXIT_DONE, "the time of the check is not remembered: %s", e.msg);
}

static int check(struct job *j, const char *store)
{
	bool structure = false, data = false;
	const struct backup_config *c = j->cfg;
	CLEANUP_FREE bool *due = calloc(c->n_checks + 1, sizeof *due);
	for (size_t i = 0; due && i < c->n_checks; i++) {
		CLEANUP_FREE char *path = stamp_path(j, store, &c->checks[i]);
		due[i] = path && is_due(j, path, &c->checks[i]);
		structure = structure || due[i];
		data = data || (due[i] && c->checks[i].kind == CHECK_DATA);
	}
	if (!structure)
		return EXIT_DONE;
	if (j->dry_run) {
		job_say(j, "%s: would check%s", j->repository, data ? ", reading all data" : "");
		return EXIT_DONE;
	}
	struct args a = {0};
	json_t *result;
	begin(j, &a, store, "check");
	if (data)
		args_add(&a, "--read-data", NULL);
	int code = step_run(j, &a, &result);
	args_free(&a);
	if (code == EXIT_DONE)
		job_say(j, "%s: checked%s: no damage", j->repository, data ? ", all data read" : "");
	for (size_t i = 0; i < c->n_checks && code == EXIT_DONE; i++) {
		CLEANUP_FREE char *path = due[i] ? stamp_path(j, store, &c->checks[i]) : NULL;
		if (path)
			stamp(j, path);
	}
	record(j, "check", code, result);
	json_decref(result);
	return code;
}

static bool check_is_due(struct job *j, const char *store)
{
	for (size_t i = 0; i < j->cfg->n_checks; i++) {
		CLEANUP_FREE char *path = stamp_path(j, store, &j->cfg->checks[i]);
		if (path && is_due(j, path, &j->cfg->checks[i]))
			return true;
	}
	return false;
}

/* ---- one repository ---- */

/* borg's repository has a file of the same name in the same place. */
static bool is_borg(const char *config)
{
	char b[12] = "";
	CLEANUP_FD int fd = open(config, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, b, sizeof b) == (ssize_t)sizeof b && memcmp(b, "[repository]", 12) == 0;
}

static int make_store(struct job *j, const char *store)
{
	struct args a = {0};
	json_t *result;
	CLEANUP_FREE char *config = NULL;
	if (asprintf(&config, "%s/config", store) < 0)
		config = NULL;
	if (config && is_borg(config)) {
		job_fail(j, EXIT_FAILED, "'%s' is borg's repository: give mcfs a directory of its own "
			"(repositories, path)", store);
		return EXIT_FAILED;
	}
	if (!config || access(config, F_OK) == 0 || errno != ENOENT)
		return EXIT_DONE;
	if (!j->init) {
		job_fail(j, EXIT_FAILED, "there is no store in '%s': make it with 'mcfs -s %s init', or run "
			"mcfs-snapshot once with --init", store, store);
		return EXIT_FAILED;
	}
	if (j->dry_run) {
		job_say(j, "would make a store in '%s'", store);
		return EXIT_FAILED;
	}
	begin(j, &a, store, "init");
	int code = step_run(j, &a, &result);
	args_free(&a);
	if (code == EXIT_DONE) {
		const char *key = json_string_value(json_object_get(result, "key_file"));
		job_say(j, "store made in '%s'", store);
		if (key)
			fprintf(stderr, "mcfs: without the key file '%s' the backups cannot be read: keep a copy "
				"of it apart from the store\n", key);
	}
	record(j, "init", code, result);
	json_decref(result);
	(void)judge(j, "init", code);
	return code;
}

/* One action between its hooks. False: what comes after it in this repository is not done. */
static bool action(struct job *j, unsigned which, const char *store, struct server *s,
	char *const *sources, size_t n)
{
	static const char *const names[] = {"snapshot", "forget", "compact", "check"};
	int index = which == ACTION_CREATE ? 0 : which == ACTION_PRUNE ? 1 : which == ACTION_COMPACT ? 2 : 3;
	if (which == ACTION_CHECK && !check_is_due(j, store))
		return true;
	int code = hooks_run(j, true, HOOK_ACTION, which, NOTIFY_START);
	if (code == HOOK_SOFT)
		job_say(j, "%s: a command says that now is not the time (75): left out", j->repository);
	if (code != 0) {
		if (code != HOOK_SOFT)
			hooks_run(j, false, HOOK_ACTION, which, NOTIFY_FAIL);
		return false;
	}
	bool ok;
	if (which == ACTION_CREATE) {
		server_hold(j, s, sources, n);
		code = cli_interrupted ? EXIT_INTERRUPTED : create(j, store, s, sources, n);
		server_release(j, s);
	} else {
		code = which == ACTION_PRUNE ? forget(j, store) : which == ACTION_COMPACT ? compact(j, store)
										       : check(j, store);
	}
	ok = judge(j, names[index], code);
	return hooks_run(j, false, HOOK_ACTION, which, ok ? NOTIFY_FINISH : NOTIFY_FAIL) == 0 && ok;
}

void repository_run(struct job *j, const struct backup_repository *r, struct server *s,
	char *const *sources, size_t n)
{
	bool ok = true, failed_before = j->failed;
	j->repository = r->path;
	j->label = r->label ? r->label : "";
	if (make_store(j, r->path) != EXIT_DONE)
		return;
	int code = hooks_run(j, true, HOOK_REPOSITORY, j->cfg->actions, NOTIFY_START);
	if (code == HOOK_SOFT)
		job_say(j, "%s: a command says that now is not the time (75): left out", r->path);
	for (unsigned a = 1; code == 0 && ok && a <= ACTION_CHECK && !cli_interrupted; a <<= 1)
		if ((j->cfg->actions & a) && (a != ACTION_COMPACT || step_exists(j, "compact", NULL)))
			ok = action(j, a, r->path, s, sources, n);
	if (code != HOOK_SOFT)
		hooks_run(j, false, HOOK_REPOSITORY, j->cfg->actions,
			j->failed && !failed_before ? NOTIFY_FAIL : NOTIFY_FINISH);
}

/* ---- pruning chunks ---- */

/* Has this snapshot, of this host, all the sources? */
static bool covers(const json_t *sn, const char *host, char *const *sources, size_t n)
{
	const char *h = json_string_value(json_object_get(sn, "host"));
	const json_t *paths = json_object_get(sn, "sources");
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;
		while (k < json_array_size(paths) &&
			strcmp(json_string_value(json_array_get(paths, k)), sources[i]) != 0)
			k++;
		if (k == json_array_size(paths))
			return false;
	}
	return h && strcmp(h, host) == 0;
}

/* Is there a snapshot to fall back on that is young enough, in the first repository? */
static bool have_fresh_snapshot(struct job *j, char *const *sources, size_t n)
{
	struct args a = {0};
	json_t *result = NULL;
	char host[256] = "";
	bool fresh = false;
	size_t i = 0;
	while (!j->cfg->repositories[i].local)
		if (++i == j->cfg->n_repositories)
			return false;
	gethostname(host, sizeof host - 1);
	begin(j, &a, j->cfg->repositories[i].path, "list");
	int code = step_run(j, &a, &result);
	const json_t *list = json_object_get(result, "snapshots");
	for (size_t k = 0; code == EXIT_DONE && k < json_array_size(list); k++) {
		const json_t *sn = json_array_get(list, k);
		const char *time = json_string_value(json_object_get(sn, "time"));
		struct tm tm = {0};
		fresh = fresh || (time && strptime(time, "%Y-%m-%dT%H:%M:%S", &tm) &&
					 j->now - timegm(&tm) <= j->cfg->require_snapshot &&
					 covers(sn, host, sources, n));
	}
	args_free(&a);
	json_decref(result);
	return fresh;
}

static void prune_world(struct job *j, const char *world)
{
	struct args a = {0};
	json_t *result;
	/* A server that runs: what is to go is noted, and goes when the world is free. */
	size_t i = 0;
	while (i < j->cfg->n_repositories && !j->cfg->repositories[i].local)
		i++;
	if (i < j->cfg->n_repositories) /* for a require_snapshot of the rules */
		begin(j, &a, j->cfg->repositories[i].path, "prune");
	else
		args_add(&a, j->mcfs, "--json", "prune", NULL);
	args_add(&a, "--rules", j->cfg->prune_rules, "--world", world, "--when-running", "defer", NULL);
	char text[32];
	snprintf(text, sizeof text, "%lld", (long long)j->now);
	if (j->now_is_given)
		args_add(&a, "--now", text, NULL);
	if (j->dry_run)
		args_add(&a, "--dry-run", NULL);
	int code = step_run(j, &a, &result);
	args_free(&a);
	record(j, "prune-chunks", code, result);
	if (code == EXIT_DONE)
		job_say(j, "%s: pruned by %s", world, j->cfg->prune_rules);
	json_decref(result);
	(void)judge(j, "prune", code);
}

static bool is_world(const char *dir)
{
	CLEANUP_FREE char *level = NULL;
	if (asprintf(&level, "%s/level.dat", dir) < 0)
		level = NULL;
	return level && access(level, F_OK) == 0;
}

/* The worlds in a source: itself, or those in a server's directory. Returns how many. */
static size_t prune_below(struct job *j, const char *source)
{
	size_t n = 0;
	if (is_world(source)) {
		prune_world(j, source);
		return 1;
	}
	CLEANUP_DIR DIR *d = opendir(source);
	for (struct dirent *de; d && (de = readdir(d)) && !cli_interrupted;) {
		CLEANUP_FREE char *path = NULL;
		if (de->d_name[0] == '.' || asprintf(&path, "%s/%s", source, de->d_name) < 0 ||
			!is_world(path))
			continue;
		prune_world(j, path);
		n++;
	}
	return n;
}

void prune_run(struct job *j, char *const *sources, size_t n, bool snapshot_done)
{
	if (!j->cfg->prune_rules)
		return;
	j->repository = j->cfg->prune_rules;
	if (!snapshot_done && !(j->cfg->require_snapshot && have_fresh_snapshot(j, sources, n))) {
		job_warn(j, EXIT_PARTLY, "%s: nothing is pruned without a fresh snapshot of the world",
			j->cfg->prune_rules);
		return;
	}
	if (!step_exists(j, "prune", "--rules")) {
		job_warn(j, EXIT_PARTLY, "%s: this mcfs cannot prune by rules", j->cfg->prune_rules);
		return;
	}
	size_t worlds = 0;
	for (size_t i = 0; i < n; i++)
		worlds += prune_below(j, sources[i]);
	if (!worlds)
		job_warn(j, EXIT_PARTLY, "%s: none of the source_directories is a world (no level.dat)",
			j->cfg->prune_rules);
}
