/* mcfs key: the ways to open a store. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/store/lock.h"
#include "engine/store/recovery.h"
#include "tools/mcfs/cli.h"
#include "tools/mcfs/session.h"

/* For another who changes keys; a compact takes longer, and is named then. */
#define LOCK_WAIT_SECONDS 20

struct key_args {
	const char *what; /* of add */
	const char *label, *to;
	bool drop_others;
	char **rest;
	int n_rest;
};

/* A store with its config opened for change, under the exclusive lock. */
struct change {
	struct store *s;
	struct store_lock *lock;
	struct secret secret; /* what it was opened with */
	struct config_edit *ed;
	struct id id;
};

static void change_end(struct change *c)
{
	config_edit_free(c->ed);
	cli_secret_free(&c->secret);
	store_lock_release(c->lock);
	store_close(c->s);
	*c = (struct change){0};
}

static int read_secret(struct cli *cli, struct object_place *place, struct secret *ret,
	struct err *e)
{
	struct store_config cfg;
	unsigned kinds;
	int r = store_peek(place, &cfg, &kinds, e);
	return r < 0 ? r : cli_secret(cli, &cfg, kinds, ret, e);
}

static void on_wait(void *ctx, const struct lock_info *l)
{
	char text[LOCK_TEXT_CHARS];
	cli_note(ctx, "mcfs: waiting for %s", lock_text(l, text));
}

static int change_begin(struct change *c, struct cli *cli, bool write, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	*c = (struct change){0};
	int r = cli_open(cli, 0, &c->s, e);
	if (r < 0)
		return r;
	c->id = store_config(c->s)->id;
	const struct lock_wait wait = {.seconds = LOCK_WAIT_SECONDS, .cancel = &cli_interrupted,
		.on_wait = on_wait, .ctx = cli};
	if (write)
		r = store_lock_take(c->s, LOCK_EXCLUSIVE, "key", &wait, &c->lock, e);
	if (r == 0)
		r = read_secret(cli, store_place(c->s), &c->secret, e);
	/* Read under the lock: what another changed meanwhile must not get lost. */
	if (r == 0)
		r = store_config_read(store_place(c->s), &text, NULL, e);
	if (r == 0)
		r = config_edit_open(&c->ed, buf_span(&text), &c->secret, e);
	if (r < 0)
		change_end(c);
	return r;
}

/* Put the new config in place, proven to open with `proof`. */
static int change_commit(struct change *c, const struct secret *proof, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r = config_edit_text(c->ed, proof, &text, e);
	if (r == 0)
		r = store_lock_check(c->lock, e);
	return r < 0 ? r : store_config_replace(store_place(c->s), buf_span(&text), e);
}

/* ---- new secrets ---- */

