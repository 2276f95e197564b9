/* nbt: what well-formed documents are read as, and that no damage leads past their end. Every
 * document is tried from memory of exactly its size, so that a sanitizer sees each byte too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/anvil/nbt.h"
#include "engine/base/cleanup.h"

#define DOC(...) span_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Read to the end by single steps; the same result is expected from skipping. */
static int read_all(struct span doc, unsigned *ret_tags)
{
	struct nbt_reader r;
	struct nbt_tag t;
	int rc;
	*ret_tags = 0;
	nbt_open(&r, doc);
	while ((rc = nbt_next(&r, &t, NULL)) == 1) {
		++*ret_tags;
		assert_true(t.name.n == 0 || (t.name.p >= doc.p && t.name.p + t.name.n <= doc.p + doc.n));
		assert_true(t.raw.n == 0 || (t.raw.p >= doc.p && t.raw.p + t.raw.n <= doc.p + doc.n));
		assert_true(t.depth < NBT_DEPTH);
	}
	if (rc < 0)
		assert_int_equal(nbt_next(&r, &t, NULL), E_FORMAT); /* for ever */
	return rc < 0 ? rc : nbt_left(&r) ? E_FORMAT : 0;
}

static int check(struct span doc)
{
	unsigned tags;
	uint8_t *copy = malloc(doc.n ? doc.n : 1);
	assert_non_null(copy);
	memcpy(copy, doc.p, doc.n);
	struct span own = {copy, doc.n};
	struct err e = ERR_INIT;
	int r = nbt_check(own, &e);
	assert_int_equal(r, read_all(own, &tags));
	assert_true(r == 0 || (r == E_FORMAT && e.msg[0]));
	free(copy);
	return r;
}

/* One of each type, lists of lists and of compounds among them. */
static const uint8_t all_types[] = {10, 0, 1, 'r',		      /* root "r" */
	1, 0, 1, 'b', 0x80,					      /* byte -128 */
	2, 0, 1, 's', 0xff, 0xfe,				      /* short -2 */
	3, 0, 1, 'i', 0x7f, 0xff, 0xff, 0xff,			      /* int */
	4, 0, 1, 'l', 0x80, 0, 0, 0, 0, 0, 0, 0,		      /* long */
	5, 0, 1, 'f', 0x3f, 0x80, 0, 0,				      /* float 1 */
	6, 0, 1, 'd', 0x3f, 0xf0, 0, 0, 0, 0, 0, 0,		      /* double 1 */
	7, 0, 1, 'B', 0, 0, 0, 2, 1, 2,				      /* bytes */
	8, 0, 1, 'S', 0, 2, 'h', 'i',				      /* string */
	9, 0, 1, 'L', 9, 0, 0, 0, 2,				      /* list of 2 lists */
	2, 0, 0, 0, 1, 0, 7,					      /*  1 short */
	0, 0, 0, 0, 0,						      /*  empty */
	9, 0, 1, 'M', 10, 0, 0, 0, 2, 0, 1, 0, 1, 'x', 5, 0,	      /* 2 compounds */
	9, 0, 1, 'N', 3, 0xff, 0xff, 0xff, 0xff,		      /* list of -1: empty */
	11, 0, 1, 'I', 0, 0, 0, 1, 0, 0, 0, 9,			      /* ints */
	12, 0, 1, 'J', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 10,	      /* longs */
	0};

static void test_reads_every_type(void **state)
{
	(void)state;
	struct nbt_reader r;
	struct nbt_tag t;
	unsigned seen = 0;
	nbt_open(&r, span_of(all_types, sizeof all_types));
	while (nbt_next(&r, &t, NULL) == 1) {
		seen |= 1u << t.type;
		if (nbt_is(&t, NBT_BYTE, "b"))
			assert_int_equal(t.number, -128);
		else if (nbt_is(&t, NBT_SHORT, "s"))
			assert_int_equal(t.number, -2);
		else if (nbt_is(&t, NBT_INT, "i"))
			assert_int_equal(t.number, INT32_MAX);
		else if (nbt_is(&t, NBT_LONG, "l"))
			assert_true(t.number == INT64_MIN);
		else if (nbt_is(&t, NBT_STRING, "S"))
			assert_memory_equal(t.raw.p, "hi", 2);
		else if (nbt_is(&t, NBT_LIST, "L"))
			assert_true(t.count == 2 && t.elem == NBT_LIST && t.depth == 1);
		else if (nbt_is(&t, NBT_BYTE, "x"))
			assert_int_equal(t.depth, 3);
		else if (nbt_is(&t, NBT_LONGS, "J"))
			assert_true(t.count == 1 && t.raw.n == 8);
	}
	assert_int_equal(nbt_left(&r), 0);
	assert_int_equal(seen, 0x1fff);
}

