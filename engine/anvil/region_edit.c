#include "engine/anvil/region_edit_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/base/wire.h"

#define RECORD_HEAD 5
#define NBT_MAX ((size_t)256 << 20)

/* ---- parts ---- */

void chunk_part_free(struct chunk_part *p)
{
	buf_free(&p->record);
	buf_free(&p->mcc);
	*p = (struct chunk_part){0};
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

bool chunk_part_equal(const struct chunk_part *a, const struct chunk_part *b)
{
	return a->present == b->present && a->raw == b->raw &&
	       a->entry.sector == b->entry.sector && a->entry.count == b->entry.count &&
	       a->entry.timestamp == b->entry.timestamp && a->has_mcc == b->has_mcc &&
	       same_bytes(&a->record, &b->record) && same_bytes(&a->mcc, &b->mcc);
}

int chunk_part_check(const struct chunk_part *p, int32_t x, int32_t z, struct err *e)
{
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	struct chunk_info info;
	if (p->raw || p->record.len < RECORD_HEAD ||
		(uint64_t)get_be32(p->record.p) + 4 != p->record.len)
		return err_set(e, E_FORMAT, 0, "its header entry names no whole record");
	unsigned type = p->record.p[4];
	struct span stream = span_sub(buf_span(&p->record), RECORD_HEAD, SIZE_MAX);
	if (type & CHUNK_EXTERNAL) {
		if (!p->has_mcc)
			return err_set(e, E_FORMAT, 0, "its .mcc file is missing");
		stream = buf_span(&p->mcc);
	}
	int r = chunk_decode(type & ~(unsigned)CHUNK_EXTERNAL, stream, NBT_MAX, &nbt, e);
	if (r == 0)
		r = chunk_info_read(buf_span(&nbt), &info, e);
	if (r == 0 && info.has_pos && (info.x != x || info.z != z))
		r = err_set(e, E_FORMAT, 0, "it says that it is chunk %d, %d", info.x, info.z);
	return r;
}

/* ---- folders ---- */

static int make_folder(const char *path, struct err *e)
{
	struct stat up;
	CLEANUP_FREE char *above = NULL;
	if (asprintf(&above, "%s/..", path) < 0) {
		above = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : err_set(e, E_IO, errno, "make the folder '%s'", path);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || stat(above, &up) < 0)
		return err_set(e, E_IO, errno, "'%s'", path);
	int r = io_own(fd, &up, path, e);
	if (r == 0)
		r = io_fsync_dir(fd, ".", e);
	return r < 0 ? r : io_fsync_dir(AT_FDCWD, above, e);
}

int region_folder_open(struct region_folder *ret, const char *path, bool create, struct err *e)
{
	*ret = (struct region_folder){.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (ret->fd < 0 && errno == ENOENT && create) {
		int r = make_folder(path, e);
		if (r < 0)
			return r;
		ret->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (ret->fd < 0)
		return err_set(e, E_IO, errno, "open the folder '%s'", path);
	ret->path = strdup(path);
	if (ret->path)
		return 0;
	region_folder_close(ret);
	return err_set(e, E_NOMEM, 0, "no memory for a path");
}

void region_folder_close(struct region_folder *f)
{
	if (f->path)
		close(f->fd);
	free(f->path);
	*f = (struct region_folder){.fd = -1};
}

int region_folder_clean(struct region_folder *f, struct err *e)
{
	int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		int sys = errno;
		if (fd >= 0)
			close(fd);
		return err_set(e, E_IO, sys, "read the folder '%s'", f->path);
	}
	for (struct dirent *en; (en = readdir(d));) {
		size_t n = strlen(en->d_name), m = strlen(REGION_TEMP_SUFFIX);
		if (n > m && strcmp(en->d_name + n - m, REGION_TEMP_SUFFIX) == 0 &&
			unlinkat(f->fd, en->d_name, 0) < 0 && errno != ENOENT && errno != EISDIR)
			return err_set(e, E_IO, errno, "remove '%s/%s'", f->path, en->d_name);
	}
	return 0;
}

/* ---- opening ---- */

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory to change a region file");
}

static int new_edit(struct region_edit **ret, struct region_folder *f, int32_t x, int32_t z,
	struct err *e)
{
	struct region_edit *r = calloc(1, sizeof *r);
	*ret = NULL;
	if (!r)
		return no_memory(e);
	*r = (struct region_edit){.folder = f, .fd = -1, .x = x, .z = z};
	snprintf(r->name, sizeof r->name, "r.%d.%d.mca", x, z);
	if (asprintf(&r->path, "%s/%s", f->path, r->name) < 0) {
		r->path = NULL;
		region_edit_close(r);
		return no_memory(e);
	}
	*ret = r;
	return 0;
}

/* What a file that is shorter lacks reads as 0, as the game has it. */
static int load(struct region_edit *r, struct err *e)
{
	size_t n = 0;
	if (fstat(r->fd, &r->st) < 0)
		return err_set(e, E_IO, errno, "'%s'", r->path);
	if (!S_ISREG(r->st.st_mode))
		return err_set(e, E_IO, 0, "'%s' is not a regular file", r->path);
	r->size = r->committed = (uint64_t)r->st.st_size;
	int rc = io_pread(r->fd, r->header, REGION_HEADER, 0, &n, r->path, e);
	if (rc < 0)
		return rc;
	r->short_header = n < REGION_HEADER;
	memset(r->header + n, 0, REGION_HEADER - n);
	memcpy(r->pending, r->header, REGION_HEADER);
	return 0;
}

int region_edit_open(struct region_edit **ret, struct region_folder *f, int32_t x, int32_t z,
	bool write, struct err *e)
{
	struct region_edit *r;
	int rc = new_edit(&r, f, x, z, e);
	*ret = NULL;
	if (rc < 0)
		return rc;
	r->fd = openat(f->fd, r->name, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW |
					       O_NONBLOCK | O_NOCTTY);
	rc = r->fd < 0 ? errno == ELOOP ? err_set(e, E_IO, 0,
						   "'%s' is a symbolic link: such files are left alone",
						   r->path)
					 : err_set(e, E_IO, errno, "open '%s'", r->path)
		       : load(r, e);
	if (rc < 0) {
		region_edit_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void region_edit_close(struct region_edit *r)
{
	if (!r)
		return;
	if (r->fd >= 0) {
		/* What was put and not committed: nothing refers to it. */
		if (r->has_pending && r->size > r->committed &&
			ftruncate(r->fd, (off_t)r->committed) < 0) {
			/* then it stays, as free sectors */
		}
		close(r->fd); /* everything that matters was synced */
	}
	free(r->path);
	free(r);
}

struct region_entry region_edit_entry(const struct region_edit *r, unsigned slot)
{
	return region_entry_at(r->header, slot);
}

const uint8_t *region_edit_header(const struct region_edit *r)
{
	return r->header;
}

const struct stat *region_edit_stat(const struct region_edit *r)
{
	return &r->st;
}

bool region_edit_has(const struct region_edit *r, unsigned slot)
{
	return get_be32(r->header + 4 * slot) != 0;
}

unsigned region_edit_count(const struct region_edit *r)
{
	unsigned n = 0;
	for (unsigned s = 0; s < REGION_SLOTS; s++)
		n += region_edit_has(r, s);
	return n;
}

/* ---- reading ---- */

static int read_at(void *ctx, uint64_t off, void *p, size_t n, size_t *ret_n, struct err *e)
{
	struct region_edit *r = ctx;
	return io_pread(r->fd, p, n, off, ret_n, r->path, e);
}

int region_edit_map(struct region_edit *r, struct err *e)
{
	int rc = r->has_map ? 0 : region_map(r->header, r->size, read_at, r, r->ext, e);
	r->has_map = rc == 0;
	return rc;
}

static void mcc_name(const struct region_edit *r, unsigned slot, char out[64])
{
	snprintf(out, 64, "c.%lld.%lld.mcc", (long long)r->x * 32 + slot % 32,
		(long long)r->z * 32 + slot / 32);
}

/* Whatever has the name: a link would take us out of the world, and a FIFO would keep us for ever. */
static int read_mcc(struct region_edit *r, unsigned slot, struct chunk_part *p, struct err *e)
{
	char name[64];
	struct stat st;
	mcc_name(r, slot, name);
	CLEANUP_FD int fd = openat(r->folder->fd, name,
		O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, E_IO, errno, "open '%s/%s'", r->folder->path, name);
	if (!S_ISREG(st.st_mode))
		return 0;
	int rc = io_read_all(fd, &p->mcc, REGION_MCC_MAX, name, e);
	p->has_mcc = rc == 0;
	return rc;
}

int region_edit_read(struct region_edit *r, unsigned slot, struct chunk_part *p, struct err *e)
{
	*p = (struct chunk_part){.entry = region_edit_entry(r, slot)};
	if (!region_edit_has(r, slot))
		return 0;
	int rc = region_edit_map(r, e);
	if (rc < 0)
		return rc;
	p->present = true;
	p->raw = r->ext[slot].broken;
	uint64_t off = (uint64_t)p->entry.sector * REGION_SECTOR;
	size_t n = p->raw ? (size_t)p->entry.count * REGION_SECTOR : r->ext[slot].len, got = 0;
	if (p->raw && off < REGION_HEADER)
		n = 0; /* the header's bytes are no chunk's */
	rc = buf_resize(&p->record, n, e);
	if (rc == 0 && n)
		rc = io_pread(r->fd, p->record.p, n, off, &got, r->path, e);
	if (rc == 0 && got < n && !p->raw)
		rc = err_set(e, E_CHANGED, 0, "'%s' became shorter while it was read", r->path);
	if (rc == 0) {
		p->record.len = got;
		/* What a damaged record would say is not known; its .mcc goes and comes back with it. */
		if (p->raw || p->record.p[4] & CHUNK_EXTERNAL)
			rc = read_mcc(r, slot, p, e);
	}
	if (rc < 0)
		chunk_part_free(p);
	return rc;
}

/* ---- who owns what ---- */

int sector_map_make(struct sector_map *m, const uint8_t header[REGION_HEADER], uint64_t size,
	const bool *without, struct err *e)
{
	m->end = (size + REGION_SECTOR - 1) / REGION_SECTOR;
	for (unsigned s = 0; s < REGION_SLOTS; s++) {
		struct region_entry en = region_entry_at(header, s);
		if (en.count && (uint64_t)en.sector + en.count > m->end)
			m->end = (uint64_t)en.sector + en.count;
	}
	if (m->end < 2)
		m->end = 2;
	m->bits = calloc(1, (size_t)(m->end / 8 + 1));
	if (!m->bits)
		return no_memory(e);
	m->bits[0] = 3; /* the header's */
	for (unsigned s = 0; s < REGION_SLOTS; s++) {
		struct region_entry en = region_entry_at(header, s);
		if (without && without[s])
			continue;
		for (uint64_t i = en.sector; i < (uint64_t)en.sector + en.count; i++)
			m->bits[i / 8] |= (uint8_t)(1 << (i % 8));
	}
	return 0;
}

/* What is to be replaced stays until the header has changed. */
static int add_owned(struct sector_map *m, const uint8_t header[REGION_HEADER], struct err *e)
{
	struct sector_map more;
	int rc = sector_map_make(&more, header, m->end * REGION_SECTOR, NULL, e);
	if (rc < 0)
		return rc;
	for (uint64_t i = 0; i < m->end / 8 + 1; i++)
		more.bits[i] |= m->bits[i];
	free(m->bits);
	*m = more;
	return 0;
}

uint64_t region_edit_would_free(const struct region_edit *r, const bool slots[REGION_SLOTS])
{
	struct sector_map rest, all;
	uint64_t n = 0;
	if (sector_map_make(&rest, r->header, r->size, slots, NULL) < 0)
		return 0;
	if (sector_map_make(&all, r->header, r->size, NULL, NULL) == 0) {
		uint64_t end = (r->size + REGION_SECTOR - 1) / REGION_SECTOR;
		for (uint64_t i = 2; i < end; i++)
			n += sector_owned(&all, i) && !sector_owned(&rest, i);
		free(all.bits);
	}
	free(rest.bits);
	return n * REGION_SECTOR;
}

/* ---- clearing ---- */

/* One half of the header: locations (0) or time stamps (1). */
static int write_half(struct region_edit *r, const uint8_t *header, unsigned half, struct err *e)
{
	return io_pwrite(r->fd, header + half * REGION_SECTOR, REGION_SECTOR,
		(uint64_t)half * REGION_SECTOR, r->path, e);
}

static int sync_file(struct region_edit *r, struct err *e)
{
	return fsync(r->fd) < 0 ? err_set(e, E_IO, errno, "fsync '%s'", r->path) : 0;
}

int region_edit_clear(struct region_edit *r, const bool slots[REGION_SLOTS], struct err *e)
{
	uint8_t header[REGION_HEADER];
	bool any = false;
	memcpy(header, r->header, REGION_HEADER);
	for (unsigned s = 0; s < REGION_SLOTS; s++)
		if (slots[s] && region_edit_has(r, s)) {
			set_be32(header + 4 * s, 0);
			set_be32(header + REGION_SECTOR + 4 * s, 0);
			any = true;
		}
	if (!any)
		return 0;
	int rc = write_half(r, header, 0, e);
	if (rc == 0)
		rc = sync_file(r, e);
	/* Only now: a chunk that a power cut leaves in its place must have its time stamp. One that is left
	 * without a chunk does no harm, so nobody waits for this. */
	if (rc == 0)
		rc = write_half(r, header, 1, e);
	if (rc < 0)
		return rc;
	memcpy(r->header, header, REGION_HEADER);
	memcpy(r->pending, header, REGION_HEADER);
	r->has_map = false;
	if (r->size < REGION_HEADER)
		r->size = r->committed = REGION_HEADER;
	r->short_header = false;
	return 0;
}

/* Does what is in the slot need its .mcc? What cannot be read might. */
static int is_external(struct region_edit *r, unsigned slot, bool *ret, struct err *e)
{
	uint8_t head[RECORD_HEAD];
	size_t n;
	*ret = region_edit_has(r, slot);
	if (!*ret)
		return 0;
	int rc = io_pread(r->fd, head, sizeof head,
		(uint64_t)region_edit_entry(r, slot).sector * REGION_SECTOR, &n, r->path, e);
	if (rc == 0 && n == sizeof head)
		*ret = head[4] & CHUNK_EXTERNAL;
	return rc;
}

uint64_t region_edit_mcc_disk(const struct region_edit *r, unsigned slot)
{
	char name[64];
	struct stat st;
	mcc_name(r, slot, name);
	return fstatat(r->folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0
									  : (uint64_t)st.st_blocks * 512;
}

int region_edit_unlink_mcc(struct region_edit *r, const bool slots[REGION_SLOTS],
	uint64_t *ret_freed, struct err *e)
{
	bool any = false;
	for (unsigned s = 0; s < REGION_SLOTS; s++) {
		char name[64];
		bool external = false;
		int rc = slots[s] ? is_external(r, s, &external, e) : 0;
		if (rc < 0)
			return rc;
		if (!slots[s] || external)
			continue;
		struct stat st;
		mcc_name(r, s, name);
		/* Only what read_mcc() would have taken along. */
		if (fstatat(r->folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		if (unlinkat(r->folder->fd, name, 0) == 0) {
			*ret_freed += (uint64_t)st.st_blocks * 512;
			any = true;
		} else if (errno != ENOENT) {
			return err_set(e, E_IO, errno, "remove '%s/%s'", r->folder->path, name);
		}
	}
	return any ? io_fsync_dir(r->folder->fd, ".", e) : 0;
}

static int punch(struct region_edit *r, uint64_t from, uint64_t to, bool *can, struct err *e)
{
	if (!*can || from == to)
		return 0;
	int rc;
	do
		rc = fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)(from * REGION_SECTOR), (off_t)((to - from) * REGION_SECTOR));
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EPERM)
		return err_set(e, E_IO, errno, "free sectors of '%s'", r->path);
	*can = false;
	return 0;
}

int region_edit_punch(struct region_edit *r, const struct region_entry *was, size_t n, bool can,
	uint64_t *ret_freed, struct err *e)
{
	struct sector_map m;
	uint64_t end = (r->size + REGION_SECTOR - 1) / REGION_SECTOR, freed = 0;
	int rc = sector_map_make(&m, r->header, r->size, NULL, e);
	if (rc < 0)
		return rc;
	/* Mark what the entries had, so that shared sectors count once and neighbours are one hole. */
	CLEANUP_FREE uint8_t *had = calloc(1, (size_t)(end / 8 + 1));
	if (!had)
		rc = no_memory(e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		for (uint64_t s = was[i].sector; s < (uint64_t)was[i].sector + was[i].count; s++)
			if (s < end && !sector_owned(&m, s))
				had[s / 8] |= (uint8_t)(1 << (s % 8));
	uint64_t from = 2;
	for (uint64_t s = 2; rc == 0 && s <= end; s++) {
		bool hole = s < end && (had[s / 8] >> (s % 8) & 1);
		freed += hole;
		if (hole)
			continue;
		rc = punch(r, from, s, &can, e);
		from = s + 1;
	}
	free(m.bits);
	*ret_freed += freed * REGION_SECTOR;
	return rc;
}

int region_edit_remove(struct region_edit *r, struct err *e)
{
	if (region_edit_count(r))
		return err_set(e, E_EXISTS, 0, "'%s' still has chunks", r->path);
	if (unlinkat(r->folder->fd, r->name, 0) < 0)
		return err_set(e, E_IO, errno, "remove '%s'", r->path);
	return io_fsync_dir(r->folder->fd, ".", e);
}

/* ---- putting ---- */

static bool is_free(const struct sector_map *m, uint64_t at, unsigned count)
{
	for (uint64_t s = at; s < at + count; s++)
		if (sector_owned(m, s))
			return false;
	return true;
}

/* Where the record goes: its old place, the first gap, the end. */
static int find_place(struct region_edit *r, const struct region_entry *want, unsigned count,
	uint32_t *ret, struct err *e)
{
	struct sector_map m = {0};
	int rc = sector_map_make(&m, r->pending, r->size, NULL, e);
	if (rc == 0)
		rc = add_owned(&m, r->header, e);
	if (rc < 0) {
		free(m.bits);
		return rc;
	}
	uint64_t end = (r->size + REGION_SECTOR - 1) / REGION_SECTOR, at = want->sector;
	if (end < 2)
		end = 2;
	/* Behind the end it may begin, not leave a gap. */
	if (at < 2 || at > end || want->count != count || !is_free(&m, at, count)) {
		unsigned run = 0;
		for (at = 2; run < count; at++)
			run = sector_owned(&m, at) ? 0 : run + 1;
		at -= count;
	}
	free(m.bits);
	if (at + count > SECTORS_MAX)
		return err_set(e, E_FORMAT, 0, "'%s' has no room for another chunk", r->path);
	*ret = (uint32_t)at;
	return 0;
}

static int write_padded(struct region_edit *r, struct span s, uint64_t off, size_t n, struct err *e)
{
	static const uint8_t zero[REGION_SECTOR];
	int rc = io_pwrite(r->fd, s.p, s.n, off, r->path, e);
	for (size_t at = s.n; rc == 0 && at < n;) {
		size_t part = n - at < sizeof zero ? n - at : sizeof zero;
		rc = io_pwrite(r->fd, zero, part, off + at, r->path, e);
		at += part;
	}
	return rc;
}

static int put_mcc(struct region_edit *r, unsigned slot, const struct buf *mcc, struct err *e)
{
	char name[64], tmp[128];
	CLEANUP_FD int fd = -1;
	mcc_name(r, slot, name);
	int rc = region_temp_open(r->folder, name, tmp, &fd, e);
	if (rc < 0)
		return rc;
	rc = io_own(fd, &r->st, tmp, e);
	if (rc == 0)
		rc = io_write(fd, mcc->p, mcc->len, tmp, e);
	if (rc < 0) {
		unlinkat(r->folder->fd, tmp, 0);
		return rc;
	}
	return region_temp_publish(r->folder, &fd, tmp, name, e);
}

/* An entry that owns no sectors that could hold anything goes back as it was. */
static bool is_bare(const struct chunk_part *p)
{
	return p->raw && (p->entry.count == 0 || p->entry.sector < 2);
}

static int put_record(struct region_edit *r, unsigned slot, const struct chunk_part *p,
	uint64_t *ret_used, struct err *e)
{
	uint64_t need = (p->record.len + REGION_SECTOR - 1) / REGION_SECTOR;
	uint64_t count = p->entry.count > need ? p->entry.count : need;
	uint32_t at = 0;
	if (count == 0 || count > 255)
		return err_set(e, E_FORMAT, 0, "a chunk of %zu bytes does not fit into '%s'",
			p->record.len, r->path);
	int rc = find_place(r, &p->entry, (unsigned)count, &at, e);
	if (rc < 0)
		return rc;
	uint64_t off = (uint64_t)at * REGION_SECTOR, n = count * REGION_SECTOR;
	r->has_pending = true;
	/* Also when it fails halfway: closing cuts it off. */
	if (off + n > r->size)
		r->size = off + n;
	rc = write_padded(r, buf_span(&p->record), off, (size_t)n, e);
	if (rc < 0)
		return rc;
	*ret_used += n;
	set_be32(r->pending + 4 * slot, at << 8 | (uint32_t)count);
	return 0;
}

int region_edit_put(struct region_edit *r, unsigned slot, const struct chunk_part *p,
	uint64_t *ret_used, struct err *e)
{
	int rc = 0;
	if (p->has_mcc)
		rc = put_mcc(r, slot, &p->mcc, e);
	if (rc == 0 && (!p->present || is_bare(p)))
		set_be32(r->pending + 4 * slot,
			p->present ? p->entry.sector << 8 | p->entry.count : 0);
	else if (rc == 0)
		rc = put_record(r, slot, p, ret_used, e);
	if (rc < 0)
		return rc;
	set_be32(r->pending + REGION_SECTOR + 4 * slot, p->present ? p->entry.timestamp : 0);
	r->has_pending = true;
	return 0;
}

int region_edit_commit(struct region_edit *r, bool *ret_begun, struct err *e)
{
	if (!r->has_pending)
		return 0;
	int rc = 0;
	if (r->short_header) {
		/* The part of the header that is there stays; new sectors lie behind the whole. */
		rc = write_half(r, r->header, 1, e);
		if (rc == 0 && r->size < REGION_HEADER)
			r->size = REGION_HEADER;
	}
	if (rc == 0)
		rc = sync_file(r, e);
	if (rc < 0)
		return rc;
	/* From here on a failure may leave locations that refer to what was put. */
	*ret_begun = true;
	r->committed = r->size;
	rc = write_half(r, r->pending, 1, e);
	/* No location may be on the disk before its time stamp. */
	if (rc == 0)
		rc = sync_file(r, e);
	if (rc == 0)
		rc = write_half(r, r->pending, 0, e);
	if (rc == 0)
		rc = sync_file(r, e);
	if (rc < 0)
		return rc;
	memcpy(r->header, r->pending, REGION_HEADER);
	r->has_pending = r->short_header = false;
	r->has_map = false;
	return 0;
}
