/* One YAML text to nodes, from libyaml's events. */
#include "engine/config/yaml_internal.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "engine/base/cleanup.h"

#define MENDED_MAX 32

struct anchor {
	const char *name;
	const struct yaml_node *node;
};

struct reader {
	struct ydoc *y;
	yaml_parser_t parser;
	yaml_event_t ev; /* the current one */
	bool have;
	const char *file;
	unsigned depth;
	struct anchor *anchors;
	size_t n_anchors;
};

static unsigned line_of(const struct reader *rd)
{
	return (unsigned)rd->ev.start_mark.line + 1;
}

static int parse_failure(const struct reader *rd, struct err *e)
{
	const yaml_parser_t *p = &rd->parser;
	unsigned line = (unsigned)(p->problem_mark.line ? p->problem_mark.line : p->mark.line) + 1;
	if (p->error == YAML_MEMORY_ERROR)
		return err_set(e, E_NOMEM, 0, "no memory for a configuration");
	if (p->context)
		return ydoc_err_at(e, rd->file, line, "not valid YAML: %s, %s (of line %zu)",
			p->problem ? p->problem : "cannot be read", p->context,
			p->context_mark.line + 1);
	return ydoc_err_at(e, rd->file, line, "not valid YAML: %s",
		p->problem ? p->problem : "cannot be read");
}

static int next(struct reader *rd, struct err *e)
{
	if (rd->have)
		yaml_event_delete(&rd->ev);
	rd->have = yaml_parser_parse(&rd->parser, &rd->ev) != 0;
	return rd->have ? 0 : parse_failure(rd, e);
}

static struct yaml_node *new_node(struct reader *rd, enum yaml_kind kind, struct err *e)
{
	if (ydoc_charge(rd->y, 1, rd->file, line_of(rd), e) < 0)
		return NULL;
	struct yaml_node *n = ydoc_alloc(rd->y, sizeof *n, e);
	if (n)
		*n = (struct yaml_node){.kind = kind, .file = rd->file, .line = line_of(rd),
			.weight = 1, .height = kind != YAML_SCALAR};
	return n;
}

static int too_deep(struct reader *rd, unsigned line, struct err *e)
{
	return ydoc_err_at(e, rd->file, line, "maps and lists are nested more than %d deep",
		YAML_DEPTH_MAX);
}

/* ---- tags and anchors ---- */

static int read_tag(struct reader *rd, const yaml_char_t *tag, uint8_t *ret, bool *include,
	struct err *e)
{
	const char *t = (const char *)tag;
	*ret = 0;
	*include = false;
	if (!t || strcmp(t, "!") == 0 || strncmp(t, "tag:yaml.org,2002:", 18) == 0)
		return 0;
	if (strcmp(t, "!retain") == 0)
		*ret = MARK_RETAIN;
	else if (strcmp(t, "!omit") == 0)
		*ret = MARK_OMIT;
	else if (strcmp(t, "!include") == 0)
		*include = true;
	else
		return ydoc_err_at(e, rd->file, line_of(rd),
			"the tag %s means nothing here; there are !include, !retain and !omit", t);
	return 0;
}

