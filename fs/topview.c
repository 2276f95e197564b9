/* The fixed directories: snapshots/, by-tag/, by-host/, chunks/, worldedit/. They live: what they
 * show is the list of the moment, and the kernel may keep it for a second. */
#include "fs/topview.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "fs/snapview.h"

#define WORDS_MAX (TOP_HOST_BASE - TOP_TAG_BASE)
#define FIRST_CHILD 3 /* offsets 1 and 2 are "." and ".." */

static const char *const fixed[] = {[TOP_SNAPSHOTS] = "snapshots", [TOP_BY_TAG] = "by-tag",
	[TOP_BY_HOST] = "by-host", [TOP_CHUNKS] = "chunks", [TOP_EDIT] = "worldedit",
	[TOP_LIVE] = "live", [TOP_PRUNABLE] = "prunable", [TOP_TRASH] = "trash"};
#define LAST_FIXED TOP_TRASH

/* Is there such a directory in this mount? */
static bool is_shown(const struct fs *fs, uint32_t slot)
{
	return slot == TOP_CHUNKS || (slot <= TOP_EDIT		  ? fs->store != NULL
				      : slot == TOP_PRUNABLE ? fs->rules != NULL
								: fs->live != NULL);
}

struct shelf *top_shelf(struct fs *fs, struct snap *sn)
{
	struct shelf_key key = {.kind = SHELF_SNAP, .snap = sn};
	return nodes_get(fs->nodes, &key, 0, NULL);
}

static bool is_word_dir(uint32_t slot)
{
	return slot >= TOP_TAG_BASE;
}

static const char *word_of(struct fs *fs, uint32_t slot)
{
	uint32_t base = slot >= TOP_HOST_BASE ? TOP_HOST_BASE : TOP_TAG_BASE;
	return top_word_text(fs->top, (int)(slot - base));
}

/* Does the snapshot number i belong into the directory of this word? */
static bool has_word(const struct snapshot *sn, uint32_t slot, const char *word)
{
	if (slot >= TOP_HOST_BASE)
		return sn->host && strcmp(sn->host, word) == 0;
	for (size_t i = 0; i < sn->n_tags; i++)
		if (strcmp(sn->tags[i], word) == 0)
			return true;
	return false;
}

static bool good_word(const char *w)
{
	return w && entry_name_ok(span_of(w, strlen(w)));
}

/* ---- attributes ---- */

static int link_text(struct node n, char out[64])
{
	const char *name = n.shelf->key.snap->name;
	return snprintf(out, 64, "%s%s", n.slot == FACE_LINK ? "../../snapshots/" : "", name);
}

static int face_stat(struct call *cl, struct node n, struct stat *st)
{
	struct fs *fs = cl->fs;
	const struct snap *sn = n.shelf->key.snap;
	char text[64];
	double ignored;
	if (n.slot == FACE_TREE)
		return snap_root_stat(cl, n, st, &ignored);
	uint64_t ino = ino_of(fs, sn, 'f', n.slot, 0, span_of("", 0));
	if (n.slot == FACE_LATEST || n.slot == FACE_LINK)
		stat_link(fs, st, ino, (size_t)link_text(n, text), ts_of(sn->begin));
	else
		stat_dir(fs, st, ino, ts_of(sn->begin));
	return 0;
}

static int getattr(struct call *cl, struct node n, struct stat *st, double *ttl)
{
	struct fs *fs = cl->fs;
	*ttl = TTL_FOREVER;
	if (n.shelf->key.kind == SHELF_SNAP)
		return face_stat(cl, n, st);
	CLEANUP_TOP_LIST struct top_list *l = top_get(fs->top);
	uint64_t ino = n.slot;
	if (is_word_dir(n.slot)) {
		const char *w = word_of(fs, n.slot);
		if (!w)
			return err_set(&cl->e, E_NOTFOUND, 0, "no such directory");
		ino = ino_of(fs, NULL, n.slot >= TOP_HOST_BASE ? 'h' : 't', 0, 0,
			span_of(w, strlen(w)));
	}
	stat_dir(fs, st, ino, l->mtime);
	*ttl = n.slot == TOP_ROOT ? TTL_FOREVER : TTL_LIVE;
	if (n.slot == TOP_ROOT) /* its entries never change */
		st->st_mtim = st->st_ctim = st->st_atim = (struct timespec){
			fs->store ? (time_t)store_config(fs->store)->created : fs->begun, 0};
	return 0;
}

