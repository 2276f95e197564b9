#include "fs/live.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "fs/keeper.h"
#include "fs/regions.h"

#define LOOK_SECONDS 2
#define TREES_KEPT 64
#define SPOTS_MAX 4096

struct spot {
	struct live_spot at; /* `dimension` is owned */
	struct spot *next;
};

struct live {
	struct fs *fs;
	struct live_world *v;
	unsigned n;
	pthread_mutex_t m;
	struct world_tree *tree[TREES_KEPT]; /* by age */
	uint64_t age;
	time_t look;
	struct spot *spots;
	unsigned n_spots;
};

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory for live worlds");
}

/* ---- looking for dimensions: only where they can be ---- */

struct looking {
	struct source *s;
	bool top;
	world_each fn;
	void *ctx;
};

static int look_at(void *ctx, const char *name, bool is_dir, struct err *e)
{
	struct looking *l = ctx;
	/* Servers and plugins keep a lot of other things in a world's folder. */
	bool part = strcmp(name, "region") == 0 || strcmp(name, "entities") == 0 ||
		    strcmp(name, "poi") == 0 || strcmp(name, "dimensions") == 0 ||
		    strncmp(name, "DIM", 3) == 0;
	return l->fn(l->ctx, name, is_dir && (!l->top || part), e);
}

static int look_in(void *source, const char *dir, world_each fn, void *ctx, struct err *e)
{
	struct looking l = {source, !*dir, fn, ctx};
	return source_list(source, dir, look_at, &l, e);
}

static int dimensions_of(struct live_world *w, struct worlds *ret, struct err *e)
{
	struct world_source src = {look_in, w->source};
	return worlds_find(&src, ret, e);
}

/* ---- opening ---- */

/* What makes a folder a world: chunks, or at least a level.dat. */
static int check_world(struct live_world *w, struct err *e)
{
	struct worlds found = {0};
	struct stat st;
	int r = source_worlds(w->source, &found, e);
	if (r < 0)
		return err_wrap(e, "'%s'", w->path);
	bool own = fstatat(w->dirfd, "level.dat", &st, 0) == 0;
	const char *other = NULL;
	for (size_t i = 0; i < found.n; i++) {
		own |= !*found.v[i].world;
		if (*found.v[i].world)
			other = found.v[i].world;
	}
	if (!own && other)
		r = err_set(e, E_USAGE, 0,
			"'%s' is no world, but has some in it: name the world's own folder ('%s/%s')",
			w->path, w->path, other);
	else if (!own)
		r = err_set(e, E_USAGE, 0, "'%s' is no world: no level.dat, no region files",
			w->path);
	worlds_free(&found);
	return r;
}

static bool lies_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return strncmp(path, dir, n) == 0 && (!path[n] || path[n] == '/');
}

static int open_world(struct live *l, const char *path, const char *point, struct err *e)
{
	struct live_world *w = &l->v[l->n];
	*w = (struct live_world){.number = l->n, .dirfd = -1};
	l->n++; /* freed from here on */
	w->path = realpath(path, NULL);
	if (!w->path)
		return err_set(e, E_IO, errno, "world '%s'", path);
	const char *slash = strrchr(w->path, '/');
	w->name = strdup(slash[1] ? slash + 1 : "world");
	if (!w->name)
		return no_memory(e);
	for (unsigned i = 0; i + 1 < l->n; i++)
		if (strcmp(l->v[i].name, w->name) == 0)
			return err_set(e, E_USAGE, 0,
				"two worlds are called '%s': mount them at two places", w->name);
	if (point && lies_in(point, w->path))
		return err_set(e, E_USAGE, 0,
			"a world cannot be mounted inside of itself: '%s' lies in '%s'", point,
			w->path);
	w->dirfd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dirfd < 0)
		return err_set(e, E_IO, errno, "world '%s'", w->path);
	int r = source_dir_open(&w->source, w->path, e);
	return r < 0 ? r : check_world(w, e);
}

