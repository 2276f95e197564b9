/* Sealed objects: small ones beside the packs; and those of them that are written twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/store/store_internal.h"

/* Sizes that are believed before a seal is opened. */
#define INDEX_MAX_BYTES ((size_t)64 << 20)
#define OBJECT_MAX_BYTES ((size_t)4 << 20)
/* A second copy begins at a multiple of this: no page of a disk has bytes of both. */
#define COPY_APART ((size_t)8192)

/* What cannot be made again from anything else in the store. */
static const char *const copied_kinds[] = {"snapshots", "forgotten", "marks"};
#define N_COPIED_KINDS (sizeof copied_kinds / sizeof *copied_kinds)

static bool is_copied(const char *kind)
{
	for (size_t i = 0; i < N_COPIED_KINDS; i++)
		if (strcmp(kind, copied_kinds[i]) == 0)
			return true;
	return false;
}

char *store_object_key(const char *kind, const struct id *id, char out[64])
{
	char hex[2 * ID_BYTES + 1];
	snprintf(out, 64, "%.20s/%s", kind, hex_of(id->b, ID_BYTES, hex));
	return out;
}

int store_object_remove(struct store *s, const char *kind, const struct id *id, struct err *e)
{
	char key[64];
	return object_remove(s->place, store_object_key(kind, id, key), e);
}

int store_object_remove_brief(struct store *s, const char *kind, const struct id *id, struct err *e)
{
	char key[64];
	return object_remove_brief(s->place, store_object_key(kind, id, key), e);
}

static size_t max_bytes(const char *kind)
{
	return strcmp(kind, "index") == 0 ? INDEX_MAX_BYTES : OBJECT_MAX_BYTES;
}

static int add_copy(struct buf *sealed, struct err *e)
{
	size_t n = sealed->len, gap = COPY_APART - (n - 1) % COPY_APART - 1;
	int r = buf_add_zero(sealed, gap + n, e);
	if (r == 0)
		memcpy(sealed->p + n + gap, sealed->p, n);
	return r;
}

static int seal(struct store *s, const char *kind, const struct id *id, struct span content, bool twice,
	struct buf *ret, struct err *e)
{
	CLEANUP_BUF struct buf plain = BUF_INIT;
	int r = put_bytes(&plain, content, e);
	if (r == 0) {
		uint64_t bare = plain.len + SEAL_OBJECT_OVERHEAD;
		r = buf_add_zero(&plain, (size_t)(padded_size(bare) - bare), e);
	}
	if (r == 0)
		r = object_seal(s->keys, kind, id, buf_span(&plain), ret, e);
	if (r == 0 && ret->len > max_bytes(kind)) {
		char key[64];
		r = err_set(e, E_UNSUPPORTED, 0, "%s would be larger than readers accept",
			store_object_key(kind, id, key));
	}
	return r == 0 && twice ? add_copy(ret, e) : r;
}

static int put(struct store *s, const char *kind, const struct id *id, struct span content,
	bool replace, bool twice, struct err *e)
{
	char key[64];
	CLEANUP_BUF struct buf sealed = BUF_INIT;
	int r = seal(s, kind, id, content, twice, &sealed, e);
	return r < 0 ? r : object_put(s->place, store_object_key(kind, id, key), buf_span(&sealed), replace, e);
}

static bool twice(const struct store *s, const char *kind)
{
	return s->cfg.parity && is_copied(kind);
}

int store_object_put(struct store *s, const char *kind, const struct id *id, struct span content,
	bool replace, struct err *e)
{
	return put(s, kind, id, content, replace, twice(s, kind), e);
}

int store_object_put_brief(struct store *s, const char *kind, const struct id *id, struct span content,
	struct err *e)
{
	char key[64];
	CLEANUP_BUF struct buf sealed = BUF_INIT;
	int r = seal(s, kind, id, content, false, &sealed, e);
	return r < 0 ? r : object_put_brief(s->place, store_object_key(kind, id, key), buf_span(&sealed), e);
}

/* ---- many at once ---- */

#define LOT 64

static int put_lot(struct store *s, const char *kind, const struct store_object *v, size_t n, struct err *e)
{
	char key[LOT][64];
	struct buf sealed[LOT];
	struct object_content c[LOT];
	int r = 0;
	for (size_t i = 0; i < n; i++)
		sealed[i] = BUF_INIT;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = seal(s, kind, &v[i].id, v[i].content, twice(s, kind), &sealed[i], e);
		c[i] = (struct object_content){store_object_key(kind, &v[i].id, key[i]), buf_span(&sealed[i])};
	}
	if (r == 0)
		r = object_put_all(s->place, c, n, e);
	for (size_t i = 0; i < n; i++)
		buf_free(&sealed[i]);
	return r;
}

int store_object_put_all(struct store *s, const char *kind, const struct store_object *v, size_t n,
	struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i += LOT)
		r = put_lot(s, kind, v + i, n - i < LOT ? n - i : LOT, e);
	return r;
}

int store_object_remove_all(struct store *s, const char *kind, const struct id *ids, size_t n,
	struct err *e)
{
	CLEANUP_FREE char (*key)[64] = calloc(n + 1, sizeof *key);
	CLEANUP_FREE const char **keys = calloc(n + 1, sizeof *keys);
	if (!key || !keys)
		return err_set(e, E_NOMEM, 0, "no memory for a list of objects");
	for (size_t i = 0; i < n; i++)
		keys[i] = store_object_key(kind, &ids[i], key[i]);
	return object_remove_all(s->place, keys, n, e);
}

