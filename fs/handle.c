#include "fs/handle.h"

#include <stdlib.h>
#include <unistd.h>

#include "fs/pruneview.h"

struct handle *handle_new(void)
{
	struct handle *h = calloc(1, sizeof *h);
	if (h)
		h->fd = -1;
	return h;
}

void handle_free(struct handle *h)
{
	if (!h)
		return;
	if (h->fd >= 0)
		close(h->fd); /* only read */
	piece_unref(h->piece);
	piece_unref(h->names);
	judged_unref(h->judged);
	free(h);
}
