/* config: opens with its secret only, and not at all once a byte of it was changed. */
#include "tests/unit/support.h"

#include "engine/store/config_internal.h"
#include "engine/store/recovery.h"

static struct buf good;
static struct store_config made = {.slack = SLACK_DISCARD, .recompress = RECOMPRESS_LATER,
	.created = 1700000000};

static int setup(void **state)
{
	(void)state;
	struct keys *k = NULL;
	if (crypto_init(NULL) < 0)
		return -1;
	crypto_random(made.id.b, ID_BYTES);
	int r = config_create(&made, &test_secret, &good, &k, NULL);
	keys_free(k);
	return r;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&good);
	return 0;
}

static int unlock(struct span s, const struct secret *secret, struct err *e)
{
	struct keys *k = NULL;
	struct store_config cfg;
	int r = config_unlock(s, secret, &cfg, &k, e);
	if (r == 0) {
		assert_non_null(k);
		assert_memory_equal(cfg.id.b, made.id.b, ID_BYTES);
		assert_int_equal(cfg.slack, made.slack);
		assert_int_equal(cfg.recompress, made.recompress);
		assert_int_equal(cfg.created, made.created);
	} else {
		assert_null(k);
	}
	keys_free(k);
	return r;
}

static void test_opens(void **state)
{
	(void)state;
	struct store_config cfg;
	unsigned kinds;
	OK(unlock(buf_span(&good), &test_secret, e));
	OK(config_peek(buf_span(&good), &cfg, &kinds, e));
	assert_memory_equal(cfg.id.b, made.id.b, ID_BYTES);
	assert_int_equal(kinds, 1u << SECRET_KEYFILE);
	/* Readable, and the secret is not in it. */
	assert_null(memmem(good.p, good.len, test_secret.value.p, 16));
	for (size_t i = 0; i < good.len; i++)
		assert_true(good.p[i] == '\n' || (good.p[i] >= ' ' && good.p[i] < 127));
}

static void test_wrong_secret(void **state)
{
	(void)state;
	uint8_t wrong[KEY_BYTES];
	memcpy(wrong, test_secret.value.p, KEY_BYTES);
	wrong[31] ^= 1;
	FAILS(E_AUTH, unlock(buf_span(&good), &(struct secret){SECRET_KEYFILE, {wrong, KEY_BYTES}}, e));
	FAILS(E_AUTH, unlock(buf_span(&good),
			&(struct secret){SECRET_PASSPHRASE, test_secret.value}, e));
}

static void test_passphrase(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct keys *k = NULL;
	struct store_config cfg = made;
	unsigned kinds;
	struct secret s = {SECRET_PASSPHRASE, text("correct horse")};
	OK(config_create(&cfg, &s, &b, &k, e));
	keys_free(k);
	OK(config_peek(buf_span(&b), &cfg, &kinds, e));
	assert_int_equal(kinds, 1u << SECRET_PASSPHRASE);
	OK(unlock(buf_span(&b), &s, e));
	FAILS(E_AUTH, unlock(buf_span(&b), &(struct secret){SECRET_PASSPHRASE, text("correct Horse")}, e));
	FAILS(E_AUTH, unlock(buf_span(&b), &(struct secret){SECRET_PASSPHRASE, text("")}, e));
	FAILS(E_AUTH, unlock(buf_span(&b), &test_secret, e));
}

/* The last line anew, as somebody would do who has no key. */
static size_t resum(struct buf *b)
{
	const uint8_t *last = memrchr(b->p, '\n', b->len - 1);
	b->len = last ? (size_t)(last - b->p) + 1 : 0;
	size_t n = b->len;
	OK(config_add_sum(b, 0, e));
	return n;
}

/* Told without a key, too; and with a right sum as soon as there is one. */
static void test_every_byte(void **state)
{
	(void)state;
	struct store_config cfg;
	unsigned kinds;
	for (size_t i = 0; i < good.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			CLEANUP_BUF struct buf b = BUF_INIT;
			struct err err = ERR_INIT;
			OK(buf_add(&b, good.p, good.len, e));
			b.p[i] ^= (uint8_t)(1u << bit);
			FAILS(E_CORRUPT, config_whole(buf_span(&b), e));
			FAILS(E_CORRUPT, config_peek(buf_span(&b), &cfg, &kinds, e));
			FAILS(E_CORRUPT, unlock(buf_span(&b), &test_secret, e));
			if (i >= resum(&b))
				continue;
			int r = unlock(buf_span(&b), &test_secret, &err);
			if (r != E_CORRUPT && r != E_AUTH && r != E_UNSUPPORTED)
				fail_msg("byte %zu bit %d: %d '%s'", i, bit, r, err.msg);
			assert_true(err.msg[0]);
		}
}

static void test_every_length(void **state)
{
	(void)state;
	for (size_t n = 0; n < good.len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		struct err err = ERR_INIT;
		memcpy(copy, good.p, n);
		int r = unlock(span_of(copy, n), &test_secret, &err);
		if (r != E_CORRUPT && r != E_AUTH && r != E_UNSUPPORTED)
			fail_msg("cut to %zu bytes: %d '%s'", n, r, err.msg);
		free(copy);
	}
}

