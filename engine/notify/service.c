#include "engine/notify/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define LOG_LIMIT 100000
#define DISCORD_MAX 1900 /* characters of a message; the service refuses more than 2,000 */

static const char *const kind_names[] = {"healthchecks", "uptime_kuma", "cronitor", "ntfy",
	"discord", "slack", "webhook"};
static const char *const state_names[] = {"start", "finish", "fail"};

const char *notify_kind_name(enum notify_kind k)
{
	return kind_names[k];
}

static int add_text(struct buf *b, const char *s, struct err *e)
{
	return buf_add(b, s, strlen(s), e);
}

static int terminate(struct buf *b, struct err *e)
{
	return buf_add(b, "", 1, e);
}

/* ---- encodings ---- */

static int add_query(struct buf *b, const char *s, struct err *e)
{
	int r = 0;
	for (; *s && r == 0; s++) {
		unsigned char c = (unsigned char)*s;
		char hex[4];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			strchr("-._~", c)) {
			r = buf_add(b, s, 1, e);
		} else {
			snprintf(hex, sizeof hex, "%%%02X", c);
			r = buf_add(b, hex, 3, e);
		}
	}
	return r;
}

/* Length of the UTF-8 sequence at p, 0 when it is none. */
static size_t utf8_at(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3
		     : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if (len == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)))
		return 0;
	return len == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) ? 0 : len;
}

/* A JSON string, with U+FFFD for what is not UTF-8; at most `most` bytes of the text. */
static int add_json(struct buf *b, const char *s, size_t most, struct err *e)
{
	size_t n = strlen(s);
	int r = add_text(b, "\"", e);
	if (n > most)
		n = most;
	for (size_t i = 0; i < n && r == 0;) {
		unsigned char c = (unsigned char)s[i];
		size_t len = utf8_at((const unsigned char *)s + i, n - i);
		char hex[8];
		if (len == 0) {
			r = add_text(b, "\xef\xbf\xbd", e);
		} else if (c < 0x20 || c == '"' || c == '\\') {
			snprintf(hex, sizeof hex, "\\u%04x", c);
			r = buf_add(b, hex, 6, e);
		} else {
			r = buf_add(b, s + i, len, e);
		}
		i += len ? len : 1;
	}
	return r < 0 ? r : add_text(b, "\"", e);
}

/* A header's value: one line of it. */
static int add_line(struct buf *b, const char *s, struct err *e)
{
	return buf_add(b, s, strcspn(s, "\r\n"), e);
}

/* ---- what each service wants ---- */

static const char *or_else(const char *s, const char *fall)
{
	return s ? s : fall;
}

/* "mcfs: world: done" and the like. */
static int add_title(struct buf *b, const struct notify_event *ev, struct err *e)
{
	static const char *const what[] = {"backup begins", "backup done", "backup FAILED"};
	int r = add_text(b, or_else(ev->name, "mcfs"), e);
	if (r == 0)
		r = add_text(b, ": ", e);
	return r < 0 ? r : add_text(b, what[ev->state], e);
}

static int tell_healthchecks(const struct notify_target *t, const struct notify_event *ev,
	struct err *e)
{
	static const char *const tail[] = {"/start", "", "/fail"};
	CLEANUP_BUF struct buf url = BUF_INIT;
	struct notify_request rq = {.method = "POST", .content_type = "text/plain; charset=utf-8"};
	int r = strstr(t->url, "://") ? 0 : add_text(&url, "https://hc-ping.com/", e);
	size_t n = strlen(t->url), limit = t->log_limit ? t->log_limit : LOG_LIMIT;
	if (n && t->url[n - 1] == '/')
		n--;
	if (r == 0)
		r = buf_add(&url, t->url, n, e);
	if (r == 0)
		r = add_text(&url, tail[ev->state], e);
	if (r == 0 && t->create_slug)
		r = add_text(&url, "?create=1", e);
	if (r == 0)
		r = terminate(&url, e);
	if (r < 0)
		return r;
	rq.url = (char *)url.p;
	/* The end of the log says most. */
	if (t->send_log && ev->state != NOTIFY_START)
		rq.body = span_sub(ev->log, ev->log.n > limit ? ev->log.n - limit : 0, limit);
	return notify_send(&rq, e);
}

