#include "fs/change.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/prune/rules.h"
#include "engine/snapshot/xattrs.h"
#include "fs/chunkinfo.h"
#include "fs/keeper.h"
#include "fs/regions.h"
#include "fs/target.h"
#include "fs/writing.h"

/* ---- what a node is ---- */

void target_free(struct target *t)
{
	if (t->tree)
		world_tree_unref(t->tree);
	*t = (struct target){0};
}

int target_of(struct call *cl, struct node n, struct target *ret)
{
	*ret = (struct target){0};
	if (view_of(n) == &chunk_view)
		return n.shelf->key.kind == SHELF_PRUNE ? prune_target(cl, n, ret)
							: chunk_target(cl, n, ret);
	if (view_of(n) == &trash_view)
		return trash_target(cl, n, ret);
	return 0;
}

/* ---- refusing ---- */

/* Answer, and say what to do instead. The path is that of the directory or file. */
static int refuse(struct op *op, int sys, const char *name, const char *advice)
{
	char path[512], line[1500];
	node_path(&op->cl, op->n, path, sizeof path);
	snprintf(line, sizeof line, "%.500s%s%.255s: %.700s", path, name ? "/" : "", name ? name : "",
		advice);
	say_once(op->fs, LOG_WARN, line);
	return sys;
}

static const char read_only[] = "this part of the mount is read-only";

/* The one answer for what cannot be done in any place. */
static int refuse_at(struct op *op, const char *name, const char *advice)
{
	CLEANUP_TARGET struct target t = {0};
	if (target_of(&op->cl, op->n, &t) < 0 || t.place == PLACE_FIXED ||
		t.place == PLACE_PRUNABLE)
		return refuse(op, EROFS, name, read_only);
	return refuse(op, EPERM, name, advice);
}

static void refuse_request(fuse_req_t req, fuse_ino_t ino, const char *name, const char *advice)
{
	struct op op;
	if (!op_begin(&op, req, ino))
		return;
	int sys = refuse_at(&op, name, advice);
	op_close(&op, 0);
	fuse_reply_err(req, sys);
	op_end(&op);
}

static const char only_chunks[] =
	"only chunks belong here: move them to trash/ to prune, and back; copy one from "
	"chunks/<snapshot> to bring it back";

void change_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)mode;
	(void)rdev;
	refuse_request(req, parent, name, only_chunks);
}

void change_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link;
	refuse_request(req, parent, name, only_chunks);
}

void change_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	refuse_request(req, parent, name, only_chunks);
}

void change_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)name;
	refuse_request(req, ino, NULL, "a chunk's attributes are what its NBT says");
}

void change_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct op op;
	struct serving *sv = fuse_req_userdata(req);
	CLEANUP_TARGET struct target t = {0};
	if (!sv->fs.live) {
		fuse_reply_err(req, ENOSYS); /* for good */
		return;
	}
	if (!op_begin(&op, req, ino))
		return;
	int r = mask & W_OK ? target_of(&op.cl, op.n, &t) : 0;
	bool fixed = mask & W_OK && (t.place == PLACE_FIXED || t.place == PLACE_PRUNABLE);
	int sys = op_close(&op, r);
	fuse_reply_err(req, sys ? sys : fixed ? EROFS : 0);
	op_end(&op);
}

/* ---- moving ---- */

struct move {
	struct op op;	 /* the directory it comes from */
	struct node to;	 /* the directory it goes to, with a reference */
	struct node src; /* what is moved, with a reference */
	struct target from, dir;
	const char *name, *new_name;
	bool there; /* something has the new name */
	bool no_replace;
	uid_t uid;
};

static bool same_dimension(const struct target *a, const struct target *b)
{
	return a->world == b->world && strcmp(a->dimension, b->dimension) == 0;
}

static struct keeper_job job_of(const struct move *m)
{
	return (struct keeper_job){.world = m->from.world, .dimension = m->from.dimension,
		.uid = m->uid};
}

