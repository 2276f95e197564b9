#include "engine/store/salvage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/store/id_list.h"
#include "engine/store/parity.h"
#include "engine/store/store_internal.h"

#define PACK_BYTES ((uint64_t)32 << 20)	   /* as other packs */
#define OBJECT_BYTES ((size_t)16 << 20) /* of one index object; readers take four times that */
#define INDEX_VERSION 1

/* A pack and how it was found. */
struct spack {
	struct id id;
	bool indexed; /* in the index */
	bool there;
	bool bad;    /* to be replaced */
	struct buf record; /* of its footer, where that is needed */
};

struct run {
	struct store *s;
	const struct nameset *bad;
	const volatile sig_atomic_t *cancel;
	struct salvage_result *ret;
	salvage_done on_done;
	void *ctx;
	struct spack *v; /* by id once all are known */
	size_t n;
	struct doomed doomed;
	struct pack_writer *out;
	struct buf records; /* "bytes record" of all that goes into new index objects */
	uint64_t n_records;
	struct id_list old_objects; /* index objects to be removed */
	struct buf sealed, packed;
};

/* ---- which packs there are ---- */

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, ID_BYTES); /* the first member of struct spack, too */
}

static struct spack *find(struct run *w, const struct id *id)
{
	return w->n ? bsearch(id, w->v, w->n, sizeof *w->v, by_id) : NULL;
}