static int give(struct call *cl, struct shelf *shelf, uint32_t slot, struct found *ret)
{
	*ret = (struct found){.node = {shelf, slot}};
	if (!shelf)
		return err_set(&cl->e, E_NOMEM, 0, "no memory for inode numbers");
	int r = getattr(cl, ret->node, &ret->st, &ret->ttl);
	/* The name may go at any time, whatever it names. */
	if (shelf->key.kind == SHELF_SNAP)
		ret->ttl = TTL_LIVE;
	if (r < 0)
		nodes_put(cl->fs->nodes, shelf, 1);
	return r;
}

static int give_top(struct call *cl, uint32_t slot, struct found *ret)
{
	return give(cl, nodes_find(cl->fs->nodes, 0), slot, ret);
}

static int give_face(struct call *cl, struct snap *sn, uint32_t face, struct found *ret)
{
	return give(cl, top_shelf(cl->fs, sn), face, ret);
}

/* chunks/live: the directory above all trees of live worlds. */
static int give_live(struct call *cl, struct found *ret)
{
	struct shelf_key key = {.kind = SHELF_WORLDS};
	*ret = (struct found){.node.shelf = nodes_get(cl->fs->nodes, &key, 0, NULL)};
	if (!ret->node.shelf)
		return err_set(&cl->e, E_NOMEM, 0, "no memory for inode numbers");
	int r = chunk_view.getattr(cl, ret->node, &ret->st, &ret->ttl);
	if (r < 0)
		nodes_put(cl->fs->nodes, ret->node.shelf, 1);
	return r;
}

/* What a child of a directory of snapshots is. */
static uint32_t face_in(uint32_t slot)
{
	return slot == TOP_SNAPSHOTS ? FACE_TREE
	       : slot == TOP_CHUNKS  ? FACE_CHUNKS
	       : slot == TOP_EDIT    ? FACE_EDIT
				     : FACE_LINK;
}

static bool has_latest(uint32_t slot)
{
	return slot == TOP_SNAPSHOTS || slot == TOP_CHUNKS;
}

/* ---- lookup ---- */

static int lookup_word(struct call *cl, const struct top_list *l, uint32_t dir, struct span name,
	struct found *ret)
{
	uint32_t base = dir == TOP_BY_TAG ? TOP_TAG_BASE : TOP_HOST_BASE;
	char w[256];
	if (name.n >= sizeof w)
		return not_here(cl);
	memcpy(w, name.p, name.n);
	w[name.n] = 0;
	for (size_t i = 0; i < l->list.n; i++)
		if (has_word(&l->list.v[i], base, w)) {
			int id = top_word(cl->fs->top, w);
			if (id < 0 || id >= WORDS_MAX)
				return err_set(&cl->e, E_NOMEM, 0, "too many tags or hosts");
			return give_top(cl, base + (uint32_t)id, ret);
		}
	return not_here(cl);
}

static bool is_name(struct span s, const char *name)
{
	return s.n == strlen(name) && memcmp(s.p, name, s.n) == 0;
}

static int lookup(struct call *cl, struct node n, struct span name, struct found *ret)
{
	ret->ttl = 0;
	if (n.slot == TOP_ROOT) {
		for (uint32_t i = TOP_SNAPSHOTS; i <= LAST_FIXED; i++)
			if (is_shown(cl->fs, i) && is_name(name, fixed[i]))
				return give_top(cl, i, ret);
		ret->ttl = TTL_FOREVER;
		return not_here(cl);
	}
	CLEANUP_TOP_LIST struct top_list *l = top_get(cl->fs->top);
	if (n.slot == TOP_BY_TAG || n.slot == TOP_BY_HOST)
		return lookup_word(cl, l, n.slot, name, ret);
	if (has_latest(n.slot) && is_name(name, "latest") && l->list.n)
		return give_face(cl, l->snap[l->list.n - 1], FACE_LATEST, ret);
	if (n.slot == TOP_CHUNKS && cl->fs->live && is_name(name, "live"))
		return give_live(cl, ret);
	const char *word = is_word_dir(n.slot) ? word_of(cl->fs, n.slot) : NULL;
	size_t i = top_list_find(l, name);
	if (i < l->list.n && (!word || has_word(&l->list.v[i], n.slot, word)))
		return give_face(cl, l->snap[i], face_in(n.slot), ret);
	return not_here(cl);
}

/* ---- listing ---- */

static int emit(struct call *cl, int r, const char *name, struct found *f, uint64_t next,
	list_fn fn, void *ctx)
{
	if (r < 0)
		return r;
	if (fn(ctx, span_of(name, strlen(name)), f, next))
		return 1;
	nodes_put(cl->fs->nodes, f->node.shelf, 1);
	return 0;
}

