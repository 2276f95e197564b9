/* mcfs compact: reclaim the space of what no snapshot needs. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/duration.h"
#include "engine/snapshot/compact.h"
#include "tools/mcfs/cli.h"

#define WAIT_DEFAULT 600

static void on_progress(void *ctx, const char *what, uint64_t done, uint64_t bytes)
{
	char verb[48];
	snprintf(verb, sizeof verb, "compact: %s,", what);
	cli_progress(ctx, verb, done, bytes, NULL);
}

static void on_wait(void *ctx, const struct lock_info *l)
{
	char text[LOCK_TEXT_CHARS];
	cli_note(ctx, "mcfs: waiting for %s", lock_text(l, text));
}

/* "0", or a duration with units. */
static int parse_duration(const char *s, int64_t *ret, struct err *e)
{
	if (strcmp(s, "0") == 0) {
		*ret = 0;
		return 0;
	}
	return duration_parse_words(s, ret, e);
}

static int parse(struct cli *cli, int argc, char **argv, struct compact_options *opt, struct err *e)
{
	static const struct option options[] = {{"grace", required_argument, NULL, 'g'},
		{"wait", required_argument, NULL, 'w'}, {"dry-run", no_argument, NULL, 'n'},
		{"max-unused", required_argument, NULL, 'u'},
		{"recompress", required_argument, NULL, 'r'}, {0}};
	int o, r = 0;
	int64_t v;
	char *end;
	while (r == 0 && (o = cli_getopt(cli, argc, argv, "n", options, NULL)) != -1)
		switch (o) {
		case 'g':
			r = parse_duration(optarg, &opt->grace, e);
			break;
		case 'w':
			r = parse_duration(optarg, &v, e);
			if (r == 0)
				opt->wait_seconds = v > 1000000 ? 1000000 : (unsigned)v;
			break;
		case 'n':
			opt->dry_run = true;
			break;
		case 'u':
			v = strtol(optarg, &end, 10);
			if (end == optarg || (*end && strcmp(end, "%") != 0) || v < 1 || v > 99)
				return err_set(e, E_USAGE, 0,
					"--max-unused is a share from 1%% to 99%%, not '%s'", optarg);
			opt->max_unused = (unsigned)v;
			break;
		case 'r':
			opt->level = (int)strtol(optarg, &end, 10);
			opt->recompress = true;
			if (*end || opt->level < 1 || opt->level > 19)
				return err_set(e, E_USAGE, 0, "--recompress is a level from 1 to 19");
			break;
		default:
			return err_set(e, E_USAGE, 0, "unknown option (see 'mcfs %s --help')",
				cli->command);
		}
	if (r == 0 && optind < argc)
		r = err_set(e, E_USAGE, 0, "compact takes no argument '%s'", argv[optind]);
	return r;
}

static int64_t net(const struct compact_result *r)
{
	return (int64_t)r->removed_bytes - (int64_t)r->written_bytes;
}

static void print_json(const struct compact_options *opt, const struct compact_result *r,
	double seconds, int code)
{
	json_t *j = json_pack("{s:s, s:b, s:I, s:b, s:I, s:I, s:I, s:I}", "type", "summary", "dry_run",
		opt->dry_run, "grace_seconds", (json_int_t)r->grace, "shared", r->shared, "snapshots",
		(json_int_t)r->snapshots, "forgotten", (json_int_t)r->forgotten, "blobs",
		(json_int_t)r->blobs, "used_blobs", (json_int_t)r->used_blobs);
	const struct {
		const char *name;
		uint64_t v;
	} more[] = {{"packs", r->packs}, {"bytes", r->bytes}, {"used_bytes", r->used_bytes},
		{"recompressed_groups", r->recompressed}, {"rekeyed_blobs", r->rekeyed}, {"removed_packs", r->removed_packs},
		{"removed_bytes", r->removed_bytes}, {"rewritten_bytes", r->rewritten_bytes},
		{"written_bytes", r->written_bytes}, {"doomed_packs", r->doomed_packs},
		{"doomed_bytes", r->doomed_bytes}};
	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		json_object_set_new(j, more[i].name, json_integer((json_int_t)more[i].v));
	json_object_set_new(j, "freed_bytes", json_integer((json_int_t)net(r)));
	json_object_set_new(j, "waits_for", r->waits_for[0]
			? cli_json_string(r->waits_for, strlen(r->waits_for))
			: json_null());
	json_object_set_new(j, "seconds", json_real(seconds));
	json_object_set_new(j, "exit_code", json_integer(code));
	cli_json(j);
}

