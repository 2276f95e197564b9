/* layout and gaps: every region file, however broken, is described byte for byte; every layout that
 * is read is whole or refused. */
#include "tests/unit/support.h"

#include "engine/base/wire.h"
#include "engine/snapshot/gaps.h"
#include "tests/unit/make_region.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_coder.h"
#include "tests/unit/one_store.h"

static int read_span(void *ctx, uint64_t off, void *p, size_t n, size_t *ret_n, struct err *e)
{
	struct span f = span_sub(*(struct span *)ctx, (size_t)off, n);
	(void)e;
	if (f.n)
		memcpy(p, f.p, f.n);
	*ret_n = f.n;
	return 0;
}

/* The canonical bytes of one group: mask, records. */
static void group_of(struct span file, const struct region_extent rec[REGION_SLOTS], unsigned g,
	struct buf *out)
{
	uint32_t mask = 0;
	for (unsigned i = 0; i < GROUP_SLOTS; i++)
		mask |= (uint32_t)(rec[g * GROUP_SLOTS + i].len != 0) << i;
	OK(put_u32(out, mask, e));
	for (unsigned i = 0; i < GROUP_SLOTS; i++) {
		const struct region_extent *x = &rec[g * GROUP_SLOTS + i];
		OK(buf_add(out, file.p + x->off, x->len, e));
	}
}

/* Store a region file as a backup does, and give its layout. */
static void store_file(struct span file, const struct layout *old, bool discard, struct layout *l)
{
	struct region_extent rec[REGION_SLOTS];
	const struct holes none = {0};
	OK(layout_init(l, e));
	OK(region_map(file.p, file.n, read_span, &file, rec, e));
	l->size = file.n;
	memcpy(l->header, file.p, REGION_HEADER);
	for (unsigned i = 0; i < REGION_SLOTS; i++) {
		l->rec_len[i] = rec[i].len;
		if (rec[i].len)
			l->has_group[i / GROUP_SLOTS] = true;
	}
	for (unsigned g = 0; g < LAYOUT_GROUPS; g++) {
		CLEANUP_BUF struct buf canon = BUF_INIT;
		if (!l->has_group[g])
			continue;
		group_of(file, rec, g, &canon);
		OK(store_put(s, &c, FORM_GROUP, buf_span(&canon),
			old && old->has_group[g] ? &old->sources[g].name : NULL,
			&l->sources[g].name, e));
	}
	OK(gaps_store(s, &c, file, rec, old, &none, discard, l, e));
}

/* Put a file together from nothing but its layout and the store. */
static void assemble(const struct layout *l, struct buf *out)
{
	struct extent *x = NULL;
	size_t n = 0;
	OK(layout_extents(l, &x, &n, e));
	OK(buf_add_zero(out, l->size, e));
	uint64_t at = 0;
	for (size_t i = 0; i < n; i++) {
		assert_true(x[i].off == at && x[i].len > 0);
		if (x[i].kind == EXTENT_HEADER)
			memcpy(out->p, l->header, REGION_HEADER);
		if (x[i].kind == EXTENT_BLOB) {
			CLEANUP_BUF struct buf blob = BUF_INIT;
			assert_true(x[i].source < l->n_sources);
			OK(store_get(s, &c, &l->sources[x[i].source].name, &blob, e));
			assert_true((uint64_t)x[i].at + x[i].len <= blob.len);
			memcpy(out->p + at, blob.p + x[i].at, x[i].len);
		}
		at += x[i].len;
	}
	assert_true(at == l->size);
	free(x);
}

/* Through its encoding. */
static void reread(const struct layout *l, struct layout *ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_BUF struct buf again = BUF_INIT;
	OK(layout_put(l, &b, e));
	OK(layout_get(buf_span(&b), ret, e));
	OK(layout_put(ret, &again, e));
	assert_spans(buf_span(&again), buf_span(&b));
}

static void test_every_file(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		CLEANUP_BUF struct buf file = BUF_INIT;
		struct layout old, l, got;
		make_region(&file, 1 + below(40), round < 5 ? 0 : (unsigned)rnd() & FLAW_ALL);
		OK(store_begin(s, 1, e));
		store_file(buf_span(&file), NULL, false, &old);
		OK(store_commit(s, &c, e));
		for (int version = 0; version < 3; version++) {
			play_region(&file, 4);
			OK(store_begin(s, 1, e));
			store_file(buf_span(&file), &old, false, &l);
			OK(store_commit(s, &c, e));
			reread(&l, &got);
			CLEANUP_BUF struct buf made = BUF_INIT;
			assemble(&got, &made);
			assert_spans(buf_span(&made), buf_span(&file));
			layout_free(&got);
			layout_free(&old);
			old = l;
		}
		layout_free(&old);
	}
}

