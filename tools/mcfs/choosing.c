#include "tools/mcfs/choosing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/anvil/source.h"
#include "engine/base/cleanup.h"
#include "engine/base/duration.h"
#include "engine/config/prune_config.h"
#include "engine/prune/find.h"
#include "engine/prune/selection.h"
#include "tools/mcfs/session.h"

/* ---- lists ---- */

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory for a list of chunks");
}

static struct chosen *dimension(struct choice *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->dims[i].dimension, name) == 0)
			return &c->dims[i];
	struct chosen *v = realloc(c->dims, (c->n + 1) * sizeof *v);
	if (!v)
		return NULL;
	c->dims = v;
	v[c->n] = (struct chosen){.dimension = strdup(name)};
	return v[c->n].dimension ? &v[c->n++] : NULL;
}

static int choose(struct chosen *c, int32_t x, int32_t z, const char *why, int64_t since,
	struct err *e)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 1024;
		struct prune_chunk *v = realloc(c->v, cap * sizeof *v);
		if (!v)
			return no_memory(e);
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct prune_chunk){.x = x, .z = z, .why = why, .chosen_s = since};
	return 0;
}

void choice_free(struct choice *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->dims[i].dimension);
		free(c->dims[i].v);
	}
	free(c->dims);
	judgement_free(c->judged);
	rules_free(c->rules);
	*c = (struct choice){0};
}

/* ---- named by hand, or selected ---- */

/* Which chunks a region has, in any of its files. */
static int existing(struct source *src, const struct world_dim *dim, int32_t rx, int32_t rz,
	bool has[REGION_SLOTS], struct err *e)
{
	memset(has, 0, REGION_SLOTS * sizeof *has);
	for (unsigned k = 0; k < SOURCE_KINDS; k++) {
		CLEANUP_SOURCE_REGION struct source_region *reg = NULL;
		int r = source_region_open(src, dim, (enum source_kind)k, rx, rz, &reg, e);
		if (r == E_NOTFOUND)
			continue;
		if (r < 0)
			return r;
		for (unsigned s = 0; s < REGION_SLOTS; s++)
			has[s] = has[s] || source_has_chunk(reg, s);
	}
	return 0;
}

static int choose_region(struct source *src, const struct world_dim *dim, int32_t rx, int32_t rz,
	const struct selection *only, const char *why, struct chosen *c, struct err *e)
{
	bool has[REGION_SLOTS];
	int r = existing(src, dim, rx, rz, has, e);
	for (unsigned s = 0; s < REGION_SLOTS && r == 0; s++) {
		int32_t x = rx * 32 + (int32_t)(s % 32), z = rz * 32 + (int32_t)(s / 32);
		if (has[s] && (!only || selection_has(only, x, z)))
			r = choose(c, x, z, why, 0, e);
	}
	return r;
}

static int choose_selected(struct source *src, const struct world_dim *dim,
	const struct selection *sel, struct chosen *c, struct err *e)
{
	struct source_regions list;
	int r = source_regions(src, dim, &list, e);
	for (size_t i = 0; i < list.n && r == 0; i++)
		r = choose_region(src, dim, list.v[i].x, list.v[i].z, sel, "selection", c, e);
	source_regions_free(&list);
	return r;
}

static const struct world_dim *find_dim(const struct worlds *w, const char *name)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].world[0] == 0 && strcmp(w->v[i].name, name) == 0)
			return &w->v[i];
	return NULL;
}

static int choose_by_hand(const struct wish *w, struct source *src, struct choice *c, struct err *e)
{
	CLEANUP_SELECTION struct selection *sel = NULL;
	const char *name = w->dimension ? w->dimension : "overworld";
	struct worlds worlds = {0};
	int r = w->selection ? selection_load(&sel, w->selection, e) : 0;
	if (r == 0)
		r = source_worlds(src, &worlds, e);
	const struct world_dim *dim = find_dim(&worlds, name);
	struct chosen *to = dimension(c, name);
	if (r == 0 && !to)
		r = no_memory(e);
	if (r == 0 && !dim)
		r = err_set(e, E_NOTFOUND, 0, "the world '%s' has no dimension '%s'", w->world, name);
	for (size_t i = 0; i < w->n_specs && r == 0; i++)
		r = w->specs[i].is_region ? choose_region(src, dim, w->specs[i].x, w->specs[i].z,
						    NULL, NULL, to, e)
					  : choose(to, w->specs[i].x, w->specs[i].z, NULL, 0, e);
	if (r == 0 && sel)
		r = choose_selected(src, dim, sel, to, e);
	worlds_free(&worlds);
	return r;
}

/* ---- rules ---- */

