/* The interface's thin front: dispatch, and what all implementations share. */
#include "engine/object/object.h"

int object_list(struct object_place *p, const char *dir, object_each fn, void *ctx, struct err *e)
{
	return p->ops->list(p, dir, true, fn, ctx, e);
}

int object_list_names(struct object_place *p, const char *dir, object_each fn, void *ctx, struct err *e)
{
	return p->ops->list(p, dir, false, fn, ctx, e);
}

/* A read that fails is tried once more: repair gives up what cannot be read. */
int object_size(struct object_place *p, const char *key, uint64_t *ret, struct err *e)
{
	int r = p->ops->size(p, key, ret, e);
	return r == E_IO ? p->ops->size(p, key, ret, e) : r;
}

int object_read(struct object_place *p, const char *key, uint64_t off, size_t n, struct buf *out,
	struct err *e)
{
	size_t start = out->len;
	int r = p->ops->read(p, key, off, n, out, e);
	if (r != E_IO)
		return r;
	out->len = start;
	return p->ops->read(p, key, off, n, out, e);
}

int object_get(struct object_place *p, const char *key, size_t max, struct buf *out, struct err *e)
{
	uint64_t size;
	int r = object_size(p, key, &size, e);
	if (r < 0)
		return r;
	if (size > max)
		return err_set(e, E_CORRUPT, 0, "object '%s' is larger than %zu bytes", key, max);
	return object_read(p, key, 0, (size_t)size, out, e);
}

int object_put(struct object_place *p, const char *key, struct span s, bool replace, struct err *e)
{
	return p->ops->put(p, key, s, replace, e);
}

int object_remove(struct object_place *p, const char *key, struct err *e)
{
	return p->ops->remove(p, key, e);
}

int object_put_all(struct object_place *p, const struct object_content *v, size_t n, struct err *e)
{
	int r = 0;
	if (p->ops->put_all)
		return p->ops->put_all(p, v, n, e);
	for (size_t i = 0; i < n && r == 0; i++)
		r = object_put(p, v[i].key, v[i].content, true, e);
	return r;
}

int object_remove_all(struct object_place *p, const char *const *keys, size_t n, struct err *e)
{
	if (p->ops->remove_all)
		return p->ops->remove_all(p, keys, n, e);
	for (size_t i = 0; i < n; i++) {
		struct err own = ERR_INIT;
		int r = object_remove(p, keys[i], &own);
		if (r < 0 && r != E_NOTFOUND)
			return err_pass(e, &own);
	}
	return 0;
}

int object_put_brief(struct object_place *p, const char *key, struct span s, struct err *e)
{
	return p->ops->put_brief ? p->ops->put_brief(p, key, s, e) : object_put(p, key, s, false, e);
}

int object_remove_brief(struct object_place *p, const char *key, struct err *e)
{
	return p->ops->remove_brief ? p->ops->remove_brief(p, key, e) : object_remove(p, key, e);
}

int object_begin(struct object_place *p, struct object_writer **ret, struct err *e)
{
	return p->ops->begin(p, ret, e);
}

int object_append(struct object_writer *w, struct span s, struct err *e)
{
	return w->place->ops->append(w, s, e);
}

int object_read_back(struct object_writer *w, uint64_t off, size_t n, struct buf *out,
	struct err *e)
{
	return w->place->ops->read_back(w, off, n, out, e);
}

int object_commit(struct object_writer *w, const char *key, struct err *e)
{
	return w->place->ops->commit(w, key, e);
}

void object_abort(struct object_writer *w)
{
	if (w)
		w->place->ops->abort(w);
}

bool object_is_at(struct object_place *p, const struct stat *dir)
{
	return p->ops->is_at && p->ops->is_at(p, dir);
}

int object_space(struct object_place *p, uint64_t *ret, struct err *e)
{
	*ret = UINT64_MAX;
	return p->ops->space ? p->ops->space(p, ret, e) : 0;
}

void object_place_free(struct object_place *p)
{
	if (p)
		p->ops->free(p);
}
