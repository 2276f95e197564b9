/* map_paint.c - pixels of a planned map. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/prune/map_internal.h"

#define MARGIN 4
#define LINE (FONT_HEIGHT + 4)
#define LEAST_WIDTH 320 /* for the legend's longest lines */
#define BOX 7		/* of a legend's colour */

static const uint8_t background[3] = {22, 24, 28}, paper[3] = {38, 41, 47}, ink[3] = {225, 225, 225};

void map_image_free(struct map_image *m)
{
	free(m->rgb);
	*m = (struct map_image){0};
}

/* What part of a dimension has chunks, and how it is scaled. */
struct frame {
	int64_t x1, z1, x2, z2; /* chunks, both ends included; x2 < x1: there are none */
	unsigned scale;		/* chunks a pixel's side */
	unsigned zoom;		/* pixels a chunk's side, where scale is 1 */
	uint32_t width, height; /* pixels */
};

static void widen(struct frame *f, int64_t x, int64_t z)
{
	if (f->x2 < f->x1) {
		f->x1 = f->x2 = x;
		f->z1 = f->z2 = z;
	}
	f->x1 = x < f->x1 ? x : f->x1;
	f->x2 = x > f->x2 ? x : f->x2;
	f->z1 = z < f->z1 ? z : f->z1;
	f->z2 = z > f->z2 ? z : f->z2;
}

static struct frame frame_of(const struct map_plan *p, const struct map_dim *d)
{
	struct frame f = {.x2 = -1, .scale = 1, .zoom = p->zoom ? p->zoom : 1};
	for (size_t i = 0; i < d->n; i++)
		for (int k = 0; k < REGION_SLOTS; k++)
			if (p->kind_of[d->regions[i].v[k]])
				widen(&f, (int64_t)d->regions[i].x * 32 + k % 32,
					(int64_t)d->regions[i].z * 32 + k / 32);
	if (f.x2 < f.x1)
		return f;
	int64_t w = f.x2 - f.x1 + 1, h = f.z2 - f.z1 + 1, side = w > h ? w : h;
	while (side * f.zoom > MAP_SIDE_MAX && f.zoom > 1)
		f.zoom--;
	f.scale = (unsigned)((side + MAP_SIDE_MAX - 1) / MAP_SIDE_MAX);
	f.width = (uint32_t)((w + f.scale - 1) / f.scale * f.zoom);
	f.height = (uint32_t)((h + f.scale - 1) / f.scale * f.zoom);
	return f;
}

static void fill(struct map_image *m, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
	const uint8_t rgb[3])
{
	for (uint32_t row = y; row < y + h && row < m->height; row++)
		for (uint32_t col = x; col < x + w && col < m->width; col++)
			memcpy(m->rgb + 3 * ((size_t)row * m->width + col), rgb, 3);
}

static void paint_chunk(struct map_plan *p, struct map_image *m, const struct frame *f, uint8_t *rank,
	uint32_t top, int64_t x, int64_t z, uint8_t kind)
{
	struct map_kind *k = &p->kinds[kind];
	uint32_t px = (uint32_t)((x - f->x1) / f->scale), pz = (uint32_t)((z - f->z1) / f->scale);
	uint8_t rgb[3] = {k->r, k->g, k->b};
	k->count++;
	if (f->scale > 1) {
		uint8_t *at = &rank[(size_t)pz * f->width + px];
		if (*at > k->rank)
			return;
		*at = k->rank;
	}
	fill(m, MARGIN + px * f->zoom, top + pz * f->zoom, f->zoom, f->zoom, rgb);
}

