#include "fs/top.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

/* Directories are stamped with the time of the last clock tick: a change within this of the look
 * at it may have the same stamp as the one before. */
#define TICK_NS 50000000LL
#define LOOK_SECONDS 1	/* when changes cannot be seen */
#define RETRY_SECONDS 5 /* after a failure */

struct top {
	struct store *s;
	char *snapshots, *index; /* directories; NULL: not local */
	pthread_mutex_t m;
	struct top_list *now;
	struct timespec seen, seen_index; /* stamps at the last load */
	bool doubtful;			  /* the stamps were too fresh to be trusted */
	time_t look, retry; /* not before */
	_Atomic bool xattrs, acls;
	uint32_t last_number;
	char **word;
	int n_words;
};

struct snap *snap_ref(struct snap *s)
{
	if (s)
		atomic_fetch_add(&s->refs, 1);
	return s;
}

void snap_unref(struct snap *s)
{
	if (s && atomic_fetch_sub(&s->refs, 1) == 1)
		free(s);
}

void top_list_unref(struct top_list *l)
{
	if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	for (size_t i = 0; l->snap && i < l->list.n; i++)
		snap_unref(l->snap[i]);
	free(l->snap);
	free(l->by_name);
	free(l->by_number);
	snapshot_list_free(&l->list);
	free(l);
}

