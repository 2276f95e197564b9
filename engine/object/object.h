/* object.h - where the objects of a store live: a small interface with one implementation a kind
 * of place. A key is a relative path such as "packs/ab/<id>"; its parts are [a-z0-9._-].
 *
 * Promises of every implementation: an object appears whole under its key or not at all; when put
 * or commit returned 0 it survives a power cut; an object never changes except by put with
 * `replace`. Errors: E_NOTFOUND, E_EXISTS, E_NOSPACE, E_IO, E_NOMEM, and E_CORRUPT for what is not a
 * file where an object should be.
 *
 * Threads: all calls may come from several threads; one writer belongs to one thread at a time. */
#ifndef MCFS_OBJECT_OBJECT_H
#define MCFS_OBJECT_OBJECT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "engine/base/buf.h"

struct object_place;  /* a place that holds objects */
struct object_writer; /* an object being written, not yet visible */

/* Called for each object; return non-zero to stop, which is then the result of the listing. */
typedef int (*object_each)(void *ctx, const char *name, uint64_t size, struct err *e);

struct object_content {
	const char *key;
	struct span content;
};

struct object_ops {
	int (*list)(struct object_place *, const char *dir, bool sizes, object_each fn, void *ctx,
		struct err *);
	int (*size)(struct object_place *, const char *key, uint64_t *ret, struct err *);
	int (*read)(struct object_place *, const char *key, uint64_t off, size_t n,
		struct buf *out, struct err *);
	int (*put)(struct object_place *, const char *key, struct span, bool replace, struct err *);
	int (*remove)(struct object_place *, const char *key, struct err *);
	int (*begin)(struct object_place *, struct object_writer **, struct err *);
	int (*append)(struct object_writer *, struct span, struct err *);
	int (*read_back)(struct object_writer *, uint64_t off, size_t n, struct buf *, struct err *);
	int (*commit)(struct object_writer *, const char *key, struct err *);
	void (*abort)(struct object_writer *);
	void (*free)(struct object_place *);
	/* May be NULL: then the calls above are used. */
	int (*put_all)(struct object_place *, const struct object_content *, size_t n, struct err *);
	int (*remove_all)(struct object_place *, const char *const *keys, size_t n, struct err *);
	int (*put_brief)(struct object_place *, const char *key, struct span, struct err *);
	int (*remove_brief)(struct object_place *, const char *key, struct err *);
	/* May be NULL. */
	int (*space)(struct object_place *, uint64_t *ret, struct err *);
	bool (*is_at)(struct object_place *, const struct stat *dir);
};

struct object_place {
	const struct object_ops *ops;
};
struct object_writer {
	struct object_place *place;
};

/* All objects right below `dir` (not recursive), in no order; a missing directory is empty. Names
 * that are not objects (temporary files) are left out. */
int object_list(struct object_place *p, const char *dir, object_each fn, void *ctx,
	struct err *e) MUST_CHECK;
/* The same without sizes (they may be 0): then no object needs to be asked for its own. */
int object_list_names(struct object_place *p, const char *dir, object_each fn, void *ctx,
	struct err *e) MUST_CHECK;
int object_size(struct object_place *p, const char *key, uint64_t *ret, struct err *e) MUST_CHECK;
/* Append up to n bytes from `off`; fewer only at the object's end. */
int object_read(struct object_place *p, const char *key, uint64_t off, size_t n, struct buf *out,
	struct err *e) MUST_CHECK;
/* The whole object; E_CORRUPT when larger than `max`. */
int object_get(struct object_place *p, const char *key, size_t max, struct buf *out,
	struct err *e) MUST_CHECK;
int object_put(struct object_place *p, const char *key, struct span s, bool replace,
	struct err *e) MUST_CHECK;
/* Durable when it returned 0. Of two who remove the same object one gets E_NOTFOUND. */
int object_remove(struct object_place *p, const char *key, struct err *e) MUST_CHECK;

/* Many at once, which waits for the disk seldom. All are durable when it returned 0; after a failure each of them may
 * have been done or not. In no order. To put replaces; what is to be removed and not there is passed over. */
int object_put_all(struct object_place *p, const struct object_content *v, size_t n, struct err *e) MUST_CHECK;
int object_remove_all(struct object_place *p, const char *const *keys, size_t n,
	struct err *e) MUST_CHECK;
/* As put without `replace`, and remove, but for what only processes that live look at: nothing is durable. After a
 * power cut such an object may be gone, be back, or be there without its contents. */
int object_put_brief(struct object_place *p, const char *key, struct span s, struct err *e) MUST_CHECK;
int object_remove_brief(struct object_place *p, const char *key, struct err *e) MUST_CHECK;

int object_begin(struct object_place *p, struct object_writer **ret, struct err *e) MUST_CHECK;
int object_append(struct object_writer *w, struct span s, struct err *e) MUST_CHECK;
/* Append to *out n bytes of what was appended to the writer so far. */
int object_read_back(struct object_writer *w, uint64_t off, size_t n, struct buf *out,
	struct err *e) MUST_CHECK;
/* Make it durable and visible under `key`; the writer is gone either way. E_EXISTS when taken. */
int object_commit(struct object_writer *w, const char *key, struct err *e) MUST_CHECK;
void object_abort(struct object_writer *w);
/* Bytes that can still be written; UINT64_MAX when nobody can tell. */
int object_space(struct object_place *p, uint64_t *ret, struct err *e) MUST_CHECK;
/* Do the objects lie in this very directory? */
bool object_is_at(struct object_place *p, const struct stat *dir);
void object_place_free(struct object_place *p);

/* A local directory. `create`: it may be missing or empty, but nothing else. */
int object_dir_open(struct object_place **ret, const char *path, bool create,
	struct err *e) MUST_CHECK;

/* A place that wraps another (takes ownership) and fails its Nth changing operation, for tests:
 * `fail_at` counts appends, commits, puts and removals from 1; 0 never fails. `kill`: instead of
 * an error the process ends at once, as with kill -9. */
int object_faulty_new(struct object_place **ret, struct object_place *inner, unsigned long fail_at,
	bool kill, struct err *e) MUST_CHECK;
/* The same with more to choose from. Counted from 1 are operations of the given kinds only. */
enum fault_kind {
	FAULT_READ = 1,	   /* reads, sizes and lists */
	FAULT_APPEND = 2,
	FAULT_COMMIT = 4,  /* fsync and rename of a written object */
	FAULT_PUT = 8,
	FAULT_REMOVE = 16,
	FAULT_CHANGES = 30 /* all but reads */
};
enum fault_how {
	FAULT_FAILS,	   /* E_IO once, nothing was done */
	FAULT_DONE,	   /* E_IO once, but it was done: the answer was lost */
	FAULT_OFF,	   /* nothing was done, and all later operations fail: the power is gone */
	FAULT_OFF_DONE,	   /* it was done, and all later operations fail */
	FAULT_TORN_OFF	   /* half of it was done where it may be (appends), then off */
};
struct object_fault {
	unsigned kinds;
	unsigned long at; /* 0: never */
	enum fault_how how;
	uint64_t space; /* E_NOSPACE when so many bytes were appended and put; 0: no limit */
};
int object_faulty_new_as(struct object_place **ret, struct object_place *inner,
	const struct object_fault *fault, struct err *e) MUST_CHECK;
unsigned long object_faulty_count(const struct object_place *p);

#endif
