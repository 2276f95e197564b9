#include "fs/file.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/map.h"
#include "fs/blobs.h"

#define OPEN_MAX_FILES 256
#define OPEN_MAX_BYTES ((size_t)8 << 20)
#define AHEAD_PIECES ((uint64_t)6 << 20) /* of a file in pieces */
#define AHEAD_REGION ((uint64_t)1 << 20) /* of a region file: inflated that is ten times as much */
#define STRAY ((uint64_t)1 << 20) /* how far apart requests of one straight reader may come */

struct file {
	struct name key;
	uint64_t size;
	uint8_t kind;
	unsigned refs; /* users, and one for the list */
	bool listed;
	size_t cost;
	struct layout layout; /* REGION */
	struct extent *ext;
	size_t n_ext;
	struct file *newer, *older;
	pthread_mutex_t m;    /* guards the rest */
	uint64_t first, next, ahead; /* where a straight reader began, goes on; asked for up to here */
	uint64_t seen; /* bytes it has read */
	unsigned straight;
};

struct files {
	pthread_mutex_t m;
	struct file *newest, *oldest;
	size_t count, bytes;
};

void reading_free(struct reading *rd)
{
	piece_unref(rd->hold);
	plain_unref(rd->hold_plain);
	buf_free(&rd->own);
	*rd = (struct reading){0};
}

int files_new(struct files **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		return err_set(e, E_NOMEM, 0, "no memory for files");
	pthread_mutex_init(&(*ret)->m, NULL);
	return 0;
}

static void destroy(struct file *f)
{
	layout_free(&f->layout);
	free(f->ext);
	pthread_mutex_destroy(&f->m);
	free(f);
}

static void unlist(struct files *fs, struct file *f)
{
	*(f->newer ? &f->newer->older : &fs->newest) = f->older;
	*(f->older ? &f->older->newer : &fs->oldest) = f->newer;
	f->newer = f->older = NULL;
	f->listed = false;
	fs->count--;
	fs->bytes -= f->cost;
}

static void list(struct files *fs, struct file *f)
{
	f->older = fs->newest;
	*(fs->newest ? &fs->newest->newer : &fs->oldest) = f;
	fs->newest = f;
	f->listed = true;
	fs->count++;
	fs->bytes += f->cost;
}

static void unref(struct file *f)
{
	if (--f->refs == 0)
		destroy(f);
}

void files_free(struct files *fs)
{
	if (!fs)
		return;
	while (fs->oldest) {
		struct file *f = fs->oldest;
		unlist(fs, f);
		unref(f);
	}
	pthread_mutex_destroy(&fs->m);
	free(fs);
}

static struct file *find(struct files *fs, const struct content *c, uint64_t size)
{
	LOCK_SCOPE(&fs->m);
	for (struct file *f = fs->newest; f; f = f->older)
		if (f->kind == c->kind && f->size == size && name_cmp(&f->key, &c->name) == 0) {
			unlist(fs, f);
			list(fs, f);
			f->refs++;
			return f;
		}
	return NULL;
}

static int load_layout(struct call *cl, struct file *f)
{
	struct err *e = &cl->e;
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = store_get(cl->fs->store, cl->c, &f->key, &b, e);
	if (r == 0)
		r = layout_get(buf_span(&b), &f->layout, e);
	if (r == 0 && f->layout.size != f->size)
		r = err_set(e, E_CORRUPT, 0, "the region file's layout has another size");
	if (r == 0)
		r = layout_extents(&f->layout, &f->ext, &f->n_ext, e);
	f->cost += f->layout.n_sources * sizeof *f->layout.sources +
		   (f->layout.n_gaps + f->n_ext) * sizeof *f->ext;
	return r;
}

int file_open(struct call *cl, const struct content *content, uint64_t size, struct file **ret)
{
	struct files *fs = cl->fs->files;
	if ((*ret = find(fs, content, size)))
		return 0;
	struct file *f = calloc(1, sizeof *f);
	if (!f)
		return err_set(&cl->e, E_NOMEM, 0, "no memory for a file");
	pthread_mutex_init(&f->m, NULL);
	f->key = content->name;
	f->kind = content->kind;
	f->size = size;
	f->cost = sizeof *f;
	f->refs = 2;
	int r = content->kind == CONTENT_REGION ? load_layout(cl, f) : 0;
	if (r < 0) {
		destroy(f);
		return r;
	}
	LOCK_SCOPE(&fs->m);
	/* Two threads may have made the same; both work, and the older one will go first. */
	list(fs, f);
	while (fs->count > 1 && (fs->count > OPEN_MAX_FILES || fs->bytes > OPEN_MAX_BYTES)) {
		struct file *old = fs->oldest;
		unlist(fs, old);
		unref(old);
	}
	*ret = f;
	return 0;
}

void file_close(struct files *fs, struct file *f)
{
	if (!f)
		return;
	LOCK_SCOPE(&fs->m);
	unref(f);
}

const struct layout *file_layout(const struct file *f)
{
	return &f->layout;
}

/* ---- readers that go straight on ---- */

