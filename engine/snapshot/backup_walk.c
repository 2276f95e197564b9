#include "engine/snapshot/backup_walk.h"

#include "engine/snapshot/content_names.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/anvil/region.h"
#include "engine/base/cleanup.h"
#include "engine/snapshot/dirnames.h"
#include "engine/snapshot/xattrs.h"

#define LIVE_SECONDS 2 /* a region file written this lately is being written to */
#define ITEMS_MAX 256 /* entries of one directory under way at once */

/* An entry on its way into the tree, in name order behind those before it. */
struct item {
	struct item *next;
	struct entry en;
	struct buf hold; /* what the entry's spans point to */
	struct buf nested; /* the entries of a small directory */
	struct ingest_file file;
	bool ingesting, reread;
};

struct dir {
	int fd;
	struct tree_builder *b;
	struct tree_iter old; /* the same directory in the older snapshot */
	struct entry old_en;
	bool have_old;
	struct item *first, **last;
	size_t n_items;
	bool partial; /* something in it was left out */
	struct external_seen *externals; /* .mcc files taken so far */
	size_t n_externals;
};

/* A .mcc file as it was when it was taken. */
struct external_seen {
	int32_t x, z;
	struct stat st;
};

/* How much of what is new is compressed as well as possible at once. With `auto` as much as an hour of
 * play makes; of a large first snapshot the rest is kept, so that it takes as long as copying. */
#define COMPRESS_AT_ONCE ((uint64_t)8 << 20)
static uint64_t new_budget(enum recompress_mode m)
{
	return m == RECOMPRESS_NOW ? UINT64_MAX : m == RECOMPRESS_AUTO ? COMPRESS_AT_ONCE : 0;
}

int walk_init(struct walk *w, struct store *s, const struct backup_options *opt, size_t budget,
	struct err *e)
{
	memset(w, 0, sizeof *w);
	w->s = s;
	w->opt = opt;
	w->in.s = s;
	w->in.discard_slack = store_config(s)->slack == SLACK_DISCARD;
	w->in.compress_new = new_budget(opt->set_recompress ? opt->recompress
							    : store_config(s)->recompress);
	int r = pool_new(&w->in.pool, opt->threads, budget, e);
	if (r == 0) {
		w->in.coders = calloc(pool_threads(w->in.pool), sizeof *w->in.coders);
		if (!w->in.coders)
			r = err_set(e, E_NOMEM, 0, "no memory for threads");
	}
	for (unsigned i = 0; r == 0 && i < pool_threads(w->in.pool); i++)
		r = coder_init(&w->in.coders[i], e);
	if (r < 0)
		walk_end(w);
	return r;
}

void walk_end(struct walk *w)
{
	unsigned n = w->in.pool ? pool_threads(w->in.pool) : 0;
	pool_free(w->in.pool);
	for (unsigned i = 0; w->in.coders && i < n; i++)
		coder_free(&w->in.coders[i]);
	free(w->in.coders);
	buf_free(&w->path);
	w->in.pool = NULL;
	w->in.coders = NULL;
}

static const char *path_of(const struct walk *w)
{
	return w->path.p ? (const char *)w->path.p : "";
}

/* Append a name to the path; returns the length to go back to. */
static int path_push(struct walk *w, const char *name, size_t *ret_mark, struct err *e)
{
	*ret_mark = w->path.len;
	bool slash = w->path.len && w->path.p[w->path.len - 1] != '/';
	int r = buf_reserve(&w->path, strlen(name) + 2, e);
	if (r < 0)
		return r;
	if (slash)
		w->path.p[w->path.len++] = '/';
	memcpy(w->path.p + w->path.len, name, strlen(name) + 1);
	w->path.len += strlen(name);
	return 0;
}

static void path_pop(struct walk *w, size_t mark)
{
	w->path.len = mark;
	w->path.p[mark] = 0;
}

static void problem(struct walk *w, const struct err *e)
{
	walk_problem(w, path_of(w), e);
}

static void tell(struct walk *w)
{
	w->progress.files = w->counts.files;
	w->progress.bytes = w->counts.bytes;
	w->progress.path = path_of(w);
	if (w->opt->on_progress)
		w->opt->on_progress(w->opt->ctx, &w->progress);
}

/* ---- items ---- */

