/* mcfs prune: chunks out of a world, into its trash. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/duration.h"
#include "tools/mcfs/choosing.h"

struct args {
	struct cli *cli;
	struct wish wish;
	bool dry_run, damaged, repack, no_holes;
	enum when_running when;
	bool explain;
	struct chunk_spec explained;
};

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
		printf(": %llu chunk%s wait%s for the world to be free\n",
			(unsigned long long)r->deferred, cli_s(r->deferred),
			r->deferred == 1 ? "s" : "");
	else
		printf(": %s %llu chunk%s; %s less on the disk, %s in the trash\n",
			a->dry_run ? "would prune" : "pruned", (unsigned long long)r->done,
			cli_s(r->done), cli_bytes(r->freed_bytes, b), cli_bytes(r->payload_bytes, c));
	if (r->absent)
		cli_note(a->cli, "%llu of the chunks %s not in the world",
			(unsigned long long)r->absent, cli_are(r->absent));
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
	sum->used_bytes += r->used_bytes;
	sum->occupied += r->occupied;
	sum->files_removed += r->files_removed;
	sum->files_made += r->files_made;
}

static int prune_chosen(const struct args *a, struct pruning *w, const struct choice *choice,
	struct prune_result *sum, struct err *e)
{
	struct prune_how how = {.when_running = a->when, .damaged = a->damaged || choice->damaged,
		.no_hole_punch = a->no_holes};
	size_t n = 0;
	int r = 0;
	for (size_t i = 0; i < choice->n && r == 0; i++) {
		const struct chosen *c = &choice->dims[i];
		struct prune_result res = {0};
		n += c->n;
		if (c->n == 0)
			continue;
		r = a->dry_run ? prune_estimate(w->p, c->dimension, c->v, c->n, &res, e)
			       : prune_chunks(w->p, c->dimension, c->v, c->n, &how, &res, e);
		if (r == 0 || res.done)
			print_result(a, c->dimension, &res);
		add_result(sum, &res);
	}
	if (n == 0 && !a->repack && !choice->refused)
		cli_note(a->cli, "there is nothing to prune");
	return r;
}

static int repack(const struct args *a, struct pruning *w, struct err *e)
{
	struct prune_result res;
	char b[16];
	int r = prune_repack(w->p, a->wish.dimension, &res, e);
	if (r < 0)
		return r;
	if (a->cli->json)
		cli_json(json_pack("{s:s, s:I, s:I}", "type", "repack", "files",
			(json_int_t)res.done, "smaller_by", (json_int_t)res.freed_bytes));
	else if (!a->cli->quiet)
		printf("repacked %llu file%s, %s shorter\n", (unsigned long long)res.done,
			cli_s(res.done), cli_bytes(res.freed_bytes, b));
	return 0;
}

/* As prune.yaml wants it: trash_keep, trash_size. */
static int empty_trash(const struct args *a, struct pruning *w, struct err *e)
{
	const struct wish *k = &a->wish;
	struct trash_limits l = {
		.older_than_s = k->trash_keep >= 0 ? (int64_t)time(NULL) - k->trash_keep : 0,
		.max_bytes = k->trash_size > 0 ? (uint64_t)k->trash_size : 0};
	struct trash_emptied out;
	char b[16];
	if (k->trash_keep < 0 && k->trash_size <= 0)
		return 0;
	int r = trash_empty(prune_trash(w->p), &l, false, &out, e);
	if (r == 0 && out.items && !a->cli->json)
		cli_note(a->cli, "%llu chunk%s, %s, left the trash for good, as the rules have it",
			(unsigned long long)out.items, cli_s(out.items), cli_bytes(out.bytes, b));
	return r;
}

/* Of all dimensions; there also when nothing was pruned. */
static void print_summary(const struct args *a, const struct prune_result *sum, int code)
{
	if (!a->cli->json)
		return;
	json_t *o = json_pack("{s:s, s:b}", "type", "summary", "dry_run", a->dry_run);
	pruning_json(o, sum);
	json_object_set_new(o, "exit_code", json_integer(code));
	cli_json(o);
}

