#include "engine/snapshot/map.h"

#include <string.h>

#include "engine/base/cleanup.h"

#define NODE_MAGIC 'M'

void map_builder_init(struct map_builder *b, struct store *s, struct coder *c,
	const struct content *old)
{
	memset(b, 0, sizeof *b);
	b->s = s;
	b->c = c;
	if (old)
		b->old = *old;
}

void map_builder_free(struct map_builder *b)
{
	for (int i = 0; i < MAP_LEVELS; i++)
		buf_free(&b->level[i].items);
}

static int write_node(struct map_builder *b, int level, struct name *ret, struct err *e)
{
	CLEANUP_BUF struct buf node = BUF_INIT;
	int r = put_u8(&node, NODE_MAGIC, e);
	if (r == 0)
		r = put_u8(&node, (uint8_t)level, e);
	if (r == 0)
		r = put_var(&node, b->level[level].n, e);
	if (r == 0)
		r = buf_add(&node, b->level[level].items.p, b->level[level].items.len, e);
	bool same = b->old.kind == CONTENT_MAP && b->old.level == level;
	return r < 0 ? r
		     : store_put(b->s, b->c, FORM_RAW, buf_span(&node),
			       same ? &b->old.name : NULL, ret, e);
}

/* Write a full node and enter it one level up. */
static int close_node(struct map_builder *b, int level, struct err *e)
{
	struct name name;
	if (level + 1 >= MAP_LEVELS)
		return err_set(e, E_UNSUPPORTED, 0, "a file has too many pieces");
	int r = write_node(b, level, &name, e);
	if (r == 0)
		r = put_var(&b->level[level + 1].items, b->level[level].bytes, e);
	if (r == 0)
		r = buf_add(&b->level[level + 1].items, name.b, NAME_BYTES, e);
	if (r < 0)
		return r;
	b->level[level + 1].n++;
	b->level[level + 1].bytes += b->level[level].bytes;
	b->level[level].items.len = 0;
	b->level[level].n = b->level[level].bytes = 0;
	return b->level[level + 1].n == MAP_FANOUT ? close_node(b, level + 1, e) : 0;
}

int map_builder_add(struct map_builder *b, const struct map_piece *p, struct err *e)
{
	int r = put_var(&b->level[0].items, p->len << 1 | p->hole, e);
	if (r == 0 && !p->hole)
		r = buf_add(&b->level[0].items, p->name.b, NAME_BYTES, e);
	if (r < 0)
		return r;
	b->level[0].n++;
	b->level[0].bytes += p->len;
	return b->level[0].n == MAP_FANOUT ? close_node(b, 0, e) : 0;
}

int map_builder_finish(struct map_builder *b, struct content *ret, struct err *e)
{
	int r = 0, top = 0;
	for (int i = 0; i < MAP_LEVELS; i++)
		if (b->level[i].n)
			top = i;
	for (int i = 0; i < top && r == 0; i++)
		if (b->level[i].n)
			r = close_node(b, i, e);
	while (r == 0 && top + 1 < MAP_LEVELS && b->level[top].n == 0 && b->level[top + 1].n)
		top++;
	*ret = (struct content){.kind = CONTENT_EMPTY};
	if (r == 0 && b->level[top].n) {
		ret->kind = CONTENT_MAP;
		ret->level = (uint8_t)top;
		r = write_node(b, top, &ret->name, e);
	}
	return r;
}

static int bad_map(struct err *e)
{
	return err_set(e, E_CORRUPT, 0, "the list of a file's pieces is not well formed");
}

int map_node_open(struct map_node *n, struct span node, uint8_t level, struct err *e)
{
	n->rd = rd_of(node);
	n->level = level;
	bool ok = level < MAP_LEVELS && rd_u8(&n->rd) == NODE_MAGIC && rd_u8(&n->rd) == level;
	n->left = rd_count(&n->rd, 1);
	return ok && !n->rd.bad ? 0 : bad_map(e);
}

