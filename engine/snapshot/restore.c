#include "engine/snapshot/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/anvil/session_lock.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/snapshot/dirnames.h"
#include "engine/snapshot/extract.h"
#include "engine/snapshot/metadata.h"
#include "engine/snapshot/resolve.h"
#include "engine/snapshot/seen_links.h"
#include "engine/snapshot/tree.h"

#define POOL_BUDGET ((size_t)32 << 20)
#define ITEMS_MAX 64 /* files of one directory under way at once; each holds a descriptor */

struct item {
	struct item *next;
	struct entry en;
	struct buf hold;
	char name[256], tmp[32];
	int fd;
	struct extract_file file;
};

struct run {
	struct store *s;
	const struct restore_options *opt;
	struct restore_result *ret;
	struct extract x;
	struct buf path; /* from the target, for messages */
	int top;	 /* the target */
	struct seen_links links;
	unsigned long tmp_no;
	unsigned depth;
};

struct dir {
	int fd; /* -1 in a dry run below a directory that does not exist yet */
	struct item *first, **last;
	size_t n;
};

static const char *path_of(const struct run *w)
{
	return w->path.len ? (const char *)w->path.p : ".";
}

static int path_push(struct run *w, const char *name, size_t *mark, struct err *e)
{
	*mark = w->path.len;
	int r = buf_reserve(&w->path, strlen(name) + 2, e);
	if (r < 0)
		return r;
	if (w->path.len)
		w->path.p[w->path.len++] = '/';
	memcpy(w->path.p + w->path.len, name, strlen(name) + 1);
	w->path.len += strlen(name);
	return 0;
}

static void path_pop(struct run *w, size_t mark)
{
	w->path.len = mark;
	w->path.p[mark] = 0;
}

static void say(struct run *w, enum restore_verb verb)
{
	if (w->opt->on_item)
		w->opt->on_item(w->opt->ctx, verb, path_of(w));
}

/* One thing could not be restored: say so and go on. Lack of memory or space, a server that uses the
 * world, and the user's interruption, end the run. */
static int problem(struct run *w, struct err *own, struct err *e)
{
	if (own->code == E_NOMEM || own->code == E_NOSPACE || own->code == E_CANCELLED ||
		own->code == E_LOCKED) {
		*e = *own;
		return err_wrap(e, "restore '%s'", path_of(w));
	}
	w->ret->problems++;
	w->ret->damaged += own->code == E_CORRUPT;
	if (w->opt->on_problem)
		w->opt->on_problem(w->opt->ctx, path_of(w), own);
	return 0;
}

/* ---- removing ---- */

static int remove_tree(struct run *w, int dirfd, const char *name, struct err *e)
{
	struct stat st;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_set(e, E_IO, errno, "look at it");
	if (!S_ISDIR(st.st_mode))
		return unlinkat(dirfd, name, 0) < 0 ? err_set(e, E_IO, errno, "remove it") : 0;
	CLEANUP_FD int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, E_IO, errno, "open it");
	struct dirnames names = {0};
	int r;
	do {
		r = dirnames_next(&names, fd, name, e);
		for (size_t i = 0; r == 0 && i < names.n; i++)
			r = remove_tree(w, fd, dirnames_at(&names, i), e);
	} while (r == 0 && names.n);
	dirnames_free(&names);
	if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		r = err_set(e, E_IO, errno, "remove it");
	return r;
}

/* Remove what the snapshot's directory does not have. Both sides come in the same order. */
static int delete_extra(struct run *w, int fd, const struct content *dir, struct err *e)
{
	struct dirnames names = {0};
	struct tree_iter it;
	struct entry en;
	int r = tree_iter_open(&it, w->s, &w->x.coders[0], dir, 0, e);
	if (r < 0)
		return r;
	int more = tree_iter_next(&it, &en, e);
	do {
		r = more < 0 ? more : dirnames_next(&names, fd, path_of(w), e);
		for (size_t i = 0; r == 0 && i < names.n; i++) {
			const char *name = dirnames_at(&names, i);
			struct span n = span_of(name, strlen(name));
			size_t mark;
			while (more == 1 && entry_name_cmp(en.name, n) < 0)
				more = tree_iter_next(&it, &en, e);
			if (more < 0)
				r = more;
			else if (more == 0 || entry_name_cmp(en.name, n) != 0) {
				struct err own = ERR_INIT;
				r = path_push(w, name, &mark, e);
				if (r < 0)
					break;
				say(w, RESTORE_DELETE);
				w->ret->deleted++;
				if (!w->opt->dry_run && remove_tree(w, fd, name, &own) < 0)
					r = problem(w, &own, e);
				path_pop(w, mark);
			}
		}
	} while (r == 0 && names.n);
	dirnames_free(&names);
	tree_iter_close(&it);
	return r;
}

