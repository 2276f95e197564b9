#include "engine/snapshot/diff.h"

#include <stdlib.h>
#include <string.h>

#include "engine/anvil/region.h"
#include "engine/base/cleanup.h"
#include "engine/snapshot/resolve.h"
#include "engine/snapshot/tree.h"

/* Deeper than any path that a system can name; the frames are on the heap, the calls are small. */
#define NESTING_MAX 4096

struct walk {
	struct store *s;
	struct coder *c;
	const struct diff_options *opt;
	struct diff_result *ret;
	struct buf path; /* with a 0 behind it */
	unsigned depth;
	struct diff_chunk *chunks; /* REGION_SLOTS; NULL when not asked for */
};

/* One directory on both sides; a side that is not there has an iterator that is at its end. */
struct frame {
	const struct content *dir_a, *dir_b;
	struct tree_iter ia, ib;
	struct entry a, b;
};

/* ---- two entries ---- */

static unsigned compare_metadata(const struct entry *a, const struct entry *b)
{
	unsigned d = 0;
	if (a->mode != b->mode && a->type != NODE_SYMLINK)
		d |= DIFF_MODE;
	if (a->uid != b->uid || a->gid != b->gid)
		d |= DIFF_OWNER;
	if (!time_equal(a->mtime, b->mtime))
		d |= DIFF_TIMES;
	if (entry_name_cmp(a->xattrs, b->xattrs) != 0)
		d |= DIFF_XATTRS;
	return d;
}

static unsigned compare_contents(const struct entry *a, const struct entry *b)
{
	if (a->type != b->type)
		return DIFF_TYPE;
	switch (a->type) {
	case NODE_FILE:
		return a->size != b->size || a->damaged != b->damaged ||
				       !content_equal(&a->content, &b->content)
			       ? DIFF_CONTENT
			       : 0;
	case NODE_SYMLINK:
		return entry_name_cmp(a->target, b->target) != 0 ? DIFF_TARGET : 0;
	case NODE_CHAR:
	case NODE_BLOCK:
		return a->rdev_major != b->rdev_major || a->rdev_minor != b->rdev_minor
			       ? DIFF_DEVICE
			       : 0;
	default:
		return 0;
	}
}

/* False when there is nothing to tell. */
static bool classify(struct diff_item *it)
{
	if (!it->a || !it->b) {
		it->change = it->b ? DIFF_ADDED : DIFF_REMOVED;
		return true;
	}
	unsigned contents = compare_contents(it->a, it->b);
	it->details = contents | compare_metadata(it->a, it->b);
	if (it->details && (it->a->damaged || it->b->damaged))
		it->details |= DIFF_UNREADABLE;
	it->change = contents ? DIFF_CHANGED : DIFF_METADATA;
	return it->details != 0;
}

static bool is_region_file(const struct entry *en, const char *name)
{
	int32_t x, z;
	return en && en->type == NODE_FILE && !en->damaged &&
	       (en->content.kind == CONTENT_REGION || region_parse_name(name, &x, &z));
}

/* Chunks of a region file, or the one of an .mcc file, where that was asked for. */
static int look_inside(struct walk *w, const struct frame *f, const char *name,
	struct diff_item *it, struct err *e)
{
	bool metadata_only = it->change == DIFF_METADATA;
	int32_t x, z;
	int r = 0;
	if (!w->chunks || metadata_only)
		return 0;
	bool in_a = is_region_file(it->a, name), in_b = is_region_file(it->b, name);
	/* What could not be read on one side says nothing about chunks. */
	bool unknown = (it->a && it->a->damaged) || (it->b && it->b->damaged);
	if ((in_a || in_b) && !unknown) {
		struct diff_region a = {in_a ? it->a : NULL, f->dir_a};
		struct diff_region b = {in_b ? it->b : NULL, f->dir_b};
		r = diff_region(w->s, w->c, name, &a, &b, w->opt->same, w->chunks, &it->n_chunks,
			e);
	} else if (region_parse_external_name(name, &x, &z) && f->dir_a && f->dir_b) {
		r = diff_external(w->s, w->c, name, f->dir_a, f->dir_b, w->opt->same, w->chunks,
			&it->n_chunks, e);
	}
	it->chunks = w->chunks;
	return r;
}

