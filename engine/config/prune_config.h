/* prune_config.h - prune.yaml: which chunks may go, and which never. docs/QUERY.md is the page for people.
 *
 *   delete_chunks:              # as in MCA Selector's options file; any entry is enough
 *     - last_updated: "30 days"     # not saved for that long, AND
 *       inhabited_time: "2 hours"   # inhabited for less than that; a bare number is ticks
 *   query: "..."                # MCA Selector's language; or a list of queries
 *   protect:
 *     forced: true              # force-loaded and ticketed chunks
 *     players: true             # where players are and come back to
 *     player_radius: 2
 *     spawn: true
 *     spawn_radius: 10
 *     neighbours: 1             # around every chunk that stays
 *     circles: ["X;Z;RADIUS", {x: .., z: .., radius: .., dimension: ..}]    # in chunks
 *     boxes: ["X1;Z1;X2;Z2", {x1: .., z1: .., x2: .., z2: .., dimension: ..}]
 *     selections: [FILE.csv, {file: .., dimension: ..}]    # relative to this file
 *     structures: [village_plains, ..]
 *     blocks: [chest, ..]
 *   max_fraction: 50%           # of a dimension's chunks
 *   trash_keep: "30 days"
 *   trash_size: 10 GiB
 *   require_snapshot: true      # or how old it may be: "1 day"
 *
 * An unknown key is an error with its line, as is a value that makes no sense. Keys may be written with - or _
 * between their words. */
#ifndef MCFS_CONFIG_PRUNE_CONFIG_H
#define MCFS_CONFIG_PRUNE_CONFIG_H

#include "engine/base/buf.h"
#include "engine/prune/rules.h"

struct prune_config {
	struct rules_spec rules;
	int64_t trash_keep;	 /* seconds; -1: not said */
	int64_t trash_size;	 /* bytes; -1: not said */
	bool require_snapshot;
	int64_t snapshot_age; /* seconds that the snapshot may be old; -1: any */
};

/* E_NOTFOUND, E_IO; E_USAGE: "FILE:LINE: what is wrong". Queries are compiled once to see that they are
 * understood. *ret needs no freeing after failure. */
int prune_config_load(struct prune_config *ret, const char *path, struct err *e) MUST_CHECK;
/* From memory; `name` stands for the file. */
int prune_config_parse(struct prune_config *ret, struct span text, const char *name,
	struct err *e) MUST_CHECK;
void prune_config_free(struct prune_config *c);

#endif
