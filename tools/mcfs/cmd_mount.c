/* mcfs mount, mcfs umount: a store as a directory tree. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/config/prune_config.h"
#include "fs/mount.h"
#include "tools/mcfs/cli.h"
#include "tools/mcfs/syslog_out.h"

#define WORLDS_MAX 64

struct wishes {
	struct mount_options opt;
	const char *world[WORLDS_MAX];
	bool foreground;
	const char *log_file;
	const char *rules_file;
	struct rules *rules;
	struct buf kernel; /* options for the kernel, with commas */
};

/* ---- options ---- */

static bool parse_size(const char *s, size_t *ret)
{
	static const char units[] = "KMGT";
	char *end;
	errno = 0;
	unsigned long long v = strtoull(s, &end, 10);
	if (errno || end == s || *s == '-')
		return false;
	const char *u = *end ? strchr(units, *end & ~0x20) : NULL;
	if (*end && !u)
		return false;
	if (u) {
		unsigned shift = 10 * (unsigned)(u - units + 1);
		end++;
		if (strcmp(end, "iB") == 0 || strcmp(end, "B") == 0)
			end += strlen(end);
		if (v > SIZE_MAX >> shift)
			return false;
		v <<= shift;
	}
	*ret = (size_t)v;
	return !*end;
}

static int set_cache(struct cli *cli, struct wishes *w, const char *value)
{
	if (!parse_size(value, &w->opt.cache_bytes) || w->opt.cache_bytes < MOUNT_CACHE_MIN)
		return cli_usage(cli, "--cache-size is a size of at least 16M, such as 512M, not '%s'",
			value);
	return EXIT_DONE;
}

static int set_threads(struct cli *cli, struct wishes *w, const char *value)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);
	if (!*value || *end || n < 1 || n > 256)
		return cli_usage(cli, "threads is a number from 1 to 256, not '%s'", value);
	w->opt.threads = (unsigned)n;
	return EXIT_DONE;
}

static int add_world(struct cli *cli, struct wishes *w, const char *value)
{
	if (w->opt.n_worlds == WORLDS_MAX)
		return cli_usage(cli, "at most %d worlds can be mounted at one place", WORLDS_MAX);
	w->world[w->opt.n_worlds++] = value;
	return EXIT_DONE;
}

static int set_when(struct cli *cli, struct wishes *w, const char *value)
{
	w->opt.refuse_running = strcmp(value, "refuse") == 0;
	if (!w->opt.refuse_running && strcmp(value, "defer") != 0)
		return cli_usage(cli, "--when-running is refuse or defer, not '%s'", value);
	return EXIT_DONE;
}

/* What fstab and mount(8) pass along and what is so anyway. */
static bool is_idle(const char *o)
{
	static const char *const idle[] = {"ro", "rw", "auto", "noauto", "nofail", "user", "users",
		"nouser", "owner", "group", "_netdev", "defaults", "nosuid", "nodev", "suid", "dev",
		"exec", "atime", "noatime", "relatime", "async", "nodiratime", "norelatime"};
	for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
		if (strcmp(o, idle[i]) == 0)
			return true;
	return strncmp(o, "x-", 2) == 0 || strncmp(o, "comment=", 8) == 0;
}

static const char *value_of(const char *o, const char *key)
{
	size_t n = strlen(key);
	return strncmp(o, key, n) == 0 && o[n] == '=' ? o + n + 1 : NULL;
}

static int add_kernel(struct cli *cli, struct wishes *w, const char *o)
{
	struct err e = ERR_INIT;
	int r = w->kernel.len ? buf_add(&w->kernel, ",", 1, &e) : 0;
	if (r == 0)
		r = buf_add(&w->kernel, o, strlen(o), &e);
	return r < 0 ? cli_fail(cli, &e) : EXIT_DONE;
}

