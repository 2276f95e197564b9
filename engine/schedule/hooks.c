/* What is told when a run is over: commands, and web hooks through a program of their own, so that
 * neither a slow network nor its libraries are in the scheduler. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>

#include "engine/schedule/runner_internal.h"

static bool is_url(const char *s)
{
	return strncasecmp(s, "http://", 7) == 0 || strncasecmp(s, "https://", 8) == 0;
}

static int environment_of(const struct runner *r, const struct run *u, enum run_result result,
	int exit_code, const char *message, const char *url, struct argv *env, struct err *e)
{
	int rc = argv_addf(env, e, "MCFS_JOB=%s", u->job->name);
	if (rc == 0)
		rc = argv_addf(env, e, "MCFS_RESULT=%s", run_result_name(result));
	if (rc == 0)
		rc = argv_addf(env, e, "MCFS_EXIT_CODE=%d", exit_code);
	if (rc == 0)
		rc = argv_addf(env, e, "MCFS_SECONDS=%.1f",
			(double)(r->now.mono - u->started.mono) / 1000);
	if (rc == 0)
		rc = argv_addf(env, e, "MCFS_MESSAGE=%s", message);
	if (rc == 0)
		rc = argv_addf(env, e, "MCFS_OUTPUT=%s", u->tail && u->tail_len ? u->tail : "");
	/* Not an argument: others may look at those, and the URL is a secret. */
	if (rc == 0 && url)
		rc = argv_addf(env, e, "MCFS_HOOK_URL=%s", url);
	return rc;
}

static void tell(struct runner *r, const struct run *u, enum run_result result, int exit_code,
	const char *message, const char *hook, const char *kind)
{
	struct argv argv = {0}, env = {0};
	struct err e = ERR_INIT;
	pid_t pid = 0;
	bool web = is_url(hook);
	int rc = 0;
	struct hook *v = realloc(r->hooks, (r->n_hooks + 1) * sizeof *v);
	char *name = strdup(u->job->name);
	if (v)
		r->hooks = v;
	if (!v || !name)
		rc = err_set(&e, E_NOMEM, 0, "no memory");
	if (rc == 0 && web && !r->env.notify_program)
		rc = err_set(&e, E_UNSUPPORTED, 0, "there is no mcfs-notify here to call a web hook");
	if (rc == 0)
		rc = environment_of(r, u, result, exit_code, message, web ? hook : NULL, &env, &e);
	if (rc == 0 && web)
		rc = argv_add(&argv, r->env.notify_program, &e);
	if (rc == 0)
		rc = web ? argv_add(&argv, kind, &e) : argv_split(&argv, hook, &e);
	if (rc == 0)
		rc = r->env.ops.start(r->env.ops.ctx, argv.v, env.v, NULL, &pid, &e);
	argv_free(&argv);
	argv_free(&env);
	if (rc < 0) {
		say(r, LOG_ERROR, u->job->name, "hook: %s", e.msg);
		free(name);
		return;
	}
	r->hooks[r->n_hooks++] = (struct hook){
		.pid = pid, .job = name, .until = r->now.mono + HOOK_SECONDS * 1000};
}

void hooks_tell(struct runner *r, const struct run *u, enum run_result result, int exit_code,
	const char *message)
{
	const struct job_hooks *h = &u->spec->hooks;
	bool ok = result == RESULT_OK;
	const struct texts *list = ok ? &h->on_success : &h->on_failure;
	for (size_t i = 0; i < list->n; i++)
		tell(r, u, result, exit_code, message, list->v[i], "auto");
	if (h->slack && !(ok && h->slack_only_on_error))
		tell(r, u, result, exit_code, message, h->slack, "slack");
}

/* Hooks say little, and that at once: lines are not put together from several reads. */
void hooks_take_output(struct runner *r, pid_t pid, struct span b)
{
	for (size_t i = 0; i < r->n_hooks; i++) {
		if (r->hooks[i].pid != pid)
			continue;
		while (b.n) {
			const uint8_t *end = memchr(b.p, '\n', b.n);
			size_t n = end ? (size_t)(end - b.p) : b.n;
			int shown = n < LINE_MAX_CHARS ? (int)n : LINE_MAX_CHARS;
			say(r, LOG_INFO, r->hooks[i].job, "hook | %.*s", shown, (const char *)b.p);
			b = span_sub(b, n + 1, b.n);
		}
	}
}

void hooks_advance(struct runner *r)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n_hooks; i++) {
		struct hook *h = &r->hooks[i];
		if (h->has_ended) {
			if (h->status)
				say(r, LOG_ERROR, h->job, "hook: failed: %s %d",
					WIFEXITED(h->status) ? "exit code" : "killed by signal",
					WIFEXITED(h->status) ? WEXITSTATUS(h->status)
							     : WTERMSIG(h->status));
			free(h->job);
			continue;
		}
		if (h->until <= r->now.mono) {
			say(r, LOG_ERROR, h->job, "hook: takes longer than %d s: killed", HOOK_SECONDS);
			r->env.ops.signal(r->env.ops.ctx, h->pid, SIGKILL);
			h->until = r->now.mono + HOOK_SECONDS * 1000;
		}
		r->hooks[n++] = *h;
	}
	r->n_hooks = n;
}
