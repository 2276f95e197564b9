/* query_internal.h - the tree of a query. Only for engine/prune/query*.c. */
#ifndef MCFS_PRUNE_QUERY_INTERNAL_H
#define MCFS_PRUNE_QUERY_INTERNAL_H

#include "engine/prune/query.h"
#include "engine/prune/selection.h"

enum filter {
	F_DATA_VERSION,
	F_INHABITED_TIME,
	F_LAST_UPDATE,
	F_X_POS,
	F_Y_POS,
	F_Z_POS,
	F_TIMESTAMP,
	F_COMPRESSION,
	F_PALETTE,
	F_BIOME,
	F_STATUS,
	F_LIGHT,
	F_ENTITIES,
	F_N_ENTITIES,
	F_N_PROTO_ENTITIES,
	F_N_TILES,
	F_STRUCTURES,
	F_PLAYER_LOCATION,
	F_PLAYER_SPAWN,
	F_SELECTION,
	F_CIRCLE,
	F_BORDER,
	F_AGE,
	F_FORCED,
	F_TILES,
	F_DAMAGED,
	F_SIZE,
	F_DIMENSION
};

enum comparator { C_EQ, C_NE, C_LT, C_GT, C_LE, C_GE, C_CONTAINS, C_NOT_CONTAINS, C_INTERSECTS };
#define C_BIT(c) (1u << (c))
#define C_EQUALITY (C_BIT(C_EQ) | C_BIT(C_NE))
#define C_NUMBER (C_EQUALITY | C_BIT(C_LT) | C_BIT(C_GT) | C_BIT(C_LE) | C_BIT(C_GE))
#define C_HAS (C_BIT(C_CONTAINS) | C_BIT(C_NOT_CONTAINS))
#define C_LIST (C_HAS | C_BIT(C_INTERSECTS))

/* How a filter's value is written. */
enum value_kind {
	V_NUMBER,
	V_COUNT,     /* not negative */
	V_TICKS,     /* a duration; a bare number is ticks */
	V_SECONDS,   /* a duration; a bare number is seconds */
	V_TIMESTAMP, /* epoch seconds, or a date */
	V_BYTES,     /* 4096, 64k, 1 MiB */
	V_BOOL,
	V_NAMES,
	V_STATUS,
	V_COMPRESSION,
	V_PLAYERS, /* DIR:DIMENSION */
	V_CSV,
	V_CIRCLES,
	V_DIMENSION
};

struct filter_info {
	const char *name;
	enum filter filter;
	unsigned comparators;
	enum value_kind value;
	int names;	/* enum name_class of V_NAMES */
	unsigned wants; /* FACT_BITs */
};

struct circle {
	int64_t x, z, r;
};

enum node_op { N_AND, N_OR, N_NOT, N_FILTER };

struct qnode {
	enum node_op op;
	uint32_t left, right; /* NOT: left only */
	const struct filter_info *info;
	enum comparator cmp;
	int64_t number;
	char *text;	  /* status, dimension */
	uint32_t *list;	  /* numbers of names */
	size_t n_list;
	struct circle *circles;
	size_t n_circles;
	struct selection *set; /* a CSV's, or where players are */
};

struct query {
	struct qnode *nodes;
	size_t n;
	uint32_t root;
};

#define QUERY_NODES_MAX 2000
#define QUERY_NESTING_MAX 100

int query_new(struct query **ret, struct err *e) MUST_CHECK;
/* A new node; *ret is its number. */
int query_add_node(struct query *q, struct qnode n, uint32_t *ret, struct err *e) MUST_CHECK;

/* The filter of that name; NULL. */
const struct filter_info *query_filter(const char *name, size_t n);
const struct filter_info *query_filter_of(enum filter f);
/* Understand a value. `n` has its info and comparator. E_USAGE. */
int query_value(struct qnode *n, const char *text, struct query_names *names,
	struct err *e) MUST_CHECK;

#endif
