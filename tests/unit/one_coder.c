#include "tests/unit/support.h"

#include "tests/unit/one_coder.h"

struct coder c;

int setup_coder(void **state)
{
	(void)state;
	OK(crypto_init(e));
	OK(coder_init(&c, e));
	return 0;
}

int teardown_coder(void **state)
{
	(void)state;
	coder_free(&c);
	return 0;
}
