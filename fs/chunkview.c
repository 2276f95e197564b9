/* chunks/<snapshot>/<world>/<dimension>/r.X.Z/c.X.Z.nbt: every chunk of a snapshot as a file; and
 * chunks/live/, the same for live worlds. Both have a world_tree and regions; what is live may be
 * kept for a second only, shows no region that has no chunk, and may be written to.
 *
 * Nodes: directories of worlds and dimensions (number 0 of them is the face of the snapshot, the
 * others are SHELF_WORLDS; of live worlds number 0 is on a shelf of its own, and the others on one
 * for each tree that there was), and for each region a shelf with its directory, those of its
 * entities and poi, and the chunks of all three. */
#include <stdio.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "fs/chunkinfo.h"
#include "fs/handle.h"
#include "fs/live.h"
#include "fs/liveregion.h"
#include "fs/putback.h"
#include "fs/regions.h"
#include "fs/target.h"
#include "fs/topview.h"

/* Slots of SHELF_REGION: kind * KIND_STEP is the directory, + 1 + slot a chunk. */
#define KIND_STEP 2048

struct at {
	struct world_tree *tree;
	struct world_node *node; /* the directory, or that of the dimension */
	const struct world_place *place; /* NULL: not a dimension */
	int kind;
	int slot; /* of a chunk; -1: a directory */
};

static bool is_region(struct node n)
{
	return n.shelf->key.kind == SHELF_REGION || n.shelf->key.kind == SHELF_PRUNE;
}

static bool is_live(struct node n)
{
	return !n.shelf->key.snap;
}

/* The directory chunks/live itself: always the tree of now. */
static bool is_live_root(struct node n)
{
	return is_live(n) && !is_region(n) && n.shelf->key.dir == 0;
}

static double ttl_of(struct node n)
{
	return is_live(n) ? TTL_LIVE : TTL_FOREVER;
}

static uint32_t number_of(struct node n)
{
	return is_region(n)				? n.shelf->key.dim
	       : n.shelf->key.kind == SHELF_WORLDS ? n.slot
						       : 0;
}

static int where(struct call *cl, struct node n, struct at *ret)
{
	*ret = (struct at){.slot = -1};
	int r = is_live(n) ? live_tree(cl, n.shelf->key.dir, &ret->tree)
			   : world_tree_get(cl, n.shelf->key.snap, &ret->tree);
	if (r < 0)
		return r;
	uint32_t i = number_of(n);
	bool fits = !is_region(n) || (n.slot / KIND_STEP < SOURCE_KINDS &&
					     n.slot % KIND_STEP <= REGION_SLOTS);
	if (i >= ret->tree->n_nodes || !fits) {
		world_tree_unref(TAKE_PTR(ret->tree));
		return err_set(&cl->e, E_NOTFOUND, 0, "no such file");
	}
	ret->node = &ret->tree->node[i];
	ret->place = ret->node->dim >= 0 ? &ret->tree->place[ret->node->dim] : NULL;
	if (is_region(n)) {
		ret->kind = (int)(n.slot / KIND_STEP);
		ret->slot = (int)(n.slot % KIND_STEP) - 1;
	}
	return 0;
}

static void at_free(struct at *a)
{
	world_tree_unref(a->tree);
}
#define CLEANUP_AT __attribute__((cleanup(at_free)))

static int load_region(struct call *cl, struct node n, const struct at *a, int kind,
	struct region *ret)
{
	if (!a->place)
		return not_here(cl);
	return region_load(cl, a->place, kind, n.shelf->key.x, n.shelf->key.z, ret);
}

static struct live_spot spot_of(struct node n, const struct at *a)
{
	return (struct live_spot){a->place->live->number, a->place->name, n.shelf->key.x,
		n.shelf->key.z, a->kind};
}

/* A live region file without chunks counts as none. */
static int load_shown(struct call *cl, struct node n, const struct at *a, int kind,
	struct region *ret)
{
	int r = load_region(cl, n, a, kind, ret);
	if (r < 0 || !ret->place || live_region_has_any(ret))
		return r;
	region_unload(cl, ret);
	return not_here(cl);
}

/* ---- attributes ---- */

static mode_t dir_mode(mode_t files)
{
	return (files & 0666) | (files & 0444) >> 2;
}

