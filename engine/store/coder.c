#include "engine/store/coder.h"

int coder_init(struct coder *c, struct err *e)
{
	*c = (struct coder){0};
	int r = zs_new(&c->zs, e);
	if (r == 0)
		r = restreamer_new(&c->rs, e);
	if (r < 0)
		coder_free(c);
	return r;
}

void coder_free(struct coder *c)
{
	zs_free(c->zs);
	restreamer_free(c->rs);
	buf_free(&c->packed);
	buf_free(&c->sealed);
	buf_free(&c->canon);
	*c = (struct coder){0};
}
