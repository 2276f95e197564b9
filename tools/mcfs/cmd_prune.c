/* mcfs prune: chunks out of a world, into its trash. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/source.h"
#include "engine/base/cleanup.h"
#include "tools/mcfs/pruning.h"

struct args {
	struct cli *cli;
	const char *world, *dimension;
	bool dry_run, damaged, repack, no_holes;
	enum when_running when;
	struct chunk_spec *specs;
	size_t n_specs;
};

/* The chunks of one dimension that are to go. */
struct chosen {
	char *dimension;
	struct prune_chunk *v;
	size_t n, cap;
};

static int choose(struct chosen *c, int32_t x, int32_t z, const char *why, struct err *e)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 1024;
		struct prune_chunk *v = realloc(c->v, cap * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a list of chunks");
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct prune_chunk){.x = x, .z = z, .why = why};
	return 0;
}

static void chosen_free(struct chosen *c)
{
	free(c->dimension);
	free(c->v);
	*c = (struct chosen){0};
}
#define CLEANUP_CHOSEN __attribute__((cleanup(chosen_free)))

/* ---- named by hand ---- */

/* Every chunk that a region has in any of its files. */
static int choose_region(struct source *src, const struct world_dim *dim, int32_t rx, int32_t rz,
	struct chosen *c, struct err *e)
{
	bool has[REGION_SLOTS] = {false};
	int r = 0;
	for (unsigned k = 0; k < SOURCE_KINDS; k++) {
		CLEANUP_SOURCE_REGION struct source_region *reg = NULL;
		r = source_region_open(src, dim, (enum source_kind)k, rx, rz, &reg, e);
		if (r == E_NOTFOUND)
			continue;
		if (r < 0)
			return r;
		for (unsigned s = 0; s < REGION_SLOTS; s++)
			has[s] = has[s] || source_has_chunk(reg, s);
	}
	r = 0;
	for (unsigned s = 0; s < REGION_SLOTS && r == 0; s++)
		if (has[s])
			r = choose(c, rx * 32 + (int32_t)(s % 32), rz * 32 + (int32_t)(s / 32), NULL, e);
	return r;
}

static int choose_named(const struct args *a, struct chosen *c, struct err *e)
{
	CLEANUP_SOURCE struct source *src = NULL;
	struct worlds worlds = {0};
	const struct world_dim *dim = NULL;
	int r = source_dir_open(&src, a->world, e);
	if (r == 0)
		r = source_worlds(src, &worlds, e);
	for (size_t i = 0; i < worlds.n && r == 0; i++)
		if (worlds.v[i].world[0] == 0 && strcmp(worlds.v[i].name, c->dimension) == 0)
			dim = &worlds.v[i];
	if (r == 0 && !dim)
		r = err_set(e, E_NOTFOUND, 0, "the world '%s' has no dimension '%s'", a->world,
			c->dimension);
	for (size_t i = 0; i < a->n_specs && r == 0; i++)
		r = a->specs[i].is_region
			    ? choose_region(src, dim, a->specs[i].x, a->specs[i].z, c, e)
			    : choose(c, a->specs[i].x, a->specs[i].z, NULL, e);
	worlds_free(&worlds);
	return r;
}

/* ---- doing it ---- */

static void print_result(const struct args *a, const char *dimension, const struct prune_result *r)
{
	char b[16], c[16];
	if (a->cli->json) {
		json_t *o = json_pack("{s:s, s:o, s:b}", "type", "dimension", "dimension",
			cli_json_string(dimension, strlen(dimension)), "dry_run", a->dry_run);
		pruning_json(o, r);
		cli_json(o);
		return;
	}
	if (a->cli->quiet)
		return;
	cli_print_name(stdout, dimension, strlen(dimension));
	if (r->deferred)
		printf(": %llu chunks wait for the world to be free\n",
			(unsigned long long)r->deferred);
	else
		printf(": %s %llu chunks; %s less on the disk, %s in the trash\n",
			a->dry_run ? "would prune" : "pruned", (unsigned long long)r->done,
			cli_bytes(r->freed_bytes, b), cli_bytes(r->payload_bytes, c));
	if (r->absent)
		cli_note(a->cli, "%llu of the chunks are not in the world",
			(unsigned long long)r->absent);
	if (r->cancelled)
		cli_note(a->cli, "%llu chunks that waited to be restored stay in the trash",
			(unsigned long long)r->cancelled);
}

static void add_result(struct prune_result *sum, const struct prune_result *r)
{
	sum->done += r->done;
	sum->deferred += r->deferred;
	sum->cancelled += r->cancelled;
	sum->absent += r->absent;
	sum->saved_since += r->saved_since;
	sum->damaged += r->damaged;
	sum->payload_bytes += r->payload_bytes;
	sum->freed_bytes += r->freed_bytes;
	sum->files_removed += r->files_removed;
}

