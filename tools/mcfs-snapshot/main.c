/* mcfs-snapshot - the backup job: one run of backup.yaml, for cron and the scheduler. */
#include "tools/mcfs-snapshot/job.h"

#include <getopt.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

volatile sig_atomic_t cli_interrupted;

/* Asked twice or ten times: the server's saving is turned on again all the same. */
static void on_signal(int sig)
{
	(void)sig;
	cli_interrupted = 1;
}

static const char help[] =
	"usage: mcfs-snapshot --config FILE [OPTION..]\n\n"
	"One run of backup.yaml: let the server save, take a snapshot, forget old ones, compact,\n"
	"check, and tell who watches. The keys of the file are borgmatic's.\n\n"
	"  -c, --config FILE  the configuration (MCFS_BACKUP_CONFIG, or /etc/mcfs/backup.yaml)\n"
	"      --cron         say nothing unless something is wrong\n"
	"  -n, --dry-run      only say what would be done\n"
	"      --init         make stores that are not there yet\n"
	"      --save-on      only turn a server's saving on that an earlier run left off\n"
	"      --now TIME     take this for the present: 2026-11-22T02:00:00Z or @SECONDS\n"
	"      --json         each step and the summary as JSON, one object a line\n"
	"  -q, --quiet        only problems\n"
	"  -v, --verbose      also say which keys of the file mean nothing here\n"
	"  -h, --help         this\n"
	"      --version      the version\n\n"
	"See mcfs-snapshot(8); 'mcfs config validate FILE' checks a file. Without a file, 'mcfs\n"
	"snapshot PATH..' takes a snapshot by hand.\n";

static bool parse(struct job *j, int argc, char **argv, const char **config, bool *save_on, int *code)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"cron", no_argument, NULL, 'C'}, {"dry-run", no_argument, NULL, 'n'},
		{"init", no_argument, NULL, 'i'}, {"save-on", no_argument, NULL, 'o'},
		{"now", required_argument, NULL, 'w'}, {"json", no_argument, NULL, 'j'},
		{"quiet", no_argument, NULL, 'q'}, {"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
	int o;
	*code = EXIT_USAGE;
	static char name[] = "mcfs-snapshot"; /* getopt begins its messages with it */
	if (argc > 0)
		argv[0] = name;
	while ((o = getopt_long(argc, argv, "c:nqvh", options, NULL)) != -1)
		switch (o) {
		case 'c':
			*config = optarg;
			break;
		case 'C':
			j->cron = true;
			break;
		case 'n':
			j->dry_run = true;
			break;
		case 'i':
			j->init = true;
			break;
		case 'o':
			*save_on = true;
			break;
		case 'w':
			j->now_is_given = true;
			if (!cli_parse_time(optarg, &j->now)) {
				job_fail(j, EXIT_USAGE, "--now: '%s' is no time: 2026-11-22T02:00:00Z or @SECONDS",
					optarg);
				return false;
			}
			break;
		case 'j':
			j->cli.json = true;
			break;
		case 'q':
			j->cli.quiet = true;
			break;
		case 'v':
			j->cli.verbose++;
			break;
		case 'h':
			fputs(help, stdout);
			*code = EXIT_DONE;
			return false;
		case 'V':
			printf("mcfs-snapshot %s\n", MCFS_VERSION);
			*code = EXIT_DONE;
			return false;
		default:
			return false;
		}
	if (optind < argc) {
		job_fail(j, EXIT_USAGE, "'%s' is not expected here: sources stand in the configuration "
			"(see 'mcfs-snapshot --help')", argv[optind]);
		return false;
	}
	return true;
}

/* The mcfs beside this program; else that of PATH. */
static char *find_mcfs(void)
{
	char self[4096];
	char *path = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n > 0) {
		self[n] = 0;
		*strrchr(self, '/') = 0;
		if (asprintf(&path, "%s/mcfs", self) < 0)
			path = NULL;
		if (path && access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return strdup("mcfs");
}

/* The key as the configuration says, where that comes before the environment's. */
static void set_key(const struct backup_config *c)
{
	static const char *const names[] = {"MCFS_PASSPHRASE", "MCFS_PASSPHRASE_FILE",
		"MCFS_PASSPHRASE_COMMAND", "MCFS_KEY_FILE"};
	const char *values[] = {c->passphrase, NULL, c->passcommand, c->key_file};
	if (!c->passphrase && !c->passcommand && !c->key_file)
		return;
	for (size_t i = 0; i < 4; i++)
		unsetenv(names[i]);
	for (size_t i = 0; i < 4; i++)
		if (values[i]) {
			setenv(names[i], values[i], 1);
			return;
		}
}

static void tell_remarks(struct job *j)
{
	const struct backup_config *c = j->cfg;
	for (size_t i = 0; i < c->n_remarks; i++) {
		const struct config_remark *m = &c->remarks[i];
		if (m->missing)
			job_warn(j, EXIT_PARTLY, "%s:%u: %s: %s", m->file, m->line, m->key, m->text);
		else if (j->cli.verbose)
			job_say(j, "%s:%u: %s: %s", m->file, m->line, m->key, m->text);
	}
}

/* Sources as the shell would see them: with the working directory, and stars expanded. */
static int expand_sources(struct job *j, struct args *out)
{
	const struct backup_config *c = j->cfg;
	for (size_t i = 0; i < c->sources.n; i++) {
		CLEANUP_FREE char *full = NULL;
		glob_t g = {0};
		const char *s = c->sources.v[i];
		if (asprintf(&full, "%s%s%s", s[0] != '/' && s[0] != '~' && c->working_directory
			    ? c->working_directory : "",
			    s[0] != '/' && s[0] != '~' && c->working_directory ? "/" : "", s) < 0) {
			full = NULL;
			return EXIT_FAILED;
		}
		if (glob(full, GLOB_TILDE | GLOB_NOCHECK, NULL, &g) == 0)
			for (size_t k = 0; k < g.gl_pathc; k++) {
				CLEANUP_FREE char *real = realpath(g.gl_pathv[k], NULL);
				args_add(out, real ? real : g.gl_pathv[k], NULL);
				if (real)
					continue;
				if (c->sources_must_exist) {
					job_fail(j, EXIT_FAILED, "the source '%s' does not exist", g.gl_pathv[k]);
					globfree(&g);
					return EXIT_FAILED;
				}
			}
		globfree(&g);
	}
	return out->n == SIZE_MAX || !out->n ? EXIT_FAILED : EXIT_DONE;
}

static double since(const struct timespec *t0)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)(t.tv_sec - t0->tv_sec) + (double)(t.tv_nsec - t0->tv_nsec) / 1e9;
}

