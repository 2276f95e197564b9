#include "engine/crypto/crypto.h"

#include <sodium.h>
#include <string.h>

#include "engine/base/wire.h"

struct keys {
	uint8_t naming[KEY_BYTES];
	uint8_t packs[KEY_BYTES];
	uint8_t objects[KEY_BYTES];
	uint8_t config[KEY_BYTES];
	uint8_t check[crypto_shorthash_KEYBYTES];
	uint8_t cut[crypto_shorthash_KEYBYTES];
	struct id store;
};

_Static_assert(sizeof(crypto_generichash_state) + 64 <= sizeof(((struct hasher *)0)->state),
	"struct hasher must hold libsodium's state");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == SEAL_TAG_BYTES, "tag size");

int crypto_init(struct err *e)
{
	if (sodium_init() < 0)
		return err_set(e, E_IO, 0, "libsodium could not be initialised");
	return 0;
}

void crypto_random(void *p, size_t n)
{
	randombytes_buf(p, n);
}

void crypto_wipe(void *p, size_t n)
{
	sodium_memzero(p, n);
}

void *crypto_secret_alloc(size_t n)
{
	return sodium_malloc(n);
}

void crypto_secret_free(void *p)
{
	sodium_free(p);
}

bool crypto_equal(const void *a, const void *b, size_t n)
{
	return sodium_memcmp(a, b, n) == 0;
}

void digest_of(struct span s, uint8_t out[DIGEST_BYTES])
{
	crypto_generichash(out, DIGEST_BYTES, s.p, s.n, NULL, 0);
}

static void derive(const uint8_t master[KEY_BYTES], const char *purpose, const struct id *store,
	void *out, size_t n)
{
	crypto_generichash_state st;
	crypto_generichash_init(&st, master, KEY_BYTES, n);
	crypto_generichash_update(&st, (const uint8_t *)"mcfs 1 ", 7);
	crypto_generichash_update(&st, (const uint8_t *)purpose, strlen(purpose) + 1);
	crypto_generichash_update(&st, store->b, ID_BYTES);
	crypto_generichash_final(&st, out, n);
	sodium_memzero(&st, sizeof st);
}

int keys_new(struct keys **ret, const uint8_t master[KEY_BYTES], const struct id *store,
	struct err *e)
{
	struct keys *k = sodium_malloc(sizeof *k);
	if (!k)
		return err_set(e, E_NOMEM, 0, "no memory for keys");
	derive(master, "naming", store, k->naming, sizeof k->naming);
	derive(master, "packs", store, k->packs, sizeof k->packs);
	derive(master, "objects", store, k->objects, sizeof k->objects);
	derive(master, "config", store, k->config, sizeof k->config);
	derive(master, "check", store, k->check, sizeof k->check);
	derive(master, "cut", store, k->cut, sizeof k->cut);
	k->store = *store;
	sodium_mprotect_readonly(k);
	*ret = k;
	return 0;
}

void keys_free(struct keys *k)
{
	sodium_free(k);
}

/* Wherever the struct lies, sanitizers' stacks included. */
static crypto_generichash_state *state_of(struct hasher *h)
{
	return (crypto_generichash_state *)(((uintptr_t)h->state + 63) & ~(uintptr_t)63);
}

void hasher_begin(struct hasher *h, const struct keys *k, uint8_t form)
{
	crypto_generichash_init(state_of(h), k->naming, KEY_BYTES,
		NAME_BYTES);
	crypto_generichash_update(state_of(h), &form, 1);
}

void hasher_add(struct hasher *h, struct span s)
{
	if (s.n)
		crypto_generichash_update(state_of(h), s.p, s.n);
}

void hasher_end(struct hasher *h, struct name *ret)
{
	crypto_generichash_final(state_of(h), ret->b, NAME_BYTES);
}

void name_of(const struct keys *k, uint8_t form, struct span s, struct name *ret)
{
	struct hasher h;
	hasher_begin(&h, k, form);
	hasher_add(&h, s);
	hasher_end(&h, ret);
}

int name_cmp(const struct name *a, const struct name *b)
{
	return memcmp(a->b, b->b, NAME_BYTES);
}

static uint64_t siphash(const uint8_t *key, struct span s)
{
	uint8_t out[crypto_shorthash_BYTES];
	crypto_shorthash(out, s.p, s.n, key);
	return get_le64(out);
}

uint64_t keyed_check(const struct keys *k, struct span s)
{
	return siphash(k->check, s);
}

uint64_t keyed_cut(const struct keys *k, struct span window)
{
	return siphash(k->cut, window);
}

void pack_key_of(const struct keys *k, const struct id *pack, struct pack_key *ret)
{
	crypto_generichash(ret->k, KEY_BYTES, pack->b, ID_BYTES, k->packs, KEY_BYTES);
	ret->pack = *pack;
	ret->store = k->store;
}

/* The nonce is the frame's place: unique under a key that belongs to one pack. */
static void frame_nonce(uint64_t place, uint8_t n[24])
{
	memset(n, 0, 24);
	set_le64(n, place);
}

int frame_seal(const struct pack_key *pk, uint64_t place, struct span s, struct buf *out,
	struct err *e)
{
	int r = buf_reserve(out, s.n + SEAL_TAG_BYTES, e);
	if (r < 0)
		return r;
	uint8_t nonce[24], aad[2 * ID_BYTES];
	frame_nonce(place, nonce);
	memcpy(aad, pk->store.b, ID_BYTES);
	memcpy(aad + ID_BYTES, pk->pack.b, ID_BYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out->p + out->len, NULL, s.p, s.n, aad,
		sizeof aad, NULL, nonce, pk->k);
	out->len += s.n + SEAL_TAG_BYTES;
	return 0;
}

