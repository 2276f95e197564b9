/* Index objects without the packs that go, and the list of a pack's blobs. */
#include "engine/store/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/store/store_internal.h"

#define INDEX_OBJECT_VERSION 1
#define MERGED_BYTES ((size_t)4 << 20)	 /* of a new index object, about */
#define SMALL_BYTES ((uint64_t)512 << 10) /* worth merging, */
#define SMALL_MANY 128			 /* when there are so many of them: it frees next to nothing */

/* ---- a pack's blobs ---- */

struct blob_list {
	struct rewrite_blob *v;
	size_t n;
};

static int add_blob(void *ctx, const struct name *name, const struct blob_loc *l, struct err *e)
{
	struct blob_list *bl = ctx;
	if ((bl->n & (bl->n - 1)) == 0) {
		struct rewrite_blob *v = realloc(bl->v, (bl->n ? 2 * bl->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for the blobs of a pack");
		bl->v = v;
	}
	bl->v[bl->n++] = (struct rewrite_blob){.name = *name, .loc = *l};
	return 0;
}

int store_pack_blobs(struct store *s, const struct id *pack, struct rewrite_blob **ret, size_t *ret_n,
	struct err *e)
{
	CLEANUP_BUF struct buf rec = BUF_INIT;
	struct blob_list bl = {0};
	struct pack_summary sum;
	int r = pack_read_footer(s->place, s->keys, pack, &rec, e);
	if (r == 0)
		r = pack_record_read(buf_span(&rec), &sum, add_blob, &bl, e);
	if (r == E_CORRUPT) {
		bl.n = 0;
		free(TAKE_PTR(bl.v));
		r = index_each_blob(s->index, pack, add_blob, &bl, e);
	}
	if (r < 0) {
		free(bl.v);
		return r;
	}
	*ret = bl.v;
	*ret_n = bl.n;
	return 0;
}

/* ---- index objects ---- */

struct object_item {
	struct id id;
	uint64_t size;
	bool replace;
};

struct reindex {
	struct store *s;
	const struct nameset *gone;
	struct reindex_stats *st;
	struct object_item *v;
	size_t n;
	struct nameset hit; /* index objects that list a pack that goes */
	struct nameset put; /* packs that the new objects list already */
	struct buf records;
	uint64_t n_records;
};

static int add_object(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct reindex *x = ctx;
	if ((x->n & (x->n - 1)) == 0) {
		struct object_item *v = realloc(x->v, (x->n ? 2 * x->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a list of index objects");
		x->v = v;
	}
	x->v[x->n++] = (struct object_item){*id, size, false};
	return 0;
}

static int note_listed(void *ctx, const struct id *pack, const struct id *object, struct err *e)
{
	struct reindex *x = ctx;
	return nameset_has_id(x->gone, pack) ? nameset_add_id(&x->hit, object, e) : 0;
}

static int emit(struct reindex *x, struct err *e)
{
	CLEANUP_BUF struct buf content = BUF_INIT;
	struct id id;
	if (!x->n_records)
		return 0;
	int r = put_u8(&content, INDEX_OBJECT_VERSION, e);
	if (r == 0)
		r = put_var(&content, x->n_records, e);
	if (r == 0)
		r = buf_add(&content, x->records.p, x->records.len, e);
	if (r == 0)
		r = put_index_object(x->s, buf_span(&content), &id, e);
	x->st->after++;
	x->st->written_bytes += content.len;
	x->records.len = 0;
	x->n_records = 0;
	return r;
}

static int keep_record(struct reindex *x, struct span rec, struct err *e)
{
	struct id pack;
	if (rec.n < ID_BYTES)
		return err_set(e, E_CORRUPT, 0, "an index object is not well formed");
	memcpy(pack.b, rec.p, ID_BYTES);
	if (nameset_has_id(x->gone, &pack) || nameset_has_id(&x->put, &pack))
		return 0;
	int r = nameset_add_id(&x->put, &pack, e);
	if (r == 0)
		r = put_bytes(&x->records, rec, e);
	x->n_records++;
	return r == 0 && x->records.len >= MERGED_BYTES ? emit(x, e) : r;
}

static int copy_records(struct reindex *x, const struct id *id, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = store_object_get(x->s, "index", id, &b, e);
	if (r < 0)
		return r;
	struct rd rd = rd_of(buf_span(&b));
	if (rd_u8(&rd) != INDEX_OBJECT_VERSION)
		return err_set(e, E_UNSUPPORTED, 0,
			"an index object of another version: use a newer mcfs");
	uint64_t n = rd_count(&rd, ID_BYTES);
	for (uint64_t i = 0; i < n && r == 0 && !rd.bad; i++)
		r = keep_record(x, rd_bytes(&rd), e);
	return r < 0 ? r : rd_done(&rd, "an index object", e);
}

static void choose(struct reindex *x)
{
	size_t small = 0;
	for (size_t i = 0; i < x->n; i++)
		small += x->v[i].size < SMALL_BYTES;
	for (size_t i = 0; i < x->n; i++)
		x->v[i].replace = nameset_has_id(&x->hit, &x->v[i].id) ||
				  (small >= SMALL_MANY && x->v[i].size < SMALL_BYTES);
}

static int remove_replaced(struct reindex *x, struct err *e)
{
	CLEANUP_ID_LIST struct id_list ids = {0};
	int r = 0;
	for (size_t i = 0; i < x->n && r == 0; i++)
		if (x->v[i].replace) {
			x->st->removed_bytes += x->v[i].size;
			r = id_list_add(&ids, &x->v[i].id, e);
		}
	return r < 0 ? r : store_object_remove_all(x->s, "index", ids.v, ids.n, e);
}

int store_reindex(struct store *s, const struct nameset *gone, struct reindex_stats *st,
	struct err *e)
{
	struct reindex x = {.s = s, .gone = gone, .st = st};
	*st = (struct reindex_stats){0};
	int r = store_refresh(s, e);
	if (r == 0)
		r = store_object_list_sizes(s, "index", add_object, &x, e);
	if (r == 0)
		r = index_each_listed(s->index, note_listed, &x, e);
	if (r == 0)
		choose(&x);
	st->before = x.n;
	st->after = x.n;
	for (size_t i = 0; i < x.n && r == 0; i++)
		if (x.v[i].replace) {
			r = copy_records(&x, &x.v[i].id, e);
			/* A damaged one stays for check to tell. What it lists is not in `gone` for
			 * all we know: its packs are known from their footers. */
			x.v[i].replace = r != E_CORRUPT;
			st->after -= x.v[i].replace;
			r = r == E_CORRUPT ? 0 : r;
		}
	if (r == 0)
		r = emit(&x, e);
	if (r == 0)
		r = store_still_ours(s, e);
	if (r == 0)
		r = remove_replaced(&x, e);
	free(x.v);
	nameset_free(&x.hit);
	nameset_free(&x.put);
	buf_free(&x.records);
	return r < 0 ? err_wrap(e, "rewrite the index") : 0;
}
