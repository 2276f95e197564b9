/* filter.h - which paths a snapshot leaves out.
 *
 * Patterns are shell globs in which `*` also matches '/'. One without '/' is held against the last
 * name of a path; one with '/' against the whole path, from its start or from any '/'. What is
 * below an excluded directory is excluded. */
#ifndef MCFS_SNAPSHOT_FILTER_H
#define MCFS_SNAPSHOT_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

struct filter {
	char **patterns;
	size_t n;
	bool caches; /* leave out directories with a CACHEDIR.TAG */
};

int filter_add(struct filter *f, const char *pattern, struct err *e) MUST_CHECK;
/* A pattern a line; blank lines and lines that start with # do not count. */
int filter_add_file(struct filter *f, const char *path, struct err *e) MUST_CHECK;
void filter_free(struct filter *f);

bool filter_excludes(const struct filter *f, const char *path);
/* True for a directory marked as a cache (bford.info/cachedir). */
bool filter_is_cache_dir(const struct filter *f, int dirfd);

#endif
