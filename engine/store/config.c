#include "engine/store/config_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"

/* What a config may ask of us before anything in it is authenticated. */
#define KDF_MEM_KIB_MAX (256u * 1024)
#define KDF_PASSES_MAX 16u

static const char *const kind_words[] = {"passphrase", "keyfile", "recovery"};

static const char *const recompress_words[] = {"now", "later", "auto"};

const char *recompress_word(enum recompress_mode m)
{
	return recompress_words[m];
}

bool recompress_parse(const char *s, enum recompress_mode *ret)
{
	for (size_t i = 0; i < sizeof recompress_words / sizeof *recompress_words; i++)
		if (strcmp(s, recompress_words[i]) == 0) {
			*ret = (enum recompress_mode)i;
			return true;
		}
	return false;
}

static int addf(struct buf *b, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int addf(struct buf *b, struct err *e, const char *fmt, ...)
{
	char line[640];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	return buf_add(b, line, (size_t)n, e);
}

const char *secret_word(enum secret_kind kind)
{
	return kind_words[kind];
}

static char *time_text(int64_t when, char out[32])
{
	time_t t = (time_t)when;
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

static bool parse_time(const char *s, int64_t *ret)
{
	struct tm tm = {0};
	const char *end = strptime(s, "%Y-%m-%dT%H:%M:%SZ", &tm);
	*ret = timegm(&tm);
	return end && *end == 0;
}

/* ---- slots ---- */

/* `out` takes SLOT_AAD_BYTES. */
static struct span aad_of(const struct slot *s, const struct id *store, uint8_t *out)
{
	size_t n = strlen(s->bound);
	memcpy(out, store->b, ID_BYTES);
	memcpy(out + ID_BYTES, s->bound, n);
	return span_of(out, ID_BYTES + n);
}

static int slot_key(const struct slot *s, const struct secret *secret, const struct id *store,
	uint8_t key[KEY_BYTES], struct err *e)
{
	if (s->kind == SECRET_PASSPHRASE)
		return kdf_passphrase(secret->value, s->salt, s->passes, s->mem_kib, key, e);
	if (s->kind == SECRET_RECOVERY)
		kdf_random(secret->value, "recovery", store, key);
	else
		memcpy(key, secret->value.p, KEY_BYTES);
	return 0;
}

int slot_make(struct slot *s, const struct secret *secret, const char *label,
	const struct id *store, const uint8_t master[KEY_BYTES], struct err *e)
{
	uint8_t aad[SLOT_AAD_BYTES], id[SLOT_ID_CHARS / 2];
	char salt[2 * SALT_BYTES + 1], when[32];
	uint8_t *key = crypto_secret_alloc(KEY_BYTES);
	if (!key)
		return err_set(e, E_NOMEM, 0, "no memory for keys");
	*s = (struct slot){.kind = secret->kind, .passes = KDF_PASSES, .mem_kib = KDF_MEM_KIB,
		.created = (int64_t)time(NULL)};
	crypto_random(id, sizeof id);
	hex_of(id, sizeof id, s->id);
	snprintf(s->label, sizeof s->label, "%s", label ? label : "");
	crypto_random(s->salt, SALT_BYTES);
	int n = snprintf(s->bound, sizeof s->bound, "slot %s id=%s created=%s%s%s",
		secret_word(s->kind), s->id, time_text(s->created, when), *s->label ? " label=" : "",
		s->label);
	if (s->kind == SECRET_PASSPHRASE)
		snprintf(s->bound + n, sizeof s->bound - (size_t)n,
			" argon2id passes=%u memory=%u salt=%s", s->passes, s->mem_kib,
			hex_of(s->salt, SALT_BYTES, salt));
	int r = slot_key(s, secret, store, key, e);
	if (r == 0)
		key_wrap(key, aad_of(s, store, aad), master, s->wrapped);
	crypto_secret_free(key);
	return r;
}

/* " key=value" at *p; the value goes to `out`. False, and *p stays, when it is not there. */
static bool take_field(const char **p, const char *key, char *out, size_t size)
{
	size_t n = strlen(key);
	if (strncmp(*p, key, n) != 0)
		return false;
	size_t len = strcspn(*p + n, " ");
	if (len == 0 || len >= size)
		return false;
	memcpy(out, *p + n, len);
	out[len] = 0;
	*p += n + len;
	return true;
}

bool slot_label_ok(const char *s)
{
	size_t n = strlen(s);
	return n >= 1 && n <= SLOT_LABEL_MAX &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@+-") == n;
}

/* The costs behind a passphrase's slot. */
static bool parse_costs(const char *p, struct slot *s)
{
	int at = 0;
	return sscanf(p, " argon2id passes=%" SCNu32 " memory=%" SCNu32 " salt=%n", &s->passes,
		       &s->mem_kib, &at) == 2 &&
	       at && hex_parse(p + at, SALT_BYTES, s->salt) && s->passes >= 1 &&
	       s->passes <= KDF_PASSES_MAX && s->mem_kib >= 8 && s->mem_kib <= KDF_MEM_KIB_MAX;
}

static bool parse_slot(const char *line, enum secret_kind kind, struct slot *s)
{
	char when[32];
	uint8_t id[SLOT_ID_CHARS / 2];
	const char *w = strstr(line, " wrapped=");
	*s = (struct slot){.kind = kind};
	if (!w || (size_t)(w - line) >= sizeof s->bound ||
		!hex_parse(w + strlen(" wrapped="), WRAP_BYTES, s->wrapped))
		return false;
	memcpy(s->bound, line, (size_t)(w - line));
	s->bound[w - line] = 0;
	const char *p = s->bound + strlen("slot ") + strlen(secret_word(kind));
	if (!take_field(&p, " id=", s->id, sizeof s->id))
		hex_of(s->wrapped, sizeof id, s->id);
	else if (!hex_parse(s->id, sizeof id, id))
		return false;
	if (take_field(&p, " created=", when, sizeof when) && !parse_time(when, &s->created))
		return false;
	if (take_field(&p, " label=", s->label, sizeof s->label) && !slot_label_ok(s->label))
		return false;
	return kind == SECRET_PASSPHRASE ? parse_costs(p, s) : *p == 0;
}

/* ---- text ---- */

#define SUM_LINE_BYTES ((size_t)(4 + 2 * DIGEST_BYTES + 1))

static void sum_line(struct span s, char line[SUM_LINE_BYTES + 1])
{
	uint8_t digest[DIGEST_BYTES];
	digest_of(s, digest);
	memcpy(line, "sum ", 4);
	hex_of(digest, DIGEST_BYTES, line + 4);
	memcpy(line + SUM_LINE_BYTES - 1, "\n", 2);
}

int config_add_sum(struct buf *text, size_t start, struct err *e)
{
	char line[SUM_LINE_BYTES + 1];
	sum_line(span_of(text->p + start, text->len - start), line);
	return buf_add(text, line, SUM_LINE_BYTES, e);
}

int config_whole(struct span text, struct err *e)
{
	static const char head[] = "mcfs store ";
	char line[SUM_LINE_BYTES + 1];
	if (text.n < sizeof head || memcmp(text.p, head, sizeof head - 1) != 0)
		return err_set(e, E_CORRUPT, 0, "this is not the config of an mcfs store");
	size_t n = text.n < SUM_LINE_BYTES ? 0 : text.n - SUM_LINE_BYTES;
	sum_line(span_of(text.p, n), line);
	return n && memcmp(text.p + n, line, SUM_LINE_BYTES) == 0
		       ? 0
		       : err_set(e, E_CORRUPT, 0, "the store's config is damaged: its sum is not right");
}

int config_emit(const struct parsed *c, const struct keys *keys, struct buf *out, struct err *e)
{
	char id[2 * ID_BYTES + 1], wrapped[2 * WRAP_BYTES + 1], mac[2 * NAME_BYTES + 1], when[32];
	uint8_t m[NAME_BYTES];
	const struct store_config *cfg = &c->cfg;
	size_t start = out->len;
	int r = addf(out, e,
		"mcfs store %d\nid %s\ncreated %s\nserial %" PRIu64 "\nslack %s\nrecompress %s\n",
		STORE_FORMAT, hex_of(cfg->id.b, ID_BYTES, id), time_text(cfg->created, when),
		cfg->serial, cfg->slack == SLACK_DISCARD ? "discard" : "exact",
		recompress_word(cfg->recompress));
	if (r == 0 && cfg->parity)
		r = addf(out, e, "parity %u\n", cfg->parity);
	for (int i = 0; i < c->n_slots && r == 0; i++)
		r = addf(out, e, "%s wrapped=%s\n", c->slots[i].bound,
			hex_of(c->slots[i].wrapped, WRAP_BYTES, wrapped));
	if (r == 0)
		r = buf_add(out, c->others.p, c->others.len, e);
	if (r < 0)
		return r;
	config_mac(keys, span_of(out->p + start, out->len - start), m);
	r = addf(out, e, "mac %s\n", hex_of(m, NAME_BYTES, mac));
	if (r == 0)
		r = config_add_sum(out, start, e);
	return r == 0 && out->len - start > CONFIG_MAX_BYTES
		       ? err_set(e, E_UNSUPPORTED, 0, "the store's config would become too large")
		       : r;
}

int config_create(struct store_config *cfg, const struct secret *secret, struct buf *out,
	struct keys **keys, struct err *e)
{
	uint8_t *master = crypto_secret_alloc(KEY_BYTES);
	struct parsed *c = calloc(1, sizeof *c);
	int r = master && c ? 0 : err_set(e, E_NOMEM, 0, "no memory for keys");
	if (r == 0) {
		cfg->serial = 1;
		c->cfg = *cfg;
		c->n_slots = 1;
		crypto_random(master, KEY_BYTES);
		r = slot_make(&c->slots[0], secret, NULL, &cfg->id, master, e);
	}
	if (r == 0)
		r = keys_new(keys, master, &cfg->id, e);
	if (r == 0)
		r = config_emit(c, *keys, out, e);
	crypto_secret_free(master);
	free(c);
	return r;
}

static bool parse_number(const char *s, uint64_t max, uint64_t *ret)
{
	char *end;
	if (*s < '0' || *s > '9' || strlen(s) > 19)
		return false;
	*ret = strtoull(s, &end, 10);
	return *end == 0 && *ret <= max;
}

static int parse_slot_line(struct parsed *p, const char *line, struct err *e)
{
	for (size_t k = 0; k < sizeof kind_words / sizeof *kind_words; k++) {
		size_t n = strlen(kind_words[k]);
		if (strncmp(line + 5, kind_words[k], n) != 0 || line[5 + n] != ' ')
			continue;
		if (p->n_slots == CONFIG_MAX_SLOTS ||
			!parse_slot(line, (enum secret_kind)k, &p->slots[p->n_slots]))
			return E_CORRUPT;
		p->n_slots++;
		return 0;
	}
	/* Kinds of slots that a later version may add are for others to open. */
	return addf(&p->others, e, "%.600s\n", line);
}

static int parse_line(struct parsed *p, char *line, struct err *e)
{
	uint64_t v;
	if (strncmp(line, "id ", 3) == 0)
		return (p->has_id = hex_parse(line + 3, ID_BYTES, p->cfg.id.b)) ? 0 : E_CORRUPT;
	if (strncmp(line, "created ", 8) == 0)
		return parse_time(line + 8, &p->cfg.created) ? 0 : E_CORRUPT;
	if (strncmp(line, "serial ", 7) == 0)
		return parse_number(line + 7, UINT64_MAX >> 1, &p->cfg.serial) ? 0 : E_CORRUPT;
	if (strcmp(line, "slack exact") == 0 || strcmp(line, "slack discard") == 0) {
		p->cfg.slack = line[6] == 'd' ? SLACK_DISCARD : SLACK_EXACT;
		return 0;
	}
	if (strncmp(line, "recompress ", 11) == 0)
		return recompress_parse(line + 11, &p->cfg.recompress) ? 0 : E_CORRUPT;
	if (strncmp(line, "parity ", 7) == 0) {
		if (!parse_number(line + 7, PARITY_PERCENT_MAX, &v) || v == 0)
			return E_CORRUPT;
		p->cfg.parity = (unsigned)v;
		return 0;
	}
	if (strncmp(line, "slot ", 5) == 0)
		return parse_slot_line(p, line, e);
	if (strncmp(line, "mac ", 4) == 0)
		return (p->has_mac = hex_parse(line + 4, NAME_BYTES, p->mac)) ? 0 : E_CORRUPT;
	snprintf(p->unknown, sizeof p->unknown, "%.40s", *line ? line : " ");
	return 0;
}

int config_parse(struct span text, struct parsed *p, struct err *e)
{
	int version = 0, head = 0, r = config_whole(text, e);
	if (r < 0)
		return r;
	CLEANUP_FREE char *copy = malloc(text.n + 1);
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for the config");
	if (text.n)
		memcpy(copy, text.p, text.n);
	copy[text.n] = 0;
	if (sscanf(copy, "mcfs store %d%n", &version, &head) != 1 || copy[head] != '\n')
		return err_set(e, E_CORRUPT, 0, "this is not the config of an mcfs store");
	if (version != STORE_FORMAT)
		return err_set(e, E_UNSUPPORTED, 0,
			"the store has format %d; this version knows format %d: use a newer mcfs",
			version, STORE_FORMAT);
	for (char *line = copy + head + 1, *next; *line && !p->has_mac; line = next) {
		char *nl = strchr(line, '\n');
		p->authenticated = span_of(text.p, (size_t)(line - copy));
		if (!nl)
			return err_set(e, E_CORRUPT, 0, "the store's config is cut short");
		*nl = 0;
		next = nl + 1;
		p->ends = next + SUM_LINE_BYTES == copy + text.n;
		r = parse_line(p, line, e);
		if (r == E_CORRUPT)
			return err_set(e, r, 0, "the store's config has a bad line: '%.40s'", line);
		if (r < 0)
			return r;
	}
	if (p->has_mac && !p->ends)
		return err_set(e, E_CORRUPT, 0, "the store's config has something behind its end");
	if (!p->has_mac || !p->has_id || p->n_slots == 0)
		return err_set(e, E_CORRUPT, 0, "the store's config is cut short");
	return 0;
}

void parsed_free(struct parsed *p)
{
	if (!p)
		return;
	buf_free(&p->others);
	free(p);
}

int config_peek(struct span text, struct store_config *cfg, unsigned *ret_kinds, struct err *e)
{
	struct parsed *p = calloc(1, sizeof *p);
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for the config");
	int r = config_parse(text, p, e);
	if (r == 0) {
		*cfg = p->cfg;
		*ret_kinds = 0;
		for (int i = 0; i < p->n_slots; i++)
			*ret_kinds |= 1u << p->slots[i].kind;
	}
	parsed_free(p);
	return r;
}

/* k: KEY_BYTES of locked memory for the slot's key. */
static int try_slot(const struct parsed *p, const struct slot *s, const struct secret *secret,
	uint8_t *k, uint8_t *master, bool *opened, struct err *e)
{
	uint8_t aad[SLOT_AAD_BYTES];
	int r = slot_key(s, secret, &p->cfg.id, k, e);
	*opened = r == 0 && key_unwrap(k, aad_of(s, &p->cfg.id, aad), s->wrapped, master);
	return r;
}

static int prove(const struct parsed *p, const struct keys *keys, struct err *e)
{
	uint8_t mac[NAME_BYTES];
	config_mac(keys, p->authenticated, mac);
	if (!crypto_equal(mac, p->mac, NAME_BYTES))
		return err_set(e, E_CORRUPT, 0,
			"the store's config was changed by someone without the key");
	return p->unknown[0] ? err_set(e, E_UNSUPPORTED, 0,
				       "the store's config has a line that this version does not know: '%s': "
				       "use a newer mcfs", p->unknown)
			     : 0;
}

static const char *const kind_names[] = {"passphrase", "key file", "recovery key"};

int config_open(const struct parsed *p, const struct secret *secret, uint8_t *master,
	struct keys **keys, int *ret_slot, struct err *e)
{
	bool opened = false;
	int tries = 0, r = 0;
	uint8_t *k = crypto_secret_alloc(KEY_BYTES);
	if (!k)
		return err_set(e, E_NOMEM, 0, "no memory for keys");
	for (int i = 0; i < p->n_slots && r == 0 && !opened; i++)
		if (p->slots[i].kind == secret->kind && tries++ < SLOT_TRIES_MAX) {
			r = try_slot(p, &p->slots[i], secret, k, master, &opened, e);
			*ret_slot = i;
		}
	crypto_secret_free(k);
	if (r == 0 && !opened)
		r = err_set(e, E_AUTH, 0, "no key slot of the store opens with this %s",
			kind_names[secret->kind]);
	if (r == 0)
		r = keys_new(keys, master, &p->cfg.id, e);
	if (r < 0)
		return r;
	r = prove(p, *keys, e);
	if (r < 0)
		keys_free(TAKE_PTR(*keys));
	return r;
}

int config_verify(struct span text, const struct keys *keys, struct err *e)
{
	struct parsed *p = calloc(1, sizeof *p);
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for the config");
	int r = config_parse(text, p, e);
	if (r == 0)
		r = prove(p, keys, e);
	parsed_free(p);
	return r;
}

int config_unlock(struct span text, const struct secret *secret, struct store_config *cfg,
	struct keys **keys, struct err *e)
{
	struct parsed *p = calloc(1, sizeof *p);
	uint8_t *master = crypto_secret_alloc(KEY_BYTES);
	int slot;
	int r = p && master ? 0 : err_set(e, E_NOMEM, 0, "no memory for the config");
	if (r == 0)
		r = config_parse(text, p, e);
	if (r == 0)
		r = config_open(p, secret, master, keys, &slot, e);
	if (r == 0)
		*cfg = p->cfg;
	crypto_secret_free(master);
	parsed_free(p);
	return r;
}

int keyfile_format(const struct id *store, const uint8_t secret[KEY_BYTES], struct buf *out,
	struct err *e)
{
	char id[2 * ID_BYTES + 1], key[2 * KEY_BYTES + 1];
	int r = addf(out, e,
		"# Key of an mcfs store. Without it the backups cannot be read: keep a copy apart "
		"from the store.\nmcfs key 1\nstore %s\nkey %s\n",
		hex_of(store->b, ID_BYTES, id), hex_of(secret, KEY_BYTES, key));
	crypto_wipe(key, sizeof key);
	return r;
}

int keyfile_parse(struct span text, uint8_t secret[KEY_BYTES], struct err *e)
{
	char line[2 * KEY_BYTES + 1];
	const uint8_t *k = memmem(text.p, text.n, "\nkey ", 5);
	size_t left = k ? (size_t)(text.p + text.n - k) - 5 : 0;
	bool ok = left >= 2 * KEY_BYTES;
	if (ok) {
		memcpy(line, k + 5, 2 * KEY_BYTES);
		line[2 * KEY_BYTES] = 0;
		ok = hex_parse(line, KEY_BYTES, secret);
		crypto_wipe(line, sizeof line);
	}
	return ok ? 0 : err_set(e, E_AUTH, 0, "not an mcfs key file");
}
