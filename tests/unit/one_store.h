/* one_store.h - a store in memory, open, for each test or for all of a program, and cmocka's functions for it.
 * Short names: nearly every line of these tests has them. */
#ifndef TEST_ONE_STORE_H
#define TEST_ONE_STORE_H

#include "engine/store/store.h"

extern struct object_place *place;
extern struct store *s;

int setup_store(void **state);
int teardown_store(void **state);
/* With the one of one_coder.h. */
int setup_coder_and_store(void **state);
int teardown_coder_and_store(void **state);

#endif
