/* Random histories against a model: three machines take snapshots, forget, undelete and compact one
 * store at the same time, are killed at random moments, and the store is damaged and repaired between.
 * Never a wrong byte, never a lost snapshot.
 *
 * MCFS_MODEL_STEPS (60; the long form is 1000), MCFS_MODEL_SEED. */
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/io.h"
#include "engine/snapshot/backup.h"
#include "engine/snapshot/check.h"
#include "engine/snapshot/compact.h"
#include "engine/snapshot/forgotten.h"
#include "engine/snapshot/repair.h"
#include "engine/snapshot/restore.h"
#include "tests/unit/make_region.h"

#define MACHINES 3
#define FILES 9

/* ---- what a machine has, and what snapshots must hold ---- */

struct contents {
	struct name digest[FILES];
	bool there[FILES];
};

struct machine {
	char *src, *cache;
	struct buf file[FILES];
	bool there[FILES];
};

enum fate { LIVE, FORGOTTEN, UNSURE, GONE };

struct known {
	struct id id;
	unsigned machine;
	enum fate fate;
	bool busy; /* a process is forgetting it or bringing it back */
	struct contents want;
};

struct maybe { /* of a run that was killed: perhaps it got that far */
	unsigned machine;
	struct contents want;
};

static struct machine machines[MACHINES];
static struct known *known;
static size_t n_known;
static struct maybe *maybes;
static size_t n_maybes;
static char *top, *store_path;
static struct {
	unsigned long snapshots, forgets, undeletes, compacts, kills, damages, repairs, restores, compared,
		adopted;
} did;

static void hash_of(struct span s, struct name *ret)
{
	name_of(test_keys(), 0, s, ret);
}

static char *path_of(const char *dir, unsigned i)
{
	char *p;
	if (asprintf(&p, i < 2 ? "%s/r.%u.0.mca" : "%s/file-%u", dir, i) < 0)
		abort();
	return p;
}

static void change(struct machine *m)
{
	for (unsigned i = 0; i < FILES; i++) {
		struct buf *b = &m->file[i];
		CLEANUP_FREE char *path = path_of(m->src, i);
		if (m->there[i] && below(3))
			continue;
		if (m->there[i] && i >= 2 && below(8) == 0) {
			unlink(path);
			m->there[i] = false;
			continue;
		}
		if (i < 2 && b->len)
			play_region(b, 1 + below(3));
		else if (i < 2)
			make_region(b, 6 + below(8), FLAW_STALE);
		else if (!b->len || below(3) == 0) {
			OK(buf_resize(b, below(4) ? below(9000) : 100000 + below(400000), e));
			/* The same on all machines, now and then. */
			fill(b->p, b->len, below(2) ? 2 : 1);
		} else {
			b->p[below((uint32_t)b->len)] ^= 1;
		}
		m->there[i] = true;
		write_file(path, buf_span(b));
	}
}

static void contents_of(const struct machine *m, struct contents *ret)
{
	memset(ret, 0, sizeof *ret);
	for (unsigned i = 0; i < FILES; i++) {
		ret->there[i] = m->there[i];
		if (m->there[i])
			hash_of(buf_span(&m->file[i]), &ret->digest[i]);
	}
}

/* ---- the processes ---- */

enum job { SNAPSHOT, FORGET, UNDELETE, COMPACT, CHECK };

