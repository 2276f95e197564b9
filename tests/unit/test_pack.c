/* pack: what was added is listed and opens; any changed or missing byte of the list is noticed. */
#include "tests/unit/support.h"

#include "engine/base/wire.h"
#include "tests/unit/mem_place.h"

static struct keys *k;
static struct object_place *place;

static int setup(void **state)
{
	(void)state;
	k = test_keys();
	place = mem_place_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(k);
	object_place_free(place);
	return 0;
}

struct seen {
	struct name name[100];
	struct blob_loc loc[100];
	size_t n, stop_at;
};

static int note(void *ctx, const struct name *name, const struct blob_loc *l, struct err *e)
{
	struct seen *s = ctx;
	(void)e;
	if (s->n == 100)
		return -1;
	s->name[s->n] = *name;
	s->loc[s->n++] = *l;
	return s->n == s->stop_at ? 77 : 0;
}

static struct pack_blob blob(unsigned no, uint32_t n, uint8_t depth)
{
	struct pack_blob b = {.form = FORM_RAW, .depth = depth, .plain_len = n, .canon_len = n + no};
	memset(b.name.b, (int)no, NAME_BYTES);
	memset(b.base, (int)no + 100, BASE_BYTES);
	return b;
}

/* A pack of a few frames: one with a blob, a solid one, a delta. */
static struct id make_pack(struct buf *record)
{
	struct pack_writer *w;
	struct blob_loc l;
	struct pack_blob solid[3] = {blob(2, 10, 0), blob(3, 0, 0), blob(4, 20, 0)};
	struct pack_blob one = blob(1, 7, 0), delta = blob(5, 9, 3);
	CLEANUP_BUF struct buf back = BUF_INIT;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	OK(pack_begin(&w, place, k, e));
	struct id id = *pack_id(w);
	OK(pack_add(w, METHOD_STORE, text("frame-1"), 7, &one, 1, &l, e));
	assert_int_equal(l.place, 0);
	OK(pack_add(w, METHOD_ZSTD, text("solid frame"), 30, solid, 3, &l, e));
	assert_int_equal(l.place, 1);
	/* A frame can be read before the pack is finished. */
	OK(pack_read_back(w, &l, &back, e));
	struct pack_key pk;
	pack_key_of(k, &id, &pk);
	OK(frame_open(&pk, 1, buf_span(&back), &plain, e));
	assert_spans(buf_span(&plain), text("solid frame"));
	OK(pack_add(w, METHOD_DELTA, text("delta"), 9, &delta, 1, &l, e));
	assert_true(pack_bytes(w) > 0);
	OK(pack_finish(w, record, e));
	return id;
}

static void check_pack(struct span record, const struct id *id)
{
	struct seen s = {0};
	struct pack_summary sum;
	OK(pack_record_read(record, &sum, note, &s, e));
	assert_int_equal(s.n, 5);
	assert_int_equal(sum.frames, 3);
	assert_int_equal(sum.blobs, 5);
	assert_memory_equal(sum.id.b, id->b, ID_BYTES);
	static const char *const frames[] = {"frame-1", "solid frame", "solid frame", "solid frame",
		"delta"};
	static const uint32_t offs[] = {0, 0, 10, 10, 0};
	char key[PACK_KEY_CHARS];
	pack_object_key(id, key);
	for (unsigned i = 0; i < 5; i++) {
		CLEANUP_BUF struct buf sealed = BUF_INIT;
		CLEANUP_BUF struct buf plain = BUF_INIT;
		struct pack_key pk;
		assert_int_equal(s.name[i].b[9], i + 1);
		assert_int_equal(s.loc[i].blob_off, offs[i]);
		assert_int_equal(s.loc[i].canon_len, s.loc[i].plain_len + i + 1);
		pack_key_of(k, id, &pk);
		OK(object_read(place, key, s.loc[i].offset, s.loc[i].sealed_len, &sealed, e));
		OK(frame_open(&pk, s.loc[i].place, buf_span(&sealed), &plain, e));
		assert_spans(buf_span(&plain), text(frames[i]));
	}
	assert_int_equal(s.loc[4].depth, 3);
	assert_int_equal(s.loc[4].base[0], 105);
	uint64_t size;
	OK(object_size(place, key, &size, e));
	assert_true(sum.size == size);
	assert_true(padded_size(size) == size);
}

