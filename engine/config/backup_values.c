/* Keys of backup.yaml with values of their own. */
#include "engine/config/backup_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/duration.h"
#include "engine/config/yaml_internal.h"

#define LEVEL_MOST 19

/* ---- keys that are a text, a flag or a list as they stand ---- */

#define FIELD(c, offset, type) ((type *)(void *)((char *)(c) + (offset)))

static const struct {
	const char *key;
	size_t offset;
} fields[] = {
	{"working_directory", offsetof(struct backup_config, working_directory)},
	{"encryption_passphrase", offsetof(struct backup_config, passphrase)},
	{"encryption_passcommand", offsetof(struct backup_config, passcommand)},
	{"key_file", offsetof(struct backup_config, key_file)},
	{"prune_rules", offsetof(struct backup_config, prune_rules)},
	{"source_directories_must_exist", offsetof(struct backup_config, sources_must_exist)},
	{"exclude_caches", offsetof(struct backup_config, exclude_caches)},
	{"one_file_system", offsetof(struct backup_config, one_file_system)},
	{"exclude_from", offsetof(struct backup_config, exclude_files)},
	{"exclude_if_present", offsetof(struct backup_config, exclude_if_present)},
};

static size_t offset_of(const char *key)
{
	size_t i = 0;
	while (strcmp(fields[i].key, key) != 0)
		i++;
	return fields[i].offset;
}

int take_text(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	return ydoc_string(en->value, en->key, FIELD(c, offset_of(en->key), const char *), e);
}

int take_flag(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	return ydoc_bool(en->value, en->key, FIELD(c, offset_of(en->key), bool), e);
}

int take_list(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	return config_texts(c, en, FIELD(c, offset_of(en->key), struct config_list), e);
}

/* ---- what and where ---- */

int take_sources(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	return config_texts(c, en, &c->sources, e);
}

/* Why a repository is none of ours, or NULL. */
static const char *not_local(const char *path)
{
	static const char *const schemes[] = {"ssh://", "sftp://", "http://", "https://", "rest://",
		"socket://", "s3:", "b2:", "rclone:"};
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (strncmp(path, schemes[i], strlen(schemes[i])) == 0)
			return "is on another machine";
	const char *colon = strchr(path, ':');
	if (colon && path[0] != '/' && path[0] != '.' && memchr(path, '@', (size_t)(colon - path)))
		return "is on another machine";
	return NULL;
}

static int add_repository(struct backup_config *c, const struct yaml_node *n, const char *path,
	const char *label, struct err *e)
{
	struct backup_repository *v = config_more(c, c->repositories, c->n_repositories, sizeof *v,
		e);
	const char *why = not_local(path);
	if (!v)
		return E_NOMEM;
	if (strncmp(path, "file://", 7) == 0)
		path += 7;
	c->repositories = v;
	v[c->n_repositories++] = (struct backup_repository){path, label, n->file, n->line, !why};
	if (!why)
		return 0;
	struct yaml_entry at = {.key = "repositories", .file = n->file, .line = n->line};
	return config_remark(c, &at, true, e,
		"'%s' %s: mcfs has no way there yet and leaves it out; copy a local store with "
		"rsync, or mount the directory", path, why);
}

static int take_repository(struct backup_config *c, const struct yaml_entry *item, struct err *e)
{
	static const char *const known[] = {"path", "label", "encryption", "id_hash", "key_location",
		"append_only", "storage_quota", "make_parent_directories", NULL};
	const struct yaml_node *n = item->value;
	const char *path = NULL, *label = NULL;
	if (n->kind == YAML_SCALAR) {
		int r = ydoc_string(n, "a repository", &path, e);
		return r < 0 ? r : add_repository(c, n, path, NULL, e);
	}
	int r = ydoc_want(n, YAML_MAP, "a repository", e);
	if (r == 0)
		r = config_known(n, "a repository", known, e);
	if (r == 0)
		r = config_text(n, "path", &path, e);
	if (r == 0)
		r = config_text(n, "label", &label, e);
	if (r == 0 && !path)
		r = ydoc_err(e, n, "a repository needs a path");
	for (size_t i = 0; i < n->n && r == 0; i++)
		if (strcmp(n->v[i].key, "path") != 0 && strcmp(n->v[i].key, "label") != 0)
			r = config_remark(c, &n->v[i], false, e,
				"a store is made by 'mcfs init', with what it needs");
	return r < 0 ? r : add_repository(c, n, path, label, e);
}

