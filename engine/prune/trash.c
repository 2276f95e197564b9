#include "engine/prune/trash_internal.h"

#include <errno.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define SUFFIX ".db"
#define BATCH 256

const struct db_options trash_db_options = {.what = "trash", .id = 0x4d634674 /* McFt */, .version = 1,
	.schema =
		"CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
		"CREATE TABLE chunk(id INTEGER PRIMARY KEY AUTOINCREMENT, dim TEXT NOT NULL,"
		" folder TEXT NOT NULL, x INT NOT NULL, z INT NOT NULL, rx INT NOT NULL,"
		" rz INT NOT NULL, state INT NOT NULL, when_s INT NOT NULL, when_ns INT NOT NULL,"
		" why TEXT NOT NULL, who TEXT NOT NULL, bytes INT NOT NULL, stamp INT NOT NULL,"
		" flags INT NOT NULL);"
		"CREATE INDEX chunk_place ON chunk(dim, x, z, id);"
		"CREATE INDEX chunk_region ON chunk(dim, rx, rz, state);"
		"CREATE INDEX chunk_state ON chunk(state, folder, rx, rz);"
		"CREATE INDEX chunk_age ON chunk(state, when_s, id);"
		/* The payloads stand last, so that what is in front is read without them. */
		"CREATE TABLE part(chunk INT NOT NULL REFERENCES chunk ON DELETE CASCADE,"
		" kind INT NOT NULL, sector INT NOT NULL, count INT NOT NULL, stamp INT NOT NULL,"
		" raw INT NOT NULL, sum BLOB NOT NULL, mcc_sum BLOB, record BLOB, mcc BLOB,"
		" PRIMARY KEY(chunk, kind));"
		"CREATE TABLE file(folder TEXT NOT NULL, kind INT NOT NULL, rx INT NOT NULL,"
		" rz INT NOT NULL, size INT NOT NULL, mode INT NOT NULL, uid INT NOT NULL,"
		" gid INT NOT NULL, header BLOB NOT NULL, PRIMARY KEY(folder, kind, rx, rz))"};

void trash_item_free(struct trash_item *it)
{
	free(it->dimension);
	free(it->folder);
	free(it->why);
	free(it->who);
	*it = (struct trash_item){0};
}

void chunk_parts_free(struct chunk_parts *p)
{
	for (int k = 0; k < SOURCE_KINDS; k++)
		chunk_part_free(&p->part[k]);
}

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory for the trash");
}

/* ---- opening ---- */

char *trash_file_name(const char *state_dir, const char *world)
{
	uint8_t digest[DIGEST_BYTES];
	char hex[2 * 8 + 1], *path;
	const char *base = strrchr(world, '/');
	digest_of(span_of(world, strlen(world)), digest);
	hex_of(digest, 8, hex);
	return asprintf(&path, "%s/trash/%.100s-%s" SUFFIX, state_dir, base ? base + 1 : world, hex) < 0
		       ? NULL
		       : path;
}

static int make_state_dir(const char *state_dir, struct err *e)
{
	CLEANUP_FREE char *dir = NULL;
	if (asprintf(&dir, "%s/trash", state_dir) < 0) {
		dir = NULL;
		return no_memory(e);
	}
	int r = io_mkdirs(dir, 0700, e);
	return r < 0 ? r : io_sync_parents(dir, e);
}

/* The folder may be gone; what it was called is in the trash. */
static int find_world(const char *world, struct world_facts *ret, bool *ret_there, struct err *e)
{
	int r = world_facts_read(world, ret, e);
	*ret_there = r == 0;
	if (r != E_NOTFOUND || world[0] != '/')
		return r;
	ret->path = strdup(world);
	if (!ret->path)
		return no_memory(e);
	for (size_t n = strlen(ret->path); n > 1 && ret->path[n - 1] == '/'; n--)
		ret->path[n - 1] = 0;
	return 0;
}

static int put_meta(struct db *db, const char *key, const char *text, int64_t number, struct err *e)
{
	struct db_stmt *s;
	int r = db_sql(db, &s, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)", e);
	if (r < 0)
		return r;
	db_bind_text(s, 1, key);
	if (text)
		db_bind_text(s, 2, text);
	else
		db_bind_int(s, 2, number);
	return db_run(s, e);
}

