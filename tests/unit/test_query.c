/* query, find: the grammar as MCA Selector has it and what is added to it, every filter in every layout
 * of chunks, and one test for each of MCA Selector's known bugs, none of which may be here. Then real
 * worlds (MCFS_WORLDS, else ../shared/worlds beside the source tree) against the independent reader. */
#include "tests/unit/support.h"

#include <ftw.h>
#include <unistd.h>

#include "engine/anvil/source.h"
#include "engine/base/io.h"
#include "engine/prune/find.h"
#include "engine/prune/query.h"
#include "tests/unit/make_world.h"
#include "tests/unit/region_reader.h"

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

/* ---- asking ---- */

/* "0.0 5.-3" and so on, in order of regions and slots. */
static char *matches(const struct find_options *o, int *ret_code, struct err *e)
{
	static char out[20000];
	CLEANUP_SOURCE struct source *s = NULL;
	struct found f;
	size_t n = 0;
	out[0] = 0;
	assert_int_equal(source_dir_open(&s, w, e), 0);
	*ret_code = find_chunks(s, o, &f, e);
	if (*ret_code < 0)
		return out;
	for (size_t i = 0; i < f.n; i++) {
		size_t n_regions;
		const struct selection_region *v = selection_regions(f.v[i].match, &n_regions);
		for (size_t r = 0; r < n_regions; r++)
			for (int k = 0; k < 1024 && n < sizeof out - 40; k++)
				if (v[r].bits[k / 8] >> (k & 7) & 1)
					n += (size_t)sprintf(out + n, "%s%d.%d", n ? " " : "",
						v[r].x * 32 + k % 32, v[r].z * 32 + k / 32);
	}
	found_free(&f);
	return out;
}

static void expect_in(struct find_options o, int ways, const char *want)
{
	for (int quick = 0; quick < ways; quick++) {
		struct err why = ERR_INIT;
		int r;
		o.quick = quick;
		o.now = NOW;
		o.threads = 2;
		char *got = matches(&o, &r, &why);
		if (r < 0)
			fail_msg("%s: %s", o.query, why.msg);
		if (strcmp(got, want) != 0)
			fail_msg("%s%s\n  gives '%s'\n  not   '%s'", o.query, quick ? " (quick)" : "",
				got, want);
	}
}

static void expect_of(struct find_options o, const char *want)
{
	expect_in(o, 2, want);
}

/* Where the header decides, a quick query does not see damage. */
static void expect_read(const char *query, const char *want)
{
	expect_in((struct find_options){.query = query}, 1, want);
}

static void expect(const char *query, const char *want)
{
	expect_of((struct find_options){.query = query}, want);
}

static void refused(const char *query, const char *because)
{
	struct find_options o = {.query = query};
	struct err why = ERR_INIT;
	int r;
	matches(&o, &r, &why);
	if (r == 0)
		fail_msg("'%s' was taken", query);
	if (!strstr(why.msg, because))
		fail_msg("'%s': '%s' does not say '%s'", query, why.msg, because);
	assert_int_equal(r, E_USAGE);
}

/* ---- chunks ---- */

/* A chunk of 1.18 and later that says little. */
static void begin_new(struct buf *b, int x, int z, int version)
{
	nbt_begin(b);
	nbt_int(b, "DataVersion", version);
	nbt_int(b, "xPos", x);
	nbt_int(b, "zPos", z);
	nbt_int(b, "yPos", -4);
	nbt_string(b, "Status", "minecraft:full");
	nbt_long(b, "LastUpdate", 1000);
}

static void put_new(int x, int z, int64_t inhabited, uint32_t stamp)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	begin_new(&b, x, z, 3105);
	nbt_long(&b, "InhabitedTime", inhabited);
	nbt_end(&b);
	world_chunk(w, "", "region", x, z, stamp, &b);
}

static void put_damaged(int x, int z)
{
	world_raw_chunk(w, "", "region", x, z, 1000, 2, "no zlib stream at all", 21);
}

/* ---- grammar ---- */

static void three_chunks(void)
{
	put_new(0, 0, 0, 1000);
	put_new(1, 0, 6000, NOW - 10 * DAY);
	put_new(2, 0, 90000, NOW - 60);
}