int take_repositories(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	int r = ydoc_want(en->value, YAML_LIST, en->key, e);
	for (size_t i = 0; i < en->value->n && r == 0; i++)
		r = take_repository(c, &en->value->v[i], e);
	return r;
}

/* ---- patterns ---- */

/* Styles that the engine's filter does not know would leave in what should be out, or the other way
 * round. */
static int check_pattern(const struct yaml_node *n, const char *p, struct err *e)
{
	if (strncmp(p, "re:", 3) == 0)
		return ydoc_err(e, n, "patterns with re: are not understood; write '%s' with fm: (* matches "
			"/ too) or sh: (** matches directories)", p);
	if (p[0] && p[1] && p[2] == ':' && strncmp(p, "fm:", 3) != 0 && strncmp(p, "sh:", 3) != 0 &&
		strncmp(p, "pp:", 3) != 0 && strncmp(p, "pf:", 3) != 0)
		return ydoc_err(e, n, "'%.2s' is no style of patterns: there are fm, sh, pp and pf", p);
	return 0;
}

int take_excludes(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	size_t from = c->excludes.n;
	int r = config_texts(c, en, &c->excludes, e);
	for (size_t i = from; i < c->excludes.n && r == 0; i++)
		r = check_pattern(en->value->kind == YAML_LIST ? en->value->v[i - from].value
							       : en->value, c->excludes.v[i], e);
	return r;
}

/* borg's ordered list: roots, styles, what to leave out. Inclusions would have to win over
 * exclusions that come later and below what is not entered: refused rather than half done. */
static int take_pattern(struct backup_config *c, const struct yaml_node *n, const char *s,
	char style[3], struct err *e)
{
	char full[4200];
	char what = s[0];
	const char *arg = s + (s[0] != 0);
	arg += strspn(arg, " \t");
	if (!what || what == '#')
		return 0;
	if (!*arg)
		return ydoc_err(e, n, "the pattern '%s' names nothing", s);
	if (what == 'R')
		return config_list_add(c, &c->sources, arg, e);
	if (what == 'P') {
		if (strcmp(arg, "fm") != 0 && strcmp(arg, "sh") != 0 && strcmp(arg, "pp") != 0 &&
			strcmp(arg, "pf") != 0)
			return ydoc_err(e, n, "the style of patterns is fm, sh, pp or pf, not '%s'", arg);
		memcpy(style, arg, 3);
		return 0;
	}
	if (what == '+')
		return ydoc_err(e, n, "'%s': patterns that include are not understood; name what to leave "
			"out instead (with exclude_patterns, or - here)", s);
	if (what != '-' && what != '!')
		return ydoc_err(e, n, "'%s' is no pattern: it begins with R, P, - or !", s);
	int r = check_pattern(n, arg, e);
	if (r < 0)
		return r;
	bool styled = strlen(arg) > 2 && arg[2] == ':';
	snprintf(full, sizeof full, "%s%s%s", styled ? "" : style, styled ? "" : ":", arg);
	char *copy = ydoc_strndup(c->doc, full, strlen(full), e);
	return copy ? config_list_add(c, &c->excludes, copy, e) : E_NOMEM;
}

int take_patterns(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	char style[3] = "sh";
	int r = ydoc_want(en->value, YAML_LIST, en->key, e);
	for (size_t i = 0; i < en->value->n && r == 0; i++) {
		const struct yaml_node *n = en->value->v[i].value;
		const char *s;
		r = ydoc_string(n, en->key, &s, e);
		if (r == 0)
			r = take_pattern(c, n, s, style, e);
	}
	return r;
}

/* ---- names and tags ---- */

static bool tag_ok(const char *s)
{
	size_t n = strlen(s);
	return n >= 1 && n <= 64 && s[0] != '.' &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:@+-") == n;
}

