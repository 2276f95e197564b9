/* landed.h - what was moved, under the name that rename was given, for the one look that mv(1) takes.
 *
 * What is moved into the trash can lie elsewhere than rename was told: a chunk moved to trash/ is in
 * trash/W/D, a region's folder becomes its chunks. mv asks for the attributes of each thing that it
 * has moved but the last, and it is an error to it when nothing is there. So the first lookup of that
 * name within two seconds finds what was moved, with its number and attributes of before; the next
 * finds nothing. Only for fs/. Threads: all calls may come from any thread. */
#ifndef MCFS_FS_LANDED_H
#define MCFS_FS_LANDED_H

#include "fs/fs.h"

struct landed;
int landed_new(struct landed **ret, struct nodes *nodes, struct err *e) MUST_CHECK;
void landed_free(struct landed *l); /* NULL is fine */

/* The name (in the directory with this inode number) is that of what was found before. */
void landed_note(struct landed *l, uint64_t dir, const char *name, const struct found *was);
/* Once: with a reference to the shelf. NULL is fine: false. */
bool landed_take(struct landed *l, uint64_t dir, const char *name, struct found *ret);

#endif
