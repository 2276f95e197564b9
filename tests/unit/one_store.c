#include "tests/unit/support.h"

#include "tests/unit/one_coder.h"
#include "tests/unit/one_store.h"

struct object_place *place;
struct store *s;

int setup_store(void **state)
{
	(void)state;
	place = new_place_with_store(SLACK_EXACT);
	s = open_store(place);
	return 0;
}

int teardown_store(void **state)
{
	(void)state;
	store_close(s);
	object_place_free(place);
	return 0;
}

int setup_coder_and_store(void **state)
{
	return setup_coder(state) || setup_store(state);
}

int teardown_coder_and_store(void **state)
{
	return teardown_store(state) || teardown_coder(state);
}
