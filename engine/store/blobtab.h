/* blobtab.h - all blobs of the index as numbers, with what compact needs to know of each: 15 bytes a
 * blob, so that ten million take 150 MB. Not thread-safe. */
#ifndef MCFS_STORE_BLOBTAB_H
#define MCFS_STORE_BLOBTAB_H

#include "engine/store/form.h"
#include "engine/store/index.h"

#define BLOBTAB_NONE UINT32_MAX

enum blobtab_flag {
	BLOB_LIVE = 1,	 /* a snapshot names it */
	BLOB_NEEDED = 2, /* that, or something that is kept is a difference against it */
	BLOB_TREE = 4,	 /* walked as a node of a directory, */
	BLOB_MAP = 8,	 /* of a list of pieces, */
	BLOB_LAYOUT = 16, /* as a region's layout. Each by itself: a file may look like a directory */
	BLOB_HELD = 32,	 /* a copy that will do is in a pack that stays */
	BLOB_BASE = 64,	 /* something that is needed is a difference against it */
	BLOB_TWICE = 128, /* there is more than one copy */
	BLOB_FREED = 256, /* if what the plan says is stored anew, these copies are not needed */
	BLOB_NO_BASE = 512 /* it has no copy on which a difference can rest */
};

/* How good a copy is: its depth, 0 whole. Kept ones (forms 4, 5) are the last choice, since nothing rests
 * on them. Of copies of one blob, one of the least rank must stay: CRASH-SAFETY.md, "Compact". */
#define RANK_KEPT 254
#define RANK_NONE 255 /* no copy, or only differences whose base is gone */
static inline uint8_t copy_rank(const struct blob_loc *l)
{
	return form_is_kept(l->form) ? RANK_KEPT : l->method == METHOD_DELTA ? l->depth : 0;
}

struct blobtab {
	uint64_t *key;	/* the first 8 bytes of the name, big-endian: sorted */
	uint32_t *base; /* of the copy of the least rank, or BLOBTAB_NONE */
	uint8_t *rank;
	uint16_t *flags;
	size_t n;
	struct blobtab_twin {
		uint32_t i;
		struct name name;
	} *twins; /* those that share their first 8 bytes, in order */
	size_t n_twins;
	bool ties; /* of some blob there are several differences of the least rank */
};

int blobtab_load(struct blobtab *t, struct index *ix, struct err *e) MUST_CHECK;
/* Ranks and bases again, after copies were added or more is known to be live: of several copies of the least
 * rank one against a live base is chosen. The set of names must not have shrunk. */
int blobtab_rank(struct blobtab *t, struct index *ix, struct err *e) MUST_CHECK;
void blobtab_free(struct blobtab *t);

/* BLOBTAB_NONE when there is none. */
uint32_t blobtab_find(const struct blobtab *t, const struct name *name);
uint32_t blobtab_find_base(const struct blobtab *t, const uint8_t base[BASE_BYTES]);
/* Is this copy as good as the one that was chosen: of the least rank, and against the same base? Of two
 * writers who stored a blob at once each may have had a base of its own; only the chosen one's is needed. */
bool blobtab_will_do(const struct blobtab *t, uint32_t i, const struct blob_loc *l);
/* It is needed, and so is the base of its best copy, and so on. */
void blobtab_need(struct blobtab *t, uint32_t i);
/* What is needed, anew, by what is live. */
void blobtab_need_live(struct blobtab *t);

#endif
