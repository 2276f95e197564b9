/* session.h - an open store with its snapshots and a coder: what every reading command needs. */
#ifndef MCFS_TOOLS_SESSION_H
#define MCFS_TOOLS_SESSION_H

#include "engine/snapshot/resolve.h"
#include "tools/mcfs/cli.h"

struct session {
	struct store *store;
	struct coder coder;
	struct snapshot_list list;
};

/* Opens, lists, and checks that the store was not rolled back. */
int session_open(struct session *s, struct cli *cli, struct err *e) MUST_CHECK;
void session_close(struct session *s);

/* Find what "SNAP" or "SNAP:PATH" names; `spec` is split in place. */
int session_resolve(struct session *s, char *spec, struct snapshot **ret_sn, const char **ret_path,
	struct entry *ret, struct plain **ret_hold, struct err *e) MUST_CHECK;

#endif
