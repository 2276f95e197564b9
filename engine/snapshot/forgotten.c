#include "engine/snapshot/forgotten.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/store/id_list.h"
#include "engine/store/nameset.h"

#define VERSION 1
#define FORGOTTEN "forgotten"
#define MARKS "marks"

/* ---- one forgotten snapshot ---- */

static int put_forgotten(struct buf *b, struct timestamp when, struct span object, struct err *e)
{
	int r = put_u8(b, VERSION, e);
	if (r == 0)
		r = put_svar(b, when.s, e);
	if (r == 0)
		r = put_var(b, when.ns, e);
	return r < 0 ? r : put_bytes(b, object, e);
}

static int get_forgotten(struct span s, struct timestamp *when, struct span *object, struct err *e)
{
	struct rd r = rd_of(s);
	if (rd_u8(&r) != VERSION)
		return err_set(e, E_UNSUPPORTED, 0,
			"a forgotten snapshot of another version: use a newer mcfs");
	when->s = rd_svar(&r);
	when->ns = (uint32_t)rd_var_max(&r, 999999999);
	*object = rd_bytes(&r);
	return rd_done(&r, "a forgotten snapshot", e);
}

static int load_one(struct store *s, const struct id *id, struct forgotten *f, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct span object;
	*f = (struct forgotten){.sn.id = *id};
	int r = store_object_get(s, FORGOTTEN, id, &b, e);
	if (r == 0)
		r = get_forgotten(buf_span(&b), &f->when, &object, e);
	if (r == 0)
		r = snapshot_parse(object, store_keys(s), &f->sn, e);
	if (r < 0)
		snapshot_free(&f->sn);
	return r;
}

static int is_there(struct store *s, const char *kind, const struct id *id, bool *ret, struct err *e)
{
	char hex[2 * ID_BYTES + 1], key[64];
	uint64_t size;
	snprintf(key, sizeof key, "%s/%s", kind, hex_of(id->b, ID_BYTES, hex));
	int r = object_size(store_place(s), key, &size, e);
	*ret = r == 0;
	return r == E_NOTFOUND ? 0 : r;
}

static int remove_object(struct store *s, const char *kind, const struct id *id, struct err *e)
{
	char hex[2 * ID_BYTES + 1], key[64];
	snprintf(key, sizeof key, "%s/%s", kind, hex_of(id->b, ID_BYTES, hex));
	return object_remove(store_place(s), key, e);
}

/* ---- all of them ---- */

struct loading {
	struct store *s;
	struct forgotten_list *l;
	struct id_list ids; /* of all objects; after load() without those that are snapshots still, or foreign */
};

/* *ret_skip: it is a snapshot still, or nothing that this version may remove. */
static int load_listed(struct loading *ld, const struct id *id, bool *ret_skip, struct err *e)
{
	struct forgotten_list *l = ld->l;
	struct err own = ERR_INIT;
	int r = is_there(ld->s, SNAPSHOT_KIND, id, ret_skip, e);
	if (r < 0 || *ret_skip)
		return r;
	r = load_one(ld->s, id, &l->v[l->n], &own);
	if (r == 0)
		l->n++;
	if (r == 0 || r == E_NOTFOUND) /* undeleted while we listed */
		return 0;
	if (r != E_CORRUPT && r != E_UNSUPPORTED)
		return err_pass(e, &own);
	log_say(store_log(ld->s), LOG_ERROR, "%s", own.msg);
	l->damaged++;
	*ret_skip = r == E_UNSUPPORTED;
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct forgotten *x = a, *y = b;
	return snapshot_by_time(&x->sn, &y->sn);
}

static int load(struct loading *ld, struct err *e)
{
	struct forgotten_list *l = ld->l;
	*l = (struct forgotten_list){0};
	int r = store_object_list(ld->s, FORGOTTEN, id_list_collect, &ld->ids, e);
	if (r == 0 && ld->ids.n && !(l->v = calloc(ld->ids.n, sizeof *l->v)))
		r = err_set(e, E_NOMEM, 0, "no memory for forgotten snapshots");
	size_t n = 0;
	for (size_t i = 0; i < ld->ids.n && r == 0; i++) {
		bool skip;
		r = load_listed(ld, &ld->ids.v[i], &skip, e);
		if (r == 0 && !skip)
			ld->ids.v[n++] = ld->ids.v[i];
	}
	ld->ids.n = n;
	if (r < 0)
		forgotten_free(l);
	else if (l->n)
		qsort(l->v, l->n, sizeof *l->v, by_time);
	return r;
}

int forgotten_load(struct forgotten_list *l, struct store *s, struct err *e)
{
	struct loading ld = {.s = s, .l = l};
	int r = load(&ld, e);
	id_list_free(&ld.ids);
	return r;
}

