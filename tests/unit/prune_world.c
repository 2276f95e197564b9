#include "tests/unit/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "engine/base/io.h"
#include "engine/base/wire.h"
#include "engine/crypto/crypto.h"
#include "tests/unit/prune_world.h"
#include "tests/unit/region_reader.h"

#define SECTOR 4096u

/* ---- making ---- */

static void put_int(struct buf *b, const char *name, int32_t v)
{
	uint8_t head[3] = {3, 0, (uint8_t)strlen(name)}, num[4];
	set_be32(num, (uint32_t)v);
	OK(buf_add(b, head, 3, e));
	OK(buf_add(b, name, strlen(name), e));
	OK(buf_add(b, num, 4, e));
}

static void make_nbt(struct buf *b, int32_t x, int32_t z, int kind, size_t n, unsigned seed)
{
	uint8_t head[7 + 5] = {7, 0, 5, 'n', 'o', 'i', 's', 'e'};
	OK(buf_add(b, "\x0a\0\0", 3, e));
	put_int(b, "DataVersion", 3465);
	if (kind == 0) {
		put_int(b, "xPos", x);
		put_int(b, "zPos", z);
	} else if (kind == 1) {
		uint8_t pos[12];
		set_be32(pos, 2);
		set_be32(pos + 4, (uint32_t)x);
		set_be32(pos + 8, (uint32_t)z);
		OK(buf_add(b, "\x0b\0\x08Position", 11, e));
		OK(buf_add(b, pos, 12, e));
	}
	set_be32(head + 8, (uint32_t)n);
	OK(buf_add(b, head, 12, e));
	size_t at = b->len;
	OK(buf_resize(b, at + n, e));
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		b->p[at + i] = (uint8_t)(seed >> 24);
	}
	OK(buf_add(b, "\0", 1, e));
}

void world_record(struct buf *out, struct buf *mcc, int32_t x, int32_t z, int kind, size_t n,
	unsigned seed)
{
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	CLEANUP_BUF struct buf packed = BUF_INIT;
	uint8_t head[5] = {0, 0, 0, 0, 2};
	make_nbt(&nbt, x, z, kind, n, seed);
	uLongf len = compressBound(nbt.len);
	OK(buf_resize(&packed, len, e));
	assert_int_equal(compress(packed.p, &len, nbt.p, nbt.len), Z_OK);
	packed.len = len;
	if (mcc) {
		head[4] = 130;
		OK(buf_add(mcc, packed.p, packed.len, e));
		packed.len = 0;
	}
	set_be32(head, (uint32_t)packed.len + 1);
	OK(buf_add(out, head, 5, e));
	OK(buf_add(out, packed.p, packed.len, e));
}

static void make_file(const char *world, int rx, int kind, unsigned chunks)
{
	static const char *const folder[] = {"region", "entities", "poi"};
	CLEANUP_BUF struct buf f = BUF_INIT;
	char path[600];
	OK(buf_add_zero(&f, 2 * SECTOR, e));
	for (unsigned i = 0; i < chunks; i++) {
		unsigned slot = (i * 37 + 5) % 1024;
		int32_t x = rx * 32 + (int32_t)(slot % 32), z = (int32_t)(slot / 32);
		CLEANUP_BUF struct buf mcc = BUF_INIT;
		bool external = i % 50 == 49;
		if (i % 7 == 6) {
			CLEANUP_BUF struct buf old = BUF_INIT;
			OK(buf_resize(&old, SECTOR, e));
			memset(old.p, 0x55, SECTOR);
			OK(buf_add(&f, old.p, SECTOR, e));
		}
		size_t start = f.len;
		world_record(&f, external ? &mcc : NULL, x, z, kind, kind ? 300 : 1000 + i * 97 % 9000,
			i + 1000u * (unsigned)kind);
		set_be32(f.p + 4 * slot, (uint32_t)(start / SECTOR) << 8 |
						 (uint32_t)((f.len - start + SECTOR - 1) / SECTOR));
		set_be32(f.p + SECTOR + 4 * slot, 1600000000u + i);
		OK(buf_add_zero(&f, (SECTOR - f.len % SECTOR) % SECTOR, e));
		if (external) {
			snprintf(path, sizeof path, "%s/%s/c.%d.%d.mcc", world, folder[kind], x, z);
			write_file(path, buf_span(&mcc));
		}
	}
	set_be32(f.p + SECTOR + 4 * 1023, 77); /* a time stamp without a chunk */
	snprintf(path, sizeof path, "%s/%s/r.%d.0.mca", world, folder[kind], rx);
	write_file(path, buf_span(&f));
}

void world_make(const char *world, unsigned chunks)
{
	static const char *const folder[] = {"region", "entities", "poi"};
	char path[600];
	for (int k = 0; k < 3; k++) {
		snprintf(path, sizeof path, "%s/%s", world, folder[k]);
		OK(io_mkdirs(path, 0755, e));
		make_file(world, 0, k, k ? chunks / 2 : chunks);
		make_file(world, -1, k, k ? chunks / 2 : chunks);
	}
}

