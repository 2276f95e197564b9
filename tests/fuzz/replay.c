/* replay.c - runs a fuzz target over the files of its corpus, and over mutations of them, without
 * libFuzzer: so that every build of the tests goes through what fuzzing has found once.
 *
 *   replay DIR..    each file as it is, cut short at some lengths, with some bytes changed */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define FILE_BYTES_MAX ((size_t)1 << 22)
#define MUTATIONS 12

static unsigned long runs, files;

static uint32_t rnd(void)
{
	static uint64_t s = 0x9e3779b97f4a7c15u;
	s ^= s << 13, s ^= s >> 7, s ^= s << 17;
	return (uint32_t)(s >> 16);
}

/* A copy of exactly n bytes, so that the sanitizer sees every step over the end. */
static void run(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	if (!copy)
		abort();
	if (n)
		memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	runs++;
}

static void replay(uint8_t *p, size_t n)
{
	run(p, n);
	for (int i = 0; i < MUTATIONS && n; i++) {
		size_t at = rnd() % n;
		uint8_t was = p[at];
		run(p, at);
		p[at] = (uint8_t)(i & 1 ? rnd() : was ^ (1u << rnd() % 8));
		run(p, n);
		p[at] = was;
	}
}

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = malloc(FILE_BYTES_MAX);
	if (!f || !p) {
		perror(path);
		exit(1);
	}
	size_t n = fread(p, 1, FILE_BYTES_MAX, f);
	fclose(f);
	replay(p, n);
	free(p);
	files++;
}

static void replay_dir(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *de; d && (de = readdir(d));) {
		char child[4096];
		struct stat st;
		snprintf(child, sizeof child, "%s/%s", path, de->d_name);
		if (de->d_name[0] != '.' && stat(child, &st) == 0 && S_ISREG(st.st_mode))
			replay_file(child);
	}
	if (d)
		closedir(d);
}

int main(int argc, char **argv)
{
	run((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		replay_dir(argv[i]);
	printf("%lu inputs from %lu files\n", runs, files);
	if (files == 0) {
		fprintf(stderr, "no corpus: nothing was tested\n");
		return 1;
	}
	return 0;
}
