#include "engine/snapshot/seen_links.h"

#include <stdlib.h>
#include <string.h>

/* Open addressing, a power of two of places, at most three quarters full; path NULL: free. */
struct seen_link {
	uint64_t ino, dev;
	char *path;
};

static struct seen_link *place_of(struct seen_link *v, size_t cap, uint64_t ino, uint64_t dev)
{
	size_t i = (size_t)((ino ^ dev << 32) * 0x9e3779b97f4a7c15u >> 20) & (cap - 1);
	while (v[i].path && (v[i].ino != ino || v[i].dev != dev))
		i = (i + 1) & (cap - 1);
	return &v[i];
}

const char *seen_links_find(const struct seen_links *l, uint64_t ino, uint64_t dev)
{
	return l->cap ? place_of(l->v, l->cap, ino, dev)->path : NULL;
}

static int grow(struct seen_links *l, struct err *e)
{
	size_t cap = l->cap ? l->cap * 2 : 64;
	struct seen_link *v = calloc(cap, sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for hard links");
	for (size_t i = 0; i < l->cap; i++)
		if (l->v[i].path)
			*place_of(v, cap, l->v[i].ino, l->v[i].dev) = l->v[i];
	free(l->v);
	l->v = v;
	l->cap = cap;
	return 0;
}

int seen_links_add(struct seen_links *l, uint64_t ino, uint64_t dev, const char *path,
	struct err *e)
{
	int r = l->n * 4 >= l->cap * 3 ? grow(l, e) : 0;
	if (r < 0)
		return r;
	char *copy = strdup(path);
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for hard links");
	*place_of(l->v, l->cap, ino, dev) = (struct seen_link){ino, dev, copy};
	l->n++;
	return 0;
}

void seen_links_free(struct seen_links *l)
{
	for (size_t i = 0; i < l->cap; i++)
		free(l->v[i].path);
	free(l->v);
	*l = (struct seen_links){0};
}
