/* A store to be hurt, what is done to it, and what must be true of it afterwards. */
#include "tests/fault/fault_store.h"

#include "engine/base/io.h"
#include "engine/snapshot/backup.h"
#include "engine/snapshot/check.h"
#include "engine/snapshot/compact.h"
#include "engine/snapshot/forgotten.h"
#include "engine/snapshot/repair.h"
#include "engine/store/lock.h"
#include "tests/unit/make_region.h"
#include "tests/unit/mem_place.h"

#define SNAPSHOTS 5

struct object_place *fault_base;
static char *src;
static struct name roots[SNAPSHOTS];

static void fresh_files(unsigned k)
{
	struct buf b = BUF_INIT;
	for (unsigned i = 0; i < 5; i++) {
		char *path;
		if (asprintf(&path, i ? "%s/file-%u" : "%s/r.%u.0.mca", src, i) < 0)
			abort();
		if (i == 0 && k == 0)
			make_region(&b, 6, FLAW_STALE);
		else if (i == 0)
			read_file(path, &b);
		if (i == 0 && k)
			play_region(&b, 2);
		if (i) {
			OK(buf_resize(&b, i == 1 ? 400000 : below(6000), e));
			fill(b.p, b.len, i == 2 ? 2 : 1);
		}
		write_file(path, buf_span(&b));
		free(path);
		b.len = 0;
	}
	buf_free(&b);
}

/* What a user who changes keys has at hand. In the store from the start: the old one, and the third. */
static const uint8_t new_bytes[KEY_BYTES] = "new", third_bytes[KEY_BYTES] = "third";
static const struct secret new_secret = {SECRET_KEYFILE, {new_bytes, KEY_BYTES}};
static const struct secret third_secret = {SECRET_KEYFILE, {third_bytes, KEY_BYTES}};
static const struct secret *const at_hand[] = {&test_secret, &new_secret};

static int open_with(struct object_place *place, const struct secret *secret, struct store **ret,
	struct err *e)
{
	const struct store_options opt = {.what = "fault"};
	return store_open(ret, place, secret, &opt, e);
}

int fault_store_open(struct object_place *place, struct store **ret, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct config_edit *ed = NULL;
	struct err refused = ERR_INIT;
	int r = store_config_read(place, &text, NULL, e);
	if (r < 0) {
		object_place_free(place);
		return r;
	}
	r = config_edit_open(&ed, buf_span(&text), at_hand[0], &refused);
	config_edit_free(ed);
	return open_with(place, at_hand[r == E_AUTH], ret, e);
}

static int take(struct store *s, struct name *ret_root, struct err *e)
{
	const char *paths[] = {src};
	const struct backup_options opt = {.paths = paths, .n_paths = 1, .threads = 1, .level = 1};
	struct backup_result res;
	int r = backup_run(s, &opt, &res, e);
	if (r == 0 && ret_root)
		*ret_root = res.sn.root.name;
	if (r == 0)
		snapshot_free(&res.sn);
	return r;
}

static const struct snapshot *by_root(const struct snapshot_list *l, unsigned k)
{
	for (size_t i = 0; i < l->n; i++)
		if (name_cmp(&l->v[i].root.name, &roots[k]) == 0)
			return &l->v[i];
	return NULL;
}

static int forget_one(struct store *s, unsigned k, struct err *e)
{
	struct snapshot_list l;
	int r = snapshot_list_load(&l, s, e);
	if (r == 0 && by_root(&l, k))
		r = snapshot_forget(s, by_root(&l, k), e);
	snapshot_list_free(&l);
	return r;
}

/* ---- the operations ---- */

static int op_snapshot(struct store *s, struct err *e)
{
	return take(s, NULL, e);
}

static int op_forget(struct store *s, struct err *e)
{
	return forget_one(s, 1, e);
}

/* All that are there, and one that is not any more. */
static int op_forget_some(struct store *s, struct err *e)
{
	struct snapshot_list l;
	struct snapshot gone = {.id = {{1}}};
	const struct snapshot *v[SNAPSHOTS + 1] = {&gone};
	size_t n = 1;
	int r = snapshot_list_load(&l, s, e);
	for (size_t i = 0; r == 0 && i < l.n && n <= SNAPSHOTS; i++)
		v[n++] = &l.v[i];
	if (r == 0)
		r = snapshot_forget_some(s, v, n, e);
	snapshot_list_free(&l);
	return r;
}

static int op_undelete(struct store *s, struct err *e)
{
	struct snapshot_list l;
	struct forgotten_list f;
	int r = snapshot_list_load(&l, s, e);
	if (r < 0)
		return r;
	r = forgotten_load(&f, s, e);
	if (r < 0) {
		snapshot_list_free(&l);
		return r;
	}
	for (size_t i = 0; i < f.n && r == 0; i++)
		if (name_cmp(&f.v[i].sn.root.name, &roots[2]) == 0)
			r = snapshot_undelete(s, &l, &f.v[i], e);
	snapshot_list_free(&l);
	forgotten_free(&f);
	return r;
}