static int change_world(const struct args *a, struct pruning *w, const struct choice *choice,
	int *ret_code, struct err *e)
{
	struct prune_result sum = {0};
	int r = prune_chosen(a, w, choice, &sum, e);
	if (r == 0 && a->repack && !a->dry_run)
		r = repack(a, w, e);
	if (r == 0 && !a->dry_run)
		r = empty_trash(a, w, e);
	if (r == 0)
		*ret_code = pruning_tell_rest(a->cli, &sum);
	if (r == 0 && choice->refused)
		*ret_code = EXIT_PARTLY;
	if (r == 0)
		print_summary(a, &sum, *ret_code);
	return r;
}

static int prune(struct args *a, int *ret_code, struct err *e)
{
	struct pruning w = {.cli = a->cli, .world = a->wish.world, .list = a->cli->verbose > 0};
	struct choice choice = {0};
	int r = choice_rules(&a->wish, &choice, e);
	if (r == 0)
		r = pruning_open(&w, e); /* is it a world at all */
	if (r == 0 && a->wish.snapshot_age >= 0 && !a->dry_run && !a->explain)
		r = choice_require_snapshot(a->cli, a->wish.world, a->wish.snapshot_age, e);
	if (r == 0)
		r = choice_run(a->cli, &a->wish, &choice, e);
	if (r == 0 && a->explain) {
		r = choice_explain(&a->wish, &choice, &a->explained, e);
	} else if (r == 0) {
		if (a->dry_run || a->cli->verbose)
			choice_print(a->cli, &choice);
		r = change_world(a, &w, &choice, ret_code, e);
	}
	pruning_close(&w);
	choice_free(&choice);
	return r;
}

/* ---- arguments ---- */

static const struct option options[] = {{"world", required_argument, NULL, 'w'},
	{"dimension", required_argument, NULL, 'd'}, {"when-running", required_argument, NULL, 'W'},
	{"rules", required_argument, NULL, 'r'}, {"query", required_argument, NULL, 'q'},
	{"selection", required_argument, NULL, 's'}, {"keep-radius", required_argument, NULL, 'k'},
	{"radius", required_argument, NULL, 'u'}, {"now", required_argument, NULL, 't'}, {"force", no_argument, NULL, 'f'},
	{"explain", required_argument, NULL, 'x'}, {"require-snapshot", required_argument, NULL, 'S'},
	{"dry-run", no_argument, NULL, 'n'}, {"damaged", no_argument, NULL, 'D'},
	{"repack", no_argument, NULL, 'R'}, {"no-holes", no_argument, NULL, 'H'}, {0}};

/* Epoch seconds, or 2026-11-22T02:00:00Z. */
static bool parse_now(const char *s, int64_t *ret)
{
	struct tm tm = {0};
	char *end;
	long long v = strtoll(s, &end, 10);
	if (end != s && !*end && v > 0) {
		*ret = v;
		return true;
	}
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest)
		rest = strptime(s, "%Y-%m-%d", &tm);
	*ret = rest ? (int64_t)timegm(&tm) : 0;
	return rest && (*rest == 0 || strcmp(rest, "Z") == 0);
}

static int set_flag(struct args *a, int o)
{
	switch (o) {
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
	case 'f':
		a->wish.force = true;
		return EXIT_DONE;
	default:
		return EXIT_USAGE;
	}
}

static int set_value(struct args *a, int o, const char *value)
{
	struct err e = ERR_INIT;
	char *end;
	unsigned long n;
	switch (o) {
	case 'W':
		return pruning_parse_when(value, &a->when)
			       ? EXIT_DONE
			       : cli_usage(a->cli, "--when-running is refuse or defer, not '%s'",
					 value);
	case 'k':
		n = strtoul(value, &end, 10);
		a->wish.keep_radius = (int)n;
		return end != value && !*end && n <= 32
			       ? EXIT_DONE
			       : cli_usage(a->cli, "--keep-radius is 0 to 32 chunks, not '%s'", value);
	case 'u':
		n = strtoul(value, &end, 10);
		a->wish.radius = (unsigned)n;
		return end != value && !*end && n <= 128
			       ? EXIT_DONE
			       : cli_usage(a->cli, "--radius is 0 to 128 chunks, not '%s'", value);
	case 't':
		return parse_now(value, &a->wish.now)
			       ? EXIT_DONE
			       : cli_usage(a->cli,
					 "--now is epoch seconds or 2026-11-22T02:00:00Z, not '%s'",
					 value);
	case 'x':
		a->explain = true;
		return pruning_parse_spec(value, &a->explained) && !a->explained.is_region
			       ? EXIT_DONE
			       : cli_usage(a->cli, "--explain wants a chunk, c.X.Z, not '%s'", value);
	case 'S':
		return duration_parse_words(value, &a->wish.snapshot_age, &e) == 0
			       ? EXIT_DONE
			       : cli_usage(a->cli, "--require-snapshot: %s", e.msg);
	default:
		return set_flag(a, o);
	}
}