static int report(struct walk *w, const struct diff_item *it, struct err *e)
{
	uint64_t *const count[] = {[DIFF_ADDED] = &w->ret->added,
		[DIFF_REMOVED] = &w->ret->removed, [DIFF_CHANGED] = &w->ret->changed,
		[DIFF_METADATA] = &w->ret->metadata};
	++*count[it->change];
	for (size_t i = 0; i < it->n_chunks; i++)
		w->ret->chunk[it->chunks[i].change]++;
	return w->opt->on_item(w->opt->ctx, it, e);
}

/* ---- two directories ---- */

static int walk_dirs(struct walk *w, const struct content *a, const struct content *b,
	struct err *e);

static int compare(struct walk *w, const struct frame *f, const char *name, const struct entry *a,
	const struct entry *b, struct err *e)
{
	struct diff_item it = {.path = (const char *)w->path.p, .a = a, .b = b};
	int r = 0;
	if (classify(&it)) {
		r = look_inside(w, f, name, &it, e);
		if (r < 0)
			return err_wrap(e, "'%s'", it.path);
		r = report(w, &it, e);
	}
	const struct content *da = a && a->type == NODE_DIR ? &a->content : NULL;
	const struct content *db = b && b->type == NODE_DIR ? &b->content : NULL;
	if (r < 0 || (!da && !db) || (da && db && content_equal(da, db)))
		return r;
	return walk_dirs(w, da, db, e);
}

static int compare_named(struct walk *w, const struct frame *f, const struct entry *a,
	const struct entry *b, struct err *e)
{
	struct span name = a ? a->name : b->name;
	size_t mark = w->path.len;
	int r = 0;
	if (w->opt->cancel && *w->opt->cancel)
		return err_set(e, E_CANCELLED, 0, "interrupted");
	if (mark)
		r = buf_add(&w->path, "/", 1, e);
	if (r == 0)
		r = buf_add(&w->path, name.p, name.n, e);
	if (r == 0)
		r = buf_add(&w->path, "", 1, e);
	if (r < 0)
		return r;
	w->path.len--;
	/* The name is the tail of the path; the path may move while it grows below. */
	char own[256];
	memcpy(own, name.p, name.n);
	own[name.n] = 0;
	r = compare(w, f, own, a, b, e);
	w->path.len = mark;
	w->path.p[mark] = 0;
	return r;
}

static int merge(struct walk *w, struct frame *f, struct err *e)
{
	int ra = tree_iter_next(&f->ia, &f->a, e);
	int rb = ra < 0 ? ra : tree_iter_next(&f->ib, &f->b, e);
	while (ra >= 0 && rb >= 0 && (ra || rb)) {
		int order = !ra ? 1 : !rb ? -1 : entry_name_cmp(f->a.name, f->b.name);
		int r = compare_named(w, f, order <= 0 ? &f->a : NULL, order >= 0 ? &f->b : NULL, e);
		if (r < 0)
			return r;
		if (order <= 0)
			ra = tree_iter_next(&f->ia, &f->a, e);
		if (order >= 0 && ra >= 0)
			rb = tree_iter_next(&f->ib, &f->b, e);
	}
	return ra < 0 ? ra : rb;
}

