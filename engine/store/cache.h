/* cache.h - plain forms of blobs that were read lately, up to a number of bytes.
 *
 * A `struct plain` is shared and never changes; whoever holds one has a reference and releases it
 * with plain_unref(). Threads: all calls may come from any thread. */
#ifndef MCFS_STORE_CACHE_H
#define MCFS_STORE_CACHE_H

#include "engine/store/pack.h"

struct plain {
	struct buf data;
	uint32_t canon_len;
	uint8_t form, depth;
	uint8_t method;
	bool kept; /* made of FORM_GROUP_KEPT or _STREAM_KEPT: never the base of a difference */
	uint8_t base[BASE_BYTES]; /* what it is a delta of, when method says so */
	uint32_t packed_len;	  /* what it takes in the store */
	_Atomic unsigned refs;
};

struct plain_cache;
int plain_cache_new(struct plain_cache **ret, size_t bytes, struct err *e) MUST_CHECK;
void plain_cache_free(struct plain_cache *c);

/* A reference, or NULL. */
struct plain *plain_cache_get(struct plain_cache *c, const struct name *name);
/* Keep it (takes a reference of its own); the least recently used go when there is no room. One that
 * is not `kept` takes the place of one that is. */
void plain_cache_put(struct plain_cache *c, const struct name *name, struct plain *p);

struct plain *plain_new(void); /* one reference; NULL without memory */
struct plain *plain_ref(struct plain *p);
void plain_unref(struct plain *p); /* NULL is fine */

static inline void cleanup_plainp(struct plain **p)
{
	plain_unref(*p);
}
#define CLEANUP_PLAIN __attribute__((cleanup(cleanup_plainp)))

#endif
