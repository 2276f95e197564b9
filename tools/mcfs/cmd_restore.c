/* mcfs restore: put files back. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/snapshot/restore.h"
#include "tools/mcfs/session.h"

enum { NAMED_MOST = 5, KINDS = 8 };

struct context {
	struct cli *cli;
	bool dry_run;
	/* What the target cannot hold, it cannot hold for thousands of files: after the first few
	 * they are counted. */
	struct {
		struct err e;
		unsigned long long n;
	} kind[KINDS];
};

static void on_item(void *ctx, enum restore_verb verb, const char *path)
{
	static const char *const words[] = {"write", "keep", "delete"};
	struct context *c = ctx;
	if (!c->dry_run && c->cli->verbose == 0)
		return;
	if (c->cli->json) {
		cli_json(json_pack("{s:s, s:s, s:o}", "type", "item", "action", words[verb], "path",
			cli_json_string(path, strlen(path))));
		return;
	}
	printf("%-6s  ", words[verb]);
	cli_print_name(stdout, path, strlen(path));
	putchar('\n');
}

static bool said_often(struct context *c, const struct err *e)
{
	if (e->code != E_UNSUPPORTED || c->cli->json || c->cli->verbose)
		return false;
	for (unsigned i = 0; i < KINDS; i++) {
		if (!c->kind[i].n)
			c->kind[i].e = *e;
		if (strcmp(c->kind[i].e.msg, e->msg) == 0)
			return ++c->kind[i].n > NAMED_MOST;
	}
	return false;
}

static void say_counts(const struct context *c)
{
	for (unsigned i = 0; i < KINDS && c->kind[i].n; i++)
		if (c->kind[i].n > NAMED_MOST)
			fprintf(stderr, "mcfs: %llu more: %s\n", c->kind[i].n - NAMED_MOST,
				c->kind[i].e.msg);
}

static void on_problem(void *ctx, const char *path, const struct err *e)
{
	struct context *c = ctx;
	if (!said_often(c, e))
		cli_problem(c->cli, path, e);
}

static void on_progress(void *ctx, uint64_t files, uint64_t bytes)
{
	cli_progress(((struct context *)ctx)->cli, "restore:", files, bytes, NULL);
}

static int parse(struct cli *cli, int argc, char **argv, struct restore_options *opt)
{
	static const struct option options[] = {{"to", required_argument, NULL, 't'},
		{"dry-run", no_argument, NULL, 'n'}, {"delete", no_argument, NULL, 'd'},
		{"overwrite", required_argument, NULL, 'o'}, {"verify", no_argument, NULL, 'v'},
		{"into-running", no_argument, NULL, 'r'}, {0}};
	int o;
	while ((o = cli_getopt(cli, argc, argv, "n", options, NULL)) != -1)
		switch (o) {
		case 't':
			opt->to = optarg;
			break;
		case 'n':
			opt->dry_run = true;
			break;
		case 'd':
			opt->delete_extra = true;
			break;
		case 'v':
			opt->verify = true;
			break;
		case 'r':
			opt->into_running = true;
			break;
		case 'o':
			if (strcmp(optarg, "always") == 0)
				opt->overwrite = OVERWRITE_ALWAYS;
			else if (strcmp(optarg, "if-changed") == 0)
				opt->overwrite = OVERWRITE_IF_CHANGED;
			else if (strcmp(optarg, "never") == 0)
				opt->overwrite = OVERWRITE_NEVER;
			else
				return cli_usage(cli,
					"--overwrite is 'always', 'if-changed' or 'never', not '%s'",
					optarg);
			break;
		default:
			return EXIT_USAGE;
		}
	if (argc - optind != 1)
		return cli_usage(cli, "restore takes one SNAP or SNAP:PATH");
	if (!opt->to || !*opt->to)
		return cli_usage(cli, "where to? --to DIR is missing");
	return EXIT_DONE;
}

static void print_result(struct cli *cli, const struct restore_options *opt,
	const struct restore_result *r, const char *name, double seconds, int code)
{
	char b[16];
	if (cli->json) {
		cli_json(json_pack(
			"{s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:i}",
			"type", "summary", "dry_run", opt->dry_run, "snapshot", name, "files",
			(json_int_t)r->files, "directories", (json_int_t)r->dirs, "others",
			(json_int_t)r->others, "bytes", (json_int_t)r->bytes, "kept",
			(json_int_t)r->kept, "deleted", (json_int_t)r->deleted, "verified",
			(json_int_t)r->verified, "problems", (json_int_t)r->problems, "damaged",
			(json_int_t)r->damaged, "seconds", seconds, "exit_code", code));
		return;
	}
	if (cli->quiet)
		return;
	printf("%s %llu file%s, %s, from %s", opt->dry_run ? "would restore" : "restored",
		(unsigned long long)r->files, cli_s(r->files), cli_bytes(r->bytes, b), name);
	if (r->kept)
		printf("; %llu kept", (unsigned long long)r->kept);
	if (r->deleted)
		printf("; %llu deleted", (unsigned long long)r->deleted);
	if (opt->verify && !opt->dry_run)
		printf("; %llu read back and compared", (unsigned long long)r->verified);
	if (!opt->dry_run)
		printf("; %.1f s", seconds);
	putchar('\n');
	if (r->problems)
		printf("%llu could not be restored as they were (see above)\n",
			(unsigned long long)r->problems);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct context ctx = {.cli = cli};
	struct restore_options opt = {.on_item = on_item, .on_problem = on_problem,
		.on_progress = on_progress, .ctx = &ctx, .cancel = &cli_interrupted};
	struct restore_result result = {0};
	struct session s;
	struct snapshot *sn = NULL;
	struct err e = ERR_INIT;
	struct timespec t0, t1;
	const char *snap;
	int code = parse(cli, argc, argv, &opt);
	if (code != EXIT_DONE)
		return code;
	ctx.dry_run = opt.dry_run;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	int r = session_open(&s, cli, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	cli_split_spec(argv[optind], &snap, &opt.path);
	r = snapshot_find(&s.list, snap, &sn, &e);
	if (r == 0)
		r = restore_run(s.store, sn, &opt, &result, &e);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	cli_progress_end(cli);
	say_counts(&ctx);
	code = r < 0		? cli_fail(cli, &e)
	       : result.damaged ? EXIT_DAMAGED
	       : result.problems ? EXIT_PARTLY
				: EXIT_DONE;
	if (r == 0)
		print_result(cli, &opt, &result, sn->name,
			(double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9,
			code);
	session_close(&s);
	return code;
}

const struct command command_restore = {"restore", run,
	"restore SNAP[:PATH] --to DIR [--dry-run] [--delete]\n"
	"             [--overwrite always|if-changed|never] [--verify] [--into-running]",
	"put files of a snapshot back",
	"  --to DIR      where to; the thing named by PATH comes into DIR under its own name;\n"
	"                with a '/' at PATH's end, what is in the directory comes into DIR\n"
	"  -n, --dry-run only say what would be done\n"
	"  --delete      in restored directories, remove what the snapshot does not have\n"
	"  --overwrite always      replace what is there (the default)\n"
	"  --overwrite if-changed  leave files of the same size and time alone\n"
	"  --overwrite never       leave everything alone that is there\n"
	"  --verify      read every file back from the disk and compare\n"
	"  --into-running          into a world that a server uses, too\n"};
