/* A few names that moves left, the oldest overwritten first. */
#include "fs/landed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"

#define KEPT 16 /* moves at the same time, each by an mv of its own */
#define SECONDS 2

struct landing {
	uint64_t dir; /* 0: unused */
	char name[256];
	struct found was;
	time_t until; /* monotonic */
};

struct landed {
	pthread_mutex_t lock;
	struct nodes *nodes;
	struct landing v[KEPT];
	unsigned next;
};

static time_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

int landed_new(struct landed **ret, struct nodes *nodes, struct err *e)
{
	struct landed *l = calloc(1, sizeof *l);
	if (!l)
		return err_set(e, E_NOMEM, 0, "no memory for what is moved");
	pthread_mutex_init(&l->lock, NULL);
	l->nodes = nodes;
	*ret = l;
	return 0;
}

static void clear(struct landed *l, struct landing *g)
{
	if (g->dir)
		nodes_put(l->nodes, g->was.node.shelf, 1);
	g->dir = 0;
}

void landed_free(struct landed *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < KEPT; i++)
		clear(l, &l->v[i]);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void landed_note(struct landed *l, uint64_t dir, const char *name, const struct found *was)
{
	size_t n = strlen(name);
	LOCK_SCOPE(&l->lock);
	struct landing *g = &l->v[l->next++ % KEPT];
	clear(l, g);
	if (n < sizeof g->name) {
		*g = (struct landing){.dir = dir, .was = *was, .until = now() + SECONDS};
		memcpy(g->name, name, n);
		g->was.ttl = SECONDS; /* of the attributes: there is nobody to ask for them again */
		nodes_ref(l->nodes, was->node.shelf);
	}
}

bool landed_take(struct landed *l, uint64_t dir, const char *name, struct found *ret)
{
	if (!l)
		return false;
	LOCK_SCOPE(&l->lock);
	for (unsigned i = 0; i < KEPT; i++) {
		struct landing *g = &l->v[i];
		if (g->dir != dir || g->until < now() || strcmp(g->name, name) != 0)
			continue;
		*ret = g->was;
		g->dir = 0; /* the reference is the caller's now */
		return true;
	}
	return false;
}
