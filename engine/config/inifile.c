#include "engine/config/inifile.h"

#include <string.h>

#include "engine/base/cleanup.h"

struct reader {
	const uint8_t *p, *end;
	int line;
	struct buf section, sub, key, value; /* each ends with a 0 */
	bool has_section, has_sub;
	bool (*is_command)(const char *key);
	struct err *e;
};

static int wrong(const struct reader *r, const char *what)
{
	return err_set(r->e, E_FORMAT, 0, "line %d: %s", r->line, what);
}

static int peek(const struct reader *r)
{
	return r->p < r->end ? *r->p : -1;
}

static bool at_line_end(const struct reader *r)
{
	int c = peek(r);
	return c < 0 || c == '\n' || (c == '\r' && (r->p + 1 == r->end || r->p[1] == '\n'));
}

static void skip_blanks(struct reader *r)
{
	while (peek(r) == ' ' || peek(r) == '\t')
		r->p++;
}

static void skip_line(struct reader *r)
{
	while (r->p < r->end && *r->p != '\n')
		r->p++;
	if (r->p < r->end) {
		r->p++;
		r->line++;
	}
}

static bool is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int add(struct reader *r, struct buf *b, int c)
{
	char ch = (char)c;
	return buf_add(b, &ch, 1, r->e);
}

/* Letters, digits and hyphens, from a letter on, in lower case. */
static int read_name(struct reader *r, struct buf *b)
{
	int rc;
	b->len = 0;
	for (int c; (c = peek(r)) >= 0; r->p++) {
		if (!is_letter(c) && !(b->len && (c == '-' || (c >= '0' && c <= '9'))))
			break;
		rc = add(r, b, c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
		if (rc < 0)
			return rc;
	}
	return add(r, b, 0);
}

/* [section] or [section "sub"]; the reader stands behind the [. */
static int read_section(struct reader *r)
{
	int rc;
	skip_blanks(r);
	rc = read_name(r, &r->section);
	if (rc < 0)
		return rc;
	if (r->section.len == 1)
		return wrong(r, "behind [ stands a section's name");
	r->has_section = true;
	r->has_sub = false;
	r->sub.len = 0;
	skip_blanks(r);
	if (peek(r) == '"') {
		r->has_sub = true;
		for (r->p++; peek(r) != '"'; r->p++) {
			if (at_line_end(r))
				return wrong(r, "the section's name has no closing quote");
			if (*r->p == '\\' && r->p + 1 < r->end && r->p[1] != '\n')
				r->p++;
			if (*r->p == 0)
				return wrong(r, "a zero byte");
			rc = add(r, &r->sub, *r->p);
			if (rc < 0)
				return rc;
		}
		r->p++;
		skip_blanks(r);
	}
	if (peek(r) != ']')
		return wrong(r, "a section is [name] or [name \"job\"]");
	r->p++;
	skip_blanks(r);
	if (!at_line_end(r) && peek(r) != '#' && peek(r) != ';')
		return wrong(r, "something stands behind the section");
	return add(r, &r->sub, 0);
}

static int escaped(int c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case '"':
	case '\\':
		return c;
	default:
		return -1;
	}
}

/* Whether the value that begins here is one quoted text, and nothing behind it but a comment. */
static bool all_quoted(const struct reader *r)
{
	const uint8_t *p = r->p;
	if (p == r->end || *p++ != '"')
		return false;
	for (; p < r->end && *p != '"'; p++)
		if (*p == '\n' || (*p == '\\' && ++p == r->end))
			return false;
	if (p == r->end)
		return false;
	for (p++; p < r->end && (*p == ' ' || *p == '\t' || *p == '\r');)
		p++;
	return p == r->end || *p == '\n' || *p == '#' || *p == ';';
}

/* Behind a backslash: the line goes on, or one character is written in two. Returns the character,
 * 0 for nothing, or a failure. */
static int read_escape(struct reader *r)
{
	if (peek(r) == '\r' && r->p + 1 < r->end && r->p[1] == '\n')
		r->p++;
	if (peek(r) == '\n') {
		r->p++;
		r->line++;
		return 0;
	}
	int c = escaped(peek(r));
	if (c < 0)
		return wrong(r, "behind \\ stands one of \\ \" n t b (write \\\\ for a \\)");
	r->p++;
	return c;
}