static int op_compact(struct store *s, struct err *e)
{
	struct compact_result res;
	const struct compact_options opt = {.grace = 0, .max_unused = 1};
	return compact_run(s, &opt, &res, e);
}

static int op_repair(struct store *s, struct err *e)
{
	struct repair_result res;
	const struct repair_options opt = {.check = {.read_percent = 100, .threads = 1}};
	return repair_run(s, &opt, &res, e);
}

/* As mcfs key does it: read, change, prove and replace under the exclusive lock. */
typedef int (*key_edit)(struct config_edit *ed, struct err *e);

static int change_keys(struct store *s, key_edit edit, const struct secret *proof, struct err *e)
{
	CLEANUP_BUF struct buf old = BUF_INIT;
	CLEANUP_BUF struct buf new = BUF_INIT;
	struct config_edit *ed = NULL;
	struct store_lock *lock = NULL;
	struct err refused = ERR_INIT;
	int r = store_lock_take(s, LOCK_EXCLUSIVE, "key", NULL, &lock, e);
	if (r == 0)
		r = store_config_read(store_place(s), &old, NULL, e);
	if (r == 0 && config_edit_open(&ed, buf_span(&old), at_hand[0], &refused) < 0)
		r = config_edit_open(&ed, buf_span(&old), at_hand[1], e);
	if (r == 0)
		r = edit(ed, e);
	if (r == 0)
		r = config_edit_text(ed, proof, &new, e);
	if (r == 0)
		r = store_lock_check(lock, e);
	if (r == 0)
		r = store_config_replace(store_place(s), buf_span(&new), e);
	config_edit_free(ed);
	store_lock_release(lock);
	return r;
}

static bool has_slot(const struct config_edit *ed, const char *label)
{
	struct slot_info v[CONFIG_MAX_SLOTS];
	for (size_t n = config_edit_slots(ed, v); n; n--)
		if (strcmp(v[n - 1].label, label) == 0)
			return true;
	return false;
}

/* These may be run again: a change that was told to have failed may have been done. */
static int add(struct config_edit *ed, const struct secret *secret, const char *label, struct err *e)
{
	char id[SLOT_ID_CHARS + 1];
	return has_slot(ed, label) ? 0 : config_edit_add(ed, secret, label, id, e);
}

static int edit_add_new(struct config_edit *ed, struct err *e)
{
	return add(ed, &new_secret, "new", e);
}

static int edit_add_third(struct config_edit *ed, struct err *e)
{
	return add(ed, &third_secret, "third", e);
}

static int edit_remove_third(struct config_edit *ed, struct err *e)
{
	return has_slot(ed, "third") ? config_edit_remove(ed, "third", e) : 0;
}

static int edit_remove_old(struct config_edit *ed, struct err *e)
{
	struct slot_info v[CONFIG_MAX_SLOTS];
	for (size_t n = config_edit_slots(ed, v); n; n--)
		if (v[n - 1].opened && strcmp(v[n - 1].label, "new") != 0)
			return config_edit_remove(ed, v[n - 1].id, e);
	return 0;
}

static int edit_exchange(struct config_edit *ed, struct err *e)
{
	int r = edit_add_new(ed, e);
	return r < 0 ? r : edit_remove_old(ed, e);
}

static int op_key_add(struct store *s, struct err *e)
{
	return change_keys(s, edit_add_new, &new_secret, e);
}

static int op_key_remove(struct store *s, struct err *e)
{
	return change_keys(s, edit_remove_third, &test_secret, e);
}

/* A key file: the new slot first, then (the file changes its place here) the old one goes. */
static int op_key_change(struct store *s, struct err *e)
{
	int r = change_keys(s, edit_add_new, &new_secret, e);
	return r < 0 ? r : change_keys(s, edit_remove_old, &new_secret, e);
}

/* Passphrases and recovery keys: both at once. */
static int op_key_rotate(struct store *s, struct err *e)
{
	return change_keys(s, edit_exchange, &new_secret, e);
}

void fault_store_make(void)
{
	struct store *s;
	OK(crypto_init(e));
	rnd_seed(7);
	src = temp_path("src");
	OK(io_mkdirs(src, 0700, e));
	fault_base = new_place_with_store(SLACK_EXACT);
	for (unsigned k = 0; k < SNAPSHOTS; k++) {
		fresh_files(k);
		OK(fault_store_open(mem_place_borrow(fault_base), &s, e));
		OK(take(s, &roots[k], e));
		store_close(s);
	}
	OK(fault_store_open(mem_place_borrow(fault_base), &s, e));
	OK(forget_one(s, 0, e));
	OK(forget_one(s, 2, e));
	OK(change_keys(s, edit_add_third, &third_secret, e));
	store_close(s);
	fresh_files(SNAPSHOTS);
}

void fault_store_free(void)
{
	object_place_free(fault_base);
	free(src);
}

