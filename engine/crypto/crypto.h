/* crypto.h - all cryptography of mcfs; the only includer of <sodium.h>.
 *
 * One random master key a store. From it, by keyed BLAKE2b with a purpose, come the sub-keys:
 * naming of blobs, packs (then one key a pack), sealed objects, config authentication, cut points
 * and short checks. Secrets live in locked memory (sodium_malloc) and are wiped when freed.
 * Algorithms: XChaCha20-Poly1305 (IETF), BLAKE2b, SipHash-2-4, Argon2id; docs/FORMAT.md section 2.
 *
 * Threads: a `struct keys` is read-only after keys_new() and may be shared. */
#ifndef MCFS_CRYPTO_CRYPTO_H
#define MCFS_CRYPTO_CRYPTO_H

#include <stdbool.h>

#include "engine/base/buf.h"

#define KEY_BYTES 32
#define NAME_BYTES 32
#define ID_BYTES 16
#define SALT_BYTES 16
#define SEAL_TAG_BYTES 16
/* A sealed object: 24 bytes of nonce in front, the tag behind. */
#define SEAL_OBJECT_OVERHEAD (24 + SEAL_TAG_BYTES)

/* The name of a blob: keyed BLAKE2b-256 over its form and its bytes. */
struct name {
	uint8_t b[NAME_BYTES];
};
/* A random identifier: of a store, a pack, a snapshot, an index object. */
struct id {
	uint8_t b[ID_BYTES];
};

/* Once in a process, before anything else here. */
int crypto_init(struct err *e) MUST_CHECK;
void crypto_random(void *p, size_t n);
void crypto_wipe(void *p, size_t n);
/* Locked memory that is wiped on crypto_secret_free(); NULL without memory. */
void *crypto_secret_alloc(size_t n);
void crypto_secret_free(void *p);
bool crypto_equal(const void *a, const void *b, size_t n); /* constant time */
/* An unkeyed hash (BLAKE2b-128): to tell later whether bytes are still the same. Not for what the
 * store keeps sealed, where names are keyed. */
#define DIGEST_BYTES 16
void digest_of(struct span s, uint8_t out[DIGEST_BYTES]);

/* All sub-keys of one store. `master` may be wiped afterwards. */
struct keys;
int keys_new(struct keys **ret, const uint8_t master[KEY_BYTES], const struct id *store,
	struct err *e) MUST_CHECK;
void keys_free(struct keys *k);

/* Names. The streaming form gives the same value as the one-shot over the concatenation. */
struct hasher {
	uint8_t state[384 + 64]; /* libsodium's, aligned within */
};
void name_of(const struct keys *k, uint8_t form, struct span s, struct name *ret);
void hasher_begin(struct hasher *h, const struct keys *k, uint8_t form);
void hasher_add(struct hasher *h, struct span s);
void hasher_end(struct hasher *h, struct name *ret);
int name_cmp(const struct name *a, const struct name *b);

/* A keyed 64-bit check of bytes (SipHash): tells equal from unequal, is no proof of identity. */
uint64_t keyed_check(const struct keys *k, struct span s);
/* The keyed decision at a candidate cut point: a pseudo-random function of the window. */
uint64_t keyed_cut(const struct keys *k, struct span window);

/* Seal a frame: key of its pack, place = its number in the pack; the place, the pack's id and the
 * store's id are authenticated with it. Appends s.n + SEAL_TAG_BYTES. The same (pack, place) must
 * never be used for two contents: packs get a fresh random id each. */
struct pack_key {
	uint8_t k[KEY_BYTES];
	struct id pack, store;
};
void pack_key_of(const struct keys *k, const struct id *pack, struct pack_key *ret);
int frame_seal(const struct pack_key *pk, uint64_t place, struct span s, struct buf *out,
	struct err *e) MUST_CHECK;
/* Opens into *out (appended, s.n - SEAL_TAG_BYTES). E_CORRUPT when anything was changed. */
int frame_open(const struct pack_key *pk, uint64_t place, struct span s, struct buf *out,
	struct err *e) MUST_CHECK;

/* Seal a whole object under a random nonce; `kind` and `id` are authenticated with it, so that no
 * object can stand in for another. */
int object_seal(const struct keys *k, const char *kind, const struct id *id, struct span s,
	struct buf *out, struct err *e) MUST_CHECK;
int object_open(const struct keys *k, const char *kind, const struct id *id, struct span s,
	struct buf *out, struct err *e) MUST_CHECK;

/* The code that authenticates the clear config. */
void config_mac(const struct keys *k, struct span s, uint8_t ret[NAME_BYTES]);

/* Argon2id with these costs; memory in KiB. E_NOMEM when the memory cannot be had. */
int kdf_passphrase(struct span pass, const uint8_t salt[SALT_BYTES], uint32_t passes,
	uint32_t mem_kib, uint8_t ret[KEY_BYTES], struct err *e) MUST_CHECK;
/* A slot's key from a secret that needs no slowing down (16 to 64 random bytes). */
void kdf_random(struct span secret, const char *purpose, const struct id *store,
	uint8_t ret[KEY_BYTES]);
/* Wrap the master key under a slot's key; `aad` binds the slot's parameters.
 * out: 24 nonce + 32 + 16 tag. */
#define WRAP_BYTES (24 + KEY_BYTES + SEAL_TAG_BYTES)
void key_wrap(const uint8_t slot_key[KEY_BYTES], struct span aad, const uint8_t master[KEY_BYTES],
	uint8_t out[WRAP_BYTES]);
bool key_unwrap(const uint8_t slot_key[KEY_BYTES], struct span aad, const uint8_t in[WRAP_BYTES],
	uint8_t master[KEY_BYTES]);

/* Lower-case hexadecimal. `out` takes 2 n + 1 bytes. */
char *hex_of(const void *p, size_t n, char *out);
bool hex_parse(const char *s, size_t n_bytes, void *out); /* exactly 2 n digits, then the end */

#endif
