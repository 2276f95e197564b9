/* What nodes are for who wants to change them, refusals, and the requests that change names: moving,
 * removing, making folders. */
#include "fs/change.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/prune/rules.h"
#include "fs/chunkinfo.h"
#include "fs/keeper.h"
#include "fs/landed.h"
#include "fs/refuse.h"
#include "fs/regions.h"
#include "fs/target.h"

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
int refuse(struct op *op, int sys, const char *name, const char *advice)
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
int refuse_at(struct op *op, const char *name, const char *advice)
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
	fuse_ino_t new_parent;
	struct node to;	  /* the directory it goes to, with a reference */
	struct found src; /* what is moved, with a reference */
	struct target from, dir;
	const char *name, *new_name;
	bool there; /* something has the new name */
	bool no_replace;
	uid_t uid;
};

static bool is_region(const struct target *t)
{
	return t->place == PLACE_REGION && t->kind == SOURCE_REGION;
}

static bool same_dimension(const struct target *a, const struct target *b)
{
	return a->world == b->world && strcmp(a->dimension, b->dimension) == 0;
}

/* Is `dir` the folder in trash/ for what is at t, or one above it? */
static bool is_trash_of(const struct target *dir, const struct target *t)
{
	if (dir->place == PLACE_TRASH_DIM)
		return same_dimension(dir, t);
	const struct world_tree *tree = dir->tree;
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		const struct world_place *p =
			tree->node[i].dim < 0 ? NULL : &tree->place[tree->node[i].dim];
		if (!p || p->live != t->world || strcmp(p->name, t->dimension) != 0)
			continue;
		uint32_t n = i;
		while (n && n != dir->above)
			n = tree->node[n].parent;
		return n == dir->above;
	}
	return false;
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

int change_failed(struct op *op, int r)
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
	if (!is_trash_of(&m->dir, t))
		return refuse(&m->op, EPERM, m->name,
			"each world and dimension has its own folder in trash/");
	if (strcmp(m->name, m->new_name) != 0)
		return refuse(&m->op, EPERM, m->name, "a chunk keeps its name in the trash");
	if (m->there && m->no_replace)
		return EEXIST;
	if (t->place == PLACE_CHUNK && t->kind != SOURCE_REGION &&
		region_has(&m->op.cl, t, SOURCE_REGION, t->slot))
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
	for (int k = 0; k < SOURCE_KINDS; k++)
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
	struct live_spot spot = {t->world->number, t->dimension, t->rx, t->rz, SOURCE_REGION};
	if (!is_trash_of(&m->dir, t))
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

/* Into trash/ or trash/W it may be moved as well: it finds its own folder there. */
static int move_to_trash(struct move *m, int *r)
{
	bool region = is_region(&m->from);
	int sys = region ? move_region_to_trash(m, r) : move_chunk_to_trash(m, r);
	if (!sys && *r == 0 && (region || m->dir.place == PLACE_TRASH_ABOVE))
		landed_note(m->op.fs->landed, m->new_parent, m->new_name, &m->src);
	return sys;
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
		m->dir.kind != SOURCE_REGION || it.x >> 5 != m->dir.rx || it.z >> 5 != m->dir.rz ||
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
	if ((to == PLACE_TRASH_DIM || to == PLACE_TRASH_ABOVE) &&
		(is_region(&m->from) || from == PLACE_CHUNK || from == PLACE_PRUNABLE))
		return move_to_trash(m, r);
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

static int find_child(struct call *cl, struct node dir, const char *name, struct found *ret)
{
	const struct view *v = view_of(dir);
	if (!v->lookup)
		return err_set(&cl->e, E_NOTFOUND, 0, "not a directory");
	return v->lookup(cl, dir, span_of(name, strlen(name)), ret);
}

static int move_found(struct move *m, int *r)
{
	struct found there = {0};
	*r = target_of(&m->op.cl, m->src.node, &m->from);
	if (*r == 0)
		*r = target_of(&m->op.cl, m->to, &m->dir);
	if (*r < 0)
		return 0;
	if (find_child(&m->op.cl, m->to, m->new_name, &there) == 0) {
		m->there = true;
		nodes_put(m->op.fs->nodes, there.node.shelf, 1);
		if (id_of(there.node) == id_of(m->src.node))
			return 0;
	}
	m->op.cl.e = ERR_INIT;
	return move(m, r);
}

void change_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags)
{
	struct move m = {.name = name, .new_name = new_name, .new_parent = new_parent,
		.uid = fuse_req_ctx(req)->uid, .no_replace = flags & RENAME_NOREPLACE};
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
			nodes_put(m.op.fs->nodes, m.src.node.shelf, 1);
		}
		nodes_put(m.op.fs->nodes, m.to.shelf, 1);
	}
	target_free(&m.from);
	target_free(&m.dir);
	int told = op_close(&m.op, change_failed(&m.op, r));
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
		return refuse(op, EPERM, name, "to prune a chunk move it to trash/");
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
	struct found child = {0};
	CLEANUP_TARGET struct target t = {0};
	int sys = 0;
	if (!op_begin(&op, req, parent))
		return;
	int r = find_child(&op.cl, op.n, name, &child);
	if (r == 0) {
		r = target_of(&op.cl, child.node, &t);
		if (r == 0)
			sys = fn(&op, &t, name, &r);
		nodes_put(op.fs->nodes, child.node.shelf, 1);
	}
	int told = op_close(&op, change_failed(&op, r));
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
		for (int k = t->kind; k < (t->kind == SOURCE_REGION ? SOURCE_KINDS : t->kind + 1); k++)
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
	*ret = (struct live_spot){t->world->number, t->dimension, t->rx, t->rz, SOURCE_REGION};
	if (t->place == PLACE_REGION && t->kind == SOURCE_REGION)
		for (int k = SOURCE_ENTITIES; k < SOURCE_KINDS; k++)
			if (strcmp(name, source_kind_name[k]) == 0) {
				ret->kind = k;
				return true;
			}
	if (t->place != PLACE_DIM)
		return false;
	snprintf(file, sizeof file, "%.255s.mca", name);
	if (!region_parse_name(file, &ret->x, &ret->z) || !region_in_range(ret->x, ret->z))
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