/* What may be written is told of live worlds only. */
static mode_t mode_of(struct node n, mode_t mode)
{
	return is_live(n) ? mode : mode & 0555;
}

static void stat_world(struct call *cl, struct node n, const struct at *a, struct stat *st)
{
	struct world_node now, *w = a->node;
	if (is_live(n)) { /* its time moves on */
		now = *w;
		live_stat(cl->fs->live, w->dim >= 0 ? a->tree->worlds.v[w->dim].folder : w->name,
			&now);
		w = &now;
	}
	stat_dir(cl->fs, st, ino_of(cl->fs, n.shelf->key.snap, 'W', number_of(n), 0,
			span_of("", 0)), ts_of(w->mtime));
	st->st_mode = S_IFDIR | mode_of(n, w->mode);
	st->st_uid = w->uid;
	st->st_gid = w->gid;
}

static uint64_t region_ino(struct call *cl, struct node n, uint32_t slot)
{
	const struct shelf_key *k = &n.shelf->key;
	return ino_of(cl->fs, k->snap, 'R', (uint64_t)(uint32_t)k->x << 32 | (uint32_t)k->z,
		(uint64_t)k->dim << 32 | slot, span_of("", 0));
}

/* A region that somebody made or emptied: it has the dimension's owner. */
static int stat_empty(struct call *cl, struct node n, const struct at *a, struct stat *st)
{
	struct live_spot spot = spot_of(n, a);
	struct world_node w = *a->node;
	if (!live_keeps_spot(cl->fs->live, &spot))
		return not_here(cl);
	live_stat(cl->fs->live, a->tree->worlds.v[a->node->dim].folder, &w);
	stat_dir(cl->fs, st, region_ino(cl, n, n.slot), ts_of(w.mtime));
	st->st_mode = S_IFDIR | w.mode;
	st->st_uid = w.uid;
	st->st_gid = w.gid;
	return 0;
}

/* The directory of a region, or of its entities or poi. The file of that kind gives owner and
 * time; a region without one takes those of another kind. */
static int stat_region(struct call *cl, struct node n, const struct at *a, struct stat *st)
{
	struct region rg;
	int r = load_shown(cl, n, a, a->kind, &rg);
	for (int k = 1; r == E_NOTFOUND && a->kind == SOURCE_REGION && k < SOURCE_KINDS; k++)
		r = load_shown(cl, n, a, k, &rg);
	if (r == E_NOTFOUND && is_live(n) && a->place)
		return stat_empty(cl, n, a, st);
	if (r < 0)
		return r;
	stat_dir(cl->fs, st, region_ino(cl, n, n.slot), ts_of(rg.en.mtime));
	st->st_mode = S_IFDIR | mode_of(n, dir_mode(rg.en.mode));
	st->st_uid = rg.en.uid;
	st->st_gid = rg.en.gid;
	region_unload(cl, &rg);
	return 0;
}

static void stat_chunk(struct call *cl, struct node n, const struct region *rg, uint32_t slot,
	const struct region_chunk *ch, struct stat *st)
{
	struct timespec t = {(time_t)ch->mtime, 0};
	stat_dir(cl->fs, st, region_ino(cl, n, slot), t);
	st->st_mode = S_IFREG | (mode_of(n, rg->en.mode) & 0666);
	st->st_uid = rg->en.uid;
	st->st_gid = rg->en.gid;
	st->st_size = (off_t)ch->size;
	st->st_blocks = (st->st_size + 511) / 512;
}

static int getattr(struct call *cl, struct node n, struct stat *st, double *ttl)
{
	CLEANUP_AT struct at a = {0};
	struct region rg;
	struct region_chunk ch;
	*ttl = ttl_of(n);
	/* Listing chunks/ must not look for the worlds of every snapshot. */
	if (n.shelf->key.kind == SHELF_SNAP)
		return top_view.getattr(cl, n, st, ttl);
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	if (!is_region(n)) {
		stat_world(cl, n, &a, st);
		return 0;
	}
	if (a.slot < 0)
		return stat_region(cl, n, &a, st);
	r = load_region(cl, n, &a, a.kind, &rg);
	if (r < 0)
		return r;
	r = region_chunk(cl, &rg, (unsigned)a.slot, &ch);
	if (r == 0)
		stat_chunk(cl, n, &rg, n.slot, &ch, st);
	region_unload(cl, &rg);
	return r;
}

