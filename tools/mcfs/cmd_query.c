/* mcfs query: which chunks of a world match. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/prune/find.h"
#include "engine/prune/scan.h"
#include "tools/mcfs/world.h"

struct args {
	struct cli *cli;
	const char *world, *snapshot, *csv, *within;
	bool count;
	struct find_options find;
};

/* ---- output ---- */

static int print_chunk(const struct found_dim *d, bool label, int32_t x, int32_t z)
{
	if (label) {
		CLEANUP_FREE char *name = scan_dim_label(&d->dim);
		cli_print_name(stdout, name ? name : "", name ? strlen(name) : 0);
		putchar('/');
	}
	return printf("c.%d.%d\n", x, z);
}

static void each_chunk(const struct args *a, const struct found_dim *d, bool label, json_t *list)
{
	size_t n;
	const struct selection_region *v = selection_regions(d->match, &n);
	(void)a;
	for (size_t i = 0; i < n; i++)
		for (int k = 0; k < 1024; k++) {
			int32_t x = v[i].x * 32 + k % 32, z = v[i].z * 32 + k / 32;
			if (!(v[i].bits[k / 8] >> (k & 7) & 1))
				continue;
			if (list)
				json_array_append_new(list,
					json_pack("[I,I]", (json_int_t)x, (json_int_t)z));
			else
				print_chunk(d, label, x, z);
		}
}

static json_t *json_dim(const struct args *a, const struct found_dim *d)
{
	json_t *chunks = a->count ? NULL : json_array();
	if (chunks)
		each_chunk(a, d, false, chunks);
	json_t *j = json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "world",
		cli_json_string(d->dim.world, strlen(d->dim.world)), "dimension",
		cli_json_string(d->dim.name, strlen(d->dim.name)), "looked_at",
		(json_int_t)d->chunks, "matches", (json_int_t)d->matches, "bytes",
		(json_int_t)d->bytes, "selected", (json_int_t)selection_count(d->match), "damaged",
		(json_int_t)d->damaged);
	if (chunks)
		json_object_set_new(j, "chunks", chunks);
	return j;
}

static void print_text(const struct args *a, const struct found *f)
{
	char bytes[16], n[48];
	for (size_t i = 0; i < f->n && !a->count && !a->csv; i++)
		each_chunk(a, &f->v[i], f->n > 1, NULL);
	for (size_t i = 0; i < f->n && !a->cli->quiet; i++) {
		const struct found_dim *d = &f->v[i];
		CLEANUP_FREE char *name = scan_dim_label(&d->dim);
		FILE *to = a->count || a->csv ? stdout : stderr;
		cli_print_name(to, name ? name : "", name ? strlen(name) : 0);
		fprintf(to, ": %llu of %s (%s)", (unsigned long long)d->matches,
			cli_count(d->chunks, "chunk", n), cli_bytes(d->bytes, bytes));
		uint64_t all = selection_count(d->match);
		if (all != d->matches)
			fprintf(to, ", %llu selected", (unsigned long long)all);
		if (d->damaged)
			fprintf(to, ", %llu damaged", (unsigned long long)d->damaged);
		fputc('\n', to);
	}
}

static void print_json(const struct args *a, const struct found *f)
{
	json_t *list = json_array();
	for (size_t i = 0; i < f->n; i++)
		json_array_append_new(list, json_dim(a, &f->v[i]));
	cli_json(json_pack("{s:o}", "dimensions", list));
}

static int write_csv(const struct args *a, const struct found *f, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	if (f->n > 1)
		return err_set(e, E_USAGE, 0,
			"a CSV file holds the chunks of one dimension: choose it with --dimension");
	if (f->n == 0)
		return err_set(e, E_NOTFOUND, 0, "there are no chunks in '%s'",
			a->world ? a->world : a->snapshot);
	int r = selection_format(f->v[0].match, &b, e);
	if (r < 0)
		return r;
	if (strcmp(a->csv, "-") == 0)
		return io_write(STDOUT_FILENO, b.p, b.len, "standard output", e);
	return io_write_file(AT_FDCWD, a->csv, buf_span(&b), 0644, false, e);
}

/* ---- running ---- */

