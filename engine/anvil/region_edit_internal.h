/* region_edit_internal.h - what region_edit*.c share. */
#ifndef MCFS_ANVIL_REGION_EDIT_INTERNAL_H
#define MCFS_ANVIL_REGION_EDIT_INTERNAL_H

#include "engine/anvil/region_edit.h"

#define SECTORS_MAX (1u << 24) /* what 24 bits can name */

struct region_edit {
	struct region_folder *folder;
	int fd;
	char name[64];
	char *path; /* for messages */
	int32_t x, z;
	struct stat st;
	uint64_t size;	    /* now */
	uint64_t committed; /* size up to which something may be referred to */
	uint8_t header[REGION_HEADER];
	uint8_t pending[REGION_HEADER]; /* header + what was put */
	bool has_pending, short_header;
	struct region_extent ext[REGION_SLOTS];
	bool has_map;
};

/* Which sectors are owned, up to `end`. */
struct sector_map {
	uint8_t *bits;
	uint64_t end; /* sectors */
};
int sector_map_make(struct sector_map *m, const uint8_t header[REGION_HEADER], uint64_t size,
	const bool *without, struct err *e) MUST_CHECK;
static inline bool sector_owned(const struct sector_map *m, uint64_t s)
{
	return s < m->end && (m->bits[s / 8] >> (s % 8) & 1);
}

int region_edit_map(struct region_edit *r, struct err *e) MUST_CHECK;
/* A new temporary file for `name` in the folder; tmp has room for the name. */
int region_temp_open(struct region_folder *f, const char *name, char tmp[128], int *ret_fd,
	struct err *e) MUST_CHECK;
/* fsync, close, rename over `name`, fsync of the folder. The temporary file is gone after failure. */
int region_temp_publish(struct region_folder *f, int *fd, const char *tmp, const char *name,
	struct err *e) MUST_CHECK;

#endif
