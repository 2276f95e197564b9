#include "tools/mcfs/pruning.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_chunk(void *ctx, const char *dimension, int32_t x, int32_t z, enum prune_outcome o,
	const char *detail)
{
	struct pruning *w = ctx;
	bool bad = o == PRUNE_SAVED_SINCE || o == PRUNE_DAMAGED || o == PRUNE_OCCUPIED ||
		   o == PRUNE_FAILED;
	if (w->cli->json && (w->list || bad)) {
		cli_json(json_pack("{s:s, s:o, s:i, s:i, s:s, s:o}", "type", "chunk", "dimension",
			cli_json_string(dimension, strlen(dimension)), "x", (int)x, "z", (int)z,
			"outcome", prune_outcome_name(o), "detail",
			cli_json_string(detail, strlen(detail))));
		return;
	}
	if (w->cli->json || w->cli->quiet || (!w->list && (!bad || o == PRUNE_FAILED)))
		return;
	fprintf(bad ? stderr : stdout, "%s: ", prune_outcome_name(o));
	cli_print_name(bad ? stderr : stdout, dimension, strlen(dimension));
	fprintf(bad ? stderr : stdout, " c.%d.%d%s", x, z, *detail ? ": " : "");
	cli_print_name(bad ? stderr : stdout, detail, strlen(detail));
	fputc('\n', bad ? stderr : stdout);
}

/* Chunks that are left are told by on_chunk(). */
static void on_log(void *ctx, enum log_level level, const char *line)
{
	struct pruning *w = ctx;
	if (level >= LOG_ERROR || w->cli->verbose || (level == LOG_WARN && !w->cli->quiet &&
							     strncmp(line, "chunk ", 6) != 0))
		cli_note(w->cli, "mcfs: %s", line);
}

int pruning_open(struct pruning *w, struct err *e)
{
	struct log log = {on_log, w};
	struct prune_options opt = {.state_dir = w->cli->state_dir, .world = w->world, .log = &log,
		.on_chunk = on_chunk, .ctx = w, .cancel = &cli_interrupted};
	return prune_open(&w->p, &opt, e);
}

void pruning_close(struct pruning *w)
{
	prune_close(w->p);
	w->p = NULL;
}

bool pruning_parse_when(const char *s, enum when_running *ret)
{
	*ret = strcmp(s, "defer") == 0 ? WHEN_RUNNING_DEFER : WHEN_RUNNING_REFUSE;
	return *ret == WHEN_RUNNING_DEFER || strcmp(s, "refuse") == 0;
}

static bool number(const char **s, int32_t *ret)
{
	char *end;
	errno = 0;
	long v = strtol(*s, &end, 10);
	if (errno || end == *s || **s == '+' || **s == ' ' || v < -40000000 || v > 40000000)
		return false;
	*ret = (int32_t)v;
	*s = end;
	return true;
}

bool pruning_parse_spec(const char *s, struct chunk_spec *ret)
{
	if ((s[0] != 'c' && s[0] != 'r') || s[1] != '.')
		return false;
	ret->is_region = s[0] == 'r';
	s += 2;
	if (!number(&s, &ret->x) || *s++ != '.' || !number(&s, &ret->z))
		return false;
	/* As the mount and the game call them as well. */
	return *s == 0 || strcmp(s, ret->is_region ? ".mca" : ".nbt") == 0;
}

bool pruning_parse_size(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	char *end;
	errno = 0;
	unsigned long long v = strtoull(s, &end, 10);
	if (errno || end == s || *s == '-' || *s == '+')
		return false;
	const char *u = *end ? strchr(units, *end & ~0x20) : NULL;
	if (u) {
		unsigned shift = 10 * (unsigned)(u - units + 1);
		end++;
		if (v > UINT64_MAX >> shift)
			return false;
		v <<= shift;
		if (strcmp(end, "iB") == 0 || strcmp(end, "B") == 0)
			end += strlen(end);
	}
	*ret = v;
	return *end == 0;
}

void pruning_json(json_t *o, const struct prune_result *r)
{
	const struct {
		const char *key;
		uint64_t v;
	} n[] = {{"done", r->done}, {"deferred", r->deferred}, {"cancelled", r->cancelled},
		{"absent", r->absent}, {"saved_since", r->saved_since}, {"damaged", r->damaged},
		{"occupied", r->occupied}, {"payload_bytes", r->payload_bytes},
		{"freed_bytes", r->freed_bytes}, {"used_bytes", r->used_bytes},
		{"files_removed", r->files_removed}, {"files_made", r->files_made}};
	for (size_t i = 0; i < sizeof n / sizeof *n; i++)
		json_object_set_new(o, n[i].key, json_integer((json_int_t)n[i].v));
}

int pruning_tell_rest(const struct cli *cli, const struct prune_result *r)
{
	const struct {
		uint64_t n;
		const char *what;
	} left[] = {{r->saved_since, "saved since they were chosen: left in the world"},
		{r->damaged, "that cannot be read: left in the world"},
		{r->occupied, "whose place is taken: left in the trash (--replace moves what is there "
			      "into the trash)"}};
	int code = EXIT_DONE;
	for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
		if (!left[i].n)
			continue;
		cli_note(cli, "%llu chunk%s %s", (unsigned long long)left[i].n,
			left[i].n == 1 ? "" : "s", left[i].what);
		code = EXIT_PARTLY;
	}
	return code;
}