/* What was done besides, each a line. */
static void print_steps(const struct compact_options *opt, const struct compact_result *r)
{
	if (r->forgotten)
		printf("; %llu forgotten one%s %s given up", (unsigned long long)r->forgotten,
			cli_s(r->forgotten), opt->dry_run ? "would be" : cli_are(r->forgotten));
	if (r->recompressed)
		printf("\n%llu group%s of chunks %s compressed again", (unsigned long long)r->recompressed,
			cli_s(r->recompressed), cli_were(r->recompressed));
	if (r->rekeyed)
		printf("\n%llu blob%s %s stored anew, so that older versions can go",
			(unsigned long long)r->rekeyed, cli_s(r->rekeyed), cli_were(r->rekeyed));
	printf("\n");
}

static void print_removed(const struct compact_options *opt, const struct compact_result *r)
{
	char a[16], b[16], c[16];
	if (r->removed_packs == 0) {
		printf(opt->dry_run ? "no pack would go" : "no pack removed");
		if (r->written_bytes)
			printf("; %s written", cli_bytes(r->written_bytes, a));
		return;
	}
	printf("%llu pack%s %s, %s", (unsigned long long)r->removed_packs, cli_s(r->removed_packs),
		opt->dry_run ? "would go" : "removed", cli_bytes(r->removed_bytes, a));
	if (r->rewritten_bytes)
		printf("; %s of it is used and %s", cli_bytes(r->rewritten_bytes, b),
			opt->dry_run ? "would be copied" : "was copied");
	printf(": %s %s", cli_bytes((uint64_t)(net(r) < 0 ? -net(r) : net(r)), c),
		net(r) < 0 ? "more" : "less");
}

static void print_result(struct cli *cli, const struct compact_options *opt,
	const struct compact_result *r, double seconds, int code)
{
	char a[16], b[16], d[DURATION_CHARS];
	if (cli->json) {
		print_json(opt, r, seconds, code);
		return;
	}
	if (cli->quiet)
		return;
	printf("%llu snapshot%s need%s %s of %s", (unsigned long long)r->snapshots,
		cli_s(r->snapshots), r->snapshots == 1 ? "s" : "", cli_bytes(r->used_bytes, a), cli_bytes(r->bytes, b));
	print_steps(opt, r);
	print_removed(opt, r);
	printf(", in %.1f s\n", seconds);
	if (!r->doomed_packs)
		return;
	printf("%llu pack%s, %s, ", (unsigned long long)r->doomed_packs, cli_s(r->doomed_packs),
		cli_bytes(r->doomed_bytes, a));
	if (r->waits_for[0])
		printf("%s in use by %s: run compact again later\n", cli_are(r->doomed_packs), r->waits_for);
	else
		printf("%s with a run %s from now, since other hosts use this store\n",
			r->doomed_packs == 1 ? "goes" : "go", duration_format(r->grace, d));
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct compact_options opt = {.grace = -1, .wait_seconds = WAIT_DEFAULT,
		.state_dir = cli->state_dir, .accept_rollback = cli->accept_rollback, .on_progress = on_progress, .on_wait = on_wait,
		.ctx = cli, .cancel = &cli_interrupted};
	struct compact_result result = {0};
	struct store *s = NULL;
	struct err e = ERR_INIT;
	struct timespec t0, t1;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	int r = parse(cli, argc, argv, &opt, &e);
	if (r == 0)
		r = cli_open(cli, 0, &s, &e);
	if (r == 0)
		r = compact_run(s, &opt, &result, &e);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	cli_progress_end(cli);
	int code = r < 0 ? cli_fail(cli, &e) : EXIT_DONE;
	if (r == 0)
		print_result(cli, &opt, &result,
			(double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9,
			code);
	store_close(s);
	return code;
}

const struct command command_compact = {"compact", run,
	"compact [--grace D] [--wait D] [--dry-run] [--max-unused N%] [--recompress LEVEL]",
	"reclaim the space of what no snapshot needs",
	"  --grace D          how long a pack stays doomed before it is removed (24h when other\n"
	"                     hosts use the store, else 0)\n"
	"  --wait D           for those who are in the way (10min)\n"
	"  -n, --dry-run      only say what would be removed\n"
	"  --max-unused N%    how much of the store may stay unused (10%)\n"
	"  --recompress LEVEL compress at this level what becomes smaller by it, 1 to 19\n"};
