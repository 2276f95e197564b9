/* The store's clear config and key files. Whatever they say: refused, or within bounds. Passphrase
 * slots are not tried: their costs are the format's to allow. */
#include <stdint.h>
#include <string.h>

#include "engine/store/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint8_t secret[KEY_BYTES] = "0123456789abcdef0123456789abcde";
	const struct secret s = {SECRET_KEYFILE, {secret, KEY_BYTES}};
	struct store_config cfg;
	struct keys *k = NULL;
	struct err e = ERR_INIT;
	uint8_t key[KEY_BYTES];
	bool a, b;
	if (crypto_init(&e) < 0 || n > CONFIG_MAX_BYTES)
		return 0;
	(void)!config_peek(span_of(p, n), &cfg, &a, &b, &e);
	if (config_unlock(span_of(p, n), &s, &cfg, &k, &e) == 0)
		keys_free(k);
	(void)!keyfile_parse(span_of(p, n), key, &e);
	return 0;
}
