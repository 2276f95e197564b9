/* compact_plan.h - the packs of a store, how much of each is needed, and which of them go. Of
 * compact.c only. */
#ifndef MCFS_SNAPSHOT_COMPACT_PLAN_H
#define MCFS_SNAPSHOT_COMPACT_PLAN_H

#include "engine/store/blobtab.h"
#include "engine/store/doomed.h"

enum fate {
	PACK_STAYS,
	PACK_GOES, /* when its turn comes */
	PACK_NOW,  /* in the round that is under way */
	PACK_LATER, /* stays doomed for the next run */
	PACK_GONE
};

struct cpack {
	struct id id;
	uint64_t size;
	uint64_t blobs_bytes, used; /* of frames, shared out where several blobs are in one */
	uint64_t blobs;
	uint8_t fate;
	bool indexed; /* some index object lists it */
	bool there;   /* it lies in the store */
	bool was_doomed;
	int64_t since; /* when it was doomed first */
};

struct plan {
	struct store *s;
	struct blobtab *tab;
	struct cpack *v; /* by id */
	size_t n;
	uint32_t *slot_of_no; /* pack number of the index -> slot + 1, while a scan is under way */
	size_t n_no;
	uint64_t bytes, used; /* of all packs that are there */
};

/* All packs of the index and all that lie in the store; what of them is needed by the table's flags. The
 * index must be fresh. */
int plan_load(struct plan *p, struct store *s, struct blobtab *tab, const struct doomed *d,
	struct err *e) MUST_CHECK;
void plan_free(struct plan *p);
/* What is used of each pack, anew, after flags have changed. Copies of blobs that are BLOB_FREED are not. */
int plan_count(struct plan *p, struct err *e) MUST_CHECK;
/* Decide: sets PACK_GOES, or PACK_STAYS. At most `max_unused` percent of what stays is then unused, as far as
 * packs can be found that are worth it. */
void plan_choose(struct plan *p, unsigned max_unused);
/* Before copying: flags every blob of which the chosen copy, or one as good, is held by a pack that is not
 * PACK_NOW (or gone), and adds to what is needed the bases of all differences that are newer than the plan. */
int plan_settle(struct plan *p, struct err *e) MUST_CHECK;
/* For a scan of the index: begin, tell each pack, then ask for the pack with a number; NULL when it is newer
 * than the plan. */
void plan_begin_scan(struct plan *p);
int plan_on_pack(struct plan *p, uint64_t no, const struct id *id, struct err *e) MUST_CHECK;
struct cpack *plan_pack_of(const struct plan *p, uint64_t no);
/* A blob's part of its frame. */
uint64_t blob_share(const struct blob_loc *l);
struct cpack *plan_find(struct plan *p, const struct id *id);

#endif
