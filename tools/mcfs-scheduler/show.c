/* validate, list, history, status: what is looked at. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "tools/mcfs-scheduler/scheduler.h"


static int open_runner(struct setup *s, const struct options *o, bool notes, struct runner **ret)
{
	struct err e = ERR_INIT;
	if (setup_open(s, o, SETUP_LOOK, &e) < 0)
		return out_fail(&e);
	if (notes)
		setup_notes(s, s->cfg);
	if (runner_new(&s->env, s->cfg, clock_now(&s->clock), ret, &e) < 0) {
		setup_close(s);
		return out_fail(&e);
	}
	return 0;
}

static void close_runner(struct setup *s, struct runner *r)
{
	runner_free(r);
	setup_close(s);
}

/* ---- validate ---- */

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	if (strchr(program, '/'))
		return access(program, X_OK) == 0;
	CLEANUP_FREE char *copy = strdup(path ? path : "/usr/bin:/bin");
	char *save = NULL, full[4096];
	for (char *dir = copy ? strtok_r(copy, ":", &save) : NULL; dir; dir = strtok_r(NULL, ":", &save)) {
		snprintf(full, sizeof full, "%s/%s", dir, program);
		if (access(full, X_OK) == 0)
			return true;
	}
	return false;
}

/* What would fail only when the job is due. */
static void warn_of_programs(const struct schedule_config *cfg)
{
	bool docker = in_path("docker");
	for (size_t i = 0; i < cfg->n; i++) {
		const struct job_spec *j = &cfg->jobs[i];
		size_t n = j->command ? strcspn(j->command, " \t") : 0;
		CLEANUP_FREE char *word = strndup(j->command ? j->command : "", n);
		if (j->kind != JOB_LOCAL && !docker)
			fprintf(stderr,
				"mcfs-scheduler: %s: line %d: job \"%s\" goes through the docker command "
				"line, and there is none here\n",
				cfg->path, j->line, j->name);
		else if (j->kind == JOB_LOCAL && word && !strpbrk(word, "'\"\\") && !in_path(word)) {
			fprintf(stderr, "mcfs-scheduler: %s: line %d: job \"%s\": there is no program '",
				cfg->path, j->line, j->name);
			out_text(stderr, word);
			fputs("' here\n", stderr);
		}
	}
}

int cmd_validate(const struct options *o, int argc, char **argv)
{
	struct options given = *o;
	struct setup s;
	struct runner *r = NULL;
	char when[ZONE_TIME_CHARS];
	if (argc > 2)
		return out_usage("validate takes at most one file");
	if (argc == 2)
		given.config = argv[1];
	int code = open_runner(&s, &given, true, &r);
	if (code)
		return code;
	warn_of_programs(s.cfg);
	int64_t now = clock_now(&s.clock).wall / 1000;
	for (size_t i = 0; i < runner_n_jobs(r) && !o->quiet; i++) {
		struct job_status j;
		int64_t t = now;
		runner_job(r, i, clock_now(&s.clock), &j);
		printf("%s:", j.spec->name);
		if (!j.spec->schedule)
			fputs(" after what it depends on", stdout);
		for (int k = 0; k < 3 && runner_next(r, i, t, &t, NULL) == 0; k++)
			printf(" %s", zone_format(j.zone, t, when));
		putchar('\n');
	}
	printf("%s: %zu job%s, no errors\n", s.cfg->path, s.cfg->n, s.cfg->n == 1 ? "" : "s");
	close_runner(&s, r);
	return EXIT_DONE;
}

/* ---- list ---- */

static void list_job(const struct runner *r, size_t i, const struct job_status *j,
	const struct options *o, int64_t now)
{
	char when[ZONE_TIME_CHARS];
	int64_t t = now;
	printf("%-24s %-9s  %-20s", j->spec->name, job_kind_name(j->spec->kind),
		j->spec->schedule ? j->spec->schedule : "(after others)");
	if (j->next_due > 0)
		printf("  next %s", zone_format(j->zone, j->next_due, when));
	if (j->last_result)
		printf("  last %s %s", run_result_name(j->last_result),
			zone_format(j->zone, j->last_started / 1000, when));
	putchar('\n');
	for (int k = 0; k < o->count && runner_next(r, i, t, &t, NULL) == 0; k++)
		printf("    %s\n", zone_format(j->zone, t, when));
}

