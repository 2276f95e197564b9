#include "engine/db/db.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"

struct db_stmt {
	struct db_stmt *next;
	struct db *db;
	sqlite3_stmt *s;
	int bind_error; /* the first one since the reset */
};

struct db {
	sqlite3 *sq;
	char *path, *what;
	struct db_stmt *stmts;
};

/* What went wrong last, in our words. */
static int fail_as(struct db *d, int sql, const char *doing, struct err *e)
{
	int sys = d->sq ? sqlite3_system_errno(d->sq) : 0;
	int code;
	switch (sql & 0xff) {
	case SQLITE_FULL:
		code = E_NOSPACE;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		code = E_LOCKED;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(e, E_CORRUPT, 0,
			"%s '%s': %s: %s (move the file away to begin anew; 'sqlite3 FILE .recover' may "
			"save what is in it)", d->what, d->path, doing,
			d->sq ? sqlite3_errmsg(d->sq) : sqlite3_errstr(sql));
	case SQLITE_NOMEM:
		code = E_NOMEM;
		break;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		/* SQLite says only "disk I/O error"; the system's word is the useful one. */
		if (sys)
			return err_set(e, E_IO, sys, "%s '%s': %s", d->what, d->path, doing);
		code = E_IO;
		break;
	default:
		code = E_IO;
	}
	return err_set(e, code, 0, "%s '%s': %s: %s", d->what, d->path, doing,
		d->sq ? sqlite3_errmsg(d->sq) : sqlite3_errstr(sql));
}

static int fail(struct db *d, const char *doing, struct err *e)
{
	return fail_as(d, d->sq ? sqlite3_extended_errcode(d->sq) : SQLITE_NOMEM, doing, e);
}

int db_exec(struct db *d, const char *sql, struct err *e)
{
	int r = sqlite3_exec(d->sq, sql, NULL, NULL, NULL);
	return r == SQLITE_OK ? 0 : fail(d, "write", e);
}

static int pragma(struct db *d, const char *sql, int64_t *ret, struct err *e)
{
	sqlite3_stmt *s = NULL;
	int r = 0;
	if (sqlite3_prepare_v2(d->sq, sql, -1, &s, NULL) != SQLITE_OK ||
		sqlite3_step(s) != SQLITE_ROW)
		r = fail(d, "read", e);
	else
		*ret = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return r;
}

/* ---- opening ---- */

/* SQLite would make it with the mode that the umask leaves; what is in it is nobody else's. */
static int create_file(struct db *d, bool must_exist, struct err *e)
{
	if (must_exist)
		return access(d->path, F_OK) == 0
			       ? 0
			       : err_set(e, E_IO, errno, "%s '%s'", d->what, d->path);
	CLEANUP_FD int fd = open(d->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : err_set(e, E_IO, errno, "%s '%s': create", d->what,
						     d->path);
	int r = io_sync_close(&fd, d->path, e);
	CLEANUP_FREE char *copy = strdup(d->path);
	if (r == 0 && !copy)
		r = err_set(e, E_NOMEM, 0, "no memory for a path");
	return r < 0 ? r : io_fsync_dir(AT_FDCWD, dirname(copy), e);
}

static int make_tables(struct db *d, const struct db_options *opt, struct err *e)
{
	char marks[100];
	int64_t version;
	int r = db_begin(d, e);
	/* Another process may have been faster. */
	if (r == 0)
		r = pragma(d, "PRAGMA user_version", &version, e);
	if (r == 0 && version == 0) {
		snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d",
			(int)opt->id, opt->version);
		r = db_exec(d, opt->schema, e);
		if (r == 0)
			r = db_exec(d, marks, e);
	}
	if (r == 0)
		return db_commit(d, e);
	db_rollback(d);
	return r;
}

static int check_kind(struct db *d, const struct db_options *opt, struct err *e)
{
	int64_t id = 0, version = 0, tables = 0;
	int r = pragma(d, "PRAGMA application_id", &id, e);
	if (r == 0)
		r = pragma(d, "PRAGMA user_version", &version, e);
	if (r == 0)
		r = pragma(d, "SELECT count(*) FROM sqlite_master", &tables, e);
	if (r == 0 && id == 0 && version == 0 && tables == 0)
		return make_tables(d, opt, e);
	if (r < 0)
		return r;
	if ((uint32_t)id != opt->id)
		return err_set(e, E_CORRUPT, 0, "'%s' is a database, but no %s of mcfs", d->path,
			d->what);
	if (version != opt->version)
		return err_set(e, E_UNSUPPORTED, 0,
			"%s '%s' has version %lld, this mcfs knows version %d", d->what, d->path,
			(long long)version, opt->version);
	return 0;
}

static int set_up(struct db *d, struct err *e)
{
	sqlite3_extended_result_codes(d->sq, 1);
	sqlite3_busy_timeout(d->sq, DB_BUSY_MS);
	/* auto_vacuum counts only in a file without tables. */
	return db_exec(d,
		"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = TRUNCATE;"
		"PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -4096;"
		"PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON", e);
}

int db_open(struct db **ret, const char *path, const struct db_options *opt, struct err *e)
{
	struct db *d = calloc(1, sizeof *d);
	*ret = NULL;
	if (d) {
		d->path = strdup(path);
		d->what = strdup(opt->what);
	}
	if (!d || !d->path || !d->what) {
		db_close(d);
		return err_set(e, E_NOMEM, 0, "no memory to open '%s'", path);
	}
	int r = create_file(d, opt->must_exist, e);
	if (r == 0 && sqlite3_open_v2(path, &d->sq, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
			      NULL) != SQLITE_OK)
		r = fail(d, "open", e);
	if (r == 0)
		r = set_up(d, e);
	if (r == 0)
		r = check_kind(d, opt, e);
	if (r < 0) {
		db_close(d);
		return r;
	}
	*ret = d;
	return 0;
}

