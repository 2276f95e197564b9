/* mcfs trash: what was pruned, and what waits to be. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/duration.h"
#include "tools/mcfs/pruning.h"

struct args {
	struct cli *cli;
	const char *world, *dimension;
	bool all, replace, dry_run, watch, force;
	enum when_running when;
	int64_t keep; /* seconds; -1: no limit */
	uint64_t max_size, interval;
	const char *rule;
	struct chunk_spec *specs;
	size_t n_specs;
	int64_t *ids;
	size_t n_ids, n_worlds;
	uint64_t waiting; /* items of worlds that are in use */
	int code;
};

/* ---- items ---- */

static const char *state_name(enum trash_state s)
{
	static const char *const name[] = {"?", "prune-waits", "pruning", "kept", "restore-waits",
		"restoring"};
	return (size_t)s < sizeof name / sizeof *name ? name[s] : name[0];
}

static bool is_wanted(const struct args *a, const struct trash_item *it)
{
	if (a->rule && strcmp(a->rule, it->why) != 0)
		return false;
	for (size_t i = 0; i < a->n_ids; i++)
		if (a->ids[i] == it->id)
			return true;
	for (size_t i = 0; i < a->n_specs; i++) {
		const struct chunk_spec *s = &a->specs[i];
		if (s->is_region ? s->x == it->x >> 5 && s->z == it->z >> 5
				 : s->x == it->x && s->z == it->z)
			return true;
	}
	return a->n_ids == 0 && a->n_specs == 0;
}

/* ---- list ---- */

static void print_item(const struct args *a, const struct trash_item *it)
{
	char time[40], bytes[16];
	struct timestamp when = {it->when_s, it->when_ns};
	if (a->cli->json) {
		cli_json(json_pack(
			"{s:s, s:I, s:s, s:o, s:i, s:i, s:s, s:I, s:I, s:o, s:o, s:b}", "type",
			"item", "id", (json_int_t)it->id, "state", state_name(it->state), "dimension",
			cli_json_string(it->dimension, strlen(it->dimension)), "x", (int)it->x, "z",
			(int)it->z, "time", cli_time_iso(when, time), "bytes", (json_int_t)it->bytes,
			"saved", (json_int_t)it->timestamp, "why",
			cli_json_string(it->why, strlen(it->why)), "who",
			cli_json_string(it->who, strlen(it->who)), "damaged", it->damaged));
		return;
	}
	printf("%-6lld %-13s %s  ", (long long)it->id, state_name(it->state), cli_time(when, time));
	cli_print_name(stdout, it->dimension, strlen(it->dimension));
	printf(" c.%d.%d  %s  ", it->x, it->z, cli_bytes(it->bytes, bytes));
	cli_print_name(stdout, it->why, strlen(it->why));
	fputs(", ", stdout);
	cli_print_name(stdout, it->who, strlen(it->who));
	fputs(it->damaged ? ", damaged\n" : "\n", stdout);
}

struct sums {
	struct args *a;
	uint64_t items, bytes, waiting;
};

static int sum_item(void *ctx, const struct trash_item *it, struct err *e)
{
	struct sums *s = ctx;
	(void)e;
	if (!is_wanted(s->a, it))
		return 0;
	s->items++;
	s->bytes += it->bytes;
	s->waiting += it->state != TRASH_KEPT;
	if (s->a->world)
		print_item(s->a, it);
	return 0;
}

static int list_trash(struct args *a, const char *world, struct err *e)
{
	struct trash *t;
	struct sums s = {.a = a};
	struct trash_filter f = {.dimension = a->dimension};
	char b[16];
	int r = trash_open(&t, a->cli->state_dir, world, true, NULL, e);
	if (r < 0)
		return r;
	r = trash_list(t, &f, sum_item, &s, e);
	if (r == 0 && a->cli->json) {
		cli_json(json_pack("{s:s, s:o, s:s, s:I, s:I, s:I}", "type", "summary", "world",
			cli_json_string(trash_world(t)->path, strlen(trash_world(t)->path)), "file",
			trash_path(t), "items", (json_int_t)s.items, "bytes", (json_int_t)s.bytes,
			"waiting", (json_int_t)s.waiting));
	} else if (r == 0 && !a->world) {
		cli_print_name(stdout, world, strlen(world));
		printf(": %llu chunk%s, %s", (unsigned long long)s.items, cli_s(s.items),
			cli_bytes(s.bytes, b));
		printf(s.waiting ? ", %llu waiting\n" : "\n", (unsigned long long)s.waiting);
	}
	trash_close(t);
	return r;
}

/* ---- restore ---- */

struct id_array {
	struct args *a;
	int64_t *v;
	size_t n, cap;
};

