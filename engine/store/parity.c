#include "engine/store/parity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/codec/rs.h"
#include "engine/store/id_list.h"
#include "engine/store/pack.h"
#include "engine/store/store_internal.h"

#define KIND "parity"
#define VERSION 1
#define PACK_MAX ((uint64_t)1 << 30)
#define HEADER_MAX ((uint64_t)64 << 20)
#define BLOCKS_WANTED 1024 /* at least so many, where blocks need not be smaller than 256 bytes for it */

/* How a pack is cut: rows of `width` blocks, k of them; block b is in row b / width, column b % width. */
struct shape {
	uint64_t size;	/* of the pack */
	uint32_t block; /* bytes */
	uint32_t blocks;
	uint32_t width;
	uint32_t k, m;
	uint8_t percent;
};

struct parity {
	struct shape sh;
	uint8_t *checks; /* u64 each: blocks of the pack, then width * m of parity */
	struct buf header;
};

static char *key_of(const struct id *pack, char out[64])
{
	char hex[2 * ID_BYTES + 1];
	hex_of(pack->b, ID_BYTES, hex);
	snprintf(out, 64, KIND "/%.2s/%s", hex, hex);
	return out;
}

static size_t row_bytes(const struct shape *sh)
{
	return (size_t)sh->width * sh->block;
}

static size_t n_checks(const struct shape *sh)
{
	return (size_t)sh->blocks + (size_t)sh->width * sh->m;
}

static void shape_of(uint64_t size, unsigned percent, struct shape *sh)
{
	*sh = (struct shape){.size = size, .block = 256, .percent = (uint8_t)percent};
	while (sh->block < 4096 && size / sh->block > BLOCKS_WANTED)
		sh->block *= 2;
	sh->blocks = (uint32_t)((size + sh->block - 1) / sh->block);
	/* One row more than the share: damage need not begin where a block does. */
	uint32_t most = RS_ROWS_MAX;
	while (most > 1 && most + (most * percent + 99) / 100 + 1 > RS_ROWS_MAX)
		most--;
	sh->width = (sh->blocks + most - 1) / most;
	sh->k = (sh->blocks + sh->width - 1) / sh->width;
	sh->m = (sh->k * percent + 99) / 100 + 1;
}

/* ---- making ---- */

static void check_row(const struct keys *keys, const struct shape *sh, const uint8_t *row, size_t n,
	uint8_t *checks)
{
	for (size_t i = 0; i < n; i++)
		set_le64(checks + 8 * i, keyed_check(keys, span_of(row + i * sh->block, sh->block)));
}

/* All parity rows in one piece, and the checks of everything. */
static int encode(struct store *s, const struct id *pack, const struct shape *sh, uint8_t *rows,
	uint8_t *checks, struct err *e)
{
	CLEANUP_BUF struct buf row = BUF_INIT;
	char key[PACK_KEY_CHARS];
	uint8_t *parity[RS_ROWS_MAX];
	const size_t len = row_bytes(sh);
	struct rs *rs;
	int r = rs_new(&rs, sh->k, sh->m, e);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < sh->m; i++)
		parity[i] = rows + i * len;
	pack_object_key(pack, key);
	for (uint32_t j = 0; j < sh->k && r == 0; j++) {
		row.len = 0;
		r = object_read(s->place, key, (uint64_t)j * len, len, &row, e);
		if (r == 0 && row.len < len)
			r = buf_add_zero(&row, len - row.len, e);
		if (r < 0)
			break;
		rs_add_row(rs, j, row.p, len, parity);
		uint64_t first = (uint64_t)j * sh->width;
		check_row(s->keys, sh, row.p,
			sh->blocks - first < sh->width ? sh->blocks - first : sh->width,
			checks + 8 * first);
	}
	for (uint32_t i = 0; i < sh->m && r == 0; i++)
		check_row(s->keys, sh, parity[i], sh->width,
			checks + 8 * (sh->blocks + (size_t)i * sh->width));
	rs_free(rs);
	return r;
}

