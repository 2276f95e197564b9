/* backup_config: borgmatic's keys in both forms, what is remarked upon, what is refused and where. */
#include "tests/unit/support.h"

#include "engine/config/backup_config.h"

#define EXAMPLES MCFS_SOURCE_ROOT "/tests/fuzz/corpus/backup_config/"

static struct ydoc *parsed(const char *s)
{
	struct ydoc *y = NULL;
	OK(ydoc_parse(&y, text(s), "b.yaml", NULL, e));
	return y;
}

/* What every configuration needs, in line 1 and 2; the rest begins in line 3. */
#define BASE "source_directories: [/w]\nrepositories: [{path: /r}]\n"

static struct backup_config *config(const char *s)
{
	struct backup_config *c = NULL;
	OK(backup_config_from(&c, parsed(s), "b.yaml", e));
	return c;
}

static void refused(const char *s, const char *want)
{
	struct backup_config *c = NULL;
	struct err e = ERR_INIT;
	int r = backup_config_from(&c, parsed(s), "b.yaml", &e);
	if (r != E_USAGE || e.code != r || c)
		fail_msg("%d instead of a refusal: %s", r, s);
	if (!strstr(e.msg, want))
		fail_msg("'%s' is not in '%s'", want, e.msg);
}

static const struct config_remark *remark(const struct backup_config *c, const char *key)
{
	for (size_t i = 0; i < c->n_remarks; i++)
		if (strcmp(c->remarks[i].key, key) == 0)
			return &c->remarks[i];
	fail_msg("no remark on '%s'", key);
	return NULL;
}

static void test_flat_example(void **state)
{
	(void)state;
	struct backup_config *c = NULL;
	unsetenv("CF_SLUG");
	FAILS(E_USAGE, backup_config_load(&c, EXAMPLES "borgmatic-config.yaml", false, e));
	OK(backup_config_load(&c, EXAMPLES "borgmatic-config.yaml", true, e));
	assert_int_equal(remark(c, "CF_SLUG")->line, 7);
	backup_config_free(c);
	setenv("CF_SLUG", "atm9", 1);
	OK(backup_config_load(&c, EXAMPLES "borgmatic-config.yaml", false, e));
	assert_int_equal(c->sources.n, 3);
	assert_string_equal(c->sources.v[1], "/mnt/source/world");
	assert_int_equal(c->n_repositories, 1);
	assert_string_equal(c->repositories[0].path, "/mnt/borg-repository/atm9");
	assert_true(c->repositories[0].local);
	assert_string_equal(c->match, "*");
	assert_int_equal(c->keep.within, 7200);
	assert_int_equal(c->keep.hourly, 24);
	assert_int_equal(c->keep.daily, 14);
	assert_int_equal(c->keep.weekly, 12);
	assert_int_equal(c->keep.monthly, 12);
	assert_int_equal(c->keep.yearly, 999);
	assert_string_equal(c->excludes.v[0], "*DistantHorizons.sqlite*");
	assert_int_equal(c->actions, ACTIONS_ALL);
	/* Without a word about checks: borgmatic's own default. */
	assert_int_equal(c->n_checks, 1);
	assert_int_equal(c->checks[0].frequency, 30 * 86400);
	backup_config_free(c);
	backup_config_free(NULL);
}

static void test_sectioned_example(void **state)
{
	(void)state;
	struct backup_config *c = NULL;
	OK(backup_config_load(&c, EXAMPLES "borgmatic-config-sections.yaml", false, e));
	assert_int_equal(c->sources.n, 4);
	assert_int_equal(c->n_repositories, 2);
	assert_string_equal(c->repositories[0].label, "local");
	assert_true(c->repositories[0].local);
	assert_false(c->repositories[1].local);
	assert_int_equal(c->repositories[1].line, 11);
	assert_true(remark(c, "repositories")->missing);
	assert_int_equal(remark(c, "repositories")->line, 11);
	assert_int_equal(c->level, 3);
	assert_int_equal(c->tags.n, 1);
	assert_string_equal(c->tags.v[0], "minecraft");
	assert_int_equal(c->keep.daily, 7);
	assert_int_equal(c->n_checks, 1);
	assert_int_equal(c->checks[0].frequency, 14 * 86400);
	assert_int_equal(remark(c, "YAML")->line, 30);
	assert_int_equal(c->n_hooks, 2);
	assert_true(c->hooks[0].before);
	assert_int_equal(c->hooks[0].point, HOOK_ACTION);
	assert_int_equal(c->hooks[0].actions, ACTION_CREATE);
	assert_int_equal(c->hooks[1].point, HOOK_ERROR);
	assert_string_equal(c->hooks[1].run.v[0], "echo \"failed: {error}\"");
	backup_config_free(c);
}

