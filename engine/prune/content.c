#include "engine/prune/content.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/wire.h"
#include "engine/prune/legacy.h"

enum where {
	W_BASE, /* the root, or Level */
	W_SECTIONS,
	W_SECTION,
	W_BLOCK_STATES,
	W_PALETTE,
	W_PALETTE_ENTRY,
	W_BIOMES,
	W_BIOME_PALETTE,
	W_ENTITIES,
	W_ENTITY,
	W_TILES,
	W_TILE,
	W_STRUCTURES,
	W_REFERENCES,
	W_SKIP
};

#define NUMBERED_WORDS (65536 / 64)
#define SECTION_BLOCKS 4096

void content_free(struct content_reading *c)
{
	free(c->numbered);
	c->numbered = NULL;
}

void content_begin(struct content_reading *c, struct facts *f, unsigned wants, bool entities_file)
{
	c->f = f;
	c->wants = wants;
	c->base = NULL;
	c->skipping = c->section_biomes = c->has_x = c->has_z = false;
	c->entities_file = entities_file;
	if (c->any_numbered)
		memset(c->numbered, 0, NUMBERED_WORDS * sizeof *c->numbered);
	c->any_numbered = false;
}

/* ---- values ---- */

static bool wanted(const struct content_reading *c, enum fact f)
{
	return c->wants & FACT_BIT(f);
}

static bool named(const struct nbt_tag *t, const char *name)
{
	return nbt_is(t, t->type, name);
}

static void know(struct content_reading *c, enum fact f)
{
	c->f->known |= FACT_BIT(f);
}

/* A number that stands under one of the game's names. One of another type than a whole number says
 * nothing that could be compared. */
static void note_number(struct content_reading *c, enum fact f, const struct nbt_tag *t)
{
	know(c, f);
	c->f->none &= ~FACT_BIT(f);
	if (t->type >= NBT_BYTE && t->type <= NBT_LONG)
		c->f->number[f] = t->number;
	else
		c->f->none |= FACT_BIT(f);
}

static void mark(struct content_reading *c, enum name_class k, struct span name)
{
	seen_mark(&c->f->seen[k], names_find(c->f->names, k, name));
}

static void mark_biome_number(struct content_reading *c, unsigned id)
{
	const char *name = legacy_biome(id);
	mark(c, NAMES_BIOME, name ? span_of(name, strlen(name)) : (struct span){0});
}

static void note_biomes(struct content_reading *c, const struct nbt_tag *t)
{
	bool seen[256] = {0};
	for (uint32_t i = 0; i < t->count; i++) {
		uint32_t id = t->type == NBT_BYTES ? t->raw.p[i] : get_be32(t->raw.p + 4 * i);
		if (id < 256)
			seen[id] = true;
		else
			seen_mark(&c->f->seen[NAMES_BIOME], -1);
	}
	for (unsigned i = 0; i < 256; i++)
		if (seen[i])
			mark_biome_number(c, i);
	know(c, FACT_BIOME);
}

static void note_status(struct content_reading *c, const struct nbt_tag *t)
{
	size_t n = t->raw.n < STATUS_CHARS ? t->raw.n : STATUS_CHARS - 1;
	if (t->type == NBT_STRING) {
		memcpy(c->f->status, t->raw.p, n);
		c->f->status[n] = 0;
	}
	know(c, FACT_STATUS);
}

static void note_scalar(struct content_reading *c, const struct nbt_tag *t)
{
	static const struct {
		const char *name;
		enum fact fact;
	} numbers[] = {{"DataVersion", FACT_DATA_VERSION}, {"InhabitedTime", FACT_INHABITED},
		{"LastUpdate", FACT_LAST_UPDATE}, {"yPos", FACT_Y_POS},
		{"LightPopulated", FACT_LIGHT}, {"isLightOn", FACT_LIGHT}};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (named(t, numbers[i].name)) {
			note_number(c, numbers[i].fact, t);
			return;
		}
	if (nbt_is(t, NBT_INT, "xPos")) {
		c->x = (int32_t)t->number;
		c->has_x = true;
	} else if (nbt_is(t, NBT_INT, "zPos")) {
		c->z = (int32_t)t->number;
		c->has_z = true;
	} else if (named(t, "Status")) {
		note_status(c, t);
	} else if ((t->type == NBT_BYTES || t->type == NBT_INTS) && wanted(c, FACT_BIOME) &&
		   named(t, "Biomes")) {
		note_biomes(c, t);
	}
}

