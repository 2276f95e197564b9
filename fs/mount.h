/* mount.h - a store, live worlds, or both as a file system: mount it, serve until it is unmounted.
 *
 * The tree and its costs: docs/MOUNT.md. */
#ifndef MCFS_FS_MOUNT_H
#define MCFS_FS_MOUNT_H

#include <stdbool.h>

#include "engine/snapshot/snapobj.h"

struct rules;

struct mount_options {
	const char *point;    /* where */
	const char *dir;      /* the store's directory, to see changes; NULL: not local */
	const char *const *worlds; /* folders of live worlds to show; no links but the last part */
	size_t n_worlds;
	const char *state_dir;	 /* where their trash is */
	const struct rules *rules; /* what prunable/ shows, or NULL */
	/* The trash is emptied by these at the start and hourly: seconds, bytes; 0: no such limit. */
	int64_t trash_keep, trash_size;
	bool refuse_running;	 /* EBUSY while a server holds the world; else it waits */
	bool trash_rm;		 /* allow `rm` in trash/ */
	const char *snapshot; /* show only this one, at the root; NULL: all */
	const char *source;   /* what /proc/mounts shows */
	const char *kernel_options; /* more for the kernel ("noexec"), or NULL */
	size_t cache_bytes;   /* decoded data; see mount_store_cache() */
	unsigned threads;     /* that serve requests; 0: processors + 2 */
	bool allow_other;
	bool no_xattrs; /* show no extended attributes and ACLs: `ls -l` asks for some, file by file */
	struct log log;
	/* Called once, when the mount serves requests. */
	void (*ready)(void *ctx);
	void *ready_ctx;
};

#define MOUNT_CACHE_DEFAULT ((size_t)256 << 20)
#define MOUNT_CACHE_MIN ((size_t)16 << 20)
/* The part of the cache that the store is to be opened with. */
size_t mount_store_cache(size_t cache_bytes);

/* `s` may be NULL when there are worlds. Serve until unmounted or told to end (SIGTERM, SIGINT, SIGHUP). The store stays the caller's.
 * E_EXISTS when mcfs is mounted at the point already. */
int mount_run(struct store *s, const struct mount_options *opt, struct err *e) MUST_CHECK;

/* Unmount what is mounted at `point`; `lazy`: also when it is in use. E_USAGE when there is no mount
 * of mcfs. */
int mount_end(const char *point, bool lazy, struct err *e) MUST_CHECK;

#endif