/* The words in front of the first placeholder or star, without what separates: "mc-{now}" is "mc". */
static char *leading_words(struct backup_config *c, const char *s, struct err *e)
{
	size_t n = strcspn(s, "{*?[");
	while (n && strchr("-_.:@+", s[n - 1]))
		n--;
	return ydoc_strndup(c->doc, s, n, e);
}

int take_archive_name(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	const char *s;
	int r = ydoc_string(en->value, en->key, &s, e);
	char *tag = r == 0 ? leading_words(c, s, e) : NULL;
	if (r < 0 || !tag)
		return r < 0 ? r : E_NOMEM;
	if (!*tag)
		return config_remark(c, en, false, e, "a snapshot is named by its time, and knows its host");
	if (!tag_ok(tag))
		return ydoc_err(e, en->value, "'%s' cannot be a tag of snapshots: 1 to 64 letters, digits "
			"and ._:@+-", tag);
	r = config_remark(c, en, false, e, "a snapshot is named by its time; it gets the tag '%s'", tag);
	return r < 0 ? r : config_list_add(c, &c->tags, tag, e);
}

int take_match(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	const char *s;
	int r = ydoc_string(en->value, en->key, &s, e);
	if (r < 0)
		return r;
	if (strncmp(s, "sh:", 3) == 0)
		s += 3;
	if (strcmp(s, "*") == 0) {
		c->match = "*";
		return 0;
	}
	char *tag = leading_words(c, s, e);
	if (!tag)
		return E_NOMEM;
	if (strncmp(s, "{hostname}", 10) == 0)
		return config_remark(c, en, false, e, "snapshots of this host and these sources are taken "
			"together, as without this key");
	const char *star = strchr(s, '*');
	if (!tag_ok(tag) || !star || star[1])
		return ydoc_err(e, en->value, "match_archives: '%s' cannot be told in tags; '*' means all "
			"snapshots, 'NAME-*' those with the tag NAME", s);
	c->match = tag;
	return 0;
}

int take_tags(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	size_t from = c->tags.n;
	int r = config_texts(c, en, &c->tags, e);
	for (size_t i = from; i < c->tags.n && r == 0; i++)
		if (!tag_ok(c->tags.v[i]))
			r = ydoc_err(e, en->value, "'%s' is no tag: 1 to 64 letters, digits and ._:@+-",
				c->tags.v[i]);
	return r;
}

int take_compression(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	const char *s;
	char *end;
	int r = ydoc_string(en->value, en->key, &s, e);
	if (r < 0)
		return r;
	if (strncmp(s, "auto,", 5) == 0)
		s += 5;
	if (strcmp(s, "zstd") == 0)
		return 0;
	if (strncmp(s, "zstd,", 5) == 0) {
		long level = strtol(s + 5, &end, 10);
		if (*end || end == s + 5 || level < 1 || level > 22)
			return ydoc_err(e, en->value, "compression: '%s' is no level of zstd (1 to %d)", s,
				LEVEL_MOST);
		c->level = level > LEVEL_MOST ? LEVEL_MOST : (int)level;
		return 0;
	}
	static const char *const others[] = {"none", "lz4", "zlib", "lzma", "obfuscate"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strncmp(s, others[i], strlen(others[i])) == 0)
			return config_remark(c, en, false, e,
				"a store compresses with zstd; write 'zstd,LEVEL' to choose how hard");
	return ydoc_err(e, en->value, "compression: '%s' is none; write 'zstd,LEVEL'", s);
}

/* ---- how long, how often ---- */

