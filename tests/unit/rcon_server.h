/* rcon_server.h - a stand-in for the console of a Minecraft server, with the habits that are known of it. Written from
 * the description of the protocol, apart from the client.
 *
 * One read of up to 1,460 bytes must be one request, or the connection is closed. Answers are cut at 4,096 UTF-16
 * units a packet. A refused login is answered with id -1. Commands: save-off, save-on, save-all [flush],
 * list, say, `long N` (an answer of N letters), `wide N` (N euro signs). */
#ifndef TEST_RCON_SERVER_H
#define TEST_RCON_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>

struct rcon_server {
	const char *password;
	const char *log;	/* file that gets a line a command; NULL: none */
	const char *drop;	/* close without an answer at this command; NULL: never */
	int flush_ms;		/* how long save-all takes */
	bool split;		/* answers leave byte by byte */
	bool empty_first;	/* an empty packet before the answer to the login, as others do */
	bool silent;		/* never answers commands */
	atomic_int saving;	/* 1: on */
	atomic_int commands, logins;
	int fd;
	unsigned port;
};

/* Listen on a free port of 127.0.0.1 (or on `port` when that is not 0). Returns 0 or -1. */
int rcon_server_listen(struct rcon_server *s);
/* Serve until the listening socket is shut down. A thread a connection. */
void *rcon_server_run(void *s);

#endif