const struct fault_op fault_ops[] = {{"snapshot", op_snapshot, 5, 4}, {"forget", op_forget, 5, 2, 1 << 1},
	{"forget some", op_forget_some, 5, 0, 1 << 1 | 1 << 3 | 1 << 4},
	{"undelete", op_undelete, 5, 4}, {"compact", op_compact, 5, 3}, {"repair", op_repair, 5, 3},
	{"key add", op_key_add, 7, 3}, {"key remove", op_key_remove, 1, 3},
	{"key change", op_key_change, 6, 3}, {"key rotate", op_key_rotate, 6, 3}};
const unsigned n_fault_ops = N_OF(fault_ops);

void fault_store_tests(struct CMUnitTest *ret, CMUnitTestFunction fn)
{
	for (unsigned i = 0; i < n_fault_ops; i++)
		ret[i] = (struct CMUnitTest){.name = fault_ops[i].name, .test_func = fn,
			.initial_state = (void *)(uintptr_t)&fault_ops[i]};
}

/* ---- the promises ---- */

static void on_damage(void *ctx, const char *where, const struct err *err)
{
	(void)ctx;
	fprintf(stderr, "%s: %s\n", where, err->msg);
}

void fault_store_bury(struct object_place *place)
{
	const char *key;
	while ((key = mem_place_key(place, "locks/", 0)))
		OK(object_remove(place, key, e));
}

/* The config's second copy never opens with what `config` does not open with any more. */
static void no_way_back(struct object_place *place, const char *when, unsigned long n)
{
	static const struct secret *const removable[] = {&test_secret, &third_secret};
	static const char *const keys[] = {"config", "config.copy"};
	for (unsigned i = 0; i < N_OF(removable); i++) {
		int r[2];
		for (unsigned k = 0; k < 2; k++) {
			struct store_config cfg;
			struct keys *sub = NULL;
			const struct buf *text = mem_place_object(place, keys[k]);
			if (!text)
				fail_msg("%s, fault at %lu: no %s", when, n, keys[k]);
			r[k] = config_unlock(buf_span(text), removable[i], &cfg, &sub, NULL);
			keys_free(sub);
			if (r[k] != 0 && r[k] != E_AUTH)
				fail_msg("%s, fault at %lu: %s is damaged", when, n, keys[k]);
		}
		if (r[0] == E_AUTH && r[1] == 0)
			fail_msg("%s, fault at %lu: key %u opens the second copy", when, n, i);
	}
}

void fault_store_must_hold(struct object_place *place, const struct fault_op *op, const char *when,
	unsigned long n)
{
	static const unsigned kept[] = {1, 3, 4};
	struct store *s;
	struct snapshot_list l;
	struct forgotten_list f;
	struct check_result res;
	const struct check_options opt = {.read_percent = 100, .threads = 1, .on_damage = on_damage};
	no_way_back(place, when, n);
	OK(fault_store_open(mem_place_borrow(place), &s, e));
	OK(snapshot_list_load(&l, s, e));
	OK(forgotten_load(&f, s, e));
	for (unsigned i = 0; i < N_OF(kept); i++) {
		bool there = by_root(&l, kept[i]) != NULL;
		for (size_t k = 0; k < f.n; k++)
			there |= (op->forgets >> kept[i] & 1) &&
				 name_cmp(&f.v[k].sn.root.name, &roots[kept[i]]) == 0;
		if (!there)
			fail_msg("%s, fault at %lu (%s): snapshot %u is lost", op->name, n, when, kept[i]);
	}
	OK(check_run(s, &opt, &res, e));
	if (res.damage)
		fail_msg("%s, fault at %lu (%s): damage", op->name, n, when);
	snapshot_list_free(&l);
	forgotten_free(&f);
	store_close(s);
}

void fault_store_must_open(struct object_place *place, const struct fault_op *op)
{
	static const struct secret *const all[] = {&test_secret, &new_secret, &third_secret};
	for (unsigned i = 0; i < N_OF(all); i++) {
		struct store *s = NULL;
		struct err err = ERR_INIT;
		int r = open_with(mem_place_borrow(place), all[i], &s, &err);
		if (r != (op->opens >> i & 1 ? 0 : E_AUTH))
			fail_msg("%s: key %u: %d %s", op->name, i, r, err.msg);
		store_close(s);
	}
}

void fault_store_must_be_done(struct object_place *place, const struct fault_op *op)
{
	struct store *s;
	struct snapshot_list l;
	OK(fault_store_open(mem_place_borrow(place), &s, e));
	OK(snapshot_list_load(&l, s, e));
	if (l.n != op->snapshots)
		fail_msg("%s was done, and there are %zu snapshots instead of %u", op->name, l.n,
			op->snapshots);
	snapshot_list_free(&l);
	store_close(s);
	const struct buf *config = mem_place_object(place, "config"),
			 *copy = mem_place_object(place, "config.copy");
	assert_spans(buf_span(copy), buf_span(config));
	fault_store_must_open(place, op);
}
