#include "engine/store/doomed.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/store/store_internal.h"

#define KIND "doomed"
#define VERSION 1

static int add_pack(struct doomed *d, const struct id *pack, int64_t since, struct err *e)
{
	if (nameset_has_id(&d->packs, pack)) {
		for (size_t i = 0; i < d->n; i++)
			if (memcmp(&d->v[i].pack, pack, sizeof *pack) == 0 && since < d->v[i].since)
				d->v[i].since = since;
		return 0;
	}
	if ((d->n & (d->n - 1)) == 0) {
		struct doomed_pack *v = realloc(d->v, (d->n ? 2 * d->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for doomed packs");
		d->v = v;
	}
	d->v[d->n++] = (struct doomed_pack){*pack, since};
	return nameset_add_id(&d->packs, pack, e);
}

static int read_list(struct doomed *d, struct span s, struct err *e)
{
	struct rd r = rd_of(s);
	int rc = 0;
	if (rd_u8(&r) != VERSION)
		return err_set(e, E_UNSUPPORTED, 0,
			"a list of doomed packs of another version: use a newer mcfs");
	uint64_t n = rd_count(&r, ID_BYTES + 1);
	for (uint64_t i = 0; i < n && !r.bad && rc == 0; i++) {
		struct id id;
		struct span raw = rd_raw(&r, ID_BYTES);
		int64_t since = rd_svar(&r);
		if (r.bad)
			break;
		memcpy(id.b, raw.p, ID_BYTES);
		rc = add_pack(d, &id, since, e);
	}
	return rc < 0 ? rc : rd_done(&r, "a list of doomed packs", e);
}

static int load_object(struct store *s, const struct id *id, struct doomed *d, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = store_object_get(s, KIND, id, &b, e);
	return r < 0 ? r : read_list(d, buf_span(&b), e);
}

struct loading {
	struct doomed *d;
	struct store *s;
};

static int load_one(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct loading *ld = ctx;
	struct doomed *d = ld->d;
	struct err own = ERR_INIT;
	(void)size;
	int r = load_object(ld->s, id, d, &own);
	if (r == E_NOTFOUND)
		return 0; /* replaced by a newer one, or done with */
	if (r == E_CORRUPT || r == E_UNSUPPORTED) {
		log_say(&ld->s->log, LOG_ERROR, "%s", own.msg);
		return 0;
	}
	if (r < 0)
		return err_pass(e, &own);
	return id_list_add(&d->objects, id, e);
}

int doomed_load(struct doomed *d, struct store *s, struct err *e)
{
	struct loading ld = {d, s};
	*d = (struct doomed){0};
	int r = store_object_list(s, KIND, load_one, &ld, e);
	if (r < 0)
		doomed_free(d);
	return r < 0 ? err_wrap(e, "list what is doomed") : 0;
}

void doomed_free(struct doomed *d)
{
	free(d->v);
	id_list_free(&d->objects);
	nameset_free(&d->packs);
	*d = (struct doomed){0};
}

bool doomed_has(const struct doomed *d, const struct id *pack)
{
	return nameset_has_id(&d->packs, pack);
}

int doomed_put(struct store *s, const struct doomed_pack *v, size_t n, struct id *ret,
	struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	crypto_random(ret->b, ID_BYTES);
	int r = put_u8(&b, VERSION, e);
	if (r == 0)
		r = put_var(&b, n, e);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = buf_add(&b, v[i].pack.b, ID_BYTES, e);
		if (r == 0)
			r = put_svar(&b, v[i].since, e);
	}
	return r < 0 ? r : store_object_put(s, KIND, ret, buf_span(&b), false, e);
}

int doomed_remove(struct store *s, const struct id *object, struct err *e)
{
	int r = store_object_remove(s, KIND, object, e);
	return r == E_NOTFOUND ? 0 : r;
}

int doomed_check(struct store *s, bool remove, store_copies_each fn, void *ctx, struct err *e)
{
	struct id_list l = {0};
	char key[64];
	int r = store_object_list(s, KIND, id_list_collect, &l, e);
	for (size_t i = 0; i < l.n && r == 0; i++) {
		struct doomed d = {0};
		struct err own = ERR_INIT;
		bool damaged = load_object(s, &l.v[i], &d, &own) == E_CORRUPT;
		doomed_free(&d);
		if (damaged && remove)
			r = doomed_remove(s, &l.v[i], e);
		if (damaged && r == 0)
			fn(ctx, store_object_key(KIND, &l.v[i], key),
				remove ? "is damaged; removed: compact decides anew what goes" : "is damaged");
	}
	id_list_free(&l);
	return r;
}
