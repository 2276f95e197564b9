/* rcon, coordinate: against a stand-in with the server's habits; what is left of a run that failed. */
#include "tests/unit/support.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "engine/server/coordinate.h"
#include "tests/unit/rcon_server.h"

static pthread_t thread;

static void start(struct rcon_server *s)
{
	s->password = "secret";
	assert_int_equal(rcon_server_listen(s), 0);
	assert_int_equal(pthread_create(&thread, NULL, rcon_server_run, s), 0);
}

static void stop(struct rcon_server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(s->fd);
}

static struct rcon_target target_of(const struct rcon_server *s)
{
	return (struct rcon_target){.host = "127.0.0.1", .port = s->port, .password = "secret",
		.connect_timeout = 5};
}

static void asks(struct rcon *c, const char *command, size_t want)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(rcon_command(c, command, 10, &b, e));
	if (b.len != want)
		fail_msg("'%s': %zu bytes instead of %zu", command, b.len, want);
}

static void answers(bool split, bool empty_first)
{
	static struct rcon_server s;
	s = (struct rcon_server){.split = split, .empty_first = empty_first};
	struct rcon *c = NULL;
	start(&s);
	struct rcon_target t = target_of(&s);
	OK(rcon_open(&c, &t, e));
	asks(c, "list", 43);
	asks(c, "say x", 0);
	asks(c, "long 4095", 4095);
	asks(c, "long 4096", 4096); /* full, and no empty packet behind it */
	asks(c, "long 4097", 4097);
	asks(c, "long 20000", 20000);
	asks(c, "wide 4096", 3 * 4096);
	asks(c, "wide 5000", 3 * 5000);
	asks(c, "list", 43); /* still in step */
	rcon_close(c);
	stop(&s);
}

static void test_answers(void **state)
{
	(void)state;
	answers(false, false);
	answers(true, true);
	rcon_close(NULL);
}

static void test_refusals(void **state)
{
	(void)state;
	static struct rcon_server s;
	s = (struct rcon_server){.drop = "list"};
	struct rcon *c = NULL;
	start(&s);
	struct rcon_target t = target_of(&s);
	t.password = "wrong";
	FAILS(E_AUTH, rcon_open(&c, &t, e));
	t.password = "secret";
	OK(rcon_open(&c, &t, e));
	char longest[RCON_COMMAND_MAX + 2] = "say ";
	memset(longest + 4, 'x', sizeof longest - 5);
	longest[sizeof longest - 1] = 0;
	FAILS(E_USAGE, rcon_command(c, longest, 5, NULL, e));
	FAILS(E_USAGE, rcon_command(c, "say a\nstop", 5, NULL, e));
	longest[RCON_COMMAND_MAX] = 0;
	OK(rcon_command(c, longest, 5, NULL, e)); /* the most that one read of the server takes */
	FAILS(E_IO, rcon_command(c, "list", 5, NULL, e));
	rcon_close(c);
	stop(&s);
	/* Nobody listens there any more. */
	FAILS(E_NOTFOUND, rcon_open(&c, &t, e));
	s = (struct rcon_server){.silent = true};
	start(&s);
	t = target_of(&s);
	OK(rcon_open(&c, &t, e));
	FAILS(E_IO, rcon_command(c, "list", 1, NULL, e));
	rcon_close(c);
	static volatile sig_atomic_t cancel;
	t.cancel = &cancel;
	OK(rcon_open(&c, &t, e));
	cancel = 1;
	FAILS(E_CANCELLED, rcon_command(c, "list", 5, NULL, e));
	rcon_close(c);
	stop(&s);
}

static void test_parse(void **state)
{
	(void)state;
	struct rcon_packet p;
	size_t used = 0;
	uint8_t b[14] = {10, 0, 0, 0, 7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0};
	for (size_t n = 0; n < 14; n++)
		assert_int_equal(rcon_parse(span_of(b, n), &p, &used, NULL), 0);
	assert_int_equal(rcon_parse(span_of(b, 14), &p, &used, NULL), 1);
	assert_int_equal(used, 14);
	assert_int_equal(p.id, 7);
	assert_int_equal(p.type, -1);
	assert_int_equal(p.text.n, 0);
	b[13] = 1;
	FAILS(E_FORMAT, rcon_parse(span_of(b, 14), &p, &used, e));
	b[0] = 9;
	FAILS(E_FORMAT, rcon_parse(span_of(b, 14), &p, &used, e));
	b[3] = 0x80;
	FAILS(E_FORMAT, rcon_parse(span_of(b, 14), &p, &used, e));
	assert_int_equal(rcon_units(text("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xff")), 6);
}

