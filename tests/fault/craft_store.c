/* craft_store.c - makes stores that no honest client would make, for tests of what reads them.
 *
 *   craft_store STORE KEYFILE KIND
 *
 * The store is sealed with the key, as somebody who has it could: it is the contents that are evil.
 * Kinds: see the table at the end. One snapshot, whose tree is the attack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/base/wire.h"
#include "engine/object/object.h"
#include "engine/snapshot/layout.h"
#include "engine/snapshot/map.h"
#include "engine/snapshot/snapobj.h"

#include <fcntl.h>

struct craft {
	struct store *s;
	struct coder c;
	struct object_place *place; /* the store's */
	struct err e;
};

#define MUST(call)                                                                                 \
	do {                                                                                       \
		if ((call) < 0) {                                                                  \
			fprintf(stderr, "craft_store: %s: %s\n", #call, x->e.msg);                 \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)
#define E (&x->e)

static struct name put_raw(struct craft *x, struct span s)
{
	struct name n;
	MUST(store_put(x->s, &x->c, FORM_RAW, s, NULL, &n, E));
	return n;
}

static struct span str(const char *s)
{
	return span_of(s, strlen(s));
}

/* ---- trees by hand: what the builder would never write ---- */

struct entry_list {
	struct buf b;
	uint64_t n;
};

static void add(struct craft *x, struct entry_list *l, const struct entry *en)
{
	MUST(entry_put(&l->b, en, E));
	l->n++;
}

static struct content node(struct craft *x, struct entry_list *l)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	MUST(put_u8(&b, 'T', E));
	MUST(put_u8(&b, 0, E));
	MUST(put_var(&b, l->n, E));
	MUST(buf_add(&b, l->b.p, l->b.len, E));
	struct content c = {.kind = CONTENT_TREE, .name = put_raw(x, buf_span(&b))};
	buf_free(&l->b);
	l->n = 0;
	return c;
}

static struct entry file(struct craft *x, const char *name, const char *bytes)
{
	(void)x;
	return (struct entry){.name = str(name), .type = NODE_FILE, .mode = 0644, .nlink = 1,
		.mtime = {1700000000, 0}, .size = strlen(bytes),
		.content = {.kind = CONTENT_INLINE, .inline_data = str(bytes)}};
}

static struct entry dir(const char *name, struct content c)
{
	return (struct entry){.name = str(name), .type = NODE_DIR, .mode = 0755, .nlink = 1,
		.mtime = {1700000000, 0}, .content = c};
}

static struct entry symlink_to(const char *name, const char *target)
{
	return (struct entry){.name = str(name), .type = NODE_SYMLINK, .mode = 0777, .nlink = 1,
		.mtime = {1700000000, 0}, .target = str(target)};
}

/* One file of an evil name in a directory "in". */
static struct content name_attack(struct craft *x, const char *name)
{
	struct entry_list l = {0};
	struct entry en = file(x, "fine", "fine\n");
	add(x, &l, &en);
	en = file(x, name, "evil\n");
	add(x, &l, &en);
	en = dir("in", node(x, &l));
	add(x, &l, &en);
	return node(x, &l);
}

static struct content dotdot(struct craft *x)
{
	return name_attack(x, "..");
}

static struct content dotdot_slash(struct craft *x)
{
	return name_attack(x, "../../escaped");
}

static struct content inner_dotdot(struct craft *x)
{
	return name_attack(x, "a/../../escaped");
}

static struct content absolute(struct craft *x)
{
	return name_attack(x, "/tmp/mcfs-escaped");
}

static struct content empty_name(struct craft *x)
{
	return name_attack(x, "");
}

static struct content dotdot_dir(struct craft *x)
{
	struct entry_list l = {0};
	struct entry en = file(x, "escaped", "evil\n");
	add(x, &l, &en);
	en = dir("..", node(x, &l));
	add(x, &l, &en);
	return node(x, &l);
}

/* A link to the outside, then a directory, and a file, of the same name. */
static struct content through_link(struct craft *x)
{
	struct entry_list l = {0};
	struct entry en = file(x, "escaped", "evil\n");
	add(x, &l, &en);
	struct content below = node(x, &l);
	en = symlink_to("door", "../outside");
	add(x, &l, &en);
	en = dir("door", below);
	add(x, &l, &en);
	en = symlink_to("gate", "../outside/escaped");
	add(x, &l, &en);
	en = file(x, "gate", "evil\n");
	add(x, &l, &en);
	return node(x, &l);
}

/* Hard links to a name whose place was taken by a link in between. */
static struct content link_to_link(struct craft *x)
{
	struct entry_list l = {0};
	struct entry en = file(x, "a", "evil\n");
	en.nlink = 3;
	en.ino = 77;
	add(x, &l, &en);
	struct entry s = symlink_to("a", "../outside/victim");
	add(x, &l, &s);
	en.name = str("b");
	add(x, &l, &en);
	return node(x, &l);
}

/* Sizes that no disk has, with nothing behind them. */
static struct content absurd_size(struct craft *x)
{
	struct entry_list l = {0};
	struct entry en = file(x, "inline", "x");
	en.size = INT64_MAX;
	add(x, &l, &en);
	en = file(x, "one-blob", "");
	en.content = (struct content){.kind = CONTENT_BLOB, .name = put_raw(x, str("few bytes"))};
	en.size = (uint64_t)1 << 60;
	add(x, &l, &en);
	en.name = str("short");
	en.size = 3;
	add(x, &l, &en);
	return node(x, &l);
}

/* A node that claims 2^60 entries, one that is cut short, one that is no node. */
static struct content bad_nodes(struct craft *x)
{
	struct entry_list l = {0};
	struct entry en = dir("huge", (struct content){.kind = CONTENT_TREE,
		.name = put_raw(x, str("T\0\xff\xff\xff\xff\xff\xff\xff\x0f"))});
	en.content.name = put_raw(x, span_of("T\0\xff\xff\xff\xff\xff\xff\xff\x0f", 10));
	add(x, &l, &en);
	en = dir("not-a-node", (struct content){.kind = CONTENT_TREE, .name = put_raw(x, str("hello"))});
	add(x, &l, &en);
	en = dir("not-there", (struct content){.kind = CONTENT_TREE, .name = {{9}}});
	add(x, &l, &en);
	/* Nested directories that say more entries than follow them; the inner one more than the outer. */
	struct entry_list lying = {0};
	en = dir("more", (struct content){.kind = CONTENT_NESTED, .below = 1000});
	add(x, &lying, &en);
	en = file(x, "one", "fine\n");
	add(x, &lying, &en);
	en = dir("lying", node(x, &lying));
	add(x, &l, &en);
	en = dir("outer", (struct content){.kind = CONTENT_NESTED, .below = 1});
	add(x, &l, &en);
	en = dir("inner", (struct content){.kind = CONTENT_NESTED, .below = 1});
	add(x, &l, &en);
	en = file(x, "z-fine", "fine\n");
	add(x, &l, &en);
	return node(x, &l);
}

/* A map whose pieces are a byte each of a blob of a megabyte, and one of holes without end. */
static struct content bad_maps(struct craft *x)
{
	struct entry_list l = {0};
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct name piece = put_raw(x, str("piece"));
	MUST(buf_add(&b, "M\0", 2, E));
	MUST(put_var(&b, 3, E));
	for (int i = 0; i < 3; i++) {
		MUST(put_var(&b, (uint64_t)INT64_MAX / 2 << 1, E));
		MUST(buf_add(&b, piece.b, NAME_BYTES, E));
	}
	struct entry en = file(x, "long-pieces", "");
	en.content = (struct content){.kind = CONTENT_MAP, .name = put_raw(x, buf_span(&b))};
	en.size = 15;
	add(x, &l, &en);
	b.len = 0;
	MUST(buf_add(&b, "M\0", 2, E));
	MUST(put_var(&b, 200000, E));
	for (int i = 0; i < 200000; i++)
		MUST(put_u8(&b, 1, E)); /* holes of no bytes */
	en.name = str("nothing-many-times");
	en.content.name = put_raw(x, buf_span(&b));
	add(x, &l, &en);
	return node(x, &l);
}

/* A layout whose extents read far more of their sources than the file has bytes. */
static struct content bad_layouts(struct craft *x)
{
	struct entry_list l = {0};
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct layout lay;
	struct name src = put_raw(x, str("source")), many = {{3}};
	uint32_t no;
	MUST(layout_init(&lay, E));
	lay.size = (uint64_t)200 << 20;
	MUST(layout_add_source(&lay, &src, false, &no, E));
	MUST(layout_add_source(&lay, &many, true, &no, E));
	struct extent gap = {.kind = EXTENT_BLOB, .len = (200u << 20) - REGION_HEADER, .source = 32,
		.at = 0};
	MUST(layout_add_gap(&lay, &gap, E));
	MUST(layout_put(&lay, &b, E));
	struct entry en = file(x, "r.0.0.mca", "");
	en.content = (struct content){.kind = CONTENT_REGION, .name = put_raw(x, buf_span(&b))};
	en.size = lay.size;
	add(x, &l, &en);
	en.name = str("r.0.1.mca");
	en.size = 8192; /* not what the layout says */
	add(x, &l, &en);
	en.name = str("r.0.2.mca");
	en.content.name = put_raw(x, span_of(b.p, b.len / 2));
	add(x, &l, &en);
	layout_free(&lay);
	return node(x, &l);
}

/* ---- packs by hand: names that do not fit what they name ---- */

/* Write one pack with these blobs in frames of their own, and an index object for it. Not through
 * a transaction: names can be anything here. */
struct raw_blob {
	struct pack_blob b;
	enum method method;
	struct span packed;
};

static void raw_pack(struct craft *x, const struct raw_blob *v, size_t n)
{
	struct pack_writer *w;
	struct blob_loc loc;
	struct id id;
	CLEANUP_BUF struct buf record = BUF_INIT;
	CLEANUP_BUF struct buf object = BUF_INIT;
	MUST(pack_begin(&w, x->place, store_keys(x->s), E));
	for (size_t i = 0; i < n; i++)
		MUST(pack_add(w, v[i].method, v[i].packed, v[i].b.plain_len, &v[i].b, 1, &loc, E));
	MUST(pack_finish(w, &record, E));
	MUST(put_u8(&object, 1, E));
	MUST(put_var(&object, 1, E));
	MUST(put_bytes(&object, buf_span(&record), E));
	crypto_random(id.b, ID_BYTES);
	MUST(store_object_put(x->s, "index", &id, buf_span(&object), false, E));
}

/* Two differences that are each other's base, and one that is its own. */
static struct content delta_loop(struct craft *x)
{
	struct entry_list l = {0};
	struct raw_blob v[3] = {0};
	CLEANUP_BUF struct buf packed = BUF_INIT;
	MUST(zs_compress(x->c.zs, 3, (struct span){NULL, 0}, str("0123456789"), &packed, E));
	for (unsigned i = 0; i < 3; i++) {
		v[i] = (struct raw_blob){{.form = FORM_RAW, .depth = 1, .plain_len = 10,
						 .canon_len = 10}, METHOD_DELTA, buf_span(&packed)};
		memset(v[i].b.name.b, (int)(0x10 + i), NAME_BYTES);
		memset(v[i].b.base, (int)(i == 2 ? 0x12 : 0x11 - i), BASE_BYTES);
	}
	raw_pack(x, v, 3);
	for (unsigned i = 0; i < 3; i++) {
		char name[8] = {'f', (char)('0' + i)};
		struct entry en = file(x, name, "");
		en.content = (struct content){.kind = CONTENT_BLOB, .name = v[i].b.name};
		en.size = 10;
		add(x, &l, &en);
	}
	return node(x, &l);
}

/* A directory that contains itself: only possible when names are not held against contents. */
static struct content tree_loop(struct craft *x)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct raw_blob v = {0};
	memset(v.b.name.b, 0x21, NAME_BYTES);
	struct content self = {.kind = CONTENT_TREE, .name = v.b.name};
	struct entry en = dir("again", self);
	MUST(buf_add(&b, "T\0\1", 3, E));
	MUST(entry_put(&b, &en, E));
	v.b.form = FORM_RAW;
	v.b.plain_len = v.b.canon_len = (uint32_t)b.len;
	v.packed = buf_span(&b);
	v.method = METHOD_STORE;
	raw_pack(x, &v, 1);
	return self;
}

/* Blobs that claim to be as large as a frame can say. */
static struct content huge_frames(struct craft *x)
{
	struct entry_list l = {0};
	struct raw_blob v[3] = {0};
	static const uint32_t sizes[] = {UINT32_MAX, (uint32_t)PLAIN_MAX, 1000};
	for (unsigned i = 0; i < 3; i++) {
		v[i] = (struct raw_blob){{.form = (uint8_t)(i + 1), .plain_len = sizes[i],
						 .canon_len = UINT32_MAX >> i}, METHOD_ZSTD,
			str("this is no zstd frame")};
		memset(v[i].b.name.b, (int)(0x30 + i), NAME_BYTES);
	}
	raw_pack(x, v, 3);
	for (unsigned i = 0; i < 3; i++) {
		char name[8] = {'f', (char)('0' + i)};
		struct entry en = file(x, name, "");
		en.content = (struct content){.kind = CONTENT_BLOB, .name = v[i].b.name};
		en.size = (uint64_t)1 << 40;
		add(x, &l, &en);
	}
	return node(x, &l);
}

/* A name that stands for other bytes. */
static struct content false_name(struct craft *x)
{
	struct entry_list l = {0};
	struct raw_blob v = {{.form = FORM_RAW, .plain_len = 5, .canon_len = 5}, METHOD_STORE,
		str("false")};
	memset(v.b.name.b, 0x41, NAME_BYTES);
	raw_pack(x, &v, 1);
	struct entry en = file(x, "file", "");
	en.content = (struct content){.kind = CONTENT_BLOB, .name = v.b.name};
	en.size = 5;
	add(x, &l, &en);
	return node(x, &l);
}

/* ---- */

static const struct {
	const char *name;
	struct content (*make)(struct craft *x);
} kinds[] = {{"dotdot", dotdot}, {"dotdot-slash", dotdot_slash}, {"inner-dotdot", inner_dotdot},
	{"absolute", absolute}, {"empty-name", empty_name}, {"dotdot-dir", dotdot_dir},
	{"through-link", through_link}, {"link-to-link", link_to_link}, {"absurd-size", absurd_size},
	{"bad-nodes", bad_nodes}, {"bad-maps", bad_maps}, {"bad-layouts", bad_layouts},
	{"delta-loop", delta_loop}, {"tree-loop", tree_loop}, {"huge-frames", huge_frames},
	{"false-name", false_name}};
#define N_KINDS (sizeof kinds / sizeof *kinds)

static void write_snapshot(struct craft *x, const struct content *root)
{
	char none[] = "";
	struct snapshot_source src = {none, none};
	struct snapshot sn = {.name = "2026-01-01T00-00-00Z", .begin = {1767225600, 0},
		.end = {1767225601, 0}, .generation = 1, .host = none, .user = none, .program = none,
		.sources = &src, .n_sources = 1, .root = *root};
	crypto_random(sn.id.b, ID_BYTES);
	MUST(snapshot_write(x->s, &sn, false, E));
}

static void read_key(struct craft *x, const char *path, uint8_t key[KEY_BYTES])
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	MUST(io_read_file(AT_FDCWD, path, &text, 4096, E));
	MUST(keyfile_parse(buf_span(&text), key, E));
}

