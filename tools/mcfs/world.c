#include "tools/mcfs/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/source_snap.h"

char *cli_count(uint64_t n, const char *noun, char out[48])
{
	snprintf(out, 48, "%llu %s%s", (unsigned long long)n, noun, cli_s(n));
	return out;
}

/* "/srv/mc/world" is where the source that was at "/srv/mc" has it. */
static char *path_in_snapshot(const struct snapshot *sn, const char *world)
{
	char *out;
	CLEANUP_FREE char *real = realpath(world, NULL);
	const char *path = real ? real : world;
	for (size_t i = 0; i < sn->n_sources; i++) {
		size_t n = strlen(sn->sources[i].path);
		if (strncmp(path, sn->sources[i].path, n) == 0 && (!path[n] || path[n] == '/'))
			return asprintf(&out, "%s%s", sn->sources[i].name, path + n) < 0 ? NULL : out;
	}
	return strdup(world);
}

static int open_snapshot(struct cli_world *w, struct cli *cli, const char *world,
	const char *snapshot, struct err *e)
{
	struct snapshot *sn;
	int r = session_open(&w->session, cli, e);
	if (r < 0)
		return r;
	w->has_session = true;
	r = snapshot_find(&w->session.list, snapshot, &sn, e);
	if (r < 0)
		return r;
	w->sn = sn;
	CLEANUP_FREE char *path = world ? path_in_snapshot(sn, world) : strdup("");
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	return source_snapshot_open(&w->source, w->session.store, sn, path, e);
}

int cli_world_open(struct cli_world *w, struct cli *cli, const char *world, const char *snapshot,
	struct err *e)
{
	*w = (struct cli_world){0};
	int r = snapshot ? open_snapshot(w, cli, world, snapshot, e)
			 : source_dir_open(&w->source, world, e);
	if (r < 0)
		cli_world_close(w);
	return r;
}

void cli_world_close(struct cli_world *w)
{
	source_close(w->source);
	if (w->has_session)
		session_close(&w->session);
	*w = (struct cli_world){0};
}
