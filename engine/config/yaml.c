#include "engine/config/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/config/yaml_internal.h"

/* ---- memory ---- */

void *ydoc_alloc(struct ydoc *y, size_t n, struct err *e)
{
	if ((y->n_blocks & (y->n_blocks - 1)) == 0) {
		void **v = realloc(y->blocks, (y->n_blocks ? 2 * y->n_blocks : 1) * sizeof *v);
		if (!v) {
			err_set(e, E_NOMEM, 0, "no memory for a configuration");
			return NULL;
		}
		y->blocks = v;
	}
	void *p = calloc(1, n ? n : 1);
	if (!p)
		err_set(e, E_NOMEM, 0, "no memory for a configuration");
	else
		y->blocks[y->n_blocks++] = p;
	return p;
}

char *ydoc_strndup(struct ydoc *y, const char *s, size_t n, struct err *e)
{
	char *p = ydoc_alloc(y, n + 1, e);
	if (p)
		memcpy(p, s, n);
	return p;
}

int ydoc_note(struct yaml_note **v, size_t *n, struct yaml_note note, struct err *e)
{
	struct yaml_note *p = realloc(*v, (*n + 1) * sizeof *p);
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for a configuration");
	*v = p;
	p[(*n)++] = note;
	return 0;
}

void ydoc_free(struct ydoc *y)
{
	if (!y)
		return;
	for (size_t i = 0; i < y->n_blocks; i++)
		free(y->blocks[i]);
	free(y->blocks);
	free(y->unset);
	free(y->mended);
	free(y);
}

/* ---- files ---- */

int ydoc_charge(struct ydoc *y, unsigned weight, const char *file, unsigned line, struct err *e)
{
	if (weight > YAML_NODES_MAX - y->weight)
		return ydoc_err_at(e, file, line,
			"there is too much in this file (over %d values, aliases written out)",
			YAML_NODES_MAX);
	y->weight += weight;
	return 0;
}

/* Read and parse one file. The name in messages is `path`. */
static int load(struct ydoc *y, const char *path, struct yaml_node **ret, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_FREE char *real = realpath(path, NULL);
	if (!real)
		return err_set(e, E_IO, errno, "configuration file '%s'", path);
	for (unsigned i = 0; i < y->depth; i++)
		if (y->stack[i] && strcmp(y->stack[i], real) == 0)
			return err_set(e, E_USAGE, 0, "'%s' includes itself", path);
	if (y->depth > YAML_INCLUDE_MAX)
		return err_set(e, E_USAGE, 0, "'%s': files are included more than %d deep", path,
			YAML_INCLUDE_MAX);
	if (++y->n_files > YAML_FILES_MAX)
		return err_set(e, E_USAGE, 0, "'%s': more than %d files are included", path,
			YAML_FILES_MAX);
	char *name = ydoc_strndup(y, path, strlen(path), e);
	if (!name)
		return E_NOMEM;
	int r = io_read_file(AT_FDCWD, path, &b, YAML_FILE_MAX, e);
	if (r < 0)
		return r;
	y->stack[y->depth++] = real;
	r = ydoc_read(y, buf_span(&b), name, ret, e);
	y->stack[--y->depth] = NULL;
	return r;
}

int ydoc_include(struct ydoc *y, const char *from, unsigned line, const char *path,
	struct yaml_node **ret, struct err *e)
{
	const char *slash = strrchr(from, '/');
	CLEANUP_FREE char *full = NULL;
	if (path[0] == '/' || !slash)
		full = strdup(path);
	else if (asprintf(&full, "%.*s/%s", (int)(slash - from), from, path) < 0)
		full = NULL;
	if (!full)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	struct err own = ERR_INIT;
	int r = load(y, full, ret, &own);
	if (r < 0) {
		err_pass(e, &own);
		return err_wrap(e, "%s:%u: !include", from, line);
	}
	return 0;
}

/* An !omit that nothing was joined with would be an item like others: its writer means another thing. */
static int check_marks(const struct yaml_node *n, struct err *e)
{
	int r = 0;
	if (n->mark & MARK_OMIT)
		return ydoc_err(e, n, "!omit takes items out of an included list (<<: !include); there "
			"is none here");
	for (size_t i = 0; i < n->n && r == 0; i++)
		r = check_marks(n->v[i].value, e);
	return r;
}

static int finish(struct ydoc *y, struct yaml_node *root, struct ydoc **ret, struct err *e)
{
	int r = check_marks(root, e);
	if (r < 0) {
		ydoc_free(y);
		return r;
	}
	y->root = root;
	*ret = y;
	return 0;
}

static struct ydoc *new_yaml(const struct yaml_options *opt, struct err *e)
{
	struct ydoc *y = calloc(1, sizeof *y);
	if (!y)
		err_set(e, E_NOMEM, 0, "no memory for a configuration");
	else if (opt)
		y->opt = *opt;
	return y;
}

int ydoc_load(struct ydoc **ret, const char *path, const struct yaml_options *opt, struct err *e)
{
	struct yaml_node *root;
	struct ydoc *y = new_yaml(opt, e);
	if (!y)
		return E_NOMEM;
	int r = load(y, path, &root, e);
	if (r < 0) {
		ydoc_free(y);
		return r;
	}
	return finish(y, root, ret, e);
}

