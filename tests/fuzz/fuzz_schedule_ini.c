/* schedule_config_parse, for libFuzzer: any file is taken or refused with a line, and what is taken
 * can be split into commands. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/config/schedule_config.h"
#include "engine/schedule/argv.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct schedule_config *c = NULL;
	struct err e = ERR_INIT;
	if (schedule_config_parse(span_of(p, n), "f", &c, &e) < 0) {
		if (!e.msg[0] || c)
			abort();
		return 0;
	}
	for (size_t i = 0; i < c->n; i++) {
		struct argv a = {0};
		if (schedule_config_job(c, c->jobs[i].name) != &c->jobs[i])
			abort();
		if (argv_of_job(&c->jobs[i], "name", &a, NULL) == 0 && (a.n == 0 || a.v[a.n]))
			abort();
		argv_free(&a);
	}
	schedule_config_unref(c);
	return 0;
}
