/* fs.h - what all parts of a mount share: the open store, caches, working memory, counters; and
 * the interface of a view. Only for fs/. */
#ifndef MCFS_FS_FS_H
#define MCFS_FS_FS_H

#include <pthread.h>
#include <sys/stat.h>

#include "fs/ahead.h"
#include "fs/fscache.h"
#include "fs/mount.h"
#include "fs/node.h"

/* What never changes may be kept by the kernel for a year; live directories for a second. */
#define TTL_FOREVER 3.15e7
#define TTL_LIVE 1.0

struct files;
struct live;
struct sizes;
struct handle;
struct keeper;
struct rules;
struct judges;
struct putback;
struct writings;
struct world_cache;

struct counters {
	_Atomic uint64_t lookups, getattrs, listings, reads, bytes, xattrs, forgets, errors, ahead,
		reloads;
};

struct coder_slot;

struct fs {
	struct store *store; /* NULL: only live worlds */
	const struct keys *keys; /* the store's, or `own_keys` */
	struct keys *own_keys;
	struct live *live; /* NULL: none, and the mount is read-only */
	struct keeper *keeper;
	struct putback *putback;
	struct writings *writings;
	struct landed *landed;
	bool trash_rm;
	struct sizes *sizes;
	const struct rules *rules; /* of prunable/, or NULL */
	struct judges *judges;
	time_t begun;
	struct log log;
	struct fscache *cache;
	struct ahead *ahead;
	struct nodes *nodes;
	struct top *top;
	struct files *files;
	struct world_cache *worlds;
	struct shelf *only; /* --snapshot: the shelf whose first face is the root */
	/* Read: while blobs are looked up; write: while the index is brought up to date. */
	pthread_rwlock_t index_lock;
	pthread_mutex_t coder_lock;
	struct coder_slot *coders; /* free ones */
	uid_t uid;
	gid_t gid;
	size_t cache_bytes;
	struct counters n;
	pthread_mutex_t said_lock;
	uint64_t said[64]; /* hashes of the last problems that were logged */
	unsigned n_said;
};

/* One thread's working memory, from a list of free ones. NULL without memory. */
struct coder *coder_take(struct fs *fs);
void coder_give(struct fs *fs, struct coder *c);

/* ---- views ---- */

/* A request under way. */
struct call {
	struct fs *fs;
	struct coder *c;
	struct handle *h; /* of a read or listing in a mount that keeps them, or NULL */
	struct err e;
};

struct node {
	struct shelf *shelf;
	uint32_t slot;
};

/* One of the directories at the top of the mount. */
static inline bool is_top(struct node n)
{
	return n.shelf->key.kind == SHELF_TOP;
}

static inline int not_here(struct call *cl)
{
	return err_set(&cl->e, E_NOTFOUND, 0, "no such file");
}

/* A child that was found: its node (with a reference to the shelf) and attributes. No shelf: only
 * name, st_ino and type are told, the kernel asks again when it wants more. */
struct found {
	struct node node;
	struct stat st;
	double ttl;
};

/* The bytes of a read: `data` points into one of the others. */
struct reading {
	struct span data;
	struct piece *hold;
	struct plain *hold_plain;
	struct buf own;
};
void reading_free(struct reading *rd);

/* Takes over found->node.shelf. False: no more room, the entry was not taken. */
typedef bool (*list_fn)(void *ctx, struct span name, struct found *found, uint64_t next);

/* All return 0 or a negative error with cl->e set. A NULL function: not of this kind. */
struct view {
	int (*getattr)(struct call *cl, struct node n, struct stat *st, double *ttl);
	/* E_NOTFOUND; *ttl then says how long that may be remembered (0: not). */
	int (*lookup)(struct call *cl, struct node n, struct span name, struct found *ret);
	/* Look at it for an open file or directory, in mounts that keep handles. */
	int (*open)(struct call *cl, struct node n, struct handle *h);
	/* From offset `off` (0, or a `next` from before; "." and ".." are not listed here). */
	int (*list)(struct call *cl, struct node n, uint64_t off, list_fn fn, void *ctx);
	int (*readlink)(struct call *cl, struct node n, struct buf *out);
	int (*read)(struct call *cl, struct node n, uint64_t off, size_t size, struct reading *ret);
	int (*seek)(struct call *cl, struct node n, uint64_t off, bool hole, uint64_t *ret);
	/* An encoded list (xattrs.h), appended. */
	int (*xattrs)(struct call *cl, struct node n, struct buf *out);
	/* The node's name in its directory, for messages. */
	int (*name)(struct call *cl, struct node n, struct buf *out, struct node *ret_parent);
};
const struct view *view_of(struct node n);
extern const struct view top_view, snap_view, chunk_view, edit_view, live_view, trash_view, prune_view;

/* May anything in the mount have extended attributes that are not made up here, or ACLs? */
bool fs_has_xattrs(struct fs *fs);
bool fs_has_acls(struct fs *fs);

/* The node of an inode number, with a reference to its shelf. */
bool node_of(struct fs *fs, uint64_t ino, struct node *ret);
static inline uint64_t id_of(struct node n)
{
	return node_id(n.shelf, n.slot);
}

/* st_ino: 64 bits, the same at every mount. */
uint64_t ino_of(struct fs *fs, const struct snap *sn, char what, uint64_t a, uint64_t b,
	struct span name);
/* A directory that mcfs makes up. */
void stat_dir(struct fs *fs, struct stat *st, uint64_t ino, struct timespec t);
void stat_link(struct fs *fs, struct stat *st, uint64_t ino, size_t len, struct timespec t);
static inline struct timespec ts_of(struct timestamp t)
{
	return (struct timespec){(time_t)t.s, (long)t.ns};
}

/* Where a node is in the mount, for messages. */
void node_path(struct call *cl, struct node n, char *out, size_t size);
/* Log a line unless it is one of the last that were. */
void say_once(struct fs *fs, enum log_level level, const char *line);
/* Log a problem with a node, once. */
void report(struct call *cl, struct node n);
int errno_of(int code);
int errno_of_err(int code, const struct err *e);

#endif
