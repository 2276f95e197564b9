/* mcfs export: a snapshot as a tar on standard output. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/reader.h"
#include "engine/snapshot/tree.h"
#include "tools/mcfs/links.h"
#include "tools/mcfs/session.h"
#include "tools/mcfs/tarout.h"

#define READER_CACHE ((size_t)24 << 20)
#define BLOCK ((size_t)1 << 20)
#define SEGMENTS_MAX 65536 /* of a sparse file; what is behind counts as data */
#define NESTING_MAX 4096

struct export {
	const struct cli *cli;
	struct session *s;
	struct tarout *tar;
	struct buf path, block, zeros;
	struct links links;
	struct tar_segment *segments;
	size_t n_segments;
	unsigned nesting;
	uint64_t files, bytes, problems, damaged;
};

static const char *path_of(const struct export *x)
{
	return x->path.len ? (const char *)x->path.p : "/";
}

/* Say what is wrong with one thing and go on; what ends the run is passed up. */
static int problem(struct export *x, struct err *own, struct err *e)
{
	if (own->code == E_NOMEM || own->code == E_CANCELLED || tarout_failed(x->tar)) {
		*e = *own;
		return err_wrap(e, "export '%s'", path_of(x));
	}
	x->problems++;
	x->damaged += own->code == E_CORRUPT;
	cli_problem(x->cli, path_of(x), own);
	return 0;
}

/* ---- hard links ---- */

static bool is_linked(const struct entry *en)
{
	return en->type != NODE_DIR && en->nlink > 1;
}

/* Only what is really in the tar can be linked to. */
static int remember_link(struct export *x, const struct entry *en, struct err *e)
{
	if (!is_linked(en))
		return 0;
	return links_add(&x->links, en->dev, en->ino, en->nlink, path_of(x), e);
}

/* ---- the bytes of files ---- */

/* What of the file is data. False: it has no holes. */
static int find_segments(struct export *x, struct reader *rd, uint64_t size, bool *ret_sparse,
	struct err *e)
{
	struct coder *c = &x->s->coder;
	uint64_t hole, at = 0;
	x->n_segments = 0;
	int r = reader_seek(rd, c, 0, true, &hole, e);
	*ret_sparse = r == 0 && hole < size;
	while (r == 0 && *ret_sparse && at < size) {
		uint64_t end;
		r = reader_seek(rd, c, at, false, &at, e);
		if (r < 0 || at >= size)
			break;
		r = reader_seek(rd, c, at, true, &end, e);
		if (x->n_segments + 1 == SEGMENTS_MAX)
			end = size;
		if (r == 0)
			x->segments[x->n_segments++] = (struct tar_segment){at, end - at};
		at = end;
	}
	return r;
}

static int put_zeros(struct export *x, uint64_t n, struct err *e)
{
	int r = 0;
	while (n && r == 0) {
		size_t k = n < BLOCK ? (size_t)n : BLOCK;
		if (cli_interrupted)
			return err_set(e, E_CANCELLED, 0, "interrupted");
		r = tarout_data(x->tar, x->zeros.p, k, e);
		n -= k;
	}
	return r;
}

/* The header has promised all bytes: zeros stand in for those that cannot be had, and keep the tar
 * whole. *lost counts them, *why is the first reason. */
static int put_data(struct export *x, struct reader *rd, uint64_t off, uint64_t end,
	uint64_t *lost, struct err *why, struct err *e)
{
	while (off < end) {
		struct err own = ERR_INIT;
		size_t k = end - off < BLOCK ? (size_t)(end - off) : BLOCK, got;
		if (cli_interrupted)
			return err_set(e, E_CANCELLED, 0, "interrupted");
		int r = reader_pread(rd, &x->s->coder, off, x->block.p, k, &got, &own);
		if (r == E_NOMEM)
			return err_set(e, r, own.sys, "%s", own.msg);
		if (r < 0 && (*lost += k) == k)
			*why = own;
		r = r < 0 ? put_zeros(x, k, e) : tarout_data(x->tar, x->block.p, k, e);
		if (r < 0)
			return r;
		off += k;
	}
	return 0;
}

