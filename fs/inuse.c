#include "fs/inuse.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

/* The kernel tells the path without asking the file system. */
static bool leads_below(const char *link, const char *point)
{
	char to[4200];
	ssize_t n = readlink(link, to, sizeof to - 1);
	size_t len = strlen(point);
	if (n <= 0)
		return false;
	to[n] = 0;
	return strncmp(to, point, len) == 0 && (!to[len] || to[len] == '/');
}

static bool uses(const char *pid, const char *point)
{
	char path[320];
	snprintf(path, sizeof path, "/proc/%.20s/cwd", pid);
	if (leads_below(path, point))
		return true;
	snprintf(path, sizeof path, "/proc/%.20s/root", pid);
	if (leads_below(path, point))
		return true;
	snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
	CLEANUP_DIR DIR *fds = opendir(path);
	for (struct dirent *en; fds && (en = readdir(fds));) {
		snprintf(path, sizeof path, "/proc/%.20s/fd/%.20s", pid, en->d_name);
		if (leads_below(path, point))
			return true;
	}
	return false;
}

void inuse_who(const char *point, char *out, size_t size)
{
	*out = 0;
	CLEANUP_DIR DIR *proc = opendir("/proc");
	for (struct dirent *en; proc && (en = readdir(proc));) {
		/* We ourselves have open what our caller has. */
		if (strspn(en->d_name, "0123456789") != strlen(en->d_name) ||
			strtol(en->d_name, NULL, 10) == getpid() || !uses(en->d_name, point))
			continue;
		char path[64], name[32] = "";
		snprintf(path, sizeof path, "/proc/%.20s/comm", en->d_name);
		CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, name, sizeof name - 1) < 0)
			name[0] = 0;
		name[strcspn(name, "\n")] = 0;
		snprintf(out, size, "process %.20s%s%s%s", en->d_name, *name ? " (" : "", name, *name ? ")" : "");
		return;
	}
}
