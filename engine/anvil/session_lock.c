#include "engine/anvil/session_lock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/anvil/region.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define LOCK_NAME "session.lock"
#define FOLDER_DEPTH 10 /* dimensions/NAMESPACE/PATH../region */

struct session_lock {
	int fd;
};

/* ---- the lock itself ---- */

static void name_of(pid_t pid, char out[32])
{
	char path[64];
	out[0] = 0;
	if (pid <= 0)
		return;
	snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, 31);
	out[n > 0 ? n : 0] = 0;
	out[strcspn(out, "\n")] = 0;
}

/* Who holds a lock on the file that is in our way? */
static int ask(int fd, const char *path, bool *ret, struct session_user *user, struct err *e)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_OFD_GETLK, &fl) < 0)
		return err_set(e, E_IO, errno, "ask for the lock of '%s'", path);
	*ret = fl.l_type != F_UNLCK;
	if (!*ret)
		return 0;
	*user = (struct session_user){.pid = fl.l_pid > 0 ? fl.l_pid : 0, .has_lock = true,
		.by_file = fl.l_pid == -1};
	name_of(user->pid, user->name);
	return 0;
}

/* ---- processes that hold region files open without a lock ---- */

/* Region files that some process has open for writing. */
struct seeker {
	size_t n, cap;
	struct known {
		ino_t ino;
		dev_t dev;
		pid_t pid;
	} *v;
};

static int add_known(struct seeker *s, const struct stat *st, pid_t pid, struct err *e)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 64;
		struct known *v = realloc(s->v, cap * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory to look for users of the world");
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = (struct known){st->st_ino, st->st_dev, pid};
	return 0;
}

/* A readlink for each descriptor, a stat only for names that look right. The name may be one of
 * another container; which file it is, device and inode tell. */
static bool is_region_link(int fds, const char *name)
{
	char to[4096];
	ssize_t n = readlinkat(fds, name, to, sizeof to - 1);
	int32_t x, z;
	if (n <= 0)
		return false;
	to[n] = 0;
	const char *base = strrchr(to, '/');
	return base && region_parse_name(base + 1, &x, &z);
}

static bool is_for_writing(pid_t pid, const char *fd)
{
	char path[64], text[256];
	snprintf(path, sizeof path, "/proc/%ld/fdinfo/%.20s", (long)pid, fd);
	CLEANUP_FD int f = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = f < 0 ? -1 : read(f, text, sizeof text - 1);
	if (n <= 0)
		return true; /* rather one too many */
	text[n] = 0;
	const char *flags = strstr(text, "flags:");
	return !flags || (strtoul(flags + 6, NULL, 8) & O_ACCMODE) != O_RDONLY;
}

