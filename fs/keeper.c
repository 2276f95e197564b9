#include "fs/keeper.h"

#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/anvil/session_lock.h"
#include "engine/base/cleanup.h"

#define LOOK_MS 250
#define WATCH_SECONDS 1
#define EMPTY_MS (3600 * INT64_C(1000))
#define CLOCK_SLACK 600 /* seconds that clocks may drift apart in an hour */
#define VIEWS_DIFFER (1u << TRASH_PRUNE_WAITS | 1u << TRASH_RESTORE_WAITS)

struct kept_world {
	struct live_world *w;
	struct prune *prune;
	pthread_mutex_t m; /* of what follows */
	int64_t looked_ms;
	uint64_t changes;
	bool waiting; /* views may differ from the files */
	bool known;
};

struct keeper {
	struct fs *fs;
	struct kept_world *v;
	unsigned n;
	enum when_running when_running;
	int64_t trash_keep, trash_size; /* 0: no such limit */
	int64_t empty_ms;		/* when the trash is to be emptied again; the watch's own */
	int64_t clock;			/* the time at boot, as it seemed the last time; likewise */
	pthread_t tid;
	bool running;
	pthread_mutex_t m;
	pthread_cond_t wake;
	bool stop;
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- what waits ---- */

static int found_one(void *ctx, const struct trash_item *it, struct err *e)
{
	(void)ctx;
	(void)it;
	(void)e;
	return 1;
}

/* Bring `waiting` up to date; `now`: although it was looked at just now. Called with the lock. */
static int look(struct kept_world *k, bool now, struct err *e)
{
	struct trash_filter f = {.states = VIEWS_DIFFER};
	uint64_t changes;
	int64_t t = now_ms();
	if (k->known && !now && t - k->looked_ms < LOOK_MS)
		return 0;
	int r = trash_changes(prune_trash(k->prune), &changes, e);
	if (r < 0)
		return r;
	k->looked_ms = t;
	if (k->known && changes == k->changes)
		return 0;
	r = trash_list(prune_trash(k->prune), &f, found_one, NULL, e);
	if (r < 0)
		return r;
	k->waiting = r > 0;
	k->changes = changes;
	k->known = true;
	return 0;
}

int keeper_overlay(struct keeper *k, const struct live_world *w, const char *dimension, int32_t rx,
	int32_t rz, struct trash_overlay *ret, struct err *e)
{
	struct kept_world *kw = &k->v[w->number];
	ret->any = false;
	pthread_mutex_lock(&kw->m);
	int r = look(kw, false, e);
	bool waiting = kw->waiting;
	pthread_mutex_unlock(&kw->m);
	if (r < 0 || !waiting)
		return r;
	return trash_region(prune_trash(kw->prune), dimension, rx, rz, ret, e);
}

uint64_t keeper_age(struct keeper *k, const struct live_world *w)
{
	struct kept_world *kw = &k->v[w->number];
	struct err ignored = ERR_INIT;
	LOCK_SCOPE(&kw->m);
	(void)!look(kw, false, &ignored);
	return kw->changes;
}

/* Something was changed here: what was known is old. */
static void changed(struct kept_world *kw)
{
	struct err ignored = ERR_INIT;
	LOCK_SCOPE(&kw->m);
	kw->known = false;
	(void)!look(kw, true, &ignored);
}

struct trash *keeper_trash(struct keeper *k, const struct live_world *w)
{
	return prune_trash(k->v[w->number].prune);
}

/* ---- changing ---- */

static void name_user(uid_t uid, char out[64])
{
	struct passwd pw, *found = NULL;
	char buf[4096];
	if (getpwuid_r(uid, &pw, buf, sizeof buf, &found) == 0 && found)
		snprintf(out, 64, "%s", found->pw_name);
	else
		snprintf(out, 64, "uid %u", (unsigned)uid);
}

static struct prune_how how_of(struct keeper *k, const struct keeper_job *j, char who[64])
{
	name_user(j->uid, who);
	return (struct prune_how){.when_running = k->when_running, .who = who,
		.damaged = j->damaged, .replace = j->replace};
}

int keeper_prune(struct keeper *k, const struct keeper_job *j, const struct prune_chunk *v,
	size_t n, struct prune_result *ret, struct err *e)
{
	char who[64];
	struct kept_world *kw = &k->v[j->world->number];
	struct prune_how how = how_of(k, j, who);
	int r = prune_chunks(kw->prune, j->dimension, v, n, &how, ret, e);
	changed(kw);
	return r;
}

int keeper_restore(struct keeper *k, const struct keeper_job *j, int64_t id,
	struct prune_result *ret, struct err *e)
{
	char who[64];
	struct kept_world *kw = &k->v[j->world->number];
	struct prune_how how = how_of(k, j, who);
	int r = prune_restore(kw->prune, &id, 1, &how, ret, e);
	changed(kw);
	return r;
}

int keeper_put(struct keeper *k, const struct keeper_job *j, int32_t x, int32_t z,
	const struct chunk_parts *parts, const char *why, struct prune_result *ret, struct err *e)
{
	char who[64];
	struct kept_world *kw = &k->v[j->world->number];
	struct prune_how how = how_of(k, j, who);
	int r = prune_put(kw->prune, j->dimension, x, z, parts, why, &how, ret, e);
	changed(kw);
	return r;
}

int keeper_remove(struct keeper *k, const struct live_world *w, int64_t id, struct err *e)
{
	struct kept_world *kw = &k->v[w->number];
	int r = trash_remove(prune_trash(kw->prune), id, e);
	changed(kw);
	return r;
}

/* ---- doing what waits ---- */

static void apply(struct keeper *k, struct kept_world *kw)
{
	struct err e = ERR_INIT;
	struct prune_result res = {0};
	struct prune_how how = {.when_running = WHEN_RUNNING_DEFER};
	uint64_t pending = 0;
	bool used = false;
	int r = prune_pending(kw->prune, &pending, &e);
	if (r == 0 && pending)
		r = session_lock_test(kw->w->path, &used, NULL, &e);
	if (r == 0 && (!pending || used))
		return;
	if (r == 0)
		r = prune_apply(kw->prune, &how, &res, &e);
	changed(kw);
	if (r == E_LOCKED)
		return; /* it was quicker; the next time then */
	if (r < 0) {
		(void)err_wrap(&e, "world '%s': what waits cannot be done", kw->w->path);
		say_once(k->fs, LOG_ERROR, e.msg);
	} else if (res.done + res.saved_since + res.occupied) {
		log_say(&k->fs->log, LOG_WARN,
			"world '%s' is free: %llu chunks done that waited, %llu kept as they "
			"are in the world, since they were saved again meanwhile",
			kw->w->path, (unsigned long long)res.done,
			(unsigned long long)(res.saved_since + res.occupied));
	}
}

/* ---- the trash's retention ---- */

/* A clock that was set meanwhile makes everything look old. */
static bool clock_is_sound(struct keeper *k)
{
	struct timespec wall, boot;
	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	int64_t at = (int64_t)wall.tv_sec - boot.tv_sec, by = at - k->clock;
	bool sound = k->clock == 0 || (by <= CLOCK_SLACK && by >= -CLOCK_SLACK);
	k->clock = at;
	if (!sound)
		log_say(&k->fs->log, LOG_WARN, "the clock was set by %lld seconds: for the next hour "
					       "nothing leaves the trash because of its age", (long long)by);
	return sound;
}

static void empty_trash(struct keeper *k, struct kept_world *kw, int64_t before)
{
	struct trash_limits l = {.older_than_s = before, .max_bytes = (uint64_t)k->trash_size};
	struct trash_emptied out = {0};
	struct err e = ERR_INIT;
	int r = trash_empty(prune_trash(kw->prune), &l, false, &out, &e);
	if (out.items) {
		changed(kw);
		log_say(&k->fs->log, LOG_WARN, "world '%s': %llu chunks, %llu bytes, left the trash for "
					       "good, as the rules have it", kw->w->path,
			(unsigned long long)out.items, (unsigned long long)out.bytes);
	}
	if (r < 0) {
		(void)err_wrap(&e, "world '%s': its trash cannot be emptied", kw->w->path);
		say_once(k->fs, LOG_WARN, e.msg);
	}
}

static void empty_when_due(struct keeper *k)
{
	int64_t t = now_ms(), before = 0;
	if ((!k->trash_keep && !k->trash_size) || t < k->empty_ms)
		return;
	k->empty_ms = t + EMPTY_MS;
	if (k->trash_keep && clock_is_sound(k))
		before = (int64_t)time(NULL) - k->trash_keep;
	for (unsigned i = 0; i < k->n && (before > 0 || k->trash_size); i++)
		empty_trash(k, &k->v[i], before > 0 ? before : 0);
}

static void *watch(void *arg)
{
	struct keeper *k = arg;
	pthread_mutex_lock(&k->m);
	while (!k->stop) {
		struct timespec t;
		pthread_mutex_unlock(&k->m);
		for (unsigned i = 0; i < k->n; i++)
			apply(k, &k->v[i]);
		empty_when_due(k);
		pthread_mutex_lock(&k->m);
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_sec += WATCH_SECONDS;
		if (!k->stop)
			pthread_cond_timedwait(&k->wake, &k->m, &t);
	}
	pthread_mutex_unlock(&k->m);
	return NULL;
}

int keeper_start(struct keeper *k, struct err *e)
{
	sigset_t set, old;
	/* Signals are for the session's threads. */
	sigfillset(&set);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	k->running = pthread_create(&k->tid, NULL, watch, k) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return k->running ? 0 : err_set(e, E_NOMEM, 0, "cannot start a thread");
}

/* ---- opening ---- */

int keeper_new(struct keeper **ret, struct fs *fs, const struct mount_options *opt, struct err *e)
{
	struct keeper *k = calloc(1, sizeof *k);
	pthread_condattr_t attr;
	int r = 0;
	if (k)
		k->v = calloc(opt->n_worlds + 1, sizeof *k->v);
	if (!k || !k->v) {
		free(k);
		return err_set(e, E_NOMEM, 0, "no memory for live worlds");
	}
	k->fs = fs;
	k->when_running = opt->refuse_running ? WHEN_RUNNING_REFUSE : WHEN_RUNNING_DEFER;
	k->trash_keep = opt->trash_keep;
	k->trash_size = opt->trash_size;
	pthread_mutex_init(&k->m, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->wake, &attr);
	pthread_condattr_destroy(&attr);
	for (size_t i = 0; i < opt->n_worlds && r == 0; i++) {
		struct kept_world *kw = &k->v[k->n++];
		kw->w = live_at(fs->live, (unsigned)i);
		pthread_mutex_init(&kw->m, NULL);
		struct prune_options po = {.state_dir = opt->state_dir, .world = kw->w->path,
			.log = &fs->log};
		r = prune_open(&kw->prune, &po, e);
		if (r == 0)
			apply(k, kw);
	}
	if (r < 0) {
		keeper_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void keeper_free(struct keeper *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->m);
	k->stop = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->m);
	if (k->running)
		pthread_join(k->tid, NULL);
	for (unsigned i = 0; i < k->n; i++) {
		prune_close(k->v[i].prune);
		pthread_mutex_destroy(&k->v[i].m);
	}
	pthread_cond_destroy(&k->wake);
	pthread_mutex_destroy(&k->m);
	free(k->v);
	free(k);
}
