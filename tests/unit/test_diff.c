/* diff: chunks of real worlds, between states of their history and between types of compression,
 * against what the independent reader of region files finds in the files themselves (environment
 * MCFS_WORLDS, else ../shared/worlds beside the source tree); a callback that fails; damage. */
#include "tests/unit/support.h"

#include <ftw.h>
#include <sys/stat.h>

#include "engine/snapshot/backup.h"
#include "engine/snapshot/diff.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/region_reader.h"

#ifndef MCFS_SOURCE_ROOT
#define MCFS_SOURCE_ROOT "."
#endif

static const char *const words[] = {[DIFF_CHUNK_CREATED] = "created", [DIFF_CHUNK_GONE] = "gone",
	[DIFF_CHUNK_CHANGED] = "changed", [DIFF_CHUNK_TIMES] = "times", [DIFF_CHUNK_SAME] = "same"};

/* ---- lines "path x z word" ---- */

struct lines {
	char **v;
	size_t n;
};

static void add_line(struct lines *l, const char *path, int64_t x, int64_t z, const char *word)
{
	l->v = realloc(l->v, (l->n + 1) * sizeof *l->v);
	assert_non_null(l->v);
	assert_true(asprintf(&l->v[l->n++], "%s %lld %lld %s", path, (long long)x, (long long)z,
			    word) > 0);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_lines(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct lines){0};
}

static void assert_same_lines(struct lines *got, struct lines *want)
{
	qsort(got->v, got->n, sizeof *got->v, by_text);
	qsort(want->v, want->n, sizeof *want->v, by_text);
	for (size_t i = 0; i < got->n && i < want->n; i++)
		assert_string_equal(got->v[i], want->v[i]);
	assert_int_equal(got->n, want->n);
}

/* ---- what the files say ---- */

/* The chunk's NBT, its times overwritten wherever such names stand. */
static bool masked(const struct region_reader *r, int i, struct region_nbt *nbt, uint32_t *stamp)
{
	static const struct span names[] = {{(const uint8_t *)"\4\0\12LastUpdate", 13},
		{(const uint8_t *)"\4\0\15InhabitedTime", 16}};
	struct region_slot s;
	*nbt = (struct region_nbt){0};
	if (!r->p || !region_reader_slot(r, i, &s))
		return false;
	region_slot_decode(r, &s, nbt);
	*stamp = s.timestamp;
	assert_null(nbt->problem);
	region_slot_free(&s);
	for (int k = 0; k < 2; k++)
		for (uint8_t *p = nbt->p; (p = memmem(p, nbt->n - (size_t)(p - nbt->p), names[k].p,
						   names[k].n)); p += names[k].n)
			memset(p + names[k].n, 0, 8);
	return true;
}

static void expect_slot(struct lines *want, const char *path, const struct region_reader *a,
	const struct region_reader *b, int i)
{
	struct region_nbt na, nb;
	uint32_t ta = 0, tb = 0;
	bool in_a = masked(a, i, &na, &ta), in_b = masked(b, i, &nb, &tb);
	const struct region_reader *any = b->p ? b : a;
	int64_t x = (int64_t)any->x * 32 + i % 32, z = (int64_t)any->z * 32 + i / 32;
	if (in_a != in_b)
		add_line(want, path, x, z, in_b ? "created" : "gone");
	else if (in_a && (na.n != nb.n || memcmp(na.p, nb.p, na.n) != 0))
		add_line(want, path, x, z, "changed");
	else if (in_a && ta != tb)
		add_line(want, path, x, z, "times");
	region_nbt_free(&na);
	region_nbt_free(&nb);
}

static const char *root_a, *root_b;
static struct lines want;

/* Called for the files of both trees: those of the second that stand in the first are done. */
static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct region_reader a = {0}, b = {0};
	char other[4096];
	bool first = strncmp(path, root_a, strlen(root_a)) == 0;
	const char *below = path + strlen(first ? root_a : root_b) + 1;
	size_t n = strlen(path);
	(void)st, (void)ftw;
	if (type != FTW_F || n < 4 || strcmp(path + n - 4, ".mca") != 0)
		return 0;
	snprintf(other, sizeof other, "%s/%s", first ? root_b : root_a, below);
	if (!first && access(other, F_OK) == 0)
		return 0;
	assert_int_equal(region_reader_open(first ? &a : &b, path), 0);
	if (access(other, F_OK) == 0)
		assert_int_equal(region_reader_open(&b, other), 0);
	for (int i = 0; i < RR_CHUNKS; i++)
		expect_slot(&want, below, &a, &b, i);
	region_reader_close(&a);
	region_reader_close(&b);
	return 0;
}

/* ---- what diff says ---- */

struct found {
	struct lines lines;
	uint64_t items;
	int fail_with;
};

static int on_item(void *ctx, const struct diff_item *it, struct err *e)
{
	struct found *f = ctx;
	f->items++;
	if (f->fail_with)
		return err_set(e, f->fail_with, 0, "the caller has had enough");
	for (size_t i = 0; i < it->n_chunks; i++)
		add_line(&f->lines, it->path, it->chunks[i].x, it->chunks[i].z,
			words[it->chunks[i].change]);
	return 0;
}

static void take(struct store *s, const char *path, struct snapshot *ret)
{
	struct backup_options opt = {.paths = &path, .n_paths = 1, .threads = 2, .program = "test"};
	struct backup_result result = {0};
	OK(backup_run(s, &opt, &result, e));
	assert_int_equal(result.problems, 0);
	*ret = result.sn;
}

struct pair {
	struct object_place *place;
	struct store *s;
	struct coder c;
	struct snapshot a, b;
	struct diff_place at[2];
};