/* As it is, and with a sum that is right. */
static void refused(struct buf *b, bool with_sum)
{
	assert_true(unlock(buf_span(b), &test_secret, NULL) < 0);
	if (with_sum) {
		resum(b);
		assert_true(unlock(buf_span(b), &test_secret, NULL) < 0);
	}
}

/* Each line gone, twice, and all in another order. */
static void test_every_line(void **state)
{
	(void)state;
	const char *line = (const char *)good.p, *end = line + good.len;
	while (line < end) {
		const char *next = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
		CLEANUP_BUF struct buf b = BUF_INIT;
		OK(buf_add(&b, good.p, (size_t)(line - (const char *)good.p), e));
		OK(buf_add(&b, next, (size_t)(end - next), e));
		refused(&b, end - next > 0);
		b.len = 0;
		OK(buf_add(&b, good.p, (size_t)(next - (const char *)good.p), e));
		OK(buf_add(&b, line, (size_t)(end - line), e));
		refused(&b, end - next > 0);
		b.len = 0;
		OK(buf_add(&b, line, (size_t)(next - line), e));
		OK(buf_add(&b, good.p, (size_t)(line - (const char *)good.p), e));
		OK(buf_add(&b, next, (size_t)(end - next), e));
		if (line != (const char *)good.p)
			refused(&b, end - next > 0);
		line = next;
	}
}

static int try_text(const char *s)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	struct keys *k = NULL;
	struct store_config cfg;
	unsigned kinds;
	FAILS(E_CORRUPT, config_unlock(text(s), &test_secret, &cfg, &k, e));
	OK(buf_add(&b, s, strlen(s), e));
	OK(config_add_sum(&b, 0, e));
	int r = config_unlock(buf_span(&b), &test_secret, &cfg, &k, &err);
	keys_free(k);
	if (r < 0)
		assert_true(err.msg[0]);
	(void)!config_peek(buf_span(&b), &cfg, &kinds, NULL);
	return r;
}

static void test_nonsense(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "\n", "\n\n\n", "mcfs", "mcfs store 1\n",
		"mcfs store 2\nid 00\n", "mcfs store 99999999999999999999\n", "mac \n",
		"mcfs store 1\nmac 00\n",
		"mcfs store 1\nslot keyfile wrapped=\n",
		"mcfs store 1\nslot passphrase argon2id passes=4294967295 memory=4294967295 "
		"salt=00000000000000000000000000000000 wrapped=00\nmac 00\n"};
	for (size_t i = 0; i < N_OF(texts); i++)
		assert_true(try_text(texts[i]) < 0);
	/* Of a later format nothing else is looked at. */
	assert_int_equal(try_text("mcfs store 2\nid 00\n"), E_UNSUPPORTED);
	char *many = calloc(1, 70000);
	strcpy(many, "mcfs store 1\n");
	for (int i = 0; i < 3000; i++)
		strcat(many + 13 + 13 * i, "slot keyfile\n");
	assert_true(try_text(many) < 0);
	free(many);
}

static void test_keyfile(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint8_t key[KEY_BYTES], got[KEY_BYTES];
	fill(key, sizeof key, 1);
	OK(keyfile_format(&made.id, key, &b, e));
	OK(keyfile_parse(buf_span(&b), got, e));
	assert_memory_equal(got, key, KEY_BYTES);
	for (size_t n = 0; n + 1 < b.len; n++)
		FAILS(E_AUTH, keyfile_parse(span_of(b.p, n), got, e));
	FAILS(E_AUTH, keyfile_parse(text("\nkey 00"), got, e));
	FAILS(E_AUTH, keyfile_parse(text("store\nkey zz0102030405060708090a0b0c0d0e0f"
					 "101112131415161718191a1b1c1d1e1f\n"), got, e));
}

static void edit_with(const struct secret *with, struct buf *text, const struct secret *add,
	const char *label, char id[SLOT_ID_CHARS + 1])
{
	struct config_edit *ed;
	OK(config_edit_open(&ed, buf_span(text), with, e));
	OK(config_edit_add(ed, add, label, id, e));
	text->len = 0;
	OK(config_edit_text(ed, add, text, e));
	config_edit_free(ed);
}

