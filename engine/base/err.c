#include "engine/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int code_of_errno(int code, int sys)
{
	if (code != E_IO)
		return code;
	switch (sys) {
	case ENOSPC:
	case EDQUOT:
		return E_NOSPACE;
	case ENOMEM:
		return E_NOMEM;
	case ENOENT:
		return E_NOTFOUND;
	default:
		return code;
	}
}

int err_set(struct err *e, int code, int sys, const char *fmt, ...)
{
	code = code_of_errno(code, sys);
	if (!e)
		return code;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
	va_end(ap);
	if (sys && n >= 0 && (size_t)n < sizeof e->msg)
		snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", strerror(sys));
	e->code = code;
	e->sys = sys;
	return code;
}

int err_pass(struct err *e, const struct err *own)
{
	if (e)
		*e = *own;
	return own->code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	if (!e)
		return E_IO;
	char old[sizeof e->msg];
	memcpy(old, e->msg, sizeof old);
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof e->msg)
		snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", old);
	return e->code;
}

const char *err_name(int code)
{
	switch (code) {
	case E_OK:
		return "ok";
	case E_IO:
		return "io";
	case E_NOMEM:
		return "no-memory";
	case E_NOSPACE:
		return "no-space";
	case E_NOTFOUND:
		return "not-found";
	case E_EXISTS:
		return "exists";
	case E_USAGE:
		return "usage";
	case E_CORRUPT:
		return "damaged";
	case E_AUTH:
		return "wrong-key";
	case E_FORMAT:
		return "format";
	case E_LOCKED:
		return "locked";
	case E_CANCELLED:
		return "interrupted";
	case E_CHANGED:
		return "changed-while-read";
	case E_UNSUPPORTED:
		return "unsupported";
	case E_LOST:
		return "lost";
	default:
		return "unknown";
	}
}
