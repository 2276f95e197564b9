#include "engine/store/pending.h"

#include <stdlib.h>
#include <string.h>

/* Open addressing; names are uniform, so their first bytes are the hash. */
static size_t home(const struct pending *p, const uint8_t *name)
{
	uint64_t h;
	memcpy(&h, name, sizeof h);
	return (size_t)h & (p->cap - 1);
}

static struct pending_entry *probe(struct pending *p, const uint8_t *name, size_t n)
{
	if (!p->cap)
		return NULL;
	for (size_t i = home(p, name);; i = (i + 1) & (p->cap - 1)) {
		struct pending_entry *x = &p->e[i];
		if (x->state == PENDING_FREE || memcmp(x->name.b, name, n) == 0)
			return x;
	}
}

struct pending_entry *pending_find(struct pending *p, const struct name *name)
{
	struct pending_entry *x = probe(p, name->b, NAME_BYTES);
	return x && x->state != PENDING_FREE ? x : NULL;
}

struct pending_entry *pending_find_base(struct pending *p, const uint8_t base[BASE_BYTES])
{
	struct pending_entry *x = probe(p, base, BASE_BYTES);
	return x && x->state != PENDING_FREE ? x : NULL;
}

static int rebuild(struct pending *p, size_t cap, const struct id *only, struct err *e)
{
	struct pending n = {calloc(cap, sizeof *n.e), cap, 0};
	if (!n.e)
		return err_set(e, E_NOMEM, 0, "no memory for the list of new blobs");
	for (size_t i = 0; i < p->cap; i++) {
		struct pending_entry *x = &p->e[i];
		if (x->state == PENDING_FREE || (only && x->state == PENDING_WRITTEN &&
							memcmp(&x->loc.pack, only, sizeof *only)))
			continue;
		*probe(&n, x->name.b, NAME_BYTES) = *x;
		n.used++;
	}
	free(p->e);
	*p = n;
	return 0;
}

int pending_add(struct pending *p, const struct name *name, struct err *e)
{
	if (p->used * 4 >= p->cap * 3) {
		int r = rebuild(p, p->cap ? p->cap * 2 : 1024, NULL, e);
		if (r < 0)
			return r;
	}
	struct pending_entry *x = probe(p, name->b, NAME_BYTES);
	x->name = *name;
	x->state = PENDING_RESERVED;
	p->used++;
	return 0;
}

int pending_keep_pack(struct pending *p, const struct id *pack, struct err *e)
{
	return p->cap ? rebuild(p, p->cap, pack, e) : 0;
}

void pending_free(struct pending *p)
{
	free(p->e);
	*p = (struct pending){0};
}
