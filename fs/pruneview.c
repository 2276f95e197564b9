/* prunable/<world>/<rule>/<dimension>/c.X.Z.nbt: what each of the mount's rules would prune now, and
 * prunable/<world>/map.png.
 *
 * The rules are asked when somebody looks, at most once a minute; an open listing keeps the answer it
 * began with. What is shown is the chunk of chunks/live: moved to trash/ it is pruned, with the rule
 * as the reason. Nodes: SHELF_RULES for directories (dim: 0 above the rules, else the rule + 1; slot:
 * number in the live worlds' tree) and the map (dim: MAP), SHELF_PRUNE for chunks, whose slots are
 * those of SHELF_REGION: chunkview.c serves them. */
#include "fs/pruneview.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/codec/png.h"
#include "engine/prune/map.h"
#include "fs/chunkinfo.h"
#include "fs/handle.h"
#include "fs/target.h"
#include "fs/topview.h"

#define ASK_SECONDS 60
#define MAP 0xffff
#define MAP_NAME "map.png"

struct judged {
	_Atomic unsigned refs;
	struct judgement *j;
	time_t when;
	pthread_mutex_t m; /* of the map */
	struct piece *map;
};

struct judges {
	struct judge_of_world {
		pthread_mutex_t m; /* held while the rules are asked: who comes second waits */
		struct judged *now;
	} *v;
	unsigned n;
};

/* ---- asking the rules ---- */

int judges_new(struct judges **ret, unsigned worlds, struct err *e)
{
	struct judges *js = calloc(1, sizeof *js);
	if (js)
		js->v = calloc(worlds + 1, sizeof *js->v);
	if (!js || !js->v) {
		free(js);
		return err_set(e, E_NOMEM, 0, "no memory for rules");
	}
	js->n = worlds;
	for (unsigned i = 0; i < worlds; i++)
		pthread_mutex_init(&js->v[i].m, NULL);
	*ret = js;
	return 0;
}

void judged_unref(struct judged *d)
{
	if (!d || atomic_fetch_sub(&d->refs, 1) != 1)
		return;
	judgement_free(d->j);
	piece_unref(d->map);
	pthread_mutex_destroy(&d->m);
	free(d);
}

static void judged_unrefp(struct judged **d)
{
	judged_unref(*d);
}
#define CLEANUP_JUDGED __attribute__((cleanup(judged_unrefp)))

static struct judged *judged_ref(struct judged *d)
{
	atomic_fetch_add(&d->refs, 1);
	return d;
}

void judges_free(struct judges *js)
{
	if (!js)
		return;
	for (unsigned i = 0; i < js->n; i++) {
		judged_unref(js->v[i].now);
		pthread_mutex_destroy(&js->v[i].m);
	}
	free(js->v);
	free(js);
}

static int ask(struct call *cl, struct live_world *w, struct judged **ret)
{
	struct judge_options jo = {.log = &cl->fs->log};
	struct judged *d = calloc(1, sizeof *d);
	if (!d)
		return err_set(&cl->e, E_NOMEM, 0, "no memory for rules");
	atomic_init(&d->refs, 1);
	pthread_mutex_init(&d->m, NULL);
	int r = rules_judge(cl->fs->rules, w->source, &jo, &d->j, &cl->e);
	d->when = time(NULL);
	if (r < 0) {
		judged_unref(d);
		return r;
	}
	*ret = d;
	return 0;
}

static int judged_get(struct call *cl, struct live_world *w, struct judged **ret)
{
	struct judge_of_world *jw = &cl->fs->judges->v[w->number];
	time_t now = time(NULL);
	LOCK_SCOPE(&jw->m);
	if (!jw->now || now - jw->now->when > ASK_SECONDS || now < jw->now->when) {
		struct judged *d = NULL;
		int r = ask(cl, w, &d);
		if (r < 0)
			return r;
		judged_unref(jw->now);
		jw->now = d;
	}
	*ret = judged_ref(jw->now);
	return 0;
}

static const struct judged_dim *dim_of(const struct judged *d, const char *name)
{
	for (size_t i = 0; i < d->j->n_dims; i++)
		if (strcmp(d->j->dims[i].dim.name, name) == 0 && !*d->j->dims[i].dim.world)
			return &d->j->dims[i];
	return NULL;
}

