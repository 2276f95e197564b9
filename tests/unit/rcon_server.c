#include "tests/unit/rcon_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_MAX 1460
#define CUT 4096

struct session {
	struct rcon_server *s;
	int fd;
	bool in;
};

static void le(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t from_le(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool send_all(struct session *c, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t k = send(c->fd, p, c->s->split ? 1 : n, MSG_NOSIGNAL);
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static bool packet(struct session *c, uint32_t id, uint32_t type, const char *text, size_t n)
{
	uint8_t *b = malloc(n + 14);
	le(b, (uint32_t)n + 10);
	le(b + 4, id);
	le(b + 8, type);
	memcpy(b + 12, text, n);
	b[12 + n] = b[13 + n] = 0;
	bool ok = send_all(c, b, n + 14);
	free(b);
	return ok;
}

/* `units` characters of `width` bytes each, 4,096 a packet; an empty answer is one empty packet. */
static bool answer(struct session *c, uint32_t id, const char *text, size_t units, size_t width)
{
	do {
		size_t n = units < CUT ? units : CUT;
		if (!packet(c, id, 0, text, n * width))
			return false;
		text += n * width;
		units -= n;
	} while (units);
	return true;
}

static bool repeated(struct session *c, uint32_t id, const char *one, size_t times)
{
	size_t w = strlen(one);
	char *text = malloc(times * w + 1);
	for (size_t i = 0; i < times; i++)
		memcpy(text + i * w, one, w);
	bool ok = answer(c, id, text, times, w);
	free(text);
	return ok;
}

static void note(struct rcon_server *s, const char *command)
{
	char line[1600];
	if (!s->log)
		return;
	int fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	int n = snprintf(line, sizeof line, "%s\n", command);
	if (fd >= 0) {
		(void)!write(fd, line, (size_t)n);
		close(fd);
	}
}

static bool command(struct session *c, uint32_t id, const char *text)
{
	struct rcon_server *s = c->s;
	atomic_fetch_add(&s->commands, 1);
	if (s->drop && strcmp(s->drop, text) == 0) {
		/* It may or may not have been carried out: here it was. */
		if (strcmp(text, "save-off") == 0)
			atomic_store(&s->saving, 0);
		note(s, text);
		return false;
	}
	if (s->silent) {
		pause();
		return false;
	}
	const char *say = "Unknown or incomplete command, see below for error";
	if (strcmp(text, "save-off") == 0) {
		atomic_store(&s->saving, 0);
		say = "Automatic saving is now disabled";
	} else if (strcmp(text, "save-on") == 0) {
		atomic_store(&s->saving, 1);
		say = "Automatic saving is now enabled";
	} else if (strcmp(text, "save-all flush") == 0 || strcmp(text, "save-all") == 0) {
		struct timespec t = {s->flush_ms / 1000, s->flush_ms % 1000 * 1000000L};
		nanosleep(&t, NULL);
		say = "Saved the game";
	} else if (strcmp(text, "list") == 0) {
		say = "There are 0 of a max of 20 players online: ";
	} else if (strncmp(text, "say ", 4) == 0) {
		say = "";
	} else if (strncmp(text, "long ", 5) == 0) {
		return repeated(c, id, "x", strtoul(text + 5, NULL, 10));
	} else if (strncmp(text, "wide ", 5) == 0) {
		return repeated(c, id, "\xe2\x82\xac", strtoul(text + 5, NULL, 10));
	}
	note(s, text);
	return answer(c, id, say, strlen(say), 1);
}

static bool request(struct session *c, uint32_t id, uint32_t type, const char *text)
{
	char unknown[64];
	switch (type) {
	case 3:
		c->in = strcmp(text, c->s->password) == 0;
		atomic_fetch_add(&c->s->logins, 1);
		if (c->s->empty_first && !packet(c, id, 0, "", 0))
			return false;
		return packet(c, c->in ? id : UINT32_MAX, 2, "", 0);
	case 2:
		return c->in ? command(c, id, text) : packet(c, UINT32_MAX, 2, "", 0);
	default:
		snprintf(unknown, sizeof unknown, "Unknown request %x", type);
		return answer(c, id, unknown, strlen(unknown), 1);
	}
}

static void *session(void *ctx)
{
	struct session *c = ctx;
	uint8_t b[READ_MAX + 1];
	for (;;) {
		ssize_t n = read(c->fd, b, READ_MAX);
		if (n < 14 || from_le(b) != (uint32_t)n - 4)
			break;
		b[n] = 0;
		if (!request(c, from_le(b + 4), from_le(b + 8), (const char *)b + 12))
			break;
	}
	close(c->fd);
	free(c);
	return NULL;
}

int rcon_server_listen(struct rcon_server *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int one = 1;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(s->fd, 16) < 0 ||
		getsockname(s->fd, (struct sockaddr *)&a, &len) < 0)
		return -1;
	s->port = ntohs(a.sin_port);
	atomic_store(&s->saving, 1);
	return 0;
}

void *rcon_server_run(void *ctx)
{
	struct rcon_server *s = ctx;
	for (;;) {
		int one = 1, fd = accept(s->fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct session *c = malloc(sizeof *c);
		pthread_t t;
		*c = (struct session){s, fd, false};
		if (pthread_create(&t, NULL, session, c) != 0) {
			close(fd);
			free(c);
		} else {
			pthread_detach(t);
		}
	}
}
