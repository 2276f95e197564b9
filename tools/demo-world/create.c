/* create.c - the region files of a new world, written in the order a server would have. */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SALT_LAND 0x6c616e64u
#define WORLD_AGE (40u * 86400) /* the first chunk was made so long before `now` */
#define LATE 24			/* a proto chunk is finished after so many others */

char *kind_dir(const struct world *w, enum dimension d, enum kind k)
{
	static const char *const classic[] = {"", "DIM-1/", "DIM1/"};
	static const char *const modern[] = {"overworld", "the_nether", "the_end"};
	static const char *const kinds[] = {"region", "entities", "poi"};
	if (w->layout == LAYOUT_CLASSIC)
		return path_in(w->dir, "%s%s", classic[d], kinds[k]);
	return path_in(w->dir, "dimensions/minecraft/%s/%s", modern[d], kinds[k]);
}

/* What there is of a chunk: NULL, or its status. */
static const char *wanted_status(const struct world *w, enum dimension d, int32_t cx, int32_t cz)
{
	static const char *const ring[] = {"features", "carvers", "noise", "biomes",
		"structure_starts", "structure_starts", "structure_starts"};
	int32_t near = cx * cx + cz * cz;
	if (d == DIM_NETHER)
		return near < 40    ? "full"
		       : near < 64  ? "features"
		       : near < 160 ? "structure_starts"
				    : NULL;
	if (d == DIM_END)
		return near < 60    ? "full"
		       : near < 80  ? "noise"
		       : near < 180 ? "structure_starts"
				    : NULL;
	int32_t e = noise2(w->seed ^ SALT_LAND, cx, cz, 4);
	if (near < 100)
		return "full";
	if (e > 1500)
		return "full";
	size_t out = (size_t)(1500 - e) / 1400;
	return out < ARRAY_LEN(ring) ? ring[out] : NULL;
}

struct job {
	int32_t cx, cz;
	const char *status;
	uint64_t order;
	int version;
};