static int put_header(struct buf *b, const struct shape *sh, const uint8_t *checks, struct err *e)
{
	int r = put_u8(b, VERSION, e);
	if (r == 0)
		r = put_u8(b, sh->percent, e);
	if (r == 0)
		r = put_u64(b, sh->size, e);
	if (r == 0)
		r = put_u32(b, sh->block, e);
	if (r == 0)
		r = put_u32(b, sh->width, e);
	if (r == 0)
		r = put_u32(b, sh->m, e);
	return r < 0 ? r : buf_add(b, checks, 8 * n_checks(sh), e);
}

/* length ‖ header ‖ rows ‖ header ‖ length */
static int put_object(struct store *s, const struct id *pack, struct span header, struct span rows,
	struct err *e)
{
	CLEANUP_BUF struct buf sealed = BUF_INIT, out = BUF_INIT;
	char key[64];
	int r = object_seal(s->keys, KIND, pack, header, &sealed, e);
	if (r == 0)
		r = buf_reserve_exact(&out, 2 * sealed.len + rows.n + 8, e);
	if (r == 0)
		r = put_u32(&out, (uint32_t)sealed.len, e);
	if (r == 0)
		r = buf_add(&out, sealed.p, sealed.len, e);
	if (r == 0)
		r = buf_add(&out, rows.p, rows.n, e);
	if (r == 0)
		r = buf_add(&out, sealed.p, sealed.len, e);
	if (r == 0)
		r = put_u32(&out, (uint32_t)sealed.len, e);
	return r < 0 ? r : object_put(s->place, key_of(pack, key), buf_span(&out), true, e);
}

int parity_make(struct store *s, const struct id *pack, unsigned percent, struct err *e)
{
	struct shape sh;
	CLEANUP_BUF struct buf header = BUF_INIT;
	char key[PACK_KEY_CHARS];
	uint64_t size;
	int r = object_size(s->place, pack_object_key(pack, key), &size, e);
	if (r == 0 && (size == 0 || size > PACK_MAX))
		r = err_set(e, E_UNSUPPORTED, 0, "it has %llu bytes", (unsigned long long)size);
	if (r < 0)
		return err_wrap(e, "parity of %s", key);
	shape_of(size, percent, &sh);
	size_t bytes = (size_t)sh.m * row_bytes(&sh);
	CLEANUP_FREE uint8_t *rows = calloc(1, bytes), *checks = malloc(8 * n_checks(&sh));
	if (!rows || !checks)
		return err_set(e, E_NOMEM, 0, "no memory for parity");
	r = encode(s, pack, &sh, rows, checks, e);
	if (r == 0)
		r = put_header(&header, &sh, checks, e);
	if (r == 0)
		r = put_object(s, pack, buf_span(&header), span_of(rows, bytes), e);
	return r < 0 ? err_wrap(e, "parity of %s", key) : 0;
}

/* ---- reading ---- */

static void parity_free(struct parity *p)
{
	buf_free(&p->header);
}

static int parse_header(struct parity *p, struct err *e)
{
	struct rd r = rd_of(buf_span(&p->header));
	struct shape *sh = &p->sh;
	if (rd_u8(&r) != VERSION)
		return err_set(e, E_UNSUPPORTED, 0, "parity of another version: use a newer mcfs");
	sh->percent = rd_u8(&r);
	sh->size = rd_u64(&r);
	sh->block = rd_u32(&r);
	sh->width = rd_u32(&r);
	sh->m = rd_u32(&r);
	if (r.bad || sh->size == 0 || sh->size > PACK_MAX || sh->block < 256 || sh->block > 4096 ||
		sh->block & (sh->block - 1) || sh->width == 0 || sh->width > PACK_MAX / 256)
		return err_set(e, E_CORRUPT, 0, "its header is not well formed");
	sh->blocks = (uint32_t)((sh->size + sh->block - 1) / sh->block);
	sh->k = (sh->blocks + sh->width - 1) / sh->width;
	/* Within what a writer makes of a pack of this size: no more than about the pack again is read. */
	if (sh->width > sh->blocks || sh->m == 0 || sh->m > sh->k + 1 ||
		sh->k + (uint64_t)sh->m > RS_ROWS_MAX || rd_left(&r) != 8 * n_checks(sh))
		return err_set(e, E_CORRUPT, 0, "its header is not well formed");
	p->checks = (uint8_t *)(uintptr_t)r.p;
	return 0;
}