/* ---- children ---- */

static int give(struct call *cl, struct node dir, const struct shelf_key *key, uint32_t slot,
	struct found *ret)
{
	*ret = (struct found){.node.slot = slot};
	ret->node.shelf = nodes_get(cl->fs->nodes, key, 0, dir.shelf);
	if (!ret->node.shelf)
		return err_set(&cl->e, E_NOMEM, 0, "no memory for inode numbers");
	int r = getattr(cl, ret->node, &ret->st, &ret->ttl);
	if (r < 0)
		nodes_put(cl->fs->nodes, ret->node.shelf, 1);
	return r;
}

static int give_world(struct call *cl, struct node dir, uint64_t age, uint32_t number,
	struct found *ret)
{
	struct shelf_key key = {.kind = SHELF_WORLDS, .snap = dir.shelf->key.snap, .dir = age};
	/* All of them are on one shelf, below the snapshot's or that of chunks/live. */
	bool top_is_here = dir.shelf->key.kind == SHELF_SNAP || is_live_root(dir);
	struct node top = {top_is_here ? dir.shelf : dir.shelf->parent, 0};
	return give(cl, top, &key, number, ret);
}

static int give_region(struct call *cl, struct node dir, int32_t x, int32_t z, struct found *ret)
{
	struct shelf_key key = {.kind = SHELF_REGION, .snap = dir.shelf->key.snap,
		.dir = dir.shelf->key.snap ? 0 : dir.shelf->key.dir, .dim = number_of(dir), .x = x,
		.z = z};
	return give(cl, dir, &key, 0, ret);
}

static int give_kind(struct call *cl, struct node dir, int kind, struct found *ret)
{
	return give(cl, (struct node){dir.shelf->parent, 0}, &dir.shelf->key,
		(uint32_t)kind * KIND_STEP, ret);
}

static int give_chunk(struct call *cl, struct node dir, const struct at *a,
	const struct region *rg, unsigned slot, struct found *ret, bool *ret_fine)
{
	struct region_chunk ch;
	int r = region_chunk(cl, rg, slot, &ch);
	if (r < 0)
		return r;
	*ret_fine = ch.fine;
	*ret = (struct found){.ttl = ttl_of(dir)};
	ret->node.slot = (uint32_t)a->kind * KIND_STEP + 1 + slot;
	ret->node.shelf = nodes_ref(cl->fs->nodes, dir.shelf);
	stat_chunk(cl, dir, rg, ret->node.slot, &ch, &ret->st);
	return 0;
}

/* ---- lookup ---- */

static bool is_name(struct span s, const char *name)
{
	return s.n == strlen(name) && memcmp(s.p, name, s.n) == 0;
}

static int lookup_world(struct call *cl, struct node n, const struct at *a, struct span name,
	struct found *ret)
{
	char text[80], again[64];
	int32_t x, z;
	const struct world_node *w = a->node;
	int child = world_tree_child(a->tree, (uint32_t)(w - a->tree->node), name);
	if (child >= 0)
		return give_world(cl, n, a->tree->age, (uint32_t)child, ret);
	if (!a->place || name.n >= 64)
		return not_here(cl);
	snprintf(text, sizeof text, "%.*s.mca", (int)name.n, (const char *)name.p);
	if (!region_parse_name(text, &x, &z) || !region_in_range(x, z))
		return not_here(cl);
	snprintf(again, sizeof again, "r.%d.%d", x, z);
	return is_name(name, again) ? give_region(cl, n, x, z, ret) : not_here(cl);
}

static int lookup_region(struct call *cl, struct node n, const struct at *a, struct span name,
	struct found *ret)
{
	struct region rg;
	bool want_fine, fine = false;
	if (a->slot >= 0)
		return not_here(cl);
	if (a->kind == SOURCE_REGION)
		for (int k = SOURCE_ENTITIES; k < SOURCE_KINDS; k++)
			if (is_name(name, source_kind_name[k]))
				return give_kind(cl, n, k, ret);
	int slot = chunk_slot_of(n.shelf->key.x, n.shelf->key.z, name, &want_fine);
	if (slot < 0)
		return not_here(cl);
	int r = load_region(cl, n, a, a->kind, &rg);
	if (r < 0)
		return r;
	r = give_chunk(cl, n, a, &rg, (unsigned)slot, ret, &fine);
	region_unload(cl, &rg);
	if (r < 0 || fine == want_fine)
		return r;
	nodes_put(cl->fs->nodes, ret->node.shelf, 1);
	return not_here(cl);
}

