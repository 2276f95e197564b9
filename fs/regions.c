#include "fs/regions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/snapshot/tree.h"
#include "fs/blobs.h"
#include "fs/liveregion.h"

#define FORM_OF_LIST 0xf1 /* forms of made-up names: no blob has them */
#define FORM_OF_BYTES 0xf2
#define RECORD_HEAD 5
#define EXTERNAL_MAX ((uint64_t)64 << 20) /* of a .mcc file */

/* ---- which there are ---- */

struct listing {
	struct call *cl;
	const struct world_place *p;
};

static int by_place(const void *a, const void *b)
{
	const struct region_name *x = a, *y = b;
	if (x->x != y->x)
		return x->x < y->x ? -1 : 1;
	return x->z < y->z ? -1 : x->z > y->z;
}

/* Only names that are spelt the one way count: "r.01.0.mca" is another file. */
static bool parse_exact(struct span name, int32_t *x, int32_t *z)
{
	char text[64], again[64];
	if (name.n >= sizeof text)
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = 0;
	if (!region_parse_name(text, x, z) || !region_in_range(*x, *z))
		return false;
	snprintf(again, sizeof again, "r.%d.%d.mca", *x, *z);
	return strcmp(text, again) == 0;
}

static int add_kind(struct listing *l, int kind, struct buf *out, struct err *e)
{
	struct tree_iter it;
	struct entry en;
	int r = tree_iter_open(&it, l->cl->fs->store, l->cl->c, &l->p->dir[kind], 0, e);
	if (r < 0)
		return r;
	while ((r = tree_iter_next(&it, &en, e)) == 1) {
		struct region_name n = {.kinds = 1u << kind};
		if (en.type != NODE_FILE || !parse_exact(en.name, &n.x, &n.z))
			continue;
		r = buf_add(out, &n, sizeof n, e);
		if (r < 0)
			break;
	}
	tree_iter_close(&it);
	return r < 0 ? r : 0;
}

void region_names_sort(struct buf *b)
{
	struct region_name *v = (struct region_name *)(void *)b->p;
	size_t n = b->len / sizeof *v, m = 0;
	if (n)
		qsort(v, n, sizeof *v, by_place);
	for (size_t i = 0; i < n; i++)
		if (m && by_place(&v[m - 1], &v[i]) == 0)
			v[m - 1].kinds |= v[i].kinds;
		else
			v[m++] = v[i];
	b->len = m * sizeof *v;
}

static int make_names(void *ctx, struct coder *c, struct piece *p, struct err *e)
{
	struct listing *l = ctx;
	(void)c;
	for (int k = 0; k < SOURCE_KINDS; k++) {
		int r = add_kind(l, k, &p->own, e);
		if (r < 0)
			return r;
	}
	region_names_sort(&p->own);
	p->data = buf_span(&p->own);
	return 0;
}

int region_names(struct call *cl, const struct world_place *p, struct piece **ret)
{
	if (p->live)
		return live_region_names(cl, p, ret);
	struct listing l = {cl, p};
	struct piece_key key = {.what = PIECE_REGIONS};
	uint8_t all[SOURCE_KINDS * (NAME_BYTES + 2)] = {0};
	for (int k = 0; k < SOURCE_KINDS; k++) {
		uint8_t *at = all + k * (NAME_BYTES + 2);
		at[0] = p->dir[k].kind;
		at[1] = p->dir[k].level;
		memcpy(at + 2, p->dir[k].name.b, NAME_BYTES);
	}
	name_of(cl->fs->keys, FORM_OF_LIST, span_of(all, sizeof all), &key.name);
	return fscache_get(cl->fs->cache, cl->c, &key, make_names, &l, ret, &cl->e);
}

/* ---- one file ---- */

int region_load(struct call *cl, const struct world_place *p, int kind, int32_t x, int32_t z,
	struct region *ret)
{
	char name[64];
	if (p->live)
		return live_region_load(cl, p, kind, x, z, ret);
	*ret = (struct region){.folder = &p->dir[kind], .x = x, .z = z};
	int n = snprintf(name, sizeof name, "r.%d.%d.mca", x, z);
	int r = tree_lookup(cl->fs->store, cl->c, ret->folder, span_of(name, (size_t)n), &ret->en,
		&ret->hold, &cl->e);
	if (r < 0)
		return r;
	ret->has_header = ret->en.size >= REGION_HEADER;
	if (ret->en.content.kind == CONTENT_REGION) {
		r = file_open(cl, &ret->en.content, ret->en.size, &ret->file);
		if (r == 0)
			memcpy(ret->header, file_layout(ret->file)->header, REGION_HEADER);
	} else if (ret->has_header) {
		r = file_copy(cl, &ret->en.content, ret->en.size, 0, ret->header, REGION_HEADER);
	}
	if (r < 0)
		region_unload(cl, ret);
	return r;
}

void region_unload(struct call *cl, struct region *r)
{
	live_region_unload(r);
	plain_unref(TAKE_PTR(r->hold));
	file_close(cl->fs->files, TAKE_PTR(r->file));
}

