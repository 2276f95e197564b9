/* one_coder.h - the coder of a test program, and cmocka's functions for it. A short name: nearly every line of
 * these tests has it. */
#ifndef TEST_ONE_CODER_H
#define TEST_ONE_CODER_H

#include "engine/store/store.h"

extern struct coder c;

int setup_coder(void **state);
int teardown_coder(void **state);

#endif
