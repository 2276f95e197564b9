#include "engine/snapshot/diff_region.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/base/cleanup.h"
#include "engine/snapshot/layout.h"
#include "engine/snapshot/reader.h"
#include "engine/snapshot/tree.h"

#define STUB_BYTES 5 /* the record of an external chunk: a length of 1 and the type */
#define READER_CACHE ((size_t)8 << 20)
#define NO_GROUP LAYOUT_GROUPS
/* restream.h: 0x11 to 0x19, 0x21 to 0x29. These need nothing beside the plain form. */
#define RECIPE_KIND(recipe) ((recipe) & ~0xfu)
#define KIND_ZLIB 0x10u
#define KIND_GZIP 0x20u

/* One version of the file, opened: by its layout where it has one, else through a reader. */
struct version {
	struct store *s;
	struct coder *c;
	const struct content *dir;
	bool has_layout;
	struct layout layout;
	struct reader *rd;
	uint8_t header[REGION_HEADER];
	struct region_extent ext[REGION_SLOTS];
	unsigned group; /* the one that is loaded, or NO_GROUP */
	struct plain *plain;
	struct group_slot slots[GROUP_SLOTS];
	struct buf record, nbt; /* of the slot looked at */
};

enum state { ABSENT, BROKEN, RECORD };

/* ---- opening ---- */

static int read_at(void *ctx, uint64_t off, void *p, size_t n, size_t *ret_n, struct err *e)
{
	struct version *v = ctx;
	return reader_pread(v->rd, v->c, off, p, n, ret_n, e);
}

static int open_layout(struct version *v, const struct content *content, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = store_get(v->s, v->c, &content->name, &b, e);
	if (r < 0)
		return r;
	v->has_layout = true;
	r = layout_get(buf_span(&b), &v->layout, e);
	if (r == 0)
		memcpy(v->header, v->layout.header, REGION_HEADER);
	return r;
}

static int version_open(struct version *v, struct store *s, struct coder *c,
	const struct diff_region *f, struct err *e)
{
	size_t n;
	v->s = s;
	v->c = c;
	v->dir = f->dir;
	v->group = NO_GROUP;
	if (!f->file)
		return 0;
	if (f->file->content.kind == CONTENT_REGION)
		return open_layout(v, &f->file->content, e);
	int r = reader_open(&v->rd, s, c, &f->file->content, f->file->size, READER_CACHE, e);
	/* Shorter than a header: what is missing counts as zeros, as for the game. */
	if (r == 0)
		r = reader_pread(v->rd, c, 0, v->header, REGION_HEADER, &n, e);
	return r < 0 ? r : region_map(v->header, f->file->size, read_at, v, v->ext, e);
}

static void version_free(struct version *v)
{
	if (!v)
		return;
	if (v->has_layout)
		layout_free(&v->layout);
	reader_close(v->rd);
	plain_unref(v->plain);
	buf_free(&v->record);
	buf_free(&v->nbt);
	free(v);
}

static void cleanup_versionp(struct version **v)
{
	version_free(*v);
}
#define CLEANUP_VERSION __attribute__((cleanup(cleanup_versionp)))

/* ---- slots ---- */

static uint32_t record_len(const struct version *v, unsigned slot)
{
	return v->has_layout ? v->layout.rec_len[slot] : v->ext[slot].len;
}

static enum state state_of(const struct version *v, unsigned slot)
{
	struct region_entry en = region_entry_at(v->header, slot);
	if (en.sector == 0 && en.count == 0)
		return ABSENT;
	return record_len(v, slot) ? RECORD : BROKEN;
}

static bool same_group(const struct version *a, const struct version *b, unsigned slot)
{
	unsigned g = slot / GROUP_SLOTS;
	return a->has_layout && b->has_layout && a->layout.has_group[g] && b->layout.has_group[g] &&
	       name_cmp(&a->layout.sources[g].name, &b->layout.sources[g].name) == 0;
}

static int load_group(struct version *v, unsigned group, struct err *e)
{
	if (v->group == group)
		return 0;
	plain_unref(TAKE_PTR(v->plain));
	v->group = NO_GROUP;
	int r = store_plain(v->s, v->c, &v->layout.sources[group].name, &v->plain, e);
	if (r == 0 && v->plain->form != FORM_GROUP)
		r = err_set(e, E_CORRUPT, 0, "a chunk group has the form of something else");
	if (r == 0)
		r = group_parse(buf_span(&v->plain->data), v->slots, e);
	if (r == 0)
		v->group = group;
	return r;
}

