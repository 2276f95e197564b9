/* foreign_internal.h - shared by the foreign*.c files only.
 *
 * foreign.c          entry: choice of the dialect, proof
 * foreign_read.c     a deflate stream to blocks and tokens, losing nothing
 * foreign_write.c    blocks and tokens to a deflate stream
 * foreign_predict.c  which token would the dialect have written here?
 * foreign_trees.c    which code lengths would it have given out?
 * foreign_rc.c       the adaptive arithmetic coder
 * foreign_code.c     blocks and tokens as differences from the predictions
 * foreign_header.c   headers of dynamic blocks, likewise
 *
 * Coding and decoding are the same code: see `struct fo_coder`. */
#ifndef MCFS_CODEC_FOREIGN_INTERNAL_H
#define MCFS_CODEC_FOREIGN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/codec/foreign.h"

enum {
	FO_VERSION = 1,
	FO_MIN_MATCH = 3,
	FO_MAX_MATCH = 258,
	FO_WINDOW = 32768,
	/* zlib looks no further back than this. */
	FO_MAX_DIST = FO_WINDOW - FO_MAX_MATCH - FO_MIN_MATCH - 1,
	FO_TOO_FAR = 4096, /* zlib: a match of 3 from further away is none */
	FO_END_BLOCK = 256,
	FO_LIT_CODES = 288, /* with the two that never occur in data */
	FO_DIST_CODES = 32,
	FO_CL_CODES = 19,
	FO_MAX_BITS = 15,
	FO_LENS = FO_LIT_CODES + FO_DIST_CODES
};

/* ---- tokens and blocks ---- */

/* A literal is 0: which one, the plain bytes tell. A match is distance << 16 | length, and
 * FO_LONG_258 when its length 258 was spelt as 227 and 31 more. */
enum { FO_LITERAL = 0, FO_LEN_MASK = 511, FO_LONG_258 = 1 << 15 };

static inline unsigned fo_len(uint32_t tok)
{
	return tok ? tok & FO_LEN_MASK : 1;
}
static inline unsigned fo_dist(uint32_t tok)
{
	return tok >> 16;
}
static inline uint32_t fo_match(unsigned len, unsigned dist)
{
	return (uint32_t)dist << 16 | len;
}

enum fo_type { FO_STORED, FO_FIXED, FO_DYNAMIC };

/* A step of the run-length code that spells code lengths. */
struct fo_step {
	uint8_t sym; /* 0 to 15 a length; 16, 17, 18 repeat */
	uint8_t arg; /* the extra bits of a repeat */
};

struct fo_header {
	unsigned nlit, ndist, ncl; /* how many lengths are sent */
	uint8_t lit[FO_LIT_CODES], dist[FO_DIST_CODES], cl[FO_CL_CODES]; /* 0 behind those */
	unsigned nsteps;
	struct fo_step step[FO_LENS];
};

struct fo_block {
	enum fo_type type;
	bool final;
	uint8_t stored_pad; /* the bits between a stored block's type and its length */
	uint8_t end_pad;    /* final block: the bits behind it that fill the last byte */
	uint32_t stored;    /* bytes of a stored block */
	struct fo_header h; /* of a dynamic one */
	uint32_t *tok;	    /* of the others */
	size_t ntok, cap;
};

int fo_block_push(struct fo_block *b, uint32_t tok, struct err *e) MUST_CHECK;

struct fo_freq {
	uint32_t lit[FO_LIT_CODES], dist[FO_DIST_CODES];
};
/* Count the codes of a block whose first byte is plain[0]; the end of the block is one of them. */
void fo_count(const struct fo_block *b, const uint8_t *plain, struct fo_freq *f);

extern const uint16_t fo_len_base[29], fo_dist_base[30];
extern const uint8_t fo_len_extra[29], fo_dist_extra[30], fo_cl_order[FO_CL_CODES];
/* The code of a length (0 to 28) or distance. */
unsigned fo_len_code(uint32_t tok);
unsigned fo_dist_code(unsigned dist);
/* Extra bits of a repeat step, and how many lengths it stands for. */
unsigned fo_step_bits(unsigned sym);
unsigned fo_step_run(struct fo_step s);

