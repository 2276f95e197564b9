#include "engine/snapshot/resolve.h"

#include <string.h>

int resolve_path(struct store *s, struct coder *c, const struct snapshot *sn, const char *path,
	struct entry *ret, struct plain **ret_hold, struct err *e)
{
	const char *all = path;
	*ret = (struct entry){.type = NODE_DIR, .mode = 0755, .nlink = 1, .content = sn->root,
		.mtime = sn->begin, .ctime = sn->begin};
	*ret_hold = NULL;
	for (;;) {
		while (*path == '/')
			path++;
		if (!*path)
			return 0;
		size_t n = strcspn(path, "/");
		struct content dir = ret->content;
		struct plain *hold = *ret_hold;
		*ret_hold = NULL;
		int r = ret->type != NODE_DIR
				? err_set(e, E_NOTFOUND, 0, "not a directory")
				: tree_lookup(s, c, &dir, span_of(path, n), ret, ret_hold, e);
		plain_unref(hold);
		if (r == E_NOTFOUND)
			return err_set(e, r, 0, "there is no '%.*s' in snapshot %s",
				(int)(path - all + (ptrdiff_t)n), all, sn->name);
		if (r < 0)
			return r;
		path += n;
	}
}