/* The slot's place in its group; NULL for a version without a layout. */
static int group_slot(struct version *v, unsigned slot, const struct group_slot **ret, struct err *e)
{
	*ret = NULL;
	if (!v->has_layout)
		return 0;
	int r = load_group(v, slot / GROUP_SLOTS, e);
	if (r < 0)
		return r;
	*ret = &v->slots[slot % GROUP_SLOTS];
	if ((*ret)->canon_len != v->layout.rec_len[slot])
		return err_set(e, E_CORRUPT, 0, "a chunk group does not fit its region file");
	return 0;
}

/* Type byte and stream as they stand in the file; valid until the next call. */
static int load_record(struct version *v, unsigned slot, struct span *ret, struct err *e)
{
	const struct group_slot *gs;
	size_t n;
	v->record.len = 0;
	int r = group_slot(v, slot, &gs, e);
	if (r == 0 && gs)
		r = group_record(v->c->rs, buf_span(&v->plain->data), gs, &v->record, e);
	else if (r == 0) {
		r = buf_resize(&v->record, v->ext[slot].len, e);
		if (r == 0)
			r = reader_pread(v->rd, v->c, v->ext[slot].off, v->record.p, v->record.len,
				&n, e);
		if (r == 0 && n < v->record.len)
			r = err_set(e, E_CORRUPT, 0, "a region file is shorter than it should be");
	}
	if (r == 0)
		*ret = span_sub(buf_span(&v->record), 4, v->record.len);
	return r;
}

/* ---- external chunks ---- */

/* *ret_there false: there is no such file, or its bytes are not in the snapshot. */
static int find_external(const struct version *v, int64_t x, int64_t z, struct entry *ret,
	struct plain **hold, bool *ret_there, struct err *e)
{
	char name[64];
	struct err own = ERR_INIT;
	snprintf(name, sizeof name, "c.%lld.%lld.mcc", (long long)x, (long long)z);
	*ret_there = false;
	*hold = NULL;
	if (!v->dir)
		return 0;
	int r = tree_lookup(v->s, v->c, v->dir, span_of(name, strlen(name)), ret, hold, &own);
	if (r < 0 && r != E_NOTFOUND)
		return err_set(e, r, own.sys, "%s", own.msg);
	*ret_there = r == 0 && ret->type == NODE_FILE && !ret->damaged;
	return 0;
}

static int read_external(const struct version *v, const struct entry *en, struct buf *out,
	struct err *e)
{
	struct reader *rd;
	size_t n;
	if (en->size > DIFF_NBT_MAX)
		return 0; /* no bytes: unreadable */
	int r = reader_open(&rd, v->s, v->c, &en->content, en->size, READER_CACHE, e);
	if (r < 0)
		return r;
	r = buf_resize(out, (size_t)en->size, e);
	if (r == 0)
		r = reader_pread(rd, v->c, 0, out->p, out->len, &n, e);
	reader_close(rd);
	return r;
}

/* ---- NBT ---- */

/* Decode the record as it stands in the file, or its .mcc file. */
static int decode_record(struct version *v, unsigned slot, const struct diff_chunk *at,
	struct err *own, struct err *e)
{
	CLEANUP_BUF struct buf mcc = BUF_INIT;
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct span rec;
	struct entry en;
	bool there;
	int r = load_record(v, slot, &rec, e);
	if (r < 0)
		return r;
	unsigned type = rec.p[0];
	struct span stream = span_sub(rec, 1, rec.n);
	if (type & CHUNK_EXTERNAL) {
		r = find_external(v, at->x, at->z, &en, &hold, &there, e);
		if (r == 0 && there)
			r = read_external(v, &en, &mcc, e);
		stream = buf_span(&mcc);
	}
	if (r < 0)
		return r;
	r = chunk_decode(type & ~(unsigned)CHUNK_EXTERNAL, stream, DIFF_NBT_MAX, &v->nbt, own);
	return r == E_NOMEM ? err_set(e, r, own->sys, "%s", own->msg) : 0;
}

/* The slot's NBT into v->nbt; *ret_ok false when it cannot be decoded. */
static int load_nbt(struct version *v, unsigned slot, const struct diff_chunk *at, bool *ret_ok,
	struct err *e)
{
	const struct group_slot *gs;
	struct err own = ERR_INIT;
	v->nbt.len = 0;
	int r = group_slot(v, slot, &gs, e);
	if (r < 0)
		return r;
	/* What is stored inflated need not be deflated for it. A gzip stream's header would be in
	 * front: rare enough to take the long way. */
	if (gs && RECIPE_KIND(gs->recipe) == KIND_ZLIB)
		r = group_nbt(buf_span(&v->plain->data), gs, &v->nbt, e);
	else
		r = decode_record(v, slot, at, &own, e);
	*ret_ok = r == 0 && own.code == 0;
	return r;
}

