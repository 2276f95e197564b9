/* mcfs check: is the store whole? */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/snapshot/repair.h"
#include "tools/mcfs/cli.h"

static void on_damage(void *ctx, const char *where, const struct err *e)
{
	cli_problem(ctx, where, e);
}

static void on_progress(void *ctx, const char *what, uint64_t done, uint64_t bytes)
{
	cli_progress(ctx, strcmp(what, "pack") == 0 ? "check: packs," : "check: snapshots,", done,
		bytes, NULL);
}

struct check_args {
	struct check_options opt;
	bool repair;
};

/* "5%" or "3/20". */
static bool parse_subset(const char *s, struct check_options *opt)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || v < 1)
		return false;
	if (*end == '/') {
		const char *t = end + 1;
		unsigned long of = strtoul(t, &end, 10);
		if (*t < '0' || *t > '9' || *end || of > 1000000 || v > of)
			return false;
		opt->part = (unsigned)v;
		opt->parts = (unsigned)of;
		return true;
	}
	if (v > 100 || (*end && strcmp(end, "%") != 0))
		return false;
	opt->read_percent = (unsigned)v;
	return true;
}

static int parse(struct cli *cli, int argc, char **argv, struct check_args *a)
{
	static const struct option options[] = {{"read-data", no_argument, NULL, 'r'},
		{"read-data-subset", required_argument, NULL, 's'},
		{"repair", no_argument, NULL, 'R'}, {0}};
	int o;
	while ((o = cli_getopt(cli, argc, argv, "", options, NULL)) != -1) {
		if (o == 'r')
			a->opt.read_percent = 100;
		else if (o == 'R')
			a->repair = true;
		else if (o != 's')
			return EXIT_USAGE;
		else if (!parse_subset(optarg, &a->opt))
			return cli_usage(cli,
				"--read-data-subset is a share from 1%% to 100%% or a part such as 3/20, "
				"not '%s'", optarg);
	}
	return optind < argc ? cli_usage(cli, "check takes no argument '%s'", argv[optind])
			     : EXIT_DONE;
}

static json_t *result_json(const struct check_result *r)
{
	const struct {
		const char *key;
		uint64_t v;
	} n[] = {{"index_objects", r->index_objects}, {"packs", r->packs}, {"blobs", r->blobs},
		{"snapshots", r->snapshots}, {"read_packs", r->read_packs},
		{"read_blobs", r->read_blobs}, {"read_bytes", r->read_bytes},
		{"unused_packs", r->unused_packs}, {"never_read_packs", r->never_read},
		{"damage", r->damage}, {"damaged_files", r->damaged_files},
		{"lost_files", r->lost_files}, {"packs_without_parity", r->without_parity}};
	json_t *o = json_pack("{s:s}", "type", "summary");
	for (size_t i = 0; i < sizeof n / sizeof *n; i++)
		json_object_set_new(o, n[i].key, json_integer((json_int_t)n[i].v));
	json_object_set_new(o, "stale_config_copy", json_boolean(r->stale_config));
	return o;
}

static void print_result(const struct cli *cli, const struct check_options *opt,
	const struct check_result *r, int code)
{
	char b[16], when[32];
	if (cli->json) {
		json_t *o = result_json(r);
		json_object_set_new(o, "exit_code", json_integer(code));
		cli_json(o);
		return;
	}
	if (cli->quiet)
		return;
	printf("%llu pack%s, %llu blob%s, %llu snapshot%s: ", (unsigned long long)r->packs,
		cli_s(r->packs), (unsigned long long)r->blobs, cli_s(r->blobs),
		(unsigned long long)r->snapshots, cli_s(r->snapshots));
	if (r->damage)
		printf("%llu damaged, %llu file%s touched (named above)\n",
			(unsigned long long)r->damage, (unsigned long long)r->damaged_files,
			cli_s(r->damaged_files));
	else
		printf("no damage\n");
	if (r->lost_files)
		printf("%llu file%s %s known to be damaged since a repair (named above)\n",
			(unsigned long long)r->lost_files, cli_s(r->lost_files), cli_are(r->lost_files));
	if (opt->read_percent || opt->parts)
		printf("%llu blob%s in %llu pack%s read and recomputed, %s\n",
			(unsigned long long)r->read_blobs, cli_s(r->read_blobs),
			(unsigned long long)r->read_packs, cli_s(r->read_packs),
			cli_bytes(r->read_bytes, b));
	if ((opt->read_percent && opt->read_percent < 100) || opt->parts) {
		if (r->never_read)
			printf("%llu pack%s %s not read by any check yet\n",
				(unsigned long long)r->never_read, cli_s(r->never_read),
				cli_were(r->never_read));
		else if (r->oldest_read)
			printf("all other packs were read since %s\n",
				cli_time((struct timestamp){(int64_t)r->oldest_read, 0}, when));
	}
	if (r->without_parity)
		printf("%llu pack%s without parity; 'mcfs parity add' makes it\n",
			(unsigned long long)r->without_parity, cli_s(r->without_parity));
	if (r->stale_config)
		printf("the second copy of the config is of a change that was interrupted; the next change of the "
		       "config, or compact, makes it anew\n");
	if (r->unused_packs)
		printf("%llu pack%s of interrupted runs in no index; this does no harm\n",
			(unsigned long long)r->unused_packs, cli_s(r->unused_packs));
}

