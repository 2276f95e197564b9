/* store.h - a store: blobs by name, written in transactions, and sealed objects beside them.
 *
 * Blobs live in frames in packs (pack.h); where each is stands in index objects, of which the
 * index (index.h) is a local cache. Order of a commit: packs, then the index object, then (by the
 * caller) the snapshot object, each durable before the next begins; docs/CRASH-SAFETY.md.
 *
 * Threads: reading and store_put() may be called from several threads, each with its own coder.
 * Begin, commit and abort belong to one thread while no other call is under way. */
#ifndef MCFS_STORE_STORE_H
#define MCFS_STORE_STORE_H

#include "engine/base/log.h"
#include "engine/store/cache.h"
#include "engine/store/coder.h"
#include "engine/store/config.h"
#include "engine/store/form.h"

struct store;

struct store_options {
	const char *cache_dir; /* for the index; NULL: in memory */
	size_t cache_bytes;    /* of decoded blobs; 0: a default */
	const char *what;      /* what this is for, in the lock that others see: "snapshot" */
	unsigned lock_interval_ms; /* from one renewal of a lock to the next; 0: a minute */
	struct log log;
};

/* Make a store in an empty place. `cfg` gives the options and receives id and time. */
int store_create(struct object_place *place, struct store_config *cfg,
	const struct secret *secret, struct err *e) MUST_CHECK;
/* What the config says in the clear, to find the right key. */
int store_peek(struct object_place *place, struct store_config *cfg, unsigned *ret_kinds,
	struct err *e) MUST_CHECK;
/* The config's text: of `config`, or where that is missing or damaged, of its second copy. *ret_flaw (may be
 * NULL): what is the matter with the first, code 0 when nothing is. And to put a changed one (config.h,
 * config_edit) in its place: the old one stays until the new one is durable. Of two who change it at a time one
 * would lose: take an exclusive lock (lock.h). */
int store_config_read(struct object_place *place, struct buf *text, struct err *ret_flaw,
	struct err *e) MUST_CHECK;
int store_config_replace(struct object_place *place, struct span text, struct err *e) MUST_CHECK;
/* In an empty place; E_EXISTS when there is a config. */
int store_config_create(struct object_place *place, struct span text, struct err *e) MUST_CHECK;
/* Open; takes the place in any case. Brings the index up to date. */
int store_open(struct store **ret, struct object_place *place, const struct secret *secret,
	const struct store_options *opt, struct err *e) MUST_CHECK;
void store_close(struct store *s);

const struct store_config *store_config(const struct store *s);
const struct keys *store_keys(const struct store *s);
const struct log *store_log(const struct store *s);
struct object_place *store_place(struct store *s);
struct index *store_index(struct store *s);
/* Learn of index objects that other writers have added since, and of packs that compact has removed.
 * Reading does so by itself when a blob is not where it was. May be called from any thread. */
int store_refresh(struct store *s, struct err *e) MUST_CHECK;
/* The same; *ret_news: how much was new. */
int store_refresh_news(struct store *s, uint64_t *ret_news, struct err *e) MUST_CHECK;
/* Learn, from their footers, of packs that no index object lists, for as long as the index objects stay as
 * they are: what an index object listed that is gone. Those that cannot be read are told to the log. */
int store_recover(struct store *s, struct err *e) MUST_CHECK;
/* At the last refresh, index objects named packs that were not there. */
bool store_left_out(const struct store *s);

/* Read. E_CORRUPT when the blob is missing or damaged, with pack and frame in the message. */
/* Is there a copy that can be decoded, as far as the index tells? */
bool store_has(struct store *s, const struct name *name);
int store_plain(struct store *s, struct coder *c, const struct name *name, struct plain **ret,
	struct err *e) MUST_CHECK;
/* The canonical bytes, appended; their name is recomputed and compared. */
int store_get(struct store *s, struct coder *c, const struct name *name, struct buf *out,
	struct err *e) MUST_CHECK;

/* Is it among what check --repair gave up (lost.h)? It may be in the store again. Any thread. */
bool store_is_lost(struct store *s, const struct name *name);
bool store_has_losses(struct store *s);

/* Write. Begin takes a lock (lock.h) unless one is held; it stays until store_end(), store_abort() or
 * store_close(). What older snapshots hold may be relied on only if they were listed after the begin. */
int store_begin(struct store *s, int level, struct err *e) MUST_CHECK;
/* Only the lock of a begin: what is listed after it may be relied on until store_end(). For those who name
 * what is there and store nothing. */
