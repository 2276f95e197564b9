/* schedule_config: Ofelia's file as it is, every kind of key, every error with its line. */
#include "tests/unit/support.h"

#include "engine/config/schedule_config.h"

static struct schedule_config *parse(const char *s)
{
	struct schedule_config *c = NULL;
	OK(schedule_config_parse(text(s), "s.ini", &c, e));
	return c;
}

static void refused(const char *s, const char *line, const char *words)
{
	struct schedule_config *c = NULL;
	struct err e = ERR_INIT;
	int rc = schedule_config_parse(text(s), "s.ini", &c, &e);
	if (rc != E_USAGE && rc != E_FORMAT)
		fail_msg("taken (%d): %s", rc, s);
	if (strncmp(e.msg, "s.ini: ", 7) != 0 || !strstr(e.msg, line) || !strstr(e.msg, words))
		fail_msg("'%s' does not say '%s' and '%s'", e.msg, line, words);
}

static void test_ofelia(void **state)
{
	(void)state;
	struct schedule_config *c = parse("[job-exec \"borgmatic-backup\"]\n"
					  "schedule = 0 2 * * *\n"
					  "container = borgmatic\n"
					  "command = /scripts/backup.sh\n"
					  "no-overlap = true\n"
					  "\n"
					  "[job-local \"snapshot\"]\n"
					  "schedule = @every 1h30m\n"
					  "command = mcfs-snapshot --config /etc/mcfs/backup.yaml\n"
					  "no-overlap = true\n");
	assert_int_equal(c->n, 2);
	assert_int_equal(c->notes.n, 0);
	assert_int_equal(c->jobs[0].kind, JOB_EXEC);
	assert_string_equal(c->jobs[0].name, "borgmatic-backup");
	assert_string_equal(c->jobs[0].container, "borgmatic");
	assert_string_equal(c->jobs[0].command, "/scripts/backup.sh");
	assert_int_equal(c->jobs[0].schedule_line, 2);
	assert_true(c->jobs[0].no_overlap);
	assert_string_equal(c->jobs[1].schedule, "@every 1h30m");
	assert_ptr_equal(schedule_config_job(c, "snapshot"), &c->jobs[1]);
	assert_null(schedule_config_job(c, "other"));
	schedule_config_unref(c);
}

static void test_values(void **state)
{
	(void)state;
	struct schedule_config *c = parse(
		"\xef\xbb\xbf# comment\r\n"
		"; another\r\n"
		"[job-run \"r\"] ; behind\r\n"
		"  Schedule = @daily # nightly\r\n"
		"\timage=debian:12\n"
		"  network = n\n hostname = h\n  delete = false\n pull = no\n tty\n user = 1000\n"
		"  volume = /a:/b\n  volume = /c:/d:ro\n  volumes-from = x\n"
		"  environment = A=1\n  environment = B=2\n"
		"[global]\n"
		"timezone = Europe/Berlin\nstatus-port = 9000\nstatus-file = /run/x.prom\n"
		"on-stop = wait\nstop-timeout = 2m\nkill-after = 3 seconds\nhistory-keep = 5\n"
		"timeout = 1h30m\nretries = 2\nretry-delay = 90s\ncatch-up = true\njitter = 5min\n"
		"on-failure = https://a.example/x\non-failure = mail -s x root\n"
		"environment = G=0\nslack-webhook = https://b.example/y\nnice = 5\n"
		"[job-local \"l\"]\n"
		"depends-on = r\n"
		"command = \"sh -c 'a; b # c'\" ; quoted\n"
		"world = one, two\n"
		"timeout = 0s\n"
		"on-failure = other\n"
		"no-overlap = false\n"
		"dir = /srv/a\\\\b\n");
	const struct job_spec *r = &c->jobs[0], *l = &c->jobs[1];
	assert_int_equal(c->n, 2);
	assert_string_equal(r->schedule, "@daily");
	assert_string_equal(r->image, "debian:12");
	assert_false(r->remove);
	assert_false(r->pull);
	assert_true(r->tty);
	assert_true(r->no_overlap);
	assert_int_equal(r->volumes.n, 2);
	assert_string_equal(r->volumes.v[1], "/c:/d:ro");
	assert_int_equal(r->environment.n, 3);
	assert_string_equal(r->environment.v[0], "G=0");
	assert_int_equal(r->timeout, 5400000);
	assert_int_equal(r->retries, 2);
	assert_int_equal(r->retry_delay, 90000);
	assert_int_equal(r->jitter, 300000);
	assert_int_equal(r->nice, 5);
	assert_true(r->catch_up);
	assert_int_equal(r->hooks.on_failure.n, 2);
	assert_string_equal(r->hooks.slack, "https://b.example/y");
	assert_string_equal(l->command, "sh -c 'a; b # c'");
	assert_string_equal(l->dir, "/srv/a\\b");
	assert_int_equal(l->worlds.n, 2);
	assert_string_equal(l->worlds.v[1], "two");
	assert_int_equal(l->timeout, 0);
	assert_int_equal(l->hooks.on_failure.n, 1);
	assert_string_equal(l->hooks.on_failure.v[0], "other");
	assert_false(l->no_overlap);
	assert_int_equal(c->on_stop, STOP_WAIT);
	assert_int_equal(c->stop_timeout, 120000);
	assert_int_equal(c->kill_after, 3000);
	assert_int_equal(c->status_port, 9000);
	assert_int_equal(c->history_keep, 5);
	assert_string_equal(c->timezone, "Europe/Berlin");
	schedule_config_unref(c);
}

