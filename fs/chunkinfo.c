#include "fs/chunkinfo.h"

#include <stdio.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/base/wire.h"

void chunk_name(int32_t x, int32_t z, unsigned slot, const char *tail, char out[CHUNK_NAME_MAX])
{
	snprintf(out, CHUNK_NAME_MAX, "c.%lld.%lld%s", (long long)x * 32 + slot % 32,
		(long long)z * 32 + slot / 32, tail);
}

int chunk_slot_of(int32_t rx, int32_t rz, struct span name, bool *ret_fine)
{
	char text[CHUNK_NAME_MAX], again[CHUNK_NAME_MAX];
	long long x, z;
	if (name.n >= sizeof text)
		return -1;
	memcpy(text, name.p, name.n);
	text[name.n] = 0;
	/* Nothing real has more digits, and nothing overflows below. */
	if (sscanf(text, "c.%12lld.%12lld", &x, &z) != 2)
		return -1;
	x -= (long long)rx * 32;
	z -= (long long)rz * 32;
	if (x < 0 || x > 31 || z < 0 || z > 31)
		return -1;
	int slot = (int)(x + 32 * z);
	*ret_fine = true;
	chunk_name(rx, rz, (unsigned)slot, CHUNK_NBT_TAIL, again);
	if (strcmp(text, again) == 0)
		return slot;
	*ret_fine = false;
	chunk_name(rx, rz, (unsigned)slot, CHUNK_DAMAGED_TAIL, again);
	return strcmp(text, again) == 0 ? slot : -1;
}

/* ---- attributes ---- */

int chunk_xattr(struct buf *out, const char *name, const char *value, struct err *e)
{
	int r = put_str(out, name, e);
	return r < 0 ? r : put_str(out, value, e);
}

static int put_number(struct buf *out, const char *name, long long v, struct err *e)
{
	char text[32];
	snprintf(text, sizeof text, "%lld", v);
	return chunk_xattr(out, name, text, e);
}

int chunk_xattrs(struct buf *out, const char *dimension, struct span nbt, struct err *e)
{
	struct chunk_info info = {0};
	struct err ignored = ERR_INIT;
	int r = 0;
	/* What stands in front of damage is still worth telling. */
	(void)!chunk_info_read(nbt, &info, &ignored);
	if (info.data_version)
		r = put_number(out, "user.mcfs.data_version", info.data_version, e);
	if (r == 0)
		r = chunk_xattr(out, "user.mcfs.dimension", dimension, e);
	if (r == 0 && info.has_inhabited)
		r = put_number(out, "user.mcfs.inhabited_time", info.inhabited_time, e);
	if (r == 0 && info.has_last_update)
		r = put_number(out, "user.mcfs.last_update", info.last_update, e);
	if (r == 0 && info.status[0])
		r = chunk_xattr(out, "user.mcfs.status", info.status, e);
	return r;
}
