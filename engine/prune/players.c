#include "engine/prune/players.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/anvil/nbt.h"
#include "engine/base/cleanup.h"

#define FILE_MAX ((size_t)16 << 20)
#define NBT_MAX ((size_t)128 << 20)

/* ---- NBT files ---- */

int nbt_file_read(struct source *s, const char *path, struct buf *nbt, struct err *e)
{
	CLEANUP_BUF struct buf file = BUF_INIT;
	int r = source_read_file(s, path, FILE_MAX, &file, e);
	if (r < 0)
		return r;
	unsigned type = file.len > 1 && file.p[0] == 0x1f && file.p[1] == 0x8b ? CHUNK_GZIP
			: file.len && file.p[0] == 0x78				? CHUNK_ZLIB
										: CHUNK_RAW;
	r = chunk_decode(type, buf_span(&file), NBT_MAX, nbt, e);
	if (r == 0)
		r = nbt_check(buf_span(nbt), e);
	return r < 0 ? err_wrap(e, "'%s'", path) : 0;
}

/* ---- a player ---- */

void player_dimension(const char *id, char out[PLAYER_DIMENSION_CHARS])
{
	static const char *const known[][2] = {{"0", "overworld"}, {"-1", "the_nether"},
		{"1", "the_end"}};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(id, known[i][0]) == 0)
			id = known[i][1];
	if (strncmp(id, "minecraft:", 10) == 0)
		id += 10;
	snprintf(out, PLAYER_DIMENSION_CHARS, "%s", id);
	char *colon = strchr(out, ':');
	if (colon)
		*colon = '/';
}

struct player {
	double pos[3];
	unsigned n_pos;
	int64_t spawn_x, spawn_z;
	bool has_x, has_z;
	char dimension[PLAYER_DIMENSION_CHARS], spawn_dimension[PLAYER_DIMENSION_CHARS];
};

static double double_of(struct span raw)
{
	uint64_t bits = (uint64_t)get_be32(raw.p) << 32 | get_be32(raw.p + 4);
	double d;
	memcpy(&d, &bits, sizeof d);
	return d;
}

static void set_dimension(const struct nbt_tag *t, char out[PLAYER_DIMENSION_CHARS])
{
	char id[PLAYER_DIMENSION_CHARS];
	if (t->type == NBT_STRING)
		snprintf(id, sizeof id, "%.*s", (int)t->raw.n, (const char *)t->raw.p);
	else
		snprintf(id, sizeof id, "%lld", (long long)t->number);
	player_dimension(id, out);
}

static bool called(const struct nbt_tag *t, const char *name)
{
	return nbt_is(t, t->type, name);
}

static bool is_number(const struct nbt_tag *t)
{
	return t->type >= NBT_BYTE && t->type <= NBT_LONG;
}

/* A member of the player's compound. */
static int note_member(struct nbt_reader *r, const struct nbt_tag *t, struct player *p,
	struct err *e)
{
	struct nbt_tag in;
	int rc = 0;
	if (called(t, "Pos") && t->type == NBT_LIST) {
		p->n_pos = 0;
		while ((rc = nbt_next(r, &in, e)) == 1 && in.type != NBT_END)
			if (in.type == NBT_DOUBLE && p->n_pos < 3)
				p->pos[p->n_pos++] = double_of(in.raw);
		return rc;
	}
	if (called(t, "respawn") && t->type == NBT_COMPOUND) {
		while ((rc = nbt_next(r, &in, e)) == 1 && in.type != NBT_END) {
			if (nbt_is(&in, NBT_INTS, "pos") && in.count == 3) {
				p->spawn_x = (int32_t)get_be32(in.raw.p);
				p->spawn_z = (int32_t)get_be32(in.raw.p + 8);
				p->has_x = p->has_z = true;
			} else if (nbt_is(&in, NBT_STRING, "dimension")) {
				set_dimension(&in, p->spawn_dimension);
			}
			rc = nbt_skip(r, &in, e);
			if (rc < 0)
				return rc;
		}
		return rc;
	}
	if (called(t, "Dimension") && (is_number(t) || t->type == NBT_STRING)) {
		set_dimension(t, p->dimension);
	} else if (called(t, "SpawnDimension") && (is_number(t) || t->type == NBT_STRING)) {
		set_dimension(t, p->spawn_dimension);
	} else if (called(t, "SpawnX") && is_number(t)) {
		p->spawn_x = t->number;
		p->has_x = true;
	} else if (called(t, "SpawnZ") && is_number(t)) {
		p->spawn_z = t->number;
		p->has_z = true;
	}
	rc = nbt_skip(r, t, e);
	return rc < 0 ? rc : 1;
}

