#include "engine/prune/prune_internal.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"

#define POLL_MS 50
#define TORN_TRIES 3

const char *prune_outcome_name(enum prune_outcome o)
{
	static const char *const name[] = {"done", "deferred", "cancelled", "absent", "saved-since",
		"damaged", "occupied", "failed"};
	return (size_t)o < sizeof name / sizeof *name ? name[o] : "unknown";
}

int prune_no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory to prune");
}

bool prune_cancelled(const struct prune *p)
{
	return p->opt.cancel && *p->opt.cancel;
}

void prune_tell(struct prune *p, const char *dimension, int32_t x, int32_t z, enum prune_outcome o,
	const char *detail)
{
	struct prune_result *r = p->res;
	switch (o) {
	case PRUNE_DONE:
		r->done++;
		break;
	case PRUNE_DEFERRED:
		r->deferred++;
		break;
	case PRUNE_CANCELLED:
		r->cancelled++;
		break;
	case PRUNE_ABSENT:
		r->absent++;
		break;
	case PRUNE_SAVED_SINCE:
		r->saved_since++;
		break;
	case PRUNE_DAMAGED:
		r->damaged++;
		break;
	case PRUNE_OCCUPIED:
		r->occupied++;
		break;
	case PRUNE_FAILED:
		break;
	}
	if (p->opt.on_chunk)
		p->opt.on_chunk(p->opt.ctx, dimension, x, z, o, detail ? detail : "");
}

/* ---- opening ---- */

static void name_user(char out[64])
{
	struct passwd pw, *found = NULL;
	char b[2048];
	if (getpwuid_r(geteuid(), &pw, b, sizeof b, &found) == 0 && found)
		snprintf(out, 64, "%s", pw.pw_name);
	else
		snprintf(out, 64, "uid %ld", (long)geteuid());
}

/* Only dimensions of the world itself, not of worlds below it (copies, split worlds' parts). */
static int find_dimensions(const char *world, struct worlds *ret, struct err *e)
{
	CLEANUP_SOURCE struct source *src = NULL;
	struct worlds all;
	int r = source_dir_open(&src, world, e);
	if (r == 0)
		r = source_worlds(src, &all, e);
	if (r < 0)
		return r;
	char others[300] = "";
	size_t n = 0, at = 0;
	for (size_t i = 0; i < all.n; i++) {
		if (all.v[i].world[0] == 0) {
			struct world_dim d = all.v[i];
			all.v[i] = all.v[n];
			all.v[n++] = d;
		} else if ((i == 0 || strcmp(all.v[i].world, all.v[i - 1].world) != 0) &&
			   at < sizeof others - 1) {
			at += (size_t)snprintf(others + at, sizeof others - at, "%s%s",
				at ? ", " : "", all.v[i].world);
		}
	}
	if (n == 0 && *others) {
		worlds_free(&all);
		return err_set(e, E_USAGE, 0, "'%s' is not a world but holds some: %s", world, others);
	}
	for (size_t i = n; i < all.n; i++) {
		free(all.v[i].world);
		free(all.v[i].name);
		free(all.v[i].folder);
	}
	all.n = n;
	*ret = all;
	return 0;
}

/* A world that lost all of its chunks is still one: it has level.dat, or a trash. */
static int check_is_world(struct prune *p, struct err *e)
{
	uint64_t n = 0;
	CLEANUP_FREE char *level = NULL;
	if (p->dims.n)
		return 0;
	if (asprintf(&level, "%s/level.dat", p->world) < 0) {
		level = NULL;
		return prune_no_memory(e);
	}
	if (access(level, F_OK) == 0)
		return 0;
	int r = trash_count(p->trash, ~0u, &n, e);
	if (r == 0 && n == 0)
		r = err_set(e, E_NOTFOUND, 0,
			"there is no world in '%s': no region files and no level.dat", p->world);
	return r;
}

/* Before a trash is made for something that is no world. */
static int looks_like_world(const char *path, const struct worlds *dims, const char *state_dir,
	struct err *e)
{
	struct trash *t;
	CLEANUP_FREE char *level = NULL;
	if (asprintf(&level, "%s/level.dat", path) < 0) {
		level = NULL;
		return prune_no_memory(e);
	}
	if (dims->n || access(level, F_OK) == 0)
		return 0;
	if (trash_open(&t, state_dir, path, true, NULL, NULL) == 0) {
		trash_close(t);
		return 0;
	}
	return err_set(e, E_NOTFOUND, 0, "there is no world in '%s': no region files and no level.dat",
		path);
}