static struct item *item_new(struct err *e)
{
	struct item *it = calloc(1, sizeof *it);
	if (!it)
		err_set(e, E_NOMEM, 0, "no memory for a directory entry");
	return it;
}

static void item_free(struct item *it)
{
	if (it->ingesting)
		(void)!ingest_wait(&it->file, NULL);
	buf_free(&it->hold);
	buf_free(&it->nested);
	free(it);
}

/* Let the entry own the bytes its spans point to. */
static int item_own(struct item *it, struct err *e)
{
	struct span *const spans[] = {&it->en.name, &it->en.target, &it->en.xattrs,
		&it->en.content.inline_data};
	size_t total = 0, at = 0;
	for (int i = 0; i < 4; i++)
		total += spans[i]->n;
	struct buf b = BUF_INIT;
	int r = buf_reserve(&b, total + 1, e);
	for (int i = 0; i < 4 && r == 0; i++) {
		if (spans[i]->n)
			memcpy(b.p + at, spans[i]->p, spans[i]->n);
		spans[i]->p = b.p + at;
		at += spans[i]->n;
	}
	buf_free(&it->hold);
	it->hold = b;
	return r;
}

static int item_finish(struct walk *w, struct dir *d, struct item *it, struct err *e)
{
	if (it->ingesting) {
		it->ingesting = false;
		int r = ingest_wait(&it->file, e);
		if (r < 0)
			return r;
		it->en.content = it->file.content;
		it->en.size = it->file.size;
		if (it->file.changed) {
			size_t mark;
			char name[256];
			struct err changed = ERR_INIT;
			snprintf(name, sizeof name, "%.*s", (int)it->en.name.n, it->en.name.p);
			err_set(&changed, E_CHANGED, 0,
				"changed while it was read; stored as last read");
			w->counts.restless++;
			r = path_push(w, name, &mark, e);
			if (r < 0)
				return r;
			problem(w, &changed);
			path_pop(w, mark);
		}
		w->progress.read_files++;
		w->progress.read_bytes += it->en.size;
	}
	w->counts.bytes += it->en.size;
	w->counts.with_xattrs += it->en.xattrs.n != 0;
	w->counts.with_acls += xattrs_have_acl(it->en.xattrs);
	return w->opt->dry_run ? 0 : tree_builder_add(d->b, &it->en, e);
}

/* Move finished items into the tree; wait until at most `most` are left. */
static int drain(struct walk *w, struct dir *d, size_t most, struct err *e)
{
	int r = 0;
	while (r == 0 && d->first &&
		(d->n_items > most || !d->first->ingesting || ingest_is_done(&d->first->file))) {
		struct item *it = d->first;
		d->first = it->next;
		if (!d->first)
			d->last = &d->first;
		d->n_items--;
		r = item_finish(w, d, it, e);
		item_free(it);
	}
	return r;
}

static int item_queue(struct walk *w, struct dir *d, struct item *it, struct err *e)
{
	it->next = NULL;
	*d->last = it;
	d->last = &it->next;
	d->n_items++;
	return drain(w, d, ITEMS_MAX, e);
}

/* ---- one entry ---- */

/* The older entry of that name; the iterator moves along with the names. */
static const struct entry *old_entry(struct dir *d, struct span name)
{
	while (d->have_old && entry_name_cmp(d->old_en.name, name) < 0)
		d->have_old = tree_iter_next(&d->old, &d->old_en, NULL) == 1;
	return d->have_old && entry_name_cmp(d->old_en.name, name) == 0 ? &d->old_en : NULL;
}

static bool is_unchanged(const struct entry *old, const struct entry *en)
{
	return old && old->type == en->type && !old->damaged && old->size == en->size &&
	       old->ino == en->ino && time_equal(old->mtime, en->mtime) &&
	       time_equal(old->ctime, en->ctime);
}

/* When the source was, or is about to be, looked at. */
static void time_now(const struct walk *w, struct timespec *ret)
{
	if (w->stage)
		*ret = stage_time(w->stage);
	else
		clock_gettime(CLOCK_REALTIME, ret);
}

/* What a name is; in a copy, what it was in the source. */
static int look(const struct walk *w, int dirfd, const char *name, struct staged *ret)
{
	struct stat st;
	*ret = (struct staged){0};
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (w->stage)
		return stage_look(w->stage, &st, ret) ? 0 : (errno = ESTALE, -1);
	ret->st = st;
	return 0;
}

