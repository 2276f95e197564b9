#include "engine/snapshot/filter.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)

static int keep(char ***v, size_t *n, char *text, struct err *e)
{
	char **p = text ? realloc(*v, (*n + 1) * sizeof *p) : NULL;
	if (!p) {
		free(text);
		return err_set(e, E_NOMEM, 0, "no memory for a pattern");
	}
	*v = p;
	p[(*n)++] = text;
	return 0;
}

int filter_add(struct filter *f, const char *pattern, struct err *e)
{
	size_t len = strlen(pattern);
	while (len > 1 && pattern[len - 1] == '/')
		len--; /* "logs/" means the directory and all below */
	if (len == 0)
		return err_set(e, E_USAGE, 0, "an empty pattern excludes nothing");
	return keep(&f->patterns, &f->n, strndup(pattern, len), e);
}

int filter_add_marker(struct filter *f, const char *name, struct err *e)
{
	if (!*name || *name == '/')
		return err_set(e, E_USAGE, 0, "'%s' is no name of a file in a directory", name);
	return keep(&f->markers, &f->n_markers, strdup(name), e);
}

/* Each line that is not blank and no comment. */
static int add_lines(struct filter *f, const char *path, bool trim,
	int (*add)(struct filter *f, const char *pattern, struct err *e), struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = io_read_file(AT_FDCWD, path, &b, FILE_MAX_BYTES, e);
	if (r == 0)
		r = buf_add(&b, "\n", 2, e);
	for (char *line = r == 0 ? (char *)b.p : NULL, *next; line && *line && r == 0;
		line = next) {
		char *nl = strchr(line, '\n');
		*nl = 0;
		next = nl + 1;
		if (nl > line && nl[-1] == '\r')
			nl[-1] = 0;
		if (trim) {
			line += strspn(line, " \t");
			for (size_t n = strlen(line); n && strchr(" \t", line[n - 1]); n--)
				line[n - 1] = 0;
		}
		if (*line && *line != '#')
			r = add(f, line, e);
	}
	return r < 0 && b.p ? err_wrap(e, "'%s'", path) : r;
}

int filter_add_file(struct filter *f, const char *path, struct err *e)
{
	return add_lines(f, path, false, filter_add, e);
}

int filter_add_borg_file(struct filter *f, const char *path, struct err *e)
{
	return add_lines(f, path, true, filter_add_borg, e);
}

