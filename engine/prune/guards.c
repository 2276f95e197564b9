/* guards.c - what protects a place, whatever is in the chunk there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/prune/players.h"
#include "engine/prune/rules_internal.h"
#include "engine/prune/tickets.h"

struct world_guards {
	struct player_point *points; /* of all worlds */
	size_t n_points;
	struct {
		char *world;
		struct world_spawn at;
	} *spawn;
	size_t n_spawn;
};

void world_guards_free(struct world_guards *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n_spawn; i++)
		free(w->spawn[i].world);
	free(w->spawn);
	free(w->points);
	free(w);
}

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory for what is protected");
}

static int add_point(void *ctx, const struct player_point *p, struct err *e)
{
	struct world_guards *w = ctx;
	if (!(w->n_points & (w->n_points - 1))) {
		void *v = realloc(w->points, (w->n_points ? 2 * w->n_points : 1) * sizeof *w->points);
		if (!v)
			return no_memory(e);
		w->points = v;
	}
	w->points[w->n_points++] = *p;
	return 0;
}

static int read_players(struct world_guards *w, struct source *s, const char *world,
	const struct log *log, struct err *e)
{
	static const char *const dirs[] = {"playerdata", "players/data", "players"};
	const char *slash = *world ? "/" : "";
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		CLEANUP_FREE char *dir = NULL;
		if (asprintf(&dir, "%s%s%s", world, slash, dirs[i]) < 0) {
			dir = NULL;
			return no_memory(e);
		}
		int r = players_read(s, dir, add_point, w, log, e);
		if (r < 0 && r != E_NOTFOUND)
			return r;
	}
	/* The player of a single player world. */
	CLEANUP_FREE char *path = NULL;
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	if (asprintf(&path, "%s%slevel.dat", world, slash) < 0) {
		path = NULL;
		return no_memory(e);
	}
	int r = nbt_file_read(s, path, &nbt, e);
	if (r == E_NOTFOUND)
		return 0;
	return r < 0 ? r : players_of_nbt(buf_span(&nbt), "Player", add_point, w, e);
}

static int read_world(struct world_guards *w, const struct rules *r, struct source *s,
	const char *world, const struct log *log, struct err *e)
{
	int rc = 0;
	if (r->protect.spawn) {
		void *v = realloc(w->spawn, (w->n_spawn + 1) * sizeof *w->spawn);
		if (!v)
			return no_memory(e);
		w->spawn = v;
		w->spawn[w->n_spawn].world = strdup(world);
		if (!w->spawn[w->n_spawn].world)
			return no_memory(e);
		rc = spawn_read(s, world, &w->spawn[w->n_spawn++].at, e);
	}
	return rc == 0 && r->protect.players ? read_players(w, s, world, log, e) : rc;
}

int world_guards_read(struct world_guards **ret, const struct rules *r, struct source *s,
	const struct worlds *all, const struct log *log, struct err *e)
{
	struct world_guards *w = calloc(1, sizeof *w);
	int rc = w ? 0 : no_memory(e);
	/* Sorted by world. */
	for (size_t i = 0; i < all->n && rc == 0; i++)
		if (i == 0 || strcmp(all->v[i].world, all->v[i - 1].world) != 0) {
			rc = read_world(w, r, s, all->v[i].world, log, e);
			if (rc < 0 && *all->v[i].world)
				err_wrap(e, "%s", all->v[i].world);
		}
	if (rc < 0) {
		world_guards_free(w);
		return rc;
	}
	*ret = w;
	return 0;
}

/* "the_nether.old" is what an upgrade left of the_nether. */
static bool same_dimension(const char *dim, const char *want)
{
	size_t n = strlen(want);
	return strncmp(dim, want, n) == 0 && (!dim[n] || strcmp(dim + n, ".old") == 0);
}

static int add_discs(struct guards *g, const struct world_guards *w, const struct world_dim *dim,
	struct err *e)
{
	const struct protect_spec *p = &g->rules->protect;
	int r = 0;
	for (size_t i = 0; i < w->n_spawn && r == 0; i++) {
		const struct world_spawn *at = &w->spawn[i].at;
		if (at->known && strcmp(w->spawn[i].world, dim->world) == 0 &&
			same_dimension(dim->name, at->dimension))
			r = selection_add_disc(g->spawn, at->x, at->z, p->spawn_radius, e);
	}
	for (size_t i = 0; i < w->n_points && r == 0; i++) {
		const struct player_point *at = &w->points[i];
		if (!*at->dimension || same_dimension(dim->name, at->dimension))
			r = selection_add_disc(g->players, at->x, at->z, p->player_radius, e);
	}
	return r;
}

int guards_make(struct guards *g, const struct rules *r, const struct world_guards *w,
	struct source *s, const struct world_dim *dim, struct err *e)
{
	*g = (struct guards){.rules = r, .dimension = dim->name};
	int rc = selection_new(&g->forced, e);
	if (rc == 0)
		rc = selection_new(&g->spawn, e);
	if (rc == 0)
		rc = selection_new(&g->players, e);
	if (rc == 0 && (r->protect.forced || (r->wants & QUERY_WANTS_FORCED)))
		rc = tickets_read(s, dim, g->forced, e);
	if (rc == 0)
		rc = add_discs(g, w, dim, e);
	if (rc < 0)
		guards_free(g);
	return rc;
}

void guards_free(struct guards *g)
{
	selection_free(g->forced);
	selection_free(g->spawn);
	selection_free(g->players);
	*g = (struct guards){0};
}

static bool in_area(const struct protect_area *a, const char *dimension, int32_t x, int32_t z)
{
	if (a->dimension && !same_dimension(dimension, a->dimension))
		return false;
	if (!a->circle)
		return x >= a->x1 && x <= a->x2 && z >= a->z1 && z <= a->z2;
	int64_t dx = (int64_t)x - a->x, dz = (int64_t)z - a->z, r = a->radius;
	if (dx > r || dx < -r || dz > r || dz < -r)
		return false;
	return 100 * (dx * dx + dz * dz) <= (10 * r + 3) * (10 * r + 3);
}

enum verdict guards_ask(const struct guards *g, int32_t x, int32_t z)
{
	const struct protect_spec *p = &g->rules->protect;
	if (p->forced && selection_has(g->forced, x, z))
		return VERDICT_FORCED;
	if (selection_has(g->spawn, x, z))
		return VERDICT_SPAWN;
	if (selection_has(g->players, x, z))
		return VERDICT_PLAYER;
	for (size_t i = 0; i < p->n_areas; i++)
		if (in_area(&p->areas[i], g->dimension, x, z))
			return VERDICT_AREA;
	for (size_t i = 0; i < p->n_selections; i++) {
		const char *dim = p->selections[i].dimension;
		if ((!dim || same_dimension(g->dimension, dim)) &&
			selection_has(g->rules->files[i], x, z))
			return VERDICT_AREA;
	}
	return VERDICT_ABSENT;
}
