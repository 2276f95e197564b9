#include "nbt_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK ((size_t)256 * 1024)
#define MAX_DEPTH 512

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t mem[];
};

void *arena_alloc(struct arena *a, size_t n)
{
	if (n > SIZE_MAX / 4)
		die("out of memory");
	n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	struct arena_block *b = a->blocks;
	if (!b || b->size - b->used < n) {
		size_t size = n > ARENA_BLOCK ? n : ARENA_BLOCK;
		b = xmalloc(sizeof *b + size);
		*b = (struct arena_block){.next = a->blocks, .size = size};
		a->blocks = b;
	}
	void *p = (uint8_t *)b->mem + b->used;
	b->used += n;
	return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof line)
		die("a line of text is too long");
	char *s = arena_alloc(a, (size_t)n + 1);
	memcpy(s, line, (size_t)n + 1);
	return s;
}

void arena_free(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *b = a->blocks;
		a->blocks = b->next;
		free(b);
	}
}

static struct nbt *node(struct arena *a, struct nbt *in, const char *name, enum nbt_type t)
{
	struct nbt *n = arena_alloc(a, sizeof *n);
	*n = (struct nbt){.type = (uint8_t)t, .name = name};
	n->name_len = (uint16_t)(name ? strlen(name) : 0);
	if (!in)
		return n;
	if (in->type == NBT_LIST && in->elem == NBT_END)
		in->elem = n->type;
	if (in->u.kids.last)
		in->u.kids.last->next = n;
	else
		in->u.kids.first = n;
	in->u.kids.last = n;
	in->count++;
	return n;
}

struct nbt *nbt_root(struct arena *a)
{
	return node(a, NULL, NULL, NBT_COMPOUND);
}

struct nbt *nbt_int(struct arena *a, struct nbt *in, const char *name, enum nbt_type t, int64_t v)
{
	struct nbt *n = node(a, in, name, t);
	n->u.i = v;
	return n;
}

struct nbt *nbt_float(struct arena *a, struct nbt *in, const char *name, float v)
{
	struct nbt *n = node(a, in, name, NBT_FLOAT);
	n->u.f = v;
	return n;
}

struct nbt *nbt_double(struct arena *a, struct nbt *in, const char *name, double v)
{
	struct nbt *n = node(a, in, name, NBT_DOUBLE);
	n->u.d = v;
	return n;
}

struct nbt *nbt_str(struct arena *a, struct nbt *in, const char *name, const char *v)
{
	struct nbt *n = node(a, in, name, NBT_STRING);
	n->u.raw.p = (uint8_t *)(uintptr_t)v;
	n->u.raw.n = strlen(v);
	return n;
}

struct nbt *nbt_list(struct arena *a, struct nbt *in, const char *name)
{
	return node(a, in, name, NBT_LIST);
}

struct nbt *nbt_compound(struct arena *a, struct nbt *in, const char *name)
{
	return node(a, in, name, NBT_COMPOUND);
}

static size_t elem_size(uint8_t t)
{
	return t == NBT_LONGS ? 8 : t == NBT_INTS ? 4 : 1;
}

struct nbt *nbt_array(
	struct arena *a, struct nbt *in, const char *name, enum nbt_type t, size_t count)
{
	struct nbt *n = node(a, in, name, t);
	n->u.raw.n = count * elem_size(n->type);
	n->u.raw.p = arena_alloc(a, n->u.raw.n);
	memset(n->u.raw.p, 0, n->u.raw.n);
	return n;
}

struct nbt *nbt_ints(struct arena *a, struct nbt *in, const char *name, size_t n, const int32_t *v)
{
	struct nbt *t = nbt_array(a, in, name, NBT_INTS, n);
	for (size_t i = 0; i < n; i++)
		be32_put(t->u.raw.p + 4 * i, (uint32_t)v[i]);
	return t;
}

void nbt_doubles(struct arena *a, struct nbt *in, const char *name, size_t n, const double *v)
{
	struct nbt *l = nbt_list(a, in, name);
	for (size_t i = 0; i < n; i++)
		nbt_double(a, l, NULL, v[i]);
}

void nbt_floats(struct arena *a, struct nbt *in, const char *name, size_t n, const float *v)
{
	struct nbt *l = nbt_list(a, in, name);
	for (size_t i = 0; i < n; i++)
		nbt_float(a, l, NULL, v[i]);
}