/* What the results mean for one chunk. */
static int judge(struct op *op, const struct prune_result *res)
{
	struct err *e = &op->cl.e;
	if (res->done || res->deferred || res->cancelled)
		return 0;
	if (res->saved_since)
		return err_set(e, E_LOCKED, 0, "it was saved again just now: try once more");
	if (res->occupied)
		return err_set(e, E_EXISTS, 0, "there is a chunk in its place");
	if (res->damaged)
		return err_set(e, E_FORMAT, 0, "it cannot be read, so it stays where it is");
	return err_set(e, E_NOTFOUND, 0, "there is no such chunk any more");
}

static int close_op(struct op *op, int r)
{
	if (r == E_LOCKED)
		(void)err_wrap(&op->cl.e,
			"not done (stop the server, or mount with --when-running defer)");
	return r;
}

/* Which slots of a region have a chunk to show, of one kind; adds to *has. */
static void region_slots(struct call *cl, const struct target *t, int kind, bool has[REGION_SLOTS])
{
	for (size_t i = 0; i < t->tree->worlds.n; i++) {
		const struct world_place *p = &t->tree->place[i];
		struct region rg;
		if (p->live != t->world || strcmp(p->name, t->dimension) != 0 ||
			region_load(cl, p, kind, t->rx, t->rz, &rg) < 0)
			continue;
		for (unsigned s = 0; s < REGION_SLOTS; s++)
			has[s] |= region_has_chunk(&rg, s);
		region_unload(cl, &rg);
	}
	cl->e = ERR_INIT;
}

/* slot -1: any. */
static bool region_has(struct call *cl, const struct target *t, int kind, int slot)
{
	bool has[REGION_SLOTS] = {false}, any = false;
	region_slots(cl, t, kind, has);
	for (int s = 0; s < REGION_SLOTS; s++)
		any |= (slot < 0 || s == slot) && has[s];
	return any;
}

/* A region's folder stays for as long as the mount lives, also when its last chunk has gone. */
static void keep_folder(struct op *op, const struct target *t, int kind)
{
	struct live_spot s = {t->world->number, t->dimension, t->rx, t->rz, kind};
	(void)live_keep_spot(op->fs->live, &s);
}

static int move_chunk_to_trash(struct move *m, int *r)
{
	const struct target *t = &m->from;
	struct prune_result res = {0};
	if (!same_dimension(t, &m->dir))
		return refuse(&m->op, EPERM, m->name,
			"each world and dimension has its own folder in trash/");
	if (strcmp(m->name, m->new_name) != 0)
		return refuse(&m->op, EPERM, m->name, "a chunk keeps its name in the trash");
	if (m->there && m->no_replace)
		return EEXIST;
	if (t->place == PLACE_CHUNK && t->kind != KIND_REGION &&
		region_has(&m->op.cl, t, KIND_REGION, t->slot))
		return refuse(&m->op, EPERM, m->name,
			"move the chunk in the folder above: its entities and poi go with it");
	struct keeper_job job = job_of(m);
	/* Who takes one by hand has seen its name; a rule that gives one has asked for damaged ones. */
	job.damaged = true;
	struct prune_chunk c = {.x = target_x(t), .z = target_z(t),
		.why = t->place == PLACE_PRUNABLE ? rules_name(m->op.fs->rules, (size_t)t->rule)
						  : NULL};
	if (t->place == PLACE_PRUNABLE)
		c.has_entry = prunable_entry(&m->op.cl, t, &c.entry);
	*r = keeper_prune(m->op.fs->keeper, &job, &c, 1, &res, &m->op.cl.e);
	if (*r == 0)
		*r = judge(&m->op, &res);
	if (*r == 0)
		keep_folder(&m->op, t, t->kind);
	return 0;
}

/* All chunks of a region that are shown, of any kind. */
static size_t collect(struct call *cl, const struct target *t, struct prune_chunk out[REGION_SLOTS])
{
	bool has[REGION_SLOTS] = {false};
	size_t n = 0;
	for (int k = 0; k < N_KINDS; k++)
		region_slots(cl, t, k, has);
	for (int s = 0; s < REGION_SLOTS; s++) {
		struct target c = *t;
		c.slot = s;
		if (has[s])
			out[n++] = (struct prune_chunk){.x = target_x(&c), .z = target_z(&c)};
	}
	return n;
}

