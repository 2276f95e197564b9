/* A session with the kernel: set up, serve, take down. */
#include "fs/mount.h"

#include <errno.h>
#include <linux/capability.h>
#include <mntent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "fs/blobs.h"
#include "fs/file.h"
#include "fs/inuse.h"
#include "fs/keeper.h"
#include "fs/landed.h"
#include "fs/liveregion.h"
#include "fs/ops.h"
#include "fs/pruneview.h"
#include "fs/putback.h"
#include "fs/topview.h"
#include "fs/worldview.h"
#include "fs/writing.h"

#define FSTYPE "fuse.mcfs"

/* libfuse's messages have no context to go with. */
static struct log fuse_log_to;
static char fuse_said[200];

static void on_fuse_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[400];
	vsnprintf(line, sizeof line, fmt, ap);
	line[strcspn(line, "\n")] = 0;
	if (level <= FUSE_LOG_ERR)
		snprintf(fuse_said, sizeof fuse_said, "%.*s", (int)sizeof fuse_said - 1, line);
	log_say(&fuse_log_to, level <= FUSE_LOG_ERR ? LOG_WARN : LOG_DEBUG, "%s", line);
}

/* Half for blobs as they are kept (directories, inflated groups), half for what is read. */
size_t mount_store_cache(size_t cache_bytes)
{
	return cache_bytes / 2;
}

/* ---- the shared part ---- */

static void free_coders(struct fs *fs)
{
	/* coder_take() hands out what is free first, and nobody else is left. */
	while (fs->coders) {
		struct coder *c = coder_take(fs);
		coder_free(c);
		free(c);
	}
}

static void fs_close(struct fs *fs)
{
	ahead_free(fs->ahead);
	world_cache_free(fs->worlds);
	files_free(fs->files);
	fscache_free(fs->cache);
	judges_free(fs->judges);
	writings_free(fs->writings);
	landed_free(fs->landed);
	putback_free(fs->putback);
	keeper_free(fs->keeper);
	sizes_free(fs->sizes);
	live_free(fs->live);
	nodes_free(fs->nodes);
	keys_free(fs->own_keys);
	top_free(fs->top);
	free_coders(fs);
	pthread_rwlock_destroy(&fs->index_lock);
	pthread_mutex_destroy(&fs->coder_lock);
	pthread_mutex_destroy(&fs->said_lock);
}

static int find_only(struct fs *fs, const char *spec, struct err *e)
{
	CLEANUP_TOP_LIST struct top_list *l = top_get(fs->top);
	struct snapshot *sn;
	int r = snapshot_find(&l->list, spec, &sn, e);
	if (r < 0)
		return r;
	fs->only = top_shelf(fs, l->snap[sn - l->list.v]);
	return fs->only ? 0 : err_set(e, E_NOMEM, 0, "no memory for inode numbers");
}

/* Inode numbers and the cache's keys are made with the store's keys. Without a store any will do,
 * but they have to be the same at every mount. */
static int fs_keys(struct fs *fs, struct err *e)
{
	static const uint8_t zero[KEY_BYTES];
	static const struct id none;
	int r = fs->store ? 0 : keys_new(&fs->own_keys, zero, &none, e);
	fs->keys = fs->store ? store_keys(fs->store) : fs->own_keys;
	return r;
}