static int set_option(struct cli *cli, struct wishes *w, const char *o)
{
	static const struct {
		const char *key, *env;
	} key_options[] = {{"key_file", "MCFS_KEY_FILE"},
		{"passphrase_file", "MCFS_PASSPHRASE_FILE"},
		{"passphrase_command", "MCFS_PASSPHRASE_COMMAND"}};
	const char *v;
	if (!*o || is_idle(o))
		return EXIT_DONE;
	if (strcmp(o, "allow_other") == 0) {
		w->opt.allow_other = true;
		return EXIT_DONE;
	}
	if (strcmp(o, "trash_rm") == 0) {
		w->opt.trash_rm = true;
		return EXIT_DONE;
	}
	if ((v = value_of(o, "world")))
		return add_world(cli, w, v);
	if ((v = value_of(o, "when_running")))
		return set_when(cli, w, v);
	if ((v = value_of(o, "rules"))) {
		w->rules_file = v;
		return EXIT_DONE;
	}
	if (strcmp(o, "noxattr") == 0) {
		w->opt.no_xattrs = true;
		return EXIT_DONE;
	}
	if (strcmp(o, "noexec") == 0 || strcmp(o, "default_permissions") == 0)
		return add_kernel(cli, w, o);
	if ((v = value_of(o, "cache_size")))
		return set_cache(cli, w, v);
	if ((v = value_of(o, "threads")))
		return set_threads(cli, w, v);
	if ((v = value_of(o, "snapshot"))) {
		w->opt.snapshot = v;
		return EXIT_DONE;
	}
	if ((v = value_of(o, "log"))) {
		w->log_file = v;
		return EXIT_DONE;
	}
	if ((v = value_of(o, "cache_dir")) || (v = value_of(o, "state_dir"))) {
		char **dir = *o == 'c' ? &cli->cache_dir : &cli->state_dir;
		free(*dir);
		*dir = strdup(v);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < sizeof key_options / sizeof *key_options; i++)
		if ((v = value_of(o, key_options[i].key))) {
			setenv(key_options[i].env, v, 1);
			return EXIT_DONE;
		}
	return cli_usage(cli, "there is no mount option '%s'", o);
}

/* "a,b=c,.."; split in place. */
static int set_options(struct cli *cli, struct wishes *w, char *list)
{
	int code = EXIT_DONE;
	for (char *save = NULL, *o = strtok_r(list, ",", &save); o && code == EXIT_DONE;
		o = strtok_r(NULL, ",", &save))
		code = set_option(cli, w, o);
	return code;
}

static int parse(struct cli *cli, int argc, char **argv, struct wishes *w)
{
	static const struct option options[] = {{"foreground", no_argument, NULL, 'f'},
		{"snapshot", required_argument, NULL, 's'}, {"allow-other", no_argument, NULL, 'a'},
		{"cache-size", required_argument, NULL, 'c'}, {"log", required_argument, NULL, 'l'},
		{"world", required_argument, NULL, 'w'}, {"rules", required_argument, NULL, 'r'},
		{"when-running", required_argument, NULL, 'W'}, {"trash-rm", no_argument, NULL, 'R'},
		{0}};
	int o, code = EXIT_DONE;
	while (code == EXIT_DONE && (o = cli_getopt(cli, argc, argv, "fo:", options, NULL)) != -1)
		switch (o) {
		case 'f':
			w->foreground = true;
			break;
		case 's':
			w->opt.snapshot = optarg;
			break;
		case 'a':
			w->opt.allow_other = true;
			break;
		case 'c':
			code = set_cache(cli, w, optarg);
			break;
		case 'l':
			w->log_file = optarg;
			break;
		case 'w':
			code = add_world(cli, w, optarg);
			break;
		case 'r':
			w->rules_file = optarg;
			break;
		case 'W':
			code = set_when(cli, w, optarg);
			break;
		case 'R':
			w->opt.trash_rm = true;
			break;
		case 'o':
			code = set_options(cli, w, optarg);
			break;
		default:
			return EXIT_USAGE;
		}
	if (code == EXIT_DONE && argc - optind != 1)
		return cli_usage(cli, "mount takes one directory to mount at");
	w->opt.point = argv[optind];
	w->opt.worlds = w->world;
	if (code == EXIT_DONE && !w->opt.n_worlds &&
		(w->rules_file || w->opt.trash_rm || w->opt.refuse_running))
		return cli_usage(cli, "--rules, --when-running and --trash-rm need a --world");
	if (code == EXIT_DONE && w->opt.n_worlds && w->opt.snapshot)
		return cli_usage(cli, "--snapshot shows nothing else: it does not go with --world");
	return code;
}

/* ---- the daemon ---- */

struct daemon {
	struct cli *cli;
	int tell;	/* pipe to the one who waits; -1: nobody does */
	bool to_syslog; /* from when the terminal is left */
	bool detach;
	const char *log_file;
};

static void on_log(void *ctx, enum log_level level, const char *line)
{
	struct daemon *d = ctx;
	if (level < LOG_WARN && d->cli->verbose == 0)
		return;
	if (d->to_syslog) {
		syslog_out(level == LOG_ERROR ? 3 : level == LOG_WARN ? 4 : 6, line);
		return;
	}
	flockfile(stderr);
	fputs("mcfs: ", stderr);
	cli_print_name(stderr, line, strlen(line));
	fputc('\n', stderr);
	funlockfile(stderr);
}