struct nbt *nbt_get(const struct nbt *in, const char *name)
{
	if (!in || in->type != NBT_COMPOUND)
		return NULL;
	size_t len = strlen(name);
	for (struct nbt *k = in->u.kids.first; k; k = k->next)
		if (k->name_len == len && !memcmp(k->name, name, len))
			return k;
	return NULL;
}

struct nbt *nbt_get_type(const struct nbt *in, const char *name, enum nbt_type t)
{
	struct nbt *n = nbt_get(in, name);
	return n && n->type == t ? n : NULL;
}

struct nbt *nbt_at(const struct nbt *in, uint32_t n)
{
	if (!in || (in->type != NBT_LIST && in->type != NBT_COMPOUND))
		return NULL;
	struct nbt *k = in->u.kids.first;
	while (k && n--)
		k = k->next;
	return k;
}

bool nbt_str_is(const struct nbt *n, const char *s)
{
	return n && n->type == NBT_STRING && n->u.raw.n == strlen(s) &&
	       !memcmp(n->u.raw.p, s, n->u.raw.n);
}

void nbt_remove(struct nbt *in, struct nbt *child)
{
	struct nbt *prev = NULL;
	for (struct nbt *k = in->u.kids.first; k; prev = k, k = k->next) {
		if (k != child)
			continue;
		if (prev)
			prev->next = k->next;
		else
			in->u.kids.first = k->next;
		if (in->u.kids.last == k)
			in->u.kids.last = prev;
		in->count--;
		return;
	}
}

static uint32_t java_hash(const struct nbt *n)
{
	uint32_t h = 0;
	for (uint16_t i = 0; i < n->name_len; i++)
		h = h * 31 + (uint8_t)n->name[i];
	return h ^ h >> 16;
}

/* A HashMap doubles its table when more than three quarters full and keeps the order of insertion
 * within a bucket. */