int prune_open(struct prune **ret, const struct prune_options *opt, struct err *e)
{
	struct prune *p = calloc(1, sizeof *p);
	*ret = NULL;
	if (!p)
		return prune_no_memory(e);
	pthread_mutex_init(&p->m, NULL);
	p->opt = *opt;
	p->opt.state_dir = p->opt.world = NULL;
	if (opt->log)
		p->log = *opt->log;
	p->opt.log = NULL;
	name_user(p->who);
	p->world = realpath(opt->world, NULL);
	int r = p->world ? 0 : err_set(e, E_IO, errno, "the world '%s'", opt->world);
	if (r == 0)
		r = find_dimensions(p->world, &p->dims, e);
	if (r == 0)
		r = looks_like_world(p->world, &p->dims, opt->state_dir, e);
	if (r == 0)
		r = trash_open(&p->trash, opt->state_dir, p->world, false, opt->log, e);
	if (r == 0)
		r = check_is_world(p, e);
	if (r < 0) {
		prune_close(p);
		return r;
	}
	*ret = p;
	return 0;
}

void prune_close(struct prune *p)
{
	if (!p)
		return;
	session_lock_release(p->lock);
	trash_close(p->trash);
	worlds_free(&p->dims);
	free(p->world);
	pthread_mutex_destroy(&p->m);
	free(p);
}

struct trash *prune_trash(struct prune *p)
{
	return p->trash;
}

/* ---- the session lock ---- */

static int clean_folders(struct prune *p, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < p->dims.n && r == 0; i++)
		for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
			struct region_folder f;
			CLEANUP_FREE char *path = NULL;
			if (asprintf(&path, "%s/%s/%s", p->world, p->dims.v[i].folder,
				    source_kind_name[k]) < 0) {
				path = NULL;
				return prune_no_memory(e);
			}
			r = region_folder_open(&f, path, false, e);
			if (r == 0) {
				r = region_folder_clean(&f, e);
				region_folder_close(&f);
			} else if (r == E_NOTFOUND) {
				r = 0;
			}
		}
	p->cleaned = r == 0;
	return r;
}

/* Wait for another mcfs, not for a server. */
static int take_lock(struct prune *p, struct err *e)
{
	for (int waited = 0;; waited += POLL_MS) {
		struct session_user user;
		bool used;
		int r = session_lock_take(&p->lock, p->world, e);
		if (r != E_LOCKED || waited >= PRUNE_WAIT_MS || prune_cancelled(p))
			return r;
		if (session_lock_test(p->world, &used, &user, NULL) < 0 ||
			(used && !user.by_file))
			return r;
		struct timespec pause = {0, POLL_MS * 1000000L};
		nanosleep(&pause, NULL);
	}
}

int prune_enter(struct prune *p, enum when_running when, bool *ret_free, struct err *e)
{
	*ret_free = false;
	int r = take_lock(p, e);
	if (r == E_LOCKED && when == WHEN_RUNNING_DEFER)
		return 0;
	if (r == 0 && !p->cleaned)
		r = clean_folders(p, e);
	if (r == 0)
		r = prune_settle(p, e);
	*ret_free = r == 0;
	return r;
}

void prune_leave(struct prune *p)
{
	session_lock_release(p->lock);
	p->lock = NULL;
}

/* ---- prune ---- */

static const struct world_dim *find_dimension(struct prune *p, const char *name)
{
	for (size_t i = 0; i < p->dims.n; i++)
		if (strcmp(p->dims.v[i].name, name) == 0)
			return &p->dims.v[i];
	return NULL;
}

/* Dimensions come and go with their region files. */
int prune_dimension(struct prune *p, const char *name, const struct world_dim **ret, struct err *e)
{
	*ret = find_dimension(p, name);
	if (*ret)
		return 0;
	struct worlds now;
	int r = find_dimensions(p->world, &now, e);
	if (r < 0)
		return r;
	worlds_free(&p->dims);
	p->dims = now;
	*ret = find_dimension(p, name);
	return *ret ? 0 : err_set(e, E_NOTFOUND, 0, "the world '%s' has no dimension '%s'", p->world,
				  name);
}

