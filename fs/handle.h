/* handle.h - what is kept for an open file or directory. Only mounts of live worlds have any: the
 * others refuse OPEN for good, and are faster for it. Only for fs/. */
#ifndef MCFS_FS_HANDLE_H
#define MCFS_FS_HANDLE_H

#include "fs/fs.h"

struct judged;
struct writing;
struct handle {
	int fd;		      /* a live file, or -1 */
	struct piece *piece;  /* what a live chunk was when it was opened */
	struct piece *names;  /* of a live directory: sorted, each with its NUL */
	struct judged *judged; /* what the rules said when prunable/ was listed */
	struct writing *writing; /* open for writing */
	bool direct;	      /* not through the kernel's cache */
	bool keep;	      /* what the kernel has of it stays true */
};

struct handle *handle_new(void); /* NULL without memory */
void handle_free(struct handle *h);

#endif
