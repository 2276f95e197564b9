/* content.h - from a chunk's NBT to facts, while it is still being inflated. Private to engine/prune.
 *
 * The bytes so far are looked at in one pass, tag by tag; it stops where they end and goes on there when
 * there are more. Layouts of all versions are told by where their tags stand (shared notes on MCA
 * Selector, section 2): members of "Level" before DataVersion 2844, of the root since. */
#ifndef MCFS_PRUNE_CONTENT_H
#define MCFS_PRUNE_CONTENT_H

#include "engine/anvil/nbt.h"
#include "engine/prune/query.h"

struct content_reading {
	struct nbt_reader r;
	const uint8_t *base;
	struct facts *f;
	unsigned wants;
	bool has_x, has_z; /* where it says that it is */
	int32_t x, z;
	bool skipping, section_biomes, entities_file;
	unsigned skip_depth;
	uint8_t where[NBT_DEPTH + 1];
	/* Numbered blocks of the section that is open: offsets; 0: none. */
	size_t blocks, data, add;
	uint64_t *numbered; /* bits of id << 4 | data seen; made when first needed */
	bool any_numbered;
};

void content_free(struct content_reading *c); /* the memory it keeps; a zeroed struct is fine */

/* Begin with a chunk: `wants` are FACT_BITs. `entities_file`: it is one of an entities file. */
void content_begin(struct content_reading *c, struct facts *f, unsigned wants, bool entities_file);

enum { CONTENT_MORE, CONTENT_NEWS, CONTENT_END };
/* Go on. `so_far` begins at the document's start and may have moved; `whole`: there is no more.
 * CONTENT_NEWS: another fact is known, go on when you want; CONTENT_MORE: call again with more bytes;
 * CONTENT_END: the document is over (facts_finish() is the caller's). E_FORMAT: damaged. E_NOMEM. */
int content_step(struct content_reading *c, struct span so_far, bool whole, struct err *e) MUST_CHECK;

#endif