int take_keep(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	static const char *const names[] = {"secondly", "minutely", "hourly", "daily", "weekly",
		"monthly", "13weekly", "3monthly", "yearly"};
	int64_t *const to[] = {&c->keep.secondly, &c->keep.minutely, &c->keep.hourly, &c->keep.daily,
		&c->keep.weekly, &c->keep.monthly, &c->keep.quarterly13,
		&c->keep.quarterly, &c->keep.yearly};
	const char *s;
	int64_t v;
	if (strcmp(en->key, "keep_within") == 0) {
		struct err own = ERR_INIT;
		int r = ydoc_string(en->value, en->key, &s, e);
		if (r == 0 && duration_parse_borg(s, &c->keep.within, &own) < 0 &&
			duration_parse_words(s, &c->keep.within, NULL) < 0)
			r = ydoc_err(e, en->value, "keep_within: %s", own.msg);
		c->keep.any = true;
		return r;
	}
	int r = ydoc_int(en->value, en->key, -1, 1000000, &v, e);
	for (size_t i = 0; r == 0 && i < sizeof names / sizeof *names; i++)
		if (strcmp(en->key + 5, names[i]) == 0)
			*to[i] = v;
	c->keep.any = c->keep.any || v != 0;
	return r;
}

static int frequency_of(const struct yaml_node *n, int64_t *ret, struct err *e)
{
	struct err own = ERR_INIT;
	const char *s;
	int r = ydoc_string(n, "frequency", &s, e);
	*ret = 0;
	if (r < 0 || strcmp(s, "always") == 0)
		return r;
	if (duration_parse_words(s, ret, &own) < 0)
		return ydoc_err(e, n, "frequency: %s", own.msg);
	return 0;
}

static int days_of(struct backup_config *c, const struct yaml_node *n, unsigned *ret, struct err *e)
{
	static const char *const names[] = {"sunday", "monday", "tuesday", "wednesday", "thursday",
		"friday", "saturday"};
	struct config_list l = {0};
	struct yaml_entry en = {.key = "only_run_on", .file = n->file, .line = n->line, .value = n};
	int r = config_texts(c, &en, &l, e);
	for (size_t i = 0; i < l.n && r == 0; i++) {
		unsigned bits = strcasecmp(l.v[i], "weekday") == 0 ? 0x3e
			      : strcasecmp(l.v[i], "weekend") == 0 ? 0x41 : 0;
		for (unsigned d = 0; d < 7; d++)
			if (strcasecmp(l.v[i], names[d]) == 0)
				bits = 1u << d;
		if (!bits)
			r = ydoc_err(e, n, "only_run_on: '%s' is no day; Monday.., weekday or weekend", l.v[i]);
		*ret |= bits;
	}
	return r;
}

static int add_check(struct backup_config *c, const struct yaml_node *n, struct backup_check k,
	struct err *e)
{
	static const char *const names[] = {"repository", "archives", "data", "extract", "spot",
		"disabled", NULL};
	static const enum backup_check_kind kinds[] = {CHECK_STRUCTURE, CHECK_STRUCTURE, CHECK_DATA,
		CHECK_DATA, CHECK_DATA};
	size_t i = 0;
	while (names[i] && strcmp(names[i], k.name) != 0)
		i++;
	if (!names[i])
		return ydoc_err(e, n, "there is no check '%s'; 'repository' and 'archives' look at the "
			"structure, 'data' reads everything", k.name);
	if (i == 5) {
		c->actions &= ~ACTION_CHECK;
		return 0;
	}
	struct backup_check *v = config_more(c, c->checks, c->n_checks, sizeof *v, e);
	if (!v)
		return E_NOMEM;
	c->checks = v;
	k.kind = kinds[i];
	v[c->n_checks++] = k;
	return 0;
}

static int take_check(struct backup_config *c, const struct yaml_node *n, struct err *e)
{
	static const char *const known[] = {"name", "frequency", "only_run_on", "max_duration",
		"count_tolerance_percentage", "data_sample_percentage", "data_tolerance_percentage",
		"xxh64sum_command", NULL};
	struct backup_check k = {0};
	const struct yaml_node *f, *days;
	int r;
	if (n->kind == YAML_SCALAR) {
		r = ydoc_string(n, "a check", &k.name, e);
		return r < 0 ? r : add_check(c, n, k, e);
	}
	r = ydoc_want(n, YAML_MAP, "a check", e);
	if (r == 0)
		r = config_known(n, "a check", known, e);
	if (r == 0)
		r = config_text(n, "name", &k.name, e);
	if (r == 0 && !k.name)
		r = ydoc_err(e, n, "a check needs a name: repository or data");
	f = ydoc_get(n, "frequency");
	days = ydoc_get(n, "only_run_on");
	if (r == 0 && !ydoc_is_null(f))
		r = frequency_of(f, &k.frequency, e);
	if (r == 0 && !ydoc_is_null(days))
		r = days_of(c, days, &k.days, e);
	for (size_t i = 0; i < n->n && r == 0; i++)
		if (strstr(n->v[i].key, "percentage") || strstr(n->v[i].key, "max_dur") ||
			strstr(n->v[i].key, "xxh64"))
			r = config_remark(c, &n->v[i], false, e, "a check of data reads the whole store");
	return r < 0 ? r : add_check(c, n, k, e);
}

