/* chunk.h - terrain as the game's chunk NBT, and small edits to a chunk that was read.
 *
 * Chunks up to data version 2843 keep everything under `Level`; later ones are flat and 24 sections
 * high. Entities are in the chunk up to version 2680 and in a file of their own from then on. */
#ifndef DEMO_CHUNK_H
#define DEMO_CHUNK_H

#include "nbt_write.h"
#include "terrain.h"

#define DV_1_16 2586
#define DV_ENTITY_FILES 2681
#define DV_FLAT 2844
#define DV_NAMESPACED_STATUS 3454
#define DV_COMPONENTS 3837 /* items with `count` and `components` */
#define DV_SHORT_GRASS 3698
#define DV_26_1 4764

struct chunk_facts {
	int data_version;
	int64_t last_update, inhabited; /* game ticks */
	const char *status;		/* without "minecraft:"; "full" is a finished chunk */
};

/* True when a chunk of this status has its blocks already. */
bool status_has_blocks(const char *status);
struct nbt *chunk_build(struct arena *a, const struct terrain *t, const struct chunk_facts *f);
/* The entities of a chunk, as a root of their own. */
struct nbt *entities_build(
	struct arena *a, const struct terrain *t, int data_version, struct rng *r);
void entity_add(struct arena *a, struct nbt *list, const struct terrain *t, int data_version,
	struct rng *r);
struct nbt *poi_build(struct arena *a, const struct terrain *t, int data_version, struct rng *r);
/* Add chests of written books until the compressed chunk is far above what sectors can hold. */
void chunk_fill_with_books(struct arena *a, struct nbt *root, struct rng *r);
void item_add(struct arena *a, struct nbt *list, int data_version, int slot, struct rng *r);
/* Text that compresses about as well as what players write. */
char *page_of_text(struct arena *a, struct rng *r, int words);

/* A chunk that was read, to be edited. */
struct chunk_view {
	struct nbt *root, *level; /* the same for flat chunks */
	bool flat;
	int data_version;
	int min_y, height;
};

bool chunk_open(struct chunk_view *v, struct nbt *root);
bool chunk_is_full(const struct chunk_view *v);
/* The first free height above the ground at local x, z; world coordinates. */
int chunk_surface(const struct chunk_view *v, int x, int z);
/* Set one block (and what follows from it: palette, packed longs, height maps). False when there is
 * no such section. */
bool chunk_set_block(struct arena *a, struct chunk_view *v, int x, int y, int z, enum block b);
/* Brighten the surroundings of a new torch within its section. */
void chunk_light_torch(struct arena *a, struct chunk_view *v, int x, int y, int z);
void chunk_add_chest(struct arena *a, struct chunk_view *v, int x, int y, int z, struct rng *r);

#endif
