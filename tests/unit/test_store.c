/* store: blobs in and out, differences, commit and abort, and every way for writing to fail. */
#include "tests/unit/support.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "engine/base/wire.h"
#include "engine/store/index.h"
#include "tests/unit/make_region.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_coder.h"

static struct name put(struct store *s, struct span canon, const struct name *base)
{
	struct name n;
	OK(store_put(s, &c, FORM_RAW, canon, base, &n, e));
	return n;
}

static void must_be(struct store *s, const struct name *n, struct span want)
{
	CLEANUP_BUF struct buf got = BUF_INIT;
	OK(store_get(s, &c, n, &got, e));
	assert_spans(buf_span(&got), want);
}

static void test_put_and_get(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 1000, 24 << 10, (24 << 10) + 1, 200000, 5000000};
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct name names[4][N_OF(sizes)];
	struct buf blobs[4][N_OF(sizes)];
	memset(blobs, 0, sizeof blobs);
	OK(store_begin(s, 3, e));
	for (int kind = 0; kind < 4; kind++)
		for (size_t i = 0; i < N_OF(sizes); i++) {
			OK(buf_resize(&blobs[kind][i], sizes[i], e));
			fill(blobs[kind][i].p, sizes[i], kind);
			names[kind][i] = put(s, buf_span(&blobs[kind][i]), NULL);
			assert_true(store_has(s, &names[kind][i]) || sizes[i] <= 24 << 10);
		}
	/* Before the commit large ones can be read already. */
	must_be(s, &names[1][6], buf_span(&blobs[1][6]));
	OK(store_commit(s, &c, e));
	for (int again = 0; again < 2; again++) {
		for (int kind = 0; kind < 4; kind++)
			for (size_t i = 0; i < N_OF(sizes); i++) {
				assert_true(store_has(s, &names[kind][i]));
				must_be(s, &names[kind][i], buf_span(&blobs[kind][i]));
			}
		store_close(s);
		s = open_store(place);
	}
	store_close(s);
	object_place_free(place);
	for (int kind = 0; kind < 4; kind++)
		for (size_t i = 0; i < N_OF(sizes); i++)
			buf_free(&blobs[kind][i]);
}

static void test_once_only(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct store_stats st;
	uint8_t b[100000];
	fill(b, sizeof b, 1);
	OK(store_begin(s, 3, e));
	struct name first = put(s, span_of(b, sizeof b), NULL);
	struct name again = put(s, span_of(b, sizeof b), NULL);
	assert_int_equal(name_cmp(&first, &again), 0);
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 1);
	OK(store_begin(s, 3, e));
	put(s, span_of(b, sizeof b), NULL);
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 0);
	assert_int_equal(st.packs, 0);
	store_close(s);
	object_place_free(place);
}

/* Sixty versions of one thing: each small, none deep, all readable in any order without a cache. */
static void test_differences(void **state)
{
	(void)state;
	enum { VERSIONS = 60, SIZE = 200000 };
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct name names[VERSIONS];
	uint8_t *v = malloc(SIZE), *copies = malloc((size_t)SIZE * VERSIONS);
	struct store_stats st;
	fill(v, SIZE, 1);
	for (int i = 0; i < VERSIONS; i++) {
		OK(store_begin(s, 3, e));
		for (int k = 0; k < 5; k++)
			v[below(SIZE)] ^= 0x11;
		memcpy(copies + (size_t)SIZE * i, v, SIZE);
		names[i] = put(s, span_of(v, SIZE), i ? &names[i - 1] : NULL);
		OK(store_commit(s, &c, e));
		store_stats(s, &st);
		assert_int_equal(st.delta_blobs, i > 0);
		if (i && st.new_bytes > 20000)
			fail_msg("version %d takes %llu bytes", i, (unsigned long long)st.new_bytes);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < VERSIONS; i++) {
			int k = round ? VERSIONS - 1 - i : (i * 37) % VERSIONS;
			struct blob_loc l;
			store_close(s);
			s = open_store(place);
			must_be(s, &names[k], span_of(copies + (size_t)SIZE * k, SIZE));
			OK(index_find(store_index(s), &names[k], 0, &l, e));
			assert_true(l.depth <= DEPTH_MAX);
		}
	store_close(s);
	object_place_free(place);
	free(v);
	free(copies);
}

