/* The two objects that hold the config: reading, replacing, mending. docs/FORMAT.md, "STORE/config". */
#include <errno.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/store/store_internal.h"

#define CONFIG_KEY "config"
#define COPY_KEY "config.copy"

static int read_whole(struct object_place *place, const char *key, struct buf *text, struct err *e)
{
	text->len = 0;
	int r = object_get(place, key, CONFIG_MAX_BYTES, text, e);
	return r < 0 ? r : config_whole(buf_span(text), e);
}

/* Is the object itself at fault? A place that did not answer says nothing about what is there. */
static bool is_flaw(const struct err *e)
{
	return e->code == E_CORRUPT || e->code == E_NOTFOUND || (e->code == E_IO && e->sys == EIO);
}

/* Neither will do. */
static int no_config(const struct err *first, const struct err *second, struct err *e)
{
	if (first->code == E_NOTFOUND && second->code == E_NOTFOUND)
		return err_set(e, E_NOTFOUND, 0,
			"there is no store here (no 'config' in it): make one with 'mcfs init'");
	if (first->code == E_IO)
		return err_set(e, E_IO, first->sys, "read the store's config");
	if (first->code == E_NOTFOUND)
		return err_set(e, E_CORRUPT, 0,
			"the store's config is missing, and its second copy is not readable ('mcfs key import' "
			"puts back what 'mcfs key export' has saved)");
	return err_set(e, E_CORRUPT, 0,
		"%.200s; its second copy is %s ('mcfs key import' puts back what 'mcfs key export' has saved)",
		first->msg, second->code == E_NOTFOUND ? "missing" : "not readable either");
}

int store_config_read(struct object_place *place, struct buf *text, struct err *ret_flaw,
	struct err *e)
{
	struct err first = ERR_INIT, second = ERR_INIT;
	int r = read_whole(place, CONFIG_KEY, text, &first);
	if (ret_flaw)
		*ret_flaw = first;
	if (r == 0)
		return 0;
	if (is_flaw(&first) && read_whole(place, COPY_KEY, text, &second) == 0)
		return 0;
	if (is_flaw(&first) && is_flaw(&second))
		return no_config(&first, &second, e);
	if (e)
		*e = second.code ? second : first;
	return second.code ? second.code : r;
}

int store_config_replace(struct object_place *place, struct span text, struct err *e)
{
	/* In this order, so that a slot that was removed is nowhere once `config` is without it. */
	int r = object_put(place, COPY_KEY, text, true, e);
	return r < 0 ? r : object_put(place, CONFIG_KEY, text, true, e);
}

int store_config_create(struct object_place *place, struct span text, struct err *e)
{
	/* The other way round: of two who make a store in one place, one is told so. */
	int r = object_put(place, CONFIG_KEY, text, false, e);
	return r < 0 ? r : object_put(place, COPY_KEY, text, true, e);
}

/* ---- check and repair ---- */

struct config_copies {
	struct buf text[2];
	struct err flaw[2]; /* code 0: it is proven */
};
static const char *const keys[] = {CONFIG_KEY, COPY_KEY};

static void copies_free(struct config_copies *c)
{
	buf_free(&c->text[0]);
	buf_free(&c->text[1]);
}

static int look(struct store *s, struct config_copies *c, struct err *e)
{
	for (int i = 0; i < 2; i++) {
		int r = read_whole(s->place, keys[i], &c->text[i], &c->flaw[i]);
		if (r == 0)
			r = config_verify(buf_span(&c->text[i]), s->keys, &c->flaw[i]);
		if (r < 0 && !is_flaw(&c->flaw[i]))
			return err_set(e, r, c->flaw[i].sys, "%s: %.400s", keys[i], c->flaw[i].msg);
	}
	return 0;
}

static bool is_stale(const struct config_copies *c)
{
	return c->flaw[0].code == 0 && c->flaw[1].code == 0 &&
	       (c->text[0].len != c->text[1].len ||
		       memcmp(c->text[0].p, c->text[1].p, c->text[0].len) != 0);
}

int store_config_check(struct store *s, bool *ret_stale, store_copies_each fn, void *ctx,
	struct err *e)
{
	struct config_copies c = {0};
	int r = look(s, &c, e);
	for (int i = 0; i < 2 && r == 0; i++)
		if (c.flaw[i].code && fn)
			fn(ctx, keys[i], c.flaw[i].code == E_NOTFOUND ? "is missing" : "is damaged");
	*ret_stale = r == 0 && is_stale(&c);
	copies_free(&c);
	return r;
}

int store_config_mend(struct store *s, store_copies_each fn, void *ctx, struct err *e)
{
	struct config_copies c = {0};
	int r = look(s, &c, e);
	/* Which one is at fault; of two that differ `config` counts. */
	int bad = r < 0 ? -1 : c.flaw[0].code ? 0 : c.flaw[1].code || is_stale(&c) ? 1 : -1;
	if (bad >= 0 && c.flaw[!bad].code == 0) {
		r = object_put(s->place, keys[bad], buf_span(&c.text[!bad]), true, e);
		if (r == 0 && fn)
			fn(ctx, keys[bad], bad ? "written anew from config" : "written anew from config.copy");
	}
	copies_free(&c);
	return r;
}
