/* Passphrases, key files and recovery keys: from where they are to locked memory. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/store/recovery.h"
#include "tools/mcfs/cli.h"

#define SECRET_MAX 4096
#define SECRET_ROOM ((size_t)3 * 4096) /* what io_read_all() may want: no growing, nothing left behind */

void cli_secret_free(struct secret *s)
{
	crypto_secret_free((void *)(uintptr_t)s->value.p);
	*s = (struct secret){0};
}

int cli_secret_take(struct secret *ret, enum secret_kind kind, struct span value, struct err *e)
{
	uint8_t *p = crypto_secret_alloc(value.n);
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for a secret");
	memcpy(p, value.p, value.n);
	*ret = (struct secret){kind, {p, value.n}};
	return 0;
}

static void wipe(struct buf *b)
{
	if (b->p)
		crypto_wipe(b->p, b->cap);
}

/* Wipes the text. */
static int take_text(struct secret *ret, enum secret_kind kind, struct buf *b, struct err *e)
{
	uint8_t key[RECOVERY_BYTES];
	struct span s = buf_span(b);
	int r = 0;
	/* One line end is the editor's, not the passphrase's. */
	if (s.n && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n && s.p[s.n - 1] == '\r')
		s.n--;
	if (s.n == 0)
		r = err_set(e, E_AUTH, 0, "the %s is empty",
			kind == SECRET_RECOVERY ? "recovery key" : "passphrase");
	if (r == 0 && kind == SECRET_RECOVERY) {
		r = recovery_parse(s, key, e);
		s = span_of(key, sizeof key);
	}
	if (r == 0)
		r = cli_secret_take(ret, kind, s, e);
	crypto_wipe(key, sizeof key);
	wipe(b);
	return r;
}

static int from_command(const char *variable, const char *command, struct buf *b, struct err *e)
{
	FILE *f = popen(command, "re");
	if (!f)
		return err_set(e, E_IO, errno, "run %s", variable);
	int r = io_read_all(fileno(f), b, SECRET_MAX, variable, e);
	int status = pclose(f);
	if (r == 0 && status != 0)
		r = err_set(e, E_AUTH, 0, "%s failed (exit status %d)", variable,
			WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return r;
}

int cli_secret_env(const char *name, enum secret_kind kind, struct secret *ret, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char variable[3][64];
	const char *value[3];
	static const char *const form[] = {"", "_FILE", "_COMMAND"};
	*ret = (struct secret){0};
	/* All at once: what a growing buffer leaves behind is not wiped. */
	int r = buf_reserve(&b, SECRET_ROOM, e);
	if (r < 0)
		return r;
	for (int i = 0; i < 3; i++) {
		snprintf(variable[i], sizeof variable[i], "%s%s", name, form[i]);
		value[i] = getenv(variable[i]);
	}
	if (value[0] && *value[0])
		r = buf_add(&b, value[0], strlen(value[0]), e);
	else if (value[1] && *value[1])
		r = io_read_file(AT_FDCWD, value[1], &b, SECRET_MAX, e);
	else if (value[2] && *value[2])
		r = from_command(variable[2], value[2], &b, e);
	else
		return 0;
	if (r == 0)
		return take_text(ret, kind, &b, e);
	wipe(&b);
	return r;
}

int cli_secret_keyfile(const char *path, struct secret *ret, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	uint8_t key[KEY_BYTES];
	int r = buf_reserve(&text, SECRET_ROOM, e);
	if (r == 0)
		r = io_read_file(AT_FDCWD, path, &text, SECRET_MAX, e);
	if (r == 0)
		r = keyfile_parse(buf_span(&text), key, e);
	wipe(&text);
	if (r < 0) {
		e->code = E_AUTH;
		return err_wrap(e, "key file '%s'", path);
	}
	r = cli_secret_take(ret, SECRET_KEYFILE, span_of(key, sizeof key), e);
	crypto_wipe(key, sizeof key);
	return r;
}

int cli_keyfile_make(const char *path, const struct id *store, struct secret *ret, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	CLEANUP_FREE char *copy = strdup(path);
	uint8_t *key = crypto_secret_alloc(KEY_BYTES);
	if (!copy || !key) {
		crypto_secret_free(key);
		return err_set(e, E_NOMEM, 0, "no memory for a key");
	}
	*ret = (struct secret){SECRET_KEYFILE, {key, KEY_BYTES}};
	const char *dir = dirname(copy);
	crypto_random(key, KEY_BYTES);
	int r = buf_reserve(&text, SECRET_ROOM, e);
	if (r == 0)
		r = keyfile_format(store, key, &text, e);
	if (r == 0)
		r = io_mkdirs(dir, 0700, e);
	if (r == 0)
		r = io_write_file(AT_FDCWD, path, buf_span(&text), 0600, true, e);
	if (r == 0)
		r = io_sync_parents(dir, e);
	wipe(&text);
	if (r == 0)
		return 0;
	cli_secret_free(ret);
	return err_wrap(e, "make a key file");
}

char *cli_key_path(const struct cli *cli, const struct id *store)
{
	char hex[2 * ID_BYTES + 1], *path;
	hex_of(store->b, ID_BYTES, hex);
	return asprintf(&path, "%s/keys/%s.key", cli->key_dir, hex) < 0 ? NULL : path;
}

int cli_secret(struct cli *cli, const struct store_config *cfg, unsigned kinds, struct secret *ret,
	struct err *e)
{
	const char *key = getenv("MCFS_KEY_FILE");
	int r = cli_secret_env("MCFS_PASSPHRASE", SECRET_PASSPHRASE, ret, e);
	if (r == 0 && !ret->value.p)
		r = cli_secret_env("MCFS_RECOVERY_KEY", SECRET_RECOVERY, ret, e);
	if (r < 0 || ret->value.p)
		return r;
	if (key && *key)
		return cli_secret_keyfile(key, ret, e);
	if (!cfg)
		return 0;
	CLEANUP_FREE char *path = cli_key_path(cli, &cfg->id);
	if (!path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	bool has_keyfile = kinds & 1u << SECRET_KEYFILE;
	if (has_keyfile && (access(path, F_OK) == 0 || errno != ENOENT))
		return cli_secret_keyfile(path, ret, e);
	if (has_keyfile)
		return err_set(e, E_AUTH, 0,
			"the store's key file '%s' is not there: put it back, or say in MCFS_KEY_FILE where "
			"it is%s%s", path,
			kinds & 1u << SECRET_RECOVERY ? "; or give the recovery key in MCFS_RECOVERY_KEY" : "",
			kinds & 1u << SECRET_PASSPHRASE ? "; or the passphrase in MCFS_PASSPHRASE" : "");
	if (kinds == 1u << SECRET_RECOVERY)
		return err_set(e, E_AUTH, 0,
			"the store wants its recovery key: give it in MCFS_RECOVERY_KEY or "
			"MCFS_RECOVERY_KEY_FILE");
	return err_set(e, E_AUTH, 0,
		"the store wants a passphrase: give it in MCFS_PASSPHRASE, MCFS_PASSPHRASE_FILE or "
		"MCFS_PASSPHRASE_COMMAND");
}
