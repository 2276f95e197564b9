/* id_list.h - ids in the order they came, each as often as it was added. To ask whether one of many is
 * there is a nameset's work. Not thread-safe. */
#ifndef MCFS_STORE_ID_LIST_H
#define MCFS_STORE_ID_LIST_H

#include <stdbool.h>

#include "engine/crypto/crypto.h"

struct id_list {
	struct id *v;
	size_t n, cap; /* n may be lowered by hand: what is behind it is forgotten */
};

/* E_NOMEM: the list is as it was. */
int id_list_add(struct id_list *l, const struct id *id, struct err *e) MUST_CHECK;
/* The same for what lists objects (store_object_list(), index_each_pack()): ctx is the list. */
int id_list_collect(void *ctx, const struct id *id, uint64_t size, struct err *e) MUST_CHECK;
/* Looks at each: for short lists. */
bool id_list_has(const struct id_list *l, const struct id *id);
void id_list_free(struct id_list *l);
#define CLEANUP_ID_LIST __attribute__((cleanup(id_list_free)))

#endif