static int collect(void *ctx, const struct trash_item *it, struct err *e)
{
	struct id_array *l = ctx;
	if (!is_wanted(l->a, it))
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 256;
		int64_t *v = realloc(l->v, cap * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a list of chunks");
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = it->id;
	return 0;
}

static int finish(struct args *a, const char *verb, const struct prune_result *r)
{
	char b[16];
	if (a->cli->json) {
		json_t *o = json_pack("{s:s}", "type", "summary");
		pruning_json(o, r);
		cli_json(o);
	} else if (!a->cli->quiet) {
		printf("%s %llu chunk%s, %s", verb, (unsigned long long)r->done,
			r->done == 1 ? "" : "s", cli_bytes(r->payload_bytes, b));
		if (r->cancelled)
			printf("; %llu only waited and stay where they are",
				(unsigned long long)r->cancelled);
		if (r->deferred)
			printf("; %llu wait for the world to be free",
				(unsigned long long)r->deferred);
		if (r->absent)
			printf("; %llu were not in the world", (unsigned long long)r->absent);
		putchar('\n');
	}
	return pruning_tell_rest(a->cli, r);
}

static int restore(struct args *a, struct err *e)
{
	struct pruning w = {.cli = a->cli, .world = a->world, .list = a->cli->verbose > 0};
	struct id_array ids = {.a = a};
	struct trash_filter f = {.dimension = a->dimension};
	struct prune_how how = {.when_running = a->when, .replace = a->replace};
	struct prune_result res = {0};
	int r = pruning_open(&w, e);
	if (r == 0)
		r = trash_list(prune_trash(w.p), &f, collect, &ids, e);
	if (r == 0 && ids.n == 0)
		r = err_set(e, E_NOTFOUND, 0, a->all ? "the trash of '%s' is empty"
			: "there is no such chunk in the trash of '%s'", a->world);
	if (r == 0)
		r = prune_restore(w.p, ids.v, ids.n, &how, &res, e);
	/* One that is damaged leaves the others done. */
	if (r == 0 || res.done)
		a->code = finish(a, "restored", &res);
	free(ids.v);
	pruning_close(&w);
	return r;
}

/* ---- empty ---- */

static int empty_trash(struct args *a, const char *world, struct err *e)
{
	struct trash *t;
	struct trash_emptied out;
	struct trash_limits l = {.max_bytes = a->max_size, .all = a->all, .dimension = a->dimension,
		.older_than_s = a->keep >= 0 ? (int64_t)time(NULL) - a->keep : 0};
	char b[16], c[16];
	int r = trash_open(&t, a->cli->state_dir, world, true, NULL, e);
	if (r < 0)
		return r;
	r = trash_empty(t, &l, a->dry_run, &out, e);
	if (r == 0 && a->cli->json) {
		cli_json(json_pack("{s:s, s:o, s:I, s:I, s:I, s:I}", "type", "summary", "world",
			cli_json_string(world, strlen(world)), "removed", (json_int_t)out.items,
			"removed_bytes", (json_int_t)out.bytes, "left", (json_int_t)out.left_items,
			"left_bytes", (json_int_t)out.left_bytes));
	} else if (r == 0 && !a->cli->quiet) {
		cli_print_name(stdout, world, strlen(world));
		printf(": %s %llu chunk%s, %s; %llu are left, %s\n",
			a->dry_run ? "would remove" : "removed", (unsigned long long)out.items,
			cli_s(out.items), cli_bytes(out.bytes, b), (unsigned long long)out.left_items,
			cli_bytes(out.left_bytes, c));
	}
	trash_close(t);
	return r;
}

/* ---- apply ---- */

static int apply_world(struct args *a, const char *world, struct err *e)
{
	struct pruning w = {.cli = a->cli, .world = world, .list = a->cli->verbose > 0};
	struct prune_result res = {0};
	struct prune_how how = {0};
	uint64_t n = 0;
	struct stat st;
	if (stat(world, &st) < 0) {
		cli_note(a->cli, "'%s' is not there: what waits for it goes on waiting", world);
		return 0;
	}
	int r = pruning_open(&w, e);
	if (r == 0)
		r = prune_pending(w.p, &n, e);
	if (r == 0 && n > 0) {
		r = prune_apply(w.p, &how, &res, e);
		if (r == 0) {
			int code = finish(a, "settled", &res);
			a->code = code == EXIT_DONE ? a->code : code;
		}
	}
	pruning_close(&w);
	if (r != E_LOCKED)
		return r;
	a->waiting += n;
	return a->watch ? 0 : r;
}

/* ---- for each world ---- */

typedef int (*world_fn)(struct args *a, const char *world, struct err *e);
struct each {
	struct args *a;
	world_fn fn;
};

static int each_world(void *ctx, const char *world, const char *file, struct err *e)
{
	struct each *x = ctx;
	(void)file;
	x->a->n_worlds++;
	return x->fn(x->a, world, e);
}

static void on_log(void *ctx, enum log_level level, const char *line)
{
	if (level >= LOG_WARN)
		cli_note(ctx, "mcfs: %s", line);
}

static int for_worlds(struct args *a, world_fn fn, struct err *e)
{
	struct each x = {a, fn};
	struct log log = {on_log, a->cli};
	if (a->world)
		return fn(a, a->world, e);
	a->n_worlds = 0;
	return trash_worlds(a->cli->state_dir, &log, each_world, &x, e);
}

static int watch(struct args *a, struct err *e)
{
	for (;;) {
		a->waiting = 0;
		int r = for_worlds(a, apply_world, e);
		if (r < 0)
			return r;
		if (cli_interrupted)
			return err_set(e, E_CANCELLED, 0, "interrupted; %llu chunks wait",
				(unsigned long long)a->waiting);
		if (a->waiting == 0 && a->world)
			return 0;
		struct timespec pause = {(time_t)a->interval, 0};
		fflush(stdout);
		nanosleep(&pause, NULL);
	}
}

/* ---- move ---- */

static int move_trash(struct args *a, const char *from, const char *to, struct err *e)
{
	struct trash *t;
	int r = trash_move(a->cli->state_dir, from, to, e);
	if (r == 0)
		r = trash_open(&t, a->cli->state_dir, to, true, NULL, e);
	if (r < 0)
		return r;
	const char *world = trash_world(t)->path;
	if (a->cli->json) {
		cli_json(json_pack("{s:s, s:o, s:o, s:s}", "type", "moved", "from",
			cli_json_string(from, strlen(from)), "world", cli_json_string(world, strlen(world)),
			"file", trash_path(t)));
	} else {
		fputs("the trash is now that of ", stdout);
		cli_print_name(stdout, world, strlen(world));
		putchar('\n');
	}
	trash_close(t);
	return 0;
}

/* ---- arguments ---- */

static const struct option options[] = {{"world", required_argument, NULL, 'w'},
	{"dimension", required_argument, NULL, 'd'}, {"all", no_argument, NULL, 'a'},
	{"replace", no_argument, NULL, 'r'}, {"when-running", required_argument, NULL, 'W'},
	{"keep", required_argument, NULL, 'k'}, {"max-size", required_argument, NULL, 'm'},
	{"dry-run", no_argument, NULL, 'n'}, {"watch", no_argument, NULL, 't'},
	{"interval", required_argument, NULL, 'i'}, {"id", required_argument, NULL, 'I'},
	{"why", required_argument, NULL, 'y'}, {0}};

static int add_id(struct args *a, const char *value)
{
	char *end;
	long long v = strtoll(value, &end, 10);
	int64_t *ids = realloc(a->ids, (a->n_ids + 1) * sizeof *ids);
	if (!ids)
		return EXIT_FAILED;
	a->ids = ids;
	if (end == value || *end || v < 1)
		return cli_usage(a->cli, "--id is a number that 'trash list' shows, not '%s'", value);
	a->ids[a->n_ids++] = v;
	return EXIT_DONE;
}

static int set_option(struct args *a, int o, const char *value)
{
	struct err e = ERR_INIT;
	int64_t seconds;
	switch (o) {
	case 'w':
		a->world = value;
		return EXIT_DONE;
	case 'd':
		a->dimension = value;
		return EXIT_DONE;
	case 'y':
		a->rule = value;
		return EXIT_DONE;
	case 'a':
		a->all = true;
		return EXIT_DONE;
	case 'r':
		a->replace = true;
		return EXIT_DONE;
	case 'n':
		a->dry_run = true;
		return EXIT_DONE;
	case 't':
		a->watch = true;
		return EXIT_DONE;
	case 'I':
		return add_id(a, value);
	case 'W':
		return pruning_parse_when(value, &a->when)
			       ? EXIT_DONE
			       : cli_usage(a->cli, "--when-running is refuse or defer, not '%s'",
					 value);
	case 'm':
		return pruning_parse_size(value, &a->max_size) && a->max_size
			       ? EXIT_DONE
			       : cli_usage(a->cli, "--max-size is a size such as 10G, not '%s'",
					 value);
	case 'k':
	case 'i':
		if (duration_parse_words(value, &seconds, &e) < 0)
			return cli_usage(a->cli, "%s: %s", o == 'k' ? "--keep" : "--interval", e.msg);
		if (o == 'k')
			a->keep = seconds;
		else
			a->interval = seconds > 0 ? (uint64_t)seconds : 1;
		return EXIT_DONE;
	default:
		return EXIT_USAGE;
	}
}

static int parse_specs(struct args *a, int n, char **v)
{
	a->specs = calloc((size_t)n + 1, sizeof *a->specs);
	for (int i = 0; a->specs && i < n; i++)
		if (!pruning_parse_spec(v[i], &a->specs[a->n_specs++]))
			return cli_usage(a->cli, "a chunk is c.X.Z, a region r.X.Z, not '%s'", v[i]);
	return a->specs ? EXIT_DONE : EXIT_FAILED;
}

static int check_args(const struct args *a, const char *verb)
{
	if (strcmp(verb, "restore") == 0) {
		if (!a->world)
			return cli_usage(a->cli, "trash restore wants --world");
		if (a->all == (a->n_specs || a->n_ids || a->rule))
			return cli_usage(a->cli,
				"name what to restore: chunks, regions, --id or --why; or --all");
	}
	if (strcmp(verb, "empty") == 0) {
		if (!a->all && a->keep < 0 && !a->max_size)
			return cli_usage(a->cli, "trash empty wants --keep, --max-size or --all");
		if (a->n_specs || a->n_ids || a->rule)
			return cli_usage(a->cli, "trash empty takes no chunks");
	}
	if (strcmp(verb, "apply") == 0 && (a->n_specs || a->n_ids || a->rule))
		return cli_usage(a->cli, "trash apply takes no chunks: it does all that waits");
	return EXIT_DONE;
}

static int check_move(const struct args *a, int n_words, int first)
{
	if (n_words != 2)
		return cli_usage(a->cli, "trash move wants the path the world had, and the one it has now");
	return first == 1 ? EXIT_DONE : cli_usage(a->cli, "trash move takes no options");
}

static int do_verb(struct args *a, const char *verb, struct err *e)
{
	if (strcmp(verb, "list") == 0)
		return for_worlds(a, list_trash, e);
	if (strcmp(verb, "restore") == 0)
		return restore(a, e);
	if (strcmp(verb, "empty") == 0)
		return for_worlds(a, empty_trash, e);
	return a->watch ? watch(a, e) : for_worlds(a, apply_world, e);
}

static int run(struct cli *cli, int argc, char **argv)
{
	static const char *const verbs[] = {"list", "restore", "empty", "apply", "move"};
	struct args a = {.cli = cli, .keep = -1, .interval = 10, .code = EXIT_DONE};
	struct err e = ERR_INIT;
	const char *verb = NULL;
	int o, code = EXIT_DONE;
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(argv[1], verbs[i]) == 0)
			verb = verbs[i];
	if (!verb)
		return cli_usage(cli, "trash wants one of list, restore, empty, apply, move");
	argv[1] = argv[0];
	while (code == EXIT_DONE && (o = cli_getopt(cli, argc - 1, argv + 1, "n", options, NULL)) != -1)
		code = set_option(&a, o, optarg);
	int n = argc - 1 - optind;
	char **words = argv + 1 + optind;
	bool moves = strcmp(verb, "move") == 0;
	if (code == EXIT_DONE)
		code = moves ? check_move(&a, n, optind) : parse_specs(&a, n, words);
	if (code == EXIT_DONE && !moves)
		code = check_args(&a, verb);
	if (code == EXIT_DONE)
		code = (moves ? move_trash(&a, words[0], words[1], &e) : do_verb(&a, verb, &e)) < 0
			       ? cli_fail(cli, &e)
			       : a.code;
	free(a.specs);
	free(a.ids);
	return code;
}

const struct command command_trash = {"trash", run,
	"trash list|restore|empty|apply [OPTION..] [c.X.Z|r.X.Z..] | trash move OLD NEW",
	"what was pruned: look at it, put it back, empty it; do what waits",
	"  list                    the chunks in the trash of --world; without it, all worlds\n"
	"  restore                 put chunks back into the world\n"
	"  empty                   remove chunks for good\n"
	"  apply                   prune and restore what waited for the world to be free\n"
	"  move OLD NEW            the world's folder was OLD, and is NEW now: its trash follows\n\n"
	"  --world W               the world's folder\n"
	"  --dimension D           only this one: overworld, the_nether, ...\n"
	"  --id N, --why RULE      only these\n"
	"  --all                   restore, empty: everything\n"
	"  --replace               restore: a chunk in the place goes to the trash first\n"
	"  --when-running HOW      restore, with a server on the world: refuse (default) or defer\n"
	"  --keep DURATION         empty: what is older than that, such as \"30 days\"\n"
	"  --max-size SIZE         empty: the oldest, until no more than that is left\n"
	"  -n, --dry-run           empty: only say what would go\n"
	"  --watch                 apply: wait until the world is free; --interval \"10 seconds\"\n"};