static int lookup(struct call *cl, struct node n, struct span name, struct found *ret)
{
	CLEANUP_AT struct at a = {0};
	int r = where(cl, n, &a);
	if (r == 0)
		r = is_region(n) ? lookup_region(cl, n, &a, name, ret)
				 : lookup_world(cl, n, &a, name, ret);
	if (r == E_NOTFOUND) /* of live worlds it may come any time */
		ret->ttl = is_live(n) ? 0 : TTL_FOREVER;
	return r;
}

/* ---- listing ---- */

/* Hand an entry over; false when there is no more room. */
static bool emit(struct call *cl, const char *name, struct found *f, uint64_t next, list_fn fn,
	void *ctx)
{
	if (fn(ctx, span_of(name, strlen(name)), f, next))
		return true;
	if (f->node.shelf)
		nodes_put(cl->fs->nodes, f->node.shelf, 1);
	return false;
}

static int list_world(struct call *cl, struct node n, const struct at *a, uint64_t off, list_fn fn,
	void *ctx)
{
	CLEANUP_PIECE struct piece *names = NULL;
	const struct world_node *w = a->node;
	struct found f;
	for (; off < w->count; off++) {
		int r = give_world(cl, n, a->tree->age, w->first + (uint32_t)off, &f);
		if (r < 0)
			return r;
		if (!emit(cl, a->tree->node[w->first + off].name, &f, off + 1, fn, ctx))
			return 0;
	}
	int r = a->place ? region_names(cl, a->place, &names) : 0;
	if (r < 0 || !names)
		return r;
	const struct region_name *v = (const struct region_name *)(const void *)names->data.p;
	size_t count = names->data.n / sizeof *v;
	for (uint64_t i = off - w->count; i < count; i++) {
		char text[64];
		snprintf(text, sizeof text, "r.%d.%d", v[i].x, v[i].z);
		r = give_region(cl, n, v[i].x, v[i].z, &f);
		if (r == E_NOTFOUND && is_live(n))
			continue; /* without chunks, or removed meanwhile */
		if (r < 0)
			return r;
		if (!emit(cl, text, &f, w->count + i + 1, fn, ctx))
			return 0;
	}
	return 0;
}

/* A chunk whose group cannot be read is listed all the same; looking at it gives the error. */
static void make_unknown(struct call *cl, struct node n, uint32_t slot, struct found *f)
{
	report(cl, n);
	cl->e = ERR_INIT;
	*f = (struct found){.st = {.st_ino = region_ino(cl, n, slot), .st_mode = S_IFREG | 0444}};
}

/* `first`: the offset of slot 0. */
static int list_chunks(struct call *cl, struct node n, const struct at *a, uint64_t off,
	unsigned first, list_fn fn, void *ctx)
{
	struct region rg;
	int r = load_region(cl, n, a, a->kind, &rg);
	if (r == E_NOTFOUND)
		return 0; /* only entities or poi here */
	if (r < 0)
		return r;
	if (off == first)
		region_ahead_tables(cl, &rg);
	for (unsigned slot = (unsigned)off - first; slot < REGION_SLOTS && r == 0; slot++) {
		struct found f;
		bool fine = true;
		char text[80];
		if (!region_has_chunk(&rg, slot))
			continue;
		r = give_chunk(cl, n, a, &rg, slot, &f, &fine);
		if (r == E_NOMEM)
			break;
		if (r < 0)
			make_unknown(cl, n, (uint32_t)a->kind * KIND_STEP + 1 + slot, &f);
		r = 0;
		chunk_name(n.shelf->key.x, n.shelf->key.z, slot, fine ? CHUNK_NBT_TAIL : CHUNK_DAMAGED_TAIL, text);
		if (!emit(cl, text, &f, first + slot + 1, fn, ctx))
			break;
	}
	region_unload(cl, &rg);
	return r;
}

