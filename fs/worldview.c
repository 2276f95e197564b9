#include "fs/worldview.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/resolve.h"

#define KEPT 16

struct world_cache {
	pthread_mutex_t m;
	struct kept {
		struct snap *snap;
		struct world_tree *tree;
		uint64_t used;
	} kept[KEPT];
	uint64_t tick;
};

int world_cache_new(struct world_cache **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		return err_set(e, E_NOMEM, 0, "no memory for worlds");
	pthread_mutex_init(&(*ret)->m, NULL);
	return 0;
}

static void forget(struct kept *k)
{
	snap_unref(k->snap);
	world_tree_unref(k->tree);
	*k = (struct kept){0};
}

void world_cache_free(struct world_cache *w)
{
	if (!w)
		return;
	for (int i = 0; i < KEPT; i++)
		forget(&w->kept[i]);
	pthread_mutex_destroy(&w->m);
	free(w);
}

void world_tree_unref(struct world_tree *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	for (size_t i = 0; t->place && i < t->worlds.n; i++)
		free(t->place[i].edit_name);
	for (uint32_t i = 0; i < t->n_nodes; i++)
		free(t->node[i].name);
	free(t->place);
	free(t->node);
	worlds_free(&t->worlds);
	free(t);
}

struct world_tree *world_tree_ref(struct world_tree *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

int world_tree_child(const struct world_tree *t, uint32_t node, struct span name)
{
	const struct world_node *w = &t->node[node];
	for (uint32_t i = w->first; i < w->first + w->count; i++)
		if (strlen(t->node[i].name) == name.n &&
			memcmp(t->node[i].name, name.p, name.n) == 0)
			return (int)i;
	return -1;
}

/* ---- a snapshot as a world source ---- */

struct snap_look {
	struct call *cl;
	struct snapshot sn; /* as much of it as resolving paths takes */
};

static int list_snapshot(void *ctx, const char *dir, world_each fn, void *fn_ctx, struct err *e)
{
	struct snap_look *s = ctx;
	struct store *store = s->cl->fs->store;
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	struct tree_iter it;
	int r = resolve_path(store, s->cl->c, &s->sn, dir, &en, &hold, e);
	if (r == 0 && en.type != NODE_DIR)
		return 0;
	if (r == 0)
		r = tree_iter_open(&it, store, s->cl->c, &en.content, 0, e);
	if (r < 0)
		return r;
	while ((r = tree_iter_next(&it, &en, e)) == 1) {
		char name[256];
		memcpy(name, en.name.p, en.name.n);
		name[en.name.n] = 0;
		r = fn(fn_ctx, name, en.type == NODE_DIR, e);
		if (r)
			break;
	}
	tree_iter_close(&it);
	return r;
}

/* ---- places ---- */

static char *join(const char *a, const char *b)
{
	char *out;
	return asprintf(&out, "%s%s%s", a, *a && *b ? "/" : "", b) < 0 ? NULL : out;
}

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory for worlds");
}

static int entry_of(struct snap_look *s, const char *path, struct entry *ret, struct plain **hold,
	struct err *e)
{
	return resolve_path(s->cl->fs->store, s->cl->c, &s->sn, path, ret, hold, e);
}

/* Where a dimension's three kinds of files are; *ret_mode loses what any of them does not allow. */
static int find_dirs(struct snap_look *s, const struct world_dim *d, struct world_place *p,
	mode_t *ret_mode, struct err *e)
{
	for (int k = 0; k < SOURCE_KINDS; k++) {
		CLEANUP_PLAIN struct plain *hold = NULL;
		CLEANUP_FREE char *path = join(d->folder, source_kind_name[k]);
		struct entry en;
		if (!path)
			return no_memory(e);
		int r = entry_of(s, path, &en, &hold, e);
		if (r == E_NOTFOUND)
			continue;
		if (r < 0)
			return r;
		if (en.type != NODE_DIR)
			continue;
		p->dir[k] = en.content;
		*ret_mode &= en.mode;
	}
	return 0;
}

