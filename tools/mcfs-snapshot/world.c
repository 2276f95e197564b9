/* One run at a time on a world, and the world's server. */
#include "tools/mcfs-snapshot/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/anvil/session_lock.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define SECRET_MAX 4096
#define ENV_FILE_MAX ((size_t)64 << 10)

/* ---- locks ---- */

/* STATE/jobs/<last name>-<hash of the whole>.lock: the hash only keeps two of one name apart. */
static char *lock_path(const struct job *j, const char *what)
{
	uint64_t h = 0xcbf29ce484222325u;
	char *path = NULL;
	for (const char *p = what; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	const char *slash = strrchr(what, '/');
	if (asprintf(&path, "%s/jobs/%.80s-%016llx.lock", j->cli.state_dir, slash ? slash + 1 : what,
		    (unsigned long long)h) < 0)
		return NULL;
	return path;
}

static int try_lock(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	return fcntl(fd, F_OFD_SETLK, &l);
}

static int lock_one(struct job *j, const char *what, time_t until, int *ret, struct err *e)
{
	CLEANUP_FREE char *path = lock_path(j, what);
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, E_IO, errno, "open '%s'", path);
	while (try_lock(fd) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return err_set(e, E_IO, errno, "lock '%s'", path);
		if (cli_interrupted)
			return err_set(e, E_CANCELLED, 0, "interrupted");
		if (time(NULL) >= until) {
			char who[200] = "somebody";
			ssize_t n = pread(fd, who, sizeof who - 1, 0);
			if (n > 0)
				who[strcspn(who, "\n")] = 0;
			return err_set(e, E_LOCKED, 0, "'%s' is being backed up by %s; let it end, or set "
				"lock_wait", what, who);
		}
		struct timespec t = {0, 200000000};
		nanosleep(&t, NULL);
	}
	char text[200], when[32];
	cli_time((struct timestamp){time(NULL), 0}, when);
	int n = snprintf(text, sizeof text, "mcfs-snapshot %.100s (pid %ld, since %s)\n", j->cfg->path,
		(long)getpid(), when);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		return err_set(e, E_IO, errno, "write '%s'", path);
	*ret = take_fd(&fd);
	return 0;
}

int world_lock(struct job *j, char *const *sources, size_t n, struct held *ret, struct err *e)
{
	CLEANUP_FREE char *dir = NULL;
	char server[320];
	*ret = (struct held){calloc(n + 1, sizeof(int)), 0};
	if (!ret->fds || asprintf(&dir, "%s/jobs", j->cli.state_dir) < 0) {
		dir = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for locks");
	}
	time_t until = time(NULL) + j->cfg->lock_wait;
	int r = io_mkdirs(dir, 0700, e);
	/* Two runs of one server would turn its saving on under each other. */
	if (r == 0 && j->cfg->rcon.host) {
		snprintf(server, sizeof server, "rcon-%s:%u", j->cfg->rcon.host,
			j->cfg->rcon.port ? j->cfg->rcon.port : RCON_PORT);
		r = lock_one(j, server, until, &ret->fds[ret->n], e);
		ret->n += r == 0;
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		r = lock_one(j, sources[i], until, &ret->fds[ret->n], e);
		ret->n += r == 0;
	}
	return r;
}

void world_unlock(struct held *h)
{
	for (size_t i = 0; i < h->n; i++)
		close(h->fds[i]);
	free(h->fds);
	*h = (struct held){0};
}

/* ---- the password ---- */

static int read_password(const char *path, char **ret, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = io_read_file(AT_FDCWD, path, &b, SECRET_MAX, e);
	if (r < 0)
		return r;
	const char *p = b.p ? (const char *)b.p : "";
	size_t n = 0;
	while (n < b.len && p[n] != '\n' && p[n] != '\r' && p[n])
		n++;
	if (n == 0)
		return err_set(e, E_USAGE, 0, "'%s' holds no password", path);
	*ret = strndup(p, n);
	return *ret ? 0 : err_set(e, E_NOMEM, 0, "no memory for a password");
}

static bool is_key(const char *line, const char *key)
{
	size_t n = strlen(key);
	return strncasecmp(line, key, n) == 0 && line[n] == '=';
}

