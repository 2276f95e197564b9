#include "tools/mcfs/session.h"

#include <string.h>

int session_open(struct session *s, struct cli *cli, struct err *e)
{
	memset(s, 0, sizeof *s);
	int r = cli_open(cli, 0, &s->store, e);
	if (r == 0)
		r = coder_init(&s->coder, e);
	if (r == 0)
		r = snapshot_list_load(&s->list, s->store, e);
	if (r == 0)
		r = snapshot_check_rollback(&s->list, s->store, cli->state_dir, cli->accept_rollback, e);
	if (r < 0)
		session_close(s);
	return r;
}

void session_close(struct session *s)
{
	snapshot_list_free(&s->list);
	coder_free(&s->coder);
	store_close(s->store);
	s->store = NULL;
}

int session_resolve(struct session *s, char *spec, struct snapshot **ret_sn, const char **ret_path,
	struct entry *ret, struct plain **ret_hold, struct err *e)
{
	const char *snap;
	*ret_hold = NULL;
	cli_split_spec(spec, &snap, ret_path);
	int r = snapshot_find(&s->list, snap, ret_sn, e);
	return r < 0 ? r
		     : resolve_path(s->store, &s->coder, *ret_sn, *ret_path, ret, ret_hold, e);
}
