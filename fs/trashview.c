/* trash/<world>/<dimension>/c.X.Z.nbt: what was pruned, or is to be as soon as the world is free.
 *
 * Directories are those of the live worlds' tree, so they are there from the start. A chunk that was
 * pruned more than once has its last version under its own name and the others as c.X.Z~N.nbt, N
 * being the item's number; each is found by the long name too, so that a name goes on meaning what it
 * did when the version before it has gone. Nodes: SHELF_TRASH for the directories (slot: number in the tree of that
 * age), SHELF_TRASHED for items: 1024 of them to a shelf, by their numbers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/xattrs.h"
#include "fs/chunkinfo.h"
#include "fs/handle.h"
#include "fs/target.h"
#include "fs/topview.h"
#include "fs/trashed.h"

#define ITEM_BITS 10

struct at {
	struct live_node n;
	int64_t item; /* 0: a directory */
};

static void at_free(struct at *a)
{
	live_node_free(&a->n);
}
#define CLEANUP_AT __attribute__((cleanup(at_free)))

static int where(struct call *cl, struct node n, struct at *ret)
{
	const struct shelf_key *k = &n.shelf->key;
	bool item = k->kind == SHELF_TRASHED;
	*ret = (struct at){0};
	if (item)
		ret->item = ((int64_t)k->z << 32 | (uint32_t)k->x) << ITEM_BITS | n.slot;
	return live_node_get(cl, is_top(n) ? 0 : k->dir, is_top(n) ? 0 : item ? k->dim : n.slot,
		&ret->n);
}

/* An item that is in the trash as far as anybody is to know. */
static bool is_shown(const struct trash_item *it)
{
	return it->state != TRASH_RESTORE_WAITS && it->state != TRASH_RESTORING;
}

static int find_item(struct call *cl, const struct at *a, struct trash_item *ret)
{
	int r = a->n.place ? trash_find(keeper_trash(cl->fs->keeper, a->n.place->live), a->item, ret,
				   &cl->e)
			 : not_here(cl);
	if (r == 0 && (strcmp(ret->dimension, a->n.place->name) != 0 || !is_shown(ret))) {
		trash_item_free(ret);
		return not_here(cl);
	}
	return r;
}

/* ---- attributes ---- */

static void stat_at_node(struct call *cl, const struct at *a, struct stat *st)
{
	live_node_stat(cl, &a->n, ino_of(cl->fs, NULL, 'T', a->n.number, 0, span_of("", 0)), st);
}

static int stat_item(struct call *cl, const struct at *a, const struct trash_item *it,
	struct stat *st)
{
	CLEANUP_PIECE struct piece *bytes = NULL;
	bool fine;
	int r = trashed_bytes(cl, a->n.place->live, it, -1, &fine, &bytes);
	if (r < 0)
		return r;
	stat_at_node(cl, a, st);
	st->st_ino = ino_of(cl->fs, NULL, 't', a->n.place->live->number, (uint64_t)it->id,
		span_of("", 0));
	/* The region file that it came from may have been for fewer than the folder is. */
	st->st_mode = S_IFREG | (st->st_mode & 0440);
	st->st_size = (off_t)bytes->data.n - 1;
	st->st_blocks = (st->st_size + 511) / 512;
	st->st_mtim = st->st_atim = (struct timespec){(time_t)it->timestamp, 0};
	st->st_ctim = (struct timespec){(time_t)it->when_s, (long)it->when_ns};
	return 0;
}

static int getattr(struct call *cl, struct node n, struct stat *st, double *ttl)
{
	CLEANUP_AT struct at a = {0};
	CLEANUP_ITEM struct trash_item it = {0};
	*ttl = TTL_LIVE;
	if (is_top(n))
		return top_view.getattr(cl, n, st, ttl);
	int r = where(cl, n, &a);
	if (r == 0 && !a.item)
		stat_at_node(cl, &a, st);
	else if (r == 0 && (r = find_item(cl, &a, &it)) == 0)
		r = stat_item(cl, &a, &it, st);
	return r;
}

