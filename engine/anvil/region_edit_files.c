/* region_edit_files.c - region files that are written anew: temporary files, making, repacking. */
#include "engine/anvil/region_edit_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/xattr.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/base/wire.h"

int region_temp_open(struct region_folder *f, const char *name, char tmp[128], int *ret_fd,
	struct err *e)
{
	uint64_t salt;
	if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
		return err_set(e, E_IO, errno, "no random bytes");
	snprintf(tmp, 128, "%s.%016llx" REGION_TEMP_SUFFIX, name, (unsigned long long)salt);
	*ret_fd = openat(f->fd, tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return *ret_fd < 0 ? err_set(e, E_IO, errno, "create '%s/%s'", f->path, tmp) : 0;
}

int region_temp_publish(struct region_folder *f, int *fd, const char *tmp, const char *name,
	struct err *e)
{
	int r = io_sync_close(fd, tmp, e);
	if (r == 0 && renameat(f->fd, tmp, f->fd, name) < 0)
		r = err_set(e, E_IO, errno, "rename to '%s/%s'", f->path, name);
	if (r < 0) {
		unlinkat(f->fd, tmp, 0);
		return r;
	}
	return io_fsync_dir(f->fd, ".", e);
}

/* ---- a new file ---- */

/* A file as the game would have made it here: the folder's owner, readable as the folder is. */
static int folder_suggests(struct region_folder *f, struct stat *st, struct err *e)
{
	if (fstat(f->fd, st) < 0)
		return err_set(e, E_IO, errno, "'%s'", f->path);
	st->st_mode &= 0666;
	return 0;
}

static int write_empty(int fd, const char *tmp, const uint8_t *header, uint64_t size, struct err *e)
{
	uint8_t h[REGION_HEADER] = {0};
	if (header)
		memcpy(h + REGION_SECTOR, header + REGION_SECTOR, REGION_SECTOR);
	int r = io_write(fd, h, sizeof h, tmp, e);
	if (r == 0 && size > sizeof h && ftruncate(fd, (off_t)size) < 0)
		r = err_set(e, E_IO, errno, "set the size of '%s'", tmp);
	return r;
}

int region_edit_create(struct region_edit **ret, struct region_folder *f, int32_t x, int32_t z,
	const uint8_t *header, uint64_t size, const struct stat *like, struct err *e)
{
	char name[64], tmp[128];
	struct stat st;
	CLEANUP_FD int fd = -1;
	*ret = NULL;
	snprintf(name, sizeof name, "r.%d.%d.mca", x, z);
	if (faccessat(f->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, E_EXISTS, 0, "'%s/%s' is there already", f->path, name);
	int r = like ? 0 : folder_suggests(f, &st, e);
	if (r == 0)
		r = region_temp_open(f, name, tmp, &fd, e);
	if (r < 0)
		return r;
	r = io_own(fd, like ? like : &st, tmp, e);
	if (r == 0)
		r = write_empty(fd, tmp, header, size, e);
	if (r < 0) {
		unlinkat(f->fd, tmp, 0);
		return r;
	}
	r = region_temp_publish(f, &fd, tmp, name, e);
	return r < 0 ? r : region_edit_open(ret, f, x, z, true, e);
}

/* ---- repacking ---- */

struct move {
	unsigned slot;
	uint32_t from, count, len; /* sectors; len: bytes of the record */
};

static int by_sector(const void *a, const void *b)
{
	const struct move *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from;
}

/* What is to be copied; E_FORMAT when an entry cannot be. */
static int plan(struct region_edit *r, struct move *v, unsigned *n, uint64_t *sectors, struct err *e)
{
	int rc = region_edit_map(r, e);
	*n = 0;
	*sectors = 2;
	for (unsigned s = 0; rc == 0 && s < REGION_SLOTS; s++) {
		struct region_entry en = region_edit_entry(r, s);
		if (!region_edit_has(r, s))
			continue;
		if (r->ext[s].broken)
			return err_set(e, E_FORMAT, 0,
				"'%s' has a damaged chunk (%d, %d) and is left as it is", r->path,
				r->x * 32 + (int)(s % 32), r->z * 32 + (int)(s / 32));
		uint32_t need = (r->ext[s].len + REGION_SECTOR - 1) / REGION_SECTOR;
		v[(*n)++] = (struct move){s, en.sector, need, r->ext[s].len};
		*sectors += need;
	}
	qsort(v, *n, sizeof *v, by_sector);
	return rc;
}

static int copy_record(struct region_edit *r, int fd, const char *tmp, const struct move *m,
	uint64_t to, struct buf *b, struct err *e)
{
	size_t n = (size_t)m->count * REGION_SECTOR, got;
	b->len = 0;
	int rc = buf_resize(b, n, e);
	if (rc == 0)
		rc = io_pread(r->fd, b->p, m->len, (uint64_t)m->from * REGION_SECTOR, &got, r->path,
			e);
	if (rc == 0 && got < m->len)
		rc = err_set(e, E_CHANGED, 0, "'%s' became shorter while it was read", r->path);
	if (rc < 0)
		return rc;
	memset(b->p + m->len, 0, n - m->len);
	return io_pwrite(fd, b->p, n, to * REGION_SECTOR, tmp, e);
}

static int copy_xattrs(int from, int to, const char *path, struct err *e)
{
	char names[4096];
	CLEANUP_FREE char *value = malloc(65536);
	ssize_t n = flistxattr(from, names, sizeof names);
	if (!value)
		return err_set(e, E_NOMEM, 0, "no memory for attributes");
	if (n < 0)
		return errno == ENOTSUP ? 0 : err_set(e, E_IO, errno, "attributes of '%s'", path);
	for (char *name = names; name < names + n; name += strlen(name) + 1) {
		ssize_t m = fgetxattr(from, name, value, 65536);
		/* security.* and such may be set by the system alone. */
		if (m < 0 || (fsetxattr(to, name, value, (size_t)m, 0) < 0 && errno != EPERM &&
				     errno != ENOTSUP))
			return err_set(e, E_IO, errno, "attribute %s of '%s'", name, path);
	}
	return 0;
}

static int write_packed(struct region_edit *r, int fd, const char *tmp, const struct move *v,
	unsigned n, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint8_t header[REGION_HEADER] = {0};
	uint32_t at = 2;
	int rc = 0;
	memcpy(header + REGION_SECTOR, r->header + REGION_SECTOR, REGION_SECTOR);
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		rc = copy_record(r, fd, tmp, &v[i], at, &b, e);
		set_be32(header + 4 * v[i].slot, at << 8 | v[i].count);
		at += v[i].count;
	}
	if (rc == 0)
		rc = io_pwrite(fd, header, sizeof header, 0, tmp, e);
	if (rc == 0)
		rc = io_own(fd, &r->st, tmp, e);
	return rc < 0 ? rc : copy_xattrs(r->fd, fd, r->path, e);
}

int region_edit_repack(struct region_edit *r, uint64_t *ret_saved, struct err *e)
{
	CLEANUP_FREE struct move *v = calloc(REGION_SLOTS, sizeof *v);
	char tmp[128];
	unsigned n;
	uint64_t sectors;
	CLEANUP_FD int fd = -1;
	*ret_saved = 0;
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory to repack");
	if (r->size < REGION_HEADER)
		return 0;
	int rc = plan(r, v, &n, &sectors, e);
	if (rc < 0 || sectors * REGION_SECTOR >= r->size)
		return rc;
	rc = region_temp_open(r->folder, r->name, tmp, &fd, e);
	if (rc < 0)
		return rc;
	rc = write_packed(r, fd, tmp, v, n, e);
	if (rc < 0) {
		unlinkat(r->folder->fd, tmp, 0);
		return rc;
	}
	rc = region_temp_publish(r->folder, &fd, tmp, r->name, e);
	if (rc == 0)
		*ret_saved = r->size - sectors * REGION_SECTOR;
	return rc;
}
