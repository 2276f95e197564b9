#include "engine/prune/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/duration.h"
#include "engine/prune/rules_internal.h"

#define TICKS_A_SECOND 20
#define NEIGHBOURS_MAX 32

/* ---- specifications ---- */

void rules_spec_init(struct rules_spec *s)
{
	*s = (struct rules_spec){.max_percent = 50,
		.protect = {.forced = true, .players = true, .spawn = true, .spawn_radius = 10,
			.player_radius = 2, .neighbours = 1}};
}

static void free_list(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

void protect_free(struct protect_spec *p)
{
	for (size_t i = 0; i < p->n_areas; i++)
		free(p->areas[i].dimension);
	free(p->areas);
	for (size_t i = 0; i < p->n_selections; i++) {
		free(p->selections[i].path);
		free(p->selections[i].dimension);
	}
	free(p->selections);
	free_list(p->structures, p->n_structures);
	free_list(p->blocks, p->n_blocks);
	*p = (struct protect_spec){0};
}

void rules_spec_free(struct rules_spec *s)
{
	for (size_t i = 0; i < s->n_rules; i++) {
		free(s->rules[i].name);
		free(s->rules[i].query);
	}
	free(s->rules);
	protect_free(&s->protect);
	*s = (struct rules_spec){0};
}

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory for rules");
}

static int add_rule(struct rules_spec *s, struct rule_spec rule, struct err *e)
{
	if (s->n_rules == RULES_MAX)
		return err_set(e, E_USAGE, 0, "there are more than %d rules", RULES_MAX);
	void *v = realloc(s->rules, (s->n_rules + 1) * sizeof *s->rules);
	if (!v)
		return no_memory(e);
	s->rules = v;
	s->rules[s->n_rules++] = rule;
	return 0;
}

int rules_spec_add_pair(struct rules_spec *s, int64_t last_updated, int64_t inhabited, unsigned line,
	struct err *e)
{
	return add_rule(s,
		(struct rule_spec){.last_updated = last_updated, .inhabited = inhabited,
			.line = line},
		e);
}

int rules_spec_add_query(struct rules_spec *s, const char *query, unsigned line, struct err *e)
{
	struct rule_spec rule = {.last_updated = -1, .inhabited = -1, .query = strdup(query),
		.line = line};
	int r = rule.query ? add_rule(s, rule, e) : no_memory(e);
	if (r < 0)
		free(rule.query);
	return r;
}

/* ---- copies: a compiled set outlives its specification ---- */

static int copy_string(char **to, const char *from, struct err *e)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? no_memory(e) : 0;
}

static int copy_list(char ***to, size_t *to_n, char *const *from, size_t n, struct err *e)
{
	*to = calloc(n + 1, sizeof **to);
	if (!*to)
		return no_memory(e);
	for (*to_n = 0; *to_n < n; ++*to_n) {
		int r = copy_string(&(*to)[*to_n], from[*to_n], e);
		if (r < 0)
			return r;
	}
	return 0;
}

int protect_copy(struct protect_spec *to, const struct protect_spec *from, struct err *e)
{
	*to = *from;
	to->structures = to->blocks = NULL;
	to->n_structures = to->n_blocks = to->n_areas = to->n_selections = 0;
	to->areas = calloc(from->n_areas + 1, sizeof *to->areas);
	to->selections = calloc(from->n_selections + 1, sizeof *to->selections);
	int r = to->areas && to->selections ? 0 : no_memory(e);
	for (size_t i = 0; i < from->n_areas && r == 0; i++) {
		to->areas[i] = from->areas[i];
		to->n_areas++;
		r = copy_string(&to->areas[i].dimension, from->areas[i].dimension, e);
	}
	for (size_t i = 0; i < from->n_selections && r == 0; i++) {
		to->n_selections++;
		r = copy_string(&to->selections[i].path, from->selections[i].path, e);
		if (r == 0)
			r = copy_string(&to->selections[i].dimension,
				from->selections[i].dimension, e);
	}
	if (r == 0)
		r = copy_list(&to->structures, &to->n_structures, from->structures,
			from->n_structures, e);
	if (r == 0)
		r = copy_list(&to->blocks, &to->n_blocks, from->blocks, from->n_blocks, e);
	return r;
}

/* ---- compiling ---- */

static int pair_text(const struct rule_spec *s, char **ret)
{
	char age[DURATION_CHARS], time[DURATION_CHARS];
	duration_format(s->last_updated, age);
	duration_format(s->inhabited / TICKS_A_SECOND, time);
	const char *ticks = s->inhabited % TICKS_A_SECOND ? " and some ticks" : "";
	if (s->inhabited < 0)
		return asprintf(ret, "not saved for %s", age);
	if (s->last_updated < 0)
		return asprintf(ret, "inhabited for less than %s%s", time, ticks);
	return asprintf(ret, "not saved for %s, inhabited for less than %s%s", age, time, ticks);
}

/* "rule-2"; of queries "query", or "query-2" where there are several. */
static int rule_name(const struct rules_spec *spec, size_t i, char **ret)
{
	size_t queries = 0, pairs = 0;
	const struct rule_spec *s = &spec->rules[i];
	for (size_t k = 0; k <= i; k++)
		*(spec->rules[k].query ? &queries : &pairs) += 1;
	if (s->name)
		return asprintf(ret, "%s", s->name);
	if (!s->query)
		return asprintf(ret, "rule-%zu", pairs);
	return queries == 1 ? asprintf(ret, "query") : asprintf(ret, "query-%zu", queries);
}