/* ---- children ---- */

static int give(struct call *cl, struct shelf *s, uint32_t slot, struct found *ret)
{
	*ret = (struct found){.node = {s, slot}};
	if (!s)
		return err_set(&cl->e, E_NOMEM, 0, "no memory for inode numbers");
	int r = getattr(cl, ret->node, &ret->st, &ret->ttl);
	if (r < 0)
		nodes_put(cl->fs->nodes, s, 1);
	return r;
}

static int give_dir(struct call *cl, struct node dir, const struct at *a, uint32_t number,
	struct found *ret)
{
	struct shelf_key key = {.kind = SHELF_TRASH, .dir = a->n.tree->age};
	struct shelf *top = is_top(dir) ? dir.shelf : dir.shelf->parent;
	return give(cl, nodes_get(cl->fs->nodes, &key, 0, top), number, ret);
}

static int give_item(struct call *cl, struct node dir, const struct at *a, int64_t id,
	struct found *ret)
{
	struct shelf_key key = {.kind = SHELF_TRASHED, .dim = a->n.number, .dir = a->n.tree->age,
		.x = (int32_t)(id >> ITEM_BITS), .z = (int32_t)(id >> ITEM_BITS >> 32)};
	return give(cl, nodes_get(cl->fs->nodes, &key, 0, dir.shelf),
		(uint32_t)id & ((1u << ITEM_BITS) - 1), ret);
}

/* ---- names ---- */

static void item_name(const struct trash_item *it, bool last, char out[CHUNK_NAME_MAX])
{
	const char *tail = it->damaged ? CHUNK_DAMAGED_TAIL : CHUNK_NBT_TAIL;
	if (last)
		snprintf(out, CHUNK_NAME_MAX, "c.%d.%d%s", it->x, it->z, tail);
	else
		snprintf(out, CHUNK_NAME_MAX, "c.%d.%d~%lld%s", it->x, it->z, (long long)it->id,
			tail);
}

struct search {
	struct span name;
	int64_t last, found; /* of the last version; what the name says */
	char last_name[CHUNK_NAME_MAX];
};

static bool is_name(struct span s, const char *name)
{
	return s.n == strlen(name) && memcmp(s.p, name, s.n) == 0;
}

static int search_one(void *ctx, const struct trash_item *it, struct err *e)
{
	struct search *s = ctx;
	char text[CHUNK_NAME_MAX];
	(void)e;
	if (!is_shown(it))
		return 0;
	item_name(it, false, text);
	if (is_name(s->name, text))
		s->found = it->id;
	item_name(it, true, s->last_name);
	s->last = it->id;
	return 0;
}

/* The item of a name, or 0. */
static int search_name(struct call *cl, const struct world_place *p, struct span name,
	int64_t *ret)
{
	struct search s = {.name = name};
	struct trash_filter f = {.dimension = p->name, .has_chunk = true};
	char text[CHUNK_NAME_MAX];
	*ret = 0;
	if (name.n >= sizeof text)
		return 0;
	memcpy(text, name.p, name.n);
	text[name.n] = 0;
	if (sscanf(text, "c.%9d.%9d", &f.x, &f.z) != 2)
		return 0;
	int r = trash_list(keeper_trash(cl->fs->keeper, p->live), &f, search_one, &s, &cl->e);
	*ret = s.last && is_name(name, s.last_name) ? s.last : s.found;
	return r;
}

static int lookup(struct call *cl, struct node n, struct span name, struct found *ret)
{
	CLEANUP_AT struct at a = {0};
	int64_t id = 0;
	ret->ttl = 0;
	int r = where(cl, n, &a);
	if (r == 0 && a.item)
		r = not_here(cl);
	if (r < 0)
		return r;
	int child = world_tree_child(a.n.tree, a.n.number, name);
	if (child >= 0)
		return give_dir(cl, n, &a, (uint32_t)child, ret);
	if (a.n.place)
		r = search_name(cl, a.n.place, name, &id);
	if (r < 0)
		return r;
	return id ? give_item(cl, n, &a, id, ret) : not_here(cl);
}

