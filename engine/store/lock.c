#include "engine/store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/base/wire.h"
#include "engine/store/store_internal.h"

#define KIND "locks"
#define VERSION 1
#define POLL_MS 250
#define INTERVAL_MAX_MS (3600 * 1000) /* what a lock may say about itself */

struct store_lock {
	struct store *s;
	struct lock_info info; /* info.object: the one that is in the store */
	pthread_mutex_t m;     /* guards info and lost */
	pthread_cond_t stop_cond;
	pthread_t thread;
	bool running, stop;
	bool lost; /* broken by somebody */
};

/* ---- encoding ---- */

static int put_info(const struct lock_info *l, struct buf *b, struct err *e)
{
	int r = put_u8(b, VERSION, e);
	if (r == 0)
		r = put_u8(b, l->mode, e);
	if (r == 0)
		r = buf_add(b, l->holder.b, ID_BYTES, e);
	if (r == 0)
		r = put_str(b, l->host, e);
	if (r == 0)
		r = put_str(b, l->what, e);
	if (r == 0)
		r = put_var(b, l->pid, e);
	if (r == 0)
		r = put_svar(b, l->since, e);
	if (r == 0)
		r = put_svar(b, l->refreshed, e);
	if (r == 0)
		r = put_var(b, l->interval_ms, e);
	if (r == 0)
		r = buf_add(b, l->boot.b, ID_BYTES, e);
	if (r == 0)
		r = put_var(b, l->pid_ns, e);
	if (r == 0)
		r = put_var(b, l->start, e);
	if (r == 0)
		r = put_var(b, l->seen.n, e);
	for (size_t i = 0; i < l->seen.n && r == 0; i++)
		r = buf_add(b, l->seen.v[i].b, ID_BYTES, e);
	return r;
}

static void get_id(struct rd *r, struct id *ret)
{
	struct span s = rd_raw(r, ID_BYTES);
	if (s.n)
		memcpy(ret->b, s.p, ID_BYTES);
}

static void get_text(struct rd *r, char *out, size_t size)
{
	struct span s = rd_bytes(r);
	size_t n = s.n < size ? s.n : size - 1;
	if (n)
		memcpy(out, s.p, n);
	out[n] = 0;
}

static int get_info(struct span s, struct lock_info *l, struct err *e)
{
	struct rd r = rd_of(s);
	if (rd_u8(&r) != VERSION)
		return err_set(e, E_UNSUPPORTED, 0, "a lock of another version");
	l->mode = rd_u8(&r);
	get_id(&r, &l->holder);
	get_text(&r, l->host, sizeof l->host);
	get_text(&r, l->what, sizeof l->what);
	l->pid = rd_var(&r);
	l->since = rd_svar(&r);
	l->refreshed = rd_svar(&r);
	l->interval_ms = rd_var_max(&r, INTERVAL_MAX_MS);
	get_id(&r, &l->boot);
	l->pid_ns = rd_var(&r);
	l->start = rd_var(&r);
	uint64_t n = rd_count(&r, ID_BYTES);
	for (uint64_t i = 0; i < n; i++) {
		struct id id = {{0}};
		get_id(&r, &id);
		int rc = id_list_add(&l->seen, &id, e);
		if (rc < 0)
			return rc;
	}
	return rd_done(&r, "a lock", e);
}

char *lock_text(const struct lock_info *l, char out[LOCK_TEXT_CHARS])
{
	char since[32] = "?";
	struct tm tm;
	time_t t = (time_t)l->since;
	if (l->unknown) {
		snprintf(out, LOCK_TEXT_CHARS, "somebody whose lock cannot be read");
		return out;
	}
	if (localtime_r(&t, &tm))
		strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(out, LOCK_TEXT_CHARS, "host %s, process %" PRIu64 ", since %s (%s)", l->host,
		l->pid, since, l->what);
	return out;
}

/* ---- who we are, and whether somebody of this machine still lives ---- */

