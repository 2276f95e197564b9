/* backup_config.h - backup.yaml: borgmatic's keys, flat (1.8 and later) or in sections (1.7), in what they mean
 * for mcfs.
 *
 * Every key of the file is in one of these classes, and none is passed over in silence:
 * - it has its meaning here: it is in struct backup_config;
 * - it has no meaning here and nothing is lost (`checkpoint_interval`): a remark says what mcfs
 *   does instead;
 * - it asks for something that mcfs does not do (`postgresql_databases`, an ssh:// repository): a
 *   remark with `missing` set. Jobs go on without it, say so each time, and end with status 3;
 * - it is unknown, or its value makes no sense: loading fails with "FILE:LINE: ..", for a word that is nearly
 *   a key with that key.
 *
 * Keys of our own: rcon, staging, tags, key_file, prune_rules, require_snapshot, discord, slack,
 * webhook. mcfs-backup.yaml(5) is the page for people.
 *
 * All texts belong to the configuration and end with it. Read-only after loading: any thread. */
#ifndef MCFS_CONFIG_BACKUP_CONFIG_H
#define MCFS_CONFIG_BACKUP_CONFIG_H

#include "engine/config/yaml.h"
#include "engine/notify/service.h"

/* What a run does to each repository, in this order; borgmatic's names for them. */
#define ACTION_CREATE 1u  /* take a snapshot */
#define ACTION_PRUNE 2u	  /* forget snapshots by keep_* */
#define ACTION_COMPACT 4u /* give their space back */
#define ACTION_CHECK 8u
#define ACTIONS_ALL 15u

struct config_list {
	const char **v;
	size_t n;
};

struct config_remark {
	const char *file;
	unsigned line;
	const char *key, *text; /* "ssh_command", "repositories are local directories; .." */
	bool missing;		/* something that was asked for does not happen */
};

struct backup_repository {
	const char *path, *label; /* label: NULL when it has none */
	const char *file;
	unsigned line;
	bool local; /* else it is remarked upon and left out */
};

enum backup_check_kind { CHECK_STRUCTURE, CHECK_DATA };

struct backup_check {
	const char *name; /* as written: "repository" */
	enum backup_check_kind kind;
	int64_t frequency; /* seconds between two; 0: in every run */
	unsigned days;	   /* bit 0 Sunday .. 6 Saturday; 0: any day */
};

/* 0: not given; -1: all. */
struct backup_keep {
	int64_t within; /* seconds */
	int64_t secondly, minutely, hourly, daily, weekly, monthly, quarterly13, quarterly, yearly;
	bool any;
};

enum hook_point { HOOK_ACTION, HOOK_REPOSITORY, HOOK_CONFIGURATION, HOOK_EVERYTHING, HOOK_ERROR };

/* One entry of `commands:`, or an old before_/after_/on_error key in the same shape. */
struct backup_hook {
	bool before;
	enum hook_point point;
	unsigned actions; /* ACTION_*: runs only when one of them is (to be) run */
	unsigned states;  /* after: NOTIFY_STATE_BIT() of FINISH and FAIL */
	struct config_list run;
	const char *key, *file; /* for messages */
	unsigned line;
};

struct backup_rcon {
	const char *host; /* NULL: no coordination with a server */
	unsigned port;
	const char *password, *password_file;
	const char *env_file;  /* itzg's .rcon-cli.env; password and port may come from it */
	unsigned timeout;      /* seconds for save-all flush */
	bool flush;	       /* save-all flush, or leave what is unsaved */
	const char *file;
	unsigned line;
};

struct backup_config {
	const char *path; /* the file */
	struct config_list sources;
	struct backup_repository *repositories;
	size_t n_repositories;
	/* Patterns in borg's words ("fm:*.tmp"); see filter_add_borg(). */
	struct config_list excludes, exclude_files, exclude_if_present;
	bool exclude_caches, one_file_system, sources_must_exist;
	const char *working_directory;
	const char *passphrase, *passcommand, *key_file;
	int level;		/* of compression; 0: the default */
	struct config_list tags;
	const char *match; /* snapshots with this tag are kept and forgotten together; NULL: those of
			    * the same host and sources; "*": all */
	struct backup_keep keep;
	struct backup_check *checks;
	size_t n_checks;
	unsigned actions;  /* what a run does: without skip_actions */
	unsigned lock_wait; /* seconds */
	struct backup_hook *hooks;
	size_t n_hooks;
	struct notify_target *notify;
	size_t n_notify;
	struct backup_rcon rcon;
	bool no_staging;	   /* staging: off */
	const char *staging;	   /* a directory for it; NULL: beside the sources */
	const char *prune_rules;   /* prune.yaml, or NULL */
	int64_t require_snapshot;  /* seconds; 0: this run's */
	struct config_remark *remarks;
	size_t n_remarks;
	struct ydoc *doc;
};

/* `allow_unset` as in yaml_options: variables that are not set are remarked upon. E_USAGE,
 * E_NOTFOUND, E_IO, E_NOMEM. */
int backup_config_load(struct backup_config **ret, const char *path, bool allow_unset,
	struct err *e) MUST_CHECK;
/* The same of a tree, which is taken in any case. */
int backup_config_from(struct backup_config **ret, struct ydoc *doc, const char *path,
	struct err *e) MUST_CHECK;
void backup_config_free(struct backup_config *c);

#endif
