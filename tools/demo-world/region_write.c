#include "region_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 5u /* u32 length, u8 type */

static int slot_of(int32_t cx, int32_t cz)
{
	return (int)((uint32_t)cx & 31) + (int)((uint32_t)cz & 31) * 32;
}

static void mark(struct region *r, uint32_t at, uint32_t n, uint8_t value)
{
	if (at + n > r->sectors) {
		r->used = xrealloc(r->used, at + n);
		memset(r->used + r->sectors, 0, at + n - r->sectors);
		r->sectors = at + n;
	}
	memset(r->used + at, value, n);
}

static bool is_free(const struct region *r, uint32_t at, uint32_t n)
{
	for (uint32_t i = at; i < at + n && i < r->sectors; i++)
		if (r->used[i])
			return false;
	return true;
}

static void load_header(struct region *r)
{
	uint8_t head[2 * SECTOR] = {0};
	ssize_t n = pread(r->fd, head, sizeof head, 0);
	if (n < 0)
		die("read '%s': %s", r->path, strerror(errno));
	mark(r, 0, 2, 1);
	for (int i = 0; i < REGION_CHUNKS; i++) {
		uint32_t loc = be32_get(head + 4 * i);
		r->time[i] = be32_get(head + SECTOR + 4 * i);
		uint32_t at = loc >> 8, count = loc & 255;
		if (!count || at < 2 || (uint64_t)at * SECTOR >= r->size || !is_free(r, at, count))
			continue;
		r->loc[i] = loc;
		mark(r, at, count, 1);
	}
}