static int add_parameter(struct buf *url, const char *name, const char *value, struct err *e)
{
	bool first = !memchr(url->p, '?', url->len);
	int r = add_text(url, first ? "?" : "&", e);
	if (r == 0)
		r = add_text(url, name, e);
	return r < 0 ? r : add_query(url, value, e);
}

static int tell_kuma(const struct notify_target *t, const struct notify_event *ev, struct err *e)
{
	CLEANUP_BUF struct buf url = BUF_INIT;
	struct notify_request rq = {0};
	/* The push address is copied from its page with example values behind it. */
	int r = buf_add(&url, t->url, strcspn(t->url, "?"), e);
	if (r == 0)
		r = add_parameter(&url, "status=", ev->state == NOTIFY_FAIL ? "down" : "up", e);
	if (r == 0)
		r = add_parameter(&url, "msg=", state_names[ev->state], e);
	if (r == 0)
		r = terminate(&url, e);
	rq.url = (char *)url.p;
	return r < 0 ? r : notify_send(&rq, e);
}

static int tell_cronitor(const struct notify_target *t, const struct notify_event *ev, struct err *e)
{
	static const char *const state[] = {"run", "complete", "fail"};
	CLEANUP_BUF struct buf url = BUF_INIT;
	struct notify_request rq = {0};
	int r = add_text(&url, t->url, e);
	if (r == 0)
		r = add_parameter(&url, "state=", state[ev->state], e);
	if (r == 0)
		r = terminate(&url, e);
	rq.url = (char *)url.p;
	return r < 0 ? r : notify_send(&rq, e);
}

static int make_header(struct buf *b, const char *name, const char *value, struct err *e)
{
	int r = add_text(b, name, e);
	if (r == 0)
		r = add_line(b, value, e);
	return r < 0 ? r : terminate(b, e);
}

static int tell_ntfy(const struct notify_target *t, const struct notify_event *ev, struct err *e)
{
	static const char *const priority[] = {"min", "min", "high"};
	const struct notify_words *w = &t->words[ev->state];
	CLEANUP_BUF struct buf url = BUF_INIT, title = BUF_INIT;
	CLEANUP_BUF struct buf h1 = BUF_INIT, h2 = BUF_INIT, h3 = BUF_INIT;
	int r = add_text(&url, or_else(t->url, "https://ntfy.sh"), e);
	while (url.len && url.p[url.len - 1] == '/')
		url.len--;
	if (r == 0)
		r = add_text(&url, "/", e);
	if (r == 0)
		r = add_query(&url, or_else(t->topic, ""), e);
	if (r == 0)
		r = terminate(&url, e);
	if (r == 0)
		r = w->title ? add_text(&title, w->title, e) : add_title(&title, ev, e);
	if (r == 0)
		r = terminate(&title, e);
	if (r == 0)
		r = make_header(&h1, "Title: ", (char *)title.p, e);
	if (r == 0)
		r = make_header(&h2, "Priority: ", or_else(w->priority, priority[ev->state]), e);
	if (r == 0)
		r = make_header(&h3, "Tags: ", or_else(w->tags, "mcfs"), e);
	if (r < 0)
		return r;
	const char *message = or_else(w->message, or_else(ev->message, (char *)title.p));
	const char *headers[] = {(char *)h1.p, (char *)h2.p, (char *)h3.p};
	struct notify_request rq = {.url = (char *)url.p, .method = "POST",
		.body = span_of(message, strlen(message)), .headers = headers, .n_headers = 3,
		.user = t->user, .password = t->password, .bearer = t->access_token};
	return notify_send(&rq, e);
}

