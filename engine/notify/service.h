/* service.h - the services people watch their backups with, each in its own words.
 *
 *   healthchecks  POST URL/start, URL, URL/fail; the body is the log. `create_slug`: ?create=1.
 *   uptime_kuma   GET URL?status=up|down&msg=..&ping=
 *   cronitor      GET URL?state=run|complete|fail
 *   ntfy          POST SERVER/TOPIC with Title, Priority and Tags
 *   discord, slack, webhook   POST of JSON: what they show, or everything we know
 *
 * What a target is told of: healthchecks, cronitor of every state; uptime_kuma, ntfy, Discord, Slack
 * and webhook of those in `states` (as their defaults say, failures only for messages to people). */
#ifndef MCFS_NOTIFY_SERVICE_H
#define MCFS_NOTIFY_SERVICE_H

#include <stdbool.h>

#include "engine/notify/notify.h"

enum notify_state { NOTIFY_START, NOTIFY_FINISH, NOTIFY_FAIL };
#define NOTIFY_STATE_BIT(s) (1u << (s))

enum notify_kind {
	NOTIFY_HEALTHCHECKS,
	NOTIFY_UPTIME_KUMA,
	NOTIFY_CRONITOR,
	NOTIFY_NTFY,
	NOTIFY_DISCORD,
	NOTIFY_SLACK,
	NOTIFY_WEBHOOK
};

/* How ntfy shows a state. NULL: a default. */
struct notify_words {
	const char *title, *message, *priority, *tags;
};

struct notify_target {
	enum notify_kind kind;
	const char *url; /* ntfy: of the server; NULL: https://ntfy.sh. A plain healthchecks id is completed */
	unsigned states; /* NOTIFY_STATE_BIT(): which are told */
	const char *topic, *user, *password, *access_token; /* ntfy */
	bool create_slug, send_log;			     /* healthchecks */
	size_t log_limit;				     /* bytes of log; 0: 100,000 */
	struct notify_words words[3];
};

/* What happened. Texts may be NULL. */
struct notify_event {
	enum notify_state state;
	const char *name;    /* what is backed up: "world (/srv/mc/world)" or a label */
	const char *message; /* one line: the result, or the failure */
	struct span log;     /* what the run printed */
	const char *host, *snapshot;
	uint64_t files, bytes, added_bytes;
	double seconds;
	int exit_code;
};

/* The name of a kind as backup.yaml writes it. */
const char *notify_kind_name(enum notify_kind k);

/* Tell one target. 0 also when the target does not want this state. E_* as notify_send(), with the
 * service's name in front. */
int notify_tell(const struct notify_target *t, const struct notify_event *ev,
	struct err *e) MUST_CHECK;

#endif
