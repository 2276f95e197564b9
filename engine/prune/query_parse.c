/* query_parse.c - the grammar.
 *
 *   or    := and { ("OR" | "||") and }
 *   and   := not { ("AND" | "&&") not }
 *   not   := ("NOT" | "!") not | "(" or ")" | FILTER [COMPARATOR VALUE]
 *   VALUE := '"' .. '"' (escapes \" and \\), or all up to AND, OR, ")" or the end
 *
 * White space is free. Everything that MCA Selector's parser accepts means the same here, except
 * what it accepts by mistake: an empty query, and text behind an unmatched ")". */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/cleanup.h"
#include "engine/prune/query_internal.h"

struct parser {
	const char *text, *p;
	struct query *q;
	struct query_names *names;
	int depth;
	struct err *e;
};

int query_new(struct query **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : err_set(e, E_NOMEM, 0, "no memory for a query");
}

static void free_node(struct qnode *n)
{
	free(n->text);
	free(n->list);
	free(n->circles);
	selection_free(n->set);
}

void query_free(struct query *q)
{
	for (size_t i = 0; q && i < q->n; i++)
		free_node(&q->nodes[i]);
	if (q)
		free(q->nodes);
	free(q);
}

int query_add_node(struct query *q, struct qnode n, uint32_t *ret, struct err *e)
{
	if (q->n == QUERY_NODES_MAX)
		return err_set(e, E_USAGE, 0, "the query has more than %d parts", QUERY_NODES_MAX);
	if (!(q->n & (q->n - 1))) {
		void *v = realloc(q->nodes, (q->n ? 2 * q->n : 1) * sizeof *q->nodes);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a query");
		q->nodes = v;
	}
	q->nodes[q->n] = n;
	*ret = (uint32_t)q->n++;
	return 0;
}

/* ---- characters ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '#';
}

static void skip_blanks(struct parser *ps)
{
	while (is_blank(*ps->p))
		ps->p++;
}

static size_t word_length(const char *p)
{
	size_t n = 0;
	while (is_word(p[n]))
		n++;
	return n;
}

/* A word in any case. */
static bool at_word(const char *p, const char *word)
{
	size_t n = strlen(word);
	return strncasecmp(p, word, n) == 0 && !is_word(p[n]);
}

static int wrong(struct parser *ps, const char *at, const char *what)
{
	size_t n = 0;
	while (at[n] && n < 30)
		n++;
	if (n == 0)
		return err_set(ps->e, E_USAGE, 0, "the query ends where %s should be", what);
	return err_set(ps->e, E_USAGE, 0, "at character %zu of the query, '%.*s': %s should be here",
		(size_t)(at - ps->text) + 1, (int)n, at, what);
}

/* Skip an operator, if it is there. */
static bool take_operator(struct parser *ps, const char *word, const char *sign)
{
	skip_blanks(ps);
	if (at_word(ps->p, word))
		ps->p += strlen(word);
	else if (strncmp(ps->p, sign, strlen(sign)) == 0)
		ps->p += strlen(sign);
	else
		return false;
	return true;
}

/* ---- a filter ---- */

static int take_comparator(struct parser *ps, enum comparator *ret)
{
	static const struct {
		const char *sign;
		enum comparator c;
	} signs[] = {{"==", C_EQ}, {"!=", C_NE}, {"<=", C_LE}, {">=", C_GE}, {"=", C_EQ},
		{"<", C_LT}, {">", C_GT}};
	const char *at = ps->p;
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (strncmp(at, signs[i].sign, strlen(signs[i].sign)) == 0) {
			ps->p += strlen(signs[i].sign);
			*ret = signs[i].c;
			return 0;
		}
	const char *word = at;
	bool no = false;
	if (*word == '!' || at_word(word, "not")) {
		no = true;
		word += *word == '!' ? 1 : 3;
		while (is_blank(*word))
			word++;
	}
	if (at_word(word, "contains")) {
		*ret = no ? C_NOT_CONTAINS : C_CONTAINS;
		ps->p = word + 8;
		return 0;
	}
	if (!no && at_word(word, "intersects")) {
		*ret = C_INTERSECTS;
		ps->p = word + 10;
		return 0;
	}
	return wrong(ps, at, "a comparator (= != < > <= >= contains !contains intersects)");
}

static int take_quoted(struct parser *ps, struct buf *out)
{
	const char *at = ps->p++;
	for (;;) {
		char c = *ps->p++;
		if (c == '\\' && (*ps->p == '"' || *ps->p == '\\'))
			c = *ps->p++;
		else if (c == '"')
			return buf_add(out, "", 1, ps->e);
		if (!c) {
			ps->p--;
			return err_set(ps->e, E_USAGE, 0,
				"the quote at character %zu of the query has no end",
				(size_t)(at - ps->text) + 1);
		}
		int r = buf_add(out, &c, 1, ps->e);
		if (r < 0)
			return r;
	}
}

static bool ends_value(const char *start, const char *p)
{
	if (!*p || *p == ')' || *p == '(' || *p == '"' || strncmp(p, "&&", 2) == 0 ||
		strncmp(p, "||", 2) == 0)
		return true;
	return p > start && is_blank(p[-1]) && (at_word(p, "and") || at_word(p, "or"));
}

static int take_value(struct parser *ps, struct buf *out)
{
	skip_blanks(ps);
	if (*ps->p == '"')
		return take_quoted(ps, out);
	const char *start = ps->p;
	while (!ends_value(start, ps->p))
		ps->p++;
	const char *end = ps->p;
	while (end > start && is_blank(end[-1]))
		end--;
	if (end == start)
		return wrong(ps, start, "a value");
	int r = buf_add(out, start, (size_t)(end - start), ps->e);
	return r < 0 ? r : buf_add(out, "", 1, ps->e);
}

