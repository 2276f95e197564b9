/* Forms. First byte: 0 canonical bytes in, they must come back; else a plain form, decoded or refused. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct restreamer *rs;
static struct keys *keys;

static void init(void)
{
	static const uint8_t master[KEY_BYTES] = {1};
	static const struct id store = {{2}};
	struct err e = ERR_INIT;
	if (!keys && (crypto_init(&e) < 0 || keys_new(&keys, master, &store, &e) < 0 ||
			     restreamer_new(&rs, &e) < 0))
		abort();
}

static void roundtrip(enum form form, struct span canon)
{
	struct buf plain = BUF_INIT, back = BUF_INIT;
	struct err e = ERR_INIT;
	if (form_encode(rs, keys, form, canon, (struct span){NULL, 0}, &plain, &e) == 0) {
		if (form_decode(rs, form, buf_span(&plain), canon.n, &back, &e) < 0 ||
			back.len != canon.n || (canon.n && memcmp(back.p, canon.p, canon.n) != 0))
			abort();
	}
	plain.len = back.len = 0;
	if (form == FORM_GROUP && form_wrap(keys, FORM_GROUP_KEPT, canon, &plain, &e) == 0 &&
		(form_decode(rs, form, buf_span(&plain), canon.n, &back, &e) < 0 ||
			back.len != canon.n || memcmp(back.p, canon.p, canon.n) != 0))
		abort();
	buf_free(&plain);
	buf_free(&back);
}

static void decode(enum form form, struct span plain, size_t canon_len)
{
	struct buf back = BUF_INIT;
	struct group_slot slots[GROUP_SLOTS];
	struct err e = ERR_INIT;
	if (form_decode(rs, form, plain, canon_len, &back, &e) == 0 && back.len != canon_len)
		abort();
	if (group_parse(plain, slots, &e) == 0)
		for (int i = 0; i < GROUP_SLOTS; i++) {
			back.len = 0;
			if (slots[i].canon_len)
				(void)!group_record(rs, plain, &slots[i], &back, &e);
		}
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	init();
	if (n < 4)
		return 0;
	enum form form = (enum form)(1 + p[1] % 3);
	if (p[0] % 2 == 0)
		roundtrip(form, span_of(p + 4, n - 4));
	else
		decode(form, span_of(p + 4, n - 4), p[2] * 256u + p[3]);
	return 0;
}
