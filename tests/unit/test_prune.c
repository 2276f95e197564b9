/* prune: chunks out of a world and back, as an independent reader sees it. */
#include "tests/unit/support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/io.h"
#include "engine/base/wire.h"
#include "engine/db/db.h"
#include "engine/prune/prune.h"
#include "tests/unit/make_region.h"
#include "tests/unit/prune_world.h"

static const char *const folders[] = {"region", "entities", "poi"};

struct place {
	char *world, *state;
	unsigned told[PRUNE_FAILED + 1];
};

static void on_chunk(void *ctx, const char *dimension, int32_t x, int32_t z, enum prune_outcome o,
	const char *detail)
{
	struct place *pl = ctx;
	(void)dimension;
	(void)x;
	(void)z;
	assert_non_null(detail);
	pl->told[o]++;
}

static void new_place(struct place *pl, const char *name, unsigned chunks)
{
	static unsigned n;
	char path[100];
	*pl = (struct place){0};
	snprintf(path, sizeof path, "%s%u", name, n++);
	pl->world = temp_path(path);
	snprintf(path, sizeof path, "state%u", n++);
	pl->state = temp_path(path);
	world_make(pl->world, chunks);
}

static void free_place(struct place *pl)
{
	free(pl->world);
	free(pl->state);
}

static struct prune *open_place(struct place *pl)
{
	struct prune *p;
	struct prune_options opt = {.state_dir = pl->state, .world = pl->world,
		.on_chunk = on_chunk, .ctx = pl};
	OK(prune_open(&p, &opt, e));
	return p;
}

static char *below_world(const struct place *pl, const char *name)
{
	char *path;
	assert_true(asprintf(&path, "%s/%s", pl->world, name) > 0);
	return path;
}

/* Every chunk of the region folder for which `want` holds. */
static size_t pick(const struct seen *s, struct prune_chunk *v, bool (*want)(int32_t x, int32_t z))
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i].folder, "region") == 0 && s->v[i].sectors &&
			want(s->v[i].x, s->v[i].z))
			v[n++] = (struct prune_chunk){.x = s->v[i].x, .z = s->v[i].z};
	return n;
}

static bool even(int32_t x, int32_t z)
{
	return ((x + z) & 1) == 0;
}

static bool any(int32_t x, int32_t z)
{
	(void)x;
	(void)z;
	return true;
}

static int collect(void *ctx, const struct trash_item *it, struct err *e)
{
	struct {
		int64_t v[4096];
		size_t n;
	} *l = ctx;
	(void)e;
	l->v[l->n++] = it->id;
	return 0;
}

static struct ids {
	int64_t v[4096];
	size_t n;
} ids;

static void list_ids(struct prune *p, unsigned states)
{
	struct trash_filter f = {.states = states};
	ids.n = 0;
	OK(trash_list(prune_trash(p), &f, collect, &ids, e));
}

static uint64_t disk_use(const char *world)
{
	char command[700];
	unsigned long long n = 0;
	snprintf(command, sizeof command, "find '%s' -type f -printf '%%b\n' | awk '{n+=$1} END{print n*512}'",
		world);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%llu", &n), 1);
	pclose(f);
	return n;
}

/* Everything in `before` that `gone` does not name is as it was, at its place. */
static void assert_rest(const struct seen *before, const struct seen *after,
	bool (*gone)(int32_t x, int32_t z))
{
	for (size_t i = 0; i < before->n; i++) {
		const struct seen_chunk *c = &before->v[i];
		const struct seen_chunk *d = seen_find(after, c->folder, c->x, c->z);
		if (gone(c->x, c->z) && c->sectors)
			assert_null(d);
		else if (!d || !seen_equal(c, d, true))
			fail_msg("%s: chunk %d, %d should have been left alone", c->folder, c->x, c->z);
	}
}

