/* mount_bench - data for tools/bench/mount, and random reads of them.
 *
 *   mount_bench make DIR SMALL LARGE-MIB   SMALL files of 0.5 to 16 KiB in directories of 50, and
 *                                          files of 64 MiB; about half of the bytes compressible
 *   mount_bench rand DIR COUNT SEED        that many reads of 4 KiB, anywhere in the files of DIR
 *   mount_bench straight DIR               read the files of DIR from end to end, 1 MiB at a time
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t state = 88172645463325252u;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x9e3779b97f4a7c15u;
}

static void die(const char *what)
{
	fprintf(stderr, "mount_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Runs of noise and of text in turn, as saves and mods have them. */
static void fill(uint8_t *p, size_t n)
{
	static const char *const words[] = {"minecraft:", "stone", "\"value\": ", "true", "\n\t",
		"block_states", "palette", "0.00", "properties", "=", ", ", "entity"};
	for (size_t i = 0; i < n;) {
		size_t run = 256 + rnd() % 8192;
		bool noise = rnd() % 2;
		if (run > n - i)
			run = n - i;
		for (size_t end = i + run; i < end;) {
			uint64_t v = rnd();
			const char *w = words[v % 12];
			size_t k = noise ? sizeof v : strlen(w);
			if (k > end - i)
				k = end - i;
			memcpy(p + i, noise ? (const void *)&v : w, k);
			i += k;
		}
	}
}

static void write_file(const char *path, const uint8_t *p, size_t n)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	if (fd < 0 || write(fd, p, n) != (ssize_t)n || close(fd) < 0)
		die(path);
}

static void make(const char *dir, long small, long large)
{
	enum { PART = 4 << 20, FILE_MIB = 64 };
	uint8_t *p = malloc(PART);
	char path[4096];
	if (!p || (mkdir(dir, 0755) < 0 && errno != EEXIST))
		die(dir);
	snprintf(path, sizeof path, "%s/small", dir);
	mkdir(path, 0755);
	snprintf(path, sizeof path, "%s/large", dir);
	mkdir(path, 0755);
	for (long i = 0; i < small; i++) {
		size_t n = 512 + (size_t)(rnd() % (rnd() % 4 ? 3584 : 15872));
		snprintf(path, sizeof path, "%s/small/d%03ld", dir, i / 50);
		if (i % 50 == 0)
			mkdir(path, 0755);
		snprintf(path, sizeof path, "%s/small/d%03ld/file-%05ld.json", dir, i / 50, i);
		fill(p, n);
		write_file(path, p, n);
	}
	for (long i = 0; i < large / FILE_MIB; i++) {
		snprintf(path, sizeof path, "%s/large/big-%03ld.bin", dir, i);
		int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
		for (int k = 0; k < FILE_MIB / 4; k++) {
			fill(p, PART);
			if (fd < 0 || write(fd, p, PART) != PART)
				die(path);
		}
		close(fd);
	}
	free(p);
}

struct file {
	int fd;
	off_t size;
};

static struct file *open_all(const char *dir, size_t *ret_n)
{
	DIR *d = opendir(dir);
	struct file *v = NULL;
	size_t n = 0;
	for (struct dirent *de; d && (de = readdir(d));) {
		struct stat st;
		int fd = openat(dirfd(d), de->d_name, O_RDONLY);
		if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 4096) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		v = realloc(v, (n + 1) * sizeof *v);
		if (!v)
			die("memory");
		v[n++] = (struct file){fd, st.st_size};
	}
	if (d)
		closedir(d);
	if (!n)
		die(dir);
	*ret_n = n;
	return v;
}

static void random_reads(const char *dir, long count, uint64_t seed)
{
	size_t n;
	struct file *v = open_all(dir, &n);
	uint8_t p[4096];
	state ^= seed * 2654435761u;
	for (long i = 0; i < count; i++) {
		const struct file *f = &v[rnd() % n];
		off_t at = (off_t)(rnd() % (uint64_t)(f->size / 4096)) * 4096;
		/* No read-ahead of the kernel: it is the single read that is timed. */
		if (i == 0)
			for (size_t k = 0; k < n; k++)
				posix_fadvise(v[k].fd, 0, 0, POSIX_FADV_RANDOM);
		if (pread(f->fd, p, sizeof p, at) != sizeof p)
			die("read");
	}
}

static void straight(const char *dir)
{
	size_t n;
	struct file *v = open_all(dir, &n);
	uint8_t *p = malloc(1 << 20);
	for (size_t i = 0; i < n && p; i++)
		for (ssize_t r = 1; r > 0;)
			if ((r = read(v[i].fd, p, 1 << 20)) < 0)
				die("read");
	free(p);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "make") == 0)
		make(argv[2], atol(argv[3]), atol(argv[4]));
	else if (argc == 5 && strcmp(argv[1], "rand") == 0)
		random_reads(argv[2], atol(argv[3]), strtoull(argv[4], NULL, 10));
	else if (argc == 3 && strcmp(argv[1], "straight") == 0)
		straight(argv[2]);
	else
		return 2;
	return 0;
}