int main(int argc, char **argv)
{
	struct craft craft = {0}, *x = &craft;
	uint8_t key[KEY_BYTES];
	const struct store_options opt = {0};
	if (argc == 2 && strcmp(argv[1], "--kinds") == 0) {
		for (size_t i = 0; i < N_KINDS; i++)
			puts(kinds[i].name);
		return 0;
	}
	if (argc != 4) {
		fprintf(stderr, "usage: craft_store STORE KEYFILE KIND | --kinds\n");
		return 2;
	}
	MUST(crypto_init(E));
	MUST(coder_init(&x->c, E));
	read_key(x, argv[2], key);
	MUST(object_dir_open(&x->place, argv[1], false, E));
	struct secret secret = {SECRET_KEYFILE, {key, KEY_BYTES}};
	MUST(store_open(&x->s, x->place, &secret, &opt, E));
	MUST(store_begin(x->s, 3, E));
	int found = 0;
	for (size_t i = 0; i < N_KINDS; i++)
		if (strcmp(kinds[i].name, argv[3]) == 0) {
			struct content root = kinds[i].make(x);
			MUST(store_commit(x->s, &x->c, E));
			write_snapshot(x, &root);
			found = 1;
		}
	store_close(x->s);
	coder_free(&x->c);
	return found ? 0 : 2;
}