struct region *region_open(const char *dir, int32_t x, int32_t z)
{
	struct region *r = xmalloc(sizeof *r);
	*r = (struct region){.path = path_in(dir, "r.%d.%d.mca", x, z), .x = x, .z = z};
	make_dirs(dir);
	r->fd = open(r->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	struct stat st;
	if (r->fd < 0 || fstat(r->fd, &st))
		die("open '%s': %s", r->path, strerror(errno));
	r->size = (uint64_t)st.st_size;
	load_header(r);
	return r;
}

void region_close(struct region *r)
{
	uint64_t padded = (r->size + SECTOR - 1) / SECTOR * SECTOR;
	if (padded != r->size && ftruncate(r->fd, (off_t)padded))
		die("pad '%s': %s", r->path, strerror(errno));
	if (close(r->fd))
		die("close '%s': %s", r->path, strerror(errno));
	free(r->used);
	free(r->path);
	free(r);
}

bool region_has(const struct region *r, int32_t cx, int32_t cz)
{
	return r->loc[slot_of(cx, cz)] != 0;
}

uint32_t region_time(const struct region *r, int32_t cx, int32_t cz)
{
	return r->time[slot_of(cx, cz)];
}

static uint32_t first_fit(const struct region *r, uint32_t n)
{
	uint32_t run = 0;
	for (uint32_t i = 2; i < r->sectors; i++) {
		run = r->used[i] ? 0 : run + 1;
		if (run == n)
			return i + 1 - n;
	}
	if (r->sectors > REGION_MAX_SECTORS)
		die("'%s' grew too large", r->path);
	return r->sectors - run;
}

static void write_header(struct region *r)
{
	uint8_t head[2 * SECTOR];
	for (int i = 0; i < REGION_CHUNKS; i++) {
		be32_put(head + 4 * i, r->loc[i]);
		be32_put(head + SECTOR + 4 * i, r->time[i]);
	}
	write_at(r->fd, r->path, head, sizeof head, 0);
	if (r->size < sizeof head)
		r->size = sizeof head;
}

static char *external_path(const struct region *r, int slot, const char *suffix)
{
	char *dir = strdup(r->path);
	if (!dir)
		die("out of memory");
	*strrchr(dir, '/') = '\0';
	char *path = path_in(
		dir, "c.%d.%d.mcc%s", r->x * 32 + slot % 32, r->z * 32 + slot / 32, suffix);
	free(dir);
	return path;
}

/* The part of a write that is the same for a chunk and for the stub of an external one. */
static void put_sectors(struct region *r, int slot, const struct bytes *rec, uint32_t now)
{
	uint32_t n = (uint32_t)((rec->len + SECTOR - 1) / SECTOR);
	uint32_t at = first_fit(r, n);
	mark(r, at, n, 1);
	write_at(r->fd, r->path, rec->p, rec->len, (uint64_t)at * SECTOR);
	if (r->size < (uint64_t)at * SECTOR + rec->len)
		r->size = (uint64_t)at * SECTOR + rec->len;
	r->loc[slot] = at << 8 | n;
	r->time[slot] = now;
	write_header(r);
}

static void free_sectors(struct region *r, uint32_t loc)
{
	if (loc)
		mark(r, loc >> 8, loc & 255, 0);
}

void region_put(struct region *r, int32_t cx, int32_t cz, uint8_t type, const struct bytes *payload,
	uint32_t now)
{
	int slot = slot_of(cx, cz);
	uint32_t old = r->loc[slot];
	bool external = payload->len + HEAD > 255u * SECTOR;
	char *mcc = external_path(r, slot, "");
	struct bytes rec = {0};
	uint8_t head[HEAD];

	be32_put(head, external ? 1 : (uint32_t)payload->len + 1);
	head[4] = external ? type | 128 : type;
	bytes_add(&rec, head, sizeof head);
	if (external) {
		char *tmp = external_path(r, slot, ".tmp");
		file_write(tmp, payload->p, payload->len);
		put_sectors(r, slot, &rec, now);
		if (rename(tmp, mcc))
			die("rename '%s': %s", tmp, strerror(errno));
		free(tmp);
	} else {
		bytes_add(&rec, payload->p, payload->len);
		put_sectors(r, slot, &rec, now);
		if (unlink(mcc) && errno != ENOENT)
			die("remove '%s': %s", mcc, strerror(errno));
	}
	free_sectors(r, old);
	bytes_free(&rec);
	free(mcc);
}

void region_clear(struct region *r, int32_t cx, int32_t cz, uint32_t now)
{
	int slot = slot_of(cx, cz);
	uint32_t old = r->loc[slot];
	if (!old)
		return;
	char *mcc = external_path(r, slot, "");
	r->loc[slot] = 0;
	r->time[slot] = now;
	write_header(r);
	if (unlink(mcc) && errno != ENOENT)
		die("remove '%s': %s", mcc, strerror(errno));
	free_sectors(r, old);
	free(mcc);
}

static bool get_external(const struct region *r, int slot, struct bytes *raw)
{
	struct bytes ext = {0};
	char *mcc = external_path(r, slot, "");
	bool ok = file_read(mcc, &ext) && zlib_unpack(raw, ext.p, ext.len);
	bytes_free(&ext);
	free(mcc);
	return ok;
}

bool region_get(const struct region *r, int32_t cx, int32_t cz, struct bytes *raw)
{
	int slot = slot_of(cx, cz);
	uint64_t at = (uint64_t)(r->loc[slot] >> 8) * SECTOR;
	uint32_t room = (r->loc[slot] & 255) * SECTOR;
	if (!room)
		return false;
	uint8_t *rec = xmalloc(room);
	ssize_t n = pread(r->fd, rec, room, (off_t)at);
	uint32_t len = n < (ssize_t)HEAD ? 0 : be32_get(rec);
	uint8_t type = len ? rec[4] : 0;
	bool ok = false;
	if ((type & 127) != PACK_ZLIB && (type & 127) != PACK_GZIP)
		ok = false;
	else if (type & 128)
		ok = get_external(r, slot, raw);
	else if (len - 1 <= (size_t)n - HEAD)
		ok = zlib_unpack(raw, rec + HEAD, len - 1);
	free(rec);
	return ok;
}

void region_touch(const char *dir, int32_t x, int32_t z)
{
	char *path = path_in(dir, "r.%d.%d.mca", x, z);
	file_write(path, "", 0);
	free(path);
}
