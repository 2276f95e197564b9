#include "engine/store/nameset.h"

#include <stdlib.h>
#include <string.h>

/* Open addressing; names are uniform, so their first bytes are the hash. */
static size_t place_of(const struct nameset *s, const struct name *name)
{
	uint64_t h;
	memcpy(&h, name->b, sizeof h);
	size_t i = (size_t)h & (s->cap - 1);
	while (s->taken[i] && name_cmp(&s->v[i], name) != 0)
		i = (i + 1) & (s->cap - 1);
	return i;
}

bool nameset_has(const struct nameset *s, const struct name *name)
{
	return s->cap && s->taken[place_of(s, name)];
}

static int grow(struct nameset *s, struct err *e)
{
	size_t cap = s->cap ? s->cap * 2 : 256;
	struct nameset n = {calloc(cap, sizeof *n.v), calloc(cap, 1), s->n, cap};
	if (!n.v || !n.taken) {
		nameset_free(&n);
		return err_set(e, E_NOMEM, 0, "no memory for a set of names");
	}
	for (size_t i = 0; i < s->cap; i++)
		if (s->taken[i]) {
			size_t k = place_of(&n, &s->v[i]);
			n.v[k] = s->v[i];
			n.taken[k] = 1;
		}
	nameset_free(s);
	*s = n;
	return 0;
}

int nameset_add(struct nameset *s, const struct name *name, struct err *e)
{
	if (s->n * 4 >= s->cap * 3) {
		int r = grow(s, e);
		if (r < 0)
			return r;
	}
	size_t i = place_of(s, name);
	if (!s->taken[i]) {
		s->taken[i] = 1;
		s->v[i] = *name;
		s->n++;
	}
	return 0;
}

static struct name padded(const struct id *id)
{
	struct name n = {{0}};
	memcpy(n.b, id->b, ID_BYTES);
	return n;
}

bool nameset_has_id(const struct nameset *s, const struct id *id)
{
	struct name n = padded(id);
	return nameset_has(s, &n);
}

int nameset_add_id(struct nameset *s, const struct id *id, struct err *e)
{
	struct name n = padded(id);
	return nameset_add(s, &n, e);
}

void nameset_free(struct nameset *s)
{
	free(s->v);
	free(s->taken);
	*s = (struct nameset){0};
}
