/* The power goes while chunks are pruned, put back, put in, or a file is repacked: whatever of the calls that
 * were not made durable is on the disk (disk_log.h), of region files, .mcc files and the trash alike. Every chunk
 * is in the world or in the trash, every region file can be read; recovery settles it, the command can be run again
 * and ends as if nothing had been; and what it had said to be done is done.
 *
 * MCFS_FAULTS_ALL=1: a cut after each call, and thrice as many by lot; otherwise some of each. */
#include "tests/fault/disk_log.h"
#include "tests/unit/support.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/io.h"
#include "engine/prune/prune.h"
#include "tests/unit/prune_world.h"

enum { MAX_IDS = 4096, SOME = MCFS_SANITIZED ? 12 : 60 };

static char *root, *world, *state; /* always the same place: the trash goes by the world's path */
static unsigned long images;

/* ---- places ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void empty_root(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	OK(io_mkdirs(root, 0700, e));
}

static void remove_below(const char *name)
{
	CLEANUP_FREE char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", world, name) > 0);
	assert_int_equal(unlink(path), 0);
}

/* One region of each kind, 52 chunks, one of them with a .mcc. */
static void fresh_world(void)
{
	empty_root();
	world_make(world, 52);
	remove_below("region/r.-1.0.mca");
	remove_below("region/c.-6.24.mcc");
	remove_below("entities/r.-1.0.mca");
	remove_below("poi/r.-1.0.mca");
}

static struct prune *open_prune(void)
{
	struct prune *p;
	const struct prune_options opt = {.state_dir = state, .world = world};
	OK(prune_open(&p, &opt, e));
	return p;
}

/* ---- what there is ---- */

/* A part of a chunk with its bytes. */
struct version {
	char folder[100];
	int32_t x, z;
	uint32_t stamp;
	uint8_t type, sum[16];
	size_t len;
};
struct versions {
	struct version v[MAX_IDS];
	size_t n;
	struct trash *trash;
};
static struct versions before, in_trash;

static struct version *add(struct versions *l)
{
	assert_true(l->n < MAX_IDS);
	l->v[l->n] = (struct version){0};
	return &l->v[l->n++];
}

static int add_item(void *ctx, const struct trash_item *it, struct err *e)
{
	struct versions *l = ctx;
	CLEANUP_PARTS struct chunk_parts c = {0};
	int r = trash_payload(l->trash, it->id, &c, e);
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
		const struct chunk_part *p = &c.part[k];
		if (!p->present)
			continue;
		struct span s = p->has_mcc ? buf_span(&p->mcc) : span_sub(buf_span(&p->record), 5, p->record.len - 5);
		struct version *v = add(l);
		snprintf(v->folder, sizeof v->folder, "%s%s%s", it->folder, *it->folder ? "/" : "",
			source_kind_name[k]);
		v->x = it->x;
		v->z = it->z;
		v->stamp = p->entry.timestamp;
		v->type = p->record.p[4];
		v->len = s.n;
		digest_of(s, v->sum);
	}
	return r == E_NOTFOUND ? 0 : r; /* it is still in the world */
}

static void add_trash(struct versions *l, struct prune *p)
{
	/* Not those that wait to be pruned: they have no payload. */
	const struct trash_filter f = {.states = 1u << TRASH_PRUNING | 1u << TRASH_KEPT |
						 1u << TRASH_RESTORE_WAITS | 1u << TRASH_RESTORING};
	l->trash = prune_trash(p);
	OK(trash_list(l->trash, &f, add_item, l, e));
}

static void add_world(struct versions *l, const struct seen *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct seen_chunk *c = &s->v[i];
		if (!c->sectors)
			continue;
		struct version *v = add(l);
		memcpy(v->folder, c->folder, sizeof v->folder);
		v->x = c->x;
		v->z = c->z;
		v->stamp = c->stamp;
		v->type = c->type;
		v->len = c->len;
		memcpy(v->sum, c->sum, sizeof v->sum);
	}
}