/* ---- blocks by number ---- */

static unsigned nibble(const uint8_t *p, size_t i)
{
	return p[i / 2] >> (i & 1 ? 4 : 0) & 15;
}

static int end_section(struct content_reading *c, struct err *e)
{
	if (!c->blocks)
		return 0;
	if (!c->numbered) {
		c->numbered = calloc(NUMBERED_WORDS, sizeof *c->numbered);
		if (!c->numbered)
			return err_set(e, E_NOMEM, 0, "no memory for block numbers");
	}
	c->any_numbered = true;
	for (size_t i = 0; i < SECTION_BLOCKS; i++) {
		unsigned id = c->base[c->blocks + i];
		unsigned data = c->data ? nibble(c->base + c->data, i) : 0;
		if (c->add)
			id |= nibble(c->base + c->add, i) << 8;
		unsigned bit = id << 4 | data;
		c->numbered[bit / 64] |= UINT64_C(1) << (bit % 64);
	}
	return 0;
}

static void end_sections(struct content_reading *c)
{
	for (unsigned w = 0; c->any_numbered && w < NUMBERED_WORDS; w++)
		for (uint64_t left = c->numbered[w]; left; left &= left - 1) {
			unsigned bit = w * 64 + (unsigned)__builtin_ctzll(left);
			const char *name = legacy_block(bit >> 4, bit & 15);
			mark(c, NAMES_BLOCK, name ? span_of(name, strlen(name)) : (struct span){0});
		}
	know(c, FACT_PALETTE);
	if (c->section_biomes)
		know(c, FACT_BIOME);
}

static void note_section_bytes(struct content_reading *c, const struct nbt_tag *t)
{
	size_t at = (size_t)(t->raw.p - c->base);
	if (t->raw.n == SECTION_BLOCKS && named(t, "Blocks"))
		c->blocks = at;
	else if (t->raw.n == SECTION_BLOCKS / 2 && named(t, "Data"))
		c->data = at;
	else if (t->raw.n == SECTION_BLOCKS / 2 && named(t, "Add"))
		c->add = at;
}

/* ---- containers: where does this one lead? ---- */

static enum where enter_base(struct content_reading *c, const struct nbt_tag *t)
{
	bool list = t->type == NBT_LIST;
	if (!list && t->depth == 1 && named(t, "Level"))
		return W_BASE;
	if (list && c->entities_file)
		return named(t, "Entities") ? W_ENTITIES : W_SKIP;
	if (list && (named(t, "sections") || named(t, "Sections")))
		return wanted(c, FACT_PALETTE) || wanted(c, FACT_BIOME) ? W_SECTIONS : W_SKIP;
	if (list && named(t, "Entities"))
		return wanted(c, FACT_ENTITIES) ? W_ENTITIES : W_SKIP;
	if (list && (named(t, "TileEntities") || named(t, "block_entities")))
		return wanted(c, FACT_TILES) ? W_TILES : W_SKIP;
	if (list && t->depth == 1 && named(t, "entities")) {
		c->f->number[FACT_PROTO_ENTITIES] = t->count;
		know(c, FACT_PROTO_ENTITIES);
		return W_SKIP;
	}
	if (!list && (named(t, "structures") || named(t, "Structures")))
		return wanted(c, FACT_STRUCTURES) ? W_STRUCTURES : W_SKIP;
	return W_SKIP;
}

static enum where enter(struct content_reading *c, enum where in, const struct nbt_tag *t)
{
	bool list = t->type == NBT_LIST;
	switch (in) {
	case W_BASE:
		return enter_base(c, t);
	case W_SECTIONS:
		c->blocks = c->data = c->add = 0;
		return list ? W_SKIP : W_SECTION;
	case W_SECTION:
		if (list && named(t, "Palette"))
			return W_PALETTE;
		if (!list && named(t, "block_states"))
			return W_BLOCK_STATES;
		if (list || !named(t, "biomes"))
			return W_SKIP;
		c->section_biomes = true;
		return W_BIOMES;
	case W_BLOCK_STATES:
		return list && named(t, "palette") ? W_PALETTE : W_SKIP;
	case W_PALETTE:
		return list ? W_SKIP : W_PALETTE_ENTRY;
	case W_BIOMES:
		return list && named(t, "palette") ? W_BIOME_PALETTE : W_SKIP;
	case W_ENTITIES:
		return list ? W_SKIP : W_ENTITY;
	case W_TILES:
		return list ? W_SKIP : W_TILE;
	case W_STRUCTURES:
		return !list && named(t, "References") ? W_REFERENCES : W_SKIP;
	default:
		return W_SKIP;
	}
}

