#include "engine/config/backup_config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/config/backup_internal.h"
#include "engine/config/yaml_internal.h"

static const char *const sections[] = {"location", "storage", "retention", "consistency", "output",
	"hooks", NULL};

/* ---- helpers ---- */

void *config_more(struct backup_config *c, void *v, size_t n, size_t size, struct err *e)
{
	if (n & (n - 1) || (n == 0 && v))
		return v;
	void *p = ydoc_alloc(c->doc, (n ? 2 * n : 1) * size, e);
	if (p && n)
		memcpy(p, v, n * size);
	return p;
}

int config_list_add(struct backup_config *c, struct config_list *l, const char *s, struct err *e)
{
	const char **v = config_more(c, l->v, l->n, sizeof *v, e);
	if (!v)
		return E_NOMEM;
	l->v = v;
	v[l->n++] = s;
	return 0;
}

int config_texts(struct backup_config *c, const struct yaml_entry *en, struct config_list *l,
	struct err *e)
{
	const struct yaml_node *n = en->value;
	const char *s;
	if (ydoc_is_null(n))
		return 0;
	if (n->kind == YAML_SCALAR)
		return config_list_add(c, l, n->text, e);
	int r = ydoc_want(n, YAML_LIST, en->key, e);
	for (size_t i = 0; i < n->n && r == 0; i++) {
		const struct yaml_node *item = n->v[i].value;
		if (item->kind == YAML_MAP && item->n == 1 && strpbrk(item->v[0].key, " \"'"))
			return ydoc_err(e, item, "%s: the colon in this text makes it a key and a value; put "
				"the whole of it in quotes", en->key);
		r = ydoc_string(n->v[i].value, en->key, &s, e);
		if (r == 0)
			r = config_list_add(c, l, s, e);
	}
	return r;
}

