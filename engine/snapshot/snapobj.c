#include "engine/snapshot/snapobj.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/store/nameset.h"

#define SNAPSHOT_VERSION 1

void snapshot_free(struct snapshot *sn)
{
	for (size_t i = 0; i < sn->n_sources; i++) {
		free(sn->sources[i].path);
		free(sn->sources[i].name);
	}
	for (size_t i = 0; i < sn->n_tags; i++)
		free(sn->tags[i]);
	free(sn->sources);
	free(sn->tags);
	free(sn->host);
	free(sn->user);
	free(sn->program);
	*sn = (struct snapshot){0};
}

static int put_time(struct buf *b, struct timestamp t, struct err *e)
{
	int r = put_svar(b, t.s, e);
	return r < 0 ? r : put_var(b, t.ns, e);
}

static int put_all(const struct snapshot *sn, struct buf *b, struct err *e)
{
	const uint64_t counts[] = {sn->files, sn->dirs, sn->others, sn->bytes, sn->files_new,
		sn->files_changed, sn->files_unreadable, sn->files_restless, sn->added_bytes,
		sn->added_blobs, sn->with_xattrs, sn->with_acls};
	int r = put_u8(b, SNAPSHOT_VERSION, e);
	if (r == 0)
		r = put_str(b, sn->name, e);
	if (r == 0)
		r = put_time(b, sn->begin, e);
	if (r == 0)
		r = put_time(b, sn->end, e);
	if (r == 0)
		r = put_var(b, sn->generation, e);
	if (r == 0)
		r = buf_add(b, sn->previous.b, NAME_BYTES, e);
	if (r == 0)
		r = put_str(b, sn->host, e);
	if (r == 0)
		r = put_str(b, sn->user, e);
	if (r == 0)
		r = put_str(b, sn->program, e);
	if (r == 0)
		r = put_var(b, sn->n_sources, e);
	for (size_t i = 0; i < sn->n_sources && r == 0; i++) {
		r = put_str(b, sn->sources[i].path, e);
		if (r == 0)
			r = put_str(b, sn->sources[i].name, e);
	}
	if (r == 0)
		r = put_u8(b, sn->root.kind, e);
	if (r == 0)
		r = put_u8(b, sn->root.level, e);
	if (r == 0)
		r = buf_add(b, sn->root.name.b, NAME_BYTES, e);
	for (size_t i = 0; i < sizeof counts / sizeof *counts && r == 0; i++)
		r = put_var(b, counts[i], e);
	/* Tags last: they may change, and are not part of what the next snapshot vouches for. */
	if (r == 0)
		r = put_var(b, sn->n_tags, e);
	for (size_t i = 0; i < sn->n_tags && r == 0; i++)
		r = put_str(b, sn->tags[i], e);
	return r;
}

static struct timestamp get_time(struct rd *r)
{
	struct timestamp t;
	t.s = rd_svar(r);
	t.ns = (uint32_t)rd_var_max(r, 999999999);
	return t;
}

static void get_hash(struct rd *r, struct name *n)
{
	struct span s = rd_raw(r, NAME_BYTES);
	if (s.n)
		memcpy(n->b, s.p, NAME_BYTES);
}

static void get_sources(struct rd *r, struct snapshot *sn)
{
	uint64_t n = rd_count(r, 2);
	sn->sources = calloc((size_t)n + 1, sizeof *sn->sources);
	if (!sn->sources)
		r->bad = true;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		struct snapshot_source *src = &sn->sources[sn->n_sources++];
		src->path = rd_strdup(r);
		src->name = rd_strdup(r);
	}
}

static void get_tags(struct rd *r, struct snapshot *sn)
{
	uint64_t n = rd_count(r, 1);
	sn->tags = calloc((size_t)n + 1, sizeof *sn->tags);
	if (!sn->tags)
		r->bad = true;
	for (uint64_t i = 0; i < n && !r->bad; i++)
		sn->tags[sn->n_tags++] = rd_strdup(r);
}

/* It is authentic, so it was written so: by an mcfs from before 1.0, whose format was another. */
static int of_another_format(const struct id *id, struct err *e)
{
	char hex[2 * ID_BYTES + 1];
	return err_wrap(e, "%s/%s, written by another version of mcfs?", SNAPSHOT_KIND,
		hex_of(id->b, ID_BYTES, hex));
}

