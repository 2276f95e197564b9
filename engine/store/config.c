#include "engine/store/config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"

/* Argon2id: OWASP's second recommendation doubled in passes; stays below the 64 MiB that a whole
 * snapshot may use. */
#define KDF_PASSES 3u
#define KDF_MEM_KIB (46u * 1024)
/* What a config may ask of us before anything in it is authenticated. */
#define KDF_MEM_KIB_MAX (256u * 1024)
#define KDF_PASSES_MAX 16u
#define KDF_TRIES_MAX 8

struct slot {
	enum secret_kind kind;
	uint32_t passes, mem_kib;
	uint8_t salt[SALT_BYTES];
	uint8_t wrapped[WRAP_BYTES];
	char bound[200]; /* what the wrapping authenticates: the line up to the wrapped key */
};

struct parsed {
	struct store_config cfg;
	struct slot slots[CONFIG_MAX_SLOTS];
	int n_slots;
	struct span authenticated; /* all before the mac line, which is the last */
	bool ends;
	uint8_t mac[NAME_BYTES];
	bool has_mac, has_id;
};

static int addf(struct buf *b, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

const char *recompress_word(enum recompress_mode m)
{
	return m == RECOMPRESS_LATER ? "later" : "now";
}

bool recompress_parse(const char *s, enum recompress_mode *ret)
{
	bool later = strcmp(s, "later") == 0;
	if (!later && strcmp(s, "now") != 0)
		return false;
	*ret = later ? RECOMPRESS_LATER : RECOMPRESS_NOW;
	return true;
}

static int addf(struct buf *b, struct err *e, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	return buf_add(b, line, (size_t)n, e);
}

static struct span bound_of(const struct slot *s, const struct id *store, struct buf *tmp)
{
	/* E_NOMEM here would show as a slot that does not open; the buffer is on the stack. */
	memcpy(tmp->p, store->b, ID_BYTES);
	size_t n = strlen(s->bound);
	memcpy(tmp->p + ID_BYTES, s->bound, n);
	return span_of(tmp->p, ID_BYTES + n);
}

static int slot_key(const struct slot *s, const struct secret *secret, uint8_t key[KEY_BYTES],
	struct err *e)
{
	if (s->kind == SECRET_PASSPHRASE)
		return kdf_passphrase(secret->value, s->salt, s->passes, s->mem_kib, key, e);
	memcpy(key, secret->value.p, KEY_BYTES);
	return 0;
}

static void slot_bind(struct slot *s)
{
	char salt[2 * SALT_BYTES + 1];
	if (s->kind == SECRET_PASSPHRASE)
		snprintf(s->bound, sizeof s->bound,
			"slot passphrase argon2id passes=%u memory=%u salt=%s", s->passes,
			s->mem_kib, hex_of(s->salt, SALT_BYTES, salt));
	else
		snprintf(s->bound, sizeof s->bound, "slot keyfile");
}

static int emit(const struct store_config *cfg, const struct slot *s, const struct keys *keys,
	struct buf *out, struct err *e)
{
	char id[2 * ID_BYTES + 1], wrapped[2 * WRAP_BYTES + 1], mac[2 * NAME_BYTES + 1], when[32];
	uint8_t m[NAME_BYTES];
	time_t t = (time_t)cfg->created;
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
	size_t start = out->len;
	int r = addf(out, e, "mcfs store %d\nid %s\ncreated %s\nslack %s\nrecompress %s\n",
		STORE_FORMAT, hex_of(cfg->id.b, ID_BYTES, id), when,
		cfg->slack == SLACK_DISCARD ? "discard" : "exact",
		recompress_word(cfg->recompress));
	if (r == 0)
		r = addf(out, e, "%s wrapped=%s\n", s->bound,
			hex_of(s->wrapped, WRAP_BYTES, wrapped));
	if (r < 0)
		return r;
	config_mac(keys, span_of(out->p + start, out->len - start), m);
	return addf(out, e, "mac %s\n", hex_of(m, NAME_BYTES, mac));
}

int config_create(struct store_config *cfg, const struct secret *secret, struct buf *out,
	struct keys **keys, struct err *e)
{
	uint8_t *master = crypto_secret_alloc(2 * KEY_BYTES);
	if (!master)
		return err_set(e, E_NOMEM, 0, "no memory for keys");
	uint8_t tmp[ID_BYTES + sizeof((struct slot *)0)->bound];
	struct buf bound = {tmp, 0, sizeof tmp};
	struct slot s = {.kind = secret->kind, .passes = KDF_PASSES, .mem_kib = KDF_MEM_KIB};
	crypto_random(master, KEY_BYTES);
	crypto_random(s.salt, SALT_BYTES);
	slot_bind(&s);
	int r = slot_key(&s, secret, master + KEY_BYTES, e);
	if (r == 0) {
		key_wrap(master + KEY_BYTES, bound_of(&s, &cfg->id, &bound), master, s.wrapped);
		r = keys_new(keys, master, &cfg->id, e);
	}
	if (r == 0)
		r = emit(cfg, &s, *keys, out, e);
	crypto_secret_free(master);
	return r;
}

static bool parse_time(const char *s, int64_t *ret)
{
	struct tm tm = {0};
	const char *end = strptime(s, "%Y-%m-%dT%H:%M:%SZ", &tm);
	*ret = timegm(&tm);
	return end && *end == 0;
}

static bool parse_slot(const char *line, struct slot *s)
{
	const char *w = strstr(line, " wrapped=");
	if (!w || (size_t)(w - line) >= sizeof s->bound ||
		!hex_parse(w + strlen(" wrapped="), WRAP_BYTES, s->wrapped))
		return false;
	memcpy(s->bound, line, (size_t)(w - line));
	s->bound[w - line] = 0;
	if (strcmp(s->bound, "slot keyfile") == 0) {
		s->kind = SECRET_KEYFILE;
		return true;
	}
	int at = 0;
	s->kind = SECRET_PASSPHRASE;
	return sscanf(s->bound, "slot passphrase argon2id passes=%" SCNu32 " memory=%" SCNu32
				" salt=%n", &s->passes, &s->mem_kib, &at) == 2 &&
	       at && hex_parse(s->bound + at, SALT_BYTES, s->salt) && s->passes >= 1 &&
	       s->passes <= KDF_PASSES_MAX && s->mem_kib >= 8 && s->mem_kib <= KDF_MEM_KIB_MAX;
}

static int parse_line(struct parsed *p, char *line, struct err *e)
{
	if (strncmp(line, "id ", 3) == 0)
		return (p->has_id = hex_parse(line + 3, ID_BYTES, p->cfg.id.b)) ? 0 : E_CORRUPT;
	if (strncmp(line, "created ", 8) == 0)
		return parse_time(line + 8, &p->cfg.created) ? 0 : E_CORRUPT;
	if (strcmp(line, "slack exact") == 0 || strcmp(line, "slack discard") == 0) {
		p->cfg.slack = line[6] == 'd' ? SLACK_DISCARD : SLACK_EXACT;
		return 0;
	}
	if (strncmp(line, "recompress ", 11) == 0)
		return recompress_parse(line + 11, &p->cfg.recompress) ? 0 : E_CORRUPT;
	if (strncmp(line, "slot ", 5) == 0) {
		/* Kinds of slots that a later version may add are for others to open. */
		if (strncmp(line, "slot passphrase ", 16) && strncmp(line, "slot keyfile ", 13))
			return 0;
		if (p->n_slots == CONFIG_MAX_SLOTS || !parse_slot(line, &p->slots[p->n_slots]))
			return E_CORRUPT;
		p->n_slots++;
		return 0;
	}
	if (strncmp(line, "mac ", 4) == 0)
		return (p->has_mac = hex_parse(line + 4, NAME_BYTES, p->mac)) ? 0 : E_CORRUPT;
	return err_set(e, E_UNSUPPORTED, 0,
		"the store's config has a line that this version does not know: '%.40s'", line);
}

static int parse(struct span text, struct parsed *p, struct err *e)
{
	int version = 0, head = 0;
	CLEANUP_FREE char *copy = malloc(text.n + 1);
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for the config");
	memcpy(copy, text.p, text.n);
	copy[text.n] = 0;
	memset(p, 0, sizeof *p);
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
		p->ends = next == copy + text.n;
		int r = parse_line(p, line, e);
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

int config_peek(struct span text, struct store_config *cfg, bool *ret_has_passphrase,
	bool *ret_has_keyfile, struct err *e)
{
	CLEANUP_FREE struct parsed *p = malloc(sizeof *p);
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for the config");
	int r = parse(text, p, e);
	if (r < 0)
		return r;
	*cfg = p->cfg;
	*ret_has_passphrase = *ret_has_keyfile = false;
	for (int i = 0; i < p->n_slots; i++)
		*(p->slots[i].kind == SECRET_KEYFILE ? ret_has_keyfile : ret_has_passphrase) = true;
	return 0;
}

static int try_slot(const struct parsed *p, const struct slot *s, const struct secret *secret,
	struct keys **keys, bool *opened, struct err *e)
{
	uint8_t *k = crypto_secret_alloc(2 * KEY_BYTES);
	if (!k)
		return err_set(e, E_NOMEM, 0, "no memory for keys");
	uint8_t tmp[ID_BYTES + sizeof s->bound];
	struct buf bound = {tmp, 0, sizeof tmp};
	int r = slot_key(s, secret, k, e);
	*opened = r == 0 && key_unwrap(k, bound_of(s, &p->cfg.id, &bound), s->wrapped,
				    k + KEY_BYTES);
	if (*opened)
		r = keys_new(keys, k + KEY_BYTES, &p->cfg.id, e);
	crypto_secret_free(k);
	return r;
}

int config_unlock(struct span text, const struct secret *secret, struct store_config *cfg,
	struct keys **keys, struct err *e)
{
	CLEANUP_FREE struct parsed *p = malloc(sizeof *p);
	bool opened = false;
	int tries = 0;
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for the config");
	int r = parse(text, p, e);
	for (int i = 0; i < p->n_slots && r == 0 && !opened; i++)
		if (p->slots[i].kind == secret->kind && tries++ < KDF_TRIES_MAX)
			r = try_slot(p, &p->slots[i], secret, keys, &opened, e);
	if (r < 0)
		return r;
	if (!opened)
		return err_set(e, E_AUTH, 0, "no key slot of the store opens with this %s",
			secret->kind == SECRET_KEYFILE ? "key file" : "passphrase");
	uint8_t mac[NAME_BYTES];
	config_mac(*keys, p->authenticated, mac);
	if (!crypto_equal(mac, p->mac, NAME_BYTES)) {
		keys_free(TAKE_PTR(*keys));
		return err_set(e, E_CORRUPT, 0,
			"the store's config was changed by someone without the key");
	}
	*cfg = p->cfg;
	return 0;
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
