/* prune_config_parse, for libFuzzer: any file is understood or refused with its line, and what is understood
 * compiles, unless it names files. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/config/prune_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct prune_config c;
	struct rules *rules;
	struct err e = ERR_INIT;
	/* Includes and selections would read what happens to be on the machine. */
	if (!p || n == 0 || memmem(p, n, "include", 7) || memmem(p, n, "Selection", 9) ||
		memmem(p, n, "Player", 6))
		return 0;
	int r = prune_config_parse(&c, (struct span){p, n}, "fuzz.yaml", &e);
	if (r < 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	if (c.rules.max_percent > 100 || c.rules.n_rules > RULES_MAX)
		abort();
	if (c.rules.protect.n_selections == 0) {
		r = rules_compile(&rules, &c.rules, &e);
		if (r == 0)
			rules_free(rules);
		else if (r != E_USAGE && r != E_NOMEM)
			abort();
	}
	prune_config_free(&c);
	return 0;
}