enum likeness {
	IDENTICAL, /* the very stream */
	EQUAL,
	BUT_TIMES,
	DIFFERENT
};

static enum likeness compare_nbt(struct span a, struct span b)
{
	if (a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0))
		return EQUAL;
	return chunk_equal_but_times(a, b) ? BUT_TIMES : DIFFERENT;
}

/* ---- comparing two records ---- */

/* External on both sides, of one type, with the same file? */
static int same_external(struct version *a, struct version *b, const struct diff_chunk *at,
	bool *ret, struct err *e)
{
	CLEANUP_PLAIN struct plain *hold_a = NULL;
	CLEANUP_PLAIN struct plain *hold_b = NULL;
	struct entry ea, eb;
	bool in_a, in_b;
	int r = find_external(a, at->x, at->z, &ea, &hold_a, &in_a, e);
	if (r == 0)
		r = find_external(b, at->x, at->z, &eb, &hold_b, &in_b, e);
	if (r == 0)
		*ret = in_a == in_b &&
		       (!in_a || (ea.size == eb.size && content_equal(&ea.content, &eb.content)));
	return r;
}

/* Are the stored streams the same? Equal plain bytes and an equal recipe make an equal stream. False:
 * they must be made to know. */
static bool compare_stored(const struct version *a, const struct version *b,
	const struct group_slot *ga, const struct group_slot *gb, bool *ret)
{
	*ret = false;
	if (ga->check != gb->check)
		return true;
	if (ga->recipe != gb->recipe || ga->filtered != gb->filtered ||
		(ga->recipe != RECIPE_NONE && RECIPE_KIND(ga->recipe) != KIND_ZLIB &&
			RECIPE_KIND(ga->recipe) != KIND_GZIP))
		return false;
	*ret = ga->plain_len == gb->plain_len &&
	       memcmp(a->plain->data.p + ga->plain_off, b->plain->data.p + gb->plain_off,
		       ga->plain_len) == 0;
	/* The type byte of a stub has to be looked at. */
	return !*ret || ga->canon_len != STUB_BYTES;
}

/* Are the very bytes the same? */
static int same_bytes(struct version *a, struct version *b, unsigned slot,
	const struct diff_chunk *at, bool *ret, struct err *e)
{
	const struct group_slot *ga, *gb;
	struct span ra, rb;
	uint32_t len = record_len(a, slot);
	*ret = same_group(a, b, slot);
	if (len != record_len(b, slot) || (*ret && len != STUB_BYTES))
		return 0;
	int r = group_slot(a, slot, &ga, e);
	if (r == 0)
		r = group_slot(b, slot, &gb, e);
	if (r < 0 || (ga && gb && compare_stored(a, b, ga, gb, ret)))
		return r;
	r = load_record(a, slot, &ra, e);
	if (r == 0)
		r = load_record(b, slot, &rb, e);
	if (r < 0)
		return r;
	*ret = memcmp(ra.p, rb.p, ra.n) == 0;
	if (*ret && ra.p[0] & CHUNK_EXTERNAL)
		r = same_external(a, b, at, ret, e);
	return r;
}

static int compare_records(struct version *a, struct version *b, unsigned slot,
	struct diff_chunk *at, enum likeness *ret, struct err *e)
{
	bool same, ok_a, ok_b;
	*ret = IDENTICAL;
	int r = same_bytes(a, b, slot, at, &same, e);
	if (r < 0 || same)
		return r;
	r = load_nbt(a, slot, at, &ok_a, e);
	if (r == 0)
		r = load_nbt(b, slot, at, &ok_b, e);
	if (r < 0)
		return r;
	at->unreadable = !ok_a || !ok_b;
	*ret = at->unreadable ? DIFFERENT : compare_nbt(buf_span(&a->nbt), buf_span(&b->nbt));
	return 0;
}