int snapshot_parse(struct span s, const struct keys *k, struct snapshot *sn, struct err *e)
{
	struct rd r = rd_of(s);
	uint64_t *const counts[] = {&sn->files, &sn->dirs, &sn->others, &sn->bytes, &sn->files_new,
		&sn->files_changed, &sn->files_unreadable, &sn->files_restless, &sn->added_bytes,
		&sn->added_blobs, &sn->with_xattrs, &sn->with_acls};
	if (rd_u8(&r) != SNAPSHOT_VERSION)
		return err_set(e, E_UNSUPPORTED, 0,
			"a snapshot of another version: use a newer mcfs");
	struct span name = rd_bytes(&r);
	if (name.n >= sizeof sn->name || !entry_name_ok(name))
		r.bad = true;
	else
		memcpy(sn->name, name.p, name.n);
	sn->begin = get_time(&r);
	sn->end = get_time(&r);
	sn->generation = rd_var(&r);
	get_hash(&r, &sn->previous);
	sn->host = rd_strdup(&r);
	sn->user = rd_strdup(&r);
	sn->program = rd_strdup(&r);
	get_sources(&r, sn);
	sn->root.kind = rd_u8(&r);
	sn->root.level = rd_u8(&r);
	get_hash(&r, &sn->root.name);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		*counts[i] = rd_var(&r);
	name_of(k, 0, span_of(s.p, (size_t)(r.p - s.p)), &sn->self);
	get_tags(&r, sn);
	int rc = rd_done(&r, "a snapshot object", e);
	return rc < 0 ? of_another_format(&sn->id, e) : 0;
}

int snapshot_write(struct store *s, const struct snapshot *sn, bool replace, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = put_all(sn, &b, e);
	if (r == 0)
		r = store_object_put(s, SNAPSHOT_KIND, &sn->id, buf_span(&b), replace, e);
	return r < 0 ? err_wrap(e, "write snapshot %s", sn->name) : 0;
}

struct loading {
	struct snapshot_list *l;
	struct store *s;
	struct nameset known, there; /* ids: of the list, and in the store */
};

static int load_one(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct loading *ld = ctx;
	struct snapshot_list *l = ld->l;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err own = ERR_INIT;
	(void)size;
	if (nameset_has_id(&ld->known, id))
		return nameset_add_id(&ld->there, id, e);
	struct snapshot *v = (l->n & (l->n - 1)) ? l->v
						 : realloc(l->v, (l->n ? 2 * l->n : 1) * sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for the list of snapshots");
	l->v = v;
	struct snapshot *sn = &v[l->n];
	*sn = (struct snapshot){.id = *id};
	int r = store_object_get(ld->s, SNAPSHOT_KIND, id, &b, &own);
	if (r == 0)
		r = snapshot_parse(buf_span(&b), store_keys(ld->s), sn, &own);
	if (r == 0) {
		l->n++;
		return 0;
	}
	snapshot_free(sn);
	if (r == E_NOTFOUND)
		return 0; /* removed while we listed */
	if (r != E_CORRUPT && r != E_UNSUPPORTED)
		return err_pass(e, &own);
	log_say(store_log(ld->s), LOG_ERROR, "%s", own.msg);
	if (l->damaged++ == 0)
		l->first_damage = own;
	return 0;
}

int snapshot_by_time(const void *a, const void *b)
{
	const struct snapshot *x = a, *y = b;
	if (x->begin.s != y->begin.s)
		return x->begin.s < y->begin.s ? -1 : 1;
	if (x->begin.ns != y->begin.ns)
		return x->begin.ns < y->begin.ns ? -1 : 1;
	return memcmp(x->id.b, y->id.b, ID_BYTES);
}

/* Those of the first n that are gone from the store. */
static void drop_gone(struct loading *ld, size_t n)
{
	struct snapshot_list *l = ld->l;
	size_t kept = 0;
	for (size_t i = 0; i < l->n; i++)
		if (i >= n || nameset_has_id(&ld->there, &l->v[i].id))
			l->v[kept++] = l->v[i];
		else
			snapshot_free(&l->v[i]);
	l->n = kept;
}

int snapshot_list_update(struct snapshot_list *l, struct store *s, struct err *e)
{
	struct loading ld = {.l = l, .s = s};
	size_t before = l->n;
	int r = 0;
	l->damaged = 0;
	l->first_damage = ERR_INIT;
	for (size_t i = 0; i < l->n && r == 0; i++)
		r = nameset_add_id(&ld.known, &l->v[i].id, e);
	if (r == 0)
		r = store_object_list(s, SNAPSHOT_KIND, load_one, &ld, e);
	if (r == 0)
		drop_gone(&ld, before);
	nameset_free(&ld.known);
	nameset_free(&ld.there);
	if (r < 0)
		snapshot_list_free(l);
	else if (l->n)
		qsort(l->v, l->n, sizeof *l->v, snapshot_by_time);
	return r;
}

int snapshot_list_load(struct snapshot_list *l, struct store *s, struct err *e)
{
	*l = (struct snapshot_list){0};
	return snapshot_list_update(l, s, e);
}

void snapshot_list_free(struct snapshot_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		snapshot_free(&l->v[i]);
	free(l->v);
	l->v = NULL;
	l->n = 0;
}

static bool id_starts_with(const struct id *id, const char *spec)
{
	char hex[2 * ID_BYTES + 1];
	hex_of(id->b, ID_BYTES, hex);
	return strncmp(hex, spec, strlen(spec)) == 0;
}

/* "latest", or "latest~2": the second before it. */
static bool is_latest(const char *spec, size_t *ret_back)
{
	*ret_back = 0;
	if (strncmp(spec, "latest", 6) != 0)
		return false;
	if (spec[6] == '\0')
		return true;
	size_t digits = spec[6] == '~' ? strspn(spec + 7, "0123456789") : 0;
	if (digits == 0 || digits > 9 || spec[7 + digits] != '\0')
		return false;
	*ret_back = strtoul(spec + 7, NULL, 10);
	return true;
}

static int find_latest(const struct snapshot_list *l, size_t back, struct snapshot **ret,
	struct err *e)
{
	if (l->damaged)
		return err_set(e, E_CORRUPT, 0,
			"%zu snapshot object%s damaged, which may be the latest: "
			"give a name (see 'mcfs list')", l->damaged, l->damaged == 1 ? " is" : "s are");
	if (l->n == 0)
		return err_set(e, E_NOTFOUND, 0, "the store has no snapshots yet");
	if (back >= l->n)
		return err_set(e, E_NOTFOUND, 0,
			"there are only %zu snapshots, none is latest~%zu (see 'mcfs list')", l->n, back);
	*ret = &l->v[l->n - 1 - back];
	return 0;
}

int snapshot_find(const struct snapshot_list *l, const char *spec, struct snapshot **ret,
	struct err *e)
{
	*ret = NULL;
	size_t back;
	if (is_latest(spec, &back))
		return find_latest(l, back, ret, e);
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, spec) == 0)
			*ret = &l->v[i];
	for (size_t i = 0; !*ret && strlen(spec) >= 4 && i < l->n; i++) {
		if (!id_starts_with(&l->v[i].id, spec))
			continue;
		for (size_t k = i + 1; k < l->n; k++)
			if (id_starts_with(&l->v[k].id, spec))
				return err_set(e, E_USAGE, 0,
					"'%s' is the start of more than one snapshot's id", spec);
		*ret = &l->v[i];
	}
	return *ret ? 0
		    : err_set(e, E_NOTFOUND, 0, "there is no snapshot '%s' (see 'mcfs list')", spec);
}