static int move_region_to_trash(struct move *m, int *r)
{
	struct target *t = &m->from;
	struct prune_result res = {0};
	struct prune_chunk v[REGION_SLOTS];
	struct live_spot spot = {t->world->number, t->dimension, t->rx, t->rz, KIND_REGION};
	if (!same_dimension(t, &m->dir))
		return refuse(&m->op, EPERM, m->name,
			"each world and dimension has its own folder in trash/");
	if (strcmp(m->name, m->new_name) != 0)
		return refuse(&m->op, EPERM, m->name, "a region keeps its name");
	size_t n = collect(&m->op.cl, t, v);
	struct keeper_job job = job_of(m);
	job.damaged = true;
	if (n)
		*r = keeper_prune(m->op.fs->keeper, &job, v, n, &res, &m->op.cl.e);
	if (*r == 0 && n)
		*r = judge(&m->op, &res);
	if (*r == 0)
		live_drop_spot(m->op.fs->live, &spot);
	return 0;
}

static int move_back(struct move *m, int *r)
{
	CLEANUP_ITEM struct trash_item it = {0};
	const struct target *t = &m->from;
	struct prune_result res = {0};
	char want[CHUNK_NAME_MAX];
	*r = trash_find(keeper_trash(m->op.fs->keeper, t->world), t->item, &it, &m->op.cl.e);
	if (*r < 0)
		return 0;
	snprintf(want, sizeof want, "c.%d.%d%s", it.x, it.z,
		it.damaged ? CHUNK_DAMAGED_TAIL : CHUNK_NBT_TAIL);
	if (!same_dimension(t, &m->dir) || m->dir.place != PLACE_REGION ||
		m->dir.kind != KIND_REGION || it.x >> 5 != m->dir.rx || it.z >> 5 != m->dir.rz ||
		strcmp(want, m->new_name) != 0) {
		char advice[600];
		snprintf(advice, sizeof advice,
			"it goes back to chunks/live/%.200s/%.200s/r.%d.%d/%s only (mkdir r.%d.%d when "
			"that is gone)",
			t->world->name, t->dimension, it.x >> 5, it.z >> 5, want, it.x >> 5,
			it.z >> 5);
		return refuse(&m->op, EPERM, m->name, advice);
	}
	if (m->there && m->no_replace)
		return EEXIST;
	struct keeper_job job = job_of(m);
	job.replace = m->there;
	*r = keeper_restore(m->op.fs->keeper, &job, it.id, &res, &m->op.cl.e);
	if (*r == 0)
		*r = judge(&m->op, &res);
	return 0;
}

/* An errno, or 0: then *r has the engine's answer. */
static int move(struct move *m, int *r)
{
	enum place from = m->from.place, to = m->dir.place;
	if (to == PLACE_TRASH_DIM && (from == PLACE_CHUNK || from == PLACE_PRUNABLE))
		return move_chunk_to_trash(m, r);
	if (to == PLACE_TRASH_DIM && from == PLACE_REGION && m->from.kind == KIND_REGION)
		return move_region_to_trash(m, r);
	if (from == PLACE_TRASH_ITEM && (to == PLACE_REGION || to == PLACE_DIM))
		return move_back(m, r);
	if (from == PLACE_FIXED)
		return refuse(&m->op, EROFS, m->name,
			to == PLACE_REGION ? "this part of the mount is read-only: copy it (cp)"
					   : read_only);
	if (to == PLACE_FIXED || to == PLACE_PRUNABLE)
		return refuse(&m->op, EROFS, m->name,
			"it cannot go there: that part of the mount is read-only");
	return refuse(&m->op, EPERM, m->name,
		"chunks move from chunks/live to trash/ (pruned) and back, and nowhere else");
}

