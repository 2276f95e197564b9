/* mcfs set: what later snapshots do, in the store's config. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/store/lock.h"
#include "tools/mcfs/cli.h"

#define LOCK_WAIT_SECONDS 20

int cli_edit_config(struct cli *cli, struct store *s, struct store_lock *lock,
	void (*edit)(struct config_edit *ed, const void *ctx), const void *ctx, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT, new = BUF_INIT;
	struct config_edit *ed = NULL;
	struct secret secret = {0};
	struct store_config cfg;
	unsigned kinds;
	/* Read under the lock: what another changed meanwhile must not get lost. */
	int r = store_config_read(store_place(s), &text, NULL, e);
	if (r == 0)
		r = config_peek(buf_span(&text), &cfg, &kinds, e);
	if (r == 0)
		r = cli_secret(cli, &cfg, kinds, &secret, e);
	if (r == 0)
		r = config_edit_open(&ed, buf_span(&text), &secret, e);
	if (r == 0) {
		edit(ed, ctx);
		r = config_edit_text(ed, &secret, &new, e);
	}
	if (r == 0)
		r = store_lock_check(lock, e);
	if (r == 0)
		r = store_config_replace(store_place(s), buf_span(&new), e);
	config_edit_free(ed);
	cli_secret_free(&secret);
	return r;
}

struct setting {
	bool slack, recompress; /* which of them */
	enum slack_mode slack_mode;
	enum recompress_mode recompress_mode;
};

static void apply(struct config_edit *ed, const void *ctx)
{
	const struct setting *v = ctx;
	if (v->slack)
		config_edit_slack(ed, v->slack_mode);
	if (v->recompress)
		config_edit_recompress(ed, v->recompress_mode);
}

static void on_wait(void *ctx, const struct lock_info *l)
{
	char text[LOCK_TEXT_CHARS];
	cli_note(ctx, "mcfs: waiting for %s", lock_text(l, text));
}

static int change(struct cli *cli, struct store *s, const struct setting *v, struct err *e)
{
	const struct lock_wait wait = {.seconds = LOCK_WAIT_SECONDS, .cancel = &cli_interrupted,
		.on_wait = on_wait, .ctx = cli};
	struct store_lock *lock = NULL;
	int r = store_lock_take(s, LOCK_EXCLUSIVE, "set", &wait, &lock, e);
	if (r == 0)
		r = cli_edit_config(cli, s, lock, apply, v, e);
	store_lock_release(lock);
	return r;
}

static void show(const struct cli *cli, const struct store_config *cfg)
{
	const char *slack = cfg->slack == SLACK_DISCARD ? "discard" : "exact";
	const char *recompress = recompress_word(cfg->recompress);
	if (cli->json)
		cli_json(json_pack("{s:s, s:s, s:s, s:i}", "type", "summary", "slack", slack, "recompress",
			recompress, "parity", (int)cfg->parity));
	else if (!cli->quiet)
		printf("slack %s\nrecompress %s\nparity %u%%\n", slack, recompress, cfg->parity);
}

static bool parse(int argc, char **argv, struct setting *v)
{
	if (argc != 2)
		return false;
	v->recompress = strcmp(argv[0], "recompress") == 0;
	v->slack = strcmp(argv[0], "slack") == 0;
	if (v->recompress)
		return recompress_parse(argv[1], &v->recompress_mode);
	v->slack_mode = strcmp(argv[1], "discard") == 0 ? SLACK_DISCARD : SLACK_EXACT;
	return v->slack && (v->slack_mode == SLACK_DISCARD || strcmp(argv[1], "exact") == 0);
}

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{0}};
	struct err e = ERR_INIT;
	struct setting v = {0};
	struct store *s = NULL;
	if (cli_getopt(cli, argc, argv, "", options, NULL) != -1)
		return EXIT_USAGE;
	bool any = optind < argc;
	if (any && !parse(argc - optind, argv + optind, &v))
		return cli_usage(cli, "set takes 'recompress' auto, now or later, or 'slack' exact or discard");
	int r = cli_open(cli, 0, &s, &e);
	if (r == 0 && any)
		r = change(cli, s, &v, &e);
	struct store_config cfg = {0};
	if (r == 0)
		cfg = *store_config(s);
	if (v.recompress)
		cfg.recompress = v.recompress_mode;
	if (v.slack)
		cfg.slack = v.slack_mode;
	int code = r < 0 ? cli_fail(cli, &e) : EXIT_DONE;
	if (r == 0)
		show(cli, &cfg);
	store_close(s);
	return code;
}

const struct command command_set = {"set", run, "set [recompress auto|now|later | slack exact|discard]",
	"what later snapshots do, in the store's config",
	"Without arguments: say what is set. The words are those of 'mcfs init'; snapshots that are there\n"
	"stay as they are. Parity is set with 'mcfs parity'.\n"};