int choice_rules(struct wish *w, struct choice *c, struct err *e)
{
	struct prune_config cfg = {.trash_keep = -1, .trash_size = -1};
	int r = 0;
	if (!w->rules && !w->query)
		return 0;
	if (w->rules)
		r = prune_config_load(&cfg, w->rules, e);
	else
		rules_spec_init(&cfg.rules);
	if (r < 0)
		return r;
	if (w->query)
		r = rules_spec_add_query(&cfg.rules, w->query, 0, e);
	if (w->keep_radius >= 0)
		cfg.rules.protect.neighbours = (unsigned)w->keep_radius;
	if (w->force)
		cfg.rules.max_percent = 100;
	if (r == 0)
		r = rules_compile(&c->rules, &cfg.rules, e);
	w->trash_keep = cfg.trash_keep;
	w->trash_size = cfg.trash_size;
	if (cfg.require_snapshot && w->snapshot_age < 0)
		w->snapshot_age = cfg.snapshot_age >= 0 ? cfg.snapshot_age : DURATION_MAX;
	for (size_t i = 0; r == 0 && i < rules_count(c->rules); i++)
		c->damaged = c->damaged || strcasestr(rules_text(c->rules, i), "damaged");
	prune_config_free(&cfg);
	return r;
}

static int take_verdicts(const struct choice *c, const struct judged_dim *d, int64_t since,
	struct chosen *to, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < d->n_regions; i++)
		for (unsigned s = 0; s < REGION_SLOTS && r == 0; s++) {
			uint8_t v = d->regions[i].v[s];
			if (verdict_prunable(v))
				r = choose(to, d->regions[i].x * 32 + (int32_t)(s % 32),
					d->regions[i].z * 32 + (int32_t)(s / 32),
					rules_name(c->rules, (size_t)v - VERDICT_RULE), since, e);
		}
	return r;
}

static int find_near(const struct wish *w, struct source *src, struct found *ret, struct err *e)
{
	struct find_options opt = {.query = w->query, .dimension = w->dimension, .now = w->now,
		.grow = w->radius, .cancel = &cli_interrupted};
	return find_chunks(src, &opt, ret, e);
}

static int choose_by_rules(const struct cli *cli, const struct wish *w, struct source *src,
	struct choice *c, struct err *e)
{
	struct judge_options opt = {.now = w->now, .dimension = w->dimension,
		.cancel = &cli_interrupted, .log = &cli->log};
	int64_t since = (int64_t)time(NULL);
	struct found near = {0};
	int r = w->radius ? find_near(w, src, &near, e) : 0;
	opt.also = &near;
	if (r == 0)
		r = rules_judge(c->rules, src, &opt, &c->judged, e);
	found_free(&near);
	for (size_t i = 0; r == 0 && i < c->judged->n_dims; i++) {
		const struct judged_dim *d = &c->judged->dims[i];
		if (d->dim.world[0])
			continue; /* a world below this one */
		if (d->refused[0]) {
			c->refused = true;
			cli_note(cli, "mcfs: %s: nothing is pruned here: %s%s", d->dim.name, d->refused,
				d->refused_fraction ? " (--force prunes all the same)" : "");
			continue;
		}
		struct chosen *to = dimension(c, d->dim.name);
		r = to ? take_verdicts(c, d, since, to, e) : no_memory(e);
	}
	return r;
}

int choice_run(const struct cli *cli, const struct wish *w, struct choice *c, struct err *e)
{
	CLEANUP_SOURCE struct source *src = NULL;
	int r = source_dir_open(&src, w->world, e);
	if (r == 0 && c->rules)
		r = choose_by_rules(cli, w, src, c, e);
	else if (r == 0 && (w->n_specs || w->selection))
		r = choose_by_hand(w, src, c, e);
	return r;
}

/* ---- showing ---- */

static void print_dim(const struct cli *cli, const struct choice *c, const struct judged_dim *d)
{
	char b[16];
	const char *sep = "  protected: ";
	cli_print_name(stdout, d->dim.name, strlen(d->dim.name));
	printf(": %llu of %llu chunk%s\n", (unsigned long long)d->prunable,
		(unsigned long long)d->chunks, cli_s(d->chunks));
	for (size_t i = 0; i < rules_count(c->rules); i++) {
		const char *text = rules_text(c->rules, i);
		printf("  %s: %llu chunk%s, %s (", rules_name(c->rules, i),
			(unsigned long long)d->rule_chunks[i], cli_s(d->rule_chunks[i]),
			cli_bytes(d->rule_bytes[i], b));
		cli_print_name(stdout, text, strlen(text));
		puts(")");
	}
	(void)cli;
	for (uint8_t v = VERDICT_DAMAGED; v < VERDICT_REASONS; v++)
		if (d->reason[v]) {
			printf("%s%llu %s", sep, (unsigned long long)d->reason[v], verdict_text(v));
			sep = ", ";
		}
	if (*sep == ',')
		putchar('\n');
}