static int query(struct args *a, struct err *e)
{
	struct cli_world w;
	struct found f;
	CLEANUP_SELECTION struct selection *within = NULL;
	int r = a->within ? selection_load(&within, a->within, e) : 0;
	a->find.within = within;
	if (r < 0)
		return r;
	r = cli_world_open(&w, a->cli, a->world, a->snapshot, e);
	if (r < 0)
		return r;
	r = find_chunks(w.source, &a->find, &f, e);
	if (r == 0) {
		if (a->csv)
			r = write_csv(a, &f, e);
		if (r == 0 && a->cli->json)
			print_json(a, &f);
		else if (r == 0 && !(a->csv && strcmp(a->csv, "-") == 0))
			print_text(a, &f);
		found_free(&f);
	}
	cli_world_close(&w);
	return r;
}

static bool number(const char *s, unsigned most, unsigned *ret)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);
	*ret = (unsigned)v;
	return *s >= '0' && *s <= '9' && !*end && v <= most;
}

static int parse(struct args *a, int argc, char **argv)
{
	static const struct option options[] = {{"world", required_argument, NULL, 'w'},
		{"dimension", required_argument, NULL, 'd'},
		{"snapshot", required_argument, NULL, 'S'}, {"csv", required_argument, NULL, 'o'},
		{"selection", required_argument, NULL, 'i'}, {"radius", required_argument, NULL, 'r'},
		{"keep-radius", required_argument, NULL, 'k'}, {"count", no_argument, NULL, 'c'},
		{"quick", no_argument, NULL, 'Q'}, {"now", required_argument, NULL, 'n'},
		{"threads", required_argument, NULL, 'j'}, {0}};
	int o;
	while ((o = cli_getopt(a->cli, argc, argv, "w:d:S:o:r:cj:", options, NULL)) != -1) {
		char *end;
		switch (o) {
		case 'w':
			a->world = optarg;
			break;
		case 'd':
			a->find.dimension = strncmp(optarg, "minecraft:", 10) ? optarg : optarg + 10;
			break;
		case 'S':
			a->snapshot = optarg;
			break;
		case 'o':
			a->csv = optarg;
			break;
		case 'i':
			a->within = optarg;
			break;
		case 'r':
			if (!number(optarg, 128, &a->find.grow))
				return cli_usage(a->cli, "--radius wants 0 to 128 chunks");
			break;
		case 'k':
			if (!number(optarg, 128, &a->find.keep_radius))
				return cli_usage(a->cli, "--keep-radius wants 0 to 128 chunks");
			break;
		case 'c':
			a->count = true;
			break;
		case 'Q':
			a->find.quick = true;
			break;
		case 'n':
			a->find.now = strtoll(optarg, &end, 10);
			if (*end || a->find.now <= 0)
				return cli_usage(a->cli, "--now wants seconds since 1970");
			break;
		case 'j':
			if (!number(optarg, 1024, &a->find.threads))
				return cli_usage(a->cli, "--threads wants a number");
			break;
		default:
			return EXIT_USAGE;
		}
	}
	if (!a->world && !a->snapshot)
		return cli_usage(a->cli, "query needs --world DIR, or --snapshot SNAP");
	if (argc - optind != 1)
		return cli_usage(a->cli, "query takes one query; put it in quotes");
	a->find.query = argv[optind];
	return EXIT_DONE;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct args a = {.cli = cli, .find = {.cancel = &cli_interrupted}};
	struct err e = ERR_INIT;
	int code = parse(&a, argc, argv);
	if (code != EXIT_DONE)
		return code;
	return query(&a, &e) < 0 ? cli_fail(cli, &e) : EXIT_DONE;
}

const struct command command_query = {"query", run,
	"query --world DIR [--dimension D] [--snapshot SNAP] [--csv FILE] 'QUERY'",
	"which chunks of a world match a query",
	"  -w, --world DIR       the world; with --snapshot: the one that is there under that name\n"
	"  -d, --dimension D     only this dimension: overworld, the_nether, the_end, mod/place\n"
	"  -S, --snapshot SNAP   in a snapshot instead of the directory\n"
	"  -o, --csv FILE        write the chunks as MCA Selector's selection; '-': to the output\n"
	"      --selection FILE  look only at the chunks of this selection\n"
	"  -r, --radius N        then also all chunks this near to a match\n"
	"      --keep-radius N   then without the chunks this near to one that does not match\n"
	"  -c, --count           only how many\n"
	"      --quick           do not read matching chunks to their end to see damage\n"
	"      --now SECONDS     what Age counts from\n"
	"  -j, --threads N       how many; one a processor\n"
	"The language is MCA Selector's: 'InhabitedTime < 5 minutes AND Age > 30 days'. See\n"
	"mcfs-query(1).\n"};
