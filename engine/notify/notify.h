/* notify.h - tell a web service what happened: one HTTP request, bounded in time.
 *
 * For health checks and messages to people. Nothing of a backup depends on it: a caller reports a failure as a
 * warning and goes on. http:// and https:// only, certificates are checked, at most 3 redirects,
 * the answer is not kept. Proxies come from the environment, as curl(1) takes them.
 *
 * URLs of web hooks are secrets: messages name only the host. May be called from several threads. */
#ifndef MCFS_NOTIFY_NOTIFY_H
#define MCFS_NOTIFY_NOTIFY_H

#include "engine/base/buf.h"

#define NOTIFY_SECONDS 10 /* the default time-out of everything together */

struct notify_request {
	const char *url;
	const char *method;	  /* NULL: POST with a body, else GET */
	const char *content_type; /* of the body; NULL: text/plain */
	struct span body;
	const char *const *headers; /* "Name: value" */
	size_t n_headers;
	const char *user, *password; /* NULL: none */
	const char *bearer;	     /* access token; NULL: none */
	unsigned timeout;	     /* seconds; 0: NOTIFY_SECONDS */
};

/* Send it and wait for the answer. 0 when the status was 2xx. E_IO: no connection, time-out;
 * E_FORMAT: another status; E_USAGE: no URL this can use, or a header with a line end in it. */
int notify_send(const struct notify_request *rq, struct err *e) MUST_CHECK;

#endif