static void grammar_as_it_is(void **state)
{
	(void)state;
	three_chunks();
	expect("InhabitedTime < \"5 minutes\"", "0.0");
	expect("InhabitedTime < 5min", "0.0");
	expect("InhabitedTime <= 6000", "0.0 1.0");
	expect("InhabitedTime < 1h30min", "0.0 1.0 2.0");
	expect("xPos = 0 AND zPos = 0 OR xPos = 2", "0.0 2.0");
	expect("xPos = 2 OR xPos = 0 AND zPos = 1", "2.0"); /* AND binds tighter */
	expect("( xPos = 2 OR xPos = 0 ) AND zPos = 0", "0.0 2.0");
	expect("!(xPos = 0)", "1.0 2.0");
	expect("! ( xPos = 0 ) AND !(xPos = 1)", "2.0");
	expect("InhabitedTime = \"6 000\"", "1.0");
	expect("  xPos   =\n 1  ", "1.0");
	expect("DataVersion = 3105 AND xPos != 1", "0.0 2.0");
	expect("Palette !contains \"minecraft:stone\" AND xPos = 1", "1.0");
	expect("Palette !contains \"'custom:thing'\" AND xPos = 1", "1.0");
}

static void grammar_with_what_was_missing(void **state)
{
	(void)state;
	three_chunks();
	expect("InhabitedTime<5", "0.0");
	expect("InhabitedTime<5 minutes", "0.0");
	expect("InhabitedTime < 5 minutes AND zPos=0", "0.0");
	expect("InhabitedTime >= 5 minutes or xPos==0", "0.0 1.0 2.0");
	expect("xPos==1", "1.0");
	expect("NOT xPos = 1", "0.0 2.0");
	expect("not (xPos = 1 or xPos = 2)", "0.0");
	expect("!xPos = 1", "0.0 2.0");
	expect("NOT NOT xPos = 1", "1.0");
	expect("Palette not contains stone && xPos = 1", "1.0");
	expect("Palette not contains stone, dirt && xPos = 1", "1.0");
	expect("xPos = 1 || xPos = 2", "1.0 2.0");
	expect("Age > 1 week", "0.0 1.0");
	expect("Age > 1 week 3 days", "0.0");
	expect("Age < 2 minutes", "2.0");
	expect("Age >= 60 AND Age <= 60", "2.0"); /* seconds */
	expect("(((((xPos=1)))))", "1.0");
}

static void grammar_errors(void **state)
{
	(void)state;
	three_chunks();
	refused("", "empty");
	refused("  \n ", "empty");
	refused("()", "a filter");
	refused("xPos", "comparator");
	refused("xPos =", "ends where a value");
	refused("xPos 5", "character 6");
	refused("xPos = five", "a number, not 'five'");
	refused("xpos = 5", "no filter 'xpos'");
	refused("Custom = \"x\"", "Groovy");
	refused("(xPos = 5", "character 1 of the query is not closed");
	refused("Status = \"full", "no end");
	refused("xPos = 5 AND", "a filter");
	refused("xPos = 5 AND AND xPos = 6", "AND");
	refused("xPos contains 5", "cannot be compared with 'contains'");
	refused("Palette < stone", "cannot be compared with '<'");
	refused("Palette contains Stone", "cannot be an id");
	refused("Palette contains \"\"", "at least one name");
	refused("InhabitedTime < 5m", "no length of time");
	refused("InhabitedTime < -5", "a length of time");
	refused("DataVersion > -1", "not negative");
	refused("Timestamp > yesterday", "a date");
	refused("Compression = ZIP", "ZLIB");
	refused("Circle contains 1;2", "X;Z;RADIUS");
	refused("Size > 3x", "bytes");
	refused("Forced = maybe", "true or false");
	refused("xPos = 99999999999999999999", "a number");
	char deep[300];
	memset(deep, '(', sizeof deep);
	strcpy(deep + 200, "xPos = 1");
	refused(deep, "nested");
	struct find_options o = {.query = "Selection = \"/nowhere/x.csv\""};
	struct err why = ERR_INIT;
	int r;
	matches(&o, &r, &why);
	assert_int_equal(r, E_NOTFOUND);
	o = (struct find_options){.query = "xPos = 1", .dimension = "moon"};
	matches(&o, &r, &why);
	assert_int_equal(r, E_NOTFOUND);
}

/* Whatever the text, an answer or an error. */
static void grammar_noise(void **state)
{
	static const char *const words[] = {"xPos", "=", "(", ")", "!", "NOT", "AND", "OR", "\"", "5",
		"InhabitedTime", "<", "minutes", "contains", "Palette", "stone", ",", "\\", "#", "&&"};
	struct query_names names = {0};
	(void)state;
	rnd_seed(3);
	for (int i = 0; i < 20000; i++) {
		char t[400] = "";
		for (uint32_t k = below(14); k > 0; k--) {
			strcat(t, words[below(N_OF(words))]);
			strcat(t, below(3) ? " " : "");
		}
		struct query *q = NULL;
		struct err why = ERR_INIT;
		int r = query_parse(&q, t, &names, &why);
		assert_true(r == 0 || (r == E_USAGE && why.msg[0]));
		query_free(q);
	}
	query_names_free(&names);
}

/* ---- filters, each layout ---- */