/* Offsets: 0 and 1 are entities/ and poi/, behind them are the chunks. */
static int list_region(struct call *cl, struct node n, const struct at *a, uint64_t off,
	list_fn fn, void *ctx)
{
	if (a->slot >= 0)
		return err_set(&cl->e, E_FORMAT, 0, "not a directory");
	if (a->kind != SOURCE_REGION)
		return list_chunks(cl, n, a, off, 0, fn, ctx);
	/* The two directories come first: a listing that stops early still has them. */
	for (; off < 2; off++) {
		struct found f;
		int kind = SOURCE_ENTITIES + (int)off;
		int r = give_kind(cl, n, kind, &f);
		if (r == E_NOTFOUND)
			continue;
		if (r < 0)
			return r;
		if (!emit(cl, source_kind_name[kind], &f, off + 1, fn, ctx))
			return 0;
	}
	return list_chunks(cl, n, a, off, 2, fn, ctx);
}

static int list(struct call *cl, struct node n, uint64_t off, list_fn fn, void *ctx)
{
	CLEANUP_AT struct at a = {0};
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	return is_region(n) ? list_region(cl, n, &a, off, fn, ctx)
			    : list_world(cl, n, &a, off, fn, ctx);
}

/* ---- contents ---- */

/* A chunk's bytes: NBT in *nbt, or where the raw bytes are. */
static int open_chunk(struct call *cl, struct node n, const struct at *a, struct region *rg,
	struct region_chunk *ch, struct piece **nbt)
{
	if (!is_region(n) || a->slot < 0)
		return err_set(&cl->e, E_FORMAT, 0, "not a file");
	int r = load_region(cl, n, a, a->kind, rg);
	if (r < 0)
		return r;
	r = region_chunk(cl, rg, (unsigned)a->slot, ch);
	if (r == 0 && ch->fine)
		r = region_chunk_nbt(cl, rg, (unsigned)a->slot, nbt);
	if (r < 0)
		region_unload(cl, rg);
	return r;
}

static int read_(struct call *cl, struct node n, uint64_t off, size_t size, struct reading *ret)
{
	CLEANUP_AT struct at a = {0};
	CLEANUP_PIECE struct piece *nbt = NULL;
	struct region rg;
	struct region_chunk ch;
	*ret = (struct reading){0};
	if (cl->h && cl->h->piece) {
		ret->hold = piece_ref(cl->h->piece);
		ret->data = span_sub(ret->hold->data, off < ret->hold->data.n ? (size_t)off
									      : ret->hold->data.n, size);
		return 0;
	}
	if (cl->fs->putback && off == 0 && !is_live(n))
		putback_saw(cl->fs->putback, n);
	int r = where(cl, n, &a);
	if (r == 0)
		r = open_chunk(cl, n, &a, &rg, &ch, &nbt);
	if (r < 0)
		return r;
	if (nbt && nbt->data.n != ch.size) {
		r = err_set(&cl->e, E_CORRUPT, 0, "a chunk has another length than it should");
	} else if (nbt) {
		ret->data = span_sub(nbt->data, off < ch.size ? (size_t)off : (size_t)ch.size, size);
		ret->hold = TAKE_PTR(nbt);
	} else if (off < ch.size) {
		uint64_t left = ch.size - off;
		r = region_raw(cl, &rg, ch.off + off, size < left ? size : (size_t)left, ret);
	}
	region_unload(cl, &rg);
	return r;
}

/* What is open of a live world stays what it was: a server may save the chunk meanwhile. */
static int open_(struct call *cl, struct node n, struct handle *h)
{
	CLEANUP_AT struct at a = {0};
	struct region rg;
	struct region_chunk ch;
	if (!is_live(n) || !is_region(n) || n.slot % KIND_STEP == 0)
		return 0;
	h->direct = true;
	int r = where(cl, n, &a);
	if (r == 0)
		r = open_chunk(cl, n, &a, &rg, &ch, &h->piece);
	if (r < 0)
		return r;
	region_unload(cl, &rg);
	return 0;
}