static void test_prune_and_restore(void **state)
{
	(void)state;
	struct place pl;
	struct seen before, after;
	struct prune_result res, guess;
	struct prune_how how = {0};
	static struct prune_chunk v[4096];
	new_place(&pl, "basic", 200);
	seen_read(pl.world, &before);
	uint64_t use = disk_use(pl.world);
	struct prune *p = open_place(&pl);
	size_t n = pick(&before, v, even);
	v[n++] = v[0]; /* twice */
	v[n++] = (struct prune_chunk){.x = 900, .z = 900};
	OK(prune_estimate(p, "overworld", v, n, &guess, e));
	OK(prune_chunks(p, "overworld", v, n, &how, &res, e));
	assert_int_equal(res.done, n - 2);
	assert_int_equal(res.absent, 1);
	assert_int_equal(pl.told[PRUNE_DONE], n - 2);
	assert_int_equal(guess.done, res.done);
	assert_int_equal(guess.freed_bytes, res.freed_bytes);
	assert_int_equal(guess.payload_bytes, res.payload_bytes);
	seen_read(pl.world, &after);
	assert_rest(&before, &after, even);
	seen_free(&after);
	/* session.lock is a new, empty file. ext4 takes a block for the extents of a file with holes. */
	uint64_t less = use - disk_use(pl.world);
	assert_true(less <= res.freed_bytes && less + 6 * 4096 >= res.freed_bytes);
	list_ids(p, 0);
	assert_int_equal(ids.n, n - 2);
	prune_close(p);
	p = open_place(&pl);
	OK(prune_restore(p, ids.v, ids.n, &how, &res, e));
	assert_int_equal(res.done, n - 2);
	seen_read(pl.world, &after);
	seen_assert_equal(&before, &after, true); /* nothing else took their sectors */
	seen_free(&after);
	list_ids(p, 0);
	assert_int_equal(ids.n, 0);
	prune_close(p);
	seen_free(&before);
	free_place(&pl);
}

/* A file that loses its last chunk goes; it comes back as it was. */
static void test_file_goes(void **state)
{
	(void)state;
	struct place pl;
	struct seen before, after;
	struct prune_result res, guess;
	struct prune_how how = {0};
	struct stat st, st2;
	static struct prune_chunk v[4096];
	new_place(&pl, "goes", 120);
	CLEANUP_FREE char *path = below_world(&pl, "region/r.0.0.mca");
	assert_int_equal(chmod(path, 0640), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(path, 1234, 5678), 0);
	assert_int_equal(stat(path, &st), 0);
	seen_read(pl.world, &before);
	struct prune *p = open_place(&pl);
	size_t n = pick(&before, v, any);
	uint64_t use = disk_use(pl.world);
	OK(prune_estimate(p, "overworld", v, n, &guess, e));
	OK(prune_chunks(p, "overworld", v, n, &how, &res, e));
	assert_int_equal(res.files_removed, 6);
	assert_int_equal(guess.files_removed, 6);
	assert_int_equal(guess.freed_bytes, res.freed_bytes);
	assert_int_equal(access(path, F_OK), -1);
	seen_read(pl.world, &after);
	assert_int_equal(after.n, 0);
	seen_free(&after);
	assert_int_equal(use - disk_use(pl.world), res.freed_bytes);
	prune_close(p);
	p = open_place(&pl); /* a world without a chunk, but with a trash */
	list_ids(p, 0);
	OK(prune_restore(p, ids.v, ids.n, &how, &res, e));
	assert_int_equal(res.files_made, 6);
	seen_read(pl.world, &after);
	seen_assert_equal(&before, &after, true);
	seen_free(&after);
	assert_int_equal(stat(path, &st2), 0);
	assert_true(st.st_mode == st2.st_mode && st.st_uid == st2.st_uid && st.st_gid == st2.st_gid);
	assert_int_equal(st.st_size, st2.st_size);
	prune_close(p);
	seen_free(&before);
	free_place(&pl);
}

