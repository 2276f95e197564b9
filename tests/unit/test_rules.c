/* rules: which rule takes a chunk, everything that protects one, neighbours across regions, worlds whose
 * InhabitedTime says nothing, and how much may go at once. */
#include "tests/unit/support.h"

#include "engine/prune/rules.h"
#include "tests/unit/make_world.h"

#define NOW 2000000000
#define DAY 86400
#define HOURS(n) ((n) * 3600 * 20)
#define OLD (NOW - 100 * DAY)

static char w[64];
static struct rules_spec spec;

static int setup(void **state)
{
	(void)state;
	world_make(w);
	rules_spec_init(&spec);
	spec.protect.neighbours = 0; /* where they are not the point */
	spec.max_percent = 100;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rules_spec_free(&spec);
	world_drop(w);
	return 0;
}

static void put_in(const char *folder, int x, int z, int64_t inhabited, uint32_t stamp)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	nbt_begin(&b);
	nbt_int(&b, "DataVersion", 3105);
	nbt_string(&b, "Status", "minecraft:full");
	nbt_long(&b, "InhabitedTime", inhabited);
	nbt_end(&b);
	world_chunk(w, folder, "region", x, z, stamp, &b);
}

static void put(int x, int z, int64_t inhabited, uint32_t stamp)
{
	put_in("", x, z, inhabited, stamp);
}

static struct judgement *judge_as(int expected)
{
	CLEANUP_SOURCE struct source *s = NULL;
	struct judge_options o = {.now = NOW, .threads = 2};
	struct judgement *j = NULL;
	struct rules *r;
	struct err why = ERR_INIT;
	OK(source_dir_open(&s, w, e));
	OK(rules_compile(&r, &spec, e));
	int rc = rules_judge(r, s, &o, &j, &why);
	rules_free(r);
	if (rc != expected)
		fail_msg("%d instead of %d: %s", rc, expected, why.msg);
	return j;
}

/* One letter a chunk: . kept, 0..9 prunable by that rule, and the protections' first letters. */
static void row(const struct judged_dim *d, int x, int z, const char *want)
{
	static const char letters[] = {' ', '.', 'D', 'F', 'S', 'P', 'A', 'B', 'N'};
	char got[64] = "";
	for (size_t i = 0; i < strlen(want); i++) {
		uint8_t v = judgement_at(d, x + (int)i, z);
		got[i] = verdict_prunable(v) ? (char)('0' + v - VERDICT_RULE) : letters[v];
	}
	assert_string_equal(got, want);
}

static void judge_row(int x, int z, const char *want)
{
	struct judgement *j = judge_as(0);
	row(&j->dims[0], x, z, want);
	judgement_free(j);
}

/* ---- rules ---- */

static void pairs(void **state)
{
	(void)state;
	OK(rules_spec_add_pair(&spec, 30 * DAY, HOURS(2), 1, e));
	OK(rules_spec_add_pair(&spec, DAY, HOURS(1), 2, e));
	put(0, 0, 0, OLD);
	put(1, 0, HOURS(2) - 1, OLD);
	put(2, 0, HOURS(2), OLD);
	put(3, 0, HOURS(1), NOW - 2 * DAY);
	put(4, 0, HOURS(1) - 1, NOW - 2 * DAY);
	put(5, 0, 0, NOW - DAY);
	put(6, 0, 0, NOW - DAY + 1);
	put(7, 0, 0, NOW + DAY); /* from the future */
	put(8, 0, 0, 0);	 /* nobody knows when */
	judge_row(0, 0, "00..11... ");
	struct judgement *j = judge_as(0);
	const struct judged_dim *d = &j->dims[0];
	assert_int_equal(d->chunks, 9);
	assert_int_equal(d->prunable, 4);
	assert_int_equal(d->rule_chunks[0], 2);
	assert_int_equal(d->rule_chunks[1], 2);
	assert_int_equal(d->rule_bytes[1], 8192);
	assert_int_equal(d->reason[VERDICT_KEPT], 5);
	struct region_entry en;
	assert_true(judgement_entry(judgement_region(d, 0, 0), 4, &en));
	assert_int_equal(en.timestamp, NOW - 2 * DAY);
	assert_int_equal(en.count, 1);
	assert_true(en.sector >= 2);
	assert_false(judgement_entry(judgement_region(d, 0, 0), 3, &en));
	judgement_free(j);
}

static void queries(void **state)
{
	(void)state;
	OK(rules_spec_add_query(&spec, "xPos = 1", 1, e));
	OK(rules_spec_add_query(&spec, "InhabitedTime > 5", 2, e));
	put(0, 0, 0, OLD);
	put(1, 0, 10, OLD);
	put(2, 0, 10, OLD);
	judge_row(0, 0, ".01");
	OK(rules_spec_add_query(&spec, "xPos ~ 1", 77, e));
	struct rules *r;
	struct err why = ERR_INIT;
	assert_int_equal(rules_compile(&r, &spec, &why), E_USAGE);
	assert_non_null(strstr(why.msg, "line 77"));
}