int cmd_list(const struct options *o, int argc, char **argv)
{
	struct setup s;
	struct runner *r = NULL;
	size_t n = 0;
	(void)argv;
	if (argc > 1)
		return out_usage("list takes no arguments");
	int code = open_runner(&s, o, false, &r);
	if (code)
		return code;
	struct moment now = clock_now(&s.clock);
	if (o->json) {
		struct status_facts f = {.runner = r, .now = now, .config = s.cfg->path};
		CLEANUP_FREE char *text = status_json(&f, &n);
		if (text)
			fwrite(text, 1, n, stdout);
	} else {
		for (size_t i = 0; i < runner_n_jobs(r); i++) {
			struct job_status j;
			runner_job(r, i, now, &j);
			list_job(r, i, &j, o, now.wall / 1000);
		}
	}
	close_runner(&s, r);
	return EXIT_DONE;
}

/* ---- history ---- */

struct show {
	const struct options *o;
	const struct zone *zone;
	int n;
};

static int show_run(void *ctx, const struct history_run *h)
{
	struct show *w = ctx;
	char due[ZONE_TIME_CHARS], started[ZONE_TIME_CHARS];
	zone_format(w->zone, h->due, due);
	zone_format(w->zone, h->started / 1000, started);
	if (!w->o->json) {
		printf("%s  %-11s ", h->started ? started : due, run_result_name(h->result));
		out_text(stdout, h->job);
		if (h->attempt > 1)
			printf(" (try %d)", h->attempt);
		if (h->message) {
			fputs(": ", stdout);
			out_text(stdout, h->message);
		}
		putchar('\n');
		return 0;
	}
	fputs(w->n++ ? ",{\"job\":" : "{\"job\":", stdout);
	out_json(stdout, h->job);
	printf(",\"due\":\"%s\",\"started\":%s%s%s,\"seconds\":%.3f,\"try\":%d,\"result\":\"%s\","
	       "\"exit_code\":%d,\"message\":",
		due, h->started ? "\"" : "", h->started ? started : "null", h->started ? "\"" : "",
		h->started && h->ended ? (double)(h->ended - h->started) / 1000 : 0, h->attempt,
		run_result_name(h->result), h->exit_code);
	out_json(stdout, h->message ? h->message : "");
	fputs(",\"output\":", stdout);
	out_json(stdout, h->output ? h->output : "");
	putchar('}');
	return 0;
}

int cmd_history(const struct options *o, int argc, char **argv)
{
	struct setup s;
	struct err e = ERR_INIT;
	if (argc > 2)
		return out_usage("history takes at most one job");
	if (setup_open(&s, o, SETUP_LOOK, &e) < 0)
		return out_fail(&e);
	struct show w = {.o = o, .zone = s.zone};
	if (o->json)
		fputs("{\"runs\":[", stdout);
	int rc = s.history ? history_list(s.history, argc == 2 ? argv[1] : NULL,
				     o->count ? o->count : 20, show_run, &w, &e)
			   : 0;
	if (o->json)
		fputs("]}\n", stdout);
	bool failed = s.no_history;
	setup_close(&s);
	return rc < 0 ? out_fail(&e) : failed ? EXIT_FAILED : EXIT_DONE;
}

/* ---- status ---- */

int cmd_status(const struct options *o, int argc, char **argv)
{
	CLEANUP_BUF struct buf body = BUF_INIT;
	struct schedule_config *cfg = NULL;
	struct err e = ERR_INIT;
	const char *path = "/status";
	int port = 0;
	if (o->metrics)
		path = "/metrics";
	if (argc > 2 || (argc == 2 && ((port = atoi(argv[1])) < 1 || port > 65535)))
		return out_usage("status takes at most a port");
	/* A port that is given needs no file: that may be what is wrong. */
	int rc = port ? 0 : schedule_config_load(o->config, &cfg, &e);
	if (rc == 0 && !port && (port = cfg->status_port) == 0)
		rc = err_set(&e, E_USAGE, 0, "%s: [global] names no status-port", cfg->path);
	if (rc == 0)
		rc = http_get(port, path, &body, (size_t)16 << 20, &e);
	schedule_config_unref(cfg);
	if (rc < 0)
		return out_fail(&e);
	if (!o->quiet)
		fwrite(body.p, 1, body.len, stdout);
	return EXIT_DONE;
}