/* What is stale since the older version costs no new literals. */
static void test_stale_bytes_are_found(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf file = BUF_INIT;
	struct layout old, l;
	struct store_stats st;
	make_region(&file, 60, FLAW_STALE);
	OK(store_begin(s, 1, e));
	store_file(buf_span(&file), NULL, false, &old);
	OK(store_commit(s, &c, e));
	play_region(&file, 1);
	OK(store_begin(s, 1, e));
	store_file(buf_span(&file), &old, false, &l);
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_true(st.new_bytes < file.len / 10);
	layout_free(&old);
	layout_free(&l);
}

/* Without slack: all records and the header are there, the rest may be zero. */
static void test_discard(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		CLEANUP_BUF struct buf file = BUF_INIT;
		CLEANUP_BUF struct buf made = BUF_INIT;
		struct layout l;
		make_region(&file, 30, FLAW_ALL);
		OK(store_begin(s, 1, e));
		store_file(buf_span(&file), NULL, true, &l);
		OK(store_commit(s, &c, e));
		assemble(&l, &made);
		assert_int_equal(made.len, file.len);
		assert_memory_equal(made.p, file.p, REGION_HEADER);
		for (unsigned i = 0; i < REGION_SLOTS; i++)
			assert_memory_equal(made.p + layout_record_off(&l, i) * (l.rec_len[i] != 0),
				file.p + layout_record_off(&l, i) * (l.rec_len[i] != 0), l.rec_len[i]);
		for (size_t i = 0; i < made.len; i++)
			assert_true(made.p[i] == file.p[i] || made.p[i] == 0);
		/* Bytes that a broken entry claims are kept: they may be all there is of a chunk. */
		for (unsigned i = 0; i < REGION_SLOTS; i++) {
			struct region_entry en = region_entry_at(file.p, i);
			uint64_t from = (uint64_t)en.sector * REGION_SECTOR;
			uint64_t n = (uint64_t)en.count * REGION_SECTOR;
			if (l.rec_len[i] || from < REGION_HEADER || from >= file.len)
				continue;
			if (n > file.len - from)
				n = file.len - from;
			/* Another chunk's record in there has its own slack; look at the first bytes. */
			if (n >= 5 && made.p[from] == 0 && file.p[from])
				fail_msg("round %u: bytes of broken slot %u are gone", round, i);
		}
		layout_free(&l);
	}
}

/* Every layout that can be read describes each byte once, from sources that it names. */
static void check_consistent(const struct layout *l)
{
	struct extent *x = NULL;
	size_t n = 0;
	uint64_t at = 0;
	OK(layout_extents(l, &x, &n, e));
	for (size_t i = 0; i < n; i++) {
		assert_true(x[i].off == at);
		if (x[i].kind == EXTENT_BLOB) {
			assert_true(x[i].source < l->n_sources);
			assert_true(x[i].source >= LAYOUT_GROUPS || l->has_group[x[i].source]);
		}
		at += x[i].len;
	}
	assert_true(at == l->size);
	free(x);
}

static void try_get(struct span b)
{
	struct layout l;
	struct err err = ERR_INIT;
	uint8_t *copy = malloc(b.n ? b.n : 1);
	if (b.n)
		memcpy(copy, b.p, b.n);
	int r = layout_get(span_of(copy, b.n), &l, &err);
	if (r == 0)
		check_consistent(&l);
	else
		assert_int_equal(r, E_CORRUPT);
	layout_free(&l);
	free(copy);
}

static void test_hostile_layouts(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf file = BUF_INIT;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct layout l;
	make_region(&file, 25, FLAW_ALL);
	OK(store_begin(s, 1, e));
	store_file(buf_span(&file), NULL, false, &l);
	OK(store_commit(s, &c, e));
	OK(layout_put(&l, &b, e));
	layout_free(&l);
	try_get(buf_span(&b));
	for (size_t n = 0; n < b.len; n += 1 + (n > 64) * 31)
		try_get(span_of(b.p, n));
	for (unsigned i = 0; i < 6000; i++) {
		size_t at = i < b.len ? i : below((uint32_t)b.len);
		if (i % 2)
			at = b.len - 1 - below((uint32_t)b.len / 4); /* sources and gaps */
		uint8_t was = b.p[at];
		b.p[at] = i % 3 ? (uint8_t)rnd() : (uint8_t)(was ^ (1u << i % 8));
		try_get(buf_span(&b));
		b.p[at] = was;
	}
	OK(buf_add_zero(&b, 1, e));
	FAILS(E_CORRUPT, layout_get(buf_span(&b), &l, e));
	layout_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_file),
		cmocka_unit_test(test_stale_bytes_are_found),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_hostile_layouts),
	};
	return cmocka_run_group_tests(tests, setup_coder_and_store, teardown_coder_and_store);
}