static void test_skips_containers(void **state)
{
	(void)state;
	struct nbt_reader r;
	struct nbt_tag t;
	nbt_open(&r, span_of(all_types, sizeof all_types));
	assert_int_equal(nbt_next(&r, &t, NULL), 1);
	unsigned members = 0;
	while (nbt_next(&r, &t, NULL) == 1 && t.type != NBT_END) {
		members++;
		assert_int_equal(t.depth, 1);
		assert_int_equal(nbt_skip(&r, &t, NULL), 0);
	}
	assert_int_equal(members, 13);
	assert_int_equal(nbt_next(&r, &t, NULL), 0);
}

static void test_every_cut_is_noticed(void **state)
{
	(void)state;
	assert_int_equal(check(span_of(all_types, sizeof all_types)), 0);
	for (size_t n = 0; n < sizeof all_types; n++)
		assert_int_equal(check(span_of(all_types, n)), E_FORMAT);
	uint8_t longer[sizeof all_types + 1] = {0};
	memcpy(longer, all_types, sizeof all_types);
	assert_int_equal(check(span_of(longer, sizeof longer)), E_FORMAT);
}

static void test_no_change_of_a_byte_leads_astray(void **state)
{
	(void)state;
	uint8_t doc[sizeof all_types];
	for (size_t i = 0; i < sizeof doc; i++)
		for (unsigned v = 0; v < 256; v++) {
			memcpy(doc, all_types, sizeof doc);
			doc[i] = (uint8_t)v;
			(void)!check(span_of(doc, sizeof doc));
		}
}

static void test_hostile_lengths(void **state)
{
	(void)state;
	const struct span docs[] = {
		DOC(9, 0, 0, 0, 0, 0, 0, 0),			       /* the root is a list */
		DOC(0),						       /* nothing */
		DOC(10, 0xff, 0xff, 'x', 0),			       /* name past the end */
		DOC(10, 0, 0, 13, 0, 0, 0),			       /* unknown type */
		DOC(10, 0, 0, 255, 0, 0, 0),			       /* unknown type */
		DOC(10, 0, 0, 9, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0),  /* 2^31 ends */
		DOC(10, 0, 0, 9, 0, 0, 13, 0, 0, 0, 0, 0),	       /* list of an unknown type */
		DOC(10, 0, 0, 9, 0, 0, 10, 0x7f, 0xff, 0xff, 0xff, 0), /* 2^31 compounds */
		DOC(10, 0, 0, 9, 0, 0, 6, 0x7f, 0xff, 0xff, 0xff, 0),  /* 2^31 doubles */
		DOC(10, 0, 0, 7, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0),     /* 2^31 bytes */
		DOC(10, 0, 0, 7, 0, 0, 0xff, 0xff, 0xff, 0xff, 0),     /* -1 bytes */
		DOC(10, 0, 0, 11, 0, 0, 0x40, 0, 0, 0, 0),	       /* * 4 is 2^32 */
		DOC(10, 0, 0, 12, 0, 0, 0x20, 0, 0, 0, 0),	       /* * 8 is 2^32 */
		DOC(10, 0, 0, 12, 0, 0, 0x80, 0, 0, 0, 0),	       /* negative */
		DOC(10, 0, 0, 8, 0, 0, 0xff, 0xff, 'x', 0),	       /* string past the end */
	};
	for (size_t i = 0; i < sizeof docs / sizeof *docs; i++)
		assert_int_equal(check(docs[i]), E_FORMAT);
}

/* `depth` containers one in the other; with lists, all but the root. */
static struct buf nested(unsigned depth, bool lists)
{
	struct buf b = BUF_INIT;
	static const uint8_t compound[] = {10, 0, 0}, list[] = {9, 0, 0, 0, 1}, last[] = {1, 0, 0, 0, 0};
	static const uint8_t first[] = {10, 0, 0, 9, 0, 0};
	assert_int_equal(lists ? buf_add(&b, first, sizeof first, NULL) : 0, 0);
	for (unsigned i = lists ? 2 : 0; i < depth; i++)
		assert_int_equal(lists ? buf_add(&b, list, sizeof list, NULL)
				       : buf_add(&b, compound, sizeof compound, NULL), 0);
	if (lists)
		assert_int_equal(buf_add(&b, last, sizeof last, NULL), 0);
	assert_int_equal(buf_add_zero(&b, lists ? 1 : depth, NULL), 0);
	return b;
}

static void test_depth_is_limited(void **state)
{
	(void)state;
	for (int lists = 0; lists < 2; lists++) {
		CLEANUP_BUF struct buf most = nested(NBT_DEPTH, lists);
		CLEANUP_BUF struct buf more = nested(NBT_DEPTH + 1, lists);
		CLEANUP_BUF struct buf bomb = nested(1000000, lists);
		assert_int_equal(check(buf_span(&most)), 0);
		assert_int_equal(check(buf_span(&more)), E_FORMAT);
		assert_int_equal(check(buf_span(&bomb)), E_FORMAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_reads_every_type),
		cmocka_unit_test(test_skips_containers), cmocka_unit_test(test_every_cut_is_noticed),
		cmocka_unit_test(test_no_change_of_a_byte_leads_astray),
		cmocka_unit_test(test_hostile_lengths), cmocka_unit_test(test_depth_is_limited)};
	return cmocka_run_group_tests_name("nbt", tests, NULL, NULL);
}