static void note(struct content_reading *c, enum where in, const struct nbt_tag *t)
{
	bool string = t->type == NBT_STRING;
	if (in == W_BASE)
		note_scalar(c, t);
	else if (in == W_SECTION && t->type == NBT_BYTES)
		note_section_bytes(c, t);
	else if (in == W_PALETTE_ENTRY && string && named(t, "Name"))
		mark(c, NAMES_BLOCK, t->raw);
	else if (in == W_BIOME_PALETTE && string)
		mark(c, NAMES_BIOME, t->raw);
	else if (in == W_ENTITY && string && named(t, "id"))
		mark(c, NAMES_ENTITY, t->raw);
	else if (in == W_TILE && string && named(t, "id"))
		mark(c, NAMES_TILE, t->raw);
	else if (in == W_REFERENCES && t->type == NBT_LONGS && t->count)
		mark(c, NAMES_STRUCTURE, t->name);
}

static int leave(struct content_reading *c, enum where out, struct err *e)
{
	if (out == W_SECTION)
		return end_section(c, e);
	if (out == W_SECTIONS)
		end_sections(c);
	else if (out == W_TILES)
		know(c, FACT_TILES);
	else if (out == W_STRUCTURES)
		know(c, FACT_STRUCTURES);
	return 0;
}

static int handle(struct content_reading *c, const struct nbt_tag *t, struct err *e)
{
	if (c->skipping) {
		c->skipping = t->type != NBT_END || t->depth != c->skip_depth;
		return 0;
	}
	if (t->type == NBT_END)
		return leave(c, (enum where)c->where[t->depth], e);
	if (t->depth == 0) {
		c->where[0] = W_BASE;
		return 0;
	}
	enum where in = (enum where)c->where[t->depth - 1];
	if (t->type != NBT_LIST && t->type != NBT_COMPOUND) {
		note(c, in, t);
		return 0;
	}
	enum where to = enter(c, in, t);
	if (to == W_SKIP) {
		c->skipping = true;
		c->skip_depth = t->depth;
	} else if (to == W_ENTITIES) {
		c->f->number[FACT_ENTITIES] = t->count;
	} else if (to == W_TILES) {
		c->f->number[FACT_TILES] = t->count;
	}
	c->where[t->depth] = (uint8_t)to;
	return 0;
}

/* ---- in steps ---- */

static void rebase(struct content_reading *c, struct span doc)
{
	if (!c->base) {
		nbt_open(&c->r, doc);
	} else {
		c->r.p = doc.p + (c->r.p - c->base);
		c->r.end = span_end(doc);
	}
	c->base = doc.p;
}

int content_step(struct content_reading *c, struct span so_far, bool whole, struct err *e)
{
	unsigned before = c->f->known;
	struct nbt_reader *r = &c->r;
	struct nbt_tag t;
	rebase(c, so_far);
	for (;;) {
		/* What a step back takes, for when the tag goes on behind the end. */
		const uint8_t *p = r->p;
		bool started = r->started;
		unsigned depth = r->depth;
		uint32_t left = depth ? r->level[depth - 1].left : 0;
		int rc = nbt_next(r, &t, whole ? e : NULL);
		if (rc < 0 && !whole) {
			r->p = p;
			r->started = started;
			r->depth = depth;
			if (depth)
				r->level[depth - 1].left = left;
			r->bad = false;
			return CONTENT_MORE;
		}
		if (rc < 0)
			return rc;
		if (rc == 0)
			return CONTENT_END;
		rc = handle(c, &t, e);
		if (rc < 0)
			return rc;
		if (c->f->known & ~before & c->wants)
			return CONTENT_NEWS;
	}
}