void db_close(struct db *d)
{
	if (!d)
		return;
	while (d->stmts) {
		struct db_stmt *s = d->stmts;
		d->stmts = s->next;
		sqlite3_finalize(s->s);
		free(s);
	}
	sqlite3_close(d->sq);
	free(d->path);
	free(d->what);
	free(d);
}

/* ---- transactions ---- */

int db_begin(struct db *d, struct err *e)
{
	return sqlite3_exec(d->sq, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK
		       ? 0
		       : fail(d, "begin to write", e);
}

int db_commit(struct db *d, struct err *e)
{
	if (sqlite3_exec(d->sq, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	int r = fail(d, "commit", e);
	db_rollback(d);
	return r;
}

void db_rollback(struct db *d)
{
	for (struct db_stmt *s = d->stmts; s; s = s->next)
		sqlite3_reset(s->s);
	/* Some failures have rolled back by themselves. */
	if (!sqlite3_get_autocommit(d->sq))
		sqlite3_exec(d->sq, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- statements ---- */

int db_sql(struct db *d, struct db_stmt **ret, const char *sql, struct err *e)
{
	struct db_stmt *s = d->stmts;
	while (s && strcmp(sqlite3_sql(s->s), sql) != 0)
		s = s->next;
	if (!s) {
		s = calloc(1, sizeof *s);
		if (!s)
			return err_set(e, E_NOMEM, 0, "no memory for a statement");
		if (sqlite3_prepare_v3(d->sq, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->s, NULL) !=
			SQLITE_OK) {
			free(s);
			return fail(d, "prepare", e);
		}
		s->db = d;
		s->next = d->stmts;
		d->stmts = s;
	}
	sqlite3_reset(s->s);
	sqlite3_clear_bindings(s->s);
	s->bind_error = 0;
	*ret = s;
	return 0;
}

static void note_bind(struct db_stmt *s, int r)
{
	if (r != SQLITE_OK && !s->bind_error)
		s->bind_error = r;
}

void db_bind_int(struct db_stmt *s, int i, int64_t v)
{
	note_bind(s, sqlite3_bind_int64(s->s, i, v));
}

void db_bind_text(struct db_stmt *s, int i, const char *v)
{
	note_bind(s, v ? sqlite3_bind_text(s->s, i, v, -1, SQLITE_STATIC)
		       : sqlite3_bind_null(s->s, i));
}

void db_bind_blob(struct db_stmt *s, int i, struct span v)
{
	/* A NULL pointer would bind NULL; an empty blob is not that. */
	note_bind(s, sqlite3_bind_blob64(s->s, i, v.n ? (const void *)v.p : "", v.n, SQLITE_STATIC));
}

int db_step(struct db_stmt *s, struct err *e)
{
	if (s->bind_error)
		return fail_as(s->db, s->bind_error, "bind", e);
	int r = sqlite3_step(s->s);
	if (r == SQLITE_ROW)
		return 1;
	if (r != SQLITE_DONE)
		r = fail(s->db, sqlite3_stmt_readonly(s->s) ? "read" : "write", e);
	else
		r = 0;
	sqlite3_reset(s->s);
	return r;
}

int db_run(struct db_stmt *s, struct err *e)
{
	int r;
	do
		r = db_step(s, e);
	while (r == 1);
	return r;
}

void db_reset(struct db_stmt *s)
{
	sqlite3_reset(s->s);
}

int64_t db_int(struct db_stmt *s, int col)
{
	return sqlite3_column_int64(s->s, col);
}

const char *db_text(struct db_stmt *s, int col)
{
	return (const char *)sqlite3_column_text(s->s, col);
}

struct span db_blob(struct db_stmt *s, int col)
{
	const void *p = sqlite3_column_blob(s->s, col);
	return span_of(p, (size_t)sqlite3_column_bytes(s->s, col));
}

bool db_is_null(struct db_stmt *s, int col)
{
	return sqlite3_column_type(s->s, col) == SQLITE_NULL;
}

/* ---- the rest ---- */

int64_t db_last_id(struct db *d)
{
	return sqlite3_last_insert_rowid(d->sq);
}

int64_t db_n_changed(struct db *d)
{
	return sqlite3_changes64(d->sq);
}

int db_changes(struct db *d, uint64_t *ret, struct err *e)
{
	int64_t others;
	int r = pragma(d, "PRAGMA data_version", &others, e);
	/* Ours count in the low half, those of others in the high one. */
	if (r == 0)
		*ret = (uint64_t)others << 40 ^
		       ((uint64_t)sqlite3_total_changes64(d->sq) & 0xffffffffff);
	return r;
}

int db_shrink(struct db *d, struct err *e)
{
	int64_t left = 0, before;
	int r = pragma(d, "PRAGMA freelist_count", &left, e);
	/* A piece at a time: pages that move go through the journal, which needs room as well. */
	while (r == 0 && left > 0) {
		before = left;
		r = db_exec(d, "PRAGMA incremental_vacuum(4096)", e);
		if (r == 0)
			r = pragma(d, "PRAGMA freelist_count", &left, e);
		if (left >= before)
			break;
	}
	return r;
}