/* .rcon-cli.env of itzg/minecraft-server: password=.., port=.., host=.. a line. */
static int read_env_file(const char *path, char **password, unsigned *port, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = io_read_file(AT_FDCWD, path, &b, ENV_FILE_MAX, e);
	if (r == 0)
		r = buf_add(&b, "\n", 2, e);
	char *save = NULL;
	for (char *line = r == 0 ? strtok_r((char *)b.p, "\r\n", &save) : NULL; line;
		line = strtok_r(NULL, "\r\n", &save)) {
		char *value = strchr(line, '=');
		if (!value)
			continue;
		value++;
		size_t n = strlen(value);
		if (n >= 2 && (*value == '"' || *value == '\'') && value[n - 1] == *value) {
			value[n - 1] = 0;
			value++;
		}
		if (is_key(line, "password") || is_key(line, "rcon_password")) {
			free(*password);
			*password = strdup(value);
		} else if ((is_key(line, "port") || is_key(line, "rcon_port")) && !*port) {
			*port = (unsigned)strtoul(value, NULL, 10);
		}
	}
	if (r == 0 && !*password)
		return err_set(e, E_USAGE, 0, "'%s' has no line password=..", path);
	return r;
}

/* ---- the server ---- */

static void on_log(void *ctx, enum log_level level, const char *line)
{
	if (level >= LOG_WARN)
		job_warn(ctx, EXIT_PARTLY, "%s", line);
}

/* itzg's container stops an empty server and leaves this mark: its console would never answer, and its files
 * hold still. */
static bool is_paused(char *const *sources, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (int up = 0; up < 2; up++) {
			CLEANUP_FREE char *path = NULL;
			if (asprintf(&path, "%s/%s.paused", sources[i], up ? "../" : "") < 0)
				path = NULL;
			else if (access(path, F_OK) == 0)
				return true;
		}
	return false;
}

void server_prepare(struct job *j, struct server *s, char *const *sources, size_t n)
{
	const struct backup_rcon *k = &j->cfg->rcon;
	struct err e = ERR_INIT;
	unsigned port = k->port;
	int r = 0;
	*s = (struct server){.guard_fd = -1};
	if (!k->host)
		return;
	if (k->env_file)
		r = read_env_file(k->env_file, &s->password, &port, &e);
	if (r == 0 && k->password_file) {
		free(TAKE_PTR(s->password));
		r = read_password(k->password_file, &s->password, &e);
	} else if (r == 0 && k->password) {
		free(s->password);
		s->password = strdup(k->password);
	}
	if (r < 0 || !s->password) {
		job_warn(j, EXIT_PARTLY, "%s:%u: rcon: %s; the server goes on saving during the snapshot",
			k->file, k->line, r < 0 ? e.msg : "no password");
		return;
	}
	s->on = true;
	s->opt = (struct coordinate_options){.target = {.host = k->host, .port = port,
		.password = s->password, .cancel = &cli_interrupted}, .state_dir = j->cli.state_dir,
		.flush_timeout = k->timeout, .flush = k->flush, .log = {on_log, j}};
	if (j->dry_run)
		return;
	if (is_paused(sources, n)) {
		job_say(j, "the server is paused (.paused): its files hold still");
		s->on = false;
		return;
	}
	r = coordinate_recover(&s->opt, &e);
	if (r == 1)
		job_say(j, "an earlier run left the server's saving turned off: it is on again");
	else if (r < 0 && (r != E_NOTFOUND || j->save_on))
		job_warn(j, EXIT_PARTLY, "%s", e.msg);
}

/* A server whose console is closed or elsewhere: RCON off, another port. */
static bool in_use(char *const *sources, size_t n, struct session_user *user, const char **ret)
{
	for (size_t i = 0; i < n; i++) {
		bool used = false;
		CLEANUP_DIR DIR *d = opendir(sources[i]);
		if (session_lock_test(sources[i], &used, user, NULL) == 0 && used) {
			*ret = sources[i];
			return true;
		}
		/* The server's own directory, with the worlds in it. */
		for (struct dirent *de; d && (de = readdir(d));) {
			CLEANUP_FREE char *path = NULL, *level = NULL;
			if (de->d_name[0] == '.' || asprintf(&path, "%s/%s", sources[i], de->d_name) < 0 ||
				asprintf(&level, "%s/level.dat", path) < 0 || access(level, F_OK) != 0)
				continue;
			if (session_lock_test(path, &used, user, NULL) == 0 && used) {
				*ret = sources[i];
				return true;
			}
		}
	}
	return false;
}