int live_new(struct live **ret, struct fs *fs, const struct mount_options *opt, struct err *e)
{
	struct live *l = calloc(1, sizeof *l);
	if (l)
		l->v = calloc(opt->n_worlds + 1, sizeof *l->v);
	if (!l || !l->v) {
		free(l);
		return no_memory(e);
	}
	l->fs = fs;
	pthread_mutex_init(&l->m, NULL);
	int r = 0;
	for (size_t i = 0; i < opt->n_worlds && r == 0; i++)
		r = open_world(l, opt->worlds[i], opt->point, e);
	if (r < 0) {
		live_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

static void free_spot(struct spot *s)
{
	free((char *)s->at.dimension);
	free(s);
}

void live_free(struct live *l)
{
	if (!l)
		return;
	for (int i = 0; i < TREES_KEPT; i++)
		world_tree_unref(l->tree[i]);
	for (unsigned i = 0; i < l->n; i++) {
		source_close(l->v[i].source);
		if (l->v[i].dirfd >= 0)
			close(l->v[i].dirfd);
		free(l->v[i].name);
		free(l->v[i].path);
	}
	while (l->spots) {
		struct spot *s = l->spots;
		l->spots = s->next;
		free_spot(s);
	}
	pthread_mutex_destroy(&l->m);
	free(l->v);
	free(l);
}

unsigned live_count(const struct live *l)
{
	return l->n;
}

struct live_world *live_at(struct live *l, unsigned number)
{
	return number < l->n ? &l->v[number] : NULL;
}

struct live_world *live_named(struct live *l, struct span name)
{
	for (unsigned i = 0; i < l->n; i++)
		if (strlen(l->v[i].name) == name.n && memcmp(l->v[i].name, name.p, name.n) == 0)
			return &l->v[i];
	return NULL;
}

/* ---- directories ---- */

int live_dir(const struct live_world *w, const char *path, int *ret, struct err *e)
{
	CLEANUP_FD int at = openat(w->dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (at >= 0 && *path) {
		char part[256];
		size_t n = strcspn(path, "/");
		if (n == 0 || n >= sizeof part)
			return err_set(e, E_NOTFOUND, 0, "no such directory");
		memcpy(part, path, n);
		part[n] = 0;
		int next = strcmp(part, "..") == 0 ? -1
						   : openat(at, part, O_PATH | O_DIRECTORY |
								O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && (errno == ENOTDIR || errno == ELOOP))
			errno = ENOENT;
		close(at);
		at = next;
		path += n + (path[n] == '/');
	}
	if (at < 0)
		return err_set(e, E_IO, errno, "open a directory of '%s'", w->path);
	*ret = take_fd(&at);
	return 0;
}

void live_stat(void *live, const char *path, struct world_node *n)
{
	struct live *l = live;
	size_t len = strcspn(path, "/");
	struct live_world *w = len ? live_named(l, span_of(path, len)) : NULL;
	struct stat st;
	n->mode = 0755;
	n->uid = l->fs->uid;
	n->gid = l->fs->gid;
	if (w && fstatat(w->dirfd, path[len] && path[len + 1] ? path + len + 1 : ".", &st, 0) == 0) {
		n->mode = st.st_mode & 0777;
		n->uid = st.st_uid;
		n->gid = st.st_gid;
		n->mtime = (struct timestamp){st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec};
	}
}

/* ---- the tree ---- */

static int add_dim(struct worlds *out, const char *world, const char *name, const char *folder,
	struct err *e)
{
	if (!(out->n & (out->n - 1))) {
		void *v = realloc(out->v, (out->n ? 2 * out->n : 1) * sizeof *out->v);
		if (!v)
			return no_memory(e);
		out->v = v;
	}
	struct world_dim *d = &out->v[out->n++];
	*d = (struct world_dim){strdup(world), strdup(name), NULL};
	if (asprintf(&d->folder, "%s%s%s", world, *folder ? "/" : "", folder) < 0)
		d->folder = NULL;
	return d->world && d->name && d->folder ? 0 : no_memory(e);
}

static const struct world_dim *find_dim(const struct worlds *w, const char *world,
	const char *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->v[i].world, world) == 0 && strcmp(w->v[i].name, name) == 0)
			return &w->v[i];
	return NULL;
}

struct adding {
	struct worlds *out;
	const char *world;
	char *last; /* the dimension that was looked at last: they come in order */
};

static int add_item(void *ctx, const struct trash_item *it, struct err *e)
{
	struct adding *a = ctx;
	if (a->last && strcmp(a->last, it->dimension) == 0)
		return 0;
	free(a->last);
	a->last = strdup(it->dimension);
	if (!a->last)
		return no_memory(e);
	return find_dim(a->out, a->world, it->dimension)
		       ? 0
		       : add_dim(a->out, a->world, it->dimension, it->folder, e);
}

/* Dimensions that have chunks in the trash, and maybe no others left. */
static int add_pruned(struct live *l, unsigned world, struct worlds *out, struct err *e)
{
	struct adding a = {.out = out, .world = l->v[world].name};
	struct trash_filter all = {0};
	int r = trash_list(keeper_trash(l->fs->keeper, &l->v[world]), &all, add_item, &a, e);
	free(a.last);
	return r;
}

/* Those that are there now, and those that were. */
static int find_dims(struct live *l, const struct world_tree *old, struct worlds *out,
	struct err *e)
{
	int r = 0;
	for (unsigned i = 0; i < l->n && r == 0; i++) {
		struct worlds found = {0};
		r = dimensions_of(&l->v[i], &found, e);
		for (size_t k = 0; k < found.n && r == 0; k++)
			if (!*found.v[k].world)
				r = add_dim(out, l->v[i].name, found.v[k].name, found.v[k].folder,
					e);
		worlds_free(&found);
	}
	for (unsigned i = 0; !old && i < l->n && r == 0; i++)
		r = add_pruned(l, i, out, e);
	for (size_t i = 0; old && i < old->worlds.n && r == 0; i++) {
		const struct world_dim *d = &old->worlds.v[i];
		size_t n = strlen(d->world);
		if (!find_dim(out, d->world, d->name))
			r = add_dim(out, d->world, d->name, d->folder[n] ? d->folder + n + 1 : "",
				e);
	}
	return r;
}

static bool is_same(const struct worlds *a, const struct worlds *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct world_dim *d = find_dim(b, a->v[i].world, a->v[i].name);
		if (!d || strcmp(d->folder, a->v[i].folder) != 0)
			return false;
	}
	return true;
}

