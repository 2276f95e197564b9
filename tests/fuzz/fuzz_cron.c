/* cron_parse and cron_next, for libFuzzer: what is taken has due times that move on and that match
 * again when asked from a second before. Zones other than rules in the text need files: not here. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/schedule/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct zone *utc = NULL;
	struct cron *c = NULL;
	char text[300];
	if (n >= sizeof text || zone_load("UTC", &utc, NULL) < 0)
		return 0;
	memcpy(text, p, n);
	text[n] = 0;
	if (cron_parse(text, utc, &c, NULL) == 0) {
		int64_t t = 1772323200, due, again;
		for (int i = 0; i < 5 && cron_next(c, t, &due, NULL) == 0; i++, t = due) {
			if (due <= t)
				abort();
			if (!cron_every(c) && (cron_next(c, due - 1, &again, NULL) < 0 || again != due))
				abort();
		}
	}
	cron_free(c);
	zone_free(utc);
	return 0;
}
