/* worldedit/<snapshot>/<world>/: the shape in which WorldEdit looks for snapshots of a world. A
 * world's nether and end appear as worlds of their own ("world_nether"), since WorldEdit does not
 * look into DIM-1 and DIM1. Everything here is a link to the file below snapshots/. */
#include <stdio.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/resolve.h"
#include "fs/topview.h"
#include "fs/worldview.h"

/* Slots of SHELF_EDIT: 8 for each dimension; 0 is its directory, then these. */
enum { EDIT_DIR, EDIT_LEVEL, EDIT_KIND /* + kind */, EDIT_END = EDIT_KIND + SOURCE_KINDS };
#define EDIT_BITS 3

static size_t dim_of(struct node n)
{
	return n.slot >> EDIT_BITS;
}

static unsigned part_of(struct node n)
{
	return n.slot & ((1u << EDIT_BITS) - 1);
}

static const char *part_name(unsigned part)
{
	return part == EDIT_LEVEL ? "level.dat" : source_kind_name[part - EDIT_KIND];
}

/* Every dimension has a level.dat here, or WorldEdit would not take it for a world: its own, or
 * that of the world. */
static int target_of(struct call *cl, const struct world_tree *t, struct node n, char **ret)
{
	const struct world_dim *d = &t->worlds.v[dim_of(n)];
	unsigned part = part_of(n);
	const char *dir = part == EDIT_LEVEL ? d->world : d->folder;
	int len = asprintf(ret, "../../../snapshots/%s/%s%s%s", n.shelf->key.snap->name, dir,
		*dir ? "/" : "", part_name(part));
	if (len >= 0)
		return 0;
	*ret = NULL;
	return err_set(&cl->e, E_NOMEM, 0, "no memory for a link");
}

static int tree_of(struct call *cl, struct node n, struct world_tree **ret)
{
	int r = world_tree_get(cl, n.shelf->key.snap, ret);
	if (r == 0 && n.shelf->key.kind == SHELF_EDIT && dim_of(n) >= (*ret)->worlds.n)
		r = err_set(&cl->e, E_NOTFOUND, 0, "no such file");
	return r;
}

static bool has_part(const struct world_tree *t, size_t dim, unsigned part)
{
	return part == EDIT_LEVEL ||
	       t->place[dim].dir[part - EDIT_KIND].kind != CONTENT_EMPTY;
}

static int getattr(struct call *cl, struct node n, struct stat *st, double *ttl)
{
	CLEANUP_WORLD_TREE struct world_tree *t = NULL;
	CLEANUP_FREE char *target = NULL;
	struct snap *sn = n.shelf->key.snap;
	*ttl = TTL_FOREVER;
	if (n.shelf->key.kind == SHELF_SNAP)
		return top_view.getattr(cl, n, st, ttl);
	int r = tree_of(cl, n, &t);
	if (r < 0)
		return r;
	uint64_t ino = ino_of(cl->fs, sn, 'E', n.slot, 0, span_of("", 0));
	if (part_of(n) == EDIT_DIR) {
		stat_dir(cl->fs, st, ino, ts_of(sn->begin));
		return 0;
	}
	r = target_of(cl, t, n, &target);
	if (r == 0)
		stat_link(cl->fs, st, ino, strlen(target), ts_of(sn->begin));
	return r;
}

static int give(struct call *cl, struct node dir, size_t dim, unsigned part, struct found *ret)
{
	struct shelf_key key = {.kind = SHELF_EDIT, .snap = dir.shelf->key.snap};
	struct shelf *parent = dir.shelf->key.kind == SHELF_SNAP ? dir.shelf : dir.shelf->parent;
	*ret = (struct found){0};
	if (dim >= SLOT_MAX >> EDIT_BITS)
		return err_set(&cl->e, E_UNSUPPORTED, 0, "too many worlds");
	ret->node.slot = (uint32_t)dim << EDIT_BITS | part;
	ret->node.shelf = nodes_get(cl->fs->nodes, &key, 0, parent);
	if (!ret->node.shelf)
		return err_set(&cl->e, E_NOMEM, 0, "no memory for inode numbers");
	int r = getattr(cl, ret->node, &ret->st, &ret->ttl);
	if (r < 0)
		nodes_put(cl->fs->nodes, ret->node.shelf, 1);
	return r;
}

static bool is_name(struct span s, const char *name)
{
	return s.n == strlen(name) && memcmp(s.p, name, s.n) == 0;
}

static int lookup(struct call *cl, struct node n, struct span name, struct found *ret)
{
	CLEANUP_WORLD_TREE struct world_tree *t = NULL;
	ret->ttl = TTL_FOREVER;
	int r = tree_of(cl, n, &t);
	if (r < 0)
		return r;
	if (n.shelf->key.kind == SHELF_SNAP) {
		for (size_t i = 0; i < t->worlds.n; i++)
			if (is_name(name, t->place[i].edit_name))
				return give(cl, n, i, EDIT_DIR, ret);
	} else if (part_of(n) == EDIT_DIR) {
		for (unsigned p = EDIT_LEVEL; p < EDIT_END; p++)
			if (is_name(name, part_name(p)) && has_part(t, dim_of(n), p))
				return give(cl, n, dim_of(n), p, ret);
	}
	return err_set(&cl->e, E_NOTFOUND, 0, "no such file");
}

static int list(struct call *cl, struct node n, uint64_t off, list_fn fn, void *ctx)
{
	CLEANUP_WORLD_TREE struct world_tree *t = NULL;
	bool top = n.shelf->key.kind == SHELF_SNAP;
	int r = tree_of(cl, n, &t);
	if (r < 0)
		return r;
	uint64_t end = top ? t->worlds.n : part_of(n) == EDIT_DIR ? EDIT_END : 0;
	for (uint64_t i = top || off ? off : EDIT_LEVEL; i < end; i++) {
		struct found f;
		if (!top && !has_part(t, dim_of(n), (unsigned)i))
			continue;
		r = top ? give(cl, n, i, EDIT_DIR, &f)
			: give(cl, n, dim_of(n), (unsigned)i, &f);
		if (r < 0)
			return r;
		const char *name = top ? t->place[i].edit_name : part_name((unsigned)i);
		if (!fn(ctx, span_of(name, strlen(name)), &f, i + 1)) {
			nodes_put(cl->fs->nodes, f.node.shelf, 1);
			break;
		}
	}
	return 0;
}

static int readlink_(struct call *cl, struct node n, struct buf *out)
{
	CLEANUP_WORLD_TREE struct world_tree *t = NULL;
	CLEANUP_FREE char *target = NULL;
	int r = tree_of(cl, n, &t);
	if (r == 0)
		r = target_of(cl, t, n, &target);
	return r < 0 ? r : buf_add(out, target, strlen(target), &cl->e);
}

static int name(struct call *cl, struct node n, struct buf *out, struct node *ret_parent)
{
	CLEANUP_WORLD_TREE struct world_tree *t = NULL;
	if (n.shelf->key.kind == SHELF_SNAP)
		return top_view.name(cl, n, out, ret_parent);
	int r = tree_of(cl, n, &t);
	if (r < 0)
		return r;
	*ret_parent = (struct node){n.shelf->parent, FACE_EDIT};
	const char *text = t->place[dim_of(n)].edit_name;
	return buf_add(out, text, strlen(text), &cl->e);
}

const struct view edit_view = {
	.getattr = getattr,
	.lookup = lookup,
	.list = list,
	.readlink = readlink_,
	.name = name,
};