/* All repositories between the hooks around everything. False: a command said "not now". */
static bool run_all(struct job *j, struct server *s, char *const *sources, size_t n)
{
	const struct backup_config *c = j->cfg;
	int code = hooks_run(j, true, HOOK_EVERYTHING, c->actions, NOTIFY_START);
	if (code == 0)
		code = hooks_run(j, true, HOOK_CONFIGURATION, c->actions, NOTIFY_START);
	if (code == HOOK_SOFT) {
		job_say(j, "a command says that now is not the time (75): nothing is done");
		return false;
	}
	if (code == 0)
		job_notify(j, NOTIFY_START, 0);
	for (size_t i = 0; i < c->n_repositories && code == 0 && !cli_interrupted; i++)
		if (c->repositories[i].local)
			repository_run(j, &c->repositories[i], s, sources, n);
	j->repository = j->label = "";
	if (code == 0 && !cli_interrupted)
		prune_run(j, sources, n, *j->snapshot || (j->dry_run && (c->actions & ACTION_CREATE)));
	enum notify_state state = j->failed ? NOTIFY_FAIL : NOTIFY_FINISH;
	hooks_run(j, false, HOOK_CONFIGURATION, c->actions, state);
	hooks_run(j, false, HOOK_EVERYTHING, c->actions, state);
	return true;
}

static void report(struct job *j, double seconds)
{
	if (j->failed) {
		hooks_run(j, false, HOOK_ERROR, j->cfg->actions, NOTIFY_FAIL);
		job_notify(j, NOTIFY_FAIL, seconds);
	} else {
		job_notify(j, NOTIFY_FINISH, seconds);
	}
}

static void run_job(struct job *j, bool save_on)
{
	struct timespec t0;
	struct args sources = {0};
	struct held locks = {0};
	struct server s = {.guard_fd = -1};
	struct err e = ERR_INIT;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	j->save_on = save_on;
	set_key(j->cfg);
	if (!save_on)
		tell_remarks(j);
	if (expand_sources(j, &sources) != EXIT_DONE) {
		report(j, since(&t0));
	} else if (world_lock(j, sources.v, sources.n, &locks, &e) < 0) {
		/* Somebody else is at it: for those who watch, that run counts. */
		job_fail(j, cli_exit_code(e.code), "%s", e.msg);
	} else {
		server_prepare(j, &s, sources.v, sources.n);
		if (!save_on && run_all(j, &s, sources.v, sources.n)) {
			if (cli_interrupted)
				job_fail(j, EXIT_INTERRUPTED, "interrupted");
			report(j, since(&t0));
		}
	}
	server_free(&s);
	world_unlock(&locks);
	args_free(&sources);
	if (j->cli.json)
		cli_json(json_pack("{s:s, s:b, s:s, s:O, s:f, s:i}", "type", "summary", "dry_run",
			j->dry_run, "snapshot", j->snapshot, "steps", j->steps, "seconds", since(&t0),
			"exit_code", j->code));
}

int main(int argc, char **argv)
{
	struct job j = {.now = time(NULL), .steps = json_array(), .repository = "", .label = ""};
	const char *config = getenv("MCFS_BACKUP_CONFIG");
	struct err e = ERR_INIT;
	bool save_on = false;
	int code;
	if (!config || !*config)
		config = "/etc/mcfs/backup.yaml";
	struct sigaction sa = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	cli_directories(&j.cli);
	if (parse(&j, argc, argv, &config, &save_on, &code)) {
		j.mcfs = find_mcfs();
		if (backup_config_load(&j.cfg, config, false, &e) < 0)
			job_fail(&j, cli_exit_code(e.code), "%s", e.msg);
		else
			run_job(&j, save_on);
		code = j.code;
	}
	backup_config_free(j.cfg);
	json_decref(j.steps);
	buf_free(&j.log);
	buf_free(&j.output);
	free(j.mcfs);
	cli_directories_free(&j.cli);
	if (fflush(stdout) != 0 && code == EXIT_DONE)
		code = EXIT_FAILED;
	return code;
}
