/* db.h - small SQLite databases for what must not be lost: the trash, the scheduler's history.
 * (The store's index is a cache and has a module of its own.)
 *
 * Durability: a commit that returned 0 survives a power cut, and a transaction is whole or not there.
 * The journal is a rollback journal that is truncated at commit (journal_mode TRUNCATE,
 * synchronous FULL), not a WAL: between transactions the database is exactly one file with
 * everything in it, so it can be copied and backed up as one, on any file system; and unlike
 * deleting the journal, truncating it is synced, so that a commit cannot come undone. What a WAL would
 * be better at, readers beside a writer, these databases do not need: reads are short.
 *
 * Errors: E_NOSPACE disk full; E_LOCKED another process holds it for longer than DB_BUSY_MS;
 * E_CORRUPT damaged, not a database, or another program's; E_UNSUPPORTED of a newer version;
 * E_NOTFOUND missing and not to be created; E_IO, E_NOMEM.
 *
 * Threads: one at a time for a struct db and all that came from it; the caller locks. Several
 * processes may have the same file open. */
#ifndef MCFS_DB_DB_H
#define MCFS_DB_DB_H

#include <stdbool.h>

#include "engine/base/buf.h"

#define DB_BUSY_MS 20000

struct db;
struct db_stmt; /* a statement that was prepared; belongs to its db and goes with it */

struct db_options {
	const char *what;   /* for messages: "trash" */
	uint32_t id;	    /* application_id: tells our files from others and from each other */
	int version;	    /* user_version of the schema; > 0 */
	const char *schema; /* SQL that makes the tables; run in one transaction in a new file */
	bool must_exist;    /* E_NOTFOUND instead of a new file */
};

/* Open or make a database; a new file has mode 0600 and its directory entry is durable (the
 * directory must exist). *ret is NULL after failure. */
int db_open(struct db **ret, const char *path, const struct db_options *opt,
	struct err *e) MUST_CHECK;
/* An open transaction is rolled back. NULL is fine. */
void db_close(struct db *d);

/* Begin to write: takes the write lock at once, so that the transaction cannot fail halfway because
 * of another. No nesting. */
int db_begin(struct db *d, struct err *e) MUST_CHECK;
/* After a failure the transaction is rolled back. */
int db_commit(struct db *d, struct err *e) MUST_CHECK;
/* Undo what was done since db_begin(); nothing when there is no transaction. */
void db_rollback(struct db *d);

/* SQL without parameters and results, several statements at will. */
int db_exec(struct db *d, const char *sql, struct err *e) MUST_CHECK;

/* The prepared statement of this SQL text, prepared once and kept: reset, nothing bound. A statement
 * that is being stepped through must not be asked for again before db_reset(). */
int db_sql(struct db *d, struct db_stmt **ret, const char *sql, struct err *e) MUST_CHECK;

/* Bind parameter ?1, ?2, .. Failures (no memory, too large) are told by the next db_step(). Text and
 * blobs must stay until the statement is done or reset. NULL text is NULL. */
void db_bind_int(struct db_stmt *s, int i, int64_t v);
void db_bind_text(struct db_stmt *s, int i, const char *v);
void db_bind_blob(struct db_stmt *s, int i, struct span v);

/* 1: a row; 0: done. When it returns 0 or fails the statement is reset, so that locks are gone;
 * stop earlier with db_reset(). */
int db_step(struct db_stmt *s, struct err *e) MUST_CHECK;
/* Step a statement that gives no rows, to its end. */
int db_run(struct db_stmt *s, struct err *e) MUST_CHECK;
void db_reset(struct db_stmt *s);

/* Columns of the row, from 0. Spans and strings hold until the next step or reset. NULL is 0, an empty
 * span, NULL. */
int64_t db_int(struct db_stmt *s, int col);
const char *db_text(struct db_stmt *s, int col);
struct span db_blob(struct db_stmt *s, int col);
bool db_is_null(struct db_stmt *s, int col);

int64_t db_last_id(struct db *d);  /* rowid of the last insert */
int64_t db_n_changed(struct db *d); /* rows the last statement changed */
/* A number that differs from an earlier one when the contents may have changed since, by this
 * connection or by any other process. */
int db_changes(struct db *d, uint64_t *ret, struct err *e) MUST_CHECK;

/* Give free pages back to the file system. */
int db_shrink(struct db *d, struct err *e) MUST_CHECK;

#endif