static int look_at_process(struct seeker *s, pid_t pid, struct err *e)
{
	char path[64];
	int r = 0;
	snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
	CLEANUP_DIR DIR *d = opendir(path);
	if (!d)
		return 0; /* not ours to see, or gone */
	for (struct dirent *en; r == 0 && (en = readdir(d));) {
		struct stat st;
		if (!isdigit((unsigned char)en->d_name[0]) ||
			!is_region_link(dirfd(d), en->d_name) ||
			fstatat(dirfd(d), en->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
			!is_for_writing(pid, en->d_name))
			continue;
		r = add_known(s, &st, pid, e);
	}
	return r;
}

static int by_inode(const void *a, const void *b)
{
	const struct known *x = a, *y = b;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Which process has one of the files below this folder open? NULL: none. */
static const struct known *seek_below(const struct seeker *s, int dir, int depth)
{
	int fd = dup(dir);
	CLEANUP_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct known *found = NULL;
	if (!d) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	for (struct dirent *en; !found && (en = readdir(d));) {
		struct stat st;
		int32_t x, z;
		if (strcmp(en->d_name, ".") == 0 || strcmp(en->d_name, "..") == 0)
			continue;
		if (en->d_type == DT_DIR && depth > 0) {
			CLEANUP_FD int sub = openat(dirfd(d), en->d_name,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
			found = sub >= 0 ? seek_below(s, sub, depth - 1) : NULL;
			continue;
		}
		if (!region_parse_name(en->d_name, &x, &z) ||
			fstatat(dirfd(d), en->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		struct known key = {st.st_ino, st.st_dev, 0};
		found = bsearch(&key, s->v, s->n, sizeof key, by_inode);
	}
	return found;
}

static int find_file_user(const char *world, bool *ret, struct session_user *user, struct err *e)
{
	struct seeker s = {0};
	int r = 0;
	*ret = false;
	CLEANUP_DIR DIR *proc = opendir("/proc");
	if (!proc)
		return 0;
	for (struct dirent *en; r == 0 && (en = readdir(proc));) {
		pid_t pid = (pid_t)strtol(en->d_name, NULL, 10);
		if (pid > 0 && pid != getpid())
			r = look_at_process(&s, pid, e);
	}
	if (r == 0 && s.n) {
		qsort(s.v, s.n, sizeof *s.v, by_inode);
		CLEANUP_FD int fd = open(world, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		const struct known *k = fd < 0 ? NULL : seek_below(&s, fd, FOLDER_DEPTH);
		*ret = k;
		if (k) {
			*user = (struct session_user){.pid = k->pid};
			name_of(k->pid, user->name);
		}
	}
	free(s.v);
	return r;
}

/* ---- for others ---- */

static char *lock_path(const char *world)
{
	char *path;
	return asprintf(&path, "%s/" LOCK_NAME, world) < 0 ? NULL : path;
}

int session_lock_test(const char *world, bool *ret_used, struct session_user *ret_user,
	struct err *e)
{
	struct session_user ignored;
	struct session_user *user = ret_user ? ret_user : &ignored;
	CLEANUP_FREE char *path = lock_path(world);
	*ret_used = false;
	*user = (struct session_user){0};
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && errno != ENOENT)
		return err_set(e, E_IO, errno, "open '%s'", path);
	int r = fd < 0 ? 0 : ask(fd, path, ret_used, user, e);
	if (r < 0 || *ret_used)
		return r;
	return find_file_user(world, ret_used, user, e);
}

static int refuse(const char *world, const struct session_user *u, struct err *e)
{
	char who[100] = "another program";
	if (u->by_file)
		snprintf(who, sizeof who, "another mcfs");
	else if (u->pid)
		snprintf(who, sizeof who, "process %ld (%s)", (long)u->pid,
			u->name[0] ? u->name : "?");
	return err_set(e, E_LOCKED, 0, "the world '%s' is in use by %s%s", world, who,
		u->has_lock ? "" : ", which has its region files open");
}

static bool has(const char *folder, const char *name)
{
	CLEANUP_FREE char *path = NULL;
	if (asprintf(&path, "%s/%s", folder, name) < 0) {
		path = NULL;
		return true; /* no memory: look into it, which will say so */
	}
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int session_lock_unused(const char *folder, struct err *e)
{
	struct session_user user;
	bool used;
	if (!has(folder, LOCK_NAME) && !has(folder, "level.dat"))
		return 0;
	int r = session_lock_test(folder, &used, &user, e);
	return r < 0 || !used ? r : refuse(folder, &user, e);
}

int session_lock_unused_above(const char *folder, struct err *e)
{
	CLEANUP_FREE char *there = strdup(*folder ? folder : "."), *path = NULL;
	if (!there)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	while (!(path = realpath(there, NULL)) && errno == ENOENT && strcmp(there, ".") != 0)
		io_go_up(there);
	while (path) {
		int r = session_lock_unused(path, e);
		if (r < 0 || strcmp(path, "/") == 0)
			return r;
		io_go_up(path);
	}
	return 0; /* whoever opens it will say what is wrong */
}

/* Made as the server would have: it must be able to open it, whoever runs mcfs. */
static int create_lock_file(const char *world, const char *path, int *ret, struct err *e)
{
	struct stat st;
	if (stat(world, &st) < 0)
		return err_set(e, E_IO, errno, "'%s'", world);
	*ret = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*ret < 0)
		return errno == EEXIST ? E_EXISTS : err_set(e, E_IO, errno, "create '%s'", path);
	st.st_mode &= 0666;
	return io_own(*ret, &st, path, e);
}

static int open_lock_file(const char *world, const char *path, int *ret, struct err *e)
{
	for (int tries = 0; tries < 10; tries++) {
		*ret = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
		if (*ret >= 0)
			return 0;
		if (errno != ENOENT)
			return err_set(e, E_IO, errno, "open '%s'", path);
		int r = create_lock_file(world, path, ret, e);
		if (r != E_EXISTS)
			return r;
	}
	return err_set(e, E_IO, 0, "'%s' comes and goes", path);
}

int session_lock_take(struct session_lock **ret, const char *world, struct err *e)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct session_user user = {0};
	bool used = false;
	CLEANUP_FREE char *path = lock_path(world);
	*ret = NULL;
	struct session_lock *l = calloc(1, sizeof *l);
	if (!path || !l) {
		free(l);
		return err_set(e, E_NOMEM, 0, "no memory for a lock");
	}
	l->fd = -1;
	int r = open_lock_file(world, path, &l->fd, e);
	if (r == 0 && fcntl(l->fd, F_OFD_SETLK, &fl) < 0) {
		if (errno != EAGAIN && errno != EACCES) {
			r = err_set(e, E_IO, errno, "lock '%s'", path);
		} else {
			r = ask(l->fd, path, &used, &user, e);
			if (r == 0)
				r = refuse(world, &user, e);
		}
	} else if (r == 0) {
		r = find_file_user(world, &used, &user, e);
		if (r == 0 && used)
			r = refuse(world, &user, e);
	}
	if (r < 0) {
		session_lock_release(l);
		return r;
	}
	*ret = l;
	return 0;
}

void session_lock_release(struct session_lock *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}