static int xattrs(struct call *cl, struct node n, struct buf *out)
{
	CLEANUP_AT struct at a = {0};
	CLEANUP_PIECE struct piece *nbt = NULL;
	struct region rg;
	struct region_chunk ch;
	int r = where(cl, n, &a);
	if (r < 0 || !a.place)
		return r;
	const char *dimension = a.tree->worlds.v[a.node->dim].name;
	if (a.slot < 0)
		return chunk_xattr(out, "user.mcfs.dimension", dimension, &cl->e);
	r = open_chunk(cl, n, &a, &rg, &ch, &nbt);
	if (r < 0)
		return r;
	if (nbt) {
		r = chunk_xattrs(out, dimension, nbt->data, &cl->e);
	} else {
		r = chunk_xattr(out, "user.mcfs.dimension", dimension, &cl->e);
		if (r == 0)
			r = chunk_xattr(out, "user.mcfs.problem", ch.problem, &cl->e);
	}
	region_unload(cl, &rg);
	return r;
}

static int name(struct call *cl, struct node n, struct buf *out, struct node *ret_parent)
{
	CLEANUP_AT struct at a = {0};
	const struct shelf_key *k = &n.shelf->key;
	char text[160];
	if (k->kind == SHELF_SNAP)
		return top_view.name(cl, n, out, ret_parent);
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	if (is_live_root(n))
		return buf_add(out, "chunks/live", 11, &cl->e);
	if (!is_region(n)) {
		uint32_t parent = a.node->parent;
		*ret_parent = parent ? (struct node){n.shelf, parent}
				     : (struct node){n.shelf->parent,
					       is_live(n) ? 0u : (uint32_t)FACE_CHUNKS};
		return buf_add(out, a.node->name, strlen(a.node->name), &cl->e);
	}
	/* The dimension's directory is on the shelf above, or is the face itself. */
	bool face = n.shelf->parent->key.kind == SHELF_SNAP;
	*ret_parent = (struct node){n.shelf->parent, face ? (uint32_t)FACE_CHUNKS : k->dim};
	int len = snprintf(text, sizeof text, "r.%d.%d%s%s", k->x, k->z, a.kind ? "/" : "",
		a.kind ? source_kind_name[a.kind] : "");
	if (a.slot >= 0) {
		text[len] = '/';
		chunk_name(k->x, k->z, (unsigned)a.slot, "", text + len + 1);
	}
	return buf_add(out, text, strlen(text), &cl->e);
}

uint32_t chunk_folder_slot(uint32_t slot)
{
	return slot / KIND_STEP * KIND_STEP;
}

uint32_t chunk_slot_number(unsigned slot)
{
	return 1 + slot;
}

void chunks_live(struct call *cl, const struct world_place *p, int32_t x, int32_t z,
	bool ret[REGION_SLOTS])
{
	struct region rg;
	memset(ret, 0, REGION_SLOTS * sizeof *ret);
	if (region_load(cl, p, SOURCE_REGION, x, z, &rg) < 0) {
		cl->e = ERR_INIT;
		return;
	}
	for (unsigned i = 0; i < REGION_SLOTS; i++)
		ret[i] = region_has_chunk(&rg, i);
	region_unload(cl, &rg);
}

uint64_t chunk_ino(struct call *cl, struct node n)
{
	return region_ino(cl, n, n.slot);
}

int chunk_target(struct call *cl, struct node n, struct target *ret)
{
	CLEANUP_AT struct at a = {0};
	ret->place = is_live(n) ? PLACE_ABOVE : PLACE_FIXED;
	if (!is_live(n) || is_live_root(n))
		return 0;
	int r = where(cl, n, &a);
	if (r < 0 || !a.place)
		return r;
	*ret = (struct target){.place = !is_region(n) ? PLACE_DIM
					: a.slot < 0  ? PLACE_REGION
						      : PLACE_CHUNK,
		.world = a.place->live, .dimension = a.place->name, .kind = a.kind,
		.rx = n.shelf->key.x, .rz = n.shelf->key.z, .slot = a.slot};
	ret->tree = TAKE_PTR(a.tree);
	return 0;
}

const struct view chunk_view = {
	.getattr = getattr,
	.lookup = lookup,
	.list = list,
	.open = open_,
	.read = read_,
	.xattrs = xattrs,
	.name = name,
};