int map_node_item(struct map_node *n, struct name *ret, bool *ret_hole, struct err *e)
{
	uint64_t v = rd_var(&n->rd);
	*ret_hole = n->level == 0 && (v & 1);
	struct span name = rd_raw(&n->rd, *ret_hole ? 0 : NAME_BYTES);
	if (name.n)
		memcpy(ret->b, name.p, NAME_BYTES);
	n->left--;
	return n->rd.bad ? bad_map(e) : 0;
}

static int push(struct map_iter *it, const struct name *name, uint8_t level, struct err *e)
{
	int d = it->depth + 1;
	int r = store_plain(it->s, it->c, name, &it->stack[d].node, e);
	if (r < 0)
		return r;
	it->depth = d;
	it->stack[d].rd = rd_of(buf_span(&it->stack[d].node->data));
	it->stack[d].level = level;
	bool ok = rd_u8(&it->stack[d].rd) == NODE_MAGIC && rd_u8(&it->stack[d].rd) == level;
	it->stack[d].left = rd_count(&it->stack[d].rd, 1);
	return ok && !it->stack[d].rd.bad ? 0 : bad_map(e);
}

int map_iter_open(struct map_iter *it, struct store *s, struct coder *c, const struct content *map,
	uint64_t off, struct err *e)
{
	memset(it, 0, sizeof *it);
	it->s = s;
	it->c = c;
	it->depth = -1;
	if (map->kind == CONTENT_EMPTY)
		return 0;
	if (map->kind != CONTENT_MAP || map->level >= MAP_LEVELS)
		return bad_map(e);
	int r = push(it, &map->name, map->level, e);
	/* Skip what lies before `off`, whole subtrees at a time. */
	while (r == 0 && it->depth >= 0) {
		struct rd *rd = &it->stack[it->depth].rd;
		struct rd before = *rd;
		if (it->stack[it->depth].left == 0)
			break;
		uint8_t level = it->stack[it->depth].level;
		uint64_t v = rd_var(rd), len = level ? v : v >> 1;
		struct span n = rd_raw(rd, level || !(v & 1) ? NAME_BYTES : 0);
		if (rd->bad || len > INT64_MAX - it->off)
			r = bad_map(e);
		else if (it->off + len <= off) {
			it->off += len;
			it->stack[it->depth].left--;
		} else if (level) {
			struct name name;
			memcpy(name.b, n.p, NAME_BYTES);
			it->stack[it->depth].left--;
			r = push(it, &name, (uint8_t)(level - 1), e);
		} else {
			*rd = before;
			break;
		}
	}
	if (r < 0)
		map_iter_close(it);
	return r;
}

int map_iter_next(struct map_iter *it, struct map_piece *ret, struct err *e)
{
	while (it->depth >= 0) {
		int d = it->depth;
		struct rd *rd = &it->stack[d].rd;
		if (it->stack[d].left == 0) {
			plain_unref(TAKE_PTR(it->stack[d].node));
			it->depth--;
			continue;
		}
		it->stack[d].left--;
		uint64_t v = rd_var(rd);
		bool leaf = it->stack[d].level == 0;
		struct span n = rd_raw(rd, !leaf || !(v & 1) ? NAME_BYTES : 0);
		if (rd->bad)
			return bad_map(e);
		struct name name = {{0}};
		if (n.n)
			memcpy(name.b, n.p, NAME_BYTES);
		if (!leaf) {
			int r = push(it, &name, (uint8_t)(it->stack[d].level - 1), e);
			if (r < 0)
				return r;
			continue;
		}
		*ret = (struct map_piece){it->off, v >> 1, v & 1, name};
		if (ret->len > INT64_MAX - it->off)
			return bad_map(e);
		it->off += ret->len;
		return 1;
	}
	return 0;
}

void map_iter_close(struct map_iter *it)
{
	for (; it->depth >= 0; it->depth--)
		plain_unref(TAKE_PTR(it->stack[it->depth].node));
}
