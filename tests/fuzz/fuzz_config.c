/* The store's clear config and key files. Whatever they say: refused, or within bounds. Passphrase
 * slots are not tried: their costs are the format's to allow. */
#include <stdint.h>
#include <string.h>

#include "engine/store/config_internal.h"
#include "engine/store/recovery.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint8_t secret[KEY_BYTES] = "0123456789abcdef0123456789abcde";
	const struct secret s = {SECRET_KEYFILE, {secret, KEY_BYTES}};
	struct store_config cfg;
	struct keys *k = NULL;
	struct err e = ERR_INIT;
	uint8_t key[KEY_BYTES];
	unsigned kinds;
	if (crypto_init(&e) < 0 || n > CONFIG_MAX_BYTES)
		return 0;
	(void)!config_peek(span_of(p, n), &cfg, &kinds, &e);
	/* What a fuzzer would not find: the last line. */
	struct buf text = BUF_INIT;
	if (buf_add(&text, p, n, &e) < 0 || config_add_sum(&text, 0, &e) < 0) {
		buf_free(&text);
		return 0;
	}
	(void)!config_peek(buf_span(&text), &cfg, &kinds, &e);
	if (config_unlock(buf_span(&text), &s, &cfg, &k, &e) == 0)
		keys_free(k);
	struct config_edit *ed;
	if (config_edit_open(&ed, buf_span(&text), &s, &e) == 0) {
		struct buf out = BUF_INIT;
		(void)!config_edit_text(ed, &s, &out, &e);
		buf_free(&out);
		config_edit_free(ed);
	}
	buf_free(&text);
	(void)!recovery_parse(span_of(p, n), key, &e);
	(void)!keyfile_parse(span_of(p, n), key, &e);
	return 0;
}