/* A base that does not exist, or is of another form, is no reason to fail. */
static void test_odd_bases(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct name none = {{7}}, group, raw;
	CLEANUP_BUF struct buf canon = BUF_INIT;
	OK(buf_add(&canon, "\x01\0\0\0", 4, e));
	make_record(&canon, 50000, 2, 6, 1);
	OK(store_begin(s, 3, e));
	raw = put(s, buf_span(&canon), &none);
	OK(store_put(s, &c, FORM_GROUP, buf_span(&canon), &raw, &group, e));
	assert_int_not_equal(name_cmp(&raw, &group), 0);
	canon.p[canon.len - 1] ^= 1;
	struct name next;
	OK(store_put(s, &c, FORM_GROUP, buf_span(&canon), &group, &next, e));
	OK(store_commit(s, &c, e));
	must_be(s, &next, buf_span(&canon));
	canon.p[canon.len - 1] ^= 1;
	must_be(s, &group, buf_span(&canon));
	must_be(s, &raw, buf_span(&canon));
	CLEANUP_BUF struct buf got = BUF_INIT;
	FAILS(E_CORRUPT, store_get(s, &c, &none, &got, e));
	store_close(s);
	object_place_free(place);
}

static void make_group(struct buf *canon, unsigned seed)
{
	canon->len = 0;
	OK(buf_add(canon, "\x07\0\0\0", 4, e));
	for (unsigned i = 0; i < 3; i++)
		make_record(canon, 30000 + 1000 * i, i == 2 ? 1 : 2, 6, seed + i);
}

static struct name put_form(struct store *s, enum form form, struct span canon,
	const struct name *base)
{
	struct name n;
	OK(store_put(s, &c, form, canon, base, &n, e));
	return n;
}

static unsigned copies_of(struct store *s, const struct name *n, unsigned forms[4])
{
	struct blob_loc l;
	unsigned k = 0;
	for (; k < 4 && index_find(store_index(s), n, k, &l, NULL) == 0; k++)
		forms[k] = l.form;
	return k;
}

/* A group as it is has the name it would have inflated, and a table for those who want one. */
static void test_kept_groups(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct store_stats st;
	struct group_slot slots[GROUP_SLOTS];
	unsigned forms[4];
	bool done;
	CLEANUP_BUF struct buf canon = BUF_INIT;
	CLEANUP_BUF struct buf next = BUF_INIT;
	CLEANUP_BUF struct buf rec = BUF_INIT;
	make_group(&canon, 1);
	OK(store_begin(s, 3, e));
	struct name n = put_form(s, FORM_GROUP_KEPT, buf_span(&canon), NULL), want;
	name_of(store_keys(s), FORM_GROUP, buf_span(&canon), &want);
	assert_memory_equal(&n, &want, sizeof n);
	must_be(s, &n, buf_span(&canon));
	/* Written in this very run: nothing to do yet. */
	OK(store_recompress(s, &c, &n, &done, e));
	assert_false(done);
	OK(store_commit(s, &c, e));
	assert_int_equal(copies_of(s, &n, forms), 1);
	assert_int_equal(forms[0], FORM_GROUP_KEPT);
	must_be(s, &n, buf_span(&canon));
	CLEANUP_PLAIN struct plain *p = NULL;
	OK(store_plain(s, &c, &n, &p, e));
	assert_int_equal(p->form, FORM_GROUP);
	OK(group_parse(buf_span(&p->data), slots, e));
	for (int i = 0; i < 3; i++) {
		rec.len = 0;
		OK(group_record(c.rs, buf_span(&p->data), &slots[i], &rec, e));
		assert_spans(buf_span(&rec), span_sub(buf_span(&canon), slots[i].canon_off, rec.len));
		assert_int_equal((uint32_t)keyed_check(store_keys(s), buf_span(&rec)),
			slots[i].check);
	}
	must_be(s, &n, buf_span(&canon)); /* now from the cache */

	/* A second version: the first is stored inflated, the second as a difference. */
	OK(buf_add(&next, canon.p, canon.len, e));
	next.len = slots[2].canon_off;
	make_record(&next, 31000, 1, 6, 77);
	OK(store_begin(s, 3, e));
	struct name m = put_form(s, FORM_GROUP, buf_span(&next), &n);
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 2);
	assert_int_equal(st.delta_blobs, 1);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(copies_of(s, &n, forms), 2);
		assert_int_equal(forms[0] + forms[1], FORM_GROUP + FORM_GROUP_KEPT);
		if (round) {
			/* A kept one in the cache is no base. */
			CLEANUP_PLAIN struct plain *q = NULL;
			OK(store_plain(s, &c, &n, &q, e));
		}
		must_be(s, &m, buf_span(&next));
		must_be(s, &n, buf_span(&canon));
		store_close(s);
		s = open_store(place);
	}
	OK(store_begin(s, 3, e));
	OK(store_recompress(s, &c, &n, &done, e));
	assert_false(done);
	struct name none = {{9}};
	FAILS(E_NOTFOUND, store_recompress(s, &c, &none, &done, e));
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 0);
	store_close(s);
	object_place_free(place);
}

