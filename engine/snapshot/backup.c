#include "engine/snapshot/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/backup_walk.h"
#include "engine/snapshot/forgotten.h"
#include "engine/snapshot/resolve.h"
#include "engine/snapshot/sources.h"

#define LEVEL_DEFAULT 6
#define NAMES "names"
#define POOL_BUDGET ((size_t)24 << 20)

static struct timestamp now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (struct timestamp){t.tv_sec, (uint32_t)t.tv_nsec};
}

/* Who and where, for the list of snapshots. */
static int describe(struct snapshot *sn, const struct backup_options *opt, struct err *e)
{
	char host[256] = "unknown";
	gethostname(host, sizeof host - 1);
	struct passwd *pw = getpwuid(geteuid());
	sn->begin = opt->timestamp ? (struct timestamp){opt->timestamp, 0} : now();
	sn->host = strdup(host);
	sn->user = strdup(pw ? pw->pw_name : "unknown");
	sn->program = strdup(opt->program ? opt->program : "mcfs");
	if (!sn->host || !sn->user || !sn->program)
		return err_set(e, E_NOMEM, 0, "no memory for a snapshot");
	crypto_random(sn->id.b, ID_BYTES);
	for (size_t i = 0; i < opt->n_tags; i++) {
		int r = snapshot_tag_add(sn, opt->tags[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The entry of the source with this path in a snapshot of this host. */
static bool source_entry(struct walk *w, const struct snapshot *sn, const char *host,
	const char *path, struct entry *ret, struct plain **hold)
{
	if (strcmp(sn->host, host) != 0)
		return false;
	for (size_t k = 0; k < sn->n_sources; k++)
		if (strcmp(sn->sources[k].path, path) == 0 &&
			resolve_path(w->s, &w->in.coders[0], sn, sn->sources[k].name, ret, hold, NULL) == 0)
			return true;
	return false;
}

/* The same source in the newest snapshot of this host that has it. */
static const struct content *find_old(struct walk *w, const struct snapshot_list *l,
	const struct snapshot *sn, const struct snapshot_source *src, struct entry *ret,
	struct plain **hold)
{
	for (size_t i = l->n; i-- > 0;)
		if (source_entry(w, &l->v[i], sn->host, src->path, ret, hold))
			return &ret->content;
	return NULL;
}

/* Has the snapshot this source, with something in it? Damage in it is another command's business. */
static bool had_something(struct walk *w, const struct snapshot *sn, const char *host,
	const char *path)
{
	CLEANUP_PLAIN struct plain *hold = NULL;
	struct entry en, first;
	struct tree_iter it;
	if (!source_entry(w, sn, host, path, &en, &hold) || en.type != NODE_DIR ||
		tree_iter_open(&it, w->s, &w->in.coders[0], &en.content, 0, NULL) < 0)
		return false;
	bool some = tree_iter_next(&it, &first, NULL) == 1;
	tree_iter_close(&it);
	return some;
}

/* A source that has nothing in it but had is most likely a disk that is not mounted. It is told each
 * time, lest the last snapshot with something in it be forgotten by the rules and nobody know. */
static void tell_if_emptied(struct walk *w, const struct snapshot_list *l,
	const struct snapshot *sn, const char *path, const struct walk_counts *before)
{
	struct err own = ERR_INIT;
	const struct walk_counts *c = &w->counts;
	if (c->dirs != before->dirs + 1 || c->files != before->files ||
		c->others != before->others || c->unreadable != before->unreadable)
		return;
	for (size_t i = l->n; i-- > 0;) {
		if (!had_something(w, &l->v[i], sn->host, path))
			continue;
		err_set(&own, E_CHANGED, 0, "is empty, and was not in snapshot %s: is its disk not mounted?",
			l->v[i].name);
		walk_problem(w, path, &own);
		w->counts.emptied++;
		return;
	}
}

/* A directory that only leads to sources: "a" of "a/world". Its metadata are the real ones. */
static int add_between(const struct snapshot_source *v, const char *name_end,
	struct tree_builder *up, const struct content *tree, struct err *e)
{
	struct stat st;
	size_t below = strlen(name_end); /* "/world" */
	CLEANUP_FREE char *path = strndup(v->path, strlen(v->path) - below);
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	struct entry en = {.type = NODE_DIR, .mode = 0755, .nlink = 1, .partial = true};
	if (stat(*path ? path : "/", &st) == 0)
		entry_from_stat(&en, &st);
	const char *start = name_end;
	while (start > v->name && start[-1] != '/')
		start--;
	en.name = span_of(start, (size_t)(name_end - start));
	en.content = *tree;
	return tree_builder_add(up, &en, e);
}

/* The root of the newest snapshot like this one, to store the difference against. */
static const struct content *old_root(const struct snapshot_list *l, const struct snapshot *sn)
{
	for (size_t i = l->n; i-- > 0;)
		if (l->v[i].n_sources && sn->n_sources &&
			strcmp(l->v[i].host, sn->host) == 0 &&
			strcmp(l->v[i].sources[0].path, sn->sources[0].path) == 0)
			return &l->v[i].root;
	return NULL;
}

/* Sources [0, n) share the first `skip` bytes of their names; build the directory below that. */
static int build_root(struct walk *w, const struct snapshot_list *l, struct snapshot *sn,
	struct snapshot_source *v, size_t n, size_t skip, struct buf *nested, struct content *ret,
	struct err *e)
{
	struct tree_builder *b;
	int r = tree_builder_new(&b, w->s, &w->in.coders[0], skip ? NULL : old_root(l, sn), e);
	if (r < 0)
		return r;
	for (size_t i = 0, k; i < n && r == 0; i = k) {
		size_t len = strcspn(v[i].name + skip, "/");
		for (k = i + 1; k < n; k++)
			if (strncmp(v[k].name + skip, v[i].name + skip, len) != 0 ||
				(v[k].name[skip + len] != '/' && v[k].name[skip + len] != 0))
				break;
		if (v[i].name[skip + len] == 0) {
			CLEANUP_PLAIN struct plain *hold = NULL;
			struct entry old;
			const struct content *oc = find_old(w, l, sn, &v[i], &old, &hold);
			const struct walk_counts before = w->counts;
			r = walk_source(w, v[i].path, v[i].name + skip, b, oc ? &old : NULL, e);
			if (r == 0)
				tell_if_emptied(w, l, sn, v[i].path, &before);
		} else {
			CLEANUP_BUF struct buf below = BUF_INIT;
			struct content sub;
			r = build_root(w, l, sn, v + i, k - i, skip + len + 1, &below, &sub, e);
			if (r == 0 && !w->opt->dry_run)
				r = add_between(&v[i], v[i].name + skip + len, b, &sub, e);
		}
	}
	if (r < 0) {
		tree_builder_free(b);
		return r;
	}
	return tree_builder_finish(b, nested, ret, e);
}

static void fill_counts(struct snapshot *sn, const struct walk *w)
{
	sn->files = w->counts.files;
	sn->dirs = w->counts.dirs;
	sn->others = w->counts.others;
	sn->bytes = w->counts.bytes;
	sn->files_new = w->counts.files_new;
	sn->files_changed = w->counts.files_changed;
	sn->files_unreadable = w->counts.unreadable;
	sn->files_restless = w->counts.restless;
	sn->with_xattrs = w->counts.with_xattrs;
	sn->with_acls = w->counts.with_acls;
}

/* The lock was held when the object was there: whoever removes packs later has seen it. If not, what it
 * names may be going, and it must not stay. */
static int confirm(struct store *s, const struct snapshot *sn, struct err *e)
{
	struct err own = ERR_INIT;
	int r = store_end(s, e);
	if (r == E_LOCKED && store_object_remove(s, "snapshots", &sn->id, &own) < 0)
		log_say(store_log(s), LOG_ERROR,
			"snapshot %s may be incomplete and could not be removed: %s", sn->name, own.msg);
	return r;
}

/* Number and hash of the newest that ever was: it may be forgotten by now. */
static int link_to_newest(struct store *s, const struct snapshot_list *l, struct snapshot *sn,
	struct err *e)
{
	struct past p;
	int r = past_load(&p, s, e);
	if (r < 0)
		return r;
	if (p.n) {
		sn->generation = p.v[p.n - 1].generation;
		sn->previous = p.v[p.n - 1].self;
	}
	past_free(&p);
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].generation >= sn->generation) {
			sn->generation = l->v[i].generation;
			sn->previous = l->v[i].self;
		}
	sn->generation++;
	return 0;
}

/* Two that end at the same time must not take the same name: whoever puts names/<hash of it> has it, and
 * looks whether it was given before. The object goes when the snapshot's is there. */
static void name_id(struct store *s, const char *name, struct id *ret)
{
	struct name h;
	name_of(store_keys(s), 0, span_of(name, strlen(name)), &h);
	memcpy(ret->b, h.b, ID_BYTES);
}

static bool name_taken(const struct snapshot_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i].name, name) == 0)
			return true;
	return false;
}