static struct coordinate_options options_of(const struct rcon_server *s)
{
	return (struct coordinate_options){.target = target_of(s), .state_dir = temp_dir(), .flush = true,
		.flush_timeout = 10, .retries = 1, .retry_delay = 1};
}

static void test_coordinate(void **state)
{
	(void)state;
	static struct rcon_server s;
	s = (struct rcon_server){.flush_ms = 50};
	struct coordination *c = NULL;
	start(&s);
	struct coordinate_options opt = options_of(&s);
	assert_false(coordinate_pending(&opt));
	assert_int_equal(coordinate_recover(&opt, NULL), 0);
	OK(coordinate_begin(&c, &opt, e));
	assert_int_equal(s.saving, 0);
	assert_int_equal(s.commands, 2);
	assert_true(coordinate_pending(&opt));
	OK(coordinate_end(c, e));
	assert_int_equal(s.saving, 1);
	assert_false(coordinate_pending(&opt));
	OK(coordinate_end(NULL, e));
	/* A run that died: only its record is there. */
	static struct coordination *dead;
	OK(coordinate_begin(&dead, &opt, e));
	assert_int_equal(coordinate_recover(&opt, NULL), 1);
	assert_int_equal(s.saving, 1);
	assert_false(coordinate_pending(&opt));
	/* An interrupt in the middle does not stop save-on. */
	static volatile sig_atomic_t cancel;
	opt.target.cancel = &cancel;
	OK(coordinate_begin(&c, &opt, e));
	cancel = 1;
	OK(coordinate_end(c, e));
	assert_int_equal(s.saving, 1);
	stop(&s);
}

static void test_coordinate_fails(void **state)
{
	(void)state;
	static struct rcon_server s;
	struct coordination *c = NULL;
	/* The connection goes at the flush: saving is turned on with a new one. */
	s = (struct rcon_server){.drop = "save-all flush"};
	start(&s);
	struct coordinate_options opt = options_of(&s);
	FAILS(E_IO, coordinate_begin(&c, &opt, e));
	assert_int_equal(s.saving, 1);
	assert_false(coordinate_pending(&opt));
	stop(&s);
	/* It goes at save-off, which was carried out all the same. */
	s = (struct rcon_server){.drop = "save-off"};
	start(&s);
	opt = options_of(&s);
	FAILS(E_IO, coordinate_begin(&c, &opt, e));
	assert_int_equal(s.saving, 1);
	assert_false(coordinate_pending(&opt));
	/* The server goes away for good: the record stays, and is undone when it is back. */
	s.drop = NULL;
	OK(coordinate_begin(&c, &opt, e));
	unsigned port = s.port;
	s.drop = "save-on";
	stop(&s);
	FAILS(E_NOTFOUND, coordinate_end(c, e));
	assert_true(coordinate_pending(&opt));
	FAILS(E_NOTFOUND, coordinate_recover(&opt, e));
	FAILS(E_NOTFOUND, coordinate_begin(&c, &opt, e));
	s = (struct rcon_server){.port = port};
	start(&s);
	s.saving = 0;
	assert_int_equal(coordinate_recover(&opt, NULL), 1);
	assert_int_equal(s.saving, 1);
	assert_false(coordinate_pending(&opt));
	/* No place for the record: saving is not turned off at all. */
	opt.state_dir = "/proc/nowhere";
	struct err own = ERR_INIT;
	assert_true(coordinate_begin(&c, &opt, &own) < 0);
	assert_int_equal(s.commands, 1);
	stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse), cmocka_unit_test(test_answers),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_coordinate),
		cmocka_unit_test(test_coordinate_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
