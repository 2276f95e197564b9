/* mcfs forget, undelete: give snapshots up, and bring them back until compact has run. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/forgotten.h"
#include "engine/snapshot/retention.h"
#include "tools/mcfs/cli.h"
#include "tools/mcfs/session.h"

struct forget_args {
	struct retention rules;
	bool dry_run;
	const char *only_host, *only_tag; /* the others are left alone */
	int64_t now;			 /* 0: the clock's */
	char **names; /* snapshots, instead of rules */
	int n_names;
};

/* Each has a value of its own, lest getopt take "--keep-m" for the first that begins so. */
enum { KEEP = 256 };

static const struct option forget_options[] = {{"keep-last", required_argument, NULL, KEEP},
	{"keep-within", required_argument, NULL, KEEP + 1},
	{"keep-secondly", required_argument, NULL, KEEP + 2},
	{"keep-minutely", required_argument, NULL, KEEP + 3},
	{"keep-hourly", required_argument, NULL, KEEP + 4}, {"keep-daily", required_argument, NULL, KEEP + 5},
	{"keep-weekly", required_argument, NULL, KEEP + 6},
	{"keep-monthly", required_argument, NULL, KEEP + 7},
	{"keep-13weekly", required_argument, NULL, KEEP + 8},
	{"keep-3monthly", required_argument, NULL, KEEP + 9},
	{"keep-yearly", required_argument, NULL, KEEP + 10}, {"keep-tag", required_argument, NULL, KEEP + 11},
	{"only-host", required_argument, NULL, 'h'},
	{"only-tag", required_argument, NULL, 't'}, {"now", required_argument, NULL, 'w'},
	{"group-by", required_argument, NULL, KEEP + 12}, {"dry-run", no_argument, NULL, 'n'}, {0}};

static int parse_forget(struct cli *cli, int argc, char **argv, struct forget_args *a)
{
	struct err e = ERR_INIT;
	int o, at;
	*a = (struct forget_args){.rules = {.by_host = true, .by_source = true}};
	while ((o = cli_getopt(cli, argc, argv, "n", forget_options, &at)) != -1) {
		if (o == 'n')
			a->dry_run = true;
		else if (o == 'h')
			a->only_host = optarg;
		else if (o == 't')
			a->only_tag = optarg;
		else if (o == 'w' && !cli_parse_time(optarg, &a->now))
			return cli_usage(cli, "--now: '%s' is no time: 2026-11-22T02:00:00Z or @SECONDS", optarg);
		else if (o == 'w')
			;
		else if (o < KEEP)
			return EXIT_USAGE;
		else if (retention_set(&a->rules, forget_options[at].name, optarg, &e) < 0)
			return cli_usage(cli, "%s", e.msg);
	}
	a->names = argv + optind;
	a->n_names = argc - optind;
	if (a->n_names && !retention_is_empty(&a->rules))
		return cli_usage(cli, "forget takes snapshots by name or rules of what to keep, not both");
	if (a->n_names && (a->only_host || a->only_tag))
		return cli_usage(cli, "--only-host and --only-tag go with rules, not with names");
	if (!a->n_names && retention_is_empty(&a->rules))
		return cli_usage(cli,
			"nothing says what to forget: name snapshots, or give --keep-daily 7 or the "
			"like");
	return EXIT_DONE;
}

/* Named ones get no reason to be kept, all others do. */
static int choose_named(const struct session *s, const struct forget_args *a,
	struct retention_reason *why, struct err *e)
{
	for (size_t i = 0; i < s->list.n; i++)
		why[i] = (struct retention_reason){.rule = RULE_COUNT};
	for (int i = 0; i < a->n_names; i++) {
		struct snapshot *sn;
		int r = snapshot_find(&s->list, a->names[i], &sn, e);
		if (r < 0)
			return r;
		why[sn - s->list.v].rule = RULE_NONE;
	}
	return 0;
}

static bool is_meant(const struct forget_args *a, const struct snapshot *sn)
{
	bool tagged = !a->only_tag;
	for (size_t i = 0; i < sn->n_tags && !tagged; i++)
		tagged = strcmp(sn->tags[i], a->only_tag) == 0;
	return tagged && (!a->only_host || strcmp(sn->host, a->only_host) == 0);
}

/* The rules see only the snapshots that are meant; the others are kept without a reason, as those that are not
 * named. */