/* The first header, or the second where the first is damaged; each with its own word on its length, or the
 * other's. */
static int open_header(struct store *s, const struct id *pack, const char *key, uint64_t total,
	struct parity *p, uint64_t *ret_rows, struct err *e)
{
	CLEANUP_BUF struct buf ends = BUF_INIT;
	int r = total < 8 ? err_set(e, E_CORRUPT, 0, "it has %llu bytes", (unsigned long long)total) : 0;
	if (r == 0)
		r = object_read(s->place, key, 0, 4, &ends, e);
	if (r == 0)
		r = object_read(s->place, key, total - 4, 4, &ends, e);
	if (r < 0)
		return r;
	for (int way = 0; way < 4; way++) {
		CLEANUP_BUF struct buf sealed = BUF_INIT;
		uint64_t n = get_le32(ends.p + (way & 1 ? 4 : 0));
		if (n > HEADER_MAX || 2 * n + 8 > total)
			continue;
		p->header.len = 0;
		r = object_read(s->place, key, way < 2 ? 4 : total - 4 - n, (size_t)n, &sealed, e);
		if (r == 0)
			r = object_open(s->keys, KIND, pack, buf_span(&sealed), &p->header, e);
		if (r == 0)
			r = parse_header(p, e);
		if (r == 0) {
			*ret_rows = 4 + n;
			return 0;
		}
		if (r == E_NOMEM)
			return r;
	}
	return err_set(e, E_CORRUPT, 0, "it is damaged");
}

/* Open the object; E_NOTFOUND, E_CORRUPT. The parity rows are appended to *rows, zeros where they are missing. */
static int open_parity(struct store *s, const struct id *pack, struct parity *p, struct buf *rows,
	struct err *e)
{
	char key[64];
	uint64_t total, at = 0;
	int r = object_size(s->place, key_of(pack, key), &total, e);
	if (r == 0)
		r = open_header(s, pack, key, total, p, &at, e);
	if (r < 0)
		return err_wrap(e, "%s", key);
	size_t bytes = (size_t)p->sh.m * row_bytes(&p->sh);
	r = object_read(s->place, key, at, bytes, rows, e);
	if (r == 0 && rows->len < bytes)
		r = buf_add_zero(rows, bytes - rows->len, e);
	return r;
}

static bool block_ok(const struct store *s, const struct parity *p, const uint8_t *data, size_t check)
{
	return keyed_check(s->keys, span_of(data, p->sh.block)) == get_le64(p->checks + 8 * check);
}

int parity_sound(struct store *s, const struct id *pack, unsigned percent, bool *ret, struct err *e)
{
	struct parity p = {.checks = NULL};
	CLEANUP_BUF struct buf rows = BUF_INIT;
	struct err own = ERR_INIT;
	char key[PACK_KEY_CHARS];
	uint64_t size;
	int r = open_parity(s, pack, &p, &rows, &own);
	*ret = r == 0 && p.sh.percent >= percent &&
	       object_size(s->place, pack_object_key(pack, key), &size, &own) == 0 && size == p.sh.size;
	size_t n = r == 0 ? (size_t)p.sh.width * p.sh.m : 0;
	for (size_t i = 0; i < n && *ret; i++)
		*ret = block_ok(s, &p, rows.p + i * p.sh.block, p.sh.blocks + i);
	parity_free(&p);
	if (r < 0 && r != E_NOTFOUND && r != E_CORRUPT)
		return err_pass(e, &own);
	return 0;
}

int parity_remove(struct store *s, const struct id *packs, size_t n, struct err *e)
{
	CLEANUP_FREE char (*key)[64] = calloc(n + 1, sizeof *key);
	CLEANUP_FREE const char **keys = calloc(n + 1, sizeof *keys);
	if (!key || !keys)
		return err_set(e, E_NOMEM, 0, "no memory for a list of packs");
	for (size_t i = 0; i < n; i++)
		keys[i] = key_of(&packs[i], key[i]);
	return object_remove_all(s->place, keys, n, e);
}

struct listing {
	store_object_each fn;
	void *ctx;
};

static int list_one(void *ctx, const char *name, uint64_t size, struct err *e)
{
	const struct listing *l = ctx;
	struct id id;
	return hex_parse(name, ID_BYTES, id.b) ? l->fn(l->ctx, &id, size, e) : 0;
}

