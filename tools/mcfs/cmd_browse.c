/* mcfs ls, cat, find: look into snapshots. */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/snapshot/reader.h"
#include "engine/snapshot/tree.h"
#include "tools/mcfs/session.h"

/* ---- walking a snapshot's tree ---- */

typedef int (*visit_fn)(void *ctx, const char *path, const struct entry *en, struct err *e);

struct visit {
	struct session *s;
	bool deep; /* directories in directories as well */
	visit_fn fn;
	void *ctx;
	struct buf path; /* of what is looked at */
	unsigned depth;
};

static int visit(struct visit *v, const struct content *dir, struct err *e)
{
	struct buf *path = &v->path;
	struct tree_iter it;
	struct entry en;
	/* Somebody may have made a directory that is in itself. */
	if (v->depth == TREE_DEPTH_MAX)
		return err_set(e, E_CORRUPT, 0, "directories are nested deeper than a snapshot can be");
	int r = tree_iter_open(&it, v->s->store, &v->s->coder, dir, 0, e);
	if (r < 0)
		return r;
	v->depth++;
	while ((r = tree_iter_next(&it, &en, e)) == 1) {
		size_t mark = path->len;
		if (cli_interrupted) {
			r = err_set(e, E_CANCELLED, 0, "interrupted");
			break;
		}
		if (mark)
			r = buf_add(path, "/", 1, e);
		if (r >= 0)
			r = buf_add(path, en.name.p, en.name.n, e);
		if (r >= 0)
			r = buf_add(path, "", 1, e);
		if (r >= 0) {
			path->len--;
			r = v->fn(v->ctx, (const char *)path->p, &en, e);
		}
		if (r == 0 && v->deep && en.type == NODE_DIR)
			r = visit(v, &en.content, e);
		path->len = mark;
		if (r < 0)
			break;
	}
	v->depth--;
	tree_iter_close(&it);
	return r < 0 ? r : 0;
}

/* ---- ls ---- */

struct ls {
	struct cli *cli;
	bool longer;
	json_t *entries;
};

static const char *const type_words[] = {"", "file", "directory", "symlink", "fifo", "char", "block",
	"socket"};

static json_t *json_entry(const char *path, const struct entry *en)
{
	char t[40];
	json_t *j = json_pack("{s:o, s:s, s:I, s:s, s:i, s:I, s:I}", "path",
		cli_json_string(path, strlen(path)), "type", type_words[en->type], "size",
		(json_int_t)en->size, "mtime", cli_time_iso(en->mtime, t), "mode", (int)en->mode,
		"uid", (json_int_t)en->uid, "gid", (json_int_t)en->gid);
	if (en->type == NODE_SYMLINK)
		json_object_set_new(j, "target",
			cli_json_string((const char *)en->target.p, en->target.n));
	if (en->damaged)
		json_object_set_new(j, "damaged", json_true());
	return j;
}

static void print_mode(const struct entry *en)
{
	static const char types[] = "?-dlpcbs", bits[] = "rwxrwxrwx";
	char m[11] = {types[en->type]};
	for (int i = 0; i < 9; i++)
		m[i + 1] = en->mode >> (8 - i) & 1 ? bits[i] : '-';
	if (en->mode & 04000)
		m[3] = m[3] == 'x' ? 's' : 'S';
	if (en->mode & 02000)
		m[6] = m[6] == 'x' ? 's' : 'S';
	if (en->mode & 01000)
		m[9] = m[9] == 'x' ? 't' : 'T';
	fputs(m, stdout);
}

static int print_entry(void *ctx, const char *path, const struct entry *en, struct err *e)
{
	struct ls *l = ctx;
	char t[32];
	(void)e;
	if (l->entries) {
		json_array_append_new(l->entries, json_entry(path, en));
		return 0;
	}
	if (l->longer) {
		print_mode(en);
		printf(" %3u %5u %5u %12llu %s ", en->nlink, en->uid, en->gid,
			(unsigned long long)en->size, cli_time(en->mtime, t));
	}
	cli_print_name(stdout, path, strlen(path));
	if (l->longer && en->type == NODE_SYMLINK) {
		fputs(" -> ", stdout);
		cli_print_name(stdout, (const char *)en->target.p, en->target.n);
	} else if (!l->longer && en->type == NODE_DIR) {
		putchar('/');
	}
	if (en->damaged)
		fputs(" (could not be read)", stdout);
	putchar('\n');
	return 0;
}