int trash_load_meta(struct db *db, struct world_facts *ret, struct err *e)
{
	struct db_stmt *s;
	*ret = (struct world_facts){0};
	int r = db_sql(db, &s, "SELECT key, value FROM meta", e);
	while (r == 0 && (r = db_step(s, e)) == 1) {
		const char *key = db_text(s, 0), *v = db_text(s, 1);
		char **to = !key ? NULL : strcmp(key, "path") == 0 ? &ret->path
				       : strcmp(key, "level_name") == 0 ? &ret->level_name : NULL;
		r = 0;
		if (to && v && !*to && !(*to = strdup(v)))
			r = no_memory(e);
		if (key && strcmp(key, "seed") == 0) {
			ret->seed = db_int(s, 1);
			ret->has_seed = true;
		}
	}
	if (r < 0)
		world_facts_free(ret);
	return r;
}

static int save_meta(struct db *db, const struct world_facts *f, struct err *e)
{
	int r = db_begin(db, e);
	if (r == 0)
		r = put_meta(db, "path", f->path, 0, e);
	if (r == 0 && f->level_name)
		r = put_meta(db, "level_name", f->level_name, 0, e);
	if (r == 0 && f->has_seed)
		r = put_meta(db, "seed", NULL, f->seed, e);
	if (r == 0)
		return db_commit(db, e);
	db_rollback(db);
	return r;
}

/* Is the world that is there now the one this trash was made for? */
static int check_world(struct trash *t, const struct world_facts *now, bool there, struct err *e)
{
	struct world_facts then;
	int r = trash_load_meta(t->db, &then, e);
	if (r < 0)
		return r;
	if (then.path && there && then.has_seed && now->has_seed && then.seed != now->seed) {
		r = err_set(e, E_EXISTS, 0,
			"the world at '%s' (seed %lld) is another one than its trash is of (seed %lld, "
			"'%s'): move the trash '%s' away, or empty it",
			now->path, (long long)now->seed, (long long)then.seed,
			then.level_name ? then.level_name : "?", t->path);
	} else if (!then.path || (there && now->has_seed && !then.has_seed) ||
		   (there && strcmp(then.path, now->path) != 0)) { /* moved, and then came a crash */
		r = save_meta(t->db, now, e);
	} else if (!there) {
		/* What the trash knows is all there is to know. */
		world_facts_free(&t->world);
		t->world = then;
		return 0;
	}
	world_facts_free(&then);
	return r;
}

int trash_open(struct trash **ret, const char *state_dir, const char *world, bool must_exist,
	const struct log *log, struct err *e)
{
	struct trash *t = calloc(1, sizeof *t);
	struct db_options opt = trash_db_options;
	bool there;
	*ret = NULL;
	if (!t)
		return no_memory(e);
	pthread_mutex_init(&t->m, NULL);
	t->lock = -1;
	if (log)
		t->log = *log;
	opt.must_exist = must_exist;
	int r = find_world(world, &t->world, &there, e);
	if (r == 0 && !(t->path = trash_file_name(state_dir, t->world.path)))
		r = no_memory(e);
	if (r == 0 && !must_exist)
		r = make_state_dir(state_dir, e);
	if (r == 0 && !(must_exist && access(t->path, F_OK) < 0))
		r = trash_lock(t->path, false, &t->lock, e);
	if (r == 0)
		r = db_open(&t->db, t->path, &opt, e);
	if (r == E_NOTFOUND && must_exist && t->path)
		r = err_set(e, E_NOTFOUND, 0, "the world '%s' has no trash in '%s'", world,
			state_dir);
	if (r == 0)
		r = check_world(t, &(struct world_facts){t->world.path, t->world.level_name,
					   t->world.seed, t->world.has_seed},
			there, e);
	if (r < 0) {
		trash_close(t);
		return r;
	}
	*ret = t;
	return 0;
}

