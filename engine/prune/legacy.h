/* legacy.h - what blocks and biomes were called before they had names: numbers, and the names that the
 * game gave them in 1.13. Private to engine/prune.
 *
 * Blocks whose data only turns or powers them have one name. Source: the numbers as players and
 * commands have always written them (public lists of data values). */
#ifndef MCFS_PRUNE_LEGACY_H
#define MCFS_PRUNE_LEGACY_H

/* Without "minecraft:"; NULL: unknown. `data` is 0..15. */
const char *legacy_block(unsigned id, unsigned data);
const char *legacy_biome(unsigned id);

#endif