static int list_root(struct call *cl, uint64_t off, list_fn fn, void *ctx)
{
	int r = 1;
	for (uint64_t i = TOP_SNAPSHOTS + off; i <= LAST_FIXED && r == 1; i++) {
		struct found f;
		if (!is_shown(cl->fs, (uint32_t)i))
			continue;
		r = give_top(cl, (uint32_t)i, &f);
		r = emit(cl, r, fixed[i], &f, i - TOP_SNAPSHOTS + 1, fn, ctx);
	}
	return r < 0 ? r : 0;
}

/* Offsets of tags and hosts are their numbers: they stay the same while the list changes. */
static int list_words(struct call *cl, const struct top_list *l, uint32_t dir, uint64_t off,
	list_fn fn, void *ctx)
{
	uint32_t base = dir == TOP_BY_TAG ? TOP_TAG_BASE : TOP_HOST_BASE;
	bool used[1024] = {false};
	int r = 1;
	for (size_t i = 0; i < l->list.n; i++) {
		const struct snapshot *sn = &l->list.v[i];
		size_t k = dir == TOP_BY_TAG ? sn->n_tags : 1;
		while (k--) {
			const char *w = dir == TOP_BY_TAG ? sn->tags[k] : sn->host;
			int id = good_word(w) ? top_word(cl->fs->top, w) : -1;
			if (id >= 0 && id < 1024)
				used[id] = true;
		}
	}
	for (uint64_t id = off; id < 1024 && r == 1; id++) {
		struct found f;
		if (!used[id])
			continue;
		r = give_top(cl, base + (uint32_t)id, &f);
		r = emit(cl, r, r < 0 ? "" : word_of(cl->fs, base + (uint32_t)id), &f, id + 1, fn,
			ctx);
	}
	return r < 0 ? r : 0;
}

static int list(struct call *cl, struct node n, uint64_t off, list_fn fn, void *ctx)
{
	if (n.slot == TOP_ROOT)
		return list_root(cl, off, fn, ctx);
	CLEANUP_TOP_LIST struct top_list *l = top_get(cl->fs->top);
	if (n.slot == TOP_BY_TAG || n.slot == TOP_BY_HOST)
		return list_words(cl, l, n.slot, off, fn, ctx);
	const char *word = is_word_dir(n.slot) ? word_of(cl->fs, n.slot) : NULL;
	struct found f;
	int r = 1;
	/* Offsets are the snapshots' numbers + 2; "live" and "latest" come first. */
	if (off == 0 && n.slot == TOP_CHUNKS && cl->fs->live) {
		r = give_live(cl, &f);
		r = emit(cl, r, "live", &f, 1, fn, ctx);
	}
	if (r == 1 && off <= 1 && has_latest(n.slot) && l->list.n) {
		r = give_face(cl, l->snap[l->list.n - 1], FACE_LATEST, &f);
		r = emit(cl, r, "latest", &f, 2, fn, ctx);
	}
	for (size_t at = top_list_from(l, off > 2 ? off - 1 : 0); at < l->list.n && r == 1; at++) {
		size_t i = l->by_number[at];
		struct snap *sn = l->snap[i];
		if (word && !has_word(&l->list.v[i], n.slot, word))
			continue;
		r = give_face(cl, sn, face_in(n.slot), &f);
		r = emit(cl, r, sn->name, &f, (uint64_t)sn->number + 2, fn, ctx);
	}
	return r < 0 ? r : 0;
}

static int readlink_(struct call *cl, struct node n, struct buf *out)
{
	char text[64];
	int len = link_text(n, text);
	return buf_add(out, text, (size_t)len, &cl->e);
}

static int name(struct call *cl, struct node n, struct buf *out, struct node *ret_parent)
{
	static const uint32_t dir_of[] = {[FACE_TREE] = TOP_SNAPSHOTS, [FACE_CHUNKS] = TOP_CHUNKS,
		[FACE_LATEST] = TOP_SNAPSHOTS, [FACE_LINK] = TOP_BY_TAG, [FACE_EDIT] = TOP_EDIT};
	*ret_parent = (struct node){0};
	if (n.shelf->key.kind != SHELF_SNAP) {
		const char *w = is_word_dir(n.slot)	? word_of(cl->fs, n.slot)
				: n.slot <= LAST_FIXED && fixed[n.slot] ? fixed[n.slot]
									: "";
		return w ? buf_add(out, w, strlen(w), &cl->e) : 0;
	}
	const char *dir = fixed[dir_of[n.slot]], *sn = n.shelf->key.snap->name;
	int r = buf_add(out, dir, strlen(dir), &cl->e);
	if (r == 0)
		r = buf_add(out, "/", 1, &cl->e);
	return r < 0 ? r : buf_add(out, sn, strlen(sn), &cl->e);
}

const struct view top_view = {
	.getattr = getattr,
	.lookup = lookup,
	.list = list,
	.readlink = readlink_,
	.name = name,
};
