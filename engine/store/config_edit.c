/* Key slots come and go: config.h, "changing it". */
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/store/config_internal.h"

struct config_edit {
	struct parsed *c;
	struct buf text;  /* what c->authenticated points into */
	uint8_t *master;  /* locked */
	struct keys *keys;
	char opened[SLOT_ID_CHARS + 1];
};

int config_edit_open(struct config_edit **ret, struct span text, const struct secret *secret,
	struct err *e)
{
	struct config_edit *ed = calloc(1, sizeof *ed);
	int slot;
	if (!ed)
		return err_set(e, E_NOMEM, 0, "no memory for the config");
	ed->c = calloc(1, sizeof *ed->c);
	ed->master = crypto_secret_alloc(KEY_BYTES);
	int r = ed->c && ed->master ? 0 : err_set(e, E_NOMEM, 0, "no memory for the config");
	if (r == 0)
		r = buf_add(&ed->text, text.p, text.n, e);
	if (r == 0)
		r = config_parse(buf_span(&ed->text), ed->c, e);
	if (r == 0)
		r = config_open(ed->c, secret, ed->master, &ed->keys, &slot, e);
	if (r < 0) {
		config_edit_free(ed);
		return r;
	}
	memcpy(ed->opened, ed->c->slots[slot].id, sizeof ed->opened);
	ed->c->cfg.serial++;
	*ret = ed;
	return 0;
}

void config_edit_free(struct config_edit *ed)
{
	if (!ed)
		return;
	keys_free(ed->keys);
	crypto_secret_free(ed->master);
	parsed_free(ed->c);
	buf_free(&ed->text);
	free(ed);
}

size_t config_edit_slots(const struct config_edit *ed, struct slot_info ret[CONFIG_MAX_SLOTS])
{
	for (int i = 0; i < ed->c->n_slots; i++) {
		const struct slot *s = &ed->c->slots[i];
		ret[i] = (struct slot_info){.kind = s->kind, .created = s->created,
			.passes = s->passes, .mem_kib = s->mem_kib,
			.opened = strcmp(s->id, ed->opened) == 0};
		memcpy(ret[i].id, s->id, sizeof s->id);
		memcpy(ret[i].label, s->label, sizeof s->label);
	}
	return (size_t)ed->c->n_slots;
}

int config_edit_add(struct config_edit *ed, const struct secret *secret, const char *label,
	char ret_id[SLOT_ID_CHARS + 1], struct err *e)
{
	struct parsed *c = ed->c;
	int same_kind = 0;
	for (int i = 0; i < c->n_slots; i++) {
		same_kind += c->slots[i].kind == secret->kind;
		if (label && strcmp(c->slots[i].label, label) == 0 &&
			strcmp(c->slots[i].id, ed->opened) != 0)
			return err_set(e, E_USAGE, 0, "there is a key slot called '%s' already",
				label);
	}
	if (c->n_slots == CONFIG_MAX_SLOTS || same_kind == SLOT_TRIES_MAX)
		return err_set(e, E_USAGE, 0,
			"the store has %d key slots of this kind, more are not tried: remove one first",
			same_kind);
	struct slot *s = &c->slots[c->n_slots];
	int r = slot_make(s, secret, label, &c->cfg.id, ed->master, e);
	if (r < 0)
		return r;
	c->n_slots++;
	memcpy(ret_id, s->id, SLOT_ID_CHARS + 1);
	return 0;
}

int config_edit_remove(struct config_edit *ed, const char *id, struct err *e)
{
	struct parsed *c = ed->c;
	for (int i = 0; i < c->n_slots; i++) {
		if (strcmp(c->slots[i].id, id) != 0 &&
			(!*c->slots[i].label || strcmp(c->slots[i].label, id) != 0))
			continue;
		if (c->n_slots == 1)
			return err_set(e, E_USAGE, 0,
				"'%s' is the last key slot: without it nobody could open the store "
				"(add another one first)", id);
		memmove(&c->slots[i], &c->slots[i + 1],
			(size_t)(--c->n_slots - i) * sizeof c->slots[0]);
		return 0;
	}
	return err_set(e, E_NOTFOUND, 0, "there is no key slot '%.40s' (see 'mcfs key list')", id);
}

void config_edit_parity(struct config_edit *ed, unsigned percent)
{
	ed->c->cfg.parity = percent;
}

void config_edit_recompress(struct config_edit *ed, enum recompress_mode mode)
{
	ed->c->cfg.recompress = mode;
}

void config_edit_slack(struct config_edit *ed, enum slack_mode mode)
{
	ed->c->cfg.slack = mode;
}

int config_edit_text(struct config_edit *ed, const struct secret *proof, struct buf *out,
	struct err *e)
{
	struct store_config cfg;
	struct keys *keys = NULL;
	int r = config_emit(ed->c, ed->keys, out, e);
	if (r == 0)
		r = config_unlock(buf_span(out), proof, &cfg, &keys, e);
	keys_free(keys);
	return r;
}
