/* play.h - shared by the two halves of `play`: region files (play.c) and the rest (sitting.c). */
#ifndef DEMO_PLAY_H
#define DEMO_PLAY_H

#include "world.h"

/* Region files stay open, with their headers in memory, as long as the server runs. */
struct region_cache {
	struct cached_region *first;
};

struct region *region_cache_get(struct region_cache *c, const struct world *w, enum dimension d,
	enum kind k, int32_t rx, int32_t rz);
void region_cache_close(struct region_cache *c);

struct player {
	char uuid[37];
	enum dimension dim;
	int32_t x, z, home_x, home_z, goal_x, goal_z; /* blocks */
};

void players_join(const struct world *w, struct rng *r, struct player *p, int n);
void players_leave(const struct world *w, const struct player *p, int n);
/* level.dat, players, stats, log, map, raids: what a save writes beside the chunks. */
void save_small_files(
	const struct world *w, struct rng *r, const struct player *p, int n, uint32_t seconds);

#endif