struct child {
	pid_t pid;
	enum job job;
	unsigned machine;
	size_t which; /* known[], for forget and undelete */
	bool killed;
	int64_t kill_at;
	char *result;
	struct contents want;
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int open_at(const char *cache, struct store **ret, struct err *e)
{
	const struct store_options opt = {.cache_dir = cache, .what = "model"};
	struct object_place *place;
	int r = object_dir_open(&place, store_path, false, e);
	return r < 0 ? r : store_open(ret, place, &test_secret, &opt, e);
}

static const struct snapshot *find_id(const struct snapshot_list *l, const struct id *id)
{
	for (size_t i = 0; i < l->n; i++)
		if (memcmp(l->v[i].id.b, id->b, ID_BYTES) == 0)
			return &l->v[i];
	return NULL;
}

static int do_snapshot(struct store *s, const struct child *c, struct err *e)
{
	const char *paths[] = {machines[c->machine].src};
	const struct backup_options opt = {.paths = paths, .n_paths = 1, .threads = 2,
		.level = 1};
	struct backup_result res;
	int r = backup_run(s, &opt, &res, e);
	if (r == 0)
		r = io_write_file(AT_FDCWD, c->result, span_of(res.sn.id.b, ID_BYTES), 0600, true, e);
	if (r == 0)
		snapshot_free(&res.sn);
	return r;
}

static int do_move(struct store *s, const struct child *c, struct err *e)
{
	struct snapshot_list l;
	struct forgotten_list f;
	const struct id *id = &known[c->which].id;
	int r = snapshot_list_load(&l, s, e);
	if (r == 0)
		r = forgotten_load(&f, s, e);
	if (r < 0)
		return r;
	r = err_set(e, E_NOTFOUND, 0, "it is gone");
	if (c->job == FORGET && find_id(&l, id))
		r = snapshot_forget(s, find_id(&l, id), e);
	for (size_t i = 0; i < f.n && c->job == UNDELETE; i++)
		if (memcmp(f.v[i].sn.id.b, id->b, ID_BYTES) == 0)
			r = snapshot_undelete(s, &l, &f.v[i], e);
	snapshot_list_free(&l);
	forgotten_free(&f);
	return r;
}

static int check_clean(struct store *s, unsigned percent, struct err *e);

static int do_job(const struct child *c, struct err *e)
{
	struct store *s = NULL;
	struct compact_result cr;
	const struct compact_options co = {.grace = 0, .wait_seconds = 1, .max_unused = 1 + below(20)};
	int r = open_at(machines[c->machine].cache, &s, e);
	if (r < 0)
		return r;
	switch (c->job) {
	case SNAPSHOT:
		r = do_snapshot(s, c, e);
		break;
	case FORGET:
	case UNDELETE:
		r = do_move(s, c, e);
		break;
	case COMPACT:
		r = compact_run(s, &co, &cr, e);
		break;
	case CHECK:
		r = check_clean(s, 0, e);
	}
	store_close(s);
	return r;
}

static void start(struct child *c)
{
	unlink(c->result);
	fflush(NULL);
	c->killed = false;
	c->kill_at = below(4) ? INT64_MAX : now_ms() + below(60);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid)
		return;
	struct err err = ERR_INIT;
	int r = do_job(c, &err);
	if (r < 0 && r != E_LOCKED && r != E_NOTFOUND && r != E_EXISTS)
		fprintf(stderr, "process %d, job %d: %s\n", (int)getpid(), c->job, err.msg);
	_exit(-r);
}

/* ---- what came of them ---- */

static void learn(const struct id *id, unsigned machine, const struct contents *want)
{
	known = realloc(known, (n_known + 1) * sizeof *known);
	assert_non_null(known);
	known[n_known++] = (struct known){*id, machine, LIVE, false, *want};
}

static void may_be(unsigned machine, const struct contents *want)
{
	maybes = realloc(maybes, (n_maybes + 1) * sizeof *maybes);
	assert_non_null(maybes);
	maybes[n_maybes++] = (struct maybe){machine, *want};
}

static void finished(struct child *c, int status)
{
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	int code = WIFEXITED(status) ? -WEXITSTATUS(status) : 0;
	if (!ok && !c->killed && code != E_LOCKED && code != E_NOTFOUND && code != E_EXISTS)
		fail_msg("job %d of machine %u ended with status %x", c->job, c->machine, status);
	did.kills += !ok && c->killed;
	if (c->job == SNAPSHOT) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct id id;
		if (io_read_file(AT_FDCWD, c->result, &b, 64, NULL) == 0 && b.len == ID_BYTES) {
			memcpy(id.b, b.p, ID_BYTES);
			learn(&id, c->machine, &c->want);
			did.snapshots++;
		} else {
			may_be(c->machine, &c->want);
		}
	} else if (c->job == FORGET || c->job == UNDELETE) {
		struct known *k = &known[c->which];
		k->busy = false;
		if (ok)
			k->fate = c->job == FORGET ? FORGOTTEN : LIVE;
		else if (c->killed)
			k->fate = UNSURE;
		else if (c->job == FORGET)
			fail_msg("a live snapshot could not be forgotten: it is lost");
		did.forgets += ok && c->job == FORGET;
		did.undeletes += ok && c->job == UNDELETE;
	} else if (c->job == COMPACT) {
		did.compacts += ok;
	}
	c->pid = 0;
}

