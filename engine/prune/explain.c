/* explain.c - one chunk in words. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/duration.h"
#include "engine/prune/examine.h"
#include "engine/prune/rules_internal.h"
#include "engine/prune/scan.h"

#define TICKS_A_SECOND 20

static int add_line(struct buf *out, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int add_line(struct buf *out, struct err *e, const char *fmt, ...)
{
	char *line;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_set(e, E_NOMEM, 0, "no memory for text");
	int r = buf_add(out, line, (size_t)n, e);
	free(line);
	return r;
}

/* All is wanted: never decided before the end. */
static enum answer decide_late(void *ctx, const struct facts *f)
{
	(void)ctx;
	return f->known & FACT_BIT(FACT_DAMAGED) ? ANSWER_YES : ANSWER_UNKNOWN;
}

static int say_values(struct buf *out, const struct examiner *x, struct err *e)
{
	const struct facts *f = &x->facts;
	char age[DURATION_CHARS], lived[DURATION_CHARS], when[32] = "no time stamp";
	time_t t = f->timestamp;
	struct tm tm;
	if (t && localtime_r(&t, &tm))
		strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
	duration_format(f->now - f->timestamp, age);
	int r = add_line(out, e, "saved: %s%s%s%s\n", when, t ? " (" : "", t ? age : "",
		t ? " ago)" : "");
	if (r == 0)
		r = add_line(out, e, "size: %llu bytes\n", (unsigned long long)f->size);
	if (r < 0 || f->damaged)
		return r < 0 ? r : add_line(out, e, "damaged: %s\n", x->problem);
	duration_format(f->number[FACT_INHABITED] / TICKS_A_SECOND, lived);
	return add_line(out, e, "inhabited: %s (%lld ticks)\nstatus: %s\ndata version: %lld\n", lived,
		(long long)f->number[FACT_INHABITED], *f->status ? f->status : "none",
		(long long)f->number[FACT_DATA_VERSION]);
}

static int say_rules(struct buf *out, const struct rules *r, const struct facts *f, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; i < r->n && rc == 0; i++) {
		bool yes = query_judge(r->v[i].query, f) >= ANSWER_YES;
		rc = add_line(out, e, "%s: %s (%s)\n", r->v[i].name, yes ? "asks for it" : "does not ask for it",
			r->v[i].text);
	}
	return rc;
}

static int say_protection(struct buf *out, const struct rules *r, const struct guards *g,
	const struct facts *f, uint8_t verdict, struct err *e)
{
	enum verdict guard = guards_ask(g, f->x, f->z);
	int rc = 0;
	if (guard != VERDICT_ABSENT)
		rc = add_line(out, e, "protected: %s\n", verdict_text((uint8_t)guard));
	if (rc == 0 && r->keep && !f->damaged && query_judge(r->keep, f) >= ANSWER_YES)
		rc = add_line(out, e, "protected: %s\n", verdict_text(VERDICT_STRUCTURE));
	if (rc == 0 && verdict == VERDICT_NEIGHBOUR)
		rc = add_line(out, e, "protected: %s\n", verdict_text(verdict));
	if (rc == 0 && verdict_prunable(verdict))
		return add_line(out, e, "prunable by %s\n", r->v[verdict - VERDICT_RULE].name);
	return rc < 0 ? rc : add_line(out, e, "stays: %s\n", verdict_text(verdict));
}

/* ---- reading the one chunk: a scan would go through all of its region ---- */

static int count_missing(struct source *s, const struct world_dim *dim, struct facts *f,
	struct err *e)
{
	struct source_regions all;
	CLEANUP_SELECTION struct selection *present = NULL;
	int r = source_regions(s, dim, &all, e);
	if (r < 0)
		return r;
	r = scan_presence(s, dim, &all, &present, e);
	source_regions_free(&all);
	f->missing = 0;
	for (int k = 0; k < 9 && r == 0; k++)
		f->missing += k != 4 && !selection_has(present, f->x + k % 3 - 1, f->z + k / 3 - 1);
	return r;
}

static int read_chunk(const struct rules *r, struct source *s, const struct world_dim *dim,
	struct examiner *x, struct err *e)
{
	struct source_region *reg[SOURCE_KINDS] = {NULL};
	struct facts *f = &x->facts;
	unsigned slot = (unsigned)((f->z & 31) * 32 + (f->x & 31));
	struct examine_options o = {r->wants & (FACT_BIT(FACTS) - 1), true, decide_late, NULL};
	enum answer a;
	int rc = 0;
	for (int k = 0; k < SOURCE_KINDS && rc == 0; k++) {
		rc = source_region_open(s, dim, (enum source_kind)k, f->x >> 5, f->z >> 5, &reg[k], e);
		if (rc == E_NOTFOUND)
			rc = 0;
	}
	if (rc == 0 && (!reg[0] || !source_has_chunk(reg[0], slot)))
		rc = err_set(e, E_NOTFOUND, 0, "there is no chunk c.%d.%d in %s", f->x, f->z,
			dim->name);
	if (rc == 0)
		f->timestamp = region_entry_at(reg[0]->header, slot).timestamp;
	for (int k = 0; k < SOURCE_KINDS && rc == 0; k++)
		if (reg[k])
			f->size += (uint64_t)region_entry_at(reg[k]->header, slot).count *
				   REGION_SECTOR;
	examine_region(x, reg);
	if (rc == 0)
		rc = examine_chunk(x, reg, slot, &o, &a, e);
	for (int k = 0; k < SOURCE_KINDS; k++)
		source_region_close(reg[k]);
	return rc;
}

int rules_explain(const struct rules *r, struct source *s, const struct judge_options *opt,
	const struct judged_dim *d, int32_t x, int32_t z, struct buf *out, struct err *e)
{
	struct examiner ex;
	struct guards g = {0};
	struct world_guards *w = NULL;
	struct worlds all = {0};
	int rc = examiner_init(&ex, &r->names, e);
	if (rc < 0)
		return rc;
	ex.facts.x = x;
	ex.facts.z = z;
	ex.facts.now = opt->now ? opt->now : time(NULL);
	ex.facts.dimension = d->dim.name;
	rc = source_worlds(s, &all, e);
	if (rc == 0)
		rc = world_guards_read(&w, r, s, &all, opt->log, e);
	if (rc == 0)
		rc = guards_make(&g, r, w, s, &d->dim, e);
	if (rc == 0 && (r->wants & QUERY_WANTS_NEIGHBOURS))
		rc = count_missing(s, &d->dim, &ex.facts, e);
	ex.facts.forced = rc == 0 && selection_has(g.forced, x, z);
	if (rc == 0)
		rc = read_chunk(r, s, &d->dim, &ex, e);
	if (rc == 0)
		rc = say_values(out, &ex, e);
	if (rc == 0)
		rc = say_rules(out, r, &ex.facts, e);
	if (rc == 0)
		rc = say_protection(out, r, &g, &ex.facts, judgement_at(d, x, z), e);
	guards_free(&g);
	world_guards_free(w);
	worlds_free(&all);
	examiner_free(&ex);
	return rc;
}
