#include "engine/snapshot/region_read.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "engine/anvil/region.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/base/wire.h"

/* Kernels stamp files with the time of the last tick: a write within this of the stat may hide. */
#define QUIET_NS 50000000LL
#define ROUNDS 200

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool is_quiet(const struct stat *a, const struct stat *b, int64_t began)
{
	int64_t ctime = (int64_t)a->st_ctim.tv_sec * 1000000000 + a->st_ctim.tv_nsec;
	/* Clocks of whole seconds (some network and old file systems) hide more. */
	int64_t hidden = a->st_ctim.tv_nsec ? QUIET_NS : 2000000000LL;
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec &&
	       (ctime < began - hidden || ctime > began + hidden);
}

struct settling {
	int fd;
	const char *name;
	struct buf *file;
	struct buf again;
	bool open[REGION_SLOTS]; /* not confirmed yet */
};

/* Take what the file has grown by. */
static int read_tail(struct settling *s, struct err *e)
{
	struct stat st;
	if (fstat(s->fd, &st) < 0)
		return err_set(e, E_IO, errno, "stat '%s'", s->name);
	size_t at = s->file->len, n;
	if ((uint64_t)st.st_size <= at)
		return 0;
	int r = buf_reserve(s->file, (size_t)st.st_size - at, e);
	if (r == 0)
		r = io_pread(s->fd, s->file->p + at, (size_t)st.st_size - at, at, &n, s->name, e);
	if (r == 0)
		s->file->len = at + n;
	return r;
}

/* Read a slot's sectors again: confirmed when they are what we have. */
static int confirm(struct settling *s, unsigned slot, struct err *e)
{
	struct region_entry en = region_entry_at(s->file->p, slot);
	uint64_t off = (uint64_t)en.sector * REGION_SECTOR;
	uint64_t want = (uint64_t)en.count * REGION_SECTOR;
	size_t n;
	if (off < REGION_HEADER || off >= s->file->len || want == 0) {
		s->open[slot] = false; /* names nothing that could be torn */
		return 0;
	}
	if (want > s->file->len - off)
		want = s->file->len - off;
	int r = buf_resize(&s->again, (size_t)want, e);
	if (r == 0)
		r = io_pread(s->fd, s->again.p, (size_t)want, off, &n, s->name, e);
	if (r < 0)
		return r;
	/* Only the record counts; slack behind it may be anything. */
	uint64_t rec = n >= 4 ? (uint64_t)get_be32(s->again.p) + 4 : n;
	if (rec > n)
		rec = n;
	bool same = memcmp(s->file->p + off, s->again.p, (size_t)rec) == 0;
	memcpy(s->file->p + off, s->again.p, n);
	s->open[slot] = !same;
	return 0;
}

/* One round: the header again; what moved is open; read what is open. */
static int settle_round(struct settling *s, bool *ret_settled, struct err *e)
{
	uint8_t header[REGION_HEADER];
	size_t n;
	bool any = false;
	int r = io_pread(s->fd, header, sizeof header, 0, &n, s->name, e);
	if (r == 0 && n < sizeof header)
		return err_set(e, E_CHANGED, 0, "'%s' was cut off while it was read", s->name);
	for (unsigned i = 0; i < REGION_SLOTS && r == 0; i++) {
		if (memcmp(header + 4 * i, s->file->p + 4 * i, 4) ||
			memcmp(header + 4096 + 4 * i, s->file->p + 4096 + 4 * i, 4))
			s->open[i] = true;
		any |= s->open[i];
	}
	if (r == 0)
		memcpy(s->file->p, header, sizeof header);
	if (r == 0 && any)
		r = read_tail(s, e);
	for (unsigned i = 0; i < REGION_SLOTS && r == 0; i++)
		if (s->open[i])
			r = confirm(s, i, e);
	*ret_settled = !any;
	return r;
}

int region_read_settled(int fd, const char *name, const struct stat *before, struct buf *file,
	bool *ret_settled, struct err *e)
{
	struct stat after;
	size_t n;
	int64_t began = now_ns();
	int r = buf_reserve_exact(file, (size_t)before->st_size, e);
	if (r == 0)
		r = io_pread(fd, file->p, (size_t)before->st_size, 0, &n, name, e);
	if (r < 0)
		return r;
	file->len = n;
	if (fstat(fd, &after) < 0)
		return err_set(e, E_IO, errno, "stat '%s'", name);
	*ret_settled = is_quiet(before, &after, began);
	if (*ret_settled || n < REGION_HEADER)
		return 0;
	struct settling s = {.fd = fd, .name = name, .file = file};
	memset(s.open, 1, sizeof s.open);
	for (int i = 0; i < ROUNDS && r == 0 && !*ret_settled; i++)
		r = settle_round(&s, ret_settled, e);
	buf_free(&s.again);
	return r;
}
