/* config.h - the store's one clear object: format version, id, options and key slots.
 *
 * Text, one fact a line, so that people can read it; the last line is a keyed hash of all before
 * it, so that nobody without the key can change it unnoticed. A slot holds the master key wrapped
 * under a key made from a passphrase (Argon2id) or read from a key file. docs/FORMAT.md,
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
enum recompress_mode { RECOMPRESS_NOW, RECOMPRESS_LATER };
const char *recompress_word(enum recompress_mode m); /* "now", "later" */
bool recompress_parse(const char *s, enum recompress_mode *ret); /* false: neither of them */

/* What opens a slot. `value` is the passphrase's bytes or the key file's 32 bytes. */
enum secret_kind { SECRET_PASSPHRASE, SECRET_KEYFILE };
struct secret {
	enum secret_kind kind;
	struct span value;
};

struct store_config {
	struct id id;
	enum slack_mode slack;
	enum recompress_mode recompress;
	int64_t created; /* epoch seconds */
};

/* Make a fresh config: the id is the caller's, the master key is new, one slot. The text is
 * appended to *out; the sub-keys come back in *keys. */
int config_create(struct store_config *cfg, const struct secret *secret, struct buf *out,
	struct keys **keys, struct err *e) MUST_CHECK;
/* Read the id and the options without any key, unauthenticated: to find out which key is wanted. */
int config_peek(struct span text, struct store_config *cfg, bool *ret_has_passphrase,
	bool *ret_has_keyfile, struct err *e) MUST_CHECK;
/* Find a slot that the secret opens and check the authentication of the whole. E_AUTH: no slot
 * opens; E_CORRUPT: one opens but the text was changed or is damaged. */
int config_unlock(struct span text, const struct secret *secret, struct store_config *cfg,
	struct keys **keys, struct err *e) MUST_CHECK;

/* A key file: text with a fresh secret for the store. */
int keyfile_format(const struct id *store, const uint8_t secret[KEY_BYTES], struct buf *out,
	struct err *e) MUST_CHECK;
int keyfile_parse(struct span text, uint8_t secret[KEY_BYTES], struct err *e) MUST_CHECK;

#endif