static int by_order(const void *a, const void *b)
{
	const struct job *x = a, *y = b;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Old chunks lie together in corners of regions, as where players have not been since an update. */
static int version_of(const struct create_options *o, int32_t cx, int32_t cz)
{
	int lx = (int)((uint32_t)cx & 31), lz = (int)((uint32_t)cz & 31);
	int patch = lx >= 22 && lz < 6 ? 1 : lx < 6 && lz >= 22 ? 2 : lx >= 26 && lz >= 26 ? 3 : 0;
	return patch < o->version_count ? patch : 0;
}

static size_t plan_region(const struct world *w, const struct create_options *o, enum dimension d,
	int32_t rx, int32_t rz, struct job *jobs)
{
	size_t n = 0;
	for (int i = 0; i < REGION_CHUNKS; i++) {
		int32_t cx = rx * 32 + i % 32, cz = rz * 32 + i / 32;
		const char *status = wanted_status(w, d, cx, cz);
		int v = d == DIM_OVERWORLD ? version_of(o, cx, cz) : 0;
		if (v && !rx && !rz)
			status = "full";
		if (!status)
			continue;
		/* Players walk outwards from the spawn, not in a neat spiral. */
		uint64_t far = (uint64_t)(cx * cx + cz * cz);
		uint64_t jitter = hash_at(w->seed, cx, 9, cz) % 60;
		jobs[n++] = (struct job){cx, cz, status, (far + jitter) << 32 | (uint32_t)i, v};
	}
	qsort(jobs, n, sizeof *jobs, by_order);
	return n;
}

struct maker {
	const struct world *w;
	const struct create_options *o;
	enum dimension dim;
	struct region *file[3];
	struct terrain t;
};

void put_tree(struct region *r, int32_t cx, int32_t cz, const struct nbt *root, uint32_t now)
{
	struct bytes raw = {0}, packed = {0};
	nbt_serialize(&raw, root);
	zlib_pack(&packed, raw.p, raw.len, -1);
	region_put(r, cx, cz, PACK_ZLIB, &packed, now);
	bytes_free(&raw);
	bytes_free(&packed);
}

/* Where players live chunks have been lived in; further away hardly or not at all. */
static int64_t inhabited(const struct world *w, int32_t cx, int32_t cz)
{
	uint64_t h = hash_at(w->seed, cx, 11, cz);
	int64_t near = cx * cx + cz * cz;
	if (near > 300 && h % 10 < 6)
		return 0;
	return (int64_t)(h >> 16) % (2000 + 4000000 / (20 + near));
}

/* The one chunk that is too large for sectors. */
static bool is_library(const struct maker *m, int32_t cx, int32_t cz)
{
	return m->dim == DIM_OVERWORLD && cx == 5 && cz == 3;
}

static void make_chunk(struct maker *m, const struct job *j, bool early, uint32_t when)
{
	struct arena a = {0};
	int dv = m->o->versions[j->version];
	struct chunk_facts f = {
		.data_version = dv, .status = early ? "structure_starts" : j->status};
	bool full = !strcmp(f.status, "full");

	f.last_update = (int64_t)(when - (m->w->now - WORLD_AGE)) * TICKS / 16;
	f.inhabited = full ? inhabited(m->w, j->cx, j->cz) : 0;
	if (status_has_blocks(f.status))
		terrain_make(&m->t, m->w->seed, m->dim, j->cx, j->cz, dv >= DV_FLAT);
	else
		terrain_make_bare(&m->t, m->w->seed, m->dim, j->cx, j->cz, dv >= DV_FLAT);
	struct nbt *root = chunk_build(&a, &m->t, &f);
	struct rng r = {hash_at(m->w->seed + (uint64_t)m->dim, j->cx, 5, j->cz)};
	if (is_library(m, j->cx, j->cz) && full)
		chunk_fill_with_books(&a, root, &r);
	put_tree(m->file[KIND_REGION], j->cx, j->cz, root, when);
	if (full && rng_chance(&r, 1, 3) && dv >= DV_ENTITY_FILES)
		put_tree(m->file[KIND_ENTITIES], j->cx, j->cz, entities_build(&a, &m->t, dv, &r),
			when);
	if (full && rng_chance(&r, 1, 6))
		put_tree(m->file[KIND_POI], j->cx, j->cz, poi_build(&a, &m->t, dv, &r), when);
	arena_free(&a);
}

static void make_region(struct maker *m, int32_t rx, int32_t rz)
{
	static struct job jobs[REGION_CHUNKS];
	size_t n = plan_region(m->w, m->o, m->dim, rx, rz, jobs);
	if (!n)
		return;
	for (int k = 0; k < 3; k++) {
		char *dir = kind_dir(m->w, m->dim, k);
		bool any = k != KIND_ENTITIES || m->o->versions[0] >= DV_ENTITY_FILES;
		m->file[k] = any ? region_open(dir, rx, rz) : NULL;
		free(dir);
	}
	uint32_t start = m->w->now - WORLD_AGE +
			 (uint32_t)(hash_at(m->w->seed, rx, 13, rz) % 86400);
	for (size_t i = 0; i < n + LATE; i++) {
		uint32_t when = start + (uint32_t)i * 17 + (uint32_t)(i / 60 * 30000);
		if (when > m->w->now)
			when = m->w->now;
		if (i < n && !strcmp(jobs[i].status, "full") &&
			hash_at(1, jobs[i].cx, 0, jobs[i].cz) % 3 == 0)
			make_chunk(m, &jobs[i], true, when);
		if (i >= LATE)
			make_chunk(m, &jobs[i - LATE], false, when);
	}
	for (int k = 0; k < 3; k++)
		if (m->file[k])
			region_close(m->file[k]);
}

/* The n-th region around the spawn: 0,0 then -1,0 then 0,-1 then -1,-1, then the ring around. */
static void nth_region(int n, int32_t *x, int32_t *z)
{
	static const int8_t first[4][2] = {{0, 0}, {-1, 0}, {0, -1}, {-1, -1}};
	if (n < 4) {
		*x = first[n][0];
		*z = first[n][1];
		return;
	}
	int half = 1;
	while (4 * half * half <= n)
		half++;
	int left = n - 4 * (half - 1) * (half - 1);
	for (int rz = -half; rz < half; rz++)
		for (int rx = -half; rx < half; rx++) {
			bool inner = rx >= 1 - half && rx < half - 1 && rz >= 1 - half &&
				     rz < half - 1;
			if (!inner && left-- == 0) {
				*x = rx;
				*z = rz;
				return;
			}
		}
}

static void make_dimension(const struct world *w, const struct create_options *o, enum dimension d)
{
	struct maker *m = xmalloc(sizeof *m);
	*m = (struct maker){.w = w, .o = o, .dim = d};
	int n = d == DIM_OVERWORLD ? o->regions : o->regions < 4 ? o->regions : 4;
	for (int i = 0; i < n; i++) {
		int32_t x = 0, z = 0;
		nth_region(i, &x, &z);
		make_region(m, x, z);
	}
	free(m);
}

static void check_empty(const char *dir)
{
	make_dirs(dir);
	DIR *d = opendir(dir);
	if (!d)
		die("open '%s': %s", dir, strerror(errno));
	for (struct dirent *e; (e = readdir(d));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			die("'%s' is not empty", dir);
	closedir(d);
}

void world_create(const struct create_options *o)
{
	struct world w = {.dir = o->dir,
		.layout = o->layout,
		.seed = o->seed,
		.now = o->now,
		.data_version = o->versions[0],
		.ticks = (int64_t)WORLD_AGE * TICKS / 16};
	check_empty(o->dir);
	for (int d = 0; d < DIM_COUNT; d++)
		make_dimension(&w, o, (enum dimension)d);
	char *end = kind_dir(&w, DIM_END, KIND_POI);
	char *over = kind_dir(&w, DIM_OVERWORLD, KIND_POI);
	region_touch(over, 7, 7);
	region_touch(end, 2, -2);
	free(end);
	free(over);
	write_small_files(&w);
}

void world_open(struct world *w, const char *dir)
{
	struct arena a = {0};
	struct bytes file = {0}, raw = {0};
	*w = (struct world){.dir = dir, .seed = 1, .now = DEFAULT_NOW, .data_version = 3465};
	char *modern = path_in(dir, "dimensions/minecraft/overworld/region");
	char *level = path_in(dir, "level.dat");
	w->layout = file_exists(modern) ? LAYOUT_26_1 : LAYOUT_CLASSIC;
	if (!file_read(level, &file))
		die("'%s' is no world: there is no level.dat", dir);
	struct nbt *root = zlib_unpack(&raw, file.p, file.len) ? nbt_parse(&a, raw.p, raw.len)
							       : NULL;
	if (!root)
		die("'%s' is damaged", level);
	struct nbt *data = nbt_get(root, "Data"), *n;
	if ((n = nbt_get_type(data, "DataVersion", NBT_INT)))
		w->data_version = (int)n->u.i;
	if ((n = nbt_get_type(data, "Time", NBT_LONG)))
		w->ticks = n->u.i;
	if ((n = nbt_get_type(data, "LastPlayed", NBT_LONG)) && n->u.i > 0)
		w->now = (uint32_t)(n->u.i / 1000);
	if ((n = nbt_get_type(nbt_get(data, "WorldGenSettings"), "seed", NBT_LONG)))
		w->seed = (uint64_t)n->u.i;
	char *gen = root_data(w, "world_gen_settings.dat");
	if (file_read(gen, &file) && zlib_unpack(&raw, file.p, file.len)) {
		root = nbt_parse(&a, raw.p, raw.len);
		if ((n = nbt_get_type(nbt_get(root, "data"), "seed", NBT_LONG)))
			w->seed = (uint64_t)n->u.i;
	}
	free(gen);
	free(modern);
	free(level);
	bytes_free(&file);
	bytes_free(&raw);
	arena_free(&a);
}

int session_lock(const char *dir)
{
	char *path = path_in(dir, "session.lock");
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		die("open '%s': %s", path, strerror(errno));
	/* A record lock over everything, as the JVM takes it. */
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_SETLK, &fl))
		die("'%s' is locked: a server is running on this world", path);
	if (ftruncate(fd, 0))
		die("write '%s': %s", path, strerror(errno));
	write_at(fd, path, "\xe2\x98\x83", 3, 0);
	free(path);
	return fd;
}