/* ---- listing ---- */

/* What there was when the directory was opened. Attributes are not told: they take decoding each. */
struct seen {
	int64_t id;
	int32_t x, z;
	bool damaged, last;
};

static int see(void *ctx, const struct trash_item *it, struct err *e)
{
	struct buf *b = ctx;
	struct seen s = {it->id, it->x, it->z, it->damaged, true};
	if (!is_shown(it))
		return 0;
	/* They come in order: the last one of a place is the newest. */
	struct seen *before = b->len ? (struct seen *)(void *)(b->p + b->len - sizeof s) : NULL;
	if (before && before->x == s.x && before->z == s.z)
		before->last = false;
	return buf_add(b, &s, sizeof s, e);
}

static int see_all(struct call *cl, const struct world_place *p, struct piece **ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct trash_filter f = {.dimension = p->name};
	int r = trash_list(keeper_trash(cl->fs->keeper, p->live), &f, see, &b, &cl->e);
	if (r == 0 && !(*ret = piece_of(&b)))
		r = err_set(&cl->e, E_NOMEM, 0, "no memory to list a directory");
	return r;
}

static int list_items(struct call *cl, const struct at *a, uint64_t first, uint64_t off, list_fn fn,
	void *ctx)
{
	CLEANUP_PIECE struct piece *all = NULL;
	int r = 0;
	if (cl->h && cl->h->names)
		all = piece_ref(cl->h->names);
	else
		r = see_all(cl, a->n.place, &all);
	if (r < 0)
		return r;
	const struct seen *v = (const struct seen *)(const void *)all->data.p;
	for (uint64_t i = off - first; i < all->data.n / sizeof *v; i++) {
		struct trash_item it = {.id = v[i].id, .x = v[i].x, .z = v[i].z,
			.damaged = v[i].damaged};
		struct found f = {.st = {.st_mode = S_IFREG | 0444}};
		char text[CHUNK_NAME_MAX];
		f.st.st_ino = ino_of(cl->fs, NULL, 't', a->n.place->live->number, (uint64_t)it.id,
			span_of("", 0));
		item_name(&it, v[i].last, text);
		if (!fn(ctx, span_of(text, strlen(text)), &f, first + i + 1))
			break;
	}
	return 0;
}

static int list(struct call *cl, struct node n, uint64_t off, list_fn fn, void *ctx)
{
	CLEANUP_AT struct at a = {0};
	int r = where(cl, n, &a);
	if (r == 0 && a.item)
		r = err_set(&cl->e, E_FORMAT, 0, "not a directory");
	if (r < 0)
		return r;
	const struct world_node *w = &a.n.tree->node[a.n.number];
	for (; off < w->count; off++) {
		struct found f;
		const char *text = a.n.tree->node[w->first + off].name;
		r = give_dir(cl, n, &a, w->first + (uint32_t)off, &f);
		if (r < 0)
			return r;
		if (!fn(ctx, span_of(text, strlen(text)), &f, off + 1)) {
			nodes_put(cl->fs->nodes, f.node.shelf, 1);
			return 0;
		}
	}
	return a.n.place ? list_items(cl, &a, w->count, off, fn, ctx) : 0;
}

/* ---- contents ---- */

static int open_(struct call *cl, struct node n, struct handle *h)
{
	CLEANUP_AT struct at a = {0};
	CLEANUP_ITEM struct trash_item it = {0};
	CLEANUP_PIECE struct piece *bytes = NULL;
	bool fine;
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	if (!a.item)
		return a.n.place ? see_all(cl, a.n.place, &h->names) : 0;
	r = find_item(cl, &a, &it);
	if (r == 0)
		r = trashed_bytes(cl, a.n.place->live, &it, -1, &fine, &bytes);
	if (r < 0)
		return r;
	h->direct = true;
	h->piece = TAKE_PTR(bytes);
	return 0;
}

