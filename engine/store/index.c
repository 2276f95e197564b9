#include "engine/store/index.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/store/form.h"

#define SCHEMA_VERSION 3
#define BUSY_MS 60000

enum stmt { FIND, FIND_BASE, ADD_PACK, ADD_BLOB, HAS_OBJECT, HAS_PACK, ADD_OBJECT, ADD_LISTED, N_STMTS };

static const char *const sql_of[N_STMTS] = {
	[FIND] = "SELECT p.id, b.loc FROM blob b JOIN pack p ON p.no = b.pack WHERE b.name = ?1 "
		 "LIMIT 1 OFFSET ?2",
	[FIND_BASE] = "SELECT p.id, b.loc, b.name FROM blob b JOIN pack p ON p.no = b.pack "
		      "WHERE b.name BETWEEN ?1 AND ?2",
	[ADD_PACK] = "INSERT INTO pack(id, size) VALUES(?1, ?2) "
		     "ON CONFLICT(id) DO UPDATE SET size = ?2 RETURNING no",
	[ADD_BLOB] = "INSERT OR IGNORE INTO blob(name, pack, loc) VALUES(?1, ?2, ?3)",
	[HAS_OBJECT] = "SELECT 1 FROM object WHERE id = ?1",
	[HAS_PACK] = "SELECT 1 FROM pack WHERE id = ?1",
	[ADD_OBJECT] = "INSERT OR IGNORE INTO object(id) VALUES(?1)",
	[ADD_LISTED] = "INSERT OR IGNORE INTO listed(pack, object) VALUES(?1, ?2)",
};

struct index {
	pthread_mutex_t m;
	bool is_file, failed;
	unsigned many;	  /* who said that many lookups come */
	bool reading;	  /* a transaction is open for them, */
	unsigned lookups; /* with so many so far */
	sqlite3 *db;
	sqlite3_stmt *st[N_STMTS];
};

static int fail(struct index *ix, const char *what, struct err *e)
{
	int sql = sqlite3_errcode(ix->db);
	int code = sql == SQLITE_FULL ? E_NOSPACE
		   : sql == SQLITE_CORRUPT || sql == SQLITE_NOTADB ? E_CORRUPT
								      : E_IO;
	ix->failed = true;
	return err_set(e, code, 0, "index cache: %s: %s", what, sqlite3_errmsg(ix->db));
}

