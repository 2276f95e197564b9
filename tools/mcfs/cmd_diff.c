/* mcfs diff: what changed between two snapshots. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/diff.h"
#include "tools/mcfs/session.h"

struct context {
	struct cli *cli;
	bool chunks, any;
};

static const char *const change_words[] = {[DIFF_ADDED] = "added", [DIFF_REMOVED] = "removed",
	[DIFF_CHANGED] = "changed", [DIFF_METADATA] = "metadata"};
static const char *const chunk_words[] = {[DIFF_CHUNK_CREATED] = "created",
	[DIFF_CHUNK_GONE] = "gone", [DIFF_CHUNK_CHANGED] = "changed", [DIFF_CHUNK_TIMES] = "times",
	[DIFF_CHUNK_SAME] = "same"};

static const struct {
	unsigned bit;
	const char *word;
} detail_words[] = {{DIFF_TYPE, "type"}, {DIFF_TARGET, "target"}, {DIFF_DEVICE, "device"},
	{DIFF_CONTENT, "content"}, {DIFF_MODE, "mode"}, {DIFF_OWNER, "owner"},
	{DIFF_TIMES, "times"}, {DIFF_XATTRS, "xattrs"}, {DIFF_UNREADABLE, "unreadable"}};

#define N_DETAILS (sizeof detail_words / sizeof *detail_words)

/* ---- text ---- */

/* A file with other contents has other times as well: not worth saying. */
static unsigned details_to_print(const struct diff_item *it)
{
	unsigned d = it->details & ~(unsigned)DIFF_CONTENT;
	return it->change == DIFF_CHANGED ? d & ~(unsigned)DIFF_TIMES : d;
}

static void print_item(const struct diff_item *it)
{
	static const char letters[] = {[DIFF_ADDED] = '+', [DIFF_REMOVED] = '-',
		[DIFF_CHANGED] = 'M', [DIFF_METADATA] = 'm'};
	const struct entry *en = it->b ? it->b : it->a;
	const char *between = " (";
	printf("%c ", letters[it->change]);
	cli_print_name(stdout, it->path, strlen(it->path));
	if (en->type == NODE_DIR && strcmp(it->path, ".") != 0)
		putchar('/');
	unsigned d = details_to_print(it);
	for (size_t i = 0; i < N_DETAILS; i++)
		if (d & detail_words[i].bit) {
			printf("%s%s", between, detail_words[i].word);
			between = ", ";
		}
	puts(*between == ',' ? ")" : "");
	for (size_t i = 0; i < it->n_chunks; i++)
		printf("  C c.%lld.%lld %s%s\n", (long long)it->chunks[i].x,
			(long long)it->chunks[i].z, chunk_words[it->chunks[i].change],
			it->chunks[i].unreadable ? " (unreadable)" : "");
}

static void print_summary(const struct context *c, const struct diff_result *r)
{
	printf("%llu added, %llu removed, %llu changed, %llu with other metadata only\n",
		(unsigned long long)r->added, (unsigned long long)r->removed,
		(unsigned long long)r->changed, (unsigned long long)r->metadata);
	if (!c->chunks)
		return;
	printf("chunks: %llu created, %llu gone, %llu changed, %llu with other times only",
		(unsigned long long)r->chunk[DIFF_CHUNK_CREATED],
		(unsigned long long)r->chunk[DIFF_CHUNK_GONE],
		(unsigned long long)r->chunk[DIFF_CHUNK_CHANGED],
		(unsigned long long)r->chunk[DIFF_CHUNK_TIMES]);
	if (c->cli->verbose)
		printf(", %llu moved or written again",
			(unsigned long long)r->chunk[DIFF_CHUNK_SAME]);
	putchar('\n');
}

/* ---- JSON ---- */

