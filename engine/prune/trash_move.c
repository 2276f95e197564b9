/* trash_move.c - a trash follows its world to another path; who else has it open. docs/PRUNE.md, "The
 * trash". */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/prune/trash_internal.h"

#define NAP_MS 10

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory for the trash");
}

/* ---- who has it open ---- */

int trash_lock(const char *file, bool exclusive, int *ret, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	*ret = -1;
	if (asprintf(&path, "%s.lock", file) < 0) {
		path = NULL;
		return no_memory(e);
	}
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EROFS) /* then nobody moves it either */
		return 0;
	if (fd < 0)
		return err_set(e, E_IO, errno, "open '%s'", path);
	for (int ms = 0; flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0; ms += NAP_MS) {
		if (errno == EINTR)
			continue;
		if (errno == EWOULDBLOCK && (exclusive || ms >= DB_BUSY_MS))
			return err_set(e, E_LOCKED, 0, "the trash '%s' is in use%s", file, exclusive ?
				" by a mount or another command: end that, and run this again" : "");
		if (errno != EWOULDBLOCK && exclusive)
			return err_set(e, E_IO, errno, "lock '%s'", path);
		if (errno != EWOULDBLOCK)
			break; /* a file system without locks */
		nanosleep(&(struct timespec){0, NAP_MS * 1000000L}, NULL);
	}
	*ret = take_fd(&fd);
	return 0;
}

/* ---- moving ---- */

struct moving {
	const char *old;
	char *from, *to; /* databases */
	struct world_facts now, then;
	int lock_from, lock_to;
};

/* What is said of the two paths, before anything is looked at. */
static int check_paths(const struct moving *m, struct err *e)
{
	if (m->old[0] != '/')
		return err_set(e, E_USAGE, 0, "'%s' is no absolute path: give the one that the world had, as "
			"'mcfs trash list' shows it", m->old);
	if (strcmp(m->old, m->now.path) == 0)
		return err_set(e, E_USAGE, 0, "the world is still at '%s'", m->old);
	/* A link to the new place may be there, for those who know the old one. */
	CLEANUP_FREE char *real = realpath(m->old, NULL);
	if (!real && errno != ENOENT && errno != ENOTDIR)
		return err_set(e, E_IO, errno, "the world '%s'", m->old);
	if (real && strcmp(real, m->now.path) != 0)
		return err_set(e, E_EXISTS, 0, "there is still a world at '%s': the trash is its own",
			m->old);
	return 0;
}

static int remove_journal(const char *file, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	if (asprintf(&path, "%s-journal", file) < 0) {
		path = NULL;
		return no_memory(e);
	}
	if (lstat(path, &st) == 0 && st.st_size > 0)
		return err_set(e, E_IO, 0, "the journal '%s' is not empty", path);
	if (unlinkat(AT_FDCWD, path, 0) < 0 && errno != ENOENT)
		return err_set(e, E_IO, errno, "remove '%s'", path);
	return io_fsync_dir(AT_FDCWD, dirname(path), e);
}

/* Finish what a crash left in the database's journal, and read what it knows. After this it is one file. */
static int settle(const char *file, struct world_facts *ret, uint64_t *ret_chunks, struct err *e)
{
	struct db_options opt = trash_db_options;
	struct db *db;
	struct db_stmt *s;
	opt.must_exist = true;
	int r = db_open(&db, file, &opt, e);
	if (r == 0 && (r = db_begin(db, e)) == 0)
		db_rollback(db);
	if (r == 0)
		r = trash_load_meta(db, ret, e);
	if (r == 0 && (r = db_sql(db, &s, "SELECT count(*) FROM chunk", e)) == 0 &&
		(r = db_step(s, e)) == 1) {
		*ret_chunks = (uint64_t)db_int(s, 0);
		db_reset(s);
		r = 0;
	}
	db_close(db);
	return r < 0 ? r : remove_journal(file, e);
}

