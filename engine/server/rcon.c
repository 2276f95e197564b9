#include "engine/server/rcon.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

/* 4,096 units of at most three bytes, ids and NULs, and room for servers that count in bytes. */
#define PACKET_MAX 32768
#define FULL_UNITS 4096
#define PROBE_TYPE 100 /* the server answers "Unknown request 64" */
#define CONNECT_SECONDS 10

struct rcon {
	int fd;
	int32_t id;
	char where[300];
	struct buf in;
	size_t used; /* of `in`: packets that were taken */
	const volatile sig_atomic_t *cancel;
};

/* ---- packets ---- */

int rcon_parse(struct span in, struct rcon_packet *ret, size_t *ret_used, struct err *e)
{
	if (in.n < 4)
		return 0;
	uint32_t size = (uint32_t)in.p[0] | (uint32_t)in.p[1] << 8 | (uint32_t)in.p[2] << 16 |
			(uint32_t)in.p[3] << 24;
	if (size < 10 || size > PACKET_MAX)
		return err_set(e, E_FORMAT, 0, "a packet of %u bytes: this is no RCON server", size);
	if (in.n - 4 < size)
		return 0;
	const uint8_t *p = in.p + 4;
	int32_t head[2];
	for (int i = 0; i < 2; i++)
		head[i] = (int32_t)((uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 |
				    (uint32_t)p[4 * i + 2] << 16 | (uint32_t)p[4 * i + 3] << 24);
	if (p[size - 1] != 0 || p[size - 2] != 0)
		return err_set(e, E_FORMAT, 0, "a packet without its end: this is no RCON server");
	*ret = (struct rcon_packet){head[0], head[1], {p + 8, size - 10}};
	*ret_used = (size_t)size + 4;
	return 1;
}

size_t rcon_units(struct span text)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; n++) {
		uint8_t c = text.p[i];
		size_t len = c < 0xc0 || c >= 0xf8 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		n += len == 4; /* a pair of surrogates */
		i += len > text.n - i ? text.n - i : len;
	}
	return n;
}