int parity_list(struct store *s, store_object_each fn, void *ctx, struct err *e)
{
	struct listing l = {fn, ctx};
	char dir[16];
	int r = 0;
	for (unsigned i = 0; i < 256 && r == 0; i++) {
		snprintf(dir, sizeof dir, KIND "/%02x", i);
		r = object_list(s->place, dir, list_one, &l, e);
	}
	return r;
}

static int make_missing(struct store *s, unsigned percent, parity_progress fn, void *ctx,
	uint64_t *ret_made, struct err *e)
{
	CLEANUP_ID_LIST struct id_list l = {0};
	bool sound;
	int r = index_each_pack(s->index, id_list_collect, &l, e);
	for (size_t i = 0; i < l.n && r == 0; i++) {
		r = parity_sound(s, &l.v[i], percent, &sound, e);
		if (r == 0 && !sound) {
			r = parity_make(s, &l.v[i], percent, e);
			*ret_made += r == 0;
		}
		if (fn)
			fn(ctx, i + 1, l.n);
	}
	return r;
}

int parity_tidy(struct store *s, unsigned percent, parity_progress fn, void *ctx, uint64_t *ret_made,
	uint64_t *ret_removed, struct err *e)
{
	CLEANUP_ID_LIST struct id_list l = {0};
	char key[PACK_KEY_CHARS];
	uint64_t size;
	*ret_made = *ret_removed = 0;
	int r = percent ? make_missing(s, percent, fn, ctx, ret_made, e) : 0;
	if (r == 0)
		r = parity_list(s, id_list_collect, &l, e);
	for (size_t i = 0; i < l.n && r == 0; i++)
		if (!percent || object_size(s->place, pack_object_key(&l.v[i], key), &size, NULL) ==
					E_NOTFOUND) {
			r = parity_remove(s, &l.v[i], 1, e);
			*ret_removed += r == 0;
		}
	return r;
}

/* ---- restoring ---- */

struct work {
	struct store *s;
	struct parity p;
	struct buf rows; /* of parity */
	struct buf data; /* the pack, k rows */
	uint64_t have;	 /* bytes of it that were there */
	bool gone;	 /* it was not there at all */
	bool *lost;	 /* blocks, then those of parity */
	struct parity_result *ret;
};

