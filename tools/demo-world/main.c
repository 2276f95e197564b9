/* main.c - mcfs-demo-world: make a world, play on it, hammer it, look at it. */
#include "world.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
	"usage: mcfs-demo-world create DIR [--seed N] [--regions N] [--layout classic|26.1]\n"
	"                       [--data-version N].. [--now EPOCH]\n"
	"       mcfs-demo-world play DIR [--seed N] [--minutes M] [--border] [--now EPOCH]\n"
	"       mcfs-demo-world hammer DIR --seconds S [--rate R] [--regions N] [--oversized]\n"
	"                       [--seed N]\n"
	"       mcfs-demo-world verify DIR [--strict]\n"
	"       mcfs-demo-world chunks DIR\n";

__attribute__((noreturn, format(printf, 1, 2))) static void usage(const char *fmt, ...)
{
	va_list ap;
	fputs("mcfs-demo-world: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (--help tells more)\n", stderr);
	exit(2);
}

struct arguments {
	const char *dir;
	uint64_t seed;
	bool has_seed, strict, oversized, border;
	uint32_t now;
	int regions, minutes, seconds, rate;
	enum layout layout;
	int versions[MAX_VERSIONS], version_count;
};

enum option_id {
	OPT_SEED = 256,
	OPT_REGIONS,
	OPT_LAYOUT,
	OPT_VERSION,
	OPT_NOW,
	OPT_MINUTES,
	OPT_SECONDS,
	OPT_RATE,
	OPT_OVERSIZED,
	OPT_BORDER,
	OPT_STRICT,
	OPT_HELP
};

static const struct option options[] = {
	{"seed", required_argument, NULL, OPT_SEED},
	{"regions", required_argument, NULL, OPT_REGIONS},
	{"layout", required_argument, NULL, OPT_LAYOUT},
	{"data-version", required_argument, NULL, OPT_VERSION},
	{"now", required_argument, NULL, OPT_NOW},
	{"minutes", required_argument, NULL, OPT_MINUTES},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"rate", required_argument, NULL, OPT_RATE},
	{"oversized", no_argument, NULL, OPT_OVERSIZED},
	{"border", no_argument, NULL, OPT_BORDER},
	{"strict", no_argument, NULL, OPT_STRICT},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

/* Which options each command takes, by the number of its option_id. */
#define TAKES(id) (1u << ((id)-OPT_SEED))
static const struct command {
	const char *name;
	unsigned takes;
} commands[] = {
	{"create", TAKES(OPT_SEED) | TAKES(OPT_REGIONS) | TAKES(OPT_LAYOUT) | TAKES(OPT_VERSION) |
			   TAKES(OPT_NOW)},
	{"play", TAKES(OPT_SEED) | TAKES(OPT_MINUTES) | TAKES(OPT_BORDER) | TAKES(OPT_NOW)},
	{"hammer", TAKES(OPT_SEED) | TAKES(OPT_SECONDS) | TAKES(OPT_RATE) | TAKES(OPT_REGIONS) |
			   TAKES(OPT_OVERSIZED) | TAKES(OPT_NOW)},
	{"verify", TAKES(OPT_STRICT)},
	{"chunks", 0},
};

static uint64_t number(const char *what, const char *s, uint64_t min, uint64_t max)
{
	char *end;
	errno = 0;
	unsigned long long v = strtoull(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno || v < min || v > max)
		usage("%s wants a number from %llu to %llu, not '%s'", what,
			(unsigned long long)min, (unsigned long long)max, s);
	return v;
}

static void add_version(struct arguments *a, const char *s)
{
	int v = (int)number("--data-version", s, DV_1_16, 9999);
	if (a->version_count == MAX_VERSIONS)
		usage("at most %d data versions", MAX_VERSIONS);
	a->versions[a->version_count++] = v;
}

