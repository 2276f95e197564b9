/* filter.h - which paths a snapshot leaves out.
 *
 * Patterns are shell globs in which `*` also matches '/'. One without '/' is held against the last
 * name of a path; one with '/' against the whole path, from its start or from any '/'. What is
 * below an excluded directory is excluded.
 *
 * Patterns in borg's words are another language and kept apart (they are held against the whole path, whose first
 * '/' does not count, or against the path of a directory above):
 *   fm:GLOB  `*` and `?` also match '/'; the default
 *   sh:GLOB  they do not; a directory component of two stars matches any number of directories
 *   pp:PATH  this path and all below        pf:PATH  exactly this path
 * There is no escape character in them but [*]. */
#ifndef MCFS_SNAPSHOT_FILTER_H
#define MCFS_SNAPSHOT_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

struct filter {
	char **patterns;
	size_t n;
	char **borg; /* prepared: a letter for the style, then the pattern */
	size_t n_borg;
	char **markers; /* names of files that mark a directory as left out */
	size_t n_markers;
	bool caches; /* leave out directories with a CACHEDIR.TAG */
};

int filter_add(struct filter *f, const char *pattern, struct err *e) MUST_CHECK;
/* A pattern a line; blank lines and lines that start with # do not count. */
int filter_add_file(struct filter *f, const char *path, struct err *e) MUST_CHECK;
/* The same in borg's words. E_USAGE for a style that is not known here (re:). */
int filter_add_borg(struct filter *f, const char *pattern, struct err *e) MUST_CHECK;
int filter_add_borg_file(struct filter *f, const char *path, struct err *e) MUST_CHECK;
/* Leave out what is in directories that hold a file of this name (or path below them). */
int filter_add_marker(struct filter *f, const char *name, struct err *e) MUST_CHECK;
void filter_free(struct filter *f);

bool filter_excludes(const struct filter *f, const char *path);
/* True for a directory marked as a cache (bford.info/cachedir). */
bool filter_is_cache_dir(const struct filter *f, int dirfd);
/* True for a directory whose contents are left out: a cache, or one with a marker in it. */
bool filter_skips_contents(const struct filter *f, int dirfd);

#endif