/* A NULL directory is one without entries. */
static int walk_dirs(struct walk *w, const struct content *a, const struct content *b, struct err *e)
{
	static const struct content nothing = {.kind = CONTENT_EMPTY};
	if (w->depth == NESTING_MAX)
		return err_set(e, E_UNSUPPORTED, 0, "directories are nested too deep");
	struct frame *f = calloc(1, sizeof *f);
	if (!f)
		return err_set(e, E_NOMEM, 0, "no memory to compare directories");
	f->dir_a = a;
	f->dir_b = b;
	w->depth++;
	int r = tree_iter_open(&f->ia, w->s, w->c, a ? a : &nothing, 0, e);
	if (r == 0) {
		r = tree_iter_open(&f->ib, w->s, w->c, b ? b : &nothing, 0, e);
		if (r == 0) {
			r = merge(w, f, e);
			tree_iter_close(&f->ib);
		}
		tree_iter_close(&f->ia);
	}
	w->depth--;
	free(f);
	return r;
}

/* ---- the two places ---- */

struct place {
	struct entry en, dir;
	struct plain *hold, *dir_hold;
	char *name; /* the path's last part; "" for a whole snapshot */
};

static void place_free(struct place *p)
{
	plain_unref(p->hold);
	plain_unref(p->dir_hold);
	free(p->name);
}

static int place_open(struct place *p, struct walk *w, const struct diff_place *at, struct err *e)
{
	CLEANUP_FREE char *path = strdup(at->path);
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	size_t n = strlen(path);
	while (n && path[n - 1] == '/')
		path[--n] = 0;
	int r = resolve_path(w->s, w->c, at->sn, path, &p->en, &p->hold, e);
	char *slash = strrchr(path, '/');
	p->name = strdup(slash ? slash + 1 : path);
	if (r == 0 && !p->name)
		r = err_set(e, E_NOMEM, 0, "no memory for a path");
	if (r < 0)
		return r;
	path[slash ? slash - path : 0] = 0;
	return resolve_path(w->s, w->c, at->sn, path, &p->dir, &p->dir_hold, e);
}

static int run(struct walk *w, struct place *a, struct place *b, struct err *e)
{
	bool dirs = a->en.type == NODE_DIR && b->en.type == NODE_DIR;
	struct frame at = {.dir_a = &a->dir.content, .dir_b = &b->dir.content};
	if (dirs && (!*a->name || !*b->name)) /* the root of a snapshot has no metadata of its own */
		return content_equal(&a->en.content, &b->en.content)
			       ? 0
			       : walk_dirs(w, &a->en.content, &b->en.content, e);
	if (!dirs) {
		a->en.name = b->en.name = span_of(b->name, strlen(b->name));
		if (!*b->name)
			a->en.name = b->en.name = span_of(a->name, strlen(a->name));
		return compare_named(w, &at, &a->en, &b->en, e);
	}
	struct diff_item it = {.path = ".", .a = &a->en, .b = &b->en};
	int r = classify(&it) ? report(w, &it, e) : 0;
	if (r == 0 && !content_equal(&a->en.content, &b->en.content))
		r = walk_dirs(w, &a->en.content, &b->en.content, e);
	return r;
}

int diff_run(struct store *s, struct coder *c, const struct diff_place *a,
	const struct diff_place *b, const struct diff_options *opt, struct diff_result *ret,
	struct err *e)
{
	struct walk w = {.s = s, .c = c, .opt = opt, .ret = ret};
	struct place pa = {0}, pb = {0};
	*ret = (struct diff_result){0};
	int r = buf_reserve(&w.path, 4096, e);
	if (r == 0 && opt->chunks) {
		w.chunks = calloc(REGION_SLOTS, sizeof *w.chunks);
		if (!w.chunks)
			r = err_set(e, E_NOMEM, 0, "no memory to compare chunks");
	}
	if (r == 0) {
		w.path.p[0] = 0;
		r = place_open(&pa, &w, a, e);
	}
	if (r == 0)
		r = place_open(&pb, &w, b, e);
	if (r == 0)
		r = run(&w, &pa, &pb, e);
	place_free(&pa);
	place_free(&pb);
	free(w.chunks);
	buf_free(&w.path);
	return r;
}
