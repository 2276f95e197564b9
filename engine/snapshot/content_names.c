#include "engine/snapshot/content_names.h"

#include "engine/base/cleanup.h"
#include "engine/snapshot/layout.h"
#include "engine/snapshot/map.h"

static int of_map(struct store *s, struct coder *c, const struct content *content,
	content_name_fn fn, void *ctx, struct err *e)
{
	struct map_iter it;
	struct map_piece p;
	int r = map_iter_open(&it, s, c, content, 0, e);
	if (r < 0)
		return r;
	while ((r = map_iter_next(&it, &p, e)) == 1)
		if (!p.hole && (r = fn(ctx, &p.name, e)) != 0)
			break;
	map_iter_close(&it);
	return r;
}

static int of_region(struct store *s, struct coder *c, const struct content *content,
	content_name_fn fn, void *ctx, struct err *e)
{
	struct layout l = {0};
	CLEANUP_PLAIN struct plain *p = NULL;
	int r = fn(ctx, &content->name, e);
	if (r == 0)
		r = store_plain(s, c, &content->name, &p, e);
	if (r == 0)
		r = layout_get(buf_span(&p->data), &l, e);
	for (size_t i = 0; i < l.n_sources && r == 0; i++)
		if (i >= LAYOUT_GROUPS || l.has_group[i])
			r = fn(ctx, &l.sources[i].name, e);
	layout_free(&l);
	return r;
}

int content_each_name(struct store *s, struct coder *c, const struct content *content,
	content_name_fn fn, void *ctx, struct err *e)
{
	switch (content->kind) {
	case CONTENT_BLOB:
		return fn(ctx, &content->name, e);
	case CONTENT_MAP:
		return of_map(s, c, content, fn, ctx, e);
	case CONTENT_REGION:
		return of_region(s, c, content, fn, ctx, e);
	default:
		return 0;
	}
}
