/* The tree of a snapshot: files as they were. Nodes: the snapshot's root (a face of its SHELF_SNAP)
 * and entries of leaves. */
#include "fs/snapview.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/snapshot/tree.h"
#include "fs/file.h"

/* The entry of a node; for the root one that is made up. */
static int load(struct call *cl, struct node n, struct entry *en, struct plain **hold)
{
	struct snap *sn = n.shelf->key.snap;
	*hold = NULL;
	if (n.shelf->key.kind == SHELF_LEAF) {
		struct tree_place place = {n.shelf->key.leaf, n.slot};
		return tree_entry_at(cl->fs->store, cl->c, &place, en, hold, &cl->e);
	}
	*en = (struct entry){.type = NODE_DIR, .mode = 0755, .nlink = 1, .uid = cl->fs->uid,
		.gid = cl->fs->gid, .content = sn->root, .mtime = sn->begin, .ctime = sn->begin};
	return 0;
}

static uint64_t ino_of_entry(struct fs *fs, const struct snap *sn, uint64_t dir_ino,
	const struct entry *en)
{
	/* Names of one inode of the source are one inode here. */
	if (en->nlink > 1 && en->type != NODE_DIR)
		return ino_of(fs, sn, 'l', en->dev, en->ino, span_of("", 0));
	return ino_of(fs, sn, 'e', dir_ino, 0, en->name);
}

static uint64_t root_ino(struct fs *fs, const struct snap *sn)
{
	return ino_of(fs, sn, 'r', 0, 0, span_of("", 0));
}

static uint64_t ino_of_node(struct fs *fs, struct node n, const struct entry *en)
{
	return n.shelf->key.kind == SHELF_LEAF
		       ? ino_of_entry(fs, n.shelf->key.snap, n.shelf->dir_ino, en)
		       : root_ino(fs, n.shelf->key.snap);
}

void snap_stat(const struct entry *en, uint64_t ino, struct stat *st)
{
	*st = (struct stat){.st_ino = ino, .st_mode = entry_mode_bits(en) | en->mode,
		.st_nlink = en->nlink ? en->nlink : 1, .st_uid = en->uid, .st_gid = en->gid,
		.st_size = (off_t)en->size, .st_blksize = 128 << 10};
	st->st_mtim = st->st_atim = ts_of(en->mtime);
	/* The snapshot drops the ctime of files that were very young. */
	st->st_ctim = en->ctime.s || en->ctime.ns ? ts_of(en->ctime) : st->st_mtim;
	if (en->type == NODE_SYMLINK)
		st->st_size = (off_t)en->target.n;
	if (en->type == NODE_CHAR || en->type == NODE_BLOCK)
		st->st_rdev = makedev(en->rdev_major, en->rdev_minor);
	st->st_blocks = (st->st_size + 511) / 512;
	/* Where there may be holes, one block less than the size: then cp and tar ask for them by
	 * lseek, which is exact, and listing a directory need not look into its files. */
	bool holes = en->content.kind == CONTENT_MAP || en->content.kind == CONTENT_REGION;
	if (holes && st->st_blocks > 1)
		st->st_blocks = st->st_size / 512 - 1;
}

int snap_root_stat(struct call *cl, struct node n, struct stat *st, double *ttl)
{
	struct plain *hold;
	struct entry en;
	int r = load(cl, n, &en, &hold);
	if (r == 0)
		snap_stat(&en, ino_of_node(cl->fs, n, &en), st);
	plain_unref(hold);
	*ttl = TTL_FOREVER;
	return r;
}

static int found_at(struct call *cl, struct node dir, uint64_t dir_ino,
	const struct tree_place *place, const struct entry *en, struct found *ret)
{
	struct snap *sn = dir.shelf->key.snap;
	if (place->index > SLOT_MAX)
		return err_set(&cl->e, E_UNSUPPORTED, 0, "a directory has too many entries");
	struct shelf_key key = {.kind = SHELF_LEAF, .dir = id_of(dir), .snap = sn,
		.leaf = place->leaf};
	*ret = (struct found){.ttl = TTL_FOREVER};
	ret->node.shelf = nodes_get(cl->fs->nodes, &key, dir_ino, dir.shelf);
	ret->node.slot = place->index;
	if (!ret->node.shelf)
		return err_set(&cl->e, E_NOMEM, 0, "no memory for inode numbers");
	snap_stat(en, ino_of_entry(cl->fs, sn, dir_ino, en), &ret->st);
	return 0;
}

