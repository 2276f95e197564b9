/* trash_rows.c - rows of the trash, for what changes worlds. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/prune/trash_internal.h"

int trash_begin(struct trash *t, struct err *e)
{
	pthread_mutex_lock(&t->m);
	int r = db_begin(t->db, e);
	if (r < 0)
		pthread_mutex_unlock(&t->m);
	return r;
}

int trash_end(struct trash *t, int r, struct err *e)
{
	if (r < 0)
		db_rollback(t->db);
	else
		r = db_commit(t->db, e);
	pthread_mutex_unlock(&t->m);
	return r;
}

int row_ids_add(struct row_ids *l, int64_t id, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		int64_t *v = realloc(l->v, cap * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a list of chunks");
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = id;
	return 0;
}

void row_ids_free(struct row_ids *l)
{
	free(l->v);
	*l = (struct row_ids){0};
}

void region_key_free(struct region_key *k)
{
	free(k->dimension);
	free(k->folder);
	*k = (struct region_key){0};
}

/* ---- adding ---- */

static int add_part(struct trash *t, int64_t id, int kind, const struct chunk_part *p,
	bool payload, struct err *e)
{
	struct db_stmt *s;
	uint8_t sum[DIGEST_BYTES], mcc_sum[DIGEST_BYTES];
	int r = db_sql(t->db, &s,
		"INSERT OR REPLACE INTO part(chunk, kind, sector, count, stamp, raw, sum, mcc_sum, "
		"record, mcc) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)", e);
	if (r < 0)
		return r;
	digest_of(buf_span(&p->record), sum);
	db_bind_int(s, 1, id);
	db_bind_int(s, 2, kind);
	db_bind_int(s, 3, p->entry.sector);
	db_bind_int(s, 4, p->entry.count);
	db_bind_int(s, 5, p->entry.timestamp);
	db_bind_int(s, 6, p->raw);
	db_bind_blob(s, 7, span_of(sum, sizeof sum));
	if (p->has_mcc) {
		digest_of(buf_span(&p->mcc), mcc_sum);
		db_bind_blob(s, 8, span_of(mcc_sum, sizeof mcc_sum));
	}
	if (payload)
		db_bind_blob(s, 9, buf_span(&p->record));
	if (payload && p->has_mcc)
		db_bind_blob(s, 10, buf_span(&p->mcc));
	return db_run(s, e);
}

static int add_parts(struct trash *t, int64_t id, const struct chunk_parts *parts, bool payload,
	struct err *e)
{
	int r = 0;
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		if (parts->part[k].present)
			r = add_part(t, id, k, &parts->part[k], payload, e);
	return r;
}

static uint64_t bytes_of(const struct chunk_parts *parts)
{
	uint64_t n = 0;
	for (int k = 0; k < SOURCE_KINDS; k++)
		if (parts->part[k].present)
			n += parts->part[k].record.len + parts->part[k].mcc.len;
	return n;
}

static uint32_t stamp_of(const struct chunk_parts *parts)
{
	for (int k = 0; k < SOURCE_KINDS; k++)
		if (parts->part[k].present)
			return parts->part[k].entry.timestamp;
	return 0;
}

int trash_add(struct trash *t, const struct new_item *it, const struct chunk_parts *parts,
	int64_t *ret_id, struct err *e)
{
	struct db_stmt *s;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int r = db_sql(t->db, &s,
		"INSERT INTO chunk(dim, folder, x, z, rx, rz, state, when_s, when_ns, why, who, "
		"bytes, stamp, flags) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, "
		"?14)", e);
	if (r < 0)
		return r;
	db_bind_text(s, 1, it->dimension);
	db_bind_text(s, 2, it->folder);
	db_bind_int(s, 3, it->x);
	db_bind_int(s, 4, it->z);
	db_bind_int(s, 5, it->x >> 5);
	db_bind_int(s, 6, it->z >> 5);
	db_bind_int(s, 7, it->state);
	db_bind_int(s, 8, now.tv_sec);
	db_bind_int(s, 9, now.tv_nsec);
	db_bind_text(s, 10, it->why);
	db_bind_text(s, 11, it->who);
	db_bind_int(s, 12, (int64_t)bytes_of(parts));
	db_bind_int(s, 13, stamp_of(parts));
	db_bind_int(s, 14, it->flags);
	r = db_run(s, e);
	if (r < 0)
		return r;
	*ret_id = db_last_id(t->db);
	return add_parts(t, *ret_id, parts, it->state != TRASH_PRUNE_WAITS, e);
}