/* Bukkit calls a world's other dimensions "world_nether" and "world_the_end", WorldEdit as well. */
static char *edit_name_of(const struct world_dim *d, bool whole_path)
{
	const char *slash = strrchr(d->world, '/');
	const char *base = whole_path || !slash ? d->world : slash + 1;
	const char *tail = strcmp(d->name, "overworld") == 0	? ""
			   : strcmp(d->name, "the_nether") == 0 ? "_nether"
			   : strcmp(d->name, "the_end") == 0	? "_the_end"
								: NULL;
	char *out;
	if (!*base)
		base = "world";
	size_t n = strlen(base), t = tail ? strlen(tail) : 0;
	if (t && n > t && strcmp(base + n - t, tail) == 0)
		tail = ""; /* a split world has the name already */
	if (asprintf(&out, "%s%s%s", base, tail ? tail : "_", tail ? "" : d->name) < 0)
		return NULL;
	for (char *c = out; *c; c++)
		if (*c == '/')
			*c = '_';
	return out;
}

static int set_edit_name(struct world_tree *t, size_t i, struct err *e)
{
	struct world_place *p = &t->place[i];
	p->edit_name = edit_name_of(&t->worlds.v[i], false);
	for (size_t k = 0; p->edit_name && k < i; k++)
		if (strcmp(t->place[k].edit_name, p->edit_name) == 0) {
			free(p->edit_name);
			p->edit_name = edit_name_of(&t->worlds.v[i], true);
			break;
		}
	return p->edit_name ? 0 : no_memory(e);
}

/* ---- the directories above ---- */

struct path_of_dim {
	char *path; /* world/name */
	int dim;
};

/* Parts are compared one by one: '/' comes before everything. */
static int by_parts(const void *a, const void *b)
{
	const unsigned char *x = (const void *)((const struct path_of_dim *)a)->path;
	const unsigned char *y = (const void *)((const struct path_of_dim *)b)->path;
	for (; *x && *x == *y; x++, y++)
		;
	int cx = *x == '/' ? 1 : *x ? *x + 1 : 0, cy = *y == '/' ? 1 : *y ? *y + 1 : 0;
	return cx - cy;
}

struct range {
	size_t lo, hi, prefix; /* paths that go on behind this many bytes */
};

struct filling {
	world_stat stat;
	void *ctx;
};

/* The directory that a node stands for: of the path down to the world's own folder each part is
 * one; below that there are the dimension's folder and, in between, nothing but the world. */
static void stat_node(struct filling *s, struct world_tree *t, const struct path_of_dim *p,
	size_t len, struct world_node *n)
{
	const struct world_dim *d = &t->worlds.v[p->dim];
	size_t world = strlen(d->world);
	char *part = strndup(d->world, len < world ? len : world);
	s->stat(s->ctx, n->dim >= 0 ? t->worlds.v[n->dim].folder : part ? part : "", n);
	free(part);
}

static struct world_node *add_node(struct world_tree *t, const char *name, size_t n,
	uint32_t parent)
{
	struct world_node *v = t->node;
	if (!(t->n_nodes & (t->n_nodes - 1)))
		v = realloc(v, (t->n_nodes ? 2 * (size_t)t->n_nodes : 1) * sizeof *v);
	if (!v || t->n_nodes > SLOT_MAX)
		return NULL;
	t->node = v;
	struct world_node *w = &v[t->n_nodes];
	*w = (struct world_node){.name = strndup(name, n), .parent = parent, .dim = -1};
	if (!w->name)
		return NULL;
	t->n_nodes++;
	return w;
}

/* Make a node's children, one for each next part of its paths. */
static int add_children(struct filling *s, struct world_tree *t, const struct path_of_dim *paths,
	uint32_t i, struct range *ranges, struct err *e)
{
	struct range r = ranges[i];
	t->node[i].first = t->n_nodes;
	for (size_t k = r.lo; k < r.hi;) {
		const char *rest = paths[k].path + r.prefix;
		size_t n = strcspn(rest, "/"), end = k + 1;
		while (end < r.hi && strncmp(paths[end].path + r.prefix, rest, n) == 0 &&
			(paths[end].path[r.prefix + n] == '/' || !paths[end].path[r.prefix + n]))
			end++;
		struct world_node *w = add_node(t, rest, n, i);
		if (!w)
			return no_memory(e);
		struct range *mine = &ranges[t->n_nodes - 1];
		*mine = (struct range){k, end, r.prefix + n + 1};
		if (!rest[n]) { /* this very path ends here; longer ones follow it */
			w->dim = paths[k].dim;
			mine->lo = k + 1;
		}
		stat_node(s, t, &paths[k], r.prefix + n, w);
		t->node[i].count++;
		k = end;
	}
	return 0;
}

