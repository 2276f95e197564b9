#include "engine/anvil/region.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/wire.h"

struct region_entry region_entry_at(const uint8_t h[REGION_HEADER], unsigned slot)
{
	uint32_t loc = get_be32(h + 4 * slot);
	return (struct region_entry){loc >> 8, loc & 0xff, get_be32(h + 4096 + 4 * slot)};
}

struct claim {
	uint64_t off;
	uint32_t len;
	unsigned slot;
};

static int by_offset(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	return x->slot < y->slot ? -1 : 1;
}

/* A record must lie behind the header, within the file and within the sectors it claims. */
static int read_claim(const struct region_entry *en, uint64_t size, region_read read, void *ctx,
	uint32_t *ret_len, struct err *e)
{
	uint8_t head[4];
	size_t n;
	uint64_t off = (uint64_t)en->sector * REGION_SECTOR;
	*ret_len = 0;
	if (off < REGION_HEADER || off + 5 > size)
		return 0;
	int r = read(ctx, off, head, sizeof head, &n, e);
	if (r < 0 || n < sizeof head)
		return r;
	uint64_t len = (uint64_t)get_be32(head) + 4;
	if (len >= 5 && off + len <= size && len <= (uint64_t)en->count * REGION_SECTOR)
		*ret_len = (uint32_t)len;
	return 0;
}

int region_map(const uint8_t header[REGION_HEADER], uint64_t size, region_read read, void *ctx,
	struct region_extent ext[REGION_SLOTS], struct err *e)
{
	struct claim claims[REGION_SLOTS];
	unsigned n = 0;
	memset(ext, 0, REGION_SLOTS * sizeof *ext);
	for (unsigned slot = 0; slot < REGION_SLOTS; slot++) {
		struct region_entry en = region_entry_at(header, slot);
		uint32_t len;
		if (en.sector == 0 && en.count == 0)
			continue;
		int r = read_claim(&en, size, read, ctx, &len, e);
		if (r < 0)
			return r;
		ext[slot].off = (uint64_t)en.sector * REGION_SECTOR;
		ext[slot].broken = len == 0;
		if (len)
			claims[n++] = (struct claim){ext[slot].off, len, slot};
	}
	qsort(claims, n, sizeof *claims, by_offset);
	uint64_t end = REGION_HEADER;
	for (unsigned i = 0; i < n; i++) {
		if (claims[i].off < end) {
			ext[claims[i].slot].broken = true;
			continue;
		}
		ext[claims[i].slot].len = claims[i].len;
		end = claims[i].off + claims[i].len;
	}
	return 0;
}

static bool parse_number(const char **s, int32_t *ret)
{
	const char *p = *s;
	bool neg = *p == '-';
	int64_t v = 0;
	if (neg)
		p++;
	if (*p < '0' || *p > '9')
		return false;
	for (int digits = 0; *p >= '0' && *p <= '9'; p++) {
		if (++digits > 10)
			return false;
		v = v * 10 + (*p - '0');
	}
	if (v > INT32_MAX)
		return false;
	*ret = (int32_t)(neg ? -v : v);
	*s = p;
	return true;
}

static bool parse_name(const char *s, char letter, const char *tail, int32_t *x, int32_t *z)
{
	if (s[0] != letter || s[1] != '.')
		return false;
	s += 2;
	if (!parse_number(&s, x) || *s++ != '.' || !parse_number(&s, z))
		return false;
	return strcmp(s, tail) == 0;
}

bool region_parse_name(const char *name, int32_t *x, int32_t *z)
{
	return parse_name(name, 'r', ".mca", x, z);
}

bool region_parse_external_name(const char *name, int32_t *x, int32_t *z)
{
	return parse_name(name, 'c', ".mcc", x, z);
}