static int put_body(struct export *x, struct reader *rd, uint64_t size, bool sparse, struct err *e)
{
	const struct tar_segment all = {0, size}, *s = sparse ? x->segments : &all;
	size_t n = sparse ? x->n_segments : 1;
	struct err why = ERR_INIT;
	uint64_t at = 0, lost = 0;
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = put_zeros(x, s[i].off - at, e);
		at = s[i].off + s[i].len;
		if (r == 0)
			r = put_data(x, rd, s[i].off, at, &lost, &why, e);
	}
	if (r == 0)
		r = put_zeros(x, size - at, e);
	if (r == 0 && lost) {
		err_wrap(&why, "zeros stand in for %llu bytes of it in the tar",
			(unsigned long long)lost);
		r = problem(x, &why, e);
	}
	return r;
}

static int export_file(struct export *x, const struct entry *en, struct err *e)
{
	struct err own = ERR_INIT;
	struct reader *rd = NULL;
	struct coder *c = &x->s->coder;
	bool sparse = false;
	size_t n;
	int r = en->damaged ? err_set(&own, E_FORMAT, 0,
				      "could not be read when the snapshot was made")
			    : reader_open(&rd, x->s->store, c, &en->content, en->size, READER_CACHE,
				      &own);
	/* Most damage shows here, where the file can still be left out. */
	if (r == 0)
		r = reader_pread(rd, c, 0, x->block.p, BLOCK, &n, &own);
	if (r == 0)
		r = find_segments(x, rd, en->size, &sparse, &own);
	if (r == 0)
		r = tarout_entry(x->tar, en, path_of(x), NULL, sparse ? x->segments : NULL,
			x->n_segments, &own);
	if (r < 0) {
		reader_close(rd);
		return problem(x, &own, e);
	}
	r = put_body(x, rd, en->size, sparse, e);
	reader_close(rd);
	x->files++;
	x->bytes += en->size;
	cli_progress(x->cli, "export:", x->files, x->bytes, path_of(x));
	return r < 0 ? r : remember_link(x, en, e);
}

/* ---- the tree ---- */

static int walk(struct export *x, const struct content *dir, struct err *e);

static int export_entry(struct export *x, const struct entry *en, struct err *e)
{
	struct err own = ERR_INIT;
	const char *first = is_linked(en) ? links_find(&x->links, en->dev, en->ino) : NULL;
	if (cli_interrupted)
		return err_set(e, E_CANCELLED, 0, "interrupted");
	if (en->type == NODE_FILE && !first)
		return export_file(x, en, e);
	int r = tarout_entry(x->tar, en, path_of(x), first, NULL, 0, &own);
	if (r < 0)
		return problem(x, &own, e);
	if (first)
		links_use(&x->links, en->dev, en->ino);
	else
		r = remember_link(x, en, e);
	return r == 0 && en->type == NODE_DIR ? walk(x, &en->content, e) : r;
}

static int path_push(struct export *x, struct span name, size_t *mark, struct err *e)
{
	*mark = x->path.len;
	int r = buf_reserve(&x->path, name.n + 2, e);
	if (r < 0)
		return r;
	if (x->path.len)
		x->path.p[x->path.len++] = '/';
	memcpy(x->path.p + x->path.len, name.p, name.n);
	x->path.len += name.n;
	x->path.p[x->path.len] = 0;
	return 0;
}

static void path_pop(struct export *x, size_t mark)
{
	x->path.len = mark;
	x->path.p[mark] = 0;
}

struct frame {
	struct tree_iter it;
	struct entry en;
};

/* A directory that cannot be read to its end is a problem of its own; others go on. */
static int walk(struct export *x, const struct content *dir, struct err *e)
{
	struct err own = ERR_INIT;
	size_t mark;
	CLEANUP_FREE struct frame *f = calloc(1, sizeof *f);
	if (!f)
		return err_set(e, E_NOMEM, 0, "no memory for a directory");
	if (x->nesting == NESTING_MAX) {
		err_set(&own, E_UNSUPPORTED, 0, "directories are nested too deep");
		return problem(x, &own, e);
	}
	int r = 0, more = tree_iter_open(&f->it, x->s->store, &x->s->coder, dir, 0, &own);
	if (more < 0)
		return problem(x, &own, e);
	x->nesting++;
	while (r == 0 && (more = tree_iter_next(&f->it, &f->en, &own)) == 1) {
		r = path_push(x, f->en.name, &mark, e);
		if (r == 0) {
			r = export_entry(x, &f->en, e);
			path_pop(x, mark);
		}
	}
	x->nesting--;
	tree_iter_close(&f->it);
	return r == 0 && more < 0 ? problem(x, &own, e) : r;
}

