#include "engine/codec/png.h"

#include <spng.h>
#include <stdlib.h>

#define SIDE_MAX 65535u

int png_encode(struct span rgb, uint32_t width, uint32_t height, struct buf *out, struct err *e)
{
	struct spng_ihdr head = {.width = width, .height = height, .bit_depth = 8,
		.color_type = SPNG_COLOR_TYPE_TRUECOLOR};
	if (width == 0 || height == 0 || width > SIDE_MAX || height > SIDE_MAX ||
		rgb.n != (size_t)width * height * 3)
		return err_set(e, E_USAGE, 0, "a picture of %u x %u pixels cannot be", width, height);
	spng_ctx *c = spng_ctx_new(SPNG_CTX_ENCODER);
	if (!c)
		return err_set(e, E_NOMEM, 0, "no memory for a picture");
	size_t n = 0;
	void *png = NULL;
	int s = spng_set_option(c, SPNG_ENCODE_TO_BUFFER, 1);
	if (s == 0)
		s = spng_set_ihdr(c, &head);
	if (s == 0)
		s = spng_encode_image(c, rgb.p, rgb.n, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
	if (s == 0)
		png = spng_get_png_buffer(c, &n, &s);
	spng_ctx_free(c);
	int r = png ? buf_add(out, png, n, e)
		    : err_set(e, E_NOMEM, 0, "cannot make a picture: %s", spng_strerror(s));
	free(png);
	return r;
}
