/* mcfs world: what a world is made of. */
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/session_lock.h"
#include "engine/base/cleanup.h"
#include "engine/prune/find.h"
#include "engine/prune/scan.h"
#include "tools/mcfs/world.h"

struct totals {
	uint64_t files, chunks, used, apparent, disk, payloads;
};

struct dim_report {
	struct world_dim *dim; /* belongs to the worlds */
	char *label;
	const char *layout;
	struct totals kind[SOURCE_KINDS];
	uint64_t damaged;
	bool looked; /* for damage */
};

struct args {
	struct cli *cli;
	const char *world, *snapshot;
	bool check;
};

/* ---- looking ---- */

static int look_at_file(struct source *s, const struct world_dim *d, enum source_kind k,
	const struct source_region_name *n, struct totals *t, struct err *e)
{
	CLEANUP_SOURCE_REGION struct source_region *reg = NULL;
	int r = source_region_open(s, d, k, n->x, n->z, &reg, e);
	if (r < 0)
		return r == E_NOTFOUND ? 0 : r;
	t->files++;
	t->apparent += reg->st.size;
	t->disk += reg->st.disk;
	for (unsigned slot = 0; slot < REGION_SLOTS; slot++)
		if (source_has_chunk(reg, slot)) {
			t->chunks++;
			t->used += (uint64_t)region_entry_at(reg->header, slot).count * REGION_SECTOR;
		}
	return 0;
}

static const char *layout_of(const struct world_dim *d)
{
	const char *below = d->folder + strlen(d->world);
	below += *below == '/';
	if (strncmp(below, "dimensions/minecraft/", 21) == 0)
		return "26.1";
	if (strncmp(below, "dimensions/", 11) == 0)
		return "datapack or mod";
	return *below ? "classic" : "classic, its own folder";
}

static int look_at_dim(struct source *s, struct dim_report *d, struct err *e)
{
	struct source_regions all;
	int r = source_regions(s, d->dim, &all, e);
	d->layout = layout_of(d->dim);
	d->label = scan_dim_label(d->dim);
	if (r == 0 && !d->label)
		r = err_set(e, E_NOMEM, 0, "no memory for a report");
	for (size_t i = 0; r == 0 && i < all.n; i++)
		for (unsigned k = 0; k < SOURCE_KINDS && r == 0; k++)
			if (cli_interrupted)
				r = err_set(e, E_CANCELLED, 0, "interrupted");
			else if (all.v[i].kinds & 1u << k)
				r = look_at_file(s, d->dim, (enum source_kind)k, &all.v[i],
					&d->kind[k], e);
	source_regions_free(&all);
	return r;
}

/* Each chunk is read to its end. */
static int look_for_damage(struct source *s, struct dim_report *v, size_t n, struct err *e)
{
	struct find_options o = {.query = "Damaged", .cancel = &cli_interrupted};
	struct found f;
	int r = find_chunks(s, &o, &f, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < f.n; i++)
		for (size_t k = 0; k < n; k++)
			if (strcmp(v[k].dim->world, f.v[i].dim.world) == 0 &&
				strcmp(v[k].dim->name, f.v[i].dim.name) == 0) {
				v[k].damaged = f.v[i].matches;
				v[k].looked = true;
			}
	found_free(&f);
	return 0;
}

/* ---- who uses it ---- */

