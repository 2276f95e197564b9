/* query_parse, for libFuzzer: any text is understood or refused with a reason, and what is understood has an
 * answer whatever is known. Filters that read files are not followed to them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/prune/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A name of a file that exists would make the result depend on the machine. */
static int names_files(const char *text)
{
	return strstr(text, "Selection") || strstr(text, "Player");
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct query_names names = {0};
	struct query *q;
	struct facts f;
	struct err e = ERR_INIT;
	char *text = malloc(n + 1);
	if (!text)
		return 0;
	memcpy(text, p, n);
	text[n] = 0;
	int r = names_files(text) ? E_USAGE : query_parse(&q, text, &names, &e);
	if (r == 0 && facts_init(&f, &names, &e) == 0) {
		f.dimension = "overworld";
		f.timestamp = 5;
		query_wants(q);
		query_judge(q, &f);
		facts_finish(&f);
		f.known = FACT_BIT(FACTS) - 1;
		if (query_judge(q, &f) == ANSWER_UNKNOWN)
			abort(); /* all is known */
		f.damaged = true;
		if (query_judge(q, &f) == ANSWER_YES)
			abort(); /* damaged chunks match only Damaged */
		facts_free(&f);
	}
	if (r == 0)
		query_free(q);
	else if (r != E_USAGE && r != E_NOMEM)
		abort();
	query_names_free(&names);
	free(text);
	return 0;
}
