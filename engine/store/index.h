/* index.h - the local cache of where every blob is: SQLite, rebuilt from the store at will.
 *
 * It lives in the cache directory and is never authority: a damaged or foreign file is thrown away
 * and made anew; where the directory cannot be written it lives in memory. The only includer of
 * <sqlite3.h> in the store. Threads: all calls may come from any thread. */
#ifndef MCFS_STORE_INDEX_H
#define MCFS_STORE_INDEX_H

#include <stdbool.h>

#include "engine/store/pack.h"

struct index;

/* `path` NULL: in memory. *ret_note, when not empty, says why the file could not be used. */
int index_open(struct index **ret, const char *path, const struct id *store, char *ret_note,
	size_t note_size, struct err *e) MUST_CHECK;
void index_close(struct index *ix);

int index_has_pack(struct index *ix, const struct id *id, bool *ret, struct err *e) MUST_CHECK;
/* Which index objects it holds. */
int index_has_object(struct index *ix, const struct id *id, bool *ret, struct err *e) MUST_CHECK;
/* All of them (the size is 0). Non-zero from `fn` stops and is the result. */
typedef int (*index_each_id)(void *ctx, const struct id *id, uint64_t size, struct err *e);
int index_each_object(struct index *ix, index_each_id fn, void *ctx, struct err *e) MUST_CHECK;
/* A file, and something went wrong with it since it was opened: its disk is full, say. */
bool index_file_failed(struct index *ix);
/* Go on, empty, in memory. */
int index_to_memory(struct index *ix, const struct id *store, struct err *e) MUST_CHECK;
/* Forget a pack and all blobs in it, and that its index object was ever read: the next open reads
 * the index objects again, in case the pack has come back. */
int index_drop_pack(struct index *ix, const struct id *pack, struct err *e) MUST_CHECK;
/* Index objects come and go (compact merges them). Begin: forget that these were read, and all that came
 * from footers, but no pack yet. Then add what is new; then drop the packs that no index object and no
 * footer lists any more, with their blobs. *ret: how many. */
int index_unlist_objects(struct index *ix, const struct id *v, size_t n, struct err *e) MUST_CHECK;
int index_drop_unlisted(struct index *ix, uint64_t *ret, struct err *e) MUST_CHECK;
/* Forget differences whose base is not there, and what builds on them. */
int index_drop_baseless(struct index *ix, struct err *e) MUST_CHECK;
/* Forget everything. */
int index_clear(struct index *ix, struct err *e) MUST_CHECK;

/* Take in all pack records of one index object (`id`, or NULL for none), all or nothing. */
int index_add_object(struct index *ix, const struct id *id, const struct span *records,
	size_t n_records, struct err *e) MUST_CHECK;

/* Many lookups come, from whichever thread, until it is called with false, as often as with true: they are quicker
 * together. Meanwhile they may not see for a while what other processes change in the cache, as if each had a cache of
 * its own; who finds a blob gone refreshes anyway, and sees it then. */
void index_many_lookups(struct index *ix, bool on);
/* The `nth` copy of a blob, from 0: two writers may have stored the same one. E_NOTFOUND. */
int index_find(struct index *ix, const struct name *name, unsigned nth, struct blob_loc *ret,
	struct err *e) MUST_CHECK;
/* The blob whose name starts with these bytes. */
int index_find_base(struct index *ix, const uint8_t base[BASE_BYTES], struct name *ret_name,
	struct blob_loc *ret, struct err *e) MUST_CHECK;

/* First all packs, then every copy of every blob, by name, copies of one side by side, in one moment of
 * the index. Pack numbers mean something within one call only. The functions must not call the
 * index; `on_pack` may be NULL. */
struct index_visit {
	int (*on_pack)(void *ctx, uint64_t pack_no, const struct id *id, uint64_t size,
		struct err *e);
	int (*on_blob)(void *ctx, const struct name *name, uint64_t pack_no,
		const struct blob_loc *l, struct err *e);
	void *ctx;
};
int index_scan(struct index *ix, const struct index_visit *v, struct err *e) MUST_CHECK;
/* Which index objects list a pack. */
typedef int (*index_each_listing)(void *ctx, const struct id *pack, const struct id *object,
	struct err *e);
int index_each_listed(struct index *ix, index_each_listing fn, void *ctx, struct err *e) MUST_CHECK;

/* All packs; all blobs of a pack in the order in which they lie in it. Non-zero from `fn` stops. */
int index_each_pack(struct index *ix, index_each_id fn, void *ctx, struct err *e) MUST_CHECK;
int index_each_blob(struct index *ix, const struct id *pack, pack_each fn, void *ctx,
	struct err *e) MUST_CHECK;
int index_count_blobs(struct index *ix, uint64_t *ret, struct err *e) MUST_CHECK;

#endif