static void add_palette(struct buf *b, const char *list, const char *const *v, uint32_t n)
{
	nbt_list(b, list, n);
	for (uint32_t i = 0; i < n; i++) {
		nbt_string(b, "Name", v[i]);
		nbt_end(b);
	}
}

static void filters_new_layout(void **state)
{
	static const char *const blocks[] = {"minecraft:stone", "mod:thing"};
	static const char *const biomes[] = {"minecraft:river"};
	const int64_t one[] = {7};
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)state;
	put_new(0, 0, 0, 1000);
	begin_new(&b, 3, 4, 3105);
	nbt_list(&b, "sections", 1);
	nbt_compound(&b, "block_states");
	add_palette(&b, "palette", blocks, 2);
	nbt_end(&b);
	nbt_compound(&b, "biomes");
	nbt_strings(&b, "palette", biomes, 1);
	nbt_end(&b);
	nbt_end(&b); /* the section */
	nbt_list(&b, "block_entities", 2);
	nbt_string(&b, "id", "minecraft:chest");
	nbt_end(&b);
	nbt_string(&b, "id", "minecraft:mob_spawner");
	nbt_end(&b);
	nbt_list(&b, "entities", 3);
	for (int i = 0; i < 3; i++)
		nbt_end(&b);
	nbt_compound(&b, "structures");
	nbt_compound(&b, "References");
	nbt_longs(&b, "minecraft:village_plains", one, 1);
	nbt_longs(&b, "minecraft:mineshaft", one, 0);
	nbt_end(&b);
	nbt_compound(&b, "starts");
	nbt_compound(&b, "minecraft:monument");
	nbt_end(&b);
	nbt_end(&b);
	nbt_end(&b);
	nbt_byte(&b, "isLightOn", 1);
	nbt_long(&b, "InhabitedTime", 123);
	nbt_end(&b);
	world_chunk(w, "", "region", 3, 4, 5000, &b);
	nbt_begin(&b);
	nbt_int(&b, "DataVersion", 3105);
	nbt_list(&b, "Entities", 2);
	nbt_string(&b, "id", "minecraft:cow");
	nbt_end(&b);
	nbt_string(&b, "id", "minecraft:pig");
	nbt_end(&b);
	nbt_end(&b);
	world_chunk(w, "", "entities", 3, 4, 5000, &b);
	expect("DataVersion = 3105", "0.0 3.4");
	expect("InhabitedTime = 123", "3.4");
	expect("LastUpdate = 50s", "0.0 3.4");
	expect("xPos = 3 AND zPos = 4 AND yPos = -4", "3.4");
	expect("Timestamp = 5000", "3.4");
	expect("Timestamp < 1970-01-03", "0.0 3.4");
	expect("Timestamp > \"2001-01-01 10:00:00\"", "");
	expect("Compression = ZLIB", "0.0 3.4");
	expect("Compression != ZLIB", "");
	expect("Palette contains stone", "3.4");
	expect("Palette contains stone,mod:thing", "3.4");
	expect("Palette contains stone,dirt", "");
	expect("Palette intersects stone,dirt", "3.4");
	expect("Palette !contains stone", "0.0");
	expect("Palette = stone", "");
	expect("Palette = \"stone,mod:thing\"", "3.4");
	expect("Palette != stone", "0.0 3.4");
	expect("Palette = \"stone,mod:thing\" OR Palette = dirt", "3.4");
	expect("Biome contains river", "3.4");
	expect("Biome intersects ocean,river", "3.4");
	expect("Status = full", "0.0 3.4");
	expect("Status = minecraft:full", "0.0 3.4");
	expect("Status != full", "");
	expect("LightPopulated = 1", "3.4");
	expect("LightPopulated = false", "0.0");
	expect("Entities contains cow,pig", "3.4");
	expect("Entities intersects cow,bee", "3.4");
	expect("Entities !contains bee", "0.0 3.4");
	expect("#Entities = 2", "3.4");
	expect("#Entities = 0", "0.0");
	expect("#ProtoEntities = 3", "3.4");
	expect("#TileEntities >= 2", "3.4");
	expect("BlockEntities contains chest", "3.4");
	expect("BlockEntities contains chest,mob_spawner", "3.4");
	expect("Structures contains village_plains", "3.4");
	expect("Structures intersects mineshaft,monument", "");
	expect("Circle contains 3;4;0", "3.4");
	expect("Circle contains 3;4;5", "0.0 3.4");
	expect("Circle contains \"100;100;1, 0;0;1\"", "0.0");
	expect("Circle !contains 3;4;0", "0.0");
	expect("Size = 8192", "3.4"); /* region and entities */
	expect("Size < 8k AND Size >= 4 KiB", "0.0");
	expect("Dimension = overworld AND xPos = 3", "3.4");
	expect("Dimension = minecraft:overworld AND xPos = 3", "3.4");
	expect("Dimension != overworld", "");
	expect("Damaged", "");
	expect("Damaged = false", "0.0 3.4");
	expect("Forced", "");
}