/* What compact does: the same name, smaller; the next version is a difference at once. */
static void test_recompress(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct store_stats st;
	unsigned forms[4];
	bool done;
	CLEANUP_BUF struct buf canon = BUF_INIT;
	make_group(&canon, 5);
	OK(store_begin(s, 3, e));
	struct name n = put_form(s, FORM_GROUP_KEPT, buf_span(&canon), NULL);
	struct name raw = put(s, buf_span(&canon), NULL);
	OK(store_commit(s, &c, e));
	OK(store_begin(s, 3, e));
	OK(store_recompress(s, &c, &n, &done, e));
	assert_true(done);
	OK(store_recompress(s, &c, &n, &done, e));
	assert_false(done);
	OK(store_recompress(s, &c, &raw, &done, e));
	assert_false(done);
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 1);
	assert_true(st.new_bytes < canon.len);
	assert_int_equal(copies_of(s, &n, forms), 2);
	/* The pack with the kept copy goes: all is still there. */
	struct blob_loc l;
	char key[PACK_KEY_CHARS];
	OK(index_find(store_index(s), &n, forms[0] != FORM_GROUP_KEPT, &l, e));
	assert_int_equal(l.form, FORM_GROUP_KEPT);
	OK(object_remove(place, pack_object_key(&l.pack, key), e));
	store_close(s);
	s = open_store(place);
	must_be(s, &n, buf_span(&canon));
	OK(store_begin(s, 3, e));
	canon.p[canon.len - 1] ^= 1;
	struct name m = put_form(s, FORM_GROUP, buf_span(&canon), &n);
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.delta_blobs, 1);
	must_be(s, &m, buf_span(&canon));
	store_close(s);
	object_place_free(place);
}

/* Another version's deflate made other bytes: zlib has the last word. When it is not zlib's fault, the
 * error stays. */
