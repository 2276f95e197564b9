/* map.h - a world seen from above, one pixel a chunk: what the rules would prune, where players were, how
 * old chunks are, how far they are generated. All dimensions one below the other, a legend with counts at
 * the end. Drawn into plain pixels; codec/png.h makes a file of them.
 *
 * A dimension wider or higher than MAP_SIDE_MAX chunks is drawn smaller: 2 x 2, 3 x 3, .. chunks a pixel,
 * which then shows the most worth keeping of them. So an image never has more than
 * MAP_SIDE_MAX^2 pixels a dimension, and memory follows from what is there. */
#ifndef MCFS_PRUNE_MAP_H
#define MCFS_PRUNE_MAP_H

#include "engine/prune/rules.h"

#define MAP_SIDE_MAX 4096

enum map_color { MAP_PRUNABLE, MAP_INHABITED, MAP_AGE, MAP_STATUS };

struct map_image {
	uint8_t *rgb; /* 3 bytes a pixel, rows from the top */
	uint32_t width, height;
};
void map_image_free(struct map_image *m);

/* What a judgement says (MAP_PRUNABLE). `zoom`: pixels a chunk's side, 1..16. */
int map_draw_judgement(const struct judgement *j, const struct rules *r, unsigned zoom,
	struct map_image *ret, struct err *e) MUST_CHECK;
/* The other colours, from the chunks themselves. E_NOTFOUND for an unknown dimension, E_CANCELLED. */
int map_draw_chunks(struct source *s, enum map_color color, const struct judge_options *opt,
	unsigned zoom, struct map_image *ret, struct err *e) MUST_CHECK;

#endif
