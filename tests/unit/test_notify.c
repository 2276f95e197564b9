/* notify: what each service is sent, against a listener of our own; failures that name the host only. */
#include "tests/unit/support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#include "engine/notify/service.h"

/* Takes one connection, reads one request, answers with `answer`; silent when that is NULL. */
struct listener {
	int fd;
	unsigned port;
	pthread_t thread;
	const char *answer;
	char got[8192];
	size_t n;
};

static bool complete(const char *s, size_t n)
{
	const char *body = memmem(s, n, "\r\n\r\n", 4);
	const char *length = body ? strcasestr(s, "\r\nContent-Length:") : NULL;
	if (!body)
		return false;
	return !length || length > body ||
	       (size_t)(s + n - body - 4) >= strtoul(length + 17, NULL, 10);
}

static void *serve(void *ctx)
{
	struct listener *l = ctx;
	int c = accept(l->fd, NULL, NULL);
	while (l->n < sizeof l->got - 1 && !complete(l->got, l->n)) {
		ssize_t r = read(c, l->got + l->n, sizeof l->got - 1 - l->n);
		if (r <= 0)
			break;
		l->n += (size_t)r;
		l->got[l->n] = 0;
	}
	if (l->answer) {
		(void)!write(c, l->answer, strlen(l->answer));
	} else {
		char byte;
		(void)!read(c, &byte, 1); /* until the client gives up */
	}
	close(c);
	return NULL;
}

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

static void start(struct listener *l, const char *answer)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	*l = (struct listener){.answer = answer};
	l->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(l->fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(l->fd, 4), 0);
	assert_int_equal(getsockname(l->fd, (struct sockaddr *)&a, &len), 0);
	l->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&l->thread, NULL, serve, l), 0);
}

static void stop(struct listener *l)
{
	pthread_join(l->thread, NULL);
	close(l->fd);
}

static void has(const struct listener *l, const char *want)
{
	if (!strstr(l->got, want))
		fail_msg("'%s' is not in:\n%s", want, l->got);
}

static const struct notify_event event = {.state = NOTIFY_FAIL, .name = "my \"world\"",
	.message = "no space\xff left", .host = "box", .files = 3, .bytes = 12, .added_bytes = 4,
	.seconds = 1.5, .exit_code = 1,
	.log = {(const uint8_t *)"line 1\nline 2\n", 14}};

/* Send one event to a target at a fresh listener, whose path is `tail`. */
static void told(struct listener *l, struct notify_target t, enum notify_state state, const char *tail)
{
	char url[200];
	struct notify_event ev = event;
	ev.state = state;
	start(l, OK_ANSWER);
	snprintf(url, sizeof url, "http://127.0.0.1:%u%s", l->port, tail);
	t.url = url;
	t.states = NOTIFY_STATE_BIT(state);
	OK(notify_tell(&t, &ev, e));
	stop(l);
}