static bool is_flag(const struct filter_info *f)
{
	return f->value == V_BOOL && (f->filter == F_FORCED || f->filter == F_DAMAGED);
}

/* "Forced" alone is "Forced = true". */
static bool nothing_follows(const char *p)
{
	return !*p || *p == ')' || at_word(p, "and") || at_word(p, "or") ||
	       strncmp(p, "&&", 2) == 0 || strncmp(p, "||", 2) == 0;
}

static int read_filter(struct parser *ps, struct qnode *n)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	const char *at = ps->p;
	size_t len = word_length(at);
	if (len == 0)
		return wrong(ps, at, "a filter");
	n->info = query_filter(at, len);
	if (!n->info && len == 6 && strncmp(at, "Custom", 6) == 0)
		return err_set(ps->e, E_USAGE, 0,
			"the filter Custom runs Groovy scripts, which mcfs cannot");
	if (!n->info)
		return err_set(ps->e, E_USAGE, 0,
			"there is no filter '%.*s' (character %zu of the query)",
			(int)(len < 60 ? len : 60), at, (size_t)(at - ps->text) + 1);
	ps->p += len;
	skip_blanks(ps);
	if (is_flag(n->info) && nothing_follows(ps->p)) {
		n->cmp = C_EQ;
		n->number = 1;
		return 0;
	}
	const char *cmp_at = ps->p;
	int r = take_comparator(ps, &n->cmp);
	if (r < 0)
		return r;
	if (!(n->info->comparators & C_BIT(n->cmp)))
		return err_set(ps->e, E_USAGE, 0, "%s cannot be compared with '%.*s'",
			n->info->name, (int)(ps->p - cmp_at), cmp_at);
	r = take_value(ps, &value);
	if (r == 0 && memchr(value.p, 0, value.len - 1))
		r = err_set(ps->e, E_USAGE, 0, "the value of %s has a NUL in it", n->info->name);
	return r < 0 ? r : query_value(n, (const char *)value.p, ps->names, ps->e);
}

static int parse_filter(struct parser *ps, uint32_t *ret)
{
	struct qnode n = {.op = N_FILTER};
	int r = read_filter(ps, &n);
	if (r == 0)
		r = query_add_node(ps->q, n, ret, ps->e);
	if (r < 0)
		free_node(&n);
	return r;
}

/* ---- groups ---- */

static int parse_or(struct parser *ps, uint32_t *ret);

static int parse_group(struct parser *ps, uint32_t *ret)
{
	const char *at = ps->p++;
	int r = parse_or(ps, ret);
	skip_blanks(ps);
	if (r < 0)
		return r;
	if (*ps->p != ')')
		return *ps->p ? wrong(ps, ps->p, "AND, OR or ')'")
			      : err_set(ps->e, E_USAGE, 0,
					"the '(' at character %zu of the query is not closed",
					(size_t)(at - ps->text) + 1);
	ps->p++;
	return 0;
}

static int parse_not(struct parser *ps, uint32_t *ret)
{
	if (ps->depth == QUERY_NESTING_MAX)
		return err_set(ps->e, E_USAGE, 0, "the query is nested more than %d deep",
			QUERY_NESTING_MAX);
	ps->depth++;
	int r;
	if (take_operator(ps, "not", "!")) {
		struct qnode n = {.op = N_NOT};
		r = parse_not(ps, &n.left);
		if (r == 0)
			r = query_add_node(ps->q, n, ret, ps->e);
	} else if (*ps->p == '(') {
		r = parse_group(ps, ret);
	} else {
		r = parse_filter(ps, ret);
	}
	ps->depth--;
	return r;
}

static int parse_chain(struct parser *ps, enum node_op op, uint32_t *ret)
{
	int r = op == N_OR ? parse_chain(ps, N_AND, ret) : parse_not(ps, ret);
	while (r == 0 && take_operator(ps, op == N_OR ? "or" : "and", op == N_OR ? "||" : "&&")) {
		struct qnode n = {.op = op, .left = *ret};
		r = op == N_OR ? parse_chain(ps, N_AND, &n.right) : parse_not(ps, &n.right);
		if (r == 0)
			r = query_add_node(ps->q, n, ret, ps->e);
	}
	return r;
}

static int parse_or(struct parser *ps, uint32_t *ret)
{
	return parse_chain(ps, N_OR, ret);
}

int query_parse(struct query **ret, const char *text, struct query_names *names, struct err *e)
{
	struct parser ps = {.text = text, .p = text, .names = names, .e = e};
	if (strlen(text) > QUERY_TEXT_MAX)
		return err_set(e, E_USAGE, 0, "the query is longer than %d characters",
			QUERY_TEXT_MAX);
	skip_blanks(&ps);
	if (!*ps.p)
		return err_set(e, E_USAGE, 0,
			"the query is empty: it would be true for every chunk; if that is meant, "
			"say 'Size >= 0'");
	int r = query_new(&ps.q, e);
	if (r == 0)
		r = parse_or(&ps, &ps.q->root);
	skip_blanks(&ps);
	if (r == 0 && *ps.p)
		r = wrong(&ps, ps.p, "AND, OR or the end");
	if (r < 0) {
		query_free(ps.q);
		return r;
	}
	*ret = ps.q;
	return 0;
}