/* A file that was written within the clock's granularity of our look may be written once more
 * without its times telling. Such an entry loses its ctime, which nothing else needs, so that the next run
 * reads it again. */
static void distrust_if_fresh(const struct walk *w, struct entry *en)
{
	int64_t ctime = en->ctime.s * 1000000000 + en->ctime.ns;
	int64_t granularity = en->ctime.ns ? 50000000 : 2000000000;
	struct timespec t;
	time_now(w, &t);
	int64_t at = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	if (ctime > at - granularity)
		en->ctime = (struct timestamp){0};
}

static void fd_path(int fd, const char *name, char *out, size_t n)
{
	if (name)
		snprintf(out, n, "/proc/self/fd/%d/%s", fd, name);
	else
		snprintf(out, n, "/proc/self/fd/%d/.", fd);
}

static int read_xattrs(struct walk *w, int dirfd, const char *name, const struct staged *at, struct item *it,
	struct err *e)
{
	char path[300];
	struct err own = ERR_INIT;
	if (w->stage) {
		int r = buf_add(&it->hold, at->xattrs.p, at->xattrs.n, e);
		it->en.xattrs = buf_span(&it->hold);
		return r;
	}
	fd_path(dirfd, name, path, sizeof path);
	int r = xattrs_read(path, &it->hold, &own);
	it->en.xattrs = buf_span(&it->hold);
	if (r == E_NOMEM)
		return err_pass(e, &own);
	if (r < 0 && r != E_NOTFOUND)
		problem(w, &own); /* the file itself may still be read */
	return 0;
}

static int take_link(struct walk *w, int dirfd, const char *name, struct item *it, struct err *e)
{
	size_t at = it->hold.len;
	int r = buf_reserve(&it->hold, 4097, e);
	if (r < 0)
		return r;
	ssize_t n = readlinkat(dirfd, name, (char *)it->hold.p + at, 4096);
	if (n < 0) {
		struct err own = ERR_INIT;
		err_set(&own, E_IO, errno, "read the link");
		problem(w, &own);
		it->en.damaged = 1;
		w->counts.unreadable++;
		n = 0;
	}
	it->en.xattrs = span_of(it->hold.p, at); /* the buffer may have moved */
	it->en.target = span_of(it->hold.p + at, (size_t)n);
	return 0;
}