static int map_of(struct call *cl, struct judged *d, struct piece **ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	LOCK_SCOPE(&d->m);
	if (!d->map) {
		struct map_image m = {0};
		int r = map_draw_judgement(d->j, cl->fs->rules, 1, &m, &cl->e);
		if (r == 0)
			r = png_encode(span_of(m.rgb, (size_t)m.width * m.height * 3), m.width,
				m.height, &b, &cl->e);
		map_image_free(&m);
		if (r < 0)
			return r;
		if (!(d->map = piece_of(&b)))
			return err_set(&cl->e, E_NOMEM, 0, "no memory for a map");
	}
	*ret = piece_ref(d->map);
	return 0;
}

/* ---- places ---- */

struct at {
	struct live_node n;
	uint32_t rule; /* + 1; 0: above the rules; MAP */
	struct live_world *world; /* NULL: prunable/ itself */
};

static void at_free(struct at *a)
{
	live_node_free(&a->n);
}
#define CLEANUP_AT __attribute__((cleanup(at_free)))

static int where(struct call *cl, struct node n, struct at *ret)
{
	*ret = (struct at){0};
	int r = live_node_get(cl, is_top(n) ? 0 : n.shelf->key.dir, is_top(n) ? 0 : n.slot, &ret->n);
	if (r < 0 || is_top(n))
		return r;
	ret->rule = n.shelf->key.dim;
	const struct world_node *v = ret->n.tree->node;
	uint32_t top = ret->n.number;
	while (v[top].parent)
		top = v[top].parent;
	ret->world = live_named(cl->fs->live, span_of(v[top].name, strlen(v[top].name)));
	if (!ret->rule) /* a dimension is one below a rule only */
		ret->n.place = NULL;
	return 0;
}

/* ---- attributes ---- */

static int stat_map(struct call *cl, const struct at *a, struct stat *st)
{
	CLEANUP_JUDGED struct judged *d = NULL;
	CLEANUP_PIECE struct piece *map = NULL;
	int r = judged_get(cl, a->world, &d);
	if (r == 0)
		r = map_of(cl, d, &map);
	if (r < 0)
		return r;
	st->st_mode = S_IFREG | (st->st_mode & 0444);
	st->st_size = (off_t)map->data.n;
	st->st_blocks = (st->st_size + 511) / 512;
	st->st_mtim = st->st_ctim = (struct timespec){d->when, 0};
	return 0;
}

static int getattr(struct call *cl, struct node n, struct stat *st, double *ttl)
{
	CLEANUP_AT struct at a = {0};
	*ttl = TTL_LIVE;
	if (is_top(n))
		return top_view.getattr(cl, n, st, ttl);
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	live_node_stat(cl, &a.n, ino_of(cl->fs, NULL, 'P', a.rule, a.n.number, span_of("", 0)), st);
	st->st_mode &= S_IFDIR | 0555;
	return a.rule == MAP ? stat_map(cl, &a, st) : 0;
}

/* ---- children ---- */

static int give(struct call *cl, struct shelf *s, uint32_t slot, struct found *ret)
{
	*ret = (struct found){.node = {s, slot}};
	if (!s)
		return err_set(&cl->e, E_NOMEM, 0, "no memory for inode numbers");
	int r = view_of(ret->node)->getattr(cl, ret->node, &ret->st, &ret->ttl);
	if (r < 0)
		nodes_put(cl->fs->nodes, s, 1);
	return r;
}

static int give_dir(struct call *cl, const struct at *a, uint32_t rule, uint32_t number,
	struct found *ret)
{
	struct shelf_key key = {.kind = SHELF_RULES, .dim = rule, .dir = a->n.tree->age};
	return give(cl, nodes_get(cl->fs->nodes, &key, 0, NULL), number, ret);
}

static int give_chunk(struct call *cl, struct node dir, const struct at *a, int32_t rx, int32_t rz,
	unsigned slot, struct found *ret)
{
	struct shelf_key key = {.kind = SHELF_PRUNE, .dim = a->n.number, .dir = a->n.tree->age, .x = rx,
		.z = rz};
	set_le32(key.leaf.b, a->rule - 1);
	return give(cl, nodes_get(cl->fs->nodes, &key, 0, dir.shelf), chunk_slot_number(slot), ret);
}

static int rule_named(struct call *cl, struct span name)
{
	for (size_t i = 0; i < rules_count(cl->fs->rules); i++) {
		const char *text = rules_name(cl->fs->rules, i);
		if (strlen(text) == name.n && memcmp(text, name.p, name.n) == 0)
			return (int)i;
	}
	return -1;
}

/* A dimension of which nothing is to be pruned shows nothing, and the log says why. */
static const struct judged_dim *prunable_dim(struct call *cl, const struct judged *d,
	const struct at *a)
{
	const struct judged_dim *dim = dim_of(d, a->n.place->name);
	char line[700];
	if (!dim || !*dim->refused)
		return dim;
	snprintf(line, sizeof line, "prunable/%.200s: nothing of %.200s: %.250s", a->world->name,
		a->n.place->name, dim->refused);
	say_once(cl->fs, LOG_WARN, line);
	return NULL;
}