static int find_child(struct call *cl, struct node dir, const char *name, struct node *ret)
{
	struct found f = {0};
	const struct view *v = view_of(dir);
	if (!v->lookup)
		return err_set(&cl->e, E_NOTFOUND, 0, "not a directory");
	int r = v->lookup(cl, dir, span_of(name, strlen(name)), &f);
	*ret = f.node;
	return r;
}

static int move_found(struct move *m, int *r)
{
	struct node there = {0};
	*r = target_of(&m->op.cl, m->src, &m->from);
	if (*r == 0)
		*r = target_of(&m->op.cl, m->to, &m->dir);
	if (*r < 0)
		return 0;
	if (find_child(&m->op.cl, m->to, m->new_name, &there) == 0) {
		m->there = true;
		nodes_put(m->op.fs->nodes, there.shelf, 1);
		if (id_of(there) == id_of(m->src))
			return 0;
	}
	m->op.cl.e = ERR_INIT;
	return move(m, r);
}

void change_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags)
{
	struct move m = {.name = name, .new_name = new_name, .uid = fuse_req_ctx(req)->uid,
		.no_replace = flags & RENAME_NOREPLACE};
	int sys = 0, r;
	if (flags & ~(unsigned)RENAME_NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (!op_begin(&m.op, req, parent))
		return;
	if (!node_of(m.op.fs, new_parent, &m.to)) {
		r = 0;
		sys = ESTALE;
	} else {
		r = find_child(&m.op.cl, m.op.n, name, &m.src);
		if (r == 0) {
			sys = move_found(&m, &r);
			nodes_put(m.op.fs->nodes, m.src.shelf, 1);
		}
		nodes_put(m.op.fs->nodes, m.to.shelf, 1);
	}
	target_free(&m.from);
	target_free(&m.dir);
	int told = op_close(&m.op, close_op(&m.op, r));
	fuse_reply_err(req, sys ? sys : told);
	op_end(&m.op);
}

/* ---- removing ---- */

static int remove_found(struct op *op, const struct target *t, const char *name, int *r)
{
	switch (t->place) {
	case PLACE_TRASH_ITEM:
		if (!op->fs->trash_rm)
			return refuse(op, EPERM, name,
				"the trash empties by its age ('mcfs trash empty'); to remove by hand "
				"mount with --trash-rm");
		*r = keeper_remove(op->fs->keeper, t->world, t->item, &op->cl.e);
		return 0;
	case PLACE_CHUNK:
		return refuse(op, EPERM, name, "to prune a chunk move it to trash/<world>/<dimension>");
	case PLACE_FIXED:
	case PLACE_PRUNABLE:
		return refuse(op, EROFS, name, read_only);
	default:
		return refuse(op, EPERM, name, "this is not for removing");
	}
}

/* Find a child and what it is, do something with it, answer. */
static void with_child(fuse_req_t req, fuse_ino_t parent, const char *name,
	int (*fn)(struct op *op, const struct target *t, const char *name, int *r))
{
	struct op op;
	struct node child;
	CLEANUP_TARGET struct target t = {0};
	int sys = 0;
	if (!op_begin(&op, req, parent))
		return;
	int r = find_child(&op.cl, op.n, name, &child);
	if (r == 0) {
		r = target_of(&op.cl, child, &t);
		if (r == 0)
			sys = fn(&op, &t, name, &r);
		nodes_put(op.fs->nodes, child.shelf, 1);
	}
	int told = op_close(&op, close_op(&op, r));
	fuse_reply_err(req, sys ? sys : told);
	op_end(&op);
}

void change_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	with_child(req, parent, name, remove_found);
}