static int set_option(struct args *a, int o, const char *value)
{
	const char **text = o == 'w' ? &a->wish.world : o == 'd' ? &a->wish.dimension
			    : o == 'r' ? &a->wish.rules : o == 'q' ? &a->wish.query
			    : o == 's' ? &a->wish.selection : NULL;
	if (!text)
		return set_value(a, o, value);
	*text = value;
	return EXIT_DONE;
}

static int check_args(const struct args *a)
{
	const struct wish *w = &a->wish;
	bool rules = w->rules || w->query, hand = w->n_specs || w->selection;
	if (!w->world)
		return cli_usage(a->cli, "prune wants --world");
	if (rules && hand)
		return cli_usage(a->cli, "name chunks or a selection, or give rules; not both");
	if (!rules && !hand && !a->repack)
		return cli_usage(a->cli, "nothing says what to prune: give --rules, --query, "
					 "--selection, or name chunks");
	if (!rules && (w->force || a->explain || w->keep_radius >= 0 || w->now))
		return cli_usage(a->cli, "--force, --explain, --keep-radius and --now are about rules");
	if (w->radius && (!w->query || a->explain))
		return cli_usage(a->cli, "--radius goes with --query, and not with --explain");
	return EXIT_DONE;
}

static int parse(struct args *a, int argc, char **argv)
{
	int o, code = EXIT_DONE;
	while (code == EXIT_DONE && (o = cli_getopt(a->cli, argc, argv, "n", options, NULL)) != -1)
		code = set_option(a, o, optarg);
	if (code != EXIT_DONE)
		return code;
	struct wish *w = &a->wish;
	w->specs = calloc((size_t)(argc - optind) + 1, sizeof *w->specs);
	if (!w->specs)
		return EXIT_FAILED;
	for (int i = optind; i < argc; i++)
		if (!pruning_parse_spec(argv[i], &w->specs[w->n_specs++]))
			return cli_usage(a->cli, "a chunk is c.X.Z, a region r.X.Z, not '%s'", argv[i]);
	return check_args(a);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct args a = {.cli = cli, .wish = {.keep_radius = -1, .snapshot_age = -1, .trash_keep = -1,
					     .trash_size = -1}};
	struct err e = ERR_INIT;
	int code = parse(&a, argc, argv);
	if (code == EXIT_DONE && prune(&a, &code, &e) < 0)
		code = cli_fail(cli, &e);
	free(a.wish.specs);
	return code;
}

const struct command command_prune = {"prune", run,
	"prune --world W --rules FILE|--query Q|--selection CSV|c.X.Z|r.X.Z.. [OPTION..]",
	"move chunks out of a world into its trash",
	"  --world W             the world's folder\n"
	"  --dimension D         only this one; named chunks and selections: overworld\n"
	"  --rules FILE          prune.yaml: what may go, what is protected\n"
	"  --query Q             what may go, in MCA Selector's language\n"
	"  --selection CSV       what is to go, as MCA Selector writes it\n"
	"  -n, --dry-run         only say what would be pruned, by which rule, what is protected\n"
	"  --explain c.X.Z       why this chunk would go or stay\n"
	"  --radius N            with --query: also what is this near to a match\n"
	"  --keep-radius N       chunks around those that stay are kept (1, or as the rules say)\n"
	"  --now T               judge ages as of then\n"
	"  --force               prune more of a dimension than max_fraction\n"
	"  --require-snapshot A  only if the store has a snapshot of the world not older than A\n"
	"  --when-running HOW    with a server on the world: refuse (default) or defer\n"
	"  --damaged             also chunks that cannot be read\n"
	"  --no-holes            leave freed sectors in the files for the game to use\n"
	"  --repack              write files without dead sectors; also without chunks to prune\n"};
