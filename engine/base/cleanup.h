/* cleanup.h - release of locals on every way out of a function.
 *
 * Always initialise at the declaration. Every cleanup keeps errno. A file that was written is
 * closed and checked by hand; the cleanup of its descriptor is only the way out after an error. */
#ifndef MCFS_BASE_CLEANUP_H
#define MCFS_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/buf.h"

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fdp(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
}

static inline void cleanup_dirp(DIR **d)
{
	if (*d) {
		int saved = errno;
		closedir(*d);
		errno = saved;
	}
}

static inline void cleanup_unlockp(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

#define CLEANUP_FREE __attribute__((cleanup(cleanup_freep)))
#define CLEANUP_FD __attribute__((cleanup(cleanup_fdp)))
#define CLEANUP_DIR __attribute__((cleanup(cleanup_dirp)))
#define CLEANUP_BUF __attribute__((cleanup(buf_free)))
/* Hold a mutex until the end of the block. */
#define LOCK_SCOPE(m)                                                                              \
	__attribute__((cleanup(cleanup_unlockp), unused)) pthread_mutex_t *lock_scope_ = (m);      \
	pthread_mutex_lock(lock_scope_)

/* Hand a value over: the variable no longer owns it. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) take_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_;                                                                             \
	})
static inline int take_fd(int *fd)
{
	int f = *fd;
	*fd = -1;
	return f;
}
static inline struct buf take_buf(struct buf *b)
{
	struct buf r = *b;
	*b = BUF_INIT;
	return r;
}

#endif
