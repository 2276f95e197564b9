/* selection.h - a set of chunks of a dimension, and MCA Selector's text form of it.
 *
 * The text: an optional first line "inverted" (everything but what follows), then lines "RX;RZ" (a
 * whole region) or "RX;RZ;CX;CZ" (a chunk, absolute coordinates). Source: MCA Selector's Selection
 * class as described in the shared notes, section 6. Written regions are in order, not hashed.
 *
 * Memory: some 140 bytes a region that is touched. Reading is safe for any number of threads. */
#ifndef MCFS_PRUNE_SELECTION_H
#define MCFS_PRUNE_SELECTION_H

#include <stdbool.h>

#include "engine/base/buf.h"

struct selection;

struct selection_region {
	int32_t x, z;
	uint8_t bits[128]; /* slot s: bit s % 8 of byte s / 8 */
};

int selection_new(struct selection **ret, struct err *e) MUST_CHECK;
void selection_free(struct selection *s); /* NULL is fine */
static inline void cleanup_selectionp(struct selection **s)
{
	selection_free(*s);
}
#define CLEANUP_SELECTION __attribute__((cleanup(cleanup_selectionp)))

/* Absolute chunk coordinates. Chunks beyond the 32 bit range are passed over. */
int selection_add(struct selection *s, int64_t x, int64_t z, struct err *e) MUST_CHECK;
int selection_add_region(struct selection *s, int32_t rx, int32_t rz, const uint8_t bits[128],
	struct err *e) MUST_CHECK;
/* All within radius + 0.3: the disc that MCA Selector's --radius and Circle use; 0..4096. */
int selection_add_disc(struct selection *s, int64_t x, int64_t z, unsigned radius,
	struct err *e) MUST_CHECK;
bool selection_has(const struct selection *s, int32_t x, int32_t z);
bool selection_inverted(const struct selection *s);
uint64_t selection_count(const struct selection *s); /* of what is listed */

/* Listed regions in order of x, then z. The array belongs to the selection until it changes. */
const struct selection_region *selection_regions(struct selection *s, size_t *ret_n);

/* Another set: each chunk of `s` with the disc around it. `s` must not be inverted. */
int selection_grow(const struct selection *s, unsigned radius, struct selection **ret,
	struct err *e) MUST_CHECK;

/* E_USAGE with the line's number when a line is not understood. */
int selection_parse(struct selection **ret, struct span text, struct err *e) MUST_CHECK;
int selection_load(struct selection **ret, const char *path, struct err *e) MUST_CHECK;
int selection_format(struct selection *s, struct buf *out, struct err *e) MUST_CHECK;

#endif
