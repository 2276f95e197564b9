#include "fs/liveregion.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "fs/keeper.h"
#include "fs/trashed.h"

#define TABLES 256
#define YOUNG_SECONDS 2
#define FORM_OF_LIVE 0xf3 /* of made-up names: no blob has it */

/* ---- what was learnt of a file's chunks ---- */

struct table {
	struct name file;
	uint64_t used; /* 0: free */
	struct known {
		uint32_t location, stamp; /* as in the header */
		uint32_t size;
		bool known;
	} slot[REGION_SLOTS];
};

struct sizes {
	pthread_mutex_t m;
	uint64_t tick;
	struct table *v[TABLES];
};

int sizes_new(struct sizes **ret, struct err *e)
{
	struct sizes *s = calloc(1, sizeof *s);
	if (!s)
		return err_set(e, E_NOMEM, 0, "no memory for sizes of chunks");
	pthread_mutex_init(&s->m, NULL);
	*ret = s;
	return 0;
}

void sizes_free(struct sizes *s)
{
	if (!s)
		return;
	for (int i = 0; i < TABLES; i++)
		free(s->v[i]);
	pthread_mutex_destroy(&s->m);
	free(s);
}

/* A file's table, or the one that was used longest ago made to be its own; NULL without memory.
 * Called with the lock. Eight places are looked at. */
static struct table *table_of(struct sizes *s, const struct name *file)
{
	unsigned first = file->b[0] & ~7u & (TABLES - 1), at = first;
	for (unsigned i = first; i < first + 8; i++) {
		struct table *t = s->v[i];
		if (t && name_cmp(&t->file, file) == 0) {
			t->used = ++s->tick;
			return t;
		}
		if (!t || (s->v[at] && t->used < s->v[at]->used))
			at = i;
	}
	if (!s->v[at] && !(s->v[at] = malloc(sizeof *s->v[at])))
		return NULL;
	memset(s->v[at], 0, sizeof *s->v[at]);
	s->v[at]->file = *file;
	s->v[at]->used = ++s->tick;
	return s->v[at];
}

static bool is_young(uint32_t stamp)
{
	time_t now = time(NULL);
	return (time_t)stamp + YOUNG_SECONDS >= now && (time_t)stamp <= now + YOUNG_SECONDS;
}

static bool size_known(struct sizes *s, const struct region *r, unsigned slot, uint32_t *ret)
{
	if (r->shown && r->shown[slot])
		return false;
	LOCK_SCOPE(&s->m);
	const struct table *t = table_of(s, &r->live_name);
	const struct known *k = t ? &t->slot[slot] : NULL;
	if (!k || !k->known || k->location != get_be32(r->header + 4 * slot) ||
		k->stamp != get_be32(r->header + 4096 + 4 * slot))
		return false;
	*ret = k->size;
	return true;
}

static void remember_size(struct sizes *s, const struct region *r, unsigned slot, size_t size)
{
	uint32_t stamp = get_be32(r->header + 4096 + 4 * slot);
	if (is_young(stamp))
		return;
	LOCK_SCOPE(&s->m);
	struct table *t = table_of(s, &r->live_name);
	if (t)
		t->slot[slot] = (struct known){get_be32(r->header + 4 * slot), stamp,
			(uint32_t)size, true};
}

/* ---- files ---- */

static int add_item(void *ctx, const struct trash_item *it, struct err *e)
{
	struct region_name n = {it->x >> 5, it->z >> 5, 1u << SOURCE_REGION};
	return buf_add(ctx, &n, sizeof n, e);
}

