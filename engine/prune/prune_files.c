/* prune_files.c - the three region files of one region: reading chunks out of them, emptying slots. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/prune/prune_internal.h"

int region_files_open(struct prune *p, const char *folder, int32_t rx, int32_t rz, bool write,
	struct region_files *f, struct err *e)
{
	int r = 0;
	*f = (struct region_files){.rx = rx, .rz = rz};
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
		CLEANUP_FREE char *path = NULL;
		if (asprintf(&path, "%s%s%s/%s", p->world, *folder ? "/" : "", folder,
			    source_kind_name[k]) < 0) {
			path = NULL;
			r = prune_no_memory(e);
			break;
		}
		r = region_folder_open(&f->folder[k], path, false, e);
		if (r == 0)
			r = region_edit_open(&f->edit[k], &f->folder[k], rx, rz, write, e);
		if (r == E_NOTFOUND)
			r = 0; /* older worlds have no entities or poi; not every region has all */
	}
	if (r < 0)
		region_files_close(f);
	return r;
}

void region_files_close(struct region_files *f)
{
	for (int k = 0; k < SOURCE_KINDS; k++) {
		region_edit_close(f->edit[k]);
		f->edit[k] = NULL;
		region_folder_close(&f->folder[k]);
	}
}

int region_files_read(struct region_files *f, unsigned slot, struct chunk_parts *ret, struct err *e)
{
	int r = 0;
	*ret = (struct chunk_parts){0};
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		if (f->edit[k])
			r = region_edit_read(f->edit[k], slot, &ret->part[k], e);
	if (r < 0)
		chunk_parts_free(ret);
	return r;
}

static int open_or_make_folder(struct prune *p, struct region_files *f, int kind, const char *folder,
	struct err *e)
{
	CLEANUP_FREE char *above = NULL, *path = NULL;
	if (f->folder[kind].path)
		return 0;
	if (asprintf(&above, "%s%s%s", p->world, *folder ? "/" : "", folder) < 0) {
		above = NULL;
		return prune_no_memory(e);
	}
	if (asprintf(&path, "%s/%s", above, source_kind_name[kind]) < 0) {
		path = NULL;
		return prune_no_memory(e);
	}
	int r = io_mkdirs(above, 0755, e);
	return r < 0 ? r : region_folder_open(&f->folder[kind], path, true, e);
}

int region_files_make(struct prune *p, struct region_files *f, int kind, const char *folder,
	bool *ret_made, struct err *e)
{
	CLEANUP_FREE struct gone_file *g = calloc(1, sizeof *g);
	*ret_made = false;
	if (f->edit[kind])
		return 0;
	int r = g ? open_or_make_folder(p, f, kind, folder, e) : prune_no_memory(e);
	if (r == 0) {
		LOCK_SCOPE(&p->trash->m);
		r = trash_find_file(p->trash, folder, (enum source_kind)kind, f->rx, f->rz, g, e);
	}
	if (r < 0)
		return r;
	uint64_t size = g->found && g->st.st_size > 0 ? (uint64_t)g->st.st_size : 0;
	*ret_made = true;
	return region_edit_create(&f->edit[kind], &f->folder[kind], f->rx, f->rz,
		g->found ? g->header : NULL, size, g->found ? &g->st : NULL, e);
}

bool parts_present(const struct chunk_parts *c)
{
	for (int k = 0; k < SOURCE_KINDS; k++)
		if (c->part[k].present)
			return true;
	return false;
}

static bool same_bytes(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

bool part_same(const struct chunk_part *a, const struct chunk_part *b)
{
	if (a->present != b->present)
		return false;
	if (!a->present)
		return true;
	if (a->entry.timestamp != b->entry.timestamp)
		return false;
	if (!a->raw && !b->raw)
		return a->has_mcc == b->has_mcc && same_bytes(&a->record, &b->record) &&
		       same_bytes(&a->mcc, &b->mcc);
	/* Of a damaged one, more or less of what is behind it may be within reach at another place. */
	size_t n = a->record.len < b->record.len ? a->record.len : b->record.len;
	return (n > 0 && memcmp(a->record.p, b->record.p, n) == 0) ||
	       (a->record.len == b->record.len && a->entry.count == b->entry.count);
}

int parts_check(const struct chunk_parts *c, int32_t x, int32_t z, struct err *e)
{
	int r = 0;
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
		if (!c->part[k].present)
			continue;
		r = chunk_part_check(&c->part[k], x, z, e);
		if (r < 0 && k != SOURCE_REGION)
			return err_wrap(e, "%s", source_kind_name[k]);
	}
	return r;
}

/* ---- emptying ---- */

void clearing_add(struct clearing *c, int kind, unsigned slot, const struct region_entry *en)
{
	c->slots[kind][slot] = true;
	c->touched[kind] = true;
	if (c->n[kind] < 2 * REGION_SLOTS)
		c->was[kind][c->n[kind]++] = *en;
}

/* The header as it will be. */
static unsigned header_after(const struct region_edit *r, const bool *slots, uint8_t out[REGION_HEADER])
{
	unsigned left = 0;
	memcpy(out, region_edit_header(r), REGION_HEADER);
	for (unsigned s = 0; s < REGION_SLOTS; s++)
		if (slots[s] && region_edit_has(r, s)) {
			set_be32(out + 4 * s, 0);
			set_be32(out + REGION_SECTOR + 4 * s, 0);
		} else {
			left += region_edit_has(r, s);
		}
	return left;
}

int clearing_note_files(struct prune *p, struct region_files *f, const struct clearing *c,
	const char *folder, int32_t rx, int32_t rz, struct err *e)
{
	int r = 0;
	struct gone_file *g = malloc(sizeof *g), *known = malloc(sizeof *known);
	if (!g || !known)
		r = prune_no_memory(e);
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
		if (!c->touched[k] || !f->edit[k])
			continue;
		g->st = *region_edit_stat(f->edit[k]);
		if (header_after(f->edit[k], c->slots[k], g->header) > 0)
			continue;
		/* After a crash the file may have shrunk to nothing already: what was noted then is
		 * the better knowledge. */
		if (region_edit_count(f->edit[k]) == 0)
			r = trash_find_file(p->trash, folder, (enum source_kind)k, rx, rz, known, e);
		else
			known->found = false;
		if (r == 0 && !known->found)
			r = trash_note_file(p->trash, folder, (enum source_kind)k, rx, rz, g, e);
	}
	free(g);
	free(known);
	return r;
}

static int remove_empty(struct prune *p, struct region_files *f, int k, struct err *e)
{
	int r = region_edit_remove(f->edit[k], e);
	if (r < 0)
		return r;
	p->res->files_removed++;
	p->res->freed_bytes += (uint64_t)region_edit_stat(f->edit[k])->st_blocks * 512;
	region_edit_close(f->edit[k]);
	f->edit[k] = NULL;
	return 0;
}

int clearing_apply(struct prune *p, struct region_files *f, const struct clearing *c, bool do_punch,
	struct err *e)
{
	int r = 0;
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		if (f->edit[k])
			r = region_edit_clear(f->edit[k], c->slots[k], e);
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		if (f->edit[k])
			r = region_edit_unlink_mcc(f->edit[k], c->slots[k], &p->res->freed_bytes,
				e);
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
		if (!f->edit[k] || !c->touched[k])
			continue;
		if (region_edit_count(f->edit[k]) == 0)
			r = remove_empty(p, f, k, e);
		else
			r = region_edit_punch(f->edit[k], c->was[k], c->n[k], do_punch,
				&p->res->freed_bytes, e);
	}
	return r;
}
