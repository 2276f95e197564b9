/* ingest.h - from an open file to blobs in the store: how each kind of file is taken in.
 *
 * The calling thread reads; hashing, proving, comparing and compressing happen on the pool. A
 * small file becomes one blob, a large one pieces cut by content, a region file groups of chunks
 * and a layout. The older version of the file, if any, is what differences are taken against.
 *
 * A live file is read so that no chunk of a region file is ever torn (region_ingest.c) and any
 * other file is whole or said to have changed. */
#ifndef MCFS_SNAPSHOT_INGEST_H
#define MCFS_SNAPSHOT_INGEST_H

#include "engine/base/pool.h"
#include "engine/snapshot/entry.h"
#include "engine/store/store.h"

struct ingest {
	struct store *s;
	struct pool *pool;
	struct coder *coders; /* one a worker of the pool; the first is the caller's */
	bool discard_slack;
	/* Bytes of groups and streams without an older version that are still compressed as well as
	 * possible; what comes then is kept as it is, for compact. The caller's thread only. */
	uint64_t compress_new;
	size_t held; /* bytes of files in memory; guarded by the pool's lock */
};

/* Take `bytes` of new data off that budget; false: keep them. */
bool ingest_compresses(struct ingest *in, uint64_t bytes);

/* A file on its way. Address must not change until ingest_wait() returned. */
struct ingest_file {
	struct ingest *in;
	/* results */
	struct content content;
	uint64_t size;	/* bytes that were read */
	struct stat st; /* the file's, as of the bytes that were taken; known after ingest_start() */
	bool changed;	/* it would not hold still */
	uint8_t external[128]; /* region file: a bit for each slot whose stream is in a .mcc file */
	int code;	/* first failure of a job */
	struct err err;
	/* inner */
	size_t pending; /* jobs; guarded by the pool's lock */
	void (*finish)(struct ingest_file *f, struct coder *c, struct err *e);
	void (*release)(struct ingest_file *f); /* frees state; once, by the last job */
	void *state;
	uint8_t inline_data[INLINE_MAX];
};

/* Start taking in the file behind `fd`; `st` is its fstat of just now, `old` its content in the
 * older snapshot or NULL, `name` its base name. Jobs may go on after the return. */
int ingest_start(struct ingest *in, struct ingest_file *f, int fd, const char *name,
	const struct stat *st, const struct content *old, struct err *e) MUST_CHECK;
/* Wait until all of it is stored; the result of the whole. */
int ingest_wait(struct ingest_file *f, struct err *e) MUST_CHECK;
bool ingest_is_done(struct ingest_file *f);

/* ---- shared by the kinds ---- */

/* Wait until `bytes` more of files in memory are within bounds, and count them. */
void ingest_hold(struct ingest *in, size_t bytes);
void ingest_release(struct ingest *in, size_t bytes);
/* Jobs are about to be submitted: keeps `finish` from running until the matching
 * ingest_job_done(f, first coder, 0, NULL) of the caller. */
void ingest_open(struct ingest_file *f);
/* Submit a job that belongs to the file; `bytes` for the pool's budget. */
void ingest_submit(struct ingest_file *f, pool_fn fn, void *job, size_t bytes);
/* At the end of a job: record its failure, and run `finish` when it was the last. */
void ingest_job_done(struct ingest_file *f, struct coder *c, int code, const struct err *e);
/* True when a stat differs in what tells a change. */
bool ingest_stat_differs(const struct stat *a, const struct stat *b);

/* region_ingest.c. *ret_taken false: this is no region file after all, nothing was done. */
int region_ingest_start(struct ingest_file *f, int fd, const char *name, const struct stat *st,
	const struct content *old, bool *ret_taken, struct err *e) MUST_CHECK;
/* piece_ingest.c */
int piece_ingest_start(struct ingest_file *f, int fd, const char *name, const struct stat *st,
	const struct content *old, struct err *e) MUST_CHECK;

#endif