/* Discord takes "content", Slack "text". */
static int tell_chat(const struct notify_target *t, const struct notify_event *ev, const char *field,
	struct err *e)
{
	static const char *const mark[] = {"", "", ":warning: "};
	CLEANUP_BUF struct buf text = BUF_INIT, body = BUF_INIT;
	int r = add_text(&text, mark[ev->state], e);
	if (r == 0)
		r = add_title(&text, ev, e);
	if (r == 0 && ev->message && *ev->message) {
		r = add_text(&text, "\n", e);
		if (r == 0)
			r = add_text(&text, ev->message, e);
	}
	if (r == 0)
		r = terminate(&text, e);
	if (r == 0)
		r = add_text(&body, field, e);
	if (r == 0)
		r = add_json(&body, (char *)text.p, DISCORD_MAX, e);
	/* Names of worlds and files must not call people. */
	if (r == 0)
		r = add_text(&body, t->kind == NOTIFY_DISCORD
			? ",\"allowed_mentions\":{\"parse\":[]}}" : "}", e);
	struct notify_request rq = {.url = t->url, .method = "POST", .body = buf_span(&body),
		.content_type = "application/json"};
	return r < 0 ? r : notify_send(&rq, e);
}

static int add_field(struct buf *b, const char *name, const char *value, struct err *e)
{
	if (!value)
		return 0;
	int r = add_text(b, ",\"", e);
	if (r == 0)
		r = add_text(b, name, e);
	if (r == 0)
		r = add_text(b, "\":", e);
	return r < 0 ? r : add_json(b, value, LOG_LIMIT, e);
}

static int tell_webhook(const struct notify_target *t, const struct notify_event *ev, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char numbers[240];
	int r = add_text(&b, "{\"program\":\"mcfs\"", e);
	if (r == 0)
		r = add_field(&b, "state", state_names[ev->state], e);
	if (r == 0)
		r = add_field(&b, "name", ev->name, e);
	if (r == 0)
		r = add_field(&b, "host", ev->host, e);
	if (r == 0)
		r = add_field(&b, "message", ev->message, e);
	if (r == 0)
		r = add_field(&b, "snapshot", ev->snapshot, e);
	snprintf(numbers, sizeof numbers,
		",\"files\":%llu,\"bytes\":%llu,\"added_bytes\":%llu,\"seconds\":%.3f,\"exit_code\":%d}",
		(unsigned long long)ev->files, (unsigned long long)ev->bytes,
		(unsigned long long)ev->added_bytes, ev->seconds, ev->exit_code);
	if (r == 0)
		r = add_text(&b, numbers, e);
	struct notify_request rq = {.url = t->url, .method = "POST", .body = buf_span(&b),
		.content_type = "application/json"};
	return r < 0 ? r : notify_send(&rq, e);
}

static int tell(const struct notify_target *t, const struct notify_event *ev, struct err *e)
{
	switch (t->kind) {
	case NOTIFY_HEALTHCHECKS:
		return tell_healthchecks(t, ev, e);
	case NOTIFY_UPTIME_KUMA:
		return tell_kuma(t, ev, e);
	case NOTIFY_CRONITOR:
		return tell_cronitor(t, ev, e);
	case NOTIFY_NTFY:
		return tell_ntfy(t, ev, e);
	case NOTIFY_DISCORD:
		return tell_chat(t, ev, "{\"content\":", e);
	case NOTIFY_SLACK:
		return tell_chat(t, ev, "{\"text\":", e);
	case NOTIFY_WEBHOOK:
		return tell_webhook(t, ev, e);
	}
	return err_set(e, E_USAGE, 0, "unknown kind of notification");
}

int notify_tell(const struct notify_target *t, const struct notify_event *ev, struct err *e)
{
	struct err own = ERR_INIT;
	if (!(t->states & NOTIFY_STATE_BIT(ev->state)))
		return 0;
	int r = tell(t, ev, &own);
	if (r < 0 && e) {
		*e = own;
		err_wrap(e, "%s", kind_names[t->kind]);
	}
	return r;
}