static int read_(struct call *cl, struct node n, uint64_t off, size_t size, struct reading *ret)
{
	(void)n;
	*ret = (struct reading){0};
	if (!cl->h || !cl->h->piece)
		return err_set(&cl->e, E_FORMAT, 0, "not a file");
	struct span all = cl->h->piece->data;
	all.n--; /* the byte that tells what it is */
	ret->hold = piece_ref(cl->h->piece);
	ret->data = span_sub(all, off < all.n ? (size_t)off : all.n, size);
	return 0;
}

static int item_xattrs(struct buf *out, const struct trash_item *it, struct err *e)
{
	static const char *const state[] = {[TRASH_PRUNE_WAITS] = "waits", [TRASH_PRUNING] = "pruning",
		[TRASH_KEPT] = "kept"};
	int r = chunk_xattr(out, "user.mcfs.trash.by", it->who ? it->who : "", e);
	if (r == 0)
		r = chunk_xattr(out, "user.mcfs.trash.state", state[it->state], e);
	return r < 0 ? r : chunk_xattr(out, "user.mcfs.trash.why", it->why ? it->why : "", e);
}

static int xattrs(struct call *cl, struct node n, struct buf *out)
{
	CLEANUP_AT struct at a = {0};
	CLEANUP_ITEM struct trash_item it = {0};
	CLEANUP_PIECE struct piece *bytes = NULL;
	bool fine = false;
	int r = where(cl, n, &a);
	if (r < 0 || !a.n.place)
		return r;
	if (!a.item)
		return chunk_xattr(out, "user.mcfs.dimension", a.n.place->name, &cl->e);
	r = find_item(cl, &a, &it);
	if (r == 0)
		r = trashed_bytes(cl, a.n.place->live, &it, -1, &fine, &bytes);
	if (r == 0 && fine)
		r = chunk_xattrs(out, a.n.place->name, span_sub(bytes->data, 0, bytes->data.n - 1),
			&cl->e);
	else if (r == 0)
		r = chunk_xattr(out, "user.mcfs.dimension", a.n.place->name, &cl->e);
	return r < 0 ? r : item_xattrs(out, &it, &cl->e);
}

static int name(struct call *cl, struct node n, struct buf *out, struct node *ret_parent)
{
	CLEANUP_AT struct at a = {0};
	char text[64];
	if (is_top(n))
		return top_view.name(cl, n, out, ret_parent);
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	if (a.item) {
		*ret_parent = (struct node){n.shelf->parent, a.n.number};
		int len = snprintf(text, sizeof text, "item %lld", (long long)a.item);
		return buf_add(out, text, (size_t)len, &cl->e);
	}
	uint32_t parent = a.n.tree->node[a.n.number].parent;
	*ret_parent = parent ? (struct node){n.shelf, parent}
			     : (struct node){n.shelf->parent, TOP_TRASH};
	return buf_add(out, a.n.tree->node[a.n.number].name, strlen(a.n.tree->node[a.n.number].name), &cl->e);
}

int trash_target(struct call *cl, struct node n, struct target *ret)
{
	CLEANUP_AT struct at a = {0};
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	if (a.n.place)
		*ret = (struct target){.place = a.item ? PLACE_TRASH_ITEM : PLACE_TRASH_DIM,
			.world = a.n.place->live, .dimension = a.n.place->name, .item = a.item};
	else
		*ret = (struct target){.place = PLACE_TRASH_ABOVE, .above = a.n.number};
	ret->tree = TAKE_PTR(a.n.tree);
	return 0;
}

const struct view trash_view = {
	.getattr = getattr,
	.lookup = lookup,
	.list = list,
	.open = open_,
	.read = read_,
	.xattrs = xattrs,
	.name = name,
};
