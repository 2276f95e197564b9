/* prune_config: what people have loads as it is, every key has its meaning, and whatever is wrong is told
 * with its line. */
#include "tests/unit/support.h"

#include <unistd.h>

#include "engine/config/prune_config.h"

#define HOUR (3600 * 20) /* ticks */

static void mca_selectors_options_file(void **state)
{
	static const char *const file =
		"delete_chunks:\n"
		"  - last_updated: \"30 days\"\n    inhabited_time: \"2 hours\"\n"
		"  - last_updated: \"7 days\"\n    inhabited_time: \"1 hour\"\n"
		"  - last_updated: \"12 hours\"\n    inhabited_time: \"15 minutes\"\n"
		"  - last_updated: \"1 hour\"\n    inhabited_time: \"5 minutes\"\n";
	struct prune_config c;
	(void)state;
	OK(prune_config_parse(&c, text(file), "options.yaml", e));
	assert_int_equal(c.rules.n_rules, 4);
	assert_int_equal(c.rules.rules[0].last_updated, 30 * 86400);
	assert_int_equal(c.rules.rules[0].inhabited, 2 * HOUR);
	assert_int_equal(c.rules.rules[3].last_updated, 3600);
	assert_int_equal(c.rules.rules[3].inhabited, HOUR / 12);
	assert_int_equal(c.rules.max_percent, 50);
	assert_int_equal(c.trash_keep, -1);
	assert_true(c.rules.protect.forced && c.rules.protect.players && c.rules.protect.spawn);
	struct rules *r;
	OK(rules_compile(&r, &c.rules, e));
	assert_string_equal(rules_name(r, 0), "rule-1");
	assert_string_equal(rules_text(r, 1), "not saved for 7 days, inhabited for less than 1 hour");
	rules_free(r);
	prune_config_free(&c);
	const char *given = MCFS_SOURCE_ROOT "/../shared/examples/mcaselector-options.yaml";
	if (access(given, R_OK) == 0) {
		OK(prune_config_load(&c, given, e));
		assert_int_equal(c.rules.n_rules, 4);
		prune_config_free(&c);
	}
}

static void every_key(void **state)
{
	static const char *const file =
		"query:\n  - Status != full\n  - \"InhabitedTime < 5 minutes AND Age > 2 weeks\"\n"
		"delete_chunks:\n  - inhabited_time: 100\n"
		"protect:\n"
		"  forced: no\n  players: false\n  player-radius: 5\n  spawn: true\n"
		"  spawn_radius: 20\n  neighbours: 3\n"
		"  circles:\n    - \"1;-2;3\"\n    - {x: 10, z: 20, radius: 5, dimension: minecraft:the_end}\n"
		"  boxes:\n    - 5;6;-7;8\n"
		"  selections:\n    - keep.csv\n    - {file: /abs/x.csv, dimension: the_nether}\n"
		"  structures: [village_plains, 'mod:tower']\n  blocks:\n    - chest\n"
		"max_fraction: 12.5%\ntrash_keep: 2 weeks\ntrash_size: 10 GiB\nrequire-snapshot: 1 day\n";
	struct prune_config c;
	(void)state;
	OK(prune_config_parse(&c, text(file), "/etc/mcfs/prune.yaml", e));
	const struct protect_spec *p = &c.rules.protect;
	assert_int_equal(c.rules.n_rules, 3);
	assert_string_equal(c.rules.rules[0].query, "Status != full");
	assert_int_equal(c.rules.rules[2].inhabited, 100);
	assert_int_equal(c.rules.rules[2].last_updated, -1);
	assert_false(p->forced || p->players);
	assert_int_equal(p->player_radius, 5);
	assert_int_equal(p->spawn_radius, 20);
	assert_int_equal(p->neighbours, 3);
	assert_int_equal(p->n_areas, 3);
	assert_int_equal(p->areas[0].z, -2);
	assert_null(p->areas[0].dimension);
	assert_string_equal(p->areas[1].dimension, "the_end");
	assert_int_equal(p->areas[2].x1, -7);
	assert_int_equal(p->areas[2].x2, 5);
	assert_string_equal(p->selections[0].path, "/etc/mcfs/keep.csv");
	assert_string_equal(p->selections[1].path, "/abs/x.csv");
	assert_string_equal(p->selections[1].dimension, "the_nether");
	assert_int_equal(p->n_structures, 2);
	assert_int_equal(p->n_blocks, 1);
	assert_int_equal(c.rules.max_percent, 12);
	assert_int_equal(c.trash_keep, 14 * 86400);
	assert_int_equal(c.trash_size, INT64_C(10) << 30);
	assert_true(c.require_snapshot);
	assert_int_equal(c.snapshot_age, 86400);
	prune_config_free(&c);
	OK(prune_config_parse(&c, text(""), "x", e));
	assert_int_equal(c.rules.n_rules, 0);
	prune_config_free(&c);
	OK(prune_config_parse(&c, text("max_fraction: 0.25\nrequire_snapshot: true\nquery:\nprotect:\n"),
		"x", e));
	assert_int_equal(c.rules.max_percent, 25);
	assert_true(c.require_snapshot);
	assert_int_equal(c.snapshot_age, -1);
	prune_config_free(&c);
}

