/* lock.h - who is at work in a store: small sealed objects in locks/, renewed while their holder
 * lives. docs/CRASH-SAFETY.md, "Locks".
 *
 * A writer's lock keeps nobody out: it tells compact that its holder may rely on what the store held
 * when it began. Exclusive locks keep each other out. A lock whose holder is gone is broken by whoever
 * it is in the way of: nobody unlocks by hand. No clock is ever compared with another machine's.
 *
 * Threads: a held lock has a thread of its own that renews it; all calls may come from any thread,
 * give and take of one lock from one at a time. */
#ifndef MCFS_STORE_LOCK_H
#define MCFS_STORE_LOCK_H

#include <signal.h>
#include <stdbool.h>

#include "engine/store/id_list.h"
#include "engine/store/store.h"

#define LOCK_INTERVAL_MS 60000

enum lock_mode { LOCK_WRITER = 1, LOCK_EXCLUSIVE = 2 };

struct lock_info {
	struct id object; /* its name in the store now; new at each renewal */
	struct id holder; /* the same as long as it is held */
	uint8_t mode;
	bool unknown; /* of another version, or damaged: its holder cannot be told */
	char host[65], what[33];
	uint64_t pid;
	int64_t since, refreshed; /* the holder's clock: to show, not to compare */
	uint64_t interval_ms;
	struct id boot;
	uint64_t pid_ns, start;
	struct id_list seen; /* doomed objects that it knew of when it began */
};
/* "host, process 123, since 2026-11-22 02:00:00 (snapshot)" */
#define LOCK_TEXT_CHARS 200
char *lock_text(const struct lock_info *l, char out[LOCK_TEXT_CHARS]);

/* All locks that are there, dead ones included. */
struct lock_list {
	struct lock_info *v;
	size_t n;
};
int lock_list_load(struct lock_list *l, struct store *s, struct err *e) MUST_CHECK;
void lock_list_free(struct lock_list *l);

struct store_lock;

/* How to wait for others. */
struct lock_wait {
	unsigned seconds; /* for those who are alive */
	const volatile sig_atomic_t *cancel;
	/* Told once for each holder that is waited for; may be NULL. */
	void (*on_wait)(void *ctx, const struct lock_info *l);
	void *ctx;
};

/* Take a lock; durable and visible when it returns 0. Exclusive: E_LOCKED with who holds it when that
 * does not end in time. `wait` NULL: not at all, but for the minutes that it takes to find that a
 * holder is dead. */
int store_lock_take(struct store *s, enum lock_mode mode, const char *what,
	const struct lock_wait *wait, struct store_lock **ret, struct err *e) MUST_CHECK;
/* Tell others which doomed objects were seen; writers, once, at their begin. */
int store_lock_saw(struct store_lock *l, const struct id_list *doomed, struct err *e) MUST_CHECK;
/* E_LOCKED when somebody took this holder for dead and broke the lock. */
int store_lock_check(struct store_lock *l, struct err *e) MUST_CHECK;
/* NULL is fine. */
void store_lock_release(struct store_lock *l);

/* The store holds a lock for its owner: transactions then take none of their own. store_end(),
 * store_abort() and store_close() let it go. */
int store_hold(struct store *s, enum lock_mode mode, const char *what, const struct lock_wait *wait,
	struct err *e) MUST_CHECK;
const struct store_lock *store_held(const struct store *s);

/* Wait until no lock but `own` is left that `in_the_way` says yes to; dead ones are broken. E_LOCKED
 * names the first that is left (*ret_holder, when not NULL, is a copy without `seen`). */
typedef bool (*lock_filter)(void *ctx, const struct lock_info *l);
int store_locks_clear(struct store *s, const struct store_lock *own, lock_filter in_the_way,
	void *ctx, const struct lock_wait *wait, struct lock_info *ret_holder,
	struct err *e) MUST_CHECK;

#endif