static void test_second_opinion(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct group_slot slots[GROUP_SLOTS];
	CLEANUP_BUF struct buf canon = BUF_INIT;
	CLEANUP_BUF struct buf rec = BUF_INIT;
	make_group(&canon, 13);
	OK(store_begin(s, 3, e));
	struct name n = put_form(s, FORM_GROUP, buf_span(&canon), NULL);
	struct span one = span_sub(buf_span(&canon), 9, get_be32(canon.p + 4) - 1);
	struct name z = put_form(s, FORM_STREAM, one, NULL);
	OK(store_commit(s, &c, e));
	CLEANUP_PLAIN struct plain *p = NULL;
	OK(store_plain(s, &c, &n, &p, e));
	OK(group_parse(buf_span(&p->data), slots, e));
	assert_int_not_equal(slots[0].recipe, RECIPE_NONE);
	restreamer_by(c.rs, RESTREAM_WRONG);
	must_be(s, &n, buf_span(&canon));
	must_be(s, &z, one);
	assert_int_equal(restreamer_by_now(c.rs), RESTREAM_WRONG);
	OK(group_record(c.rs, buf_span(&p->data), &slots[0], &rec, e));
	assert_memory_not_equal(rec.p, canon.p + slots[0].canon_off, rec.len);
	rec.len = 0;
	OK(group_record_checked(c.rs, store_keys(s), buf_span(&p->data), &slots[0], &rec, e));
	assert_memory_equal(rec.p, canon.p + slots[0].canon_off, rec.len);
	restreamer_by(c.rs, RESTREAM_EXACT);
	slots[0].check ^= 1;
	FAILS(E_CORRUPT, group_record_checked(c.rs, store_keys(s), buf_span(&p->data), &slots[0],
			&rec, e));
	/* A proof does not take a wrong stream for right: it is kept as another writer's. */
	restreamer_by(c.rs, RESTREAM_WRONG);
	OK(store_begin(s, 3, e));
	make_group(&canon, 14);
	struct name k = put_form(s, FORM_GROUP, buf_span(&canon), NULL);
	OK(store_commit(s, &c, e));
	restreamer_by(c.rs, RESTREAM_EXACT);
	must_be(s, &k, buf_span(&canon));
	store_close(s);
	object_place_free(place);
}

/* A kept base that is damaged: the new version is stored whole, nothing is stored under the old name. */
static void test_damaged_kept_base(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct store_stats st;
	CLEANUP_BUF struct buf canon = BUF_INIT;
	make_group(&canon, 9);
	OK(store_begin(s, 3, e));
	struct name n = put_form(s, FORM_GROUP_KEPT, buf_span(&canon), NULL);
	OK(store_commit(s, &c, e));
	mem_place_object(place, mem_place_key(place, "packs/", 0))->p[100] ^= 1;
	bool done;
	OK(store_begin(s, 3, e));
	FAILS(E_CORRUPT, store_recompress(s, &c, &n, &done, e));
	canon.p[canon.len - 1] ^= 1;
	struct name m = put_form(s, FORM_GROUP, buf_span(&canon), &n);
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 1);
	assert_int_equal(st.delta_blobs, 0);
	must_be(s, &m, buf_span(&canon));
	store_close(s);
	object_place_free(place);
}

static void test_sealed_objects(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct id id = {{1}}, other = {{2}};
	CLEANUP_BUF struct buf got = BUF_INIT;
	OK(store_object_put(s, "things", &id, text("content"), false, e));
	FAILS(E_EXISTS, store_object_put(s, "things", &id, text("more"), false, e));
	OK(store_object_put(s, "things", &id, text("more"), true, e));
	OK(store_object_get(s, "things", &id, &got, e));
	assert_spans(buf_span(&got), text("more"));
	FAILS(E_NOTFOUND, store_object_get(s, "things", &other, &got, e));
	/* The size tells nothing of these few bytes. */
	struct buf *data = mem_place_object(place, mem_place_key(place, "things/", 0));
	assert_int_equal(data->len, 256);
	for (size_t i = 0; i < data->len; i++) {
		data->p[i] ^= 0x40;
		FAILS(E_CORRUPT, store_object_get(s, "things", &id, &got, e));
		data->p[i] ^= 0x40;
	}
	store_close(s);
	object_place_free(place);
}

static void test_wrong_secret(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	uint8_t wrong[KEY_BYTES] = {0};
	const struct store_options opt = {0};
	struct store *s = NULL;
	FAILS(E_AUTH, store_open(&s, mem_place_borrow(place),
			&(struct secret){SECRET_KEYFILE, {wrong, KEY_BYTES}}, &opt, e));
	struct object_place *empty = mem_place_new();
	FAILS(E_NOTFOUND, store_open(&s, mem_place_borrow(empty), &test_secret, &opt, e));
	assert_null(s);
	object_place_free(empty);
	object_place_free(place);
}

