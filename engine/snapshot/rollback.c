/* What this machine has seen of a store, to notice when the store shows less: snapobj.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/snapshot/forgotten.h"

/* STATE_DIR/<store>/<name>; NULL without memory. */
static char *state_path(struct store *s, const char *state_dir, const char *name)
{
	char hex[2 * ID_BYTES + 1], *path;
	hex_of(store_config(s)->id.b, ID_BYTES, hex);
	return asprintf(&path, "%s/%s/%s", state_dir, hex, name) < 0 ? NULL : path;
}

static uint64_t read_number(const char *path)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	if (io_read_file(AT_FDCWD, path, &b, 64, NULL) < 0 || buf_add(&b, "", 1, NULL) < 0)
		return 0;
	return strtoull((char *)b.p, NULL, 10);
}

static void write_number(struct store *s, char *path, uint64_t number)
{
	char line[32];
	struct err own = ERR_INIT;
	int n = snprintf(line, sizeof line, "%llu\n", (unsigned long long)number);
	char *slash = strrchr(path, '/');
	*slash = 0;
	int r = io_mkdirs(path, 0700, &own);
	*slash = '/';
	if (r == 0)
		r = io_write_file(AT_FDCWD, path, span_of(line, (size_t)n), 0600, false, &own);
	if (r < 0)
		log_say(store_log(s), LOG_WARN, "state is not kept: %s", own.msg);
}

void snapshot_remember(struct store *s, const char *state_dir, uint64_t generation)
{
	CLEANUP_FREE char *path = state_dir ? state_path(s, state_dir, "generation") : NULL;
	if (path && read_number(path) < generation)
		write_number(s, path, generation);
}

static uint64_t newest_of(const struct snapshot_list *l)
{
	uint64_t newest = 0;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].generation > newest)
			newest = l->v[i].generation;
	return newest;
}

/* The newest may have been forgotten, which leaves a trace that only the key can make. The snapshots
 * are listed again behind that: one may have been made, or brought back, since `l` was. */
static int look_closer(struct store *s, uint64_t *newest, struct err *e)
{
	struct snapshot_list l;
	struct past p;
	int r = past_load(&p, s, e);
	if (r < 0)
		return r;
	if (p.highest > *newest)
		*newest = p.highest;
	past_free(&p);
	r = snapshot_list_load(&l, s, e);
	if (r < 0)
		return r;
	if (newest_of(&l) > *newest)
		*newest = newest_of(&l);
	snapshot_list_free(&l);
	return 0;
}

/* The config has a number of its own: an older one would bring removed keys back. */
static int check_serial(struct store *s, const char *state_dir, bool accept, struct err *e)
{
	uint64_t serial = store_config(s)->serial;
	CLEANUP_FREE char *path = state_path(s, state_dir, "serial");
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	uint64_t seen = read_number(path);
	if (serial < seen && !accept)
		return err_set(e, E_CORRUPT, 0,
			"the store's config is number %llu, but this machine has seen number %llu: it "
			"was put back to an older one (if you know why, use --accept-rollback once)",
			(unsigned long long)serial, (unsigned long long)seen);
	if (serial != seen)
		write_number(s, path, serial);
	return 0;
}

int snapshot_check_rollback(const struct snapshot_list *l, struct store *s, const char *state_dir,
	bool accept, struct err *e)
{
	uint64_t newest = newest_of(l);
	if (!state_dir)
		return 0;
	int r = check_serial(s, state_dir, accept, e);
	if (r < 0)
		return r;
	CLEANUP_FREE char *path = state_path(s, state_dir, "generation");
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	uint64_t seen = read_number(path);
	r = newest < seen ? look_closer(s, &newest, e) : 0;
	if (r < 0)
		return r;
	if (newest >= seen) {
		snapshot_remember(s, state_dir, newest);
	} else if (accept) {
		log_say(store_log(s), LOG_WARN,
			"the store shows snapshot number %llu as its newest, this machine has seen "
			"number %llu: accepted as asked", (unsigned long long)newest,
			(unsigned long long)seen);
		write_number(s, path, newest);
	} else if (!l->damaged) {
		return err_set(e, E_CORRUPT, 0,
			"the store's newest snapshot is number %llu, but this machine has seen "
			"number %llu: the store was put back to an older state, or lost snapshots "
			"that nobody forgot (if you know why, use --accept-rollback once)",
			(unsigned long long)newest, (unsigned long long)seen);
	}
	return 0;
}