/* 1.13 to 1.17: everything below Level. */
static void filters_middle_layout(void **state)
{
	static const char *const blocks[] = {"minecraft:stone", "minecraft:dirt"};
	const int32_t biomes[] = {7, 1};
	const int64_t one[] = {7};
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)state;
	nbt_begin(&b);
	nbt_int(&b, "DataVersion", 2230);
	nbt_compound(&b, "Level");
	nbt_list(&b, "Sections", 1);
	add_palette(&b, "Palette", blocks, 2);
	nbt_end(&b);
	nbt_ints(&b, "Biomes", biomes, 2);
	nbt_list(&b, "Entities", 1);
	nbt_string(&b, "id", "minecraft:cow");
	nbt_end(&b);
	nbt_list(&b, "TileEntities", 1);
	nbt_string(&b, "id", "minecraft:chest");
	nbt_end(&b);
	nbt_compound(&b, "Structures");
	nbt_compound(&b, "References");
	nbt_longs(&b, "Desert_Pyramid", one, 1);
	nbt_end(&b);
	nbt_end(&b);
	nbt_string(&b, "Status", "full");
	nbt_byte(&b, "isLightOn", 1);
	nbt_long(&b, "InhabitedTime", 77);
	nbt_long(&b, "LastUpdate", 88);
	nbt_int(&b, "xPos", 1);
	nbt_int(&b, "zPos", 1);
	nbt_end(&b);
	nbt_end(&b);
	world_chunk(w, "", "region", 1, 1, 5000, &b);
	expect("DataVersion = 2230 AND InhabitedTime = 77 AND LastUpdate = 88", "1.1");
	expect("Palette = stone,dirt", "1.1");
	expect("Biome contains river,plains", "1.1");
	expect("Biome contains 7", "1.1");
	expect("Biome contains ocean", "");
	expect("Entities contains cow AND #Entities = 1", "1.1");
	expect("BlockEntities contains chest AND #TileEntities = 1", "1.1");
	expect("Structures contains desert_pyramid", "1.1");
	expect("Status = full AND LightPopulated = 1", "1.1");
	expect("yPos < 5 OR yPos >= 5", ""); /* there was none */
}

/* Before 1.13: numbers instead of names, no DataVersion before 1.9. */
static void filters_old_layout(void **state)
{
	uint8_t ids[4096] = {0}, data[2048] = {0}, add[2048] = {0}, biomes[256];
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)state;
	ids[0] = 1; /* granite */
	data[0] = 1;
	ids[1] = 35; /* red wool */
	data[0] |= 14 << 4;
	ids[2] = 4; /* 256 + 4: a mod's */
	add[1] = 1;
	memset(biomes, 4, sizeof biomes);
	nbt_begin(&b);
	nbt_compound(&b, "Level");
	nbt_list(&b, "Sections", 1);
	nbt_bytes(&b, "Data", data, sizeof data);
	nbt_bytes(&b, "Blocks", ids, sizeof ids);
	nbt_bytes(&b, "Add", add, sizeof add);
	nbt_end(&b);
	nbt_bytes(&b, "Biomes", biomes, sizeof biomes);
	nbt_list(&b, "Entities", 1);
	nbt_string(&b, "id", "PigZombie");
	nbt_end(&b);
	nbt_list(&b, "TileEntities", 2);
	nbt_string(&b, "id", "MobSpawner");
	nbt_end(&b);
	nbt_string(&b, "id", "EnchantTable");
	nbt_end(&b);
	nbt_byte(&b, "LightPopulated", 1);
	nbt_long(&b, "InhabitedTime", 5);
	nbt_end(&b);
	nbt_end(&b);
	world_chunk(w, "", "region", 1, 1, 5000, &b);
	expect("InhabitedTime = 5 AND LightPopulated = 1", "1.1");
	expect("DataVersion < 5000 OR DataVersion >= 5000 OR DataVersion != 7", "");
	expect("Palette contains granite,red_wool,air", "1.1");
	expect("Palette contains cobblestone", ""); /* 260 is not 4 */
	expect("Palette intersects stone,white_wool", "");
	expect("Palette = \"granite,red_wool,air\"", ""); /* and a mod's block */
	expect("Biome contains forest", "1.1");
	expect("Entities contains zombie_pigman", "1.1");
	expect("BlockEntities contains mob_spawner,enchanting_table", "1.1");
	expect("Status = full", "");
	expect("Status != full", "1.1");
}

