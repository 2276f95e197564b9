/* server_stand_in.c - holds a world as the game does, for tests: the POSIX record lock on session.lock,
 * region headers in memory, and at every save a new place for the chunk and all 8192 bytes of the header
 * written back. Shares no code with the engine.
 *
 *   server_stand_in WORLD
 *
 * Commands on standard input, an answer of one line for each:
 *   open DIR/r.X.Z.mca     read the header into memory, keep the file open
 *   save X Z BYTES         save chunk X Z of the file opened last, with so many bytes of noise
 *   touch                  write the header of the file opened last from memory, as a save does
 *   quit                   give everything up */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define SECTOR 4096u

static uint8_t header[2 * SECTOR];
static int region = -1;

static void fail(const char *what)
{
	printf("failed: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

static void set32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* As DirectoryLock does: open, write the snowman, lock. */
static int lock_world(void)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open("session.lock", O_RDWR | O_CREAT, 0644);
	if (fd < 0)
		fail("session.lock");
	if (write(fd, "\xe2\x98\x83", 3) != 3)
		fail("session.lock");
	if (fcntl(fd, F_SETLK, &fl) < 0) {
		printf("already locked\n");
		exit(2);
	}
	return fd;
}

static void open_region(const char *path)
{
	if (region >= 0)
		close(region);
	region = open(path, O_RDWR);
	if (region < 0 || pread(region, header, sizeof header, 0) != (ssize_t)sizeof header)
		fail(path);
}

static void write_header(void)
{
	if (pwrite(region, header, sizeof header, 0) != (ssize_t)sizeof header)
		fail("header");
}

static size_t put_int(uint8_t *p, const char *name, int32_t v)
{
	size_t n = strlen(name);
	p[0] = 3;
	p[1] = 0;
	p[2] = (uint8_t)n;
	memcpy(p + 3, name, n);
	set32(p + 3 + n, (uint32_t)v);
	return 7 + n;
}

static void save(int32_t x, int32_t z, unsigned noise)
{
	uint8_t *nbt = malloc(noise + 100), *out = malloc(compressBound(noise + 100) + SECTOR);
	struct stat st;
	size_t n = 3;
	unsigned slot = (unsigned)(x & 31) + (unsigned)(z & 31) * 32;
	if (!nbt || !out || fstat(region, &st) < 0)
		fail("save");
	memcpy(nbt, "\x0a\0\0", 3);
	n += put_int(nbt + n, "DataVersion", 3465);
	n += put_int(nbt + n, "xPos", x);
	n += put_int(nbt + n, "zPos", z);
	memcpy(nbt + n, "\7\0\1n", 4);
	set32(nbt + n + 4, noise);
	n += 8;
	for (unsigned i = 0; i < noise; i++)
		nbt[n++] = (uint8_t)rand();
	nbt[n++] = 0;
	uLongf len = compressBound(n);
	if (compress(out + 5, &len, nbt, n) != Z_OK)
		fail("compress");
	set32(out, (uint32_t)len + 1);
	out[4] = 2;
	uint32_t count = (uint32_t)((len + 5 + SECTOR - 1) / SECTOR);
	uint32_t at = (uint32_t)((st.st_size + SECTOR - 1) / SECTOR);
	memset(out + 5 + len, 0, (size_t)count * SECTOR - 5 - len);
	if (pwrite(region, out, (size_t)count * SECTOR, (off_t)at * SECTOR) < 0)
		fail("chunk");
	set32(header + 4 * slot, at << 8 | count);
	set32(header + SECTOR + 4 * slot, (uint32_t)time(NULL));
	write_header();
	free(nbt);
	free(out);
	printf("saved %d %d at %u, was %u\n", x, z, at, get32(header + 4 * slot) >> 8);
}

int main(int argc, char **argv)
{
	char line[1000], path[900];
	int x, z;
	unsigned noise;
	if (argc != 2 || chdir(argv[1]) < 0)
		fail("WORLD");
	lock_world();
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "open %899s", path) == 1) {
			open_region(path);
			printf("open\n");
		} else if (sscanf(line, "save %d %d %u", &x, &z, &noise) == 3) {
			save(x, z, noise);
		} else if (strcmp(line, "touch\n") == 0) {
			write_header();
			printf("touched\n");
		} else if (strcmp(line, "quit\n") == 0) {
			printf("bye\n");
			return 0;
		} else {
			printf("what?\n");
		}
		fflush(stdout);
	}
	return 0;
}
