/* find.h - which chunks of a world match a query. What "mcfs query" and maps ask. */
#ifndef MCFS_PRUNE_FIND_H
#define MCFS_PRUNE_FIND_H

#include <signal.h>

#include "engine/anvil/source.h"
#include "engine/prune/selection.h"

struct find_options {
	const char *query;
	const char *dimension; /* by name; NULL: all */
	int64_t now;	       /* 0: the clock */
	bool quick; /* do not read matching chunks to their end: damage behind what decides is not seen */
	unsigned grow;	      /* then take the disc of this radius around each match as well */
	unsigned keep_radius; /* then leave out what is this near to a chunk that does not match */
	const struct selection *within; /* only of these; NULL: all */
	unsigned threads;
	const volatile sig_atomic_t *cancel;
};

struct found_dim {
	struct world_dim dim;
	struct selection *match; /* after `grow` and `keep_radius` */
	uint64_t chunks;	 /* looked at */
	uint64_t matches, bytes; /* that match by themselves, and what they take */
	uint64_t damaged;	 /* seen to be; they match only if asked for */
};

struct found {
	struct found_dim *v; /* the dimensions asked for, in order */
	size_t n;
};

/* E_USAGE: the query is not understood; E_NOTFOUND: no such dimension, or no world; E_CANCELLED. */
int find_chunks(struct source *s, const struct find_options *opt, struct found *ret,
	struct err *e) MUST_CHECK;
void found_free(struct found *f);

#endif
