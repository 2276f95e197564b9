/* form: groups and streams come back whatever is in them; a hostile plain form is only refused. */
#include "tests/unit/support.h"

#include "engine/base/wire.h"
#include "tests/unit/make_region.h"

static struct keys *k;
static struct restreamer *rs;

static int setup(void **state)
{
	(void)state;
	k = test_keys();
	return restreamer_new(&rs, NULL);
}

static int teardown(void **state)
{
	(void)state;
	keys_free(k);
	restreamer_free(rs);
	return 0;
}

/* A group of n records in slots picked at random. */
static void make_group(struct buf *canon, unsigned n, bool odd)
{
	static const uint8_t types[] = {1, 2, 2, 3, 4, 127, 130, 0};
	uint32_t mask = n >= 32 ? UINT32_MAX : 0;
	while ((unsigned)__builtin_popcount(mask) < n)
		mask |= 1u << below(32);
	OK(put_u32(canon, mask, e));
	for (unsigned i = 0; i < n; i++) {
		size_t start = canon->len;
		make_record(canon, 100 + below(9000), odd ? types[below(N_OF(types))] : 2,
			odd && below(3) == 0 ? -1 : 6, i);
		if (odd && below(4) == 0) { /* the stream is damaged */
			canon->p[start + 5 + below((uint32_t)(canon->len - start - 5))] ^= 0x10;
		}
	}
}

static void roundtrip(enum form form, struct span canon, struct span known, struct buf *plain)
{
	CLEANUP_BUF struct buf got = BUF_INIT;
	plain->len = 0;
	OK(form_encode(rs, k, form, canon, known, plain, e));
	OK(buf_add(&got, "x", 1, e));
	OK(form_decode(rs, form, buf_span(plain), canon.n, &got, e));
	assert_spans(span_sub(buf_span(&got), 1, SIZE_MAX), canon);
}

static void test_groups(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	for (unsigned n = 0; n <= 32; n++)
		for (int odd = 0; odd < 2; odd++) {
			CLEANUP_BUF struct buf canon = BUF_INIT;
			make_group(&canon, n, odd);
			roundtrip(FORM_GROUP, buf_span(&canon), (struct span){NULL, 0}, &plain);
			CLEANUP_BUF struct buf bare = BUF_INIT;
			CLEANUP_BUF struct buf got = BUF_INIT;
			OK(form_wrap(k, FORM_GROUP_KEPT, buf_span(&canon), &bare, e));
			OK(form_decode(rs, FORM_GROUP, buf_span(&bare), canon.len, &got, e));
			assert_spans(buf_span(&got), buf_span(&canon));
			if (n) {
				bare.len = 0;
				FAILS(E_FORMAT, form_wrap(k, FORM_GROUP_KEPT, span_of(canon.p, canon.len - 1), &bare, e));
			}
			/* Regular chunks are inflated: the plain form is larger than the streams. */
			if (!odd && n > 4)
				assert_true(plain.len > canon.len);
		}
}

/* Slots can be taken out of a group one by one. */
static void test_records(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf canon = BUF_INIT;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	struct group_slot slots[GROUP_SLOTS];
	make_group(&canon, 20, true);
	roundtrip(FORM_GROUP, buf_span(&canon), (struct span){NULL, 0}, &plain);
	OK(group_parse(buf_span(&plain), slots, e));
	unsigned present = 0;
	for (unsigned i = 0; i < GROUP_SLOTS; i++) {
		if (!slots[i].canon_len)
			continue;
		CLEANUP_BUF struct buf rec = BUF_INIT;
		OK(group_record(rs, buf_span(&plain), &slots[i], &rec, e));
		assert_spans(buf_span(&rec),
			span_sub(buf_span(&canon), slots[i].canon_off, slots[i].canon_len));
		present++;
	}
	assert_int_equal(present, 20);
}

/* An older version in hand saves work and never changes the result. */
static void test_known(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf canon = BUF_INIT;
	CLEANUP_BUF struct buf old = BUF_INIT;
	CLEANUP_BUF struct buf with = BUF_INIT;
	CLEANUP_BUF struct buf without = BUF_INIT;
	make_group(&canon, 12, true);
	roundtrip(FORM_GROUP, buf_span(&canon), (struct span){NULL, 0}, &old);
	roundtrip(FORM_GROUP, buf_span(&canon), buf_span(&old), &with);
	assert_spans(buf_span(&with), buf_span(&old));
	/* One byte of one stream is different now; the old recipe must not be taken for it. */
	for (int i = 0; i < 200; i++) {
		size_t at = 4 + 40 + below((uint32_t)canon.len - 60);
		uint8_t was = canon.p[at];
		canon.p[at] ^= (uint8_t)(1u << below(8));
		with.len = without.len = 0;
		struct err err = ERR_INIT;
		/* The change may have hit a record's length. */
		int a = form_encode(rs, k, FORM_GROUP, buf_span(&canon), buf_span(&old), &with, &err);
		int b = form_encode(rs, k, FORM_GROUP, buf_span(&canon), (struct span){NULL, 0},
			&without, &err);
		assert_int_equal(a, b);
		if (a == 0)
			assert_spans(buf_span(&with), buf_span(&without));
		canon.p[at] = was;
	}
	roundtrip(FORM_GROUP, buf_span(&canon), text("what is no group at all"), &with);
}