static int by_region(const void *a, const void *b)
{
	const struct prune_chunk *x = a, *y = b;
	int32_t kx[4] = {x->x >> 5, x->z >> 5, x->z, x->x}, ky[4] = {y->x >> 5, y->z >> 5, y->z, y->x};
	for (int i = 0; i < 4; i++)
		if (kx[i] != ky[i])
			return kx[i] < ky[i] ? -1 : 1;
	return 0;
}

struct pruning {
	const struct world_dim *dim;
	const struct prune_how *how;
	const char *who;
	bool free; /* the world is: do it now */
	struct region_files files;
	struct clearing *c;
	struct row_ids ids;
	/* To be told once it is committed. */
	const struct prune_chunk *told[REGION_SLOTS];
	size_t n_told;
};

#define CLOCK_SLACK 60

static bool was_saved(const struct prune_chunk *ch, const struct region_entry *now)
{
	if (ch->has_entry && (now->sector != ch->entry.sector || now->count != ch->entry.count ||
				     now->timestamp != ch->entry.timestamp))
		return true;
	/* Stamps of years to come, as some programs write them, say nothing. */
	return ch->chosen_s && now->timestamp >= ch->chosen_s &&
	       now->timestamp <= (int64_t)time(NULL) + CLOCK_SLACK;
}

/* May it go? Tells when not. */
static int judge(struct prune *p, struct pruning *w, const struct prune_chunk *ch,
	const struct chunk_parts *parts, bool *ret_go, unsigned *ret_flags, struct err *e)
{
	const struct region_entry *now = &parts->part[SOURCE_REGION].entry;
	struct err why = ERR_INIT;
	*ret_go = false;
	*ret_flags = 0;
	if (was_saved(ch, now)) {
		prune_tell(p, w->dim->name, ch->x, ch->z, PRUNE_SAVED_SINCE,
			"it was saved after it was chosen");
		return 0;
	}
	int r = parts_check(parts, ch->x, ch->z, &why);
	if (r == E_FORMAT && w->how->damaged) {
		*ret_flags = FLAG_DAMAGED;
		r = 0;
	}
	if (r == E_FORMAT) {
		prune_tell(p, w->dim->name, ch->x, ch->z, PRUNE_DAMAGED, why.msg);
		return 0;
	}
	if (r < 0)
		return err_pass(e, &why);
	*ret_go = true;
	return 0;
}

/* Beside a server that is saving, what is read may be torn: look again before it counts as damaged. */
static int read_chunk(struct prune *p, struct pruning *w, const struct prune_chunk *ch,
	struct chunk_parts *ret, struct err *e)
{
	int r = region_files_read(&w->files, slot_of(ch->x, ch->z), ret, e);
	for (int i = 0; r == 0 && !w->free && i < TORN_TRIES; i++) {
		if (parts_check(ret, ch->x, ch->z, NULL) == 0)
			break;
		chunk_parts_free(ret);
		region_files_close(&w->files);
		r = region_files_open(p, w->dim->folder, ch->x >> 5, ch->z >> 5, false, &w->files,
			e);
		if (r == 0)
			r = region_files_read(&w->files, slot_of(ch->x, ch->z), ret, e);
	}
	return r;
}

