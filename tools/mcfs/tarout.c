#include "tools/mcfs/tarout.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "engine/base/io.h"
#include "engine/base/wire.h"
#include "engine/snapshot/xattrs.h"

#define OUT_BYTES ((size_t)256 << 10)

/* libarchive decides for a whole archive how names are written. So there are two writers: entries
 * alternate between them, and only one of them ends the tar. */
struct tarout {
	int fd;
	struct archive *utf8;	/* NULL: no fitting locale */
	struct archive *binary; /* for names that are not UTF-8 */
	struct archive *now;	/* the one of the entry under way */
	struct archive_entry *entry;
	struct buf out;
	bool drop; /* the end marks of the other writer */
	struct err failed; /* why writing failed */
};

/* ---- output ---- */

static int flush(struct tarout *t)
{
	int r = t->failed.code;
	if (r == 0)
		r = io_write(t->fd, t->out.p, t->out.len, "standard output", &t->failed);
	t->out.len = 0;
	return r;
}

/* Never fails for libarchive, which would not release all of its memory then; t->failed is looked
 * at after every call instead. */
static la_ssize_t on_write(struct archive *a, void *ctx, const void *p, size_t n)
{
	struct tarout *t = ctx;
	int r = t->failed.code;
	(void)a;
	if (t->drop || r < 0)
		return (la_ssize_t)n;
	if (t->out.len + n > OUT_BYTES)
		r = flush(t);
	if (r == 0 && n >= OUT_BYTES)
		(void)!io_write(t->fd, p, n, "standard output", &t->failed);
	else if (r == 0)
		(void)!buf_add(&t->out, p, n, &t->failed);
	return (la_ssize_t)n;
}