static void test_services(void **state)
{
	(void)state;
	struct listener l;
	told(&l, (struct notify_target){.kind = NOTIFY_HEALTHCHECKS}, NOTIFY_START, "/id");
	has(&l, "POST /id/start HTTP/1.1\r\n");
	told(&l, (struct notify_target){.kind = NOTIFY_HEALTHCHECKS, .send_log = true}, NOTIFY_FINISH,
		"/id/");
	has(&l, "POST /id HTTP/1.1\r\n");
	has(&l, "\r\n\r\nline 1\nline 2\n");
	told(&l, (struct notify_target){.kind = NOTIFY_HEALTHCHECKS, .send_log = true, .log_limit = 7,
			 .create_slug = true}, NOTIFY_FAIL, "/id");
	has(&l, "POST /id/fail?create=1 HTTP/1.1\r\n");
	has(&l, "\r\n\r\nline 2\n");
	told(&l, (struct notify_target){.kind = NOTIFY_UPTIME_KUMA}, NOTIFY_FAIL,
		"/api/push/x?status=up&msg=OK&ping=");
	has(&l, "GET /api/push/x?status=down&msg=fail HTTP/1.1\r\n");
	told(&l, (struct notify_target){.kind = NOTIFY_CRONITOR}, NOTIFY_START, "/p/x");
	has(&l, "GET /p/x?state=run HTTP/1.1\r\n");
	told(&l, (struct notify_target){.kind = NOTIFY_NTFY, .topic = "my topic", .access_token = "tk"},
		NOTIFY_FAIL, "");
	has(&l, "POST /my%20topic HTTP/1.1\r\n");
	has(&l, "Title: my \"world\": backup FAILED\r\n");
	has(&l, "Priority: high\r\n");
	has(&l, "Authorization: Bearer tk\r\n");
	told(&l, (struct notify_target){.kind = NOTIFY_NTFY, .topic = "t", .user = "u", .password = "p",
			 .words = {[NOTIFY_FINISH] = {.title = "Ti\r\ntle", .message = "M", .tags = "x"}}},
		NOTIFY_FINISH, "");
	has(&l, "Title: Ti\r\nPriority");
	has(&l, "Authorization: Basic dTpw\r\n");
	has(&l, "\r\n\r\nM");
	told(&l, (struct notify_target){.kind = NOTIFY_DISCORD}, NOTIFY_FAIL, "/hook");
	has(&l, "{\"content\":\":warning: my \\u0022world\\u0022: backup FAILED\\u000ano space\xef\xbf\xbd left\"");
	has(&l, "\"allowed_mentions\":{\"parse\":[]}}");
	told(&l, (struct notify_target){.kind = NOTIFY_SLACK}, NOTIFY_FINISH, "/hook");
	has(&l, "{\"text\":\"my \\u0022world\\u0022: backup done");
	has(&l, "Content-Type: application/json\r\n");
	told(&l, (struct notify_target){.kind = NOTIFY_WEBHOOK}, NOTIFY_FAIL, "/hook");
	has(&l, "\"state\":\"fail\"");
	has(&l, "\"added_bytes\":4,\"seconds\":1.500,\"exit_code\":1}");
}

static void test_states(void **state)
{
	(void)state;
	/* Nobody listens there: it would fail if it were sent. */
	struct notify_target t = {.kind = NOTIFY_WEBHOOK, .url = "http://127.0.0.1:1/",
		.states = NOTIFY_STATE_BIT(NOTIFY_FAIL)};
	struct notify_event ev = event;
	ev.state = NOTIFY_FINISH;
	OK(notify_tell(&t, &ev, e));
	ev.state = NOTIFY_FAIL;
	FAILS(E_IO, notify_tell(&t, &ev, e));
}

static void test_failures(void **state)
{
	(void)state;
	struct listener l;
	char url[200];
	struct err own = ERR_INIT;
	start(&l, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	snprintf(url, sizeof url, "http://user:pw@127.0.0.1:%u/secret-path", l.port);
	struct notify_request rq = {.url = url};
	assert_int_equal(notify_send(&rq, &own), E_FORMAT);
	stop(&l);
	assert_non_null(strstr(own.msg, "answered with status 404"));
	assert_null(strstr(own.msg, "secret"));
	assert_null(strstr(own.msg, "pw"));
	/* A server that never answers costs no more than the time-out. */
	start(&l, NULL);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/secret-path", l.port);
	rq.timeout = 1;
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(notify_send(&rq, &own), E_IO);
	clock_gettime(CLOCK_MONOTONIC, &b);
	stop(&l);
	assert_in_range(b.tv_sec - a.tv_sec, 0, 5);
	assert_null(strstr(own.msg, "secret"));
	rq.url = "file:///etc/passwd";
	FAILS(E_USAGE, notify_send(&rq, e));
	rq.url = NULL;
	FAILS(E_USAGE, notify_send(&rq, e));
	const char *bad[] = {"X: a\r\nEvil: b"};
	rq = (struct notify_request){.url = "http://127.0.0.1:1/", .headers = bad, .n_headers = 1};
	FAILS(E_USAGE, notify_send(&rq, e));
	/* A redirect to another protocol is not followed. */
	start(&l, "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
	snprintf(url, sizeof url, "http://127.0.0.1:%u/", l.port);
	rq = (struct notify_request){.url = url};
	FAILS(E_IO, notify_send(&rq, e));
	stop(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_failures),
	};
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