int world_tree_fill(struct world_tree *t, world_stat stat, void *ctx, struct err *e)
{
	struct filling f = {stat, ctx}, *s = &f;
	size_t n = t->worlds.n, parts = 1;
	struct path_of_dim *paths = calloc(n + 1, sizeof *paths);
	struct range *ranges = NULL;
	int r = paths ? 0 : no_memory(e);
	for (size_t i = 0; i < n && r == 0; i++) {
		paths[i] = (struct path_of_dim){join(t->worlds.v[i].world, t->worlds.v[i].name),
			(int)i};
		if (!paths[i].path)
			r = no_memory(e);
		for (const char *c = paths[i].path; c && *c; c++)
			parts += *c == '/';
		parts++;
	}
	if (r == 0 && n)
		qsort(paths, n, sizeof *paths, by_parts);
	if (r == 0 && (!(ranges = calloc(parts + 1, sizeof *ranges)) || !add_node(t, "", 0, 0)))
		r = no_memory(e);
	if (r == 0) {
		ranges[0] = (struct range){0, n, 0};
		stat(ctx, "", &t->node[0]);
	}
	for (uint32_t i = 0; i < t->n_nodes && r == 0; i++)
		r = add_children(s, t, paths, i, ranges, e);
	for (size_t i = 0; paths && i < n; i++)
		free(paths[i].path);
	free(paths);
	free(ranges);
	return r;
}

static void stat_in_snapshot(void *ctx, const char *path, struct world_node *n)
{
	struct snap_look *s = ctx;
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	struct err ignored = ERR_INIT;
	n->mode = 0555;
	n->uid = s->cl->fs->uid;
	n->gid = s->cl->fs->gid;
	n->mtime = s->sn.begin;
	if (entry_of(s, path, &en, &hold, &ignored) < 0)
		return;
	n->mode = en.mode & 0555;
	n->uid = en.uid;
	n->gid = en.gid;
	n->mtime = en.mtime;
}

static int fill_tree(struct snap_look *s, struct world_tree *t, struct err *e)
{
	struct world_source src = {list_snapshot, s};
	int r = worlds_find(&src, &t->worlds, e);
	if (r == 0 && !(t->place = calloc(t->worlds.n + 1, sizeof *t->place)))
		r = no_memory(e);
	if (r == 0)
		r = world_tree_fill(t, stat_in_snapshot, s, e);
	for (uint32_t i = 0; i < t->n_nodes && r == 0; i++) {
		int dim = t->node[i].dim;
		if (dim >= 0)
			r = find_dirs(s, &t->worlds.v[dim], &t->place[dim], &t->node[i].mode, e);
	}
	for (size_t i = 0; i < t->worlds.n && r == 0; i++)
		r = set_edit_name(t, i, e);
	return r;
}

int world_tree_get(struct call *cl, struct snap *sn, struct world_tree **ret)
{
	struct world_cache *w = cl->fs->worlds;
	struct snap_look s = {cl, {.root = sn->root, .begin = sn->begin}};
	memcpy(s.sn.name, sn->name, sizeof s.sn.name);
	/* Held while a tree is made: who comes second waits, and finds it. */
	LOCK_SCOPE(&w->m);
	struct kept *oldest = &w->kept[0];
	for (int i = 0; i < KEPT; i++) {
		struct kept *k = &w->kept[i];
		if (k->snap == sn) {
			k->used = ++w->tick;
			atomic_fetch_add(&k->tree->refs, 1);
			*ret = k->tree;
			return 0;
		}
		if (k->used < oldest->used)
			oldest = k;
	}
	struct world_tree *t = calloc(1, sizeof *t);
	if (!t)
		return no_memory(&cl->e);
	atomic_init(&t->refs, 2);
	int r = fill_tree(&s, t, &cl->e);
	if (r < 0) {
		atomic_init(&t->refs, 1);
		world_tree_unref(t);
		return r;
	}
	forget(oldest);
	*oldest = (struct kept){snap_ref(sn), t, ++w->tick};
	*ret = t;
	return 0;
}
