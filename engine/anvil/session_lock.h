/* session_lock.h - is a world in use, and keeping servers out while we write into it.
 *
 * Since 1.16 the game holds a POSIX record lock on WORLD/session.lock as long as it runs; older ones
 * only write a time stamp into the file. So:
 *   - The lock is asked for with F_OFD_GETLK and taken as an open-file-description write lock: it
 *     conflicts with Java's lock both ways, and closing another descriptor of the file in this
 *     process does not drop it, as it would a POSIX lock. flock() would see nothing.
 *   - The file's contents are never written: in an old world a server that runs would stop when its
 *     time stamp changes.
 *   - A file that is missing is made, empty, with owner and permissions of the world's folder, and
 *     never removed: without a file there is nothing to keep a server out with that starts while we
 *     write, and a removed file might be one that a server has just opened. Every server makes
 *     or overwrites it at its start. Only asking never makes it.
 *   - Servers before 1.16, and those of others, hold no lock. A process that has a region file of
 *     the world open for writing (/proc/PID/fd, by device and inode, so in containers as well) counts
 *     as one that uses the world. Processes we may not look into cannot be seen; that is all that
 *     can be known about them.
 * Split worlds (world, world_nether, ..) have a file each: each folder is locked for itself.
 * The lock does not reach across NFS and 9p mounts of other machines.
 * Source: the game's DirectoryLock; shared notes 3.5; fcntl(2). */
#ifndef MCFS_ANVIL_SESSION_LOCK_H
#define MCFS_ANVIL_SESSION_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

#include "engine/base/err.h"

struct session_lock; /* we hold it */

struct session_user {
	pid_t pid;     /* 0: unknown, such as one in another container */
	bool has_lock; /* false: it has region files open, without a lock */
	bool by_file;  /* the lock belongs to an open file, not to a process: most likely another mcfs */
	char name[32]; /* of the program, "" when unknown */
};

/* *ret_used: does anybody else use the world now? *ret_user (may be NULL) tells who. Our own
 * locks count as others': ask only while not holding it. E_IO, E_NOMEM. */
int session_lock_test(const char *world, bool *ret_used, struct session_user *ret_user,
	struct err *e) MUST_CHECK;

/* E_LOCKED when somebody else uses the folder's world (the message says who); 0 when not, and for a
 * folder that holds no world. Nobody is kept out afterwards. E_IO, E_NOMEM. */
int session_lock_unused(const char *folder, struct err *e) MUST_CHECK;
/* The same of the folder and of all above it. What does not exist is no world. */
int session_lock_unused_above(const char *folder, struct err *e) MUST_CHECK;

/* Take it without waiting. E_LOCKED when the world is in use (the message says by whom), E_NOTFOUND
 * when `world` does not exist. Never leaves a lock behind after failure. */
int session_lock_take(struct session_lock **ret, const char *world, struct err *e) MUST_CHECK;
/* NULL is fine. Also released when the process dies. */
void session_lock_release(struct session_lock *l);

#endif
