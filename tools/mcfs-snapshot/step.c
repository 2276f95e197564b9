/* Children: a mcfs for each step, sh for hooks. */
#include "tools/mcfs-snapshot/job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

#define LINE_MAX_BYTES ((size_t)8 << 20) /* a list of forgotten snapshots is one line */
#define OUTPUT_KEEP ((size_t)64 << 10)

/* ---- arguments ---- */

void args_add(struct args *a, ...)
{
	va_list ap;
	va_start(ap, a);
	for (const char *s; (s = va_arg(ap, const char *));) {
		char **v = realloc(a->v, (a->n + 2) * sizeof *v);
		if (v)
			a->v = v;
		char *copy = v ? strdup(s) : NULL;
		if (!copy) {
			args_free(a);
			a->n = SIZE_MAX; /* step_run() says it */
			break;
		}
		v[a->n++] = copy;
		v[a->n] = NULL;
	}
	va_end(ap);
}

void args_free(struct args *a)
{
	for (size_t i = 0; a->v && i < a->n; i++)
		free(a->v[i]);
	free(a->v);
	*a = (struct args){0};
}

/* ---- running ---- */

struct child {
	pid_t pid;
	int out, err;
};

/* Its end of life is tied to ours: when the job is killed, a snapshot ends in good order, and does not go on
 * without the lock. */
static void become(char *const *argv, int out, int err, pid_t parent)
{
	struct sigaction normal = {.sa_handler = SIG_DFL};
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_INTERRUPTED); /* it died before that */
	setpgid(0, 0); /* a terminal's interrupt is for the job, which passes it on once */
	sigaction(SIGPIPE, &normal, NULL);
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
		_exit(126);
	int null = open("/dev/null", O_RDONLY);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "mcfs: run '%s': %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int start(struct child *c, char *const *argv)
{
	int out[2], err[2];
	if (pipe2(out, O_CLOEXEC) < 0)
		return -1;
	if (pipe2(err, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		return -1;
	}
	pid_t parent = getpid();
	fflush(NULL);
	c->pid = fork();
	if (c->pid == 0)
		become(argv, out[1], err[1], parent);
	close(out[1]);
	close(err[1]);
	c->out = out[0];
	c->err = err[0];
	if (c->pid > 0)
		return 0;
	close(out[0]);
	close(err[0]);
	return -1;
}

static void keep_output(struct buf *b, const char *p, size_t n)
{
	struct err ignored = ERR_INIT;
	if (b->len + n > 2 * OUTPUT_KEEP && b->len > OUTPUT_KEEP) {
		memmove(b->p, b->p + b->len - OUTPUT_KEEP, OUTPUT_KEEP);
		b->len = OUTPUT_KEEP;
	}
	if (n <= OUTPUT_KEEP)
		(void)!buf_add(b, p, n, &ignored);
}

/* What a step says on standard error goes on to ours as it comes; what a hook says only when we are
 * not asked to be quiet. */
static bool pass_on(struct job *j, int *fd, bool loud, struct buf *output)
{
	char b[4096];
	ssize_t n = read(*fd, b, sizeof b);
	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0) {
		close(take_fd(fd));
		return false;
	}
	if (loud)
		(void)!write(STDERR_FILENO, b, (size_t)n);
	job_keep_log(j, b, (size_t)n);
	keep_output(output, b, (size_t)n);
	return true;
}

/* The last line that is an object is the summary; others go on when JSON is asked for. */
static void take_line(struct job *j, const char *p, size_t n, json_t **summary)
{
	char size[16];
	json_t *o = json_loadb(p, n, 0, NULL);
	const char *type = o ? json_string_value(json_object_get(o, "type")) : NULL;
	if (type && strcmp(type, "staged") == 0 && j->held) {
		server_release(j, TAKE_PTR(j->held));
		job_say(j, "%s copied: the server goes on",
			cli_bytes((uint64_t)json_integer_value(json_object_get(o, "bytes")), size));
	} else if (type && strcmp(type, "not_staged") == 0 && j->cli.verbose) {
		job_say(j, "no copy is made (%s): the server holds still until the snapshot is there",
			json_string_value(json_object_get(o, "message")));
	}
	if (type && strcmp(type, "summary") == 0) {
		json_decref(*summary);
		*summary = json_incref(o);
	} else if (type && j->cli.json) {
		cli_json(json_incref(o));
		fflush(stdout);
	}
	json_decref(o);
}