static int choose_by_rules(const struct session *s, const struct forget_args *a,
	struct retention_reason *why, struct err *e)
{
	struct snapshot_list meant = {0};
	struct timespec now;
	CLEANUP_FREE struct snapshot *v = calloc(s->list.n + 1, sizeof *v);
	CLEANUP_FREE struct retention_reason *w = calloc(s->list.n + 1, sizeof *w);
	if (!v || !w)
		return err_set(e, E_NOMEM, 0, "no memory for the list of snapshots");
	clock_gettime(CLOCK_REALTIME, &now);
	struct timestamp t = {now.tv_sec, (uint32_t)now.tv_nsec};
	if (a->now)
		t = (struct timestamp){a->now, 0};
	for (size_t i = 0; i < s->list.n; i++)
		if (is_meant(a, &s->list.v[i]))
			v[meant.n++] = s->list.v[i]; /* borrowed */
	meant.v = v;
	int r = retention_decide(&a->rules, &meant, t, w, e);
	for (size_t i = 0, k = 0; i < s->list.n && r == 0; i++)
		why[i] = is_meant(a, &s->list.v[i]) ? w[k++]
						    : (struct retention_reason){.rule = RULE_COUNT};
	return r;
}

static void print_one(const struct snapshot *sn, const char *verb, const char *text)
{
	printf("%-6s  %-22s  ", verb, sn->name);
	cli_print_origin(sn);
	printf(*text ? "  %s\n" : "\n", text);
}

static json_t *json_one(const struct snapshot *sn, const char *text)
{
	char id[2 * ID_BYTES + 1], iso[40];
	json_t *o = json_pack("{s:s, s:s, s:s}", "name", sn->name, "id",
		hex_of(sn->id.b, ID_BYTES, id), "time", cli_time_iso(sn->begin, iso));
	if (*text)
		json_object_set_new(o, "reason", json_string(text));
	return o;
}

struct tally {
	size_t kept, gone, future;
	json_t *kept_json, *gone_json;
};

static void tell(struct cli *cli, const struct snapshot *sn, const struct retention_reason *why, struct tally *t)
{
	char text[RETENTION_CHARS] = "";
	bool keep = why->rule != RULE_NONE;
	if (keep && why->rule != RULE_COUNT)
		retention_text(why, text);
	t->kept += keep;
	t->gone += !keep;
	t->future += why->rule == RULE_FUTURE;
	if (cli->json)
		json_array_append_new(keep ? t->kept_json : t->gone_json, json_one(sn, text));
	else if (!cli->quiet && (!keep || why->rule != RULE_COUNT))
		print_one(sn, keep ? "keep" : "forget", text);
}

/* Newest first, so that "daily #1" comes before "daily #2". As many are forgotten at once as may be, then told. */
static int go_through(struct cli *cli, struct session *s, const struct forget_args *a,
	const struct retention_reason *why, struct tally *t, struct err *e)
{
	for (size_t end = s->list.n, i; end > 0; end = i) {
		const struct snapshot *lot[FORGET_AT_ONCE];
		size_t n = 0;
		for (i = end; i > 0 && n < FORGET_AT_ONCE; i--)
			if (why[i - 1].rule == RULE_NONE)
				lot[n++] = &s->list.v[i - 1];
		int r = n && !a->dry_run ? snapshot_forget_some(s->store, lot, n, e) : 0;
		if (r < 0)
			return r;
		for (size_t k = end; k > i; k--)
			tell(cli, &s->list.v[k - 1], &why[k - 1], t);
	}
	return 0;
}

static void report(struct cli *cli, const struct forget_args *a, struct tally *t, int code)
{
	if (t->future)
		cli_note(cli, "mcfs: %zu snapshot%s with a time in the future kept: one of the clocks is or "
			      "was wrong", t->future, cli_s(t->future));
	if (cli->json)
		cli_json(json_pack("{s:s, s:b, s:O, s:O, s:i}", "type", "summary", "dry_run",
			a->dry_run, "kept", t->kept_json, "forgotten", t->gone_json, "exit_code",
			code));
	else if (!cli->quiet)
		printf("%zu snapshot%s kept, %zu %s%s\n", t->kept, cli_s(t->kept), t->gone,
			a->dry_run ? "would be forgotten" : "forgotten",
			t->gone && !a->dry_run ? " ('mcfs undelete' brings them back until "
						 "'mcfs compact' has run)" : "");
}

static int run_forget(struct cli *cli, int argc, char **argv)
{
	struct session s;
	struct forget_args a;
	struct tally t = {.kept_json = json_array(), .gone_json = json_array()};
	struct err e = ERR_INIT;
	CLEANUP_FREE struct retention_reason *why = NULL;
	int code = parse_forget(cli, argc, argv, &a);
	int r = code == EXIT_DONE ? session_open(&s, cli, &e) : 0;
	if (code == EXIT_DONE && r == 0) {
		tzset();
		if (!(why = calloc(s.list.n + 1, sizeof *why)))
			r = err_set(&e, E_NOMEM, 0, "no memory for the list of snapshots");
		if (r == 0 && a.n_names)
			r = choose_named(&s, &a, why, &e);
		else if (r == 0)
			r = choose_by_rules(&s, &a, why, &e);
		if (r == 0)
			r = go_through(cli, &s, &a, why, &t, &e);
		code = s.list.damaged ? EXIT_DAMAGED : EXIT_DONE;
		session_close(&s);
		if (r == 0)
			report(cli, &a, &t, code);
	}
	if (r < 0)
		code = cli_fail(cli, &e);
	json_decref(t.kept_json);
	json_decref(t.gone_json);
	return code;
}