static void nobody_listens(struct job *j, char *const *sources, size_t n, const char *why)
{
	struct session_user user = {0};
	const char *where;
	if (in_use(sources, n, &user, &where))
		job_warn(j, EXIT_PARTLY, "%s, but %s (pid %ld) uses the world in '%s': is RCON on (enable-rcon in "
			"server.properties)? No chunk is torn, but they are not all of one moment", why,
			*user.name ? user.name : "a server", (long)user.pid, where);
	else
		job_say(j, "no server runs (%s): its files hold still", why);
}

/* It holds the job's locks while it tries, so that no other run has saving turned on under it; for so long
 * only, or a server that hangs would keep the world from being backed up at all. */
#define GUARD_SECONDS 300

/* When the job is killed, this small process of its own turns saving on at once; only when it is killed as
 * well, or does not get through to the server, that waits for the next run. */
static void guard_start(struct server *s)
{
	int p[2];
	if (pipe2(p, O_CLOEXEC) < 0)
		return; /* the record is there all the same */
	fflush(NULL);
	s->guard = fork();
	if (s->guard == 0) {
		char byte;
		ssize_t n;
		struct sigaction ignore = {.sa_handler = SIG_IGN}, plain = {.sa_handler = SIG_DFL};
		close(p[1]);
		setsid();
		sigaction(SIGTERM, &ignore, NULL);
		sigaction(SIGINT, &ignore, NULL);
		sigaction(SIGHUP, &ignore, NULL);
		int null = open("/dev/null", O_RDWR);
		for (int fd = 0; null >= 0 && fd < 3; fd++)
			dup2(null, fd);
		while ((n = read(p[0], &byte, 1)) < 0 && errno == EINTR)
			;
		if (n == 0) {
			s->opt.log = (struct log){0};
			s->opt.retries = 30;
			sigaction(SIGALRM, &plain, NULL);
			alarm(GUARD_SECONDS);
			(void)!coordinate_recover(&s->opt, NULL);
		}
		_exit(0);
	}
	close(p[0]);
	s->guard_fd = p[1];
	if (s->guard < 0)
		close(take_fd(&s->guard_fd));
}

static void guard_end(struct server *s, bool all_well)
{
	if (s->guard_fd < 0)
		return;
	/* When save-on failed, the guard goes on trying after we have ended. */
	if (all_well)
		(void)!write(s->guard_fd, "x", 1);
	close(take_fd(&s->guard_fd));
	if (all_well)
		while (waitpid(s->guard, NULL, 0) < 0 && errno == EINTR)
			;
}

void server_hold(struct job *j, struct server *s, char *const *sources, size_t n)
{
	struct err e = ERR_INIT;
	if (!s->on)
		return;
	if (j->dry_run) {
		job_say(j, "would let the server at %s save and hold still", s->opt.target.host);
		return;
	}
	guard_start(s);
	int r = coordinate_begin(&s->c, &s->opt, &e);
	if (r == 0) {
		job_say(j, "the server has saved its world and holds still");
		return;
	}
	guard_end(s, !coordinate_pending(&s->opt));
	if (r == E_NOTFOUND) {
		nobody_listens(j, sources, n, e.msg);
		return;
	}
	job_warn(j, EXIT_PARTLY, "%s; the server goes on saving during the snapshot: no chunk is torn, "
		"but they are not all of one moment", e.msg);
}

void server_release(struct job *j, struct server *s)
{
	struct err e = ERR_INIT;
	if (!s->c)
		return;
	int r = coordinate_end(TAKE_PTR(s->c), &e);
	guard_end(s, r == 0);
	if (r < 0)
		job_fail(j, EXIT_FAILED, "%s", e.msg);
}

void server_free(struct server *s)
{
	free(s->password);
}
