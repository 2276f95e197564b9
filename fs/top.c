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

static struct snap *find_snap(const struct top_list *l, const struct id *id)
{
	for (size_t i = 0; l && i < l->list.n; i++)
		if (memcmp(l->snap[i]->id.b, id->b, ID_BYTES) == 0)
			return l->snap[i];
	return NULL;
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
	memcpy(s->name, sn->name, sizeof s->name);
	return s;
}

/* Two snapshots of one name (made on two machines in one second): the later ones get their id. */
static void set_unique_name(struct top_list *l, size_t i)
{
	char hex[2 * ID_BYTES + 1];
	for (size_t k = 0; k < i; k++)
		if (strcmp(l->snap[k]->name, l->snap[i]->name) == 0) {
			char *name = l->snap[i]->name;
			hex_of(l->snap[i]->id.b, ID_BYTES, hex);
			size_t n = strnlen(name, SNAPSHOT_NAME_CHARS - 10);
			snprintf(name + n, SNAPSHOT_NAME_CHARS - n, "-%.8s", hex);
			return;
		}
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
	for (size_t i = 0; r == 0 && i < l->list.n; i++) {
		struct snap *old = find_snap(t->now, &l->list.v[i].id);
		l->snap[i] = old ? snap_ref(old) : make_snap(t, &l->list.v[i]);
		if (!l->snap[i])
			r = err_set(e, E_NOMEM, 0, "no memory for the list of snapshots");
		else if (!old)
			set_unique_name(l, i);
	}
	if (r < 0) {
		top_list_unref(l);
		return r;
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