/* ---- failing writes ---- */

#define BATCH 12

/* A transaction of blobs of all sizes, some of them differences. The first failure ends it. */
static int write_batch(struct store *s, unsigned seed, struct name names[BATCH], struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = store_begin(s, 3, e);
	rnd_seed(seed);
	for (int i = 0; i < BATCH && r == 0; i++) {
		r = buf_resize(&b, i % 3 ? 500 + below(5000) : 60000 + below(100000), e);
		if (r == 0)
			fill(b.p, b.len, 1 + i % 3);
		if (r == 0)
			r = store_put(s, &c, FORM_RAW, buf_span(&b), i % 4 == 3 ? &names[i - 3] : NULL,
				&names[i], e);
	}
	if (r == 0)
		r = store_commit(s, &c, e);
	store_abort(s); /* nothing to do after a commit */
	return r;
}

static void check_batch(struct store *s, unsigned seed, const struct name names[BATCH])
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	rnd_seed(seed);
	for (int i = 0; i < BATCH; i++) {
		OK(buf_resize(&b, i % 3 ? 500 + below(5000) : 60000 + below(100000), e));
		fill(b.p, b.len, 1 + i % 3);
		must_be(s, &names[i], buf_span(&b));
	}
}

static struct store *open_faulty(struct object_place *place, unsigned long fail_at,
	struct object_place **ret_faulty)
{
	const struct store_options opt = {0};
	struct store *s = NULL;
	OK(object_faulty_new(ret_faulty, mem_place_borrow(place), fail_at, false, e));
	OK(store_open(&s, *ret_faulty, &test_secret, &opt, e));
	return s;
}

/* Each changing operation in turn fails: the call says so, older blobs stay readable for a fresh
 * open, nothing half written can be seen, and the same transaction works afterwards. */
static void test_every_failure(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT), *faulty;
	struct name old[BATCH], new[BATCH];
	struct store *s = open_store(place);
	OK(write_batch(s, 1, old, e));
	store_close(s);
	struct object_place *copy = mem_place_copy(place);
	s = open_faulty(copy, 0, &faulty);
	OK(write_batch(s, 2, new, e));
	unsigned long operations = object_faulty_count(faulty);
	store_close(s);
	object_place_free(copy);
	assert_true(operations >= 5);
	for (unsigned long n = 1; n <= operations; n++) {
		struct err err = ERR_INIT;
		copy = mem_place_copy(place);
		s = open_faulty(copy, n, &faulty);
		int r = write_batch(s, 2, new, &err);
		/* The last one removes the lock: that one left behind does no harm. */
		if (r != (n < operations ? E_IO : 0))
			fail_msg("operation %lu fails: %d '%s'", n, r, err.msg);
		store_close(s);
		s = open_store(copy);
		check_batch(s, 1, old);
		OK(write_batch(s, 2, new, e));
		check_batch(s, 2, new);
		store_close(s);
		s = open_store(copy);
		check_batch(s, 1, old);
		check_batch(s, 2, new);
		store_close(s);
		object_place_free(copy);
	}
	object_place_free(place);
}

