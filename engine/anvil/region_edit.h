/* region_edit.h - changes in one region file and its .mcc files, in an order that leaves the file valid
 * for the game at every instant (docs/PRUNE.md).
 *
 * Nothing here assumes a well-formed file: entries may point anywhere, overlap, claim nothing; the file
 * may be shorter than its header or end amid a sector. Sectors belong to every entry that names
 * them, whole record or not, and only sectors without an owner are ever written to or freed.
 *
 * The caller keeps servers out (session_lock.h) and is the only writer; header and sizes are those of
 * the moment of opening, kept up to date by the calls. One thread per struct. Durability: as said at each
 * call. Source of the format: the game's RegionFile; region.h; shared notes 3.1. */
#ifndef MCFS_ANVIL_REGION_EDIT_H
#define MCFS_ANVIL_REGION_EDIT_H

#include <sys/stat.h>

#include "engine/anvil/region.h"

/* The ends of names of files that are being written. Whoever holds the session lock may remove them. */
#define REGION_TEMP_SUFFIX ".mcfs-tmp"
#define REGION_MCC_MAX ((size_t)256 << 20)

/* A chunk's part in one region file, as it stands there. */
struct chunk_part {
	bool present;
	bool raw; /* no whole record: `record` is all bytes of its sectors, as far as the file goes */
	struct region_entry entry; /* of the header. When it is to be put somewhere: sector 0 means no
				    * place is preferred, count 0 as many as the record takes */
	struct buf record;	   /* u32 BE length, type byte, stream */
	bool has_mcc;
	struct buf mcc; /* the .mcc file, when the type byte has CHUNK_EXTERNAL; of a raw one, if any */
};
void chunk_part_free(struct chunk_part *p); /* leaves it empty */
/* Is it a chunk that the game could read, at absolute chunk coordinates x, z? 0, or E_FORMAT with what
 * is wrong: no whole record, .mcc missing, does not decode, is no NBT, says it is elsewhere. */
int chunk_part_check(const struct chunk_part *p, int32_t x, int32_t z, struct err *e) MUST_CHECK;
/* Same entry and bytes? */
bool chunk_part_equal(const struct chunk_part *a, const struct chunk_part *b);

/* A folder with region files: dimension/region and so on. */
struct region_folder {
	int fd;
	char *path; /* for messages */
};
/* E_NOTFOUND. `create`: mkdir with owner and mode of the folder above, which must exist; durable. */
int region_folder_open(struct region_folder *ret, const char *path, bool create,
	struct err *e) MUST_CHECK;
void region_folder_close(struct region_folder *f);
/* Remove what interrupted writers left (REGION_TEMP_SUFFIX). */
int region_folder_clean(struct region_folder *f, struct err *e) MUST_CHECK;

struct region_edit;

/* Open r.X.Z.mca; `write` false: only to look (then a server may be writing, and what is read may be
 * torn). E_NOTFOUND; E_IO for what is not a regular file (links are not followed). The folder must stay
 * open. */
int region_edit_open(struct region_edit **ret, struct region_folder *f, int32_t x, int32_t z,
	bool write, struct err *e) MUST_CHECK;
/* Make a file without chunks: the time stamps of `header` (NULL: none), `size` bytes (at least the
 * header), owner and mode of `like` (NULL: what the folder's suggest). It appears whole and durable,
 * or not at all. E_EXISTS. */
int region_edit_create(struct region_edit **ret, struct region_folder *f, int32_t x, int32_t z,
	const uint8_t *header, uint64_t size, const struct stat *like, struct err *e) MUST_CHECK;
/* Puts that were not committed are undone as far as the file's size goes. NULL is fine. */
void region_edit_close(struct region_edit *r);

struct region_entry region_edit_entry(const struct region_edit *r, unsigned slot);
const uint8_t *region_edit_header(const struct region_edit *r); /* REGION_HEADER bytes */
const struct stat *region_edit_stat(const struct region_edit *r); /* when it was opened */
unsigned region_edit_count(const struct region_edit *r); /* entries that name something */
bool region_edit_has(const struct region_edit *r, unsigned slot); /* its location is not 0 */

/* Read a slot's part; !present when its location is 0. Never E_FORMAT: what is damaged is given as it
 * is. A .mcc that is missing, or no regular file (links are not followed): has_mcc is false. */
int region_edit_read(struct region_edit *r, unsigned slot, struct chunk_part *ret,
	struct err *e) MUST_CHECK;

/* Set locations and time stamps of these slots to 0: locations, fsync, then stamps. The locations are durable; a
 * stamp may come back with a power cut, never go before its location. After a failure some may be 0. */
int region_edit_clear(struct region_edit *r, const bool slots[REGION_SLOTS],
	struct err *e) MUST_CHECK;
/* Unlink the .mcc files of slots that are empty now, or whose record has its stream in the file; durable.
 * Missing ones are fine. *ret_freed (added to): bytes they took on the disk. */
int region_edit_unlink_mcc(struct region_edit *r, const bool slots[REGION_SLOTS],
	uint64_t *ret_freed, struct err *e) MUST_CHECK;
/* Bytes that the slot's .mcc takes on the disk; 0 without one. */
uint64_t region_edit_mcc_disk(const struct region_edit *r, unsigned slot);
/* Bytes of whole sectors within the file that only these slots own: what clearing them would free. */
uint64_t region_edit_would_free(const struct region_edit *r, const bool slots[REGION_SLOTS]);
/* Punch out those sectors of the entries that nobody owns now. *ret_freed (added to): their bytes,
 * whether the file system can punch or not. Room only: not synced. */
int region_edit_punch(struct region_edit *r, const struct region_entry *was, size_t n, bool punch,
	uint64_t *ret_freed, struct err *e) MUST_CHECK;
/* Unlink the file, which must have no entries; durable. Only closing is left then. */
int region_edit_remove(struct region_edit *r, struct err *e) MUST_CHECK;

/* Write a part's record into free sectors: those of its entry if they are free and within the file, else
 * the first gap, else the end; and its .mcc (temporary file, rename). Nothing refers to the record before
 * region_edit_commit(), where it takes the place of what is in the slot, as a save by the game
 * does. A part that is not present empties the slot. *ret_used (added to): bytes of sectors taken.
 * E_NOSPACE; E_FORMAT when it needs more than 255 sectors or there is no room within 2^24. */
int region_edit_put(struct region_edit *r, unsigned slot, const struct chunk_part *p,
	uint64_t *ret_used, struct err *e) MUST_CHECK;
/* fsync data; time stamps, fsync; locations of what was put, fsync. Durable. *ret_begun is set
 * once the file may be another than before. */
int region_edit_commit(struct region_edit *r, bool *ret_begun, struct err *e) MUST_CHECK;

/* Write the file anew without dead sectors and replace it; owner, mode, times of access and extended
 * attributes are kept. *ret_saved: bytes it is smaller; 0: nothing to gain, and nothing was done.
 * E_FORMAT: an entry is damaged; left alone. Only closing is left after success with *ret_saved > 0. */
int region_edit_repack(struct region_edit *r, uint64_t *ret_saved, struct err *e) MUST_CHECK;

#endif
