/* argv.h - commands as lists of words: split as a shell splits, without a shell. */
#ifndef MCFS_SCHEDULE_ARGV_H
#define MCFS_SCHEDULE_ARGV_H

#include "engine/config/schedule_config.h"

struct argv {
	char **v; /* v[n] is NULL once there is a word */
	size_t n;
};

/* Append a word, as it is or formatted. */
int argv_add(struct argv *a, const char *word, struct err *e) MUST_CHECK;
int argv_addf(struct argv *a, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4))) MUST_CHECK;
/* Append the words of a text: blanks divide; '..' keeps everything, ".." everything but \" \\ \$ \`,
 * a backslash elsewhere the next character. Nothing is expanded. E_USAGE: an open quote. */
int argv_split(struct argv *a, const char *text, struct err *e) MUST_CHECK;
void argv_free(struct argv *a);

/* What to execute for a job. job-exec and job-run go through the docker command line; `run_name` is
 * the name of a new container. A user of a job-local is changed to by setpriv(1), a nice value by
 * nice(1). E_USAGE: the command has an open quote or no words. */
int argv_of_job(const struct job_spec *j, const char *run_name, struct argv *ret,
	struct err *e) MUST_CHECK;

#endif