static void put_le(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* ---- time and waiting ---- */

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Wait until the descriptor is ready. Looks at `cancel` a few times a second: a signal may come just before
 * the poll. */
static int wait_for(struct rcon *c, short events, int64_t until, const char *what, struct err *e)
{
	for (;;) {
		int64_t left = until - now_ms();
		if (c->cancel && *c->cancel)
			return err_set(e, E_CANCELLED, 0, "interrupted");
		if (left <= 0)
			return err_set(e, E_IO, ETIMEDOUT, "%s: %s", c->where, what);
		struct pollfd p = {.fd = c->fd, .events = events};
		int n = poll(&p, 1, left > 200 ? 200 : (int)left);
		if (n < 0 && errno != EINTR)
			return err_set(e, E_IO, errno, "%s: %s", c->where, what);
		if (n > 0)
			return 0;
	}
}

/* ---- sending and receiving ---- */

static int send_packet(struct rcon *c, int32_t id, int32_t type, const char *text, int64_t until,
	struct err *e)
{
	uint8_t b[RCON_COMMAND_MAX + 14];
	size_t n = strlen(text);
	put_le(b, (uint32_t)n + 10);
	put_le(b + 4, (uint32_t)id);
	put_le(b + 8, (uint32_t)type);
	memcpy(b + 12, text, n);
	b[12 + n] = b[13 + n] = 0;
	int r = wait_for(c, POLLOUT, until, "send", e);
	if (r < 0)
		return r;
	/* One write: what comes in two pieces is refused. A fresh socket always has room for this much. */
	ssize_t put = send(c->fd, b, n + 14, MSG_NOSIGNAL);
	if (put != (ssize_t)(n + 14))
		return err_set(e, E_IO, put < 0 ? errno : EIO, "%s: send", c->where);
	return 0;
}

static int receive(struct rcon *c, struct rcon_packet *ret, int64_t until, struct err *e)
{
	for (;;) {
		size_t used = 0;
		struct span rest = span_sub(buf_span(&c->in), c->used, SIZE_MAX);
		int r = rcon_parse(rest, ret, &used, e);
		c->used += used;
		if (r < 0)
			return err_wrap(e, "%s", c->where);
		if (r == 1)
			return 0;
		if (c->used) {
			memmove(c->in.p, c->in.p + c->used, c->in.len - c->used);
			c->in.len -= c->used;
			c->used = 0;
		}
		r = buf_reserve(&c->in, 4096, e);
		if (r == 0)
			r = wait_for(c, POLLIN, until, "no answer", e);
		if (r < 0)
			return r;
		ssize_t n = recv(c->fd, c->in.p + c->in.len, c->in.cap - c->in.len, 0);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return err_set(e, E_IO, n < 0 ? errno : 0, "%s: %s", c->where,
				n < 0 ? "receive" : "the server closed the connection");
		c->in.len += (size_t)n;
	}
}

/* ---- connections ---- */

static int connect_to(struct rcon *c, const struct addrinfo *a, int64_t until, struct err *e)
{
	int one = 1, failure = 0;
	socklen_t len = sizeof failure;
	c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return err_set(e, E_IO, errno, "%s: make a socket", c->where);
	if (connect(c->fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS)
		failure = errno;
	int r = failure ? 0 : wait_for(c, POLLOUT, until, "connect", e);
	if (r == 0 && !failure && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0)
		failure = errno;
	if (r == 0 && failure)
		r = err_set(e, failure == ECONNREFUSED ? E_NOTFOUND : E_IO, failure, "%s: connect",
			c->where);
	if (r == 0 && setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
		r = err_set(e, E_IO, errno, "%s: set TCP_NODELAY", c->where);
	if (r < 0) {
		close(c->fd);
		c->fd = -1;
	}
	return r;
}

static int find_and_connect(struct rcon *c, const char *host, unsigned port, int64_t until,
	struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	char service[16];
	snprintf(service, sizeof service, "%u", port);
	int g = getaddrinfo(host, service, &hints, &list);
	if (g != 0)
		return err_set(e, g == EAI_NONAME ? E_NOTFOUND : E_IO, 0, "%s: %s", c->where,
			gai_strerror(g));
	int r = E_IO;
	for (const struct addrinfo *a = list; a; a = a->ai_next) {
		r = connect_to(c, a, until, e);
		if (r == 0 || r == E_CANCELLED)
			break;
	}
	freeaddrinfo(list);
	return r;
}

static int log_in(struct rcon *c, const char *password, int64_t until, struct err *e)
{
	struct rcon_packet p;
	if (strlen(password) > RCON_COMMAND_MAX)
		return err_set(e, E_USAGE, 0, "%s: the password is too long", c->where);
	int r = send_packet(c, ++c->id, RCON_LOGIN, password, until, e);
	/* Other servers of the protocol send an empty answer first. */
	for (int i = 0; r == 0 && i < 4; i++) {
		r = receive(c, &p, until, e);
		if (r == 0 && p.id == -1)
			return err_set(e, E_AUTH, 0, "%s: the RCON password is refused", c->where);
		if (r == 0 && p.type == RCON_COMMAND && p.id == c->id)
			return 0;
	}
	return r < 0 ? r : err_set(e, E_FORMAT, 0, "%s: no answer to the password", c->where);
}

int rcon_open(struct rcon **ret, const struct rcon_target *t, struct err *e)
{
	unsigned port = t->port ? t->port : RCON_PORT;
	int64_t until = now_ms() +
			1000 * (int64_t)(t->connect_timeout ? t->connect_timeout : CONNECT_SECONDS);
	struct rcon *c = calloc(1, sizeof *c);
	if (!c)
		return err_set(e, E_NOMEM, 0, "no memory for a connection");
	c->fd = -1;
	c->cancel = t->cancel;
	snprintf(c->where, sizeof c->where, "server console %s:%u", t->host, port);
	struct err own = ERR_INIT;
	int r = find_and_connect(c, t->host, port, until, &own);
	if (r == 0)
		r = log_in(c, t->password, until, &own);
	if (r < 0) {
		err_pass(e, &own);
		rcon_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* Packets of the answer until it is whole. */
static int collect(struct rcon *c, int64_t until, struct buf *answer, struct err *e)
{
	struct rcon_packet p;
	size_t total = 0;
	int32_t probe = 0;
	for (;;) {
		int r = receive(c, &p, until, e);
		if (r < 0)
			return r;
		if (probe && p.id == probe)
			return 0;
		if (p.id != c->id)
			return err_set(e, E_FORMAT, 0, "%s: an answer to something else", c->where);
		total += p.text.n;
		if (total > RCON_ANSWER_MAX)
			return err_set(e, E_FORMAT, 0, "%s: the answer is longer than %zu bytes", c->where,
				RCON_ANSWER_MAX);
		bool full = rcon_units(p.text) >= FULL_UNITS;
		if (answer)
			r = buf_add(answer, p.text.p, p.text.n, e);
		if (r < 0 || (!full && !probe))
			return r;
		if (!probe) {
			probe = c->id ^ 0x40000000;
			r = send_packet(c, probe, PROBE_TYPE, "", until, e);
			if (r < 0)
				return r;
		}
	}
}

int rcon_command(struct rcon *c, const char *command, unsigned timeout, struct buf *answer,
	struct err *e)
{
	int64_t until = now_ms() + 1000 * (int64_t)timeout;
	if (strlen(command) > RCON_COMMAND_MAX || strpbrk(command, "\r\n"))
		return err_set(e, E_USAGE, 0, "a command of the server is one line of at most %d bytes",
			RCON_COMMAND_MAX);
	struct err own = ERR_INIT;
	c->id = c->id % 0x3fffffff + 1;
	int r = send_packet(c, c->id, RCON_COMMAND, command, until, &own);
	if (r == 0)
		r = collect(c, until, answer, &own);
	if (r < 0) {
		err_pass(e, &own);
		err_wrap(e, "'%s'", command);
	}
	return r;
}

void rcon_close(struct rcon *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	buf_free(&c->in);
	free(c);
}

void rcon_uncancel(struct rcon *c)
{
	c->cancel = NULL;
}