void region_ahead_tables(struct call *cl, const struct region *r)
{
	const struct layout *l = r->file ? file_layout(r->file) : NULL;
	for (unsigned g = 0; l && g < LAYOUT_GROUPS; g++)
		if (l->has_group[g])
			blob_ahead(cl->fs, &l->sources[g].name, PIECE_TABLE);
}

bool region_has_chunk(const struct region *r, unsigned slot)
{
	struct region_entry en = region_entry_at(r->header, slot);
	return r->has_header && (en.sector || en.count);
}

static bool in_group(const struct region *r, unsigned slot)
{
	return r->file && file_layout(r->file)->rec_len[slot];
}

/* ---- chunks outside of the file ---- */

struct outside {
	struct call *cl;
	const struct entry *en;
	unsigned type;
};

static int make_outside(void *ctx, struct coder *c, struct piece *p, struct err *e)
{
	struct outside *o = ctx;
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)c;
	if (o->en->size > EXTERNAL_MAX)
		return err_set(e, E_FORMAT, 0, "its .mcc file is too large");
	int r = buf_resize(&b, (size_t)o->en->size, e);
	if (r == 0)
		r = file_copy(o->cl, &o->en->content, o->en->size, 0, b.p, b.len);
	if (r == 0)
		r = chunk_decode(o->type, buf_span(&b), CHUNK_NBT_MAX, &p->own, e);
	p->data = buf_span(&p->own);
	return r;
}

/* The entry of c.X.Z.mcc. */
static int find_outside(struct call *cl, const struct region *r, unsigned slot, struct entry *ret,
	struct plain **hold)
{
	char name[64];
	int n = snprintf(name, sizeof name, "c.%lld.%lld.mcc",
		(long long)r->x * 32 + (int)(slot % 32), (long long)r->z * 32 + (int)(slot / 32));
	int rc = tree_lookup(cl->fs->store, cl->c, r->folder, span_of(name, (size_t)n), ret, hold,
		&cl->e);
	if (rc == E_NOTFOUND || (rc == 0 && ret->type != NODE_FILE))
		return err_set(&cl->e, E_FORMAT, 0, "%s, which holds it, is missing", name);
	return rc;
}

/* The NBT of c.X.Z.mcc. E_FORMAT when it is missing or does not decode. */
static int outside_nbt(struct call *cl, const struct region *r, unsigned slot, unsigned type,
	struct piece **ret)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	int rc = find_outside(cl, r, slot, &en, &hold);
	if (rc < 0)
		return rc;
	struct outside o = {cl, &en, type & ~(unsigned)CHUNK_EXTERNAL};
	struct piece_key key = {en.content.name, PIECE_EXTERNAL + o.type};
	if (en.content.kind < CONTENT_BLOB)
		name_of(cl->fs->keys, FORM_OF_BYTES, en.content.inline_data, &key.name);
	return fscache_get(cl->fs->cache, cl->c, &key, make_outside, &o, ret, &cl->e);
}

/* ---- chunks that are in no group: entries that overlap others, files kept as plain bytes ---- */

struct loose {
	struct call *cl;
	const struct region *r;
	uint64_t off;
	size_t n;
};

static struct loose loose_of(struct call *cl, const struct region *r, unsigned slot)
{
	struct region_entry en = region_entry_at(r->header, slot);
	struct loose l = {cl, r, (uint64_t)en.sector * REGION_SECTOR,
		(size_t)en.count * REGION_SECTOR};
	if (l.off >= r->en.size)
		l.n = 0;
	else if (l.n > r->en.size - l.off)
		l.n = (size_t)(r->en.size - l.off);
	return l;
}

/* The record that stands there; E_FORMAT when there is none. */
static int loose_record(struct loose *l, struct buf *b, struct span *ret)
{
	struct err *e = &l->cl->e;
	int r = buf_resize(b, l->n, e);
	if (r == 0 && l->n < RECORD_HEAD)
		return err_set(e, E_FORMAT, 0, "its header entry points past the file's end");
	if (r == 0)
		r = file_copy(l->cl, &l->r->en.content, l->r->en.size, l->off, b->p, l->n);
	if (r < 0)
		return r;
	uint64_t n = (uint64_t)get_be32(b->p) + 4;
	if (n < RECORD_HEAD || n > l->n || l->off < REGION_HEADER)
		return err_set(e, E_FORMAT, 0, "its header entry does not name a whole record");
	*ret = span_of(b->p, (size_t)n);
	return 0;
}

static int make_loose(void *ctx, struct coder *c, struct piece *p, struct err *e)
{
	struct loose *l = ctx;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct span rec = {0};
	(void)c;
	int r = loose_record(l, &b, &rec);
	if (r == 0)
		r = chunk_decode(rec.p[4], span_sub(rec, RECORD_HEAD, rec.n), CHUNK_NBT_MAX,
			&p->own, e);
	p->data = buf_span(&p->own);
	return r;
}

