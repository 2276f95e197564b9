/* recovery.h - a key to be written on paper: 160 random bits as eight groups of five characters.
 *
 * "4K7QZ-9M2XA-.." in the 32 digits and letters without I, L, O and U. The last character of a group
 * checks the four before it and the group's place, so that a slip is found and its group told. What is
 * typed may be in lower case, with any blanks, hyphens and line breaks; O counts as 0, I and L as 1.
 * docs/FORMAT.md, "Recovery key". Pure. */
#ifndef MCFS_STORE_RECOVERY_H
#define MCFS_STORE_RECOVERY_H

#include "engine/base/buf.h"

#define RECOVERY_BYTES 20
#define RECOVERY_CHARS 48 /* with the zero byte */

char *recovery_format(const uint8_t key[RECOVERY_BYTES], char out[RECOVERY_CHARS]);
/* E_AUTH, and the message tells which group is wrong or how many characters are missing. */
int recovery_parse(struct span text, uint8_t key[RECOVERY_BYTES], struct err *e) MUST_CHECK;

#endif
