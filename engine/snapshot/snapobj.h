/* snapobj.h - snapshot objects: one a snapshot, the only commit point of a backup.
 *
 * Each carries a generation number and the hash of the newest snapshot object its writer saw, so
 * that a client that has seen a later one notices when the store goes back in time. Tags are part
 * of the object; changing them replaces it under the same id. docs/FORMAT.md, "Snapshots". */
#ifndef MCFS_SNAPSHOT_SNAPOBJ_H
#define MCFS_SNAPSHOT_SNAPOBJ_H

#include "engine/snapshot/entry.h"
#include "engine/store/store.h"

#define SNAPSHOT_NAME_CHARS 32
#define SNAPSHOT_KIND "snapshots" /* of sealed objects */

struct snapshot_source {
	char *path; /* absolute, as it was on the host */
	char *name; /* where it is in the tree: "world", or "a/world" */
};

struct snapshot {
	struct id id;
	char name[SNAPSHOT_NAME_CHARS]; /* 2026-11-22T02-00-00Z, with -2, -3 when taken */
	struct timestamp begin, end;
	uint64_t generation;
	struct name previous; /* hash of the newest object seen, or zeros */
	struct name self;     /* hash of this object's bytes up to the tags; not in them */
	char *host, *user, *program;
	struct snapshot_source *sources;
	size_t n_sources;
	char **tags; /* sorted */
	size_t n_tags;
	struct content root;
	uint64_t files, dirs, others, bytes;
	uint64_t files_new, files_changed, files_unreadable, files_restless;
	uint64_t added_bytes, added_blobs;
	uint64_t with_xattrs, with_acls; /* entries; those with ACLs are of both */
};

void snapshot_free(struct snapshot *sn); /* its contents */
/* An object's content. sn->id is the caller's; the rest is to be freed after a failure as well. */
int snapshot_parse(struct span content, const struct keys *k, struct snapshot *sn,
	struct err *e) MUST_CHECK;
/* For qsort: by begin, then id. */
int snapshot_by_time(const void *a, const void *b);

/* Write a new object, or replace the one with its id. Durable. */
int snapshot_write(struct store *s, const struct snapshot *sn, bool replace,
	struct err *e) MUST_CHECK;

/* All snapshots, oldest first. A damaged object is reported to the store's log and counted in
 * *ret_damaged; the others are listed. */
struct snapshot_list {
	struct snapshot *v;
	size_t n;
	size_t damaged;
	struct err first_damage;
};
int snapshot_list_load(struct snapshot_list *l, struct store *s, struct err *e) MUST_CHECK;
/* Bring a list up to date without reading again what it holds: for those to whom tags do not matter, which
 * are as they were read. The list is freed after a failure. */
int snapshot_list_update(struct snapshot_list *l, struct store *s, struct err *e) MUST_CHECK;
void snapshot_list_free(struct snapshot_list *l);
/* "latest", "latest~N" (the Nth before it), a name, or the start of an id (4 digits or more).
 * E_NOTFOUND, E_USAGE (ambiguous). */
int snapshot_find(const struct snapshot_list *l, const char *spec, struct snapshot **ret,
	struct err *e) MUST_CHECK;
/* A free name for a snapshot that begins at `t`; the first `skip` free ones are passed over. */
void snapshot_pick_name(const struct snapshot_list *l, struct timestamp t,
	unsigned skip, char ret[SNAPSHOT_NAME_CHARS]);

/* Remember in `state_dir` the highest generation seen; E_CORRUPT when the store shows less than was
 * seen before, forgotten snapshots and marks (forgotten.h) counted: it was rolled back or lost its
 * newest snapshots. `accept`: what it shows is right, go on from there (with a warning in the
 * store's log). `state_dir` NULL: no memory. */
int snapshot_check_rollback(const struct snapshot_list *l, struct store *s, const char *state_dir,
	bool accept, struct err *e) MUST_CHECK;

/* Raise what `state_dir` remembers to this generation, if it is lower. */
void snapshot_remember(struct store *s, const char *state_dir, uint64_t generation);

/* Tags: add or remove one in memory. Tags are 1..64 of [A-Za-z0-9._:@+-]. */
bool snapshot_tag_ok(const char *tag);
int snapshot_tag_add(struct snapshot *sn, const char *tag, struct err *e) MUST_CHECK;
void snapshot_tag_remove(struct snapshot *sn, const char *tag);

#endif
