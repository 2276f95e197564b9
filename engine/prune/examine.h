/* examine.h - reads one chunk only as far as it takes to answer. Private to engine/prune. */
#ifndef MCFS_PRUNE_EXAMINE_H
#define MCFS_PRUNE_EXAMINE_H

#include "engine/anvil/source.h"
#include "engine/codec/inflate.h"
#include "engine/prune/content.h"

/* What can be said with what is known. Called again and again while a chunk is read; at the end
 * ANSWER_UNKNOWN counts as ANSWER_NO. */
typedef enum answer (*decide_fn)(void *ctx, const struct facts *f);

/* One thread's working memory. */
struct examiner {
	struct facts facts;
	struct content_reading content;
	struct inflate_steps *steps;
	struct source_chunk chunk[SOURCE_KINDS];
	struct buf nbt;
	uint8_t shared[SOURCE_KINDS][REGION_SLOTS / 8]; /* bits: sectors that another entry claims too */
	unsigned streamed, in_vain, direct; /* does stopping early pay? */
	char problem[200];		    /* what is wrong with the damaged chunk */
};
int examiner_init(struct examiner *x, const struct query_names *names, struct err *e) MUST_CHECK;
void examiner_free(struct examiner *x);

/* Call when the region changes: which chunks share sectors is seen in its headers. */
void examine_region(struct examiner *x, struct source_region *const reg[SOURCE_KINDS]);

struct examine_options {
	unsigned wants; /* FACT_BITs that `decide` looks at */
	bool verify;	/* ANSWER_YES only of a chunk that was read whole, all kinds of it */
	decide_fn decide;
	void *ctx;
};

/* A chunk counts as damaged when the record of any of its kinds is not whole, shares sectors with another's,
 * does not decode to one NBT compound, or says that it belongs to another place (docs/PRUNE.md has the same
 * words): the ones that prune leaves alone.
 *
 * Answer for a slot. The facts that come from headers are set by the caller; the others are cleared
 * here. A region of reg[] may be NULL. A damaged chunk is ANSWER_YES_DAMAGED or ANSWER_NO with
 * facts.damaged set. Fails only for what is not the chunk's fault. */
int examine_chunk(struct examiner *x, struct source_region *const reg[SOURCE_KINDS], unsigned slot,
	const struct examine_options *opt, enum answer *ret, struct err *e) MUST_CHECK;

#endif
