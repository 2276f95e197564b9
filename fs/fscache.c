#include "fs/fscache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"

#define SHARDS 16
#define BUCKETS 1024

struct slot {
	struct piece_key key;
	struct piece *piece; /* NULL while it is being made; then it is in no order of use */
	struct slot *hash_next;
	struct slot *newer, *older;
	size_t cost;
};

struct shard {
	pthread_mutex_t m;
	pthread_cond_t made; /* something that was being made is there, or failed */
	struct slot *newest, *oldest;
	struct slot *bucket[BUCKETS];
};

struct fscache {
	size_t max;
	_Atomic size_t bytes;
	_Atomic uint64_t hits, misses;
	struct shard shard[SHARDS];
};

int fscache_new(struct fscache **ret, size_t bytes, struct err *e)
{
	struct fscache *fc = calloc(1, sizeof *fc);
	if (!fc)
		return err_set(e, E_NOMEM, 0, "no memory for a cache");
	fc->max = bytes;
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&fc->shard[i].m, NULL);
		pthread_cond_init(&fc->shard[i].made, NULL);
	}
	*ret = fc;
	return 0;
}

void piece_unref(struct piece *p)
{
	if (p && atomic_fetch_sub(&p->refs, 1) == 1) {
		buf_free(&p->own);
		plain_unref(p->plain);
		free(p);
	}
}

static struct piece *piece_new(void)
{
	struct piece *p = calloc(1, sizeof *p);
	if (p)
		atomic_init(&p->refs, 1);
	return p;
}

struct piece *piece_of(struct buf *b)
{
	struct piece *p = piece_new();
	if (p) {
		p->own = take_buf(b);
		p->data = buf_span(&p->own);
	}
	return p;
}

struct piece *piece_ref(struct piece *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

static struct shard *shard_of(struct fscache *fc, const struct piece_key *k)
{
	/* Names are uniform; pieces of one blob may go to different shards. */
	return &fc->shard[(k->name.b[0] ^ k->what) % SHARDS];
}

static struct slot **bucket_of(struct shard *sh, const struct piece_key *k)
{
	uint32_t h = get_le32(k->name.b + 1) ^ k->what * 2654435761u;
	return &sh->bucket[h % BUCKETS];
}

static struct slot *find(struct shard *sh, const struct piece_key *k)
{
	struct slot *s = *bucket_of(sh, k);
	while (s && (s->key.what != k->what || name_cmp(&s->key.name, &k->name) != 0))
		s = s->hash_next;
	return s;
}

static void unlink_use(struct shard *sh, struct slot *s)
{
	*(s->newer ? &s->newer->older : &sh->newest) = s->older;
	*(s->older ? &s->older->newer : &sh->oldest) = s->newer;
	s->newer = s->older = NULL;
}

static void link_newest(struct shard *sh, struct slot *s)
{
	s->older = sh->newest;
	*(sh->newest ? &sh->newest->newer : &sh->oldest) = s;
	sh->newest = s;
}

static void remove_hash(struct shard *sh, struct slot *s)
{
	struct slot **pp = bucket_of(sh, &s->key);
	while (*pp != s)
		pp = &(*pp)->hash_next;
	*pp = s->hash_next;
}

static void drop_oldest(struct fscache *fc, struct shard *sh)
{
	struct slot *s = sh->oldest;
	remove_hash(sh, s);
	unlink_use(sh, s);
	atomic_fetch_sub(&fc->bytes, s->cost);
	piece_unref(s->piece);
	free(s);
}

void fscache_free(struct fscache *fc)
{
	if (!fc)
		return;
	for (int i = 0; i < SHARDS; i++) {
		while (fc->shard[i].oldest)
			drop_oldest(fc, &fc->shard[i]);
		pthread_mutex_destroy(&fc->shard[i].m);
		pthread_cond_destroy(&fc->shard[i].made);
	}
	free(fc);
}

/* Called without a lock. Takes from all shards in turn, a few at a time, until it fits. */
static void make_room(struct fscache *fc, struct shard *first)
{
	size_t at = (size_t)(first - fc->shard), idle = 0;
	while (atomic_load(&fc->bytes) > fc->max && idle < SHARDS) {
		struct shard *sh = &fc->shard[at++ % SHARDS];
		LOCK_SCOPE(&sh->m);
		idle = sh->oldest ? 0 : idle + 1;
		for (int i = 0; i < 4 && sh->oldest && atomic_load(&fc->bytes) > fc->max; i++)
			drop_oldest(fc, sh);
	}
}

/* The piece, or an empty slot that the caller must fill, or NULL without memory. */
static struct slot *claim(struct fscache *fc, struct shard *sh, const struct piece_key *key,
	struct piece **ret)
{
	LOCK_SCOPE(&sh->m);
	struct slot *s;
	while ((s = find(sh, key)) && !s->piece)
		pthread_cond_wait(&sh->made, &sh->m);
	if (s) {
		unlink_use(sh, s);
		link_newest(sh, s);
		*ret = piece_ref(s->piece);
		atomic_fetch_add(&fc->hits, 1);
		return s;
	}
	atomic_fetch_add(&fc->misses, 1);
	s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->key = *key;
	struct slot **b = bucket_of(sh, key);
	s->hash_next = *b;
	*b = s;
	return s;
}

static void settle(struct fscache *fc, struct shard *sh, struct slot *s, struct piece *p)
{
	LOCK_SCOPE(&sh->m);
	pthread_cond_broadcast(&sh->made);
	if (!p) {
		remove_hash(sh, s);
		free(s);
		return;
	}
	s->piece = piece_ref(p);
	s->cost = sizeof *s + sizeof *p + (p->plain ? p->plain->data.cap : p->own.cap);
	atomic_fetch_add(&fc->bytes, s->cost);
	link_newest(sh, s);
}

int fscache_get(struct fscache *fc, struct coder *c, const struct piece_key *key, piece_make make,
	void *ctx, struct piece **ret, struct err *e)
{
	struct shard *sh = shard_of(fc, key);
	*ret = NULL;
	struct slot *s = claim(fc, sh, key, ret);
	if (*ret)
		return 0;
	if (!s)
		return err_set(e, E_NOMEM, 0, "no memory for a part of a file");
	struct piece *p = piece_new();
	int r = p ? make(ctx, c, p, e)
		  : err_set(e, E_NOMEM, 0, "no memory for a part of a file");
	if (r < 0) {
		settle(fc, sh, s, NULL);
		piece_unref(p);
		return r;
	}
	settle(fc, sh, s, p);
	*ret = p;
	make_room(fc, sh);
	return 0;
}

bool fscache_has(struct fscache *fc, const struct piece_key *key)
{
	struct shard *sh = shard_of(fc, key);
	LOCK_SCOPE(&sh->m);
	return find(sh, key) != NULL;
}

void fscache_stats(struct fscache *fc, struct fscache_stats *ret)
{
	ret->hits = atomic_load(&fc->hits);
	ret->misses = atomic_load(&fc->misses);
	ret->bytes = atomic_load(&fc->bytes);
}
