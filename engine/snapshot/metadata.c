#include "engine/snapshot/metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/io.h"
#include "engine/snapshot/xattrs.h"

/* What could not be set, and the reason: the first that is more than "not here". */
struct missing {
	char what[80];
	int sys;
	bool failed; /* for another reason than that this place knows no such thing */
};

static void miss(struct missing *m, const char *what, int sys)
{
	bool failed = !io_unknown_here(sys);
	size_t n = strlen(m->what);
	snprintf(m->what + n, sizeof m->what - n, "%s%s", n ? ", " : "", what);
	if (!m->sys || (failed && !m->failed))
		m->sys = sys;
	m->failed |= failed;
}

static int set_xattrs(int dirfd, const char *name, const struct entry *en, struct missing *m,
	struct err *e)
{
	char path[300], what[40];
	unsigned failed;
	snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dirfd, name);
	int r = xattrs_apply(path, en->xattrs, &failed, e);
	if (r == 0 && failed) {
		snprintf(what, sizeof what, "%u extended attribute%s", failed,
			failed == 1 ? "" : "s");
		miss(m, what, ENOTSUP);
	}
	return r;
}

int metadata_apply(int dirfd, const char *name, const struct entry *en, struct err *e)
{
	struct missing m = {.what = ""};
	mode_t mode = en->mode;
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
		{.tv_sec = en->mtime.s, .tv_nsec = en->mtime.ns}};
	/* Owner first: it may clear mode bits. ACLs before the mode, which they would change; times
	 * last. */
	if (fchownat(dirfd, name, en->uid, en->gid, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != EPERM || geteuid() == 0)
			miss(&m, "owner", errno);
		mode &= ~(mode_t)(S_ISUID | S_ISGID);
	}
	int r = set_xattrs(dirfd, name, en, &m, e);
	if (r < 0)
		return r;
	if (en->type != NODE_SYMLINK && fchmodat(dirfd, name, mode, 0) < 0)
		miss(&m, "mode", errno);
	if (utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		miss(&m, "time", errno);
	if (!*m.what)
		return 0;
	return err_set(e, m.failed ? E_IO : E_UNSUPPORTED, m.sys, "%s could not be set", m.what);
}