/* Save a chunk as the game does: at the end, a new time stamp. */
static void save_chunk(const struct place *pl, int32_t x, int32_t z, unsigned seed)
{
	CLEANUP_BUF struct buf f = BUF_INIT;
	char name[64];
	snprintf(name, sizeof name, "region/r.%d.%d.mca", x >> 5, z >> 5);
	CLEANUP_FREE char *path = below_world(pl, name);
	unsigned slot = (unsigned)(x & 31) + (unsigned)(z & 31) * 32;
	read_file(path, &f);
	size_t start = f.len;
	world_record(&f, NULL, x, z, 0, 3000, seed);
	set_be32(f.p + 4 * slot, (uint32_t)(start / 4096) << 8 | (uint32_t)((f.len - start + 4095) / 4096));
	set_be32(f.p + 4096 + 4 * slot, 1700000000u + seed);
	OK(buf_add_zero(&f, (4096 - f.len % 4096) % 4096, e));
	write_file(path, buf_span(&f));
}

static void test_in_use(void **state)
{
	(void)state;
	struct place pl;
	struct seen before, after;
	struct prune_result res;
	struct prune_how how = {.when_running = WHEN_RUNNING_REFUSE};
	static struct prune_chunk v[4096];
	uint64_t waiting;
	static struct trash_overlay over;
	new_place(&pl, "used", 100);
	seen_read(pl.world, &before);
	size_t n = pick(&before, v, even);
	pid_t server = world_serve(pl.world);
	struct prune *p = open_place(&pl);
	FAILS(E_LOCKED, prune_chunks(p, "overworld", v, n, &how, &res, e));
	FAILS(E_LOCKED, prune_repack(p, NULL, &res, e));
	list_ids(p, 0);
	assert_int_equal(ids.n, 0);
	how.when_running = WHEN_RUNNING_DEFER;
	OK(prune_chunks(p, "overworld", v, n, &how, &res, e));
	assert_true(res.deferred == n && res.done == 0);
	OK(prune_chunks(p, "overworld", v, n, &how, &res, e)); /* asked again: noted once */
	list_ids(p, 0);
	assert_int_equal(ids.n, n);
	OK(trash_region(prune_trash(p), "overworld", v[0].x >> 5, 0, &over, e));
	assert_true(over.any && over.hidden[(v[0].x & 31) + (v[0].z & 31) * 32]);
	FAILS(E_LOCKED, prune_apply(p, &how, &res, e));
	seen_read(pl.world, &after);
	seen_assert_equal(&before, &after, true); /* nothing was written */
	seen_free(&after);
	/* One is taken back, one is saved again. */
	OK(prune_restore(p, ids.v, 1, &how, &res, e));
	assert_int_equal(res.cancelled, 1);
	save_chunk(&pl, v[3].x, v[3].z, 9);
	prune_close(p);
	world_end(server);
	p = open_place(&pl); /* the intents outlived it */
	OK(prune_pending(p, &waiting, e));
	assert_int_equal(waiting, n - 1);
	OK(prune_apply(p, &how, &res, e));
	assert_int_equal(res.done, n - 2);
	assert_int_equal(res.saved_since, 1);
	OK(prune_pending(p, &waiting, e));
	assert_int_equal(waiting, 0);
	seen_read(pl.world, &after);
	const struct seen_chunk *c = seen_find(&after, "region", v[3].x, v[3].z);
	assert_true(c && c->stamp == 1700000009u && c->readable);
	assert_null(seen_find(&after, "region", v[5].x, v[5].z));
	seen_free(&after);
	/* Back, while a server runs: waits; a second mv into the trash ends that. */
	server = world_serve(pl.world);
	list_ids(p, 1u << TRASH_KEPT);
	size_t kept = ids.n;
	OK(prune_restore(p, ids.v, kept, &how, &res, e));
	assert_int_equal(res.deferred, kept);
	OK(prune_chunks(p, "overworld", &v[5], 1, &how, &res, e));
	assert_int_equal(res.cancelled, 1);
	save_chunk(&pl, v[7].x, v[7].z, 11); /* regenerated meanwhile */
	world_end(server);
	OK(prune_apply(p, &how, &res, e));
	assert_int_equal(res.done, kept - 2);
	assert_int_equal(res.occupied, 1);
	list_ids(p, 0);
	assert_int_equal(ids.n, 2);
	/* With `replace` what is there goes to the trash first. */
	how.replace = true;
	OK(prune_restore(p, ids.v, ids.n, &how, &res, e));
	assert_int_equal(res.done, 2);
	list_ids(p, 0);
	assert_int_equal(ids.n, 1);
	prune_close(p);
	seen_read(pl.world, &after);
	c = seen_find(&after, "region", v[7].x, v[7].z);
	const struct seen_chunk *was = seen_find(&before, "region", v[7].x, v[7].z);
	assert_true(c && was && seen_equal(c, was, false));
	seen_free(&after);
	seen_free(&before);
	free_place(&pl);
}

