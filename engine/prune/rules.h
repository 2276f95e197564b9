/* rules.h - which chunks of a world the rules would prune, which they keep, and why.
 *
 * A rule is a condition: a pair of ages as in MCA Selector's options file ("not saved for 30 days and
 * inhabited for less than 2 hours"), or a query (docs/QUERY.md). Any rule that holds makes a chunk
 * prunable, unless something protects it. Nothing is written here and nothing is changed: this
 * decides, engine/prune/prune.h acts.
 *
 * Always protected, whatever the rules say: chunks that cannot be read (unless a rule's query asks
 * for Damaged), force-loaded and ticketed chunks, around spawn, around players and their respawn
 * points, and the neighbours of every chunk that stays. docs/QUERY.md has the order of reasons.
 *
 * Threads: a compiled set is read-only, any thread. A judgement belongs to its caller. */
#ifndef MCFS_PRUNE_RULES_H
#define MCFS_PRUNE_RULES_H

#include <signal.h>
#include <stdbool.h>

#include "engine/anvil/source.h"
#include "engine/base/log.h"

/* ---- what somebody wrote: prune.yaml, or options ---- */

#define RULES_MAX 100

/* A pair, or a query. */
struct rule_spec {
	char *name;	      /* fit for a file name: "rule-1", "query"; NULL: it gets such a one */
	int64_t last_updated; /* seconds since the region's time stamp, at least; -1: not asked */
	int64_t inhabited;    /* ticks, fewer than this; -1: not asked */
	char *query;	      /* NULL: the pair */
	unsigned line;	      /* where it stands in the file, for messages; 0: nowhere */
};

/* In chunks, both ends included. A circle takes what is within radius + 0.3 of its centre. */
struct protect_area {
	char *dimension; /* NULL: every one */
	bool circle;
	int32_t x, z, radius;	 /* circle */
	int32_t x1, z1, x2, z2; /* box */
};

struct protect_spec {
	bool forced, players;	/* both true by default */
	unsigned spawn_radius;	/* chunks around spawn; 10; 0: only spawn's own */
	bool spawn;		/* true by default */
	unsigned player_radius; /* chunks around players and their respawn points; 2 */
	unsigned neighbours;	/* chunks around every chunk that stays; 1; at most 32 */
	struct protect_area *areas;
	size_t n_areas;
	struct protect_file {
		char *path; /* of MCA Selector's CSV form */
		char *dimension; /* NULL: every one */
	} *selections;
	size_t n_selections;
	char **structures; /* ids: chunks that belong to one of these */
	size_t n_structures;
	char **blocks; /* ids: chunks that have one of these */
	size_t n_blocks;
};

struct rules_spec {
	struct rule_spec *rules;
	size_t n_rules;
	struct protect_spec protect;
	unsigned max_percent; /* of a dimension's chunks; 50; 100: no limit */
};

void rules_spec_init(struct rules_spec *s); /* no rules, and the defaults above */
void rules_spec_free(struct rules_spec *s);
/* Add a rule. `last_updated` and `inhabited` as above, not both -1. Strings are copied. E_NOMEM; E_USAGE for more than RULES_MAX. */
int rules_spec_add_pair(struct rules_spec *s, int64_t last_updated, int64_t inhabited, unsigned line,
	struct err *e) MUST_CHECK;
int rules_spec_add_query(struct rules_spec *s, const char *query, unsigned line,
	struct err *e) MUST_CHECK;

/* ---- compiled ---- */

struct rules;
/* Parse the queries and read the selection files. The spec may go away. E_USAGE for what cannot be
 * understood, with the rule's line; E_IO. A set without any rule is fine: nothing is prunable. */
int rules_compile(struct rules **ret, const struct rules_spec *spec, struct err *e) MUST_CHECK;
void rules_free(struct rules *r); /* NULL is fine */
size_t rules_count(const struct rules *r);
const char *rules_name(const struct rules *r, size_t i); /* for a file name */
const char *rules_text(const struct rules *r, size_t i); /* for people */

/* ---- the judgement ---- */

