/* What stands under `<<` joins its map: deeply when it was included, else as YAML's merge key. */
#include "engine/config/yaml_internal.h"

#include <string.h>

static const struct yaml_entry *find(const struct yaml_node *map, const char *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->v[i].key, key) == 0)
			return &map->v[i];
	return NULL;
}

/* A new node at the place of `like`, with room for n entries that are still to be set. */
static struct yaml_node *fresh(struct ydoc *y, const struct yaml_node *like, size_t n,
	struct yaml_entry **ret_v, struct err *e)
{
	if (ydoc_charge(y, (unsigned)n + 1, like->file, like->line, e) < 0)
		return NULL;
	struct yaml_node *out = ydoc_alloc(y, sizeof *out, e);
	*ret_v = out ? ydoc_alloc(y, n * sizeof **ret_v, e) : NULL;
	if (!*ret_v)
		return NULL;
	*out = (struct yaml_node){.kind = like->kind, .file = like->file, .line = like->line,
		.v = *ret_v};
	return out;
}

static void measure(struct yaml_node *n)
{
	n->weight = 1;
	n->height = 1;
	for (size_t i = 0; i < n->n; i++) {
		n->weight += n->v[i].value->weight;
		if (n->v[i].value->height >= n->height)
			n->height = n->v[i].value->height + 1;
	}
}

static bool omitted(const struct yaml_node *own, const struct yaml_node *item)
{
	for (size_t i = 0; i < own->n; i++) {
		const struct yaml_node *o = own->v[i].value;
		if ((o->mark & MARK_OMIT) && o->kind == YAML_SCALAR && item->kind == YAML_SCALAR &&
			strcmp(o->text, item->text) == 0)
			return true;
	}
	return false;
}

static int join_lists(struct ydoc *y, const struct yaml_node *base, const struct yaml_node *own,
	const struct yaml_node **ret, struct err *e)
{
	struct yaml_entry *v;
	struct yaml_node *out = fresh(y, own, base->n + own->n, &v, e);
	if (!out)
		return E_USAGE;
	for (size_t i = 0; i < base->n; i++)
		if (!omitted(own, base->v[i].value))
			v[out->n++] = base->v[i];
	for (size_t i = 0; i < own->n; i++)
		if (!(own->v[i].value->mark & MARK_OMIT))
			v[out->n++] = own->v[i];
	measure(out);
	*ret = out;
	return 0;
}

static int join_maps(struct ydoc *y, const struct yaml_node *base, const struct yaml_node *own,
	bool deep, const struct yaml_node **ret, struct err *e);

static int join(struct ydoc *y, const struct yaml_node *base, const struct yaml_node *own,
	const struct yaml_node **ret, struct err *e)
{
	*ret = own;
	if (base->kind != own->kind || (own->mark & MARK_RETAIN) || own->kind == YAML_SCALAR)
		return 0;
	return own->kind == YAML_LIST ? join_lists(y, base, own, ret, e)
				      : join_maps(y, base, own, true, ret, e);
}

/* The pairs of `own`, in their order, and those of `base` that it has not, before them. */
static int join_maps(struct ydoc *y, const struct yaml_node *base, const struct yaml_node *own,
	bool deep, const struct yaml_node **ret, struct err *e)
{
	struct yaml_entry *v;
	struct yaml_node *out = fresh(y, own, base->n + own->n, &v, e);
	if (!out)
		return E_USAGE;
	for (size_t i = 0; i < base->n; i++)
		if (!find(own, base->v[i].key))
			v[out->n++] = base->v[i];
	for (size_t i = 0; i < own->n; i++) {
		const struct yaml_entry *b = find(base, own->v[i].key);
		v[out->n] = own->v[i];
		if (b && deep) {
			int r = join(y, b->value, own->v[i].value, &v[out->n].value, e);
			if (r < 0)
				return r;
		}
		out->n++;
	}
	measure(out);
	*ret = out;
	return 0;
}

/* `<<` may name one map or a list of them. Of included files the later wins, of aliases the earlier, as YAML
 * has it. */
static int merge_value(struct ydoc *y, const struct yaml_node *value,
	const struct yaml_node **acc, struct err *e)
{
	if (value->kind == YAML_LIST) {
		bool files = value->n && (value->v[0].value->mark & MARK_INCLUDED);
		for (size_t i = 0; i < value->n; i++) {
			size_t at = files ? value->n - 1 - i : i;
			if (value->v[at].value->kind == YAML_LIST)
				return ydoc_err(e, value, "<< takes maps, not lists in lists");
			int r = merge_value(y, value->v[at].value, acc, e);
			if (r < 0)
				return r;
		}
		return 0;
	}
	if (value->kind != YAML_MAP)
		return ydoc_err(e, value, "<< takes the keys of a map; this is none");
	return join_maps(y, value, *acc, value->mark & MARK_INCLUDED, acc, e);
}

int ydoc_merge_keys(struct ydoc *y, struct yaml_node *map, struct err *e)
{
	struct yaml_entry *v;
	struct err own_err = ERR_INIT;
	struct yaml_node *own = fresh(y, map, map->n, &v, &own_err);
	int r = own ? 0 : own_err.code;
	for (size_t i = 0; own && i < map->n; i++)
		if (strcmp(map->v[i].key, "<<") != 0)
			v[own->n++] = map->v[i];
	if (own)
		measure(own);
	const struct yaml_node *acc = own;
	for (size_t i = 0; i < map->n && r == 0; i++)
		if (strcmp(map->v[i].key, "<<") == 0)
			r = merge_value(y, map->v[i].value, &acc, &own_err);
	if (r < 0)
		return err_pass(e, &own_err);
	uint8_t mark = map->mark;
	*map = *acc;
	map->mark = mark;
	return 0;
}