void forgotten_free(struct forgotten_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		snapshot_free(&l->v[i].sn);
	free(l->v);
	*l = (struct forgotten_list){0};
}

int forgotten_find(const struct forgotten_list *l, const char *spec, struct forgotten **ret,
	struct err *e)
{
	size_t n = strlen(spec), hits = 0;
	char hex[2 * ID_BYTES + 1];
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].sn.name, spec) == 0 ||
			(n >= 4 && strncmp(hex_of(l->v[i].sn.id.b, ID_BYTES, hex), spec, n) == 0)) {
			*ret = &l->v[i];
			hits++;
		}
	if (hits == 1)
		return 0;
	return hits ? err_set(e, E_USAGE, 0,
			      "'%s' means more than one forgotten snapshot: give more of the id",
			      spec)
		    : err_set(e, E_NOTFOUND, 0,
			      "there is no forgotten snapshot '%s' (see 'mcfs undelete')", spec);
}

/* ---- there and back ---- */

/* What lies in forgotten/ of one that is forgotten now. */
static int make_forgotten(struct store *s, const struct id *id, struct buf *ret, struct err *e)
{
	CLEANUP_BUF struct buf object = BUF_INIT;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct timestamp when = {now.tv_sec, (uint32_t)now.tv_nsec};
	int r = store_object_get(s, SNAPSHOT_KIND, id, &object, e);
	return r < 0 ? r : put_forgotten(ret, when, buf_span(&object), e);
}

int snapshot_forget(struct store *s, const struct snapshot *sn, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = make_forgotten(s, &sn->id, &b, e);
	if (r == 0)
		r = store_object_put(s, FORGOTTEN, &sn->id, buf_span(&b), true, e);
	if (r == 0)
		r = remove_object(s, SNAPSHOT_KIND, &sn->id, e);
	return r < 0 ? err_wrap(e, "forget snapshot %s", sn->name) : 0;
}

int snapshot_forget_some(struct store *s, const struct snapshot *const *v, size_t n, struct err *e)
{
	struct buf b[FORGET_AT_ONCE];
	struct store_object o[FORGET_AT_ONCE];
	struct id ids[FORGET_AT_ONCE];
	size_t k = 0, i;
	int r = 0;
	for (i = 0; i < n && i < FORGET_AT_ONCE && r == 0; i++) {
		struct err own = ERR_INIT;
		b[k] = BUF_INIT;
		r = make_forgotten(s, &v[i]->id, &b[k], &own);
		if (r == E_NOTFOUND) { /* somebody else was quicker */
			buf_free(&b[k]);
			r = 0;
			continue;
		}
		if (r < 0)
			err_pass(e, &own);
		o[k] = (struct store_object){v[i]->id, buf_span(&b[k])};
		ids[k++] = v[i]->id;
	}
	if (r == 0 && k)
		r = store_object_put_all(s, FORGOTTEN, o, k, e);
	if (r == 0 && k)
		r = store_object_remove_all(s, SNAPSHOT_KIND, ids, k, e);
	while (k > 0)
		buf_free(&b[--k]);
	return r < 0 ? err_wrap(e, "forget snapshot %s%s", v[0]->name, n > 1 ? " and others" : "") : 0;
}

/* Put the snapshot's object while the lock is held: compact, which waits for it, sees it then. */
static int put_back(struct store *s, const struct id *id, struct span object, struct err *e)
{
	struct err ignored = ERR_INIT;
	int r = store_still_ours(s, e);
	if (r == 0)
		r = store_object_put(s, SNAPSHOT_KIND, id, object, false, e);
	if (r < 0)
		return r;
	r = store_still_ours(s, e);
	if (r == E_LOCKED && remove_object(s, SNAPSHOT_KIND, id, &ignored) < 0)
		log_say(store_log(s), LOG_WARN, "%s", ignored.msg);
	return r;
}

static int move_back(struct store *s, const struct forgotten *f, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct timestamp when;
	struct span object = {NULL, 0};
	bool alive;
	int r = is_there(s, SNAPSHOT_KIND, &f->sn.id, &alive, e);
	if (r < 0 || alive) /* somebody else was quicker; what lies in forgotten/ as well does not count */
		return r;
	r = store_object_get(s, FORGOTTEN, &f->sn.id, &b, e);
	if (r == E_NOTFOUND)
		return err_set(e, E_NOTFOUND, 0, "compact has taken it meanwhile");
	if (r == 0)
		r = get_forgotten(buf_span(&b), &when, &object, e);
	/* What lies in forgotten/ stays, and does not count: somebody who forgets this snapshot again at
	 * this moment may have written it just now, and be about to remove the other. */
	return r < 0 ? r : put_back(s, &f->sn.id, object, e);
}

