/* region_map and the names of region files, for libFuzzer. Byte 0: 0 to 3, how the rest is read: a
 * name, or a file of which the input is the entries of the first slots, their stamps left out, and
 * what stands in the first sectors. Whatever the file: records lie within it, behind the header,
 * within their sectors, and never overlap. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/region.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define SECTORS 64

static uint8_t file[SECTORS * REGION_SECTOR];
static uint64_t file_size;

static int read_file(void *ctx, uint64_t off, void *p, size_t n, size_t *ret_n, struct err *e)
{
	(void)ctx, (void)e;
	*ret_n = off >= file_size ? 0 : n < file_size - off ? n : (size_t)(file_size - off);
	if (*ret_n)
		memcpy(p, file + off, *ret_n);
	return 0;
}

/* Entries of four bytes until one is all ones; then heads of five bytes, one a sector. */
static void lay_out(const uint8_t *p, size_t n)
{
	static const uint8_t end[4] = {255, 255, 255, 255};
	memset(file, 0, sizeof file);
	size_t slot = 0;
	for (; n >= 4 && slot < REGION_SLOTS && memcmp(p, end, 4) != 0; slot++, p += 4, n -= 4)
		memcpy(file + 4 * slot, p, 4);
	if (n >= 4)
		p += 4, n -= 4;
	for (size_t s = 2; n >= 5 && s < SECTORS; s++, p += 5, n -= 5)
		memcpy(file + s * REGION_SECTOR, p, 5);
}

static void check(const struct region_extent *ext)
{
	static uint8_t owned[SECTORS * REGION_SECTOR];
	memset(owned, 0, sizeof owned);
	for (unsigned i = 0; i < REGION_SLOTS; i++) {
		struct region_entry en = region_entry_at(file, i);
		const struct region_extent *x = &ext[i];
		if (!x->len)
			continue;
		if (x->broken || x->off < REGION_HEADER || x->off + x->len > file_size ||
			x->off != (uint64_t)en.sector * REGION_SECTOR ||
			x->len > (uint64_t)en.count * REGION_SECTOR || x->len < 5)
			abort();
		for (uint32_t k = 0; k < x->len; k++)
			if (owned[x->off + k]++)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct region_extent ext[REGION_SLOTS];
	int32_t x, z;
	if (n < 3)
		return 0;
	if ((p[0] & 3) == 0) {
		char name[64] = {0};
		memcpy(name, p + 1, n - 1 < 63 ? n - 1 : 63);
		region_parse_name(name, &x, &z);
		region_parse_external_name(name, &x, &z);
		return 0;
	}
	file_size = REGION_HEADER + ((size_t)p[1] << 8 | p[2]) * 4;
	if (file_size > sizeof file)
		file_size = sizeof file;
	lay_out(p + 3, n - 3);
	if (region_map(file, file_size, read_file, NULL, ext, NULL) < 0)
		abort();
	check(ext);
	return 0;
}