static bool has(const struct versions *l, const struct version *v)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].x == v->x && l->v[i].z == v->z && l->v[i].len == v->len && l->v[i].type == v->type &&
			l->v[i].stamp == v->stamp && memcmp(l->v[i].sum, v->sum, sizeof v->sum) == 0 &&
			strcmp(l->v[i].folder, v->folder) == 0)
			return true;
	return false;
}

/* The promise. */
static void nothing_lost(struct prune *p, const struct seen *s, const char *op, size_t at)
{
	in_trash.n = 0;
	add_trash(&in_trash, p);
	add_world(&in_trash, s);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].sectors && !s->v[i].readable)
			fail_msg("%s, cut at %zu: %s: chunk %d, %d is broken", op, at, s->v[i].folder, s->v[i].x,
				s->v[i].z);
	for (size_t i = 0; i < before.n; i++)
		if (!has(&in_trash, &before.v[i]))
			fail_msg("%s, cut at %zu: %s: chunk %d, %d is neither in the world nor in the trash", op, at,
				before.v[i].folder, before.v[i].x, before.v[i].z);
}

/* ---- the operations; each may be run again ---- */

static struct prune_chunk chunks[1024];

static int prune_some(struct prune *p, unsigned of, const struct prune_how *how, struct err *e)
{
	struct prune_result res;
	size_t n = 0;
	for (unsigned i = 0; i < 52; i++) { /* as world_make() puts them; 49 has a .mcc */
		unsigned slot = (i * 37 + 5) % 1024;
		if (i % of == of - 1 || i == 49)
			chunks[n++] = (struct prune_chunk){.x = (int32_t)(slot % 32), .z = (int32_t)(slot / 32)};
	}
	return prune_chunks(p, "overworld", chunks, n, how, &res, e);
}

static const struct prune_how plain = {0}, replacing = {.replace = true},
			      deferring = {.when_running = WHEN_RUNNING_DEFER};

static int op_prune(struct prune *p, struct err *e)
{
	return prune_some(p, 4, &plain, e);
}

/* A world without a region file has no dimension. */
static int op_prune_all(struct prune *p, struct err *e)
{
	struct err own = ERR_INIT;
	int r = prune_some(p, 1, &plain, &own);
	if (r < 0 && r != E_NOTFOUND)
		*e = own;
	return r == E_NOTFOUND ? 0 : r;
}

static struct ids {
	int64_t v[MAX_IDS];
	size_t n;
} ids;

static int add_id(void *ctx, const struct trash_item *it, struct err *e)
{
	(void)ctx;
	(void)e;
	if (strncmp(it->why, "replaced", 8) != 0)
		ids.v[ids.n++] = it->id;
	return 0;
}

static int restore_all(struct prune *p, const struct prune_how *how, struct err *e)
{
	const struct trash_filter f = {0};
	struct prune_result res;
	ids.n = 0;
	int r = trash_list(prune_trash(p), &f, add_id, NULL, e);
	return r < 0 || ids.n == 0 ? r : prune_restore(p, ids.v, ids.n, how, &res, e);
}

static int op_restore(struct prune *p, struct err *e)
{
	return restore_all(p, &plain, e);
}

static int op_replace(struct prune *p, struct err *e)
{
	return restore_all(p, &replacing, e);
}

/* Into the place of a chunk with all three parts, or of the one with a .mcc. */
static int put(struct prune *p, unsigned i, bool external, struct err *e)
{
	struct prune_result res;
	CLEANUP_PARTS struct chunk_parts c = {0};
	unsigned slot = (i * 37 + 5) % 1024;
	int32_t x = (int32_t)(slot % 32), z = (int32_t)(slot / 32);
	for (int k = 0; k < 2; k++) {
		struct chunk_part *part = &c.part[k];
		part->present = true;
		part->entry.timestamp = 1234567u + (unsigned)k;
		part->has_mcc = external && k == 0;
		world_record(&part->record, part->has_mcc ? &part->mcc : NULL, x, z, k, 9000, 4711);
	}
	return prune_put(p, "overworld", x, z, &c, "a snapshot", &plain, &res, e);
}

