/* session_lock: a server's lock is seen and respected, ours keeps servers out, the file stays as it
 * is. */
#include "tests/unit/support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/anvil/session_lock.h"
#include "engine/base/io.h"

static char *new_world(const char *name)
{
	char *world = temp_path(name);
	CLEANUP_FREE char *region = NULL;
	assert_true(asprintf(&region, "%s/region", world) > 0);
	OK(io_mkdirs(region, 0755, e));
	return world;
}

static char *below_world(const char *world, const char *name)
{
	char *path;
	assert_true(asprintf(&path, "%s/%s", world, name) > 0);
	return path;
}

/* A process that has the file open, with a lock as Java takes it or without, until it is ended. */
static pid_t hold(const char *path, bool lock, int flags)
{
	int ready[2];
	char c;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, flags, 0644);
		if (fd < 0 || (lock && fcntl(fd, F_SETLK, &fl) < 0))
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool is_used(const char *world, struct session_user *user)
{
	bool used;
	OK(session_lock_test(world, &used, user, e));
	return used;
}

static void assert_bytes(const char *path, const char *want, size_t n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	read_file(path, &b);
	assert_spans(buf_span(&b), span_of(want, n));
}

static void test_server(void **state)
{
	(void)state;
	CLEANUP_FREE char *world = new_world("server");
	CLEANUP_FREE char *path = below_world(world, "session.lock");
	struct session_lock *l;
	struct session_user user;
	write_file(path, text("\xe2\x98\x83"));
	assert_false(is_used(world, NULL));
	pid_t pid = hold(path, true, O_RDWR);
	assert_true(is_used(world, &user));
	assert_true(user.pid == pid && user.has_lock && !user.by_file);
	assert_true(user.name[0]);
	FAILS(E_LOCKED, session_lock_take(&l, world, e));
	assert_null(l);
	end(pid);
	/* The file is there, the lock is not: free. */
	assert_false(is_used(world, NULL));
	OK(session_lock_take(&l, world, e));
	session_lock_release(l);
	assert_bytes(path, "\xe2\x98\x83", 3);
}

/* What a server does at its start fails while we hold the lock. */
static void test_keeps_out(void **state)
{
	(void)state;
	CLEANUP_FREE char *world = new_world("out");
	CLEANUP_FREE char *path = below_world(world, "session.lock");
	struct session_lock *l, *second;
	struct session_user user;
	int status;
	OK(session_lock_take(&l, world, e));
	assert_true(is_used(world, &user));
	assert_true(user.by_file && user.pid == 0);
	FAILS(E_LOCKED, session_lock_take(&second, world, e));
	/* Opening and closing the file in this process must not drop it. */
	close(open(path, O_RDWR));
	pid_t pid = fork();
	if (pid == 0) {
		struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = open(path, O_RDWR);
		_exit(fd < 0 ? 2 : fcntl(fd, F_SETLK, &fl) == 0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 0);
	session_lock_release(l);
	assert_false(is_used(world, NULL));
	pid = hold(path, true, O_RDWR);
	end(pid);
}

static void test_missing_file(void **state)
{
	(void)state;
	CLEANUP_FREE char *world = new_world("missing");
	CLEANUP_FREE char *path = below_world(world, "session.lock");
	struct session_lock *l;
	struct stat st;
	assert_int_equal(chmod(world, 0770), 0);
	assert_false(is_used(world, NULL));
	assert_int_equal(access(path, F_OK), -1); /* asking does not make it */
	OK(session_lock_take(&l, world, e));
	session_lock_release(l);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660); /* a server of the group must be able to open it */
	assert_int_equal(st.st_size, 0);
	FAILS(E_NOTFOUND, session_lock_take(&l, "/nonexistent/world", e));
}

/* Before 1.16: the file is a time stamp that must not change, and there is no lock. */
static void test_old_server(void **state)
{
	(void)state;
	CLEANUP_FREE char *world = new_world("old");
	CLEANUP_FREE char *path = below_world(world, "session.lock");
	CLEANUP_FREE char *region = below_world(world, "region/r.0.0.mca");
	struct session_lock *l;
	struct session_user user;
	struct stat before, after;
	write_file(path, span_of("\0\0\1\x70\1\2\3\4", 8));
	write_file(region, text(""));
	stat(path, &before);
	/* Readers are no users. */
	pid_t pid = hold(region, false, O_RDONLY);
	assert_false(is_used(world, NULL));
	OK(session_lock_take(&l, world, e));
	session_lock_release(l);
	end(pid);
	pid = hold(region, false, O_RDWR);
	assert_true(is_used(world, &user));
	assert_true(user.pid == pid && !user.has_lock);
	FAILS(E_LOCKED, session_lock_take(&l, world, e));
	end(pid);
	/* The same name in another world is none of ours. */
	CLEANUP_FREE char *other = new_world("other");
	CLEANUP_FREE char *theirs = below_world(other, "region/r.0.0.mca");
	pid = hold(theirs, false, O_RDWR | O_CREAT);
	assert_false(is_used(world, NULL));
	end(pid);
	stat(path, &after);
	assert_bytes(path, "\0\0\1\x70\1\2\3\4", 8);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_server),
		cmocka_unit_test(test_keeps_out), cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_old_server)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
