#include "engine/snapshot/dirnames.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define ARENA_MAX ((size_t)12 << 20)

static int by_name(const void *a, const void *b, void *arena)
{
	const uint32_t *x = a, *y = b;
	return strcmp((const char *)arena + *x, (const char *)arena + *y);
}

static int add(struct dirnames *d, const char *name, struct err *e)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		uint32_t *at = realloc(d->at, cap * sizeof *at);
		if (!at)
			return err_set(e, E_NOMEM, 0, "no memory for a directory");
		d->at = at;
		d->cap = cap;
	}
	d->at[d->n] = (uint32_t)d->arena.len;
	int r = buf_add(&d->arena, name, strlen(name) + 1, e);
	if (r == 0)
		d->n++;
	return r;
}

static void sort(struct dirnames *d)
{
	if (d->n)
		qsort_r(d->at, d->n, sizeof *d->at, by_name, d->arena.p);
}

/* Keep the lower half: what is above comes with a later batch. */
static int halve(struct dirnames *d, char *bound, struct err *e)
{
	struct buf half = BUF_INIT;
	sort(d);
	d->n /= 2;
	for (size_t i = 0; i < d->n; i++) {
		const char *name = dirnames_at(d, i);
		d->at[i] = (uint32_t)half.len;
		int r = buf_add(&half, name, strlen(name) + 1, e);
		if (r < 0) {
			buf_free(&half);
			return r;
		}
	}
	buf_free(&d->arena);
	d->arena = half;
	snprintf(bound, 256, "%s", dirnames_at(d, d->n - 1));
	d->more = true;
	return 0;
}

int dirnames_next(struct dirnames *d, int fd, const char *path, struct err *e)
{
	char bound[256] = "";
	bool first = d->last[0] == 0;
	d->n = 0;
	d->arena.len = 0;
	if (!first && !d->more)
		return 0;
	d->more = false;
	int copy = dup(fd);
	CLEANUP_DIR DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		int sys = errno;
		if (copy >= 0)
			close(copy);
		return err_set(e, E_IO, sys, "read directory '%s'", path);
	}
	rewinddir(dir);
	for (int r = 0; r == 0;) {
		errno = 0;
		struct dirent *de = readdir(dir);
		if (!de && errno)
			return err_set(e, E_IO, errno, "read directory '%s'", path);
		if (!de)
			break;
		const char *n = de->d_name;
		if (!strcmp(n, ".") || !strcmp(n, "..") || (!first && strcmp(n, d->last) <= 0) ||
			(bound[0] && strcmp(n, bound) > 0))
			continue;
		r = add(d, n, e);
		if (r == 0 && d->arena.len > ARENA_MAX)
			r = halve(d, bound, e);
		if (r < 0)
			return r;
	}
	sort(d);
	if (d->n)
		snprintf(d->last, sizeof d->last, "%s", dirnames_at(d, d->n - 1));
	return 0;
}

void dirnames_free(struct dirnames *d)
{
	buf_free(&d->arena);
	free(d->at);
	d->at = NULL;
	d->n = d->cap = 0;
}