static int ask_line(const char *prompt, char *line, size_t size, struct err *e)
{
	struct termios old, quiet;
	if (tcgetattr(STDIN_FILENO, &old) < 0)
		return err_set(e, E_IO, errno, "the terminal");
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	fputs(prompt, stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	size_t n = 0;
	char ch;
	ssize_t got;
	while ((got = read(STDIN_FILENO, &ch, 1)) == 1 && ch != '\n')
		if (n + 1 < size)
			line[n++] = ch;
	line[n] = 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
	fputc('\n', stderr);
	return got == 1 ? 0 : err_set(e, E_CANCELLED, 0, "no passphrase was typed");
}

static int ask_passphrase(struct secret *ret, struct err *e)
{
	enum { SIZE = 1024 };
	char *lines = crypto_secret_alloc(2 * SIZE);
	if (!lines)
		return err_set(e, E_NOMEM, 0, "no memory for a passphrase");
	int r = ask_line("new passphrase: ", lines, SIZE, e);
	if (r == 0)
		r = ask_line("again: ", lines + SIZE, SIZE, e);
	if (r == 0 && strcmp(lines, lines + SIZE) != 0)
		r = err_set(e, E_AUTH, 0, "the two are not the same");
	if (r == 0 && !*lines)
		r = err_set(e, E_AUTH, 0, "the passphrase is empty");
	if (r == 0)
		r = cli_secret_take(ret, SECRET_PASSPHRASE, span_of(lines, strlen(lines)), e);
	crypto_secret_free(lines);
	return r;
}

static int new_passphrase(struct secret *ret, struct err *e)
{
	int r = cli_secret_env("MCFS_NEW_PASSPHRASE", SECRET_PASSPHRASE, ret, e);
	if (r < 0 || ret->value.p)
		return r;
	if (isatty(STDIN_FILENO))
		return ask_passphrase(ret, e);
	return err_set(e, E_USAGE, 0,
		"no new passphrase: give it in MCFS_NEW_PASSPHRASE, MCFS_NEW_PASSPHRASE_FILE or "
		"MCFS_NEW_PASSPHRASE_COMMAND, or run this on a terminal");
}

static int new_recovery(struct secret *ret, struct err *e)
{
	uint8_t key[RECOVERY_BYTES];
	crypto_random(key, sizeof key);
	int r = cli_secret_take(ret, SECRET_RECOVERY, span_of(key, sizeof key), e);
	crypto_wipe(key, sizeof key);
	return r;
}

/* Tell what was made. The recovery key is shown this once. */
static void tell(struct cli *cli, const char *verb, const char *id, const struct secret *s,
	const char *path)
{
	char key[RECOVERY_CHARS] = "";
	if (s->kind == SECRET_RECOVERY)
		recovery_format(s->value.p, key);
	if (cli->json) {
		json_t *j = json_pack("{s:s, s:s, s:s, s:s}", "type", "summary", "action", verb, "id",
			id, "kind", secret_word(s->kind));
		if (path)
			json_object_set_new(j, "key_file", cli_json_string(path, strlen(path)));
		if (*key)
			json_object_set_new(j, "recovery_key", json_string(key));
		cli_json(j);
	} else if (*key) {
		printf("%s\n", key);
		cli_note(cli, "Write this recovery key down (key slot %s): it opens the store like a "
			      "passphrase and is not shown again.", id);
	} else if (!cli->quiet) {
		printf("key slot %s, %s%s%s: %s\n", id, secret_word(s->kind), path ? " " : "",
			path ? path : "", verb);
	}
	crypto_wipe(key, sizeof key);
}

static void opened_slot(const struct change *c, struct slot_info *ret)
{
	struct slot_info v[CONFIG_MAX_SLOTS];
	size_t n = config_edit_slots(c->ed, v);
	for (size_t i = 0; i < n; i++)
		if (v[i].opened)
			*ret = v[i];
}

/* ---- list, add, remove ---- */

static int run_list(struct cli *cli, const struct key_args *a, struct err *e)
{
	struct change c;
	struct slot_info v[CONFIG_MAX_SLOTS];
	char when[40];
	json_t *all = json_array();
	(void)a;
	int r = change_begin(&c, cli, false, e);
	size_t n = r == 0 ? config_edit_slots(c.ed, v) : 0;
	for (size_t i = 0; i < n; i++) {
		struct timestamp t = {v[i].created, 0};
		if (cli->json) {
			json_t *o = json_pack("{s:s, s:s, s:s, s:b}", "id", v[i].id, "kind",
				secret_word(v[i].kind), "label", v[i].label, "opened", v[i].opened);
			if (v[i].created)
				json_object_set_new(o, "created", json_string(cli_time_iso(t, when)));
			if (v[i].kind == SECRET_PASSPHRASE) {
				json_object_set_new(o, "argon2id_passes", json_integer(v[i].passes));
				json_object_set_new(o, "argon2id_memory", json_integer(v[i].mem_kib));
			}
			json_array_append_new(all, o);
			continue;
		}
		printf("%c %s  %-10s  %s", v[i].opened ? '*' : ' ', v[i].id, secret_word(v[i].kind),
			v[i].created ? cli_time(t, when) : "-");
		if (*v[i].label)
			printf("  %s", v[i].label);
		if (v[i].kind == SECRET_PASSPHRASE)
			printf("  (Argon2id: %u passes, %u MiB)", v[i].passes, v[i].mem_kib / 1024);
		putchar('\n');
	}
	if (r == 0 && cli->json)
		cli_json(json_pack("{s:O}", "slots", all));
	json_decref(all);
	if (r == 0)
		change_end(&c);
	return r;
}

static int make_secret(struct cli *cli, const struct change *c, const struct key_args *a,
	struct secret *ret, char **ret_path, struct err *e)
{
	if (strcmp(a->what, "passphrase") == 0)
		return new_passphrase(ret, e);
	if (strcmp(a->what, "recovery") == 0)
		return new_recovery(ret, e);
	*ret_path = a->to ? strdup(a->to) : cli_key_path(cli, &c->id);
	if (!*ret_path)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	return cli_keyfile_make(*ret_path, &c->id, ret, e);
}

static int run_add(struct cli *cli, const struct key_args *a, struct err *e)
{
	struct change c;
	struct secret new = {0};
	CLEANUP_FREE char *path = NULL;
	char id[SLOT_ID_CHARS + 1];
	if (!a->what || (strcmp(a->what, "passphrase") && strcmp(a->what, "keyfile") &&
				strcmp(a->what, "recovery")))
		return err_set(e, E_USAGE, 0, "add what? passphrase, keyfile or recovery");
	if (a->label && !slot_label_ok(a->label))
		return err_set(e, E_USAGE, 0,
			"a label is 1 to %d letters, digits and ._@+-, not '%.60s'", SLOT_LABEL_MAX,
			a->label);
	int r = change_begin(&c, cli, true, e);
	if (r < 0)
		return r;
	struct slot_info used = {0};
	opened_slot(&c, &used);
	if (a->label && strcmp(used.label, a->label) == 0)
		r = err_set(e, E_USAGE, 0, "there is a key slot called '%s' already", a->label);
	if (r == 0)
		r = make_secret(cli, &c, a, &new, &path, e);
	bool made = r == 0;
	if (r == 0)
		r = config_edit_add(c.ed, &new, a->label, id, e);
	if (r == 0)
		r = change_commit(&c, &new, e);
	if (r == 0)
		tell(cli, "added", id, &new, path);
	else if (made && path)
		unlink(path); /* opens nothing */
	cli_secret_free(&new);
	change_end(&c);
	return r;
}

static int run_remove(struct cli *cli, const struct key_args *a, struct err *e)
{
	struct change c;
	if (a->n_rest != 1)
		return err_set(e, E_USAGE, 0, "which key slot? 'mcfs key list' shows them");
	int r = change_begin(&c, cli, true, e);
	if (r < 0)
		return r;
	struct slot_info v[CONFIG_MAX_SLOTS];
	size_t n = config_edit_slots(c.ed, v);
	for (size_t i = 0; i < n && r == 0; i++)
		if (v[i].opened && (strcmp(v[i].id, a->rest[0]) == 0 ||
					   (*v[i].label && strcmp(v[i].label, a->rest[0]) == 0)))
			r = n == 1 ? config_edit_remove(c.ed, a->rest[0], e)
				   : err_set(e, E_USAGE, 0,
					     "'%s' is the key slot that you opened the store with: open it "
					     "with another key to remove this one", a->rest[0]);
	if (r == 0)
		r = config_edit_remove(c.ed, a->rest[0], e);
	if (r == 0)
		r = change_commit(&c, &c.secret, e);
	if (r == 0 && cli->json)
		cli_json(json_pack("{s:s, s:s, s:s}", "type", "summary", "action", "removed", "id",
			a->rest[0]));
	else if (r == 0 && !cli->quiet)
		printf("key slot %s: removed\n", a->rest[0]);
	change_end(&c);
	return r;
}

/* ---- change and rotate ---- */

/* Which file the store was opened with. */
static char *keyfile_in_use(struct cli *cli, const struct id *id)
{
	const char *env = getenv("MCFS_KEY_FILE");
	return env && *env ? strdup(env) : cli_key_path(cli, id);
}

/* The file changes places last but one: at each moment what is at `path` opens the store. */
static int replace_keyfile(struct change *c, const char *path, const struct slot_info *old,
	struct secret *new, char new_id[SLOT_ID_CHARS + 1], struct err *e)
{
	CLEANUP_FREE char *beside = NULL, *dir = strdup(path);
	if (!dir || asprintf(&beside, "%s.new", path) < 0) {
		beside = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	unlink(beside); /* of a run that was killed; the store does not open with it, or the slot stays */
	int r = cli_keyfile_make(beside, &c->id, new, e);
	if (r == 0)
		r = config_edit_add(c->ed, new, *old->label ? old->label : NULL, new_id, e);
	if (r == 0)
		r = change_commit(c, &c->secret, e);
	if (r < 0) {
		unlink(beside);
		return r;
	}
	if (rename(beside, path) < 0)
		return err_set(e, E_IO, errno, "rename '%s' to '%s'", beside, path);
	char *slash = strrchr(dir, '/');
	if (slash)
		*slash = 0;
	r = io_fsync_dir(AT_FDCWD, !slash ? "." : *dir ? dir : "/", e);
	return r < 0 ? r : config_edit_remove(c->ed, old->id, e);
}

static int replace_other(struct change *c, const struct slot_info *old, bool same_secret,
	struct secret *new, char new_id[SLOT_ID_CHARS + 1], struct err *e)
{
	int r = old->kind == SECRET_RECOVERY ? new_recovery(new, e)
		: same_secret ? cli_secret_take(new, SECRET_PASSPHRASE, c->secret.value, e)
			      : new_passphrase(new, e);
	/* Added before the old one goes: the last slot must not be removed. */
	if (r == 0)
		r = config_edit_add(c->ed, new, *old->label ? old->label : NULL, new_id, e);
	return r < 0 ? r : config_edit_remove(c->ed, old->id, e);
}

static int drop_others(struct change *c, const char *keep, struct err *e)
{
	struct slot_info v[CONFIG_MAX_SLOTS];
	size_t n = config_edit_slots(c->ed, v);
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		if (strcmp(v[i].id, keep) != 0)
			r = config_edit_remove(c->ed, v[i].id, e);
	return r;
}

static int renew(struct cli *cli, const struct key_args *a, bool same_secret, struct err *e)
{
	struct change c;
	struct slot_info old = {0};
	struct secret new = {0};
	CLEANUP_FREE char *path = NULL;
	char new_id[SLOT_ID_CHARS + 1];
	int r = change_begin(&c, cli, true, e);
	if (r < 0)
		return r;
	opened_slot(&c, &old);
	if (old.kind == SECRET_KEYFILE) {
		path = keyfile_in_use(cli, &c.id);
		r = path ? replace_keyfile(&c, path, &old, &new, new_id, e)
			 : err_set(e, E_NOMEM, 0, "no memory for a path");
	} else {
		r = replace_other(&c, &old, same_secret, &new, new_id, e);
	}
	if (r == 0 && a->drop_others)
		r = drop_others(&c, new_id, e);
	if (r == 0)
		r = change_commit(&c, &new, e);
	if (r == 0)
		tell(cli, same_secret ? "rotated" : "changed", new_id, &new, path);
	cli_secret_free(&new);
	change_end(&c);
	return r;
}

static int run_change(struct cli *cli, const struct key_args *a, struct err *e)
{
	return renew(cli, a, false, e);
}

static int run_rotate(struct cli *cli, const struct key_args *a, struct err *e)
{
	return renew(cli, a, true, e);
}

/* ---- export and import ---- */

static int run_export(struct cli *cli, const struct key_args *a, struct err *e)
{
	struct change c;
	CLEANUP_BUF struct buf text = BUF_INIT;
	const char *path = a->n_rest ? a->rest[0] : NULL;
	if (a->n_rest > 1)
		return err_set(e, E_USAGE, 0, "export takes one file");
	int r = change_begin(&c, cli, false, e); /* proves that it is worth keeping */
	if (r == 0)
		r = store_config_read(store_place(c.s), &text, NULL, e);
	if (r == 0 && path)
		r = io_write_file(AT_FDCWD, path, buf_span(&text), 0600, true, e);
	else if (r == 0 && fwrite(text.p, 1, text.len, stdout) != text.len)
		r = err_set(e, E_IO, errno, "write the config");
	if (r == 0 && path && !cli->quiet && !cli->json)
		printf("the store's key slots are in %s; 'mcfs key import' puts them back if the "
		       "store's config is lost\n", path);
	if (r == 0 && path && cli->json)
		cli_json(json_pack("{s:s, s:s, s:o}", "type", "summary", "action", "exported", "path",
			cli_json_string(path, strlen(path))));
	change_end(&c);
	return r;
}

struct belonging {
	struct object_place *place;
	struct keys *keys;
	const char *kind;
	unsigned tried, opened;
};

static int try_object(void *ctx, const char *name, uint64_t size, struct err *e)
{
	struct belonging *b = ctx;
	CLEANUP_BUF struct buf sealed = BUF_INIT, plain = BUF_INIT;
	struct id id;
	char key[64];
	(void)e;
	if (size > (1u << 22) || !hex_parse(name, ID_BYTES, id.b))
		return 0;
	snprintf(key, sizeof key, "%s/%s", b->kind, name);
	b->tried++;
	if (object_get(b->place, key, 1u << 22, &sealed, NULL) == 0 &&
		object_open(b->keys, b->kind, &id, buf_span(&sealed), &plain, NULL) == 0)
		b->opened++;
	return b->opened || b->tried > 20;
}

/* Does what lies there open with these keys? An empty store is anybody's. */
static int must_belong(struct object_place *place, struct keys *keys, struct err *e)
{
	struct belonging b = {.place = place, .keys = keys, .kind = "snapshots"};
	int r = object_list(place, b.kind, try_object, &b, e);
	if (r == 0) {
		b.kind = "index";
		r = object_list(place, b.kind, try_object, &b, e);
	}
	if (r < 0)
		return r;
	return b.tried && !b.opened
		       ? err_set(e, E_AUTH, 0, "this is the config of another store: nothing here opens with it")
		       : 0;
}

static int import_into(struct cli *cli, struct object_place *place, struct span text, struct err *e)
{
	CLEANUP_BUF struct buf now = BUF_INIT;
	struct store_config cfg, there;
	struct secret secret = {0};
	struct keys *keys = NULL;
	unsigned kinds;
	int r = config_peek(text, &cfg, &kinds, e);
	if (r == 0)
		r = cli_secret(cli, &cfg, kinds, &secret, e);
	if (r == 0)
		r = config_unlock(text, &secret, &cfg, &keys, e);
	if (r == 0)
		r = must_belong(place, keys, e);
	/* A config that is there and sound is not put back to an older one by mistake. */
	if (r == 0 && store_config_read(place, &now, NULL, NULL) == 0 &&
		config_peek(buf_span(&now), &there, &kinds, NULL) == 0) {
		if (memcmp(there.id.b, cfg.id.b, ID_BYTES) != 0)
			r = err_set(e, E_EXISTS, 0, "there is the config of another store");
		else if (there.serial > cfg.serial)
			r = err_set(e, E_EXISTS, 0,
				"the store's config is newer than this one (remove 'config' and "
				"'config.copy' first, if they are worthless)");
	}
	if (r == 0)
		r = store_config_replace(place, text, e);
	keys_free(keys);
	cli_secret_free(&secret);
	return r;
}

static int run_import(struct cli *cli, const struct key_args *a, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct object_place *place;
	if (a->n_rest != 1)
		return err_set(e, E_USAGE, 0, "import which file?");
	if (!cli->store || !*cli->store)
		return err_set(e, E_USAGE, 0, "no store is named: use -s STORE or MCFS_STORE");
	int r = io_read_file(AT_FDCWD, a->rest[0], &text, CONFIG_MAX_BYTES, e);
	if (r == 0)
		r = object_dir_open(&place, cli->store, false, e);
	if (r < 0)
		return r;
	r = import_into(cli, place, buf_span(&text), e);
	object_place_free(place);
	if (r == 0 && cli->json)
		cli_json(json_pack("{s:s, s:s}", "type", "summary", "action", "imported"));
	else if (r == 0 && !cli->quiet)
		printf("the store's config is in its place\n");
	return r;
}

/* ---- */

static const struct {
	const char *name;
	int (*run)(struct cli *cli, const struct key_args *a, struct err *e);
	int max_rest;
} actions[] = {{"list", run_list, 0}, {"add", run_add, 0}, {"remove", run_remove, 1},
	{"change", run_change, 0}, {"rotate", run_rotate, 0}, {"export", run_export, 1},
	{"import", run_import, 1}};

static int run(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"label", required_argument, NULL, 'l'},
		{"to", required_argument, NULL, 't'}, {"drop-others", no_argument, NULL, 'd'}, {0}};
	struct key_args a = {0};
	struct err e = ERR_INIT;
	int o;
	while ((o = cli_getopt(cli, argc, argv, "", options, NULL)) != -1)
		switch (o) {
		case 'l':
			a.label = optarg;
			break;
		case 't':
			a.to = optarg;
			break;
		case 'd':
			a.drop_others = true;
			break;
		default:
			return EXIT_USAGE;
		}
	const char *name = optind < argc ? argv[optind++] : "";
	if (strcmp(name, "add") == 0 && optind < argc)
		a.what = argv[optind++];
	a.rest = argv + optind;
	a.n_rest = argc - optind;
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		if (a.n_rest > actions[i].max_rest)
			return cli_usage(cli, "key %s takes no argument '%s'", name,
				a.rest[actions[i].max_rest]);
		int r = actions[i].run(cli, &a, &e);
		return r == 0 ? EXIT_DONE : r == E_USAGE ? cli_usage(cli, "%s", e.msg) : cli_fail(cli, &e);
	}
	return cli_usage(cli, "key does one of list, add, remove, change, rotate, export, import");
}

const struct command command_key = {"key", run,
	"key list | add passphrase|keyfile|recovery | remove ID | change | rotate | export [FILE] | import FILE",
	"passphrases, key files and recovery keys of a store",
	"  list            the key slots; * is the one that opened the store just now\n"
	"  add WHAT        one more way to open the store: a passphrase (MCFS_NEW_PASSPHRASE,\n"
	"                  MCFS_NEW_PASSPHRASE_FILE, MCFS_NEW_PASSPHRASE_COMMAND, or typed), a new\n"
	"                  keyfile, or a recovery key to be written on paper\n"
	"    --label NAME  a name to know it by\n"
	"    --to FILE     where the new key file goes\n"
	"  remove ID       by id or label; never the last one\n"
	"  change          another passphrase, key file or recovery key instead of the one that is used\n"
	"  rotate          the same passphrase with a fresh salt and today's costs, or a new key file\n"
	"    --drop-others remove all other slots\n"
	"  export [FILE]   a copy of the store's config: the slots, still locked\n"
	"  import FILE     put it back when the store's own is lost or damaged\n"};
