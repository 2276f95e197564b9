#include "engine/snapshot/tree.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

/* A node: u8 'T', u8 level, var count, then entries (level 0) or children (name of the first entry,
 * number of entries below, blob name). */
#define NODE_MAGIC 'T'
#define NODE_BYTES_MAX ((size_t)48 << 10)
#define NODE_ITEMS_MIN 32
#define NESTED_BYTES_MAX ((size_t)4 << 10) /* as nested entries, all below included */
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

static int bad_dir(struct err *e)
{
	return err_set(e, E_CORRUPT, 0, "a directory is not well formed");
}

/* Load a node and check its head. */
static int open_node(struct store *s, struct coder *c, const struct name *name, uint8_t level,
	struct tree_level *ret, struct err *e)
{
	*ret = (struct tree_level){.name = *name, .level = level};
	int r = store_plain(s, c, name, &ret->node, e);
	if (r < 0)
		return r;
	ret->rd = rd_of(buf_span(&ret->node->data));
	bool ok = rd_u8(&ret->rd) == NODE_MAGIC && rd_u8(&ret->rd) == level;
	ret->left = rd_count(&ret->rd, 4);
	if (ok && !ret->rd.bad && ret->node->form == FORM_RAW)
		return 0;
	plain_unref(TAKE_PTR(ret->node));
	return bad_dir(e);
}

/* The node at the top of a directory; of a nested one the leaf that it is in, where it begins. */
static int open_top(struct store *s, struct coder *c, const struct content *dir,
	struct tree_level *ret, struct err *e)
{
	bool nested = dir->kind == CONTENT_NESTED;
	if ((dir->kind != CONTENT_TREE && !nested) || dir->level >= TREE_LEVELS)
		return bad_dir(e);
	int r = open_node(s, c, &dir->name, dir->level, ret, e);
	if (r < 0 || !nested)
		return r;
	struct span leaf = buf_span(&ret->node->data);
	ret->rd = rd_of(span_sub(leaf, dir->at, leaf.n));
	ret->index = dir->index;
	ret->left = dir->below;
	return 0;
}

/* The next item of a leaf, be it nested or not. */
static int leaf_item(struct tree_level *l, struct entry *ret, struct err *e)
{
	if (!l->left)
		return bad_dir(e);
	entry_get(&l->rd, ret);
	l->left--;
	l->index++;
	struct content *dir = &ret->content;
	if (dir->kind == CONTENT_NESTED) {
		dir->name = l->name;
		dir->index = l->index;
		dir->at = (uint32_t)(l->rd.p - l->node->data.p);
	}
	return l->rd.bad || dir->below > l->left ? bad_dir(e) : 0;
}

/* 1 and the next entry of the directory, 0 at its end, or an error. */
static int leaf_next(struct tree_level *l, struct entry *ret, struct err *e)
{
	int r = 0;
	for (; l->below && r == 0; l->below--)
		r = leaf_item(l, ret, e);
	if (r < 0 || !l->left)
		return r;
	r = leaf_item(l, ret, e);
	l->below = ret->content.below;
	return r < 0 ? r : 1;
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
		it->depth++;
	}
	struct entry en;
	int r = 1;
	for (; skip && r == 1; skip--)
		r = leaf_next(&it->stack[it->depth], &en, e);
	return r < 0 ? r : 0;
}

int tree_iter_open(struct tree_iter *it, struct store *s, struct coder *c,
	const struct content *dir, uint64_t skip, struct err *e)
{
	*it = (struct tree_iter){.s = s, .c = c, .depth = -1};
	if (dir->kind == CONTENT_EMPTY)
		return 0;
	int r = open_top(s, c, dir, &it->stack[0], e);
	if (r < 0)
		return r;
	it->depth = 0;
	r = descend(it, skip, e);
	if (r < 0)
		tree_iter_close(it);
	return r;
}

