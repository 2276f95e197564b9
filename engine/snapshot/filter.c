#include "engine/snapshot/filter.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)

int filter_add(struct filter *f, const char *pattern, struct err *e)
{
	size_t len = strlen(pattern);
	while (len > 1 && pattern[len - 1] == '/')
		len--; /* "logs/" means the directory and all below */
	if (len == 0)
		return err_set(e, E_USAGE, 0, "an empty pattern excludes nothing");
	char **p = realloc(f->patterns, (f->n + 1) * sizeof *p);
	if (p)
		f->patterns = p;
	char *copy = p ? strndup(pattern, len) : NULL;
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for a pattern");
	p[f->n++] = copy;
	return 0;
}

int filter_add_file(struct filter *f, const char *path, struct err *e)
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
		if (*line && *line != '#')
			r = filter_add(f, line, e);
	}
	return r;
}

void filter_free(struct filter *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->patterns[i]);
	free(f->patterns);
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

bool filter_excludes(const struct filter *f, const char *path)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (matches(f->patterns[i], path))
			return true;
	return false;
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