/* The chunk of a block coordinate. */
static int64_t chunk_of(double d)
{
	int64_t block = (int64_t)d;
	return (block - (d < (double)block)) >> 4;
}

/* NaN is not. */
static bool is_place(double d)
{
	return d > -1e9 && d < 1e9;
}

static int tell(const struct player *p, player_fn fn, void *ctx, struct err *e)
{
	struct player_point at = {0};
	int r = 0;
	if (p->n_pos == 3 && is_place(p->pos[0]) && is_place(p->pos[2])) {
		at.x = chunk_of(p->pos[0]);
		at.z = chunk_of(p->pos[2]);
		snprintf(at.dimension, sizeof at.dimension, "%s", p->dimension);
		r = fn(ctx, &at, e);
	}
	if (r == 0 && p->has_x && p->has_z) {
		at = (struct player_point){p->spawn_x >> 4, p->spawn_z >> 4, true, ""};
		/* Before 1.16 a bed was always in the overworld. */
		snprintf(at.dimension, sizeof at.dimension, "%s",
			*p->spawn_dimension ? p->spawn_dimension : "overworld");
		r = fn(ctx, &at, e);
	}
	return r;
}

int players_of_nbt(struct span nbt, const char *below, player_fn fn, void *ctx, struct err *e)
{
	struct nbt_reader r;
	struct nbt_tag t;
	struct player p = {0};
	unsigned depth = below ? UINT32_MAX : 1; /* of the player's members */
	int rc;
	nbt_open(&r, nbt);
	while ((rc = nbt_next(&r, &t, e)) == 1) {
		if (t.depth == 0)
			continue;
		if (below && depth == UINT32_MAX && t.type == NBT_COMPOUND) {
			if (t.depth == 2 && called(&t, below))
				depth = 3;
			if (depth == 3 || (t.depth == 1 && called(&t, "Data")))
				continue;
		}
		if (t.type == NBT_END) {
			if (t.depth + 1 == depth)
				depth = 0; /* the player is over */
			continue;
		}
		rc = t.depth == depth ? note_member(&r, &t, &p, e) : nbt_skip(&r, &t, e);
		if (rc < 0)
			break;
	}
	return rc < 0 ? rc : tell(&p, fn, ctx, e);
}

/* ---- a directory of them ---- */

struct reading {
	struct source *s;
	const char *dir;
	player_fn fn;
	void *ctx;
	const struct log *log;
};

static bool has_tail(const char *name, const char *tail)
{
	size_t n = strlen(name), m = strlen(tail);
	return n > m && strcmp(name + n - m, tail) == 0;
}

static int read_one(void *ctx, const char *name, bool is_dir, struct err *e)
{
	struct reading *r = ctx;
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	CLEANUP_FREE char *path = NULL;
	struct err why = ERR_INIT;
	if (is_dir || (!has_tail(name, ".dat") && !has_tail(name, ".dat_old")))
		return 0;
	if (asprintf(&path, "%s%s%s", r->dir, *r->dir ? "/" : "", name) < 0) {
		path = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	int rc = nbt_file_read(r->s, path, &nbt, &why);
	if (rc == E_NOMEM || rc == E_IO)
		return err_set(e, rc, 0, "%s", why.msg);
	if (rc < 0) {
		log_say(r->log, LOG_WARN, "a player's file cannot be read: %s", why.msg);
		return 0;
	}
	return players_of_nbt(buf_span(&nbt), NULL, r->fn, r->ctx, e);
}

int players_read(struct source *s, const char *dir, player_fn fn, void *ctx, const struct log *log,
	struct err *e)
{
	struct reading r = {s, dir, fn, ctx, log};
	return source_list(s, dir, read_one, &r, e);
}