static bool take_json(struct job *j, int *fd, struct buf *in, json_t **summary)
{
	struct err ignored = ERR_INIT;
	if (in->len > LINE_MAX_BYTES)
		in->len = 0;
	if (buf_reserve(in, 65536, &ignored) < 0) {
		close(take_fd(fd));
		return false;
	}
	ssize_t n = read(*fd, in->p + in->len, in->cap - in->len);
	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0) {
		close(take_fd(fd));
		return false;
	}
	in->len += (size_t)n;
	for (uint8_t *nl; (nl = memchr(in->p, '\n', in->len));) {
		size_t used = (size_t)(nl - in->p) + 1;
		take_line(j, (const char *)in->p, used, summary);
		memmove(in->p, in->p + used, in->len - used);
		in->len -= used;
	}
	return true;
}

/* Read both pipes until they end. Without `summary` what is on standard output is for people too. */
static void follow(struct job *j, struct child *c, json_t **summary, struct buf *output)
{
	bool quiet = j->cron || j->cli.quiet || j->cli.json;
	CLEANUP_BUF struct buf in = BUF_INIT;
	bool told = false;
	while (c->out >= 0 || c->err >= 0) {
		struct pollfd p[2] = {{.fd = c->out, .events = POLLIN}, {.fd = c->err, .events = POLLIN}};
		int n = poll(p, 2, 500);
		if (cli_interrupted && !told) {
			kill(c->pid, SIGTERM);
			told = true;
		}
		if (n <= 0)
			continue;
		if (p[0].revents && summary)
			(void)take_json(j, &c->out, &in, summary);
		else if (p[0].revents)
			(void)pass_on(j, &c->out, !quiet, output);
		if (p[1].revents)
			(void)pass_on(j, &c->err, summary || !quiet, output);
	}
}

static int finish(struct child *c)
{
	int status;
	while (waitpid(c->pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(struct job *j, char *const *argv, json_t **summary, struct buf *output)
{
	struct child c;
	if (start(&c, argv) < 0) {
		job_warn(j, EXIT_FAILED, "run '%s': %s", argv[0], strerror(errno));
		return EXIT_FAILED;
	}
	follow(j, &c, summary, output);
	return finish(&c);
}

int step_run(struct job *j, struct args *a, json_t **ret)
{
	*ret = NULL;
	if (a->n == SIZE_MAX || !a->v) {
		job_warn(j, EXIT_FAILED, "no memory for a command line");
		return EXIT_FAILED;
	}
	j->output.len = 0;
	return run(j, a->v, ret, &j->output);
}

bool step_exists(struct job *j, const char *command, const char *option)
{
	struct args a = {0};
	struct child c;
	char text[16384];
	size_t n = 0;
	args_add(&a, j->mcfs, command, "--help", NULL);
	if (!a.v || start(&c, a.v) < 0) {
		args_free(&a);
		return false;
	}
	for (ssize_t k; n < sizeof text - 1 && (k = read(c.out, text + n, sizeof text - 1 - n)) > 0;)
		n += (size_t)k;
	text[n] = 0;
	close(c.out);
	close(c.err);
	args_free(&a);
	return finish(&c) == 0 && (!option || strstr(text, option));
}

int shell_run(struct job *j, const char *line, struct buf *output)
{
	char *argv[] = {(char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c", (char *)(uintptr_t)line, NULL};
	return run(j, argv, NULL, output);
}
