#include "tests/unit/support.h"

#include "tests/unit/mem_place.h"

struct object {
	struct object *next;
	char *key;
	struct buf data;
};

struct objects {
	pthread_mutex_t m;
	struct object *first;
	const char *hook_prefix;
	void (*hook)(void *ctx);
	void *hook_ctx;
};

struct mem_place {
	struct object_place base;
	struct objects *all;
	bool owner;
};

struct mem_writer {
	struct object_writer base;
	struct buf data;
};

static struct objects *objects_of(struct object_place *p)
{
	return ((struct mem_place *)p)->all;
}

static struct object *find(struct objects *o, const char *key)
{
	struct object *x = o->first;
	while (x && strcmp(x->key, key) != 0)
		x = x->next;
	return x;
}

struct listed {
	uint64_t size;
	char name[80];
};

/* Names right below a directory, as they are now. */
static int names_below(struct objects *o, const char *dir, struct buf *ret, struct err *e)
{
	size_t n = strlen(dir);
	int r = 0;
	LOCK_SCOPE(&o->m);
	for (struct object *x = o->first; x && r == 0; x = x->next) {
		struct listed l = {.size = x->data.len};
		if (strncmp(x->key, dir, n) != 0 || x->key[n] != '/' || strchr(x->key + n + 1, '/'))
			continue;
		assert_true(strlen(x->key + n + 1) < sizeof l.name);
		strcpy(l.name, x->key + n + 1);
		r = buf_add(ret, &l, sizeof l, e);
	}
	return r;
}

/* The callback reads objects, and a lock's thread may renew it meanwhile: nothing is held then. */
static int m_list(struct object_place *p, const char *dir, bool sizes, object_each fn, void *ctx,
	struct err *e)
{
	CLEANUP_BUF struct buf names = BUF_INIT;
	int r = names_below(objects_of(p), dir, &names, e);
	for (size_t at = 0; at < names.len && r == 0; at += sizeof(struct listed)) {
		struct listed l;
		memcpy(&l, names.p + at, sizeof l);
		r = fn(ctx, l.name, sizes ? l.size : 0, e);
	}
	return r;
}

static int missing(const char *key, struct err *e)
{
	return err_set(e, E_NOTFOUND, 0, "object '%s' does not exist", key);
}

static int m_size(struct object_place *p, const char *key, uint64_t *ret, struct err *e)
{
	struct objects *o = objects_of(p);
	LOCK_SCOPE(&o->m);
	struct object *x = find(o, key);
	if (!x)
		return missing(key, e);
	*ret = x->data.len;
	return 0;
}

static int m_read(struct object_place *p, const char *key, uint64_t off, size_t n, struct buf *out,
	struct err *e)
{
	struct objects *o = objects_of(p);
	LOCK_SCOPE(&o->m);
	struct object *x = find(o, key);
	if (!x)
		return missing(key, e);
	struct span s = span_sub(buf_span(&x->data), (size_t)off, n);
	return buf_add(out, s.p, s.n, e);
}

static int m_put(struct object_place *p, const char *key, struct span s, bool replace, struct err *e)
{
	struct objects *o = objects_of(p);
	LOCK_SCOPE(&o->m);
	struct object *x = find(o, key);
	if (x && !replace)
		return err_set(e, E_EXISTS, 0, "object '%s' exists", key);
	if (!x) {
		struct object **last = &o->first;
		while (*last)
			last = &(*last)->next;
		*last = x = calloc(1, sizeof *x);
		x->key = strdup(key);
	}
	x->data.len = 0;
	return buf_add(&x->data, s.p, s.n, e);
}

