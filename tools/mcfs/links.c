#include "tools/mcfs/links.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct link {
	uint64_t dev, ino;
	uint32_t left; /* names that may still come */
	char name[];
};

static int cmp(const void *a, const void *b)
{
	const struct link *x = a, *y = b;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static struct link *find(const struct links *l, uint64_t dev, uint64_t ino)
{
	struct link key = {.dev = dev, .ino = ino};
	void *node = tfind(&key, &l->tree, cmp);
	return node ? *(struct link **)node : NULL;
}

const char *links_find(const struct links *l, uint64_t dev, uint64_t ino)
{
	struct link *k = find(l, dev, ino);
	return k ? k->name : NULL;
}

int links_add(struct links *l, uint64_t dev, uint64_t ino, uint32_t n, const char *name,
	struct err *e)
{
	struct link *k = malloc(sizeof *k + strlen(name) + 1);
	if (k) {
		k->dev = dev;
		k->ino = ino;
		k->left = n - 1;
		strcpy(k->name, name);
	}
	if (!k || !tsearch(k, &l->tree, cmp)) {
		free(k);
		return err_set(e, E_NOMEM, 0, "no memory for hard links");
	}
	return 0;
}

void links_use(struct links *l, uint64_t dev, uint64_t ino)
{
	struct link *k = find(l, dev, ino);
	if (!k || --k->left)
		return;
	tdelete(k, &l->tree, cmp);
	free(k);
}

void links_free(struct links *l)
{
	tdestroy(l->tree, free);
	l->tree = NULL;
}