void trash_close(struct trash *t)
{
	if (!t)
		return;
	db_close(t->db);
	if (t->lock >= 0)
		close(t->lock);
	world_facts_free(&t->world);
	free(t->path);
	pthread_mutex_destroy(&t->m);
	free(t);
}

const struct world_facts *trash_world(const struct trash *t)
{
	return &t->world;
}

const char *trash_path(const struct trash *t)
{
	return t->path;
}

static int visit_trash(const char *file, const struct log *log,
	int (*fn)(void *ctx, const char *world, const char *file, struct err *e), void *ctx,
	struct err *e)
{
	struct db_options opt = trash_db_options;
	struct db *db;
	struct err own = ERR_INIT;
	struct world_facts f = {0};
	opt.must_exist = true;
	int r = db_open(&db, file, &opt, &own);
	if (r == 0)
		r = trash_load_meta(db, &f, &own);
	db_close(db);
	if (r < 0) {
		log_say(log, LOG_WARN, "%s: passed over", own.msg);
		return 0;
	}
	r = f.path ? fn(ctx, f.path, file, e) : 0;
	world_facts_free(&f);
	return r;
}

int trash_worlds(const char *state_dir, const struct log *log,
	int (*fn)(void *ctx, const char *world, const char *file, struct err *e), void *ctx,
	struct err *e)
{
	CLEANUP_FREE char *dir = NULL;
	if (asprintf(&dir, "%s/trash", state_dir) < 0) {
		dir = NULL;
		return no_memory(e);
	}
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort), r = 0;
	if (n < 0)
		return errno == ENOENT ? 0 : err_set(e, E_IO, errno, "read the folder '%s'", dir);
	for (int i = 0; i < n; i++) {
		size_t len = strlen(names[i]->d_name);
		char *file = NULL;
		if (r == 0 && len > strlen(SUFFIX) &&
			strcmp(names[i]->d_name + len - strlen(SUFFIX), SUFFIX) == 0) {
			if (asprintf(&file, "%s/%s", dir, names[i]->d_name) < 0) {
				file = NULL;
				r = no_memory(e);
			} else {
				r = visit_trash(file, log, fn, ctx, e);
			}
		}
		free(file);
		free(names[i]);
	}
	free(names);
	return r;
}

/* ---- looking ---- */

static char *text_copy(struct db_stmt *s, int col)
{
	const char *v = db_text(s, col);
	return strdup(v ? v : "");
}

int trash_read_item(struct db_stmt *s, struct trash_item *it, struct err *e)
{
	*it = (struct trash_item){.id = db_int(s, 0), .dimension = text_copy(s, 1),
		.folder = text_copy(s, 2), .x = (int32_t)db_int(s, 3), .z = (int32_t)db_int(s, 4),
		.state = (enum trash_state)db_int(s, 5), .when_s = db_int(s, 6),
		.when_ns = (uint32_t)db_int(s, 7), .why = text_copy(s, 8), .who = text_copy(s, 9),
		.bytes = (uint64_t)db_int(s, 10), .timestamp = (uint32_t)db_int(s, 11),
		.damaged = db_int(s, 12) & FLAG_DAMAGED, .replace = db_int(s, 12) & FLAG_REPLACE,
		.copy = db_int(s, 12) & FLAG_COPY};
	if (it->dimension && it->folder && it->why && it->who)
		return 0;
	trash_item_free(it);
	return no_memory(e);
}

/* The conditions besides the place to go on from. Small numbers and no text: nothing to escape. */
static void where_clause(const struct trash_filter *f, char *out, size_t n)
{
	int at = snprintf(out, n, "%s", f->dimension ? "dim = ?5" : "1");
	if (f->states)
		at += snprintf(out + at, n - (size_t)at, " AND ((1 << state) & %u)", f->states);
	if (f->has_region)
		at += snprintf(out + at, n - (size_t)at, " AND rx = %d AND rz = %d", f->rx, f->rz);
	if (f->has_chunk)
		at += snprintf(out + at, n - (size_t)at, " AND x = %d AND z = %d", f->x, f->z);
	if (f->before_s)
		snprintf(out + at, n - (size_t)at, " AND when_s < %lld", (long long)f->before_s);
}