static void poll_children(struct child v[MACHINES], bool all)
{
	for (;;) {
		bool any = false;
		for (unsigned i = 0; i < MACHINES; i++) {
			int status;
			if (!v[i].pid)
				continue;
			if (now_ms() >= v[i].kill_at && !v[i].killed) {
				kill(v[i].pid, SIGKILL);
				v[i].killed = true;
			}
			if (waitpid(v[i].pid, &status, WNOHANG) == v[i].pid)
				finished(&v[i], status);
			any |= v[i].pid != 0;
		}
		bool idle = false;
		for (unsigned i = 0; i < MACHINES; i++)
			idle |= v[i].pid == 0;
		if (all ? !any : idle)
			return;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
}

static bool pick(enum fate fate, size_t *ret)
{
	size_t n = 0;
	for (size_t i = 0; i < n_known; i++)
		if (known[i].fate == fate && !known[i].busy && below((uint32_t)++n) == 0)
			*ret = i;
	return n > 0;
}

static size_t count(enum fate fate)
{
	size_t n = 0;
	for (size_t i = 0; i < n_known; i++)
		n += known[i].fate == fate;
	return n;
}

static void one_step(struct child v[MACHINES])
{
	poll_children(v, false);
	unsigned m = 0;
	while (v[m].pid)
		m++;
	struct child *c = &v[m];
	unsigned dice = below(100);
	c->machine = m;
	c->job = SNAPSHOT;
	if (dice < 35 && count(LIVE) > 6 + below(8) && pick(LIVE, &c->which))
		c->job = FORGET;
	else if (dice < 42 && pick(FORGOTTEN, &c->which))
		c->job = UNDELETE;
	else if (dice >= 78)
		c->job = COMPACT;
	else if (dice >= 75)
		c->job = CHECK;
	if (c->job == SNAPSHOT) {
		change(&machines[m]);
		contents_of(&machines[m], &c->want);
	} else if (c->job == FORGET || c->job == UNDELETE) {
		known[c->which].busy = true;
	}
	start(c);
}

/* ---- comparing, while nobody is at work ---- */

static void tell_damage(void *ctx, const char *where, const struct err *err)
{
	(void)ctx;
	fprintf(stderr, "check: %s: %s\n", where, err->msg);
}

static int check_clean(struct store *s, unsigned percent, struct err *e)
{
	struct check_result res;
	const struct check_options opt = {.read_percent = percent, .threads = 2,
		.on_damage = tell_damage};
	int r = check_run(s, &opt, &res, e);
	return r == 0 && res.damage ? err_set(e, E_CORRUPT, 0, "check finds damage") : r;
}

static void tell_problem(void *ctx, const char *path, const struct err *err)
{
	if (*(bool *)ctx)
		fprintf(stderr, "%s: %s\n", path, err->msg);
}

/* Restore and compare. With `strict` all of it must be there; else what is there must be right. */
static void compare(struct store *s, const struct snapshot *sn, const struct contents *want,
	bool strict)
{
	CLEANUP_FREE char *to = temp_path("restored");
	CLEANUP_FREE char *path = NULL;
	const struct restore_options opt = {.path = "src/", .to = to, .threads = 2,
		.delete_extra = true, .on_problem = tell_problem, .ctx = &strict};
	struct restore_result res = {0};
	struct err err = ERR_INIT;
	int r = restore_run(s, sn, &opt, &res, &err);
	if (strict && (r < 0 || res.problems))
		fail_msg("snapshot %s cannot be restored: %s", sn->name, err.msg);
	did.restores++;
	for (unsigned i = 0; i < FILES; i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct name got;
		path = path_of(to, i);
		r = io_read_file(AT_FDCWD, path, &b, 1 << 28, NULL);
		free(TAKE_PTR(path));
		if (strict && (r == 0) != want->there[i])
			fail_msg("snapshot %s: file %u is %s", sn->name, i, r ? "missing" : "too many");
		if (r < 0)
			continue;
		hash_of(buf_span(&b), &got);
		if (name_cmp(&got, &want->digest[i]) != 0 && want->there[i])
			fail_msg("snapshot %s: file %u has wrong bytes", sn->name, i);
		did.compared++;
	}
}

static void clear_restored(void)
{
	CLEANUP_FREE char *to = temp_path("restored");
	for (unsigned i = 0; i < FILES; i++) {
		CLEANUP_FREE char *p = path_of(to, i);
		unlink(p);
	}
}

static bool same_contents(struct store *s, const struct snapshot *sn, const struct contents *want)
{
	CLEANUP_FREE char *to = temp_path("adopted");
	const struct restore_options opt = {.path = "src/", .to = to, .threads = 2,
		.delete_extra = true};
	struct restore_result res = {0};
	bool same = true;
	OK(restore_run(s, sn, &opt, &res, e));
	assert_int_equal(res.problems, 0);
	for (unsigned i = 0; i < FILES; i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct name got;
		CLEANUP_FREE char *path = path_of(to, i);
		int r = io_read_file(AT_FDCWD, path, &b, 1 << 28, NULL);
		hash_of(buf_span(&b), &got);
		same &= (r == 0) == want->there[i] &&
			(r < 0 || name_cmp(&got, &want->digest[i]) == 0);
	}
	return same;
}

/* A snapshot that nobody told of: of a run that was killed after its object was there. */
static void adopt(struct store *s, const struct snapshot *sn)
{
	for (size_t i = 0; i < n_maybes; i++)
		if (strcmp(sn->sources[0].path, machines[maybes[i].machine].src) == 0 &&
			same_contents(s, sn, &maybes[i].want)) {
			learn(&sn->id, maybes[i].machine, &maybes[i].want);
			did.adopted++;
			return;
		}
	fail_msg("snapshot %s holds what no run saw", sn->name);
}

static bool in_forgotten(const struct forgotten_list *f, const struct id *id)
{
	for (size_t i = 0; i < f->n; i++)
		if (memcmp(f->v[i].sn.id.b, id->b, ID_BYTES) == 0)
			return true;
	return false;
}

static void reconcile(struct store *s, const struct snapshot_list *l)
{
	struct forgotten_list f;
	OK(forgotten_load(&f, s, e));
	for (size_t i = 0; i < n_known; i++) {
		struct known *k = &known[i];
		bool live = find_id(l, &k->id) != NULL;
		if (k->fate == LIVE && !live)
			fail_msg("a snapshot is lost");
		if ((k->fate == FORGOTTEN || k->fate == GONE) && live)
			fail_msg("a forgotten snapshot is back");
		if (k->fate == UNSURE || k->fate == FORGOTTEN)
			k->fate = live ? LIVE : in_forgotten(&f, &k->id) ? FORGOTTEN : GONE;
	}
	for (size_t i = 0; i < l->n; i++) {
		bool have = false;
		for (size_t k = 0; k < n_known; k++)
			have |= memcmp(known[k].id.b, l->v[i].id.b, ID_BYTES) == 0;
		if (!have)
			adopt(s, &l->v[i]);
	}
	forgotten_free(&f);
	n_maybes = 0;
}

static void compare_some(struct store *s, const struct snapshot_list *l, size_t some, bool strict)
{
	for (size_t i = 0; i < n_known; i++) {
		if (known[i].fate != LIVE || (some && below((uint32_t)count(LIVE)) >= some))
			continue;
		clear_restored();
		compare(s, find_id(l, &known[i].id), &known[i].want, strict);
	}
}

/* ---- damage ---- */

/* A random pack or index object; its path, or NULL. */
static char *random_object(void)
{
	CLEANUP_FREE char *command = NULL;
	char line[300], *ret = NULL;
	if (asprintf(&command, "cd '%s' && find packs index -type f | sort", store_path) < 0)
		abort();
	FILE *f = popen(command, "r");
	for (uint32_t n = 1; f && fgets(line, sizeof line, f); n++) {
		line[strcspn(line, "\n")] = 0;
		if (below(n))
			continue;
		free(ret);
		if (asprintf(&ret, "%s/%s", store_path, line) < 0)
			abort();
	}
	if (f)
		pclose(f);
	return ret;
}

static void damage_and_repair(void)
{
	CLEANUP_FREE char *path = random_object();
	CLEANUP_BUF struct buf was = BUF_INIT;
	struct store *s;
	struct snapshot_list l;
	struct err err = ERR_INIT;
	if (!path)
		return;
	OK(io_read_file(AT_FDCWD, path, &was, 1 << 28, e));
	unsigned how = below(3);
	did.damages++;
	printf("damage %u to %s\n", how, path);
	fflush(stdout);
	if (how == 0) {
		unlink(path);
	} else {
		CLEANUP_BUF struct buf b = BUF_INIT;
		OK(buf_add(&b, was.p, was.len, e));
		b.p[below((uint32_t)b.len)] ^= 0x20;
		write_file(path, span_of(b.p, how == 1 ? b.len : b.len / 2));
	}
	/* Whatever is read is right, or told to be damaged. Compact gives up or does no harm. */
	OK(open_at(NULL, &s, e));
	OK(snapshot_list_load(&l, s, e));
	compare_some(s, &l, 2, false);
	snapshot_list_free(&l);
	store_close(s);
	OK(open_at(machines[0].cache, &s, e));
	struct compact_result cr;
	const struct compact_options co = {.grace = 0, .max_unused = 1};
	int r = compact_run(s, &co, &cr, &err);
	if (r < 0 && r != E_CORRUPT)
		fail_msg("compact of a damaged store: %s", err.msg);
	store_close(s);
	/* An index object can be made again from the packs; what a pack held comes from elsewhere. */
	if (strstr(path, "/index/")) {
		struct repair_result rr;
		const struct repair_options ro = {.check = {.read_percent = 100, .threads = 2}};
		OK(open_at(NULL, &s, e));
		OK(repair_run(s, &ro, &rr, e));
		store_close(s);
		did.repairs++;
	} else if (access(path, F_OK) == 0 || r < 0) {
		write_file(path, was.len ? buf_span(&was) : (struct span){NULL, 0});
	}
}

static void quiet_point(bool last)
{
	struct store *s;
	struct snapshot_list l;
	OK(open_at(below(2) ? machines[below(MACHINES)].cache : NULL, &s, e));
	OK(snapshot_list_load(&l, s, e));
	assert_int_equal(l.damaged, 0);
	reconcile(s, &l);
	snapshot_list_free(&l);
	OK(snapshot_list_load(&l, s, e));
	compare_some(s, &l, last ? 0 : 2, true);
	snapshot_list_free(&l);
	OK(check_clean(s, 100, e));
	store_close(s);
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);
	return s && *s ? strtoul(s, NULL, 10) : otherwise;
}