/* Codes of the given lengths, bit-reversed for sending. false when they are oversubscribed. */
bool fo_codes(const uint8_t *len, unsigned n, uint16_t *code);
/* The lengths of the fixed trees. */
void fo_fixed_lengths(uint8_t lit[FO_LIT_CODES], uint8_t dist[FO_DIST_CODES]);

/* ---- reading and writing streams ---- */

struct fo_reader {
	struct span in, plain;
	size_t at;    /* bytes taken into acc */
	uint64_t acc; /* bits ahead */
	unsigned n;
	size_t pos; /* plain bytes covered */
	uint16_t lit_table[1 << FO_MAX_BITS], dist_table[1 << FO_MAX_BITS];
};

void fo_reader_init(struct fo_reader *r, struct span stream, struct span plain);
/* Read one block; the bytes it stands for are compared with the plain ones. After the final block
 * nothing may be left of the stream or of the plain bytes. E_FORMAT, E_NOMEM. */
int fo_read_block(struct fo_reader *r, struct fo_block *b, struct err *e) MUST_CHECK;

struct fo_writer {
	struct buf *out;
	size_t start, max;
	uint64_t acc;
	unsigned n;
};

/* Write a block whose first byte is plain[0] and whose tokens or stored bytes fit `plain`.
 * E_CORRUPT when it cannot be written or `max` is passed. */
int fo_write_block(
	struct fo_writer *w, const struct fo_block *b, struct span plain, struct err *e) MUST_CHECK;

/* ---- dialects ---- */

enum fo_family {
	FO_FAM_LITERALS, /* no matches: Z_HUFFMAN_ONLY */
	FO_FAM_RUNS,	 /* distance 1 only: Z_RLE */
	FO_FAM_ZLIB,	 /* zlib and all that keep its search */
	FO_FAM_CHROMIUM, /* Chromium's zlib since 2022: four bytes, multiplied */
	FO_FAM_CRC3,	 /* Chromium's zlib before: CRC-32C of three bytes (four below level 6) */
	FO_FAM_COUNT
};

enum fo_lengths { FO_BY_HEAP, FO_BY_RANK, FO_LENGTHS_COUNT };

struct fo_dialect {
	uint8_t family;
	uint8_t level;	 /* 1 to 9 */
	uint8_t mem;	 /* zlib's memLevel, 1 to 9: bits of the hash, symbols a block */
	uint8_t lengths; /* who gives out code lengths */
	bool joined;	 /* runs of lengths go on from literals to distances */
};

/* Positions by hash. What is stored is position + base; what is not above `base` is from an earlier
 * input, so that nothing needs clearing between inputs. */
struct fo_chain {
	uint32_t head[65536], prev[FO_WINDOW];
	uint32_t end; /* all stored values are below it */
};

/* Begin an input of n bytes; returns its base. */
uint32_t fo_chain_begin(struct fo_chain *c, size_t n);

struct fo_guess {
	uint32_t match; /* what is found at this position; 0: nothing */
	bool take;	/* it would be taken, not put off in favour of a literal */
};

struct fo_predictor {
	struct span in;
	struct fo_dialect d;
	struct fo_chain *chain;
	uint32_t base;
	unsigned hash_bits;
	size_t entered;	  /* positions before it are in the chains, or never will be */
	size_t ahead_pos; /* where `ahead` was found while looking one byte ahead; or SIZE_MAX */
	uint32_t ahead;
	uint8_t beyond; /* what the writer's window holds behind the last byte */
	uint32_t crc[256];
};

void fo_predictor_init(
	struct fo_predictor *p, struct fo_chain *mem, struct fo_dialect d, struct span in);
/* The token at `pos`, given that all before it are as they are. */
struct fo_guess fo_predict(struct fo_predictor *p, size_t pos);
/* Tell what it was. */
void fo_learn(struct fo_predictor *p, size_t pos, struct fo_guess g, uint32_t tok);
/* Plain bytes [pos, pos + n) were in a stored block. */
void fo_learn_stored(struct fo_predictor *p, size_t pos, size_t n);

