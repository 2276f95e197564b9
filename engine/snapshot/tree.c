#include "engine/snapshot/tree.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

/* A node: u8 'T', u8 level, var count, then entries (level 0) or children (name of the first entry,
 * number of entries below, blob name). */
#define NODE_MAGIC 'T'
#define NODE_BYTES_MAX ((size_t)48 << 10)
#define NODE_ITEMS_MIN 32
#define CUT_MASK 127 /* a cut every 128 names or so */

struct child {
	struct span first;
	uint64_t count;
	struct name name;
};

static void child_get(struct rd *r, struct child *ch)
{
	ch->first = rd_bytes(r);
	ch->count = rd_var(r);
	struct span n = rd_raw(r, NAME_BYTES);
	if (n.n)
		memcpy(ch->name.b, n.p, NAME_BYTES);
}

/* Load a node and check its head. */
static int open_node(struct store *s, struct coder *c, const struct name *name, uint8_t level,
	struct tree_level *ret, struct err *e)
{
	int r = store_plain(s, c, name, &ret->node, e);
	if (r < 0)
		return r;
	ret->rd = rd_of(buf_span(&ret->node->data));
	ret->level = level;
	bool ok = rd_u8(&ret->rd) == NODE_MAGIC && rd_u8(&ret->rd) == level;
	ret->left = rd_count(&ret->rd, 4);
	if (ok && !ret->rd.bad && ret->node->form == FORM_RAW)
		return 0;
	plain_unref(TAKE_PTR(ret->node));
	return err_set(e, E_CORRUPT, 0, "a directory is not well formed");
}

static int bad_dir(struct err *e)
{
	return err_set(e, E_CORRUPT, 0, "a directory is not well formed");
}

int tree_node_open(struct tree_node *n, struct span node, uint8_t level, struct err *e)
{
	n->rd = rd_of(node);
	bool ok = level < TREE_LEVELS && rd_u8(&n->rd) == NODE_MAGIC && rd_u8(&n->rd) == level;
	n->left = rd_count(&n->rd, 4);
	return ok && !n->rd.bad ? 0 : bad_dir(e);
}

int tree_node_entry(struct tree_node *n, struct entry *ret, struct err *e)
{
	entry_get(&n->rd, ret);
	n->left--;
	return n->rd.bad ? bad_dir(e) : 0;
}

int tree_node_child(struct tree_node *n, struct name *ret, struct err *e)
{
	struct child ch = {0};
	child_get(&n->rd, &ch);
	n->left--;
	*ret = ch.name;
	return n->rd.bad ? bad_dir(e) : 0;
}

/* Go down from the top of the stack to a leaf, leaving out the first `skip` entries. */
static int descend(struct tree_iter *it, uint64_t skip, struct err *e)
{
	for (;;) {
		struct tree_level *top = &it->stack[it->depth];
		struct child ch;
		if (top->level == 0)
			break;
		do {
			if (top->left == 0)
				return 0; /* the caller climbs */
			child_get(&top->rd, &ch);
			if (top->rd.bad)
				return bad_dir(e);
			top->left--;
		} while (skip >= ch.count && (skip -= ch.count, true));
		int r = open_node(it->s, it->c, &ch.name, (uint8_t)(top->level - 1),
			&it->stack[it->depth + 1], e);
		if (r < 0)
			return r;
		it->leaf = ch.name; /* the last one that is kept is a leaf */
		it->depth++;
	}
	struct tree_level *leaf = &it->stack[it->depth];
	it->next_index = 0;
	for (struct entry en; skip && leaf->left; skip--, leaf->left--, it->next_index++) {
		entry_get(&leaf->rd, &en);
		if (leaf->rd.bad)
			return bad_dir(e);
	}
	return 0;
}

int tree_iter_open(struct tree_iter *it, struct store *s, struct coder *c,
	const struct content *dir, uint64_t skip, struct err *e)
{
	*it = (struct tree_iter){.s = s, .c = c, .depth = -1};
	if (dir->kind == CONTENT_EMPTY)
		return 0;
	if (dir->kind != CONTENT_TREE || dir->level >= TREE_LEVELS)
		return bad_dir(e);
	int r = open_node(s, c, &dir->name, dir->level, &it->stack[0], e);
	if (r < 0)
		return r;
	it->depth = 0;
	it->leaf = dir->name;
	r = descend(it, skip, e);
	if (r < 0)
		tree_iter_close(it);
	return r;
}

