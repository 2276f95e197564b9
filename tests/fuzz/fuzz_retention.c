/* Rules of what to keep, "key value" a line, and what they decide of some snapshots: refused with a text, or
 * every snapshot has a reason that can be told; one in the future is always kept. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/snapshot/retention.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define SNAPSHOTS 40
#define NOW 1790000000

static void decide(const struct retention *rt)
{
	static char host[] = "h", other[] = "other", tag[] = "t";
	static char *tags[] = {tag};
	struct snapshot v[SNAPSHOTS];
	struct retention_reason why[SNAPSHOTS];
	const struct snapshot_list l = {.v = v, .n = SNAPSHOTS};
	char text[RETENTION_CHARS];
	struct err e = ERR_INIT;
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		v[i] = (struct snapshot){.begin = {NOW + 90000 - (int64_t)i * i * 50000, i},
			.host = i % 3 ? host : other, .tags = tags, .n_tags = i % 7 == 0};
	if (retention_decide(rt, &l, (struct timestamp){NOW, 0}, why, &e) < 0)
		return;
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		if ((retention_text(&why[i], text)[0] == 0) != (why[i].rule == RULE_NONE) ||
			(v[i].begin.s > NOW + 60000 && why[i].rule == RULE_NONE))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct retention rt = {0};
	struct err e = ERR_INIT;
	char *text = malloc(n + 1), *save = NULL;
	if (!text)
		return 0;
	memcpy(text, p, n);
	text[n] = 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, ' ');
		if (!value)
			continue;
		*value++ = 0;
		e = (struct err)ERR_INIT;
		if (retention_set(&rt, line, value, &e) < 0 && !e.msg[0])
			abort();
	}
	if (!retention_is_empty(&rt))
		decide(&rt);
	free(text);
	return 0;
}