static void take_option(struct arguments *a, int id, const char *v)
{
	switch (id) {
	case OPT_SEED:
		a->seed = number("--seed", v, 0, UINT64_MAX);
		a->has_seed = true;
		break;
	case OPT_REGIONS:
		a->regions = (int)number("--regions", v, 1, 4096);
		break;
	case OPT_LAYOUT:
		if (strcmp(v, "classic") && strcmp(v, "26.1"))
			usage("--layout is classic or 26.1, not '%s'", v);
		a->layout = strcmp(v, "26.1") ? LAYOUT_CLASSIC : LAYOUT_26_1;
		break;
	case OPT_VERSION:
		add_version(a, v);
		break;
	case OPT_NOW:
		a->now = (uint32_t)number("--now", v, 1, UINT32_MAX);
		break;
	case OPT_MINUTES:
		a->minutes = (int)number("--minutes", v, 1, 100000);
		break;
	case OPT_SECONDS:
		a->seconds = (int)number("--seconds", v, 1, 100000);
		break;
	case OPT_RATE:
		a->rate = (int)number("--rate", v, 1, 1000000);
		break;
	case OPT_OVERSIZED:
		a->oversized = true;
		break;
	case OPT_BORDER:
		a->border = true;
		break;
	case OPT_STRICT:
		a->strict = true;
		break;
	default:
		fputs(usage_text, stdout);
		exit(0);
	}
}

static const struct command *parse(int argc, char **argv, struct arguments *a)
{
	const struct command *cmd = NULL;
	if (argc < 2)
		usage("no command");
	if (!strcmp(argv[1], "--help")) {
		fputs(usage_text, stdout);
		exit(0);
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			cmd = &commands[i];
	if (!cmd)
		usage("unknown command '%s'", argv[1]);
	opterr = 0;
	optind = 2;
	for (int id, which = 0; (id = getopt_long(argc, argv, "", options, &which)) != -1;) {
		if (id == '?')
			usage("%s: option '%s' is unknown or incomplete", cmd->name,
				argv[optind - 1]);
		if (id != OPT_HELP && !(cmd->takes & TAKES(id)))
			usage("%s knows no option --%s", cmd->name, options[which].name);
		take_option(a, id, optarg);
	}
	if (optind + 1 != argc)
		usage("%s wants one directory", cmd->name);
	size_t n = strlen(argv[optind]);
	if (!n)
		usage("the directory has no name");
	while (n > 1 && argv[optind][n - 1] == '/')
		argv[optind][--n] = '\0';
	a->dir = argv[optind];
	return cmd;
}

/* The newest version is the world's own; unless told, some chunks are left from older ones. */
static void settle_versions(struct arguments *a)
{
	static const int usual[2][3] = {{3465, 2975, DV_1_16}, {DV_26_1, 3465, 2975}};
	if (!a->version_count) {
		memcpy(a->versions, usual[a->layout], sizeof usual[0]);
		a->version_count = 3;
	}
	for (int i = 1; i < a->version_count; i++)
		for (int k = i; k > 0 && a->versions[k] > a->versions[k - 1]; k--) {
			int v = a->versions[k];
			a->versions[k] = a->versions[k - 1];
			a->versions[k - 1] = v;
		}
	if (a->layout == LAYOUT_26_1 && a->versions[0] < DV_26_1)
		usage("layout 26.1 needs data version %d", DV_26_1);
}

static void create(struct arguments *a)
{
	settle_versions(a);
	struct create_options o = {.dir = a->dir,
		.layout = a->layout,
		.seed = a->has_seed ? a->seed : 1,
		.now = a->now ? a->now : DEFAULT_NOW,
		.regions = a->regions ? a->regions : 4,
		.version_count = a->version_count};
	memcpy(o.versions, a->versions, sizeof o.versions);
	world_create(&o);
}

int main(int argc, char **argv)
{
	struct arguments a = {0};
	const struct command *cmd = parse(argc, argv, &a);
	int r = 0;
	switch (cmd - commands) {
	case 0:
		create(&a);
		break;
	case 1:
		world_play(&(struct play_options){.dir = a.dir,
			.seed = a.has_seed ? a.seed : 1,
			.now = a.now,
			.border = a.border,
			.minutes = a.minutes ? a.minutes : 30});
		break;
	case 2:
		if (!a.seconds)
			usage("hammer wants --seconds");
		world_hammer(&(struct hammer_options){.dir = a.dir,
			.seed = a.has_seed ? a.seed : 1,
			.now = a.now,
			.seconds = a.seconds,
			.rate = a.rate,
			.regions = a.regions ? a.regions : 3,
			.oversized = a.oversized});
		break;
	case 3:
		r = world_verify(a.dir, a.strict);
		break;
	default:
		r = world_chunks(a.dir);
	}
	if (fflush(stdout) || ferror(stdout))
		die("cannot write the output");
	return r;
}
