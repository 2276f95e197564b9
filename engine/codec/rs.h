/* rs.h - Reed-Solomon over GF(2^8): k rows of data, m rows of parity, any k of the k + m give all.
 *
 * Systematic, with a Cauchy matrix: docs/FORMAT.md, "Parity". Rows are vectors of bytes of one
 * length; each column of bytes is a code word of its own, so that different columns may have
 * different rows missing. The only includer of ISA-L. Threads: a `struct rs` is read-only. */
#ifndef MCFS_CODEC_RS_H
#define MCFS_CODEC_RS_H

#include <stdbool.h>

#include "engine/base/buf.h"

#define RS_ROWS_MAX 255 /* k + m */

struct rs;
int rs_new(struct rs **ret, unsigned k, unsigned m, struct err *e) MUST_CHECK;
void rs_free(struct rs *rs);
/* Add data row `row` (each exactly once, in any order) to the m parity rows, which begin as zeros. */
void rs_add_row(const struct rs *rs, unsigned row, const uint8_t *data, size_t len, uint8_t **parity);
/* rows[0 .. k + m): parts of all rows, `len` bytes each; those that are `lost` have any content.
 * Writes the lost rows of data, not those of parity. E_CORRUPT when more than m are lost. */
int rs_recover(const struct rs *rs, uint8_t *const *rows, const bool *lost, size_t len,
	struct err *e) MUST_CHECK;

#endif