/* A tag of another type is no number: it compares with nothing, and nothing else stops. */
static void wrong_types(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)state;
	nbt_begin(&b);
	nbt_int(&b, "DataVersion", 3105);
	nbt_string(&b, "InhabitedTime", "long");
	nbt_string(&b, "sections", "none");
	nbt_end(&b);
	world_chunk(w, "", "region", 0, 0, 5000, &b);
	put_new(1, 0, 0, 5000);
	nbt_begin(&b);
	nbt_int(&b, "DataVersion", 3105);
	nbt_int(&b, "InhabitedTime", 3);
	nbt_end(&b);
	world_chunk(w, "", "region", 2, 0, 5000, &b);
	expect("InhabitedTime < 5 minutes", "1.0 2.0");
	expect("InhabitedTime >= 5 minutes", "");
	expect("InhabitedTime = 3", "2.0");
	expect("Palette !contains stone", "0.0 1.0 2.0");
}

static void forced_chunks(void **state)
{
	const int64_t old[] = {(int64_t)((uint64_t)5 << 32 | 3), (int64_t)((uint64_t)(uint32_t)-2 << 32 | (uint32_t)-1)};
	const int32_t at[] = {7, 8};
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)state;
	put_new(3, 5, 0, 5000);
	put_new(5, 3, 0, 5000); /* x and z the right way round */
	put_new(-1, -2, 0, 5000);
	put_new(7, 8, 0, 5000);
	nbt_begin(&b);
	nbt_compound(&b, "data");
	nbt_longs(&b, "Forced", old, 2);
	nbt_end(&b);
	nbt_end(&b);
	world_dat(w, "data/chunks.dat", &b);
	expect("Forced", "-1.-2 3.5");
	expect("Forced = true AND xPos > 0", "3.5");
	expect("NOT Forced", "5.3 7.8");
	nbt_begin(&b);
	nbt_compound(&b, "data");
	nbt_list(&b, "tickets", 1);
	nbt_ints(&b, "chunk_pos", at, 2);
	nbt_int(&b, "level", 31);
	nbt_string(&b, "type", "minecraft:forced");
	nbt_end(&b);
	nbt_end(&b);
	nbt_end(&b);
	world_dat(w, "data/minecraft/chunk_tickets.dat", &b);
	expect("Forced", "-1.-2 3.5 7.8");
	world_file(w, "data/chunks.dat", "junk", 4);
	struct find_options o = {.query = "Forced"};
	struct err why = ERR_INIT;
	int r;
	matches(&o, &r, &why);
	assert_int_equal(r, E_FORMAT);
	assert_non_null(strstr(why.msg, "chunks.dat"));
}

static void players(void **state)
{
	const double pos[] = {-0.5, 64, 35.0};
	const int32_t bed[] = {100, 64, -1};
	CLEANUP_BUF struct buf b = BUF_INIT;
	char q[200];
	(void)state;
	put_new(-1, 2, 0, 5000);
	put_new(6, -1, 0, 5000);
	put_new(3, 3, 0, 5000);
	nbt_begin(&b);
	nbt_doubles(&b, "Pos", pos, 3);
	nbt_string(&b, "Dimension", "minecraft:overworld");
	nbt_compound(&b, "respawn");
	nbt_ints(&b, "pos", bed, 3);
	nbt_string(&b, "dimension", "minecraft:overworld");
	nbt_end(&b);
	nbt_end(&b);
	world_dat(w, "playerdata/a.dat", &b);
	nbt_begin(&b);
	nbt_doubles(&b, "Pos", pos, 3);
	nbt_int(&b, "Dimension", -1);
	nbt_int(&b, "SpawnX", 50);
	nbt_int(&b, "SpawnZ", 50);
	nbt_end(&b);
	world_dat(w, "playerdata/b.dat", &b);
	world_file(w, "playerdata/c.dat", "", 0);
	snprintf(q, sizeof q, "PlayerLocation contains \"%s/playerdata:overworld\"", w);
	expect(q, "-1.2");
	snprintf(q, sizeof q, "PlayerLocation contains \"%s/playerdata:-1\"", w);
	expect(q, "-1.2");
	snprintf(q, sizeof q, "PlayerLocation contains \"%s/playerdata:minecraft:the_end\"", w);
	expect(q, "");
	/* MCA Selector does not know the compound of newer versions. */
	snprintf(q, sizeof q, "PlayerSpawn contains \"%s/playerdata:0\"", w);
	expect(q, "6.-1 3.3");
	snprintf(q, sizeof q, "PlayerSpawn !contains \"%s/playerdata:0\"", w);
	expect(q, "-1.2");
}

/* ---- damage and absence ---- */