static int remember_anchor(struct reader *rd, const char *name, const struct yaml_node *n,
	struct err *e)
{
	if (!name)
		return 0;
	if ((rd->n_anchors & (rd->n_anchors - 1)) == 0) {
		struct anchor *v = realloc(rd->anchors,
			(rd->n_anchors ? 2 * rd->n_anchors : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a configuration");
		rd->anchors = v;
	}
	rd->anchors[rd->n_anchors++] = (struct anchor){name, n};
	return 0;
}

/* The latest anchor of that name. An anchor counts from its value's end on, so that nothing can hold
 * itself. */
static int read_alias(struct reader *rd, const struct yaml_node **ret, struct err *e)
{
	const char *name = (const char *)rd->ev.data.alias.anchor;
	for (size_t i = rd->n_anchors; i-- > 0;)
		if (strcmp(rd->anchors[i].name, name) == 0) {
			const struct yaml_node *n = rd->anchors[i].node;
			if (rd->depth + n->height > YAML_DEPTH_MAX)
				return too_deep(rd, line_of(rd), e);
			*ret = n;
			return ydoc_charge(rd->y, n->weight, rd->file, line_of(rd), e);
		}
	return ydoc_err_at(e, rd->file, line_of(rd), "there is no anchor &%s before this alias", name);
}

/* ---- nodes ---- */

static int read_node(struct reader *rd, const struct yaml_node **ret, struct err *e);

static int check_scalar(struct reader *rd, struct err *e)
{
	const char *v = (const char *)rd->ev.data.scalar.value;
	if (strlen(v) != rd->ev.data.scalar.length)
		return ydoc_err_at(e, rd->file, line_of(rd), "a value holds a NUL character");
	return 0;
}

static int read_scalar(struct reader *rd, struct yaml_node **ret, struct err *e)
{
	uint8_t mark;
	bool include;
	int r = check_scalar(rd, e);
	if (r == 0)
		r = read_tag(rd, rd->ev.data.scalar.tag, &mark, &include, e);
	if (r < 0)
		return r;
	unsigned line = line_of(rd);
	char *text = ydoc_strndup(rd->y, (char *)rd->ev.data.scalar.value,
		rd->ev.data.scalar.length, e);
	if (!text)
		return E_NOMEM;
	if (include) {
		r = ydoc_include(rd->y, rd->file, line, text, ret, e);
		if (r == 0 && rd->depth + (*ret)->height > YAML_DEPTH_MAX)
			r = too_deep(rd, line, e);
		if (r == 0)
			(*ret)->mark |= MARK_INCLUDED;
		return r;
	}
	struct yaml_node *n = new_node(rd, YAML_SCALAR, e);
	if (!n)
		return E_USAGE;
	n->plain = rd->ev.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->mark = mark;
	*ret = n;
	return ydoc_expand(rd->y, text, rd->file, line, &n->text, e);
}

/* Entries collect in a plain buffer and go to the arena when the collection ends. */
static int add_entry(struct buf *b, struct yaml_node *n, const struct yaml_entry *en, struct err *e)
{
	n->n++;
	n->weight += en->value->weight;
	if (en->value->height >= n->height)
		n->height = en->value->height + 1;
	return buf_add(b, en, sizeof *en, e);
}

static int keep_entries(struct reader *rd, struct yaml_node *n, const struct buf *b, struct err *e)
{
	struct yaml_entry *v = ydoc_alloc(rd->y, b->len, e);
	if (!v)
		return E_NOMEM;
	if (b->len)
		memcpy(v, b->p, b->len);
	n->v = v;
	return 0;
}

static int read_list(struct reader *rd, struct yaml_node *n, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = next(rd, e);
	while (r == 0 && rd->ev.type != YAML_SEQUENCE_END_EVENT) {
		struct yaml_entry en = {.file = rd->file, .line = line_of(rd)};
		r = read_node(rd, &en.value, e);
		if (r == 0)
			r = add_entry(&b, n, &en, e);
		if (r == 0)
			r = next(rd, e);
	}
	return r < 0 ? r : keep_entries(rd, n, &b, e);
}

/* Sorting finds a key that is there twice without comparing all with all. */
static int by_key(const void *a, const void *b)
{
	const struct yaml_entry *x = a, *y = b;
	int c = strcmp(x->key, y->key);
	return c ? c : (x->line > y->line) - (x->line < y->line);
}

static int check_twice(struct reader *rd, const struct buf *b, size_t n, struct err *e)
{
	if (n < 2)
		return 0;
	CLEANUP_BUF struct buf copy = BUF_INIT;
	int r = buf_add(&copy, b->p, b->len, e);
	if (r < 0)
		return r;
	struct yaml_entry *v = (struct yaml_entry *)copy.p;
	qsort(v, n, sizeof *v, by_key);
	for (size_t i = 1; i < n; i++)
		if (strcmp(v[i].key, v[i - 1].key) == 0 && strcmp(v[i].key, "<<") != 0)
			return ydoc_err_at(e, rd->file, v[i].line,
				"'%s' is here twice (the first time in line %u)", v[i].key,
				v[i - 1].line);
	return 0;
}

static int read_key(struct reader *rd, struct yaml_entry *en, struct err *e)
{
	if (rd->ev.type != YAML_SCALAR_EVENT)
		return ydoc_err_at(e, rd->file, line_of(rd), "a key is a map, list or alias; only plain "
			"text can be a key");
	int r = check_scalar(rd, e);
	if (r < 0)
		return r;
	en->file = rd->file;
	en->line = line_of(rd);
	en->key = ydoc_strndup(rd->y, (char *)rd->ev.data.scalar.value, rd->ev.data.scalar.length,
		e);
	return en->key ? 0 : E_NOMEM;
}

/* `<<: !include [a, b]`: the tag stands before a list. Its items become what they name. */
static int include_items(struct reader *rd, struct yaml_node *n, struct err *e)
{
	struct yaml_entry *v = (struct yaml_entry *)n->v;
	for (size_t i = 0; i < n->n; i++) {
		struct yaml_node *file;
		const char *path;
		int r = ydoc_string(v[i].value, "the file of !include", &path, e);
		if (r == 0)
			r = ydoc_include(rd->y, rd->file, v[i].line, path, &file, e);
		if (r == 0 && rd->depth + file->height > YAML_DEPTH_MAX)
			r = too_deep(rd, v[i].line, e);
		if (r < 0)
			return r;
		file->mark |= MARK_INCLUDED;
		v[i].value = file;
		n->weight += file->weight;
		if (file->height >= n->height)
			n->height = file->height + 1;
	}
	return 0;
}

static int read_map(struct reader *rd, struct yaml_node *n, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	bool merges = false;
	int r = next(rd, e);
	while (r == 0 && rd->ev.type != YAML_MAPPING_END_EVENT) {
		struct yaml_entry en = {0};
		r = read_key(rd, &en, e);
		if (r == 0)
			r = next(rd, e);
		if (r == 0)
			r = read_node(rd, &en.value, e);
		if (r == 0)
			r = add_entry(&b, n, &en, e);
		if (r == 0)
			r = next(rd, e);
		merges = merges || (r == 0 && strcmp(en.key, "<<") == 0);
	}
	if (r == 0)
		r = check_twice(rd, &b, n->n, e);
	if (r == 0)
		r = keep_entries(rd, n, &b, e);
	return r == 0 && merges ? ydoc_merge_keys(rd->y, n, e) : r;
}

static int read_collection(struct reader *rd, enum yaml_kind kind, struct yaml_node **ret,
	struct err *e)
{
	bool list = kind == YAML_LIST, include;
	uint8_t mark;
	if (rd->depth == YAML_DEPTH_MAX)
		return too_deep(rd, line_of(rd), e);
	int r = read_tag(rd, list ? rd->ev.data.sequence_start.tag : rd->ev.data.mapping_start.tag,
		&mark, &include, e);
	if (r < 0)
		return r;
	struct yaml_node *n = new_node(rd, kind, e);
	if (!n)
		return E_USAGE;
	n->mark = mark;
	rd->depth++;
	r = list ? read_list(rd, n, e) : read_map(rd, n, e);
	if (r == 0 && include && !list)
		r = ydoc_err(e, n, "!include wants the name of a file, or a list of names");
	else if (r == 0 && include)
		r = include_items(rd, n, e);
	rd->depth--;
	*ret = n;
	return r;
}

static const char *anchor_name(struct reader *rd)
{
	const yaml_event_t *ev = &rd->ev;
	const yaml_char_t *a = ev->type == YAML_SCALAR_EVENT ? ev->data.scalar.anchor
			     : ev->type == YAML_SEQUENCE_START_EVENT
				     ? ev->data.sequence_start.anchor
				     : ev->data.mapping_start.anchor;
	return (const char *)a;
}

/* The node that begins with the current event. Afterwards the current event is its last. */
static int read_node(struct reader *rd, const struct yaml_node **ret, struct err *e)
{
	struct yaml_node *n = NULL;
	if (rd->ev.type == YAML_ALIAS_EVENT)
		return read_alias(rd, ret, e);
	const char *name = anchor_name(rd);
	if (name) {
		name = ydoc_strndup(rd->y, name, strlen(name), e);
		if (!name)
			return E_NOMEM;
	}
	/* new_node() tells the code only in `e`, which may be NULL: have one of our own. */
	struct err own = ERR_INIT;
	int r;
	if (rd->ev.type == YAML_SCALAR_EVENT)
		r = read_scalar(rd, &n, &own);
	else
		r = read_collection(rd,
			rd->ev.type == YAML_SEQUENCE_START_EVENT ? YAML_LIST : YAML_MAP, &n, &own);
	if (r < 0)
		return err_pass(e, &own);
	*ret = n;
	return remember_anchor(rd, name, n, e);
}

static int read_document(struct reader *rd, struct yaml_node **ret, struct err *e)
{
	const struct yaml_node *root = NULL;
	int r = next(rd, e); /* the stream begins */
	if (r == 0)
		r = next(rd, e);
	if (r == 0 && rd->ev.type == YAML_DOCUMENT_START_EVENT) {
		r = next(rd, e);
		if (r == 0)
			r = read_node(rd, &root, e);
		if (r == 0)
			r = next(rd, e); /* the document ends */
		if (r == 0)
			r = next(rd, e);
		if (r == 0 && rd->ev.type != YAML_STREAM_END_EVENT)
			r = ydoc_err_at(e, rd->file, line_of(rd), "a second document begins here; there "
				"may be only one in a file");
	}
	if (r == 0 && ydoc_is_null(root)) {
		struct yaml_node *n = ydoc_alloc(rd->y, sizeof *n, e);
		if (!n)
			return E_NOMEM;
		*n = (struct yaml_node){.kind = YAML_MAP, .file = rd->file, .line = 1, .weight = 1,
			.height = 1};
		root = n;
	}
	/* The root of a file is nobody else's yet: an include marks it. */
	*ret = (struct yaml_node *)root;
	return r;
}

static int read_text(struct ydoc *y, struct span text, const char *name, struct yaml_node **ret,
	bool *ret_syntax, struct err *e)
{
	struct reader rd = {.y = y, .file = name};
	if (!yaml_parser_initialize(&rd.parser))
		return err_set(e, E_NOMEM, 0, "no memory for a configuration");
	yaml_parser_set_encoding(&rd.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&rd.parser, text.p ? text.p : (const uint8_t *)"", text.n);
	int r = read_document(&rd, ret, e);
	*ret_syntax = r < 0 && rd.parser.error != YAML_NO_ERROR;
	if (rd.have)
		yaml_event_delete(&rd.ev);
	yaml_parser_delete(&rd.parser);
	free(rd.anchors);
	return r;
}

int ydoc_read(struct ydoc *y, struct span text, const char *name, struct yaml_node **ret,
	struct err *e)
{
	CLEANUP_BUF struct buf mended = BUF_INIT;
	unsigned lines[MENDED_MAX];
	size_t n;
	bool syntax;
	struct err first = ERR_INIT, second = ERR_INIT;
	/* Editors on Windows begin a file with a byte order mark. libyaml skips it only where it is free to
	 * guess the encoding. */
	if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
		text = (struct span){text.p + 3, text.n - 3};
	int r = read_text(y, text, name, ret, &syntax, &first);
	if (r < 0 && syntax && ydoc_mend(text, &mended, lines, MENDED_MAX, &n, &second) == 0 && n) {
		r = read_text(y, buf_span(&mended), name, ret, &syntax, &second);
		for (size_t i = 0; r == 0 && i < n; i++)
			r = ydoc_note(&y->mended, &y->n_mended,
				(struct yaml_note){NULL, name, lines[i]}, &first);
		/* When mending did not help, the text as it stands is what is to be talked about. */
		if (r < 0 && !syntax && first.code != E_NOMEM)
			first = second;
	}
	if (r < 0 && e)
		*e = first;
	return r < 0 ? first.code : 0;
}