static void test_record_and_footer(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf record = BUF_INIT;
	CLEANUP_BUF struct buf footer = BUF_INIT;
	struct id id = make_pack(&record);
	check_pack(buf_span(&record), &id);
	OK(pack_read_footer(place, k, &id, &footer, e));
	assert_spans(buf_span(&footer), buf_span(&record));
	struct seen s = {.stop_at = 2};
	struct pack_summary sum;
	assert_int_equal(pack_record_read(buf_span(&record), &sum, note, &s, NULL), 77);
	assert_int_equal(s.n, 2);
	/* Another pack's id does not open it. */
	struct id other = id;
	other.b[0] ^= 1;
	char key[PACK_KEY_CHARS], other_key[PACK_KEY_CHARS];
	struct buf *data = mem_place_object(place, pack_object_key(&id, key));
	OK(object_put(place, pack_object_key(&other, other_key), buf_span(data), false, e));
	FAILS(E_CORRUPT, pack_read_footer(place, k, &other, &footer, e));
}

/* Each bit of a pack: frames are sealed one by one, the rest is the footer's. */
static void test_every_byte(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf record = BUF_INIT;
	struct id id = make_pack(&record);
	char key[PACK_KEY_CHARS];
	struct buf *data = mem_place_object(place, pack_object_key(&id, key));
	size_t frames = 7 + 11 + 5 + 3 * SEAL_TAG_BYTES;
	for (size_t i = 0; i < data->len; i++) {
		CLEANUP_BUF struct buf got = BUF_INIT;
		data->p[i] ^= (uint8_t)(1u << i % 8);
		if (i >= frames)
			FAILS(E_CORRUPT, pack_read_footer(place, k, &id, &got, e));
		else
			OK(pack_read_footer(place, k, &id, &got, e));
		data->p[i] ^= (uint8_t)(1u << i % 8);
	}
}

static void test_every_length(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf record = BUF_INIT;
	struct id id = make_pack(&record);
	char key[PACK_KEY_CHARS];
	struct buf *data = mem_place_object(place, pack_object_key(&id, key));
	size_t whole = data->len;
	for (size_t n = 0; n < whole; n++) {
		CLEANUP_BUF struct buf got = BUF_INIT;
		data->len = n;
		FAILS(E_CORRUPT, pack_read_footer(place, k, &id, &got, e));
	}
	data->len = whole;
	OK(buf_add_zero(data, 1, e));
	CLEANUP_BUF struct buf got = BUF_INIT;
	FAILS(E_CORRUPT, pack_read_footer(place, k, &id, &got, e));
	OK(object_remove(place, key, e));
	assert_true(pack_read_footer(place, k, &id, &got, NULL) < 0);
}

/* A record that somebody with the key made up: read within its bounds, or refused. */
static void test_hostile_records(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf record = BUF_INIT;
	make_pack(&record);
	for (size_t n = 0; n < record.len; n++) {
		struct seen s = {0};
		struct pack_summary sum;
		uint8_t *copy = malloc(n ? n : 1);
		memcpy(copy, record.p, n);
		FAILS(E_CORRUPT, pack_record_read(span_of(copy, n), &sum, note, &s, e));
		free(copy);
	}
	for (size_t i = ID_BYTES; i < record.len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			struct seen s = {0};
			struct pack_summary sum;
			struct err err = ERR_INIT;
			record.p[i] ^= (uint8_t)(1u << bit);
			int r = pack_record_read(buf_span(&record), &sum, note, &s, &err);
			assert_true(r == 0 || r == E_CORRUPT || r == -1);
			for (size_t b = 0; b < s.n && r == 0; b++) {
				assert_true((uint64_t)s.loc[b].blob_off + s.loc[b].plain_len <=
					s.loc[b].frame_plain);
				assert_true(s.loc[b].offset + s.loc[b].sealed_len <= sum.size);
			}
			record.p[i] ^= (uint8_t)(1u << bit);
		}
}