int tree_iter_next(struct tree_iter *it, struct entry *ret, struct err *e)
{
	while (it->depth >= 0) {
		struct tree_level *top = &it->stack[it->depth];
		if (top->left == 0) {
			plain_unref(TAKE_PTR(top->node));
			it->depth--;
			continue;
		}
		if (top->level > 0) {
			int r = descend(it, 0, e);
			if (r < 0)
				return r;
			continue;
		}
		entry_get(&top->rd, ret);
		top->left--;
		it->place = (struct tree_place){it->leaf, it->next_index++};
		return top->rd.bad ? bad_dir(e) : 1;
	}
	return 0;
}

void tree_iter_close(struct tree_iter *it)
{
	for (; it->depth >= 0; it->depth--)
		plain_unref(TAKE_PTR(it->stack[it->depth].node));
}

/* The child whose range holds `name`: the last whose first entry is not behind it. */
static int find_child(struct tree_level *n, struct span name, struct name *ret, struct err *e)
{
	struct child ch;
	bool any = false;
	for (; n->left; n->left--) {
		child_get(&n->rd, &ch);
		if (n->rd.bad)
			return bad_dir(e);
		if (any && entry_name_cmp(ch.first, name) > 0)
			break;
		*ret = ch.name;
		any = true;
	}
	return any ? 0 : bad_dir(e);
}

/* The leaf that would hold `name`, opened. */
static int find_leaf(struct store *s, struct coder *c, const struct content *dir, struct span name,
	struct tree_level *ret, struct name *ret_name, struct err *e)
{
	*ret_name = dir->name;
	for (int level = dir->level;; level--) {
		int r = open_node(s, c, ret_name, (uint8_t)level, ret, e);
		if (r < 0 || level == 0)
			return r;
		r = find_child(ret, name, ret_name, e);
		plain_unref(TAKE_PTR(ret->node));
		if (r < 0)
			return r;
	}
}

int tree_find(struct store *s, struct coder *c, const struct content *dir, struct span name,
	struct entry *ret, struct plain **ret_hold, struct tree_place *ret_place, struct err *e)
{
	struct tree_level leaf;
	if (dir->kind != CONTENT_TREE)
		return err_set(e, E_NOTFOUND, 0, "no such file");
	ret_place->index = 0;
	int r = find_leaf(s, c, dir, name, &leaf, &ret_place->leaf, e);
	if (r < 0)
		return r;
	for (; leaf.left; leaf.left--, ret_place->index++) {
		entry_get(&leaf.rd, ret);
		int cmp = leaf.rd.bad ? 1 : entry_name_cmp(ret->name, name);
		if (cmp == 0) {
			*ret_hold = leaf.node;
			return 0;
		}
		if (cmp > 0)
			break;
	}
	bool bad = leaf.rd.bad;
	plain_unref(leaf.node);
	return bad ? bad_dir(e) : err_set(e, E_NOTFOUND, 0, "no such file");
}

int tree_lookup(struct store *s, struct coder *c, const struct content *dir, struct span name,
	struct entry *ret, struct plain **ret_hold, struct err *e)
{
	struct tree_place place;
	return tree_find(s, c, dir, name, ret, ret_hold, &place, e);
}

int tree_entry_at(struct store *s, struct coder *c, const struct tree_place *place,
	struct entry *ret, struct plain **ret_hold, struct err *e)
{
	struct tree_level leaf;
	int r = open_node(s, c, &place->leaf, 0, &leaf, e);
	if (r < 0)
		return r;
	bool there = place->index < leaf.left;
	for (uint32_t i = 0; there && i <= place->index && !leaf.rd.bad; i++)
		entry_get(&leaf.rd, ret);
	if (there && !leaf.rd.bad) {
		*ret_hold = leaf.node;
		return 0;
	}
	plain_unref(leaf.node);
	return bad_dir(e);
}

/* ---- building ---- */

struct node_builder {
	struct buf items;
	struct buf first; /* name of the first entry below */
	uint64_t n, below;
};

struct tree_builder {
	struct store *s;
	struct coder *c;
	struct content old;
	struct node_builder level[TREE_LEVELS];
	struct buf node; /* scratch */
};

int tree_builder_new(struct tree_builder **ret, struct store *s, struct coder *c,
	const struct content *old, struct err *e)
{
	struct tree_builder *b = calloc(1, sizeof *b);
	if (!b)
		return err_set(e, E_NOMEM, 0, "no memory for a directory");
	b->s = s;
	b->c = c;
	if (old)
		b->old = *old;
	*ret = b;
	return 0;
}