static int rmdir_found(struct op *op, const struct target *t, const char *name, int *r)
{
	struct live_spot s;
	(void)r;
	switch (t->place) {
	case PLACE_REGION:
		for (int k = t->kind; k < (t->kind == KIND_REGION ? N_KINDS : t->kind + 1); k++)
			if (region_has(&op->cl, t, k, -1))
				return ENOTEMPTY;
		s = (struct live_spot){t->world->number, t->dimension, t->rx, t->rz, t->kind};
		live_drop_spot(op->fs->live, &s);
		return 0;
	case PLACE_FIXED:
	case PLACE_PRUNABLE:
		return refuse(op, EROFS, name, read_only);
	default:
		return refuse(op, EPERM, name, "worlds and dimensions cannot be removed here");
	}
}

void change_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	with_child(req, parent, name, rmdir_found);
}

/* ---- making folders ---- */

/* The folder of a region, or of its entities or poi, that is to be kept though nothing is in it. */
static bool spot_of_name(const struct target *t, const char *name, struct live_spot *ret)
{
	char file[300], again[300];
	*ret = (struct live_spot){t->world->number, t->dimension, t->rx, t->rz, KIND_REGION};
	if (t->place == PLACE_REGION && t->kind == KIND_REGION)
		for (int k = KIND_ENTITIES; k < N_KINDS; k++)
			if (strcmp(name, kind_name[k]) == 0) {
				ret->kind = k;
				return true;
			}
	if (t->place != PLACE_DIM)
		return false;
	snprintf(file, sizeof file, "%.255s.mca", name);
	if (!region_parse_name(file, &ret->x, &ret->z))
		return false;
	snprintf(again, sizeof again, "r.%d.%d.mca", ret->x, ret->z);
	return strcmp(file, again) == 0;
}

void change_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct op op;
	struct found f = {0};
	CLEANUP_TARGET struct target t = {0};
	struct live_spot spot;
	int sys = 0;
	(void)mode;
	if (!op_begin(&op, req, parent))
		return;
	int r = target_of(&op.cl, op.n, &t);
	bool can = r == 0 && (t.place == PLACE_DIM || t.place == PLACE_REGION);
	if (r == 0 && (!can || !spot_of_name(&t, name, &spot)))
		sys = refuse_at(&op, name, can ? "the folders here are called r.X.Z, entities, poi"
					       : only_chunks);
	else if (r == 0 && !live_keep_spot(op.fs->live, &spot))
		r = err_set(&op.cl.e, E_NOSPACE, 0, "too many empty folders");
	if (r == 0 && !sys)
		r = op.view->lookup(&op.cl, op.n, span_of(name, strlen(name)), &f);
	int told = op_close(&op, r);
	if (sys || told)
		fuse_reply_err(req, sys ? sys : told);
	else
		reply_found(&op, &f);
	op_end(&op);
}

/* ---- writing ---- */

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory to open a file");
}

/* Load what is there: somebody opens it to change it in place. */
static int load_current(struct op *op, struct writing *w)
{
	CLEANUP_PIECE struct piece *hold = NULL;
	struct handle h = {.fd = -1};
	int r = op->view->open(&op->cl, op->n, &h);
	hold = h.piece;
	if (r < 0)
		return r;
	if (!hold)
		return err_set(&op->cl.e, E_USAGE, 0, "a damaged chunk cannot be written to");
	w->data.len = 0;
	return buf_add(&w->data, hold->data.p, hold->data.n, &op->cl.e);
}

/* A handle to write with. Nothing has it yet when this fails. */
static int open_writing(struct op *op, bool is_new, bool truncate, struct handle **ret)
{
	struct handle *h = handle_new();
	struct writing *w = h ? writing_open(op->fs->writings, id_of(op->n)) : NULL;
	if (!w) {
		handle_free(h);
		return no_memory(&op->cl.e);
	}
	pthread_mutex_lock(&w->m);
	int r = 0;
	if (is_new && w->users == 1)
		w->is_new = true;
	if (truncate) {
		w->data.len = 0;
		w->dirty = false;
	} else if (!w->dirty && !w->is_new) {
		r = load_current(op, w);
	}
	pthread_mutex_unlock(&w->m);
	if (r < 0) {
		writing_close(op->fs->writings, w);
		handle_free(h);
		return r;
	}
	h->writing = w;
	h->direct = true;
	*ret = h;
	return 0;
}

