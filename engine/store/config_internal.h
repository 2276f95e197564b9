/* config_internal.h - a config taken apart; private to engine/store. */
#ifndef MCFS_STORE_CONFIG_INTERNAL_H
#define MCFS_STORE_CONFIG_INTERNAL_H

#include "engine/store/config.h"

/* Argon2id: OWASP's second recommendation doubled in passes; stays below the 64 MiB that a whole
 * snapshot may use. */
#define KDF_PASSES 3u
#define KDF_MEM_KIB (46u * 1024)

struct slot {
	enum secret_kind kind;
	char id[SLOT_ID_CHARS + 1], label[SLOT_LABEL_MAX + 1];
	int64_t created;
	uint32_t passes, mem_kib; /* SECRET_PASSPHRASE */
	uint8_t salt[SALT_BYTES];
	uint8_t wrapped[WRAP_BYTES];
	char bound[256]; /* what the wrapping authenticates: the line up to the wrapped key */
};
#define SLOT_AAD_BYTES (ID_BYTES + sizeof(((struct slot *)0)->bound))

struct parsed {
	struct store_config cfg;
	struct slot slots[CONFIG_MAX_SLOTS];
	int n_slots;
	struct buf others;	   /* lines of slots of unknown kinds, to be kept */
	struct span authenticated; /* all before the mac line, behind which only the sum is */
	bool ends;
	uint8_t mac[NAME_BYTES];
	bool has_mac, has_id;
	char unknown[41]; /* the begin of a line of no known kind: damage or a newer version, as the mac tells */
};

/* *p is zeroed before and freed after, in any case. `authenticated` points into `text`. */
int config_parse(struct span text, struct parsed *p, struct err *e) MUST_CHECK;
void parsed_free(struct parsed *p);
/* The text, with a new mac. */
int config_emit(const struct parsed *c, const struct keys *keys, struct buf *out,
	struct err *e) MUST_CHECK;
/* The last line: of all that stands in `text` from `start` on. */
int config_add_sum(struct buf *text, size_t start, struct err *e) MUST_CHECK;
/* Find the slot that the secret opens, check the mac. `master`: KEY_BYTES of locked memory. */
int config_open(const struct parsed *p, const struct secret *secret, uint8_t *master,
	struct keys **keys, int *ret_slot, struct err *e) MUST_CHECK;
int slot_make(struct slot *s, const struct secret *secret, const char *label,
	const struct id *store, const uint8_t master[KEY_BYTES], struct err *e) MUST_CHECK;

#endif