/* *l is a list from before; in the end one from after the name was reserved. */
static int reserve_name(struct store *s, struct snapshot *sn, struct snapshot_list *l, struct id *ret,
	struct err *e)
{
	for (unsigned skip = 0;;) {
		snapshot_pick_name(l, sn->begin, skip, sn->name);
		name_id(s, sn->name, ret);
		int r = store_object_put_brief(s, NAMES, ret, span_of(sn->name, strlen(sn->name)), e);
		if (r == E_EXISTS) {
			skip++; /* somebody else's, or left by a run that was killed */
			continue;
		}
		if (r < 0)
			return r;
		r = snapshot_list_update(l, s, e);
		if (r == 0 && !name_taken(l, sn->name))
			return 0;
		struct err ignored = ERR_INIT;
		if (store_object_remove_brief(s, NAMES, ret, &ignored) < 0)
			log_say(store_log(s), LOG_WARN, "%s", ignored.msg);
		if (r < 0)
			return r;
	}
}

static int commit(struct walk *w, struct snapshot_list *l, struct backup_result *ret, struct err *e)
{
	struct snapshot *sn = &ret->sn;
	struct err ignored = ERR_INIT;
	struct id name;
	int r = store_commit(w->s, &w->in.coders[0], e);
	/* Others may have ended meanwhile: name and number come after theirs. */
	if (r == 0)
		r = reserve_name(w->s, sn, l, &name, e);
	if (r < 0)
		return r;
	store_stats(w->s, &ret->stats);
	sn->added_bytes = ret->stats.new_bytes;
	sn->added_blobs = ret->stats.new_blobs;
	sn->end = w->opt->timestamp ? sn->begin : now();
	r = link_to_newest(w->s, l, sn, e);
	if (r == 0)
		r = store_still_ours(w->s, e);
	if (r == 0)
		r = snapshot_write(w->s, sn, false, e);
	if (store_object_remove_brief(w->s, NAMES, &name, &ignored) < 0)
		log_say(store_log(w->s), LOG_WARN, "%s", ignored.msg);
	return r < 0 ? r : confirm(w->s, sn, e);
}

