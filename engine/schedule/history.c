#include "engine/schedule/history.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/db/db.h"

#define APPLICATION_ID 0x6d637363 /* "mcsc" */

static const char schema[] = "CREATE TABLE job (name TEXT PRIMARY KEY, last_due INTEGER NOT NULL)"
			     " WITHOUT ROWID;"
			     "CREATE TABLE run (id INTEGER PRIMARY KEY, job TEXT NOT NULL,"
			     " due INTEGER NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,"
			     " attempt INTEGER NOT NULL, result INTEGER NOT NULL,"
			     " exit_code INTEGER NOT NULL, message TEXT, output TEXT,"
			     " owner INTEGER NOT NULL);"
			     "CREATE INDEX run_job ON run (job, id);";

struct history {
	struct db *db;
	bool held, open; /* a transaction is wanted; has begun */
};

const char *run_result_name(enum run_result r)
{
	static const char *const names[] = {
		"running", "ok", "failed", "timeout", "skipped", "interrupted", "missed"};
	return (unsigned)r < sizeof names / sizeof *names ? names[r] : "unknown";
}

int history_open(const char *path, bool must_exist, struct history **ret, struct err *e)
{
	const struct db_options opt = {.what = "history", .id = APPLICATION_ID, .version = 1,
		.schema = schema, .must_exist = must_exist};
	struct history *h = calloc(1, sizeof *h);
	if (!h)
		return err_set(e, E_NOMEM, 0, "no memory for the history");
	int rc = db_open(&h->db, path, &opt, e);
	if (rc < 0) {
		free(h);
		return rc;
	}
	*ret = h;
	return 0;
}

void history_close(struct history *h)
{
	if (!h)
		return;
	db_close(h->db);
	free(h);
}

void history_hold(struct history *h)
{
	h->held = true;
}

int history_release(struct history *h, struct err *e)
{
	bool open = h->open;
	h->held = h->open = false;
	return open ? db_commit(h->db, e) : 0;
}

/* The statement of something to be written. */
static int prepare(struct history *h, struct db_stmt **s, const char *sql, struct err *e)
{
	if (h->held && !h->open) {
		int rc = db_begin(h->db, e);
		if (rc < 0)
			return rc;
		h->open = true;
	}
	return db_sql(h->db, s, sql, e);
}

/* The last statement's end: without a transaction it is durable now. */
static int written(struct history *h, struct db_stmt *s, struct err *e)
{
	int rc = db_run(s, e);
	if (rc < 0 && h->open) {
		db_rollback(h->db);
		h->open = false;
	}
	return rc;
}

int history_due(struct history *h, const char *job, int64_t due, struct err *e)
{
	struct db_stmt *s;
	int rc = prepare(h, &s,
		"INSERT INTO job VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET last_due = ?2", e);
	if (rc < 0)
		return rc;
	db_bind_text(s, 1, job);
	db_bind_int(s, 2, due);
	return written(h, s, e);
}

int history_begin(struct history *h, const struct history_run *run, int64_t *ret_id, struct err *e)
{
	struct db_stmt *s;
	int rc = prepare(h, &s,
		"INSERT INTO run (job, due, started, ended, attempt, result, exit_code, message, "
		"owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
		e);
	if (rc < 0)
		return rc;
	db_bind_text(s, 1, run->job);
	db_bind_int(s, 2, run->due);
	db_bind_int(s, 3, run->started);
	db_bind_int(s, 4, run->ended);
	db_bind_int(s, 5, run->attempt);
	db_bind_int(s, 6, run->result);
	db_bind_int(s, 7, run->exit_code);
	db_bind_text(s, 8, run->message);
	db_bind_int(s, 9, getpid());
	rc = written(h, s, e);
	if (rc == 0)
		*ret_id = db_last_id(h->db);
	return rc;
}

int history_end(struct history *h, const struct history_run *run, int keep, struct err *e)
{
	struct db_stmt *s;
	int rc = prepare(h, &s,
		"UPDATE run SET ended = ?2, result = ?3, exit_code = ?4, message = ?5, output = ?6 "
		"WHERE id = ?1",
		e);
	if (rc < 0)
		return rc;
	db_bind_int(s, 1, run->id);
	db_bind_int(s, 2, run->ended);
	db_bind_int(s, 3, run->result);
	db_bind_int(s, 4, run->exit_code);
	db_bind_text(s, 5, run->message);
	db_bind_text(s, 6, run->output);
	rc = written(h, s, e);
	if (rc == 0)
		rc = prepare(h, &s,
			"DELETE FROM run WHERE job = ?1 AND id <= (SELECT id FROM run WHERE job = ?1 "
			"ORDER BY id DESC LIMIT 1 OFFSET ?2)",
			e);
	if (rc < 0)
		return rc;
	db_bind_text(s, 1, run->job);
	db_bind_int(s, 2, keep);
	return written(h, s, e);
}