static int undelete(struct store *s, const struct snapshot_list *l, const struct forgotten *f,
	struct err *e)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, f->sn.name) == 0 &&
			memcmp(l->v[i].id.b, f->sn.id.b, ID_BYTES) != 0)
			return err_set(e, E_EXISTS, 0, "there is another snapshot of this name");
	if (f->sn.root.kind == CONTENT_TREE && !store_has(s, &f->sn.root.name))
		return err_set(e, E_CORRUPT, 0, "what it holds is not in the store any more");
	return move_back(s, f, e);
}

int snapshot_undelete(struct store *s, const struct snapshot_list *l, const struct forgotten *f,
	struct err *e)
{
	int r = store_enter(s, e);
	if (r == 0)
		r = undelete(s, l, f, e);
	store_abort(s); /* nothing was begun: it lets the lock go */
	return r < 0 ? err_wrap(e, "bring back snapshot %s", f->sn.name) : 0;
}

/* ---- the past ---- */

static int past_push(struct past *p, const struct past_one *one, struct err *e)
{
	if ((p->n & (p->n - 1)) == 0) {
		struct past_one *v = realloc(p->v, (p->n ? 2 * p->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for the past");
		p->v = v;
	}
	p->v[p->n++] = *one;
	return 0;
}

static int by_generation(const void *a, const void *b)
{
	const struct past_one *x = a, *y = b;
	if (x->generation != y->generation)
		return x->generation < y->generation ? -1 : 1;
	return name_cmp(&x->self, &y->self);
}

/* In order, each once, only the newest. */
static void past_tidy(struct past *p)
{
	size_t n = 0;
	if (p->n)
		qsort(p->v, p->n, sizeof *p->v, by_generation);
	for (size_t i = 0; i < p->n; i++)
		if (n == 0 || name_cmp(&p->v[n - 1].self, &p->v[i].self) != 0)
			p->v[n++] = p->v[i];
	if (n > PAST_MAX) {
		if (p->v[n - PAST_MAX - 1].generation > p->floor)
			p->floor = p->v[n - PAST_MAX - 1].generation;
		memmove(p->v, p->v + n - PAST_MAX, PAST_MAX * sizeof *p->v);
		n = PAST_MAX;
	}
	p->n = n;
	if (n && p->v[n - 1].generation > p->highest)
		p->highest = p->v[n - 1].generation;
}

static void get_name(struct rd *r, struct name *n)
{
	struct span s = rd_raw(r, NAME_BYTES);
	if (s.n)
		memcpy(n->b, s.p, NAME_BYTES);
}

static int get_mark(struct span s, struct past *p, struct err *e)
{
	struct rd r = rd_of(s);
	if (rd_u8(&r) != VERSION)
		return err_set(e, E_UNSUPPORTED, 0, "a mark of another version: use a newer mcfs");
	uint64_t floor = rd_var(&r), n = rd_count(&r, 1 + 2 * NAME_BYTES);
	int rc = 0;
	for (uint64_t i = 0; i < n && !r.bad && rc == 0; i++) {
		struct past_one one = {.generation = rd_var(&r)};
		get_name(&r, &one.self);
		get_name(&r, &one.previous);
		if (!r.bad)
			rc = past_push(p, &one, e);
	}
	if (floor > p->floor)
		p->floor = floor;
	return rc < 0 ? rc : rd_done(&r, "a mark", e);
}

static int put_mark(struct store *s, const struct past *p, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct id id;
	crypto_random(id.b, ID_BYTES);
	int r = put_u8(&b, VERSION, e);
	if (r == 0)
		r = put_var(&b, p->floor, e);
	if (r == 0)
		r = put_var(&b, p->n, e);
	for (size_t i = 0; i < p->n && r == 0; i++) {
		r = put_var(&b, p->v[i].generation, e);
		if (r == 0)
			r = buf_add(&b, p->v[i].self.b, NAME_BYTES, e);
		if (r == 0)
			r = buf_add(&b, p->v[i].previous.b, NAME_BYTES, e);
	}
	return r < 0 ? r : store_object_put(s, MARKS, &id, buf_span(&b), false, e);
}

/* `ids` receives those that were read. */
static int load_marks(struct past *p, struct store *s, struct id_list *ids, struct err *e)
{
	size_t n = 0;
	int r = store_object_list(s, MARKS, id_list_collect, ids, e);
	for (size_t i = 0; i < ids->n && r == 0; i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct err own = ERR_INIT;
		r = store_object_get(s, MARKS, &ids->v[i], &b, &own);
		if (r == 0)
			r = get_mark(buf_span(&b), p, &own);
		if (r == E_CORRUPT || r == E_UNSUPPORTED) {
			log_say(store_log(s), LOG_ERROR, "%s", own.msg);
			p->damaged++;
		} else if (r < 0 && r != E_NOTFOUND) {
			return err_pass(e, &own);
		} else if (r == 0) {
			ids->v[n++] = ids->v[i];
		}
		r = 0; /* one that is gone is within a newer one */
	}
	ids->n = n;
	return r;
}

static int add_forgotten(struct past *p, const struct forgotten_list *l, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < l->n && r == 0; i++) {
		const struct snapshot *sn = &l->v[i].sn;
		r = past_push(p, &(struct past_one){sn->generation, sn->self, sn->previous}, e);
	}
	p->damaged += l->damaged;
	return r;
}

int past_load(struct past *p, struct store *s, struct err *e)
{
	struct id_list ids = {0};
	struct forgotten_list l;
	*p = (struct past){0};
	/* Forgotten ones first: what is released meanwhile is in a mark by then. */
	int r = forgotten_load(&l, s, e);
	if (r == 0) {
		r = add_forgotten(p, &l, e);
		forgotten_free(&l);
	}
	if (r == 0)
		r = load_marks(p, s, &ids, e);
	id_list_free(&ids);
	if (r < 0)
		past_free(p);
	else
		past_tidy(p);
	return r;
}

void past_free(struct past *p)
{
	free(p->v);
	*p = (struct past){0};
}

const struct past_one *past_find(const struct past *p, const struct name *self)
{
	for (size_t i = p->n; i-- > 0;)
		if (name_cmp(&p->v[i].self, self) == 0)
			return &p->v[i];
	return NULL;
}

int past_add(struct store *s, const struct past_one *v, size_t n, struct err *e)
{
	struct past p = {0};
	struct id_list marks = {0};
	int r = load_marks(&p, s, &marks, e);
	for (size_t i = 0; i < n && r == 0; i++)
		r = past_push(&p, &v[i], e);
	if (r == 0) {
		past_tidy(&p);
		r = put_mark(s, &p, e);
	}
	if (r == 0)
		r = store_object_remove_all(s, MARKS, marks.v, marks.n, e);
	id_list_free(&marks);
	past_free(&p);
	return r;
}

int forgotten_release(struct store *s, size_t *ret_n, struct err *e)
{
	struct forgotten_list l = {0};
	struct loading ld = {.s = s, .l = &l};
	struct past p = {0};
	struct id_list marks = {0};
	int r = load(&ld, e);
	if (r == 0)
		r = add_forgotten(&p, &l, e);
	if (r == 0)
		r = load_marks(&p, s, &marks, e);
	if (r == 0 && (l.n || marks.n > 1)) {
		past_tidy(&p);
		r = put_mark(s, &p, e);
		if (r == 0)
			r = store_object_remove_all(s, MARKS, marks.v, marks.n, e);
	}
	if (r == 0)
		r = store_object_remove_all(s, FORGOTTEN, ld.ids.v, ld.ids.n, e);
	*ret_n = l.n;
	forgotten_free(&l);
	past_free(&p);
	id_list_free(&marks);
	id_list_free(&ld.ids);
	return r < 0 ? err_wrap(e, "release forgotten snapshots") : 0;
}

struct gaps {
	const struct past *p;
	struct nameset all;
	past_gap fn;
	void *ctx;
};

static int look_before(const struct gaps *g, uint64_t generation, const struct name *previous,
	const char *successor, struct err *e)
{
	static const struct name none;
	if (generation <= g->p->floor + 1 || name_cmp(previous, &none) == 0 ||
		nameset_has(&g->all, previous))
		return 0;
	return g->fn(g->ctx, generation - 1, previous, successor, e);
}

int past_each_gap(const struct past *p, const struct snapshot_list *l, past_gap fn, void *ctx,
	struct err *e)
{
	struct gaps g = {.p = p, .fn = fn, .ctx = ctx};
	int r = 0;
	if (l->damaged || p->damaged)
		return 0;
	for (size_t i = 0; i < l->n && r == 0; i++)
		r = nameset_add(&g.all, &l->v[i].self, e);
	for (size_t i = 0; i < p->n && r == 0; i++)
		r = nameset_add(&g.all, &p->v[i].self, e);
	for (size_t i = 0; i < l->n && r == 0; i++)
		r = look_before(&g, l->v[i].generation, &l->v[i].previous, l->v[i].name, e);
	for (size_t i = 0; i < p->n && r == 0; i++)
		r = look_before(&g, p->v[i].generation, &p->v[i].previous, "a forgotten one", e);
	nameset_free(&g.all);
	return r;
}
