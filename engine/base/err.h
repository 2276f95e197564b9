/* err.h - how every function of the engine reports failure.
 *
 * A function that can fail returns 0 or one of the negative codes below and takes a `struct err *`
 * as its last argument. The struct belongs to the caller, needs no memory of its own and so works
 * when memory has run out. It may be NULL: then only the code is told, and not even that by a
 * function that wraps (E_IO): who looks at codes gives a struct.
 *
 * Where a failure is detected: `return err_set(e, E_IO, errno, "read '%s'", path);`
 * On the way up, to say what was being done: `return err_wrap(e, "snapshot %s", name);`
 * The result reads from the outside in: "snapshot x: pack y: read 'z': No space left on device".
 *
 * Only tools/ and fs/ print. The engine never prints, exits or aborts on data or lack of memory. */
#ifndef MCFS_BASE_ERR_H
#define MCFS_BASE_ERR_H

enum err_code {
	E_OK = 0,
	E_IO = -1,	    /* the system refused an operation; sys holds errno      exit 1,  EIO    */
	E_NOMEM = -2,	    /* no memory                                             exit 1,  ENOMEM */
	E_NOSPACE = -3,	    /* disk full or quota used up                            exit 1,  ENOSPC */
	E_NOTFOUND = -4,    /* what was named does not exist                         exit 1,  ENOENT */
	E_EXISTS = -5,	    /* what should be made exists already                    exit 1,  EEXIST */
	E_USAGE = -6,	    /* the caller's words make no sense                      exit 2,  EINVAL */
	E_CORRUPT = -7,	    /* an object of the store is damaged or was tampered with exit 12, EIO   */
	E_AUTH = -8,	    /* wrong passphrase or key, or none at hand              exit 11, EACCES */
	E_FORMAT = -9,	    /* bytes are not of the format they were taken for       exit 1,  EIO    */
	E_LOCKED = -10,	    /* somebody else holds it                                exit 10, EBUSY  */
	E_CANCELLED = -11,  /* the user interrupted                                  exit 130, EINTR */
	E_CHANGED = -12,    /* a file would not hold still while it was read         exit 3,  EIO    */
	E_UNSUPPORTED = -13, /* valid, but this version cannot do it                 exit 1,  ENOTSUP*/
	E_LOST = -14	    /* check --repair had to give it up, and it is known     exit 3,  EIO    */
};

struct err {
	int code;      /* enum err_code */
	int sys;       /* errno where it says more, else 0 */
	char msg[600]; /* one line, no full stop; never empty after a failure */
};

#define ERR_INIT ((struct err){0})

/* Record a failure and return `code`. `sys` is an errno or 0; its text is appended. ENOSPC, EDQUOT
 * and ENOMEM turn E_IO into E_NOSPACE and E_NOMEM; ENOENT into E_NOTFOUND. */
int err_set(struct err *e, int code, int sys, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Hand a failure on that was kept apart until it was clear that it is one, and return its code. */
int err_pass(struct err *e, const struct err *own);

/* Put "context: " in front of the message and return the code that is already there; E_IO when `e` is
 * NULL. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The short name of a code ("E_IO" -> "io"), for machines. */
const char *err_name(int code);

#define MUST_CHECK __attribute__((warn_unused_result))

#endif
