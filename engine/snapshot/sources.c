#include "engine/snapshot/sources.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

/* Absolute and without ".", ".." or doubled slashes. Links stay, so that the name is the one the
 * user gave, except where ".." would need them resolved. */
static char *absolute(const char *path)
{
	char *real;
	if (strstr(path, "..") && (real = realpath(path, NULL)))
		return real;
	char *cwd = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
	char *out = cwd ? malloc(strlen(cwd) + strlen(path) + 3) : NULL;
	if (!out) {
		free(cwd);
		return NULL;
	}
	strcpy(out, strcmp(cwd, "/") ? cwd : "");
	char *end = out + strlen(out);
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (n && !(n == 1 && p[0] == '.')) {
			*end++ = '/';
			memcpy(end, p, n);
			end += n;
		}
		p += n + (p[n] == '/');
	}
	if (end == out)
		*end++ = '/';
	*end = 0;
	free(cwd);
	return out;
}

/* The last `parts` components. */
static const char *tail_of(const char *path, unsigned parts)
{
	const char *p = path + strlen(path);
	while (p > path) {
		if (*p == '/' && parts-- == 1)
			return p + 1;
		p--;
	}
	return path[1] ? path + 1 : "root";
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct snapshot_source *)a)->path,
		((const struct snapshot_source *)b)->path);
}

/* Component by component, as trees sort. */
static int by_name(const void *a, const void *b)
{
	const unsigned char *x = (const unsigned char *)((const struct snapshot_source *)a)->name;
	const unsigned char *y = (const unsigned char *)((const struct snapshot_source *)b)->name;
	while (*x && *x == *y)
		x++, y++;
	int cx = *x == '/' ? 1 : *x ? *x + 1 : 0, cy = *y == '/' ? 1 : *y ? *y + 1 : 0;
	return cx - cy;
}

/* One name is the other, or a directory above it: they cannot both be in the tree. */
static bool clash(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), k = n < m ? n : m;
	return strncmp(a, b, k) == 0 && (n == m || (n < m ? b[k] : a[k]) == '/');
}

static int name_all(struct snapshot_source *v, size_t n, struct err *e)
{
	CLEANUP_FREE unsigned *parts = malloc((2 * n + 1) * sizeof *parts);
	if (!parts)
		return err_set(e, E_NOMEM, 0, "no memory for the sources");
	unsigned *more = parts + n;
	for (size_t i = 0; i < n; i++)
		parts[i] = 1;
	for (bool again = true; again;) {
		again = false;
		/* All that clash grow by one, together; what is whole already stays. */
		for (size_t i = 0; i < n; i++) {
			const char *a = tail_of(v[i].path, parts[i]);
			more[i] = 0;
			for (size_t k = 0; k < n && !more[i]; k++)
				more[i] = k != i && clash(a, tail_of(v[k].path, parts[k])) &&
					  strcmp(a, tail_of(v[i].path, parts[i] + 1)) != 0;
			again |= more[i];
		}
		for (size_t i = 0; i < n; i++)
			parts[i] += more[i];
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (clash(tail_of(v[i].path, parts[i]), tail_of(v[k].path, parts[k])))
				return err_set(e, E_USAGE, 0,
					"'%s' and '%s' cannot be in one snapshot: one lies in the "
					"other or their names cannot be told apart", v[k].path,
					v[i].path);
	for (size_t i = 0; i < n; i++)
		if (!(v[i].name = strdup(tail_of(v[i].path, parts[i]))))
			return err_set(e, E_NOMEM, 0, "no memory for the sources");
	return 0;
}

int sources_resolve(const char *const *paths, size_t n, struct snapshot_source **ret,
	size_t *ret_n, struct err *e)
{
	struct snapshot_source *v = calloc(n + 1, sizeof *v);
	size_t k = 0;
	*ret = v;
	*ret_n = 0;
	for (size_t i = 0; v && i < n; i++) {
		if (!paths[i][0])
			return err_set(e, E_USAGE, 0, "an empty path is no source");
		if (!(v[i].path = absolute(paths[i])))
			v = NULL;
		else
			*ret_n = i + 1;
	}
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for the sources");
	qsort(v, n, sizeof *v, by_path);
	for (size_t i = 0; i < n; i++) {
		if (k && strcmp(v[i].path, v[k - 1].path) == 0)
			free(v[i].path);
		else
			v[k++] = v[i];
	}
	*ret_n = k;
	int r = name_all(v, k, e);
	if (r == 0 && k)
		qsort(v, k, sizeof *v, by_name);
	return r;
}
