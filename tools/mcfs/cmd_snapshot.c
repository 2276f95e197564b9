/* mcfs snapshot: back directories up. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/backup.h"
#include "tools/mcfs/cli.h"

static void on_progress(void *ctx, const struct backup_progress *p)
{
	cli_progress(ctx, "snapshot:", p->files, p->bytes, p->path);
}

static void on_problem(void *ctx, const char *path, const struct err *e)
{
	cli_problem(ctx, path, e);
}

static void print_result(struct cli *cli, const struct backup_options *opt,
	const struct backup_result *r, double seconds, int code)
{
	const struct snapshot *sn = &r->sn;
	char a[16], b[16];
	if (cli->json) {
		json_t *j = json_pack("{s:s, s:b, s:o, s:I, s:f, s:i}", "type", "summary",
			"dry_run", opt->dry_run, "snapshot",
			opt->dry_run ? json_null() : cli_json_snapshot(sn), "problems",
			(json_int_t)r->problems, "seconds", seconds, "exit_code", code);
		json_object_set_new(j, "files", json_integer((json_int_t)sn->files));
		json_object_set_new(j, "files_new", json_integer((json_int_t)sn->files_new));
		json_object_set_new(j, "files_changed",
			json_integer((json_int_t)sn->files_changed));
		json_object_set_new(j, "bytes", json_integer((json_int_t)sn->bytes));
		json_object_set_new(j, "added_bytes", json_integer((json_int_t)sn->added_bytes));
		cli_json(j);
		return;
	}
	if (cli->quiet)
		return;
	printf("%s %llu file%s, %s: %llu new, %llu changed",
		opt->dry_run ? "would look at" : sn->name, (unsigned long long)sn->files,
		cli_s(sn->files), cli_bytes(sn->bytes, a), (unsigned long long)sn->files_new,
		(unsigned long long)sn->files_changed);
	if (!opt->dry_run)
		printf("; %s added to the store in %.1f s", cli_bytes(sn->added_bytes, b), seconds);
	putchar('\n');
	if (r->problems)
		printf("%llu could not be read or changed while read (named above)\n",
			(unsigned long long)r->problems);
}

struct args {
	struct backup_options opt;
	struct filter filter;
	const char **tags;
	bool stage;
	const char *place; /* of the copies; NULL: beside the sources */
};

static int parse(struct cli *cli, int argc, char **argv, struct args *a, struct err *e)
{
	static const struct option options[] = {{"tag", required_argument, NULL, 't'},
		{"exclude", required_argument, NULL, 'x'},
		{"exclude-file", required_argument, NULL, 'X'},
		{"exclude-borg", required_argument, NULL, 'b'},
		{"exclude-borg-file", required_argument, NULL, 'B'},
		{"exclude-if-present", required_argument, NULL, 'p'},
		{"exclude-caches", no_argument, NULL, 'c'},
		{"one-file-system", no_argument, NULL, '1'}, {"dry-run", no_argument, NULL, 'n'},
		{"timestamp", required_argument, NULL, 'T'},
		{"level", required_argument, NULL, 'l'},
		{"recompress", required_argument, NULL, 'r'}, {"stage", no_argument, NULL, 's'},
		{"stage-in", required_argument, NULL, 'S'}, {0}};
	int o, r = 0;
	char *end;
	while (r == 0 && (o = cli_getopt(cli, argc, argv, "n", options, NULL)) != -1)
		switch (o) {
		case 't':
			if (!snapshot_tag_ok(optarg))
				return err_set(e, E_USAGE, 0,
					"'%s' is no tag: 1 to 64 letters, digits and ._:@+-", optarg);
			a->tags[a->opt.n_tags++] = optarg;
			break;
		case 'x':
			r = filter_add(&a->filter, optarg, e);
			break;
		case 'X':
			r = filter_add_file(&a->filter, optarg, e);
			break;
		case 'b':
			r = filter_add_borg(&a->filter, optarg, e);
			break;
		case 'B':
			r = filter_add_borg_file(&a->filter, optarg, e);
			break;
		case 'p':
			r = filter_add_marker(&a->filter, optarg, e);
			break;
		case 'c':
			a->filter.caches = true;
			break;
		case '1':
			a->opt.one_file_system = true;
			break;
		case 'T':
			if (!cli_parse_time(optarg, &a->opt.timestamp))
				return err_set(e, E_USAGE, 0,
					"--timestamp: '%s' is no time: 2026-11-22T02:00:00Z or @SECONDS", optarg);
			break;
		case 's':
			a->stage = true;
			break;
		case 'S':
			a->place = optarg;
			break;
		case 'n':
			a->opt.dry_run = true;
			break;
		case 'r':
			a->opt.set_recompress = true;
			if (!recompress_parse(optarg, &a->opt.recompress))
				return err_set(e, E_USAGE, 0,
					"--recompress is 'auto', 'now' or 'later', not '%s'", optarg);
			break;
		case 'l':
			a->opt.level = (int)strtol(optarg, &end, 10);
			if (*end || a->opt.level < 1 || a->opt.level > 19)
				return err_set(e, E_USAGE, 0, "--level is a number from 1 to 19");
			break;
		default:
			return err_set(e, E_USAGE, 0, "unknown option (see 'mcfs %s --help')",
				cli->command);
		}
	if (r == 0 && optind == argc)
		r = err_set(e, E_USAGE, 0,
			"no directory is named: mcfs snapshot PATH.. (see 'mcfs snapshot --help')");
	a->opt.paths = (const char *const *)argv + optind;
	a->opt.n_paths = (size_t)(argc - optind);
	return r;
}

