#include "engine/snapshot/entry.h"

#include <string.h>
#include <sys/sysmacros.h>

enum { HAS_XATTRS = 1, HAS_LINKS = 2, HAS_RDEV = 4, HAS_TARGET = 8, IS_DAMAGED = 16, IS_PARTIAL = 32, ALL_FLAGS = 63 };

#define NS_PER_S 1000000000u

bool entry_name_ok(struct span n)
{
	if (n.n == 0 || n.n > 255 || memchr(n.p, '/', n.n) || memchr(n.p, 0, n.n))
		return false;
	return !(n.p[0] == '.' && (n.n == 1 || (n.n == 2 && n.p[1] == '.')));
}

int entry_name_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

static bool has_name(const struct content *c)
{
	return c->kind >= CONTENT_BLOB && c->kind <= CONTENT_TREE;
}

static int content_put(struct buf *b, const struct content *c, struct err *e)
{
	int r = put_u8(b, (uint8_t)(c->kind | c->level << 4), e);
	if (r == 0 && c->kind == CONTENT_INLINE)
		r = put_bytes(b, c->inline_data, e);
	if (r == 0 && c->kind == CONTENT_NESTED)
		r = put_var(b, c->below, e);
	if (r == 0 && c->kind == CONTENT_NESTED)
		r = buf_add(b, c->inline_data.p, c->inline_data.n, e);
	if (r == 0 && has_name(c))
		r = buf_add(b, c->name.b, NAME_BYTES, e);
	if (r == 0 && c->kind == CONTENT_REGION)
		r = buf_add(b, c->whole.b, NAME_BYTES, e);
	return r;
}

static void get_name(struct rd *r, struct name *n)
{
	struct span s = rd_raw(r, NAME_BYTES);
	if (s.n)
		memcpy(n->b, s.p, NAME_BYTES);
}

static void content_get(struct rd *r, struct content *c)
{
	uint8_t k = rd_u8(r);
	c->kind = k & 15;
	c->level = k >> 4;
	if (c->kind > CONTENT_NESTED || (c->level && c->kind != CONTENT_MAP &&
					      c->kind != CONTENT_TREE))
		r->bad = true;
	if (c->kind == CONTENT_INLINE)
		c->inline_data = rd_bytes(r);
	if (has_name(c))
		get_name(r, &c->name);
	if (c->kind == CONTENT_REGION)
		get_name(r, &c->whole);
	if (c->kind == CONTENT_NESTED)
		c->below = (uint32_t)rd_var_max(r, UINT32_MAX);
	if (c->kind == CONTENT_NESTED && !c->below)
		r->bad = true;
}

int entry_put(struct buf *b, const struct entry *en, struct err *e)
{
	bool rdev = en->type == NODE_CHAR || en->type == NODE_BLOCK;
	bool links = en->type != NODE_DIR && en->nlink > 1;
	uint8_t flags = (uint8_t)((en->xattrs.n ? HAS_XATTRS : 0) | (links ? HAS_LINKS : 0) |
				  (rdev ? HAS_RDEV : 0) |
				  (en->type == NODE_SYMLINK ? HAS_TARGET : 0) |
				  (en->damaged ? IS_DAMAGED : 0) |
				  (en->partial ? IS_PARTIAL : 0));
	int r = put_bytes(b, en->name, e);
	if (r == 0)
		r = put_u8(b, en->type, e);
	if (r == 0)
		r = put_u8(b, flags, e);
	const uint64_t v[] = {en->mode, en->uid, en->gid};
	for (int i = 0; i < 3 && r == 0; i++)
		r = put_var(b, v[i], e);
	if (r == 0)
		r = put_svar(b, en->mtime.s, e);
	if (r == 0)
		r = put_var(b, en->mtime.ns, e);
	if (r == 0)
		r = put_svar(b, (int64_t)((uint64_t)en->ctime.s - (uint64_t)en->mtime.s), e);
	if (r == 0)
		r = put_var(b, en->ctime.ns, e);
	if (r == 0)
		r = put_var(b, en->ino, e);
	if (r == 0)
		r = put_var(b, en->size, e);
	if (r == 0 && links)
		r = put_var(b, en->nlink, e);
	if (r == 0 && links)
		r = put_var(b, en->dev, e);
	if (r == 0 && rdev)
		r = put_var(b, en->rdev_major, e);
	if (r == 0 && rdev)
		r = put_var(b, en->rdev_minor, e);
	if (r == 0 && (flags & HAS_TARGET))
		r = put_bytes(b, en->target, e);
	if (r == 0 && (flags & HAS_XATTRS))
		r = put_bytes(b, en->xattrs, e);
	return r < 0 ? r : content_put(b, &en->content, e);
}