/* ---- seeing ---- */

static void see_file(struct seen *s, const char *path, const char *folder)
{
	struct region_reader r;
	assert_int_equal(region_reader_open(&r, path), 0);
	for (int i = 0; i < RR_CHUNKS; i++) {
		struct region_slot slot;
		struct region_nbt nbt;
		bool there = region_reader_slot(&r, i, &slot);
		if (!there && slot.timestamp == 0)
			continue;
		if (!(s->n & (s->n - 1)))
			s->v = realloc(s->v, (s->n ? 2 * s->n : 1) * sizeof *s->v);
		assert_non_null(s->v);
		struct seen_chunk *c = &s->v[s->n++];
		*c = (struct seen_chunk){.x = slot.x, .z = slot.z, .sector = slot.sector,
			.sectors = slot.sectors, .stamp = slot.timestamp, .type = slot.type,
			.len = slot.len};
		snprintf(c->folder, sizeof c->folder, "%s", folder);
		if (there) {
			digest_of(span_of(slot.payload, slot.len), c->sum);
			region_slot_decode(&r, &slot, &nbt);
			c->readable = !nbt.problem;
			region_nbt_free(&nbt);
		}
		region_slot_free(&slot);
	}
	region_reader_close(&r);
}

static void see_folder(struct seen *s, const char *world, const char *below, bool cut)
{
	char path[1200];
	snprintf(path, sizeof path, "%s/%s", world, below);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *en; (en = readdir(d));) {
		char next[1000];
		struct stat st;
		size_t n = strlen(en->d_name);
		if (en->d_name[0] == '.')
			continue;
		snprintf(next, sizeof next, "%s%s%s", below, *below ? "/" : "", en->d_name);
		snprintf(path, sizeof path, "%s/%s", world, next);
		assert_int_equal(stat(path, &st), 0);
		if (S_ISDIR(st.st_mode))
			see_folder(s, world, next, cut);
		else if (n > 4 && strcmp(en->d_name + n - 4, ".mca") == 0)
			see_file(s, path, below);
		else if (!cut && n > 9 && strcmp(en->d_name + n - 9, ".mcfs-tmp") == 0)
			fail_msg("'%s' was left", path);
	}
	closedir(d);
}

static int by_place(const void *a, const void *b)
{
	const struct seen_chunk *x = a, *y = b;
	int c = strcmp(x->folder, y->folder);
	if (c)
		return c;
	if (x->x != y->x)
		return x->x < y->x ? -1 : 1;
	return x->z < y->z ? -1 : x->z > y->z;
}

static void see(const char *world, struct seen *ret, bool cut)
{
	*ret = (struct seen){0};
	see_folder(ret, world, "", cut);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, by_place);
}

void seen_read(const char *world, struct seen *ret)
{
	see(world, ret, false);
}

void seen_read_cut(const char *world, struct seen *ret)
{
	see(world, ret, true);
}

void seen_free(struct seen *s)
{
	free(s->v);
	*s = (struct seen){0};
}

const struct seen_chunk *seen_find(const struct seen *s, const char *folder, int32_t x, int32_t z)
{
	struct seen_chunk key = {.x = x, .z = z};
	snprintf(key.folder, sizeof key.folder, "%s", folder);
	return s->n ? bsearch(&key, s->v, s->n, sizeof key, by_place) : NULL;
}

bool seen_equal(const struct seen_chunk *a, const struct seen_chunk *b, bool place)
{
	return a->stamp == b->stamp && a->type == b->type && a->readable == b->readable &&
	       a->len == b->len && memcmp(a->sum, b->sum, sizeof a->sum) == 0 &&
	       (!place || (a->sector == b->sector && a->sectors == b->sectors));
}

void seen_assert_equal(const struct seen *a, const struct seen *b, bool place)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct seen_chunk *c = &a->v[i];
		const struct seen_chunk *d = seen_find(b, c->folder, c->x, c->z);
		if (!d)
			fail_msg("%s: chunk %d, %d is gone", c->folder, c->x, c->z);
		if (!seen_equal(c, d, place))
			fail_msg("%s: chunk %d, %d is another (stamp %u/%u, type %u/%u, len %zu/%zu, "
				 "sector %u/%u, readable %d/%d)",
				c->folder, c->x, c->z, c->stamp, d->stamp, c->type, d->type, c->len,
				d->len, c->sector, d->sector, c->readable, d->readable);
	}
	assert_int_equal(a->n, b->n);
}

/* ---- a server ---- */

pid_t world_serve(const char *world)
{
	int ready[2];
	char c;
	CLEANUP_FREE char *path = NULL;
	assert_true(asprintf(&path, "%s/session.lock", world) > 0);
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR | O_CREAT, 0644);
		if (fd < 0 || fcntl(fd, F_SETLK, &fl) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

void world_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