static int remember_external(const struct walk *w, struct dir *d, const char *name, const struct stat *st,
	struct err *e)
{
	struct stat copy;
	int32_t x, z;
	if (!region_parse_external_name(name, &x, &z))
		return 0;
	if (w->stage && fstatat(d->fd, name, &copy, AT_SYMLINK_NOFOLLOW) == 0)
		st = &copy; /* same_external() looks at the copy */
	if ((d->n_externals & (d->n_externals - 1)) == 0) {
		struct external_seen *v = realloc(d->externals,
			(d->n_externals ? 2 * d->n_externals : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a directory");
		d->externals = v;
	}
	d->externals[d->n_externals++] = (struct external_seen){x, z, *st};
	return 0;
}

/* Is the .mcc of a chunk the one that was taken? They come before the region files, by name. One that
 * is missing is damage in a world at rest; in a live one the server is about to put it there. */
static bool same_external(const struct dir *d, int32_t x, int32_t z, bool live)
{
	char name[64];
	struct stat st;
	snprintf(name, sizeof name, "c.%d.%d.mcc", x, z);
	bool there = fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	for (size_t i = 0; i < d->n_externals; i++)
		if (d->externals[i].x == x && d->externals[i].z == z)
			return there && st.st_ino == d->externals[i].st.st_ino &&
			       !ingest_stat_differs(&st, &d->externals[i].st);
	return !there && !live;
}

/* A chunk that moved to its .mcc, or rewrote it, after that was read makes the two disagree. */
static bool externals_moved(const struct walk *w, const struct dir *d, const char *name,
	const struct entry *en, const struct ingest_file *f)
{
	int32_t rx, rz;
	struct timespec t;
	if (!region_parse_name(name, &rx, &rz))
		return false;
	time_now(w, &t);
	bool live = en->ctime.s > t.tv_sec - LIVE_SECONDS;
	for (int i = 0; i < REGION_SLOTS; i++)
		if ((f->external[i / 8] >> i % 8 & 1) &&
			!same_external(d, (int32_t)((uint32_t)rx * 32 + (uint32_t)(i % 32)),
				(int32_t)((uint32_t)rz * 32 + (uint32_t)(i / 32)), live))
			return true;
	return false;
}

/* Start reading a regular file. What goes wrong with the file alone is a problem. */
static int take_file(struct walk *w, struct dir *d, const char *name, const struct entry *old,
	struct item *it, struct err *e)
{
	int dirfd = d->fd;
	struct err own = ERR_INIT;
	struct stat st;
	CLEANUP_FD int fd = openat(dirfd, name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int r = 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		r = err_set(&own, E_IO, errno, "cannot be opened");
	else if (!S_ISREG(st.st_mode))
		r = err_set(&own, E_CHANGED, 0, "was replaced while it was looked at");
	else {
		struct span n = it->en.name;
		struct span x = it->en.xattrs;
		/* That of a copy's source is in the entry already. */
		if (!w->stage)
			entry_from_stat(&it->en, &st);
		it->en.name = n;
		it->en.xattrs = x;
		/* The bytes of the entry are owned before jobs may see its address. */
		r = item_own(it, e);
		if (r < 0)
			return r;
		r = ingest_start(&w->in, &it->file, fd, name, &st, old ? &old->content : NULL,
			&own);
		it->ingesting = r == 0;
		/* It may have been read again, after a change: its times are those of what was read. */
		if (!w->stage) {
			it->en.mtime = (struct timestamp){it->file.st.st_mtim.tv_sec,
				(uint32_t)it->file.st.st_mtim.tv_nsec};
			it->en.ctime = (struct timestamp){it->file.st.st_ctim.tv_sec,
				(uint32_t)it->file.st.st_ctim.tv_nsec};
		}
		if (r == 0 && externals_moved(w, d, name, &it->en, &it->file))
			it->file.changed = true;
		distrust_if_fresh(w, &it->en);
		if (r == 0)
			r = remember_external(w, d, name, &st, &own);
	}
	if (r == E_NOMEM || r == E_NOSPACE || r == E_CORRUPT)
		return err_pass(e, &own);
	if (r < 0) {
		problem(w, &own);
		it->en.damaged = 1;
		it->en.size = 0;
		w->counts.unreadable++;
	}
	return 0;
}

static int walk_dir(struct walk *w, int fd, const struct content *old, struct item *it,
	struct err *e);

/* A mount of mcfs shows backups: backing those up would never end. Told by the type of the mount,
 * without asking the mount itself. */
static bool is_mcfs_mount(dev_t dev)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[8192];
	bool ours = false;
	while (f && !ours && fgets(line, sizeof line, f)) {
		unsigned ma, mi;
		ours = sscanf(line, "%*d %*d %u:%u", &ma, &mi) == 2 && makedev(ma, mi) == dev &&
		       strstr(line, " - fuse.mcfs ");
	}
	if (f)
		fclose(f);
	return ours;
}

static bool crosses(const struct walk *w, const struct stat *st)
{
	return st->st_dev != w->dev && (w->opt->one_file_system || is_mcfs_mount(st->st_dev));
}

static int take_dir(struct walk *w, int dirfd, const char *name, const struct entry *old,
	const struct staged *at, struct item *it, struct err *e)
{
	struct err own = ERR_INIT;
	if (crosses(w, &at->st)) {
		it->en.partial = true; /* the mount point itself is kept, as an empty directory */
		return 0;
	}
	if (object_is_at(store_place(w->s), &at->st)) {
		log_say(store_log(w->s), LOG_INFO, "'%s' is left out: it is this store", path_of(w));
		it->en.partial = true;
		return 0;
	}
	CLEANUP_FD int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || w->depth == TREE_DEPTH_MAX) {
		if (fd < 0)
			err_set(&own, E_IO, errno, "cannot be opened");
		else
			err_set(&own, E_UNSUPPORTED, 0, "is nested too deep");
		problem(w, &own);
		it->en.damaged = 1;
		w->counts.unreadable++;
		return 0;
	}
	if (at->skipped || filter_skips_contents(w->opt->filter, fd)) {
		it->en.partial = true;
		return 0;
	}
	/* The older entry's bytes are the iterator's: the content is a copy. */
	struct content oc = {.kind = CONTENT_EMPTY};
	if (old && old->type == NODE_DIR)
		oc = old->content;
	w->depth++;
	int r = walk_dir(w, fd, &oc, it, e);
	w->depth--;
	return r;
}

static void count(struct walk *w, const struct entry *en, const struct entry *old, bool unchanged)
{
	if (en->type == NODE_DIR) {
		w->counts.dirs++;
	} else if (en->type != NODE_FILE) {
		w->counts.others++;
	} else {
		w->counts.files++;
		w->counts.files_new += !old;
		w->counts.files_changed += old && !unchanged;
	}
}

static int is_gone(void *ctx, const struct name *name, struct err *e)
{
	struct walk *w = ctx;
	(void)e;
	return store_is_lost(w->s, name) && !store_has(w->s, name);
}

/* Does it rely on what a repair gave up? Then reading the file again brings that back. */
static bool needs_healing(struct walk *w, const struct content *content)
{
	return store_has_losses(w->s) && content_each_name(w->s, &w->in.coders[0], content, is_gone, w,
						NULL) != 0;
}

/* Look at one name and queue its entry. The path is already pushed. */
static int take_entry(struct walk *w, struct dir *d, const char *name, const char *tree_name,
	const struct entry *old, const struct staged *at, struct err *e)
{
	const struct stat *st = &at->st;
	struct item *it = item_new(e);
	if (!it)
		return E_NOMEM;
	it->en.name = span_of(tree_name, strlen(tree_name));
	entry_from_stat(&it->en, st);
	/* After packs were lost, what the older snapshot names may not be there: read all. */
	bool unchanged = is_unchanged(old, &it->en) && !store_lost_packs(w->s) &&
			 !needs_healing(w, &old->content);
	int r = 0;
	count(w, &it->en, old, unchanged);
	if (unchanged && it->en.type != NODE_DIR)
		it->en.xattrs = old->xattrs;
	else if (!w->opt->dry_run)
		r = read_xattrs(w, d->fd, name, at, it, e);
	if (r < 0)
		;
	else if (it->en.type == NODE_DIR)
		r = item_own(it, e);
	else if (it->en.type == NODE_SYMLINK && unchanged)
		it->en.target = old->target;
	else if (it->en.type == NODE_SYMLINK)
		r = take_link(w, d->fd, name, it, e);
	else if (it->en.type == NODE_FILE && unchanged) {
		it->en.content = old->content;
		r = remember_external(w, d, name, st, e);
	}
	else if (it->en.type == NODE_FILE && !w->opt->dry_run)
		r = take_file(w, d, name, old, it, e);
	if (r == 0 && it->en.type == NODE_DIR)
		r = take_dir(w, d->fd, name, old, at, it, e);
	else if (r == 0 && !it->ingesting)
		r = item_own(it, e);
	if (r < 0) {
		item_free(it);
		return r;
	}
	tell(w);
	return item_queue(w, d, it, e);
}

static int take_name(struct walk *w, struct dir *d, const char *name, struct err *e)
{
	struct staged at;
	size_t mark;
	if (w->opt->cancel && *w->opt->cancel)
		return err_set(e, E_CANCELLED, 0, "interrupted");
	int r = path_push(w, name, &mark, e);
	if (r < 0)
		return r;
	if (filter_excludes(w->opt->filter, path_of(w))) {
		d->partial = true;
		path_pop(w, mark);
		return 0;
	}
	const struct entry *old = old_entry(d, span_of(name, strlen(name)));
	if (look(w, d->fd, name, &at) == 0) {
		r = take_entry(w, d, name, name, old, &at, e);
	} else if (errno != ENOENT) { /* gone meanwhile is no problem */
		struct err own = ERR_INIT;
		err_set(&own, E_IO, errno, "cannot be looked at");
		problem(w, &own);
		d->partial = true;
		w->counts.unreadable++;
	}
	path_pop(w, mark);
	return r;
}

static int walk_names(struct walk *w, struct dir *d, struct err *e)
{
	struct dirnames names = {0};
	struct err own = ERR_INIT;
	int r;
	do {
		r = dirnames_next(&names, d->fd, path_of(w), &own);
		if (r < 0) {
			if (r == E_NOMEM) {
				*e = own;
				break;
			}
			problem(w, &own);
			w->counts.unreadable++;
			d->partial = true;
			r = 0;
			break;
		}
		for (size_t i = 0; i < names.n && r == 0; i++)
			r = take_name(w, d, dirnames_at(&names, i), e);
	} while (r == 0 && names.n);
	dirnames_free(&names);
	return r;
}

static void dir_close(struct dir *d)
{
	while (d->first) {
		struct item *it = d->first;
		d->first = it->next;
		item_free(it);
	}
	tree_iter_close(&d->old);
	tree_builder_free(d->b);
	free(d->externals);
}

static int walk_dir(struct walk *w, int fd, const struct content *old, struct item *it,
	struct err *e)
{
	struct coder *c = &w->in.coders[0];
	struct dir d = {.fd = fd, .old = {.depth = -1}};
	d.last = &d.first;
	int r = w->opt->dry_run ? 0 : tree_builder_new(&d.b, w->s, c, old, e);
	/* An older directory that cannot be read only costs speed. */
	struct err own = ERR_INIT;
	if (r == 0 && tree_iter_open(&d.old, w->s, c, old, 0, &own) == 0)
		d.have_old = tree_iter_next(&d.old, &d.old_en, &own) == 1;
	if (own.code)
		log_say(store_log(w->s), LOG_WARN, "the last snapshot of '%s' cannot be read: %s",
			path_of(w), own.msg);
	if (r == 0)
		r = walk_names(w, &d, e);
	if (r == 0)
		r = drain(w, &d, 0, e);
	if (r == 0 && d.b)
		r = tree_builder_finish(TAKE_PTR(d.b), &it->nested, &it->en.content, e);
	it->en.partial = d.partial;
	dir_close(&d);
	return r;
}

/* The directory above a source, and the source's name in it. */
static int open_above(struct walk *w, const char *path, char *name, int *ret, struct err *e)
{
	CLEANUP_FREE char *real = realpath(path, NULL); /* a link given by hand is followed */
	if (w->stage) {
		snprintf(name, NAME_MAX + 1, STAGE_ROOT);
		*ret = fcntl(stage_fd(w->stage), F_DUPFD_CLOEXEC, 0);
		return *ret < 0 ? err_set(e, E_IO, errno, "open the copy of '%s'", path) : 0;
	}
	if (!real)
		return err_set(e, E_NOTFOUND, errno, "source cannot be read");
	char *slash = strrchr(real, '/');
	snprintf(name, NAME_MAX + 1, "%s", slash[1] ? slash + 1 : ".");
	*slash = 0;
	*ret = open(slash == real ? "/" : real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_set(e, E_IO, errno, "open '%s'", real) : 0;
}

void walk_problem(struct walk *w, const char *path, const struct err *e)
{
	if (w->opt->on_problem)
		w->opt->on_problem(w->opt->ctx, path, e);
}

int walk_source(struct walk *w, const char *path, const char *name, struct tree_builder *up,
	const struct entry *old, struct err *e)
{
	struct staged at;
	struct err own = ERR_INIT;
	size_t mark;
	char last[NAME_MAX + 1];
	struct dir d = {.fd = AT_FDCWD, .b = up, .old = {.depth = -1}};
	d.last = &d.first;
	w->path.len = 0;
	w->stage = stages_find(w->opt->stages, path);
	int r = path_push(w, path, &mark, e);
	if (r < 0)
		return r;
	CLEANUP_FD int above = -1;
	r = open_above(w, path, last, &above, &own);
	if (r == 0 && look(w, above, last, &at) < 0)
		r = err_set(&own, E_NOTFOUND, errno, "source cannot be read");
	if (r == E_NOTFOUND) {
		problem(w, &own);
		w->counts.missing++;
		return 0;
	}
	if (r < 0)
		return err_pass(e, &own);
	d.fd = above;
	w->dev = at.st.st_dev;
	r = take_entry(w, &d, last, name, old, &at, e);
	if (r == 0)
		r = drain(w, &d, 0, e);
	d.b = NULL; /* the caller's */
	dir_close(&d);
	return r;
}