/* As restore: the thing itself by its name, or with a '/' at the end what is in it. */
static int export_place(struct export *x, const char *path, struct entry *en, struct err *e)
{
	size_t n = strlen(path), mark, start;
	if (n == 0 || path[n - 1] == '/')
		return en->type == NODE_DIR
			       ? walk(x, &en->content, e)
			       : err_set(e, E_NOTFOUND, 0, "'%s' is not a directory", path);
	for (start = n; start && path[start - 1] != '/'; start--)
		;
	int r = path_push(x, span_of(path + start, n - start), &mark, e);
	return r < 0 ? r : export_entry(x, en, e);
}

/* ---- the command ---- */

static int export_init(struct export *x, struct err *e)
{
	int r = buf_reserve(&x->path, 4096, e);
	if (r == 0) {
		x->path.p[0] = 0;
		r = buf_reserve_exact(&x->block, BLOCK, e);
	}
	if (r == 0)
		r = buf_add_zero(&x->zeros, BLOCK, e);
	x->segments = calloc(SEGMENTS_MAX, sizeof *x->segments);
	if (r == 0 && !x->segments)
		r = err_set(e, E_NOMEM, 0, "no memory to export");
	return r < 0 ? r : tarout_open(&x->tar, STDOUT_FILENO, e);
}

static void export_free(struct export *x)
{
	tarout_free(x->tar);
	links_free(&x->links);
	free(x->segments);
	buf_free(&x->path);
	buf_free(&x->block);
	buf_free(&x->zeros);
}

static int export_all(struct export *x, char *spec, struct err *e)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct snapshot *sn;
	struct entry en;
	const char *path;
	int r = session_resolve(x->s, spec, &sn, &path, &en, &hold, e);
	if (r == 0)
		r = export_init(x, e);
	if (r == 0)
		r = export_place(x, path, &en, e);
	return r < 0 ? r : tarout_finish(x->tar, e);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct cli plain_cli = *cli;
	struct session s;
	struct export x = {.cli = &plain_cli, .s = &s};
	struct err e = ERR_INIT;
	char b[16];
	plain_cli.json = false; /* standard output is the tar's */
	if (cli_getopt(cli, argc, argv, "", NULL, NULL) != -1)
		return EXIT_USAGE;
	if (argc - optind != 1)
		return cli_usage(&plain_cli, "export takes one SNAP or SNAP:PATH");
	if (isatty(STDOUT_FILENO))
		return cli_usage(&plain_cli,
			"a tar is not for a terminal: send standard output into a file or a pipe");
	int r = session_open(&s, &plain_cli, &e);
	if (r < 0)
		return cli_fail(&plain_cli, &e);
	r = export_all(&x, argv[optind], &e);
	cli_progress_end(&plain_cli);
	int code = r < 0	? cli_fail(&plain_cli, &e)
		   : x.damaged	? EXIT_DAMAGED
		   : x.problems ? EXIT_PARTLY
				: EXIT_DONE;
	if (r == 0 && cli->verbose)
		cli_note(&plain_cli, "exported %llu file%s, %s", (unsigned long long)x.files,
			cli_s(x.files), cli_bytes(x.bytes, b));
	export_free(&x);
	session_close(&s);
	return code;
}

const struct command command_export = {"export", run, "export SNAP[:PATH] >FILE.tar",
	"write files of a snapshot as a tar to standard output",
	"  The thing named by PATH is in the tar under its own name; with a '/' at PATH's end,\n"
	"  what is in the directory. 'tar --xattrs --acls -xpf FILE.tar' restores all metadata.\n"
	"  Files that cannot be read are named and left out; when only a later part of one is\n"
	"  damaged, zeros stand in for that part.\n"};
