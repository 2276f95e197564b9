#include "engine/prune/flat.h"

#include <string.h>

/* Zero is what most chunks of an honest world say: nobody was ever there. So nearly all must say it
 * before it means that nobody counts. A common value other than zero is no accident much earlier. */
#define LEAST_CHUNKS 100
#define FLAT_ZERO 999  /* of a thousand */
#define FLAT_OTHER 850 /* the count may be too low by 30 */

void signal_init(struct signal_counts *s)
{
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->m, NULL);
}

void signal_free(struct signal_counts *s)
{
	pthread_mutex_destroy(&s->m);
}

static void count_other(struct signal_counts *s, int64_t value)
{
	size_t empty = SIGNAL_SLOTS;
	for (size_t i = 0; i < SIGNAL_SLOTS; i++) {
		if (s->slot[i].n && s->slot[i].value == value) {
			s->slot[i].n++;
			return;
		}
		if (!s->slot[i].n)
			empty = i;
	}
	if (empty < SIGNAL_SLOTS) {
		s->slot[empty].value = value;
		s->slot[empty].n = 1;
		return;
	}
	for (size_t i = 0; i < SIGNAL_SLOTS; i++)
		s->slot[i].n--;
}

void signal_add(struct signal_counts *s, int64_t value)
{
	pthread_mutex_lock(&s->m);
	s->total++;
	if (value == 0)
		s->zero++;
	else
		count_other(s, value);
	pthread_mutex_unlock(&s->m);
}

bool signal_is_flat(const struct signal_counts *s, int64_t *ret_value, unsigned *ret_permille)
{
	uint64_t n = s->zero;
	if (s->total < LEAST_CHUNKS)
		return false;
	*ret_value = 0;
	if (n * 1000 < s->total * FLAT_ZERO) {
		n = 0;
		for (size_t i = 0; i < SIGNAL_SLOTS; i++)
			if (s->slot[i].n > n) {
				n = s->slot[i].n;
				*ret_value = s->slot[i].value;
			}
		if (n * 1000 < s->total * FLAT_OTHER)
			return false;
	}
	*ret_permille = (unsigned)(n * 1000 / s->total);
	return true;
}