static int run_ls(struct cli *cli, int argc, char **argv)
{
	struct ls l = {.cli = cli};
	struct session s;
	struct visit v = {.s = &s, .fn = print_entry, .ctx = &l};
	int o;
	while ((o = cli_getopt(cli, argc, argv, "lR", NULL, NULL)) != -1) {
		if (o == 'l')
			l.longer = true;
		else if (o == 'R')
			v.deep = true;
		else
			return EXIT_USAGE;
	}
	if (argc - optind != 1)
		return cli_usage(cli, "ls takes one SNAP or SNAP:PATH");
	struct snapshot *sn;
	struct entry en;
	struct err e = ERR_INIT;
	const char *path;
	CLEANUP_PLAIN struct plain *hold = NULL;
	int r = session_open(&s, cli, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	l.entries = cli->json ? json_array() : NULL;
	r = session_resolve(&s, argv[optind], &sn, &path, &en, &hold, &e);
	if (r == 0 && en.type != NODE_DIR)
		r = print_entry(&l, path, &en, &e);
	else if (r == 0)
		r = visit(&v, &en.content, &e);
	if (r == 0 && cli->json)
		cli_json(json_pack("{s:s, s:O}", "snapshot", sn->name, "entries", l.entries));
	json_decref(l.entries);
	int code = r < 0 ? cli_fail(cli, &e) : EXIT_DONE;
	buf_free(&v.path);
	plain_unref(TAKE_PTR(hold));
	session_close(&s);
	return code;
}

const struct command command_ls = {"ls", run_ls, "ls [-l] [-R] SNAP[:PATH]",
	"list a directory of a snapshot",
	"  -l  with mode, links, owner, group, size and time\n"
	"  -R  and all directories below\n"};

/* ---- cat ---- */

static int cat(struct session *s, const struct entry *en, struct err *e)
{
	struct reader *rd;
	CLEANUP_BUF struct buf b = BUF_INIT;
	if (en->type != NODE_FILE)
		return err_set(e, E_USAGE, 0, "only the bytes of files can be shown");
	if (en->damaged)
		return err_set(e, E_FORMAT, 0, "could not be read when the snapshot was made");
	int r = reader_open(&rd, s->store, &s->coder, &en->content, en->size, (size_t)24 << 20, e);
	if (r < 0)
		return r;
	r = buf_reserve(&b, (size_t)1 << 18, e);
	for (uint64_t off = 0; r == 0 && off < en->size;) {
		size_t n;
		r = reader_pread(rd, &s->coder, off, b.p, (size_t)1 << 18, &n, e);
		if (r == 0)
			r = io_write(STDOUT_FILENO, b.p, n, "standard output", e);
		off += n;
	}
	reader_close(rd);
	return r;
}

static int run_cat(struct cli *cli, int argc, char **argv)
{
	if (cli_getopt(cli, argc, argv, "", NULL, NULL) != -1)
		return EXIT_USAGE;
	if (argc - optind != 1 || !strchr(argv[optind], ':'))
		return cli_usage(cli, "cat takes one SNAP:PATH");
	struct session s;
	struct snapshot *sn;
	struct entry en;
	struct err e = ERR_INIT;
	const char *path;
	CLEANUP_PLAIN struct plain *hold = NULL;
	int r = session_open(&s, cli, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	r = session_resolve(&s, argv[optind], &sn, &path, &en, &hold, &e);
	if (r == 0 && cat(&s, &en, &e) < 0)
		r = err_wrap(&e, "'%s'", path);
	struct cli plain_cli = *cli;
	plain_cli.json = false; /* standard output is the file's */
	int code = r < 0 ? cli_fail(&plain_cli, &e) : EXIT_DONE;
	plain_unref(TAKE_PTR(hold));
	session_close(&s);
	return code;
}

const struct command command_cat = {"cat", run_cat, "cat SNAP:PATH",
	"write a file of a snapshot to standard output", NULL};

/* ---- find ---- */

struct find {
	struct cli *cli;
	const char *pattern;
	const struct snapshot *sn;
	json_t *found;
	uint64_t n;
};

static int match_entry(void *ctx, const char *path, const struct entry *en, struct err *e)
{
	struct find *f = ctx;
	const char *slash = strrchr(path, '/');
	const char *what = strchr(f->pattern, '/') || !slash ? path : slash + 1;
	char t[32];
	(void)e;
	if (fnmatch(f->pattern, what, 0) != 0)
		return 0;
	f->n++;
	if (f->found) {
		json_t *j = json_entry(path, en);
		json_object_set_new(j, "snapshot", json_string(f->sn->name));
		json_array_append_new(f->found, j);
		return 0;
	}
	printf("%s  %12llu  %s  ", f->sn->name, (unsigned long long)en->size,
		cli_time(en->mtime, t));
	cli_print_name(stdout, path, strlen(path));
	putchar('\n');
	return 0;
}

static int run_find(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"snapshot", required_argument, NULL, 's'}, {0}};
	const char *only = NULL;
	int o;
	while ((o = cli_getopt(cli, argc, argv, "", options, NULL)) != -1) {
		if (o != 's')
			return EXIT_USAGE;
		only = optarg;
	}
	if (argc - optind != 1)
		return cli_usage(cli, "find takes one pattern");
	struct session s;
	struct find f = {.cli = cli, .pattern = argv[optind]};
	struct visit v = {.s = &s, .deep = true, .fn = match_entry, .ctx = &f};
	struct snapshot *one = NULL;
	struct err e = ERR_INIT;
	int r = session_open(&s, cli, &e);
	if (r < 0)
		return cli_fail(cli, &e);
	if (only)
		r = snapshot_find(&s.list, only, &one, &e);
	f.found = cli->json ? json_array() : NULL;
	for (size_t i = 0; i < s.list.n && r == 0; i++) {
		f.sn = &s.list.v[i];
		if (!one || one == f.sn)
			r = visit(&v, &f.sn->root, &e);
	}
	if (r == 0 && cli->json)
		cli_json(json_pack("{s:O}", "found", f.found));
	json_decref(f.found);
	int code = r < 0 ? cli_fail(cli, &e) : f.n ? EXIT_DONE : EXIT_FAILED;
	if (r == 0 && f.n == 0)
		cli_note(cli, "nothing matches '%s'", f.pattern);
	buf_free(&v.path);
	session_close(&s);
	return code;
}

const struct command command_find = {"find", run_find, "find [--snapshot SNAP] PATTERN",
	"find files by name in all snapshots",
	"  PATTERN is a glob for the name, or with a '/' for the whole path; * also matches '/'\n"
	"  --snapshot SNAP  look only there\n"
	"Nothing found: exit code 1.\n"};
