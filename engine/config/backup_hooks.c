/* Commands to run around a backup: `commands:` of borgmatic 2 and the before_/after_ keys of before, which are
 * the same thing in another shape. */
#include "engine/config/backup_internal.h"

#include <string.h>

static const char *const action_names[] = {"create", "prune", "compact", "check"};
/* Actions of borgmatic that a run of mcfs-snapshot never does. */
static const char *const other_actions[] = {"repo-create", "transfer", "recreate", "delete",
	"repo-delete", "extract", "config", "export-tar", "mount", "umount", "restore", "repo-list",
	"list", "repo-info", "info", "diff", "break-lock", "key", "borg", "browse", "bootstrap", NULL};

static bool is_other_action(const char *s)
{
	for (size_t i = 0; other_actions[i]; i++)
		if (strcmp(s, other_actions[i]) == 0)
			return true;
	return false;
}

int config_actions(const struct yaml_node *n, const char *what, unsigned *ret, struct err *e)
{
	int r = ydoc_want(n, YAML_LIST, what, e);
	for (size_t i = 0; i < n->n && r == 0; i++) {
		const char *s = NULL;
		r = ydoc_string(n->v[i].value, what, &s, e);
		unsigned bit = 0;
		for (unsigned a = 0; r == 0 && a < 4; a++)
			if (strcmp(s, action_names[a]) == 0)
				bit = 1u << a;
		if (r == 0 && !bit && !is_other_action(s))
			r = ydoc_err(e, n->v[i].value, "%s: there is no action '%s'; create, prune, compact "
				"and check", what, s);
		*ret |= bit;
	}
	return r;
}

static int add_hook(struct backup_config *c, const struct backup_hook *h, struct err *e)
{
	struct backup_hook *v = config_more(c, c->hooks, c->n_hooks, sizeof *v, e);
	if (!v)
		return E_NOMEM;
	c->hooks = v;
	v[c->n_hooks++] = *h;
	return 0;
}

/* ---- before 2.0 ---- */

static const struct {
	const char *key;
	bool before;
	enum hook_point point;
	unsigned actions, states;
} old_hooks[] = {
	{"before_actions", true, HOOK_REPOSITORY, 0, 0},
	{"after_actions", false, HOOK_REPOSITORY, 0, NOTIFY_STATE_BIT(NOTIFY_FINISH)},
	{"before_backup", true, HOOK_ACTION, ACTION_CREATE, 0},
	{"after_backup", false, HOOK_ACTION, ACTION_CREATE, NOTIFY_STATE_BIT(NOTIFY_FINISH)},
	{"before_prune", true, HOOK_ACTION, ACTION_PRUNE, 0},
	{"after_prune", false, HOOK_ACTION, ACTION_PRUNE, NOTIFY_STATE_BIT(NOTIFY_FINISH)},
	{"before_compact", true, HOOK_ACTION, ACTION_COMPACT, 0},
	{"after_compact", false, HOOK_ACTION, ACTION_COMPACT, NOTIFY_STATE_BIT(NOTIFY_FINISH)},
	{"before_check", true, HOOK_ACTION, ACTION_CHECK, 0},
	{"after_check", false, HOOK_ACTION, ACTION_CHECK, NOTIFY_STATE_BIT(NOTIFY_FINISH)},
	{"before_everything", true, HOOK_EVERYTHING, ACTION_CREATE, 0},
	{"after_everything", false, HOOK_EVERYTHING, ACTION_CREATE, NOTIFY_STATE_BIT(NOTIFY_FINISH)},
	{"on_error", false, HOOK_ERROR, ACTIONS_ALL, NOTIFY_STATE_BIT(NOTIFY_FAIL)},
};