static void order_compound(struct arena *a, struct nbt *n)
{
	uint32_t table = 16;
	while (n->count > table / 4 * 3)
		table *= 2;
	struct nbt **sorted = arena_alloc(a, n->count * sizeof(struct nbt *));
	uint32_t count = 0;
	for (struct nbt *k = n->u.kids.first; k; k = k->next) {
		uint32_t at = count++, bucket = java_hash(k) & (table - 1);
		for (; at && (java_hash(sorted[at - 1]) & (table - 1)) > bucket; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = k;
	}
	for (uint32_t i = 0; i < count; i++)
		sorted[i]->next = i + 1 < count ? sorted[i + 1] : NULL;
	n->u.kids.first = count ? sorted[0] : NULL;
	n->u.kids.last = count ? sorted[count - 1] : NULL;
}

void nbt_java_order(struct arena *a, struct nbt *n)
{
	if (n->type == NBT_COMPOUND)
		order_compound(a, n);
	else if (n->type != NBT_LIST)
		return;
	for (struct nbt *k = n->u.kids.first; k; k = k->next)
		nbt_java_order(a, k);
}

/* What is left to parse; `bad` is set once and then everything reads as zero. */
struct parser {
	struct arena *a;
	uint8_t *p;
	size_t n;
	bool bad;
};

static uint8_t *take(struct parser *s, size_t n)
{
	static uint8_t zero[8];
	if (s->bad || n > s->n) {
		s->bad = true;
		s->n = 0;
		return n <= sizeof zero ? zero : NULL;
	}
	uint8_t *p = s->p;
	s->p += n;
	s->n -= n;
	return p;
}

static int64_t take_int(struct parser *s, size_t n)
{
	const uint8_t *p = take(s, n);
	switch (n) {
	case 1:
		return (int8_t)p[0];
	case 2:
		return (int16_t)(p[0] << 8 | p[1]);
	case 4:
		return (int32_t)be32_get(p);
	default:
		return (int64_t)be64_get(p);
	}
}

static void parse_payload(struct parser *s, struct nbt *n, int depth);

static void parse_list(struct parser *s, struct nbt *n, int depth)
{
	n->elem = (uint8_t)take_int(s, 1);
	int64_t count = take_int(s, 4);
	if (count > 0 && n->elem == NBT_END)
		s->bad = true;
	for (int64_t i = 0; i < count && !s->bad; i++)
		parse_payload(s, node(s->a, n, NULL, n->elem), depth + 1);
}

static void parse_compound(struct parser *s, struct nbt *n, int depth)
{
	for (;;) {
		uint8_t t = *take(s, 1);
		if (s->bad || t == NBT_END)
			return;
		uint16_t len = (uint16_t)take_int(s, 2);
		const char *name = (const char *)take(s, len);
		struct nbt *k = node(s->a, n, NULL, t);
		k->name = name;
		k->name_len = len;
		parse_payload(s, k, depth + 1);
	}
}

static void parse_raw(struct parser *s, struct nbt *n, int64_t count)
{
	if (count < 0 || (uint64_t)count > s->n) {
		s->bad = true;
		return;
	}
	n->u.raw.n = (size_t)count * elem_size(n->type);
	n->u.raw.p = take(s, n->u.raw.n);
}

static void parse_payload(struct parser *s, struct nbt *n, int depth)
{
	uint64_t bits;
	if (depth > MAX_DEPTH) {
		s->bad = true;
		return;
	}
	switch (n->type) {
	case NBT_BYTE:
	case NBT_SHORT:
	case NBT_INT:
	case NBT_LONG:
		n->u.i = take_int(s, (size_t)1 << (n->type - NBT_BYTE));
		break;
	case NBT_FLOAT: {
		uint32_t b32 = (uint32_t)take_int(s, 4);
		memcpy(&n->u.f, &b32, 4);
		break;
	}
	case NBT_DOUBLE:
		bits = (uint64_t)take_int(s, 8);
		memcpy(&n->u.d, &bits, 8);
		break;
	case NBT_STRING:
		parse_raw(s, n, (uint16_t)take_int(s, 2));
		break;
	case NBT_BYTES:
	case NBT_INTS:
	case NBT_LONGS:
		parse_raw(s, n, take_int(s, 4));
		break;
	case NBT_LIST:
		parse_list(s, n, depth);
		break;
	case NBT_COMPOUND:
		parse_compound(s, n, depth);
		break;
	default:
		s->bad = true;
	}
}

struct nbt *nbt_parse(struct arena *a, uint8_t *p, size_t n)
{
	struct parser s = {.a = a, .p = p, .n = n};
	if (take_int(&s, 1) != NBT_COMPOUND)
		return NULL;
	uint16_t len = (uint16_t)take_int(&s, 2);
	const char *name = (const char *)take(&s, len);
	struct nbt *root = nbt_root(a);
	root->name = name;
	root->name_len = len;
	parse_payload(&s, root, 0);
	return s.bad || s.n ? NULL : root;
}

static void put_int(struct bytes *out, uint64_t v, size_t n)
{
	uint8_t b[8];
	be64_put(b, v);
	bytes_add(out, b + 8 - n, n);
}

static void put_payload(struct bytes *out, const struct nbt *n);

static void put_named(struct bytes *out, const struct nbt *n)
{
	put_int(out, n->type, 1);
	put_int(out, n->name_len, 2);
	bytes_add(out, n->name, n->name_len);
	put_payload(out, n);
}

static void put_payload(struct bytes *out, const struct nbt *n)
{
	uint64_t bits = 0;
	switch (n->type) {
	case NBT_BYTE:
	case NBT_SHORT:
	case NBT_INT:
	case NBT_LONG:
		put_int(out, (uint64_t)n->u.i, (size_t)1 << (n->type - NBT_BYTE));
		break;
	case NBT_FLOAT: {
		uint32_t b32;
		memcpy(&b32, &n->u.f, 4);
		put_int(out, b32, 4);
		break;
	}
	case NBT_DOUBLE:
		memcpy(&bits, &n->u.d, 8);
		put_int(out, bits, 8);
		break;
	case NBT_STRING:
		put_int(out, n->u.raw.n, 2);
		bytes_add(out, n->u.raw.p, n->u.raw.n);
		break;
	case NBT_BYTES:
	case NBT_INTS:
	case NBT_LONGS:
		put_int(out, n->u.raw.n / elem_size(n->type), 4);
		bytes_add(out, n->u.raw.p, n->u.raw.n);
		break;
	case NBT_LIST:
		put_int(out, n->elem, 1);
		put_int(out, n->count, 4);
		for (const struct nbt *k = n->u.kids.first; k; k = k->next)
			put_payload(out, k);
		break;
	case NBT_COMPOUND:
		for (const struct nbt *k = n->u.kids.first; k; k = k->next)
			put_named(out, k);
		put_int(out, NBT_END, 1);
		break;
	default:
		die("an NBT tag of type %d cannot be written", n->type);
	}
}

void nbt_serialize(struct bytes *out, const struct nbt *root)
{
	out->len = 0;
	put_named(out, root);
}
