/* The status listener. It answers GET on 127.0.0.1 and can do nothing else: no request changes
 * anything, a request is at most REQUEST_MAX bytes, there are at most CONNS_MAX of them, each with
 * SECONDS to come and go. A page of another site that a browser on this machine shows must not be
 * able to read it (by a name that resolves to 127.0.0.1): hosts other than loopback are refused. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "tools/mcfs-scheduler/scheduler.h"

#define CONNS_MAX 8
#define REQUEST_MAX 2048
#define SECONDS 5

struct conn {
	int fd; /* -1: free */
	char in[REQUEST_MAX + 1];
	size_t n;
	char *out; /* NULL: the request is not there yet */
	size_t out_n, out_off;
	time_t until;
	uint64_t order;
};

struct http {
	int fd;
	http_answer answer;
	void *ctx;
	uint64_t n_accepted;
	struct conn conn[CONNS_MAX];
};

static time_t seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

int http_listen(int port, http_answer answer, void *ctx, struct http **ret, struct err *e)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int on = 1;
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(e, E_IO, errno, "status-port %d", port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 16) < 0)
		return err_set(e, E_IO, errno, "status-port %d", port);
	struct http *h = calloc(1, sizeof *h);
	if (!h)
		return err_set(e, E_NOMEM, 0, "status-port: no memory");
	h->fd = take_fd(&fd);
	h->answer = answer;
	h->ctx = ctx;
	for (size_t i = 0; i < CONNS_MAX; i++)
		h->conn[i].fd = -1;
	*ret = h;
	return 0;
}

static void drop(struct conn *c)
{
	close(c->fd);
	free(c->out);
	*c = (struct conn){.fd = -1};
}

void http_close(struct http *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < CONNS_MAX; i++)
		if (h->conn[i].fd >= 0)
			drop(&h->conn[i]);
	close(h->fd);
	free(h);
}

size_t http_pollfds(const struct http *h, struct pollfd *fds, size_t max)
{
	size_t n = 0;
	if (n < max)
		fds[n++] = (struct pollfd){.fd = h->fd, .events = POLLIN};
	for (size_t i = 0; i < CONNS_MAX && n < max; i++)
		if (h->conn[i].fd >= 0)
			fds[n++] = (struct pollfd){
				.fd = h->conn[i].fd, .events = h->conn[i].out ? POLLOUT : POLLIN};
	return n;
}

/* Whether the Host header, if there is one, names this machine's loopback. */
static bool host_is_local(const char *request)
{
	static const char *const local[] = {"localhost", "127.0.0.1", "[::1]"};
	for (const char *line = strstr(request, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, "host:", 5) != 0)
			continue;
		const char *v = line + 7 + strspn(line + 7, " \t");
		for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
			size_t n = strlen(local[i]);
			if (strncasecmp(v, local[i], n) == 0 && strchr(":\r ", v[n]))
				return true;
		}
		return false;
	}
	return true;
}

static void set_answer(struct conn *c, const char *status, const char *type, const char *body,
	size_t n)
{
	char head[256];
	int k = snprintf(head, sizeof head,
		"HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
		"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
		status, type, n);
	c->out = malloc((size_t)k + n);
	if (!c->out)
		return;
	memcpy(c->out, head, (size_t)k);
	if (n)
		memcpy(c->out + k, body, n);
	c->out_n = (size_t)k + n;
}

static void refuse(struct conn *c, const char *status)
{
	set_answer(c, status, "text/plain", status, strlen(status));
}

static void answer_request(struct http *h, struct conn *c)
{
	const char *type = "text/plain";
	char path[256];
	size_t n = 0;
	bool head = strncmp(c->in, "HEAD ", 5) == 0;
	if (!head && strncmp(c->in, "GET ", 4) != 0) {
		refuse(c, "405 Method Not Allowed");
		return;
	}
	const char *from = c->in + (head ? 5 : 4);
	size_t len = strcspn(from, " ?\r\n");
	if (len == 0 || len >= sizeof path || *from != '/') {
		refuse(c, "400 Bad Request");
		return;
	}
	if (!host_is_local(c->in)) {
		refuse(c, "403 Forbidden");
		return;
	}
	memcpy(path, from, len);
	path[len] = 0;
	CLEANUP_FREE char *body = h->answer(h->ctx, path, &type, &n);
	if (body)
		set_answer(c, "200 OK", type, body, head ? 0 : n);
	else
		refuse(c, "404 Not Found");
}

static void step_conn(struct http *h, struct conn *c)
{
	ssize_t k;
	while (!c->out) {
		k = read(c->fd, c->in + c->n, REQUEST_MAX - c->n);
		if (k == 0 || (k < 0 && errno != EAGAIN && errno != EINTR)) {
			drop(c);
			return;
		}
		if (k < 0)
			return;
		c->n += (size_t)k;
		c->in[c->n] = 0;
		if (memchr(c->in, 0, c->n))
			refuse(c, "400 Bad Request");
		else if (strstr(c->in, "\r\n\r\n"))
			answer_request(h, c);
		else if (c->n == REQUEST_MAX)
			refuse(c, "431 Request Header Fields Too Large");
		else
			continue;
		if (!c->out) {
			drop(c);
			return;
		}
	}
	while (c->out_off < c->out_n) {
		k = send(c->fd, c->out + c->out_off, c->out_n - c->out_off, MSG_NOSIGNAL);
		if (k < 0 && errno == EAGAIN)
			return;
		if (k <= 0)
			break;
		c->out_off += (size_t)k;
	}
	drop(c);
}

/* A place for a new connection: a free one, else that of the oldest, which has had its time. */
static struct conn *place(struct http *h)
{
	struct conn *oldest = &h->conn[0];
	for (size_t i = 0; i < CONNS_MAX; i++) {
		if (h->conn[i].fd < 0)
			return &h->conn[i];
		if (h->conn[i].order < oldest->order)
			oldest = &h->conn[i];
	}
	drop(oldest);
	return oldest;
}

void http_step(struct http *h)
{
	time_t now = seconds();
	for (size_t i = 0; i < CONNS_MAX; i++) {
		int fd = accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			break;
		struct conn *c = place(h);
		*c = (struct conn){.fd = fd, .until = now + SECONDS, .order = ++h->n_accepted};
		step_conn(h, c);
	}
	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &h->conn[i];
		if (c->fd >= 0)
			step_conn(h, c);
		if (c->fd >= 0 && now >= c->until)
			drop(c);
	}
}

int http_get(int port, const char *path, struct buf *body, size_t max, struct err *e)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval limit = {SECONDS, 0};
	char request[320];
	CLEANUP_BUF struct buf all = BUF_INIT;
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(e, E_IO, errno, "status");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return err_set(e, E_IO, errno, "no scheduler answers on 127.0.0.1:%d", port);
	int n = snprintf(request, sizeof request, "GET %.250s HTTP/1.0\r\n\r\n", path);
	if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
		return err_set(e, E_IO, errno, "ask 127.0.0.1:%d", port);
	int rc = io_read_all(fd, &all, max, "the scheduler's answer", e);
	if (rc < 0)
		return rc;
	uint8_t *end = memmem(all.p, all.len, "\r\n\r\n", 4);
	if (all.len < 12 || !end || memcmp(all.p + 8, " 200", 4) != 0)
		return err_set(e, E_FORMAT, 0, "what answers on 127.0.0.1:%d is no mcfs-scheduler", port);
	end += 4;
	return buf_add(body, end, all.len - (size_t)(end - all.p), e);
}
