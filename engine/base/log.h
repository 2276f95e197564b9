/* log.h - where the engine's remarks go: a sink that the program gives. NULL is silence.
 *
 * The engine never prints. What it tells here is never the failure of a call (that is struct err),
 * but what a person should know all the same. May be called from any thread. */
#ifndef MCFS_BASE_LOG_H
#define MCFS_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {
	void (*fn)(void *ctx, enum log_level level, const char *line);
	void *ctx;
};

void log_say(const struct log *l, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