static int code_of(const struct check_result *r)
{
	return r->damage ? EXIT_DAMAGED : r->lost_files ? EXIT_PARTLY : EXIT_DONE;
}

/* ---- repair ---- */

static void on_done(void *ctx, const char *where, const char *what)
{
	const struct cli *cli = ctx;
	if (cli->json)
		cli_json(json_pack("{s:s, s:s, s:s}", "type", "repaired", "object", where, "what", what));
	else
		cli_note(cli, "mcfs: %s: %s", where, what);
}

static void on_wait(void *ctx, const struct lock_info *l)
{
	char text[LOCK_TEXT_CHARS];
	cli_note(ctx, "mcfs: waiting for %s", lock_text(l, text));
}

static void print_repair(const struct cli *cli, const struct repair_result *r, int code)
{
	char a[16];
	if (cli->json) {
		const struct {
			const char *key;
			uint64_t v;
		} n[] = {{"parity_packs", r->parity_packs}, {"parity_bytes", r->parity_bytes},
			{"rewritten_packs", r->rewritten_packs}, {"lost_frames", r->lost_frames},
			{"lost_blobs", r->lost_blobs}, {"saved_bytes", r->saved_bytes},
			{"snapshots_aside", r->snapshots_aside}, {"vanished_snapshots", r->vanished}};
		json_t *o = result_json(&r->after);
		json_object_set_new(o, "damage_before", json_integer((json_int_t)r->before.damage));
		for (size_t i = 0; i < sizeof n / sizeof *n; i++)
			json_object_set_new(o, n[i].key, json_integer((json_int_t)n[i].v));
		json_object_set_new(o, "exit_code", json_integer(code));
		cli_json(o);
		return;
	}
	if (cli->quiet)
		return;
	if (r->parity_packs)
		printf("%llu pack%s restored by parity: %llu bytes were wrong or missing\n",
			(unsigned long long)r->parity_packs, cli_s(r->parity_packs),
			(unsigned long long)r->parity_bytes);
	if (r->rewritten_packs)
		printf("%llu pack%s replaced: %s of frames saved, %llu frame%s dropped\n",
			(unsigned long long)r->rewritten_packs, cli_s(r->rewritten_packs),
			cli_bytes(r->saved_bytes, a), (unsigned long long)r->lost_frames,
			cli_s(r->lost_frames));
	if (r->snapshots_aside)
		printf("%llu unreadable snapshot object%s %s in damaged/ now\n",
			(unsigned long long)r->snapshots_aside, cli_s(r->snapshots_aside),
			cli_are(r->snapshots_aside));
	if (r->after.lost_files)
		printf("%llu file%s of snapshots lost a part: reading it fails, and the next snapshot that "
		       "meets the same content heals it\n", (unsigned long long)r->after.lost_files,
			cli_s(r->after.lost_files));
	printf(r->after.damage ? "damaged things left: %llu\n" : "the store is sound\n",
		(unsigned long long)r->after.damage);
}

static int run_repair(struct cli *cli, struct store *s, const struct check_args *a, int *code,
	struct err *e)
{
	const struct lock_wait wait = {.seconds = 60, .cancel = &cli_interrupted, .on_wait = on_wait,
		.ctx = cli};
	const struct repair_options opt = {.check = a->opt, .on_done = on_done, .wait = &wait};
	struct repair_result result;
	int r = repair_run(s, &opt, &result, e);
	if (r < 0)
		return r;
	cli_progress_end(cli);
	*code = code_of(&result.after);
	print_repair(cli, &result, *code);
	return 0;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct check_args a = {.opt = {.on_damage = on_damage, .on_progress = on_progress, .ctx = cli,
				       .cancel = &cli_interrupted, .state_dir = cli->state_dir,
				       .accept_rollback = cli->accept_rollback}};
	struct check_result result = {0};
	struct store *s = NULL;
	struct err e = ERR_INIT;
	int code = parse(cli, argc, argv, &a);
	if (code != EXIT_DONE)
		return code;
	int r = cli_open(cli, 0, &s, &e);
	if (r == 0 && a.repair)
		r = run_repair(cli, s, &a, &code, &e);
	else if (r == 0)
		r = check_run(s, &a.opt, &result, &e);
	cli_progress_end(cli);
	if (r < 0) {
		code = cli_fail(cli, &e);
	} else if (!a.repair) {
		code = code_of(&result);
		print_result(cli, &a.opt, &result, code);
	}
	store_close(s);
	return code;
}

const struct command command_check = {"check", run,
	"check [--read-data | --read-data-subset N%|n/t] [--repair]",
	"check that the store is whole, or make it so",
	"  --read-data            open every frame, decode every blob and recompute its name\n"
	"  --read-data-subset N%  the same for a share of the packs: those that were not read for\n"
	"                         the longest time, so that 100/N runs read all\n"
	"  --read-data-subset n/t the same for the n-th of t parts\n"
	"  --repair               read all, and keep all that can be kept: restore by parity, drop\n"
	"                         what cannot be read, rebuild the index\n"};