void entry_get(struct rd *r, struct entry *en)
{
	*en = (struct entry){.nlink = 1};
	en->name = rd_bytes(r);
	en->type = rd_u8(r);
	uint8_t flags = rd_u8(r);
	en->damaged = (flags & IS_DAMAGED) != 0;
	en->partial = (flags & IS_PARTIAL) != 0;
	en->mode = (uint32_t)rd_var_max(r, 07777);
	en->uid = (uint32_t)rd_var_max(r, UINT32_MAX);
	en->gid = (uint32_t)rd_var_max(r, UINT32_MAX);
	en->mtime.s = rd_svar(r);
	en->mtime.ns = (uint32_t)rd_var_max(r, NS_PER_S - 1);
	en->ctime.s = (int64_t)((uint64_t)en->mtime.s + (uint64_t)rd_svar(r));
	en->ctime.ns = (uint32_t)rd_var_max(r, NS_PER_S - 1);
	en->ino = rd_var(r);
	en->size = rd_var_max(r, INT64_MAX);
	if (flags & HAS_LINKS) {
		en->nlink = (uint32_t)rd_var_max(r, UINT32_MAX);
		en->dev = rd_var(r);
	}
	if (flags & HAS_RDEV) {
		en->rdev_major = (uint32_t)rd_var_max(r, UINT32_MAX);
		en->rdev_minor = (uint32_t)rd_var_max(r, UINT32_MAX);
	}
	if (flags & HAS_TARGET)
		en->target = rd_bytes(r);
	if (flags & HAS_XATTRS)
		en->xattrs = rd_bytes(r);
	content_get(r, &en->content);
	bool tree = en->content.kind == CONTENT_TREE || en->content.kind == CONTENT_NESTED;
	bool link = en->type == NODE_SYMLINK;
	if ((flags & ~ALL_FLAGS) || link != ((flags & HAS_TARGET) != 0) ||
		!entry_name_ok(en->name) || en->type < NODE_FILE || en->type > NODE_SOCKET ||
		(en->content.kind != CONTENT_EMPTY && en->type != NODE_DIR &&
			en->type != NODE_FILE) ||
		(tree && en->type != NODE_DIR) ||
		(en->type == NODE_DIR && !tree && en->content.kind != CONTENT_EMPTY) ||
		(en->target.n && memchr(en->target.p, 0, en->target.n)))
		r->bad = true;
}

void entry_from_stat(struct entry *en, const struct stat *st)
{
	en->type = S_ISREG(st->st_mode)	   ? NODE_FILE
		   : S_ISDIR(st->st_mode)  ? NODE_DIR
		   : S_ISLNK(st->st_mode)  ? NODE_SYMLINK
		   : S_ISFIFO(st->st_mode) ? NODE_FIFO
		   : S_ISCHR(st->st_mode)  ? NODE_CHAR
		   : S_ISBLK(st->st_mode)  ? NODE_BLOCK
					   : NODE_SOCKET;
	en->mode = st->st_mode & 07777;
	en->uid = st->st_uid;
	en->gid = st->st_gid;
	en->mtime = (struct timestamp){st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec};
	en->ctime = (struct timestamp){st->st_ctim.tv_sec, (uint32_t)st->st_ctim.tv_nsec};
	en->ino = st->st_ino;
	en->dev = st->st_dev;
	en->nlink = (uint32_t)st->st_nlink;
	en->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	en->rdev_major = major(st->st_rdev);
	en->rdev_minor = minor(st->st_rdev);
}

mode_t entry_mode_bits(const struct entry *en)
{
	static const mode_t bits[] = {[NODE_FILE] = S_IFREG, [NODE_DIR] = S_IFDIR,
		[NODE_SYMLINK] = S_IFLNK, [NODE_FIFO] = S_IFIFO, [NODE_CHAR] = S_IFCHR,
		[NODE_BLOCK] = S_IFBLK, [NODE_SOCKET] = S_IFSOCK};
	return bits[en->type];
}

bool content_equal(const struct content *a, const struct content *b)
{
	if (a->kind != b->kind || a->level != b->level)
		return false;
	if (a->kind == CONTENT_INLINE)
		return entry_name_cmp(a->inline_data, b->inline_data) == 0;
	if (a->kind == CONTENT_REGION)
		/* Two layouts can spell the same bytes. */
		return name_cmp(&a->whole, &b->whole) == 0;
	if (a->kind == CONTENT_NESTED && a->index != b->index)
		return false;
	return a->kind == CONTENT_EMPTY || name_cmp(&a->name, &b->name) == 0;
}
