/* Sealed objects as somebody with the key could make them: the first byte chooses which, the rest is its
 * content. Of parity: the header of a pack's. Whatever it says: refused, or within bounds. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/base/wire.h"
#include "engine/snapshot/forgotten.h"
#include "engine/store/lost.h"
#include "engine/store/parity.h"
#include "engine/store/store_internal.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *const kinds[] = {"forgotten", "marks", "lost", "doomed", "locks", "index"};

static void load(struct store *s, unsigned kind)
{
	struct err e = ERR_INIT;
	struct forgotten_list f;
	struct past past;
	struct nameset lost = {0};
	struct doomed d;
	struct lock_list l;
	char text[LOCK_TEXT_CHARS];
	switch (kind) {
	case 0:
	case 1:
		if (forgotten_load(&f, s, &e) == 0)
			forgotten_free(&f);
		if (past_load(&past, s, &e) == 0)
			past_free(&past);
		break;
	case 2:
		(void)!lost_load(s, &lost, &e);
		nameset_free(&lost);
		break;
	case 3:
		if (doomed_load(&d, s, &e) < 0)
			break;
		for (size_t i = 0; i < d.n; i++)
			if (!doomed_has(&d, &d.v[i].pack))
				abort();
		doomed_free(&d);
		break;
	case 4:
		if (lock_list_load(&l, s, &e) < 0)
			break;
		if (l.n != 1 || (l.v[0].unknown && l.v[0].seen.n))
			abort();
		lock_text(&l.v[0], text);
		lock_list_free(&l);
		break;
	default:
		(void)!store_refresh(s, &e);
	}
}

/* A header as it says, with few parity rows, beside a pack of 64 KiB. */
static void try_parity(struct store *s, struct object_place *place, struct span header)
{
	static const struct id pack = {{0xab}};
	static uint8_t bytes[1 << 16];
	struct buf sealed = BUF_INIT, object = BUF_INIT;
	struct err e = ERR_INIT;
	struct parity_result pr;
	char key[PACK_KEY_CHARS];
	bool sound;
	if (object_seal(s->keys, "parity", &pack, header, &sealed, &e) < 0 ||
		put_u32(&object, (uint32_t)sealed.len, &e) < 0 ||
		buf_add(&object, sealed.p, sealed.len, &e) < 0 || buf_add_zero(&object, 4096, &e) < 0 ||
		buf_add(&object, sealed.p, sealed.len, &e) < 0 ||
		put_u32(&object, (uint32_t)sealed.len, &e) < 0 ||
		object_put(place, "parity/ab/ab000000000000000000000000000000", buf_span(&object), true,
			&e) < 0 ||
		object_put(place, pack_object_key(&pack, key), span_of(bytes, sizeof bytes), true, &e) < 0)
		abort();
	(void)!parity_sound(s, &pack, 5, &sound, &e);
	(void)!parity_restore(s, &pack, &pr, &e);
	buf_free(&sealed);
	buf_free(&object);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct object_place *volatile place; /* keeps it reachable */
	static struct store *s;
	static const struct id id = {{1}};
	struct err e = ERR_INIT;
	if (!s) {
		place = new_place_with_store(SLACK_EXACT);
		s = open_store(place);
	}
	if (n == 0 || n > 1 << 20)
		return 0;
	unsigned kind = p[0] % (N_OF(kinds) + 1);
	if (kind == N_OF(kinds)) {
		try_parity(s, place, span_of(p + 1, n - 1));
		return 0;
	}
	if (store_object_put(s, kinds[kind], &id, span_of(p + 1, n - 1), true, &e) < 0)
		abort();
	load(s, kind);
	if (store_object_remove(s, kinds[kind], &id, &e) < 0)
		abort();
	return 0;
}
