/* object_dir_internal.h - a local directory as a place for objects: what its files share. */
#ifndef MCFS_OBJECT_OBJECT_DIR_INTERNAL_H
#define MCFS_OBJECT_OBJECT_DIR_INTERNAL_H

#include <pthread.h>

#include "engine/object/object.h"

/* Paths of directories below the place; there are few hundreds. */
struct dir_names {
	char **v;
	size_t n;
};
bool dir_names_has(const struct dir_names *d, const char *path);
/* Once. */
int dir_names_add(struct dir_names *d, const char *path, struct err *e) MUST_CHECK;
void dir_names_free(struct dir_names *d);

struct dir_place {
	struct object_place base;
	int fd;
	dev_t dev; /* of the directory itself */
	ino_t ino;
	char *path;
	pthread_mutex_t m;	 /* guards what follows */
	struct dir_names synced; /* directories whose names are durable for all we know */
};

static inline struct dir_place *place_of(struct object_place *p)
{
	return (struct dir_place *)p;
}

/* A file in tmp/. */
struct dir_writer {
	struct object_writer base;
	int fd;
	uint64_t size;
	char tmp[32];
};
int dir_begin(struct object_place *p, struct object_writer **ret, struct err *e) MUST_CHECK;
int dir_append(struct object_writer *w, struct span s, struct err *e) MUST_CHECK;
/* Also of one that has its name already. */
void dir_abort(struct object_writer *w);

/* Make the directories that a key needs ("packs/ab"); `durable`: their names survive a power cut. */
int dir_make_parent(struct dir_place *d, const char *key, bool durable, struct err *e) MUST_CHECK;
int dir_put_all(struct object_place *p, const struct object_content *v, size_t n, struct err *e) MUST_CHECK;
int dir_remove_all(struct object_place *p, const char *const *keys, size_t n, struct err *e) MUST_CHECK;

#endif
