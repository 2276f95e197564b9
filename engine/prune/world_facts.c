/* world_facts.c - what tells a world from another: its path, and what level.dat says. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/anvil/chunk.h"
#include "engine/anvil/nbt.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/prune/trash.h"

#define LEVEL_MAX ((size_t)16 << 20)
#define SEED_DEPTH 3 /* Data.WorldGenSettings.seed; the seeds of single generators lie deeper */

void world_facts_free(struct world_facts *f)
{
	free(f->path);
	free(f->level_name);
	*f = (struct world_facts){0};
}

static void take_name(struct world_facts *f, struct span s)
{
	if (f->level_name || memchr(s.p, 0, s.n))
		return;
	f->level_name = strndup((const char *)s.p, s.n);
}

/* Damage ends the reading; what was read before that counts. */
static void read_nbt(struct world_facts *f, struct span doc)
{
	struct nbt_reader *n = malloc(sizeof *n);
	struct nbt_tag t;
	if (!n)
		return;
	nbt_open(n, doc);
	while (nbt_next(n, &t, NULL) == 1) {
		if (t.depth == 2 && nbt_is(&t, NBT_STRING, "LevelName"))
			take_name(f, t.raw);
		if (t.depth <= SEED_DEPTH && !f->has_seed &&
			(nbt_is(&t, NBT_LONG, "RandomSeed") || nbt_is(&t, NBT_LONG, "seed"))) {
			f->seed = t.number;
			f->has_seed = true;
		}
	}
	free(n);
}

/* Since 26.1 the seed is in a file of its own. */
static void read_file_facts(struct world_facts *f, const char *world, const char *name)
{
	CLEANUP_BUF struct buf packed = BUF_INIT;
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	CLEANUP_FREE char *path = NULL;
	if (asprintf(&path, "%s/%s", world, name) < 0) {
		path = NULL;
		return;
	}
	if (io_read_file(AT_FDCWD, path, &packed, LEVEL_MAX, NULL) == 0 &&
		chunk_decode(CHUNK_GZIP, buf_span(&packed), LEVEL_MAX, &nbt, NULL) == 0)
		read_nbt(f, buf_span(&nbt));
}

int world_facts_read(const char *world, struct world_facts *ret, struct err *e)
{
	struct stat st;
	*ret = (struct world_facts){.path = realpath(world, NULL)};
	if (!ret->path)
		return err_set(e, E_IO, errno, "the world '%s'", world);
	if (stat(ret->path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		world_facts_free(ret);
		return err_set(e, E_NOTFOUND, 0, "the world '%s' is not a folder", world);
	}
	read_file_facts(ret, ret->path, "level.dat");
	if (!ret->has_seed)
		read_file_facts(ret, ret->path, "data/minecraft/world_gen_settings.dat");
	return 0;
}