static void set_open(struct fuse_file_info *fi, struct handle *h)
{
	fi->fh = (uintptr_t)h;
	fi->direct_io = 1;
	fi->keep_cache = 0;
	fi->noflush = 0;
}

static void drop_handle(struct fs *fs, struct handle *h)
{
	if (h)
		writing_close(fs->writings, h->writing);
	handle_free(h);
}

void change_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op op;
	struct handle *h = NULL;
	CLEANUP_TARGET struct target t = {0};
	int sys = 0;
	if (!op_begin(&op, req, ino))
		return;
	int r = target_of(&op.cl, op.n, &t);
	if (r == 0 && t.place != PLACE_CHUNK)
		sys = refuse_at(&op, NULL, "what is in the trash does not change");
	else if (r == 0)
		r = open_writing(&op, false, fi->flags & O_TRUNC, &h);
	int told = op_close(&op, r);
	if (sys || told) {
		fuse_reply_err(req, sys ? sys : r == E_NOTFOUND ? ESTALE : told);
	} else {
		set_open(fi, h);
		if (fuse_reply_open(req, fi) != 0)
			drop_handle(op.fs, h);
	}
	op_end(&op);
}

/* Attributes of a chunk that is not there yet: those of its folder. */
static int stat_new(struct call *cl, struct node n, struct stat *st)
{
	struct node dir = {n.shelf, chunk_folder_slot(n.slot)};
	double ttl;
	int r = view_of(n)->getattr(cl, dir, st, &ttl);
	if (r < 0)
		return r;
	st->st_mode = S_IFREG | (st->st_mode & 0666);
	st->st_ino = chunk_ino(cl, n);
	st->st_size = st->st_blocks = 0;
	st->st_nlink = 1;
	clock_gettime(CLOCK_REALTIME, &st->st_mtim);
	st->st_mtim.tv_nsec = 0;
	st->st_ctim = st->st_atim = st->st_mtim;
	return 0;
}

static int create_chunk(struct op *op, const char *name, struct fuse_file_info *fi,
	struct found *ret, struct handle **h)
{
	CLEANUP_TARGET struct target t = {0};
	struct found there = {0};
	struct span text = span_of(name, strlen(name));
	bool fine;
	int r = target_of(&op->cl, op->n, &t);
	if (r < 0)
		return r;
	int slot = t.place == PLACE_REGION ? chunk_slot_of(t.rx, t.rz, text, &fine) : -1;
	if (slot < 0 || !fine)
		return 0;
	bool is_new = op->view->lookup(&op->cl, op->n, text, &there) < 0;
	if (!is_new)
		nodes_put(op->fs->nodes, there.node.shelf, 1);
	op->cl.e = ERR_INIT;
	/* From here on it is about the file, not the folder. */
	op->n.slot += 1 + (uint32_t)slot;
	*ret = (struct found){.node = op->n, .ttl = TTL_LIVE};
	r = is_new ? stat_new(&op->cl, op->n, &ret->st)
		   : op->view->getattr(&op->cl, op->n, &ret->st, &ret->ttl);
	if (r == 0)
		r = open_writing(op, is_new, fi->flags & O_TRUNC, h);
	if (r == 0)
		nodes_ref(op->fs->nodes, op->n.shelf);
	return r;
}

void change_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct op op;
	struct found f = {0};
	struct handle *h = NULL;
	struct fuse_entry_param e;
	int sys = 0;
	(void)mode;
	if (!op_begin(&op, req, parent))
		return;
	int r = create_chunk(&op, name, fi, &f, &h);
	if (r == 0 && !h)
		sys = refuse_at(&op, name,
			"only chunks of this region can be put here, as c.X.Z.nbt (with rsync: "
			"--inplace)");
	int told = op_close(&op, r);
	if (sys || told) {
		fuse_reply_err(req, sys ? sys : told);
	} else {
		set_open(fi, h);
		fill_entry(&e, &f);
		if (fuse_reply_create(req, &e, fi) != 0) {
			nodes_put(op.fs->nodes, f.node.shelf, 1);
			drop_handle(op.fs, h);
		}
	}
	op_end(&op);
}