static bool noted(const struct schedule_config *c, const char *words)
{
	for (size_t i = 0; i < c->notes.n; i++)
		if (strstr(c->notes.v[i], words))
			return true;
	return false;
}

static void test_notes(void **state)
{
	(void)state;
	struct schedule_config *c = parse("[global]\n"
					  "save-folder = /x\n"
					  "smtp-host = mail\n"
					  "[job-local \"a\"]\n"
					  "schedule = @daily\n"
					  "command = sh -c \"echo x y\"\n"
					  "mail-only-on-error = true\n"
					  "[job-local \"b\"]\n"
					  "schedule = @daily\n"
					  "command = a && b\n"
					  "[job-local \"c\"]\n"
					  "schedule = @daily\n"
					  "command = echo a;b\n"
					  "[job-local \"d\"]\n"
					  "schedule = @daily\n"
					  "command = \"echo a\" # whole\n");
	assert_true(noted(c, "line 2: 'save-folder' has no meaning here: the output is in the log"));
	assert_true(noted(c, "line 3: 'smtp-host'"));
	assert_true(noted(c, "line 7: 'mail-only-on-error'"));
	assert_true(noted(c, "line 8: job \"b\": there is no shell"));
	assert_true(noted(c, "line 13: 'command': what follows 'echo a'"));
	assert_int_equal(c->notes.n, 5);
	assert_string_equal(c->jobs[0].command, "sh -c \"echo x y\"");
	assert_string_equal(c->jobs[3].command, "echo a");
	schedule_config_unref(c);
}