static void damaged(void **state)
{
	(void)state;
	OK(rules_spec_add_pair(&spec, DAY, HOURS(1), 1, e));
	put(0, 0, 0, OLD);
	world_raw_chunk(w, "", "region", 1, 0, OLD, 2, "nothing", 7);
	put(2, 0, 0, OLD);
	world_raw_chunk(w, "", "entities", 2, 0, OLD, 2, "nothing", 7);
	judge_row(0, 0, "0DD");
	OK(rules_spec_add_query(&spec, "Damaged", 2, e));
	judge_row(0, 0, "011");
}

/* ---- protections ---- */

static void neighbours(void **state)
{
	(void)state;
	OK(rules_spec_add_pair(&spec, DAY, HOURS(1), 1, e));
	for (int x = 28; x < 37; x++)
		for (int z = 30; z < 35; z++)
			put(x, z, x == 32 && z == 32 ? HOURS(9) : 0, OLD);
	spec.protect.neighbours = 1;
	struct judgement *j = judge_as(0);
	row(&j->dims[0], 28, 30, "000000000");
	row(&j->dims[0], 28, 31, "000NNN000");
	row(&j->dims[0], 28, 32, "000N.N000");
	row(&j->dims[0], 28, 33, "000NNN000");
	row(&j->dims[0], 28, 34, "000000000");
	assert_int_equal(j->dims[0].reason[VERDICT_NEIGHBOUR], 8);
	judgement_free(j);
	spec.protect.neighbours = 2;
	judge_row(28, 30, "00NNNNN00");
	/* A damaged chunk stays, so its neighbours do. */
	spec.protect.neighbours = 1;
	world_raw_chunk(w, "", "region", 28, 30, OLD, 2, "nothing", 7);
	judge_row(28, 30, "DN0000000");
	judge_row(28, 31, "NN0NNN000");
}

static void spawn_players_and_tickets(void **state)
{
	const int64_t forced[] = {40};
	const double pos[] = {20 * 16 + 3, 64, 5};
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)state;
	OK(rules_spec_add_pair(&spec, DAY, HOURS(1), 1, e));
	for (int x = 0; x < 44; x++) {
		put(x, 0, 0, OLD);
		put_in("DIM-1", x, 0, 0, OLD);
	}
	spec.protect.spawn_radius = 3;
	spec.protect.player_radius = 1;
	nbt_begin(&b);
	nbt_compound(&b, "Data");
	nbt_int(&b, "SpawnX", 33);
	nbt_int(&b, "SpawnZ", -16);
	nbt_compound(&b, "Player"); /* single player */
	nbt_doubles(&b, "Pos", pos, 3);
	nbt_int(&b, "Dimension", 0);
	nbt_end(&b);
	nbt_end(&b);
	nbt_end(&b);
	world_dat(w, "level.dat", &b);
	nbt_begin(&b);
	nbt_compound(&b, "data");
	nbt_longs(&b, "Forced", forced, 1);
	nbt_end(&b);
	nbt_end(&b);
	world_dat(w, "DIM-1/data/chunks.dat", &b);
	nbt_begin(&b);
	nbt_doubles(&b, "Pos", pos, 3);
	nbt_string(&b, "Dimension", "minecraft:the_nether");
	nbt_int(&b, "SpawnX", 16 * 30);
	nbt_int(&b, "SpawnZ", 0);
	nbt_end(&b);
	world_dat(w, "playerdata/x.dat", &b);
	struct judgement *j = judge_as(0);
	assert_string_equal(j->dims[1].dim.name, "the_nether");
	row(&j->dims[0], 0, 0, "SSSSSS000000000000"); /* around (2, -1) */
	row(&j->dims[0], 18, 0, "0PPP0000000PPP00000000");
	row(&j->dims[1], 0, 0, "00000");
	row(&j->dims[1], 18, 0, "0PPP00000000000000000");
	row(&j->dims[1], 39, 0, "0F0");
	judgement_free(j);
	spec.protect.forced = spec.protect.players = spec.protect.spawn = false;
	j = judge_as(0);
	assert_int_equal(j->dims[0].prunable + j->dims[1].prunable, 88);
	judgement_free(j);
	/* What cannot be read protects nothing, so nothing is decided. */
	spec.protect.spawn = true;
	world_file(w, "level.dat", "junk", 4);
	judge_as(E_FORMAT);
}

