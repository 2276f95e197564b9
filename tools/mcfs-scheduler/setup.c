/* What the commands begin with: the configuration, the history, where log lines go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "tools/mcfs-scheduler/scheduler.h"

static int op_start(void *ctx, char *const *argv, char *const *env, const char *dir, pid_t *ret,
	struct err *e)
{
	struct setup *s = ctx;
	return spawn_start(s->spawner, argv, env, dir, ret, e);
}

static bool op_signal(void *ctx, pid_t pid, int sig)
{
	(void)ctx;
	return spawn_signal(pid, sig);
}

static int op_lock(void *ctx, const char *name, int *ret, struct err *e)
{
	struct setup *s = ctx;
	return locks_take(s->state_dir, name, ret, e);
}

static void op_unlock(void *ctx, int handle)
{
	(void)ctx;
	locks_release(handle);
}

/* A line of the log: with the time, or with a level for the journal, which knows the time. */
static void on_log(void *ctx, enum log_level level, const char *line)
{
	static const char *const words[] = {"", "", "WARN ", "ERROR "};
	static const int priority[] = {7, 6, 4, 3};
	struct setup *s = ctx;
	char when[ZONE_TIME_CHARS];
	s->dirty = true;
	if (s->quiet && level < LOG_WARN)
		return;
	if (s->journal)
		printf("<%d>", priority[level]);
	else
		printf("%s %s", zone_format(s->zone, clock_now(&s->clock).wall / 1000, when),
			words[level]);
	out_text(stdout, line);
	putchar('\n');
	fflush(stdout);
}

void setup_notes(const struct setup *s, const struct schedule_config *cfg)
{
	(void)s;
	for (size_t i = 0; i < cfg->notes.n; i++) {
		fprintf(stderr, "mcfs-scheduler: %s: ", cfg->path);
		out_text(stderr, cfg->notes.v[i]);
		fputc('\n', stderr);
	}
}

/* mcfs-notify from the directory of this program, else from PATH. */
static char *find_notify(void)
{
	char self[4096], *out = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	if (n > 0) {
		self[n] = 0;
		char *slash = strrchr(self, '/');
		if (slash && asprintf(&out, "%.*s/mcfs-notify", (int)(slash - self), self) > 0) {
			if (access(out, X_OK) == 0)
				return out;
			free(out);
		}
	}
	return strdup("mcfs-notify");
}

/* Different between machines, the same on one. */
static uint64_t machine_seed(void)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char host[256] = "";
	uint64_t h = 0xcbf29ce484222325u;
	if (io_read_file(-1, "/etc/machine-id", &b, 256, NULL) < 0 || b.len == 0) {
		if (gethostname(host, sizeof host - 1) < 0)
			host[0] = 0;
		for (size_t i = 0; host[i]; i++)
			h = (h ^ (uint8_t)host[i]) * 0x100000001b3u;
	}
	for (size_t i = 0; i < b.len; i++)
		h = (h ^ b.p[i]) * 0x100000001b3u;
	return h;
}

/* A history that is damaged must not keep jobs from running: it is put aside, and a new one begun. One
 * process does that; who comes second finds the new one. `e` says what is wrong with it. */
static int replace_history(struct setup *s, const char *path, struct err *e)
{
	CLEANUP_FREE char *aside = NULL, *journal = NULL;
	struct err why = *e;
	int lock;
	if (asprintf(&aside, "%s.damaged", path) < 0)
		aside = NULL;
	if (asprintf(&journal, "%s-journal", path) < 0)
		journal = NULL;
	if (!aside || !journal)
		return err_set(e, E_NOMEM, 0, "no memory");
	int rc = locks_take(s->state_dir, "history", &lock, e);
	if (rc < 0)
		return rc;
	rc = history_open(path, false, &s->history, e);
	if (rc == E_CORRUPT) {
		if (rename(path, aside) < 0 || (unlink(journal) < 0 && errno != ENOENT))
			rc = err_set(e, E_IO, errno, "put '%s' aside", path);
		else
			rc = history_open(path, false, &s->history, e);
		if (rc == 0)
			fprintf(stderr, "mcfs-scheduler: %s; it is '%s' now, and a new one is begun: what "
				"was missed is not caught up\n", why.msg, aside);
	}
	locks_release(lock);
	return rc;
}

static int open_history(struct setup *s, bool must_exist, struct err *e)
{
	CLEANUP_FREE char *path = NULL, *locks = NULL;
	if (asprintf(&path, "%s/scheduler.db", s->state_dir) < 0)
		path = NULL;
	if (asprintf(&locks, "%s/locks", s->state_dir) < 0)
		locks = NULL;
	if (!path || !locks)
		return err_set(e, E_NOMEM, 0, "no memory");
	int rc = must_exist ? 0 : io_mkdirs(locks, 0700, e);
	if (rc < 0)
		return rc;
	rc = history_open(path, must_exist, &s->history, e);
	return rc == E_CORRUPT && !must_exist ? replace_history(s, path, e) : rc;
}

int setup_open(struct setup *s, const struct options *o, enum setup_kind kind, struct err *e)
{
	const char *tz = getenv("TZ");
	*s = (struct setup){.state_dir = o->state_dir, .quiet = o->quiet,
		.journal = getenv("JOURNAL_STREAM") && o->now_ms < 0};
	clock_init(&s->clock, o);
	int rc = schedule_config_load(o->config, &s->cfg, e);
	if (rc == E_NOTFOUND)
		rc = err_wrap(e, "the schedule (--config, MCFS_SCHEDULE)");
	if (rc == 0)
		rc = zone_load(s->cfg->timezone ? s->cfg->timezone : tz ? tz : "", &s->zone, e);
	if (rc == 0)
		rc = spawner_new(&s->spawner, e);
	if (rc == 0) {
		struct err he = ERR_INIT;
		int hrc = open_history(s, kind == SETUP_LOOK, &he);
		/* No history is no reason not to look. On a full disk jobs run without one, as they do
		 * when it fills up later; where nothing can be written it is said once and for all. */
		if (hrc < 0 && !(kind == SETUP_LOOK && hrc == E_NOTFOUND)) {
			s->no_history = true;
			if (kind == SETUP_WORK && hrc != E_NOSPACE)
				rc = err_set(e, hrc, 0, "%s (MCFS_STATE_DIR says where)", he.msg);
			else
				fprintf(stderr, "mcfs-scheduler: %s%s\n", he.msg,
					kind == SETUP_WORK ? ": jobs run all the same" : "");
		}
	}
	if (rc < 0) {
		setup_close(s);
		return rc;
	}
	s->notify = find_notify();
	s->log = (struct log){on_log, s};
	s->env = (struct runner_env){
		.ops = {op_start, op_signal, op_lock, op_unlock, s},
		.log = &s->log,
		.history = s->history,
		.notify_program = s->notify,
		.timezone = tz,
		.only_look = kind == SETUP_LOOK,
		.seed = machine_seed(),
	};
	return 0;
}

void setup_close(struct setup *s)
{
	history_close(s->history);
	spawner_free(s->spawner);
	zone_free(s->zone);
	schedule_config_unref(s->cfg);
	free(s->notify);
	*s = (struct setup){0};
}
