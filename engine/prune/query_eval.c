/* query_eval.c - whether a query holds, for what is known. */
#include <stdlib.h>
#include <string.h>

#include "engine/prune/query_internal.h"

#define AMOUNT_OF_FULL_NEIGHBOURS 9 /* Border of a chunk that is not generated to its end */

/* ---- facts ---- */

int facts_init(struct facts *f, const struct query_names *names, struct err *e)
{
	*f = (struct facts){.names = names};
	for (int c = 0; c < NAMES_CLASSES; c++) {
		int r = seen_init(&f->seen[c], &names->of[c], e);
		if (r < 0) {
			facts_free(f);
			return r;
		}
	}
	return 0;
}

void facts_free(struct facts *f)
{
	for (int c = 0; c < NAMES_CLASSES; c++)
		seen_free(&f->seen[c]);
}

void facts_clear(struct facts *f)
{
	f->known = f->none = 0;
	f->damaged = false;
	f->status[0] = 0;
	memset(f->number, 0, sizeof f->number);
	memset(f->type, 0, sizeof f->type);
	memset(f->external, 0, sizeof f->external);
	for (int c = 0; c < NAMES_CLASSES; c++)
		seen_clear(&f->seen[c], &f->names->of[c]);
}

void facts_finish(struct facts *f)
{
	static const unsigned no_default = FACT_BIT(FACT_DATA_VERSION) | FACT_BIT(FACT_Y_POS);
	const unsigned later = FACT_BIT(FACT_ENTITIES) | FACT_BIT(FACT_TYPES) |
			       FACT_BIT(FACT_DAMAGED);
	unsigned missing = ~f->known & (FACT_BIT(FACTS) - 1) & ~later;
	f->none |= missing & no_default;
	f->known |= missing;
	/* The game did not say in these versions (1.13 to 19w03a). */
	int64_t dv = f->number[FACT_DATA_VERSION];
	if ((missing & FACT_BIT(FACT_LIGHT)) && dv >= 1466 && dv <= 1920)
		f->none |= FACT_BIT(FACT_LIGHT);
}

/* ---- one filter ---- */

static bool compare(int64_t a, enum comparator c, int64_t b)
{
	switch (c) {
	case C_EQ:
		return a == b;
	case C_NE:
		return a != b;
	case C_LT:
		return a < b;
	case C_GT:
		return a > b;
	case C_LE:
		return a <= b;
	case C_GE:
		return a >= b;
	default:
		return false;
	}
}

static bool in_list(const struct qnode *n, uint32_t v)
{
	for (size_t i = 0; i < n->n_list; i++)
		if (n->list[i] == v)
			return true;
	return false;
}

/* `total`: how many names there are in all. */
static bool judge_names(const struct qnode *n, const struct seen *s, size_t total)
{
	size_t hit = 0;
	for (size_t i = 0; i < n->n_list; i++)
		hit += seen_has(s, n->list[i]);
	bool all = hit == n->n_list;
	switch (n->cmp) {
	case C_CONTAINS:
		return all;
	case C_NOT_CONTAINS:
		return !all;
	case C_INTERSECTS:
		return hit > 0;
	default:
		break;
	}
	bool exact = all && !s->other;
	for (size_t i = 0; i < total && exact; i++)
		exact = !seen_has(s, (uint32_t)i) || in_list(n, (uint32_t)i);
	return exact == (n->cmp == C_EQ);
}

/* "minecraft:full" and "full" are the same. */
static bool same_status(const char *have, const char *want)
{
	return strcmp(strncmp(have, "minecraft:", 10) == 0 ? have + 10 : have, want) == 0;
}

static bool judge_circle(const struct qnode *n, const struct facts *f)
{
	bool in = false;
	for (size_t i = 0; i < n->n_circles && !in; i++) {
		const struct circle *c = &n->circles[i];
		int64_t dx = f->x - c->x, dz = f->z - c->z;
		in = 100 * (dx * dx + dz * dz) <= (10 * c->r + 3) * (10 * c->r + 3);
	}
	return in == (n->cmp == C_CONTAINS);
}

/* Chunks of before 1.14 without a Status are generated to their end as far as anyone can tell. */
static int64_t border(const struct facts *f)
{
	bool full = !f->status[0] || same_status(f->status, "full");
	return full ? f->missing : AMOUNT_OF_FULL_NEIGHBOURS;
}

static bool judge_compression(const struct qnode *n, const struct facts *f)
{
	bool same = true;
	for (int k = 0; k < 3; k++)
		if (f->type[k])
			same = same && (f->type[k] | (f->external[k] ? 128 : 0)) == n->number;
	return same == (n->cmp == C_EQ);
}

