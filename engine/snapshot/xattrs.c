#include "engine/snapshot/xattrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "engine/base/cleanup.h"

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names, one NUL-terminated after the other, and in how many. */
static int list_names(const char *path, struct buf *names, size_t *ret_n, struct err *e)
{
	*ret_n = 0;
	for (;;) {
		ssize_t n = llistxattr(path, (char *)names->p, names->cap);
		if (n < 0 && errno == ERANGE) {
			n = llistxattr(path, NULL, 0);
			if (n >= 0) {
				int r = buf_reserve_exact(names, (size_t)n + 256, e);
				if (r < 0)
					return r;
				continue;
			}
		}
		if (n < 0 && (errno == ENOTSUP || errno == ENODATA || errno == ENOSYS))
			n = 0;
		if (n < 0)
			return err_set(e, E_IO, errno, "list attributes");
		names->len = (size_t)n;
		for (ssize_t i = 0; i < n; i++)
			*ret_n += names->p[i] == 0;
		return 0;
	}
}

static int add_value(const char *path, const char *name, struct buf *out, struct err *e)
{
	CLEANUP_BUF struct buf v = BUF_INIT;
	int r = buf_reserve(&v, 256, e);
	while (r == 0) {
		ssize_t n = lgetxattr(path, name, v.p, v.cap);
		if (n >= 0) {
			r = put_str(out, name, e);
			return r < 0 ? r : put_bytes(out, span_of(v.p, (size_t)n), e);
		}
		if (errno == ENODATA)
			return 0; /* gone meanwhile */
		if (errno != ERANGE)
			return err_set(e, E_IO, errno, "read attribute '%s'", name);
		r = buf_reserve(&v, v.cap * 4, e);
	}
	return r;
}

int xattrs_read(const char *path, struct buf *out, struct err *e)
{
	CLEANUP_BUF struct buf names = BUF_INIT;
	size_t n, k = 0;
	int r = buf_reserve(&names, 512, e);
	if (r == 0)
		r = list_names(path, &names, &n, e);
	if (r < 0 || n == 0)
		return r;
	CLEANUP_FREE const char **v = calloc(n, sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for attributes");
	for (size_t at = 0; at < names.len; at += strlen((char *)names.p + at) + 1)
		v[k++] = (char *)names.p + at;
	qsort(v, n, sizeof *v, by_name);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_value(path, v[i], out, e);
	return r;
}

bool xattrs_next(struct rd *r, struct span *name, struct span *value)
{
	if (rd_left(r) == 0)
		return false;
	*name = rd_bytes(r);
	*value = rd_bytes(r);
	if (name->n == 0 || name->n > 255 || memchr(name->p, 0, name->n))
		r->bad = true;
	return !r->bad;
}

bool xattrs_have_acl(struct span list)
{
	static const char start[] = "system.posix_acl_";
	struct rd r = rd_of(list);
	struct span n, v;
	while (xattrs_next(&r, &n, &v))
		if (n.n >= strlen(start) && memcmp(n.p, start, strlen(start)) == 0)
			return true;
	return false;
}

static bool wanted(struct span list, const char *name)
{
	struct rd r = rd_of(list);
	struct span n, v;
	while (xattrs_next(&r, &n, &v))
		if (n.n == strlen(name) && memcmp(n.p, name, n.n) == 0)
			return true;
	return false;
}

int xattrs_apply(const char *path, struct span list, unsigned *ret_failed, struct err *e)
{
	CLEANUP_BUF struct buf have = BUF_INIT;
	struct rd r = rd_of(list);
	struct span n, v;
	size_t count;
	*ret_failed = 0;
	int rc = buf_reserve(&have, 512, e);
	if (rc == 0)
		rc = list_names(path, &have, &count, e);
	if (rc < 0)
		return rc;
	for (size_t at = 0; at < have.len; at += strlen((char *)have.p + at) + 1) {
		const char *name = (char *)have.p + at;
		if (!wanted(list, name) && strncmp(name, "security.", 9) != 0)
			lremovexattr(path, name);
	}
	while (xattrs_next(&r, &n, &v)) {
		char name[256];
		memcpy(name, n.p, n.n);
		name[n.n] = 0;
		if (lsetxattr(path, name, v.p, v.n, 0) < 0)
			++*ret_failed;
	}
	return r.bad ? err_set(e, E_CORRUPT, 0, "a list of attributes is not well formed") : 0;
}
