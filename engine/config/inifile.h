/* inifile.h - INI as Ofelia reads it: the dialect of gcfg, which is git-config's.
 *
 *   [section]  [section "sub \"quoted\" name"]
 *   key = value        keys without regard to case; may be indented; a key alone means "true"
 *   ; and # begin a comment, at the start of a line and behind a value
 *   "..." in a value keeps blanks, ; and #, and is taken off; \" \\ \n \t \b; a \ at the line's end
 *   goes on in the next line
 *
 * One thing is not gcfg's. It takes the quotes of `sh -c "a b"` off and cuts `sh -c 'a; b'` at the
 * semicolon, so that a command written as for a shell is not what is run. In the value of a key that
 * is a command, quotes that are not around all of it are kept, of both kinds, and keep ; and #.
 *
 * Not by libinih, though it is packaged: as Debian builds it, it cuts lines at 200 characters into
 * keys of their own, takes an indented key for more of the value before, and cuts "sh -c 'a ; b'"
 * at the semicolon, all three without an error. */
#ifndef MCFS_CONFIG_INIFILE_H
#define MCFS_CONFIG_INIFILE_H

#include <stdbool.h>

#include "engine/base/buf.h"

struct inifile_item {
	int line;
	const char *section, *sub; /* lower case; as written, NULL without */
	const char *key;	   /* lower case; NULL for the line of the section itself */
	const char *value;
	bool glued_comment; /* a comment began in the middle of a word: perhaps not meant as one */
};

/* `is_command`: whether the value of a key is a command line. Call `fn` for each section and each key, in order; it ends the reading with a negative code.
 * Strings are gone after the call. E_FORMAT: "line 3: what is wrong"; E_NOMEM. */
int inifile_read(struct span text, bool (*is_command)(const char *key),
	int (*fn)(void *ctx, const struct inifile_item *, struct err *), void *ctx,
	struct err *e) MUST_CHECK;

#endif
