#include "engine/notify/notify.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define ANSWER_MAX ((size_t)1 << 20) /* more than this is no answer to a notification */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

/* The one thing that libcurl wants to have done once in a process. */
static void curl_begin(void)
{
	curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t discard(char *p, size_t size, size_t n, void *ctx)
{
	size_t *seen = ctx;
	(void)p;
	*seen += size * n;
	return *seen > ANSWER_MAX ? 0 : size * n;
}

/* "https://host:port" of a URL. */
static void safe_name(const char *url, char *out, size_t n)
{
	const char *host = strstr(url, "://");
	host = host ? host + 3 : url;
	const char *end = host + strcspn(host, "/?#");
	const char *at = memchr(host, '@', (size_t)(end - host));
	if (at)
		host = at + 1;
	snprintf(out, n, "%.*s", (int)(end - host), host);
}

static bool one_line(const char *s)
{
	return !strpbrk(s, "\r\n");
}

static int add_header(struct curl_slist **list, const char *line, struct err *e)
{
	if (!one_line(line))
		return err_set(e, E_USAGE, 0, "a header of a notification has a line end in it");
	struct curl_slist *l = curl_slist_append(*list, line);
	if (!l)
		return err_set(e, E_NOMEM, 0, "no memory for a notification");
	*list = l;
	return 0;
}

static int add_named(struct curl_slist **list, const char *name, const char *value, struct err *e)
{
	CLEANUP_FREE char *line = NULL;
	if (asprintf(&line, "%s%s", name, value) < 0) {
		line = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a notification");
	}
	return add_header(list, line, e);
}

static int headers_of(const struct notify_request *rq, struct curl_slist **list, struct err *e)
{
	int r = 0;
	if (rq->body.n)
		r = add_named(list, "Content-Type: ",
			rq->content_type ? rq->content_type : "text/plain; charset=utf-8", e);
	if (r == 0)
		r = add_header(list, "Expect:", e); /* no waiting for "100 continue" */
	if (r == 0 && rq->bearer)
		r = add_named(list, "Authorization: Bearer ", rq->bearer, e);
	for (size_t i = 0; i < rq->n_headers && r == 0; i++)
		r = add_header(list, rq->headers[i], e);
	return r;
}

static int set_options(CURL *c, const struct notify_request *rq, struct curl_slist *headers,
	size_t *seen)
{
	long seconds = rq->timeout ? (long)rq->timeout : NOTIFY_SECONDS;
	bool post = rq->method ? strcmp(rq->method, "POST") == 0 : rq->body.n > 0;
	CURLcode bad = curl_easy_setopt(c, CURLOPT_URL, rq->url);
#define SET(option, value) bad = bad ? bad : curl_easy_setopt(c, option, value)
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 1L);
	SET(CURLOPT_MAXREDIRS, 3L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_TIMEOUT, seconds);
	SET(CURLOPT_CONNECTTIMEOUT, seconds);
	SET(CURLOPT_USERAGENT, "mcfs/" MCFS_VERSION);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_WRITEFUNCTION, discard);
	SET(CURLOPT_WRITEDATA, seen);
	if (post) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body.n);
		SET(CURLOPT_POSTFIELDS, rq->body.p ? (const char *)rq->body.p : "");
	}
	if (rq->method && !post)
		SET(CURLOPT_CUSTOMREQUEST, rq->method);
	if (rq->user) {
		SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(CURLOPT_USERNAME, rq->user);
		SET(CURLOPT_PASSWORD, rq->password ? rq->password : "");
	}
#undef SET
	return bad;
}

int notify_send(const struct notify_request *rq, struct err *e)
{
	char host[128], why[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = NULL;
	size_t seen = 0;
	long status = 0;
	if (!rq->url || (strncmp(rq->url, "http://", 7) != 0 && strncmp(rq->url, "https://", 8) != 0))
		return err_set(e, E_USAGE, 0, "the address does not begin with http:// or https://");
	safe_name(rq->url, host, sizeof host);
	pthread_once(&curl_once, curl_begin);
	CURL *c = curl_ready == CURLE_OK ? curl_easy_init() : NULL;
	if (!c)
		return err_set(e, E_NOMEM, 0, "no memory for a notification");
	int r = headers_of(rq, &headers, e);
	if (r == 0 && (set_options(c, rq, headers, &seen) ||
			      curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why)))
		r = err_set(e, E_NOMEM, 0, "no memory for a notification");
	if (r == 0) {
		CURLcode code = curl_easy_perform(c);
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		if (code != CURLE_OK)
			r = err_set(e, E_IO, 0, "%s: %s", host, *why ? why : curl_easy_strerror(code));
		else if (status < 200 || status > 299)
			r = err_set(e, E_FORMAT, 0, "%s answered with status %ld", host, status);
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(c);
	return r;
}