int store_enter(struct store *s, struct err *e) MUST_CHECK;
/* Store canonical bytes and tell their name. `base` (or NULL) names an older version of the same
 * thing, to store the difference against. Nothing happens when the blob is there already. Durable
 * after store_commit(). FORM_GROUP_KEPT and FORM_STREAM_KEPT store a blob as it is and need no base;
 * when such a one is the base of FORM_GROUP or FORM_STREAM, it is stored once more, inflated, as
 * store_recompress() does. */
int store_put(struct store *s, struct coder *c, enum form form, struct span canon,
	const struct name *base, struct name *ret, struct err *e) MUST_CHECK;
/* Store a blob that is there only kept (form_is_kept()) once more, inflated, under the same name: the
 * kept copy is not needed any longer then. Its size is in the stats. *ret_done is false when there
 * is nothing to do: it is no such blob, or an inflated copy is there or on its way. E_NOTFOUND:
 * no such blob; E_CORRUPT: it cannot be read, and nothing was stored. Within a transaction; durable
 * after store_commit(). Threads: as store_put().
 * Whoever removes copies must know: where a blob is there in both forms, differences rest on the
 * one that is not kept. */
int store_recompress(struct store *s, struct coder *c, const struct name *name, bool *ret_done,
	struct err *e) MUST_CHECK;
int store_commit(struct store *s, struct coder *c, struct err *e) MUST_CHECK;
/* True when packs were missing at store_begin(): what older snapshots name may not be there. */
bool store_lost_packs(const struct store *s);
/* Let the lock go, after what was committed is named by a durable snapshot. E_LOCKED when it had been
 * lost: then that snapshot must not be kept. store_still_ours() asks the same and keeps the lock. */
int store_still_ours(struct store *s, struct err *e) MUST_CHECK;
int store_end(struct store *s, struct err *e) MUST_CHECK;
/* Give up. What is complete is kept for the next run, where that works. */
void store_abort(struct store *s);

struct store_stats {
	uint64_t new_blobs, new_plain, new_bytes; /* bytes: as they lie in the store */
	uint64_t delta_blobs, packs;
};
void store_stats(struct store *s, struct store_stats *ret);

/* Sealed objects of a kind ("snapshots"), padded. The id is part of what is sealed. */
int store_object_put(struct store *s, const char *kind, const struct id *id, struct span content,
	bool replace, struct err *e) MUST_CHECK;
int store_object_get(struct store *s, const char *kind, const struct id *id, struct buf *out,
	struct err *e) MUST_CHECK;
/* Durable. E_NOTFOUND when there is none: of two who remove the same, one is told so. */
int store_object_remove(struct store *s, const char *kind, const struct id *id,
	struct err *e) MUST_CHECK;
/* Many at once, as object.h has it: with fewer waits for the disk. To put replaces. */
struct store_object {
	struct id id;
	struct span content;
};
int store_object_put_all(struct store *s, const char *kind, const struct store_object *v, size_t n,
	struct err *e) MUST_CHECK;
int store_object_remove_all(struct store *s, const char *kind, const struct id *ids, size_t n,
	struct err *e) MUST_CHECK;
/* For processes that live, not durable: put without `replace`, and remove. */
int store_object_put_brief(struct store *s, const char *kind, const struct id *id, struct span content,
	struct err *e) MUST_CHECK;
int store_object_remove_brief(struct store *s, const char *kind, const struct id *id,
	struct err *e) MUST_CHECK;
/* As object.h has it: without sizes, and with them. */
typedef int (*store_object_each)(void *ctx, const struct id *id, uint64_t size, struct err *e);
int store_object_list(struct store *s, const char *kind, store_object_each fn, void *ctx,
	struct err *e) MUST_CHECK;
int store_object_list_sizes(struct store *s, const char *kind, store_object_each fn, void *ctx,
	struct err *e) MUST_CHECK;

/* Snapshots, forgotten ones and marks can be made from nothing else: while the store has parity they are
 * written with two copies in one object, of which a reader takes what opens; also when parity is gone again.
 * Both go through all of them and call `fn` (may be NULL) for each of which one copy is damaged. To mend is to
 * write such a one anew, and with `twice` also those that have one copy yet. */
typedef void (*store_copies_each)(void *ctx, const char *key, const char *what);
int store_copies_check(struct store *s, store_copies_each fn, void *ctx, struct err *e) MUST_CHECK;
int store_copies_mend(struct store *s, bool twice, store_copies_each fn, void *ctx,
	struct err *e) MUST_CHECK;
/* The same for the two copies of the config. *ret_stale: both are whole, and the second is not what `config` is:
 * a change of it was interrupted. To mend is for who holds the exclusive lock; of two that differ `config` counts. */
int store_config_check(struct store *s, bool *ret_stale, store_copies_each fn, void *ctx,
	struct err *e) MUST_CHECK;
int store_config_mend(struct store *s, store_copies_each fn, void *ctx, struct err *e) MUST_CHECK;

#endif