/* One byte a chunk. */
enum verdict {
	VERDICT_ABSENT,	    /* there is no chunk */
	VERDICT_KEPT,	    /* no rule asks for it */
	VERDICT_DAMAGED,    /* these are kept although a rule may ask for it: it cannot be read */
	VERDICT_FORCED,	    /* force-loaded, or has a ticket */
	VERDICT_SPAWN,	    /* near spawn */
	VERDICT_PLAYER,	    /* near a player or a respawn point */
	VERDICT_AREA,	    /* in a protected circle, box or selection */
	VERDICT_STRUCTURE,  /* has a protected structure or block */
	VERDICT_NEIGHBOUR,  /* near a chunk that stays */
	VERDICT_REASONS,    /* how many of these there are */
	VERDICT_RULE = 100  /* prunable by rule (verdict - VERDICT_RULE) */
};
static inline bool verdict_prunable(uint8_t v)
{
	return v >= VERDICT_RULE;
}
/* "near spawn", "kept: no rule asks for it", ... */
const char *verdict_text(uint8_t v);

struct judged_region {
	int32_t x, z;
	uint8_t v[REGION_SLOTS]; /* enum verdict */
	uint64_t *entries; /* of the prunable ones in slot order, for judgement_entry(); NULL: none */
};

struct judged_dim {
	struct world_dim dim;
	struct judged_region *regions; /* sorted by x, then z; those that have chunks */
	size_t n_regions;
	uint64_t chunks, prunable, bytes; /* bytes: what all of its chunks take */
	/* How many of each reason; only chunks that a rule asks for count as protected, but
	 * VERDICT_DAMAGED counts all that were seen to be damaged. */
	uint64_t reason[VERDICT_REASONS];
	uint64_t rule_chunks[RULES_MAX], rule_bytes[RULES_MAX]; /* prunable ones */
	/* Why nothing of this dimension should be pruned though it could be; "": nothing against it. */
	char refused[256];
	bool refused_fraction; /* that is only because of max_percent: the user may insist */
};

struct judgement {
	struct judged_dim *dims; /* in the order of source_worlds() */
	size_t n_dims;
	int64_t now;
};

struct found;
struct judge_options {
	int64_t now;	       /* epoch seconds; 0: the clock */
	const char *dimension; /* only this one, by name; NULL: all */
	unsigned threads;      /* 0: one a processor */
	const volatile sig_atomic_t *cancel; /* E_CANCELLED once it is not 0; NULL */
	const struct log *log; /* what should be known: unreadable player files and so on; NULL */
	/* What was found (find.h) counts as if the last rule asked for it, too: the surroundings of what it
	 * asks for, say. Protections hold, and damaged chunks stay. NULL: nothing. */
	const struct found *also;
};

/* Judge all chunks of all dimensions. Reads every region header; inflates a chunk only as far as it
 * takes to know, but to its end before it is called prunable. Memory: one byte a chunk slot of each
 * region that has chunks, and some MiB a thread.
 * A chunk is prunable as it was read; who prunes later looks at its header entry again.
 * E_NOTFOUND when there is no such dimension; E_FORMAT when a file that says what is protected
 * (tickets, level.dat) cannot be understood. A region file that cannot be read fails it all. */
int rules_judge(const struct rules *r, struct source *s, const struct judge_options *opt,
	struct judgement **ret, struct err *e) MUST_CHECK;
void judgement_free(struct judgement *j); /* NULL is fine */
/* By absolute chunk coordinates. */
uint8_t judgement_at(const struct judged_dim *d, int32_t x, int32_t z);
/* The region header entry that a prunable chunk had when it was judged: who prunes it looks whether that
 * is still so. False for others. */
bool judgement_entry(const struct judged_region *r, unsigned slot, struct region_entry *ret);
const struct judged_region *judgement_region(const struct judged_dim *d, int32_t x, int32_t z);

/* One chunk in words: a line for each rule (does it hold, with the values that decide), and one for
 * each protection that holds. Appended to *out as text with newlines. E_NOTFOUND without the chunk. */
int rules_explain(const struct rules *r, struct source *s, const struct judge_options *opt,
	const struct judged_dim *d, int32_t x, int32_t z, struct buf *out, struct err *e) MUST_CHECK;

#endif