static int fs_open(struct fs *fs, struct store *s, const struct mount_options *opt, struct err *e)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	fs->store = s;
	fs->begun = time(NULL);
	fs->log = opt->log;
	fs->uid = geteuid();
	fs->gid = getegid();
	fs->cache_bytes = opt->cache_bytes ? opt->cache_bytes : MOUNT_CACHE_DEFAULT;
	pthread_rwlock_init(&fs->index_lock, NULL);
	pthread_mutex_init(&fs->coder_lock, NULL);
	pthread_mutex_init(&fs->said_lock, NULL);
	int r = fs_keys(fs, e);
	if (r == 0)
		r = fscache_new(&fs->cache, fs->cache_bytes - mount_store_cache(fs->cache_bytes), e);
	if (r == 0)
		r = nodes_new(&fs->nodes, e);
	if (r == 0)
		r = files_new(&fs->files, e);
	if (r == 0)
		r = world_cache_new(&fs->worlds, e);
	if (r == 0)
		r = top_new(&fs->top, s, opt->dir, e);
	if (r == 0 && opt->n_worlds)
		r = live_new(&fs->live, fs, opt, e);
	if (r == 0 && opt->n_worlds)
		r = sizes_new(&fs->sizes, e);
	if (r == 0 && opt->n_worlds)
		r = keeper_new(&fs->keeper, fs, opt, e);
	if (r == 0 && opt->n_worlds)
		r = putback_new(&fs->putback, e);
	if (r == 0 && opt->n_worlds)
		r = writings_new(&fs->writings, e);
	if (r == 0 && opt->n_worlds)
		r = landed_new(&fs->landed, fs->nodes, e);
	if (r == 0 && opt->rules)
		r = judges_new(&fs->judges, (unsigned)opt->n_worlds, e);
	fs->trash_rm = opt->trash_rm;
	fs->rules = opt->rules;
	if (r == 0 && opt->snapshot)
		r = find_only(fs, opt->snapshot, e);
	if (r == 0)
		r = ahead_new(&fs->ahead, cpus < 1 ? 1 : cpus > 16 ? 16 : (unsigned)cpus,
			blob_ahead_run, fs, e);
	return r;
}

/* ---- counters ---- */

struct tender {
	struct fs *fs;
	pthread_t tid;
	_Atomic bool stop;
	bool running;
};

static void say_counters(struct fs *fs)
{
	struct fscache_stats cs;
	struct rusage ru;
	fscache_stats(fs->cache, &cs);
	getrusage(RUSAGE_SELF, &ru);
#define N(x) ((unsigned long long)atomic_load(&fs->n.x))
	log_say(&fs->log, LOG_WARN,
		"counters: lookup %llu getattr %llu list %llu read %llu bytes %llu xattr %llu "
		"forget %llu error %llu ahead %llu reload %llu; cache: hit %llu miss %llu bytes "
		"%llu; shelves %llu; max rss %ld KiB",
		N(lookups), N(getattrs), N(listings), N(reads), N(bytes), N(xattrs), N(forgets),
		N(errors), N(ahead), N(reloads), (unsigned long long)cs.hits,
		(unsigned long long)cs.misses, (unsigned long long)cs.bytes,
		(unsigned long long)nodes_count(fs->nodes), ru.ru_maxrss);
#undef N
}

static void *tender_main(void *arg)
{
	struct tender *t = arg;
	sigset_t set;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	while (sigwait(&set, &sig) == 0 && !atomic_load(&t->stop))
		say_counters(t->fs);
	return NULL;
}

static void tender_start(struct tender *t, struct fs *fs)
{
	sigset_t set, old;
	t->fs = fs;
	/* Blocked in every thread that comes after: only the tender hears it. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigfillset(&set);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	t->running = pthread_create(&t->tid, NULL, tender_main, t) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void tender_stop(struct tender *t)
{
	if (!t->running)
		return;
	atomic_store(&t->stop, true);
	pthread_kill(t->tid, SIGUSR1);
	pthread_join(t->tid, NULL);
}

/* ---- protection ---- */

/* After the mount is made: keep what reading the store and unmounting take, nothing else. */
static void harden(bool writes)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	if (geteuid() != 0)
		return; /* unmounting goes through fusermount3, which is set-uid */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	const uint64_t keep = 1u << CAP_SYS_ADMIN | 1u << CAP_DAC_READ_SEARCH |
			      1u << CAP_DAC_OVERRIDE |
			      /* Files that come back get their owner and mode back; who else has
			       * a world open is told by /proc. */
			      (writes ? 1u << CAP_CHOWN | 1u << CAP_FOWNER | 1u << CAP_SYS_PTRACE
				      : 0);
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	if (syscall(SYS_capget, &h, d) != 0)
		return;
	for (int i = 0; i < 2; i++) {
		uint32_t mask = (uint32_t)(keep >> 32 * i);
		d[i].effective &= mask;
		d[i].permitted &= mask;
		d[i].inheritable = 0;
	}
	(void)syscall(SYS_capset, &h, d);
}