static void damaged_chunks_match_only_damaged(void **state)
{
	(void)state;
	put_new(0, 0, 0, 1000);
	put_damaged(1, 0);
	world_raw_chunk(w, "", "region", 2, 0, 1000, 9, "x", 1); /* an unknown type */
	struct find_options o = {.query = "Damaged"};
	expect("InhabitedTime < 5 minutes", "0.0");
	expect("Damaged", "1.0 2.0");
	expect("Damaged = true AND xPos = 2", "2.0");
	expect("Damaged AND InhabitedTime < 5", "");
	expect("Damaged OR InhabitedTime < 5", "0.0 1.0 2.0");
	expect("NOT Damaged", "0.0");
	expect("Damaged = false", "0.0");
	expect("Damaged != false", "1.0 2.0");
	expect("NOT (InhabitedTime > 5)", "0.0");
	expect("InhabitedTime != 5", "0.0");
	expect("Palette !contains stone", "0.0");
	o.query = "Timestamp = 1000"; /* what the header says decides, so it is read to see damage */
	struct err why = ERR_INIT;
	int r;
	assert_string_equal(matches(&o, &r, &why), "0.0");
}

/* Damage behind what decides: seen before a chunk matches, unless asked not to look. */
static void damage_at_the_end(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char path[128];
	(void)state;
	begin_new(&b, 0, 0, 3105);
	nbt_long(&b, "InhabitedTime", 0);
	uint8_t noise[20000];
	fill(noise, sizeof noise, 1);
	nbt_bytes(&b, "noise", noise, sizeof noise);
	nbt_end(&b);
	world_chunk(w, "", "region", 0, 0, 1000, &b);
	CLEANUP_BUF struct buf f = BUF_INIT;
	snprintf(path, sizeof path, "%s/region/r.0.0.mca", w);
	OK(io_read_file(-100, path, &f, 1 << 20, e));
	set_be32(f.p + 8192, get_be32(f.p + 8192) - 3000); /* cut off: the end mark is not there */
	world_file(w, "region/r.0.0.mca", f.p, f.len);
	struct find_options o = {.query = "InhabitedTime < 5"};
	struct err why = ERR_INIT;
	int r;
	assert_string_equal(matches(&o, &r, &why), "");
	o.query = "Damaged";
	assert_string_equal(matches(&o, &r, &why), "0.0");
	o.query = "InhabitedTime < 5";
	o.quick = true;
	assert_string_equal(matches(&o, &r, &why), "0.0");
}

/* Two entries on the same sectors, and a chunk that says that it belongs elsewhere: prune leaves these alone
 * as it does other damage. */
static void shared_and_misplaced(void **state)
{
	CLEANUP_BUF struct buf f = BUF_INIT;
	char path[128];
	(void)state;
	for (int x = 0; x < 4; x++)
		put_new(x, 0, 0, 1000);
	snprintf(path, sizeof path, "%s/region/r.0.0.mca", w);
	OK(io_read_file(-100, path, &f, 1 << 20, e));
	memcpy(f.p + 4, f.p, 4); /* 1.0 is where 0.0 is */
	world_file(w, "region/r.0.0.mca", f.p, f.len);
	CLEANUP_BUF struct buf b = BUF_INIT;
	begin_new(&b, 9, 9, 3105);
	nbt_end(&b);
	world_chunk(w, "", "region", 3, 0, 1000, &b);
	expect_read("InhabitedTime < 5", "2.0");
	expect("Damaged", "0.0 1.0 3.0");
}

/* Entities are part of the chunk: what would be pruned with it must be readable as well. */
static void damaged_entities(void **state)
{
	(void)state;
	put_new(0, 0, 0, 1000);
	put_new(1, 0, 0, 1000);
	world_raw_chunk(w, "", "entities", 0, 0, 1000, 2, "no zlib", 7);
	struct find_options o = {.query = "InhabitedTime < 5"};
	struct err why = ERR_INIT;
	int r;
	assert_string_equal(matches(&o, &r, &why), "1.0");
	o.query = "Damaged";
	assert_string_equal(matches(&o, &r, &why), "0.0");
}

/* ---- MCA Selector's bugs (shared notes, section 8), one test each ---- */

static struct selection *selection_of(const char *text)
{
	struct selection *s;
	OK(selection_parse(&s, span_of(text, strlen(text)), e));
	return s;
}

static void bug_1_query_and_selection_test_chunks(void **state)
{
	(void)state;
	for (int x = 0; x < 5; x++)
		put_new(x, 0, 0, 1000);
	CLEANUP_SELECTION struct selection *two = selection_of("0;0;2;0\n0;0;3;0\n");
	expect_of((struct find_options){.query = "InhabitedTime < 5", .within = two}, "2.0 3.0");
	CLEANUP_SELECTION struct selection *first = selection_of("0;0;0;0\n");
	expect_of((struct find_options){.query = "InhabitedTime < 5", .within = first}, "0.0");
}