static void free_all(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

void filter_free(struct filter *f)
{
	free_all(f->patterns, f->n);
	free_all(f->borg, f->n_borg);
	free_all(f->markers, f->n_markers);
	*f = (struct filter){0};
}

static bool matches(const char *pattern, const char *path)
{
	if (!strchr(pattern, '/')) {
		const char *slash = strrchr(path, '/');
		return fnmatch(pattern, slash ? slash + 1 : path, 0) == 0;
	}
	if (fnmatch(pattern, path, 0) == 0)
		return true;
	if (pattern[0] == '/')
		return false;
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/'))
		if (fnmatch(pattern, p + 1, 0) == 0)
			return true;
	return false;
}

/* ---- borg's patterns ---- */

/* Without "." components, doubled slashes and the first slash. */
static char *clean_path(const char *s)
{
	char *out = malloc(strlen(s) + 1), *w = out;
	while (out && *s) {
		size_t n = strcspn(s, "/");
		if (n && !(n == 1 && s[0] == '.')) {
			if (w > out)
				*w++ = '/';
			memcpy(w, s, n);
			w += n;
		}
		s += n + (s[n] == '/');
	}
	if (out)
		*w = 0;
	return out;
}

int filter_add_borg(struct filter *f, const char *pattern, struct err *e)
{
	static const char *const styles[] = {"fm:", "sh:", "pp:", "pf:"};
	/* What is matched is a path with a slash behind it: so that these end at a component. */
	static const char *const tail[] = {"/*", "/**/*", "/", "/"};
	int style = 0;
	size_t len = strlen(pattern);
	if (len >= 3 && pattern[2] == ':') {
		while (style < 4 && strncmp(pattern, styles[style], 3) != 0)
			style++;
		if (style == 4)
			return err_set(e, E_USAGE, 0,
				"'%s': patterns of this style are not understood; there are fm:, sh:, pp: "
				"and pf:", pattern);
		pattern += 3;
	}
	CLEANUP_FREE char *clean = clean_path(pattern);
	if (clean && !*clean)
		return err_set(e, E_USAGE, 0, "an empty pattern excludes nothing");
	/* "dir/" is what is in the directory, not the directory. */
	bool below = style < 2 && len && pattern[strlen(pattern) - 1] == '/';
	static const char letter[] = "fspe";
	char *full = NULL;
	if (!clean || asprintf(&full, "%c%s%s", letter[style], clean,
			      below ? (style ? "/**/*/" : "/*/") : tail[style]) < 0)
		full = NULL;
	return keep(&f->borg, &f->n_borg, full, e);
}

static const char *set_end(const char *p)
{
	const char *q = p + 1;
	if (*q == '!')
		q++;
	if (*q == ']')
		q++;
	q = strchr(q, ']');
	return q ? q + 1 : NULL;
}

/* sh: patterns. Each star tries what is left, so that the work could grow with every star: it is bounded by
 * `steps`, which real patterns do not come near. */
static bool match_sh(const char *p, const char *s, unsigned *steps)
{
	for (; *p; p++, s++) {
		if (*steps == 0)
			return false;
		--*steps;
		if (p[0] == '*' && p[1] == '*' && p[2] == '/') {
			for (const char *at = s; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
				if (match_sh(p + 3, at, steps))
					return true;
			return false;
		}
		if (*p == '*') {
			for (;; s++) {
				if (match_sh(p + 1, s, steps))
					return true;
				if (!*s || *s == '/')
					return false;
			}
		}
		if (!*s || (*s == '/') != (*p == '/'))
			return false;
		const char *end = *p == '[' ? set_end(p) : NULL;
		if (end) {
			char set[256], one[2] = {*s};
			if ((size_t)(end - p) >= sizeof set)
				return false;
			memcpy(set, p, (size_t)(end - p));
			set[end - p] = 0;
			if (fnmatch(set, one, FNM_NOESCAPE) != 0)
				return false;
			p = end - 1;
		} else if (*p != '?' && *p != *s) {
			return false;
		}
	}
	return !*s;
}

static bool matches_borg(const char *p, const char *path)
{
	unsigned steps = 100000;
	switch (*p++) {
	case 'f':
		return fnmatch(p, path, FNM_NOESCAPE) == 0;
	case 's':
		return match_sh(p, path, &steps);
	case 'p':
		return strncmp(path, p, strlen(p)) == 0;
	default:
		return strcmp(path, p) == 0;
	}
}

static bool excluded_by_borg(const struct filter *f, const char *path)
{
	CLEANUP_FREE char *full = NULL;
	if (!f->n_borg)
		return false;
	if (asprintf(&full, "%s/", path + strspn(path, "/")) < 0) {
		full = NULL;
		return false; /* rather too much in a snapshot than too little */
	}
	for (size_t i = 0; i < f->n_borg; i++)
		if (matches_borg(f->borg[i], full))
			return true;
	return false;
}

bool filter_excludes(const struct filter *f, const char *path)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (matches(f->patterns[i], path))
			return true;
	return f && excluded_by_borg(f, path);
}

bool filter_is_cache_dir(const struct filter *f, int dirfd)
{
	static const char signature[] = "Signature: 8a477f597d28d172789f06886806bc55";
	char got[sizeof signature - 1];
	if (!f || !f->caches)
		return false;
	CLEANUP_FD int fd = openat(dirfd, "CACHEDIR.TAG", O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
								  O_NONBLOCK);
	return fd >= 0 && read(fd, got, sizeof got) == (ssize_t)sizeof got &&
	       memcmp(got, signature, sizeof got) == 0;
}

bool filter_skips_contents(const struct filter *f, int dirfd)
{
	for (size_t i = 0; f && i < f->n_markers; i++)
		if (faccessat(dirfd, f->markers[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return filter_is_cache_dir(f, dirfd);
}