static void test_values(void **state)
{
	(void)state;
	struct backup_config *c = config(BASE
		"exclude_if_present: .nobackup\nexclude_caches: yes\none_file_system: true\n"
		"exclude_from: [/etc/x]\npatterns: ['R /srv/w', '- a/*', 'P fm', '- b*', '! pp:c']\n"
		"encryption_passcommand: cat /run/secrets/p\nkeep_within: 3d\nkeep_3monthly: 4\nkeep_13weekly: -1\n"
		"checks: [data, {name: repository, frequency: always, only_run_on: [Saturday, weekday]}]\n"
		"skip_actions: [compact]\nlock_wait: 5\ntags: [a, b]\nmatch_archives: 'sh:mc-*'\n"
		"rcon: {host: mc, port: 25570, password_file: /p, timeout: 5 minutes}\n"
		"prune_rules: prune.yaml\nrequire_snapshot: 1 h\nstaging: off\n");
	assert_true(c->no_staging && !c->staging);
	assert_string_equal(c->exclude_if_present.v[0], ".nobackup");
	assert_true(c->exclude_caches);
	assert_true(c->one_file_system);
	assert_string_equal(c->sources.v[1], "/srv/w");
	assert_int_equal(c->excludes.n, 3);
	assert_string_equal(c->excludes.v[0], "sh:a/*");
	assert_string_equal(c->excludes.v[1], "fm:b*");
	assert_string_equal(c->excludes.v[2], "pp:c");
	assert_string_equal(c->passcommand, "cat /run/secrets/p");
	assert_int_equal(c->keep.within, 3 * 86400);
	assert_int_equal(c->keep.quarterly, 4);
	assert_int_equal(c->keep.quarterly13, -1);
	assert_int_equal(c->n_checks, 2);
	assert_int_equal(c->checks[0].kind, CHECK_DATA);
	assert_int_equal(c->checks[1].frequency, 0);
	assert_int_equal(c->checks[1].days, 0x7e);
	assert_int_equal(c->actions, ACTION_CREATE | ACTION_PRUNE | ACTION_CHECK);
	assert_string_equal(c->match, "mc");
	assert_string_equal(c->rcon.host, "mc");
	assert_int_equal(c->rcon.port, 25570);
	assert_int_equal(c->rcon.timeout, 300);
	assert_true(c->rcon.flush);
	assert_int_equal(c->require_snapshot, 3600);
	backup_config_free(c);
	/* Nothing to keep by: nothing is forgotten. */
	c = config(BASE "checks: [disabled]\ncompression: lz4\nstaging: /srv/mc copies\n");
	assert_false(c->no_staging);
	assert_string_equal(c->staging, "/srv/mc copies");
	assert_int_equal(c->actions, ACTION_CREATE | ACTION_COMPACT);
	assert_false(remark(c, "compression")->missing);
	backup_config_free(c);
	c = config("source_directories: [/w]\nrepositories: [/a, 'user@host:b', 'file:///c', /with:colon]\n");
	assert_int_equal(c->n_repositories, 4);
	assert_true(c->repositories[0].local);
	assert_false(c->repositories[1].local);
	assert_string_equal(c->repositories[2].path, "/c");
	assert_true(c->repositories[3].local);
	backup_config_free(c);
}

