/* mcfs init: make a store. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "tools/mcfs/cli.h"

/* No passphrase was given: make a key file where it cannot be taken along with the store. */
static int make_keyfile(struct cli *cli, const struct id *id, struct secret *secret, char **ret_path,
	struct err *e)
{
	char *path = cli_key_path(cli, id);
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	int r = cli_keyfile_make(path, id, secret, e);
	if (r == 0)
		*ret_path = path;
	else
		free(path);
	return r;
}

static int create(struct cli *cli, struct store_config *cfg, char **ret_keyfile, struct err *e)
{
	struct object_place *place;
	struct secret secret = {0};
	int r = object_dir_open(&place, cli->store, true, e);
	if (r < 0)
		return r;
	crypto_random(cfg->id.b, ID_BYTES);
	r = cli_secret(cli, NULL, 0, &secret, e);
	if (r == 0 && !secret.value.p)
		r = make_keyfile(cli, &cfg->id, &secret, ret_keyfile, e);
	if (r == 0)
		r = store_create(place, cfg, &secret, e);
	if (r < 0 && *ret_keyfile)
		unlink(*ret_keyfile); /* opens nothing */
	cli_secret_free(&secret);
	object_place_free(place);
	return r;
}

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"slack", required_argument, NULL, 's'},
		{"recompress", required_argument, NULL, 'r'},
		{"parity", required_argument, NULL, 'p'}, {0}};
	struct store_config cfg = {.slack = SLACK_EXACT, .recompress = RECOMPRESS_AUTO};
	struct err e = ERR_INIT;
	CLEANUP_FREE char *keyfile = NULL;
	int o;
	while ((o = cli_getopt(cli, argc, argv, "", options, NULL)) != -1) {
		if (o == 'r' && !recompress_parse(optarg, &cfg.recompress))
			return cli_usage(cli, "--recompress is 'auto', 'now' or 'later', not '%s'", optarg);
		if (o == 'p' && !cli_percent(optarg, &cfg.parity))
			return cli_usage(cli, "--parity is a share from 1%% to %d%%, not '%s'",
				PARITY_PERCENT_MAX, optarg);
		if (o == 'r' || o == 'p')
			continue;
		if (o != 's')
			return EXIT_USAGE;
		if (strcmp(optarg, "exact") != 0 && strcmp(optarg, "discard") != 0)
			return cli_usage(cli, "--slack is 'exact' or 'discard', not '%s'", optarg);
		cfg.slack = optarg[0] == 'd' ? SLACK_DISCARD : SLACK_EXACT;
	}
	if (optind < argc && (!cli->store || !*cli->store))
		cli->store = argv[optind++];
	if (optind < argc)
		return cli_usage(cli, "init takes no argument '%s'", argv[optind]);
	if (!cli->store || !*cli->store)
		return cli_usage(cli, "no store is named: use -s STORE or MCFS_STORE");
	if (create(cli, &cfg, &keyfile, &e) < 0)
		return cli_fail(cli, &e);
	char hex[2 * ID_BYTES + 1];
	hex_of(cfg.id.b, ID_BYTES, hex);
	if (cli->json) {
		json_t *j = json_pack("{s:s, s:s, s:o, s:s, s:s}", "type", "summary", "id", hex,
			"store", cli_json_string(cli->store, strlen(cli->store)), "slack",
			cfg.slack == SLACK_DISCARD ? "discard" : "exact", "recompress",
			recompress_word(cfg.recompress));
		if (keyfile)
			json_object_set_new(j, "key_file", cli_json_string(keyfile, strlen(keyfile)));
		cli_json(j);
	} else if (!cli->quiet) {
		printf("store %s made in %s\n", hex, cli->store);
		if (keyfile)
			printf("key file %s\n"
			       "Without this file the backups cannot be read: keep a copy of it apart "
			       "from the store.\n", keyfile);
	}
	return EXIT_DONE;
}

const struct command command_init = {"init", run, 
	"-s STORE init [--slack exact|discard] [--recompress auto|now|later] [--parity N%]",
	"make a new store",
	"  --slack exact    keep every byte of region files (the default)\n"
	"  --slack discard  bytes that belong to no chunk come back as zeros: a third less space\n"
	"  --recompress now    compress new chunks as well as possible at once\n"
	"  --recompress later  store them as they are, which is quicker; they are compressed\n"
	"                   when they change or with 'mcfs compact'\n"
	"  --recompress auto   at once up to 8 MiB a snapshot, the rest later (the default)\n"
	"  --parity N%        N% more space, and 'check --repair' restores damage up to about N%\n"
	"                   of a pack (see 'mcfs parity')\n\n"
	"With MCFS_PASSPHRASE, MCFS_PASSPHRASE_FILE, MCFS_PASSPHRASE_COMMAND or MCFS_KEY_FILE set,\n"
	"that opens the store; without any of them a key file is made, and init says where.\n"};
