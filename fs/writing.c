#include "fs/writing.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/anvil/chunk.h"
#include "engine/anvil/nbt.h"
#include "engine/base/cleanup.h"
#include "engine/codec/exact_deflate.h"
#include "fs/keeper.h"
#include "fs/putback.h"

#define GAME_LEVEL 6
#define SECTORS_MOST 255 /* a record that takes more is in a .mcc file */

struct writings {
	pthread_mutex_t m;
	struct writing *first;
	_Atomic unsigned n;
};

int writings_new(struct writings **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		return err_set(e, E_NOMEM, 0, "no memory for files");
	pthread_mutex_init(&(*ret)->m, NULL);
	return 0;
}

static void free_writing(struct writing *w)
{
	buf_free(&w->data);
	pthread_mutex_destroy(&w->m);
	free(w);
}

void writings_free(struct writings *all)
{
	if (!all)
		return;
	while (all->first) {
		struct writing *w = all->first;
		all->first = w->next;
		free_writing(w);
	}
	pthread_mutex_destroy(&all->m);
	free(all);
}

static struct writing *find(struct writings *all, uint64_t id)
{
	for (struct writing *w = all->first; w; w = w->next)
		if (w->id == id) {
			w->users++;
			return w;
		}
	return NULL;
}

struct writing *writing_find(struct writings *all, uint64_t id)
{
	if (!atomic_load(&all->n))
		return NULL;
	LOCK_SCOPE(&all->m);
	return find(all, id);
}

struct writing *writing_open(struct writings *all, uint64_t id)
{
	LOCK_SCOPE(&all->m);
	struct writing *w = find(all, id);
	if (w)
		return w;
	w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	pthread_mutex_init(&w->m, NULL);
	w->id = id;
	w->users = 1;
	w->next = all->first;
	all->first = w;
	atomic_fetch_add(&all->n, 1);
	return w;
}

void writing_close(struct writings *all, struct writing *w)
{
	if (!w)
		return;
	LOCK_SCOPE(&all->m);
	if (--w->users)
		return;
	struct writing **pp = &all->first;
	while (*pp != w)
		pp = &(*pp)->next;
	*pp = w->next;
	atomic_fetch_sub(&all->n, 1);
	free_writing(w);
}

/* ---- what was written, as a part of a chunk ---- */

/* One whole chunk, of this place? The game would move it, or throw it away, if it were not. */
static int check(struct call *cl, const struct target *t, struct span nbt)
{
	struct chunk_info info = {0};
	struct err *e = &cl->e;
	if (nbt_check(nbt, e) < 0)
		return err_set(e, E_USAGE, 0,
			"what was written is no whole chunk (plain NBT, as in chunks/<snapshot>)");
	if (chunk_info_read(nbt, &info, e) < 0)
		return err_set(e, E_USAGE, 0, "what was written is no chunk that can be read");
	if (info.has_pos && (info.x != target_x(t) || info.z != target_z(t)))
		return err_set(e, E_USAGE, 0,
			"what was written is chunk %d,%d, which belongs into r.%d.%d/c.%d.%d.nbt",
			info.x, info.z, info.x >> 5, info.z >> 5, info.x, info.z);
	return 0;
}

/* Nothing but a chunk of this kind of file: an empty compound or a region's chunk in entities/ is well-formed
 * NBT too. What a snapshot has at this place needs no proof. */
static int check_kind(struct call *cl, int kind, struct span nbt)
{
	static const char *const lacks[SOURCE_KINDS] = {[SOURCE_REGION] = "xPos and zPos",
		[SOURCE_ENTITIES] = "Position", [SOURCE_POI] = "Sections"};
	struct chunk_info info;
	int r = chunk_info_read(nbt, &info, &cl->e);
	bool fits = kind == SOURCE_POI ? info.is_poi
				     : info.has_pos && info.is_entities == (kind == SOURCE_ENTITIES);
	return r < 0 || fits ? r
			     : err_set(&cl->e, E_USAGE, 0,
				       "what was written is no chunk for %s/: it has no %s",
				       source_kind_name[kind], lacks[kind]);
}

