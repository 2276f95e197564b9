/* fault_store.h - a store with five snapshots, the commands that change a store as functions that can be
 * called again after they were cut off, and the promises that must hold whatever happened to them. */
#ifndef TEST_FAULT_STORE_H
#define TEST_FAULT_STORE_H

#include "tests/unit/support.h"

/* Two of its snapshots are forgotten; files for a sixth lie ready. To be copied, not changed. */
extern struct object_place *fault_base;
void fault_store_make(void);
void fault_store_free(void);
/* With the old key, or when that is refused, the new one. The place goes over to the store. */
int fault_store_open(struct object_place *place, struct store **ret, struct err *e) MUST_CHECK;

struct fault_op {
	const char *name;
	int (*run)(struct store *s, struct err *e);
	unsigned opens;	    /* the keys that open the store when it is through: bits for old, new, third */
	unsigned snapshots; /* how many are there then */
	unsigned forgets;   /* which may be forgotten: bits */
};
extern const struct fault_op fault_ops[];
extern const unsigned n_fault_ops;
/* A test of `fn` for each, which is its initial state. */
void fault_store_tests(struct CMUnitTest *ret, CMUnitTestFunction fn);

/* The process is dead, and its lock with it: that this is found out is test_lock's affair. */
void fault_store_bury(struct object_place *place);
/* Every snapshot that was finished is there, or forgotten if that was asked for; check finds nothing. */
void fault_store_must_hold(struct object_place *place, const struct fault_op *op, const char *when,
	unsigned long n);
void fault_store_must_open(struct object_place *place, const struct fault_op *op);

/* The command had ended well, so its result is there: keys and number of snapshots. */
void fault_store_must_be_done(struct object_place *place, const struct fault_op *op);

#endif
