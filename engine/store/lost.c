#include "engine/store/lost.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/store/id_list.h"
#include "engine/store/store_internal.h"

#define KIND "lost"
#define VERSION 1
#define LIST_NAMES 100000 /* stays below what readers take */

struct loading {
	struct store *s;
	struct nameset *set;
	struct id_list ids; /* of all lists */
};

static int read_list(struct span s, struct nameset *set, struct err *e)
{
	struct rd r = rd_of(s);
	int rc = 0;
	if (rd_u8(&r) != VERSION)
		return err_set(e, E_UNSUPPORTED, 0,
			"a list of lost blobs of another version: use a newer mcfs");
	rd_svar(&r); /* when */
	uint64_t n = rd_count(&r, NAME_BYTES);
	for (uint64_t i = 0; i < n && !r.bad && rc == 0; i++) {
		struct span raw = rd_raw(&r, NAME_BYTES);
		struct name name;
		if (r.bad)
			break;
		memcpy(name.b, raw.p, NAME_BYTES);
		rc = nameset_add(set, &name, e);
	}
	return rc < 0 ? rc : rd_done(&r, "a list of lost blobs", e);
}

static int load_one(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct loading *ld = ctx;
	struct err own = ERR_INIT;
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)size;
	int r = store_object_get(ld->s, KIND, id, &b, &own);
	if (r == 0)
		r = read_list(buf_span(&b), ld->set, &own);
	if (r == E_CORRUPT)
		log_say(&ld->s->log, LOG_ERROR, "%s", own.msg);
	if (r < 0 && r != E_CORRUPT && r != E_NOTFOUND)
		return err_pass(e, &own);
	return id_list_add(&ld->ids, id, e);
}

int lost_load(struct store *s, struct nameset *set, struct err *e)
{
	struct loading ld = {.s = s, .set = set};
	int r = store_object_list(s, KIND, load_one, &ld, e);
	id_list_free(&ld.ids);
	return r;
}

static int put_list(struct store *s, const struct name *v, size_t n, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct id id;
	crypto_random(id.b, ID_BYTES);
	int r = put_u8(&b, VERSION, e);
	if (r == 0)
		r = put_svar(&b, (int64_t)time(NULL), e);
	if (r == 0)
		r = put_var(&b, n, e);
	if (r == 0)
		r = buf_add(&b, v, n * sizeof *v, e);
	return r < 0 ? r : store_object_put(s, KIND, &id, buf_span(&b), false, e);
}

static int by_name(const void *a, const void *b)
{
	return name_cmp(a, b);
}

/* Those of a set that are (not) in the store; `ret` is to be freed. */
static int select_names(struct store *s, const struct nameset *set, bool only_missing,
	struct name **ret, size_t *ret_n, struct err *e)
{
	struct name *v = malloc((set->n + 1) * sizeof *v);
	size_t n = 0;
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for lost blobs");
	for (size_t i = 0; i < set->cap; i++)
		if (set->taken[i] && !(only_missing && store_has(s, &set->v[i])))
			v[n++] = set->v[i];
	qsort(v, n, sizeof *v, by_name);
	*ret = v;
	*ret_n = n;
	return 0;
}

static int put_all(struct store *s, const struct name *v, size_t n, struct err *e)
{
	int r = 0;
	for (size_t at = 0; at < n && r == 0; at += LIST_NAMES)
		r = put_list(s, v + at, n - at < LIST_NAMES ? n - at : LIST_NAMES, e);
	store_forget_lost(s);
	return r;
}

int lost_put(struct store *s, const struct nameset *set, struct err *e)
{
	struct name *v = NULL;
	size_t n = 0;
	int r = select_names(s, set, false, &v, &n, e);
	if (r < 0)
		return r;
	r = put_all(s, v, n, e);
	free(v);
	return r;
}

int lost_tidy(struct store *s, struct err *e)
{
	struct nameset set = {0};
	struct loading ld = {.s = s, .set = &set};
	struct name *v = NULL;
	size_t n = 0;
	int r = store_object_list(s, KIND, load_one, &ld, e);
	if (r == 0)
		r = select_names(s, &set, true, &v, &n, e);
	/* One list, and nothing came back: as it should be. */
	if (r == 0 && !(ld.ids.n <= 1 && n == set.n)) {
		r = put_all(s, v, n, e);
		for (size_t i = 0; i < ld.ids.n && r == 0; i++) {
			r = store_object_remove(s, KIND, &ld.ids.v[i], e);
			if (r == E_NOTFOUND)
				r = 0;
		}
	}
	free(v);
	id_list_free(&ld.ids);
	nameset_free(&set);
	return r;
}

/* ---- asked by readers ---- */

static int know_lost(struct store *s, struct err *e)
{
	if (s->lost_known)
		return 0;
	nameset_free(&s->lost);
	int r = lost_load(s, &s->lost, e);
	s->lost_known = r == 0;
	return r;
}

bool store_is_lost(struct store *s, const struct name *name)
{
	LOCK_SCOPE(&s->lost_m);
	return know_lost(s, NULL) == 0 && nameset_has(&s->lost, name);
}

bool store_has_losses(struct store *s)
{
	LOCK_SCOPE(&s->lost_m);
	return know_lost(s, NULL) == 0 && s->lost.n > 0;
}

void store_forget_lost(struct store *s)
{
	LOCK_SCOPE(&s->lost_m);
	s->lost_known = false;
}