/* What waits for one region whose file cannot be opened does not keep the others waiting. */
static void test_apply_past_failure(void **state)
{
	(void)state;
	struct place pl;
	struct seen seen;
	struct prune_result res;
	struct prune_how how = {.when_running = WHEN_RUNNING_DEFER};
	static struct prune_chunk v[4096];
	uint64_t waiting;
	size_t there = 0;
	new_place(&pl, "past", 40);
	seen_read(pl.world, &seen);
	size_t n = pick(&seen, v, any);
	for (size_t i = 0; i < n; i++)
		there += v[i].x < 0;
	assert_true(there > 0 && there < n);
	pid_t server = world_serve(pl.world);
	struct prune *p = open_place(&pl);
	OK(prune_chunks(p, "overworld", v, n, &how, &res, e));
	assert_int_equal(res.deferred, n);
	world_end(server);
	CLEANUP_FREE char *path = below_world(&pl, "region/r.-1.0.mca");
	CLEANUP_FREE char *aside = below_world(&pl, "aside");
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(symlink("../aside", path), 0);
	FAILS(E_IO, prune_apply(p, &how, &res, e));
	assert_int_equal(res.done, n - there);
	OK(prune_pending(p, &waiting, e));
	assert_int_equal(waiting, there);
	assert_int_equal(rename(aside, path), 0);
	OK(prune_apply(p, &how, &res, e));
	assert_int_equal(res.done, there);
	prune_close(p);
	seen_free(&seen);
	free_place(&pl);
}

static void put_parts(struct chunk_parts *c, int32_t x, int32_t z, size_t n, bool external)
{
	*c = (struct chunk_parts){0};
	for (int k = 0; k < 2; k++) {
		struct chunk_part *part = &c->part[k];
		part->present = true;
		part->entry.timestamp = 1234567u + (unsigned)k;
		part->has_mcc = external && k == 0;
		world_record(&part->record, part->has_mcc ? &part->mcc : NULL, x, z, k, n, 4711);
	}
}