static bool is_zero(struct span s)
{
	size_t i = 0;
	while (i < s.n && s.p[i] == 0)
		i++;
	return i == s.n;
}

struct object_copies {
	unsigned there, whole; /* copies; those that open */
};

/* Open the object, or the first of its two copies that opens. */
static int open_any(struct store *s, const char *kind, const struct id *id, struct span object,
	struct buf *plain, struct object_copies *ret, struct err *e)
{
	struct buf second = BUF_INIT;
	size_t start = (object.n + 2 * COPY_APART - 1) / (2 * COPY_APART) * COPY_APART;
	*ret = (struct object_copies){.there = 1};
	int r = object_open(s->keys, kind, id, object, plain, e);
	ret->whole = r == 0;
	if (r != E_CORRUPT || object.n <= start)
		return r;
	size_t n = object.n - start;
	bool one = object_open(s->keys, kind, id, span_sub(object, 0, n), plain, NULL) == 0;
	bool two = object_open(s->keys, kind, id, span_sub(object, start, n), one ? &second : plain,
			   NULL) == 0;
	buf_free(&second);
	ret->whole = (unsigned)one + two;
	/* What lies between them is nobody's; but a disk that changes it should not be trusted with the rest. */
	if (one && two && !is_zero(span_sub(object, n, start - n)))
		ret->whole = 1;
	ret->there = ret->whole ? 2 : 1;
	return ret->whole ? 0 : r;
}

static int get(struct store *s, const char *kind, const struct id *id, struct buf *out,
	struct object_copies *ret, struct err *e)
{
	char key[64];
	CLEANUP_BUF struct buf plain = BUF_INIT;
	CLEANUP_BUF struct buf sealed = BUF_INIT;
	store_object_key(kind, id, key);
	int r = object_get(s->place, key, 2 * max_bytes(kind) + COPY_APART, &sealed, e);
	if (r == 0)
		r = open_any(s, kind, id, buf_span(&sealed), &plain, ret, e);
	if (r < 0)
		return err_wrap(e, "%s", key);
	struct rd rd = rd_of(buf_span(&plain));
	struct span content = rd_bytes(&rd);
	if (rd.bad)
		return err_set(e, E_CORRUPT, 0, "%s is not well formed", key);
	return buf_add(out, content.p, content.n, e);
}

int store_object_get(struct store *s, const char *kind, const struct id *id, struct buf *out,
	struct err *e)
{
	struct object_copies copies;
	return get(s, kind, id, out, &copies, e);
}

struct listing {
	store_object_each fn;
	void *ctx;
};

static int list_one(void *ctx, const char *name, uint64_t size, struct err *e)
{
	struct listing *l = ctx;
	struct id id;
	char hex[2 * ID_BYTES + 1];
	/* Foreign files, spelled otherwise than we would, are none of our business. */
	if (!hex_parse(name, ID_BYTES, id.b) || strcmp(hex_of(id.b, ID_BYTES, hex), name) != 0)
		return 0;
	return l->fn(l->ctx, &id, size, e);
}

int store_object_list(struct store *s, const char *kind, store_object_each fn, void *ctx,
	struct err *e)
{
	struct listing l = {fn, ctx};
	return object_list_names(s->place, kind, list_one, &l, e);
}

int store_object_list_sizes(struct store *s, const char *kind, store_object_each fn, void *ctx,
	struct err *e)
{
	struct listing l = {fn, ctx};
	return object_list(s->place, kind, list_one, &l, e);
}

struct copies_walk {
	struct store *s;
	const char *kind;
	bool mend, twice;
	store_copies_each fn;
	void *ctx;
};

static int look_at_copies(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct copies_walk *w = ctx;
	CLEANUP_BUF struct buf content = BUF_INIT;
	struct object_copies c;
	struct err own = ERR_INIT;
	char key[64];
	(void)size;
	int r = get(w->s, w->kind, id, &content, &c, &own);
	/* One that does not open at all, or went meanwhile, is for others to tell. */
	if (r == E_CORRUPT || r == E_NOTFOUND)
		return 0;
	if (r < 0)
		*e = own;
	bool damaged = r == 0 && c.whole < c.there;
	if (r == 0 && w->mend && (damaged || (w->twice && c.there == 1)))
		r = put(w->s, w->kind, id, buf_span(&content), true, w->twice, e);
	if (r == 0 && damaged && w->fn)
		w->fn(w->ctx, store_object_key(w->kind, id, key),
			w->mend ? "written anew from its other copy" : "one of its two copies is damaged");
	return r;
}

static int walk_copies(struct store *s, struct copies_walk w, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < N_COPIED_KINDS && r == 0; i++) {
		w.kind = copied_kinds[i];
		r = store_object_list(s, copied_kinds[i], look_at_copies, &w, e);
	}
	return r;
}

int store_copies_check(struct store *s, store_copies_each fn, void *ctx, struct err *e)
{
	return walk_copies(s, (struct copies_walk){.s = s, .fn = fn, .ctx = ctx}, e);
}

int store_copies_mend(struct store *s, bool twice, store_copies_each fn, void *ctx, struct err *e)
{
	return walk_copies(s,
		(struct copies_walk){.s = s, .mend = true, .twice = twice, .fn = fn, .ctx = ctx}, e);
}