static int run(struct walk *w, const struct backup_options *opt, struct snapshot_list *l,
	struct backup_result *ret, struct err *e)
{
	int r = build_root(w, l, &ret->sn, ret->sn.sources, ret->sn.n_sources, 0, NULL,
		&ret->sn.root, e);
	fill_counts(&ret->sn, w);
	ret->problems = w->counts.unreadable + w->counts.restless + w->counts.missing +
			w->counts.emptied;
	if (r == 0 && w->counts.missing == ret->sn.n_sources)
		r = err_set(e, E_NOTFOUND, 0, "none of the sources can be read");
	if (r == 0 && !opt->dry_run)
		r = commit(w, l, ret, e);
	return r;
}

int backup_run(struct store *s, const struct backup_options *opt, struct backup_result *ret,
	struct err *e)
{
	struct snapshot_list l;
	struct walk w;
	*ret = (struct backup_result){0};
	/* The lock before the list: what older snapshots hold may be relied on from here on. */
	int r = opt->dry_run ? 0 : store_begin(s, opt->level ? opt->level : LEVEL_DEFAULT, e);
	if (r < 0)
		return r;
	r = snapshot_list_load(&l, s, e);
	if (r < 0) {
		store_abort(s);
		return r;
	}
	r = snapshot_check_rollback(&l, s, opt->state_dir, opt->accept_rollback, e);
	if (r == 0)
		r = describe(&ret->sn, opt, e);
	if (r == 0)
		r = sources_resolve(opt->paths, opt->n_paths, &ret->sn.sources, &ret->sn.n_sources,
			e);
	if (r == 0)
		r = walk_init(&w, s, opt, POOL_BUDGET, e);
	if (r == 0) {
		r = run(&w, opt, &l, ret, e);
		walk_end(&w);
	}
	if (r < 0)
		store_abort(s);
	snapshot_list_free(&l);
	if (r == 0 && !opt->dry_run)
		snapshot_remember(s, opt->state_dir, ret->sn.generation);
	if (r < 0)
		snapshot_free(&ret->sn);
	return r;
}