static int compile_rule(struct rules *r, const struct rules_spec *spec, size_t i, struct err *e)
{
	const struct rule_spec *s = &spec->rules[i];
	struct rule *to = &r->v[r->n++];
	int rc = s->query ? query_parse(&to->query, s->query, &r->names, e)
			  : query_of_pair(&to->query, s->last_updated, s->inhabited, e);
	if (rc < 0)
		return s->line ? err_wrap(e, "line %u", s->line) : rc;
	int n = s->query ? asprintf(&to->text, "%s", s->query) : pair_text(s, &to->text);
	if (n < 0)
		to->text = NULL;
	if (rule_name(spec, i, &to->name) < 0)
		to->name = NULL;
	return to->text && to->name ? 0 : no_memory(e);
}

static int add_ids(struct buf *text, const char *filter, char *const *v, size_t n, struct err *e)
{
	CLEANUP_FREE char *head = NULL;
	if (n == 0)
		return 0;
	int len = asprintf(&head, "%s%s intersects \"", text->len ? " OR " : "", filter);
	if (len < 0) {
		head = NULL;
		return no_memory(e);
	}
	int r = buf_add(text, head, (size_t)len, e);
	for (size_t i = 0; i < n && r == 0; i++) {
		/* Quotes and commas would be part of the query and not of a name. */
		if (strpbrk(v[i], "\",\\"))
			return err_set(e, E_USAGE, 0, "'%.60s' cannot be an id", v[i]);
		if (i)
			r = buf_add(text, ",", 1, e);
		if (r == 0)
			r = buf_add(text, v[i], strlen(v[i]), e);
	}
	return r < 0 ? r : buf_add(text, "\"", 1, e);
}

/* Structures and blocks to keep are a query like any other. */
static int compile_keep(struct rules *r, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	const struct protect_spec *p = &r->protect;
	int rc = add_ids(&text, "Structures", p->structures, p->n_structures, e);
	if (rc == 0)
		rc = add_ids(&text, "Palette", p->blocks, p->n_blocks, e);
	if (rc < 0 || text.len == 0)
		return rc;
	rc = buf_add(&text, "", 1, e);
	if (rc == 0)
		rc = query_parse(&r->keep, (const char *)text.p, &r->names, e);
	return rc < 0 ? err_wrap(e, "protect") : 0;
}

int rules_compile(struct rules **ret, const struct rules_spec *spec, struct err *e)
{
	struct rules *r = calloc(1, sizeof *r);
	if (!r)
		return no_memory(e);
	int rc = protect_copy(&r->protect, &spec->protect, e);
	if (rc == 0 && r->protect.neighbours > NEIGHBOURS_MAX)
		rc = err_set(e, E_USAGE, 0, "neighbours can be at most %d chunks", NEIGHBOURS_MAX);
	r->max_percent = spec->max_percent;
	for (size_t i = 0; i < spec->n_rules && rc == 0; i++)
		rc = compile_rule(r, spec, i, e);
	if (rc == 0)
		rc = compile_keep(r, e);
	if (rc == 0) {
		r->files = calloc(r->protect.n_selections + 1, sizeof *r->files);
		rc = r->files ? 0 : no_memory(e);
	}
	for (size_t i = 0; i < r->protect.n_selections && rc == 0; i++)
		rc = selection_load(&r->files[i], r->protect.selections[i].path, e);
	if (rc < 0) {
		rules_free(r);
		return rc;
	}
	for (size_t i = 0; i < r->n; i++)
		r->wants |= query_wants(r->v[i].query);
	r->wants |= r->keep ? query_wants(r->keep) : 0;
	*ret = r;
	return 0;
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++) {
		free(r->v[i].name);
		free(r->v[i].text);
		query_free(r->v[i].query);
	}
	for (size_t i = 0; r->files && i < r->protect.n_selections; i++)
		selection_free(r->files[i]);
	free(r->files);
	query_free(r->keep);
	protect_free(&r->protect);
	query_names_free(&r->names);
	free(r);
}

size_t rules_count(const struct rules *r)
{
	return r->n;
}

const char *rules_name(const struct rules *r, size_t i)
{
	return r->v[i].name;
}

const char *rules_text(const struct rules *r, size_t i)
{
	return r->v[i].text;
}

enum answer rules_ask(const struct rules *r, const struct facts *f, size_t *ret_i)
{
	for (size_t i = 0; i < r->n; i++) {
		enum answer a = query_judge(r->v[i].query, f);
		*ret_i = i;
		if (a != ANSWER_NO)
			return a;
	}
	return ANSWER_NO;
}

const char *verdict_text(uint8_t v)
{
	static const char *const text[] = {[VERDICT_ABSENT] = "there is no chunk",
		[VERDICT_KEPT] = "no rule asks for it",
		[VERDICT_DAMAGED] = "it is damaged",
		[VERDICT_FORCED] = "force-loaded or ticketed",
		[VERDICT_SPAWN] = "near spawn",
		[VERDICT_PLAYER] = "near a player or a respawn point",
		[VERDICT_AREA] = "in a protected area",
		[VERDICT_STRUCTURE] = "has a protected structure or block",
		[VERDICT_NEIGHBOUR] = "next to a chunk that stays"};
	return v < VERDICT_REASONS ? text[v] : "prunable";
}
