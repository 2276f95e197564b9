#include "engine/store/recovery.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define GROUPS 8
#define DATA_CHARS 4
#define GROUP_CHARS (DATA_CHARS + 1)

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* Times 2 in GF(32), x^5 + x^2 + 1. */
static unsigned twice(unsigned v)
{
	return v & 16 ? (v << 1 ^ 0x25) : v << 1;
}

/* c = group + 2 v0 + 4 v1 + 8 v2 + 16 v3, over GF(32): any one wrong character, any two swapped ones
 * and any two swapped groups change it. */
static unsigned check_of(const uint8_t *v, unsigned group)
{
	unsigned c = 0;
	for (int i = DATA_CHARS; i-- > 0;)
		c = twice(c ^ v[i]);
	return c ^ group;
}

char *recovery_format(const uint8_t key[RECOVERY_BYTES], char out[RECOVERY_CHARS])
{
	char *o = out;
	for (unsigned g = 0; g < GROUPS; g++) {
		uint8_t v[DATA_CHARS];
		for (unsigned i = 0; i < DATA_CHARS; i++) {
			unsigned bit = 5 * (g * DATA_CHARS + i);
			unsigned two = (unsigned)key[bit / 8] << 8 |
				       (bit / 8 + 1 < RECOVERY_BYTES ? key[bit / 8 + 1] : 0);
			v[i] = two >> (11 - bit % 8) & 31;
			*o++ = alphabet[v[i]];
		}
		*o++ = alphabet[check_of(v, g)];
		*o++ = g + 1 < GROUPS ? '-' : 0;
	}
	return out;
}

static int digit_of(char c)
{
	c = (char)toupper((unsigned char)c);
	if (c == 'O')
		return 0;
	if (c == 'I' || c == 'L')
		return 1;
	const char *p = c ? strchr(alphabet, c) : NULL;
	return p ? (int)(p - alphabet) : -1;
}

int recovery_parse(struct span text, uint8_t key[RECOVERY_BYTES], struct err *e)
{
	uint8_t v[GROUPS * GROUP_CHARS];
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		char c = (char)text.p[i];
		if (c == ' ' || c == '-' || c == '\t' || c == '\n' || c == '\r')
			continue;
		int d = digit_of(c);
		if (d < 0)
			return err_set(e, E_AUTH, 0,
				"group %zu of the recovery key has a character that no recovery key has",
				n / GROUP_CHARS + 1);
		if (n == sizeof v)
			return err_set(e, E_AUTH, 0, "the recovery key is too long: it has %d groups of %d "
						     "characters", GROUPS, GROUP_CHARS);
		v[n++] = (uint8_t)d;
	}
	for (unsigned g = 0; g < n / GROUP_CHARS; g++)
		if (check_of(v + g * GROUP_CHARS, g) != v[g * GROUP_CHARS + DATA_CHARS])
			return err_set(e, E_AUTH, 0,
				"group %u of the recovery key is mistyped, or not in its place", g + 1);
	if (n < sizeof v)
		return err_set(e, E_AUTH, 0, "the recovery key is too short: %zu of %zu characters", n,
			sizeof v);
	memset(key, 0, RECOVERY_BYTES);
	for (unsigned i = 0; i < GROUPS * DATA_CHARS; i++) {
		unsigned d = v[i / DATA_CHARS * GROUP_CHARS + i % DATA_CHARS], bit = 5 * i;
		unsigned two = d << (11 - bit % 8);
		key[bit / 8] |= (uint8_t)(two >> 8);
		if (bit / 8 + 1 < RECOVERY_BYTES)
			key[bit / 8 + 1] |= (uint8_t)two;
	}
	return 0;
}