/* Everything behind the = up to the line's end or a comment. `quote` is the quote that is open; in a
 * `command` quotes are kept as they stand. */
static int read_value(struct reader *r, bool command, struct inifile_item *item)
{
	int quote = 0, rc;
	size_t keep = 0; /* without the blanks at the end */
	r->value.len = 0;
	while (quote ? peek(r) >= 0 : !at_line_end(r)) {
		int c = *r->p++;
		if (c == 0)
			return wrong(r, "a zero byte");
		if (c == '\n')
			return wrong(r, "the value has no closing quote");
		if (!quote && (c == '#' || c == ';')) {
			item->glued_comment = r->value.len && r->value.len == keep;
			break;
		}
		bool is_quote = quote ? c == quote : c == '"' || (command && c == '\'');
		if (is_quote)
			quote = quote ? 0 : c;
		if (is_quote && !command) {
			keep = r->value.len;
			continue;
		}
		if (c == '\\' && command && quote) {
			/* The shell words decide what it means; here it only hides a quote. */
			if (quote == '"' && peek(r) == '"') {
				rc = add(r, &r->value, c);
				if (rc < 0)
					return rc;
				c = *r->p++;
			}
		} else if (c == '\\') {
			c = read_escape(r);
			if (c < 0)
				return c;
			if (c == 0)
				continue;
		}
		rc = add(r, &r->value, c);
		if (rc < 0)
			return rc;
		if (quote || (c != ' ' && c != '\t'))
			keep = r->value.len;
	}
	if (quote)
		return wrong(r, "the value has no closing quote");
	r->value.len = keep;
	return add(r, &r->value, 0);
}

static int read_key(struct reader *r, struct inifile_item *item)
{
	int rc = read_name(r, &r->key);
	if (rc < 0)
		return rc;
	if (r->key.len == 1)
		return wrong(r, "neither a [section] nor a key (letters, digits and -)");
	if (!r->has_section)
		return wrong(r, "a key before the first [section]");
	skip_blanks(r);
	int c = peek(r);
	if (at_line_end(r) || c == '#' || c == ';') {
		r->value.len = 0;
		return buf_add(&r->value, "true", 5, r->e);
	}
	if (c != '=')
		return wrong(r, "behind a key stands =");
	r->p++;
	skip_blanks(r);
	bool command = r->is_command && r->is_command((const char *)r->key.p) && !all_quoted(r);
	return read_value(r, command, item);
}

static int read_line(struct reader *r,
	int (*fn)(void *ctx, const struct inifile_item *, struct err *), void *ctx)
{
	struct inifile_item item = {.line = r->line};
	bool is_section;
	skip_blanks(r);
	int c = peek(r), rc;
	if (at_line_end(r) || c == '#' || c == ';') {
		skip_line(r);
		return 0;
	}
	is_section = c == '[';
	if (is_section) {
		r->p++;
		rc = read_section(r);
	} else {
		rc = read_key(r, &item);
	}
	if (rc < 0)
		return rc;
	item.section = (const char *)r->section.p;
	item.sub = r->has_sub ? (const char *)r->sub.p : NULL;
	if (!is_section) {
		item.key = (const char *)r->key.p;
		item.value = (const char *)r->value.p;
	}
	rc = fn(ctx, &item, r->e);
	if (rc < 0)
		return rc;
	skip_line(r);
	return 0;
}

int inifile_read(struct span text, bool (*is_command)(const char *key),
	int (*fn)(void *ctx, const struct inifile_item *, struct err *), void *ctx, struct err *e)
{
	struct reader r = {.p = text.p, .end = span_end(text), .line = 1,
		.is_command = is_command, .e = e};
	int rc = 0;
	if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
		r.p += 3;
	while (rc == 0 && r.p < r.end)
		rc = read_line(&r, fn, ctx);
	buf_free(&r.section);
	buf_free(&r.sub);
	buf_free(&r.key);
	buf_free(&r.value);
	return rc;
}