int ydoc_parse(struct ydoc **ret, struct span text, const char *name,
	const struct yaml_options *opt, struct err *e)
{
	struct yaml_node *root;
	struct ydoc *y = new_yaml(opt, e);
	if (!y)
		return E_NOMEM;
	char *copy = ydoc_strndup(y, name, strlen(name), e);
	int r = !copy ? E_NOMEM
		: text.n > YAML_FILE_MAX
			? err_set(e, E_USAGE, 0, "'%s' is larger than %zu bytes", name, YAML_FILE_MAX)
			: 0;
	y->depth = 1; /* this text, which has no real name */
	if (r == 0)
		r = ydoc_read(y, text, copy, &root, e);
	if (r < 0) {
		ydoc_free(y);
		return r;
	}
	return finish(y, root, ret, e);
}

/* ---- looking at it ---- */

const struct yaml_node *ydoc_root(const struct ydoc *y)
{
	return y->root;
}

const struct yaml_note *ydoc_unset(const struct ydoc *y, size_t *ret_n)
{
	*ret_n = y->n_unset;
	return y->unset;
}

const struct yaml_note *ydoc_mended(const struct ydoc *y, size_t *ret_n)
{
	*ret_n = y->n_mended;
	return y->mended;
}

const struct yaml_node *ydoc_get(const struct yaml_node *map, const char *key)
{
	if (!map || map->kind != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->v[i].key, key) == 0)
			return map->v[i].value;
	return NULL;
}

bool ydoc_is_null(const struct yaml_node *n)
{
	return !n || (n->kind == YAML_SCALAR && n->plain &&
			     (!*n->text || strcmp(n->text, "~") == 0 ||
				     strcasecmp(n->text, "null") == 0));
}

int ydoc_want(const struct yaml_node *n, enum yaml_kind kind, const char *what, struct err *e)
{
	static const char *const name[] = {"a single value", "a list", "a map of keys and values"};
	if (n->kind == kind)
		return 0;
	return ydoc_err(e, n, "%s is %s here; it must be %s", what,
		ydoc_is_null(n) ? "empty" : name[n->kind], name[kind]);
}

int ydoc_string(const struct yaml_node *n, const char *what, const char **ret, struct err *e)
{
	int r = ydoc_want(n, YAML_SCALAR, what, e);
	if (r == 0 && ydoc_is_null(n))
		return ydoc_err(e, n, "%s is empty", what);
	if (r == 0)
		*ret = n->text;
	return r;
}

int ydoc_bool(const struct yaml_node *n, const char *what, bool *ret, struct err *e)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
	int r = ydoc_want(n, YAML_SCALAR, what, e);
	if (r < 0)
		return r;
	for (int i = 0; i < 6; i++)
		if (strcasecmp(n->text, words[i]) == 0) {
			*ret = i & 1;
			return 0;
		}
	return ydoc_err(e, n, "%s is true or false, not '%s'", what, n->text);
}

int ydoc_int(const struct yaml_node *n, const char *what, int64_t least, int64_t most, int64_t *ret,
	struct err *e)
{
	char *end;
	int r = ydoc_want(n, YAML_SCALAR, what, e);
	if (r < 0)
		return r;
	errno = 0;
	long long v = strtoll(n->text, &end, 10);
	if (end == n->text || *end || errno || v < least || v > most)
		return ydoc_err(e, n, "%s is a number from %lld to %lld, not '%s'", what,
			(long long)least, (long long)most, n->text);
	*ret = v;
	return 0;
}

static int verr_at(struct err *e, const char *file, unsigned line, const char *fmt, va_list ap)
{
	char msg[500];
	vsnprintf(msg, sizeof msg, fmt, ap);
	return err_set(e, E_USAGE, 0, "%s:%u: %s", file, line, msg);
}

int ydoc_err_at(struct err *e, const char *file, unsigned line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int r = verr_at(e, file, line, fmt, ap);
	va_end(ap);
	return r;
}

int ydoc_err(struct err *e, const struct yaml_node *n, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int r = verr_at(e, n->file, n->line, fmt, ap);
	va_end(ap);
	return r;
}

/* Letters to change, add, drop or swap with a neighbour to make one word of the other. */
static unsigned distance(const char *a, const char *b)
{
	enum { MOST = 48 };
	unsigned d[3][MOST + 1];
	size_t na = strlen(a), nb = strlen(b);
	if (na > MOST || nb > MOST)
		return UINT_MAX;
	for (size_t k = 0; k <= nb; k++)
		d[0][k] = (unsigned)k;
	for (size_t i = 1; i <= na; i++) {
		unsigned *up = d[(i - 1) % 3], *row = d[i % 3];
		row[0] = (unsigned)i;
		for (size_t k = 1; k <= nb; k++) {
			unsigned best = up[k - 1] + (a[i - 1] != b[k - 1]);
			if (up[k] + 1 < best)
				best = up[k] + 1;
			if (row[k - 1] + 1 < best)
				best = row[k - 1] + 1;
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
				d[(i - 2) % 3][k - 2] + 1 < best)
				best = d[(i - 2) % 3][k - 2] + 1;
			row[k] = best;
		}
	}
	return d[na % 3][nb];
}

const char *ydoc_nearest(const char *word, const char *const *known)
{
	const char *best = NULL;
	unsigned least = (unsigned)strlen(word) / 3 + 1;
	if (least > 4)
		least = 4;
	for (; *known; known++) {
		unsigned d = distance(word, *known);
		if (d < least) {
			least = d;
			best = *known;
		}
	}
	return best;
}