static void test_absurd_counts(void **state)
{
	(void)state;
	static const uint64_t counts[] = {1, 1000, 1u << 31, UINT32_MAX, 1ull << 40, UINT64_MAX};
	for (size_t i = 0; i < N_OF(counts); i++)
		for (size_t j = 0; j < N_OF(counts); j++) {
			CLEANUP_BUF struct buf b = BUF_INIT;
			struct pack_summary sum;
			OK(buf_add_zero(&b, ID_BYTES, e));
			OK(put_u64(&b, UINT64_MAX, e));
			OK(put_var(&b, counts[i], e));
			for (int f = 0; f < 3; f++) {
				OK(put_u8(&b, 1, e));
				OK(put_var(&b, UINT32_MAX, e));
				OK(put_var(&b, UINT32_MAX, e));
				OK(put_var(&b, counts[j], e));
			}
			FAILS(E_CORRUPT, pack_record_read(buf_span(&b), &sum, NULL, NULL, e));
		}
}

static void test_loc(void **state)
{
	(void)state;
	for (int method = 0; method <= 2; method++) {
		struct blob_loc l = {.offset = 1ull << 40, .place = 7, .sealed_len = 100,
			.frame_plain = 200, .blob_off = 3, .plain_len = 50, .canon_len = 60,
			.method = (uint8_t)method, .form = FORM_GROUP, .depth = 2};
		struct blob_loc got = {0};
		CLEANUP_BUF struct buf b = BUF_INIT;
		if (method == METHOD_DELTA)
			memset(l.base, 9, BASE_BYTES);
		OK(blob_loc_put(&b, &l, e));
		OK(blob_loc_get(buf_span(&b), &got, e));
		assert_true(got.offset == l.offset && got.place == 7 && got.sealed_len == 100 &&
			got.frame_plain == 200 && got.blob_off == 3 && got.plain_len == 50 &&
			got.canon_len == 60 && got.method == method && got.form == FORM_GROUP &&
			got.depth == 2);
		assert_memory_equal(got.base, l.base, BASE_BYTES);
		for (size_t n = 0; n < b.len; n++)
			FAILS(E_CORRUPT, blob_loc_get(span_of(b.p, n), &got, e));
	}
}

/* Monotonic, never less, at most 12 % more, and few different sizes. */
static void test_padding(void **state)
{
	(void)state;
	uint64_t last = 0, sizes = 0;
	for (uint64_t n = 0; n < 200000; n++) {
		uint64_t p = padded_size(n);
		assert_true(p >= n && p >= last);
		if (n >= 256)
			assert_true(p - n <= n * 12 / 100 + 1);
		sizes += p != last;
		last = p;
	}
	assert_true(sizes < 200);
	assert_true(padded_size(1ull << 40) == 1ull << 40);
	assert_true(padded_size((1ull << 40) + 1) <= (1ull << 40) / 100 * 112);
}

static void test_abort(void **state)
{
	(void)state;
	struct pack_writer *w;
	struct blob_loc l;
	struct pack_blob one = blob(1, 7, 0);
	char key[PACK_KEY_CHARS];
	OK(pack_begin(&w, place, k, e));
	OK(pack_add(w, METHOD_STORE, text("frame-1"), 7, &one, 1, &l, e));
	pack_object_key(pack_id(w), key);
	pack_abort(w);
	pack_abort(NULL);
	assert_null(mem_place_object(place, key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_and_footer),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_hostile_records),
		cmocka_unit_test(test_absurd_counts),
		cmocka_unit_test(test_loc),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_abort),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
