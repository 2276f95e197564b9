/* world.h - a whole demo world: where its files are, and making it. */
#ifndef DEMO_WORLD_H
#define DEMO_WORLD_H

#include "chunk.h"
#include "region_write.h"

#define MAX_VERSIONS 8
#define PLAYERS 3
#define TICKS 20 /* a second */
/* When time begins unless told otherwise; fixed, so that the same options give the same bytes. */
#define DEFAULT_NOW 1763200000u

enum layout { LAYOUT_CLASSIC, LAYOUT_26_1 };

enum kind { KIND_REGION, KIND_ENTITIES, KIND_POI };

struct world {
	const char *dir;
	enum layout layout;
	uint64_t seed; /* of the land */
	int data_version;
	uint32_t now;  /* seconds since 1970 */
	int64_t ticks; /* age of the world */
};

struct create_options {
	const char *dir;
	enum layout layout;
	uint64_t seed;
	uint32_t now;
	int regions;
	int versions[MAX_VERSIONS]; /* the first is the world's, the others those of old chunks */
	int version_count;
};

/* The folder of one kind of region files; malloc'd. */
char *kind_dir(const struct world *w, enum dimension d, enum kind k);
/* The path of the uuid of player `n`, in text. */
void player_uuid(const struct world *w, int n, char out[37]);
char *player_file(const struct world *w, const char *uuid, const char *what, const char *suffix);
/* Where data/<name> of the root and of a dimension are. */
char *root_data(const struct world *w, const char *name);
char *dim_data(const struct world *w, enum dimension d, const char *name);
/* Compress a tree as the server does and write it in place. */
void nbt_file_write(const struct world *w, const char *path, const struct nbt *root);
void nbt_pack(const struct world *w, struct bytes *out, const struct nbt *root);

/* Small files: level.dat, players, data. files.c */
void write_small_files(const struct world *w);

/* Make a world in an empty or missing directory. */
void world_create(const struct create_options *o);
/* Read layout, seed, version and clock back from level.dat. */
void world_open(struct world *w, const char *dir);
/* Hold session.lock as a running server does; a descriptor that has to stay open. */
int session_lock(const char *dir);
/* Serialize, compress with zlib and put. */
void put_tree(struct region *r, int32_t cx, int32_t cz, const struct nbt *root, uint32_t now);

struct play_options {
	const char *dir;
	uint64_t seed;
	uint32_t now; /* 0: go on where the world's clock stands */
	int minutes;
	bool border; /* what is not generated is not reached: no new chunks */
};
void world_play(const struct play_options *o);

struct hammer_options {
	const char *dir;
	uint64_t seed;
	uint32_t now;
	int seconds;
	int rate; /* chunks a second, 0: no limit */
	int regions;
	bool oversized;
};
void world_hammer(const struct hammer_options *o);

/* 0, or 1 when something is damaged. */
int world_verify(const char *dir, bool strict);
int world_chunks(const char *dir);

#endif
