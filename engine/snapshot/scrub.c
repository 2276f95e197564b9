#include "engine/snapshot/scrub.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define FILE_MAX ((size_t)256 << 20)

struct scrub {
	struct store *s;
	char *path; /* NULL: no memory */
	struct seen {
		struct id pack;
		int64_t when;
	} *v; /* by pack, but for the last `fresh` */
	size_t n, fresh;
};

static int by_pack(const void *a, const void *b)
{
	return memcmp(a, b, ID_BYTES); /* the first member of struct seen, too */
}

static int add(struct scrub *sc, const struct id *pack, int64_t when, struct err *e)
{
	if ((sc->n & (sc->n - 1)) == 0) {
		struct seen *v = realloc(sc->v, (sc->n ? 2 * sc->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for the list of packs that were read");
		sc->v = v;
	}
	sc->v[sc->n++] = (struct seen){*pack, when};
	return 0;
}

static int parse(struct scrub *sc, char *text, struct err *e)
{
	int r = 0;
	for (char *save, *line = strtok_r(text, "\n", &save); line && r == 0;
		line = strtok_r(NULL, "\n", &save)) {
		struct id id;
		char *end = strchr(line, ' ');
		if (!end)
			continue;
		*end = 0;
		if (hex_parse(line, ID_BYTES, id.b))
			r = add(sc, &id, strtoll(end + 1, NULL, 10), e);
	}
	if (sc->n)
		qsort(sc->v, sc->n, sizeof *sc->v, by_pack);
	return r;
}

int scrub_open(struct scrub **ret, struct store *s, const char *state_dir, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char hex[2 * ID_BYTES + 1];
	struct scrub *sc = calloc(1, sizeof *sc);
	int r = 0;
	if (!sc)
		return err_set(e, E_NOMEM, 0, "no memory for the list of packs that were read");
	sc->s = s;
	if (state_dir && asprintf(&sc->path, "%s/%s/checked", state_dir,
				 hex_of(store_config(s)->id.b, ID_BYTES, hex)) < 0) {
		sc->path = NULL;
		r = err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	if (sc->path && io_read_file(AT_FDCWD, sc->path, &b, FILE_MAX, NULL) == 0 &&
		buf_add(&b, "", 1, NULL) == 0)
		r = parse(sc, (char *)b.p, e);
	if (r < 0) {
		scrub_free(sc);
		return r;
	}
	*ret = sc;
	return 0;
}

void scrub_free(struct scrub *sc)
{
	if (!sc)
		return;
	free(sc->path);
	free(sc->v);
	free(sc);
}

int64_t scrub_last(const struct scrub *sc, const struct id *pack)
{
	size_t n = sc->n - sc->fresh;
	const struct seen *hit = n ? bsearch(pack, sc->v, n, sizeof *sc->v, by_pack) : NULL;
	return hit ? hit->when : 0;
}

int scrub_note(struct scrub *sc, const struct id *pack, int64_t when, struct err *e)
{
	int r = add(sc, pack, when, e);
	sc->fresh += r == 0;
	return r;
}

/* The newest time of each pack, sorted. */
static void merge(struct scrub *sc)
{
	size_t n = 0;
	if (sc->n)
		qsort(sc->v, sc->n, sizeof *sc->v, by_pack);
	for (size_t i = 0; i < sc->n; i++)
		if (n && by_pack(&sc->v[n - 1], &sc->v[i]) == 0)
			sc->v[n - 1].when = sc->v[i].when > sc->v[n - 1].when ? sc->v[i].when
									       : sc->v[n - 1].when;
		else
			sc->v[n++] = sc->v[i];
	sc->n = n;
	sc->fresh = 0;
}

void scrub_save(struct scrub *sc, const struct id *packs, size_t n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err own = ERR_INIT;
	char line[80], hex[2 * ID_BYTES + 1];
	int r = 0;
	if (!sc->path || !sc->fresh)
		return;
	merge(sc);
	for (size_t i = 0; i < n && r == 0; i++) {
		int64_t when = scrub_last(sc, &packs[i]);
		if (when)
			r = buf_add(&b, line,
				(size_t)snprintf(line, sizeof line, "%s %" PRId64 "\n",
					hex_of(packs[i].b, ID_BYTES, hex), when), &own);
	}
	char *slash = strrchr(sc->path, '/');
	*slash = 0;
	if (r == 0)
		r = io_mkdirs(sc->path, 0700, &own);
	*slash = '/';
	if (r == 0)
		r = io_write_file(AT_FDCWD, sc->path, buf_span(&b), 0600, false, &own);
	if (r < 0)
		log_say(store_log(sc->s), LOG_WARN, "what was read is not remembered: %s", own.msg);
}
