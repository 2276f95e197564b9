/* mcfs - backups of Minecraft worlds. The command line: global options, then one command. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tools/mcfs/cli.h"

static const struct command *const commands[] = {
	/* As people look for them: keys, making, giving back, giving up, damage, worlds. */
	&command_init,
	&command_key,
	&command_snapshot,
	&command_list,
	&command_info,
	&command_ls,
	&command_cat,
	&command_find,
	&command_diff,
	&command_tag,
	&command_restore,
	&command_export,
#ifdef MCFS_HAVE_FUSE
	&command_mount,
	&command_umount,
#endif
	&command_forget,
	&command_undelete,
	&command_compact,
	&command_check,
	&command_parity,
	&command_set,
	&command_world,
	&command_query,
	&command_map,
	&command_prune,
	&command_trash,
	&command_config,
};

#define STACK_BYTES ((rlim_t)96 << 20)
#define N_COMMANDS (sizeof commands / sizeof *commands)

volatile sig_atomic_t cli_interrupted;

static void on_signal(int sig)
{
	(void)sig;
	if (cli_interrupted)
		_Exit(EXIT_INTERRUPTED); /* asked twice */
	cli_interrupted = 1;
}

static void print_help(FILE *f)
{
	fprintf(f, "mcfs: backups of Minecraft worlds, deduplicated and encrypted\n\n"
		   "usage: mcfs [-s STORE] [--json] [-q|-v] COMMAND [OPTION..] [ARG..]\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(f,
		"\n  -s, --store STORE  the store's directory (or MCFS_STORE)\n"
		"      --json         results as JSON on standard output\n"
		"      --accept-rollback  the store shows less than was seen: go on from what it shows\n"
		"  -q, --quiet        only problems\n"
		"  -v, --verbose      more detail\n"
		"  -h, --help         this, or the help of a command\n"
		"      --version      the version\n\n"
		"The key comes from MCFS_PASSPHRASE, MCFS_PASSPHRASE_FILE, MCFS_PASSPHRASE_COMMAND, "
		"MCFS_KEY_FILE\nor MCFS_RECOVERY_KEY; without any of them from the key file that 'mcfs init' made. "
		"See mcfs(1).\n");
}

static void print_command_help(FILE *f, const struct command *c)
{
	fprintf(f, "usage: mcfs %s\n\n%s.\n", c->usage, c->summary);
	if (c->help)
		fprintf(f, "\n%s", c->help);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* Global options are also taken behind the command, where people write them as well. Removes them
 * from the arguments and returns how many are left; -1 when one lacks its value. "tag SNAP -v"
 * removes a tag. */
static int take_global_options(struct cli *cli, const struct command *c, int argc, char **argv)
{
	int n = 1;
	bool shorts = c != &command_tag;
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		if (strcmp(a, "--") == 0) {
			while (i < argc)
				argv[n++] = argv[i++];
			break;
		}
		if (strcmp(a, "--json") == 0)
			cli->json = true;
		else if (strcmp(a, "--accept-rollback") == 0)
			cli->accept_rollback = true;
		else if (strcmp(a, "--quiet") == 0 || (shorts && strcmp(a, "-q") == 0))
			cli->quiet = true;
		else if (strcmp(a, "--verbose") == 0 || (shorts && strcmp(a, "-v") == 0))
			cli->verbose++;
		else if (strncmp(a, "--store=", 8) == 0)
			cli->store = a + 8;
		else if (strcmp(a, "--store") != 0 && !(shorts && strcmp(a, "-s") == 0))
			argv[n++] = argv[i];
		else if (i + 1 < argc)
			cli->store = argv[++i];
		else
			return -1;
	}
	argv[n] = NULL;
	return n;
}

static int run(struct cli *cli, int argc, char **argv)
{
	const struct command *c = find_command(argv[0]);
	if (!c) {
		if (strcmp(argv[0], "help") == 0) {
			c = argc > 1 ? find_command(argv[1]) : NULL;
			if (c)
				print_command_help(stdout, c);
			else
				print_help(stdout);
			return EXIT_DONE;
		}
		cli->command = NULL;
		return cli_usage(cli, "there is no command '%s'", argv[0]);
	}
	cli->command = c->name;
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_command_help(stdout, c);
			return EXIT_DONE;
		}
	struct err e = ERR_INIT;
	argc = take_global_options(cli, c, argc, argv);
	if (argc < 0)
		return cli_usage(cli, "--store wants a directory");
	if (crypto_init(&e) < 0)
		return cli_fail(cli, &e);
	optind = 0;
	return c->run(cli, argc, argv);
}

/* Descriptors and stack for deep trees; no core dumps with keys in them. */
static void set_limits(void)
{
	struct rlimit none = {0, 0}, files;
	setrlimit(RLIMIT_CORE, &none);
	/* Trees are walked by recursion, some 5 KiB a level (sanitized builds: 20), up to TREE_DEPTH_MAX levels. */
	struct rlimit stack;
	if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur < STACK_BYTES) {
		stack.rlim_cur = stack.rlim_max < STACK_BYTES ? stack.rlim_max : STACK_BYTES;
		setrlimit(RLIMIT_STACK, &stack);
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"store", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"accept-rollback", no_argument, NULL, 'a'}, {"quiet", no_argument, NULL, 'q'},
		{"verbose", no_argument, NULL, 'v'}, {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'}, {0}};
	struct cli cli = {.store = getenv("MCFS_STORE")};
	int o;
	while ((o = cli_getopt(&cli, argc, argv, "+s:qvh", options, NULL)) != -1)
		switch (o) {
		case 's':
			cli.store = optarg;
			break;
		case 'j':
			cli.json = true;
			break;
		case 'a':
			cli.accept_rollback = true;
			break;
		case 'q':
			cli.quiet = true;
			break;
		case 'v':
			cli.verbose++;
			break;
		case 'h':
			print_help(stdout);
			return EXIT_DONE;
		case 'V':
			printf("%s\n", MCFS_PROGRAM);
			return EXIT_DONE;
		default:
			return EXIT_USAGE;
		}
	if (optind == argc) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	set_limits();
	const char *accept = getenv("MCFS_ACCEPT_ROLLBACK");
	cli.accept_rollback |= accept && *accept && strcmp(accept, "0") != 0;
	cli_directories(&cli);
	int code = run(&cli, argc - optind, argv + optind);
	cli_directories_free(&cli);
	if (fflush(stdout) != 0 && code == EXIT_DONE)
		code = EXIT_FAILED; /* a full disk behind a pipe of ours */
	return code;
}
