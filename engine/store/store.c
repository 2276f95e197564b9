/* Making, opening and closing a store. */
#include "engine/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/base/wire.h"
#include "engine/store/nameset.h"

#define CACHE_BYTES_DEFAULT ((size_t)12 << 20)

int store_create(struct object_place *place, struct store_config *cfg, const struct secret *secret,
	struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct keys *keys = NULL;
	cfg->created = time(NULL);
	int r = config_create(cfg, secret, &text, &keys, e);
	if (r == 0)
		r = store_config_create(place, buf_span(&text), e);
	keys_free(keys);
	return r;
}

int store_peek(struct object_place *place, struct store_config *cfg, unsigned *ret_kinds,
	struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r = store_config_read(place, &text, NULL, e);
	return r < 0 ? r : config_peek(buf_span(&text), cfg, ret_kinds, e);
}

static int open_index(struct store *s, const struct store_options *opt, struct err *e)
{
	char hex[2 * ID_BYTES + 1], note[200];
	CLEANUP_FREE char *path = NULL;
	if (opt->cache_dir) {
		struct err ignored = ERR_INIT;
		if (asprintf(&path, "%s/%s/index.sqlite", opt->cache_dir,
			    hex_of(s->cfg.id.b, ID_BYTES, hex)) < 0) {
			path = NULL;
			return err_set(e, E_NOMEM, 0, "no memory for a path");
		}
		char *slash = strrchr(path, '/');
		*slash = 0;
		int r = io_mkdirs(path, 0700, &ignored);
		*slash = '/';
		if (r < 0)
			log_say(&s->log, LOG_WARN, "no cache directory: %s", ignored.msg);
	}
	int r = index_open(&s->index, path, &s->cfg.id, note, sizeof note, e);
	if (r == 0 && note[0])
		log_say(&s->log, LOG_WARN,
			"the index cache '%s' cannot be used (%s); working without it", path, note);
	return r;
}

int store_open(struct store **ret, struct object_place *place, const struct secret *secret,
	const struct store_options *opt, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct err flaw = ERR_INIT;
	struct store *s = calloc(1, sizeof *s);
	if (!s) {
		object_place_free(place);
		return err_set(e, E_NOMEM, 0, "no memory for a store");
	}
	pthread_mutex_init(&s->m, NULL);
	pthread_mutex_init(&s->lost_m, NULL);
	pthread_mutex_init(&s->refresh_m, NULL);
	s->place = place;
	s->log = opt->log;
	s->lock_interval_ms = opt->lock_interval_ms ? opt->lock_interval_ms : LOCK_INTERVAL_MS;
	snprintf(s->what, sizeof s->what, "%s", opt->what ? opt->what : "writing");
	int r = store_config_read(place, &text, &flaw, e);
	if (r == 0 && flaw.code)
		log_say(&s->log, LOG_WARN, "%.300s: its second copy is used; 'mcfs check --repair' puts it right",
			flaw.code == E_NOTFOUND ? "the store's config is missing" : flaw.msg);
	if (r == 0)
		r = config_unlock(buf_span(&text), secret, &s->cfg, &s->keys, e);
	if (r == 0)
		r = plain_cache_new(&s->cache,
			opt->cache_bytes ? opt->cache_bytes : CACHE_BYTES_DEFAULT, e);
	if (r == 0)
		r = open_index(s, opt, e);
	if (r == 0)
		r = store_refresh(s, e);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_abort(s);
	doomed_free(&s->doomed);
	index_close(s->index);
	plain_cache_free(s->cache);
	keys_free(s->keys);
	object_place_free(s->place);
	pthread_mutex_destroy(&s->m);
	pthread_mutex_destroy(&s->lost_m);
	nameset_free(&s->lost);
	pthread_mutex_destroy(&s->refresh_m);
	free(s);
}

const struct store_config *store_config(const struct store *s)
{
	return &s->cfg;
}

const struct keys *store_keys(const struct store *s)
{
	return s->keys;
}

const struct log *store_log(const struct store *s)
{
	return &s->log;
}

struct object_place *store_place(struct store *s)
{
	return s->place;
}

struct index *store_index(struct store *s)
{
	return s->index;
}

void store_stats(struct store *s, struct store_stats *ret)
{
	LOCK_SCOPE(&s->m);
	*ret = s->stats;
}