int tree_iter_next(struct tree_iter *it, struct entry *ret, struct err *e)
{
	while (it->depth >= 0) {
		struct tree_level *top = &it->stack[it->depth];
		if (top->level > 0 && top->left) {
			int r = descend(it, 0, e);
			if (r < 0)
				return r;
			continue;
		}
		int r = top->level == 0 ? leaf_next(top, ret, e) : 0;
		if (r == 1)
			it->place = (struct tree_place){top->name, top->index - 1};
		if (r)
			return r;
		plain_unref(TAKE_PTR(top->node));
		it->depth--;
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
	struct tree_level *ret, struct err *e)
{
	int r = open_top(s, c, dir, ret, e);
	while (r == 0 && ret->level > 0) {
		struct name child;
		r = find_child(ret, name, &child, e);
		plain_unref(TAKE_PTR(ret->node));
		if (r == 0)
			r = open_node(s, c, &child, (uint8_t)(ret->level - 1), ret, e);
	}
	return r;
}

int tree_find(struct store *s, struct coder *c, const struct content *dir, struct span name,
	struct entry *ret, struct plain **ret_hold, struct tree_place *ret_place, struct err *e)
{
	struct tree_level leaf;
	if (dir->kind == CONTENT_EMPTY)
		return err_set(e, E_NOTFOUND, 0, "no such file");
	int r = find_leaf(s, c, dir, name, &leaf, e);
	if (r < 0)
		return r;
	int cmp = -1;
	while (cmp < 0 && (r = leaf_next(&leaf, ret, e)) == 1)
		cmp = entry_name_cmp(ret->name, name);
	if (r == 1 && cmp == 0) {
		*ret_place = (struct tree_place){leaf.name, leaf.index - 1};
		*ret_hold = leaf.node;
		return 0;
	}
	plain_unref(leaf.node);
	return r < 0 ? r : err_set(e, E_NOTFOUND, 0, "no such file");
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
	while (r == 0 && leaf.index <= place->index)
		r = leaf_item(&leaf, ret, e);
	if (r == 0) {
		*ret_hold = leaf.node;
		return 0;
	}
	plain_unref(leaf.node);
	return r;
}

/* ---- building ---- */

struct node_builder {
	struct buf items;
	struct buf first; /* name of the first entry below */
	uint64_t n;	  /* items */
	uint64_t below;	  /* entries of the directory itself */
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
	if (b->old.kind == CONTENT_EMPTY || b->old.level < level)
		return NULL;
	if (b->old.level == level) {
		*tmp = b->old.name; /* of a nested one the leaf that it was in */
		return tmp;
	}
	if (level > 0 || find_leaf(b->s, b->c, &b->old, buf_span(&n->first), &leaf, NULL) < 0)
		return NULL;
	*tmp = leaf.name;
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
	leaf->n += 1 + (uint64_t)en->content.below;
	leaf->below++;
	return should_cut(b, leaf, en->name) ? close_node(b, 0, e) : 0;
}

/* Hand the entries to the directory above. */
static int nest(const struct node_builder *n, struct buf *nested, struct content *ret, struct err *e)
{
	int r = buf_add(nested, n->items.p, n->items.len, e);
	*ret = (struct content){.kind = CONTENT_NESTED, .below = (uint32_t)n->n,
		.inline_data = buf_span(nested)};
	return r;
}

int tree_builder_finish(struct tree_builder *b, struct buf *nested, struct content *ret,
	struct err *e)
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
	if (r == 0 && nested && top == 0 && b->level[0].n && b->level[0].items.len <= NESTED_BYTES_MAX)
		r = nest(&b->level[0], nested, ret, e);
	else if (r == 0 && top < TREE_LEVELS && b->level[top].n) {
		ret->kind = CONTENT_TREE;
		ret->level = (uint8_t)top;
		r = write_node(b, top, &ret->name, e);
	}
	tree_builder_free(b);
	return r;
}