int config_known(const struct yaml_node *map, const char *what, const char *const *known,
	struct err *e)
{
	for (size_t i = 0; i < map->n; i++) {
		const char *key = map->v[i].key;
		size_t k = 0;
		while (known[k] && strcmp(known[k], key) != 0)
			k++;
		if (known[k])
			continue;
		const char *near = ydoc_nearest(key, known);
		return ydoc_err_at(e, map->v[i].file, map->v[i].line, "%s has no key '%s'%s%s%s", what, key,
			near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	}
	return 0;
}

int config_text(const struct yaml_node *map, const char *key, const char **ret, struct err *e)
{
	const struct yaml_node *n = ydoc_get(map, key);
	return ydoc_is_null(n) ? 0 : ydoc_string(n, key, ret, e);
}

int config_flag(const struct yaml_node *map, const char *key, bool *ret, struct err *e)
{
	const struct yaml_node *n = ydoc_get(map, key);
	return ydoc_is_null(n) ? 0 : ydoc_bool(n, key, ret, e);
}

int config_remark(struct backup_config *c, const struct yaml_entry *en, bool missing, struct err *e,
	const char *fmt, ...)
{
	char text[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	char *copy = ydoc_strndup(c->doc, text, strlen(text), e);
	struct config_remark *v = copy ? config_more(c, c->remarks, c->n_remarks, sizeof *v, e)
				       : NULL;
	if (!v)
		return E_NOMEM;
	c->remarks = v;
	v[c->n_remarks++] = (struct config_remark){en->file, en->line, en->key, copy, missing};
	return 0;
}

/* ---- keys ---- */

static const struct key_how *find_key(const char *key)
{
	for (const struct key_how *k = backup_keys; k->key; k++)
		if (strcmp(k->key, key) == 0)
			return k;
	return NULL;
}

static int unknown_key(const struct yaml_entry *en, struct err *e)
{
	const char *known[256];
	size_t n = 0;
	for (const struct key_how *k = backup_keys; k->key && n < 249; k++)
		if (k->take)
			known[n++] = k->key;
	for (size_t i = 0; sections[i]; i++)
		known[n++] = sections[i];
	known[n] = NULL;
	const char *near = ydoc_nearest(en->key, known);
	if (near)
		return ydoc_err_at(e, en->file, en->line, "unknown key '%s'; did you mean '%s'?", en->key,
			near);
	return ydoc_err_at(e, en->file, en->line, "unknown key '%s'", en->key);
}

static int take_key(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	const struct key_how *how = find_key(en->key);
	if (!how)
		return unknown_key(en, e);
	if (ydoc_is_null(en->value))
		return 0; /* a key without a value says nothing */
	if (how->take)
		return how->take(c, en, e);
	return config_remark(c, en, how->missing, e, "%s", how->remark);
}

static bool is_section(const char *key)
{
	for (size_t i = 0; sections[i]; i++)
		if (strcmp(key, sections[i]) == 0)
			return true;
	return false;
}

/* A key of the file that came before: in another section, or in none. */
static const struct yaml_entry *seen_before(const struct yaml_node *root, const struct yaml_entry *at)
{
	for (size_t i = 0; i < root->n; i++) {
		const struct yaml_entry *en = &root->v[i];
		if (!is_section(en->key)) {
			if (en == at)
				return NULL;
			if (strcmp(en->key, at->key) == 0)
				return en;
			continue;
		}
		for (size_t k = 0; en->value->kind == YAML_MAP && k < en->value->n; k++) {
			if (&en->value->v[k] == at)
				return NULL;
			if (strcmp(en->value->v[k].key, at->key) == 0)
				return &en->value->v[k];
		}
	}
	return NULL;
}

/* 1.7 has `prefix` and `umask` in two sections each. */
static int take_once(struct backup_config *c, const struct yaml_node *root,
	const struct yaml_entry *en, struct err *e)
{
	const struct yaml_entry *first = seen_before(root, en);
	if (!first)
		return take_key(c, en, e);
	if (en->value->kind == YAML_SCALAR && first->value->kind == YAML_SCALAR &&
		strcmp(en->value->text, first->value->text) == 0)
		return 0;
	return ydoc_err_at(e, en->file, en->line, "'%s' is here twice with two values (the first time in "
		"line %u)", en->key, first->line);
}

static int take_section(struct backup_config *c, const struct yaml_node *root,
	const struct yaml_entry *section, struct err *e)
{
	if (ydoc_is_null(section->value))
		return 0;
	int r = ydoc_want(section->value, YAML_MAP, section->key, e);
	for (size_t i = 0; i < section->value->n && r == 0; i++)
		r = take_once(c, root, &section->value->v[i], e);
	return r;
}

/* borgmatic's own default: the structure, once a month. */
static int default_checks(struct backup_config *c, const struct yaml_node *root, struct err *e)
{
	if (ydoc_get(root, "checks") || ydoc_get(ydoc_get(root, "consistency"), "checks"))
		return 0;
	c->checks = ydoc_alloc(c->doc, sizeof *c->checks, e);
	if (!c->checks)
		return E_NOMEM;
	c->checks[0] = (struct backup_check){.name = "repository", .frequency = 30 * 86400};
	c->n_checks = 1;
	return 0;
}

static int check_whole(struct backup_config *c, const struct yaml_node *root, struct err *e)
{
	if (c->sources.n == 0)
		return ydoc_err(e, root, "source_directories is missing: what is to be backed up");
	if (c->n_repositories == 0)
		return ydoc_err(e, root, "repositories is missing: where the store is");
	if (!c->keep.any)
		c->actions &= ~ACTION_PRUNE;
	return default_checks(c, root, e);
}

/* What was noticed while the file was read. */
static int add_notes(struct backup_config *c, struct err *e)
{
	size_t n;
	const struct yaml_note *u = ydoc_unset(c->doc, &n);
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		struct yaml_entry at = {.key = u[i].name, .file = u[i].file, .line = u[i].line};
		r = config_remark(c, &at, false, e,
			"this variable is not set here; a run needs it in its environment");
	}
	u = ydoc_mended(c->doc, &n);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct yaml_entry at = {.key = "YAML", .file = u[i].file, .line = u[i].line};
		r = config_remark(c, &at, false, e,
			"the colon in this command needs quotes around the whole of it; it was read as if "
			"they were there");
	}
	return r;
}

int backup_config_from(struct backup_config **ret, struct ydoc *doc, const char *path,
	struct err *e)
{
	struct backup_config *c = calloc(1, sizeof *c);
	if (!c) {
		ydoc_free(doc);
		return err_set(e, E_NOMEM, 0, "no memory for a configuration");
	}
	const struct yaml_node *root = ydoc_root(doc);
	c->doc = doc;
	c->actions = ACTIONS_ALL;
	c->path = ydoc_strndup(doc, path, strlen(path), e);
	int r = c->path ? ydoc_want(root, YAML_MAP, "the configuration", e) : E_NOMEM;
	for (size_t i = 0; r == 0 && i < root->n; i++) {
		const struct yaml_entry *en = &root->v[i];
		r = is_section(en->key) ? take_section(c, root, en, e) : take_once(c, root, en, e);
	}
	if (r == 0)
		r = check_whole(c, root, e);
	if (r == 0)
		r = add_notes(c, e);
	if (r < 0) {
		backup_config_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int backup_config_load(struct backup_config **ret, const char *path, bool allow_unset,
	struct err *e)
{
	struct yaml_options opt = {.allow_unset = allow_unset};
	struct ydoc *doc;
	int r = ydoc_load(&doc, path, &opt, e);
	return r < 0 ? r : backup_config_from(ret, doc, path, e);
}

void backup_config_free(struct backup_config *c)
{
	if (!c)
		return;
	ydoc_free(c->doc);
	free(c);
}