static void test_hooks(void **state)
{
	(void)state;
	struct backup_config *c = config(BASE
		"commands:\n"
		"  - before: action\n    when: [create]\n    run: [a, b]\n"
		"  - after: action\n    when: [create, prune]\n    states: [fail]\n    run: c\n"
		"  - after: error\n    run: [d]\n"
		"  - before: everything\n    when: [extract]\n    run: [never]\n"
		"after_actions: [e]\nbefore_everything: f\n");
	assert_int_equal(c->n_hooks, 5);
	assert_int_equal(c->hooks[0].run.n, 2);
	assert_int_equal(c->hooks[0].line, 4);
	assert_int_equal(c->hooks[1].actions, ACTION_CREATE | ACTION_PRUNE);
	assert_int_equal(c->hooks[1].states, NOTIFY_STATE_BIT(NOTIFY_FAIL));
	assert_int_equal(c->hooks[2].point, HOOK_ERROR);
	assert_int_equal(c->hooks[3].point, HOOK_REPOSITORY);
	assert_false(c->hooks[3].before);
	assert_int_equal(c->hooks[3].states, NOTIFY_STATE_BIT(NOTIFY_FINISH));
	assert_int_equal(c->hooks[4].point, HOOK_EVERYTHING);
	backup_config_free(c);
}

static void test_notify(void **state)
{
	(void)state;
	struct backup_config *c = config(BASE
		"healthchecks: {ping_url: https://hc/x, send_logs: no, create_slug: true}\n"
		"uptime_kuma: {push_url: http://k/api/push/x, states: [finish, fail]}\n"
		"cronitor: https://cronitor.link/x\n"
		"ntfy:\n  topic: t\n  server: https://n\n  username: u\n  password: p\n"
		"  fail: {title: T, priority: max}\n  states: [start, fail]\n"
		"discord: {webhook_url: https://discord.com/api/webhooks/1/x}\nslack: https://hooks.slack.com/x\n"
		"webhook: {url: http://w, states: [fail]}\n");
	assert_int_equal(c->n_notify, 7);
	assert_false(c->notify[0].send_log);
	assert_true(c->notify[0].create_slug);
	assert_int_equal(c->notify[1].states, 6);
	assert_string_equal(c->notify[2].url, "https://cronitor.link/x");
	assert_string_equal(c->notify[3].words[NOTIFY_FAIL].priority, "max");
	assert_int_equal(c->notify[3].states, 5);
	assert_int_equal(c->notify[4].kind, NOTIFY_DISCORD);
	assert_int_equal(c->notify[4].states, NOTIFY_STATE_BIT(NOTIFY_FAIL));
	assert_int_equal(c->notify[5].kind, NOTIFY_SLACK);
	assert_string_equal(c->notify[6].url, "http://w");
	backup_config_free(c);
	c = config(BASE "healthchecks: 6f1a\n");
	assert_string_equal(c->notify[0].url, "6f1a");
	backup_config_free(c);
}

static void test_remarks(void **state)
{
	(void)state;
	struct backup_config *c = config(BASE "ssh_command: ssh -i x\npostgresql_databases: [{name: all}]\n"
					      "retries:\nchunker_params: 1,2\n");
	assert_int_equal(c->n_remarks, 3); /* a key without a value says nothing */
	assert_false(remark(c, "ssh_command")->missing);
	assert_int_equal(remark(c, "ssh_command")->line, 3);
	assert_true(remark(c, "postgresql_databases")->missing);
	assert_non_null(strstr(remark(c, "postgresql_databases")->text, "commands"));
	backup_config_free(c);
}