int take_old_hook(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	size_t i = 0;
	while (strcmp(old_hooks[i].key, en->key) != 0)
		i++;
	struct backup_hook h = {.before = old_hooks[i].before, .point = old_hooks[i].point,
		.actions = old_hooks[i].actions, .states = old_hooks[i].states, .key = en->key,
		.file = en->file, .line = en->line};
	int r = config_texts(c, en, &h.run, e);
	return r < 0 || h.run.n == 0 ? r : add_hook(c, &h, e);
}

/* ---- commands ---- */

static int point_of(const struct yaml_node *n, bool before, enum hook_point *ret, struct err *e)
{
	static const char *const names[] = {"action", "repository", "configuration", "everything",
		"error"};
	const char *s = NULL;
	int r = ydoc_string(n, before ? "before" : "after", &s, e);
	for (int i = 0; r == 0 && i < (before ? 4 : 5); i++)
		if (strcmp(s, names[i]) == 0) {
			*ret = (enum hook_point)i;
			return 0;
		}
	return r < 0 ? r
		     : ydoc_err(e, n, "'%s' is no point of a run: action, repository, configuration, "
			"everything%s", s, before ? "" : " or error");
}

static int states_of(const struct yaml_node *n, unsigned *ret, struct err *e)
{
	int r = ydoc_want(n, YAML_LIST, "states", e);
	*ret = 0;
	for (size_t i = 0; i < n->n && r == 0; i++) {
		const char *s = NULL;
		r = ydoc_string(n->v[i].value, "states", &s, e);
		if (r == 0 && strcmp(s, "finish") == 0)
			*ret |= NOTIFY_STATE_BIT(NOTIFY_FINISH);
		else if (r == 0 && strcmp(s, "fail") == 0)
			*ret |= NOTIFY_STATE_BIT(NOTIFY_FAIL);
		else if (r == 0)
			r = ydoc_err(e, n->v[i].value, "states: 'finish' or 'fail', not '%s'", s);
	}
	return r;
}

static int take_command(struct backup_config *c, const struct yaml_entry *item, struct err *e)
{
	static const char *const known[] = {"before", "after", "when", "run", "states", NULL};
	const struct yaml_node *n = item->value, *before, *after, *v;
	struct backup_hook h = {.key = "commands", .file = item->file, .line = item->line,
		.states = NOTIFY_STATE_BIT(NOTIFY_FINISH) | NOTIFY_STATE_BIT(NOTIFY_FAIL)};
	int r = ydoc_want(n, YAML_MAP, "an item of commands", e);
	if (r == 0)
		r = config_known(n, "an item of commands", known, e);
	if (r < 0)
		return r;
	before = ydoc_get(n, "before");
	after = ydoc_get(n, "after");
	if (!before == !after)
		return ydoc_err(e, n, "an item of commands has 'before' or 'after', and not both");
	h.before = before != NULL;
	r = point_of(before ? before : after, h.before, &h.point, e);
	v = ydoc_get(n, "when");
	if (r == 0 && v) {
		r = config_actions(v, "when", &h.actions, e);
		if (r == 0 && !h.actions)
			return 0; /* only of actions that no run does */
	}
	v = ydoc_get(n, "states");
	if (r == 0 && v && h.before)
		r = ydoc_err(e, v, "states go with 'after'");
	else if (r == 0 && v)
		r = states_of(v, &h.states, e);
	v = ydoc_get(n, "run");
	if (r == 0 && ydoc_is_null(v))
		r = ydoc_err(e, n, "an item of commands needs 'run': a list of commands");
	if (r == 0) {
		struct yaml_entry run = {.key = "run", .file = v->file, .line = v->line, .value = v};
		r = config_texts(c, &run, &h.run, e);
	}
	if (h.point == HOOK_ERROR)
		h.states = NOTIFY_STATE_BIT(NOTIFY_FAIL);
	return r < 0 ? r : add_hook(c, &h, e);
}

int take_commands(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	int r = ydoc_want(en->value, YAML_LIST, en->key, e);
	for (size_t i = 0; i < en->value->n && r == 0; i++)
		r = take_command(c, &en->value->v[i], e);
	return r;
}