int trash_fill(struct trash *t, int64_t id, const struct chunk_parts *parts, struct err *e)
{
	int r = add_parts(t, id, parts, true, e);
	return r < 0 ? r : trash_set_state(t, id, TRASH_PRUNING, e);
}

/* ---- changing ---- */

static int run_on(struct trash *t, const char *sql, int64_t id, int64_t v, struct err *e)
{
	struct db_stmt *s;
	int r = db_sql(t->db, &s, sql, e);
	if (r < 0)
		return r;
	db_bind_int(s, 1, id);
	if (v >= 0)
		db_bind_int(s, 2, v);
	return db_run(s, e);
}

int trash_set_state(struct trash *t, int64_t id, enum trash_state state, struct err *e)
{
	/* Once it is in the trash, or about to be in the world, nothing is left to be replaced by it. */
	return run_on(t, "UPDATE chunk SET state = ?2, flags = CASE WHEN ?2 = 3 THEN flags & ~2 ELSE "
			 "flags END WHERE id = ?1", id, state, e);
}

int trash_set_replace(struct trash *t, int64_t id, struct err *e)
{
	return run_on(t, "UPDATE chunk SET flags = flags | 2 WHERE id = ?1", id, -1, e);
}

int trash_set_folder(struct trash *t, int64_t id, const char *folder, struct err *e)
{
	struct db_stmt *s;
	int r = db_sql(t->db, &s, "UPDATE chunk SET folder = ?2 WHERE id = ?1 AND folder <> ?2", e);
	if (r < 0)
		return r;
	db_bind_int(s, 1, id);
	db_bind_text(s, 2, folder);
	return db_run(s, e);
}

int trash_delete(struct trash *t, int64_t id, struct err *e)
{
	return run_on(t, "DELETE FROM chunk WHERE id = ?1", id, -1, e);
}

int trash_drop_waiting(struct trash *t, const char *dimension, int32_t x, int32_t z,
	uint64_t *ret_prune, uint64_t *ret_restore, struct err *e)
{
	static const char *const sql[2] = {
		"DELETE FROM chunk WHERE dim = ?1 AND x = ?2 AND z = ?3 AND state = 1",
		"UPDATE chunk SET state = 3, flags = flags & ~2 "
		"WHERE dim = ?1 AND x = ?2 AND z = ?3 AND state = 4"};
	uint64_t n[2] = {0, 0};
	for (int i = 0; i < 2; i++) {
		struct db_stmt *s;
		int r = db_sql(t->db, &s, sql[i], e);
		if (r < 0)
			return r;
		db_bind_text(s, 1, dimension);
		db_bind_int(s, 2, x);
		db_bind_int(s, 3, z);
		r = db_run(s, e);
		if (r < 0)
			return r;
		n[i] = (uint64_t)db_n_changed(t->db);
	}
	*ret_prune = n[0];
	*ret_restore = n[1];
	return 0;
}

int trash_drop_copies(struct trash *t, const char *dimension, int32_t x, int32_t z, struct err *e)
{
	struct db_stmt *s;
	int r = db_sql(t->db, &s,
		"DELETE FROM chunk WHERE dim = ?1 AND x = ?2 AND z = ?3 AND state = 4 AND flags & 4", e);
	if (r < 0)
		return r;
	db_bind_text(s, 1, dimension);
	db_bind_int(s, 2, x);
	db_bind_int(s, 3, z);
	return db_run(s, e);
}

/* ---- reading ---- */

int trash_load_item(struct trash *t, int64_t id, struct trash_item *ret, struct err *e)
{
	struct db_stmt *s;
	*ret = (struct trash_item){0};
	int r = db_sql(t->db, &s, "SELECT " CHUNK_COLUMNS " FROM chunk WHERE id = ?1", e);
	if (r < 0)
		return r;
	db_bind_int(s, 1, id);
	r = db_step(s, e);
	if (r == 1)
		r = trash_read_item(s, ret, e);
	else if (r == 0)
		r = err_set(e, E_NOTFOUND, 0, "there is no item %lld in the trash", (long long)id);
	db_reset(s);
	return r;
}

static int take_blob(struct buf *b, struct span s, struct err *e)
{
	return buf_add(b, s.p, s.n, e);
}

static bool same_digest(struct span want, const struct buf *b)
{
	uint8_t sum[DIGEST_BYTES];
	digest_of(buf_span(b), sum);
	return want.n == sizeof sum && memcmp(want.p, sum, sizeof sum) == 0;
}