/* Before the store is opened: who waits for the copy waits for nothing else. */
static int stage(struct cli *cli, struct args *a, struct stages **ret, struct err *e)
{
	struct stage_options opt = {a->opt.paths, a->opt.n_paths, &a->filter, a->place, &cli_interrupted};
	struct err own = ERR_INIT;
	char size[16];
	if (a->opt.dry_run)
		return 0;
	/* Beside the sources, too, where an earlier run may not have known of the place. */
	struct stage_options beside = opt;
	beside.place = NULL;
	if ((a->place && stages_sweep(&beside, &own) < 0) || (!a->stage && stages_sweep(&opt, &own) < 0))
		cli_problem(cli, "what an earlier run left", &own);
	if (!a->stage)
		return 0;
	int r = stages_take(ret, &opt, &own);
	if (r == E_CANCELLED)
		return err_pass(e, &own);
	if (cli->json && r == 0)
		cli_json(json_pack("{s:s, s:I, s:I}", "type", "staged", "files",
			(json_int_t)stages_files(*ret), "bytes", (json_int_t)stages_bytes(*ret)));
	else if (cli->json)
		cli_json(json_pack("{s:s, s:o}", "type", "not_staged", "message",
			cli_json_string(own.msg, strlen(own.msg))));
	else if (r < 0 && !cli->quiet)
		fprintf(stderr, "mcfs: no copy is made, the sources are read in place: %s\n", own.msg);
	else if (!cli->quiet)
		printf("copied %llu file%s, %s\n", (unsigned long long)stages_files(*ret),
			cli_s(stages_files(*ret)), cli_bytes(stages_bytes(*ret), size));
	fflush(stdout);
	return 0;
}

static int run(struct cli *cli, int argc, char **argv)
{
	CLEANUP_FREE const char **tags = calloc((size_t)argc, sizeof *tags);
	struct args a = {.opt = {.program = MCFS_PROGRAM, .state_dir = cli->state_dir,
				 .accept_rollback = cli->accept_rollback,
				 .on_progress = on_progress, .on_problem = on_problem, .ctx = cli,
				 .cancel = &cli_interrupted}, .tags = tags};
	struct backup_result result = {0};
	struct store *s = NULL;
	struct stages *stages = NULL;
	struct err e = ERR_INIT, left = ERR_INIT;
	struct timespec t0, t1;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	int r = tags ? parse(cli, argc, argv, &a, &e) : err_set(&e, E_NOMEM, 0, "no memory");
	a.opt.filter = &a.filter;
	a.opt.tags = tags;
	if (r == 0)
		r = stage(cli, &a, &stages, &e);
	a.opt.stages = stages;
	if (r == 0)
		r = cli_open(cli, 0, &s, &e);
	if (r == 0)
		r = backup_run(s, &a.opt, &result, &e);
	if (stages_drop(stages, &left) < 0)
		cli_problem(cli, "the copy", &left);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	cli_progress_end(cli);
	int code = r < 0 ? cli_fail(cli, &e) : result.problems ? EXIT_PARTLY : EXIT_DONE;
	if (r == 0)
		print_result(cli, &a.opt, &result,
			(double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9,
			code);
	snapshot_free(&result.sn);
	filter_free(&a.filter);
	store_close(s);
	return code;
}

const struct command command_snapshot = {"snapshot", run,
	"snapshot [--tag T].. [--exclude GLOB].. [--exclude-file F] [--exclude-caches]\n"
	"              [--one-file-system] [--dry-run] [--recompress auto|now|later]\n"
	"              [--stage] [--stage-in DIR] PATH..",
	"back directories up as a new snapshot",
	"  --tag T            mark the snapshot; may be given more than once\n"
	"  --exclude GLOB     leave out what matches: a name (*.tmp), or with a '/' a path\n"
	"  --exclude-file F   patterns from a file, one a line\n"
	"  --exclude-if-present NAME  leave out the contents of directories that hold NAME\n"
	"  --exclude-borg P, --exclude-borg-file F  patterns in borg's words (fm:, sh:, pp:, pf:)\n"
	"  --exclude-caches   leave out the contents of directories with a CACHEDIR.TAG\n"
	"  --one-file-system  do not enter other file systems\n"
	"  -n, --dry-run      only say what would be looked at\n"
	"  --stage            where the file system can, make the snapshot from a reflink copy of\n"
	"                     PATH that is taken in a moment\n"
	"  --stage-in DIR     where that copy is (beside each PATH)\n"
	"  --timestamp TIME   record this as the time: 2026-11-22T02:00:00Z or @SECONDS\n"
	"  --level N          compression, 1 to 19 (6)\n"
	"  --recompress auto|now|later  for this run, instead of what the store was made with\n"};