static bool is_asked_for(struct call *cl, const struct judged *d, const struct at *a, int32_t x,
	int32_t z)
{
	const struct judged_dim *dim = prunable_dim(cl, d, a);
	return dim && judgement_at(dim, x, z) == VERDICT_RULE + a->rule - 1;
}

static int lookup_chunk(struct call *cl, struct node n, const struct at *a, struct span name,
	struct found *ret)
{
	CLEANUP_JUDGED struct judged *d = NULL;
	char text[CHUNK_NAME_MAX], again[CHUNK_NAME_MAX];
	int32_t x, z;
	if (name.n >= sizeof text)
		return not_here(cl);
	memcpy(text, name.p, name.n);
	text[name.n] = 0;
	if (sscanf(text, "c.%9d.%9d", &x, &z) != 2)
		return not_here(cl);
	unsigned slot = (unsigned)((x & 31) + (z & 31) * 32);
	chunk_name(x >> 5, z >> 5, slot, CHUNK_NBT_TAIL, again);
	if (strcmp(text, again) != 0)
		return not_here(cl);
	int r = judged_get(cl, a->world, &d);
	if (r < 0)
		return r;
	return is_asked_for(cl, d, a, x, z) ? give_chunk(cl, n, a, x >> 5, z >> 5, slot, ret)
					: not_here(cl);
}

static bool is_map(const struct at *a, struct span name)
{
	return a->world && !a->rule && name.n == strlen(MAP_NAME) &&
	       memcmp(name.p, MAP_NAME, name.n) == 0;
}

static int lookup(struct call *cl, struct node n, struct span name, struct found *ret)
{
	CLEANUP_AT struct at a = {0};
	ret->ttl = 0;
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	if (is_map(&a, name))
		return give_dir(cl, &a, MAP, a.n.number, ret);
	if (a.world && !a.rule) {
		int rule = rule_named(cl, name);
		return rule < 0 ? not_here(cl)
				: give_dir(cl, &a, (uint32_t)rule + 1, a.n.number, ret);
	}
	int child = world_tree_child(a.n.tree, a.n.number, name);
	if (child >= 0)
		return give_dir(cl, &a, a.rule, (uint32_t)child, ret);
	return a.n.place ? lookup_chunk(cl, n, &a, name, ret) : not_here(cl);
}

/* ---- listing ---- */

static bool emit(struct call *cl, const char *name, struct found *f, uint64_t next, list_fn fn,
	void *ctx)
{
	if (fn(ctx, span_of(name, strlen(name)), f, next))
		return true;
	nodes_put(cl->fs->nodes, f->node.shelf, 1);
	return false;
}

/* The rules, and the map behind them. */
static int list_rules(struct call *cl, const struct at *a, uint64_t off, list_fn fn, void *ctx)
{
	size_t n = rules_count(cl->fs->rules);
	for (uint64_t i = off; i < n + 1; i++) {
		struct found f = {.st = {.st_mode = S_IFREG | 0444}};
		int r = 0;
		/* How large the map is takes making it: only who looks at it pays for that. */
		if (i < n)
			r = give_dir(cl, a, (uint32_t)i + 1, a->n.number, &f);
		else
			f.st.st_ino = ino_of(cl->fs, NULL, 'P', MAP, a->n.number, span_of("", 0));
		if (r < 0)
			return r;
		if (!emit(cl, i < n ? rules_name(cl->fs->rules, i) : MAP_NAME, &f, i + 1, fn, ctx))
			break;
	}
	return 0;
}