static int loose_nbt(struct call *cl, const struct region *r, unsigned slot, struct piece **ret)
{
	struct loose l = loose_of(cl, r, slot);
	struct piece_key key = {r->en.content.name, PIECE_FILE_NBT + slot};
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct span rec = {0};
	if (r->en.content.kind < CONTENT_BLOB)
		return err_set(&cl->e, E_FORMAT, 0, "the region file is too short");
	if (!fscache_has(cl->fs->cache, &key)) {
		int rc = loose_record(&l, &b, &rec);
		if (rc < 0)
			return rc;
		if (rec.p[4] & CHUNK_EXTERNAL)
			return outside_nbt(cl, r, slot, rec.p[4], ret);
	}
	return fscache_get(cl->fs->cache, cl->c, &key, make_loose, &l, ret, &cl->e);
}

/* ---- any chunk ---- */

static int read_outside(struct call *cl, const struct region *r, unsigned slot, struct buf *mcc)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	int rc = find_outside(cl, r, slot, &en, &hold);
	if (rc == 0 && en.size > EXTERNAL_MAX)
		rc = err_set(&cl->e, E_FORMAT, 0, "its .mcc file is too large");
	if (rc == 0)
		rc = buf_resize(mcc, (size_t)en.size, &cl->e);
	if (rc == 0)
		rc = file_copy(cl, &en.content, en.size, 0, mcc->p, mcc->len);
	return rc;
}

int region_record(struct call *cl, const struct region *r, unsigned slot, struct buf *record,
	struct buf *mcc, bool *ret_mcc)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct span rec = {0};
	*ret_mcc = false;
	if (r->place)
		return live_region_record(cl, r, slot, record, mcc, ret_mcc);
	struct loose l = loose_of(cl, r, slot);
	int rc = loose_record(&l, &b, &rec);
	if (rc == 0)
		rc = buf_add(record, rec.p, rec.n, &cl->e);
	if (rc == 0 && rec.p[4] & CHUNK_EXTERNAL) {
		*ret_mcc = true;
		rc = read_outside(cl, r, slot, mcc);
	}
	return rc;
}

static int table_slot(struct call *cl, const struct region *r, unsigned slot,
	struct chunk_slot *ret)
{
	CLEANUP_PIECE struct piece *table = NULL;
	const struct layout *l = file_layout(r->file);
	int rc = blob_table(cl, &l->sources[slot / GROUP_SLOTS].name, &table);
	if (rc == 0)
		*ret = table_slots(table)[slot % GROUP_SLOTS];
	return rc;
}

int region_chunk_nbt(struct call *cl, const struct region *r, unsigned slot, struct piece **ret)
{
	struct chunk_slot cs = {0};
	if (r->place)
		return live_region_nbt(cl, r, slot, ret);
	if (!in_group(r, slot))
		return loose_nbt(cl, r, slot, ret);
	int rc = table_slot(cl, r, slot, &cs);
	if (rc < 0)
		return rc;
	if (cs.state == CHUNK_OUTSIDE)
		return outside_nbt(cl, r, slot, cs.type, ret);
	if (cs.state != CHUNK_FINE)
		return err_set(&cl->e, E_FORMAT, 0, "its stream (type %u) cannot be decoded",
			cs.type);
	return blob_nbt(cl, &file_layout(r->file)->sources[slot / GROUP_SLOTS].name,
		slot % GROUP_SLOTS, ret);
}

/* Where its raw bytes are. */
static void set_raw(struct call *cl, const struct region *r, unsigned slot,
	struct region_chunk *ret)
{
	struct loose l = loose_of(cl, r, slot);
	ret->off = l.off;
	ret->size = in_group(r, slot) ? file_layout(r->file)->rec_len[slot] : l.n;
}

int region_raw(struct call *cl, const struct region *r, uint64_t off, size_t n,
	struct reading *ret)
{
	if (!r->place)
		return file_read(cl, &r->en.content, r->en.size, off, n, ret);
	int rc = live_region_raw(cl, r, off, n, &ret->own);
	ret->data = buf_span(&ret->own);
	return rc;
}

int region_chunk(struct call *cl, const struct region *r, unsigned slot, struct region_chunk *ret)
{
	CLEANUP_PIECE struct piece *nbt = NULL;
	struct chunk_slot cs = {0};
	int rc;
	if (r->place)
		return live_region_chunk(cl, r, slot, ret);
	*ret = (struct region_chunk){.mtime = region_entry_at(r->header, slot).timestamp};
	if (!region_has_chunk(r, slot))
		return err_set(&cl->e, E_NOTFOUND, 0, "no such chunk");
	if (in_group(r, slot)) {
		rc = table_slot(cl, r, slot, &cs);
		if (rc < 0)
			return rc;
		if (cs.state == CHUNK_FINE) {
			ret->fine = true;
			ret->size = cs.size;
			return 0;
		}
	}
	/* The others are decoded to know. */
	rc = region_chunk_nbt(cl, r, slot, &nbt);
	if (rc == 0) {
		ret->fine = true;
		ret->size = nbt->data.n;
		return 0;
	}
	if (rc != E_FORMAT)
		return rc;
	snprintf(ret->problem, sizeof ret->problem, "%.150s", cl->e.msg);
	cl->e = ERR_INIT;
	set_raw(cl, r, slot, ret);
	return 0;
}