static json_t *json_item(const struct context *c, const struct diff_item *it)
{
	json_t *details = json_array();
	for (size_t i = 0; i < N_DETAILS; i++)
		if (it->details & detail_words[i].bit)
			json_array_append_new(details, json_string(detail_words[i].word));
	json_t *j = json_pack("{s:o, s:s, s:o}", "path", cli_json_string(it->path, strlen(it->path)),
		"change", change_words[it->change], "details", details);
	if (!c->chunks)
		return j;
	json_t *chunks = json_array();
	for (size_t i = 0; i < it->n_chunks; i++) {
		json_t *k = json_pack("{s:I, s:I, s:s}", "x", (json_int_t)it->chunks[i].x, "z",
			(json_int_t)it->chunks[i].z, "change", chunk_words[it->chunks[i].change]);
		if (it->chunks[i].unreadable)
			json_object_set_new(k, "unreadable", json_true());
		json_array_append_new(chunks, k);
	}
	json_object_set_new(j, "chunks", chunks);
	return j;
}

static json_t *json_summary(const struct context *c, const struct diff_result *r)
{
	json_t *j = json_pack("{s:I, s:I, s:I, s:I}", "added", (json_int_t)r->added, "removed",
		(json_int_t)r->removed, "changed", (json_int_t)r->changed, "metadata",
		(json_int_t)r->metadata);
	if (!c->chunks)
		return j;
	json_t *chunks = json_object();
	for (int i = 0; i < DIFF_CHUNK_CHANGES; i++)
		if (i != DIFF_CHUNK_SAME || c->cli->verbose)
			json_object_set_new(chunks, chunk_words[i], json_integer((json_int_t)r->chunk[i]));
	json_object_set_new(j, "chunks", chunks);
	return j;
}

static void dump(json_t *j)
{
	json_dumpf(j, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(j);
}

/* ---- running ---- */

/* The one object of --json is written as it comes: there may be a million changes. */
static int on_item(void *ctx, const struct diff_item *it, struct err *e)
{
	struct context *c = ctx;
	(void)e;
	if (c->cli->json) {
		fputs(c->any ? "," : "{\"changes\":[", stdout);
		dump(json_item(c, it));
	} else {
		print_item(it);
	}
	c->any = true;
	return 0;
}

static void finish(struct context *c, int r, const struct diff_result *result)
{
	if (c->cli->json) {
		/* After a failure the object is closed, and an error object follows it. */
		if (r < 0 && !c->any)
			return;
		fputs(c->any ? "],\"summary\":" : "{\"changes\":[],\"summary\":", stdout);
		dump(r < 0 ? json_null() : json_summary(c, result));
		puts("}");
	} else if (r == 0 && !c->cli->quiet) {
		print_summary(c, result);
	}
}

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"chunks", no_argument, NULL, 'c'}, {0}};
	struct context c = {.cli = cli};
	struct diff_options opt = {.on_item = on_item, .ctx = &c, .same = cli->verbose > 0,
		.cancel = &cli_interrupted};
	struct diff_result result = {0};
	struct diff_place at[2] = {{0}};
	struct session s;
	struct err e = ERR_INIT;
	int o;
	while ((o = cli_getopt(cli, argc, argv, "c", options, NULL)) != -1) {
		if (o != 'c')
			return EXIT_USAGE;
		c.chunks = opt.chunks = true;
	}
	if (argc - optind != 2)
		return cli_usage(cli, "diff takes two of SNAP or SNAP:PATH");
	int r = session_open(&s, cli, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	for (int i = 0; i < 2 && r == 0; i++) {
		const char *snap;
		struct snapshot *sn;
		cli_split_spec(argv[optind + i], &snap, &at[i].path);
		r = snapshot_find(&s.list, snap, &sn, &e);
		at[i].sn = sn;
	}
	if (r == 0)
		r = diff_run(s.store, &s.coder, &at[0], &at[1], &opt, &result, &e);
	finish(&c, r, &result);
	int code = r < 0 ? cli_fail(cli, &e) : EXIT_DONE;
	session_close(&s);
	return code;
}

const struct command command_diff = {"diff", run, "diff [--chunks] SNAP[:PATH] SNAP[:PATH]",
	"what changed between two snapshots",
	"  -c, --chunks  also which chunks of changed region files: created, gone, changed, or only\n"
	"                their times (last update, inhabited time, time stamp); with -v also 'same':\n"
	"                only moved or compressed again\n"
	"Lines begin with + (added), - (removed), M (changed), m (only its metadata) or C (a chunk).\n"};