static bool judge_known(const struct qnode *n, const struct facts *f)
{
	switch (n->info->filter) {
	case F_DATA_VERSION:
		return compare(f->number[FACT_DATA_VERSION], n->cmp, n->number);
	case F_INHABITED_TIME:
		return compare(f->number[FACT_INHABITED], n->cmp, n->number);
	case F_LAST_UPDATE:
		return compare(f->number[FACT_LAST_UPDATE], n->cmp, n->number);
	case F_X_POS:
		return compare(f->x, n->cmp, n->number);
	case F_Y_POS:
		return compare(f->number[FACT_Y_POS], n->cmp, n->number);
	case F_Z_POS:
		return compare(f->z, n->cmp, n->number);
	case F_TIMESTAMP:
		return compare(f->timestamp, n->cmp, n->number);
	case F_COMPRESSION:
		return judge_compression(n, f);
	case F_STATUS:
		return same_status(f->status, n->text) == (n->cmp == C_EQ);
	case F_LIGHT:
		return compare(f->number[FACT_LIGHT], n->cmp, n->number);
	case F_PALETTE:
	case F_BIOME:
	case F_ENTITIES:
	case F_STRUCTURES:
	case F_TILES:
		return judge_names(n, &f->seen[n->info->names], f->names->of[n->info->names].n);
	case F_N_ENTITIES:
		return compare(f->number[FACT_ENTITIES], n->cmp, n->number);
	case F_N_PROTO_ENTITIES:
		return compare(f->number[FACT_PROTO_ENTITIES], n->cmp, n->number);
	case F_N_TILES:
		return compare(f->number[FACT_TILES], n->cmp, n->number);
	case F_PLAYER_LOCATION:
	case F_PLAYER_SPAWN:
		return selection_has(n->set, f->x, f->z) == (n->cmp == C_CONTAINS);
	case F_SELECTION:
		return selection_has(n->set, f->x, f->z) == (n->cmp == C_EQ);
	case F_CIRCLE:
		return judge_circle(n, f);
	case F_BORDER:
		return compare(border(f), n->cmp, n->number);
	case F_AGE:
		return compare(f->now - f->timestamp, n->cmp, n->number);
	case F_FORCED:
		return compare(f->forced, n->cmp, n->number);
	case F_DAMAGED:
		return compare(f->damaged, n->cmp, n->number);
	case F_SIZE:
		return compare((int64_t)f->size, n->cmp, n->number);
	case F_DIMENSION:
		return (strcmp(f->dimension, n->text) == 0) == (n->cmp == C_EQ);
	}
	return false;
}

static enum answer judge_filter(const struct qnode *n, const struct facts *f)
{
	unsigned wants = n->info->wants & (FACT_BIT(FACTS) - 1);
	if (wants & ~f->known)
		return ANSWER_UNKNOWN;
	/* Where DataVersion only tells how to read another one, none is as good as any. */
	unsigned aside = n->info->filter == F_DATA_VERSION ? 0 : FACT_BIT(FACT_DATA_VERSION);
	if (wants & f->none & ~aside)
		return ANSWER_NO;
	if (n->info->filter == F_AGE && f->timestamp == 0)
		return ANSWER_NO; /* nobody knows */
	if (!judge_known(n, f))
		return ANSWER_NO;
	return n->info->filter == F_DAMAGED && f->damaged ? ANSWER_YES_DAMAGED : ANSWER_YES;
}

/* ---- all ---- */

static enum answer judge_not(const struct qnode *inner, enum answer a, const struct facts *f)
{
	if (a == ANSWER_UNKNOWN)
		return a;
	if (a != ANSWER_NO)
		return ANSWER_NO;
	bool asks = inner->op == N_FILTER && inner->info->filter == F_DAMAGED;
	return asks && f->damaged ? ANSWER_YES_DAMAGED : ANSWER_YES;
}

static enum answer judge_node(const struct query *q, uint32_t i, const struct facts *f)
{
	const struct qnode *n = &q->nodes[i];
	if (n->op == N_FILTER)
		return judge_filter(n, f);
	enum answer a = judge_node(q, n->left, f);
	if (n->op == N_NOT)
		return judge_not(&q->nodes[n->left], a, f);
	if (n->op == N_AND && a == ANSWER_NO)
		return a;
	enum answer b = judge_node(q, n->right, f);
	if (n->op == N_OR)
		return a > b ? a : b;
	if (b == ANSWER_NO)
		return b;
	if (a == ANSWER_UNKNOWN || b == ANSWER_UNKNOWN)
		return ANSWER_UNKNOWN;
	return a > b ? a : b;
}

enum answer query_judge(const struct query *q, const struct facts *f)
{
	enum answer a = judge_node(q, q->root, f);
	if (f->damaged && a != ANSWER_YES_DAMAGED)
		return ANSWER_NO;
	return a;
}

unsigned query_wants(const struct query *q)
{
	unsigned wants = 0;
	for (size_t i = 0; i < q->n; i++)
		if (q->nodes[i].op == N_FILTER)
			wants |= q->nodes[i].info->wants;
	return wants;
}

/* ---- pairs ---- */

int query_of_pair(struct query **ret, int64_t last_updated, int64_t inhabited, struct err *e)
{
	struct query *q;
	struct qnode both = {.op = N_AND};
	uint32_t *at = &both.left;
	int r = query_new(&q, e);
	if (r == 0 && last_updated >= 0) {
		struct qnode n = {.op = N_FILTER, .info = query_filter_of(F_AGE), .cmp = C_GE,
			.number = last_updated};
		r = query_add_node(q, n, at, e);
		q->root = *at;
		at = &both.right;
	}
	if (r == 0 && inhabited >= 0) {
		struct qnode n = {.op = N_FILTER, .info = query_filter_of(F_INHABITED_TIME),
			.cmp = C_LT, .number = inhabited};
		r = query_add_node(q, n, at, e);
		q->root = *at;
	}
	if (r == 0 && last_updated >= 0 && inhabited >= 0)
		r = query_add_node(q, both, &q->root, e);
	if (r == 0 && q->n == 0)
		r = err_set(e, E_USAGE, 0, "a rule needs last_updated or inhabited_time");
	if (r < 0) {
		query_free(q);
		return r;
	}
	*ret = q;
	return 0;
}