static void test_put(void **state)
{
	(void)state;
	struct place pl;
	struct seen before, after;
	struct prune_result res;
	struct prune_how how = {0};
	struct chunk_parts c;
	new_place(&pl, "put", 60);
	seen_read(pl.world, &before);
	struct prune *p = open_place(&pl);
	static const size_t sizes[] = {10, 5000, 60000, 900000};
	unsigned puts = 0;
	for (size_t i = 0; i < N_OF(sizes); i++)
		for (int external = 0; external < 2; external++) {
			int32_t x = 5, z = 0; /* the first slot that world_make() fills */
			put_parts(&c, x, z, sizes[i], external);
			OK(prune_put(p, "overworld", x, z, &c, "a snapshot", &how, &res, e));
			assert_int_equal(res.done, 1);
			puts++;
			seen_read(pl.world, &after);
			for (int k = 0; k < 2; k++) {
				const struct seen_chunk *s = seen_find(&after, folders[k], x, z);
				assert_true(s && s->readable);
				assert_int_equal(s->stamp, 1234567u + (unsigned)k);
				assert_int_equal(s->len, external && k == 0 ? c.part[k].mcc.len
									     : c.part[k].record.len - 5);
			}
			assert_null(seen_find(&after, "poi", x, z)); /* the new one has none */
			for (size_t j = 0; j < before.n; j++) {
				const struct seen_chunk *b = &before.v[j];
				if (b->x == x && b->z == z)
					continue;
				const struct seen_chunk *a = seen_find(&after, b->folder, b->x, b->z);
				assert_true(a && seen_equal(a, b, true));
			}
			seen_free(&after);
			chunk_parts_free(&c);
			list_ids(p, 1u << TRASH_KEPT);
			assert_int_equal(ids.n, puts);
		}
	/* The first of them, back over all the others. */
	how.replace = true;
	OK(prune_restore(p, ids.v, 1, &how, &res, e));
	seen_read(pl.world, &after);
	seen_assert_equal(&before, &after, false);
	seen_free(&after);
	/* While a server runs it waits; asked for twice, the later one. */
	list_ids(p, 1u << TRASH_KEPT);
	size_t kept = ids.n;
	pid_t server = world_serve(pl.world);
	how.when_running = WHEN_RUNNING_DEFER;
	for (size_t n = 100; n <= 200; n += 100) {
		put_parts(&c, 5, 0, n, false);
		OK(prune_put(p, "overworld", 5, 0, &c, NULL, &how, &res, e));
		assert_int_equal(res.deferred, 1);
		if (n == 100)
			chunk_parts_free(&c);
	}
	world_end(server);
	list_ids(p, 1u << TRASH_RESTORE_WAITS);
	assert_int_equal(ids.n, 1);
	OK(prune_apply(p, &how, &res, e));
	assert_int_equal(res.done, 1);
	seen_read(pl.world, &after);
	const struct seen_chunk *put = seen_find(&after, "region", 5, 0);
	assert_true(put && put->len == c.part[0].record.len - 5);
	seen_free(&after);
	chunk_parts_free(&c);
	list_ids(p, 0);
	assert_int_equal(ids.n, kept + 1); /* what was there before */
	put_parts(&c, 5, 0, 10, false);
	c.part[0].record.len--;
	FAILS(E_FORMAT, prune_put(p, "overworld", 5, 0, &c, NULL, &how, &res, e));
	FAILS(E_FORMAT, prune_put(p, "overworld", 5, 0, &(struct chunk_parts){0}, NULL, &how, &res, e));
	chunk_parts_free(&c);
	FAILS(E_NOTFOUND, prune_chunks(p, "the_nether", &(struct prune_chunk){0}, 1, &how, &res, e));
	prune_close(p);
	seen_free(&before);
	free_place(&pl);
}

/* Entries that lie, overlap, point past the end: left alone, or moved and back when asked for. */
static void test_damaged(void **state)
{
	(void)state;
	rnd_seed(20261126);
	for (unsigned round = 0; round < 16; round++) {
		struct place pl;
		struct seen before, after;
		struct prune_result res;
		struct prune_how how = {0};
		static struct prune_chunk v[4096];
		CLEANUP_BUF struct buf f = BUF_INIT;
		new_place(&pl, "odd", 5);
		make_region(&f, 5 + below(40), round % 2 ? FLAW_ALL : 1u << below(8));
		if (round % 5 == 4)
			f.len = below(9000);
		CLEANUP_FREE char *path = below_world(&pl, "region/r.0.0.mca");
		write_file(path, buf_span(&f));
		seen_read(pl.world, &before);
		size_t n = 0;
		for (int32_t i = 0; i < 1024; i++)
			v[n++] = (struct prune_chunk){.x = i % 32, .z = i / 32};
		struct prune *p = open_place(&pl);
		OK(prune_chunks(p, "overworld", v, n, &how, &res, e));
		seen_read(pl.world, &after);
		for (size_t i = 0; i < before.n; i++)
			if (strcmp(before.v[i].folder, "region") == 0 && before.v[i].sector &&
				!before.v[i].readable && before.v[i].x >= 0)
				assert_non_null(seen_find(&after, "region", before.v[i].x,
					before.v[i].z));
		seen_free(&after);
		how.damaged = true;
		OK(prune_chunks(p, "overworld", v, n, &how, &res, e));
		assert_int_equal(res.damaged, 0);
		list_ids(p, 0);
		OK(prune_restore(p, ids.v, ids.n, &how, &res, e));
		list_ids(p, 0);
		assert_int_equal(ids.n, 0);
		seen_read(pl.world, &after);
		for (size_t i = 0; i < before.n; i++) {
			const struct seen_chunk *b = &before.v[i];
			const struct seen_chunk *a = seen_find(&after, b->folder, b->x, b->z);
			if (!a || a->stamp != b->stamp)
				fail_msg("round %u: %s: chunk %d, %d lost its stamp", round, b->folder,
					b->x, b->z);
			if (b->readable && !seen_equal(a, b, false))
				fail_msg("round %u: %s: chunk %d, %d is another", round, b->folder,
					b->x, b->z);
		}
		seen_free(&after);
		seen_free(&before);
		prune_close(p);
		free_place(&pl);
	}
}

