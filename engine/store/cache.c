#include "engine/store/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define BUCKETS 4096

struct entry {
	struct name name;
	struct plain *plain;
	struct entry *hash_next;
	struct entry *newer, *older;
};

struct plain_cache {
	pthread_mutex_t m;
	size_t bytes, max;
	struct entry *newest, *oldest;
	struct entry *bucket[BUCKETS];
};

struct plain *plain_new(void)
{
	struct plain *p = calloc(1, sizeof *p);
	if (p)
		atomic_init(&p->refs, 1);
	return p;
}

struct plain *plain_ref(struct plain *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void plain_unref(struct plain *p)
{
	if (p && atomic_fetch_sub(&p->refs, 1) == 1) {
		buf_free(&p->data);
		free(p);
	}
}

int plain_cache_new(struct plain_cache **ret, size_t bytes, struct err *e)
{
	struct plain_cache *c = calloc(1, sizeof *c);
	if (!c)
		return err_set(e, E_NOMEM, 0, "no memory for a cache");
	pthread_mutex_init(&c->m, NULL);
	c->max = bytes;
	*ret = c;
	return 0;
}

static struct entry **bucket_of(struct plain_cache *c, const struct name *n)
{
	/* Names are uniform already. */
	return &c->bucket[(n->b[0] | (unsigned)n->b[1] << 8) % BUCKETS];
}

static struct entry *find(struct plain_cache *c, const struct name *n)
{
	struct entry *x = *bucket_of(c, n);
	while (x && name_cmp(&x->name, n) != 0)
		x = x->hash_next;
	return x;
}

static void unlink_use(struct plain_cache *c, struct entry *x)
{
	*(x->newer ? &x->newer->older : &c->newest) = x->older;
	*(x->older ? &x->older->newer : &c->oldest) = x->newer;
	x->newer = x->older = NULL;
}

static void link_newest(struct plain_cache *c, struct entry *x)
{
	x->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = x;
	c->newest = x;
}

static void drop(struct plain_cache *c, struct entry *x)
{
	struct entry **pp = bucket_of(c, &x->name);
	while (*pp != x)
		pp = &(*pp)->hash_next;
	*pp = x->hash_next;
	unlink_use(c, x);
	c->bytes -= x->plain->data.cap;
	plain_unref(x->plain);
	free(x);
}

void plain_cache_free(struct plain_cache *c)
{
	if (!c)
		return;
	while (c->oldest)
		drop(c, c->oldest);
	pthread_mutex_destroy(&c->m);
	free(c);
}

struct plain *plain_cache_get(struct plain_cache *c, const struct name *name)
{
	LOCK_SCOPE(&c->m);
	struct entry *x = find(c, name);
	if (!x)
		return NULL;
	unlink_use(c, x);
	link_newest(c, x);
	return plain_ref(x->plain);
}

void plain_cache_put(struct plain_cache *c, const struct name *name, struct plain *p)
{
	LOCK_SCOPE(&c->m);
	struct entry *old = find(c, name);
	if (p->data.cap > c->max / 2 || (old && (p->kept || !old->plain->kept)))
		return;
	if (old)
		drop(c, old);
	while (c->oldest && c->bytes + p->data.cap > c->max)
		drop(c, c->oldest);
	struct entry *x = calloc(1, sizeof *x);
	if (!x)
		return; /* a cache may forget */
	x->name = *name;
	x->plain = plain_ref(p);
	struct entry **b = bucket_of(c, name);
	x->hash_next = *b;
	*b = x;
	link_newest(c, x);
	c->bytes += p->data.cap;
}