static int exec(struct index *ix, const char *sql, struct err *e)
{
	return sqlite3_exec(ix->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(ix, sql, e);
}

/* ---- many lookups ----
 * SQLite takes a lock of the file for each lookup, and looks whether the file has changed: three calls of the system,
 * and one that reads a page. Within a transaction it does so once. A transaction that stays open keeps the write-ahead
 * log of all processes from being emptied, so it is only open while somebody is at work, and never for long. */

#define LOOKUPS_MAX 4096

static void end_reading(struct index *ix)
{
	if (ix->reading)
		sqlite3_exec(ix->db, "COMMIT", NULL, NULL, NULL); /* it has read only */
	ix->reading = false;
}

static void begin_lookup(struct index *ix)
{
	if (ix->reading && ++ix->lookups > LOOKUPS_MAX)
		end_reading(ix);
	if (ix->reading || !ix->many)
		return;
	ix->lookups = 0;
	/* Where that fails each lookup goes by itself, and says what is the matter. */
	ix->reading = sqlite3_exec(ix->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK;
}

static int begin_writing(struct index *ix, struct err *e)
{
	end_reading(ix);
	return exec(ix, "BEGIN IMMEDIATE", e);
}

/* Of a transaction in which r came out. */
static int end_transaction(struct index *ix, int r, struct err *e)
{
	if (r == 0)
		r = exec(ix, "COMMIT", e);
	if (r < 0)
		sqlite3_exec(ix->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

static int scalar(struct index *ix, const char *sql, uint64_t *ret, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int r = 0;
	if (sqlite3_prepare_v2(ix->db, sql, -1, &s, NULL) != SQLITE_OK ||
		sqlite3_step(s) != SQLITE_ROW)
		r = fail(ix, sql, e);
	else
		*ret = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return r;
}

static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE IF NOT EXISTS meta(store BLOB);"
	"CREATE TABLE IF NOT EXISTS object(id BLOB PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS pack(no INTEGER PRIMARY KEY, id BLOB UNIQUE, size INT);"
	"CREATE TABLE IF NOT EXISTS blob(name BLOB, pack INT, loc BLOB, "
	"PRIMARY KEY(name, pack)) WITHOUT ROWID;"
	/* Which index object lists a pack; object x'': its footer was read, or the object is not whole. */
	"CREATE TABLE IF NOT EXISTS listed(pack INT, object BLOB, "
	"PRIMARY KEY(pack, object)) WITHOUT ROWID;"
	"PRAGMA user_version = 3;"
	"COMMIT";

/* Open and check that this is our cache of this store. E_CORRUPT: throw it away. */
static int open_db(struct index *ix, const char *path, const struct id *store, struct err *e)
{
	uint64_t version = 0;
	if (sqlite3_open_v2(path, &ix->db,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		    NULL) != SQLITE_OK)
		return fail(ix, "open", e);
	sqlite3_busy_timeout(ix->db, BUSY_MS);
	/* A cache: losing the last transaction at a power cut costs a reload, not data. */
	int r = exec(ix, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
			 "PRAGMA cache_size = -4096", e);
	if (r == 0)
		r = scalar(ix, "PRAGMA user_version", &version, e);
	if (r == 0 && version != 0 && version != SCHEMA_VERSION)
		return err_set(e, E_CORRUPT, 0, "index cache of another version");
	if (r == 0 && version == 0)
		r = exec(ix, schema, e);
	if (r < 0)
		return r;
	sqlite3_stmt *s = NULL;
	bool same = false, any = false;
	if (sqlite3_prepare_v2(ix->db, "SELECT store FROM meta", -1, &s, NULL) == SQLITE_OK &&
		sqlite3_step(s) == SQLITE_ROW) {
		any = true;
		same = sqlite3_column_bytes(s, 0) == ID_BYTES &&
		       memcmp(sqlite3_column_blob(s, 0), store->b, ID_BYTES) == 0;
	}
	sqlite3_finalize(s);
	if (any)
		return same ? 0 : err_set(e, E_CORRUPT, 0, "index cache of another store");
	if (sqlite3_prepare_v2(ix->db, "INSERT INTO meta VALUES(?1)", -1, &s, NULL) != SQLITE_OK)
		return fail(ix, "prepare", e);
	sqlite3_bind_blob(s, 1, store->b, ID_BYTES, SQLITE_STATIC);
	r = sqlite3_step(s) == SQLITE_DONE ? 0 : fail(ix, "insert", e);
	sqlite3_finalize(s);
	return r;
}

static void close_db(struct index *ix)
{
	end_reading(ix);
	for (int i = 0; i < N_STMTS; i++) {
		sqlite3_finalize(ix->st[i]);
		ix->st[i] = NULL;
	}
	sqlite3_close(ix->db);
	ix->db = NULL;
}

static int prepare(struct index *ix, struct err *e)
{
	for (int i = 0; i < N_STMTS; i++)
		if (sqlite3_prepare_v3(ix->db, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT,
			    &ix->st[i], NULL) != SQLITE_OK)
			return fail(ix, "prepare", e);
	return 0;
}

static int attempt(struct index *ix, const char *path, const struct id *store, struct err *e)
{
	int r = open_db(ix, path, store, e);
	if (r == 0)
		r = prepare(ix, e);
	if (r < 0)
		close_db(ix);
	return r;
}

static void remove_files(const char *path)
{
	static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
	for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
		char *p;
		if (asprintf(&p, "%s%s", path, tails[i]) < 0)
			continue;
		unlink(p);
		free(p);
	}
}

int index_open(struct index **ret, const char *path, const struct id *store, char *ret_note,
	size_t note_size, struct err *e)
{
	struct index *ix = calloc(1, sizeof *ix);
	struct err first = ERR_INIT;
	int r = -1;
	ret_note[0] = 0;
	if (!ix)
		return err_set(e, E_NOMEM, 0, "no memory for the index");
	pthread_mutex_init(&ix->m, NULL);
	if (path) {
		r = attempt(ix, path, store, &first);
		if (r == E_CORRUPT) {
			remove_files(path);
			r = attempt(ix, path, store, &first);
		}
		ix->is_file = r == 0;
		ix->failed = false;
		if (r < 0)
			snprintf(ret_note, note_size, "%s", first.msg);
	}
	if (r < 0)
		r = attempt(ix, ":memory:", store, e);
	if (r < 0) {
		index_close(ix);
		return r;
	}
	*ret = ix;
	return 0;
}

void index_close(struct index *ix)
{
	if (!ix)
		return;
	close_db(ix);
	pthread_mutex_destroy(&ix->m);
	free(ix);
}

static int has_id(struct index *ix, enum stmt which, const struct id *id, bool *ret, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	sqlite3_stmt *s = ix->st[which];
	sqlite3_bind_blob(s, 1, id->b, ID_BYTES, SQLITE_STATIC);
	int rc = sqlite3_step(s);
	*ret = rc == SQLITE_ROW;
	int r = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : fail(ix, "look up", e);
	sqlite3_reset(s);
	return r;
}

int index_has_object(struct index *ix, const struct id *id, bool *ret, struct err *e)
{
	return has_id(ix, HAS_OBJECT, id, ret, e);
}

int index_has_pack(struct index *ix, const struct id *id, bool *ret, struct err *e)
{
	return has_id(ix, HAS_PACK, id, ret, e);
}

bool index_file_failed(struct index *ix)
{
	LOCK_SCOPE(&ix->m);
	return ix->is_file && ix->failed;
}

int index_to_memory(struct index *ix, const struct id *store, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	close_db(ix);
	ix->is_file = ix->failed = false;
	return attempt(ix, ":memory:", store, e);
}

int index_count_blobs(struct index *ix, uint64_t *ret, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	return scalar(ix, "SELECT count(*) FROM blob", ret, e);
}

int index_clear(struct index *ix, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	end_reading(ix);
	int r = exec(ix,
		"BEGIN IMMEDIATE; DELETE FROM blob; DELETE FROM pack; DELETE FROM object; "
		"DELETE FROM listed; COMMIT",
		e);
	if (r < 0)
		sqlite3_exec(ix->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

struct row {
	struct name name;
	struct blob_loc loc;
};

/* Blobs of one pack. */
struct rows {
	struct row *v;
	size_t n;
};

static struct row *add_row(struct rows *rows, struct err *e)
{
	if ((rows->n & (rows->n - 1)) == 0) {
		struct row *v = realloc(rows->v, (rows->n ? 2 * rows->n : 1) * sizeof *v);
		if (!v) {
			err_set(e, E_NOMEM, 0, "no memory for the blobs of a pack");
			return NULL;
		}
		rows->v = v;
	}
	return &rows->v[rows->n++];
}

static int collect_row(void *ctx, const struct name *name, const struct blob_loc *l, struct err *e)
{
	struct row *row = add_row(ctx, e);
	if (!row)
		return E_NOMEM;
	*row = (struct row){*name, *l};
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return name_cmp(&((const struct row *)a)->name, &((const struct row *)b)->name);
}

/* In the order of the table, which is by name: each of its pages is visited once. In the order of the
 * pack, that is at random, a table larger than SQLite's cache has its pages written over and over. */
static int add_blobs(struct index *ix, sqlite3_int64 pack_no, struct rows *rows, struct err *e)
{
	sqlite3_stmt *s = ix->st[ADD_BLOB];
	CLEANUP_BUF struct buf loc = BUF_INIT;
	int r = 0;
	if (rows->n)
		qsort(rows->v, rows->n, sizeof *rows->v, by_name);
	for (size_t i = 0; i < rows->n && r == 0; i++) {
		loc.len = 0;
		r = blob_loc_put(&loc, &rows->v[i].loc, e);
		if (r < 0)
			break;
		sqlite3_bind_blob(s, 1, rows->v[i].name.b, NAME_BYTES, SQLITE_STATIC);
		sqlite3_bind_int64(s, 2, pack_no);
		sqlite3_bind_blob(s, 3, loc.p, (int)loc.len, SQLITE_STATIC);
		r = sqlite3_step(s) == SQLITE_DONE ? 0 : fail(ix, "insert", e);
		sqlite3_reset(s);
	}
	return r;
}

static int add_record(struct index *ix, const struct id *object, struct span record, struct err *e)
{
	struct pack_summary sum;
	struct rows rows = {0};
	sqlite3_int64 pack_no = 0;
	int r = pack_record_read(record, &sum, collect_row, &rows, e);
	sqlite3_stmt *s = ix->st[ADD_PACK];
	if (r == 0) {
		sqlite3_bind_blob(s, 1, sum.id.b, ID_BYTES, SQLITE_STATIC);
		sqlite3_bind_int64(s, 2, (sqlite3_int64)sum.size);
		if (sqlite3_step(s) == SQLITE_ROW)
			pack_no = sqlite3_column_int64(s, 0);
		else
			r = fail(ix, "insert", e);
		sqlite3_reset(s);
	}
	s = ix->st[ADD_LISTED];
	if (r == 0) {
		sqlite3_bind_int64(s, 1, pack_no);
		sqlite3_bind_blob(s, 2, object ? object->b : (const uint8_t *)"",
			object ? ID_BYTES : 0, SQLITE_STATIC);
		if (sqlite3_step(s) != SQLITE_DONE)
			r = fail(ix, "insert", e);
		sqlite3_reset(s);
	}
	if (r == 0)
		r = add_blobs(ix, pack_no, &rows, e);
	free(rows.v);
	return r;
}

int index_add_object(struct index *ix, const struct id *id, const struct span *records, size_t n,
	struct err *e)
{
	LOCK_SCOPE(&ix->m);
	int r = begin_writing(ix, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_record(ix, id, records[i], e);
	if (r == 0 && id) {
		sqlite3_stmt *s = ix->st[ADD_OBJECT];
		sqlite3_bind_blob(s, 1, id->b, ID_BYTES, SQLITE_STATIC);
		r = sqlite3_step(s) == SQLITE_DONE ? 0 : fail(ix, "insert", e);
		sqlite3_reset(s);
	}
	return end_transaction(ix, r, e);
}

static int read_row(sqlite3_stmt *s, struct blob_loc *ret, struct err *e)
{
	int r = blob_loc_get(span_of(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)),
		ret, e);
	if (r == 0 && sqlite3_column_bytes(s, 0) == ID_BYTES)
		memcpy(ret->pack.b, sqlite3_column_blob(s, 0), ID_BYTES);
	return r;
}

void index_many_lookups(struct index *ix, bool on)
{
	LOCK_SCOPE(&ix->m);
	ix->many += on ? 1 : -1u;
	if (!ix->many)
		end_reading(ix);
}

int index_find(struct index *ix, const struct name *name, unsigned nth, struct blob_loc *ret,
	struct err *e)
{
	LOCK_SCOPE(&ix->m);
	begin_lookup(ix);
	sqlite3_stmt *s = ix->st[FIND];
	sqlite3_bind_blob(s, 1, name->b, NAME_BYTES, SQLITE_STATIC);
	sqlite3_bind_int(s, 2, (int)nth);
	int rc = sqlite3_step(s);
	int r = rc == SQLITE_ROW    ? read_row(s, ret, e)
		: rc == SQLITE_DONE ? E_NOTFOUND
				    : fail(ix, "look up", e);
	sqlite3_reset(s);
	return r;
}

int index_find_base(struct index *ix, const uint8_t base[BASE_BYTES], struct name *ret_name,
	struct blob_loc *ret, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	begin_lookup(ix);
	sqlite3_stmt *s = ix->st[FIND_BASE];
	struct name last;
	memset(last.b, 0xff, sizeof last.b);
	memcpy(last.b, base, BASE_BYTES);
	sqlite3_bind_blob(s, 1, base, BASE_BYTES, SQLITE_STATIC);
	sqlite3_bind_blob(s, 2, last.b, NAME_BYTES, SQLITE_STATIC);
	int rc = sqlite3_step(s);
	int r = rc == SQLITE_ROW    ? read_row(s, ret, e)
		: rc == SQLITE_DONE ? E_NOTFOUND
				    : fail(ix, "look up", e);
	if (r == 0 && sqlite3_column_bytes(s, 2) == NAME_BYTES)
		memcpy(ret_name->b, sqlite3_column_blob(s, 2), NAME_BYTES);
	sqlite3_reset(s);
	return r;
}

/* Rows of an id and a size. */
static int each_id(struct index *ix, const char *sql, index_each_id fn, void *ctx, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int r = 0, rc = SQLITE_DONE;
	end_reading(ix);
	if (sqlite3_prepare_v2(ix->db, sql, -1, &s, NULL) != SQLITE_OK)
		return fail(ix, "prepare", e);
	while (r == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct id id = {{0}};
		if (sqlite3_column_bytes(s, 0) == ID_BYTES)
			memcpy(id.b, sqlite3_column_blob(s, 0), ID_BYTES);
		r = fn(ctx, &id, (uint64_t)sqlite3_column_int64(s, 1), e);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(ix, "list", e);
	sqlite3_finalize(s);
	return r;
}

int index_each_pack(struct index *ix, index_each_id fn, void *ctx, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	return each_id(ix, "SELECT id, size FROM pack ORDER BY no", fn, ctx, e);
}

static void read_id(sqlite3_stmt *s, int column, struct id *ret)
{
	*ret = (struct id){{0}};
	if (sqlite3_column_bytes(s, column) == ID_BYTES)
		memcpy(ret->b, sqlite3_column_blob(s, column), ID_BYTES);
}

static int scan_packs(struct index *ix, const struct index_visit *v, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int r = 0, rc = SQLITE_DONE;
	if (sqlite3_prepare_v2(ix->db, "SELECT no, id, size FROM pack ORDER BY no", -1, &s, NULL) !=
		SQLITE_OK)
		return fail(ix, "prepare", e);
	while (r == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct id id;
		read_id(s, 1, &id);
		r = v->on_pack(v->ctx, (uint64_t)sqlite3_column_int64(s, 0), &id,
			(uint64_t)sqlite3_column_int64(s, 2), e);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(ix, "list", e);
	sqlite3_finalize(s);
	return r;
}

static int scan_blobs(struct index *ix, const struct index_visit *v, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int r = 0, rc = SQLITE_DONE;
	if (sqlite3_prepare_v2(ix->db, "SELECT name, pack, loc FROM blob ORDER BY name, pack", -1, &s,
		    NULL) != SQLITE_OK)
		return fail(ix, "prepare", e);
	while (r == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct name name = {{0}};
		struct blob_loc l = {0};
		if (sqlite3_column_bytes(s, 0) == NAME_BYTES)
			memcpy(name.b, sqlite3_column_blob(s, 0), NAME_BYTES);
		uint64_t no = (uint64_t)sqlite3_column_int64(s, 1);
		r = blob_loc_get(span_of(sqlite3_column_blob(s, 2),
					 (size_t)sqlite3_column_bytes(s, 2)), &l, e);
		if (r == 0)
			r = v->on_blob(v->ctx, &name, no, &l, e);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(ix, "list", e);
	sqlite3_finalize(s);
	return r;
}

int index_scan(struct index *ix, const struct index_visit *v, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	/* One transaction: another process may renumber packs otherwise. */
	end_reading(ix);
	int r = exec(ix, "BEGIN", e);
	if (r < 0)
		return r;
	r = v->on_pack ? scan_packs(ix, v, e) : 0;
	if (r == 0)
		r = scan_blobs(ix, v, e);
	if (r == 0)
		r = exec(ix, "COMMIT", e);
	else
		sqlite3_exec(ix->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int index_each_listed(struct index *ix, index_each_listing fn, void *ctx, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	sqlite3_stmt *s = NULL;
	int r = 0, rc = SQLITE_DONE;
	end_reading(ix);
	if (sqlite3_prepare_v2(ix->db, "SELECT p.id, l.object FROM listed l JOIN pack p ON "
				       "p.no = l.pack", -1, &s, NULL) != SQLITE_OK)
		return fail(ix, "prepare", e);
	while (r == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct id pack, object;
		read_id(s, 0, &pack);
		read_id(s, 1, &object);
		r = fn(ctx, &pack, &object, e);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(ix, "list", e);
	sqlite3_finalize(s);
	return r;
}

int index_each_object(struct index *ix, index_each_id fn, void *ctx, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	return each_id(ix, "SELECT id, 0 FROM object", fn, ctx, e);
}

int index_drop_pack(struct index *ix, const struct id *pack, struct err *e)
{
	static const char *const sql[] = {
		"DELETE FROM blob WHERE pack IN (SELECT no FROM pack WHERE id = ?1)",
		"DELETE FROM listed WHERE pack IN (SELECT no FROM pack WHERE id = ?1)",
		"DELETE FROM pack WHERE id = ?1", "DELETE FROM object"};
	LOCK_SCOPE(&ix->m);
	int r = begin_writing(ix, e);
	for (int i = 0; i < 4 && r == 0; i++) {
		sqlite3_stmt *s = NULL;
		if (sqlite3_prepare_v2(ix->db, sql[i], -1, &s, NULL) != SQLITE_OK)
			r = fail(ix, "prepare", e);
		if (i < 3)
			sqlite3_bind_blob(s, 1, pack->b, ID_BYTES, SQLITE_STATIC);
		if (r == 0 && sqlite3_step(s) != SQLITE_DONE)
			r = fail(ix, "delete", e);
		sqlite3_finalize(s);
	}
	return end_transaction(ix, r, e);
}

/* After compact has merged them there may be as many as there were snapshots: one pass for all. */
int index_unlist_objects(struct index *ix, const struct id *v, size_t n, struct err *e)
{
	sqlite3_stmt *s = NULL;
	LOCK_SCOPE(&ix->m);
	end_reading(ix);
	int r = exec(ix, "BEGIN IMMEDIATE;"
			 "CREATE TEMP TABLE IF NOT EXISTS stale(id BLOB PRIMARY KEY) WITHOUT ROWID", e);
	if (r == 0 && sqlite3_prepare_v2(ix->db, "INSERT OR IGNORE INTO stale VALUES(?1)", -1, &s, NULL) !=
			      SQLITE_OK)
		r = fail(ix, "prepare", e);
	for (size_t i = 0; i < n && r == 0; i++) {
		sqlite3_bind_blob(s, 1, v[i].b, ID_BYTES, SQLITE_STATIC);
		r = sqlite3_step(s) == SQLITE_DONE ? 0 : fail(ix, "insert", e);
		sqlite3_reset(s);
	}
	sqlite3_finalize(s);
	if (r == 0)
		r = exec(ix, "DELETE FROM listed WHERE object IN (SELECT id FROM stale) OR object = x'';"
			     "DELETE FROM object WHERE id IN (SELECT id FROM stale);"
			     "DELETE FROM stale", e);
	return end_transaction(ix, r, e);
}

int index_drop_unlisted(struct index *ix, uint64_t *ret, struct err *e)
{
#define UNLISTED "(SELECT no FROM pack WHERE no NOT IN (SELECT pack FROM listed))"
	LOCK_SCOPE(&ix->m);
	end_reading(ix);
	int r = scalar(ix, "SELECT count(*) FROM " UNLISTED, ret, e);
	if (r < 0 || *ret == 0)
		return r;
	r = exec(ix, "BEGIN IMMEDIATE;"
		     "DELETE FROM blob WHERE pack IN " UNLISTED ";"
		     "DELETE FROM pack WHERE no IN " UNLISTED, e);
	return end_transaction(ix, r, e);
#undef UNLISTED
}

static bool has_base(struct index *ix, const struct blob_loc *l)
{
	sqlite3_stmt *s = ix->st[FIND_BASE];
	struct name last;
	memset(last.b, 0xff, sizeof last.b);
	memcpy(last.b, l->base, BASE_BYTES);
	sqlite3_bind_blob(s, 1, l->base, BASE_BYTES, SQLITE_STATIC);
	sqlite3_bind_blob(s, 2, last.b, NAME_BYTES, SQLITE_STATIC);
	bool found = false;
	while (!found && sqlite3_step(s) == SQLITE_ROW) {
		struct blob_loc at;
		found = read_row(s, &at, NULL) == 0 && !form_is_kept(at.form);
	}
	sqlite3_reset(s);
	return found;
}

/* One pass: collect in a temporary table, then delete. *ret tells how many there were. */
static int drop_baseless_once(struct index *ix, int *ret, struct err *e)
{
	sqlite3_stmt *each = NULL, *note = NULL;
	static const char select[] = "SELECT name, loc, pack FROM blob";
	int r = exec(ix, "CREATE TEMP TABLE IF NOT EXISTS gone(name BLOB, pack INT);"
			 "DELETE FROM gone", e);
	if (r == 0 && (sqlite3_prepare_v2(ix->db, select, -1, &each, NULL) ||
			      sqlite3_prepare_v2(ix->db, "INSERT INTO gone VALUES(?1, ?2)", -1,
				      &note, NULL)))
		r = fail(ix, "prepare", e);
	while (r == 0 && sqlite3_step(each) == SQLITE_ROW) {
		struct blob_loc l;
		r = blob_loc_get(span_of(sqlite3_column_blob(each, 1),
					 (size_t)sqlite3_column_bytes(each, 1)), &l, e);
		if (r < 0 || l.method != METHOD_DELTA || has_base(ix, &l))
			continue;
		sqlite3_bind_value(note, 1, sqlite3_column_value(each, 0));
		sqlite3_bind_value(note, 2, sqlite3_column_value(each, 2));
		if (sqlite3_step(note) != SQLITE_DONE)
			r = fail(ix, "insert", e);
		sqlite3_reset(note);
	}
	sqlite3_finalize(each);
	sqlite3_finalize(note);
	if (r == 0)
		r = exec(ix, "DELETE FROM blob WHERE (name, pack) IN (SELECT name, pack FROM gone)", e);
	*ret = r == 0 ? sqlite3_changes(ix->db) : 0;
	/* Their base may come back: read the index objects again then. */
	if (*ret)
		r = exec(ix, "DELETE FROM object", e);
	return r;
}

int index_drop_baseless(struct index *ix, struct err *e)
{
	LOCK_SCOPE(&ix->m);
	int r, n;
	end_reading(ix);
	do
		r = drop_baseless_once(ix, &n, e);
	while (r == 0 && n > 0);
	return r;
}

static int by_place(const void *a, const void *b)
{
	const struct blob_loc *x = &((const struct row *)a)->loc, *y = &((const struct row *)b)->loc;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->blob_off < y->blob_off ? -1 : x->blob_off > y->blob_off;
}

static int load_rows(struct index *ix, const struct id *pack, struct rows *ret, struct err *e)
{
	static const char sql[] = "SELECT p.id, b.loc, b.name FROM blob b JOIN pack p ON "
				  "p.no = b.pack WHERE p.id = ?1";
	LOCK_SCOPE(&ix->m);
	sqlite3_stmt *s = NULL;
	int r = 0, rc = SQLITE_DONE;
	if (sqlite3_prepare_v2(ix->db, sql, -1, &s, NULL) != SQLITE_OK)
		return fail(ix, "prepare", e);
	sqlite3_bind_blob(s, 1, pack->b, ID_BYTES, SQLITE_STATIC);
	while (r == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct row *row = add_row(ret, e);
		if (!row) {
			r = E_NOMEM;
			break;
		}
		row->name = (struct name){{0}};
		r = read_row(s, &row->loc, e);
		if (sqlite3_column_bytes(s, 2) == NAME_BYTES)
			memcpy(row->name.b, sqlite3_column_blob(s, 2), NAME_BYTES);
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(ix, "list", e);
	sqlite3_finalize(s);
	return r;
}

int index_each_blob(struct index *ix, const struct id *pack, pack_each fn, void *ctx,
	struct err *e)
{
	struct rows rows = {0};
	int r = load_rows(ix, pack, &rows, e);
	if (r == 0 && rows.n)
		qsort(rows.v, rows.n, sizeof *rows.v, by_place);
	for (size_t i = 0; i < rows.n && r == 0; i++)
		r = fn(ctx, &rows.v[i].name, &rows.v[i].loc, e);
	free(rows.v);
	return r;
}