static struct writing *writing_of(const struct fuse_file_info *fi)
{
	struct handle *h = fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
	return h ? h->writing : NULL;
}

void change_write(fuse_req_t req, fuse_ino_t ino, const char *p, size_t n, off_t off,
	struct fuse_file_info *fi)
{
	struct writing *w = writing_of(fi);
	struct err e = ERR_INIT;
	int r = 0;
	(void)ino;
	if (!w) {
		fuse_reply_err(req, EBADF);
		return;
	}
	if ((uint64_t)off + n > WRITING_MAX) {
		fuse_reply_err(req, EFBIG);
		return;
	}
	pthread_mutex_lock(&w->m);
	size_t end = (size_t)off + n;
	if (end > w->data.len)
		r = buf_add_zero(&w->data, end - w->data.len, &e);
	if (r == 0 && n) {
		memcpy(w->data.p + off, p, n);
		w->dirty = true;
	}
	pthread_mutex_unlock(&w->m);
	if (r < 0)
		fuse_reply_err(req, ENOMEM);
	else
		fuse_reply_write(req, n);
}

static int settle(struct op *op, struct writing *w)
{
	if (!w)
		return 0;
	pthread_mutex_lock(&w->m);
	int r = writing_settle(&op->cl, op->n, w, fuse_req_ctx(op->req)->uid);
	pthread_mutex_unlock(&w->m);
	return close_op(op, r);
}

static void settle_request(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op op;
	if (!op_begin(&op, req, ino))
		return;
	int sys = op_close(&op, settle(&op, writing_of(fi)));
	fuse_reply_err(req, sys);
	op_end(&op);
}

void change_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct serving *sv = fuse_req_userdata(req);
	if (!sv->fs.live)
		fuse_reply_err(req, ENOSYS); /* for good: nothing is ever written */
	else
		settle_request(req, ino, fi);
}

void change_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	change_flush(req, ino, fi);
}

/* All that was answered is durable already: what prune.h returned 0 for. */
void change_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, 0);
}

void change_release(fuse_req_t req, struct handle *h)
{
	struct serving *sv = fuse_req_userdata(req);
	if (h && h->writing)
		writing_close(sv->fs.writings, TAKE_PTR(h->writing));
}

void change_attr(struct op *op, int *r, struct stat *st)
{
	struct writing *w = writing_find(op->fs->writings, id_of(op->n));
	if (!w)
		return;
	pthread_mutex_lock(&w->m);
	if (*r == E_NOTFOUND && w->is_new) {
		op->cl.e = ERR_INIT;
		*r = stat_new(&op->cl, op->n, st);
	}
	if (*r == 0 && (w->dirty || w->is_new)) {
		st->st_size = (off_t)w->data.len;
		st->st_blocks = (st->st_size + 511) / 512;
	}
	pthread_mutex_unlock(&w->m);
	writing_close(op->fs->writings, w);
}

/* ---- attributes: they say what is so, and cannot be set to anything else ---- */

static const char attributes[] =
	"owner, permissions and times are those of the region file and its header";

static bool is_so(const struct stat *st, const struct stat *want, int set, bool folder)
{
	/* cp -p of what is read-only in a snapshot; cp -r gives its folders their mode afterwards. */
	if (set & FUSE_SET_ATTR_MODE && !folder && (st->st_mode & 0555) != (want->st_mode & 0555))
		return false;
	if (set & FUSE_SET_ATTR_UID && st->st_uid != want->st_uid)
		return false;
	if (set & FUSE_SET_ATTR_GID && st->st_gid != want->st_gid)
		return false;
	if (set & FUSE_SET_ATTR_MTIME_NOW && !folder)
		return false;
	return !(set & FUSE_SET_ATTR_MTIME) || folder || st->st_mtim.tv_sec == want->st_mtim.tv_sec;
}