void snapshot_pick_name(const struct snapshot_list *l, struct timestamp t,
	unsigned skip, char ret[SNAPSHOT_NAME_CHARS])
{
	char base[24];
	time_t s = (time_t)t.s;
	struct tm tm;
	gmtime_r(&s, &tm);
	strftime(base, sizeof base, "%Y-%m-%dT%H-%M-%SZ", &tm);
	for (unsigned k = 1;; k++) {
		bool taken = false;
		if (k == 1)
			snprintf(ret, SNAPSHOT_NAME_CHARS, "%s", base);
		else
			snprintf(ret, SNAPSHOT_NAME_CHARS, "%s-%u", base, k);
		for (size_t i = 0; i < l->n && !taken; i++)
			taken = strcmp(l->v[i].name, ret) == 0;
		if (!taken && skip-- == 0)
			return;
	}
}

bool snapshot_tag_ok(const char *t)
{
	size_t n = strlen(t);
	return n >= 1 && n <= 64 && t[0] != '.' &&
	       strspn(t, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@+-") == n;
}

static int cmp_tags(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int snapshot_tag_add(struct snapshot *sn, const char *tag, struct err *e)
{
	for (size_t i = 0; i < sn->n_tags; i++)
		if (strcmp(sn->tags[i], tag) == 0)
			return 0;
	char **t = realloc(sn->tags, (sn->n_tags + 1) * sizeof *t);
	if (t)
		sn->tags = t;
	char *copy = t ? strdup(tag) : NULL;
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for a tag");
	t[sn->n_tags++] = copy;
	qsort(t, sn->n_tags, sizeof *t, cmp_tags);
	return 0;
}

void snapshot_tag_remove(struct snapshot *sn, const char *tag)
{
	for (size_t i = 0; i < sn->n_tags; i++)
		if (strcmp(sn->tags[i], tag) == 0) {
			free(sn->tags[i]);
			memmove(&sn->tags[i], &sn->tags[i + 1],
				(--sn->n_tags - i) * sizeof *sn->tags);
			return;
		}
}