int history_recover(struct history *h, int64_t now_ms, struct err *e)
{
	struct db_stmt *s, *mark;
	int rc = db_sql(h->db, &s,
		"SELECT id, owner FROM run WHERE ended = 0 AND id > ?1 ORDER BY id LIMIT 1", e);
	if (rc == 0)
		rc = db_sql(h->db, &mark,
			"UPDATE run SET ended = ?2, result = ?3, message = 'the scheduler ended while it "
			"ran' WHERE id = ?1",
			e);
	for (int64_t after = 0; rc == 0;) {
		db_bind_int(s, 1, after);
		rc = db_step(s, e);
		if (rc <= 0)
			break;
		after = db_int(s, 0);
		pid_t owner = (pid_t)db_int(s, 1);
		db_reset(s);
		rc = 0;
		/* Our own number from before, as process 1 of a container has it, is gone as well. */
		if (owner != getpid() && (kill(owner, 0) == 0 || errno == EPERM))
			continue;
		db_bind_int(mark, 1, after);
		db_bind_int(mark, 2, now_ms);
		db_bind_int(mark, 3, RESULT_INTERRUPTED);
		rc = db_run(mark, e);
	}
	return rc;
}

int history_job(struct history *h, const char *job, struct history_job *ret, struct err *e)
{
	struct db_stmt *s;
	*ret = (struct history_job){0};
	int rc = db_sql(h->db, &s, "SELECT last_due FROM job WHERE name = ?1", e);
	if (rc < 0)
		return rc;
	db_bind_text(s, 1, job);
	rc = db_step(s, e);
	if (rc < 0)
		return rc;
	if (rc == 1)
		ret->last_due = db_int(s, 0);
	db_reset(s);
	rc = db_sql(h->db, &s,
		"SELECT result, started, ended FROM run WHERE job = ?1 ORDER BY id DESC", e);
	if (rc < 0)
		return rc;
	db_bind_text(s, 1, job);
	for (bool first = true, ran = false; (rc = db_step(s, e)) == 1;) {
		enum run_result r = (enum run_result)db_int(s, 0);
		/* Due times that were skipped while it ran, or missed, say nothing of how it ended. */
		if (r == RESULT_SKIPPED || r == RESULT_MISSED)
			continue;
		if (first)
			ret->interrupted = r == RESULT_INTERRUPTED;
		first = false;
		if (r == RESULT_NONE || !db_int(s, 1))
			continue;
		if (!ran) {
			ret->last_result = r;
			ret->last_started = db_int(s, 1);
			ret->last_ended = db_int(s, 2);
			ran = true;
		}
		if (r == RESULT_OK) {
			ret->last_ok = db_int(s, 2);
			db_reset(s);
			return 0;
		}
	}
	return rc;
}

int history_list(struct history *h, const char *job, int limit,
	int (*fn)(void *ctx, const struct history_run *), void *ctx, struct err *e)
{
	struct db_stmt *s;
	int rc = db_sql(h->db, &s,
		"SELECT id, job, due, started, ended, attempt, result, exit_code, message, output "
		"FROM run WHERE ?1 IS NULL OR job = ?1 ORDER BY id DESC LIMIT ?2",
		e);
	if (rc < 0)
		return rc;
	db_bind_text(s, 1, job);
	db_bind_int(s, 2, limit);
	while ((rc = db_step(s, e)) == 1) {
		struct history_run r = {.id = db_int(s, 0), .job = db_text(s, 1), .due = db_int(s, 2),
			.started = db_int(s, 3), .ended = db_int(s, 4), .attempt = (int)db_int(s, 5),
			.result = (enum run_result)db_int(s, 6), .exit_code = (int)db_int(s, 7),
			.message = db_text(s, 8), .output = db_text(s, 9)};
		if (fn(ctx, &r) != 0) {
			db_reset(s);
			return 0;
		}
	}
	return rc;
}