/* Note a read. Is it one of a reader that goes straight on, and is it time to ask for more? Then
 * *ret_from..*ret_to is what to ask for. */
static bool note_read(struct file *f, uint64_t off, size_t n, uint64_t window, uint64_t *ret_from,
	uint64_t *ret_to)
{
	uint64_t end = off + n;
	LOCK_SCOPE(&f->m);
	*ret_from = *ret_to = 0;
	/* The kernel's requests for one reader overtake each other. But most of the bytes it has come by
	 * were read: in a file of a few MiB random reads are near each other as well. */
	bool near = off <= f->next + STRAY && end + STRAY >= f->next;
	uint64_t lo = off < f->first ? off : f->first, hi = end > f->next ? end : f->next;
	if (f->straight && near && f->seen + n >= (hi - lo) / 2) {
		f->straight++;
		f->first = lo;
		f->next = hi;
		f->seen += n;
	} else {
		f->straight = 1;
		f->first = off;
		f->next = end;
		f->ahead = end;
		f->seen = n;
	}
	if (f->straight < 3 && !(f->straight == 2 && n > 4096))
		return false;
	/* No further ahead than it has come: one who only fills a gap in the kernel's cache stops soon. */
	if (window > f->next - f->first)
		window = f->next - f->first;
	if (f->ahead < f->next)
		f->ahead = f->next;
	if (f->ahead < f->next + window / 2 && f->ahead < f->size) {
		*ret_from = f->ahead;
		*ret_to = f->ahead = f->next + window < f->size ? f->next + window : f->size;
	}
	return true;
}

static uint64_t window_of(struct fs *fs, uint64_t most)
{
	return most < fs->cache_bytes / 8 ? most : fs->cache_bytes / 8;
}