/* While a store is opened, and while it is written to, the disk of the index cache is full. */
static void test_full_cache_disk(void **state)
{
	(void)state;
	enum { MANY = 6000 };
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *writer = open_store(place), *s = NULL;
	const struct store_options opt = {.cache_dir = temp_dir()};
	struct name *names = calloc(2 * MANY, sizeof *names);
	struct rlimit was, little;
	uint8_t blob[100];
	assert_non_null(names);
	rnd_seed(5);
	OK(store_begin(writer, 1, e));
	for (int i = 0; i < MANY; i++) {
		fill(blob, sizeof blob, 1);
		names[i] = put(writer, span_of(blob, sizeof blob), NULL);
	}
	OK(store_commit(writer, &c, e));
	store_close(writer);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	little = (struct rlimit){.rlim_cur = 200 << 10, .rlim_max = was.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	for (int when = 0; when < 2; when++) {
		rlim_t most = when ? was.rlim_cur : little.rlim_cur;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){most, was.rlim_max}), 0);
		OK(store_open(&s, mem_place_borrow(place), &test_secret, &opt, e));
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
		OK(store_begin(s, 1, e));
		for (int i = MANY; i < 2 * MANY; i++) {
			fill(blob, sizeof blob, 1);
			names[i] = put(s, span_of(blob, sizeof blob), NULL);
		}
		OK(store_commit(s, &c, e));
		for (int i = 0; i < 2 * MANY; i++)
			assert_true(store_has(s, &names[i]));
		store_close(s);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	free(names);
	object_place_free(place);
}

/* The index cache is damaged behind its first pages: what is stored is read all the same. */
static void test_damaged_cache(void **state)
{
	(void)state;
	enum { MANY = 3000, PAGE = 4096 };
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = NULL;
	const struct store_options opt = {.cache_dir = temp_dir()};
	CLEANUP_BUF struct buf index = BUF_INIT;
	struct name *names = calloc(MANY, sizeof *names);
	char hex[2 * ID_BYTES + 1], path[200];
	uint8_t blob[100];
	assert_non_null(names);
	OK(store_open(&s, mem_place_borrow(place), &test_secret, &opt, e));
	snprintf(path, sizeof path, "%s/%s/index.sqlite", temp_dir(),
		hex_of(store_config(s)->id.b, ID_BYTES, hex));
	rnd_seed(6);
	OK(store_begin(s, 1, e));
	for (int i = 0; i < MANY; i++) {
		fill(blob, sizeof blob, 1);
		names[i] = put(s, span_of(blob, sizeof blob), NULL);
	}
	OK(store_commit(s, &c, e));
	store_close(s);
	read_file(path, &index);
	assert_true(index.len > 40 * PAGE);
	fill(index.p + 20 * PAGE, index.len - 20 * PAGE, 1);
	write_file(path, buf_span(&index));
	OK(store_open(&s, mem_place_borrow(place), &test_secret, &opt, e));
	rnd_seed(6);
	for (int i = 0; i < MANY; i++) {
		fill(blob, sizeof blob, 1);
		must_be(s, &names[i], span_of(blob, sizeof blob));
	}
	store_close(s);
	free(names);
	object_place_free(place);
}

/* What repair gave up is in a list that this version cannot read: a blob that is missing is just that. */
static void test_unreadable_losses(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct id id = {{1}};
	struct name name = {{2}};
	CLEANUP_BUF struct buf out = BUF_INIT;
	OK(store_object_put(s, "lost", &id, text("of another version"), false, e));
	assert_false(store_is_lost(s, &name));
	assert_false(store_has_losses(s));
	FAILS(E_CORRUPT, store_get(s, &c, &name, &out, e));
	store_close(s);
	object_place_free(place);
}

/* What an aborted transaction had written whole is used by the next one. */
static void test_abort(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct store_stats st;
	uint8_t *b = malloc(300000);
	fill(b, 300000, 1);
	OK(store_begin(s, 3, e));
	struct name n = put(s, span_of(b, 300000), NULL);
	store_abort(s);
	store_abort(s);
	store_close(s);
	s = open_store(place);
	OK(store_begin(s, 3, e));
	put(s, span_of(b, 300000), NULL);
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 0);
	must_be(s, &n, span_of(b, 300000));
	store_close(s);
	object_place_free(place);
	free(b);
}

/* Two clients write at the same time; each learns of the other's blobs. */
static void test_two_writers(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *a = open_store(place), *b = open_store(place);
	struct name from_a[BATCH], from_b[BATCH];
	OK(write_batch(a, 5, from_a, e));
	OK(write_batch(b, 6, from_b, e));
	OK(store_refresh(a, e));
	OK(store_refresh(b, e));
	check_batch(a, 6, from_b);
	check_batch(b, 5, from_a);
	store_close(a);
	store_close(b);
	object_place_free(place);
}