static int check_seed(const struct moving *m, struct err *e)
{
	if (!m->then.has_seed || (m->now.has_seed && m->now.seed == m->then.seed))
		return 0;
	return err_set(e, E_NOTFOUND, 0, "the world of this trash (seed %lld, '%s') is not at '%s'",
		(long long)m->then.seed, m->then.level_name ? m->then.level_name : "?", m->now.path);
}

/* The trash that is at the new name must be none, or empty. */
static int check_target(const struct moving *m, struct err *e)
{
	struct world_facts f = {0};
	uint64_t chunks = 0;
	if (access(m->to, F_OK) < 0)
		return errno == ENOENT ? remove_journal(m->to, e)
				       : err_set(e, E_IO, errno, "the trash '%s'", m->to);
	int r = settle(m->to, &f, &chunks, e);
	world_facts_free(&f);
	return r == 0 && chunks
		       ? err_set(e, E_EXISTS, 0, "'%s' has %llu chunks in a trash of its own: restore or "
				"empty them first", m->now.path, (unsigned long long)chunks)
		       : r;
}

static int rename_it(struct moving *m, struct err *e)
{
	uint64_t chunks;
	int r = settle(m->from, &m->then, &chunks, e);
	if (r == 0)
		r = check_seed(m, e);
	if (r == 0)
		r = check_target(m, e);
	if (r == 0 && renameat(AT_FDCWD, m->from, AT_FDCWD, m->to) < 0)
		r = err_set(e, E_IO, errno, "rename '%s'", m->from);
	return r < 0 ? r : io_fsync_dir(AT_FDCWD, dirname(m->from), e);
}

/* It may have been renamed already: then opening it by the new path does the rest. */
static int move(struct moving *m, const char *state_dir, struct err *e)
{
	struct trash *t;
	bool there = access(m->from, F_OK) == 0;
	int r = there ? trash_lock(m->from, true, &m->lock_from, e) : 0;
	if (r == 0 && there)
		r = trash_lock(m->to, true, &m->lock_to, e);
	if (r == 0 && there)
		r = rename_it(m, e);
	/* Opening it takes that lock. */
	if (m->lock_to >= 0)
		close(take_fd(&m->lock_to));
	if (r < 0)
		return r;
	r = trash_open(&t, state_dir, m->now.path, true, NULL, e);
	if (r == 0)
		trash_close(t);
	return r;
}

/* Is the database at the new name the one of the old path? */
static bool was_renamed(const struct moving *m)
{
	struct db_options opt = trash_db_options;
	struct world_facts f = {0};
	struct db *db = NULL;
	opt.must_exist = true;
	bool yes = db_open(&db, m->to, &opt, NULL) == 0 && trash_load_meta(db, &f, NULL) == 0 && f.path &&
		   strcmp(f.path, m->old) == 0;
	db_close(db);
	world_facts_free(&f);
	return yes;
}

int trash_move(const char *state_dir, const char *old, const char *world, struct err *e)
{
	struct moving m = {.lock_from = -1, .lock_to = -1};
	CLEANUP_FREE char *path = strdup(old);
	if (!path)
		return no_memory(e);
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = 0;
	m.old = path;
	int r = world_facts_read(world, &m.now, e);
	if (r == 0)
		r = check_paths(&m, e);
	if (r == 0) {
		m.from = trash_file_name(state_dir, m.old);
		m.to = trash_file_name(state_dir, m.now.path);
		r = m.from && m.to ? 0 : no_memory(e);
	}
	if (r == 0 && access(m.from, F_OK) < 0 && !was_renamed(&m))
		r = err_set(e, E_NOTFOUND, 0, "the world '%s' has no trash in '%s'", m.old, state_dir);
	if (r == 0)
		r = move(&m, state_dir, e);
	if (m.lock_from >= 0)
		close(m.lock_from);
	world_facts_free(&m.now);
	world_facts_free(&m.then);
	free(m.from);
	free(m.to);
	return r;
}
