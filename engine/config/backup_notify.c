/* Services that watch, as borgmatic's hooks of those names. A plain text is the address. */
#include "engine/config/backup_internal.h"

#include <string.h>

#define START NOTIFY_STATE_BIT(NOTIFY_START)
#define FINISH NOTIFY_STATE_BIT(NOTIFY_FINISH)
#define FAIL NOTIFY_STATE_BIT(NOTIFY_FAIL)

static int add_target(struct backup_config *c, const struct notify_target *t, struct err *e)
{
	struct notify_target *v = config_more(c, c->notify, c->n_notify, sizeof *v, e);
	if (!v)
		return E_NOMEM;
	c->notify = v;
	v[c->n_notify++] = *t;
	return 0;
}

static int states_of(const struct yaml_node *map, unsigned *ret, struct err *e)
{
	static const char *const names[] = {"start", "finish", "fail"};
	const struct yaml_node *n = ydoc_get(map, "states");
	if (ydoc_is_null(n))
		return 0;
	int r = ydoc_want(n, YAML_LIST, "states", e);
	*ret = 0;
	for (size_t i = 0; i < n->n && r == 0; i++) {
		const char *s = NULL;
		unsigned bit = 0;
		r = ydoc_string(n->v[i].value, "states", &s, e);
		for (unsigned k = 0; r == 0 && k < 3; k++)
			if (strcmp(s, names[k]) == 0)
				bit = 1u << k;
		if (r == 0 && !bit && strcmp(s, "log") != 0)
			r = ydoc_err(e, n->v[i].value, "states: start, finish or fail, not '%s'", s);
		*ret |= bit;
	}
	return r;
}

/* Check keys, read the address under `url_key` and the states. */
static int read_common(const struct yaml_entry *en, const char *const *known, const char *url_key,
	struct notify_target *t, struct err *e)
{
	const struct yaml_node *n = en->value;
	if (n->kind == YAML_SCALAR)
		return ydoc_string(n, en->key, &t->url, e);
	int r = ydoc_want(n, YAML_MAP, en->key, e);
	if (r == 0)
		r = config_known(n, en->key, known, e);
	if (r == 0)
		r = config_text(n, url_key, &t->url, e);
	if (r == 0)
		r = states_of(n, &t->states, e);
	return r;
}

static int check_url(const struct yaml_entry *en, const char *url_key, const char *url, struct err *e)
{
	if (!url)
		return ydoc_err(e, en->value, "%s needs %s", en->key, url_key);
	if (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0 ||
		strncmp(url, "${", 2) == 0)
		return 0;
	return ydoc_err(e, en->value, "%s: %s begins with http:// or https://", en->key, url_key);
}

int take_healthchecks(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	static const char *const known[] = {"ping_url", "verify_tls", "send_logs", "ping_body_limit",
		"states", "create_slug", NULL};
	struct notify_target t = {.kind = NOTIFY_HEALTHCHECKS, .states = START | FINISH | FAIL,
		.send_log = true};
	const struct yaml_node *n = en->value, *v;
	int64_t limit = 0;
	int r = read_common(en, known, "ping_url", &t, e);
	if (r == 0)
		r = config_flag(n, "send_logs", &t.send_log, e);
	if (r == 0)
		r = config_flag(n, "create_slug", &t.create_slug, e);
	v = ydoc_get(n, "ping_body_limit");
	if (r == 0 && !ydoc_is_null(v))
		r = ydoc_int(v, "ping_body_limit", 0, 10000000, &limit, e);
	t.log_limit = (size_t)limit;
	v = ydoc_get(n, "verify_tls");
	if (r == 0 && v) {
		struct yaml_entry at = {.key = "verify_tls", .file = v->file, .line = v->line};
		r = config_remark(c, &at, false, e, "certificates are always checked");
	}
	if (r == 0 && !t.url)
		r = ydoc_err(e, n, "healthchecks needs ping_url");
	return r < 0 ? r : add_target(c, &t, e);
}

int take_uptime_kuma(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	static const char *const known[] = {"push_url", "states", "verify_tls", NULL};
	struct notify_target t = {.kind = NOTIFY_UPTIME_KUMA, .states = START | FINISH | FAIL};
	int r = read_common(en, known, "push_url", &t, e);
	if (r == 0)
		r = check_url(en, "push_url", t.url, e);
	return r < 0 ? r : add_target(c, &t, e);
}

int take_cronitor(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	static const char *const known[] = {"ping_url", NULL};
	struct notify_target t = {.kind = NOTIFY_CRONITOR, .states = START | FINISH | FAIL};
	int r = read_common(en, known, "ping_url", &t, e);
	if (r == 0)
		r = check_url(en, "ping_url", t.url, e);
	return r < 0 ? r : add_target(c, &t, e);
}

static int words_of(const struct yaml_node *map, const char *state, struct notify_words *w,
	struct err *e)
{
	static const char *const known[] = {"title", "message", "priority", "tags", NULL};
	const struct yaml_node *n = ydoc_get(map, state);
	if (ydoc_is_null(n))
		return 0;
	int r = ydoc_want(n, YAML_MAP, state, e);
	if (r == 0)
		r = config_known(n, state, known, e);
	if (r == 0)
		r = config_text(n, "title", &w->title, e);
	if (r == 0)
		r = config_text(n, "message", &w->message, e);
	if (r == 0)
		r = config_text(n, "priority", &w->priority, e);
	return r < 0 ? r : config_text(n, "tags", &w->tags, e);
}

int take_ntfy(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	static const char *const known[] = {"topic", "server", "username", "password", "access_token",
		"start", "finish", "fail", "states", NULL};
	struct notify_target t = {.kind = NOTIFY_NTFY, .states = FAIL};
	const struct yaml_node *n = en->value;
	int r = ydoc_want(n, YAML_MAP, en->key, e);
	if (r == 0)
		r = read_common(en, known, "server", &t, e);
	if (r == 0)
		r = config_text(n, "topic", &t.topic, e);
	if (r == 0)
		r = config_text(n, "username", &t.user, e);
	if (r == 0)
		r = config_text(n, "password", &t.password, e);
	if (r == 0)
		r = config_text(n, "access_token", &t.access_token, e);
	if (r == 0)
		r = words_of(n, "start", &t.words[NOTIFY_START], e);
	if (r == 0)
		r = words_of(n, "finish", &t.words[NOTIFY_FINISH], e);
	if (r == 0)
		r = words_of(n, "fail", &t.words[NOTIFY_FAIL], e);
	if (r == 0 && t.url)
		r = check_url(en, "server", t.url, e);
	if (r == 0 && !t.topic)
		r = ydoc_err(e, n, "ntfy needs a topic");
	return r < 0 ? r : add_target(c, &t, e);
}

/* discord, slack: messages to people, of failures unless more is asked for. webhook: everything. */
int take_webhook(struct backup_config *c, const struct yaml_entry *en, struct err *e)
{
	static const char *const known[] = {"webhook_url", "url", "states", NULL};
	struct notify_target t = {.kind = strcmp(en->key, "discord") == 0 ? NOTIFY_DISCORD
					: strcmp(en->key, "slack") == 0 ? NOTIFY_SLACK
									: NOTIFY_WEBHOOK};
	t.states = t.kind == NOTIFY_WEBHOOK ? START | FINISH | FAIL : FAIL;
	int r = read_common(en, known, "webhook_url", &t, e);
	if (r == 0 && !t.url)
		r = config_text(en->value, "url", &t.url, e);
	if (r == 0)
		r = check_url(en, "webhook_url", t.url, e);
	return r < 0 ? r : add_target(c, &t, e);
}