static void wrong(const char *file, const char *want)
{
	struct prune_config c;
	struct err e = ERR_INIT;
	int r = prune_config_parse(&c, text(file), "p.yaml", &e);
	if (r != E_USAGE || !strstr(e.msg, want))
		fail_msg("'%s': %d '%s' does not say '%s'", file, r, e.msg, want);
}

static void what_is_wrong_has_a_line(void **state)
{
	(void)state;
	wrong("a: 1", "p.yaml:1: prune.yaml has no key 'a'");
	wrong("\ndelete_chunk:\n", "p.yaml:2: prune.yaml has no key 'delete_chunk'; did you mean 'delete_chunks'?");
	wrong("delete_chunks:\n  - last_update: 1 day\n", "p.yaml:2: an entry of delete_chunks has no key");
	wrong("delete_chunks:\n  - {}\n", "p.yaml:2: an entry of delete_chunks needs");
	wrong("delete_chunks:\n  - last_updated: 5m\n", "p.yaml:2: '5m'");
	wrong("delete_chunks:\n  - last_updated: 30\n", "p.yaml:2: '30'");
	wrong("delete_chunks: 5\n", "p.yaml:1");
	wrong("query:\n  - xPos = 1\n  - xPos ~ 2\n", "p.yaml:3: at character 6 of the query");
	wrong("query: \"\"\n", "p.yaml:1: the query is empty");
	wrong("protect:\n  neighbor: 2\n", "p.yaml:2: protect has no key 'neighbor'");
	wrong("protect:\n  neighbours: 99\n", "p.yaml:2");
	wrong("protect:\n  circles: [1;2]\n", "p.yaml:2: a circle is X;Z;RADIUS");
	wrong("protect:\n  circles: [{x: 1, z: 2}]\n", "p.yaml:2: a circle needs all");
	wrong("protect:\n  circles: [\"1;2;-3\"]\n", "p.yaml:2: a circle's radius");
	wrong("protect:\n  boxes: [\"1;2;3\"]\n", "p.yaml:2: a box is");
	wrong("protect:\n  selections: [{dimension: x}]\n", "p.yaml:2: a selection needs its file");
	wrong("protect:\n  blocks: [\"a b\"]\n", "p.yaml:2: 'a b' in blocks");
	wrong("protect:\n  blocks: ['x\" OR Size > 0 OR Palette intersects \"y']\n", "p.yaml:2");
	wrong("protect:\n  forced: maybe\n", "p.yaml:2");
	wrong("max_fraction: 50\n", "p.yaml:1: max_fraction");
	wrong("max_fraction: 150%\n", "p.yaml:1: max_fraction");
	wrong("trash_keep: long\n", "p.yaml:1: 'long'");
	wrong("trash_size: 10 apples\n", "p.yaml:1: trash_size");
	wrong("require_snapshot: perhaps\n", "p.yaml:1");
	wrong("query: xPos = 1\nquery: xPos = 2\n", "p.yaml:2");
	wrong("- a\n", "p.yaml:1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(mca_selectors_options_file),
		cmocka_unit_test(every_key), cmocka_unit_test(what_is_wrong_has_a_line)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