static void bug_2_positions_prune_no_regions(void **state)
{
	(void)state;
	for (int x = 0; x < 8; x++)
		put_new(x, 6, 0, 1000);
	put_new(40, 6, 0, 1000);
	expect("xPos = 5", "5.6");
	expect("xPos >= 5", "5.6 6.6 7.6 40.6");
	expect("xPos < 1", "0.6");
	expect("zPos = 6 AND xPos > 6", "7.6 40.6");
	expect("zPos < 6", "");
}

static void bug_3_other_folders_are_not_the_current_one(void **state)
{
	char cwd[4096];
	(void)state;
	put_new(0, 0, 0, 1000); /* a world without poi and entities */
	char region[128];
	snprintf(region, sizeof region, "%s/region", w);
	assert_non_null(getcwd(cwd, sizeof cwd));
	assert_int_equal(chdir(region), 0);
	expect("Compression = ZLIB AND Size = 4096", "0.0");
	expect("#Entities = 0", "0.0");
	assert_int_equal(chdir(cwd), 0);
}

static void bug_4_selection_of_whole_regions(void **state)
{
	char q[128];
	(void)state;
	put_new(0, 0, 0, 1000);
	put_new(40, 0, 0, 1000);
	world_file(w, "s.csv", "1;0\n", 4);
	snprintf(q, sizeof q, "Selection = \"%s/s.csv\"", w);
	expect(q, "40.0");
	snprintf(q, sizeof q, "Selection != \"%s/s.csv\"", w);
	expect(q, "0.0");
}

static void bug_5_inverted_selections(void **state)
{
	(void)state;
	put_new(0, 0, 0, 1000);
	put_new(1, 0, 0, 1000);
	put_new(40, 0, 0, 1000);
	CLEANUP_SELECTION struct selection *s = selection_of("inverted\n0;0;1;0\n");
	expect_of((struct find_options){.query = "InhabitedTime < 5", .within = s}, "0.0 40.0");
}

static void bug_6_border_knows_namespaced_status(void **state)
{
	(void)state;
	for (int x = 0; x < 3; x++)
		for (int z = 31; z < 34; z++) /* across two regions */
			put_new(x, z, 0, 1000);
	expect("Border = 0", "1.32");
	expect("Border > 0 AND xPos = 1", "1.31 1.33");
	expect("Border = 5", "0.31 2.31 0.33 2.33");
	expect("Border = 3", "1.31 0.32 2.32 1.33");
	CLEANUP_BUF struct buf b = BUF_INIT;
	nbt_begin(&b);
	nbt_int(&b, "DataVersion", 3105);
	nbt_string(&b, "Status", "minecraft:carvers");
	nbt_end(&b);
	world_chunk(w, "", "region", 1, 32, 1000, &b);
	expect("Border = 9", "1.32");
}

static void bug_7_absent_and_unreadable_do_not_match(void **state)
{
	(void)state;
	put_new(3, 3, 0, 1000);
	put_damaged(4, 3);
	expect("InhabitedTime < 5 minutes", "3.3");
	expect("Palette !contains stone", "3.3");
	expect_read("Timestamp < 2000", "3.3");
	expect_read("NOT (xPos = 100)", "3.3");
	/* A file with header entries past its end loses only those. */
	CLEANUP_BUF struct buf f = BUF_INIT;
	char path[128];
	snprintf(path, sizeof path, "%s/region/r.0.0.mca", w);
	OK(io_read_file(-100, path, &f, 1 << 20, e));
	set_be32(f.p, 0x00ffff01);
	world_file(w, "region/r.0.0.mca", f.p, f.len);
	expect("InhabitedTime < 5 minutes", "3.3");
	expect("Damaged", "0.0 4.3");
	/* And one that is not padded loses none. */
	world_file(w, "region/r.0.0.mca", f.p, f.len - 4000);
	expect("InhabitedTime < 5 minutes", "3.3");
}

/* Entities or poi without a chunk are no chunk. */
static void orphans_do_not_match(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)state;
	put_new(0, 0, 0, 1000);
	nbt_begin(&b);
	nbt_int(&b, "DataVersion", 3105);
	nbt_end(&b);
	world_chunk(w, "", "entities", 1, 0, 1000, &b);
	world_chunk(w, "", "poi", 40, 0, 1000, &b);
	expect("InhabitedTime < 5", "0.0");
}

/* ---- shapes ---- */

static void radius_and_keep_radius(void **state)
{
	(void)state;
	put_new(0, 0, 0, 1000);
	expect_of((struct find_options){.query = "xPos = 0", .grow = 1}, "-1.0 0.-1 0.0 1.0 0.1");
	for (int x = 1; x < 8; x++)
		put_new(x, 0, x == 4 ? 100 : 0, 1000);
	expect_of((struct find_options){.query = "InhabitedTime = 0", .keep_radius = 2},
		"0.0 1.0 7.0");
	expect_of((struct find_options){.query = "InhabitedTime = 100", .grow = 1, .keep_radius = 1},
		"4.-1 4.1");
}