/* A damaged record may have a .mcc: it goes and comes back with it. A name that is a link or a FIFO is
 * never opened, and stays. */
static void test_odd_mcc(void **state)
{
	(void)state;
	struct place pl;
	struct prune_result res;
	struct prune_how how = {.damaged = true};
	struct stat st;
	CLEANUP_BUF struct buf got = BUF_INIT;
	static uint8_t region[4 * REGION_SECTOR];
	static const char text[] = "somebody's only copy", secret[] = "not of this world";
	struct prune_chunk v[4] = {{.x = 0}, {.x = 1}, {.x = 2}, {.x = 3}};
	new_place(&pl, "mcc", 5);
	CLEANUP_FREE char *path = below_world(&pl, "region/r.0.0.mca");
	CLEANUP_FREE char *mcc = below_world(&pl, "region/c.0.0.mcc");
	CLEANUP_FREE char *link = below_world(&pl, "region/c.1.0.mcc");
	CLEANUP_FREE char *fifo = below_world(&pl, "region/c.2.0.mcc");
	CLEANUP_FREE char *outside = temp_path("secret");
	set_be32(region, 2 << 8 | 1); /* its record claims more than it has */
	set_be32(region + 2 * REGION_SECTOR, 9999);
	region[2 * REGION_SECTOR + 4] = 2 | 128;
	for (unsigned i = 1; i < 4; i++)
		set_be32(region + 4 * i, 3 << 8 | 1);
	set_be32(region + 3 * REGION_SECTOR, 1);
	region[3 * REGION_SECTOR + 4] = 2 | 128;
	write_file(path, span_of(region, sizeof region));
	write_file(mcc, span_of(text, sizeof text));
	write_file(outside, span_of(secret, sizeof secret));
	unlink(link);
	unlink(fifo);
	assert_int_equal(symlink(outside, link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	CLEANUP_FREE char *folder = below_world(&pl, "region/x.mcfs-tmp"); /* none of ours */
	assert_int_equal(mkdir(folder, 0700), 0);
	struct prune *p = open_place(&pl);
	OK(prune_chunks(p, "overworld", v, 4, &how, &res, e));
	assert_int_equal(res.done, 4);
	assert_int_equal(access(mcc, F_OK), -1);
	assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	assert_true(lstat(fifo, &st) == 0 && S_ISFIFO(st.st_mode));
	list_ids(p, 0);
	assert_int_equal(ids.n, 4);
	for (size_t i = 0; i < ids.n; i++) {
		CLEANUP_PARTS struct chunk_parts parts = {0};
		OK(trash_payload(prune_trash(p), ids.v[i], &parts, e));
		assert_int_equal(parts.part[SOURCE_REGION].has_mcc, i == 0);
	}
	OK(prune_restore(p, ids.v, ids.n, &how, &res, e));
	assert_int_equal(res.done, 4);
	read_file(mcc, &got);
	assert_true(got.len == sizeof text && memcmp(got.p, text, got.len) == 0);
	assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	prune_close(p);
	free_place(&pl);
}

static void test_repack(void **state)
{
	(void)state;
	struct place pl;
	struct seen before, after;
	struct prune_result res;
	struct prune_how how = {0};
	struct stat st, st2;
	static struct prune_chunk v[4096];
	new_place(&pl, "repack", 200);
	CLEANUP_FREE char *path = below_world(&pl, "region/r.0.0.mca");
	assert_int_equal(chmod(path, 0604), 0);
	seen_read(pl.world, &before);
	struct prune *p = open_place(&pl);
	size_t n = pick(&before, v, even);
	OK(prune_chunks(p, "overworld", v, n, &how, &res, e));
	seen_free(&before);
	seen_read(pl.world, &before);
	assert_int_equal(stat(path, &st), 0);
	OK(prune_repack(p, "overworld", &res, e));
	assert_int_equal(res.done, 6);
	assert_int_equal(stat(path, &st2), 0);
	assert_true(st.st_mode == st2.st_mode && st2.st_size < st.st_size);
	seen_read(pl.world, &after);
	seen_assert_equal(&before, &after, false);
	seen_free(&after);
	OK(prune_repack(p, NULL, &res, e)); /* nothing to gain any more */
	assert_int_equal(res.done, 0);
	list_ids(p, 0);
	OK(prune_restore(p, ids.v, ids.n, &how, &res, e));
	assert_int_equal(res.done, n);
	prune_close(p);
	seen_free(&before);
	free_place(&pl);
}

/* As a crash might leave it. */
static void set_state(struct prune *p, int64_t id, enum trash_state state)
{
	static const struct db_options opt = {.what = "trash", .id = 0x4d634674, .version = 1,
		.schema = "", .must_exist = true};
	struct db *db;
	struct db_stmt *s;
	OK(db_open(&db, trash_path(prune_trash(p)), &opt, e));
	OK(db_sql(db, &s, "UPDATE chunk SET state = ?1 WHERE id = ?2", e));
	db_bind_int(s, 1, state);
	db_bind_int(s, 2, id);
	OK(db_run(s, e));
	db_close(db);
}

/* Of n chunks in the trash the bytes of one are damaged: it stands in nobody's way. It stays in the trash
 * whatever a crash left it as, and the others go back. Then all but that one are pruned again. */
static void damaged_item(struct place *pl, struct prune *p, int64_t id, size_t n)
{
	static const enum trash_state left[] = {TRASH_PRUNING, TRASH_RESTORING, TRASH_RESTORE_WAITS};
	struct prune_result res;
	struct prune_how how = {0};
	struct trash_item it;
	struct seen seen;
	static struct prune_chunk v[4096];
	for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
		set_state(p, id, left[i]);
		OK(prune_apply(p, &how, &res, e));
		OK(trash_find(prune_trash(p), id, &it, e));
		assert_int_equal(it.state, TRASH_KEPT);
		trash_item_free(&it);
	}
	list_ids(p, 0);
	assert_int_equal(ids.n, n);
	FAILS(E_CORRUPT, prune_restore(p, ids.v, ids.n, &how, &res, e));
	assert_int_equal(res.done, n - 1);
	list_ids(p, 0);
	assert_int_equal(ids.n, 1);
	assert_true(ids.v[0] == id);
	seen_read(pl->world, &seen);
	n = pick(&seen, v, even);
	OK(prune_chunks(p, "overworld", v, n, &how, &res, e));
	assert_int_equal(res.done, n);
	seen_free(&seen);
}

static void test_emptying(void **state)
{
	(void)state;
	struct place pl;
	struct seen before;
	struct prune_result res;
	struct prune_how how = {.who = "somebody"};
	struct trash_emptied out;
	struct trash_item it;
	struct chunk_parts parts;
	struct stat st, st2;
	static struct prune_chunk v[4096];
	new_place(&pl, "empty", 300);
	seen_read(pl.world, &before);
	struct prune *p = open_place(&pl);
	struct trash *t = prune_trash(p);
	size_t n = pick(&before, v, even);
	v[0].why = "rule-1";
	OK(prune_chunks(p, "overworld", v, n, &how, &res, e));
	list_ids(p, 0);
	struct trash_filter f = {.has_chunk = true, .x = v[0].x, .z = v[0].z, .dimension = "overworld"};
	ids.n = 0;
	OK(trash_list(t, &f, collect, &ids, e));
	assert_int_equal(ids.n, 1);
	OK(trash_find(t, ids.v[0], &it, e));
	assert_string_equal(it.why, "rule-1");
	assert_string_equal(it.who, "somebody");
	assert_string_equal(it.dimension, "overworld");
	assert_true(it.x == v[0].x && it.z == v[0].z && it.state == TRASH_KEPT);
	OK(trash_payload(t, it.id, &parts, e));
	assert_true(parts.part[SOURCE_REGION].present);
	/* A byte that the disk changed is noticed. */
	CLEANUP_BUF struct buf file = BUF_INIT;
	CLEANUP_FREE char *copy_dir = temp_path("flipped/trash");
	CLEANUP_FREE char *copy_state = temp_path("flipped");
	CLEANUP_FREE char *copy = NULL;
	OK(io_mkdirs(copy_dir, 0755, e));
	assert_true(asprintf(&copy, "%s/%s", copy_dir, strrchr(trash_path(t), '/') + 1) > 0);
	read_file(trash_path(t), &file);
	uint8_t *at = memmem(file.p, file.len, parts.part[0].record.p, 60);
	assert_non_null(at);
	at[40] ^= 1;
	write_file(copy, buf_span(&file));
	struct prune *q;
	struct prune_options opt = {.state_dir = copy_state, .world = pl.world};
	OK(prune_open(&q, &opt, e));
	FAILS(E_CORRUPT, prune_restore(q, &it.id, 1, &how, &res, e));
	assert_int_equal(res.done, 0);
	OK(prune_estimate(p, "overworld", v, n, &res, e));
	assert_int_equal(res.done, 0); /* nothing came back */
	OK(trash_empty(t, &(struct trash_limits){.max_bytes = 1}, true, &out, e));
	res.payload_bytes = out.bytes + out.left_bytes;
	chunk_parts_free(&parts);
	damaged_item(&pl, q, it.id, n);
	prune_close(q);
	trash_item_free(&it);
	stat(trash_path(t), &st);
	OK(trash_empty(t, &(struct trash_limits){.max_bytes = res.payload_bytes / 2}, true, &out, e));
	assert_true(out.items > n / 4 && out.left_bytes <= res.payload_bytes / 2);
	uint64_t would = out.items;
	OK(trash_empty(t, &(struct trash_limits){.max_bytes = res.payload_bytes / 2}, false, &out, e));
	assert_int_equal(out.items, would);
	stat(trash_path(t), &st2);
	assert_true(st2.st_size < st.st_size * 3 / 4);
	OK(trash_empty(t, &(struct trash_limits){.older_than_s = 1000}, false, &out, e));
	assert_int_equal(out.items, 0);
	list_ids(p, 0);
	OK(trash_remove(t, ids.v[0], e));
	FAILS(E_NOTFOUND, trash_remove(t, ids.v[0], e));
	FAILS(E_NOTFOUND, trash_payload(t, ids.v[0], &parts, e));
	FAILS(E_NOTFOUND, prune_restore(p, ids.v, 2, &how, &res, e)); /* the other is done */
	assert_int_equal(res.done, 1);
	OK(trash_empty(t, &(struct trash_limits){.all = true}, false, &out, e));
	assert_int_equal(out.left_items, 0);
	prune_close(p);
	seen_free(&before);
	free_place(&pl);
}

static void test_no_world(void **state)
{
	(void)state;
	struct prune *p;
	CLEANUP_FREE char *dir = temp_path("noworld");
	CLEANUP_FREE char *st = temp_path("nostate");
	OK(io_mkdirs(dir, 0755, e));
	struct prune_options opt = {.state_dir = st, .world = dir};
	FAILS(E_NOTFOUND, prune_open(&p, &opt, e));
	CLEANUP_FREE char *trash = temp_path("nostate/trash");
	assert_int_equal(access(trash, F_OK), -1); /* and nothing was made for it */
	CLEANUP_FREE char *a = temp_path("noworld/a");
	CLEANUP_FREE char *b = temp_path("noworld/b");
	world_make(a, 3);
	world_make(b, 3);
	FAILS(E_USAGE, prune_open(&p, &opt, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_prune_and_restore),
		cmocka_unit_test(test_file_goes), cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_apply_past_failure),
		cmocka_unit_test(test_put), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_odd_mcc), cmocka_unit_test(test_repack),
		cmocka_unit_test(test_emptying),
		cmocka_unit_test(test_no_world)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