/* Code lengths for n symbols that occur so often, none above max_bits. */
void fo_lengths(
	enum fo_lengths who, const uint32_t *freq, unsigned n, unsigned max_bits, uint8_t *len);
/* The lengths of a block's two trees as the dialect would have them. */
void fo_predict_lengths(enum fo_lengths who, const struct fo_freq *f, uint8_t *lit, uint8_t *dist);

/* ---- the arithmetic coder ---- */

/* One object does both directions. Coding: fo_bit(c, p, bit) writes the bit and returns it.
 * Decoding: `bit` is ignored, the one that was written is returned. So what is coded has one
 * description for both. */
struct fo_coder {
	bool decode;
	uint32_t range;
	uint32_t code; /* decoding */
	uint64_t low;  /* coding */
	uint64_t held; /* bytes of 0xff held back for a carry */
	uint8_t cache; /* the byte before them */
	bool began;
	const uint8_t *p, *end;
	struct buf *out;
	int failed; /* no memory */
};

typedef uint32_t fo_prob; /* probability of a 0, 22 bits, and how often it was used, 10 bits */

/* Probability of a 0 in 65536ths. */
#define FO_PROB(p16) ((fo_prob)(p16) << 16)
#define FO_EVEN FO_PROB(32768)

void fo_encoder_init(struct fo_coder *c, struct buf *out);
void fo_decoder_init(struct fo_coder *c, struct span in);
unsigned fo_bit(struct fo_coder *c, fo_prob *p, unsigned bit);
unsigned fo_raw(struct fo_coder *c, unsigned nbits, unsigned v);
/* A number of `nbits` bits; p has 1 << nbits elements. */
unsigned fo_tree(struct fo_coder *c, fo_prob *p, unsigned nbits, unsigned v);
/* Any number below 2^31; small ones are short. */
struct fo_number {
	fo_prob size[32], top[32][4];
};
uint32_t fo_number(struct fo_coder *c, struct fo_number *m, uint32_t v);
/* Coding: write what is left. E_NOMEM. */
int fo_encoder_done(struct fo_coder *c, struct err *e) MUST_CHECK;
/* Decoding: was all of the input used? */
bool fo_decoder_done(const struct fo_coder *c);
void fo_probs_init(fo_prob *p, size_t n, fo_prob v);

/* ---- the model ---- */

enum { FO_GUESS_KINDS = 8, FO_HISTORY = 8 };

struct fo_model {
	fo_prob dynamic[4], fixed[4], by_rule, final, pad, stored_zero, stored_rest;
	struct fo_number ntok, stored;
	fo_prob miss[FO_GUESS_KINDS][FO_HISTORY];
	fo_prob not_literal[FO_GUESS_KINDS], not_greedy, other_dist[2], longer, long_258, escape;
	struct fo_number shorter_by, longer_by, len[2], rank, far;
	/* headers */
	fo_prob lens_differ[3], count_differs[3], steps_differ, step_differs[3];
	fo_prob len_differs[3][4], len_up[3][3], step_kind[4], step_arg[3][128], cl[8][8];
	struct fo_number len_by[3], count;
};

struct fo_state {
	struct fo_model m;
	struct fo_coder c;
	struct fo_predictor pred;
	struct fo_dialect d;
	struct span plain;
	size_t pos;
	bool bad;	      /* decoding: a length that cannot be */
	unsigned last_type;   /* 3: none yet */
	unsigned history;     /* of misses, one bit each */
	struct fo_chain *all; /* every position, plus 1, by its first three bytes */
	uint32_t all_base;
	size_t all_entered;
};

/* Code or decode one block at st->pos. E_CORRUPT, E_NOMEM. */
int fo_code_block(struct fo_state *st, struct fo_block *b, struct err *e) MUST_CHECK;
int fo_code_header(struct fo_state *st, struct fo_header *h, const struct fo_freq *f,
	struct err *e) MUST_CHECK;
/* The step the dialect would take from there. `at` counts through both trees. */
struct fo_step fo_predict_step(const struct fo_header *h, bool joined, unsigned at);

#endif