int take_checks(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	int r = ydoc_want(en->value, YAML_LIST, en->key, e);
	for (size_t i = 0; i < en->value->n && r == 0; i++)
		r = take_check(c, en->value->v[i].value, e);
	return r;
}

int take_skip_actions(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	unsigned skip = 0;
	int r = config_actions(en->value, en->key, &skip, e);
	c->actions &= ~skip;
	return r;
}

int take_lock_wait(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	int64_t v = 0;
	int r = ydoc_int(en->value, en->key, 0, 86400, &v, e);
	c->lock_wait = (unsigned)v;
	return r;
}

/* "1 h", "90 minutes"; a plain number is seconds. */
static int seconds_of(const struct yaml_node *n, const char *what, int64_t *ret, struct err *e)
{
	struct err own = ERR_INIT;
	const char *s;
	int r = ydoc_string(n, what, &s, e);
	if (r < 0)
		return r;
	if (strspn(s, "0123456789") == strlen(s))
		return ydoc_int(n, what, 1, 366 * 86400, ret, e);
	return duration_parse_words(s, ret, &own) < 0 ? ydoc_err(e, n, "%s: %s", what, own.msg) : 0;
}

int take_require_snapshot(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	return seconds_of(en->value, en->key, &c->require_snapshot, e);
}

/* ---- the server ---- */

int take_rcon(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	static const char *const known[] = {"host", "port", "password", "password_file", "env_file",
		"timeout", "flush", NULL};
	const struct yaml_node *n = en->value, *v;
	struct backup_rcon *k = &c->rcon;
	int64_t number;
	*k = (struct backup_rcon){.host = "127.0.0.1", .port = 0, .timeout = 600, .flush = true,
		.file = en->file, .line = en->line};
	int r = ydoc_want(n, YAML_MAP, en->key, e);
	if (r == 0)
		r = config_known(n, "rcon", known, e);
	if (r == 0)
		r = config_text(n, "host", &k->host, e);
	if (r == 0)
		r = config_text(n, "password", &k->password, e);
	if (r == 0)
		r = config_text(n, "password_file", &k->password_file, e);
	if (r == 0)
		r = config_text(n, "env_file", &k->env_file, e);
	if (r == 0)
		r = config_flag(n, "flush", &k->flush, e);
	v = ydoc_get(n, "port");
	if (r == 0 && !ydoc_is_null(v)) {
		r = ydoc_int(v, "port", 1, 65535, &number, e);
		k->port = r == 0 ? (unsigned)number : 0;
	}
	v = ydoc_get(n, "timeout");
	if (r == 0 && !ydoc_is_null(v)) {
		r = seconds_of(v, "timeout", &number, e);
		k->timeout = r == 0 ? (unsigned)number : 0;
	}
	if (r == 0 && !k->password && !k->password_file && !k->env_file)
		r = ydoc_err(e, n, "rcon needs the password: password_file, or env_file for the .rcon-cli.env "
			"of itzg/minecraft-server");
	return r;
}

int take_staging(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	const char *s;
	int r = ydoc_string(en->value, en->key, &s, e);
	if (r < 0)
		return r;
	c->no_staging = strcmp(s, "off") == 0;
	c->staging = s[0] == '/' ? s : NULL;
	if (!c->no_staging && !c->staging && strcmp(s, "auto") != 0)
		return ydoc_err(e, en->value, "staging is auto, off, or a directory with its whole path, not '%s'",
			s);
	return 0;
}
