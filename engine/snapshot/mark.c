#include "engine/snapshot/mark.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/snapshot/forgotten.h"
#include "engine/snapshot/layout.h"
#include "engine/snapshot/map.h"
#include "engine/snapshot/tree.h"

/* A node that is to be read: of a directory, of a list of pieces, or a layout. */
struct mark_todo {
	struct name name;
	uint8_t flag; /* BLOB_TREE, BLOB_MAP, BLOB_LAYOUT */
	uint8_t level;
};

static int push(struct marker *m, const struct name *name, uint8_t flag, uint8_t level,
	struct err *e)
{
	if (m->n_todo == m->cap_todo) {
		size_t cap = m->cap_todo ? m->cap_todo * 2 : 1024;
		struct mark_todo *v = realloc(m->todo, cap * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for directories to look at");
		m->todo = v;
		m->cap_todo = cap;
	}
	m->todo[m->n_todo++] = (struct mark_todo){*name, flag, level};
	return 0;
}

/* A blob is named. With `flag` it is also to be walked, once. */
static int name_blob(struct marker *m, const struct name *name, uint8_t flag, uint8_t level,
	struct err *e)
{
	uint32_t i = blobtab_find(m->tab, name);
	if (i != BLOBTAB_NONE && m->tab->rank[i] != RANK_NONE) {
		m->tab->flags[i] |= BLOB_LIVE;
		blobtab_need(m->tab, i);
		if (!flag || (m->tab->flags[i] & flag))
			return 0;
		m->tab->flags[i] |= flag;
		return push(m, name, flag, level, e);
	}
	/* Stored since the table was made, or not there at all. */
	if (!store_has(m->s, name)) {
		int r = store_refresh(m->s, e);
		if (r < 0)
			return r;
		char hex[2 * ID_BYTES + 1];
		/* A repair gave it up: it is known to be gone, and what else the file has stays. */
		if (!store_has(m->s, name) && store_is_lost(m->s, name))
			return 0;
		if (!store_has(m->s, name))
			return err_set(e, E_CORRUPT, 0, "blob %s is in no pack of the store",
				hex_of(name->b, 8, hex));
	}
	struct name walked = *name;
	walked.b[NAME_BYTES - 1] ^= flag; /* as what it was walked */
	if (!flag || nameset_has(&m->strange, &walked))
		return 0;
	int r = nameset_add(&m->strange, &walked, e);
	return r < 0 ? r : push(m, name, flag, level, e);
}

static int name_content(struct marker *m, const struct content *c, struct err *e)
{
	switch (c->kind) {
	case CONTENT_BLOB:
		return name_blob(m, &c->name, 0, 0, e);
	case CONTENT_MAP:
		return name_blob(m, &c->name, BLOB_MAP, c->level, e);
	case CONTENT_REGION:
		return name_blob(m, &c->name, BLOB_LAYOUT, 0, e);
	case CONTENT_TREE:
		return name_blob(m, &c->name, BLOB_TREE, c->level, e);
	default:
		return 0;
	}
}

static int walk_tree(struct marker *m, const struct mark_todo *t, struct span node, struct err *e)
{
	struct tree_node n;
	struct entry en;
	struct name child;
	int r = tree_node_open(&n, node, t->level, e);
	while (r == 0 && n.left) {
		if (t->level == 0) {
			r = tree_node_entry(&n, &en, e);
			if (r == 0)
				r = name_content(m, &en.content, e);
		} else {
			r = tree_node_child(&n, &child, e);
			if (r == 0)
				r = name_blob(m, &child, BLOB_TREE, (uint8_t)(t->level - 1), e);
		}
	}
	return r;
}

static int walk_map(struct marker *m, const struct mark_todo *t, struct span node, struct err *e)
{
	struct map_node n;
	struct name name;
	bool hole;
	int r = map_node_open(&n, node, t->level, e);
	while (r == 0 && n.left) {
		r = map_node_item(&n, &name, &hole, e);
		if (r == 0 && !hole)
			r = name_blob(m, &name, t->level ? BLOB_MAP : 0,
				(uint8_t)(t->level ? t->level - 1 : 0), e);
	}
	return r;
}

static int walk_layout(struct marker *m, struct span node, struct err *e)
{
	struct layout l = {0};
	int r = layout_get(node, &l, e);
	for (size_t i = 0; i < l.n_sources && r == 0; i++)
		if (i >= LAYOUT_GROUPS || l.has_group[i])
			r = name_blob(m, &l.sources[i].name, 0, 0, e);
	layout_free(&l);
	return r;
}

static int walk_one(struct marker *m, const struct mark_todo *t, struct err *e)
{
	CLEANUP_PLAIN struct plain *p = NULL;
	int r = store_plain(m->s, m->c, &t->name, &p, e);
	if (r < 0)
		return r;
	struct span node = buf_span(&p->data);
	switch (t->flag) {
	case BLOB_TREE:
		return walk_tree(m, t, node, e);
	case BLOB_MAP:
		return walk_map(m, t, node, e);
	default:
		return walk_layout(m, node, e);
	}
}

static int mark_snapshot(struct marker *m, const struct snapshot *sn, uint64_t *new, struct err *e)
{
	if (nameset_has_id(&m->done, &sn->id))
		return 0;
	++*new;
	int r = name_content(m, &sn->root, e);
	while (r == 0 && m->n_todo) {
		struct mark_todo t = m->todo[--m->n_todo];
		r = m->cancel && *m->cancel ? err_set(e, E_CANCELLED, 0, "interrupted")
					    : walk_one(m, &t, e);
		m->nodes++;
		if (m->on_progress && m->nodes % 64 == 0)
			m->on_progress(m->ctx, m->roots, m->nodes);
	}
	if (r < 0)
		return r == E_CANCELLED ? r : err_wrap(e, "snapshot %s", sn->name);
	m->roots++;
	return nameset_add_id(&m->done, &sn->id, e);
}

static int each_snapshot(struct marker *m, uint64_t *new, struct err *e)
{
	struct snapshot_list l;
	int r = snapshot_list_load(&l, m->s, e);
	if (r == 0 && l.damaged)
		r = err_set(e, E_CORRUPT, 0, "%zu snapshot object%s damaged, and what is needed "
			"cannot be told: %.300s", l.damaged, l.damaged == 1 ? " is" : "s are",
			l.first_damage.msg);
	for (size_t i = 0; i < l.n && r == 0; i++)
		r = mark_snapshot(m, &l.v[i], new, e);
	snapshot_list_free(&l);
	return r;
}

static int mark_forgotten(struct marker *m, uint64_t *new, struct err *e)
{
	struct forgotten_list l;
	int r = forgotten_load(&l, m->s, e);
	for (size_t i = 0; i < l.n && r == 0; i++)
		r = mark_snapshot(m, &l.v[i].sn, new, e);
	forgotten_free(&l);
	return r;
}

int mark_snapshots(struct marker *m, uint64_t *ret_new, struct err *e)
{
	*ret_new = 0;
	return each_snapshot(m, ret_new, e);
}

int mark_all(struct marker *m, uint64_t *ret_new, struct err *e)
{
	*ret_new = 0;
	/* Snapshots move between the two places: put first, removed after. Twice in this order misses
	 * none that moves once. */
	int r = each_snapshot(m, ret_new, e);
	if (r == 0)
		r = mark_forgotten(m, ret_new, e);
	if (r == 0)
		r = each_snapshot(m, ret_new, e);
	return r == 0 ? mark_forgotten(m, ret_new, e) : r;
}

void marker_free(struct marker *m)
{
	nameset_free(&m->done);
	nameset_free(&m->strange);
	free(m->todo);
	m->todo = NULL;
	m->n_todo = m->cap_todo = 0;
}
