/* Commands in lists that YAML cannot read as they stand.
 *
 *     on_error:
 *         - echo "failed: {error}"
 *
 * The colon makes this a key in front of an unclosed quote. People write it, and what they mean is plain. When a text
 * is not YAML, list items like that are put in quotes as a whole, and the text is tried again. */
#include "engine/config/yaml_internal.h"

#include <string.h>

static size_t indent_of(const char *s, size_t n)
{
	size_t i = 0;
	while (i < n && s[i] == ' ')
		i++;
	return i;
}

/* A line that ends in | or > (with + - or a digit): what is indented below it is text. */
static bool begins_block(const char *s, size_t n)
{
	while (n && strchr(" \t\r+-0123456789", s[n - 1]))
		n--;
	return n > 1 && (s[n - 1] == '|' || s[n - 1] == '>') && (s[n - 2] == ' ' || s[n - 2] == ':');
}

/* The start of a list item's plain text in which a quote is open where ": " stands; or n. */
static size_t broken_item(const char *s, size_t n)
{
	size_t at = indent_of(s, n);
	char open = 0;
	if (at + 2 >= n || s[at] != '-' || s[at + 1] != ' ')
		return n;
	at += 2;
	at += indent_of(s + at, n - at);
	if (at == n || strchr("\"'[]{}>|*&!%#`@,?-", s[at]))
		return n;
	for (size_t i = at; i + 1 < n; i++) {
		if (open && s[i] == ':' && s[i + 1] == ' ')
			return at;
		if (s[i] == open)
			open = 0;
		else if (!open && (s[i] == '"' || s[i] == '\'') && (s[i - 1] == ' ' || s[i - 1] == '='))
			open = s[i];
	}
	return n;
}

static int add_quoted(struct buf *out, const char *s, size_t n, struct err *e)
{
	int r = buf_add(out, "'", 1, e);
	while (n && strchr(" \t\r", s[n - 1]))
		n--;
	for (size_t i = 0; i < n && r == 0; i++)
		r = buf_add(out, s[i] == '\'' ? "''" : s + i, s[i] == '\'' ? 2 : 1, e);
	return r < 0 ? r : buf_add(out, "'", 1, e);
}

int ydoc_mend(struct span text, struct buf *out, unsigned *lines, size_t most, size_t *ret_n,
	struct err *e)
{
	const char *s = (const char *)text.p, *end = s + text.n;
	size_t block = SIZE_MAX; /* indentation of the line that began a block of text */
	int r = 0;
	*ret_n = 0;
	for (unsigned line = 1; s < end && r == 0; line++) {
		const char *nl = memchr(s, '\n', (size_t)(end - s));
		size_t n = nl ? (size_t)(nl - s) : (size_t)(end - s), indent = indent_of(s, n);
		if (block != SIZE_MAX && indent < n && indent <= block)
			block = SIZE_MAX;
		size_t at = block == SIZE_MAX && *ret_n < most ? broken_item(s, n) : n;
		r = buf_add(out, s, at, e);
		if (r == 0 && at < n) {
			lines[(*ret_n)++] = line;
			r = add_quoted(out, s + at, n - at, e);
		}
		if (block == SIZE_MAX && begins_block(s, n))
			block = indent;
		if (r == 0 && nl)
			r = buf_add(out, "\n", 1, e);
		s += n + (nl != NULL);
	}
	return r;
}
