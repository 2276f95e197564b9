/* Fuzz target: durations as text. What parses is in bounds, and survives being written and read. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/duration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *s = malloc(size + 1), out[DURATION_CHARS];
	int64_t v, back;
	if (!s)
		return 0;
	memcpy(s, data, size);
	s[size] = 0;
	if (duration_parse_words(s, &v, NULL) == 0) {
		if (v < 0 || v > DURATION_MAX)
			abort();
		if (duration_parse_words(duration_format(v, out), &back, NULL) < 0 || back != v)
			abort();
	}
	if (duration_parse_borg(s, &v, NULL) == 0 && (v < 1 || v > DURATION_MAX))
		abort();
	if (duration_parse_go(s, &v, NULL) == 0 && (v < 0 || v > DURATION_MAX * 1000000000))
		abort();
	free(s);
	return 0;
}
