#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "tools/mcfs-scheduler/scheduler.h"

/* flock() on a file by the name: gone with the process, however that ends. Children do not inherit
 * it, or what a job leaves in the background would hold its world for ever. */
int locks_take(const char *dir, const char *name, int *ret, struct err *e)
{
	char path[4096];
	int n = snprintf(path, sizeof path, "%s/locks/", dir);
	for (; *name && n < (int)sizeof path - 4; name++) {
		bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
			     (*name >= '0' && *name <= '9') || *name == '-' || *name == '_';
		n += snprintf(path + n, sizeof path - (size_t)n, plain ? "%c" : "%%%02x",
			(unsigned char)*name);
	}
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, E_IO, errno, "lock '%s'", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return err_set(e, E_LOCKED, 0, "another process holds '%s'", path);
		return err_set(e, E_IO, errno, "lock '%s'", path);
	}
	*ret = take_fd(&fd);
	return 0;
}

void locks_release(int handle)
{
	close(handle);
}
