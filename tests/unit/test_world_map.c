/* map, png: which pixel is which chunk, what it shows when chunks share one, and that the file is a PNG of
 * that size. */
#include "tests/unit/support.h"

#include "engine/codec/png.h"
#include "engine/prune/map.h"
#include "tests/unit/make_world.h"

#define NOW 2000000000
#define DAY 86400

static char w[64];

static int setup(void **state)
{
	(void)state;
	world_make(w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_drop(w);
	return 0;
}

static void put(int x, int z, int64_t inhabited, uint32_t stamp)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	nbt_begin(&b);
	nbt_int(&b, "DataVersion", 3105);
	nbt_string(&b, "Status", x & 1 ? "minecraft:full" : "biomes");
	nbt_long(&b, "InhabitedTime", inhabited);
	nbt_end(&b);
	world_chunk(w, "", "region", x, z, stamp, &b);
}

static uint32_t pixel(const struct map_image *m, uint32_t x, uint32_t y)
{
	const uint8_t *p = m->rgb + 3 * ((size_t)y * m->width + x);
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

/* The first dimension's chunks begin here. */
#define LEFT 4
#define TOP 15

static struct map_image draw(enum map_color c, unsigned zoom)
{
	CLEANUP_SOURCE struct source *s = NULL;
	struct judge_options o = {.now = NOW, .threads = 2};
	struct map_image m;
	OK(source_dir_open(&s, w, e));
	OK(map_draw_chunks(s, c, &o, zoom, &m, e));
	return m;
}

static void chunks_are_pixels(void **state)
{
	(void)state;
	put(-2, 5, 0, NOW);
	put(-1, 5, 20 * 60 * 20, NOW - 2 * DAY);
	put(-2, 7, 20 * 3600 * 20, NOW - 400 * DAY);
	world_raw_chunk(w, "", "region", -1, 7, NOW, 2, "nothing", 7);
	for (unsigned zoom = 1; zoom <= 3; zoom += 2) {
		struct map_image m = draw(MAP_INHABITED, zoom);
		assert_int_equal(pixel(&m, LEFT, TOP), 0x464850);
		assert_int_equal(pixel(&m, LEFT + zoom, TOP), 0x46af78);
		assert_int_equal(pixel(&m, LEFT, TOP + zoom), 0x16181c); /* no chunk */
		assert_int_equal(pixel(&m, LEFT + zoom - 1, TOP + 3 * zoom - 1), 0xeb5f3c);
		assert_int_equal(pixel(&m, LEFT + zoom, TOP + 2 * zoom), 0xff3cdc);
		assert_int_equal(pixel(&m, LEFT + 2 * zoom, TOP), 0x26292f); /* the paper */
		map_image_free(&m);
	}
	struct map_image m = draw(MAP_AGE, 1);
	assert_int_equal(pixel(&m, LEFT, TOP), 0xfaf08c);
	assert_int_equal(pixel(&m, LEFT + 1, TOP), 0xf0b450);
	assert_int_equal(pixel(&m, LEFT, TOP + 2), 0x4b4182);
	map_image_free(&m);
	m = draw(MAP_STATUS, 1);
	assert_int_equal(pixel(&m, LEFT, TOP), 0x6e82c8);
	assert_int_equal(pixel(&m, LEFT + 1, TOP), 0x42964a);
	map_image_free(&m);
}

static void prunable(void **state)
{
	CLEANUP_SOURCE struct source *s = NULL;
	struct judge_options o = {.now = NOW};
	struct rules_spec spec;
	struct rules *r;
	struct judgement *j;
	struct map_image m;
	(void)state;
	put(0, 0, 0, NOW - 5 * DAY);
	put(1, 0, 0, NOW);
	rules_spec_init(&spec);
	spec.protect.neighbours = 0;
	OK(rules_spec_add_pair(&spec, DAY, 100, 1, e));
	OK(source_dir_open(&s, w, e));
	OK(rules_compile(&r, &spec, e));
	OK(rules_judge(r, s, &o, &j, e));
	OK(map_draw_judgement(j, r, 1, &m, e));
	assert_int_equal(pixel(&m, LEFT, TOP), 0xc83e34);
	assert_int_equal(pixel(&m, LEFT + 1, TOP), 0x42964a);
	map_image_free(&m);
	judgement_free(j);
	rules_free(r);
	rules_spec_free(&spec);
}

/* Two chunks at the ends of the world must not cost a picture of all between them. */
static void far_apart(void **state)
{
	(void)state;
	put(-1800000, 0, 0, NOW);
	put(1800000, 0, 20 * 3600 * 20, NOW);
	struct map_image m = draw(MAP_INHABITED, 4);
	assert_true(m.width <= MAP_SIDE_MAX + 8 && m.height < 100);
	assert_int_equal(pixel(&m, LEFT, TOP), 0x464850);
	map_image_free(&m);
}

static void nothing_there(void **state)
{
	(void)state;
	world_file(w, "region/r.0.0.mca", "", 0);
	struct map_image m = draw(MAP_STATUS, 1);
	assert_true(m.width > 0 && m.height > 0);
	map_image_free(&m);
}

static void png(void **state)
{
	static const uint8_t magic[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	uint8_t rgb[2 * 3 * 3] = {1, 2, 3};
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)state;
	OK(png_encode(span_of(rgb, sizeof rgb), 2, 3, &b, e));
	assert_memory_equal(b.p, magic, sizeof magic);
	assert_int_equal(b.p[19], 2);
	assert_int_equal(b.p[23], 3);
	FAILS(E_USAGE, png_encode(span_of(rgb, sizeof rgb), 0, 3, &b, e));
	FAILS(E_USAGE, png_encode(span_of(rgb, sizeof rgb), 3, 3, &b, e));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(chunks_are_pixels), T(prunable), T(far_apart),
		T(nothing_there), cmocka_unit_test(png)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