static int set_places(struct live *l, struct world_tree *t, struct err *e)
{
	t->place = calloc(t->worlds.n + 1, sizeof *t->place);
	if (!t->place)
		return no_memory(e);
	for (size_t i = 0; i < t->worlds.n; i++) {
		const struct world_dim *d = &t->worlds.v[i];
		size_t n = strlen(d->world);
		t->place[i].live = live_named(l, span_of(d->world, n));
		t->place[i].name = d->name;
		t->place[i].folder = d->folder[n] ? d->folder + n + 1 : "";
	}
	return 0;
}

/* Look for dimensions again. Called with the lock. */
static int renew(struct live *l, struct err *e)
{
	struct world_tree *old = l->tree[l->age % TREES_KEPT], *t = calloc(1, sizeof *t);
	if (!t)
		return no_memory(e);
	atomic_init(&t->refs, 1);
	int r = find_dims(l, old, &t->worlds, e);
	l->look = time(NULL) + LOOK_SECONDS;
	if (r == 0 && old && is_same(&old->worlds, &t->worlds)) {
		world_tree_unref(t);
		return 0;
	}
	if (r == 0)
		r = set_places(l, t, e);
	if (r == 0)
		r = world_tree_fill(t, live_stat, l, e);
	if (r < 0) {
		world_tree_unref(t);
		return r;
	}
	t->age = ++l->age;
	world_tree_unref(l->tree[t->age % TREES_KEPT]);
	l->tree[t->age % TREES_KEPT] = t;
	return 0;
}

