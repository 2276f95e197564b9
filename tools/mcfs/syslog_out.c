#include "tools/mcfs/syslog_out.h"

#include <syslog.h>

void syslog_out_open(const char *name)
{
	openlog(name, LOG_PID, LOG_DAEMON);
}

void syslog_out(int priority, const char *line)
{
	syslog(priority, "%s", line);
}