/* A record as the game writes it: zlib at its default level, in a .mcc file when it is too large. */
static int make_part(struct span nbt, struct chunk_part *p, struct err *e)
{
	struct exact_deflate *d = NULL;
	uint8_t head[5] = {0, 0, 0, 0, CHUNK_ZLIB};
	int r = exact_deflate_new(&d, e);
	if (r == 0)
		r = buf_add(&p->record, head, sizeof head, e);
	if (r == 0)
		r = exact_deflate(d, GAME_LEVEL, EXACT_ZLIB, nbt, &p->record, e);
	exact_deflate_free(d);
	if (r < 0)
		return r;
	if (p->record.len > (size_t)SECTORS_MOST * REGION_SECTOR) {
		r = buf_add(&p->mcc, p->record.p + sizeof head, p->record.len - sizeof head, e);
		p->has_mcc = true;
		p->record.len = sizeof head;
		p->record.p[4] |= CHUNK_EXTERNAL;
	}
	set_be32(p->record.p, (uint32_t)p->record.len - 4);
	p->entry = (struct region_entry){.timestamp = (uint32_t)time(NULL)};
	p->present = true;
	return r;
}

static int copy_part(const struct chunk_part *from, struct chunk_part *to, struct err *e)
{
	*to = *from;
	to->record = to->mcc = BUF_INIT;
	int r = buf_add(&to->record, from->record.p, from->record.len, e);
	return r < 0 ? r : buf_add(&to->mcc, from->mcc.p, from->mcc.len, e);
}

static bool same_parts(const struct chunk_parts *a, const struct chunk_parts *b)
{
	for (int k = 0; k < SOURCE_KINDS; k++)
		if (!chunk_part_equal(&a->part[k], &b->part[k]))
			return false;
	return true;
}

/* What is to be in the world: all three parts. From a snapshot when it was one of its chunks that
 * was written; else this part, and the others as they are. */
static int choose_parts(struct call *cl, const struct target *t, struct span nbt,
	struct chunk_parts *now, struct chunk_parts *ret, char why[100])
{
	bool found = false;
	int r = putback_live_parts(cl, t, now);
	if (r == 0)
		r = putback_find(cl, t, nbt, ret, why, &found);
	if (r == 0 && !found)
		r = check_kind(cl, t->kind, nbt);
	for (int k = 0; r == 0 && k < SOURCE_KINDS; k++) {
		if (found && (t->kind == SOURCE_REGION || k == t->kind))
			continue;
		chunk_part_free(&ret->part[k]);
		if (k == t->kind)
			r = make_part(nbt, &ret->part[k], &cl->e);
		else
			r = copy_part(&now->part[k], &ret->part[k], &cl->e);
	}
	if (r == 0 && !found)
		snprintf(why, 100, "written by hand");
	return r;
}

int writing_settle(struct call *cl, struct node n, struct writing *w, uid_t uid)
{
	CLEANUP_TARGET struct target t = {0};
	CLEANUP_PARTS struct chunk_parts now = {0};
	CLEANUP_PARTS struct chunk_parts parts = {0};
	struct prune_result res = {0};
	char why[100] = "";
	if (!w->dirty)
		return 0;
	int r = target_of(cl, n, &t);
	if (r == 0)
		r = check(cl, &t, buf_span(&w->data));
	if (r == 0)
		r = choose_parts(cl, &t, buf_span(&w->data), &now, &parts, why);
	if (r < 0)
		return r;
	if (!same_parts(&now, &parts)) {
		struct keeper_job job = {.world = t.world, .dimension = t.dimension, .uid = uid};
		r = keeper_put(cl->fs->keeper, &job, target_x(&t), target_z(&t), &parts, why, &res,
			&cl->e);
	}
	if (r < 0)
		return r;
	w->dirty = w->is_new = false;
	return 0;
}