/* ---- the session ---- */

static int add_option(char **opts, const char *text, struct err *e)
{
	return fuse_opt_add_opt(opts, text) == 0
		       ? 0
		       : err_set(e, E_NOMEM, 0, "no memory for mount options");
}

/* Does the kernel look at modes and owners? */
static bool kernel_decides(const struct mount_options *opt)
{
	return opt->allow_other || geteuid() == 0;
}

static int make_args(struct fuse_args *args, const struct mount_options *opt, struct err *e)
{
	CLEANUP_FREE char *opts = NULL;
	CLEANUP_FREE char *name = NULL;
	/* A store alone is read-only for the kernel, which is faster. With live worlds we refuse by
	 * ourselves what may not be changed. */
	int r = add_option(&opts, "nosuid,nodev,noatime,subtype=mcfs", e);
	if (r == 0 && !opt->n_worlds)
		r = add_option(&opts, "ro", e);
	if (r == 0 && opt->allow_other)
		r = add_option(&opts, "allow_other", e);
	if (r == 0 && kernel_decides(opt))
		r = add_option(&opts, "default_permissions", e);
	if (r == 0 && opt->kernel_options && *opt->kernel_options)
		r = add_option(&opts, opt->kernel_options, e);
	if (r < 0)
		return r;
	if (asprintf(&name, "fsname=%s", opt->source ? opt->source : "mcfs") < 0) {
		name = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for mount options");
	}
	if (fuse_opt_add_opt_escaped(&opts, name) != 0 || fuse_opt_add_arg(args, "mcfs") != 0 ||
		fuse_opt_add_arg(args, "-o") != 0 || fuse_opt_add_arg(args, opts) != 0)
		return err_set(e, E_NOMEM, 0, "no memory for mount options");
	return 0;
}

static void default_signals(void)
{
	/* libfuse takes over only what nobody else handles. */
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = SIG_DFL};
	for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++)
		sigaction(sigs[i], &sa, NULL);
}

static int loop(struct fuse_session *se, const struct mount_options *opt, struct err *e)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	if (!cfg)
		return err_set(e, E_NOMEM, 0, "no memory to serve");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	fuse_loop_cfg_set_max_threads(cfg,
		opt->threads ? opt->threads : cpus < 1 ? 3 : (unsigned)cpus + 2);
	fuse_loop_cfg_set_clone_fd(cfg, 0);
	int r = fuse_session_loop_mt(se, cfg);
	fuse_loop_cfg_destroy(cfg);
	/* A positive number is the signal that ended it. */
	return r < 0 ? err_set(e, E_IO, -r, "serving '%s' ended", opt->point) : 0;
}

