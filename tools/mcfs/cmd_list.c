/* mcfs list, info, tag: snapshots as a whole. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/snapshot/tree.h"
#include "engine/store/index.h"
#include "tools/mcfs/cli.h"
#include "tools/mcfs/session.h"

static void print_list(const struct snapshot_list *l)
{
	char added[16], bytes[16];
	for (size_t i = 0; i < l->n; i++) {
		const struct snapshot *sn = &l->v[i];
		printf("%-22s  %9s  %9s added  ", sn->name, cli_bytes(sn->bytes, bytes),
			cli_bytes(sn->added_bytes, added));
		cli_print_origin(sn);
		for (size_t k = 0; k < sn->n_tags; k++)
			printf("%s%s", k ? "," : "  +", sn->tags[k]);
		putchar('\n');
	}
}

static int run_list(struct cli *cli, int argc, char **argv)
{
	struct session s;
	struct err e = ERR_INIT;
	if (argc > 1)
		return cli_usage(cli, "list takes no argument '%s'", argv[1]);
	if (session_open(&s, cli, &e) < 0)
		return cli_fail(cli, &e);
	if (cli->json) {
		json_t *a = json_array();
		for (size_t i = 0; i < s.list.n; i++)
			json_array_append_new(a, cli_json_snapshot(&s.list.v[i]));
		cli_json(json_pack("{s:s, s:o}", "type", "summary", "snapshots", a));
	} else {
		print_list(&s.list);
	}
	int code = s.list.damaged ? EXIT_DAMAGED : EXIT_DONE;
	session_close(&s);
	return code;
}

const struct command command_list = {"list", run_list, "list", "list the snapshots, oldest first",
	NULL};

/* ---- info ---- */

static int sum_pack(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	uint64_t *sum = ctx;
	(void)id;
	(void)e;
	sum[0]++;
	sum[1] += size;
	return 0;
}

static int store_info(struct cli *cli, struct session *s, struct err *e)
{
	uint64_t packs[2] = {0}, blobs = 0, content = 0;
	char id[2 * ID_BYTES + 1], created[40], a[16], b[16];
	const struct store_config *cfg = store_config(s->store);
	int r = index_each_pack(store_index(s->store), sum_pack, packs, e);
	if (r == 0)
		r = index_count_blobs(store_index(s->store), &blobs, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->list.n; i++)
		content += s->list.v[i].bytes;
	hex_of(cfg->id.b, ID_BYTES, id);
	cli_time_iso((struct timestamp){cfg->created, 0}, created);
	const char *slack = cfg->slack == SLACK_DISCARD ? "discard" : "exact";
	if (cli->json)
		cli_json(json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I}", "id", id,
			"created", created, "slack", slack, "recompress",
			recompress_word(cfg->recompress), "format", STORE_FORMAT, "snapshots",
			(json_int_t)s->list.n, "packs", (json_int_t)packs[0], "pack_bytes",
			(json_int_t)packs[1], "blobs", (json_int_t)blobs, "snapshot_bytes",
			(json_int_t)content));
	else
		printf("store      %s\ncreated    %s\nslack      %s\nrecompress %s\nsnapshots  %zu, %s in all\n"
		       "packs      %llu, %s\nblobs      %llu\n",
			id, created, slack, recompress_word(cfg->recompress), s->list.n, cli_bytes(content, a),
			(unsigned long long)packs[0], cli_bytes(packs[1], b),
			(unsigned long long)blobs);
	return 0;
}

static void snapshot_info(struct cli *cli, const struct snapshot *sn)
{
	char id[2 * ID_BYTES + 1], t[32], t2[32], a[16], b[16];
	if (cli->json) {
		cli_json(cli_json_snapshot(sn));
		return;
	}
	printf("snapshot   %s\nid         %s\nbegun      %s\nended      %s\nby         ", sn->name,
		hex_of(sn->id.b, ID_BYTES, id), cli_time(sn->begin, t), cli_time(sn->end, t2));
	cli_print_name(stdout, sn->user, strlen(sn->user));
	fputs(" on ", stdout);
	cli_print_name(stdout, sn->host, strlen(sn->host));
	printf(", %s\n", sn->program);
	for (size_t i = 0; i < sn->n_sources; i++) {
		fputs("source     ", stdout);
		cli_print_name(stdout, sn->sources[i].path, strlen(sn->sources[i].path));
		fputs(" as ", stdout);
		cli_print_name(stdout, sn->sources[i].name, strlen(sn->sources[i].name));
		putchar('\n');
	}
	for (size_t i = 0; i < sn->n_tags; i++)
		printf("tag        %s\n", sn->tags[i]);
	printf("holds      %llu file%s in %llu director%s, %s\n"
	       "new        %llu file%s, %llu changed; %s added\n",
		(unsigned long long)sn->files, cli_s(sn->files), (unsigned long long)sn->dirs,
		sn->dirs == 1 ? "y" : "ies", cli_bytes(sn->bytes, a),
		(unsigned long long)sn->files_new, cli_s(sn->files_new),
		(unsigned long long)sn->files_changed, cli_bytes(sn->added_bytes, b));
	if (sn->files_unreadable || sn->files_restless)
		printf("problems   %llu not readable, %llu changed while read\n",
			(unsigned long long)sn->files_unreadable,
			(unsigned long long)sn->files_restless);
}

static int run_info(struct cli *cli, int argc, char **argv)
{
	struct session s;
	struct snapshot *sn;
	struct err e = ERR_INIT;
	if (argc > 2)
		return cli_usage(cli, "info takes at most one snapshot");
	int r = session_open(&s, cli, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	if (argc == 1)
		r = store_info(cli, &s, &e);
	else if ((r = snapshot_find(&s.list, argv[1], &sn, &e)) == 0)
		snapshot_info(cli, sn);
	int code = r < 0 ? cli_fail(cli, &e) : EXIT_DONE;
	session_close(&s);
	return code;
}

const struct command command_info = {"info", run_info, "info [SNAP]",
	"tell about the store or one snapshot", NULL};

/* ---- tag ---- */

static int change_tags(struct snapshot *sn, int n, char **changes, struct err *e)
{
	for (int i = 0; i < n; i++) {
		const char *c = changes[i];
		if ((c[0] != '+' && c[0] != '-') || !snapshot_tag_ok(c + 1))
			return err_set(e, E_USAGE, 0,
				"'%s' is no change of a tag: +TAG adds one, -TAG removes one", c);
		if (c[0] == '-')
			snapshot_tag_remove(sn, c + 1);
		else {
			int r = snapshot_tag_add(sn, c + 1, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int run_tag(struct cli *cli, int argc, char **argv)
{
	struct session s;
	struct snapshot *sn;
	struct err e = ERR_INIT;
	/* "-t" is a tag to remove, not an option. */
	int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
	if (argc - first < 2)
		return cli_usage(cli, "tag takes a snapshot and at least one +TAG or -TAG");
	int r = session_open(&s, cli, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	r = snapshot_find(&s.list, argv[first], &sn, &e);
	if (r == 0)
		r = change_tags(sn, argc - first - 1, argv + first + 1, &e);
	if (r == 0)
		r = snapshot_write(s.store, sn, true, &e);
	if (r == 0)
		snapshot_info(cli, sn);
	int code = r < 0 ? cli_fail(cli, &e) : EXIT_DONE;
	session_close(&s);
	return code;
}

const struct command command_tag = {"tag", run_tag, "tag SNAP +TAG.. -TAG..",
	"add tags to a snapshot or remove them", NULL};
