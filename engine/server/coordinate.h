/* coordinate.h - let a running server write its world out and hold still while it is read.
 *
 *   begin   record the intent; save-off; save-all flush; wait for its answer
 *   end     save-on; the record goes away
 *
 * A server that is left with saving off loses everything since, at its next stop at the latest by a crash. So `save-on` comes whatever happens:
 * - begin records "HOST:PORT has saving off because of us" durably in `state_dir` before save-off is sent;
 * - the record goes only after the server has answered to save-on;
 * - what dies in between leaves the record: coordinate_recover(), at the start of every run, sends
 *   save-on for it. (A server that was started again meanwhile saves anyhow; save-on is harmless.)
 * docs/SERVER.md has the argument, crash by crash.
 *
 * A lost connection in the middle of save-off or save-all is "unknown": end (or recover) makes a new one. */
#ifndef MCFS_SERVER_COORDINATE_H
#define MCFS_SERVER_COORDINATE_H

#include "engine/base/log.h"
#include "engine/server/rcon.h"

struct coordinate_options {
	struct rcon_target target;
	const char *state_dir;
	unsigned flush_timeout; /* seconds for save-all flush; 0: 600 */
	bool flush;		/* save-all flush, or only save-off */
	unsigned retries;	/* of save-on, beside the first try; 0: 4 */
	unsigned retry_delay;	/* seconds between; 0: 2 */
	struct log log;
};

struct coordination;

/* Undo what an earlier run left: 1 when save-on was sent for a record, 0 when there was none. On failure the
 * record stays. */
int coordinate_recover(const struct coordinate_options *opt, struct err *e) MUST_CHECK;
/* Is there a record for this server? */
bool coordinate_pending(const struct coordinate_options *opt);

/* Turn saving off and flush. On failure saving is on again, or else the record stays and the log
 * says so. E_NOTFOUND: no server listens there, nothing was done. Other codes as rcon.h. `opt` (with what it points to) must live until
 * the end. */
int coordinate_begin(struct coordination **ret, const struct coordinate_options *opt,
	struct err *e) MUST_CHECK;
/* Turn saving on again. Takes the coordination in any case; NULL is fine. Not stopped by opt->target.cancel.
 * On failure the record stays for the next run. */
int coordinate_end(struct coordination *c, struct err *e) MUST_CHECK;

#endif