static int op_put(struct prune *p, struct err *e)
{
	return put(p, 3, false, e);
}

static int op_put_mcc(struct prune *p, struct err *e)
{
	return put(p, 49, true, e);
}

static int op_apply(struct prune *p, struct err *e)
{
	struct prune_result res;
	return prune_apply(p, &plain, &res, e);
}

static int op_repack(struct prune *p, struct err *e)
{
	struct prune_result res;
	return prune_repack(p, NULL, &res, e);
}

/* ---- before them ---- */

static void prepare_nothing(struct prune *p)
{
	(void)p;
}

static void prepare_pruned(struct prune *p)
{
	OK(op_prune(p, e));
}

static void prepare_all_pruned(struct prune *p)
{
	OK(op_prune_all(p, e));
}

/* Pruned, and then something else is in the place of some. */
static void prepare_saved_again(struct prune *p)
{
	OK(op_prune(p, e));
	OK(op_put(p, e));
	OK(op_put_mcc(p, e));
}

/* A server holds the world while it is asked for. */
static void prepare_deferred(struct prune *p)
{
	pid_t server = world_serve(world);
	OK(prune_some(p, 4, &deferring, e));
	world_end(server);
}

static const struct op {
	const char *name;
	void (*prepare)(struct prune *p);
	int (*run)(struct prune *p, struct err *e);
	bool replaces;
} ops[] = {{"prune", prepare_nothing, op_prune}, {"prune all", prepare_nothing, op_prune_all},
	{"restore", prepare_pruned, op_restore}, {"restore all", prepare_all_pruned, op_restore},
	{"put", prepare_nothing, op_put, true}, {"put .mcc", prepare_nothing, op_put_mcc, true},
	{"replace", prepare_saved_again, op_replace, true}, {"apply", prepare_deferred, op_apply},
	{"repack", prepare_pruned, op_repack}};

/* ---- the test ---- */

static struct seen after; /* the operation, undisturbed */
static size_t after_kept;

static size_t kept(struct prune *p)
{
	in_trash.n = 0;
	add_trash(&in_trash, p);
	return in_trash.n;
}

enum look { LOOK_LOST, LOOK_AGAIN, LOOK_DONE };

static void drop_bare_stamps(struct seen *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].sectors)
			s->v[n++] = s->v[i];
	s->n = n;
}

/* LOOK_AGAIN: the same chunks as after an undisturbed run (a time stamp without a chunk may be left). With what
 * replaces, the old version may be twice in the trash: once by the record, once as what was found in the place. */
static void look(struct prune *p, const struct op *op, size_t at, enum look how)
{
	struct seen s, want = {0};
	seen_read_cut(world, &s);
	nothing_lost(p, &s, op->name, at);
	if (how != LOOK_LOST) {
		want.v = malloc((after.n + 1) * sizeof *want.v); /* nothing is left when all is pruned */
		assert_non_null(want.v);
		if (after.n)
			memcpy(want.v, after.v, after.n * sizeof *want.v);
		want.n = after.n;
		drop_bare_stamps(&s);
		drop_bare_stamps(&want);
		seen_assert_equal(&want, &s, false);
		size_t n = kept(p);
		if (n < after_kept || (n > after_kept && (how == LOOK_DONE || !op->replaces)))
			fail_msg("%s, cut at %zu: %zu parts in the trash instead of %zu", op->name, at, n, after_kept);
	}
	seen_free(&want);
	seen_free(&s);
}

/* One state of the disk. `done`: the command had said that it was done. */
static void survive(const struct op *op, size_t n, enum disk_fate fate, bool done)
{
	struct prune_result res;
	struct seen s;
	uint64_t pending;
	empty_root();
	disk_log_image_in(n, fate, root);
	struct prune *p = open_prune();
	OK(prune_pending(p, &pending, e));
	assert_true(!done || pending == 0);
	look(p, op, n, done ? LOOK_DONE : LOOK_LOST);
	OK(op_apply(p, e));
	OK(prune_pending(p, &pending, e));
	assert_int_equal(pending, 0);
	look(p, op, n, done ? LOOK_DONE : LOOK_LOST);
	OK(op->run(p, e));
	look(p, op, n, LOOK_AGAIN);
	/* Takes the lock in any case: what was left lying goes. (That of a dimension without region files goes when
	 * it has some.) */
	prune_close(p);
	p = open_prune();
	OK(prune_repack(p, NULL, &res, e));
	look(p, op, n, LOOK_AGAIN);
	seen_read(world, &s);
	seen_free(&s);
	prune_close(p);
	images++;
}