/* A block that the disk does not give back is a lost one. */
static int read_blocks(struct work *w, const char *key, struct err *e)
{
	const struct shape *sh = &w->p.sh;
	struct err own = ERR_INIT;
	int r = object_read(w->s->place, key, 0, (size_t)sh->size, &w->data, &own);
	/* Of the smallest packs there is as much parity as pack. */
	if (r == E_NOTFOUND && sh->m >= sh->k) {
		w->gone = true;
		return 0;
	}
	if (r == 0 || own.code != E_IO || own.sys != EIO) {
		w->have = w->data.len;
		return r < 0 ? err_pass(e, &own) : r;
	}
	w->data.len = 0;
	w->have = sh->size;
	for (uint32_t b = 0; b < sh->blocks; b++) {
		size_t at = (size_t)b * sh->block;
		w->data.len = at;
		r = object_read(w->s->place, key, at, sh->block, &w->data, &own);
		if (r < 0)
			w->data.len = at;
		r = w->data.len < at + sh->block ? buf_add_zero(&w->data, at + sh->block - w->data.len, e) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int find_lost(struct work *w, struct err *e)
{
	const struct shape *sh = &w->p.sh;
	size_t all = (size_t)sh->k * row_bytes(sh), n_parity = (size_t)sh->width * sh->m;
	w->lost = calloc(n_checks(sh), sizeof *w->lost);
	if (!w->lost)
		return err_set(e, E_NOMEM, 0, "no memory for parity");
	if (w->data.len > sh->size)
		w->data.len = (size_t)sh->size;
	if (w->data.len < all) {
		int r = buf_add_zero(&w->data, all - w->data.len, e);
		if (r < 0)
			return r;
	}
	for (size_t b = 0; b < sh->blocks; b++) {
		w->lost[b] = !block_ok(w->s, &w->p, w->data.p + b * sh->block, b);
		w->ret->bad += w->lost[b];
	}
	for (size_t i = 0; i < n_parity; i++)
		w->lost[sh->blocks + i] = !block_ok(w->s, &w->p, w->rows.p + i * sh->block, sh->blocks + i);
	return 0;
}

/* Take a restored block, if it is what its check says; else leave what was there. */
static void take_block(struct work *w, size_t b, const uint8_t *was)
{
	const struct shape *sh = &w->p.sh;
	uint8_t *now = w->data.p + b * sh->block;
	if (!block_ok(w->s, &w->p, now, b)) {
		memcpy(now, was, sh->block);
		return;
	}
	w->ret->restored++;
	for (size_t i = 0; i < sh->block; i++) {
		uint64_t at = (uint64_t)b * sh->block + i;
		w->ret->wrong_bytes += at < sh->size && (at >= w->have || now[i] != was[i]);
	}
}

static int restore_column(struct work *w, const struct rs *rs, uint32_t col, uint8_t *old, struct err *e)
{
	const struct shape *sh = &w->p.sh;
	uint8_t *rows[RS_ROWS_MAX];
	bool lost[RS_ROWS_MAX], any = false;
	for (uint32_t j = 0; j < sh->k; j++) {
		size_t b = (size_t)j * sh->width + col;
		rows[j] = w->data.p + b * sh->block;
		lost[j] = b < sh->blocks && w->lost[b]; /* behind the end are zeros, never lost */
		any |= lost[j];
		memcpy(old + (size_t)j * sh->block, rows[j], sh->block);
	}
	for (uint32_t i = 0; i < sh->m; i++) {
		size_t b = (size_t)i * sh->width + col;
		rows[sh->k + i] = w->rows.p + b * sh->block;
		lost[sh->k + i] = w->lost[sh->blocks + b];
	}
	if (!any)
		return 0;
	struct err own = ERR_INIT;
	int r = rs_recover(rs, rows, lost, sh->block, &own);
	if (r == E_CORRUPT)
		return 0; /* too much; other columns may do */
	if (r < 0)
		return err_pass(e, &own);
	for (uint32_t j = 0; j < sh->k; j++)
		if (lost[j])
			take_block(w, (size_t)j * sh->width + col, old + (size_t)j * sh->block);
	return 0;
}

static int restore(struct work *w, const char *key, struct err *e)
{
	const struct shape *sh = &w->p.sh;
	struct rs *rs = NULL;
	uint8_t *old = malloc((size_t)sh->k * sh->block);
	if (!old)
		return err_set(e, E_NOMEM, 0, "no memory for parity");
	int r = rs_new(&rs, sh->k, sh->m, e);
	for (uint32_t col = 0; col < sh->width && r == 0; col++)
		r = restore_column(w, rs, col, old, e);
	/* A pack that was not there comes back whole or not at all. */
	if (w->gone && w->ret->restored < sh->blocks)
		*w->ret = (struct parity_result){.none = true};
	if (r == 0 && w->ret->restored)
		r = object_put(w->s->place, key, span_of(w->data.p, (size_t)sh->size), true, e);
	rs_free(rs);
	free(old);
	return r;
}

int parity_restore(struct store *s, const struct id *pack, struct parity_result *ret, struct err *e)
{
	struct work w = {.s = s, .ret = ret};
	char key[PACK_KEY_CHARS];
	struct err own = ERR_INIT;
	*ret = (struct parity_result){0};
	int r = open_parity(s, pack, &w.p, &w.rows, &own);
	if (r == E_NOTFOUND || r == E_CORRUPT || r == E_UNSUPPORTED) {
		ret->none = true;
		r = 0;
	} else if (r < 0) {
		*e = own;
	} else {
		ret->blocks = w.p.sh.blocks;
		ret->block = w.p.sh.block;
		r = read_blocks(&w, pack_object_key(pack, key), e);
		if (r == 0)
			r = find_lost(&w, e);
		if (r == 0 && ret->bad)
			r = restore(&w, key, e);
		r = r == E_NOTFOUND ? 0 : r;
	}
	parity_free(&w.p);
	buf_free(&w.rows);
	buf_free(&w.data);
	free(w.lost);
	return r;
}