const struct command command_forget = {"forget", run_forget,
	"forget [--keep-daily N ..] [--group-by host,source] [--dry-run] | forget SNAP..",
	"give up snapshots, by rules or by name",
	"  --keep-last N          keep the newest N\n"
	"  --keep-within D        keep all that are younger than D: 48H, 7d, 4w, 3m (months), 1y\n"
	"  --keep-minutely N, --keep-hourly N, --keep-daily N, --keep-weekly N, --keep-monthly N,\n"
	"  --keep-13weekly N, --keep-3monthly N, --keep-yearly N\n"
	"                         keep the newest snapshot of each of the last N such periods that\n"
	"                         have one; -1: of all\n"
	"  --keep-tag TAG         keep what has the tag; may be given more than once\n"
	"  --group-by WHAT        apply the rules to each 'host', 'source', 'host,source' (the\n"
	"                         default) by itself, or to all together: 'none'\n"
	"  --only-host H, --only-tag T\n"
	"                         leave the snapshots of other hosts, without the tag, alone\n"
	"  --now TIME             what the rules take for now: 2026-11-22T02:00:00Z or @SECONDS\n"
	"  -n, --dry-run          only tell\n\n"
	"Space is reclaimed by 'mcfs compact'; until then 'mcfs undelete' brings snapshots back.\n"};

/* ---- undelete ---- */

static int list_forgotten(struct cli *cli, const struct forgotten_list *l)
{
	char when[40];
	json_t *all = json_array();
	for (size_t i = 0; i < l->n; i++) {
		const struct forgotten *f = &l->v[i];
		if (cli->json) {
			json_t *o = cli_json_snapshot(&f->sn);
			json_object_set_new(o, "forgotten_time",
				json_string(cli_time_iso(f->when, when)));
			json_array_append_new(all, o);
		} else {
			char text[64];
			snprintf(text, sizeof text, "forgotten %s", cli_time(f->when, when));
			print_one(&f->sn, "", text);
		}
	}
	if (cli->json)
		cli_json(json_pack("{s:O}", "forgotten", all));
	else if (!cli->quiet && l->n == 0)
		printf("no forgotten snapshots\n");
	json_decref(all);
	return l->damaged ? EXIT_DAMAGED : EXIT_DONE;
}

static int bring_back(struct cli *cli, struct session *s, const struct forgotten_list *l, int n,
	char **names, bool all, struct err *e)
{
	json_t *done = json_array();
	int r = 0;
	for (size_t i = 0; r == 0 && (all ? i < l->n : i < (size_t)n); i++) {
		struct forgotten *f = &l->v[i];
		if (!all)
			r = forgotten_find(l, names[i], &f, e);
		if (r == 0)
			r = snapshot_undelete(s->store, &s->list, f, e);
		if (r == 0 && cli->json)
			json_array_append_new(done, json_one(&f->sn, ""));
		else if (r == 0 && !cli->quiet)
			print_one(&f->sn, "back", "");
	}
	if (r == 0 && cli->json)
		cli_json(json_pack("{s:s, s:O}", "type", "summary", "undeleted", done));
	else if (r == 0 && all && l->n == 0 && !cli->quiet)
		printf("no forgotten snapshots\n");
	json_decref(done);
	return r;
}

static int run_undelete(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"all", no_argument, NULL, 'a'}, {0}};
	struct session s;
	struct forgotten_list l = {0};
	struct err e = ERR_INIT;
	bool all = false;
	int o, code = EXIT_DONE;
	while ((o = cli_getopt(cli, argc, argv, "", options, NULL)) != -1) {
		if (o != 'a')
			return EXIT_USAGE;
		all = true;
	}
	if (all && optind < argc)
		return cli_usage(cli, "--all takes no snapshots beside it");
	int r = session_open(&s, cli, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	r = forgotten_load(&l, s.store, &e);
	if (r == 0 && !all && optind == argc)
		code = list_forgotten(cli, &l);
	else if (r == 0)
		r = bring_back(cli, &s, &l, argc - optind, argv + optind, all, &e);
	if (r < 0)
		code = cli_fail(cli, &e);
	forgotten_free(&l);
	session_close(&s);
	return code;
}

const struct command command_undelete = {"undelete", run_undelete, "undelete [SNAP.. | --all]",
	"bring forgotten snapshots back, or list them",
	"Without arguments: list what was forgotten and can be brought back.\n"
	"  --all  bring back all of them\n"};
