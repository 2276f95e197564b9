/* doomed.h - packs that compact is about to remove: sealed lists in doomed/.
 *
 * Doomed packs are still read, but a writer that sees them relies on nothing in them.
 * docs/CRASH-SAFETY.md, "Compact". Not thread-safe. */
#ifndef MCFS_STORE_DOOMED_H
#define MCFS_STORE_DOOMED_H

#include "engine/store/id_list.h"
#include "engine/store/nameset.h"
#include "engine/store/store.h"

struct doomed_pack {
	struct id pack;
	int64_t since; /* first doomed, by the clock of the machine that did it */
};

struct doomed {
	struct doomed_pack *v; /* each pack once, with its oldest time */
	size_t n;
	struct id_list objects; /* that say so */
	struct nameset packs; /* ids */
};

/* All that is doomed now. A list that cannot be read is told to the log and left out, also from
 * `objects`: who relies on it being seen is waited for. */
int doomed_load(struct doomed *d, struct store *s, struct err *e) MUST_CHECK;
void doomed_free(struct doomed *d);
bool doomed_has(const struct doomed *d, const struct id *pack);
/* Write a list under a fresh id; durable. At most DOOMED_MAX packs. */
#define DOOMED_MAX 65536
int doomed_put(struct store *s, const struct doomed_pack *v, size_t n, struct id *ret,
	struct err *e) MUST_CHECK;
int doomed_remove(struct store *s, const struct id *object, struct err *e) MUST_CHECK;
/* Call `fn` for each list that is damaged; with `remove`, for who holds the exclusive lock, they go: nobody can
 * have seen what they say, and compact dooms again under a new id what it removes. */
int doomed_check(struct store *s, bool remove, store_copies_each fn, void *ctx, struct err *e) MUST_CHECK;

#endif
