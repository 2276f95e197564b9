/* mcfs check: is the store whole? */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/snapshot/check.h"
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

static int parse(struct cli *cli, int argc, char **argv, struct check_options *opt)
{
	static const struct option options[] = {{"read-data", no_argument, NULL, 'r'},
		{"read-data-subset", required_argument, NULL, 's'}, {0}};
	int o;
	char *end;
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'r') {
			opt->read_percent = 100;
		} else if (o == 's') {
			unsigned long v = strtoul(optarg, &end, 10);
			if (end == optarg || (*end && strcmp(end, "%") != 0) || v < 1 || v > 100)
				return cli_usage(cli,
					"--read-data-subset is a share from 1%% to 100%%, not '%s'",
					optarg);
			opt->read_percent = (unsigned)v;
		} else {
			return EXIT_USAGE;
		}
	}
	return optind < argc ? cli_usage(cli, "check takes no argument '%s'", argv[optind])
			     : EXIT_DONE;
}

static void print_result(const struct cli *cli, const struct check_options *opt,
	const struct check_result *r, int code)
{
	char b[16];
	if (cli->json) {
		cli_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}",
			"type", "summary", "index_objects", (json_int_t)r->index_objects, "packs",
			(json_int_t)r->packs, "blobs", (json_int_t)r->blobs, "snapshots",
			(json_int_t)r->snapshots, "read_packs", (json_int_t)r->read_packs,
			"read_blobs", (json_int_t)r->read_blobs, "read_bytes",
			(json_int_t)r->read_bytes, "unused_packs", (json_int_t)r->unused_packs,
			"damage", (json_int_t)r->damage, "damaged_files",
			(json_int_t)r->damaged_files, "exit_code", code));
		return;
	}
	if (cli->quiet)
		return;
	printf("%llu packs, %llu blobs, %llu snapshots: ", (unsigned long long)r->packs,
		(unsigned long long)r->blobs, (unsigned long long)r->snapshots);
	if (r->damage)
		printf("%llu damaged, %llu files touched (named above)\n",
			(unsigned long long)r->damage, (unsigned long long)r->damaged_files);
	else
		printf("no damage\n");
	if (opt->read_percent)
		printf("%llu blobs in %llu packs read and recomputed, %s\n",
			(unsigned long long)r->read_blobs, (unsigned long long)r->read_packs,
			cli_bytes(r->read_bytes, b));
	if (r->unused_packs)
		printf("%llu packs of interrupted runs are in no index; they do no harm\n",
			(unsigned long long)r->unused_packs);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct check_options opt = {.on_damage = on_damage, .on_progress = on_progress, .ctx = cli,
		.cancel = &cli_interrupted};
	struct check_result result = {0};
	struct store *s = NULL;
	struct err e = ERR_INIT;
	int code = parse(cli, argc, argv, &opt);
	if (code != EXIT_DONE)
		return code;
	int r = cli_open(cli, 0, &s, &e);
	if (r == 0)
		r = check_run(s, &opt, &result, &e);
	cli_progress_end(cli);
	code = r < 0 ? cli_fail(cli, &e) : result.damage ? EXIT_DAMAGED : EXIT_DONE;
	if (r == 0)
		print_result(cli, &opt, &result, code);
	store_close(s);
	return code;
}

const struct command command_check = {"check", run,
	"check [--read-data | --read-data-subset N%]", "check that the store is whole",
	"  --read-data            open every frame, decode every blob and recompute its name\n"
	"  --read-data-subset N%  the same for a random share of the packs\n"};