static int push(struct run *w, const struct id *id, bool indexed, bool there, struct err *e)
{
	if ((w->n & (w->n - 1)) == 0) {
		struct spack *v = realloc(w->v, (w->n ? 2 * w->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for the list of packs");
		w->v = v;
	}
	w->v[w->n++] = (struct spack){.id = *id, .indexed = indexed, .there = there};
	return 0;
}

static int push_indexed(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	(void)size;
	return push(ctx, id, true, false, e);
}

static int push_there(void *ctx, const char *name, uint64_t size, struct err *e)
{
	struct id id;
	(void)size;
	return hex_parse(name, ID_BYTES, id.b) ? push(ctx, &id, false, true, e) : 0;
}

static int list_packs(struct run *w, struct err *e)
{
	int r = index_each_pack(w->s->index, push_indexed, w, e);
	if (r == 0)
		r = pack_list(w->s->place, false, push_there, w, e);
	if (r < 0 || w->n == 0)
		return r;
	qsort(w->v, w->n, sizeof *w->v, by_id);
	size_t n = 0;
	for (size_t i = 0; i < w->n; i++)
		if (n && by_id(&w->v[n - 1], &w->v[i]) == 0) {
			w->v[n - 1].indexed |= w->v[i].indexed;
			w->v[n - 1].there |= w->v[i].there;
		} else {
			w->v[n++] = w->v[i];
		}
	w->n = n;
	return 0;
}

/* ---- one pack ---- */

struct frames {
	struct frame {
		struct blob_loc l; /* of its first blob */
		size_t first, n;   /* in blobs */
		bool lost;
	} *v;
	size_t n;
	struct pack_blob *blobs;
	size_t n_blobs;
};

static void frames_free(struct frames *f)
{
	free(f->v);
	free(f->blobs);
}

static int collect(void *ctx, const struct name *name, const struct blob_loc *l, struct err *e)
{
	struct frames *f = ctx;
	if ((f->n & (f->n - 1)) == 0) {
		struct frame *v = realloc(f->v, (f->n ? 2 * f->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a pack's frames");
		f->v = v;
	}
	if ((f->n_blobs & (f->n_blobs - 1)) == 0) {
		struct pack_blob *b = realloc(f->blobs, (f->n_blobs ? 2 * f->n_blobs : 1) * sizeof *b);
		if (!b)
			return err_set(e, E_NOMEM, 0, "no memory for a pack's blobs");
		f->blobs = b;
	}
	if (f->n == 0 || f->v[f->n - 1].l.place != l->place)
		f->v[f->n++] = (struct frame){.l = *l, .first = f->n_blobs};
	struct pack_blob *b = &f->blobs[f->n_blobs++];
	*b = (struct pack_blob){.name = *name, .form = l->form, .depth = l->depth,
		.plain_len = l->plain_len, .canon_len = l->canon_len};
	memcpy(b->base, l->base, BASE_BYTES);
	struct frame *last = &f->v[f->n - 1];
	last->n++;
	return 0;
}

/* The pack's frames: as the index has them, else as its footer does. */
static int load_frames(struct run *w, struct spack *p, struct frames *f, struct err *e)
{
	struct pack_summary sum;
	if (p->indexed)
		return index_each_blob(w->s->index, &p->id, collect, f, e);
	return pack_record_read(buf_span(&p->record), &sum, collect, f, e);
}

/* A sector that cannot be read is damage; a server that does not answer is not. */
static int fatal(const struct err *own, struct err *e)
{
	if (own->code != E_NOMEM && !(own->code == E_IO && own->sys != EIO))
		return 0;
	return err_pass(e, own);
}

/* Into w->packed; false when it does not open. */
static int open_frame(struct run *w, const struct spack *p, const struct frame *fr, bool *ok,
	struct err *e)
{
	struct pack_key pk;
	struct err own = ERR_INIT;
	char key[PACK_KEY_CHARS];
	w->sealed.len = w->packed.len = 0;
	*ok = false;
	if (!p->there || fr->l.sealed_len > PLAIN_MAX)
		return 0;
	int r = object_read(w->s->place, pack_object_key(&p->id, key), fr->l.offset, fr->l.sealed_len,
		&w->sealed, &own);
	if (r == 0 && w->sealed.len == fr->l.sealed_len) {
		pack_key_of(w->s->keys, &p->id, &pk);
		r = frame_open(&pk, fr->l.place, buf_span(&w->sealed), &w->packed, &own);
		crypto_wipe(&pk, sizeof pk);
		*ok = r == 0;
	}
	return fatal(&own, e);
}

/* In company the others count. */
static bool all_bad(const struct run *w, const struct frames *f, const struct frame *fr)
{
	for (size_t i = 0; i < fr->n; i++)
		if (!nameset_has(w->bad, &f->blobs[fr->first + i].name))
			return false;
	return true;
}

/* Is its footer there, with the size that it says? The record stays with packs that no index lists. */
static int read_footer(struct run *w, struct spack *p, struct err *e)
{
	struct err own = ERR_INIT;
	struct pack_summary sum;
	char key[PACK_KEY_CHARS];
	uint64_t size;
	int r = object_size(w->s->place, pack_object_key(&p->id, key), &size, &own);
	if (r == 0)
		r = pack_read_footer(w->s->place, w->s->keys, &p->id, &p->record, &own);
	if (r == 0)
		r = pack_record_read(buf_span(&p->record), &sum, NULL, NULL, &own);
	if (r == 0 && sum.size != size)
		r = E_CORRUPT;
	p->bad = r < 0;
	return fatal(&own, e);
}

/* Open everything in a pack. */
static int inspect(struct run *w, struct spack *p, struct frames *f, struct err *e)
{
	int r = p->there ? read_footer(w, p, e) : 0;
	p->bad |= !p->there;
	if (r == 0 && !p->indexed && p->bad)
		return 0; /* not even a list of its frames */
	if (r == 0)
		r = load_frames(w, p, f, e);
	for (size_t i = 0; i < f->n && r == 0; i++) {
		bool ok;
		if (w->cancel && *w->cancel)
			return err_set(e, E_CANCELLED, 0, "interrupted");
		r = open_frame(w, p, &f->v[i], &ok, e);
		f->v[i].lost = !ok || all_bad(w, f, &f->v[i]);
		p->bad |= f->v[i].lost;
	}
	return r;
}

/* ---- new packs ---- */

static int add_record(struct run *w, struct span record, struct err *e)
{
	w->n_records++;
	return put_bytes(&w->records, record, e);
}

static int close_pack(struct run *w, struct err *e)
{
	CLEANUP_BUF struct buf record = BUF_INIT;
	if (!w->out)
		return 0;
	struct id id = *pack_id(w->out);
	int r = pack_finish(TAKE_PTR(w->out), &record, e);
	if (r == 0 && w->s->cfg.parity)
		r = parity_make(w->s, &id, w->s->cfg.parity, e);
	return r < 0 ? r : add_record(w, buf_span(&record), e);
}

static int save_frame(struct run *w, const struct spack *p, const struct frames *f,
	const struct frame *fr, struct err *e)
{
	struct blob_loc at;
	bool ok;
	int r = open_frame(w, p, fr, &ok, e);
	if (r < 0)
		return r;
	if (!ok)
		return err_set(e, E_IO, 0, "the store changes while it is repaired");
	if (!w->out)
		r = pack_begin(&w->out, w->s->place, w->s->keys, e);
	if (r == 0)
		r = pack_add(w->out, (enum method)fr->l.method, buf_span(&w->packed), fr->l.frame_plain,
			f->blobs + fr->first, fr->n, &at, e);
	w->ret->saved_bytes += fr->l.sealed_len;
	return r == 0 && pack_bytes(w->out) >= PACK_BYTES ? close_pack(w, e) : r;
}

static int replace_pack(struct run *w, struct spack *p, const struct frames *f, struct err *e)
{
	char key[PACK_KEY_CHARS];
	uint64_t saved = 0, lost = 0;
	int r = 0;
	for (size_t i = 0; i < f->n && r == 0; i++)
		if (f->v[i].lost) {
			lost++;
		} else {
			r = save_frame(w, p, f, &f->v[i], e);
			saved++;
		}
	w->ret->packs++;
	w->ret->lost_frames += lost;
	if (r == 0 && w->on_done)
		w->on_done(w->ctx, pack_object_key(&p->id, key), saved, lost);
	return r;
}

static int do_packs(struct run *w, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < w->n && r == 0; i++) {
		struct spack *p = &w->v[i];
		struct frames f = {0};
		if (doomed_has(&w->doomed, &p->id))
			continue;
		r = inspect(w, p, &f, e);
		if (r == 0 && p->bad && (p->indexed || p->record.len))
			r = replace_pack(w, p, &f, e);
		if (r == 0 && p->indexed)
			buf_free(&p->record); /* its index object has it, or it is read once more */
		frames_free(&f);
	}
	return r < 0 ? r : close_pack(w, e);
}

/* ---- the index ---- */

struct looking {
	struct run *w;
	struct nameset listed; /* packs that index objects which stay list */
};

static bool record_id(struct span rec, struct id *id)
{
	if (rec.n < ID_BYTES)
		return false;
	memcpy(id->b, rec.p, ID_BYTES);
	return true;
}

/* Does it name a pack that is to go? (A doomed one is compact's.) One that is not known may have been
 * written since the list was made: writers go on meanwhile. */
static bool names_bad(struct run *w, struct span rec)
{
	struct id id;
	char key[PACK_KEY_CHARS];
	uint64_t size;
	if (!record_id(rec, &id))
		return true;
	if (doomed_has(&w->doomed, &id))
		return false;
	const struct spack *p = find(w, &id);
	return p ? p->bad
		 : object_size(w->s->place, pack_object_key(&id, key), &size, NULL) == E_NOTFOUND;
}

/* Take the records of an object that is to be replaced, or note which packs it lists. */
static int take_records(struct looking *k, struct span content, bool replace, struct err *e)
{
	struct rd rd = rd_of(content);
	int r = 0;
	rd_u8(&rd);
	uint64_t n = rd_count(&rd, ID_BYTES);
	for (uint64_t i = 0; i < n && !rd.bad && r == 0; i++) {
		struct span rec = rd_bytes(&rd);
		struct id id;
		if (replace && names_bad(k->w, rec))
			continue;
		if (!record_id(rec, &id))
			continue;
		if (replace && !nameset_has_id(&k->listed, &id))
			r = add_record(k->w, rec, e);
		if (r == 0)
			r = nameset_add_id(&k->listed, &id, e);
	}
	return r;
}

static bool is_sound(struct run *w, struct span content, bool *ret_bad)
{
	struct rd rd = rd_of(content);
	*ret_bad = false;
	if (rd_u8(&rd) != INDEX_VERSION)
		return false;
	uint64_t n = rd_count(&rd, ID_BYTES);
	for (uint64_t i = 0; i < n && !rd.bad; i++)
		*ret_bad |= names_bad(w, rd_bytes(&rd));
	return rd_done(&rd, "an index object", NULL) == 0;
}

static int look_at_object(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct looking *k = ctx;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err own = ERR_INIT;
	bool bad = false;
	(void)size;
	int r = store_object_get(k->w->s, "index", id, &b, &own);
	if (r == E_NOTFOUND)
		return 0;
	if (r < 0 && r != E_CORRUPT)
		return err_pass(e, &own);
	if (r == E_CORRUPT)
		return id_list_add(&k->w->old_objects, id, e);
	if (!is_sound(k->w, buf_span(&b), &bad))
		return 0; /* of a version that we do not know */
	if (bad)
		r = id_list_add(&k->w->old_objects, id, e);
	return r < 0 ? r : take_records(k, buf_span(&b), bad, e);
}

/* Packs whose footers are whole and that no index object lists. */
static int add_unlisted(struct looking *k, struct err *e)
{
	struct run *w = k->w;
	int r = 0;
	for (size_t i = 0; i < w->n && r == 0; i++) {
		struct spack *p = &w->v[i];
		/* Doomed ones as well: what is needed again since may lie in them alone. */
		if (p->bad || !p->there || nameset_has_id(&k->listed, &p->id))
			continue;
		if (!p->record.len)
			r = pack_read_footer(w->s->place, w->s->keys, &p->id, &p->record, e);
		if (r == 0)
			r = add_record(w, buf_span(&p->record), e);
	}
	return r;
}

static int put_object(struct run *w, struct span records, uint64_t n, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct id id;
	int r = put_u8(&b, INDEX_VERSION, e);
	if (r == 0)
		r = put_var(&b, n, e);
	if (r == 0)
		r = buf_add(&b, records.p, records.n, e);
	w->ret->index_objects++;
	return r < 0 ? r : put_index_object(w->s, buf_span(&b), &id, e);
}

static int put_objects(struct run *w, struct err *e)
{
	struct rd rd = rd_of(buf_span(&w->records));
	int r = 0;
	while (rd_left(&rd) && r == 0) {
		const uint8_t *start = rd.p;
		uint64_t n = 0;
		do {
			rd_bytes(&rd);
			n++;
		} while (rd_left(&rd) && (size_t)(rd.p - start) < OBJECT_BYTES);
		r = put_object(w, span_of(start, (size_t)(rd.p - start)), n, e);
	}
	return r;
}

static int remove_old(struct run *w, struct err *e)
{
	char key[PACK_KEY_CHARS];
	int r = store_still_ours(w->s, e);
	for (size_t i = 0; i < w->old_objects.n && r == 0; i++) {
		r = store_object_remove(w->s, "index", &w->old_objects.v[i], e);
		w->ret->index_objects++;
		r = r == E_NOTFOUND ? 0 : r;
	}
	for (size_t i = 0; i < w->n && r == 0; i++)
		/* Without a list of its frames it cannot be helped, but perhaps by others: it stays. */
		if (w->v[i].bad && w->v[i].there && (w->v[i].indexed || w->v[i].record.len)) {
			r = object_remove(w->s->place, pack_object_key(&w->v[i].id, key), e);
			r = r == E_NOTFOUND ? 0 : r;
			if (r == 0)
				r = parity_remove(w->s, &w->v[i].id, 1, e);
		}
	return r;
}

static int do_index(struct run *w, struct err *e)
{
	struct looking k = {.w = w};
	int r = store_object_list(w->s, "index", look_at_object, &k, e);
	if (r == 0)
		r = add_unlisted(&k, e);
	if (r == 0)
		r = put_objects(w, e);
	if (r == 0)
		r = remove_old(w, e);
	nameset_free(&k.listed);
	return r < 0 ? r : store_refresh(w->s, e);
}

int store_salvage(struct store *s, const struct nameset *bad, salvage_done on_done, void *ctx,
	const volatile sig_atomic_t *cancel, struct salvage_result *ret, struct err *e)
{
	struct run w = {.s = s, .bad = bad, .cancel = cancel, .ret = ret, .on_done = on_done, .ctx = ctx};
	*ret = (struct salvage_result){0};
	int r = doomed_load(&w.doomed, s, e);
	if (r == 0)
		r = list_packs(&w, e);
	if (r == 0)
		r = do_packs(&w, e);
	if (r == 0)
		r = do_index(&w, e);
	pack_abort(w.out);
	for (size_t i = 0; i < w.n; i++)
		buf_free(&w.v[i].record);
	free(w.v);
	id_list_free(&w.old_objects);
	buf_free(&w.records);
	buf_free(&w.sealed);
	buf_free(&w.packed);
	doomed_free(&w.doomed);
	return r;
}