static void test_not_a_group(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf canon = BUF_INIT;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	make_group(&canon, 3, false);
	for (size_t n = 0; n < canon.len; n += 1 + n / 9)
		FAILS(E_FORMAT, form_encode(rs, k, FORM_GROUP, span_of(canon.p, n),
					(struct span){NULL, 0}, &plain, e));
	OK(buf_add_zero(&canon, 1, e));
	FAILS(E_FORMAT, form_encode(rs, k, FORM_GROUP, buf_span(&canon), (struct span){NULL, 0},
				&plain, e));
}

static void test_streams(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf rec = BUF_INIT;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	for (unsigned type = 1; type <= 3; type++)
		for (int level = -1; level <= 9; level++) {
			rec.len = 0;
			make_record(&rec, 3000, type, level == 0 ? 6 : type == 1 && level < 0 ? 6 : level, 1);
			struct span stream = span_sub(buf_span(&rec), 5, SIZE_MAX);
			roundtrip(FORM_STREAM, stream, (struct span){NULL, 0}, &plain);
			for (size_t n = 0; n < stream.n; n += 1 + n / 3)
				roundtrip(FORM_STREAM, span_of(stream.p, n), (struct span){NULL, 0},
					&plain);
		}
	roundtrip(FORM_RAW, text("raw"), (struct span){NULL, 0}, &plain);
	roundtrip(FORM_RAW, text(""), (struct span){NULL, 0}, &plain);
}

/* Whatever stands in a plain form: decoded to exactly the length, or refused. */
static void try_decode(enum form form, struct span plain, size_t canon_len)
{
	CLEANUP_BUF struct buf got = BUF_INIT;
	struct err err = ERR_INIT;
	uint8_t *copy = malloc(plain.n ? plain.n : 1); /* so that a step too far is seen */
	if (plain.n)
		memcpy(copy, plain.p, plain.n);
	int r = form_decode(rs, form, span_of(copy, plain.n), canon_len, &got, &err);
	if (r == 0)
		assert_int_equal(got.len, canon_len);
	else
		assert_true(r == E_CORRUPT || r == E_UNSUPPORTED);
	free(copy);
}

static void test_hostile_plain(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf canon = BUF_INIT;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	make_group(&canon, 8, true);
	OK(form_encode(rs, k, FORM_GROUP, buf_span(&canon), (struct span){NULL, 0}, &plain, e));
	for (size_t n = 0; n < plain.len; n += 1 + n / 20)
		try_decode(FORM_GROUP, span_of(plain.p, n), canon.len);
	for (size_t at = 0; at < plain.len; at += 1 + at / 50)
		for (unsigned bit = 0; bit < 8; bit++) {
			plain.p[at] ^= (uint8_t)(1u << bit);
			try_decode(FORM_GROUP, buf_span(&plain), canon.len);
			plain.p[at] ^= (uint8_t)(1u << bit);
		}
	try_decode(FORM_GROUP, buf_span(&plain), canon.len - 1);
	try_decode(FORM_GROUP, buf_span(&plain), canon.len + 1);
	FAILS(E_CORRUPT, form_decode(rs, FORM_GROUP, buf_span(&plain), canon.len + 1, &canon, e));
	CLEANUP_BUF struct buf got = BUF_INIT;
	FAILS(E_CORRUPT, form_decode(rs, FORM_RAW, text("abc"), SIZE_MAX, &got, e));
	FAILS(E_CORRUPT, form_decode(rs, FORM_RAW, text("abc"), CANON_MAX + 1, &got, e));
	FAILS(E_CORRUPT, form_decode(rs, FORM_STREAM, text(""), 0, &got, e));
	for (int f = 0; f < 256; f++)
		if (f < 1 || f > 5)
			FAILS(E_CORRUPT, form_decode(rs, (enum form)f, text("abc"), 3, &got, e));
}

/* Lengths in a group's table that add up to more than there may ever be. */
static void test_absurd_sizes(void **state)
{
	(void)state;
	struct group_slot slots[GROUP_SLOTS];
	static const uint64_t sizes[] = {0, 4, CANON_MAX, CANON_MAX + 1, UINT32_MAX, UINT64_MAX};
	for (size_t i = 0; i < N_OF(sizes); i++)
		for (size_t j = 0; j < N_OF(sizes); j++) {
			CLEANUP_BUF struct buf b = BUF_INIT;
			OK(put_u32(&b, 0xffffffff, e));
			for (int s = 0; s < 32; s++) {
				OK(put_u8(&b, 0x16, e));
				OK(put_var(&b, sizes[i], e));
				OK(put_var(&b, sizes[j], e));
				OK(put_u32(&b, 0, e));
			}
			OK(buf_add_zero(&b, 100, e));
			FAILS(E_CORRUPT, group_parse(buf_span(&b), slots, e));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_not_a_group),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_hostile_plain),
		cmocka_unit_test(test_absurd_sizes),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
