#include "engine/prune/tickets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/nbt.h"
#include "engine/base/cleanup.h"
#include "engine/prune/players.h"

static char *join(const char *a, const char *b)
{
	char *out;
	return asprintf(&out, "%s%s%s", a, *a ? "/" : "", b) < 0 ? NULL : out;
}

/* ---- forced chunks ---- */

static int add_packed(struct selection *out, int64_t v, struct err *e)
{
	return selection_add(out, (int32_t)(uint32_t)v, (int32_t)(uint32_t)((uint64_t)v >> 32), e);
}

/* Whatever names a chunk in one of these files keeps it; where it stands does not matter. */
static int note_ticket(const struct nbt_tag *t, struct selection *out, struct err *e)
{
	if (nbt_is(t, NBT_LONGS, "Forced")) {
		int r = 0;
		for (uint32_t i = 0; i < t->count && r == 0; i++) {
			const uint8_t *p = t->raw.p + 8 * (size_t)i;
			r = add_packed(out, (int64_t)((uint64_t)get_be32(p) << 32 | get_be32(p + 4)),
				e);
		}
		return r;
	}
	if (nbt_is(t, NBT_LONG, "Chunk") || nbt_is(t, NBT_LONG, "chunk_pos"))
		return add_packed(out, t->number, e);
	if (nbt_is(t, NBT_INTS, "chunk_pos") && t->count == 2)
		return selection_add(out, (int32_t)get_be32(t->raw.p),
			(int32_t)get_be32(t->raw.p + 4), e);
	return 0;
}

static int read_tickets(struct source *s, const char *path, struct selection *out, struct err *e)
{
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	struct nbt_reader r;
	struct nbt_tag t;
	int rc = nbt_file_read(s, path, &nbt, e);
	if (rc < 0)
		return rc;
	nbt_open(&r, buf_span(&nbt));
	while ((rc = nbt_next(&r, &t, e)) == 1) {
		rc = note_ticket(&t, out, e);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int tickets_read(struct source *s, const struct world_dim *dim, struct selection *out,
	struct err *e)
{
	static const char *const files[] = {"data/chunks.dat", "data/minecraft/chunks.dat",
		"data/chunk_tickets.dat", "data/minecraft/chunk_tickets.dat"};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		CLEANUP_FREE char *path = join(dim->folder, files[i]);
		int r = path ? read_tickets(s, path, out, e)
			     : err_set(e, E_NOMEM, 0, "no memory for a path");
		if (r < 0 && r != E_NOTFOUND)
			return err_wrap(e, "which chunks are force-loaded is not known");
	}
	return 0;
}

/* ---- spawn ---- */

struct spawn_tags {
	bool has_x, has_z;
	int64_t x, z;
	char dimension[PLAYER_DIMENSION_CHARS];
};

static int note_spawn(struct nbt_reader *r, const struct nbt_tag *t, struct spawn_tags *s,
	struct err *e)
{
	struct nbt_tag in;
	int rc;
	if (!nbt_is(t, NBT_COMPOUND, "spawn"))
		return nbt_skip(r, t, e);
	while ((rc = nbt_next(r, &in, e)) == 1 && in.type != NBT_END) {
		if (nbt_is(&in, NBT_INTS, "pos") && in.count == 3) {
			s->x = (int32_t)get_be32(in.raw.p);
			s->z = (int32_t)get_be32(in.raw.p + 8);
			s->has_x = s->has_z = true;
		} else if (nbt_is(&in, NBT_STRING, "dimension")) {
			char id[PLAYER_DIMENSION_CHARS];
			snprintf(id, sizeof id, "%.*s", (int)in.raw.n, (const char *)in.raw.p);
			player_dimension(id, s->dimension);
		}
		rc = nbt_skip(r, &in, e);
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : 0;
}

static int find_spawn(struct span nbt, struct spawn_tags *s, struct err *e)
{
	struct nbt_reader r;
	struct nbt_tag t;
	int rc;
	nbt_open(&r, nbt);
	while ((rc = nbt_next(&r, &t, e)) == 1) {
		if (t.type == NBT_END || t.depth == 0 ||
			(t.depth == 1 && nbt_is(&t, NBT_COMPOUND, "Data")))
			continue;
		if (t.depth == 2 && nbt_is(&t, NBT_INT, "SpawnX")) {
			s->x = t.number;
			s->has_x = true;
		} else if (t.depth == 2 && nbt_is(&t, NBT_INT, "SpawnZ")) {
			s->z = t.number;
			s->has_z = true;
		}
		rc = t.depth == 2 ? note_spawn(&r, &t, s, e) : nbt_skip(&r, &t, e);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int spawn_read(struct source *s, const char *world, struct world_spawn *ret, struct err *e)
{
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	CLEANUP_FREE char *path = join(world, "level.dat");
	struct spawn_tags found = {.dimension = "overworld"};
	*ret = (struct world_spawn){0};
	int r = path ? nbt_file_read(s, path, &nbt, e)
		     : err_set(e, E_NOMEM, 0, "no memory for a path");
	if (r == E_NOTFOUND)
		return 0;
	if (r == 0)
		r = find_spawn(buf_span(&nbt), &found, e);
	if (r < 0)
		return err_wrap(e, "where spawn is is not known");
	ret->known = found.has_x && found.has_z;
	ret->x = found.x >> 4;
	ret->z = found.z >> 4;
	snprintf(ret->dimension, sizeof ret->dimension, "%s", found.dimension);
	return 0;
}