/* Compare one slot: *ret_any, and what it is in *at, whose coordinates are set. */
static int compare_slot(struct version *a, struct version *b, unsigned slot, bool same,
	struct diff_chunk *at, bool *ret_any, struct err *e)
{
	enum state sa = state_of(a, slot), sb = state_of(b, slot);
	struct region_entry ea = region_entry_at(a->header, slot);
	struct region_entry eb = region_entry_at(b->header, slot);
	bool moved = ea.sector != eb.sector || ea.count != eb.count;
	enum likeness like = IDENTICAL;
	int r = 0;
	*ret_any = sa != ABSENT || sb != ABSENT;
	at->unreadable = sa == BROKEN || sb == BROKEN;
	at->change = DIFF_CHUNK_CHANGED;
	if (sa == ABSENT || sb == ABSENT) {
		at->change = sb == ABSENT ? DIFF_CHUNK_GONE : DIFF_CHUNK_CREATED;
		return 0;
	}
	if (sa != sb || (sa == BROKEN && moved))
		return 0;
	if (sa == RECORD)
		r = compare_records(a, b, slot, at, &like, e);
	if (r < 0 || like == DIFFERENT)
		return r;
	if (like == BUT_TIMES || ea.timestamp != eb.timestamp) {
		at->change = DIFF_CHUNK_TIMES;
		return 0;
	}
	at->change = DIFF_CHUNK_SAME;
	*ret_any = same && (moved || like != IDENTICAL);
	return 0;
}

static int open_both(struct store *s, struct coder *c, const struct diff_region *a,
	const struct diff_region *b, struct version **va, struct version **vb, struct err *e)
{
	*va = calloc(1, sizeof **va);
	*vb = calloc(1, sizeof **vb);
	if (!*va || !*vb)
		return err_set(e, E_NOMEM, 0, "no memory to compare region files");
	int r = version_open(*va, s, c, a, e);
	return r < 0 ? r : version_open(*vb, s, c, b, e);
}

int diff_region(struct store *s, struct coder *c, const char *name, const struct diff_region *a,
	const struct diff_region *b, bool same, struct diff_chunk ret[], size_t *ret_n,
	struct err *e)
{
	CLEANUP_VERSION struct version *va = NULL;
	CLEANUP_VERSION struct version *vb = NULL;
	int32_t x = 0, z = 0;
	*ret_n = 0;
	if (!region_parse_name(name, &x, &z))
		x = z = 0;
	int r = open_both(s, c, a, b, &va, &vb, e);
	for (unsigned slot = 0; slot < REGION_SLOTS && r == 0; slot++) {
		struct diff_chunk *at = &ret[*ret_n];
		bool any;
		at->x = (int64_t)x * 32 + slot % 32;
		at->z = (int64_t)z * 32 + slot / 32;
		r = compare_slot(va, vb, slot, same, at, &any, e);
		*ret_n += r == 0 && any;
	}
	return r;
}

/* The region file of a chunk in a directory; *ret_there false when it cannot be had. */
static int find_region(struct store *s, struct coder *c, const struct content *dir,
	const char *name, struct entry *ret, struct plain **hold, bool *ret_there, struct err *e)
{
	struct err own = ERR_INIT;
	*ret_there = false;
	int r = tree_lookup(s, c, dir, span_of(name, strlen(name)), ret, hold, &own);
	if (r < 0 && r != E_NOTFOUND)
		return err_set(e, r, own.sys, "%s", own.msg);
	*ret_there = r == 0 && ret->type == NODE_FILE && !ret->damaged;
	return 0;
}

int diff_external(struct store *s, struct coder *c, const char *name, const struct content *dir_a,
	const struct content *dir_b, bool same, struct diff_chunk *ret, size_t *ret_n,
	struct err *e)
{
	CLEANUP_VERSION struct version *va = NULL;
	CLEANUP_VERSION struct version *vb = NULL;
	CLEANUP_PLAIN struct plain *hold_a = NULL;
	CLEANUP_PLAIN struct plain *hold_b = NULL;
	struct entry ea, eb;
	char region[64];
	int32_t x, z;
	bool in_a, in_b, any;
	*ret_n = 0;
	if (!region_parse_external_name(name, &x, &z))
		return 0;
	snprintf(region, sizeof region, "r.%d.%d.mca", (int)(x >> 5), (int)(z >> 5));
	int r = find_region(s, c, dir_a, region, &ea, &hold_a, &in_a, e);
	if (r == 0)
		r = find_region(s, c, dir_b, region, &eb, &hold_b, &in_b, e);
	/* A region file that differs is compared itself. */
	if (r < 0 || !in_a || !in_b || ea.size != eb.size ||
		!content_equal(&ea.content, &eb.content))
		return r;
	struct diff_region a = {&ea, dir_a}, b = {&eb, dir_b};
	r = open_both(s, c, &a, &b, &va, &vb, e);
	*ret = (struct diff_chunk){.x = x, .z = z};
	if (r == 0)
		r = compare_slot(va, vb, (unsigned)(x & 31) + (unsigned)(z & 31) * 32, same, ret,
			&any, e);
	*ret_n = r == 0 && any;
	return r;
}
