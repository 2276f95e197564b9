#include "fs/fs.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "fs/topview.h"

#define SCRATCH_KEPT ((size_t)4 << 20)

struct coder_slot {
	struct coder coder;
	struct coder_slot *next;
};

struct coder *coder_take(struct fs *fs)
{
	pthread_mutex_lock(&fs->coder_lock);
	struct coder_slot *s = fs->coders;
	if (s)
		fs->coders = s->next;
	pthread_mutex_unlock(&fs->coder_lock);
	if (s)
		return &s->coder;
	s = calloc(1, sizeof *s);
	if (s && coder_init(&s->coder, NULL) == 0)
		return &s->coder;
	free(s);
	return NULL;
}

/* One large blob must not keep its memory for ever. */
static void trim(struct buf *b)
{
	if (b->cap > SCRATCH_KEPT)
		buf_free(b);
}

void coder_give(struct fs *fs, struct coder *c)
{
	struct coder_slot *s = (struct coder_slot *)(void *)c;
	trim(&c->packed);
	trim(&c->sealed);
	trim(&c->canon);
	LOCK_SCOPE(&fs->coder_lock);
	s->next = fs->coders;
	fs->coders = s;
}

const struct view *view_of(struct node n)
{
	switch (n.shelf->key.kind) {
	case SHELF_TOP:
		return n.slot == TOP_LIVE	? &live_view
		       : n.slot == TOP_TRASH	? &trash_view
		       : n.slot == TOP_PRUNABLE ? &prune_view
						: &top_view;
	case SHELF_LEAF:
		return &snap_view;
	case SHELF_SNAP:
		return n.slot == FACE_TREE     ? &snap_view
		       : n.slot == FACE_CHUNKS ? &chunk_view
		       : n.slot == FACE_EDIT   ? &edit_view
					       : &top_view;
	case SHELF_WORLDS:
	case SHELF_REGION:
	case SHELF_PRUNE:
		return &chunk_view;
	case SHELF_EDIT:
		return &edit_view;
	case SHELF_LIVE:
		return &live_view;
	case SHELF_TRASH:
	case SHELF_TRASHED:
		return &trash_view;
	case SHELF_RULES:
		return &prune_view;
	default:
		return &top_view;
	}
}

bool fs_has_xattrs(struct fs *fs)
{
	return fs->live || (fs->only ? fs->only->key.snap->xattrs : top_has_xattrs(fs->top));
}

bool fs_has_acls(struct fs *fs)
{
	return fs->live || (fs->only ? fs->only->key.snap->acls : top_has_acls(fs->top));
}

bool node_of(struct fs *fs, uint64_t ino, struct node *ret)
{
	if (ino == TOP_ROOT && fs->only)
		*ret = (struct node){nodes_ref(fs->nodes, fs->only), FACE_TREE};
	else
		*ret = (struct node){nodes_find(fs->nodes, ino >> SLOT_BITS),
			(uint32_t)(ino & SLOT_MAX)};
	return ret->shelf != NULL;
}

uint64_t ino_of(struct fs *fs, const struct snap *sn, char what, uint64_t a, uint64_t b,
	struct span name)
{
	uint8_t key[ID_BYTES + 1 + 8 + 8 + 255] = {0};
	size_t n = name.n < 255 ? name.n : 255;
	if (sn)
		memcpy(key, sn->id.b, ID_BYTES);
	key[ID_BYTES] = (uint8_t)what;
	set_le64(key + ID_BYTES + 1, a);
	set_le64(key + ID_BYTES + 9, b);
	if (n)
		memcpy(key + ID_BYTES + 17, name.p, n);
	uint64_t h = keyed_check(fs->keys, span_of(key, ID_BYTES + 17 + n));
	/* Positive for programs that take it for signed, and clear of the fixed directories. */
	return (h >> 1) | 1u << 20;
}

void stat_dir(struct fs *fs, struct stat *st, uint64_t ino, struct timespec t)
{
	*st = (struct stat){.st_ino = ino, .st_mode = S_IFDIR | 0555, .st_nlink = 1,
		.st_uid = fs->uid, .st_gid = fs->gid, .st_blksize = 4096,
		.st_atim = t, .st_mtim = t, .st_ctim = t};
}

void stat_link(struct fs *fs, struct stat *st, uint64_t ino, size_t len, struct timespec t)
{
	stat_dir(fs, st, ino, t);
	st->st_mode = S_IFLNK | 0777;
	st->st_size = (off_t)len;
}

int errno_of(int code)
{
	switch (code) {
	case E_OK:
		return 0;
	case E_NOMEM:
		return ENOMEM;
	case E_NOTFOUND:
		return ENOENT;
	case E_UNSUPPORTED:
		return ENOTSUP;
	case E_CANCELLED:
		return EINTR;
	case E_LOCKED:
		return EBUSY;
	case E_EXISTS:
		return EEXIST;
	case E_NOSPACE:
		return ENOSPC;
	case E_USAGE:
		return EINVAL;
	default:
		return EIO;
	}
}

/* The same, but for what the system said itself and programs know what to do about. */
int errno_of_err(int code, const struct err *e)
{
	return code == E_IO && (e->sys == EROFS || e->sys == EACCES) ? e->sys : errno_of(code);
}

/* ---- reporting ---- */

/* The path of a node, from its end to the front; deep paths lose their beginning. */
void node_path(struct call *cl, struct node n, char *out, size_t size)
{
	size_t at = size - 1;
	out[at] = 0;
	for (int depth = 0; depth < 64 && n.shelf; depth++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct call own = {.fs = cl->fs, .c = cl->c};
		struct node parent = {0};
		const struct view *v = view_of(n);
		if (!v->name || v->name(&own, n, &b, &parent) < 0 || b.len + 1 > at)
			break;
		if (at != size - 1 && b.len)
			out[--at] = '/';
		at -= b.len;
		if (b.len)
			memcpy(out + at, b.p, b.len);
		n = parent;
	}
	memmove(out, out + at, size - at);
}

void say_once(struct fs *fs, enum log_level level, const char *line)
{
	size_t most = sizeof fs->said / sizeof *fs->said;
	uint64_t h = keyed_check(fs->keys, span_of(line, strlen(line)));
	LOCK_SCOPE(&fs->said_lock);
	for (size_t i = 0; i < most; i++)
		if (fs->said[i] == h)
			return;
	fs->said[fs->n_said++ % most] = h;
	log_say(&fs->log, level, "%s", line);
}

void report(struct call *cl, struct node n)
{
	char path[512], line[sizeof path + sizeof cl->e.msg];
	atomic_fetch_add(&cl->fs->n.errors, 1);
	node_path(cl, n, path, sizeof path);
	snprintf(line, sizeof line, "%.500s: %.590s", path, cl->e.msg);
	/* A reader tries again, and the kernel reads ahead: one line is enough. */
	say_once(cl->fs, LOG_ERROR, line);
}