static int lookup(struct call *cl, struct node n, struct span name, struct found *ret)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	CLEANUP_PLAIN struct plain *child = NULL;
	struct entry dir, en;
	struct tree_place place;
	ret->ttl = TTL_FOREVER; /* also for what is not there */
	int r = load(cl, n, &dir, &hold);
	if (r == 0 && dir.type != NODE_DIR)
		r = err_set(&cl->e, E_NOTFOUND, 0, "not a directory");
	if (r == 0)
		r = tree_find(cl->fs->store, cl->c, &dir.content, name, &en, &child, &place,
			&cl->e);
	return r < 0 ? r : found_at(cl, n, ino_of_node(cl->fs, n, &dir), &place, &en, ret);
}

static int list(struct call *cl, struct node n, uint64_t off, list_fn fn, void *ctx)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry dir, en;
	struct tree_iter it;
	int r = load(cl, n, &dir, &hold);
	if (r == 0 && dir.type != NODE_DIR)
		r = err_set(&cl->e, E_CORRUPT, 0, "a directory is not one");
	if (r == 0)
		r = tree_iter_open(&it, cl->fs->store, cl->c, &dir.content, off, &cl->e);
	if (r < 0)
		return r;
	uint64_t ino = ino_of_node(cl->fs, n, &dir);
	while ((r = tree_iter_next(&it, &en, &cl->e)) == 1) {
		struct found f;
		r = found_at(cl, n, ino, &it.place, &en, &f);
		if (r < 0)
			break;
		if (!fn(ctx, en.name, &f, ++off)) {
			nodes_put(cl->fs->nodes, f.node.shelf, 1);
			break;
		}
	}
	tree_iter_close(&it);
	return r < 0 ? r : 0;
}

static int readlink_(struct call *cl, struct node n, struct buf *out)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	int r = load(cl, n, &en, &hold);
	return r < 0 ? r : buf_add(out, en.target.p, en.target.n, &cl->e);
}

static int read_(struct call *cl, struct node n, uint64_t off, size_t size, struct reading *ret)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	int r = load(cl, n, &en, &hold);
	return r < 0 ? r : file_read(cl, &en.content, en.size, off, size, ret);
}

static int seek(struct call *cl, struct node n, uint64_t off, bool hole, uint64_t *ret)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	int r = load(cl, n, &en, &hold);
	return r < 0 ? r : file_seek(cl, &en.content, en.size, off, hole, ret);
}

/* Programs that list files ask each of them for attributes that hardly any has: look at the whole
 * leaf once. */
static void note_xattrs(struct shelf *shelf, const struct plain *leaf)
{
	struct rd rd = rd_of(buf_span(&leaf->data));
	struct entry en;
	(void)rd_raw(&rd, 2);
	for (uint64_t left = rd_count(&rd, 4); left; left--) {
		entry_get(&rd, &en);
		if (rd.bad || en.xattrs.n)
			return;
	}
	atomic_store(&shelf->no_xattrs, true);
}

static int xattrs(struct call *cl, struct node n, struct buf *out)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	if (atomic_load(&n.shelf->no_xattrs))
		return 0;
	int r = load(cl, n, &en, &hold);
	if (r == 0 && hold && !en.xattrs.n)
		note_xattrs(n.shelf, hold);
	return r < 0 ? r : buf_add(out, en.xattrs.p, en.xattrs.n, &cl->e);
}

static int name(struct call *cl, struct node n, struct buf *out, struct node *ret_parent)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	if (n.shelf->key.kind == SHELF_SNAP)
		return top_view.name(cl, n, out, ret_parent);
	int r = load(cl, n, &en, &hold);
	if (r < 0)
		return r;
	*ret_parent = (struct node){n.shelf->parent, n.shelf->key.dir & SLOT_MAX};
	return buf_add(out, en.name.p, en.name.n, &cl->e);
}

const struct view snap_view = {
	.getattr = snap_root_stat,
	.lookup = lookup,
	.list = list,
	.readlink = readlink_,
	.read = read_,
	.seek = seek,
	.xattrs = xattrs,
	.name = name,
};
