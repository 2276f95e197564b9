#include "engine/anvil/worlds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/region.h"
#include "engine/base/cleanup.h"

#define DIMENSION_DEPTH 8 /* parts of NAMESPACE/PATH... */

struct finder {
	const struct world_source *src;
	struct worlds *out;
};

/* ---- listing a directory's directories ---- */

struct names {
	char **v;
	size_t n;
	bool has_regions; /* an r.X.Z.mca file was seen */
};

static void names_free(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct names){0};
}
#define CLEANUP_NAMES __attribute__((cleanup(names_free)))

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory to look for worlds");
}

static int add_dir(void *ctx, const char *name, bool is_dir, struct err *e)
{
	struct names *l = ctx;
	if (!is_dir)
		return 0;
	if (!(l->n & (l->n - 1))) {
		char **v = realloc(l->v, (l->n ? 2 * l->n : 1) * sizeof *v);
		if (!v)
			return no_memory(e);
		l->v = v;
	}
	l->v[l->n] = strdup(name);
	if (!l->v[l->n])
		return no_memory(e);
	l->n++;
	return 0;
}

static bool has(const struct names *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], name) == 0)
			return true;
	return false;
}

/* One region file is enough to know. */
static int seek_region(void *ctx, const char *name, bool is_dir, struct err *e)
{
	int32_t x, z;
	(void)e;
	if (is_dir || !region_parse_name(name, &x, &z))
		return 0;
	*(bool *)ctx = true;
	return 1;
}

static char *join(const char *a, const char *b)
{
	char *out;
	return asprintf(&out, "%s%s%s", a, *a && *b ? "/" : "", b) < 0 ? NULL : out;
}

/* Does the folder have chunks? `children`: its directories. */
static int has_chunks(struct finder *f, const char *folder, const struct names *children,
	bool *ret, struct err *e)
{
	static const char *const kinds[] = {"region", "entities", "poi"};
	*ret = false;
	for (size_t i = 0; i < 3 && !*ret; i++) {
		if (!has(children, kinds[i]))
			continue;
		CLEANUP_FREE char *path = join(folder, kinds[i]);
		int r = path ? f->src->list(f->src->ctx, path, seek_region, ret, e) : no_memory(e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- what was found ---- */

static bool is_taken(const struct worlds *w, const char *world, const char *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (strcmp(w->v[i].world, world) == 0 && strcmp(w->v[i].name, name) == 0)
			return true;
	return false;
}

static int add_dim(struct finder *f, const char *world, const char *name, const char *folder,
	struct err *e)
{
	struct worlds *w = f->out;
	struct world_dim d = {strdup(world), strdup(name), strdup(folder)};
	while (d.name && is_taken(w, world, d.name)) {
		char *other;
		if (asprintf(&other, "%s.old", d.name) < 0)
			other = NULL;
		free(d.name);
		d.name = other;
	}
	struct world_dim *v = w->v;
	if (!(w->n & (w->n - 1)))
		v = realloc(w->v, (w->n ? 2 * w->n : 1) * sizeof *v);
	if (v)
		w->v = v;
	if (!v || !d.world || !d.name || !d.folder) {
		free(d.world);
		free(d.name);
		free(d.folder);
		return no_memory(e);
	}
	v[w->n++] = d;
	return 0;
}

/* A folder below dimensions/: `name` is NAMESPACE/PATH so far. */
static int search_dimensions(struct finder *f, const char *world, const char *folder,
	const char *name, int depth, struct err *e)
{
	static const char *const vanilla[] = {"minecraft/overworld", "minecraft/the_nether",
		"minecraft/the_end"};
	CLEANUP_NAMES struct names dirs = {0};
	bool chunks;
	int r = f->src->list(f->src->ctx, folder, add_dir, &dirs, e);
	if (r == 0)
		r = has_chunks(f, folder, &dirs, &chunks, e);
	if (r < 0)
		return r;
	if (chunks) {
		for (size_t i = 0; i < 3; i++)
			if (strcmp(name, vanilla[i]) == 0)
				name = strchr(vanilla[i], '/') + 1;
		return add_dim(f, world, *name ? name : "dimensions", folder, e);
	}
	for (size_t i = 0; i < dirs.n && depth < DIMENSION_DEPTH && r == 0; i++) {
		CLEANUP_FREE char *below = join(folder, dirs.v[i]);
		CLEANUP_FREE char *longer = join(name, dirs.v[i]);
		r = below && longer ? search_dimensions(f, world, below, longer, depth + 1, e)
				    : no_memory(e);
	}
	return r;
}

static int search_dim_folder(struct finder *f, const char *world, const char *dir, struct err *e)
{
	CLEANUP_NAMES struct names dirs = {0};
	CLEANUP_FREE char *folder = join(world, dir);
	const char *name = strcmp(dir, "DIM-1") == 0  ? "the_nether"
			   : strcmp(dir, "DIM1") == 0 ? "the_end"
						      : dir;
	bool chunks;
	if (!folder)
		return no_memory(e);
	int r = f->src->list(f->src->ctx, folder, add_dir, &dirs, e);
	if (r == 0)
		r = has_chunks(f, folder, &dirs, &chunks, e);
	return r < 0 || !chunks ? r : add_dim(f, world, name, folder, e);
}

static bool is_dim_folder(const char *name)
{
	return strncmp(name, "DIM", 3) == 0 && name[3] &&
	       strspn(name + 3, "-0123456789") == strlen(name + 3);
}

/* Directories that hold no worlds, and may hold very many files. */
static bool is_inner(const char *name)
{
	static const char *const inner[] = {"region", "entities", "poi", "data", "playerdata",
		"players", "stats", "advancements", "datapacks", "dimensions", ".git"};
	for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
		if (strcmp(name, inner[i]) == 0)
			return true;
	return is_dim_folder(name);
}

static int search(struct finder *f, const char *dir, int depth, struct err *e)
{
	CLEANUP_NAMES struct names dirs = {0};
	bool chunks;
	int r = f->src->list(f->src->ctx, dir, add_dir, &dirs, e);
	/* The newer layout first: it gets the names. */
	if (r == 0 && has(&dirs, "dimensions")) {
		CLEANUP_FREE char *folder = join(dir, "dimensions");
		r = folder ? search_dimensions(f, dir, folder, "", 0, e) : no_memory(e);
	}
	if (r == 0)
		r = has_chunks(f, dir, &dirs, &chunks, e);
	if (r == 0 && chunks)
		r = add_dim(f, dir, "overworld", dir, e);
	for (size_t i = 0; i < dirs.n && r == 0; i++) {
		if (is_dim_folder(dirs.v[i])) {
			r = search_dim_folder(f, dir, dirs.v[i], e);
		} else if (!is_inner(dirs.v[i]) && depth < WORLDS_DEPTH) {
			CLEANUP_FREE char *below = join(dir, dirs.v[i]);
			r = below ? search(f, below, depth + 1, e) : no_memory(e);
		}
	}
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct world_dim *x = a, *y = b;
	int c = strcmp(x->world, y->world);
	return c ? c : strcmp(x->name, y->name);
}

int worlds_find(const struct world_source *src, struct worlds *ret, struct err *e)
{
	struct finder f = {src, ret};
	*ret = (struct worlds){0};
	int r = search(&f, "", 0, e);
	if (r < 0) {
		worlds_free(ret);
		return r;
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, by_name);
	return 0;
}

void worlds_free(struct worlds *w)
{
	for (size_t i = 0; i < w->n; i++) {
		free(w->v[i].world);
		free(w->v[i].name);
		free(w->v[i].folder);
	}
	free(w->v);
	*w = (struct worlds){0};
}