static int add_chunk(struct prune *p, struct pruning *w, const struct prune_chunk *ch,
	struct err *e)
{
	CLEANUP_PARTS struct chunk_parts parts = {0};
	unsigned slot = slot_of(ch->x, ch->z), flags;
	uint64_t was_pruning, was_restoring;
	int64_t id;
	bool go;
	int r = trash_drop_waiting(p->trash, w->dim->name, ch->x, ch->z, &was_pruning,
		&was_restoring, e);
	if (r == 0)
		r = read_chunk(p, w, ch, &parts, e);
	if (r < 0)
		return r;
	if (!parts_present(&parts)) {
		prune_tell(p, w->dim->name, ch->x, ch->z,
			was_restoring ? PRUNE_CANCELLED : PRUNE_ABSENT, NULL);
		return 0;
	}
	r = judge(p, w, ch, &parts, &go, &flags, e);
	if (r < 0 || !go)
		return r;
	struct new_item it = {.state = w->free ? TRASH_PRUNING : TRASH_PRUNE_WAITS,
		.dimension = w->dim->name, .folder = w->dim->folder, .x = ch->x, .z = ch->z,
		.why = ch->why ? ch->why : "by hand", .who = w->who, .flags = flags};
	r = trash_add(p->trash, &it, &parts, &id, e);
	if (r == 0)
		r = row_ids_add(&w->ids, id, e);
	if (r < 0)
		return r;
	for (int k = 0; k < SOURCE_KINDS; k++)
		if (parts.part[k].present) {
			clearing_add(w->c, k, slot, &parts.part[k].entry);
			if (w->free)
				p->res->payload_bytes +=
					parts.part[k].record.len + parts.part[k].mcc.len;
		}
	w->told[w->n_told++] = ch;
	return 0;
}

/* The transaction that makes them durable in the trash, or notes them. */
static int add_chunks(struct prune *p, struct pruning *w, const struct prune_chunk *v, size_t n,
	struct err *e)
{
	int r = trash_begin(p->trash, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r == 0; i++)
		if (i == 0 || by_region(&v[i - 1], &v[i]) != 0)
			r = add_chunk(p, w, &v[i], e);
	if (r == 0 && w->free)
		r = clearing_note_files(p, &w->files, w->c, w->dim->folder, v->x >> 5, v->z >> 5, e);
	return trash_end(p->trash, r, e);
}

int prune_set_states(struct prune *p, const struct row_ids *ids, enum trash_state state,
	struct err *e)
{
	int r = trash_begin(p->trash, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ids->n && r == 0; i++)
		r = trash_set_state(p->trash, ids->v[i], state, e);
	return trash_end(p->trash, r, e);
}

/* The chunks v[0..n) are of one region. */
static int prune_region(struct prune *p, struct pruning *w, const struct prune_chunk *v, size_t n,
	struct err *e)
{
	memset(w->c, 0, sizeof *w->c);
	w->ids.n = w->n_told = 0;
	int r = region_files_open(p, w->dim->folder, v->x >> 5, v->z >> 5, w->free, &w->files, e);
	if (r == 0)
		r = add_chunks(p, w, v, n, e);
	if (r == 0 && w->free && w->ids.n) {
		r = clearing_apply(p, &w->files, w->c, !w->how->no_hole_punch, e);
		if (r == 0)
			r = prune_set_states(p, &w->ids, TRASH_KEPT, e);
		if (r < 0)
			err_wrap(e, "the chunks of r.%d.%d are in the trash; the next run settles "
				    "what is left of them in the world", v->x >> 5, v->z >> 5);
	}
	for (size_t i = 0; i < w->n_told; i++)
		prune_tell(p, w->dim->name, w->told[i]->x, w->told[i]->z,
			r < 0 ? PRUNE_FAILED : w->free ? PRUNE_DONE : PRUNE_DEFERRED, NULL);
	region_files_close(&w->files);
	return r;
}

static int prune_sorted(struct prune *p, struct pruning *w, const struct prune_chunk *v, size_t n,
	struct err *e)
{
	int r = 0;
	for (size_t i = 0, end; i < n && r == 0; i = end) {
		for (end = i + 1; end < n && v[end].x >> 5 == v[i].x >> 5 &&
				  v[end].z >> 5 == v[i].z >> 5;
			end++)
			;
		r = prune_cancelled(p) ? err_set(e, E_CANCELLED, 0, "interrupted")
				       : prune_region(p, w, v + i, end - i, e);
	}
	return r;
}

static struct prune_chunk *sorted(const struct prune_chunk *v, size_t n)
{
	struct prune_chunk *copy = malloc(n ? n * sizeof *v : 1);
	if (copy && n) {
		memcpy(copy, v, n * sizeof *v);
		qsort(copy, n, sizeof *v, by_region);
	}
	return copy;
}

