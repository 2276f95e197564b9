/* crypto: what is sealed opens, under the right key and in the right place only. */
#include "tests/unit/support.h"

static struct keys *k;
static const struct id pack_a = {"pack a.........."}, pack_b = {"pack b.........."};

static int setup(void **state)
{
	(void)state;
	k = test_keys();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keys_free(k);
	return 0;
}

static struct keys *other_keys(char master, char store)
{
	struct keys *o;
	uint8_t m[KEY_BYTES] = "a master key for tests, fixed..";
	struct id id = {"a store of tests"};
	m[0] = (uint8_t)master;
	id.b[0] = (uint8_t)store;
	OK(keys_new(&o, m, &id, e));
	return o;
}

static void test_frame(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 63, 64, 65, 100000};
	struct pack_key pk;
	pack_key_of(k, &pack_a, &pk);
	for (size_t i = 0; i < N_OF(sizes); i++) {
		CLEANUP_BUF struct buf plain = BUF_INIT;
		CLEANUP_BUF struct buf sealed = BUF_INIT;
		CLEANUP_BUF struct buf got = BUF_INIT;
		OK(buf_resize(&plain, sizes[i], e));
		fill(plain.p, sizes[i], 2);
		OK(frame_seal(&pk, i, buf_span(&plain), &sealed, e));
		assert_int_equal(sealed.len, sizes[i] + SEAL_TAG_BYTES);
		if (sizes[i] > 8)
			assert_null(memmem(sealed.p, sealed.len, plain.p, 8));
		OK(buf_add(&got, "before", 6, e));
		OK(frame_open(&pk, i, buf_span(&sealed), &got, e));
		assert_spans(span_sub(buf_span(&got), 6, SIZE_MAX), buf_span(&plain));
	}
}

static void test_frame_in_its_place_only(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf sealed = BUF_INIT;
	CLEANUP_BUF struct buf got = BUF_INIT;
	struct pack_key pk, elsewhere;
	pack_key_of(k, &pack_a, &pk);
	OK(frame_seal(&pk, 7, text("secret"), &sealed, e));
	FAILS(E_CORRUPT, frame_open(&pk, 8, buf_span(&sealed), &got, e));
	FAILS(E_CORRUPT, frame_open(&pk, 7 | 1ull << 32, buf_span(&sealed), &got, e));
	pack_key_of(k, &pack_b, &elsewhere);
	FAILS(E_CORRUPT, frame_open(&elsewhere, 7, buf_span(&sealed), &got, e));
	struct keys *master = other_keys('b', 'a'), *store = other_keys('a', 'b');
	pack_key_of(master, &pack_a, &elsewhere);
	FAILS(E_CORRUPT, frame_open(&elsewhere, 7, buf_span(&sealed), &got, e));
	pack_key_of(store, &pack_a, &elsewhere);
	FAILS(E_CORRUPT, frame_open(&elsewhere, 7, buf_span(&sealed), &got, e));
	/* The pack's id is authenticated by itself, not only through the key. */
	elsewhere = pk;
	elsewhere.pack.b[15] ^= 1;
	FAILS(E_CORRUPT, frame_open(&elsewhere, 7, buf_span(&sealed), &got, e));
	elsewhere = pk;
	elsewhere.store.b[15] ^= 1;
	FAILS(E_CORRUPT, frame_open(&elsewhere, 7, buf_span(&sealed), &got, e));
	assert_int_equal(got.len, 0);
	keys_free(master);
	keys_free(store);
}

/* Every bit counts; nothing shorter or longer opens. */
static void test_frame_every_bit(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf sealed = BUF_INIT;
	CLEANUP_BUF struct buf got = BUF_INIT;
	struct pack_key pk;
	pack_key_of(k, &pack_a, &pk);
	OK(frame_seal(&pk, 0, text("some bytes of a frame"), &sealed, e));
	for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
		sealed.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		FAILS(E_CORRUPT, frame_open(&pk, 0, buf_span(&sealed), &got, e));
		sealed.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < sealed.len; n++)
		FAILS(E_CORRUPT, frame_open(&pk, 0, span_of(sealed.p, n), &got, e));
	OK(buf_add_zero(&sealed, 1, e));
	FAILS(E_CORRUPT, frame_open(&pk, 0, buf_span(&sealed), &got, e));
	assert_int_equal(got.len, 0);
}

static void test_object(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf sealed = BUF_INIT;
	CLEANUP_BUF struct buf again = BUF_INIT;
	CLEANUP_BUF struct buf got = BUF_INIT;
	OK(object_seal(k, "snapshots", &pack_a, text("content"), &sealed, e));
	OK(object_seal(k, "snapshots", &pack_a, text("content"), &again, e));
	assert_int_equal(sealed.len, 7 + SEAL_OBJECT_OVERHEAD);
	assert_memory_not_equal(sealed.p, again.p, sealed.len); /* the nonce is fresh */
	OK(object_open(k, "snapshots", &pack_a, buf_span(&sealed), &got, e));
	assert_spans(buf_span(&got), text("content"));
	got.len = 0;
	FAILS(E_CORRUPT, object_open(k, "index", &pack_a, buf_span(&sealed), &got, e));
	FAILS(E_CORRUPT, object_open(k, "snapshot", &pack_a, buf_span(&sealed), &got, e));
	FAILS(E_CORRUPT, object_open(k, "snapshots", &pack_b, buf_span(&sealed), &got, e));
	struct keys *o = other_keys('x', 'a');
	FAILS(E_CORRUPT, object_open(o, "snapshots", &pack_a, buf_span(&sealed), &got, e));
	keys_free(o);
	for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
		sealed.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		FAILS(E_CORRUPT, object_open(k, "snapshots", &pack_a, buf_span(&sealed), &got, e));
		sealed.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < sealed.len; n++)
		FAILS(E_CORRUPT, object_open(k, "snapshots", &pack_a, span_of(sealed.p, n), &got, e));
	assert_int_equal(got.len, 0);
}

