#include "tests/unit/support.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "engine/base/io.h"
#include "tests/unit/mem_place.h"

static uint64_t state = 88172645463325252u;

void rnd_seed(uint64_t seed)
{
	state = seed * 0x9e3779b97f4a7c15u + 1;
}

uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1du;
}

uint32_t below(uint32_t n)
{
	return (uint32_t)(rnd() >> 32) % n;
}

void fill(void *out, size_t n, int kind)
{
	static const char words[] = "minecraft:stone air Palette block_states LongArray Biomes sky light ";
	uint8_t *p = out;
	for (size_t i = 0; i < n; i++)
		p[i] = kind == 0   ? 0
		       : kind == 1 ? (uint8_t)(rnd() >> 40)
		       : kind == 2 ? (uint8_t)words[(i + (below(9) == 0)) % (sizeof words - 1)]
				   : (uint8_t)(i % 97 < 90 ? i / 97 : rnd() >> 60);
}

struct span text(const char *s)
{
	return span_of(s, strlen(s));
}

void assert_spans(struct span got, struct span want)
{
	assert_int_equal(got.n, want.n);
	if (want.n && memcmp(got.p, want.p, want.n) != 0)
		assert_memory_equal(got.p, want.p, want.n);
}

/* ---- files ---- */

static char dir[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st;
	(void)type;
	(void)w;
	remove(path);
	return 0;
}

static void remove_dir(void)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *temp_dir(void)
{
	const char *base = getenv("TMPDIR");
	if (dir[0])
		return dir;
	snprintf(dir, sizeof dir, "%.40s/mcfs-unit.XXXXXX", base && *base ? base : "/tmp");
	assert_non_null(mkdtemp(dir));
	atexit(remove_dir);
	return dir;
}

char *temp_path(const char *name)
{
	char *path;
	assert_true(asprintf(&path, "%s/%s", temp_dir(), name) > 0);
	return path;
}

void write_file(const char *path, struct span s)
{
	OK(io_write_file(AT_FDCWD, path, s, 0600, false, e));
}

void read_file(const char *path, struct buf *b)
{
	OK(io_read_file(AT_FDCWD, path, b, (size_t)1 << 30, e));
}

/* ---- stores ---- */

static const uint8_t key_bytes[KEY_BYTES] = "0123456789abcdef0123456789abcde";
const struct secret test_secret = {SECRET_KEYFILE, {key_bytes, KEY_BYTES}};

struct keys *test_keys(void)
{
	static const uint8_t master[KEY_BYTES] = "a master key for tests, fixed..";
	static const struct id store = {"a store of tests"};
	struct keys *k;
	OK(crypto_init(e));
	OK(keys_new(&k, master, &store, e));
	return k;
}

struct object_place *new_place_with_store(enum slack_mode slack)
{
	struct store_config cfg = {.slack = slack};
	struct object_place *place = mem_place_new();
	OK(crypto_init(e));
	crypto_random(cfg.id.b, ID_BYTES);
	OK(store_create(place, &cfg, &test_secret, e));
	return place;
}

int try_open_store(struct object_place *place, struct store **ret, struct err *e)
{
	const struct store_options opt = {0};
	return store_open(ret, mem_place_borrow(place), &test_secret, &opt, e);
}

struct store *open_store(struct object_place *place)
{
	struct store *s = NULL;
	OK(try_open_store(place, &s, e));
	return s;
}

/* A failed allocation is a result to test, not the end. (Only sanitized programs look at this.) */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1:detect_stack_use_after_return=1:strict_string_checks=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1:halt_on_error=1";
}
