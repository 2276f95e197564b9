/* syslog_out.h - messages to syslog, apart from the rest because <syslog.h> takes the names of the
 * engine's log levels. */
#ifndef MCFS_TOOLS_SYSLOG_OUT_H
#define MCFS_TOOLS_SYSLOG_OUT_H

/* As a daemon of this name. */
void syslog_out_open(const char *name);
/* priority: 3 error, 4 warning, 6 information. */
void syslog_out(int priority, const char *line);

#endif
