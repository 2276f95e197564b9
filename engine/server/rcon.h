/* rcon.h - the server's remote console: send a command, get its answer.
 *
 * The protocol is Source RCON as Minecraft speaks it: little-endian i32 size, i32 id, i32 type, text, two NULs. Its server
 * has habits that this client is made for:
 * - it reads once, up to 1,460 bytes, and closes unless that is exactly one request: a request is
 *   one write(), its text at most RCON_COMMAND_MAX bytes, and nothing is sent before the answer;
 * - answers are cut at 4,096 UTF-16 units a packet, with no end mark: after a full packet a request
 *   of an unknown type is sent, whose answer marks the end;
 * - a refused password is an answer with id -1;
 * - `save-all flush` answers when it is on disk, which may take minutes.
 *
 * Plain text on the wire: for loopback and private networks. One thread at a time for a connection. After
 * any failure but E_USAGE the connection is of no more use: close it. Whether the command was carried
 * out is unknown then. */
#ifndef MCFS_SERVER_RCON_H
#define MCFS_SERVER_RCON_H

#include <signal.h>
#include <stdbool.h>

#include "engine/base/buf.h"

#define RCON_PORT 25575
#define RCON_COMMAND_MAX 1446
#define RCON_ANSWER_MAX ((size_t)1 << 20)

struct rcon;

struct rcon_target {
	const char *host, *password;
	unsigned port;		  /* 0: RCON_PORT */
	unsigned connect_timeout; /* seconds, for connection and password; 0: 10 */
	const volatile sig_atomic_t *cancel; /* or NULL; non-zero: give up with E_CANCELLED */
};

/* Connect and log in. E_NOTFOUND: nobody listens there (or no such host); E_AUTH: the password is
 * refused; E_IO: no connection or no answer in time; E_FORMAT: no RCON server. */
int rcon_open(struct rcon **ret, const struct rcon_target *t, struct err *e) MUST_CHECK;
/* Send a command and wait up to `timeout` seconds for its answer, which is appended to `answer` (may be NULL).
 * E_USAGE: the command is too long or holds a line end or NUL. */
int rcon_command(struct rcon *c, const char *command, unsigned timeout, struct buf *answer,
	struct err *e) MUST_CHECK;
void rcon_close(struct rcon *c); /* NULL is fine */
/* From here on the target's `cancel` is not looked at: for what must be sent after an interrupt. */
void rcon_uncancel(struct rcon *c);

/* ---- the packets, for tests ---- */

struct rcon_packet {
	int32_t id, type;
	struct span text; /* points into the input */
};

enum { RCON_ANSWER = 0, RCON_COMMAND = 2, RCON_LOGIN = 3 };

/* The packet at the start of the bytes: 1 and *ret_used, 0 when it is not complete yet; E_FORMAT when it
 * cannot be one. */
int rcon_parse(struct span in, struct rcon_packet *ret, size_t *ret_used, struct err *e) MUST_CHECK;
/* UTF-16 units of UTF-8 text; what is not UTF-8 counts one a byte. */
size_t rcon_units(struct span text);

#endif
