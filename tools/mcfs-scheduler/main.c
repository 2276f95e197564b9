/* mcfs-scheduler - runs jobs when they are due: Ofelia's configuration, without Docker. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tools/mcfs-scheduler/scheduler.h"

static const struct scheduler_command commands[] = {
	{"serve", cmd_serve, "serve", "run jobs when they are due, in the foreground"},
	{"validate", cmd_validate, "validate [FILE]", "read the configuration and tell what is wrong"},
	{"list", cmd_list, "list [-n N]", "show the jobs and when they are due next"},
	{"run", cmd_run, "run JOB", "run one job now"},
	{"history", cmd_history, "history [JOB] [-n N]", "show past runs"},
	{"status", cmd_status, "status [--metrics] [PORT]", "ask the scheduler that serves"},
};

#define N_COMMANDS (sizeof commands / sizeof *commands)

static void print_help(FILE *f)
{
	fprintf(f, "mcfs-scheduler: runs jobs when they are due\n\n"
		   "usage: mcfs-scheduler [--config F] COMMAND [ARG..]\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-26s %s\n", commands[i].usage, commands[i].summary);
	fprintf(f, "\n  -c, --config F     the schedule (or MCFS_SCHEDULE; /etc/mcfs/schedule.ini)\n"
		   "  -n, --count N      how many times or runs to show\n"
		   "      --json         results as JSON on standard output\n"
		   "  -q, --quiet        only problems\n"
		   "      --now TIME     as if it were TIME (2026-03-01T00:00:00Z); what only time\n"
		   "                     brings is not waited for\n"
		   "      --until TIME   end then\n"
		   "      --scale N      while jobs run, N seconds pass in one\n"
		   "  -h, --help         this\n"
		   "      --version      the version\n\n"
		   "See mcfs-scheduler(1).\n");
}

/* "2026-03-01T02:00:00Z" or with "+01:00"; a blank for the T. */
static bool parse_time(const char *s, int64_t *ret_ms)
{
	int y, mo, d, h, mi, sec, n = 0, oh, om;
	char sign;
	if (sscanf(s, "%4d-%2d-%2d%*1[T ]%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &sec, &n) != 6 || !n)
		return false;
	if (mo < 1 || mo > 12 || d < 1 || d > civil_month_days(y, mo) || h > 23 || mi > 59 ||
		sec > 59 || y < 1970)
		return false;
	int64_t t = civil_days(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec;
	s += n;
	if (sscanf(s, "%c%2d:%2d%n", &sign, &oh, &om, &n) == 3 && strchr("+-", sign) && !s[n])
		t -= (sign == '-' ? -1 : 1) * (oh * 3600 + om * 60);
	else if (strcmp(s, "Z") != 0)
		return false;
	*ret_ms = t * 1000;
	return true;
}

static char *state_directory(void)
{
	const char *v = getenv("MCFS_STATE_DIR"), *x = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *out = NULL;
	if (v && *v)
		return strdup(v);
	if (x && *x)
		return asprintf(&out, "%s/mcfs", x) < 0 ? NULL : out;
	return asprintf(&out, "%s/.local/state/mcfs", home && *home ? home : "/root") < 0 ? NULL : out;
}

static int dispatch(const struct options *o, int argc, char **argv)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, argv[0]) == 0)
			return commands[i].run(o, argc, argv);
	return out_usage("there is no command '%s'", argv[0]);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"count", required_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'},
		{"quiet", no_argument, NULL, 'q'}, {"now", required_argument, NULL, 'N'},
		{"until", required_argument, NULL, 'U'}, {"scale", required_argument, NULL, 'S'},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'},
		{"metrics", no_argument, NULL, 'M'}, {0}};
	const char *env = getenv("MCFS_SCHEDULE");
	struct options o = {.config = env && *env ? env : "/etc/mcfs/schedule.ini", .now_ms = -1,
		.until_ms = -1, .scale = 1};
	struct rlimit none = {0, 0};
	int c;
	static char name[] = "mcfs-scheduler"; /* getopt begins its messages with it */
	if (argc > 0)
		argv[0] = name;
	while ((c = getopt_long(argc, argv, "c:n:qh", options, NULL)) != -1)
		switch (c) {
		case 'c':
			o.config = optarg;
			break;
		case 'n':
			o.count = atoi(optarg);
			if (o.count < 1 || o.count > 100000)
				return out_usage("--count wants a number from 1 to 100000");
			break;
		case 'j':
			o.json = true;
			break;
		case 'q':
			o.quiet = true;
			break;
		case 'N':
		case 'U':
			if (!parse_time(optarg, c == 'N' ? &o.now_ms : &o.until_ms))
				return out_usage("'%s' is not a time like 2026-03-01T00:00:00Z", optarg);
			break;
		case 'S':
			o.scale = atof(optarg);
			if (!(o.scale >= 1 && o.scale <= 1e6))
				return out_usage("--scale wants a number from 1 to 1000000");
			break;
		case 'M':
			o.metrics = true;
			break;
		case 'h':
			print_help(stdout);
			return EXIT_DONE;
		case 'V':
			printf("mcfs-scheduler %s\n", MCFS_VERSION);
			return EXIT_DONE;
		default:
			return EXIT_USAGE;
		}
	if (optind == argc) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (o.now_ms < 0 && (o.until_ms >= 0 || o.scale != 1))
		return out_usage("--until and --scale need --now");
	setrlimit(RLIMIT_CORE, &none);
	o.state_dir = state_directory();
	int code = dispatch(&o, argc - optind, argv + optind);
	free(o.state_dir);
	if (fflush(stdout) != 0 && code == EXIT_DONE)
		code = EXIT_FAILED;
	return code;
}
