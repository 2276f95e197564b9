/* check.c - verify and chunks: what an independent reader finds in a world. */
#include "world.h"

#include "tests/unit/region_reader.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define MAX_DEPTH 64

struct check {
	const char *dir;
	bool strict;
	bool list; /* print chunks instead of judging them */
	uint64_t chunks, damaged, unfinished;
	struct bytes lines;
	size_t *line_at;
	size_t line_count, line_cap;
};

static const char *relative(const struct check *c, const char *path)
{
	return path + strlen(c->dir) + 1;
}

static void add_line(struct check *c, const char *file, const struct region_slot *s)
{
	if (c->line_count == c->line_cap) {
		c->line_cap = c->line_cap ? c->line_cap * 2 : 4096;
		c->line_at = xrealloc(c->line_at, c->line_cap * sizeof *c->line_at);
	}
	c->line_at[c->line_count++] = c->lines.len;
	bytes_add(&c->lines, file, strlen(file));
	if (s->problem)
		bytes_printf(&c->lines, " %d %d %u damaged 0 00000000", s->x, s->z, s->timestamp);
	else
		bytes_printf(&c->lines, " %d %d %u %u %zu %08lx", s->x, s->z, s->timestamp, s->type,
			s->len, (unsigned long)crc32_z(0, s->payload, s->len));
	bytes_add(&c->lines, "", 1);
}

static void judge(struct check *c, const struct region_reader *r, const struct region_slot *s)
{
	struct region_nbt n;
	region_slot_decode(r, s, &n);
	c->chunks++;
	c->unfinished += n.unfinished && !n.problem;
	if (!n.problem && n.unfinished && c->strict)
		n.problem = "its stream has no end";
	if (n.problem) {
		c->damaged++;
		fprintf(stderr, "%s: chunk %d %d: %s\n", relative(c, r->path), s->x, s->z,
			n.problem);
	}
	region_nbt_free(&n);
}

static void check_region(struct check *c, const char *path)
{
	struct region_reader r;
	int e = region_reader_open(&r, path);
	if (e)
		die("read '%s': %s", path, strerror(e));
	if (r.n && r.n < 2 * SECTOR)
		fprintf(stderr, "%s: shorter than its header, taken as empty\n", relative(c, path));
	for (int i = 0; i < RR_CHUNKS; i++) {
		struct region_slot s;
		if (!region_reader_slot(&r, i, &s))
			continue;
		if (c->list)
			add_line(c, relative(c, path), &s);
		else
			judge(c, &r, &s);
		region_slot_free(&s);
	}
	region_reader_close(&r);
}

/* An .mcc no stub points to is what a crash leaves behind: worth a word, but no damage. */
static void check_external(const struct check *c, const char *path)
{
	int x, z, end = 0;
	const char *name = strrchr(path, '/') + 1;
	if (c->list || sscanf(name, "c.%d.%d.mcc%n", &x, &z, &end) != 2 || !end || name[end])
		return;
	char *dir = strdup(path);
	if (!dir)
		die("out of memory");
	*strrchr(dir, '/') = '\0';
	char *region = path_in(dir, "r.%d.%d.mca", x >> 5, z >> 5);
	struct region_reader r;
	struct region_slot s = {0};
	if (region_reader_open(&r, region) ||
		!region_reader_slot(&r, (x & 31) + (z & 31) * 32, &s) || !s.external)
		fprintf(stderr, "%s: no chunk refers to it\n", relative(c, path));
	region_slot_free(&s);
	region_reader_close(&r);
	free(region);
	free(dir);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && !strcmp(s + n - m, end);
}

static int no_dots(const struct dirent *e)
{
	return strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
}

static void check_dir(struct check *c, const char *dir, int depth)
{
	struct dirent **list;
	int n = scandir(dir, &list, no_dots, alphasort);
	if (n < 0)
		die("open '%s': %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		char *path = path_in(dir, "%s", list[i]->d_name);
		struct stat st;
		if (lstat(path, &st))
			st.st_mode = 0; /* gone meanwhile */
		if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH)
			check_dir(c, path, depth + 1);
		else if (S_ISREG(st.st_mode) && ends_with(path, ".mca"))
			check_region(c, path);
		else if (S_ISREG(st.st_mode) && ends_with(path, ".mcc"))
			check_external(c, path);
		free(path);
		free(list[i]);
	}
	free(list);
}

int world_verify(const char *dir, bool strict)
{
	struct check c = {.dir = dir, .strict = strict};
	check_dir(&c, dir, 0);
	if (c.unfinished)
		fprintf(stderr, "%" PRIu64 " chunks are whole but their streams have no end\n",
			c.unfinished);
	printf("%" PRIu64 " chunks, %" PRIu64 " damaged\n", c.chunks, c.damaged);
	return c.damaged ? 1 : 0;
}

static const char *sort_base;

static int by_line(const void *a, const void *b)
{
	return strcmp(sort_base + *(const size_t *)a, sort_base + *(const size_t *)b);
}

int world_chunks(const char *dir)
{
	struct check c = {.dir = dir, .list = true};
	check_dir(&c, dir, 0);
	sort_base = (const char *)c.lines.p;
	if (c.line_count)
		qsort(c.line_at, c.line_count, sizeof *c.line_at, by_line);
	for (size_t i = 0; i < c.line_count; i++)
		puts(sort_base + c.line_at[i]);
	bytes_free(&c.lines);
	free(c.line_at);
	return 0;
}