static void boot_id(struct id *ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char hex[2 * ID_BYTES + 1];
	size_t n = 0;
	*ret = (struct id){{0}};
	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &b, 100, NULL) < 0)
		return;
	for (size_t i = 0; i < b.len && n < 2 * ID_BYTES; i++)
		if (b.p[i] != '-')
			hex[n++] = (char)b.p[i];
	hex[n] = 0;
	if (!hex_parse(hex, ID_BYTES, ret->b))
		*ret = (struct id){{0}};
}

static uint64_t pid_namespace(void)
{
	struct stat st;
	return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* When a process began, in ticks since boot; 0 when that cannot be told. */
static uint64_t start_of(uint64_t pid)
{
	char path[40];
	unsigned long long start = 0;
	CLEANUP_BUF struct buf b = BUF_INIT;
	snprintf(path, sizeof path, "/proc/%" PRIu64 "/stat", pid);
	if (io_read_file(AT_FDCWD, path, &b, 4096, NULL) < 0 || buf_add(&b, "", 1, NULL) < 0)
		return 0;
	/* The second field is a name in brackets that may hold anything. */
	char *p = strrchr((char *)b.p, ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, "%llu", &start) == 1 ? start : 0;
}

static void describe_self(struct lock_info *l, enum lock_mode mode, const char *what,
	uint64_t interval_ms)
{
	*l = (struct lock_info){.mode = (uint8_t)mode, .pid = (uint64_t)getpid(),
		.since = time(NULL), .interval_ms = interval_ms, .pid_ns = pid_namespace(),
		.start = start_of((uint64_t)getpid())};
	crypto_random(l->holder.b, ID_BYTES);
	gethostname(l->host, sizeof l->host - 1);
	snprintf(l->what, sizeof l->what, "%s", what);
	boot_id(&l->boot);
}

/* A process of this machine, as we see it, that is gone. */
static bool is_gone(const struct lock_info *l)
{
	static const struct id none;
	struct id boot;
	boot_id(&boot);
	if (l->unknown || memcmp(&boot, &none, sizeof boot) == 0 ||
		memcmp(&boot, &l->boot, sizeof boot) != 0 || !l->pid_ns ||
		l->pid_ns != pid_namespace() || !l->pid || l->pid > INT32_MAX)
		return false;
	if (kill((pid_t)l->pid, 0) < 0)
		return errno == ESRCH;
	uint64_t start = start_of(l->pid);
	return start && l->start && start != l->start;
}

/* ---- lists ---- */

void lock_list_free(struct lock_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		id_list_free(&l->v[i].seen);
	free(l->v);
	*l = (struct lock_list){0};
}

struct listing {
	struct store *s;
	struct lock_list *l;
	bool moved; /* one went between being listed and being read */
};

static int list_one(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct listing *x = ctx;
	struct lock_list *l = x->l;
	struct err own = ERR_INIT;
	CLEANUP_BUF struct buf b = BUF_INIT;
	(void)size;
	for (size_t i = 0; i < l->n; i++)
		if (memcmp(l->v[i].object.b, id->b, ID_BYTES) == 0)
			return 0;
	struct lock_info info = {.object = *id};
	int r = store_object_get(x->s, KIND, id, &b, &own);
	if (r == 0)
		r = get_info(buf_span(&b), &info, &own);
	if (r == E_NOTFOUND) {
		x->moved = true;
		return 0;
	}
	if (r == E_CORRUPT || r == E_UNSUPPORTED) {
		id_list_free(&info.seen);
		info = (struct lock_info){.object = *id, .holder = *id, .mode = LOCK_EXCLUSIVE,
			.unknown = true, .interval_ms = LOCK_INTERVAL_MS};
	} else if (r < 0) {
		id_list_free(&info.seen);
		return err_pass(e, &own);
	}
	if ((l->n & (l->n - 1)) == 0) {
		struct lock_info *v = realloc(l->v, (l->n ? 2 * l->n : 1) * sizeof *v);
		if (!v) {
			id_list_free(&info.seen);
			return err_set(e, E_NOMEM, 0, "no memory for locks");
		}
		l->v = v;
	}
	l->v[l->n++] = info;
	return 0;
}

int lock_list_load(struct lock_list *l, struct store *s, struct err *e)
{
	struct listing x = {s, l, true};
	int r = 0;
	*l = (struct lock_list){0};
	/* A lock that is renewed during a listing may be missed under both names; nobody renews twice
	 * while we list twice. */
	for (int again = 0; r == 0 && (x.moved || again < 2); again++) {
		x.moved = false;
		r = store_object_list(s, KIND, list_one, &x, e);
	}
	if (r < 0)
		lock_list_free(l);
	return r < 0 ? err_wrap(e, "list the locks") : 0;
}

/* ---- holding ---- */

static int put_lock(struct store *s, struct lock_info *l, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	crypto_random(l->object.b, ID_BYTES);
	l->refreshed = time(NULL);
	int r = put_info(l, &b, e);
	return r < 0 ? r : store_object_put_brief(s, KIND, &l->object, buf_span(&b), e);
}

/* Renew: the new object, then away with the old. Whoever broke the lock has removed the old one before
 * us, and is told so by us finding nothing. The lock's mutex is held. */
static int renew(struct store_lock *l, struct err *e)
{
	struct lock_info old = l->info;
	if (l->lost)
		return 0;
	int r = put_lock(l->s, &l->info, e);
	if (r < 0) {
		l->info.object = old.object;
		return r;
	}
	r = store_object_remove_brief(l->s, KIND, &old.object, e);
	if (r != E_NOTFOUND)
		return r;
	l->lost = true;
	if (store_object_remove_brief(l->s, KIND, &l->info.object, NULL) < 0)
		log_say(&l->s->log, LOG_WARN, "a lock stays until it is found to be dead");
	return 0;
}

static void *keep_alive(void *arg)
{
	struct store_lock *l = arg;
	struct timespec next;
	pthread_mutex_lock(&l->m);
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!l->stop) {
		next.tv_sec += (time_t)(l->info.interval_ms / 1000);
		next.tv_nsec += (long)(l->info.interval_ms % 1000) * 1000000;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		while (!l->stop &&
			pthread_cond_timedwait(&l->stop_cond, &l->m, &next) != ETIMEDOUT)
			;
		struct err own = ERR_INIT;
		/* One that fails is tried again the next time; others are patient for two and a
		 * half intervals. */
		if (!l->stop && renew(l, &own) < 0)
			log_say(&l->s->log, LOG_WARN, "the lock could not be renewed: %s", own.msg);
		clock_gettime(CLOCK_MONOTONIC, &next);
	}
	pthread_mutex_unlock(&l->m);
	return NULL;
}

