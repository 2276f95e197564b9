/* region_list.c - every chunk of every region file below a folder, as the independent reader sees it; for
 * tests that compare worlds.
 *
 *   region_list WORLD
 *
 * A line each: FOLDER c.X.Z STAMP TYPE LENGTH CRC ok|broken SECTOR COUNT */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "tests/unit/region_reader.h"

static void list_file(const char *path, const char *folder)
{
	struct region_reader r;
	int e = region_reader_open(&r, path);
	if (e) {
		fprintf(stderr, "%s: %s\n", path, strerror(e));
		exit(1);
	}
	/* Another name than r.X.Z.mca is another file. */
	for (int i = 0; r.has_pos && i < RR_CHUNKS; i++) {
		struct region_slot s;
		struct region_nbt n;
		if (!region_reader_slot(&r, i, &s))
			continue;
		region_slot_decode(&r, &s, &n);
		printf("%s c.%d.%d %u %u %zu %08lx %s %u %u\n", folder, s.x, s.z, s.timestamp, s.type,
			s.len, crc32(0, s.payload, (uInt)s.len), n.problem ? "broken" : "ok", s.sector,
			s.sectors);
		region_nbt_free(&n);
		region_slot_free(&s);
	}
	region_reader_close(&r);
}

static void list_folder(const char *world, const char *below)
{
	char path[4096], next[2048];
	snprintf(path, sizeof path, "%s/%s", world, below);
	DIR *d = opendir(path);
	if (!d) {
		perror(path);
		exit(1);
	}
	for (struct dirent *en; (en = readdir(d));) {
		struct stat st;
		size_t n = strlen(en->d_name);
		if (en->d_name[0] == '.')
			continue;
		snprintf(next, sizeof next, "%s%s%s", below, *below ? "/" : "", en->d_name);
		snprintf(path, sizeof path, "%s/%s", world, next);
		if (stat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			list_folder(world, next);
		else if (n > 4 && strcmp(en->d_name + n - 4, ".mca") == 0)
			list_file(path, *below ? below : ".");
	}
	closedir(d);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: region_list WORLD\n");
		return 2;
	}
	list_folder(argv[1], "");
	return 0;
}
