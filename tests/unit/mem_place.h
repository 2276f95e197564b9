/* mem_place.h - objects in memory: quick, and open to a test that wants to damage them. */
#ifndef TEST_MEM_PLACE_H
#define TEST_MEM_PLACE_H

#include "engine/object/object.h"

struct object_place *mem_place_new(void);
/* A second handle on the same objects: freeing it frees nothing. */
struct object_place *mem_place_borrow(struct object_place *p);
/* The bytes of an object, to be changed at will; NULL when it is not there. */
struct buf *mem_place_object(struct object_place *p, const char *key);
/* The key of the nth object (in order of creation) that starts with `prefix`; NULL behind the end. */
const char *mem_place_key(struct object_place *p, const char *prefix, unsigned nth);
/* Once, before the next object whose key starts with `prefix` is removed: what another process does there.
 * From one thread. */
void mem_place_before_remove(struct object_place *p, const char *prefix, void (*hook)(void *ctx),
	void *ctx);
/* An independent copy of everything. */
struct object_place *mem_place_copy(struct object_place *p);

#endif