static size_t find_extent(const struct file *f, uint64_t off)
{
	size_t lo = 0, hi = f->n_ext;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (f->ext[mid].off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void region_ahead(struct fs *fs, struct file *f, uint64_t from, uint64_t to)
{
	for (size_t i = find_extent(f, from); i < f->n_ext && f->ext[i].off < to; i++) {
		const struct extent *x = &f->ext[i];
		if (x->kind != EXTENT_BLOB)
			continue;
		/* Neighbours share a group more often than not. */
		bool again = i && f->ext[i - 1].kind == EXTENT_BLOB &&
			     f->ext[i - 1].source == x->source;
		if (!again)
			blob_ahead(fs, &f->layout.sources[x->source].name, PIECE_WHOLE);
	}
}

static void map_ahead(struct call *cl, const struct content *content, uint64_t from, uint64_t to)
{
	struct map_iter it;
	struct map_piece m;
	struct err ignored = ERR_INIT;
	if (map_iter_open(&it, cl->fs->store, cl->c, content, from, &ignored) < 0)
		return;
	while (map_iter_next(&it, &m, &ignored) == 1 && m.off < to)
		if (!m.hole)
			blob_ahead(cl->fs, &m.name, PIECE_WHOLE);
	map_iter_close(&it);
}

/* ---- reading ---- */

static int too_short(struct call *cl)
{
	return err_set(&cl->e, E_CORRUPT, 0, "a part of the file is shorter than it should be");
}

/* Copy n bytes at `at` of a blob; or, when they are all that is wanted, point at them. */
static int take(struct call *cl, const struct name *name, uint64_t at, size_t n, bool all,
	struct reading *ret)
{
	CLEANUP_PIECE struct piece *p = NULL;
	int r = blob_whole(cl, name, &p);
	if (r < 0)
		return r;
	if (at > p->data.n || n > p->data.n - at)
		return too_short(cl);
	if (!all)
		return buf_add(&ret->own, p->data.p + at, n, &cl->e);
	ret->data = span_of(p->data.p + at, n);
	ret->hold = TAKE_PTR(p);
	return 0;
}

static int take_extent(struct call *cl, struct file *f, const struct extent *x, uint64_t skip,
	size_t n, bool straight, struct reading *ret)
{
	struct buf *out = &ret->own;
	if (x->kind == EXTENT_HEADER)
		return buf_add(out, f->layout.header + skip, n, &cl->e);
	if (x->kind != EXTENT_BLOB)
		return buf_add_zero(out, n, &cl->e);
	const struct layout_source *s = &f->layout.sources[x->source];
	/* One who reads on wants the whole group sooner or later; others only what they touch. */
	if (!s->group || straight || blob_is_here(cl->fs, &s->name))
		return take(cl, &s->name, x->at + skip, n, false, ret);
	int r = buf_reserve(out, n, &cl->e);
	if (r == 0)
		r = blob_group_copy(cl, &s->name, (uint32_t)(x->at + skip), out->p + out->len, n);
	if (r == 0)
		out->len += n;
	return r;
}

static int read_region(struct call *cl, struct file *f, uint64_t off, size_t n,
	struct reading *ret)
{
	uint64_t from, to;
	bool straight = note_read(f, off, n, window_of(cl->fs, AHEAD_REGION), &from, &to);
	if (from < to)
		region_ahead(cl->fs, f, from, to);
	for (size_t i = find_extent(f, off); n; i++) {
		if (i >= f->n_ext)
			return err_set(&cl->e, E_CORRUPT, 0,
				"the region file's layout has a gap");
		const struct extent *x = &f->ext[i];
		uint64_t skip = off - x->off;
		size_t k = x->len - skip < n ? (size_t)(x->len - skip) : n;
		int r = take_extent(cl, f, x, skip, k, straight, ret);
		if (r < 0)
			return r;
		off += k;
		n -= k;
	}
	return 0;
}

static int read_map(struct call *cl, struct file *f, const struct content *content, uint64_t off,
	size_t n, struct reading *ret)
{
	struct map_iter it;
	struct map_piece m;
	uint64_t from, to;
	bool first = true;
	(void)note_read(f, off, n, window_of(cl->fs, AHEAD_PIECES), &from, &to);
	if (from < to)
		map_ahead(cl, content, from, to);
	int r = map_iter_open(&it, cl->fs->store, cl->c, content, off, &cl->e);
	if (r < 0)
		return r;
	while (n && (r = map_iter_next(&it, &m, &cl->e)) == 1) {
		uint64_t skip = off - m.off;
		size_t k = m.len - skip < n ? (size_t)(m.len - skip) : n;
		r = m.hole ? buf_add_zero(&ret->own, k, &cl->e)
			   : take(cl, &m.name, skip, k, first && k == n, ret);
		if (r < 0)
			break;
		first = false;
		off += k;
		n -= k;
	}
	map_iter_close(&it);
	if (r >= 0 && n)
		return err_set(&cl->e, E_CORRUPT, 0, "the file's pieces end early");
	return r < 0 ? r : 0;
}

static int read_kept(struct call *cl, const struct content *content, uint64_t size, uint64_t off,
	size_t n, struct reading *ret)
{
	struct file *f;
	int r = file_open(cl, content, size, &f);
	if (r == 0)
		r = buf_reserve_exact(&ret->own, content->kind == CONTENT_REGION ? n : 0, &cl->e);
	if (r < 0)
		return r;
	if (content->kind == CONTENT_REGION)
		r = read_region(cl, f, off, n, ret);
	else
		r = read_map(cl, f, content, off, n, ret);
	file_close(cl->fs->files, f);
	return r;
}

int file_read(struct call *cl, const struct content *content, uint64_t size, uint64_t off,
	size_t n, struct reading *ret)
{
	int r = 0;
	*ret = (struct reading){0};
	if (off >= size)
		return 0;
	if (n > size - off)
		n = (size_t)(size - off);
	switch (content->kind) {
	case CONTENT_INLINE:
		if (content->inline_data.n != size)
			r = too_short(cl);
		else
			r = buf_add(&ret->own, content->inline_data.p + off, n, &cl->e);
		break;
	case CONTENT_BLOB:
		r = take(cl, &content->name, off, n, true, ret);
		break;
	case CONTENT_MAP:
	case CONTENT_REGION:
		r = read_kept(cl, content, size, off, n, ret);
		break;
	default:
		r = too_short(cl);
	}
	if (r < 0)
		reading_free(ret);
	else if (!ret->hold)
		ret->data = buf_span(&ret->own);
	return r;
}

int file_copy(struct call *cl, const struct content *content, uint64_t size, uint64_t off, void *p,
	size_t n)
{
	struct reading rd;
	int r = file_read(cl, content, size, off, n, &rd);
	if (r < 0)
		return r;
	if (rd.data.n != n)
		r = too_short(cl);
	else if (n)
		memcpy(p, rd.data.p, n);
	reading_free(&rd);
	return r;
}

/* ---- holes ---- */

static int seek_map(struct call *cl, const struct content *content, uint64_t off, bool hole,
	uint64_t *ret)
{
	struct map_iter it;
	struct map_piece m;
	int r = map_iter_open(&it, cl->fs->store, cl->c, content, off, &cl->e);
	if (r < 0)
		return r;
	while ((r = map_iter_next(&it, &m, &cl->e)) == 1)
		if (m.hole == hole) {
			*ret = m.off > off ? m.off : off;
			break;
		}
	map_iter_close(&it);
	return r < 0 ? r : 0;
}

int file_seek(struct call *cl, const struct content *content, uint64_t size, uint64_t off,
	bool hole, uint64_t *ret)
{
	*ret = size;
	if (off >= size)
		return 0;
	if (content->kind == CONTENT_MAP)
		return seek_map(cl, content, off, hole, ret);
	if (content->kind == CONTENT_REGION) {
		struct file *f;
		int r = file_open(cl, content, size, &f);
		if (r < 0)
			return r;
		for (size_t i = find_extent(f, off); i < f->n_ext; i++)
			if ((f->ext[i].kind == EXTENT_HOLE) == hole) {
				*ret = f->ext[i].off > off ? f->ext[i].off : off;
				break;
			}
		file_close(cl->fs->files, f);
		return 0;
	}
	if (!hole)
		*ret = off;
	return 0;
}