/* Make room: for a directory, where something else is; for anything else, where a directory is. What
 * is replaced by something of its own kind stays until the rename. */
static int clear_place(struct run *w, int dirfd, const char *name, bool want_dir, bool *ret_there,
	struct err *e)
{
	struct stat st;
	*ret_there = false;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_set(e, E_IO, errno, "look at it");
	if (S_ISDIR(st.st_mode) && want_dir) {
		*ret_there = true;
		return 0;
	}
	if (!S_ISDIR(st.st_mode) && !want_dir)
		return 0;
	if (S_ISDIR(st.st_mode) && !w->opt->delete_extra)
		return err_set(e, E_EXISTS, 0,
			"a directory is in its place (--delete would remove it)");
	return remove_tree(w, dirfd, name, e);
}

static void tmp_name(struct run *w, char tmp[32])
{
	snprintf(tmp, 32, ".mcfs-%lx-%lx.tmp", (unsigned long)getpid(), w->tmp_no++);
}

/* From its temporary name to its own. */
static int put_in_place(struct run *w, int dirfd, const char *tmp, const char *name, struct err *e)
{
	bool there;
	int r = clear_place(w, dirfd, name, false, &there, e);
	if (r == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		r = err_set(e, E_IO, errno, "put it in its place");
	/* After a failure, and when both are links to one file: then renaming does nothing. */
	unlinkat(dirfd, tmp, 0);
	return r;
}

/* ---- hard links ---- */

/* Open the directory of a path below the target without following links. */
static int open_parent(struct run *w, const char *path, const char **ret_name)
{
	int fd = fcntl(w->top, F_DUPFD_CLOEXEC, 0);
	for (;;) {
		size_t n = strcspn(path, "/");
		if (!path[n]) {
			*ret_name = path;
			return fd;
		}
		char part[256];
		snprintf(part, sizeof part, "%.*s", (int)n, path);
		int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		if (next < 0)
			return -1;
		fd = next;
		path += n + 1;
	}
}

static int make_link(struct run *w, const char *to, int dirfd, const char *name, struct err *e)
{
	const char *first;
	char tmp[32];
	CLEANUP_FD int from = open_parent(w, to, &first);
	if (from < 0)
		return err_set(e, E_IO, errno, "find '%s' to link to", to);
	tmp_name(w, tmp);
	if (linkat(from, first, dirfd, tmp, 0) < 0)
		return err_set(e, io_unknown_here(errno) ? E_UNSUPPORTED : E_IO, errno, "link to '%s'",
			to);
	return put_in_place(w, dirfd, tmp, name, e);
}

/* ---- files ---- */

static void item_free(struct item *it)
{
	if (it->fd >= 0)
		close(it->fd);
	buf_free(&it->hold);
	free(it);
}

/* A region file is put together from many places: read it back and compare before it counts. */
static int check_item(struct run *w, struct item *it, struct err *e)
{
	bool always = it->en.content.kind == CONTENT_REGION;
	if (!always && !w->opt->verify)
		return 0;
	if (w->opt->verify && fdatasync(it->fd) < 0)
		return err_set(e, E_IO, errno, "write it to the disk");
	if (w->opt->verify) /* so that the disk is asked, not the memory */
		posix_fadvise(it->fd, 0, 0, POSIX_FADV_DONTNEED);
	int r = extract_verify(w->s, &w->x.coders[0], it->fd, &it->en.content, it->en.size, e);
	if (r == 0 && w->opt->verify)
		w->ret->verified++;
	return r;
}

static int item_publish(struct run *w, struct dir *d, struct item *it, struct err *e)
{
	int r = extract_wait(&it->file, e);
	if (r == 0)
		r = check_item(w, it, e);
	if (r == 0 && close(take_fd(&it->fd)) < 0)
		r = err_set(e, E_IO, errno, "close it");
	if (r < 0) {
		unlinkat(d->fd, it->tmp, 0);
		return r;
	}
	/* Attributes that cannot be set are no reason to lose the contents. */
	int meta = metadata_apply(d->fd, it->tmp, &it->en, e);
	r = put_in_place(w, d->fd, it->tmp, it->name, meta < 0 ? NULL : e);
	if (r < 0)
		return r;
	w->ret->files++;
	w->ret->bytes += it->en.size;
	return meta;
}

static int finish_item(struct run *w, struct dir *d, struct item *it, struct err *e)
{
	size_t mark;
	struct err own = ERR_INIT;
	int r = path_push(w, it->name, &mark, e);
	if (r < 0) {
		(void)!extract_wait(&it->file, NULL);
		unlinkat(d->fd, it->tmp, 0);
		return r;
	}
	if (item_publish(w, d, it, &own) < 0)
		r = problem(w, &own, e);
	path_pop(w, mark);
	if (w->opt->on_progress)
		w->opt->on_progress(w->opt->ctx, w->ret->files, w->ret->bytes);
	return r;
}

static int drain(struct run *w, struct dir *d, size_t most, struct err *e)
{
	int r = 0;
	while (d->first && r == 0 && (d->n > most || extract_is_done(&d->first->file))) {
		struct item *it = d->first;
		d->first = it->next;
		if (!d->first)
			d->last = &d->first;
		d->n--;
		r = finish_item(w, d, it, e);
		item_free(it);
	}
	return r;
}

static void abandon(struct dir *d)
{
	while (d->first) {
		struct item *it = d->first;
		d->first = it->next;
		(void)!extract_wait(&it->file, NULL);
		unlinkat(d->fd, it->tmp, 0);
		item_free(it);
	}
}

/* The item owns its entry's bytes: the tree's may go away. */
static struct item *item_new(const struct entry *en, const char *name, struct err *e)
{
	struct item *it = calloc(1, sizeof *it);
	if (!it || buf_add(&it->hold, en->xattrs.p, en->xattrs.n, e) < 0 ||
		buf_add(&it->hold, en->content.inline_data.p, en->content.inline_data.n, e) < 0) {
		if (it)
			buf_free(&it->hold);
		free(it);
		err_set(e, E_NOMEM, 0, "no memory for a file");
		return NULL;
	}
	it->fd = -1;
	it->en = *en;
	it->en.xattrs.p = it->hold.p;
	it->en.content.inline_data.p = it->hold.p ? it->hold.p + en->xattrs.n : NULL;
	snprintf(it->name, sizeof it->name, "%s", name);
	return it;
}

static int restore_file(struct run *w, struct dir *d, const char *name, const struct entry *en,
	struct err *e)
{
	struct item *it = item_new(en, name, e);
	if (!it)
		return E_NOMEM;
	tmp_name(w, it->tmp);
	it->fd = openat(d->fd, it->tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = it->fd < 0 ? err_set(e, E_IO, errno, "create it")
			   : extract_start(&w->x, &it->file, it->fd, &it->en.content, en->size, e);
	if (r < 0) {
		if (it->fd >= 0)
			unlinkat(d->fd, it->tmp, 0);
		item_free(it);
		return r;
	}
	*d->last = it;
	d->last = &it->next;
	d->n++;
	return 0;
}

static int restore_special(struct run *w, struct dir *d, const char *name, const struct entry *en,
	struct err *e)
{
	char tmp[32];
	int r;
	tmp_name(w, tmp);
	if (en->type == NODE_SYMLINK) {
		CLEANUP_FREE char *t = strndup((const char *)en->target.p, en->target.n);
		if (!t)
			return err_set(e, E_NOMEM, 0, "no memory for a link");
		r = symlinkat(t, d->fd, tmp);
	} else {
		r = mknodat(d->fd, tmp, entry_mode_bits(en) | 0600,
			makedev(en->rdev_major, en->rdev_minor));
	}
	if (r < 0)
		return err_set(e, io_unknown_here(errno) ? E_UNSUPPORTED : E_IO, errno, "make the %s",
			en->type == NODE_SYMLINK ? "symbolic link" : "special file");
	int meta = metadata_apply(d->fd, tmp, en, e);
	r = put_in_place(w, d->fd, tmp, name, meta < 0 ? NULL : e);
	w->ret->others += r == 0;
	return r < 0 ? r : meta;
}

static int restore_new(struct run *w, struct dir *d, const char *name, const struct entry *en,
	struct err *e)
{
	return en->type == NODE_FILE ? restore_file(w, d, name, en, e)
				     : restore_special(w, d, name, en, e);
}

/* A further name of a file where there are no hard links. */
static int restore_copy(struct run *w, struct dir *d, const char *name, const struct entry *en,
	const char *first, struct err *e)
{
	int r = restore_new(w, d, name, en, e);
	return r < 0 ? r
		     : err_set(e, E_UNSUPPORTED, 0,
				"is a copy of '%s', no link to it: there are none here", first);
}

/* What is there already may stay, by the user's choice. */
static bool keep_existing(struct run *w, struct dir *d, const char *name, const struct entry *en)
{
	struct stat st;
	if (w->opt->overwrite == OVERWRITE_ALWAYS || d->fd < 0 ||
		fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (w->opt->overwrite == OVERWRITE_NEVER)
		return true;
	return (st.st_mode & S_IFMT) == entry_mode_bits(en) && en->type == NODE_FILE &&
	       (uint64_t)st.st_size == en->size && st.st_mtim.tv_sec == en->mtime.s &&
	       (uint32_t)st.st_mtim.tv_nsec == en->mtime.ns;
}

static int restore_leaf(struct run *w, struct dir *d, const char *name, const struct entry *en,
	struct err *e)
{
	if (keep_existing(w, d, name, en)) {
		say(w, RESTORE_KEEP);
		w->ret->kept++;
		if (w->opt->dry_run || w->opt->overwrite == OVERWRITE_NEVER)
			return 0;
		return metadata_apply(d->fd, name, en, e);
	}
	if (en->damaged)
		return err_set(e, E_FORMAT, 0,
			"could not be read when the snapshot was made; nothing to restore");
	say(w, RESTORE_WRITE);
	if (w->opt->dry_run) {
		w->ret->files += en->type == NODE_FILE;
		w->ret->others += en->type != NODE_FILE;
		w->ret->bytes += en->size;
		return 0;
	}
	if (en->nlink > 1) {
		const char *first = seen_links_find(&w->links, en->ino, en->dev);
		int r = first ? make_link(w, first, d->fd, name, e) : 0;
		if (first)
			return r == E_UNSUPPORTED ? restore_copy(w, d, name, en, first, e) : r;
	}
	int r = restore_new(w, d, name, en, e);
	if (r == 0 && en->nlink > 1) {
		/* It must be in place before others can link to it. */
		r = seen_links_add(&w->links, en->ino, en->dev, path_of(w), e);
		if (r == 0 && en->type == NODE_FILE) {
			size_t mark = w->path.len - strlen(name);
			path_pop(w, mark ? mark - 1 : 0);
			r = drain(w, d, 0, e);
			if (r == 0)
				r = path_push(w, name, &mark, e);
		}
	}
	return r;
}

/* ---- directories ---- */

/* The directory that the restore has come to may be a world that a server uses. */
static int unused_here(const struct run *w, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	if (asprintf(&path, "%s/%s", w->opt->to, path_of(w)) < 0) {
		path = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	return session_lock_unused(path, e);
}

static int restore_tree(struct run *w, int fd, const struct content *dir, bool whole,
	struct err *e);

static int restore_dir(struct run *w, struct dir *d, const char *name, const struct entry *en,
	struct err *e)
{
	bool there = false;
	struct stat st;
	struct err own = ERR_INIT;
	int r = 0;
	if (w->opt->dry_run)
		there = d->fd >= 0 && fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISDIR(st.st_mode);
	else
		r = clear_place(w, d->fd, name, true, &there, &own);
	if (r == 0 && !there) {
		say(w, RESTORE_WRITE);
		if (!w->opt->dry_run && mkdirat(d->fd, name, 0700) < 0)
			r = err_set(&own, E_IO, errno, "make the directory");
	}
	if (r < 0)
		return problem(w, &own, e);
	if (there && !w->opt->dry_run && !w->opt->into_running)
		r = unused_here(w, e);
	if (r < 0)
		return r;
	w->ret->dirs += !there;
	CLEANUP_FD int fd = d->fd < 0 ? -1
				      : openat(d->fd, name,
						O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && !w->opt->dry_run) {
		err_set(&own, E_IO, errno, "open the directory");
		return problem(w, &own, e);
	}
	/* The entry belongs to an iterator that stands still meanwhile. */
	r = restore_tree(w, fd, &en->content, !en->damaged && !en->partial, e);
	if (r == 0 && en->damaged) {
		err_set(&own, E_FORMAT, 0,
			"could not be read when the snapshot was made; nothing to restore");
		r = problem(w, &own, e);
	}
	if (r == 0 && !w->opt->dry_run && metadata_apply(d->fd, name, en, &own) < 0)
		r = problem(w, &own, e);
	return r;
}

static int restore_entry(struct run *w, struct dir *d, const struct entry *en, struct err *e)
{
	char name[256];
	size_t mark;
	struct err own = ERR_INIT;
	if (w->opt->cancel && *w->opt->cancel)
		return err_set(e, E_CANCELLED, 0, "interrupted");
	memcpy(name, en->name.p, en->name.n); /* entry_get() has checked it */
	name[en->name.n] = 0;
	int r = path_push(w, name, &mark, e);
	if (r < 0)
		return r;
	if (en->type == NODE_DIR)
		r = restore_dir(w, d, name, en, e);
	else if (restore_leaf(w, d, name, en, &own) < 0)
		r = problem(w, &own, e);
	path_pop(w, mark);
	return r < 0 ? r : drain(w, d, ITEMS_MAX, e);
}

/* `whole`: the snapshot has all that was in the directory; only then may extra names be deleted. */
static int restore_tree(struct run *w, int fd, const struct content *dir, bool whole,
	struct err *e)
{
	struct tree_iter it;
	struct entry en;
	struct err own = ERR_INIT;
	struct dir d = {.fd = fd};
	d.last = &d.first;
	int r = w->depth < TREE_DEPTH_MAX
			? tree_iter_open(&it, w->s, &w->x.coders[0], dir, 0, &own)
			: err_set(&own, E_UNSUPPORTED, 0, "is nested too deep");
	if (r < 0)
		return problem(w, &own, e);
	w->depth++;
	while ((r = tree_iter_next(&it, &en, &own)) == 1) {
		r = restore_entry(w, &d, &en, e);
		if (r < 0)
			break;
	}
	if (r < 0 && own.code < 0)
		r = problem(w, &own, e);
	if (r == 0)
		r = drain(w, &d, 0, e);
	abandon(&d);
	tree_iter_close(&it);
	w->depth--;
	if (r == 0 && w->opt->delete_extra && fd >= 0 && whole)
		r = delete_extra(w, fd, dir, e);
	else if (r == 0 && w->opt->delete_extra && fd >= 0 && w->path.len)
		log_say(store_log(w->s), LOG_WARN,
			"'%s': nothing is deleted here: the snapshot has only a part of it",
			path_of(w));
	return r;
}

/* ---- */

static int restore_top(struct run *w, const struct snapshot *sn, struct err *e)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en;
	const char *path = w->opt->path ? w->opt->path : "";
	size_t len = strlen(path);
	int r = resolve_path(w->s, &w->x.coders[0], sn, path, &en, &hold, e);
	if (r < 0)
		return r;
	if (en.name.n == 0 || (en.type == NODE_DIR && len && path[len - 1] == '/')) {
		/* The root of a snapshot is no directory of its own: what else lies in the target
		 * is none of its business. */
		r = restore_tree(w, w->top, &en.content,
			en.name.n && !en.damaged && !en.partial, e);
		if (r == 0 && en.name.n && w->top >= 0 && !w->opt->dry_run)
			r = metadata_apply(w->top, ".", &en, e);
		return r;
	}
	struct dir d = {.fd = w->top};
	d.last = &d.first;
	r = restore_entry(w, &d, &en, e);
	if (r == 0)
		r = drain(w, &d, 0, e);
	abandon(&d);
	return r;
}

static int open_target(struct run *w, struct err *e)
{
	if (!w->opt->dry_run) {
		int r = io_mkdirs(w->opt->to, 0755, e);
		if (r < 0)
			return r;
	}
	w->top = open(w->opt->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->top < 0 && !(w->opt->dry_run && errno == ENOENT))
		return err_set(e, E_IO, errno, "open '%s'", w->opt->to);
	return 0;
}

int restore_run(struct store *s, const struct snapshot *sn, const struct restore_options *opt,
	struct restore_result *ret, struct err *e)
{
	struct run w = {.s = s, .opt = opt, .ret = ret, .top = -1};
	*ret = (struct restore_result){0};
	w.x.s = s;
	int r = opt->dry_run || opt->into_running ? 0 : session_lock_unused_above(opt->to, e);
	if (r == 0)
		r = open_target(&w, e);
	if (r == 0)
		r = pool_new(&w.x.pool, opt->threads, POOL_BUDGET, e);
	unsigned n = r == 0 ? pool_threads(w.x.pool) : 0;
	if (r == 0 && !(w.x.coders = calloc(n, sizeof *w.x.coders)))
		r = err_set(e, E_NOMEM, 0, "no memory for threads");
	for (unsigned i = 0; i < n && r == 0; i++)
		r = coder_init(&w.x.coders[i], e);
	if (r == 0)
		r = restore_top(&w, sn, e);
	pool_free(w.x.pool);
	for (unsigned i = 0; w.x.coders && i < n; i++)
		coder_free(&w.x.coders[i]);
	free(w.x.coders);
	seen_links_free(&w.links);
	buf_free(&w.path);
	if (w.top >= 0)
		close(w.top);
	return r;
}
