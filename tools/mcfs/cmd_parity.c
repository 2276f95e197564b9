/* mcfs parity: make and remove what restores damaged packs. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/store/lock.h"
#include "engine/store/parity.h"
#include "tools/mcfs/cli.h"

#define LOCK_WAIT_SECONDS 60

bool cli_percent(const char *s, unsigned *ret)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || (*end && strcmp(end, "%") != 0) || v < 1 || v > PARITY_PERCENT_MAX)
		return false;
	*ret = (unsigned)v;
	return true;
}

static void on_wait(void *ctx, const struct lock_info *l)
{
	char text[LOCK_TEXT_CHARS];
	cli_note(ctx, "mcfs: waiting for %s", lock_text(l, text));
}

static void on_progress(void *ctx, uint64_t done, uint64_t of)
{
	(void)of;
	cli_progress(ctx, "parity: packs,", done, 0, NULL);
}

static void set_percent(struct config_edit *ed, const void *ctx)
{
	config_edit_parity(ed, *(const unsigned *)ctx);
}

static int change(struct cli *cli, bool add, unsigned percent, struct err *e)
{
	const struct lock_wait wait = {.seconds = LOCK_WAIT_SECONDS, .cancel = &cli_interrupted,
		.on_wait = on_wait, .ctx = cli};
	struct store *s = NULL;
	struct store_lock *lock = NULL;
	uint64_t made = 0, removed = 0;
	int r = cli_open(cli, 0, &s, e);
	if (r == 0 && add && percent == 0)
		percent = store_config(s)->parity ? store_config(s)->parity : 5;
	if (r == 0)
		r = store_lock_take(s, LOCK_EXCLUSIVE, "parity", &wait, &lock, e);
	/* What later packs get. */
	if (r == 0 && store_config(s)->parity != percent)
		r = cli_edit_config(cli, s, lock, set_percent, &percent, e);
	if (r == 0)
		r = parity_tidy(s, percent, on_progress, cli, &made, &removed, e);
	/* Snapshots from before get their second copy. */
	if (r == 0 && add)
		r = store_copies_mend(s, true, NULL, NULL, e);
	cli_progress_end(cli);
	if (r == 0 && cli->json)
		cli_json(json_pack("{s:s, s:i, s:I, s:I}", "type", "summary", "percent", (int)percent, "made",
			(json_int_t)made, "removed", (json_int_t)removed));
	else if (r == 0 && !cli->quiet && add)
		printf("parity of %u%%: made for %llu pack%s, new packs get it too\n", percent,
			(unsigned long long)made, cli_s(made));
	else if (r == 0 && !cli->quiet)
		printf("parity of %llu pack%s removed, new packs get none\n",
			(unsigned long long)removed, cli_s(removed));
	store_lock_release(lock);
	store_close(s);
	return r;
}

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{0}};
	struct err e = ERR_INIT;
	unsigned percent = 0;
	if (cli_getopt(cli, argc, argv, "", options, NULL) != -1)
		return EXIT_USAGE;
	bool add = optind < argc && strcmp(argv[optind], "add") == 0;
	if (!add && (optind == argc || strcmp(argv[optind], "remove") != 0))
		return cli_usage(cli, "parity does one of add, remove");
	if (optind + 1 < argc && (!add || !cli_percent(argv[optind + 1], &percent)))
		return cli_usage(cli, "parity add takes a share from 1%% to %d%%, not '%s'", PARITY_PERCENT_MAX,
			argv[optind + 1]);
	if (optind + 2 < argc)
		return cli_usage(cli, "parity takes no argument '%s'", argv[optind + 2]);
	return change(cli, add, percent, &e) < 0 ? cli_fail(cli, &e) : EXIT_DONE;
}

const struct command command_parity = {"parity", run, "parity add [N%] | remove",
	"parity, to restore damaged packs",
	"  add [N%]  make parity of N% (5%) for all packs, and from now on for new ones\n"
	"  remove    remove all of it\n\n"
	"'mcfs check --repair' restores packs with it.\n"};
