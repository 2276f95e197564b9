/* nameset.h - a set of blob names, or of ids, in memory. Not thread-safe. */
#ifndef MCFS_STORE_NAMESET_H
#define MCFS_STORE_NAMESET_H

#include <stdbool.h>

#include "engine/crypto/crypto.h"

struct nameset {
	struct name *v;
	uint8_t *taken;
	size_t n, cap;
};

bool nameset_has(const struct nameset *s, const struct name *name);
int nameset_add(struct nameset *s, const struct name *name, struct err *e) MUST_CHECK;
/* In a set of ids: they stand in it as names that end in zeros. */
bool nameset_has_id(const struct nameset *s, const struct id *id);
int nameset_add_id(struct nameset *s, const struct id *id, struct err *e) MUST_CHECK;
void nameset_free(struct nameset *s);

#endif