static int serve(struct serving *sv, const struct mount_options *opt, struct err *e)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;
	struct tender tender = {0};
	int r = make_args(&args, opt, e);
	fuse_said[0] = 0;
	if (r == 0 && !(se = fuse_session_new(&args, &fs_ops, sizeof fs_ops, sv)))
		r = err_set(e, E_USAGE, 0, "these mount options do not work%s%s",
			fuse_said[0] ? ": " : "", fuse_said);
	default_signals();
	if (r == 0 && fuse_set_signal_handlers(se) != 0)
		r = err_set(e, E_IO, errno, "signals");
	if (r == 0) {
		errno = 0;
		if (fuse_session_mount(se, opt->point) != 0)
			r = err_set(e, E_IO, 0, "cannot mount at '%s'%s%s", opt->point,
				fuse_said[0] ? ": " : "", fuse_said);
		if (r == 0) {
			harden(opt->n_worlds > 0);
			tender_start(&tender, &sv->fs);
			if (sv->fs.keeper)
				r = keeper_start(sv->fs.keeper, e);
			if (r == 0)
				r = loop(se, opt, e);
			fuse_session_unmount(se);
			tender_stop(&tender);
		}
		fuse_remove_signal_handlers(se);
	}
	if (se)
		fuse_session_destroy(se);
	fuse_opt_free_args(&args);
	return r;
}

static bool is_our_mount(const char *point)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool ours = false;
	/* The last one on a point is the one that is seen. */
	while (f && (m = getmntent(f)))
		if (strcmp(m->mnt_dir, point) == 0)
			ours = strcmp(m->mnt_type, FSTYPE) == 0;
	if (f)
		endmntent(f);
	return ours;
}

int mount_run(struct store *s, const struct mount_options *opt, struct err *e)
{
	/* A second one on top would hide the first, and umount would bring that back to light. */
	CLEANUP_FREE char *real = realpath(opt->point, NULL);
	if (is_our_mount(real ? real : opt->point))
		return err_set(e, E_EXISTS, 0, "mcfs is mounted at '%s' already ('mcfs umount' ends that)",
			opt->point);
	struct serving *sv = calloc(1, sizeof *sv);
	if (!sv)
		return err_set(e, E_NOMEM, 0, "no memory to mount");
	sv->opt = opt;
	fuse_log_to = opt->log;
	fuse_set_log_func(on_fuse_log);
	if (fuse_version() < FUSE_VERSION)
		log_say(&opt->log, LOG_WARN,
			"libfuse %s is older than what mcfs was built with", fuse_pkgversion());
	int r = fs_open(&sv->fs, s, opt, e);
	/* Others are let in by what ACLs say, also those of snapshots yet to come. Where nobody else can be, the
	 * kernel need not know of them: then ls asks once, and hears that there are none here. */
	sv->acls = !opt->no_xattrs && kernel_decides(opt) && (opt->allow_other || fs_has_acls(&sv->fs));
	if (r == 0)
		r = serve(sv, opt, e);
	fs_close(&sv->fs);
	free(sv);
	return r;
}

/* ---- unmounting ---- */

static int in_use(const char *point, const char *who, struct err *e)
{
	return err_set(e, E_LOCKED, 0, "'%s' is in use%s%s (see 'mcfs umount --lazy')", point, *who ? " by " : "",
		who);
}

static int run_fusermount(const char *point, bool lazy, struct err *e)
{
	pid_t pid = fork();
	int status;
	if (pid < 0)
		return err_set(e, E_IO, errno, "cannot start fusermount3");
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", lazy ? "-qz" : "-q", "--", point,
			(char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	char who[80];
	inuse_who(point, who, sizeof who);
	if (*who)
		return in_use(point, who, e);
	return err_set(e, E_LOCKED, 0,
		"fusermount3 could not unmount '%s': in use, or not mounted by you", point);
}

int mount_end(const char *point, bool lazy, struct err *e)
{
	/* A mount whose server has died cannot be resolved, but still be unmounted. */
	CLEANUP_FREE char *real = realpath(point, NULL);
	const char *p = real ? real : point;
	if (!is_our_mount(p))
		return err_set(e, E_USAGE, 0, "nothing of mcfs is mounted at '%s'", point);
	if (geteuid() != 0)
		return run_fusermount(p, lazy, e);
	if (umount2(p, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno != EBUSY)
		return err_set(e, E_IO, errno, "unmount '%s'", p);
	char who[80];
	inuse_who(p, who, sizeof who);
	return in_use(p, who, e);
}