static const struct {
	const char *text, *want;
} wrong[] = {
	{"repositories: [/r]\n", "b.yaml:1: source_directories is missing"},
	{"source_directories: [/w]\n", "b.yaml:1: repositories is missing"},
	{BASE "keep_dialy: 1\n", "b.yaml:3: unknown key 'keep_dialy'; did you mean 'keep_daily'?"},
	{BASE "exclude_pattern: [x]\n", "did you mean 'exclude_patterns'"},
	{BASE "frobnicate: 1\n", "b.yaml:3: unknown key 'frobnicate'"},
	{BASE "keep_daily: many\n", "b.yaml:3: keep_daily is a number from -1 to 1000000, not 'many'"},
	{BASE "keep_daily: -2\n", "not '-2'"},
	{BASE "keep_within: 2 parsecs\n", "b.yaml:3: keep_within:"},
	{BASE "exclude_caches: perhaps\n", "b.yaml:3: exclude_caches is true or false"},
	{BASE "exclude_patterns:\n  - ok\n  - 're:.*'\n", "b.yaml:5: patterns with re: are not"},
	{BASE "exclude_patterns: {a: b}\n", "exclude_patterns is a map of keys and values here"},
	{BASE "patterns:\n  - '+ /srv/x'\n", "b.yaml:4: '+ /srv/x': patterns that include"},
	{BASE "patterns: ['x']\n", "names nothing"},
	{BASE "patterns: ['P re']\n", "the style of patterns is fm, sh, pp or pf"},
	{BASE "checks:\n  - name: repo\n", "b.yaml:4: there is no check 'repo'"},
	{BASE "checks:\n  - frequency: always\n", "a check needs a name"},
	{BASE "checks:\n  - name: data\n    frequency: often\n", "b.yaml:5: frequency:"},
	{BASE "checks:\n  - name: data\n    only_run_on: [Caturday]\n", "'Caturday' is no day"},
	{BASE "checks:\n  - name: data\n    freqency: 1 week\n", "did you mean 'frequency'"},
	{BASE "compression: zstd,99\n", "is no level of zstd"},
	{BASE "compression: brotli\n", "compression: 'brotli' is none"},
	{BASE "match_archives: 're:x'\n", "cannot be told in tags"},
	{BASE "tags: ['not ok']\n", "is no tag"},
	{BASE "on_error:\n  - echo failed: x\n", "b.yaml:4: on_error: the colon in this text"},
	{BASE "commands: [{run: [x]}]\n", "has 'before' or 'after', and not both"},
	{BASE "commands: [{before: action, after: action, run: [x]}]\n", "not both"},
	{BASE "commands: [{before: error, run: [x]}]\n", "'error' is no point of a run"},
	{BASE "commands: [{before: action}]\n", "needs 'run'"},
	{BASE "commands: [{before: action, when: [dance], run: [x]}]\n", "there is no action 'dance'"},
	{BASE "commands: [{before: action, states: [fail], run: [x]}]\n", "states go with 'after'"},
	{BASE "healthchecks: {send_logs: true}\n", "healthchecks needs ping_url"},
	{BASE "uptime_kuma: {push_url: nowhere}\n", "push_url begins with http"},
	{BASE "ntfy: {server: https://x}\n", "ntfy needs a topic"},
	{BASE "ntfy: {topik: x}\n", "ntfy has no key 'topik'; did you mean 'topic'"},
	{BASE "rcon: {host: x}\n", "rcon needs the password"},
	{BASE "rcon: {password: x, port: 70000}\n", "port is a number from 1 to 65535"},
	{BASE "rcon: {password: x, timeout: soon}\n", "b.yaml:3: timeout:"},
	{BASE "retention: {keep_daily: 1}\nkeep_daily: 2\n", "b.yaml:4: 'keep_daily' is here twice with two values"},
	{BASE "retention: [1]\n", "retention is a list here"},
	{"- a\n", "the configuration is a list here"},
	{"source_directories: [/w]\nrepositories:\n  - label: x\n", "b.yaml:3: a repository needs a path"},
	{"source_directories: [/w]\nrepositories:\n  - pth: x\n", "did you mean 'path'"},
	{"source_directories: [[a]]\nrepositories: [/r]\n", "source_directories is a list here"},
};

static void test_wrong(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(wrong); i++)
		refused(wrong[i].text, wrong[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flat_example), cmocka_unit_test(test_sectioned_example),
		cmocka_unit_test(test_values), cmocka_unit_test(test_hooks), cmocka_unit_test(test_notify),
		cmocka_unit_test(test_remarks), cmocka_unit_test(test_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