/* Requests are served: leave the terminal, and let the one who waits go. */
static void on_ready(void *ctx)
{
	struct daemon *d = ctx;
	if (d->detach) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		int log = d->log_file ? open(d->log_file,
						O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)
				      : -1;
		if (!d->log_file || log < 0) {
			syslog_out_open("mcfs");
			d->to_syslog = true;
		}
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(log >= 0 ? log : null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
		if (log > STDERR_FILENO)
			close(log);
		/* A daemon must not keep a disk busy. */
		if (chdir("/") != 0)
			on_log(d, LOG_WARN, "cannot leave the working directory");
	}
	if (d->tell >= 0) {
		char done = EXIT_DONE;
		if (write(d->tell, &done, 1) != 1)
			on_log(d, LOG_WARN, "nobody waits for the mount any more");
		close(d->tell);
		d->tell = -1;
	}
}

static int check_list(struct cli *cli, struct store *s, struct err *e)
{
	struct snapshot_list l;
	int r = snapshot_list_load(&l, s, e);
	if (r == 0)
		r = snapshot_check_rollback(&l, s, cli->state_dir, cli->accept_rollback, e);
	snapshot_list_free(&l);
	return r;
}

static int load_rules(struct wishes *w, struct err *e)
{
	struct prune_config c;
	int r = prune_config_load(&c, w->rules_file, e);
	if (r < 0)
		return r;
	r = rules_compile(&w->rules, &c.rules, e);
	/* There 0 is no limit; "0 days" is as short as can be. */
	w->opt.trash_keep = c.trash_keep == 0 ? 1 : c.trash_keep > 0 ? c.trash_keep : 0;
	w->opt.trash_size = c.trash_size > 0 ? c.trash_size : 0;
	prune_config_free(&c);
	w->opt.rules = w->rules;
	return r;
}

static int serve(struct cli *cli, struct wishes *w, struct daemon *d)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;
	size_t cache = w->opt.cache_bytes ? w->opt.cache_bytes : MOUNT_CACHE_DEFAULT;
	/* A cache full of buffers of all sizes, filled and emptied by several threads, would spread
	 * over many half empty arenas: few arenas, and large buffers straight from the system. */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	w->opt.log = (struct log){on_log, d};
	w->opt.ready = on_ready;
	w->opt.ready_ctx = d;
	cli->log = w->opt.log;
	int r = w->opt.dir ? cli_open(cli, mount_store_cache(cache), &s, &e) : 0;
	if (r == 0 && w->rules_file)
		r = load_rules(w, &e);
	if (r == 0 && s)
		r = check_list(cli, s, &e);
	if (r == 0)
		r = mount_run(s, &w->opt, &e);
	store_close(s);
	rules_free(w->rules);
	if (r == 0)
		return EXIT_DONE;
	if (d->to_syslog)
		on_log(d, LOG_ERROR, e.msg);
	return cli_fail(cli, &e);
}

/* Wait until the daemon serves, or take over its exit code. */
static int await(struct cli *cli, pid_t pid, int fd)
{
	char done;
	int status;
	ssize_t n;
	while ((n = read(fd, &done, 1)) < 0 && errno == EINTR && !cli_interrupted)
		;
	close(fd);
	if (n == 1)
		return EXIT_DONE;
	if (n < 0)
		return EXIT_INTERRUPTED;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	struct err e = {.code = E_IO};
	snprintf(e.msg, sizeof e.msg, "the mount ended by signal %d",
		WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return cli_fail(cli, &e);
}

/* The store is opened by the daemon itself: neither locked memory nor the index cache survive a
 * fork. */
static int run_daemon(struct cli *cli, struct wishes *w)
{
	struct daemon d = {.cli = cli, .tell = -1, .log_file = w->log_file};
	struct err e = ERR_INIT;
	int fd[2];
	if (w->foreground)
		return serve(cli, w, &d);
	if (pipe2(fd, O_CLOEXEC) != 0) {
		err_set(&e, E_IO, errno, "cannot start the mount");
		return cli_fail(cli, &e);
	}
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0) {
		err_set(&e, E_IO, errno, "cannot start the mount");
		return cli_fail(cli, &e);
	}
	if (pid > 0) {
		close(fd[1]);
		return await(cli, pid, fd[0]);
	}
	close(fd[0]);
	setsid();
	d.tell = fd[1];
	d.detach = true;
	return serve(cli, w, &d);
}

/* Of what is not there yet, the folder that it is to be in. */
static char *real_or_folder(const char *path)
{
	char *real = realpath(path, NULL);
	if (real)
		return real;
	CLEANUP_FREE char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	if (slash)
		slash[slash == folder] = 0;
	return realpath(slash ? folder : ".", NULL);
}

/* The daemon would wait for itself when it looks for something of its own below the mount. */
static int hides(struct cli *cli, const char *point, const char *what, const char *path)
{
	struct err e = ERR_INIT;
	CLEANUP_FREE char *real = path ? real_or_folder(path) : NULL;
	const char *p = real ? real : path;
	size_t n = strlen(point);
	if (!p || strncmp(p, point, n) != 0 || (p[n] && p[n] != '/' && n > 1))
		return EXIT_DONE;
	err_set(&e, E_USAGE, 0, "a mount at '%s' would hide %s, '%s'", point, what, p);
	return cli_fail(cli, &e);
}