struct batch {
	struct trash_item v[BATCH];
	size_t n;
};

/* The items behind `last` (NULL: from the start). */
static int read_batch(struct trash *t, const struct trash_filter *f, const struct trash_item *last,
	struct batch *b, struct err *e)
{
	char sql[700], where[300];
	struct db_stmt *s;
	where_clause(f, where, sizeof where);
	snprintf(sql, sizeof sql,
		"SELECT " CHUNK_COLUMNS " FROM chunk WHERE (dim, x, z, id) > (?1, ?2, ?3, ?4) AND %s "
		"ORDER BY dim, x, z, id LIMIT %d", where, BATCH);
	b->n = 0;
	LOCK_SCOPE(&t->m);
	int r = db_sql(t->db, &s, sql, e);
	if (r < 0)
		return r;
	db_bind_text(s, 1, last ? last->dimension : f->dimension ? f->dimension : "");
	db_bind_int(s, 2, last ? last->x : INT64_MIN);
	db_bind_int(s, 3, last ? last->z : INT64_MIN);
	db_bind_int(s, 4, last ? last->id : INT64_MIN);
	if (f->dimension)
		db_bind_text(s, 5, f->dimension);
	while ((r = db_step(s, e)) == 1) {
		r = trash_read_item(s, &b->v[b->n], e);
		if (r < 0)
			break;
		b->n++;
	}
	db_reset(s);
	return r;
}

static void free_batch(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		trash_item_free(&b->v[i]);
	b->n = 0;
}

int trash_list(struct trash *t, const struct trash_filter *f, trash_each fn, void *ctx,
	struct err *e)
{
	struct batch *b = calloc(1, sizeof *b);
	struct trash_item last = {0};
	bool any = false;
	int r;
	if (!b)
		return no_memory(e);
	do {
		r = read_batch(t, f, any ? &last : NULL, b, e);
		size_t n = b->n;
		for (size_t i = 0; i < n && r == 0; i++)
			r = fn(ctx, &b->v[i], e);
		trash_item_free(&last);
		if (n < BATCH || r)
			break;
		last = b->v[n - 1];
		b->v[n - 1] = (struct trash_item){0};
		any = true;
		free_batch(b);
	} while (r == 0);
	free_batch(b);
	trash_item_free(&last);
	free(b);
	return r;
}

int trash_find(struct trash *t, int64_t id, struct trash_item *ret, struct err *e)
{
	LOCK_SCOPE(&t->m);
	return trash_load_item(t, id, ret, e);
}

int trash_payload(struct trash *t, int64_t id, struct chunk_parts *ret, struct err *e)
{
	CLEANUP_ITEM struct trash_item it = {0};
	LOCK_SCOPE(&t->m);
	*ret = (struct chunk_parts){0};
	int r = trash_load_item(t, id, &it, e);
	if (r < 0)
		return r;
	if (it.state == TRASH_PRUNE_WAITS)
		return err_set(e, E_NOTFOUND, 0, "chunk %d, %d is still in the world", it.x, it.z);
	return trash_load(t, id, ret, e);
}

int trash_region(struct trash *t, const char *dimension, int32_t rx, int32_t rz,
	struct trash_overlay *ret, struct err *e)
{
	struct db_stmt *s;
	memset(ret, 0, sizeof *ret);
	LOCK_SCOPE(&t->m);
	int r = db_sql(t->db, &s,
		"SELECT id, x, z, state FROM chunk WHERE dim = ?1 AND rx = ?2 AND rz = ?3 "
		"AND state IN (1, 4) ORDER BY id", e);
	if (r < 0)
		return r;
	db_bind_text(s, 1, dimension);
	db_bind_int(s, 2, rx);
	db_bind_int(s, 3, rz);
	while ((r = db_step(s, e)) == 1) {
		unsigned slot = (unsigned)(db_int(s, 1) & 31) + (unsigned)(db_int(s, 2) & 31) * 32;
		ret->any = true;
		if (db_int(s, 3) == TRASH_PRUNE_WAITS)
			ret->hidden[slot] = true;
		else
			ret->shown[slot] = db_int(s, 0);
	}
	return r;
}