static int paint_dim(struct map_plan *p, const struct map_dim *d, const struct frame *f,
	struct map_image *m, uint32_t top, struct err *e)
{
	char title[200];
	uint8_t *rank = NULL;
	if (f->width == 0)
		snprintf(title, sizeof title, "%.60s: no chunks", d->label);
	else
		snprintf(title, sizeof title, "%.60s  X %lld..%lld  Z %lld..%lld", d->label,
			(long long)f->x1, (long long)f->x2, (long long)f->z1, (long long)f->z2);
	map_text(m, MARGIN, top, title, ink);
	top += LINE;
	fill(m, MARGIN, top, f->width, f->height, background);
	if (f->scale > 1) {
		rank = calloc(f->width, f->height);
		if (!rank)
			return err_set(e, E_NOMEM, 0, "no memory for a map");
	}
	for (size_t i = 0; i < d->n; i++)
		for (int k = 0; k < REGION_SLOTS; k++) {
			uint8_t kind = p->kind_of[d->regions[i].v[k]];
			if (kind)
				paint_chunk(p, m, f, rank, top, (int64_t)d->regions[i].x * 32 + k % 32,
					(int64_t)d->regions[i].z * 32 + k / 32, kind);
		}
	free(rank);
	return 0;
}

static bool in_legend(const struct map_kind *k)
{
	return k->label && k->count;
}

static void paint_legend(const struct map_plan *p, struct map_image *m, uint32_t top)
{
	char line[200];
	for (size_t i = 1; i < p->n_kinds; i++) {
		const struct map_kind *k = &p->kinds[i];
		uint8_t rgb[3] = {k->r, k->g, k->b};
		if (!in_legend(k))
			continue;
		fill(m, MARGIN, top, BOX, BOX, rgb);
		snprintf(line, sizeof line, "%llu  %.120s", (unsigned long long)k->count, k->label);
		map_text(m, MARGIN + BOX + 4, top, line, ink);
		top += LINE;
	}
}

/* How often each kind will be seen, to know the legend's height. */
static void count_kinds(struct map_plan *p)
{
	for (size_t d = 0; d < p->n_dims; d++)
		for (size_t i = 0; i < p->dims[d].n; i++)
			for (int k = 0; k < REGION_SLOTS; k++)
				p->kinds[p->kind_of[p->dims[d].regions[i].v[k]]].count++;
}

static int paint(struct map_plan *p, const struct frame *f, struct map_image *m, struct err *e)
{
	uint64_t width = LEAST_WIDTH, height = MARGIN;
	size_t longest = 0;
	count_kinds(p);
	for (size_t d = 0; d < p->n_dims; d++) {
		width = f[d].width + 2 * MARGIN > width ? f[d].width + 2 * MARGIN : width;
		height += LINE + f[d].height + MARGIN;
	}
	for (size_t i = 1; i < p->n_kinds; i++)
		if (in_legend(&p->kinds[i])) {
			height += LINE;
			size_t n = strlen(p->kinds[i].label);
			longest = n > longest ? n : longest;
		}
	longest = (longest < 120 ? longest : 120) + 14; /* and a count */
	if (longest * FONT_WIDTH + BOX + 2 * MARGIN > width)
		width = longest * FONT_WIDTH + BOX + 2 * MARGIN;
	for (size_t i = 0; i < p->n_kinds; i++)
		p->kinds[i].count = 0;
	if (height > 65535)
		return err_set(e, E_USAGE, 0,
			"the map would be %llu pixels high: choose one dimension",
			(unsigned long long)height);
	m->rgb = malloc((size_t)width * height * 3);
	if (!m->rgb)
		return err_set(e, E_NOMEM, 0, "no memory for a map");
	m->width = (uint32_t)width;
	m->height = (uint32_t)height;
	fill(m, 0, 0, m->width, m->height, paper);
	uint32_t top = MARGIN;
	for (size_t d = 0; d < p->n_dims; d++) {
		int r = paint_dim(p, &p->dims[d], &f[d], m, top, e);
		if (r < 0)
			return r;
		top += LINE + f[d].height + MARGIN;
	}
	paint_legend(p, m, top);
	return 0;
}

int map_paint(struct map_plan *p, struct map_image *ret, struct err *e)
{
	*ret = (struct map_image){0};
	struct frame *f = calloc(p->n_dims + 1, sizeof *f);
	if (!f)
		return err_set(e, E_NOMEM, 0, "no memory for a map");
	for (size_t d = 0; d < p->n_dims; d++)
		f[d] = frame_of(p, &p->dims[d]);
	int r = paint(p, f, ret, e);
	free(f);
	if (r < 0)
		map_image_free(ret);
	return r;
}
