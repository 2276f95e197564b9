/* mcfs map: a picture of a world, one pixel a chunk. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/codec/png.h"
#include "engine/config/prune_config.h"
#include "engine/prune/map.h"
#include "tools/mcfs/world.h"

static const char *const colors[] = {[MAP_PRUNABLE] = "prunable", [MAP_INHABITED] = "inhabited",
	[MAP_AGE] = "age", [MAP_STATUS] = "status"};
#define N_COLORS (sizeof colors / sizeof *colors)

struct args {
	struct cli *cli;
	const char *world, *snapshot, *out, *rules, *query;
	int color; /* -1: not said */
	unsigned zoom;
	struct judge_options judge;
};

static int read_rules(const struct args *a, struct rules **ret, struct err *e)
{
	struct prune_config c;
	int r;
	if (a->rules) {
		r = prune_config_load(&c, a->rules, e);
		if (r < 0)
			return r;
	} else {
		c = (struct prune_config){0};
		rules_spec_init(&c.rules);
	}
	r = a->query ? rules_spec_add_query(&c.rules, a->query, 0, e) : 0;
	if (r == 0)
		r = rules_compile(ret, &c.rules, e);
	prune_config_free(&c);
	return r;
}

static int draw(const struct args *a, struct source *s, struct map_image *m, struct err *e)
{
	struct rules *rules;
	struct judgement *j;
	if (a->color != MAP_PRUNABLE)
		return map_draw_chunks(s, (enum map_color)a->color, &a->judge, a->zoom, m, e);
	int r = read_rules(a, &rules, e);
	if (r < 0)
		return r;
	r = rules_judge(rules, s, &a->judge, &j, e);
	if (r == 0) {
		for (size_t i = 0; i < j->n_dims; i++)
			if (*j->dims[i].refused)
				cli_note(a->cli, "%s would not be pruned: %s", j->dims[i].dim.name,
					j->dims[i].refused);
		r = map_draw_judgement(j, rules, a->zoom, m, e);
		judgement_free(j);
	}
	rules_free(rules);
	return r;
}

static int write_map(const struct args *a, const struct map_image *m, struct err *e)
{
	CLEANUP_BUF struct buf png = BUF_INIT;
	int r = png_encode(span_of(m->rgb, (size_t)m->width * m->height * 3), m->width, m->height,
		&png, e);
	if (r < 0)
		return r;
	if (strcmp(a->out, "-") == 0)
		return io_write(STDOUT_FILENO, png.p, png.len, "standard output", e);
	r = io_write_file(AT_FDCWD, a->out, buf_span(&png), 0644, false, e);
	if (r == 0 && a->cli->json)
		cli_json(json_pack("{s:o, s:s, s:I, s:I, s:I}", "file",
			cli_json_string(a->out, strlen(a->out)), "color", colors[a->color], "width",
			(json_int_t)m->width, "height", (json_int_t)m->height, "bytes",
			(json_int_t)png.len));
	else if (r == 0 && !a->cli->quiet)
		printf("%s: %u x %u pixels\n", a->out, m->width, m->height);
	return r;
}

static int map(const struct args *a, struct err *e)
{
	struct cli_world w;
	struct map_image m = {0};
	int r = cli_world_open(&w, a->cli, a->world, a->snapshot, e);
	if (r < 0)
		return r;
	r = draw(a, w.source, &m, e);
	if (r == 0)
		r = write_map(a, &m, e);
	map_image_free(&m);
	cli_world_close(&w);
	return r;
}

static int color_of(const char *name)
{
	for (size_t i = 0; i < N_COLORS; i++)
		if (strcmp(colors[i], name) == 0)
			return (int)i;
	return -1;
}

static int parse(struct args *a, int argc, char **argv)
{
	static const struct option options[] = {{"world", required_argument, NULL, 'w'},
		{"dimension", required_argument, NULL, 'd'},
		{"snapshot", required_argument, NULL, 'S'}, {"output", required_argument, NULL, 'o'},
		{"color", required_argument, NULL, 'c'}, {"rules", required_argument, NULL, 'R'},
		{"query", required_argument, NULL, 'q'}, {"zoom", required_argument, NULL, 'z'},
		{"now", required_argument, NULL, 'n'}, {0}};
	int o;
	while ((o = cli_getopt(a->cli, argc, argv, "w:d:S:o:c:R:z:", options, NULL)) != -1) {
		char *end = NULL;
		switch (o) {
		case 'w':
			a->world = optarg;
			break;
		case 'd':
			a->judge.dimension = strncmp(optarg, "minecraft:", 10) ? optarg : optarg + 10;
			break;
		case 'S':
			a->snapshot = optarg;
			break;
		case 'o':
			a->out = optarg;
			break;
		case 'c':
			a->color = color_of(optarg);
			if (a->color < 0)
				return cli_usage(a->cli,
					"--color is prunable, inhabited, age or status, not '%s'", optarg);
			break;
		case 'R':
			a->rules = optarg;
			break;
		case 'q':
			a->query = optarg;
			break;
		case 'z':
			a->zoom = (unsigned)strtoul(optarg, &end, 10);
			if (*end || a->zoom < 1 || a->zoom > 16)
				return cli_usage(a->cli, "--zoom wants 1 to 16 pixels a chunk");
			break;
		case 'n':
			a->judge.now = strtoll(optarg, &end, 10);
			if (*end || a->judge.now <= 0)
				return cli_usage(a->cli, "--now wants seconds since 1970");
			break;
		default:
			return EXIT_USAGE;
		}
	}
	bool ruled = a->rules || a->query;
	if (optind != argc)
		return cli_usage(a->cli, "map takes no arguments but options, not '%s'", argv[optind]);
	if (!a->world && !a->snapshot)
		return cli_usage(a->cli, "map needs --world DIR, or --snapshot SNAP");
	if (!a->out)
		return cli_usage(a->cli, "map needs -o FILE.png");
	if (a->color < 0)
		a->color = ruled ? MAP_PRUNABLE : MAP_INHABITED;
	if (a->color == MAP_PRUNABLE && !ruled)
		return cli_usage(a->cli, "--color prunable needs --rules prune.yaml, or --query");
	return EXIT_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct args a = {.cli = cli, .color = -1, .zoom = 1,
		.judge = {.cancel = &cli_interrupted, .log = cli->quiet ? NULL : &cli->log}};
	struct err e = ERR_INIT;
	int code = parse(&a, argc, argv);
	if (code != EXIT_DONE)
		return code;
	return map(&a, &e) < 0 ? cli_fail(cli, &e) : EXIT_DONE;
}

const struct command command_map = {"map", run,
	"map --world DIR -o FILE.png [--color prunable|inhabited|age|status] [--rules FILE]",
	"a picture of a world, one pixel a chunk",
	"  -w, --world DIR      the world; with --snapshot: the one that is there under that name\n"
	"  -d, --dimension D    only this dimension\n"
	"  -S, --snapshot SNAP  in a snapshot instead of the directory\n"
	"  -o, --output FILE    the PNG to write; '-': to the output\n"
	"  -c, --color WHAT     prunable: what the rules would take, and what protects the rest;\n"
	"                       inhabited: how long players were there; age: since the last save;\n"
	"                       status: how far it is generated\n"
	"  -R, --rules FILE     prune.yaml, for prunable\n"
	"      --query QUERY    a rule as a query, beside those of the file\n"
	"  -z, --zoom N         so many pixels a chunk's side, at most 16\n"
	"      --now SECONDS    what ages count from\n"};
