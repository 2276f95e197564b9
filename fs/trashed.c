#include "fs/trashed.h"

#include <stdlib.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/base/cleanup.h"

#define RECORD_HEAD 5
#define FORM_OF_TRASH 0xf5 /* of made-up names: no blob has it */

struct making {
	struct call *cl;
	struct live_world *w;
	const struct trash_item *it;
	int kind;
};

static int no_part(struct err *e)
{
	return err_set(e, E_NOTFOUND, 0, "no such file");
}

/* A part that was read; the piece ends with a byte that tells whether it is NBT. */
static int take_part(const struct chunk_part *part, struct buf *out, struct err *e)
{
	struct span rec = buf_span(&part->record), stream = span_sub(rec, RECORD_HEAD, SIZE_MAX);
	struct err ignored = ERR_INIT;
	uint8_t fine = 1;
	if (!part->present)
		return no_part(e);
	int r = E_FORMAT;
	if (!part->raw && rec.n >= RECORD_HEAD && part->has_mcc)
		r = chunk_decode(rec.p[4] & 0x7f, buf_span(&part->mcc), SOURCE_NBT_MAX, out,
			&ignored);
	else if (!part->raw && rec.n >= RECORD_HEAD)
		r = chunk_decode(rec.p[4], stream, SOURCE_NBT_MAX, out, &ignored);
	if (r == E_NOMEM)
		return err_set(e, r, 0, "no memory for a chunk");
	if (r < 0) {
		fine = 0;
		r = buf_add(out, rec.p, rec.n, e);
	}
	return r < 0 ? r : buf_add(out, &fine, 1, e);
}

static int from_trash(struct making *m, struct buf *out, struct err *e)
{
	CLEANUP_PARTS struct chunk_parts parts = {0};
	int r = trash_payload(keeper_trash(m->cl->fs->keeper, m->w), m->it->id, &parts, e);
	int kind = m->kind;
	for (int k = 0; r == 0 && kind < 0 && k < SOURCE_KINDS; k++)
		if (parts.part[k].present)
			kind = k;
	return r < 0 ? r : kind < 0 ? no_part(e) : take_part(&parts.part[kind], out, e);
}

/* It is to be pruned, and still in the world: the file as it is, not as it is shown. */
static int from_world(struct making *m, int kind, struct buf *out, struct err *e)
{
	struct world_dim dim = {.name = m->it->dimension, .folder = m->it->folder};
	CLEANUP_SOURCE_REGION struct source_region *rg = NULL;
	CLEANUP_SOURCE_CHUNK struct source_chunk ch = {0};
	int32_t x = m->it->x, z = m->it->z;
	uint8_t fine = 1;
	int r = source_region_open(m->w->source, &dim, (enum source_kind)kind, x >> 5, z >> 5, &rg,
		e);
	if (r < 0)
		return r;
	r = source_chunk_nbt(rg, (unsigned)((x & 31) + (z & 31) * 32), &ch, out, e);
	if (r == E_FORMAT || r == E_CORRUPT) {
		fine = 0;
		r = buf_add(out, ch.record.p, ch.record.len, e);
	}
	return r < 0 ? r : buf_add(out, &fine, 1, e);
}

static int make_bytes(void *ctx, struct coder *c, struct piece *p, struct err *e)
{
	struct making *m = ctx;
	(void)c;
	int r = from_trash(m, &p->own, e);
	p->data = buf_span(&p->own);
	return r;
}

static int waiting_bytes(struct making *m, struct piece **ret, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = E_NOTFOUND;
	if (m->kind >= 0)
		r = from_world(m, m->kind, &b, e);
	for (int k = 0; r == E_NOTFOUND && m->kind < 0 && k < SOURCE_KINDS; k++)
		r = from_world(m, k, &b, e);
	if (r == 0 && !(*ret = piece_of(&b)))
		r = err_set(e, E_NOMEM, 0, "no memory for a chunk");
	return r;
}

int trashed_bytes(struct call *cl, struct live_world *w, const struct trash_item *it, int kind,
	bool *ret_fine, struct piece **ret)
{
	struct making m = {cl, w, it, kind};
	struct piece_key key = {.what = PIECE_TRASH};
	uint8_t text[16];
	int r;
	if (it->state == TRASH_PRUNE_WAITS) {
		r = waiting_bytes(&m, ret, &cl->e);
	} else {
		/* An item never changes, and its number is never used again. */
		set_le64(text, (uint64_t)it->id);
		set_le32(text + 8, w->number);
		set_le32(text + 12, (uint32_t)kind);
		name_of(cl->fs->keys, FORM_OF_TRASH, span_of(text, sizeof text), &key.name);
		r = fscache_get(cl->fs->cache, cl->c, &key, make_bytes, &m, ret, &cl->e);
	}
	if (r < 0)
		return r;
	*ret_fine = (*ret)->data.p[(*ret)->data.n - 1];
	return 0;
}
