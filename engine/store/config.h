/* config.h - the store's one clear object: format version, id, options and key slots.
 *
 * Text, one fact a line, so that people can read it; the last line but one is a keyed hash of all before
 * it, so that nobody without the key can change it unnoticed, the last a hash without a key, so that damage is
 * told before a key is at hand. The store has it twice (store.h). A slot holds the master key wrapped
 * under a key made from a passphrase (Argon2id), read from a key file or from a recovery key. docs/FORMAT.md,
 * "STORE/config". */
#ifndef MCFS_STORE_CONFIG_H
#define MCFS_STORE_CONFIG_H

#include "engine/crypto/crypto.h"

#define STORE_FORMAT 1
#define CONFIG_MAX_BYTES 65536
#define CONFIG_MAX_SLOTS 32

enum slack_mode { SLACK_EXACT, SLACK_DISCARD };
/* When new chunk groups are inflated and compressed better: by the snapshot that brings them, or
 * later, when they have a second version or compact comes by. */
/* When new chunks are compressed as well as possible: at once; by compact; or at once as far as it
 * costs a moment, and the rest by compact. */
enum recompress_mode { RECOMPRESS_NOW, RECOMPRESS_LATER, RECOMPRESS_AUTO };
const char *recompress_word(enum recompress_mode m); /* "now", "later", "auto" */
bool recompress_parse(const char *s, enum recompress_mode *ret); /* false: none of them */

/* What opens a slot. `value` is the passphrase's bytes, the key file's 32 or the recovery key's 20
 * (recovery.h). */
enum secret_kind { SECRET_PASSPHRASE, SECRET_KEYFILE, SECRET_RECOVERY };
const char *secret_word(enum secret_kind kind); /* "passphrase", "keyfile", "recovery" */
struct secret {
	enum secret_kind kind;
	struct span value;
};

struct store_config {
	struct id id;
	enum slack_mode slack;
	enum recompress_mode recompress;
	int64_t created; /* epoch seconds */
	uint64_t serial; /* one more with each change of the config: an older one is noticed */
	unsigned parity; /* percent of a pack's size that new packs get as parity; 0: none */
};
#define PARITY_PERCENT_MAX 50

/* Make a fresh config: the id is the caller's, the master key is new, one slot. The text is
 * appended to *out; the sub-keys come back in *keys. */
int config_create(struct store_config *cfg, const struct secret *secret, struct buf *out,
	struct keys **keys, struct err *e) MUST_CHECK;
/* Is the text as it was written? E_CORRUPT when not. It may be of another format. Proves nothing against
 * somebody who changed it on purpose: config_verify() does. */
int config_whole(struct span text, struct err *e) MUST_CHECK;
/* The same with the store's keys. */
int config_verify(struct span text, const struct keys *keys, struct err *e) MUST_CHECK;
/* Read the id and the options without any key, unauthenticated: to find out which key is wanted.
 * *ret_kinds: bit 1 << kind for the kinds of slots that are there. */
int config_peek(struct span text, struct store_config *cfg, unsigned *ret_kinds,
	struct err *e) MUST_CHECK;
/* Find a slot that the secret opens and check the authentication of the whole. E_AUTH: no slot
 * opens; E_CORRUPT: one opens but the text was changed or is damaged. */
int config_unlock(struct span text, const struct secret *secret, struct store_config *cfg,
	struct keys **keys, struct err *e) MUST_CHECK;

/* ---- changing it ---- */

#define SLOT_ID_CHARS 8
#define SLOT_LABEL_MAX 32
/* More of one kind are not tried: each try of a passphrase costs seconds and memory. */
#define SLOT_TRIES_MAX 8
struct slot_info {
	enum secret_kind kind;
	char id[SLOT_ID_CHARS + 1];	/* random; to name it by */
	char label[SLOT_LABEL_MAX + 1]; /* or "" */
	int64_t created;		/* 0: not known */
	uint32_t passes, mem_kib;	/* Argon2id's, for a passphrase */
	bool opened;			/* by the secret that was given */
};
bool slot_label_ok(const char *s); /* 1 to 32 of [A-Za-z0-9._@+-] */

/* A config being changed, with the master key in locked memory. Nothing is written: the caller
 * replaces the object by the new text. */
struct config_edit;
int config_edit_open(struct config_edit **ret, struct span text, const struct secret *secret,
	struct err *e) MUST_CHECK;
void config_edit_free(struct config_edit *ed);
/* The slots as they are now; returns how many, at most CONFIG_MAX_SLOTS. */
size_t config_edit_slots(const struct config_edit *ed, struct slot_info ret[CONFIG_MAX_SLOTS]);
/* `label` may be NULL. E_USAGE: too many slots, or the label is taken (but by the slot that was opened,
 * which may be about to be replaced). */
int config_edit_add(struct config_edit *ed, const struct secret *secret, const char *label,
	char ret_id[SLOT_ID_CHARS + 1], struct err *e) MUST_CHECK;
/* E_NOTFOUND; E_USAGE when it is the last. `id`: an id or a label. */
int config_edit_remove(struct config_edit *ed, const char *id, struct err *e) MUST_CHECK;
void config_edit_parity(struct config_edit *ed, unsigned percent);
void config_edit_recompress(struct config_edit *ed, enum recompress_mode mode);
void config_edit_slack(struct config_edit *ed, enum slack_mode mode);
/* The new text, proven to open with `proof`, which need not be the secret it was opened with. */
int config_edit_text(struct config_edit *ed, const struct secret *proof, struct buf *out,
	struct err *e) MUST_CHECK;

/* A key file: text with a fresh secret for the store. */
int keyfile_format(const struct id *store, const uint8_t secret[KEY_BYTES], struct buf *out,
	struct err *e) MUST_CHECK;
int keyfile_parse(struct span text, uint8_t secret[KEY_BYTES], struct err *e) MUST_CHECK;

#endif
