/* Configuration files: whatever they say, a tree within its limits or one line that says why not. */
#include <stdlib.h>
#include <stdint.h>
#include <string.h>

#include "engine/config/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *env(void *ctx, const char *name)
{
	(void)ctx;
	return name[0] == 'A' ? "a: [value" : NULL;
}

/* Number of values with aliases written out; the limits promise that this ends soon. */
static unsigned walk(const struct yaml_node *n, unsigned depth)
{
	unsigned total = 1;
	if (depth > YAML_DEPTH_MAX + 1 || !n->file || !n->line ||
		(n->kind == YAML_SCALAR) != (n->text != NULL))
		abort();
	for (size_t i = 0; i < n->n; i++) {
		if ((n->kind == YAML_MAP) != (n->v[i].key != NULL))
			abort();
		if (n->kind == YAML_MAP && !ydoc_get(n, n->v[i].key))
			abort();
		total += walk(n->v[i].value, depth + 1);
	}
	return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct yaml_options opt = {.env = env, .allow_unset = n & 1};
	struct ydoc *y;
	struct err e = ERR_INIT;
	int r = ydoc_parse(&y, span_of(p, n), "/nonexistent/fuzz.yaml", &opt, &e);
	if (r < 0) {
		if (r != e.code || !e.msg[0])
			abort();
		return 0;
	}
	if (walk(ydoc_root(y), 0) > YAML_NODES_MAX)
		abort();
	ydoc_free(y);
	return 0;
}
