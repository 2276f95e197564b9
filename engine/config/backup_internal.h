/* backup_internal.h - the parts of the reader of backup.yaml. */
#ifndef MCFS_CONFIG_BACKUP_INTERNAL_H
#define MCFS_CONFIG_BACKUP_INTERNAL_H

#include "engine/config/backup_config.h"

/* What to do with a key: a function that takes its value, or a remark. */
typedef int (*key_fn)(struct backup_config *c, const struct yaml_entry *en, struct err *e);

struct key_how {
	const char *key;
	key_fn take;
	const char *remark; /* what mcfs does instead */
	bool missing;
};

/* All keys, ended by a NULL key. */
extern const struct key_how backup_keys[];

int config_remark(struct backup_config *c, const struct yaml_entry *en, bool missing, struct err *e,
	const char *fmt, ...) __attribute__((format(printf, 5, 6))) MUST_CHECK;

/* Helpers for values; `list` grows. A single text counts as a list of one. */
int config_list_add(struct backup_config *c, struct config_list *l, const char *s, struct err *e) MUST_CHECK;
int config_texts(struct backup_config *c, const struct yaml_entry *en, struct config_list *l,
	struct err *e) MUST_CHECK;
/* One more zeroed record of an array. */
void *config_more(struct backup_config *c, void *v, size_t n, size_t size, struct err *e);
/* Of the map: E_USAGE when it has a key that `known` (NULL-terminated) has not. */
int config_known(const struct yaml_node *map, const char *what, const char *const *known,
	struct err *e) MUST_CHECK;
/* Text of a key of a map, or NULL when it is not there. */
int config_text(const struct yaml_node *map, const char *key, const char **ret, struct err *e) MUST_CHECK;
int config_flag(const struct yaml_node *map, const char *key, bool *ret, struct err *e) MUST_CHECK;

/* backup_hooks.c */
int take_commands(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_old_hook(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int config_actions(const struct yaml_node *n, const char *what, unsigned *ret, struct err *e) MUST_CHECK;
/* backup_notify.c */
int take_healthchecks(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_uptime_kuma(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_cronitor(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_ntfy(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_webhook(struct backup_config *c, const struct yaml_entry *en, struct err *e);
/* backup_values.c */
int take_sources(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_repositories(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_excludes(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_patterns(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_list(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_flag(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_text(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_keep(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_checks(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_compression(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_archive_name(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_match(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_tags(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_skip_actions(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_lock_wait(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_staging(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_rcon(struct backup_config *c, const struct yaml_entry *en, struct err *e);
int take_require_snapshot(struct backup_config *c, const struct yaml_entry *en, struct err *e);

#endif
