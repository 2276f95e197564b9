/* hammer.c - a harsher writer than any server: rewrites chunks without a pause.
 *
 * Sectors are freed and used again within microseconds, the header is rewritten after each chunk,
 * so a reader that trusts a header it read a moment ago finds other chunks' bytes. Every chunk
 * bears a counter at its beginning and its end and a checksum of what is between, besides zlib's
 * own: `verify` tells a torn one from a whole one. The chunks hammered are lost for the game; this
 * is for tests. */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>

#define MAX_FILES 64
#define PER_FILE 96 /* chunks of a file that are rewritten; the others lie between them */
#define POOL (1u << 20)

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

struct hammer {
	struct world w;
	struct rng r;
	struct region *file[MAX_FILES];
	int files;
	uint8_t pool[POOL]; /* half text, half noise, to cut contents from */
	uint64_t counter, bytes;
	bool oversized;
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fill_pool(struct hammer *h)
{
	for (size_t i = 0; i < POOL; i += 256) {
		bool noise = rng_chance(&h->r, 1, 2);
		for (size_t k = 0; k < 256; k++)
			h->pool[i + k] = noise ? (uint8_t)(rng_next(&h->r) >> 56)
					       : (uint8_t)(i / 256 + k / 32);
	}
}

/* The first region files of the overworld, or new ones where there are none. */
static void open_files(struct hammer *h, int want)
{
	char *dir = kind_dir(&h->w, DIM_OVERWORLD, KIND_REGION);
	make_dirs(dir);
	struct dirent **list;
	int n = scandir(dir, &list, NULL, alphasort);
	if (n < 0)
		die("open '%s': %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		int x, z, end = 0;
		if (h->files < want &&
			sscanf(list[i]->d_name, "r.%d.%d.mca%n", &x, &z, &end) == 2 && end &&
			!list[i]->d_name[end] && abs(x) < 1 << 20 && abs(z) < 1 << 20)
			h->file[h->files++] = region_open(dir, x, z);
		free(list[i]);
	}
	free(list);
	for (int x = 0; h->files < want && x < MAX_FILES; x++) {
		char *path = path_in(dir, "r.%d.0.mca", x);
		if (!file_exists(path))
			h->file[h->files++] = region_open(dir, x, 0);
		free(path);
	}
	free(dir);
}

static void make_nbt(struct hammer *h, struct bytes *raw, int32_t cx, int32_t cz, size_t n)
{
	struct arena a = {0};
	struct nbt *root = nbt_root(&a);
	const uint8_t *blob = h->pool + rng_below(&h->r, (uint32_t)(POOL - n));
	nbt_int(&a, root, "McfsDemoBegin", NBT_LONG, (int64_t)h->counter);
	nbt_int(&a, root, "DataVersion", NBT_INT, h->w.data_version);
	nbt_int(&a, root, "xPos", NBT_INT, cx);
	nbt_int(&a, root, "zPos", NBT_INT, cz);
	nbt_int(&a, root, "yPos", NBT_INT, -4);
	nbt_str(&a, root, "Status", "minecraft:full");
	nbt_int(&a, root, "LastUpdate", NBT_LONG, h->w.ticks + (int64_t)h->counter);
	nbt_int(&a, root, "McfsDemoCrc", NBT_INT, (int32_t)crc32_z(0, blob, n));
	memcpy(nbt_array(&a, root, "McfsDemoData", NBT_BYTES, n)->u.raw.p, blob, n);
	nbt_int(&a, root, "McfsDemoEnd", NBT_LONG, (int64_t)h->counter);
	nbt_serialize(raw, root);
	arena_free(&a);
}

/* LZ4BlockOutputStream of lz4-java: blocks of at most 64 KiB, then an empty one. */
static void lz4_pack(struct bytes *out, const struct bytes *raw)
{
	static const size_t block = 65536;
	char packed[LZ4_COMPRESSBOUND(65536)];
	for (size_t at = 0;; at += block) {
		size_t n = at >= raw->len ? 0 : raw->len - at < block ? raw->len - at : block;
		int c = n ? LZ4_compress_default(
				    (const char *)raw->p + at, packed, (int)n, sizeof packed)
			  : 0;
		bool plain = c <= 0 || (size_t)c >= n;
		uint32_t f[3] = {plain ? (uint32_t)n : (uint32_t)c, (uint32_t)n,
			n ? XXH32(raw->p + at, n, 0x9747b28c) & 0x0fffffff : 0};
		uint8_t head[21] = "LZ4Block";
		head[8] = plain ? 0x16 : 0x26;
		for (int i = 0; i < 12; i++)
			head[9 + i] = (uint8_t)(f[i / 4] >> i % 4 * 8);
		bytes_add(out, head, sizeof head);
		if (!n)
			return;
		bytes_add(out, plain ? (const char *)raw->p + at : packed, f[0]);
	}
}

static uint8_t pack(struct hammer *h, struct bytes *out, const struct bytes *raw)
{
	uint32_t dice = rng_below(&h->r, 16);
	if (dice == 0) {
		bytes_add(out, raw->p, raw->len);
		return PACK_NONE;
	}
	if (dice == 1) {
		lz4_pack(out, raw);
		return PACK_LZ4;
	}
	zlib_pack(out, raw->p, raw->len, dice < 6 ? 1 : -1);
	return PACK_ZLIB;
}

static void strike(struct hammer *h)
{
	struct bytes raw = {0}, packed = {0};
	struct region *f = h->file[rng_below(&h->r, (uint32_t)h->files)];
	/* An odd step: the slots are spread over the whole file. */
	int slot = (int)(rng_below(&h->r, PER_FILE) * 1021 % REGION_CHUNKS);
	int32_t cx = f->x * 32 + slot % 32, cz = f->z * 32 + slot / 32;
	uint32_t big = rng_below(&h->r, 1000);
	size_t n = 200 + rng_below(&h->r, big < 100 ? 60000 : 8000);

	h->counter++;
	bool over = h->oversized && big >= 990;
	make_nbt(h, &raw, cx, cz, over ? POOL - 4096 : n);
	/* Stored plainly, nearly the whole pool is more than 255 sectors hold. */
	uint8_t type = PACK_NONE;
	if (over)
		bytes_add(&packed, raw.p, raw.len);
	else
		type = pack(h, &packed, &raw);
	region_put(f, cx, cz, type, &packed, h->w.now);
	h->bytes += packed.len;
	bytes_free(&raw);
	bytes_free(&packed);
}

/* The time stamps are real unless told otherwise: one second holds many writes, as on a server. */
static uint32_t clock_of(const struct hammer_options *o, uint64_t elapsed)
{
	if (o->now)
		return o->now + (uint32_t)(elapsed / 1000000000u);
	return (uint32_t)time(NULL);
}

void world_hammer(const struct hammer_options *o)
{
	struct hammer *h = xmalloc(sizeof *h);
	memset(h, 0, sizeof *h);
	world_open(&h->w, o->dir);
	int lock = session_lock(o->dir);
	h->r.s = o->seed;
	h->oversized = o->oversized;
	fill_pool(h);
	open_files(h, o->regions < MAX_FILES ? o->regions : MAX_FILES);
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	uint64_t start = now_ns(), limit = (uint64_t)o->seconds * 1000000000u;
	for (uint64_t t = 0; !stop && t < limit; t = now_ns() - start) {
		uint64_t due = o->rate ? h->counter * 1000000000u / (uint64_t)o->rate : 0;
		if (due > t) {
			uint64_t wait = due - t < limit - t ? due - t : limit - t;
			struct timespec ts = {
				(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
			nanosleep(&ts, NULL);
			continue;
		}
		h->w.now = clock_of(o, t);
		strike(h);
	}
	for (int i = 0; i < h->files; i++)
		region_close(h->file[i]);
	close(lock);
	printf("%" PRIu64 " chunks written to %d files, %" PRIu64 " bytes\n", h->counter, h->files,
		h->bytes);
	free(h);
}