static void record(const struct op *op)
{
	struct seen s;
	fresh_world();
	if (op->prepare != prepare_nothing) {
		struct prune *p = open_prune();
		op->prepare(p);
		prune_close(p);
	}
	seen_read(world, &s);
	before.n = 0;
	add_world(&before, &s);
	seen_free(&s);
	if (op->prepare != prepare_nothing) {
		struct prune *p = open_prune();
		add_trash(&before, p);
		prune_close(p);
	}
	/* The trash is made as part of the first operation on a world. */
	disk_log_begin(root);
	struct prune *p = open_prune();
	OK(op->run(p, e));
	prune_close(p);
	disk_log_end();
	p = open_prune();
	seen_read(world, &after);
	after_kept = kept(p);
	prune_close(p);
}

static void test_op(void **state_)
{
	const struct op *op = *state_;
	record(op);
	size_t n = disk_log_count();
	bool all = getenv("MCFS_FAULTS_ALL") != NULL;
	for (size_t i = 0; i < n && all; i++)
		for (enum disk_fate fate = DISK_NOTHING; fate < DISK_CHANCE; fate++)
			survive(op, i, fate, false);
	for (size_t i = 0; i < (all ? 3 * n : SOME); i++) {
		size_t at = below((uint32_t)n);
		bool chance = all || i % 3;
		while (chance && at + 1 < n && !disk_log_is_sync(at))
			at++;
		survive(op, at, chance ? DISK_CHANCE : below(DISK_CHANCE), false);
	}
	for (enum disk_fate fate = DISK_NOTHING; fate < DISK_FATES; fate++)
		survive(op, n, fate, true);
	seen_free(&after);
	printf("%s: %zu calls\n", op->name, n);
}

/* SQLite's calls are seen as well, or the rest of this proves nothing: without them the trash would be as it was. */
static void test_sqlite_is_seen(void **state_)
{
	(void)state_;
	record(&ops[0]);
	seen_free(&after);
	empty_root();
	disk_log_image_in(disk_log_count(), DISK_NOTHING, root);
	struct prune *p = open_prune();
	assert_int_equal(kept(p), after_kept);
	assert_true(after_kept > 0);
	prune_close(p);
	/* And what is not durable may be lost: half way there is a state with less. */
	size_t least = after_kept;
	for (size_t i = 0; i < disk_log_count(); i++) {
		empty_root();
		disk_log_image_in(i, DISK_NOTHING, root);
		p = open_prune();
		least = kept(p) < least ? kept(p) : least;
		prune_close(p);
	}
	assert_int_equal(least, 0);
}

static int setup(void **state_)
{
	(void)state_;
	OK(crypto_init(e));
	rnd_seed(11);
	root = temp_path("disk");
	return asprintf(&world, "%s/w", root) > 0 && asprintf(&state, "%s/state", root) > 0 ? 0 : -1;
}

static int teardown(void **state_)
{
	(void)state_;
	printf("%lu states of a disk after a power cut survived\n", images);
	free(root);
	free(world);
	free(state);
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[1 + N_OF(ops)] = {cmocka_unit_test(test_sqlite_is_seen)};
	/* It is about order, not about a disk. */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	for (size_t i = 0; i < N_OF(ops); i++)
		tests[1 + i] = (struct CMUnitTest){.name = ops[i].name, .test_func = test_op,
			.initial_state = (void *)(uintptr_t)&ops[i]};
	return cmocka_run_group_tests(tests, setup, teardown);
}