/* Cut or lengthen what is being written. */
static int resize(struct op *op, struct writing *w, off_t size, int *r)
{
	if (!w)
		return refuse(op, EPERM, NULL,
			"a chunk cannot be cut: move it to trash/<world>/<dimension> to prune it");
	if ((uint64_t)size > WRITING_MAX)
		return EFBIG;
	pthread_mutex_lock(&w->m);
	if ((size_t)size > w->data.len)
		*r = buf_add_zero(&w->data, (size_t)size - w->data.len, &op->cl.e);
	else
		w->data.len = (size_t)size;
	if (*r == 0)
		w->dirty = size > 0;
	pthread_mutex_unlock(&w->m);
	return 0;
}

static int set_attributes(struct op *op, const struct target *t, struct writing *w,
	const struct stat *want, int set, struct stat *st, int *r)
{
	bool folder = t->place == PLACE_REGION;
	double ttl;
	int sys = 0;
	if (t->place != PLACE_CHUNK && !folder)
		return refuse_at(op, NULL, attributes);
	if (set & FUSE_SET_ATTR_SIZE)
		sys = folder ? EISDIR : resize(op, w, want->st_size, r);
	if (sys || *r < 0)
		return sys;
	/* The times of what was written are known when it is in the world. */
	if (set & ~FUSE_SET_ATTR_SIZE)
		*r = settle(op, w);
	if (*r < 0)
		return 0;
	*r = op->view->getattr(&op->cl, op->n, st, &ttl);
	change_attr(op, r, st);
	if (*r == 0 && !is_so(st, want, set, folder))
		return refuse(op, EPERM, NULL, attributes);
	return 0;
}

void change_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want, int set,
	struct fuse_file_info *fi)
{
	struct op op;
	struct stat st;
	CLEANUP_TARGET struct target t = {0};
	int sys = 0;
	(void)fi;
	if (!op_begin(&op, req, ino))
		return;
	struct writing *w = writing_find(op.fs->writings, ino);
	int r = target_of(&op.cl, op.n, &t);
	if (r == 0)
		sys = set_attributes(&op, &t, w, want, set, &st, &r);
	int told = op_close(&op, r);
	writing_close(op.fs->writings, w);
	if (sys || told)
		fuse_reply_err(req, sys ? sys : r == E_NOTFOUND ? ESTALE : told);
	else
		fuse_reply_attr(req, &st, TTL_LIVE);
	op_end(&op);
}

static bool has_xattr(struct op *op, const char *name, struct span value)
{
	CLEANUP_BUF struct buf list = BUF_INIT;
	struct span k, v;
	if (!op->view->xattrs || op->view->xattrs(&op->cl, op->n, &list) < 0)
		return false;
	struct rd rd = rd_of(buf_span(&list));
	while (xattrs_next(&rd, &k, &v))
		if (k.n == strlen(name) && memcmp(k.p, name, k.n) == 0)
			return v.n == value.n && (!v.n || memcmp(v.p, value.p, v.n) == 0);
	return false;
}

void change_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags)
{
	struct op op;
	CLEANUP_TARGET struct target t = {0};
	int sys = 0;
	(void)flags;
	if (!op_begin(&op, req, ino))
		return;
	struct writing *w = writing_find(op.fs->writings, ino);
	int r = target_of(&op.cl, op.n, &t);
	if (r == 0 && t.place == PLACE_CHUNK)
		r = settle(&op, w);
	/* No ACLs here: cp -p then goes on to set the mode. */
	if (r == 0 && t.place == PLACE_CHUNK && strncmp(name, "system.posix_acl_", 17) == 0)
		sys = EOPNOTSUPP;
	else if (r == 0 && !(t.place == PLACE_CHUNK && has_xattr(&op, name, span_of(value, size))))
		sys = refuse_at(&op, NULL, "a chunk's attributes are what its NBT says");
	int told = op_close(&op, r);
	writing_close(op.fs->writings, w);
	fuse_reply_err(req, sys ? sys : told);
	op_end(&op);
}
