#include "engine/schedule/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

#define READ_AT_ONCE 65536
#define LEFT_BEHIND_MAX 64

extern char **environ;

/* A child that has ended stays as long as something that it left holds the pipe: that must not be
 * killed by SIGPIPE, in the middle of tidying up, for what it says. */
struct child {
	pid_t pid;
	int fd; /* -1 once it is closed */
	bool ended;
};

struct spawner {
	struct child *v;
	size_t n, cap;
};

int spawner_new(struct spawner **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : err_set(e, E_NOMEM, 0, "no memory for the scheduler");
}

void spawner_free(struct spawner *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].fd >= 0)
			close(s->v[i].fd);
	free(s->v);
	free(s);
}

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");
	return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* The process's environment with `set` in place of what has the same names. */
static char **merged_environment(char *const *set)
{
	size_t n = 0, m = 0, k = 0;
	while (environ && environ[n])
		n++;
	while (set && set[m])
		m++;
	char **out = calloc(n + m + 1, sizeof *out);
	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		bool replaced = false;
		for (size_t j = 0; j < m && !replaced; j++)
			replaced = same_name(set[j], environ[i]);
		if (!replaced)
			out[k++] = environ[i];
	}
	for (size_t j = 0; j < m; j++) {
		bool again = false; /* the last of several wins */
		for (size_t l = j + 1; l < m && !again; l++)
			again = same_name(set[l], set[j]);
		if (!again)
			out[k++] = set[j];
	}
	return out;
}

static int spawn_with(int out, char *const *argv, char *const *env, const char *dir, pid_t *ret)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, all;
	int rc = posix_spawn_file_actions_init(&fa);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&at);
	if (rc != 0) {
		posix_spawn_file_actions_destroy(&fa);
		return rc;
	}
	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawnattr_setflags(&at,
		POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(&at, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(&at, &all);
	if (rc == 0)
		rc = posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&fa, out, 1);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&fa, out, 2);
	if (rc == 0 && dir)
		rc = posix_spawn_file_actions_addchdir_np(&fa, dir);
	if (rc == 0)
		rc = posix_spawnp(ret, argv[0], &fa, &at, argv, env);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	return rc;
}

int spawn_start(struct spawner *s, char *const *argv, char *const *env, const char *dir,
	pid_t *ret, struct err *e)
{
	int p[2];
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 8;
		struct child *v = realloc(s->v, cap * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "start '%s': no memory", argv[0]);
		s->v = v;
		s->cap = cap;
	}
	CLEANUP_FREE char **all = merged_environment(env);
	if (!all)
		return err_set(e, E_NOMEM, 0, "start '%s': no memory", argv[0]);
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, E_IO, errno, "start '%s': pipe", argv[0]);
	CLEANUP_FD int from = p[0], to = p[1];
	if (fcntl(from, F_SETFL, O_NONBLOCK) < 0)
		return err_set(e, E_IO, errno, "start '%s': pipe", argv[0]);
	pid_t pid = -1;
	int rc = spawn_with(to, argv, all, dir, &pid);
	if (rc != 0 && dir && access(dir, X_OK) < 0)
		return err_set(e, E_IO, rc, "start '%s' in '%s'", argv[0], dir);
	if (rc != 0)
		return err_set(e, E_IO, rc, "start '%s'", argv[0]);
	s->v[s->n++] = (struct child){pid, take_fd(&from), false};
	*ret = pid;
	return 0;
}

bool spawn_signal(pid_t pid, int sig)
{
	return pid > 1 && (kill(-pid, sig) == 0 || errno == EPERM);
}

/* Read what is there; true: there may be more. */
static bool drain(struct child *c, const struct spawn_events *ev)
{
	uint8_t b[4096];
	size_t total = 0;
	while (c->fd >= 0 && total < READ_AT_ONCE) {
		ssize_t n = read(c->fd, b, sizeof b);
		if (n > 0) {
			total += (size_t)n;
			ev->output(ev->ctx, c->pid, span_of(b, (size_t)n));
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			close(c->fd);
			c->fd = -1;
		} else if (errno == EAGAIN) {
			return false;
		}
	}
	return c->fd >= 0;
}

/* Forget the ended ones whose pipe is closed, and the oldest of too many others. */
static void sweep(struct spawner *s)
{
	size_t n = 0, left = 0;
	for (size_t i = 0; i < s->n; i++)
		left += s->v[i].ended && s->v[i].fd >= 0;
	for (size_t i = 0; i < s->n; i++) {
		struct child *c = &s->v[i];
		if (c->ended && c->fd >= 0 && left > LEFT_BEHIND_MAX) {
			close(c->fd);
			c->fd = -1;
			left--;
		}
		if (!c->ended || c->fd >= 0)
			s->v[n++] = *c;
	}
	s->n = n;
}

bool spawn_collect(struct spawner *s, const struct spawn_events *ev)
{
	bool more = false;
	int status;
	pid_t pid;
	for (size_t i = 0; i < s->n; i++)
		more |= drain(&s->v[i], ev);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < s->n; i++) {
			if (s->v[i].pid != pid || s->v[i].ended)
				continue;
			drain(&s->v[i], ev); /* what it wrote last */
			s->v[i].ended = true;
			ev->ended(ev->ctx, pid, status);
			break;
		}
	sweep(s);
	return more;
}

size_t spawn_pollfds(const struct spawner *s, struct pollfd *fds, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n && n < max; i++)
		if (s->v[i].fd >= 0)
			fds[n++] = (struct pollfd){.fd = s->v[i].fd, .events = POLLIN};
	return n;
}

size_t spawn_n(const struct spawner *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += !s->v[i].ended;
	return n;
}
