/* flat.h - does InhabitedTime say anything in this world? Private to engine/prune.
 *
 * Some servers write one value into every chunk (Paper's fixed-chunk-inhabited-time), some worlds were
 * never played in. What nearly all chunks say says nothing about any of them. */
#ifndef MCFS_PRUNE_FLAT_H
#define MCFS_PRUNE_FLAT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGNAL_SLOTS 32

/* Counts values. The most common ones survive: whatever has more than one in SIGNAL_SLOTS + 1 of the
 * values other than 0 is in `slot`, counted too low by at most that share. 0 is counted exactly. */
struct signal_counts {
	pthread_mutex_t m;
	uint64_t total, zero;
	struct {
		int64_t value;
		uint64_t n;
	} slot[SIGNAL_SLOTS];
};

void signal_init(struct signal_counts *s);
void signal_free(struct signal_counts *s);
void signal_add(struct signal_counts *s, int64_t value); /* any thread */
/* Is it one value nearly everywhere? Never of fewer than 100 chunks. */
bool signal_is_flat(const struct signal_counts *s, int64_t *ret_value, unsigned *ret_permille);

#endif
