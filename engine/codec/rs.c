#include "engine/codec/rs.h"

#include <stdlib.h>
#include <string.h>

#include <isa-l/erasure_code.h>

#include "engine/base/cleanup.h"

#define TABLE_BYTES 32 /* ISA-L's, a coefficient */

struct rs {
	unsigned k, m;
	uint8_t *matrix; /* k + m rows of k */
	uint8_t *tables; /* of the last m rows */
};

int rs_new(struct rs **ret, unsigned k, unsigned m, struct err *e)
{
	if (k < 1 || m < 1 || k + m > RS_ROWS_MAX)
		return err_set(e, E_CORRUPT, 0, "%u rows of data and %u of parity do not work", k, m);
	struct rs *rs = calloc(1, sizeof *rs);
	if (rs) {
		rs->k = k;
		rs->m = m;
		rs->matrix = malloc((size_t)(k + m) * k);
		rs->tables = malloc((size_t)m * k * TABLE_BYTES);
	}
	if (!rs || !rs->matrix || !rs->tables) {
		rs_free(rs);
		return err_set(e, E_NOMEM, 0, "no memory for parity");
	}
	gf_gen_cauchy1_matrix(rs->matrix, (int)(k + m), (int)k);
	ec_init_tables((int)k, (int)m, rs->matrix + (size_t)k * k, rs->tables);
	*ret = rs;
	return 0;
}

void rs_free(struct rs *rs)
{
	if (!rs)
		return;
	free(rs->matrix);
	free(rs->tables);
	free(rs);
}

void rs_add_row(const struct rs *rs, unsigned row, const uint8_t *data, size_t len, uint8_t **parity)
{
	ec_encode_data_update((int)len, (int)rs->k, (int)rs->m, (int)row, rs->tables,
		(uint8_t *)(uintptr_t)data, parity);
}

/* With D the lost data, K the known and P as many rows of parity: P = A D + B K, so D = A^-1 (P + B K). The
 * matrix to invert is only as large as the loss. */
struct recovery {
	size_t n;		   /* lost rows of data */
	uint8_t gone[RS_ROWS_MAX]; /* which */
	uint8_t by[RS_ROWS_MAX];   /* rows of parity that are used */
	uint8_t *coefficients;	   /* n rows of k, then two squares of n */
	uint8_t *tables;	   /* for n x k */
	uint8_t *sums;		   /* P + B K: n rows */
};

static void recovery_free(struct recovery *rc)
{
	free(rc->coefficients);
	free(rc->tables);
	free(rc->sums);
}

static int recovery_plan(struct recovery *rc, const struct rs *rs, const bool *lost, size_t len,
	struct err *e)
{
	size_t n_by = 0;
	for (unsigned j = 0; j < rs->k; j++)
		if (lost[j])
			rc->gone[rc->n++] = (uint8_t)j;
	for (unsigned i = 0; i < rs->m && n_by < rc->n; i++)
		if (!lost[rs->k + i])
			rc->by[n_by++] = (uint8_t)i;
	if (n_by < rc->n)
		return err_set(e, E_CORRUPT, 0, "more is damaged than parity can restore");
	if (rc->n == 0)
		return 0;
	rc->coefficients = malloc(rc->n * rs->k + 2 * rc->n * rc->n);
	rc->tables = malloc(rc->n * rs->k * TABLE_BYTES);
	rc->sums = malloc(rc->n * len);
	return rc->coefficients && rc->tables && rc->sums
		       ? 0
		       : err_set(e, E_NOMEM, 0, "no memory for parity");
}

int rs_recover(const struct rs *rs, uint8_t *const *rows, const bool *lost, size_t len, struct err *e)
{
	struct recovery rc = {0};
	uint8_t *sums[RS_ROWS_MAX], *out[RS_ROWS_MAX];
	int r = recovery_plan(&rc, rs, lost, len, e);
	if (r < 0 || rc.n == 0) {
		recovery_free(&rc);
		return r;
	}
	uint8_t *square = rc.coefficients + rc.n * rs->k, *inverse = square + rc.n * rc.n;
	for (size_t i = 0; i < rc.n; i++) {
		uint8_t *of = rc.coefficients + i * rs->k;
		memcpy(of, rs->matrix + ((size_t)rs->k + rc.by[i]) * rs->k, rs->k);
		for (size_t j = 0; j < rc.n; j++) {
			square[i * rc.n + j] = of[rc.gone[j]];
			of[rc.gone[j]] = 0;
		}
		sums[i] = rc.sums + i * len;
		out[i] = rows[rc.gone[i]];
	}
	ec_init_tables((int)rs->k, (int)rc.n, rc.coefficients, rc.tables);
	ec_encode_data((int)len, (int)rs->k, (int)rc.n, rc.tables, (uint8_t **)(uintptr_t)rows, sums);
	for (size_t i = 0; i < rc.n; i++)
		for (size_t x = 0; x < len; x++)
			sums[i][x] ^= rows[rs->k + rc.by[i]][x];
	if (gf_invert_matrix(square, inverse, (int)rc.n) != 0) {
		r = err_set(e, E_CORRUPT, 0, "a matrix of parity has no inverse");
	} else {
		/* n is at most m and at most k. */
		ec_init_tables((int)rc.n, (int)rc.n, inverse, rc.tables);
		ec_encode_data((int)len, (int)rc.n, (int)rc.n, rc.tables, sums, out);
	}
	recovery_free(&rc);
	return r;
}