static void test_histories(void **state)
{
	(void)state;
	unsigned long steps = number("MCFS_MODEL_STEPS", MCFS_SANITIZED ? 30 : 60);
	unsigned long seed = number("MCFS_MODEL_SEED", (unsigned long)time(NULL) ^ (unsigned long)getpid());
	struct child v[MACHINES] = {0};
	struct object_place *place;
	struct store_config cfg = {0};
	printf("seed %lu, %lu steps\n", seed, steps);
	fflush(stdout);
	rnd_seed(seed);
	top = temp_path("model");
	store_path = temp_path("model/store");
	crypto_random(cfg.id.b, ID_BYTES);
	OK(io_mkdirs(top, 0700, e));
	OK(object_dir_open(&place, store_path, true, e));
	OK(store_create(place, &cfg, &test_secret, e));
	object_place_free(place);
	for (unsigned i = 0; i < MACHINES; i++) {
		char name[40];
		snprintf(name, sizeof name, "model/m%u/src", i);
		machines[i].src = temp_path(name);
		OK(io_mkdirs(machines[i].src, 0700, e));
		snprintf(name, sizeof name, "model/m%u/cache", i);
		machines[i].cache = temp_path(name);
		snprintf(name, sizeof name, "model/m%u/result", i);
		v[i].result = temp_path(name);
	}
	for (unsigned long step = 1; step <= steps; step++) {
		one_step(v);
		if (step % 12 && step != steps)
			continue;
		poll_children(v, true);
		quiet_point(step == steps);
		if (below(2) == 0) {
			damage_and_repair();
			quiet_point(false);
		}
	}
	printf("%lu snapshots (%lu of them by processes that were killed), %lu forgotten, %lu brought "
	       "back, %lu compacted, %lu killed, %lu times damaged, %lu repaired; %lu restores, %lu files "
	       "compared; %zu live\n",
		did.snapshots + did.adopted, did.adopted, did.forgets, did.undeletes, did.compacts,
		did.kills, did.damages, did.repairs, did.restores, did.compared, count(LIVE));
	assert_true(did.snapshots > steps / 10);
	for (unsigned i = 0; i < MACHINES; i++)
		free(v[i].result);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_histories)};
	OK(crypto_init(e));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