/* What the disk has done to it must not get into a world. */
static bool is_whole(struct db_stmt *s, const struct chunk_part *p)
{
	return same_digest(db_blob(s, 7), &p->record) &&
	       (!p->has_mcc || same_digest(db_blob(s, 8), &p->mcc));
}

/* A row of kind, sector, count, stamp, raw, record, mcc, sum, mcc_sum. */
static int read_part(struct trash *t, struct db_stmt *s, int64_t id, struct chunk_part *p,
	struct err *e)
{
	if (db_is_null(s, 5))
		return err_set(e, E_CORRUPT, 0, "trash '%s': item %lld is damaged", t->path,
			(long long)id);
	p->present = true;
	p->entry = (struct region_entry){(uint32_t)db_int(s, 1), (uint32_t)db_int(s, 2),
		(uint32_t)db_int(s, 3)};
	p->raw = db_int(s, 4);
	p->has_mcc = !db_is_null(s, 6);
	int r = take_blob(&p->record, db_blob(s, 5), e);
	if (r == 0 && p->has_mcc)
		r = take_blob(&p->mcc, db_blob(s, 6), e);
	if (r == 0 && !is_whole(s, p))
		r = err_set(e, E_CORRUPT, 0, "trash '%s': the bytes of item %lld are not what they were",
			t->path, (long long)id);
	return r;
}

int trash_load(struct trash *t, int64_t id, struct chunk_parts *ret, struct err *e)
{
	int r = 0;
	*ret = (struct chunk_parts){0};
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		r = trash_load_part(t, id, k, &ret->part[k], e);
	if (r < 0)
		chunk_parts_free(ret);
	return r;
}

int trash_load_part(struct trash *t, int64_t id, int kind, struct chunk_part *ret, struct err *e)
{
	struct db_stmt *s;
	*ret = (struct chunk_part){0};
	int r = db_sql(t->db, &s,
		"SELECT kind, sector, count, stamp, raw, record, mcc, sum, mcc_sum FROM part WHERE "
		"chunk = ?1 AND kind = ?2", e);
	if (r < 0)
		return r;
	db_bind_int(s, 1, id);
	db_bind_int(s, 2, kind);
	r = db_step(s, e);
	if (r == 1)
		r = read_part(t, s, id, ret, e);
	db_reset(s);
	if (r < 0)
		chunk_part_free(ret);
	return r;
}

static bool row_matches(struct db_stmt *s, const struct chunk_part *p)
{
	if (!p->present || db_int(s, 1) != p->entry.sector || db_int(s, 2) != p->entry.count ||
		db_int(s, 3) != p->entry.timestamp || db_int(s, 4) != p->raw ||
		db_is_null(s, 6) == p->has_mcc)
		return false;
	return same_digest(db_blob(s, 5), &p->record) &&
	       (!p->has_mcc || same_digest(db_blob(s, 6), &p->mcc));
}

int trash_matches(struct trash *t, int64_t id, const struct chunk_parts *parts, bool *ret,
	struct err *e)
{
	struct db_stmt *s;
	int n = 0, r = db_sql(t->db, &s,
		"SELECT kind, sector, count, stamp, raw, sum, mcc_sum FROM part WHERE chunk = ?1", e);
	*ret = true;
	if (r < 0)
		return r;
	for (int k = 0; k < SOURCE_KINDS; k++)
		n += parts->part[k].present;
	db_bind_int(s, 1, id);
	while ((r = db_step(s, e)) == 1) {
		int64_t kind = db_int(s, 0);
		if (kind < 0 || kind >= SOURCE_KINDS || !row_matches(s, &parts->part[kind]))
			*ret = false;
		n--;
	}
	/* A part that came since is a change as well. */
	*ret = *ret && n == 0;
	return r;
}

/* ---- lists ---- */

