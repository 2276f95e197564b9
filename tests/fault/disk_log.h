/* disk_log.h - what a directory may hold when the power goes: the calls of this program that change files
 * below it are recorded, and replayed without any choice of those that were not made durable.
 *
 * The model is what POSIX promises and no more: contents (and sizes) of a file are durable by fsync of that
 * file, a name by fsync of its directory (a rename by that of either directory, and always as a whole). What
 * is not durable may be there or not, each for itself and in any order; of a write some sectors, of a hole that was
 * punched some pages.
 *
 * It works by defining the system calls anew in the test program that links it; the engine's own calls
 * come here, and SQLite's. */
#ifndef TEST_DISK_LOG_H
#define TEST_DISK_LOG_H

#include <stddef.h>

#include "engine/object/object.h"

/* From now on, below `dir`; what is there already counts as durable. Forgets the log before. */
void disk_log_begin(const char *dir);
void disk_log_end(void);
/* How many calls there were, fsync included. */
size_t disk_log_count(void);
/* Is call n (from 0) an fsync? When the power goes before it, most is still open. */
bool disk_log_is_sync(size_t n);

enum disk_fate {
	DISK_NOTHING, /* nothing that was not synced is there */
	DISK_NAMES,   /* the names, but no contents */
	DISK_DATA,    /* the contents, but no names */
	DISK_CHANCE,  /* by lot, from rnd() */
	DISK_FATES
};
/* The power goes after the first `n` calls: the files that are left, as objects of `place`. Those whose
 * name ends in ".tmp" are left out, as the local directory does. */
void disk_log_image(size_t n, enum disk_fate fate, struct object_place *place);
/* The same as files below `dir`, which is there and empty; nothing is left out. Not while recording. */
void disk_log_image_in(size_t n, enum disk_fate fate, const char *dir);

#endif