static int writer_new(struct tarout *t, struct archive **ret, bool binary, struct err *e)
{
	struct archive *a = *ret = archive_write_new();
	if (!a)
		return err_set(e, E_NOMEM, 0, "no memory to write a tar");
	/* GNU tar remarks on every keyword it does not know: only those it does. */
	if (archive_write_set_format_pax(a) != ARCHIVE_OK ||
		archive_write_set_format_option(a, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
		(binary && archive_write_set_format_option(a, "pax", "hdrcharset", "BINARY") !=
				   ARCHIVE_OK) ||
		archive_write_set_bytes_per_block(a, 0) != ARCHIVE_OK ||
		archive_write_open(a, t, NULL, on_write, NULL) != ARCHIVE_OK)
		return err_set(e, E_IO, 0, "begin a tar: %s", archive_error_string(a));
	return 0;
}

int tarout_open(struct tarout **ret, int fd, struct err *e)
{
	struct tarout *t = calloc(1, sizeof *t);
	if (!t)
		return err_set(e, E_NOMEM, 0, "no memory to write a tar");
	t->fd = fd;
	t->entry = archive_entry_new();
	int r = t->entry ? buf_reserve_exact(&t->out, OUT_BYTES, e)
			 : err_set(e, E_NOMEM, 0, "no memory to write a tar");
	if (r == 0)
		r = writer_new(t, &t->binary, true, e);
	if (r == 0 && setlocale(LC_CTYPE, "C.UTF-8"))
		r = writer_new(t, &t->utf8, false, e);
	if (r < 0) {
		tarout_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

static void writer_free(struct tarout *t, struct archive *a)
{
	if (!a)
		return;
	t->drop = true; /* freeing closes, which would write */
	archive_write_free(a);
}

void tarout_free(struct tarout *t)
{
	if (!t)
		return;
	writer_free(t, t->utf8);
	writer_free(t, t->binary);
	archive_entry_free(t->entry);
	buf_free(&t->out);
	free(t);
}

/* libarchive's failures: its own words, unless it was our output. */
static int failure(struct tarout *t, int code, struct err *e)
{
	if (t->failed.code)
		return err_set(e, t->failed.code, 0, "%s", t->failed.msg);
	const char *why = archive_error_string(t->now);
	int r = err_set(e, code, 0, "%s", why ? why : "it cannot be written into a tar");
	if (code == E_IO)
		err_set(&t->failed, code, 0, "%s", why ? why : "the tar cannot be written");
	return r;
}

bool tarout_failed(const struct tarout *t)
{
	return t->failed.code != 0;
}

int tarout_finish(struct tarout *t, struct err *e)
{
	struct archive *last = t->utf8 ? t->utf8 : t->binary;
	if (t->now && archive_write_finish_entry(t->now) != ARCHIVE_OK)
		return failure(t, E_IO, e);
	t->now = last == t->binary ? t->utf8 : t->binary;
	if (t->now) {
		t->drop = true;
		if (archive_write_close(t->now) != ARCHIVE_OK)
			return failure(t, E_IO, e);
		t->drop = false;
	}
	t->now = last;
	if (archive_write_close(last) != ARCHIVE_OK || flush(t) < 0)
		return failure(t, E_IO, e);
	return 0;
}

/* ---- names ---- */

/* Strictly: libarchive would "repair" halves of surrogate pairs. */
static bool is_utf8(const char *s, size_t n)
{
	mbstate_t state = {0};
	wchar_t wc;
	while (n) {
		size_t k = mbrtowc(&wc, s, n, &state);
		if (k == 0 || k > n || (wc >= 0xd800 && wc < 0xe000))
			return false;
		s += k;
		n -= k;
	}
	return true;
}

static bool all_utf8(const struct entry *en, const char *path, const char *link)
{
	struct rd r = rd_of(en->xattrs);
	struct span name, value;
	if (!is_utf8(path, strlen(path)) || (link && !is_utf8(link, strlen(link))) ||
		!is_utf8((const char *)en->target.p, en->target.n))
		return false;
	while (xattrs_next(&r, &name, &value))
		if (!is_utf8((const char *)name.p, name.n))
			return false;
	return true;
}

/* ---- entries ---- */

/* A POSIX ACL as the kernel gives it: u32 version 2, then u16 tag, u16 permissions, u32 id each,
 * little-endian (linux/posix_acl_xattr.h). False when it is not one. */
static bool add_acl(struct archive_entry *ae, struct span v, int type)
{
	if (v.n < 4 || (v.n - 4) % 8 || get_le32(v.p) != 2)
		return false;
	for (size_t at = 4; at < v.n; at += 8) {
		const uint8_t *p = v.p + at;
		int tag, perms = p[2] & 7;
		switch (p[0] | p[1] << 8) {
		case 0x01:
			tag = ARCHIVE_ENTRY_ACL_USER_OBJ;
			break;
		case 0x02:
			tag = ARCHIVE_ENTRY_ACL_USER;
			break;
		case 0x04:
			tag = ARCHIVE_ENTRY_ACL_GROUP_OBJ;
			break;
		case 0x08:
			tag = ARCHIVE_ENTRY_ACL_GROUP;
			break;
		case 0x10:
			tag = ARCHIVE_ENTRY_ACL_MASK;
			break;
		case 0x20:
			tag = ARCHIVE_ENTRY_ACL_OTHER;
			break;
		default:
			return false;
		}
		bool named = tag == ARCHIVE_ENTRY_ACL_USER || tag == ARCHIVE_ENTRY_ACL_GROUP;
		if (archive_entry_acl_add_entry(ae, type, perms, tag,
			    named ? (int)get_le32(p + 4) : -1, NULL) != ARCHIVE_OK)
			return false;
	}
	return true;
}

static int add_xattrs(struct archive_entry *ae, struct span list, struct err *e)
{
	struct rd r = rd_of(list);
	struct span n, v;
	while (xattrs_next(&r, &n, &v)) {
		char name[256];
		memcpy(name, n.p, n.n);
		name[n.n] = 0;
		if (strcmp(name, "system.posix_acl_access") == 0 &&
			add_acl(ae, v, ARCHIVE_ENTRY_ACL_TYPE_ACCESS))
			continue;
		if (strcmp(name, "system.posix_acl_default") == 0 &&
			add_acl(ae, v, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT))
			continue;
		if (strchr(name, '=')) /* ends a keyword */
			return err_set(e, E_UNSUPPORTED, 0,
				"a tar cannot hold the name of its attribute '%s'", name);
		archive_entry_xattr_add_entry(ae, name, v.p, v.n);
	}
	return r.bad ? err_set(e, E_CORRUPT, 0, "a list of attributes is not well formed") : 0;
}

static void add_sparse(struct archive_entry *ae, const struct entry *en,
	const struct tar_segment *segments, size_t n)
{
	for (size_t i = 0; i < n; i++)
		archive_entry_sparse_add_entry(ae, (la_int64_t)segments[i].off,
			(la_int64_t)segments[i].len);
	if (n == 0) /* the only way to say that all of it is a hole */
		archive_entry_sparse_add_entry(ae, (la_int64_t)en->size, 0);
}

/* libarchive writes seconds, a point and nanoseconds: before 1970 that must be another pair, since a
 * reader takes all of it for one decimal number. Only the last second before it cannot be written
 * that way, and loses its fraction. */
static void set_mtime(struct archive_entry *ae, struct timestamp t)
{
	if (t.s < 0 && t.ns && t.s < -1) {
		t.s++;
		t.ns = 1000000000 - t.ns;
	} else if (t.s < 0) {
		t.ns = 0;
	}
	archive_entry_set_mtime(ae, t.s, (long)t.ns);
}

static int fill_entry(struct tarout *t, const struct entry *en, const char *path, const char *link,
	struct err *e)
{
	struct archive_entry *ae = archive_entry_clear(t->entry);
	archive_entry_copy_pathname(ae, path);
	archive_entry_set_filetype(ae, entry_mode_bits(en));
	archive_entry_set_perm(ae, en->mode);
	archive_entry_set_uid(ae, en->uid);
	archive_entry_set_gid(ae, en->gid);
	set_mtime(ae, en->mtime);
	if (link) {
		archive_entry_copy_hardlink(ae, link);
		archive_entry_unset_size(ae);
		return 0; /* the rest came with the first one */
	}
	archive_entry_set_size(ae, en->type == NODE_FILE ? (la_int64_t)en->size : 0);
	if (en->type == NODE_CHAR || en->type == NODE_BLOCK) {
		archive_entry_set_rdevmajor(ae, en->rdev_major);
		archive_entry_set_rdevminor(ae, en->rdev_minor);
	}
	if (en->type == NODE_SYMLINK) {
		char *target = strndup((const char *)en->target.p, en->target.n);
		if (!target)
			return err_set(e, E_NOMEM, 0, "no memory for a link's target");
		archive_entry_copy_symlink(ae, target);
		free(target);
	}
	return add_xattrs(ae, en->xattrs, e);
}

int tarout_entry(struct tarout *t, const struct entry *en, const char *path, const char *link,
	const struct tar_segment *segments, size_t n, struct err *e)
{
	int r = en->type == NODE_SOCKET ? err_set(e, E_UNSUPPORTED, 0, "a tar cannot hold sockets")
					: fill_entry(t, en, path, link, e);
	if (r < 0)
		return r;
	if (segments && !link)
		add_sparse(t->entry, en, segments, n);
	struct archive *next = t->utf8 && all_utf8(en, path, link) ? t->utf8 : t->binary;
	/* What the other one still owes of its last entry must stand in front of this one. */
	if (t->now && t->now != next && archive_write_finish_entry(t->now) != ARCHIVE_OK)
		return failure(t, E_IO, e);
	t->now = next;
	switch (archive_write_header(t->now, t->entry)) {
	case ARCHIVE_OK:
	case ARCHIVE_WARN: /* nothing was lost: names are not translated */
		return t->failed.code ? failure(t, E_IO, e) : 0;
	case ARCHIVE_FATAL:
		return failure(t, E_IO, e);
	default:
		return failure(t, E_UNSUPPORTED, e);
	}
}

int tarout_data(struct tarout *t, const void *p, size_t n, struct err *e)
{
	const char *at = p;
	while (n) {
		la_ssize_t k = archive_write_data(t->now, at, n);
		if (k < 0 || t->failed.code)
			return failure(t, E_IO, e);
		if (k == 0)
			break; /* all of the entry is there */
		at += k;
		n -= (size_t)k;
	}
	return 0;
}