int trash_changes(struct trash *t, uint64_t *ret, struct err *e)
{
	LOCK_SCOPE(&t->m);
	return db_changes(t->db, ret, e);
}

/* ---- emptying ---- */

/* The oldest item that is to go: 1, or 0. */
static int next_victim(struct trash *t, const struct trash_limits *l, uint64_t have, int64_t after_s,
	int64_t after_id, int64_t out[3], struct err *e)
{
	struct db_stmt *s;
	int r = db_sql(t->db, &s,
		"SELECT id, when_s, bytes FROM chunk WHERE state = 3 AND (when_s, id) > (?1, ?2) "
		"AND (?3 IS NULL OR dim = ?3) ORDER BY when_s, id LIMIT 1", e);
	if (r < 0)
		return r;
	db_bind_int(s, 1, after_s);
	db_bind_int(s, 2, after_id);
	db_bind_text(s, 3, l->dimension);
	r = db_step(s, e);
	if (r != 1)
		return r;
	for (int i = 0; i < 3; i++)
		out[i] = db_int(s, i);
	db_reset(s);
	return l->all || (l->older_than_s && out[1] < l->older_than_s) ||
	       (l->max_bytes && have > l->max_bytes);
}

static int count_kept(struct trash *t, const char *dimension, uint64_t *items, uint64_t *bytes,
	struct err *e)
{
	struct db_stmt *s;
	int r = db_sql(t->db, &s,
		"SELECT count(*), coalesce(sum(bytes), 0) FROM chunk WHERE state = 3 AND "
		"(?1 IS NULL OR dim = ?1)", e);
	if (r < 0)
		return r;
	db_bind_text(s, 1, dimension);
	r = db_step(s, e);
	if (r < 0)
		return r;
	*items = (uint64_t)db_int(s, 0);
	*bytes = (uint64_t)db_int(s, 1);
	db_reset(s);
	return 0;
}

/* Up to BATCH items in one transaction; *more: there may be others. */
static int empty_some(struct trash *t, const struct trash_limits *l, bool dry_run,
	struct trash_emptied *ret, int64_t at[2], bool *more, struct err *e)
{
	int64_t v[3];
	int r = trash_begin(t, e), n = 0;
	if (r < 0)
		return r;
	while (n < BATCH && (r = next_victim(t, l, ret->left_bytes, at[0], at[1], v, e)) == 1) {
		r = dry_run ? 0 : trash_delete(t, v[0], e);
		if (r < 0)
			break;
		ret->items++;
		ret->bytes += (uint64_t)v[2];
		ret->left_items--;
		ret->left_bytes -= (uint64_t)v[2];
		at[0] = v[1];
		at[1] = v[0];
		n++;
	}
	*more = n == BATCH;
	return trash_end(t, r, e);
}

int trash_empty(struct trash *t, const struct trash_limits *l, bool dry_run,
	struct trash_emptied *ret, struct err *e)
{
	int64_t at[2] = {INT64_MIN, INT64_MIN};
	bool more = true;
	int r;
	*ret = (struct trash_emptied){0};
	{
		LOCK_SCOPE(&t->m);
		r = count_kept(t, l->dimension, &ret->left_items, &ret->left_bytes, e);
	}
	while (r == 0 && more)
		r = empty_some(t, l, dry_run, ret, at, &more, e);
	if (r < 0 || dry_run || ret->items == 0)
		return r;
	LOCK_SCOPE(&t->m);
	return db_shrink(t->db, e);
}

int trash_remove(struct trash *t, int64_t id, struct err *e)
{
	CLEANUP_ITEM struct trash_item it = {0};
	int r = trash_begin(t, e);
	if (r < 0)
		return r;
	r = trash_load_item(t, id, &it, e);
	if (r == 0 && it.state != TRASH_KEPT)
		r = err_set(e, E_LOCKED, 0, "chunk %d, %d of %s is being moved", it.x, it.z,
			it.dimension);
	if (r == 0)
		r = trash_delete(t, id, e);
	return trash_end(t, r, e);
}
