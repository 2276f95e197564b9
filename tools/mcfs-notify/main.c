/* mcfs-notify - tell a web service that a job is over. A program of its own, so that the scheduler,
 * which waits for most of its life, holds no HTTP library; started by it for hooks that are URLs.
 *
 *   mcfs-notify [KIND] [URL]    KIND: auto (by the host), webhook, slack, discord, healthchecks
 *
 * The URL is a secret: better in MCFS_HOOK_URL. What happened comes from MCFS_JOB, MCFS_RESULT,
 * MCFS_EXIT_CODE, MCFS_SECONDS, MCFS_MESSAGE and MCFS_OUTPUT, as hooks get them. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/notify/service.h"

static const struct {
	const char *name, *host;
	enum notify_kind kind;
} kinds[] = {
	{"slack", "hooks.slack.com/", NOTIFY_SLACK},
	{"discord", "discord.com/api/webhooks/", NOTIFY_DISCORD},
	{"healthchecks", "hc-ping.com/", NOTIFY_HEALTHCHECKS},
	{"webhook", NULL, NOTIFY_WEBHOOK},
};

#define N_KINDS (sizeof kinds / sizeof *kinds)

static const char *env(const char *name)
{
	const char *v = getenv(name);
	return v ? v : "";
}

static bool find_kind(const char *name, const char *url, enum notify_kind *ret)
{
	const char *host = strstr(url, "://");
	for (size_t i = 0; i < N_KINDS; i++) {
		bool is = strcmp(name, kinds[i].name) == 0;
		if (strcmp(name, "auto") == 0)
			is = !kinds[i].host || (host && strncmp(host + 3, kinds[i].host,
								strlen(kinds[i].host)) == 0);
		if (is) {
			*ret = kinds[i].kind;
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "auto";
	const char *url = argc > 2 ? argv[2] : env("MCFS_HOOK_URL");
	char host[256] = "", name[200];
	struct err e = ERR_INIT;
	struct notify_target t = {.url = url, .send_log = true,
		.states = NOTIFY_STATE_BIT(NOTIFY_START) | NOTIFY_STATE_BIT(NOTIFY_FINISH) |
			  NOTIFY_STATE_BIT(NOTIFY_FAIL)};
	if (argc > 3 || !*url || !find_kind(kind, url, &t.kind)) {
		fprintf(stderr, "usage: mcfs-notify [auto|webhook|slack|discord|healthchecks] [URL]\n"
				"(the URL may be in MCFS_HOOK_URL; see mcfs-scheduler(1))\n");
		return 2;
	}
	if (gethostname(host, sizeof host - 1) < 0)
		host[0] = 0;
	snprintf(name, sizeof name, "job \"%s\"", env("MCFS_JOB"));
	const char *output = env("MCFS_OUTPUT");
	struct notify_event ev = {
		.state = strcmp(env("MCFS_RESULT"), "ok") == 0 ? NOTIFY_FINISH : NOTIFY_FAIL,
		.name = name,
		.message = env("MCFS_MESSAGE"),
		.log = span_of(output, strlen(output)),
		.host = host,
		.seconds = atof(env("MCFS_SECONDS")),
		.exit_code = atoi(env("MCFS_EXIT_CODE")),
	};
	if (notify_tell(&t, &ev, &e) < 0) {
		fprintf(stderr, "mcfs-notify: %s\n", e.msg);
		return 1;
	}
	return 0;
}