static void open_pair(struct pair *p, const char *a, const char *b)
{
	p->place = new_place_with_store(SLACK_EXACT);
	p->s = open_store(p->place);
	OK(coder_init(&p->c, e));
	take(p->s, a, &p->a);
	take(p->s, b, &p->b);
	p->at[0] = (struct diff_place){&p->a, p->a.sources[0].name};
	p->at[1] = (struct diff_place){&p->b, p->b.sources[0].name};
}

static void close_pair(struct pair *p)
{
	snapshot_free(&p->a);
	snapshot_free(&p->b);
	coder_free(&p->c);
	store_close(p->s);
	object_place_free(p->place);
}

static void run(struct pair *p, bool same, struct found *f, struct diff_result *ret)
{
	struct diff_options opt = {.chunks = true, .same = same, .on_item = on_item, .ctx = f};
	OK(diff_run(p->s, &p->c, &p->at[0], &p->at[1], &opt, ret, e));
	assert_int_equal(f->items, ret->added + ret->removed + ret->changed + ret->metadata);
	uint64_t chunks = 0;
	for (int i = 0; i < DIFF_CHUNK_CHANGES; i++)
		chunks += ret->chunk[i];
	assert_int_equal(f->lines.n, chunks);
}

static char *world(const char *name)
{
	const char *env = getenv("MCFS_WORLDS");
	char *path;
	assert_true(asprintf(&path, "%s/%s", env ? env : MCFS_SOURCE_ROOT "/../shared/worlds",
			    name) > 0);
	if (access(path, F_OK) != 0) {
		print_message("no world at %s\n", path);
		free(path);
		skip();
	}
	return path;
}

/* Both ways round. */
static void compare_worlds(const char *name_a, const char *name_b)
{
	CLEANUP_FREE char *a = world(name_a);
	CLEANUP_FREE char *b = world(name_b);
	for (int turn = 0; turn < 2; turn++) {
		struct pair p = {0};
		struct found f = {0};
		struct diff_result r;
		root_a = turn ? b : a;
		root_b = turn ? a : b;
		assert_int_equal(nftw(root_a, on_file, 16, FTW_PHYS), 0);
		assert_int_equal(nftw(root_b, on_file, 16, FTW_PHYS), 0);
		open_pair(&p, root_a, root_b);
		run(&p, false, &f, &r);
		assert_same_lines(&f.lines, &want);
		free_lines(&f.lines);
		free_lines(&want);
		close_pair(&p);
	}
}

/* ---- tests ---- */

static void test_history_of_a_world(void **state)
{
	(void)state;
	compare_worlds("history/vanilla-1.19/000", "history/vanilla-1.19/001");
	compare_worlds("history/vanilla-1.19/004", "history/vanilla-1.19/005");
}

static void test_external_chunks(void **state)
{
	(void)state;
	compare_worlds("single/synthetic/mcc/000", "single/synthetic/mcc/001");
	compare_worlds("single/synthetic/mcc/001", "single/synthetic/mcc/002");
}

static void test_compression_is_no_change(void **state)
{
	(void)state;
	static const char *const types[] = {"gzip", "lz4", "none", "mixed"};
	for (size_t i = 1; i < N_OF(types); i++) {
		char name_a[64], name_b[64];
		struct pair p = {0};
		struct found f = {0};
		struct diff_result r;
		snprintf(name_a, sizeof name_a, "single/synthetic/%s", types[i - 1]);
		snprintf(name_b, sizeof name_b, "single/synthetic/%s", types[i]);
		CLEANUP_FREE char *a = world(name_a);
		CLEANUP_FREE char *b = world(name_b);
		open_pair(&p, a, b);
		run(&p, true, &f, &r);
		assert_true(r.chunk[DIFF_CHUNK_SAME] > 200);
		assert_int_equal(r.chunk[DIFF_CHUNK_SAME], f.lines.n);
		free_lines(&f.lines);
		close_pair(&p);
	}
}

static void test_damaged_regions(void **state)
{
	(void)state;
	CLEANUP_FREE char *a = world("single/synthetic/none");
	CLEANUP_FREE char *b = world("single/synthetic/corrupt");
	for (int turn = 0; turn < 2; turn++) {
		struct pair p = {0};
		struct found f = {0};
		struct diff_result r;
		open_pair(&p, turn ? b : a, turn ? a : b);
		run(&p, true, &f, &r);
		assert_true(f.lines.n > 225);
		free_lines(&f.lines);
		close_pair(&p);
	}
}

static void test_failures_end_it(void **state)
{
	(void)state;
	CLEANUP_FREE char *a = world("single/synthetic/mcc/000");
	CLEANUP_FREE char *b = world("single/synthetic/mcc/001");
	struct pair p = {0};
	struct found f = {.fail_with = E_CANCELLED};
	struct diff_options opt = {.chunks = true, .on_item = on_item, .ctx = &f};
	struct diff_result r;
	open_pair(&p, a, b);
	FAILS(E_CANCELLED, diff_run(p.s, &p.c, &p.at[0], &p.at[1], &opt, &r, e));
	assert_int_equal(f.items, 1);
	struct diff_place nowhere = {&p.a, "no/such"};
	FAILS(E_NOTFOUND, diff_run(p.s, &p.c, &nowhere, &p.at[1], &opt, &r, e));
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_history_of_a_world),
		cmocka_unit_test(test_external_chunks),
		cmocka_unit_test(test_compression_is_no_change),
		cmocka_unit_test(test_damaged_regions), cmocka_unit_test(test_failures_end_it)};
	return cmocka_run_group_tests_name("diff", tests, NULL, NULL);
}
