/* What is known of the jobs, for machines. */
#include <stdlib.h>
#include <string.h>

#include "tools/mcfs-scheduler/scheduler.h"

static void json_time(FILE *f, const char *key, const struct zone *z, int64_t s)
{
	char when[ZONE_TIME_CHARS];
	if (s > 0)
		fprintf(f, ",\"%s\":\"%s\"", key, zone_format(z, s, when));
	else
		fprintf(f, ",\"%s\":null", key);
}

char *status_json(const struct status_facts *t, size_t *n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, n);
	if (!f)
		return NULL;
	fputs("{\"version\":\"" MCFS_VERSION "\",\"config\":", f);
	out_json(f, t->config);
	fprintf(f, ",\"reload_failed\":%s", t->reload_failed ? "true" : "false");
	if (t->reload_failed) {
		fputs(",\"reload_error\":", f);
		out_json(f, t->reload_error);
	}
	fputs(",\"jobs\":[", f);
	for (size_t i = 0; i < runner_n_jobs(t->runner); i++) {
		struct job_status s;
		runner_job(t->runner, i, t->now, &s);
		fputs(i ? ",{\"name\":" : "{\"name\":", f);
		out_json(f, s.spec->name);
		fprintf(f, ",\"kind\":\"%s\",\"schedule\":", job_kind_name(s.spec->kind));
		if (s.spec->schedule)
			out_json(f, s.spec->schedule);
		else
			fputs("null", f);
		fprintf(f, ",\"state\":\"%s\"", s.state);
		json_time(f, "next", s.zone, s.next_due);
		if (s.running_ms >= 0)
			fprintf(f, ",\"running_seconds\":%lld", (long long)(s.running_ms / 1000));
		fprintf(f, ",\"last_result\":%s%s%s", s.last_result ? "\"" : "",
			s.last_result ? run_result_name(s.last_result) : "null",
			s.last_result ? "\"" : "");
		json_time(f, "last_started", s.zone, s.last_started / 1000);
		json_time(f, "last_ended", s.zone, s.last_ended / 1000);
		json_time(f, "last_ok", s.zone, s.last_ok / 1000);
		fputs(",\"last_message\":", f);
		if (s.last_message)
			out_json(f, s.last_message);
		else
			fputs("null", f);
		fprintf(f, ",\"ok\":%llu,\"failed\":%llu,\"skipped\":%llu,\"missed\":%llu}",
			(unsigned long long)s.ok, (unsigned long long)s.failed,
			(unsigned long long)s.skipped, (unsigned long long)s.missed);
	}
	fputs("]}\n", f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static const struct {
	const char *name, *type, *help;
} metrics[] = {
	{"mcfs_job_last_success_timestamp_seconds", "gauge", "End of the last good run; 0: never."},
	{"mcfs_job_last_start_timestamp_seconds", "gauge", "Start of the last run; 0: never."},
	{"mcfs_job_last_duration_seconds", "gauge", "How long the last run took."},
	{"mcfs_job_last_run_ok", "gauge", "1 when the last run ended well, 0 when not."},
	{"mcfs_job_next_run_timestamp_seconds", "gauge", "When it is due next; 0: not known."},
	{"mcfs_job_running", "gauge", "1 while it runs."},
	{"mcfs_job_runs_total", "counter", "Runs since the scheduler began, by result."},
};

static void value(FILE *f, size_t m, const char *job, const char *result, double v)
{
	fprintf(f, "%s{job=", metrics[m].name);
	out_json(f, job); /* the same escapes, as names have no control characters */
	if (result)
		fprintf(f, ",result=\"%s\"", result);
	fprintf(f, "} %.15g\n", v);
}

static void values(FILE *f, size_t m, const struct job_status *s)
{
	const char *job = s->spec->name;
	bool over = s->last_ended >= s->last_started && s->last_started;
	switch (m) {
	case 0:
		value(f, m, job, NULL, (double)s->last_ok / 1000);
		break;
	case 1:
		value(f, m, job, NULL, (double)s->last_started / 1000);
		break;
	case 2:
		value(f, m, job, NULL, over ? (double)(s->last_ended - s->last_started) / 1000 : 0);
		break;
	case 3:
		if (s->last_result)
			value(f, m, job, NULL, s->last_result == RESULT_OK);
		break;
	case 4:
		value(f, m, job, NULL, s->next_due > 0 ? (double)s->next_due : 0);
		break;
	case 5:
		value(f, m, job, NULL, s->running_ms >= 0);
		break;
	default:
		value(f, m, job, "ok", (double)s->ok);
		value(f, m, job, "failed", (double)s->failed);
		value(f, m, job, "skipped", (double)s->skipped);
		value(f, m, job, "missed", (double)s->missed);
	}
}

char *status_prometheus(const struct status_facts *t, size_t *n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, n);
	if (!f)
		return NULL;
	fprintf(f,
		"# HELP mcfs_scheduler_config_ok 0 when the last reload failed and the old "
		"configuration is in use.\n# TYPE mcfs_scheduler_config_ok gauge\n"
		"mcfs_scheduler_config_ok %d\n",
		!t->reload_failed);
	for (size_t m = 0; m < sizeof metrics / sizeof *metrics; m++) {
		fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", metrics[m].name, metrics[m].help,
			metrics[m].name, metrics[m].type);
		for (size_t i = 0; i < runner_n_jobs(t->runner); i++) {
			struct job_status s;
			runner_job(t->runner, i, t->now, &s);
			values(f, m, &s);
		}
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
