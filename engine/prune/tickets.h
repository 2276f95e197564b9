/* tickets.h - what a world says must stay loaded, and where it begins. Private to engine/prune.
 *
 * Forced chunks, gzip NBT: data/chunks.dat of the dimension's folder {data:{Forced:[L; x low, z high]}}
 * (until 1.21.4; Forge adds ForgeForced lists whose entries have a long "Chunk"), the same file with
 * {data:{tickets:[{chunk_pos:[I; x, z], ..}]}} since, and data/minecraft/chunk_tickets.dat since 26.1.
 * Spawn: level.dat, Data.SpawnX/SpawnZ, or the compound Data.spawn with pos and dimension.
 * Source: shared notes on Minecraft, section 3.2. */
#ifndef MCFS_PRUNE_TICKETS_H
#define MCFS_PRUNE_TICKETS_H

#include "engine/anvil/source.h"
#include "engine/prune/selection.h"

/* Add all chunks of a dimension that have a ticket. No file is no ticket; a file that cannot be
 * understood is E_FORMAT: nobody knows then what it protects. */
int tickets_read(struct source *s, const struct world_dim *dim, struct selection *out,
	struct err *e) MUST_CHECK;

struct world_spawn {
	bool known;
	int64_t x, z; /* of the chunk */
	char dimension[128];
};
/* Of a world's folder. Without level.dat it is not known; E_FORMAT when that cannot be read. */
int spawn_read(struct source *s, const char *world, struct world_spawn *ret,
	struct err *e) MUST_CHECK;

#endif