/* Attributes are not told: how long a chunk is takes decoding it. */
static int list_chunks(struct call *cl, const struct at *a, uint64_t first, uint64_t off, list_fn fn,
	void *ctx)
{
	CLEANUP_JUDGED struct judged *d = NULL;
	int r = 0;
	if (cl->h && cl->h->judged)
		d = judged_ref(cl->h->judged);
	else
		r = judged_get(cl, a->world, &d);
	const struct judged_dim *dim = r == 0 ? prunable_dim(cl, d, a) : NULL;
	if (!dim)
		return r;
	const struct judged_region *rg = NULL;
	bool live[REGION_SLOTS];
	for (uint64_t i = off - first; i < dim->n_regions * (uint64_t)REGION_SLOTS; i++) {
		if (rg != &dim->regions[i / REGION_SLOTS]) {
			rg = &dim->regions[i / REGION_SLOTS];
			chunks_live(cl, a->n.place, rg->x, rg->z, live);
		}
		unsigned slot = (unsigned)(i % REGION_SLOTS);
		struct found f = {.st = {.st_mode = S_IFREG | 0444}};
		char text[CHUNK_NAME_MAX];
		if (rg->v[slot] != VERDICT_RULE + a->rule - 1 || !live[slot])
			continue;
		chunk_name(rg->x, rg->z, slot, CHUNK_NBT_TAIL, text);
		f.st.st_ino = ino_of(cl->fs, NULL, 'p', (uint64_t)(uint32_t)rg->x << 32 | (uint32_t)rg->z,
			(uint64_t)a->n.number << 32 | slot, span_of("", 0));
		if (!fn(ctx, span_of(text, strlen(text)), &f, first + i + 1))
			break;
	}
	return 0;
}

static int list(struct call *cl, struct node n, uint64_t off, list_fn fn, void *ctx)
{
	CLEANUP_AT struct at a = {0};
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	if (a.rule == MAP)
		return err_set(&cl->e, E_FORMAT, 0, "not a directory");
	if (a.world && !a.rule)
		return list_rules(cl, &a, off, fn, ctx);
	const struct world_node *w = &a.n.tree->node[a.n.number];
	for (; off < w->count; off++) {
		struct found f;
		r = give_dir(cl, &a, a.rule, w->first + (uint32_t)off, &f);
		if (r < 0)
			return r;
		if (!emit(cl, a.n.tree->node[w->first + off].name, &f, off + 1, fn, ctx))
			return 0;
	}
	return a.n.place ? list_chunks(cl, &a, w->count, off, fn, ctx) : 0;
}

/* ---- contents ---- */

static int open_(struct call *cl, struct node n, struct handle *h)
{
	CLEANUP_AT struct at a = {0};
	CLEANUP_JUDGED struct judged *d = NULL;
	int r = where(cl, n, &a);
	if (r < 0 || !a.world || (a.rule != MAP && !a.n.place))
		return r;
	r = judged_get(cl, a.world, &d);
	if (r == 0 && a.rule == MAP) {
		h->direct = true;
		return map_of(cl, d, &h->piece);
	}
	if (r == 0)
		h->judged = TAKE_PTR(d);
	return r;
}

static int read_(struct call *cl, struct node n, uint64_t off, size_t size, struct reading *ret)
{
	(void)n;
	*ret = (struct reading){0};
	if (!cl->h || !cl->h->piece)
		return err_set(&cl->e, E_FORMAT, 0, "not a file");
	struct span all = cl->h->piece->data;
	ret->hold = piece_ref(cl->h->piece);
	ret->data = span_sub(all, off < all.n ? (size_t)off : all.n, size);
	return 0;
}

static int name(struct call *cl, struct node n, struct buf *out, struct node *ret_parent)
{
	CLEANUP_AT struct at a = {0};
	char text[600];
	if (is_top(n))
		return top_view.name(cl, n, out, ret_parent);
	int r = where(cl, n, &a);
	if (r < 0)
		return r;
	const char *rule = a.rule == MAP ? MAP_NAME
			   : a.rule	  ? rules_name(cl->fs->rules, a.rule - 1)
					  : "";
	int len = snprintf(text, sizeof text, "prunable/%.200s/%.100s%s%.200s", a.world->name, rule,
		a.n.place ? "/" : "", a.n.place ? a.n.place->name : "");
	*ret_parent = (struct node){0};
	return buf_add(out, text, (size_t)len, &cl->e);
}

int prune_target(struct call *cl, struct node n, struct target *ret)
{
	int r = chunk_target(cl, n, ret);
	if (r < 0 || ret->place != PLACE_CHUNK)
		return r;
	ret->place = PLACE_PRUNABLE;
	ret->rule = (int)get_le32(n.shelf->key.leaf.b);
	return 0;
}

bool prunable_entry(struct call *cl, const struct target *t, struct region_entry *ret)
{
	CLEANUP_JUDGED struct judged *d = NULL;
	if (judged_get(cl, t->world, &d) < 0)
		return false;
	const struct judged_dim *dim = dim_of(d, t->dimension);
	const struct judged_region *rg = dim ? judgement_region(dim, t->rx, t->rz) : NULL;
	return rg && judgement_entry(rg, (unsigned)t->slot, ret);
}

const struct view prune_view = {
	.getattr = getattr,
	.lookup = lookup,
	.list = list,
	.open = open_,
	.read = read_,
	.name = name,
};