static int start_thread(struct store_lock *l, struct err *e)
{
	sigset_t all, before;
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->stop_cond, &attr);
	pthread_condattr_destroy(&attr);
	/* Signals are for the threads of the program. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(&l->thread, NULL, keep_alive, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	l->running = r == 0;
	return r ? err_set(e, E_NOMEM, r, "start a thread for the lock") : 0;
}

void store_lock_release(struct store_lock *l)
{
	struct err own = ERR_INIT;
	if (!l)
		return;
	pthread_mutex_lock(&l->m);
	l->stop = true;
	pthread_cond_signal(&l->stop_cond);
	pthread_mutex_unlock(&l->m);
	if (l->running)
		pthread_join(l->thread, NULL);
	if (!l->lost && store_object_remove_brief(l->s, KIND, &l->info.object, &own) < 0 &&
		own.code != E_NOTFOUND)
		log_say(&l->s->log, LOG_WARN, "the lock stays until it is found to be dead: %s",
			own.msg);
	pthread_cond_destroy(&l->stop_cond);
	pthread_mutex_destroy(&l->m);
	id_list_free(&l->info.seen);
	free(l);
}

int store_lock_check(struct store_lock *l, struct err *e)
{
	char key[64];
	uint64_t size;
	LOCK_SCOPE(&l->m);
	int r = l->lost ? E_NOTFOUND
			: object_size(l->s->place, store_object_key(KIND, &l->info.object, key),
				  &size, e);
	if (r != E_NOTFOUND)
		return r;
	l->lost = true;
	return err_set(e, E_LOCKED, 0,
		"this process was stopped for so long that others took it for dead, and what it "
		"relied on may be gone: run it again");
}

int store_lock_saw(struct store_lock *l, const struct id_list *doomed, struct err *e)
{
	LOCK_SCOPE(&l->m);
	int r = 0;
	for (size_t i = 0; i < doomed->n && r == 0; i++)
		r = id_list_add(&l->info.seen, &doomed->v[i], e);
	return r < 0 || doomed->n == 0 ? r : renew(l, e);
}

static bool is_exclusive(void *ctx, const struct lock_info *l)
{
	(void)ctx;
	return l->mode == LOCK_EXCLUSIVE;
}

static int take_once(struct store *s, enum lock_mode mode, const char *what, struct store_lock **ret,
	struct err *e)
{
	struct store_lock *l = calloc(1, sizeof *l);
	if (!l)
		return err_set(e, E_NOMEM, 0, "no memory for a lock");
	l->s = s;
	pthread_mutex_init(&l->m, NULL);
	describe_self(&l->info, mode, what, s->lock_interval_ms);
	int r = put_lock(s, &l->info, e);
	if (r < 0) {
		pthread_mutex_destroy(&l->m);
		free(l);
		return r;
	}
	r = start_thread(l, e);
	if (r < 0) {
		store_lock_release(l);
		return r;
	}
	*ret = l;
	return 0;
}

int store_hold(struct store *s, enum lock_mode mode, const char *what, const struct lock_wait *wait,
	struct err *e)
{
	return store_lock_take(s, mode, what, wait, &s->lock, e);
}

const struct store_lock *store_held(const struct store *s)
{
	return s->lock;
}

/* ---- waiting ---- */

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct watched {
	struct id object;
	int64_t since; /* by our monotonic clock */
};

