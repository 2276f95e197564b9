#include "fs/node.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define FIRST_BUCKETS 1024

struct nodes {
	pthread_mutex_t m;
	uint64_t last, count, buckets; /* buckets: a power of two */
	struct shelf **by_number, **by_key;
	struct shelf top;
};

int nodes_new(struct nodes **ret, struct err *e)
{
	struct nodes *n = calloc(1, sizeof *n);
	if (n) {
		pthread_mutex_init(&n->m, NULL);
		n->buckets = FIRST_BUCKETS;
		n->by_number = calloc(n->buckets, sizeof *n->by_number);
		n->by_key = calloc(n->buckets, sizeof *n->by_key);
	}
	if (!n || !n->by_number || !n->by_key) {
		nodes_free(n);
		return err_set(e, E_NOMEM, 0, "no memory for inode numbers");
	}
	n->top.dir_ino = 1;
	*ret = n;
	return 0;
}

static void free_shelf(struct shelf *s)
{
	snap_unref(s->key.snap);
	free(s->name);
	free(s);
}

void nodes_free(struct nodes *n)
{
	if (!n)
		return;
	for (uint64_t i = 0; n->by_number && i < n->buckets; i++)
		for (struct shelf *s = n->by_number[i], *next; s; s = next) {
			next = s->next_by_number;
			free_shelf(s);
		}
	free(n->by_number);
	free(n->by_key);
	pthread_mutex_destroy(&n->m);
	free(n);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 32;
}

static uint64_t hash_key(const struct shelf_key *k)
{
	uint64_t leaf;
	memcpy(&leaf, k->leaf.b, sizeof leaf); /* uniform, or zero */
	uint64_t h = mix(leaf, k->dir);
	h = mix(h, (uint64_t)k->kind << 32 | k->dim);
	h = mix(h, (uint64_t)(uint32_t)k->x << 32 | (uint32_t)k->z);
	return mix(h, k->snap ? k->snap->number : 0);
}

static bool same_key(const struct shelf_key *a, const struct shelf_key *b)
{
	return a->kind == b->kind && a->dim == b->dim && a->dir == b->dir && a->snap == b->snap &&
	       a->x == b->x && a->z == b->z && name_cmp(&a->leaf, &b->leaf) == 0;
}

static void link_shelf(struct nodes *n, struct shelf *s)
{
	struct shelf **b = &n->by_number[s->number & (n->buckets - 1)];
	s->next_by_number = *b;
	*b = s;
	b = &n->by_key[hash_key(&s->key) & (n->buckets - 1)];
	s->next_by_key = *b;
	*b = s;
}

/* Twice the buckets; without memory the chains grow longer instead. */
static void grow(struct nodes *n)
{
	uint64_t old = n->buckets;
	struct shelf **number = calloc(2 * old, sizeof *number);
	struct shelf **key = calloc(2 * old, sizeof *key), **was = n->by_number;
	if (!number || !key) {
		free(number);
		free(key);
		return;
	}
	free(n->by_key);
	n->by_number = number;
	n->by_key = key;
	n->buckets = 2 * old;
	for (uint64_t i = 0; i < old; i++)
		for (struct shelf *s = was[i], *next; s; s = next) {
			next = s->next_by_number;
			link_shelf(n, s);
		}
	free(was);
}

struct shelf *nodes_get(struct nodes *n, const struct shelf_key *key, uint64_t dir_ino,
	struct shelf *parent)
{
	return nodes_get_named(n, key, dir_ino, parent, (struct span){0});
}

struct shelf *nodes_get_named(struct nodes *n, const struct shelf_key *key, uint64_t dir_ino,
	struct shelf *parent, struct span name)
{
	LOCK_SCOPE(&n->m);
	struct shelf *s = n->by_key[hash_key(key) & (n->buckets - 1)];
	while (s && !same_key(&s->key, key))
		s = s->next_by_key;
	if (s) {
		s->refs++;
		return s;
	}
	s = calloc(1, sizeof *s);
	if (s && name.p && !(s->name = strndup((const char *)name.p, name.n)))
		free(TAKE_PTR(s));
	if (!s)
		return NULL;
	if (n->count >= 2 * n->buckets)
		grow(n);
	s->number = ++n->last;
	s->key = *key;
	s->dir_ino = dir_ino;
	s->parent = parent;
	s->refs = 1;
	if (parent)
		parent->refs++;
	snap_ref(key->snap);
	n->count++;
	link_shelf(n, s);
	return s;
}

struct shelf *nodes_find(struct nodes *n, uint64_t number)
{
	LOCK_SCOPE(&n->m);
	struct shelf *s = &n->top;
	if (number) {
		s = n->by_number[number & (n->buckets - 1)];
		while (s && s->number != number)
			s = s->next_by_number;
	}
	if (s)
		s->refs++;
	return s;
}

struct shelf *nodes_ref(struct nodes *n, struct shelf *s)
{
	LOCK_SCOPE(&n->m);
	s->refs++;
	return s;
}

static void unlink_shelf(struct nodes *n, struct shelf *s)
{
	struct shelf **pp = &n->by_number[s->number & (n->buckets - 1)];
	while (*pp != s)
		pp = &(*pp)->next_by_number;
	*pp = s->next_by_number;
	pp = &n->by_key[hash_key(&s->key) & (n->buckets - 1)];
	while (*pp != s)
		pp = &(*pp)->next_by_key;
	*pp = s->next_by_key;
}

void nodes_put(struct nodes *n, struct shelf *s, uint64_t count)
{
	LOCK_SCOPE(&n->m);
	while (s && s != &n->top) {
		/* More than was given out would be the kernel's mistake; keep the shelf then. */
		if (s->refs < count)
			return;
		s->refs -= count;
		if (s->refs)
			return;
		struct shelf *parent = s->parent;
		unlink_shelf(n, s);
		n->count--;
		free_shelf(s);
		s = parent;
		count = 1;
	}
}

uint64_t nodes_count(struct nodes *n)
{
	LOCK_SCOPE(&n->m);
	return n->count;
}