int frame_open(const struct pack_key *pk, uint64_t place, struct span s, struct buf *out,
	struct err *e)
{
	if (s.n < SEAL_TAG_BYTES)
		return err_set(e, E_CORRUPT, 0, "frame is too short");
	int r = buf_reserve(out, s.n, e);
	if (r < 0)
		return r;
	uint8_t nonce[24], aad[2 * ID_BYTES];
	frame_nonce(place, nonce);
	memcpy(aad, pk->store.b, ID_BYTES);
	memcpy(aad + ID_BYTES, pk->pack.b, ID_BYTES);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out->p + out->len, NULL, NULL, s.p, s.n, aad,
		    sizeof aad, nonce, pk->k) < 0)
		return err_set(e, E_CORRUPT, 0, "frame does not authenticate");
	out->len += s.n - SEAL_TAG_BYTES;
	return 0;
}

static int object_aad(const struct keys *k, const char *kind, const struct id *id, struct buf *aad,
	struct err *e)
{
	int r = put_str(aad, kind, e);
	if (r == 0)
		r = buf_add(aad, k->store.b, ID_BYTES, e);
	if (r == 0)
		r = buf_add(aad, id->b, ID_BYTES, e);
	return r;
}

int object_seal(const struct keys *k, const char *kind, const struct id *id, struct span s,
	struct buf *out, struct err *e)
{
	struct buf aad = BUF_INIT;
	int r = object_aad(k, kind, id, &aad, e);
	if (r == 0)
		r = buf_reserve(out, s.n + SEAL_OBJECT_OVERHEAD, e);
	if (r == 0) {
		uint8_t *nonce = out->p + out->len;
		crypto_random(nonce, 24);
		crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + 24, NULL, s.p, s.n, aad.p,
			aad.len, NULL, nonce, k->objects);
		out->len += s.n + SEAL_OBJECT_OVERHEAD;
	}
	buf_free(&aad);
	return r;
}

int object_open(const struct keys *k, const char *kind, const struct id *id, struct span s,
	struct buf *out, struct err *e)
{
	if (s.n < SEAL_OBJECT_OVERHEAD)
		return err_set(e, E_CORRUPT, 0, "%s object is too short (%zu bytes)", kind, s.n);
	struct buf aad = BUF_INIT;
	int r = object_aad(k, kind, id, &aad, e);
	if (r == 0)
		r = buf_reserve(out, s.n, e);
	if (r == 0) {
		if (crypto_aead_xchacha20poly1305_ietf_decrypt(out->p + out->len, NULL, NULL,
			    s.p + 24, s.n - 24, aad.p, aad.len, s.p, k->objects) < 0)
			r = err_set(e, E_CORRUPT, 0, "%s object does not authenticate", kind);
		else
			out->len += s.n - SEAL_OBJECT_OVERHEAD;
	}
	buf_free(&aad);
	return r;
}

void config_mac(const struct keys *k, struct span s, uint8_t ret[NAME_BYTES])
{
	crypto_generichash(ret, NAME_BYTES, s.p, s.n, k->config, KEY_BYTES);
}

int kdf_passphrase(struct span pass, const uint8_t salt[SALT_BYTES], uint32_t passes,
	uint32_t mem_kib, uint8_t ret[KEY_BYTES], struct err *e)
{
	_Static_assert(SALT_BYTES == crypto_pwhash_SALTBYTES, "salt size");
	if (crypto_pwhash(ret, KEY_BYTES, (const char *)pass.p, pass.n, salt, passes,
		    (size_t)mem_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
		return err_set(e, E_NOMEM, 0, "Argon2id needs %u MiB of memory", mem_kib / 1024);
	return 0;
}

void kdf_random(struct span secret, const char *purpose, const struct id *store,
	uint8_t ret[KEY_BYTES])
{
	crypto_generichash_state st;
	crypto_generichash_init(&st, secret.p, secret.n, KEY_BYTES);
	crypto_generichash_update(&st, (const uint8_t *)"mcfs 1 ", 7);
	crypto_generichash_update(&st, (const uint8_t *)purpose, strlen(purpose) + 1);
	crypto_generichash_update(&st, store->b, ID_BYTES);
	crypto_generichash_final(&st, ret, KEY_BYTES);
	sodium_memzero(&st, sizeof st);
}

void key_wrap(const uint8_t slot_key[KEY_BYTES], struct span aad, const uint8_t master[KEY_BYTES],
	uint8_t out[WRAP_BYTES])
{
	crypto_random(out, 24);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + 24, NULL, master, KEY_BYTES, aad.p, aad.n,
		NULL, out, slot_key);
}

bool key_unwrap(const uint8_t slot_key[KEY_BYTES], struct span aad, const uint8_t in[WRAP_BYTES],
	uint8_t master[KEY_BYTES])
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(master, NULL, NULL, in + 24,
		       WRAP_BYTES - 24, aad.p, aad.n, in, slot_key) == 0;
}

char *hex_of(const void *p, size_t n, char *out)
{
	return sodium_bin2hex(out, 2 * n + 1, p, n);
}

bool hex_parse(const char *s, size_t n_bytes, void *out)
{
	size_t got;
	const char *end;
	return strlen(s) == 2 * n_bytes && strspn(s, "0123456789abcdef") == 2 * n_bytes &&
	       sodium_hex2bin(out, n_bytes, s, 2 * n_bytes, NULL, &got, &end) == 0 &&
	       got == n_bytes && *end == 0;
}