/* ---- damage ---- */

/* Any changed byte of any pack: the right bytes or E_CORRUPT, never other bytes. */
static void test_damaged_packs(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct name names[BATCH];
	OK(write_batch(s, 9, names, e));
	store_close(s);
	struct buf *pack = mem_place_object(place, mem_place_key(place, "packs/", 0));
	for (size_t at = 0; at < pack->len; at += 1 + pack->len / 60) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		pack->p[at] ^= 0x80;
		s = open_store(place);
		rnd_seed(9);
		unsigned damaged = 0;
		for (int i = 0; i < BATCH; i++) {
			CLEANUP_BUF struct buf got = BUF_INIT;
			struct err err = ERR_INIT;
			OK(buf_resize(&b, i % 3 ? 500 + below(5000) : 60000 + below(100000), e));
			fill(b.p, b.len, 1 + i % 3);
			int r = store_get(s, &c, &names[i], &got, &err);
			if (r == 0)
				assert_spans(buf_span(&got), buf_span(&b));
			else {
				assert_int_equal(r, E_CORRUPT);
				assert_non_null(strstr(err.msg, "pack"));
				assert_int_equal(got.len, 0);
				damaged++;
			}
		}
		assert_true(damaged < BATCH);
		store_close(s);
		pack->p[at] ^= 0x80;
	}
	object_place_free(place);
}

/* ---- threads ---- */

struct worker {
	struct store *s;
	unsigned no;
	struct name names[40];
	int failed;
};

static void blob_of(unsigned no, unsigned i, uint8_t b[20000])
{
	/* Half of them are the same in all threads. */
	uint32_t x = (i & 1 ? 1000 : no) * 7919 + i * 104729 + 1;
	for (size_t k = 0; k < 20000; k++) {
		x = x * 1664525 + 1013904223;
		b[k] = (uint8_t)(x >> 24);
	}
}

static void *put_many(void *arg)
{
	struct worker *w = arg;
	struct coder own;
	uint8_t b[20000];
	w->failed = coder_init(&own, NULL);
	for (unsigned i = 0; i < 40 && w->failed == 0; i++) {
		blob_of(w->no, i, b);
		w->failed = store_put(w->s, &own, FORM_RAW, span_of(b, 5000 + 300 * i),
			i > 3 && i % 5 == 0 ? &w->names[i - 2] : NULL, &w->names[i], NULL);
	}
	coder_free(&own);
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct worker w[4];
	pthread_t t[4];
	uint8_t b[20000];
	OK(store_begin(s, 3, e));
	for (unsigned i = 0; i < 4; i++) {
		w[i] = (struct worker){.s = s, .no = i};
		assert_int_equal(pthread_create(&t[i], NULL, put_many, &w[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	OK(store_commit(s, &c, e));
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(w[i].failed, 0);
		for (unsigned k = 0; k < 40; k++) {
			blob_of(i, k, b);
			must_be(s, &w[i].names[k], span_of(b, 5000 + 300 * k));
		}
	}
	struct store_stats st;
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 20 + 4 * 20);
	store_close(s);
	object_place_free(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_and_get),
		cmocka_unit_test(test_once_only),
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_odd_bases),
		cmocka_unit_test(test_kept_groups),
		cmocka_unit_test(test_recompress),
		cmocka_unit_test(test_second_opinion),
		cmocka_unit_test(test_damaged_kept_base),
		cmocka_unit_test(test_sealed_objects),
		cmocka_unit_test(test_wrong_secret),
		cmocka_unit_test(test_every_failure),
		cmocka_unit_test(test_full_cache_disk),
		cmocka_unit_test(test_damaged_cache),
		cmocka_unit_test(test_unreadable_losses),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_two_writers),
		cmocka_unit_test(test_damaged_packs),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, setup_coder, teardown_coder);
}