static int m_remove(struct object_place *p, const char *key, struct err *e)
{
	struct objects *o = objects_of(p);
	if (o->hook && strncmp(key, o->hook_prefix, strlen(o->hook_prefix)) == 0) {
		void (*hook)(void *ctx) = o->hook;
		o->hook = NULL;
		hook(o->hook_ctx);
	}
	LOCK_SCOPE(&o->m);
	for (struct object **x = &o->first; *x; x = &(*x)->next)
		if (strcmp((*x)->key, key) == 0) {
			struct object *gone = *x;
			*x = gone->next;
			buf_free(&gone->data);
			free(gone->key);
			free(gone);
			return 0;
		}
	return missing(key, e);
}

static int m_begin(struct object_place *p, struct object_writer **ret, struct err *e)
{
	struct mem_writer *w = calloc(1, sizeof *w);
	if (!w)
		return err_set(e, E_NOMEM, 0, "no memory for a writer");
	w->base.place = p;
	*ret = &w->base;
	return 0;
}

static int m_append(struct object_writer *w, struct span s, struct err *e)
{
	return buf_add(&((struct mem_writer *)w)->data, s.p, s.n, e);
}

static int m_read_back(struct object_writer *w, uint64_t off, size_t n, struct buf *out,
	struct err *e)
{
	struct span s = span_sub(buf_span(&((struct mem_writer *)w)->data), (size_t)off, n);
	return buf_add(out, s.p, s.n, e);
}

static void m_abort(struct object_writer *w)
{
	buf_free(&((struct mem_writer *)w)->data);
	free(w);
}

static int m_commit(struct object_writer *w, const char *key, struct err *e)
{
	int r = m_put(w->place, key, buf_span(&((struct mem_writer *)w)->data), false, e);
	m_abort(w);
	return r;
}

static void m_free(struct object_place *p)
{
	struct mem_place *m = (struct mem_place *)p;
	while (m->owner && m->all->first) {
		struct object *x = m->all->first;
		m->all->first = x->next;
		buf_free(&x->data);
		free(x->key);
		free(x);
	}
	if (m->owner) {
		pthread_mutex_destroy(&m->all->m);
		free(m->all);
	}
	free(m);
}

static const struct object_ops ops = {.list = m_list,
	.size = m_size,
	.read = m_read,
	.put = m_put,
	.remove = m_remove,
	.begin = m_begin,
	.append = m_append,
	.read_back = m_read_back,
	.commit = m_commit,
	.abort = m_abort,
	.free = m_free};

struct object_place *mem_place_new(void)
{
	struct mem_place *m = calloc(1, sizeof *m);
	assert_non_null(m);
	m->base.ops = &ops;
	m->owner = true;
	m->all = calloc(1, sizeof *m->all);
	assert_non_null(m->all);
	pthread_mutex_init(&m->all->m, NULL);
	return &m->base;
}

struct object_place *mem_place_borrow(struct object_place *p)
{
	struct mem_place *m = calloc(1, sizeof *m);
	assert_non_null(m);
	m->base.ops = &ops;
	m->all = objects_of(p);
	return &m->base;
}

struct buf *mem_place_object(struct object_place *p, const char *key)
{
	struct object *x = find(objects_of(p), key);
	return x ? &x->data : NULL;
}

const char *mem_place_key(struct object_place *p, const char *prefix, unsigned nth)
{
	for (struct object *x = objects_of(p)->first; x; x = x->next)
		if (strncmp(x->key, prefix, strlen(prefix)) == 0 && nth-- == 0)
			return x->key;
	return NULL;
}

void mem_place_before_remove(struct object_place *p, const char *prefix, void (*hook)(void *ctx),
	void *ctx)
{
	struct objects *o = objects_of(p);
	o->hook_prefix = prefix;
	o->hook = hook;
	o->hook_ctx = ctx;
}

struct object_place *mem_place_copy(struct object_place *p)
{
	struct object_place *copy = mem_place_new();
	struct objects *o = objects_of(p);
	LOCK_SCOPE(&o->m); /* a lock's thread may be renewing it */
	for (struct object *x = o->first; x; x = x->next)
		OK(object_put(copy, x->key, buf_span(&x->data), false, e));
	return copy;
}