static json_t *json_dim(const struct choice *c, const struct judged_dim *d)
{
	json_t *rules = json_array(), *why = json_object();
	for (size_t i = 0; i < rules_count(c->rules); i++) {
		const char *text = rules_text(c->rules, i);
		json_array_append_new(rules, json_pack("{s:s, s:o, s:I, s:I}", "name",
			rules_name(c->rules, i), "text", cli_json_string(text, strlen(text)),
			"chunks", (json_int_t)d->rule_chunks[i], "bytes",
			(json_int_t)d->rule_bytes[i]));
	}
	for (uint8_t v = VERDICT_KEPT; v < VERDICT_REASONS; v++)
		if (d->reason[v])
			json_object_set_new(why, verdict_text(v), json_integer((json_int_t)d->reason[v]));
	return json_pack("{s:s, s:o, s:I, s:I, s:o, s:o, s:s}", "type", "judgement", "dimension",
		cli_json_string(d->dim.name, strlen(d->dim.name)), "chunks", (json_int_t)d->chunks,
		"prunable", (json_int_t)d->prunable, "rules", rules, "kept", why, "refused",
		d->refused);
}

void choice_print(const struct cli *cli, const struct choice *c)
{
	for (size_t i = 0; c->judged && i < c->judged->n_dims; i++) {
		const struct judged_dim *d = &c->judged->dims[i];
		if (d->dim.world[0])
			continue;
		if (cli->json)
			cli_json(json_dim(c, d));
		else if (!cli->quiet)
			print_dim(cli, c, d);
	}
}

int choice_explain(const struct wish *w, const struct choice *c, const struct chunk_spec *spec,
	struct err *e)
{
	CLEANUP_SOURCE struct source *src = NULL;
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct judge_options opt = {.now = w->now, .cancel = &cli_interrupted};
	const char *name = w->dimension ? w->dimension : "overworld";
	const struct judged_dim *d = NULL;
	for (size_t i = 0; c->judged && i < c->judged->n_dims; i++)
		if (c->judged->dims[i].dim.world[0] == 0 &&
			strcmp(c->judged->dims[i].dim.name, name) == 0)
			d = &c->judged->dims[i];
	if (!d)
		return err_set(e, E_NOTFOUND, 0, "the world '%s' has no dimension '%s'", w->world, name);
	int r = source_dir_open(&src, w->world, e);
	if (r == 0)
		r = rules_explain(c->rules, src, &opt, d, spec->x, spec->z, &text, e);
	if (r == 0 && fwrite(text.p, 1, text.len, stdout) != text.len)
		r = err_set(e, E_IO, errno, "write to standard output");
	return r;
}

/* ---- a snapshot first ---- */

static bool covers(const struct snapshot *sn, const char *world)
{
	for (size_t i = 0; i < sn->n_sources; i++) {
		const char *path = sn->sources[i].path;
		size_t n = strlen(path);
		if (strcmp(path, "/") == 0 ||
			(strncmp(world, path, n) == 0 && (world[n] == 0 || world[n] == '/')))
			return true;
	}
	return false;
}

int choice_require_snapshot(struct cli *cli, const char *world, int64_t age, struct err *e)
{
	struct session s;
	char host[256] = "", text[DURATION_CHARS];
	CLEANUP_FREE char *path = realpath(world, NULL);
	int64_t now = (int64_t)time(NULL), newest = INT64_MIN;
	if (!path)
		return err_set(e, E_IO, errno, "the world '%s'", world);
	int r = session_open(&s, cli, e);
	if (r < 0)
		return err_wrap(e, "look for a snapshot of the world");
	gethostname(host, sizeof host - 1);
	for (size_t i = 0; i < s.list.n; i++) {
		const struct snapshot *sn = &s.list.v[i];
		if (strcmp(sn->host, host) == 0 && covers(sn, path) && sn->begin.s > newest)
			newest = sn->begin.s;
	}
	session_close(&s);
	if (newest != INT64_MIN && now - newest <= age)
		return 0;
	if (newest == INT64_MIN)
		return err_set(e, E_NOTFOUND, 0,
			"there is no snapshot of '%s' in the store: take one with 'mcfs snapshot'", path);
	return err_set(e, E_NOTFOUND, 0,
		"the newest snapshot of '%s' is %s old: take one with 'mcfs snapshot'", path,
		duration_format(now - newest, text));
}