struct watch {
	struct watched *v;
	size_t n;
	struct id_list told; /* holders that were named */
};

static int watch_since(struct watch *w, const struct id *object, int64_t now, int64_t *ret,
	struct err *e)
{
	for (size_t i = 0; i < w->n; i++)
		if (memcmp(&w->v[i].object, object, sizeof *object) == 0) {
			*ret = w->v[i].since;
			return 0;
		}
	struct watched *v = realloc(w->v, (w->n + 1) * sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for locks");
	w->v = v;
	v[w->n++] = (struct watched){*object, now};
	*ret = now;
	return 0;
}

static void tell(struct watch *w, const struct lock_wait *wait, const struct lock_info *l)
{
	if (id_list_has(&w->told, &l->holder) || id_list_add(&w->told, &l->holder, NULL) < 0)
		return;
	if (wait && wait->on_wait)
		wait->on_wait(wait->ctx, l);
}

/* Its own times say that it is not renewed any more, or our clocks differ: worth watching. */
static bool looks_dead(const struct lock_info *l)
{
	int64_t age, patience = (int64_t)(l->interval_ms / 400);
	return l->unknown || __builtin_sub_overflow((int64_t)time(NULL), l->refreshed, &age) ||
	       age > patience || age < -patience;
}

/* One look. *ret_left: how many are in the way; *ret_doubt: one of them may be dead. */
static int look(struct store *s, const struct store_lock *own, lock_filter in_the_way, void *ctx,
	const struct lock_wait *wait, struct watch *w, struct lock_info *ret_holder, size_t *ret_left,
	bool *ret_doubt, struct err *e)
{
	struct lock_list l;
	int64_t now = now_ms(), since = 0;
	int r = lock_list_load(&l, s, e);
	*ret_left = 0;
	*ret_doubt = false;
	for (size_t i = 0; i < l.n && r == 0; i++) {
		struct lock_info *x = &l.v[i];
		if ((own && memcmp(&x->holder, &own->info.holder, sizeof x->holder) == 0) ||
			!in_the_way(ctx, x))
			continue;
		r = watch_since(w, &x->object, now, &since, e);
		if (r < 0)
			break;
		bool dead = is_gone(x) || now - since > (int64_t)(x->interval_ms * 5 / 2);
		if (dead && store_object_remove_brief(s, KIND, &x->object, NULL) == 0) {
			char text[LOCK_TEXT_CHARS];
			log_say(&s->log, LOG_INFO, "a dead lock is removed: %s", lock_text(x, text));
			continue;
		}
		if ((*ret_left)++ == 0) {
			*ret_holder = *x;
			ret_holder->seen = (struct id_list){0};
		}
		*ret_doubt |= dead || looks_dead(x);
		tell(w, wait, x);
	}
	lock_list_free(&l);
	return r;
}

int store_locks_clear(struct store *s, const struct store_lock *own, lock_filter in_the_way,
	void *ctx, const struct lock_wait *wait, struct lock_info *ret_holder, struct err *e)
{
	struct watch w = {0};
	struct lock_info holder = {0};
	char text[LOCK_TEXT_CHARS];
	int64_t until = now_ms() + (wait ? (int64_t)wait->seconds * 1000 : 0);
	size_t left;
	bool doubt;
	int r;
	for (;;) {
		r = look(s, own, in_the_way, ctx, wait, &w, &holder, &left, &doubt, e);
		if (r < 0 || left == 0)
			break;
		if (wait && wait->cancel && *wait->cancel) {
			r = err_set(e, E_CANCELLED, 0, "interrupted");
			break;
		}
		if (!doubt && now_ms() >= until) {
			if (ret_holder)
				*ret_holder = holder;
			r = err_set(e, E_LOCKED, 0, "the store is in use by %s",
				lock_text(&holder, text));
			break;
		}
		uint64_t ms = s->lock_interval_ms / 4 < POLL_MS ? s->lock_interval_ms / 4 + 1 : POLL_MS;
		nanosleep(&(struct timespec){0, (long)ms * 1000000}, NULL);
	}
	free(w.v);
	id_list_free(&w.told);
	return r;
}

int store_lock_take(struct store *s, enum lock_mode mode, const char *what,
	const struct lock_wait *wait, struct store_lock **ret, struct err *e)
{
	struct store_lock *l = NULL;
	int64_t until = now_ms() + (wait ? (int64_t)wait->seconds * 1000 : 0);
	for (;;) {
		int r = take_once(s, mode, what, &l, e);
		if (r == E_NOSPACE)
			return err_wrap(e, "take a lock, for which even compact needs some KiB: make them free first");
		if (r < 0)
			return err_wrap(e, "take a lock");
		if (mode != LOCK_EXCLUSIVE) {
			*ret = l;
			return 0;
		}
		/* With ours there, one look at the others decides. Both may give way, never neither. */
		r = store_locks_clear(s, l, is_exclusive, NULL, NULL, NULL, e);
		if (r == 0) {
			*ret = l;
			return 0;
		}
		store_lock_release(l);
		if (r != E_LOCKED || now_ms() >= until)
			return r;
		struct lock_wait rest = *wait;
		rest.seconds = (unsigned)((until - now_ms() + 999) / 1000);
		r = store_locks_clear(s, NULL, is_exclusive, NULL, &rest, NULL, e);
		if (r < 0)
			return r;
		uint32_t spread;
		crypto_random(&spread, sizeof spread);
		nanosleep(&(struct timespec){0, (long)(spread % 100) * 1000000}, NULL);
	}
}