int live_tree(struct call *cl, uint64_t age, struct world_tree **ret)
{
	struct live *l = cl->fs->live;
	LOCK_SCOPE(&l->m);
	if (age == 0 && time(NULL) >= l->look) {
		int r = renew(l, &cl->e);
		if (r < 0)
			return r;
	}
	struct world_tree *t = l->tree[(age ? age : l->age) % TREES_KEPT];
	if (!t || (age && t->age != age))
		return err_set(&cl->e, E_NOTFOUND, 0, "no such file");
	*ret = world_tree_ref(t);
	return 0;
}

int live_node_get(struct call *cl, uint64_t age, uint32_t number, struct live_node *ret)
{
	*ret = (struct live_node){.number = number};
	int r = live_tree(cl, age, &ret->tree);
	if (r < 0)
		return r;
	if (number >= ret->tree->n_nodes) {
		live_node_free(ret);
		return err_set(&cl->e, E_NOTFOUND, 0, "no such file");
	}
	int dim = ret->tree->node[number].dim;
	ret->place = dim >= 0 ? &ret->tree->place[dim] : NULL;
	return 0;
}

void live_node_free(struct live_node *n)
{
	if (n->tree)
		world_tree_unref(n->tree);
	*n = (struct live_node){0};
}

void live_node_stat(struct call *cl, const struct live_node *n, uint64_t ino, struct stat *st)
{
	const struct world_node *w = &n->tree->node[n->number];
	struct world_node now = *w;
	live_stat(cl->fs->live, w->dim >= 0 ? n->tree->worlds.v[w->dim].folder : w->name, &now);
	stat_dir(cl->fs, st, ino, ts_of(now.mtime));
	st->st_mode = S_IFDIR | now.mode;
	st->st_uid = now.uid;
	st->st_gid = now.gid;
}

/* ---- empty regions ---- */

static bool same_spot(const struct live_spot *a, const struct live_spot *b)
{
	return a->world == b->world && a->x == b->x && a->z == b->z &&
	       strcmp(a->dimension, b->dimension) == 0;
}

bool live_keep_spot(struct live *l, const struct live_spot *at)
{
	LOCK_SCOPE(&l->m);
	for (struct spot *s = l->spots; s; s = s->next)
		if (same_spot(&s->at, at) && s->at.kind == at->kind)
			return true;
	struct spot *s = l->n_spots < SPOTS_MAX ? calloc(1, sizeof *s) : NULL;
	if (!s)
		return false;
	s->at = *at;
	s->at.dimension = strdup(at->dimension);
	if (!s->at.dimension) {
		free(s);
		return false;
	}
	s->next = l->spots;
	l->spots = s;
	l->n_spots++;
	return true;
}

bool live_keeps_spot(struct live *l, const struct live_spot *at)
{
	LOCK_SCOPE(&l->m);
	for (struct spot *s = l->spots; s; s = s->next)
		if (same_spot(&s->at, at) && (s->at.kind == at->kind || at->kind == SOURCE_REGION))
			return true;
	return false;
}

int live_spots(struct live *l, const struct world_place *p, struct buf *out, struct err *e)
{
	int r = 0;
	LOCK_SCOPE(&l->m);
	for (struct spot *s = l->spots; s && r == 0; s = s->next) {
		struct region_name n = {s->at.x, s->at.z, 1u << SOURCE_REGION};
		if (s->at.world == p->live->number && strcmp(s->at.dimension, p->name) == 0)
			r = buf_add(out, &n, sizeof n, e);
	}
	return r;
}

void live_drop_spot(struct live *l, const struct live_spot *at)
{
	LOCK_SCOPE(&l->m);
	for (struct spot **pp = &l->spots, *s; (s = *pp);)
		if (same_spot(&s->at, at) && (s->at.kind == at->kind || at->kind == SOURCE_REGION)) {
			*pp = s->next;
			l->n_spots--;
			free_spot(s);
		} else {
			pp = &s->next;
		}
}