/* "" when nobody does. */
static int in_use(const struct args *a, const char *world, char *out, size_t size, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	struct session_user user = {0};
	bool used = false;
	*out = 0;
	if (a->snapshot)
		return 0;
	if (asprintf(&path, "%s%s%s", a->world, *world ? "/" : "", world) < 0) {
		path = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	int r = session_lock_test(path, &used, &user, e);
	if (r < 0 || !used)
		return r;
	const char *how = user.has_lock ? "holds its session.lock" : "has region files open";
	if (user.pid)
		snprintf(out, size, "process %ld%s%s%s %s", (long)user.pid, *user.name ? " (" : "",
			user.name, *user.name ? ")" : "", how);
	else
		snprintf(out, size, "somebody %s", how);
	return 0;
}

/* ---- telling ---- */

static uint64_t sum(const struct dim_report *d, size_t offset)
{
	uint64_t n = 0;
	for (int k = 0; k < SOURCE_KINDS; k++)
		n += *(const uint64_t *)(const void *)((const char *)&d->kind[k] + offset);
	return n;
}

static void print_dim(const struct dim_report *d)
{
	char size[16], used[16], disk[16], chunks[48], files[48];
	const struct totals *t = d->kind;
	printf("  ");
	cli_print_name(stdout, d->label, strlen(d->label));
	printf(" (%s): %s in %s", d->layout, cli_count(t[SOURCE_REGION].chunks, "chunk", chunks),
		cli_count(sum(d, offsetof(struct totals, files)), "file", files));
	if (t[SOURCE_ENTITIES].chunks || t[SOURCE_POI].chunks)
		printf(", %llu with entities, %llu with points of interest",
			(unsigned long long)t[SOURCE_ENTITIES].chunks,
			(unsigned long long)t[SOURCE_POI].chunks);
	printf("\n    %s of files, %s of it chunks, %s on the disk",
		cli_bytes(sum(d, offsetof(struct totals, apparent)), size),
		cli_bytes(sum(d, offsetof(struct totals, used)), used),
		cli_bytes(sum(d, offsetof(struct totals, disk)), disk));
	if (d->looked)
		printf(d->damaged ? ", %llu damaged" : ", none damaged", (unsigned long long)d->damaged);
	putchar('\n');
}

static json_t *json_dim(const struct dim_report *d)
{
	json_t *j = json_pack("{s:o, s:o, s:o, s:s}", "world",
		cli_json_string(d->dim->world, strlen(d->dim->world)), "dimension",
		cli_json_string(d->dim->name, strlen(d->dim->name)), "folder",
		cli_json_string(d->dim->folder, strlen(d->dim->folder)), "layout", d->layout);
	for (int k = 0; k < SOURCE_KINDS; k++) {
		const struct totals *t = &d->kind[k];
		json_object_set_new(j, source_kind_name[k],
			json_pack("{s:I, s:I, s:I, s:I, s:I}", "files", (json_int_t)t->files, "chunks",
				(json_int_t)t->chunks, "bytes", (json_int_t)t->apparent, "chunk_bytes",
				(json_int_t)t->used, "disk_bytes", (json_int_t)t->disk));
	}
	if (d->looked)
		json_object_set_new(j, "damaged", json_integer((json_int_t)d->damaged));
	return j;
}

static void print_world(const struct args *a, const char *world, const char *user)
{
	const char *root = a->world ? a->world : a->snapshot;
	cli_print_name(stdout, *world ? world : root, strlen(*world ? world : root));
	if (a->snapshot)
		puts(": in a snapshot");
	else
		printf(": %s%s\n", *user ? "in use: " : "not in use", user);
}

static int tell(const struct args *a, const struct dim_report *v, size_t n, struct err *e)
{
	json_t *dims = json_array(), *worlds = json_array();
	char user[160];
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		if (i == 0 || strcmp(v[i].dim->world, v[i - 1].dim->world) != 0) {
			r = in_use(a, v[i].dim->world, user, sizeof user, e);
			if (r == 0 && !a->cli->json)
				print_world(a, v[i].dim->world, user);
			json_t *w = json_pack("{s:o, s:b}", "world",
				cli_json_string(v[i].dim->world, strlen(v[i].dim->world)), "in_use",
				r == 0 && *user);
			if (r == 0 && *user)
				json_object_set_new(w, "user", cli_json_string(user, strlen(user)));
			json_array_append_new(worlds, w);
		}
		if (r == 0 && !a->cli->json)
			print_dim(&v[i]);
		json_array_append_new(dims, json_dim(&v[i]));
	}
	if (r == 0 && a->cli->json)
		cli_json(json_pack("{s:O, s:O}", "worlds", worlds, "dimensions", dims));
	json_decref(dims);
	json_decref(worlds);
	return r;
}

/* ---- running ---- */

static int look(const struct args *a, struct source *s, struct err *e)
{
	struct worlds all;
	int r = source_worlds(s, &all, e);
	if (r < 0)
		return r;
	struct dim_report *v = calloc(all.n + 1, sizeof *v);
	if (!v)
		r = err_set(e, E_NOMEM, 0, "no memory for a report");
	if (r == 0 && all.n == 0)
		r = err_set(e, E_NOTFOUND, 0,
			"there is no world in '%s': no folder with region files below it",
			a->world ? a->world : a->snapshot);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		v[i].dim = &all.v[i];
		r = look_at_dim(s, &v[i], e);
	}
	if (r == 0 && a->check)
		r = look_for_damage(s, v, all.n, e);
	if (r == 0)
		r = tell(a, v, all.n, e);
	for (size_t i = 0; v && i < all.n; i++)
		free(v[i].label);
	free(v);
	worlds_free(&all);
	return r;
}

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"snapshot", required_argument, NULL, 'S'},
		{"world", required_argument, NULL, 'w'}, {"check", no_argument, NULL, 'c'}, {0}};
	struct args a = {.cli = cli};
	struct cli_world w;
	struct err e = ERR_INIT;
	int o;
	while ((o = cli_getopt(cli, argc, argv, "S:w:c", options, NULL)) != -1) {
		if (o == 'S')
			a.snapshot = optarg;
		else if (o == 'w')
			a.world = optarg;
		else if (o == 'c')
			a.check = true;
		else
			return EXIT_USAGE;
	}
	if (!a.world && optind < argc)
		a.world = argv[optind++];
	if (optind != argc || (!a.world && !a.snapshot))
		return cli_usage(cli, "world takes one directory, or --snapshot SNAP and a name in it");
	int r = cli_world_open(&w, cli, a.world, a.snapshot, &e);
	if (r == 0) {
		r = look(&a, w.source, &e);
		cli_world_close(&w);
	}
	return r < 0 ? cli_fail(cli, &e) : EXIT_DONE;
}

const struct command command_world = {"world", run, "world [--check] [--snapshot SNAP] DIR",
	"what a world is made of, and whether it is in use",
	"  -c, --check          read every chunk to its end and count those that are damaged\n"
	"  -S, --snapshot SNAP  in a snapshot instead of the directory\n"
	"Layout, dimensions, chunks and bytes. Below DIR all worlds are found.\n"};
