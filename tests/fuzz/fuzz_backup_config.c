/* backup.yaml: whatever it says, a configuration or one line that says why not. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/config/backup_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct yaml_options opt = {.allow_unset = true};
	struct ydoc *y;
	struct backup_config *c;
	struct err e = ERR_INIT;
	if (ydoc_parse(&y, span_of(p, n), "/nonexistent/f.yaml", &opt, &e) < 0)
		return 0;
	int r = backup_config_from(&c, y, "f.yaml", &e);
	if (r < 0) {
		if (r != e.code || !e.msg[0])
			abort();
		return 0;
	}
	if (!c->sources.n || !c->n_repositories)
		abort();
	backup_config_free(c);
	return 0;
}