int trash_first_region(struct trash *t, enum trash_state state, const struct region_key *after,
	struct region_key *ret, struct row_ids *ids, struct err *e)
{
	struct db_stmt *s;
	*ret = (struct region_key){0};
	ids->n = 0;
	int r = db_sql(t->db, &s,
		"SELECT dim, folder, rx, rz FROM chunk WHERE state = ?1 AND "
		"(?2 IS NULL OR (folder, rx, rz) > (?2, ?3, ?4)) "
		"ORDER BY state, folder, rx, rz LIMIT 1", e);
	if (r < 0)
		return r;
	db_bind_int(s, 1, state);
	db_bind_text(s, 2, after->folder);
	db_bind_int(s, 3, after->rx);
	db_bind_int(s, 4, after->rz);
	r = db_step(s, e);
	if (r != 1)
		return r;
	const char *dim = db_text(s, 0), *folder = db_text(s, 1);
	ret->dimension = strdup(dim ? dim : "");
	ret->folder = strdup(folder ? folder : "");
	ret->rx = (int32_t)db_int(s, 2);
	ret->rz = (int32_t)db_int(s, 3);
	db_reset(s);
	if (!ret->dimension || !ret->folder)
		return err_set(e, E_NOMEM, 0, "no memory for the trash");
	r = db_sql(t->db, &s,
		"SELECT id FROM chunk WHERE state = ?1 AND folder = ?2 AND rx = ?3 AND rz = ?4 "
		"ORDER BY id", e);
	if (r < 0)
		return r;
	db_bind_int(s, 1, state);
	db_bind_text(s, 2, ret->folder);
	db_bind_int(s, 3, ret->rx);
	db_bind_int(s, 4, ret->rz);
	while ((r = db_step(s, e)) == 1 && (r = row_ids_add(ids, db_int(s, 0), e)) == 0)
		;
	db_reset(s);
	return r;
}

int trash_count(struct trash *t, unsigned states, uint64_t *ret, struct err *e)
{
	struct db_stmt *s;
	*ret = 0;
	int r = db_sql(t->db, &s, "SELECT count(*) FROM chunk WHERE state = ?1", e);
	for (int state = 1; r == 0 && state <= TRASH_RESTORING; state++) {
		if (!(states >> state & 1))
			continue;
		db_bind_int(s, 1, state);
		r = db_step(s, e);
		if (r == 1)
			*ret += (uint64_t)db_int(s, 0);
		if (r >= 0)
			r = 0;
		db_reset(s);
	}
	return r;
}

/* ---- files that went ---- */

static int file_sql(struct trash *t, struct db_stmt **s, const char *sql, const char *folder,
	enum source_kind kind, int32_t rx, int32_t rz, struct err *e)
{
	int r = db_sql(t->db, s, sql, e);
	if (r < 0)
		return r;
	db_bind_text(*s, 1, folder);
	db_bind_int(*s, 2, kind);
	db_bind_int(*s, 3, rx);
	db_bind_int(*s, 4, rz);
	return 0;
}

int trash_note_file(struct trash *t, const char *folder, enum source_kind kind, int32_t rx, int32_t rz,
	const struct gone_file *f, struct err *e)
{
	struct db_stmt *s;
	int r = file_sql(t, &s,
		"INSERT OR REPLACE INTO file(folder, kind, rx, rz, size, mode, uid, gid, header) "
		"VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", folder, kind, rx, rz, e);
	if (r < 0)
		return r;
	db_bind_int(s, 5, f->st.st_size);
	db_bind_int(s, 6, f->st.st_mode & 07777);
	db_bind_int(s, 7, f->st.st_uid);
	db_bind_int(s, 8, f->st.st_gid);
	db_bind_blob(s, 9, span_of(f->header, REGION_HEADER));
	return db_run(s, e);
}

int trash_find_file(struct trash *t, const char *folder, enum source_kind kind, int32_t rx, int32_t rz,
	struct gone_file *ret, struct err *e)
{
	struct db_stmt *s;
	*ret = (struct gone_file){0};
	int r = file_sql(t, &s,
		"SELECT size, mode, uid, gid, header FROM file WHERE folder = ?1 AND kind = ?2 AND "
		"rx = ?3 AND rz = ?4", folder, kind, rx, rz, e);
	if (r == 0)
		r = db_step(s, e);
	if (r != 1)
		return r;
	struct span h = db_blob(s, 4);
	if (h.n == REGION_HEADER) {
		memcpy(ret->header, h.p, REGION_HEADER);
		ret->st.st_size = db_int(s, 0);
		ret->st.st_mode = (mode_t)db_int(s, 1) & 0777;
		ret->st.st_uid = (uid_t)db_int(s, 2);
		ret->st.st_gid = (gid_t)db_int(s, 3);
		ret->found = true;
	}
	db_reset(s);
	return 0;
}

int trash_forget_file(struct trash *t, const char *folder, enum source_kind kind, int32_t rx,
	int32_t rz, struct err *e)
{
	struct db_stmt *s;
	int r = file_sql(t, &s,
		"DELETE FROM file WHERE folder = ?1 AND kind = ?2 AND rx = ?3 AND rz = ?4", folder, kind,
		rx, rz, e);
	return r < 0 ? r : db_run(s, e);
}
