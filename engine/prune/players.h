/* players.h - where players are, and where they come back to. Private to engine/prune.
 *
 * Files <uuid>.dat (gzip NBT): Pos (list of doubles), Dimension (an int before 1.16, then an id),
 * SpawnX, SpawnZ, SpawnDimension; since 1.21.5 a compound "respawn" with pos and dimension. Also
 * level.dat's Data.Player of single player worlds. Source: shared notes on MCA Selector, section 2,
 * and on Minecraft, section 3.2. */
#ifndef MCFS_PRUNE_PLAYERS_H
#define MCFS_PRUNE_PLAYERS_H

#include "engine/anvil/source.h"
#include "engine/base/log.h"

#define PLAYER_DIMENSION_CHARS 128

struct player_point {
	int64_t x, z; /* of the chunk */
	bool respawn;
	char dimension[PLAYER_DIMENSION_CHARS]; /* as worlds.h names them; "": not told */
};
typedef int (*player_fn)(void *ctx, const struct player_point *p, struct err *e);

/* -1, "minecraft:the_nether" and "the_nether" are all "the_nether"; others keep their namespace as
 * "ns/path". */
void player_dimension(const char *id, char out[PLAYER_DIMENSION_CHARS]);

/* All points of a directory's *.dat and *.dat_old files. A file that cannot be understood is passed
 * over with a word to the log: the game cannot read it either. E_NOTFOUND without the directory. */
int players_read(struct source *s, const char *dir, player_fn fn, void *ctx, const struct log *log,
	struct err *e) MUST_CHECK;
/* The points of one document; `below` names the compound that holds the player ("Player" of
 * level.dat's Data), NULL: the root. E_FORMAT when the NBT is damaged. */
int players_of_nbt(struct span nbt, const char *below, player_fn fn, void *ctx,
	struct err *e) MUST_CHECK;

/* Read a gzip, zlib or plain NBT file. E_NOTFOUND, E_FORMAT. */
int nbt_file_read(struct source *s, const char *path, struct buf *nbt, struct err *e) MUST_CHECK;

#endif