#define JOB "[job-local \"a\"]\nschedule = @daily\ncommand = x\n"
static void test_refused(void **state)
{
	(void)state;
	refused("[job-local \"a\"]\nschedule = @daily\ncomand = x\n", "line 3:", "no key 'comand'");
	refused(JOB "container = y\n", "line 4:", "no place in [job-local]");
	refused(JOB "timezone = UTC\n", "line 4:", "no place");
	refused(JOB "schedule = @weekly\n", "line 4:", "twice");
	refused(JOB "timeout = 5\n", "line 4:", "duration");
	refused(JOB "retries = many\n", "line 4:", "0 to 100");
	refused(JOB "retries = 101\n", "line 4:", "0 to 100");
	refused(JOB "no-overlap = perhaps\n", "line 4:", "true or false");
	refused(JOB "environment = X\n", "line 1:", "NAME=VALUE");
	refused(JOB "dir =\n", "line 4:", "no value");
	refused(JOB "world = a,,b\n", "line 4:", "list of names");
	refused(JOB "depends-on = b\n", "line 1:", "which is not there");
	refused(JOB "depends-on = a\n", "line 1:", "itself");
	refused(JOB "depends-on = b\n[job-local \"b\"]\ncommand = y\ndepends-on = a\n", "line 1:", "itself");
	refused(JOB JOB, "line 4:", "in line 1 already");
	refused("[job-local \"a\"]\ncommand = x\n", "line 1:", "neither a schedule");
	refused("[job-local \"a\"]\nschedule = @daily\n", "line 1:", "no command");
	refused("[job-exec \"a\"]\nschedule = @daily\ncommand = x\n", "line 1:", "no container");
	refused("[job-run \"a\"]\nschedule = @daily\ncommand = x\n", "line 1:", "an image");
	refused("[job-service-run \"a\"]\nimage = x\n", "line 1:", "swarm");
	refused("[job-local]\n", "line 1:", "needs a name");
	refused("[jobs \"a\"]\n", "line 1:", "no section [jobs]");
	refused("x = y\n", "line 1:", "before the first");
	refused("[global]\nx y\n", "line 2:", "stands =");
	refused("[global]\n=\n", "line 2:", "neither");
	refused("[global\n", "line 1:", "a section is");
	refused("[global] x\n", "line 1:", "behind the section");
	refused("[job-local \"a]\n", "line 1:", "closing quote");
	refused("[global]\ntimezone = \"UTC\n", "line 2:", "closing quote");
	refused(JOB "on-failure = it's\n", "line 4:", "closing quote");
	refused("[global]\ntimezone = a\\qb\n", "line 2:", "behind \\");
	refused("[global]\non-stop = now\n", "line 2:", "'wait' or 'terminate'");
	refused("[global]\nstatus-port = 70000\n", "line 2:", "65535");
	refused("[job-local \"a\nb\"]\n", "line 1:", "closing quote");
}

static void test_continued(void **state)
{
	(void)state;
	struct schedule_config *c = parse("[job-local \"a\"]\n"
					  "command = one \\\n"
					  "  two\\\\ \\\"q\\\"\n"
					  "schedule = @daily\n"
					  "user = x\n");
	assert_string_equal(c->jobs[0].command, "one   two\\ \"q\"");
	assert_int_equal(c->jobs[0].schedule_line, 4);
	schedule_config_unref(c);
}

/* A command is written as for a shell; other values as gcfg has them. */
static void test_commands(void **state)
{
	(void)state;
	static const struct {
		const char *written, *command;
	} cases[] = {
		{"sh -c 'a; b' ; comment", "sh -c 'a; b'"},
		{"sh -c \"a # b\" # comment", "sh -c \"a # b\""},
		{"sh -c \"a \\\"b\\\"; c\"", "sh -c \"a \\\"b\\\"; c\""},
		{"sh -c 'a \\n \"b\"'", "sh -c 'a \\n \"b\"'"},
		{"\"sh -c 'a; b'\" ; comment", "sh -c 'a; b'"},
		{"\"a\" \"b c\"", "\"a\" \"b c\""},
		{"sh -c \\\"a b\\\"", "sh -c \"a b\""},
	};
	for (size_t i = 0; i < N_OF(cases); i++) {
		char ini[200];
		snprintf(ini, sizeof ini, "[job-local \"a\"]\nschedule = @daily\ncommand = %s\n",
			cases[i].written);
		struct schedule_config *c = parse(ini);
		assert_string_equal(c->jobs[0].command, cases[i].command);
		assert_int_equal(c->notes.n, 0);
		schedule_config_unref(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ofelia),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_continued),
		cmocka_unit_test(test_commands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
