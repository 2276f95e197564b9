#include "region_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>

#define SECTOR 4096u
#define MAX_RAW ((size_t)256 << 20) /* no chunk is that large */
#define MAX_DEPTH 512
#define LZ4_HEAD 21
#define LZ4_SEED 0x9747b28cu

static void *must_alloc(void *old, size_t n)
{
	void *p = realloc(old, n ? n : 1);
	if (!p) {
		fputs("out of memory\n", stderr);
		exit(1);
	}
	return p;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static int read_all(const char *path, uint8_t **p, size_t *n)
{
	*p = NULL;
	*n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	struct stat st;
	int r = fstat(fd, &st) ? errno : S_ISREG(st.st_mode) ? 0 : EINVAL;
	size_t cap = r ? 0 : (size_t)st.st_size + 1;
	while (!r) {
		*p = must_alloc(*p, cap);
		ssize_t got = read(fd, *p + *n, cap - *n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			r = errno;
		if (got <= 0)
			break;
		*n += (size_t)got;
		if (*n == cap)
			cap *= 2;
	}
	close(fd);
	if (r) {
		free(*p);
		*p = NULL;
		*n = 0;
	}
	return r;
}

int region_reader_open(struct region_reader *r, const char *path)
{
	*r = (struct region_reader){0};
	int e = read_all(path, &r->p, &r->n);
	if (e)
		return e;
	r->path = strdup(path);
	if (!r->path)
		return ENOMEM;
	const char *name = strrchr(path, '/');
	int end = 0;
	if (sscanf(name ? name + 1 : path, "r.%d.%d.mca%n", &r->x, &r->z, &end) == 2 && end &&
		!(name ? name + 1 : path)[end] && abs(r->x) < 1 << 25 && abs(r->z) < 1 << 25)
		r->has_pos = true;
	else
		r->x = r->z = 0;
	return 0;
}

void region_reader_close(struct region_reader *r)
{
	free(r->p);
	free(r->path);
	*r = (struct region_reader){0};
}

static void load_external(const struct region_reader *r, struct region_slot *s)
{
	const char *slash = strrchr(r->path, '/');
	int dir = slash ? (int)(slash + 1 - r->path) : 0;
	size_t size = (size_t)dir + 64;
	char *path = must_alloc(NULL, size);
	snprintf(path, size, "%.*sc.%d.%d.mcc", dir, r->path, s->x, s->z);
	if (read_all(path, &s->own, &s->len))
		s->problem = "its .mcc file cannot be read";
	s->payload = s->own;
	free(path);
}

/* Does another slot claim one of the same sectors? */
static bool overlaps(const struct region_reader *r, const struct region_slot *s)
{
	for (int i = 0; i < RR_CHUNKS; i++) {
		uint32_t loc = be32(r->p + 4 * i), at = loc >> 8, n = loc & 255;
		if (i != s->index && n && at < s->sector + s->sectors && s->sector < at + n)
			return true;
	}
	return false;
}

bool region_reader_slot(const struct region_reader *r, int index, struct region_slot *s)
{
	*s = (struct region_slot){
		.index = index, .x = r->x * 32 + index % 32, .z = r->z * 32 + index / 32};
	if (r->n < 2 * SECTOR)
		return false;
	uint32_t loc = be32(r->p + 4 * index);
	s->timestamp = be32(r->p + SECTOR + 4 * index);
	s->sector = loc >> 8;
	s->sectors = loc & 255;
	if (!loc)
		return false;
	uint64_t at = (uint64_t)s->sector * SECTOR;
	if (s->sector < 2)
		s->problem = "it begins within the header";
	else if (!s->sectors)
		s->problem = "it has no sectors";
	else if (at + 5 > r->n)
		s->problem = "it begins past the end of the file";
	else if (overlaps(r, s))
		s->problem = "it shares sectors with another chunk";
	if (s->problem)
		return true;
	uint64_t len = be32(r->p + at);
	s->type = r->p[at + 4];
	s->external = s->type & 128;
	if (s->external) {
		load_external(r, s);
		return true;
	}
	if (len < 1 || len + 4 > (uint64_t)s->sectors * SECTOR)
		s->problem = "its length does not fit its sectors";
	else if (at + 4 + len > r->n)
		s->problem = "it runs past the end of the file";
	else {
		s->payload = r->p + at + 5;
		s->len = (size_t)(len - 1);
	}
	return true;
}

void region_slot_free(struct region_slot *s)
{
	free(s->own);
	s->own = NULL;
}

static void inflate_all(const struct region_slot *s, struct region_nbt *out)
{
	z_stream z = {0};
	size_t cap = s->len * 8 + 4096;
	if (s->len > UINT32_MAX || inflateInit2(&z, 15 + 32) != Z_OK) {
		out->problem = "zlib cannot start";
		return;
	}
	z.next_in = (Bytef *)(uintptr_t)s->payload;
	z.avail_in = (uInt)s->len;
	int r = Z_OK;
	while (r == Z_OK && out->n < MAX_RAW) {
		out->p = must_alloc(out->p, cap);
		z.next_out = out->p + out->n;
		z.avail_out = (uInt)(cap - out->n);
		r = inflate(&z, Z_NO_FLUSH);
		out->n = (size_t)(z.next_out - out->p);
		if (out->n == cap)
			cap *= 2;
	}
	if (r == Z_BUF_ERROR)
		out->unfinished = true;
	else if (r != Z_STREAM_END)
		out->problem = "it does not inflate";
	else if (z.avail_in)
		out->problem = "there are bytes behind its compressed stream";
	inflateEnd(&z);
}

/* One block of lz4-java's LZ4BlockOutputStream; 1 for the end mark, -1 when damaged. */
static int lz4_block(const uint8_t **p, size_t *left, struct region_nbt *out)
{
	if (*left < LZ4_HEAD || memcmp(*p, "LZ4Block", 8))
		return -1;
	uint8_t method = (*p)[8] & 0xf0;
	uint32_t packed = le32(*p + 9), raw = le32(*p + 13), sum = le32(*p + 17);
	*p += LZ4_HEAD;
	*left -= LZ4_HEAD;
	if (!raw)
		return packed || sum ? -1 : 1;
	if (packed > *left || raw > MAX_RAW || out->n + raw > MAX_RAW)
		return -1;
	out->p = must_alloc(out->p, out->n + raw);
	if (method == 0x10 && packed == raw)
		memcpy(out->p + out->n, *p, raw);
	else if (method != 0x20 || LZ4_decompress_safe((const char *)*p, (char *)out->p + out->n,
					   (int)packed, (int)raw) != (int)raw)
		return -1;
	if ((XXH32(out->p + out->n, raw, LZ4_SEED) & 0x0fffffff) != sum)
		return -1;
	out->n += raw;
	*p += packed;
	*left -= packed;
	return 0;
}

static void unlz4_all(const struct region_slot *s, struct region_nbt *out)
{
	const uint8_t *p = s->payload;
	size_t left = s->len;
	int r = 0;
	while (!r && left)
		r = lz4_block(&p, &left, out);
	if (r != 1 || left)
		out->problem = "its LZ4 blocks are damaged";
}

/* --- NBT: nothing is built, only walked; positions and marks are noted on the way. --- */

struct walk {
	const uint8_t *p;
	size_t n;
	bool bad;
	bool has_x, has_z, has_position, has_begin, has_end, has_crc;
	int32_t x, z, px, pz, version;
	uint64_t begin, end;
	uint32_t crc, blob_crc;
};

static const uint8_t *need(struct walk *w, uint64_t n)
{
	static const uint8_t zero[8];
	if (w->bad || n > w->n) {
		w->bad = true;
		return zero;
	}
	const uint8_t *p = w->p;
	w->p += n;
	w->n -= (size_t)n;
	return p;
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static uint64_t need_len(struct walk *w)
{
	uint32_t n = be32(need(w, 4));
	if (n > INT32_MAX)
		w->bad = true;
	return w->bad ? 0 : n;
}

static void walk_payload(struct walk *w, uint8_t type, int depth);

static bool named(const uint8_t *name, size_t len, const char *want)
{
	return len == strlen(want) && !memcmp(name, want, len);
}

/* Note a tag of the root or of Level, before it is walked over. */
static void note(struct walk *w, uint8_t type, const uint8_t *name, size_t len)
{
	if (type == 3 && w->n >= 4) {
		int32_t v = (int32_t)be32(w->p);
		if (named(name, len, "xPos")) {
			w->has_x = true;
			w->x = v;
		} else if (named(name, len, "zPos")) {
			w->has_z = true;
			w->z = v;
		} else if (named(name, len, "DataVersion")) {
			w->version = v;
		} else if (named(name, len, "McfsDemoCrc")) {
			w->has_crc = true;
			w->crc = (uint32_t)v;
		}
	} else if (type == 4 && w->n >= 8 && named(name, len, "McfsDemoBegin")) {
		w->has_begin = true;
		w->begin = be64(w->p);
	} else if (type == 4 && w->n >= 8 && named(name, len, "McfsDemoEnd")) {
		w->has_end = true;
		w->end = be64(w->p);
	} else if (type == 11 && w->n >= 12 && be32(w->p) == 2 && named(name, len, "Position")) {
		w->has_position = true;
		w->px = (int32_t)be32(w->p + 4);
		w->pz = (int32_t)be32(w->p + 8);
	} else if (type == 7 && w->n >= 4 && named(name, len, "McfsDemoData") &&
		   be32(w->p) <= w->n - 4) {
		w->blob_crc = (uint32_t)crc32(0, w->p + 4, be32(w->p));
	}
}

static void walk_compound(struct walk *w, int depth)
{
	for (;;) {
		uint8_t type = *need(w, 1);
		if (w->bad || !type)
			return;
		const uint8_t *n2 = need(w, 2);
		size_t len = (size_t)n2[0] << 8 | n2[1];
		const uint8_t *name = need(w, len);
		if (w->bad)
			return;
		/* depth 0 is the root, 1 `Level` or anything else that is no place for a mark */
		if (depth == 0 || (depth == 1 && type == 3))
			note(w, type, name, len);
		walk_payload(w, type, depth + 1);
	}
}

static void walk_list(struct walk *w, int depth)
{
	uint8_t type = *need(w, 1);
	uint32_t count = be32(need(w, 4));
	if (count > INT32_MAX)
		return; /* a negative length is an empty list */
	if (count && !type)
		w->bad = true;
	for (uint32_t i = 0; i < count && !w->bad; i++)
		walk_payload(w, type, depth + 1);
}

static void walk_payload(struct walk *w, uint8_t type, int depth)
{
	static const uint8_t fixed[] = {0, 1, 2, 4, 8, 4, 8};
	const uint8_t *n2;
	if (depth > MAX_DEPTH) {
		w->bad = true;
		return;
	}
	switch (type) {
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
	case 6:
		need(w, fixed[type]);
		break;
	case 7:
		need(w, need_len(w));
		break;
	case 8:
		n2 = need(w, 2);
		need(w, (uint64_t)n2[0] << 8 | n2[1]);
		break;
	case 9:
		walk_list(w, depth);
		break;
	case 10:
		walk_compound(w, depth);
		break;
	case 11:
		need(w, need_len(w) * 4);
		break;
	case 12:
		need(w, need_len(w) * 8);
		break;
	default:
		w->bad = true;
	}
}

static const char *marks_problem(const struct walk *w, bool unfinished)
{
	if (!w->has_begin && !w->has_end)
		return NULL;
	if (!w->has_begin || !w->has_end || w->begin != w->end)
		return "it is torn: its two marks differ";
	if (!w->has_crc || w->crc != w->blob_crc)
		return "it is torn: its contents do not fit its mark";
	return unfinished ? "it is torn: its stream has no end" : NULL;
}

static void check_nbt(
	const struct region_reader *r, const struct region_slot *s, struct region_nbt *out)
{
	struct walk w = {.p = out->p, .n = out->n};
	const uint8_t *head = need(&w, 3);
	if (w.bad || head[0] != 10) {
		out->problem = "it is no NBT compound";
		return;
	}
	need(&w, (uint64_t)head[1] << 8 | head[2]);
	walk_payload(&w, 10, 0);
	out->data_version = w.version;
	out->has_pos = w.has_position || (w.has_x && w.has_z);
	out->x = w.has_position ? w.px : w.x;
	out->z = w.has_position ? w.pz : w.z;
	int32_t mask = r->has_pos ? -1 : 31;
	if (w.bad)
		out->problem = out->unfinished ? "its stream ends too early"
					       : "its NBT is malformed";
	else if (w.n)
		out->problem = "there are bytes behind its NBT";
	else if (out->has_pos && ((out->x & mask) != s->x || (out->z & mask) != s->z))
		out->problem = "it says it belongs elsewhere";
	else
		out->problem = marks_problem(&w, out->unfinished);
}

void region_slot_decode(
	const struct region_reader *r, const struct region_slot *s, struct region_nbt *out)
{
	*out = (struct region_nbt){.problem = s->problem};
	if (out->problem)
		return;
	switch (s->type & 127) {
	case 1:
	case 2:
		inflate_all(s, out);
		break;
	case 3:
		out->p = must_alloc(NULL, s->len);
		if (s->len)
			memcpy(out->p, s->payload, s->len);
		out->n = s->len;
		break;
	case 4:
		unlz4_all(s, out);
		break;
	default:
		out->problem = "its compression is unknown";
	}
	if (!out->problem)
		check_nbt(r, s, out);
}

void region_nbt_free(struct region_nbt *n)
{
	free(n->p);
	n->p = NULL;
	n->n = 0;
}