int live_region_names(struct call *cl, const struct world_place *p, struct piece **ret)
{
	struct world_dim dim = {.folder = (char *)p->folder, .name = (char *)p->name};
	struct source_regions found;
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = source_regions(p->live->source, &dim, &found, &cl->e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < found.n && r == 0; i++) {
		struct region_name n = {found.v[i].x, found.v[i].z, found.v[i].kinds};
		r = buf_add(&b, &n, sizeof n, &cl->e);
	}
	source_regions_free(&found);
	/* Those that have no file, or none yet. */
	struct trash_filter back = {.states = 1u << TRASH_RESTORE_WAITS, .dimension = p->name};
	if (r == 0)
		r = live_spots(cl->fs->live, p, &b, &cl->e);
	if (r == 0)
		r = trash_list(keeper_trash(cl->fs->keeper, p->live), &back, add_item, &b, &cl->e);
	if (r < 0)
		return r;
	region_names_sort(&b);
	*ret = piece_of(&b);
	return *ret ? 0 : err_set(&cl->e, E_NOMEM, 0, "no memory for the list of region files");
}

/* Owner and permissions, which sources do not tell. */
static int stat_file(struct call *cl, const struct world_place *p, int kind, int32_t x, int32_t z,
	struct region *ret)
{
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	if (asprintf(&path, "%s%s%s/r.%d.%d.mca", p->folder, *p->folder ? "/" : "",
		    source_kind_name[kind], x, z) < 0) {
		path = NULL;
		return err_set(&cl->e, E_NOMEM, 0, "no memory for a path");
	}
	if (fstatat(p->live->dirfd, path, &st, 0) < 0)
		return err_set(&cl->e, E_IO, errno, "stat '%s'", path);
	ret->en.mode = st.st_mode & 07777;
	ret->en.uid = st.st_uid;
	ret->en.gid = st.st_gid;
	ret->en.size = (uint64_t)st.st_size;
	ret->en.mtime = (struct timestamp){st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec};
	uint8_t key[64] = {0};
	int n = snprintf((char *)key, sizeof key, "%u %llx %llx", p->live->number,
		(unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	name_of(cl->fs->keys, FORM_OF_LIVE, span_of(key, (size_t)n), &ret->live_name);
	return 0;
}

/* A file that does not exist, or not any more, with the dimension's owner. */
static void imagine_file(struct call *cl, struct region *ret)
{
	CLEANUP_FREE char *path = NULL;
	struct world_node w = {0};
	uint8_t key[300];
	if (asprintf(&path, "%s/%s", ret->place->live->name, ret->place->folder) < 0)
		path = NULL;
	live_stat(cl->fs->live, path ? path : "", &w);
	ret->en.mode = w.mode & 0666;
	ret->en.uid = w.uid;
	ret->en.gid = w.gid;
	ret->en.mtime = w.mtime;
	int n = snprintf((char *)key, sizeof key, "%u none %d %d %d %.200s", ret->place->live->number,
		ret->kind, ret->x, ret->z, ret->place->name);
	name_of(cl->fs->keys, FORM_OF_LIVE, span_of(key, (size_t)n), &ret->live_name);
}

/* Does an item that waits to come back have a part of this kind? */
static int show_item(struct call *cl, struct region *ret, unsigned slot, int64_t id)
{
	CLEANUP_PARTS struct chunk_parts parts = {0};
	int r = trash_payload(keeper_trash(cl->fs->keeper, ret->place->live), id, &parts, &cl->e);
	if (r == E_NOTFOUND) /* it has just come back */
		return 0;
	if (r == E_CORRUPT) { /* it will not come back; the others of the region are to be seen */
		say_once(cl->fs, LOG_ERROR, cl->e.msg);
		cl->e = ERR_INIT;
		return 0;
	}
	if (r < 0)
		return r;
	memset(ret->header + 4 * slot, 0, 4);
	if (!parts.part[ret->kind].present)
		return 0;
	/* As an entry it only has to be one. */
	set_be32(ret->header + 4 * slot, 1);
	set_be32(ret->header + 4096 + 4 * slot, parts.part[ret->kind].entry.timestamp);
	ret->shown[slot] = id;
	ret->has_header = true;
	return 0;
}

/* What waits: chunks that are to go are not shown, those that are to come back are. `found` is what
 * opening the file gave. */
static int apply_overlay(struct call *cl, const struct trash_overlay *over, struct region *ret,
	int found)
{
	int r = 0;
	bool any = false;
	for (unsigned i = 0; i < REGION_SLOTS && r == 0; i++) {
		if (over->hidden[i])
			memset(ret->header + 4 * i, 0, 4);
		if (!over->shown[i])
			continue;
		if (!ret->shown && !(ret->shown = calloc(REGION_SLOTS, sizeof *ret->shown)))
			return err_set(&cl->e, E_NOMEM, 0, "no memory for a region");
		r = show_item(cl, ret, i, over->shown[i]);
		any |= ret->shown[i] != 0;
	}
	if (r < 0 || found == 0)
		return r;
	if (!any)
		return found;
	cl->e = ERR_INIT;
	imagine_file(cl, ret);
	return 0;
}

int live_region_load(struct call *cl, const struct world_place *p, int kind, int32_t x, int32_t z,
	struct region *ret)
{
	struct world_dim dim = {.folder = (char *)p->folder, .name = (char *)p->name};
	struct trash_overlay over;
	*ret = (struct region){.x = x, .z = z, .place = p, .kind = kind};
	int r = keeper_overlay(cl->fs->keeper, p->live, p->name, x, z, &over, &cl->e);
	if (r < 0)
		return r;
	r = source_region_open(p->live->source, &dim, (enum source_kind)kind, x, z, &ret->live,
		&cl->e);
	if (r == 0)
		r = stat_file(cl, p, kind, x, z, ret);
	if (r == 0) {
		ret->has_header = ret->live->has_header;
		memcpy(ret->header, ret->live->header, REGION_HEADER);
	}
	if (over.any && (r == 0 || r == E_NOTFOUND))
		r = apply_overlay(cl, &over, ret, r);
	if (r < 0)
		live_region_unload(ret);
	return r;
}

void live_region_unload(struct region *r)
{
	source_region_close(TAKE_PTR(r->live));
	free(TAKE_PTR(r->shown));
}

bool live_region_has_any(const struct region *r)
{
	for (unsigned i = 0; i < REGION_SLOTS; i++)
		if (region_has_chunk(r, i))
			return true;
	return false;
}

/* ---- chunks ---- */

struct decoding {
	const struct region *r;
	unsigned slot;
};

static int make_nbt(void *ctx, struct coder *c, struct piece *p, struct err *e)
{
	struct decoding *d = ctx;
	CLEANUP_SOURCE_CHUNK struct source_chunk ch = {0};
	(void)c;
	int r = source_chunk_nbt(d->r->live, d->slot, &ch, &p->own, e);
	p->data = buf_span(&p->own);
	return r;
}

/* Of an item that waits to come back. */
static int shown_nbt(struct call *cl, const struct region *r, unsigned slot, struct piece **ret)
{
	CLEANUP_PIECE struct piece *bytes = NULL;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct trash_item it = {.id = r->shown[slot], .state = TRASH_RESTORE_WAITS};
	bool fine;
	int rc = trashed_bytes(cl, r->place->live, &it, r->kind, &fine, &bytes);
	if (rc == 0 && !fine)
		return err_set(&cl->e, E_FORMAT, 0, "it was damaged when it was pruned");
	if (rc == 0)
		rc = buf_add(&b, bytes->data.p, bytes->data.n - 1, &cl->e);
	if (rc == 0 && !(*ret = piece_of(&b)))
		rc = err_set(&cl->e, E_NOMEM, 0, "no memory for a chunk");
	return rc;
}

int live_region_nbt(struct call *cl, const struct region *r, unsigned slot, struct piece **ret)
{
	struct decoding d = {r, slot};
	if (r->shown && r->shown[slot])
		return shown_nbt(cl, r, slot, ret);
	struct piece_key key = {.what = PIECE_LIVE_NBT};
	uint8_t text[NAME_BYTES + 16] = {0};
	uint32_t stamp = get_be32(r->header + 4096 + 4 * slot);
	/* As long as the entry proves nothing, what was read counts for a second. */
	uint32_t moment = is_young(stamp) ? (uint32_t)time(NULL) : 0;
	memcpy(text, r->live_name.b, NAME_BYTES);
	set_be32(text + NAME_BYTES, slot);
	memcpy(text + NAME_BYTES + 4, r->header + 4 * slot, 4);
	set_be32(text + NAME_BYTES + 8, stamp);
	set_be32(text + NAME_BYTES + 12, moment);
	name_of(cl->fs->keys, FORM_OF_LIVE, span_of(text, sizeof text), &key.name);
	int rc = fscache_get(cl->fs->cache, cl->c, &key, make_nbt, &d, ret, &cl->e);
	if (rc == 0)
		remember_size(cl->fs->sizes, r, slot, (*ret)->data.n);
	return rc;
}

int live_region_chunk(struct call *cl, const struct region *r, unsigned slot,
	struct region_chunk *ret)
{
	CLEANUP_PIECE struct piece *nbt = NULL;
	uint32_t size;
	*ret = (struct region_chunk){.mtime = region_entry_at(r->header, slot).timestamp};
	if (!region_has_chunk(r, slot))
		return err_set(&cl->e, E_NOTFOUND, 0, "no such chunk");
	int rc = 0;
	if (!size_known(cl->fs->sizes, r, slot, &size)) {
		rc = live_region_nbt(cl, r, slot, &nbt);
		size = nbt ? (uint32_t)nbt->data.n : 0;
	}
	if (rc == 0) {
		ret->fine = true;
		ret->size = size;
		return 0;
	}
	if (rc != E_FORMAT && rc != E_CORRUPT)
		return rc;
	snprintf(ret->problem, sizeof ret->problem, "%.150s", cl->e.msg);
	cl->e = ERR_INIT;
	/* It only waits to come back: its bytes are in no sectors of the file. */
	if (r->shown && r->shown[slot])
		return 0;
	struct region_entry en = region_entry_at(r->header, slot);
	ret->off = (uint64_t)en.sector * REGION_SECTOR;
	ret->size = (uint64_t)en.count * REGION_SECTOR;
	if (ret->off >= r->en.size)
		ret->size = 0;
	else if (ret->size > r->en.size - ret->off)
		ret->size = r->en.size - ret->off;
	return 0;
}

int live_region_record(struct call *cl, const struct region *r, unsigned slot, struct buf *record,
	struct buf *mcc, bool *ret_mcc)
{
	CLEANUP_SOURCE_CHUNK struct source_chunk ch = {0};
	CLEANUP_PARTS struct chunk_parts parts = {0};
	const struct chunk_part *p = &parts.part[r->kind];
	int rc;
	if (r->shown && r->shown[slot]) {
		rc = trash_payload(keeper_trash(cl->fs->keeper, r->place->live), r->shown[slot],
			&parts, &cl->e);
		if (rc == 0 && p->present)
			rc = buf_add(record, p->record.p, p->record.len, &cl->e);
		if (rc == 0 && (*ret_mcc = p->has_mcc))
			rc = buf_add(mcc, p->mcc.p, p->mcc.len, &cl->e);
		return rc;
	}
	rc = source_chunk_read(r->live, slot, &ch, &cl->e);
	if (rc == 0)
		rc = buf_add(record, ch.record.p, ch.record.len, &cl->e);
	if (rc == 0 && (*ret_mcc = ch.external))
		rc = buf_add(mcc, ch.outside.p, ch.outside.len, &cl->e);
	return rc;
}

int live_region_raw(struct call *cl, const struct region *r, uint64_t off, size_t n,
	struct buf *out)
{
	if (!r->live)
		return err_set(&cl->e, E_NOTFOUND, 0, "no such chunk");
	int rc = buf_resize(out, n, &cl->e);
	if (rc == 0)
		rc = r->live->file->source->ops->pread(r->live->file, off, out->p, n, &out->len,
			&cl->e);
	return rc;
}
