/* Variables of the environment in scalars. */
#include "engine/config/yaml_internal.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define EXPANDED_MAX ((size_t)64 << 10)

static bool is_name(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static const char *look_up(struct ydoc *y, const char *name)
{
	return y->opt.env ? y->opt.env(y->opt.ctx, name) : getenv(name);
}

/* `p` is behind "${". Appends the value and moves behind "}". A text that is no variable ("${" in
 * a shell's own syntax) stays as it is. */
static int one_variable(struct ydoc *y, const char **p, struct buf *out, const char *file,
	unsigned line, struct err *e)
{
	const char *s = *p, *end = s;
	while (is_name(*end))
		end++;
	const char *fall = NULL, *close = end;
	if (end > s && (*end == '-' || (end[0] == ':' && end[1] == '-'))) {
		fall = end + (*end == ':' ? 2 : 1);
		close = strchr(fall, '}');
	}
	if (end == s || !close || *close != '}')
		return buf_add(out, "${", 2, e);
	char *name = ydoc_strndup(y, s, (size_t)(end - s), e);
	if (!name)
		return E_NOMEM;
	const char *value = look_up(y, name);
	if (fall && (!value || (*end == ':' && !*value))) {
		*p = close + 1;
		return buf_add(out, fall, (size_t)(close - fall), e);
	}
	if (!value && !y->opt.allow_unset)
		return ydoc_err_at(e, file, line,
			"the variable %s is not set in the environment (a default is given as "
			"${%s:-default})", name, name);
	if (!value) {
		int r = ydoc_note(&y->unset, &y->n_unset, (struct yaml_note){name, file, line}, e);
		return r < 0 ? r : buf_add(out, "${", 2, e);
	}
	*p = close + 1;
	return buf_add(out, value, strlen(value), e);
}

int ydoc_expand(struct ydoc *y, const char *text, const char *file, unsigned line, const char **ret,
	struct err *e)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	int r = 0;
	*ret = text;
	if (!strstr(text, "${"))
		return 0;
	for (const char *p = text; *p && r == 0;) {
		const char *d = strstr(p, "${");
		if (!d)
			d = p + strlen(p);
		bool escaped = *d && d > p && d[-1] == '\\';
		r = buf_add(&out, p, (size_t)(d - p) - escaped, e);
		p = d;
		if (*d)
			p += 2;
		if (r == 0 && escaped)
			r = buf_add(&out, "${", 2, e);
		else if (r == 0 && *d)
			r = one_variable(y, &p, &out, file, line, e);
		if (r == 0 && out.len > EXPANDED_MAX)
			r = ydoc_err_at(e, file, line, "with its variables this is longer than %zu "
				"bytes", EXPANDED_MAX);
	}
	if (r < 0)
		return r;
	*ret = ydoc_strndup(y, out.len ? (char *)out.p : "", out.len, e);
	return *ret ? 0 : E_NOMEM;
}
