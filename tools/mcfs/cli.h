/* cli.h - what all commands of mcfs share: options, the store, messages, exit codes, JSON.
 *
 * Only tools/ prints. Results go to stdout; problems, progress and remarks to stderr, so that
 * --json output is never mixed with anything else. */
#ifndef MCFS_TOOLS_CLI_H
#define MCFS_TOOLS_CLI_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/snapshot/snapobj.h"

#define MCFS_PROGRAM "mcfs " MCFS_VERSION

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_PARTLY = 3, /* done, but some files could not be read or changed while read */
	EXIT_LOCKED = 10,
	EXIT_WRONG_KEY = 11,
	EXIT_DAMAGED = 12,
	EXIT_INTERRUPTED = 130
};

struct cli {
	const char *store;
	bool json, quiet;
	bool accept_rollback; /* or MCFS_ACCEPT_ROLLBACK: a store that shows less than was seen */
	int verbose;
	const char *command;
	char *cache_dir, *state_dir, *key_dir;
	struct log log; /* of a daemon: where the engine's remarks go instead of stderr */
};

struct command {
	const char *name;
	int (*run)(struct cli *cli, int argc, char **argv);
	const char *usage;   /* after "mcfs ", one line */
	const char *summary; /* one line */
	const char *help;    /* options, a line each */
};

extern const struct command command_init;
extern const struct command command_snapshot;
extern const struct command command_list;
extern const struct command command_info;
extern const struct command command_ls;
extern const struct command command_cat;
extern const struct command command_find;
extern const struct command command_diff;
extern const struct command command_tag;
extern const struct command command_forget;
extern const struct command command_undelete;
extern const struct command command_restore;
extern const struct command command_export;
extern const struct command command_compact;
extern const struct command command_check;
extern const struct command command_key;
extern const struct command command_parity;
/* "5%" or "5": 1 to PARITY_PERCENT_MAX. */
bool cli_percent(const char *s, unsigned *ret);
extern const struct command command_set;
extern const struct command command_prune;
extern const struct command command_trash;
extern const struct command command_map;
extern const struct command command_query;
extern const struct command command_world;
extern const struct command command_config;
extern const struct command command_mount;
extern const struct command command_umount;

extern volatile sig_atomic_t cli_interrupted;

/* Fill in cache_dir, state_dir and key_dir from the environment; cli_directories_free() releases them. */
void cli_directories(struct cli *cli);
void cli_directories_free(struct cli *cli);

/* ---- messages and exits ---- */

/* Print "mcfs: <message>" (as JSON with --json) and return the exit code of the failure. */
int cli_fail(const struct cli *cli, const struct err *e);
/* The same for misuse: names the command's help. */
int cli_usage(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* getopt_long(3), but that what is wrong is told as by cli_usage(); then '?' is returned. `longs` and
 * `index` may be NULL. */
struct option;
int cli_getopt(const struct cli *cli, int argc, char **argv, const char *shorts,
	const struct option *longs, int *index);
void cli_note(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One file that had a problem. */
void cli_problem(const struct cli *cli, const char *path, const struct err *e);
int cli_exit_code(int err_code);
/* Print and free. The last object of a --json run is its summary. */
void cli_json(json_t *object);
/* Progress on a terminal, or as JSON lines, a few times a second. */
void cli_progress(const struct cli *cli, const char *verb, uint64_t files, uint64_t bytes,
	const char *path);
void cli_progress_end(const struct cli *cli);

/* ---- the store ---- */

/* Open with the key that the environment gives. E_* as store_open(). */
int cli_open(struct cli *cli, size_t cache_bytes, struct store **ret, struct err *e) MUST_CHECK;
/* The secret that the environment gives; NULL value when there is none and `cfg` is NULL (else the
 * store's key file, or E_AUTH). `kinds` as config_peek(). In locked memory, the caller's to free. */
int cli_secret(struct cli *cli, const struct store_config *cfg, unsigned kinds, struct secret *ret,
	struct err *e) MUST_CHECK;
void cli_secret_free(struct secret *s);
/* Its parts: NAME, NAME_FILE, NAME_COMMAND of the environment (NULL value: none is set); a key file; a
 * copy of bytes. */
int cli_secret_env(const char *name, enum secret_kind kind, struct secret *ret,
	struct err *e) MUST_CHECK;
int cli_secret_keyfile(const char *path, struct secret *ret, struct err *e) MUST_CHECK;
int cli_secret_take(struct secret *ret, enum secret_kind kind, struct span value,
	struct err *e) MUST_CHECK;
/* Make a key file, 0600, durable; E_EXISTS when the path is taken. */
int cli_keyfile_make(const char *path, const struct id *store, struct secret *ret,
	struct err *e) MUST_CHECK;
/* Where the key file of a store is when nobody says otherwise. */
char *cli_key_path(const struct cli *cli, const struct id *store);

struct store_lock;
/* Change the store's config under `lock`, the exclusive one. */
int cli_edit_config(struct cli *cli, struct store *s, struct store_lock *lock,
	void (*edit)(struct config_edit *ed, const void *ctx), const void *ctx, struct err *e) MUST_CHECK;

/* "SNAP" or "SNAP:PATH": split in place; *ret_path is "" when there is none. */
void cli_split_spec(char *spec, const char **ret_snap, const char **ret_path);

/* ---- formatting ---- */

/* JSON strings must be UTF-8: other bytes become U+FFFD. */
json_t *cli_json_string(const char *s, size_t n);
json_t *cli_json_snapshot(const struct snapshot *sn);
/* "host:/srv/mc/world, /srv/mc/other and 3 more" */
void cli_print_origin(const struct snapshot *sn);
char *cli_bytes(uint64_t n, char out[16]);
/* The end of a word that counts: "1 file", "2 files". */
const char *cli_s(uint64_t n);
/* And the verb: "1 file is", "2 files are". */
const char *cli_are(uint64_t n);
const char *cli_were(uint64_t n);
/* Local time, to the second; with zone offset for JSON. */
char *cli_time(struct timestamp t, char out[32]);
char *cli_time_iso(struct timestamp t, char out[40]);
/* "2026-11-22T02:00:00Z" or "@SECONDS", as seconds since 1970. False when it is neither. */
bool cli_parse_time(const char *s, int64_t *ret);
/* Print with control characters and what is not UTF-8 as \xNN, so that a hostile name cannot speak
 * to the terminal. */
void cli_print_name(FILE *f, const char *s, size_t n);

#endif