/* Slots come and go; each opens, the removed ones do not; unknown kinds stay. */
static void test_slots(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct config_edit *ed;
	struct slot_info v[CONFIG_MAX_SLOTS];
	struct store_config cfg;
	unsigned kinds;
	char id[3][SLOT_ID_CHARS + 1];
	uint8_t raw[RECOVERY_BYTES];
	fill(raw, sizeof raw, 1);
	const struct secret pass = {SECRET_PASSPHRASE, text("horse")},
			    paper = {SECRET_RECOVERY, {raw, sizeof raw}};
	OK(buf_add(&b, good.p, good.len, e));
	edit_with(&test_secret, &b, &pass, "Admin.1", id[0]);
	edit_with(&pass, &b, &paper, NULL, id[1]);
	OK(unlock(buf_span(&b), &test_secret, e));
	OK(unlock(buf_span(&b), &pass, e));
	OK(unlock(buf_span(&b), &paper, e));
	raw[7] ^= 1;
	FAILS(E_AUTH, unlock(buf_span(&b), &paper, e));
	raw[7] ^= 1;
	OK(config_peek(buf_span(&b), &cfg, &kinds, e));
	assert_int_equal(kinds, 7);
	assert_int_equal(cfg.serial, 3);

	OK(config_edit_open(&ed, buf_span(&b), &paper, e));
	assert_int_equal(config_edit_slots(ed, v), 3);
	assert_true(v[1].kind == SECRET_PASSPHRASE && strcmp(v[1].label, "Admin.1") == 0 &&
		strcmp(v[1].id, id[0]) == 0 && v[1].passes == 3 && !v[1].opened && v[2].opened);
	FAILS(E_USAGE, config_edit_add(ed, &pass, "Admin.1", id[2], e));
	FAILS(E_NOTFOUND, config_edit_remove(ed, "nobody", e));
	FAILS(E_NOTFOUND, config_edit_remove(ed, "", e));
	OK(config_edit_remove(ed, "Admin.1", e));
	OK(config_edit_remove(ed, v[0].id, e));
	FAILS(E_USAGE, config_edit_remove(ed, id[1], e));
	b.len = 0;
	FAILS(E_AUTH, config_edit_text(ed, &pass, &b, e));
	b.len = 0;
	OK(config_edit_text(ed, &paper, &b, e));
	config_edit_free(ed);
	FAILS(E_AUTH, unlock(buf_span(&b), &test_secret, e));
	FAILS(E_AUTH, unlock(buf_span(&b), &pass, e));
	OK(unlock(buf_span(&b), &paper, e));
	FAILS(E_AUTH, config_edit_open(&ed, buf_span(&b), &pass, e));
}

static void test_too_many_slots(void **state)
{
	(void)state;
	struct config_edit *ed;
	char id[SLOT_ID_CHARS + 1];
	OK(config_edit_open(&ed, buf_span(&good), &test_secret, e));
	for (int i = 1; i < SLOT_TRIES_MAX; i++)
		OK(config_edit_add(ed, &test_secret, NULL, id, e));
	FAILS(E_USAGE, config_edit_add(ed, &test_secret, NULL, id, e));
	config_edit_free(ed);
}

/* Every slip of one character, every swap of two beside each other, every swap of groups. */
static void test_recovery(void **state)
{
	(void)state;
	uint8_t key[RECOVERY_BYTES], got[RECOVERY_BYTES];
	char s[RECOVERY_CHARS], t[2 * RECOVERY_CHARS];
	for (int round = 0; round < 20; round++) {
		fill(key, sizeof key, 1);
		recovery_format(key, s);
		assert_int_equal(strlen(s), RECOVERY_CHARS - 1);
		OK(recovery_parse(text(s), got, e));
		assert_memory_equal(got, key, sizeof key);
		size_t n = 0;
		for (size_t i = 0; s[i]; i++) {
			if (s[i] == '-')
				continue;
			t[n++] = (char)(s[i] == '0' ? 'o' : s[i] == '1' ? 'l' : s[i] | (s[i] > '9' ? 32 : 0));
			if (i % 3 == 0)
				t[n++] = ' ';
		}
		t[n++] = '\n';
		OK(recovery_parse(span_of(t, n), got, e));
		assert_memory_equal(got, key, sizeof key);
		for (size_t i = 0; s[i]; i++) {
			if (s[i] == '-')
				continue;
			char want[40];
			snprintf(want, sizeof want, "group %zu ", i / 6 + 1);
			for (const char *c = "0123456789ABCDEFGHJKMNPQRSTVWXYZ*"; *c; c++) {
				struct err err = ERR_INIT;
				strcpy(t, s);
				if (t[i] == *c)
					continue;
				t[i] = *c;
				assert_int_equal(recovery_parse(text(t), got, &err), E_AUTH);
				assert_non_null(strstr(err.msg, want));
			}
			if (s[i + 1] && s[i + 1] != '-' && s[i + 1] != s[i]) {
				strcpy(t, s);
				t[i] = s[i + 1];
				t[i + 1] = s[i];
				FAILS(E_AUTH, recovery_parse(text(t), got, e));
			}
		}
		strcpy(t, s);
		memcpy(t, s + 6, 5);
		memcpy(t + 6, s, 5);
		FAILS(E_AUTH, recovery_parse(text(t), got, e));
		for (size_t i = 0; i < strlen(s); i++)
			FAILS(E_AUTH, recovery_parse(span_of(s, i), got, e));
		strcpy(t, s);
		FAILS(E_AUTH, recovery_parse(text(strcat(t, "A")), got, e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens),
		cmocka_unit_test(test_wrong_secret),
		cmocka_unit_test(test_passphrase),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_every_line),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_keyfile),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_too_many_slots),
		cmocka_unit_test(test_recovery),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