static void test_names(void **state)
{
	(void)state;
	uint8_t data[5000];
	struct name a, b;
	fill(data, sizeof data, 1);
	static const size_t sizes[] = {0, 1, 127, 128, 129, 256, 5000};
	for (size_t i = 0; i < N_OF(sizes); i++) {
		struct hasher h;
		name_of(k, 1, span_of(data, sizes[i]), &a);
		hasher_begin(&h, k, 1);
		for (size_t at = 0; at < sizes[i];) {
			size_t n = below(200);
			struct span s = span_sub(span_of(data, sizes[i]), at, n);
			hasher_add(&h, s);
			at += s.n;
		}
		hasher_end(&h, &b);
		assert_int_equal(name_cmp(&a, &b), 0);
	}
	name_of(k, 2, span_of(data, 5000), &b);
	assert_int_not_equal(name_cmp(&a, &b), 0); /* the form is part of it */
	struct keys *master = other_keys('b', 'a'), *store = other_keys('a', 'b');
	name_of(master, 1, span_of(data, 5000), &b);
	assert_int_not_equal(name_cmp(&a, &b), 0);
	name_of(store, 1, span_of(data, 5000), &b);
	assert_int_not_equal(name_cmp(&a, &b), 0);
	keys_free(master);
	keys_free(store);
	assert_true((name_cmp(&a, &b) < 0) == (name_cmp(&b, &a) > 0));
}

static void test_checks_and_cuts_are_keyed(void **state)
{
	(void)state;
	struct keys *o = other_keys('b', 'a');
	assert_true(keyed_check(k, text("x")) == keyed_check(k, text("x")));
	assert_true(keyed_check(k, text("x")) != keyed_check(k, text("y")));
	assert_true(keyed_check(k, text("x")) != keyed_check(o, text("x")));
	assert_true(keyed_cut(k, text("x")) != keyed_cut(o, text("x")));
	assert_true(keyed_cut(k, text("x")) != keyed_check(k, text("x")));
	uint8_t m[2][NAME_BYTES];
	config_mac(k, text("config"), m[0]);
	config_mac(o, text("config"), m[1]);
	assert_memory_not_equal(m[0], m[1], NAME_BYTES);
	keys_free(o);
}

static void test_wrap(void **state)
{
	(void)state;
	uint8_t slot[KEY_BYTES] = "slot key", master[KEY_BYTES] = "master key", got[KEY_BYTES];
	uint8_t w[WRAP_BYTES];
	key_wrap(slot, text("aad"), master, w);
	assert_true(key_unwrap(slot, text("aad"), w, got));
	assert_memory_equal(got, master, KEY_BYTES);
	assert_false(key_unwrap(slot, text("aae"), w, got));
	for (size_t bit = 0; bit < 8 * sizeof w; bit++) {
		w[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(key_unwrap(slot, text("aad"), w, got));
		w[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	slot[31] ^= 1;
	assert_false(key_unwrap(slot, text("aad"), w, got));
}

static void test_kdf(void **state)
{
	(void)state;
	uint8_t salt[SALT_BYTES] = "salt", a[KEY_BYTES], b[KEY_BYTES];
	OK(kdf_passphrase(text("pass"), salt, 1, 64, a, e));
	OK(kdf_passphrase(text("pass"), salt, 1, 64, b, e));
	assert_memory_equal(a, b, KEY_BYTES);
	OK(kdf_passphrase(text("pasS"), salt, 1, 64, b, e));
	assert_memory_not_equal(a, b, KEY_BYTES);
	OK(kdf_passphrase(text("pass"), salt, 2, 64, b, e));
	assert_memory_not_equal(a, b, KEY_BYTES);
	OK(kdf_passphrase(text("pass"), salt, 1, 128, b, e));
	assert_memory_not_equal(a, b, KEY_BYTES);
	salt[0]++;
	OK(kdf_passphrase(text("pass"), salt, 1, 64, b, e));
	assert_memory_not_equal(a, b, KEY_BYTES);
}

static void test_hex(void **state)
{
	(void)state;
	uint8_t v[4] = {0, 0x0f, 0xf0, 0xff}, got[4];
	char s[9];
	assert_string_equal(hex_of(v, 4, s), "000ff0ff");
	assert_true(hex_parse(s, 4, got));
	assert_memory_equal(got, v, 4);
	assert_false(hex_parse("000ff0f", 4, got));
	assert_false(hex_parse("000ff0ff0", 4, got));
	assert_false(hex_parse("000ff0fg", 4, got));
	assert_false(hex_parse("000ff0f ", 4, got));
	assert_false(hex_parse("", 4, got));
}

static void test_secrets(void **state)
{
	(void)state;
	uint8_t *p = crypto_secret_alloc(100);
	assert_non_null(p);
	memset(p, 1, 100);
	crypto_secret_free(p);
	crypto_secret_free(NULL);
	uint8_t a[64] = {0}, b[64] = {0};
	crypto_random(a, 64);
	crypto_random(b, 64);
	assert_memory_not_equal(a, b, 64);
	assert_false(crypto_equal(a, b, 64));
	assert_true(crypto_equal(a, a, 64));
	crypto_wipe(a, 64);
	memset(b, 0, 64);
	assert_memory_equal(a, b, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_frame_in_its_place_only),
		cmocka_unit_test(test_frame_every_bit),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_checks_and_cuts_are_keyed),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_kdf),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_secrets),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
