#include "engine/store/id_list.h"

#include <stdlib.h>
#include <string.h>

int id_list_add(struct id_list *l, const struct id *id, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 4;
		struct id *v = realloc(l->v, cap * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a list of ids");
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *id;
	return 0;
}

int id_list_collect(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	(void)size;
	return id_list_add(ctx, id, e);
}

bool id_list_has(const struct id_list *l, const struct id *id)
{
	for (size_t i = 0; i < l->n; i++)
		if (memcmp(&l->v[i], id, sizeof *id) == 0)
			return true;
	return false;
}

void id_list_free(struct id_list *l)
{
	free(l->v);
	*l = (struct id_list){0};
}