static int prune_chosen(const struct args *a, struct pruning *w, const struct chosen *c,
	struct prune_result *sum, struct err *e)
{
	struct prune_how how = {.when_running = a->when, .damaged = a->damaged,
		.no_hole_punch = a->no_holes};
	struct prune_result res;
	int r = a->dry_run ? prune_estimate(w->p, c->dimension, c->v, c->n, &res, e)
			   : prune_chunks(w->p, c->dimension, c->v, c->n, &how, &res, e);
	if (r == 0)
		print_result(a, c->dimension, &res);
	add_result(sum, &res);
	return r;
}

static int repack(const struct args *a, struct pruning *w, struct err *e)
{
	struct prune_result res;
	char b[16];
	int r = prune_repack(w->p, a->dimension, &res, e);
	if (r < 0)
		return r;
	if (a->cli->json)
		cli_json(json_pack("{s:s, s:I, s:I}", "type", "repack", "files",
			(json_int_t)res.done, "smaller_by", (json_int_t)res.freed_bytes));
	else if (!a->cli->quiet)
		printf("repacked %llu files, %s shorter\n", (unsigned long long)res.done,
			cli_bytes(res.freed_bytes, b));
	return 0;
}

static int prune(const struct args *a, int *ret_code, struct err *e)
{
	struct pruning w = {.cli = a->cli, .world = a->world, .list = a->cli->verbose > 0};
	CLEANUP_CHOSEN struct chosen c = {
		.dimension = strdup(a->dimension ? a->dimension : "overworld")};
	struct prune_result sum = {0};
	if (!c.dimension)
		return err_set(e, E_NOMEM, 0, "no memory to prune");
	int r = pruning_open(&w, e);
	if (r == 0 && a->n_specs) {
		r = choose_named(a, &c, e);
		if (r == 0)
			r = prune_chosen(a, &w, &c, &sum, e);
	}
	if (r == 0 && a->repack && !a->dry_run)
		r = repack(a, &w, e);
	if (r == 0)
		*ret_code = pruning_tell_rest(a->cli, &sum);
	pruning_close(&w);
	return r;
}

/* ---- arguments ---- */

static const struct option options[] = {{"world", required_argument, NULL, 'w'},
	{"dimension", required_argument, NULL, 'd'}, {"when-running", required_argument, NULL, 'W'},
	{"dry-run", no_argument, NULL, 'n'}, {"damaged", no_argument, NULL, 'D'},
	{"repack", no_argument, NULL, 'R'}, {"no-holes", no_argument, NULL, 'H'}, {0}};

static int set_option(struct args *a, int o, const char *value)
{
	switch (o) {
	case 'w':
		a->world = value;
		return EXIT_DONE;
	case 'd':
		a->dimension = value;
		return EXIT_DONE;
	case 'n':
		a->dry_run = true;
		return EXIT_DONE;
	case 'D':
		a->damaged = true;
		return EXIT_DONE;
	case 'R':
		a->repack = true;
		return EXIT_DONE;
	case 'H':
		a->no_holes = true;
		return EXIT_DONE;
	case 'W':
		return pruning_parse_when(value, &a->when)
			       ? EXIT_DONE
			       : cli_usage(a->cli, "--when-running is refuse or defer, not '%s'",
					 value);
	default:
		return EXIT_USAGE;
	}
}

static int parse(struct args *a, int argc, char **argv)
{
	int o, code = EXIT_DONE;
	while (code == EXIT_DONE && (o = getopt_long(argc, argv, "n", options, NULL)) != -1)
		code = set_option(a, o, optarg);
	if (code != EXIT_DONE)
		return code;
	a->specs = calloc((size_t)(argc - optind) + 1, sizeof *a->specs);
	for (int i = optind; a->specs && i < argc; i++)
		if (!pruning_parse_spec(argv[i], &a->specs[a->n_specs++]))
			return cli_usage(a->cli, "a chunk is c.X.Z, a region r.X.Z, not '%s'", argv[i]);
	if (!a->world)
		return cli_usage(a->cli, "prune wants --world");
	if (!a->n_specs && !a->repack)
		return cli_usage(a->cli, "nothing says what to prune: name chunks");
	return a->specs ? EXIT_DONE : EXIT_FAILED;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct args a = {.cli = cli};
	struct err e = ERR_INIT;
	int code = parse(&a, argc, argv);
	if (code == EXIT_DONE && prune(&a, &code, &e) < 0)
		code = cli_fail(cli, &e);
	free(a.specs);
	return code;
}

const struct command command_prune = {"prune", run,
	"prune --world W [OPTION..] [c.X.Z|r.X.Z..]", "move chunks out of a world into its trash",
	"  --world W             the world's folder\n"
	"  --dimension D         which: overworld (default), the_nether, the_end, ...\n"
	"  --when-running HOW    with a server on the world: refuse (default) or defer\n"
	"  -n, --dry-run         only say what would be pruned\n"
	"  --damaged             also chunks that cannot be read\n"
	"  --no-holes            leave freed sectors in the files for the game to use\n"
	"  --repack              write files without dead sectors; also without chunks to prune\n"};