static int check_hidden(struct cli *cli, const struct wishes *w, const char *store)
{
	const char *point = w->opt.point;
	int code = hides(cli, point, "the store", store);
	for (size_t i = 0; code == EXIT_DONE && i < w->opt.n_worlds; i++)
		code = hides(cli, point, "the world", w->world[i]);
	if (code == EXIT_DONE)
		code = hides(cli, point, "the folder of the index cache (MCFS_CACHE_DIR)", cli->cache_dir);
	if (code == EXIT_DONE)
		code = hides(cli, point, "the folder of what mcfs must remember (MCFS_STATE_DIR)", cli->state_dir);
	return code == EXIT_DONE ? hides(cli, point, "the file of its messages", w->log_file) : code;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct wishes w = {0};
	struct err e = ERR_INIT;
	int code = parse(cli, argc, argv, &w);
	bool has_store = cli->store && *cli->store && strcmp(cli->store, "none") != 0;
	if (code == EXIT_DONE && !has_store && !w.opt.n_worlds)
		code = cli_usage(cli, "nothing to show: use -s STORE or MCFS_STORE, or --world");
	if (code == EXIT_DONE && buf_add(&w.kernel, "", 1, &e) < 0)
		code = cli_fail(cli, &e);
	if (code != EXIT_DONE) {
		buf_free(&w.kernel);
		return code;
	}
	w.opt.kernel_options = (const char *)w.kernel.p;
	/* The daemon leaves the working directory. */
	CLEANUP_FREE char *store = has_store ? realpath(cli->store, NULL) : NULL;
	CLEANUP_FREE char *state = cli->state_dir && *cli->state_dir != '/'
					   ? realpath(cli->state_dir, NULL) : NULL;
	CLEANUP_FREE char *point = realpath(w.opt.point, NULL);
	struct stat st;
	if (!point || stat(point, &st) != 0 || !S_ISDIR(st.st_mode)) {
		err_set(&e, E_IO, point ? ENOTDIR : errno, "cannot mount at '%s'", w.opt.point);
		code = cli_fail(cli, &e);
	} else {
		if (store)
			cli->store = store;
		w.opt.dir = has_store ? cli->store : NULL;
		w.opt.source = has_store ? cli->store : w.opt.worlds[0];
		w.opt.state_dir = state ? state : cli->state_dir;
		w.opt.point = point;
		code = check_hidden(cli, &w, store);
		if (code == EXIT_DONE)
			code = run_daemon(cli, &w);
	}
	buf_free(&w.kernel);
	return code;
}

static int run_umount(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"lazy", no_argument, NULL, 'l'}, {0}};
	struct err e = ERR_INIT;
	bool lazy = false;
	int o;
	while ((o = cli_getopt(cli, argc, argv, "lz", options, NULL)) != -1)
		if (o == 'l' || o == 'z')
			lazy = true;
		else
			return EXIT_USAGE;
	if (argc - optind != 1)
		return cli_usage(cli, "umount takes one directory");
	return mount_end(argv[optind], lazy, &e) < 0 ? cli_fail(cli, &e) : EXIT_DONE;
}

const struct command command_mount = {"mount", run,
	"mount MNT [--world W]... [-f] [--snapshot S] [--allow-other] [-o OPT,..]",
	"show the store and live worlds as a directory tree",
	"  -f, --foreground  stay in the foreground; messages go to standard error\n"
	"  --world W         show this live world too; chunks moved to MNT/trash are pruned\n"
	"  --rules FILE      what MNT/prunable shows: a prune.yaml\n"
	"  --when-running M  a server holds the world: refuse, or defer until it stops (default)\n"
	"  --trash-rm        let rm in MNT/trash remove chunks for good\n"
	"  --snapshot S      show only this snapshot, right at MNT\n"
	"  --allow-other     let other users in, as far as the files' modes allow it\n"
	"  --cache-size SIZE memory for decoded data (the default: 256M)\n"
	"  --log FILE        where the daemon's messages go (the default: syslog)\n"
	"  -o OPT,..         as in fstab: allow_other, snapshot=S, cache_size=SIZE, threads=N,\n"
	"                    key_file=F, passphrase_file=F, passphrase_command=C, cache_dir=D,\n"
	"                    state_dir=D, log=F, noexec, default_permissions, world=W, rules=F,\n"
	"                    when_running=M, trash_rm,\n"
	"                    noxattr (no extended attributes and ACLs; faster 'ls -l')\n"};

const struct command command_umount = {"umount", run_umount, "umount MNT [-l]",
	"end a mount",
	"  -l, --lazy  also when it is in use: it goes when its last user does\n"};
