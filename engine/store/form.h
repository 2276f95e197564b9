/* form.h - a blob's two faces: the canonical bytes that its name stands for, and the plain form
 * that is compressed. docs/FORMAT.md, "Forms".
 *
 * FORM_RAW     plain = canonical.
 * FORM_STREAM  canonical is one zlib or gzip stream (level.dat, .mcc): plain = recipe + inflated.
 * FORM_GROUP   canonical is a bit mask of up to 32 payloads and the payloads as they stand in a
 *              region file; plain = a table and the payloads inflated.
 * FORM_GROUP_KEPT, FORM_STREAM_KEPT  the same canonical bytes under the same name as FORM_GROUP and
 *              FORM_STREAM, stored as they are: quick to write and to restore, larger, and no base of
 *              a difference.
 * Encoding proves every recipe it uses; a payload without one is kept verbatim. Decoding never
 * trusts a length that it has not checked. */
#ifndef MCFS_STORE_FORM_H
#define MCFS_STORE_FORM_H

#include <stdbool.h>

#include "engine/codec/restream.h"
#include "engine/crypto/crypto.h"

enum form { FORM_RAW = 1, FORM_STREAM = 2, FORM_GROUP = 3, FORM_GROUP_KEPT = 4, FORM_STREAM_KEPT = 5 };

static inline bool form_is_kept(unsigned form)
{
	return form == FORM_GROUP_KEPT || form == FORM_STREAM_KEPT;
}

/* The form that goes into a blob's name. */
static inline uint8_t form_named(unsigned form)
{
	return form == FORM_GROUP_KEPT ? FORM_GROUP
	       : form == FORM_STREAM_KEPT ? FORM_STREAM : (uint8_t)form;
}

/* Payloads a group: 8, 16 or 32. Part of the format; docs/PERFORMANCE.md has what was measured. */
#ifndef GROUP_SLOTS
#define GROUP_SLOTS 32
#endif
/* Bounds on both faces of any blob: what a reader will allocate at the most. */
#define CANON_MAX ((size_t)48 << 20)
#define PLAIN_MAX ((size_t)48 << 20)

/* Where one payload of a group is, in both faces. Absent: canon_len 0. */
struct group_slot {
	unsigned recipe;
	bool filtered;	     /* the body went through nbt_filter_apply() */
	uint32_t check;	     /* of the canonical record */
	uint32_t canon_off;  /* of the record: u32 BE length, type, stream */
	uint32_t canon_len;
	uint32_t plain_off;  /* of the body */
	uint32_t plain_len;
	uint32_t side_off, side_len; /* what the recipe needs beside the body */
};

/* Append the plain form of `canon`. `known` may be the plain form of an older version of the same
 * group (or empty): payloads that stand in it unchanged are not proven again. */
int form_encode(struct restreamer *rs, const struct keys *k, enum form form, struct span canon,
	struct span known, struct buf *plain, struct err *e) MUST_CHECK;
/* Append the canonical bytes, exactly `canon_len` of them, or E_CORRUPT. */
int form_decode(struct restreamer *rs, enum form form, struct span plain, size_t canon_len,
	struct buf *canon, struct err *e) MUST_CHECK;

/* The canonical bytes of a kept form as the plain form of form_named() in which all is verbatim, for
 * those who read tables. Appended; E_FORMAT when it is no group. */
int form_wrap(const struct keys *k, enum form form, struct span canon, struct buf *plain,
	struct err *e) MUST_CHECK;
/* Read the table of a group's plain form. */
int group_parse(struct span plain, struct group_slot slots[GROUP_SLOTS], struct err *e) MUST_CHECK;
/* Append a slot's inflated NBT. E_FORMAT when it is kept verbatim (recipe RECIPE_NONE): then the
 * canonical record is all there is. Never take the body from the plain form by hand: it may be
 * filtered. */
int group_nbt(struct span plain, const struct group_slot *slot, struct buf *out,
	struct err *e) MUST_CHECK;
/* The type byte of such a slot's record. */
uint8_t group_type(const struct group_slot *slot);
/* Append one slot's canonical record (what stands in the region file). Whoever does not check the
 * group's name calls the second, which compares the record's check, tries zlib where it differs, and
 * gives E_CORRUPT when that does, too. */
int group_record(struct restreamer *rs, struct span plain, const struct group_slot *slot,
	struct buf *out, struct err *e) MUST_CHECK;
int group_record_checked(struct restreamer *rs, const struct keys *k, struct span plain,
	const struct group_slot *slot, struct buf *out, struct err *e) MUST_CHECK;

#endif