static void areas_and_blocks(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct protect_spec *p = &spec.protect;
	(void)state;
	OK(rules_spec_add_pair(&spec, DAY, HOURS(1), 1, e));
	for (int x = 0; x < 20; x++)
		put(x, 0, 0, OLD);
	nbt_begin(&b);
	nbt_int(&b, "DataVersion", 3105);
	nbt_list(&b, "sections", 1);
	nbt_compound(&b, "block_states");
	nbt_list(&b, "palette", 1);
	nbt_string(&b, "Name", "minecraft:beacon");
	nbt_end(&b);
	nbt_end(&b);
	nbt_end(&b);
	nbt_end(&b);
	world_chunk(w, "", "region", 15, 0, OLD, &b);
	world_file(w, "keep.csv", "0;0;19;0\n", 9);
	char csv[100];
	snprintf(csv, sizeof csv, "%s/keep.csv", w);
	p->areas = calloc(3, sizeof *p->areas);
	p->areas[0] = (struct protect_area){.circle = true, .x = 1, .z = 0, .radius = 1};
	p->areas[1] = (struct protect_area){.x1 = 5, .z1 = -1, .x2 = 7, .z2 = 5};
	p->areas[2] = (struct protect_area){.dimension = strdup("the_end"), .x1 = 0, .x2 = 99};
	p->n_areas = 3;
	p->selections = calloc(1, sizeof *p->selections);
	p->selections[0].path = strdup(csv);
	p->n_selections = 1;
	p->blocks = calloc(1, sizeof *p->blocks);
	p->blocks[0] = strdup("beacon");
	p->n_blocks = 1;
	judge_row(0, 0, "AAA00AAA0000000B000A");
}

/* ---- refusals ---- */

static void too_much_at_once(void **state)
{
	(void)state;
	OK(rules_spec_add_pair(&spec, DAY, HOURS(1), 1, e));
	for (int x = 0; x < 10; x++)
		put(x, 0, x < 5 ? 0 : HOURS(5), OLD);
	spec.max_percent = 50;
	struct judgement *j = judge_as(0);
	assert_string_equal(j->dims[0].refused, "");
	judgement_free(j);
	spec.max_percent = 49;
	j = judge_as(0);
	assert_non_null(strstr(j->dims[0].refused, "5 of its 10 chunks (50 %)"));
	assert_true(j->dims[0].refused_fraction);
	assert_int_equal(j->dims[0].prunable, 5);
	judgement_free(j);
}

static void flat(const char *want)
{
	struct judgement *j = judge_as(0);
	if (want ? !strstr(j->dims[0].refused, want) : j->dims[0].refused[0])
		fail_msg("'%s'", j->dims[0].refused);
	assert_false(j->dims[0].refused_fraction);
	judgement_free(j);
}

static void worlds_that_say_nothing(void **state)
{
	(void)state;
	OK(rules_spec_add_pair(&spec, DAY, HOURS(1), 1, e));
	for (int i = 0; i < 120; i++)
		put(i % 20, i / 20, 0, OLD);
	flat("100.0 % of its chunks have 0 ticks");
	/* Somebody was there, in chunks too young to be looked at by the rule. */
	for (int i = 0; i < 5; i++)
		put(i, 20, HOURS(1) + i, NOW);
	flat(NULL);
	/* A server that writes one value. */
	for (int i = 0; i < 120; i++)
		put(i % 20, i / 20, 777, OLD);
	flat("have 777 ticks");
	/* Without InhabitedTime in a rule it does not matter. */
	rules_spec_free(&spec);
	rules_spec_init(&spec);
	spec.max_percent = 100;
	OK(rules_spec_add_query(&spec, "Age > 1 day", 1, e));
	flat(NULL);
}

/* ---- in words ---- */

static void explained(void **state)
{
	CLEANUP_SOURCE struct source *s = NULL;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct judge_options o = {.now = NOW};
	struct judgement *j;
	struct rules *r;
	struct err why = ERR_INIT;
	(void)state;
	OK(rules_spec_add_pair(&spec, 30 * DAY, HOURS(2), 1, e));
	spec.protect.neighbours = 1;
	put(0, 0, 0, OLD);
	put(1, 0, HOURS(3), OLD);
	put(5, 5, 0, OLD);
	OK(source_dir_open(&s, w, e));
	OK(rules_compile(&r, &spec, e));
	OK(rules_judge(r, s, &o, &j, e));
	OK(rules_explain(r, s, &o, &j->dims[0], 0, 0, &b, e));
	OK(rules_explain(r, s, &o, &j->dims[0], 1, 0, &b, e));
	OK(rules_explain(r, s, &o, &j->dims[0], 5, 5, &b, e));
	assert_int_equal(rules_explain(r, s, &o, &j->dims[0], 9, 9, &b, &why), E_NOTFOUND);
	OK(buf_add(&b, "", 1, e));
	const char *t = (const char *)b.p;
	assert_non_null(strstr(t, "rule-1: asks for it (not saved for 30 days"));
	assert_non_null(strstr(t, "protected: next to a chunk that stays"));
	assert_non_null(strstr(t, "inhabited: 3 hours (216000 ticks)"));
	assert_non_null(strstr(t, "rule-1: does not ask for it"));
	assert_non_null(strstr(t, "stays: no rule asks for it"));
	assert_non_null(strstr(t, "prunable by rule-1"));
	judgement_free(j);
	rules_free(r);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(pairs), T(queries), T(damaged), T(neighbours),
		T(spawn_players_and_tickets), T(areas_and_blocks), T(too_much_at_once),
		T(worlds_that_say_nothing), T(explained)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
