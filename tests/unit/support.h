/* support.h - what the unit tests share. Include it first: it brings cmocka and what that needs. */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/cleanup.h"
#include "engine/store/store.h"

/* An engine call that must work; its message is shown when it does not. */
#define OK(call)                                                                                   \
	do {                                                                                       \
		struct err ok_err_ = ERR_INIT, *e = &ok_err_;                                      \
		int ok_code_ = (call);                                                             \
		if (ok_code_ < 0)                                                                  \
			fail_msg("%s: %d: %s", #call, ok_code_, ok_err_.msg);                      \
	} while (0)

/* An engine call that must fail with this code, and say something. */
#define FAILS(code_, call)                                                                         \
	do {                                                                                       \
		struct err ok_err_ = ERR_INIT, *e = &ok_err_;                                      \
		int ok_code_ = (call);                                                             \
		if (ok_code_ != (code_) || ok_err_.code != (code_) || !ok_err_.msg[0])             \
			fail_msg("%s: %d (%d: '%s') instead of %s", #call, ok_code_, ok_err_.code, \
				ok_err_.msg, #code_);                                              \
	} while (0)

#define N_OF(a) (sizeof(a) / sizeof *(a))

/* The same numbers on every machine and in every run. */
uint64_t rnd(void);
uint32_t below(uint32_t n);
void rnd_seed(uint64_t seed);
/* Bytes of a kind: 0 zeros, 1 noise, 2 text-like, 3 like NBT (repeating, slowly changing). */
void fill(void *p, size_t n, int kind);

struct span text(const char *s);
void assert_spans(struct span got, struct span want);

/* An empty directory that goes away at the end of the test program, with all in it. */
const char *temp_dir(void);
char *temp_path(const char *name); /* below temp_dir(); free it */
void write_file(const char *path, struct span s);
void read_file(const char *path, struct buf *b);

/* Keys of a fixed master key. */
struct keys *test_keys(void);

/* A store in memory (mem_place.h) under a fixed key file secret. */
struct object_place *new_place_with_store(enum slack_mode slack);
/* Open the store in a place; the place stays the caller's. */
struct store *open_store(struct object_place *place);
int try_open_store(struct object_place *place, struct store **ret, struct err *e);
extern const struct secret test_secret;

#endif