int prune_chunks(struct prune *p, const char *dimension, const struct prune_chunk *v, size_t n,
	const struct prune_how *how, struct prune_result *ret, struct err *e)
{
	struct pruning *w = calloc(1, sizeof *w);
	CLEANUP_FREE struct prune_chunk *list = sorted(v, n);
	LOCK_SCOPE(&p->m);
	*ret = (struct prune_result){0};
	p->res = ret;
	int r = w && list ? 0 : prune_no_memory(e);
	if (r == 0 && !(w->c = malloc(sizeof *w->c)))
		r = prune_no_memory(e);
	if (r == 0)
		r = prune_dimension(p, dimension, &w->dim, e);
	if (r == 0)
		r = prune_enter(p, how->when_running, &w->free, e);
	if (r == 0) {
		w->how = how;
		w->who = how->who ? how->who : p->who;
		r = prune_sorted(p, w, list, n, e);
	}
	prune_leave(p);
	if (w) {
		row_ids_free(&w->ids);
		free(w->c);
	}
	free(w);
	return r;
}

/* ---- estimate ---- */

static void estimate_region(struct region_files *f, const struct prune_chunk *v, size_t n,
	struct clearing *c, struct prune_result *ret)
{
	for (size_t i = 0; i < n; i++) {
		unsigned slot = slot_of(v[i].x, v[i].z);
		bool any = false;
		if (i && by_region(&v[i - 1], &v[i]) == 0)
			continue;
		for (int k = 0; k < SOURCE_KINDS; k++)
			if (f->edit[k] && region_edit_has(f->edit[k], slot)) {
				c->slots[k][slot] = c->touched[k] = true;
				any = true;
			}
		*(any ? &ret->done : &ret->absent) += 1;
	}
}

/* Of a file that goes. */
static uint64_t disk_bytes(const struct region_edit *r)
{
	return (uint64_t)region_edit_stat(r)->st_blocks * 512;
}

static int estimate_payload(struct region_files *f, const struct clearing *c,
	struct prune_result *ret, struct err *e)
{
	int r = 0;
	for (unsigned s = 0; s < REGION_SLOTS && r == 0; s++)
		for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
			struct chunk_part part = {0};
			if (!c->slots[k][s])
				continue;
			r = region_edit_read(f->edit[k], s, &part, e);
			ret->payload_bytes += part.record.len + part.mcc.len;
			ret->damaged += r == 0 && part.raw;
			if (part.has_mcc)
				ret->freed_bytes += region_edit_mcc_disk(f->edit[k], s);
			chunk_part_free(&part);
		}
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
		if (!c->touched[k])
			continue;
		unsigned left = region_edit_count(f->edit[k]);
		for (unsigned s = 0; s < REGION_SLOTS; s++)
			left -= c->slots[k][s];
		ret->files_removed += left == 0;
		ret->freed_bytes += left ? region_edit_would_free(f->edit[k], c->slots[k])
					 : disk_bytes(f->edit[k]);
	}
	return r;
}

int prune_estimate(struct prune *p, const char *dimension, const struct prune_chunk *v, size_t n,
	struct prune_result *ret, struct err *e)
{
	CLEANUP_FREE struct prune_chunk *list = sorted(v, n);
	CLEANUP_FREE struct clearing *c = malloc(sizeof *c);
	const struct world_dim *dim;
	LOCK_SCOPE(&p->m);
	*ret = (struct prune_result){0};
	int r = list && c ? prune_dimension(p, dimension, &dim, e) : prune_no_memory(e);
	for (size_t i = 0, end; i < n && r == 0; i = end) {
		CLEANUP_FILES struct region_files f = {0};
		for (end = i + 1; end < n && list[end].x >> 5 == list[i].x >> 5 &&
				  list[end].z >> 5 == list[i].z >> 5;
			end++)
			;
		memset(c, 0, sizeof *c);
		r = region_files_open(p, dim->folder, list[i].x >> 5, list[i].z >> 5, false, &f, e);
		if (r == 0) {
			estimate_region(&f, list + i, end - i, c, ret);
			r = estimate_payload(&f, c, ret, e);
		}
	}
	return r;
}

int prune_pending(struct prune *p, uint64_t *ret, struct err *e)
{
	LOCK_SCOPE(&p->trash->m);
	return trash_count(p->trash, 1u << TRASH_PRUNE_WAITS | 1u << TRASH_PRUNING |
					     1u << TRASH_RESTORE_WAITS | 1u << TRASH_RESTORING,
		ret, e);
}