static struct timespec stamp_of(const char *dir)
{
	struct stat st;
	return stat(dir, &st) == 0 ? st.st_mtim : (struct timespec){0};
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static struct snap *find_snap(const struct top_list *l, const struct snapshot *sn)
{
	const struct snapshot *found = l && l->list.n ? bsearch(sn, l->list.v, l->list.n,
						     sizeof *sn, snapshot_by_time)
						      : NULL;
	return found ? l->snap[found - l->list.v] : NULL;
}

static struct snap *make_snap(struct top *t, const struct snapshot *sn)
{
	struct snap *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	s->number = ++t->last_number;
	s->id = sn->id;
	s->begin = sn->begin;
	s->root = sn->root;
	s->xattrs = sn->with_xattrs != 0;
	s->acls = sn->with_acls != 0;
	memcpy(s->name, sn->name, sizeof s->name);
	return s;
}

static int by_name(const void *a, const void *b, void *ctx)
{
	struct snap *const *v = ctx;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int cmp = strcmp(v[x]->name, v[y]->name);
	return cmp ? cmp : (x > y) - (x < y);
}

static int by_number(const void *a, const void *b, void *ctx)
{
	struct snap *const *v = ctx;
	uint32_t x = v[*(const size_t *)a]->number, y = v[*(const size_t *)b]->number;
	return (x > y) - (x < y);
}

static void add_id(struct snap *sn)
{
	char hex[2 * ID_BYTES + 1];
	hex_of(sn->id.b, ID_BYTES, hex);
	size_t n = strnlen(sn->name, SNAPSHOT_NAME_CHARS - 10);
	snprintf(sn->name + n, SNAPSHOT_NAME_CHARS - n, "-%.8s", hex);
}

/* Two snapshots of one name (made on two machines in one second): of those that came with this list, the
 * later ones get their id. What was shown before keeps its name. */
static void set_unique_names(struct top_list *l, uint32_t first_new)
{
	for (size_t i = 0, end; i < l->list.n; i = end) {
		size_t keeps = i;
		for (end = i + 1; end < l->list.n; end++) {
			const struct snap *sn = l->snap[l->by_name[end]];
			if (strcmp(sn->name, l->snap[l->by_name[i]]->name) != 0)
				break;
			if (sn->number < first_new)
				keeps = end;
		}
		for (size_t k = i; k < end; k++) {
			struct snap *sn = l->snap[l->by_name[k]];
			if (k != keeps && sn->number >= first_new)
				add_id(sn);
		}
	}
}

/* Listing and looking up all of them is not to take the square of their number. */
static int sort(struct top_list *l, uint32_t first_new, struct err *e)
{
	size_t n = l->list.n;
	l->by_name = calloc(n + 1, sizeof *l->by_name);
	l->by_number = calloc(n + 1, sizeof *l->by_number);
	if (!l->by_name || !l->by_number)
		return err_set(e, E_NOMEM, 0, "no memory for the list of snapshots");
	for (size_t i = 0; i < n; i++)
		l->by_name[i] = l->by_number[i] = i;
	qsort_r(l->by_number, n, sizeof *l->by_number, by_number, l->snap);
	qsort_r(l->by_name, n, sizeof *l->by_name, by_name, l->snap);
	set_unique_names(l, first_new);
	qsort_r(l->by_name, n, sizeof *l->by_name, by_name, l->snap);
	return 0;
}

size_t top_list_find(const struct top_list *l, struct span name)
{
	size_t lo = 0, hi = l->list.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2, i = l->by_name[mid];
		const char *at = l->snap[i]->name;
		int cmp = entry_name_cmp(span_of(at, strlen(at)), name);
		if (cmp == 0)
			return i;
		if (cmp < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return l->list.n;
}

size_t top_list_from(const struct top_list *l, uint64_t from)
{
	size_t lo = 0, hi = l->list.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (l->snap[l->by_number[mid]]->number < from)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int load(struct top *t, struct err *e)
{
	struct top_list *l = calloc(1, sizeof *l);
	if (!l)
		return err_set(e, E_NOMEM, 0, "no memory for the list of snapshots");
	atomic_init(&l->refs, 1);
	struct timespec now, stamp = {0}, index = {0};
	clock_gettime(CLOCK_REALTIME, &now);
	if (t->snapshots) {
		stamp = stamp_of(t->snapshots);
		index = stamp_of(t->index);
	}
	int r = t->s ? snapshot_list_load(&l->list, t->s, e) : 0;
	if (r == 0 && !(l->snap = calloc(l->list.n + 1, sizeof *l->snap)))
		r = err_set(e, E_NOMEM, 0, "no memory for the list of snapshots");
	uint32_t first_new = t->last_number + 1;
	for (size_t i = 0; r == 0 && i < l->list.n; i++) {
		struct snap *old = find_snap(t->now, &l->list.v[i]);
		l->snap[i] = old ? snap_ref(old) : make_snap(t, &l->list.v[i]);
		if (!l->snap[i])
			r = err_set(e, E_NOMEM, 0, "no memory for the list of snapshots");
	}
	if (r == 0)
		r = sort(l, first_new, e);
	if (r < 0) {
		top_list_unref(l);
		return r;
	}
	for (size_t i = 0; i < l->list.n; i++) {
		if (l->snap[i]->xattrs)
			atomic_store(&t->xattrs, true);
		if (l->snap[i]->acls)
			atomic_store(&t->acls, true);
	}
	int64_t age = (now.tv_sec - stamp.tv_sec) * 1000000000LL + now.tv_nsec - stamp.tv_nsec;
	l->mtime = t->snapshots ? stamp : now;
	LOCK_SCOPE(&t->m);
	struct top_list *old = t->now;
	t->now = l;
	t->seen = stamp;
	t->seen_index = index;
	t->doubtful = age < TICK_NS;
	t->look = time(NULL) + LOOK_SECONDS;
	top_list_unref(old);
	return 0;
}

int top_new(struct top **ret, struct store *s, const char *dir, struct err *e)
{
	struct top *t = calloc(1, sizeof *t);
	if (!t)
		return err_set(e, E_NOMEM, 0, "no memory for the list of snapshots");
	t->s = s;
	pthread_mutex_init(&t->m, NULL);
	int r = 0;
	if (dir && (asprintf(&t->snapshots, "%s/snapshots", dir) < 0 ||
			   asprintf(&t->index, "%s/index", dir) < 0))
		r = err_set(e, E_NOMEM, 0, "no memory for a path");
	if (r == 0)
		r = load(t, e);
	if (r < 0) {
		top_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void top_free(struct top *t)
{
	if (!t)
		return;
	top_list_unref(t->now);
	for (int i = 0; i < t->n_words; i++)
		free(t->word[i]);
	free(t->word);
	free(t->snapshots);
	free(t->index);
	pthread_mutex_destroy(&t->m);
	free(t);
}

struct top_list *top_get(struct top *t)
{
	LOCK_SCOPE(&t->m);
	atomic_fetch_add(&t->now->refs, 1);
	return t->now;
}

bool top_has_xattrs(struct top *t)
{
	return atomic_load(&t->xattrs);
}

bool top_has_acls(struct top *t)
{
	return atomic_load(&t->acls);
}

/* Stamps that were too fresh to be trusted have aged: look once more. */
static bool has_aged(const struct top *t)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t age = (now.tv_sec - t->seen.tv_sec) * 1000000000LL + now.tv_nsec - t->seen.tv_nsec;
	return t->doubtful && (age >= TICK_NS || age < 0);
}

bool top_stale(struct top *t)
{
	struct timespec stamp = {0}, index = {0};
	if (t->snapshots) {
		stamp = stamp_of(t->snapshots);
		index = stamp_of(t->index);
	}
	LOCK_SCOPE(&t->m);
	if (!t->s)
		return false;
	if (t->retry && time(NULL) < t->retry)
		return false;
	if (!t->snapshots)
		return time(NULL) >= t->look;
	return has_aged(t) || !same_time(stamp, t->seen) || !same_time(index, t->seen_index);
}

int top_reload(struct top *t, struct err *e)
{
	int r = store_refresh(t->s, e);
	if (r == 0)
		r = load(t, e);
	LOCK_SCOPE(&t->m);
	t->retry = r < 0 ? time(NULL) + RETRY_SECONDS : 0;
	return r;
}

int top_word(struct top *t, const char *text)
{
	LOCK_SCOPE(&t->m);
	for (int i = 0; i < t->n_words; i++)
		if (strcmp(t->word[i], text) == 0)
			return i;
	char **w = realloc(t->word, (size_t)(t->n_words + 1) * sizeof *w);
	if (!w)
		return -1;
	t->word = w;
	w[t->n_words] = strdup(text);
	return w[t->n_words] ? t->n_words++ : -1;
}

const char *top_word_text(struct top *t, int word)
{
	LOCK_SCOPE(&t->m);
	return word >= 0 && word < t->n_words ? t->word[word] : NULL;
}