void tree_builder_free(struct tree_builder *b)
{
	if (!b)
		return;
	for (int i = 0; i < TREE_LEVELS; i++) {
		buf_free(&b->level[i].items);
		buf_free(&b->level[i].first);
	}
	buf_free(&b->node);
	free(b);
}

/* The node of the older directory that covers the same names, as a base. */
static const struct name *base_of(struct tree_builder *b, int level, struct name *tmp)
{
	struct node_builder *n = &b->level[level];
	struct tree_level leaf;
	if (b->old.kind != CONTENT_TREE || b->old.level < level)
		return NULL;
	if (b->old.level == level) {
		*tmp = b->old.name;
		return tmp;
	}
	if (level > 0 || find_leaf(b->s, b->c, &b->old, buf_span(&n->first), &leaf, tmp, NULL) < 0)
		return NULL;
	plain_unref(leaf.node);
	return tmp;
}

static int write_node(struct tree_builder *b, int level, struct name *ret, struct err *e)
{
	struct node_builder *n = &b->level[level];
	struct name tmp;
	b->node.len = 0;
	int r = put_u8(&b->node, NODE_MAGIC, e);
	if (r == 0)
		r = put_u8(&b->node, (uint8_t)level, e);
	if (r == 0)
		r = put_var(&b->node, n->n, e);
	if (r == 0)
		r = buf_add(&b->node, n->items.p, n->items.len, e);
	if (r == 0)
		r = store_put(b->s, b->c, FORM_RAW, buf_span(&b->node), base_of(b, level, &tmp),
			ret, e);
	return r;
}

static void node_reset(struct node_builder *n)
{
	n->items.len = n->first.len = 0;
	n->n = n->below = 0;
}

static bool should_cut(struct tree_builder *b, const struct node_builder *n, struct span key)
{
	if (n->items.len >= NODE_BYTES_MAX)
		return true;
	return n->n >= NODE_ITEMS_MIN && (keyed_cut(store_keys(b->s), key) & CUT_MASK) == 0;
}

/* Write the node of a level and enter it into the level above, which may fill up in turn. */
static int close_node(struct tree_builder *b, int level, struct err *e)
{
	if (level + 1 >= TREE_LEVELS)
		return err_set(e, E_UNSUPPORTED, 0, "a directory has too many entries");
	struct node_builder *n = &b->level[level], *up = &b->level[level + 1];
	struct name name;
	int r = write_node(b, level, &name, e);
	if (r == 0 && up->n == 0)
		r = buf_add(&up->first, n->first.p, n->first.len, e);
	if (r == 0)
		r = put_bytes(&up->items, buf_span(&n->first), e);
	if (r == 0)
		r = put_var(&up->items, n->below, e);
	if (r == 0)
		r = buf_add(&up->items, name.b, NAME_BYTES, e);
	if (r < 0)
		return r;
	up->n++;
	up->below += n->below;
	bool cut = should_cut(b, up, span_of(n->first.p, n->first.len));
	node_reset(n);
	return cut ? close_node(b, level + 1, e) : 0;
}

int tree_builder_add(struct tree_builder *b, const struct entry *en, struct err *e)
{
	struct node_builder *leaf = &b->level[0];
	int r = leaf->n == 0 ? buf_add(&leaf->first, en->name.p, en->name.n, e) : 0;
	if (r == 0)
		r = entry_put(&leaf->items, en, e);
	if (r < 0)
		return r;
	leaf->n++;
	leaf->below++;
	return should_cut(b, leaf, en->name) ? close_node(b, 0, e) : 0;
}

int tree_builder_finish(struct tree_builder *b, struct content *ret, struct err *e)
{
	int r = 0, top = 0;
	*ret = (struct content){.kind = CONTENT_EMPTY};
	for (int i = 0; i < TREE_LEVELS; i++)
		if (b->level[i].n)
			top = i;
	/* Close from below; the highest level with more than one child becomes the root. */
	for (int i = 0; i < top && r == 0; i++)
		if (b->level[i].n)
			r = close_node(b, i, e);
	while (r == 0 && top + 1 < TREE_LEVELS && b->level[top].n == 0)
		top++; /* closing filled the level and moved on */
	if (r == 0 && top < TREE_LEVELS && b->level[top].n) {
		ret->kind = CONTENT_TREE;
		ret->level = (uint8_t)top;
		r = write_node(b, top, &ret->name, e);
	}
	tree_builder_free(b);
	return r;
}