static void dimensions(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)state;
	put_new(0, 0, 0, 1000);
	begin_new(&b, 9, 9, 3105);
	nbt_end(&b);
	world_chunk(w, "DIM-1", "region", 9, 9, 1000, &b);
	expect("Size > 0", "0.0 9.9");
	expect("Dimension = the_nether", "9.9");
	expect_of((struct find_options){.query = "Size > 0", .dimension = "the_nether"}, "9.9");
}

/* ---- real worlds ---- */

static unsigned real_chunks;

/* The long behind this name, found by its bytes. */
static bool find_long(const struct region_nbt *n, const char *name, int64_t *ret)
{
	uint8_t head[40] = {4, 0, (uint8_t)strlen(name)};
	memcpy(head + 3, name, strlen(name));
	size_t len = 3 + strlen(name);
	uint8_t *p = memmem(n->p, n->n, head, len);
	if (!p || (size_t)(n->p + n->n - p) < len + 8)
		return false;
	*ret = (int64_t)((uint64_t)get_be32(p + len) << 32 | get_be32(p + len + 4));
	return true;
}

static int compare_region(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	int32_t rx, rz;
	struct region_reader rr;
	(void)st;
	if (flag != FTW_F || !region_parse_name(path + ftw->base, &rx, &rz) ||
		region_reader_open(&rr, path) != 0)
		return 0;
	/* The one file is the whole world. */
	char link[160], target[100];
	snprintf(target, sizeof target, "%s/region", w);
	OK(io_mkdirs(target, 0755, e));
	snprintf(link, sizeof link, "%s/r.%d.%d.mca", target, rx, rz);
	assert_int_equal(symlink(path, link), 0);
	struct find_options o = {.query = "InhabitedTime < 5 minutes", .threads = 1};
	CLEANUP_SOURCE struct source *s = NULL;
	struct found f;
	OK(source_dir_open(&s, w, e));
	OK(find_chunks(s, &o, &f, e));
	for (int i = 0; i < RR_CHUNKS && f.n; i++) {
		struct region_slot slot = {0};
		struct region_nbt nbt = {0};
		int64_t v = 0;
		bool want = false;
		if (region_reader_slot(&rr, i, &slot) && !slot.problem) {
			region_slot_decode(&rr, &slot, &nbt);
			bool chunk = nbt.p && memmem(nbt.p, nbt.n, "xPos", 4);
			want = chunk && !nbt.problem;
			if (want && find_long(&nbt, "InhabitedTime", &v))
				want = v < 6000;
			/* The reader here also minds coordinates, files of entities and the like. */
			if (chunk && !nbt.problem) {
				assert_int_equal(selection_has(f.v[0].match, rx * 32 + i % 32, rz * 32 + i / 32), want);
				real_chunks++;
			}
		} else if (!slot.problem) {
			assert_false(selection_has(f.v[0].match, rx * 32 + i % 32, rz * 32 + i / 32));
		}
		region_nbt_free(&nbt);
		region_slot_free(&slot);
	}
	found_free(&f);
	region_reader_close(&rr);
	return unlink(link);
}

static void real_worlds(void **state)
{
	const char *worlds = getenv("MCFS_WORLDS");
	char dir[4096];
	(void)state;
	snprintf(dir, sizeof dir, "%s/single", worlds ? worlds : MCFS_SOURCE_ROOT "/../shared/worlds");
	if (access(dir, R_OK) < 0)
		skip();
	real_chunks = 0;
	assert_int_equal(nftw(dir, compare_region, 16, FTW_PHYS), 0);
	snprintf(dir, sizeof dir, "%s/history/vanilla-1.19/005/region",
		worlds ? worlds : MCFS_SOURCE_ROOT "/../shared/worlds");
	assert_int_equal(nftw(dir, compare_region, 16, FTW_PHYS), 0);
	print_message("%u chunks\n", real_chunks);
	assert_true(real_chunks > 3000);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(grammar_as_it_is), T(grammar_with_what_was_missing),
		T(grammar_errors), T(grammar_noise), T(filters_new_layout),
		T(filters_middle_layout), T(filters_old_layout), T(wrong_types), T(forced_chunks),
		T(players), T(damaged_chunks_match_only_damaged), T(damage_at_the_end),
		T(damaged_entities), T(shared_and_misplaced), T(bug_1_query_and_selection_test_chunks),
		T(bug_2_positions_prune_no_regions), T(bug_3_other_folders_are_not_the_current_one),
		T(bug_4_selection_of_whole_regions), T(bug_5_inverted_selections),
		T(bug_6_border_knows_namespaced_status),
		T(bug_7_absent_and_unreadable_do_not_match), T(orphans_do_not_match),
		T(radius_and_keep_radius), T(dimensions), T(real_worlds)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
