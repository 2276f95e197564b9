#include "engine/server/coordinate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define FLUSH_SECONDS 600
#define SWITCH_SECONDS 300 /* save-off and save-on run on the main thread, behind whatever it does */
#define RETRIES 4
#define RETRY_DELAY 2

struct coordination {
	const struct coordinate_options *opt;
	struct rcon *console; /* NULL after it was lost */
};

/* ---- the record ---- */

/* STATE/saving-off/HOST:PORT, with what cannot stand in a file name as '_'. */
static char *record_path(const struct coordinate_options *opt)
{
	char *path = NULL;
	unsigned port = opt->target.port ? opt->target.port : RCON_PORT;
	if (asprintf(&path, "%s/saving-off/%s:%u", opt->state_dir, opt->target.host, port) < 0)
		return NULL;
	for (char *p = path + strlen(opt->state_dir) + strlen("/saving-off/"); *p; p++)
		if (*p == '/' || *p < ' ')
			*p = '_';
	return path;
}

static int record_write(const struct coordinate_options *opt, struct err *e)
{
	char text[200];
	CLEANUP_FREE char *path = record_path(opt), *dir = NULL;
	if (!path || !(dir = strdup(path)))
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	*strrchr(dir, '/') = 0;
	snprintf(text, sizeof text, "mcfs turned saving off on this server (pid %ld, time %lld)\n",
		(long)getpid(), (long long)time(NULL));
	int r = io_mkdirs(dir, 0700, e);
	if (r == 0)
		r = io_sync_parents(dir, e);
	if (r == 0)
		r = io_write_file(AT_FDCWD, path, span_of(text, strlen(text)), 0600, false, e);
	return r < 0 ? err_wrap(e, "record that saving is turned off") : 0;
}

/* That the record goes is not durable at once: its return would only mean one more save-on. */
static int record_remove(const struct coordinate_options *opt, struct err *e)
{
	CLEANUP_FREE char *path = record_path(opt);
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(e, E_IO, errno, "remove '%s'", path);
	return 0;
}

bool coordinate_pending(const struct coordinate_options *opt)
{
	CLEANUP_FREE char *path = record_path(opt);
	return path && access(path, F_OK) == 0;
}

/* ---- save-on ---- */

static void pause_for(unsigned seconds)
{
	struct timespec t = {.tv_sec = seconds};
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* With the connection at hand, then with new ones. A user's interrupt does not stop this. */
static int saving_on(const struct coordinate_options *opt, struct rcon **console, struct err *e)
{
	struct rcon_target t = opt->target;
	unsigned tries = 1 + (opt->retries ? opt->retries : RETRIES);
	int r = E_IO;
	t.cancel = NULL;
	if (*console) {
		rcon_uncancel(*console);
		r = rcon_command(*console, "save-on", SWITCH_SECONDS, NULL, e);
		if (r < 0) {
			rcon_close(*console);
			*console = NULL;
		}
	}
	for (unsigned i = 0; r < 0 && i < tries; i++) {
		if (i)
			pause_for(opt->retry_delay ? opt->retry_delay : RETRY_DELAY);
		r = rcon_open(console, &t, e);
		if (r == 0)
			r = rcon_command(*console, "save-on", SWITCH_SECONDS, NULL, e);
		if (r < 0) {
			rcon_close(*console);
			*console = NULL;
		}
		if (r == E_AUTH)
			break; /* asking again does not help, and looks like an attack */
	}
	if (r == 0)
		r = record_remove(opt, e);
	return r;
}

int coordinate_recover(const struct coordinate_options *opt, struct err *e)
{
	struct rcon *console = NULL;
	if (!coordinate_pending(opt))
		return 0;
	int r = saving_on(opt, &console, e);
	rcon_close(console);
	return r < 0 ? err_wrap(e, "an earlier run left saving turned off; turn it on again (save-on)")
		     : 1;
}

/* ---- begin and end ---- */

static int hold_still(struct coordination *c, struct err *e)
{
	const struct coordinate_options *opt = c->opt;
	int r = record_write(opt, e);
	if (r == 0)
		r = rcon_command(c->console, "save-off", SWITCH_SECONDS, NULL, e);
	if (r == 0 && opt->flush)
		r = rcon_command(c->console, "save-all flush",
			opt->flush_timeout ? opt->flush_timeout : FLUSH_SECONDS, NULL, e);
	return r;
}

int coordinate_begin(struct coordination **ret, const struct coordinate_options *opt, struct err *e)
{
	struct coordination *c = calloc(1, sizeof *c);
	struct err own = ERR_INIT, undo = ERR_INIT;
	if (!c)
		return err_set(e, E_NOMEM, 0, "no memory for a connection");
	c->opt = opt;
	int r = rcon_open(&c->console, &opt->target, &own);
	if (r < 0) {
		free(c);
		return err_pass(e, &own);
	}
	r = hold_still(c, &own);
	if (r < 0) {
		/* After an error in the middle of a command the connection may answer out of turn. */
		rcon_close(TAKE_PTR(c->console));
		if (coordinate_end(c, &undo) < 0)
			log_say(&opt->log, LOG_ERROR, "%s", undo.msg);
		return err_pass(e, &own);
	}
	*ret = c;
	return 0;
}

int coordinate_end(struct coordination *c, struct err *e)
{
	struct err own = ERR_INIT;
	if (!c)
		return 0;
	int r = coordinate_pending(c->opt) ? saving_on(c->opt, &c->console, &own) : 0;
	rcon_close(c->console);
	free(c);
	if (r < 0 && e) {
		*e = own;
		return err_wrap(e, "SAVING IS STILL TURNED OFF on the server; type save-on at its "
			"console, or run this again");
	}
	return r;
}
