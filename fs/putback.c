#include "fs/putback.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "fs/keeper.h"
#include "fs/regions.h"

#define SEEN 64
#define SKIP 64

struct sight {
	struct snap *snap;
	uint32_t dim; /* number of the dimension's node */
	int32_t x, z;
};

struct putback {
	pthread_mutex_t m;
	struct sight v[SEEN];
	unsigned n; /* ever */
};

int putback_new(struct putback **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		return err_set(e, E_NOMEM, 0, "no memory for what was read");
	pthread_mutex_init(&(*ret)->m, NULL);
	return 0;
}

void putback_free(struct putback *p)
{
	if (!p)
		return;
	for (int i = 0; i < SEEN; i++)
		snap_unref(p->v[i].snap);
	pthread_mutex_destroy(&p->m);
	free(p);
}

void putback_saw(struct putback *p, struct node n)
{
	const struct shelf_key *k = &n.shelf->key;
	LOCK_SCOPE(&p->m);
	const struct sight *last = p->n ? &p->v[(p->n - 1) % SEEN] : NULL;
	if (last && last->snap == k->snap && last->dim == k->dim && last->x == k->x &&
		last->z == k->z)
		return;
	struct sight *s = &p->v[p->n++ % SEEN];
	snap_unref(s->snap);
	*s = (struct sight){snap_ref(k->snap), k->dim, k->x, k->z};
}

/* ---- parts ---- */

static int read_part(struct call *cl, const struct world_place *p, int kind,
	const struct target *t, struct chunk_part *ret)
{
	struct region rg;
	int r = region_load(cl, p, kind, t->rx, t->rz, &rg);
	if (r == E_NOTFOUND) {
		cl->e = ERR_INIT;
		return 0;
	}
	if (r < 0)
		return r;
	if (region_has_chunk(&rg, (unsigned)t->slot)) {
		r = region_record(cl, &rg, (unsigned)t->slot, &ret->record, &ret->mcc,
			&ret->has_mcc);
		ret->present = r == 0;
		ret->entry = (struct region_entry){
			.timestamp = region_entry_at(rg.header, (unsigned)t->slot).timestamp};
		if (r == E_NOTFOUND) { /* of a live world: gone meanwhile */
			cl->e = ERR_INIT;
			r = 0;
		}
	}
	region_unload(cl, &rg);
	return r;
}

static int read_parts(struct call *cl, const struct world_place *p, const struct target *t,
	struct chunk_parts *ret)
{
	int r = 0;
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		r = read_part(cl, p, k, t, &ret->part[k]);
	return r < 0 ? err_wrap(&cl->e, "chunk %d,%d", target_x(t), target_z(t)) : 0;
}

int putback_live_parts(struct call *cl, const struct target *t, struct chunk_parts *ret)
{
	for (size_t i = 0; i < t->tree->worlds.n; i++) {
		const struct world_place *p = &t->tree->place[i];
		if (p->live == t->world && strcmp(p->name, t->dimension) == 0)
			return read_parts(cl, p, t, ret);
	}
	return err_set(&cl->e, E_NOTFOUND, 0, "no such dimension");
}

/* ---- searching ---- */

struct search {
	const struct target *t;
	struct span nbt;
	struct name skip[SKIP]; /* region files that were looked into in vain */
	unsigned n_skip;
};

static bool is_skipped(const struct search *s, const struct region *rg)
{
	for (unsigned i = 0; i < s->n_skip && i < SKIP; i++)
		if (name_cmp(&s->skip[i], &rg->en.content.name) == 0)
			return true;
	return false;
}

/* Has the place this very chunk? What cannot be read counts as no. */
static bool is_here(struct call *cl, struct search *s, const struct world_place *p)
{
	CLEANUP_PIECE struct piece *nbt = NULL;
	struct region rg;
	struct region_chunk ch;
	unsigned slot = (unsigned)s->t->slot;
	bool here = false;
	if (region_load(cl, p, s->t->kind, s->t->rx, s->t->rz, &rg) < 0)
		return false;
	if (!is_skipped(s, &rg)) {
		here = region_chunk(cl, &rg, slot, &ch) == 0 && ch.fine &&
		       ch.size == s->nbt.n && region_chunk_nbt(cl, &rg, slot, &nbt) == 0 &&
		       memcmp(nbt->data.p, s->nbt.p, s->nbt.n) == 0;
		if (!here)
			s->skip[s->n_skip++ % SKIP] = rg.en.content.name;
	}
	region_unload(cl, &rg);
	return here;
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Look in one snapshot; `dim`: only in this place, -1: in all of that dimension, those of the same
 * world first. */
static int search_snap(struct call *cl, struct search *s, struct snap *sn, int dim,
	struct chunk_parts *ret, bool *ret_found)
{
	CLEANUP_WORLD_TREE struct world_tree *tree = NULL;
	int r = world_tree_get(cl, sn, &tree);
	for (int pass = 0; pass < 2 && r == 0; pass++)
		for (size_t i = 0; i < tree->worlds.n && r == 0 && !*ret_found; i++) {
			const struct world_dim *d = &tree->worlds.v[i];
			bool same = strcmp(base_of(d->world), s->t->world->name) == 0;
			if ((dim >= 0 && (int)i != dim) || same != (pass == 0) ||
				strcmp(d->name, s->t->dimension) != 0 ||
				!is_here(cl, s, &tree->place[i]))
				continue;
			cl->e = ERR_INIT;
			r = read_parts(cl, &tree->place[i], s->t, ret);
			*ret_found = r == 0;
		}
	return r;
}

/* Which of those that were read lately have this region; last first. The caller has the references. */
static unsigned take_sights(struct putback *p, const struct target *t, struct sight out[SEEN])
{
	unsigned n = 0;
	LOCK_SCOPE(&p->m);
	for (unsigned i = 0; i < SEEN && i < p->n; i++) {
		const struct sight *s = &p->v[(p->n - 1 - i) % SEEN];
		if (s->x != t->rx || s->z != t->rz)
			continue;
		out[n++] = *s;
		snap_ref(s->snap);
	}
	return n;
}

static int search_sights(struct call *cl, struct search *s, struct chunk_parts *ret, char why[100],
	bool *ret_found)
{
	struct sight v[SEEN];
	unsigned n = take_sights(cl->fs->putback, s->t, v);
	int r = 0;
	for (unsigned i = 0; i < n; i++) {
		struct world_tree *tree = NULL;
		if (r == 0 && !*ret_found && world_tree_get(cl, v[i].snap, &tree) == 0) {
			int dim = v[i].dim < tree->n_nodes ? tree->node[v[i].dim].dim : -1;
			world_tree_unref(tree);
			if (dim >= 0)
				r = search_snap(cl, s, v[i].snap, dim, ret, ret_found);
			if (*ret_found)
				snprintf(why, 100, "put back from %s", v[i].snap->name);
		}
		snap_unref(v[i].snap);
	}
	return r;
}

int putback_find(struct call *cl, const struct target *t, struct span nbt, struct chunk_parts *ret,
	char why[100], bool *ret_found)
{
	struct search s = {.t = t, .nbt = nbt};
	CLEANUP_TOP_LIST struct top_list *l = top_get(cl->fs->top);
	*ret_found = false;
	int r = search_sights(cl, &s, ret, why, ret_found);
	for (size_t i = l->list.n; i-- && r == 0 && !*ret_found;) {
		r = search_snap(cl, &s, l->snap[i], -1, ret, ret_found);
		if (*ret_found)
			snprintf(why, 100, "put back from %s", l->snap[i]->name);
	}
	if (r == 0)
		cl->e = ERR_INIT;
	return r;
}
