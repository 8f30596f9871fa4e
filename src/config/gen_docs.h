/* SPDX-License-Identifier: MIT */
#ifndef CONFIG_GEN_DOCS_H
#define CONFIG_GEN_DOCS_H

/* What the makers of the pages about the configuration share. */

#include "base/buf.h"
#include "config/schema.h"

/* Whether a page of this section tells of the key. */
bool gen_is_shown(const struct schema_key *key, enum section section);
bool gen_section_has_keys(enum section section);
/* Whether a key, or an entry of it, is one of some words; and these. */
bool gen_has_choices(const struct schema_key *key);
void gen_print_choices(struct buf *out, const struct schema_key *key, const char *between,
                       const char *quote);

/* weir.yaml(5). */
void gen_print_man(struct buf *out, struct weir_slice example);

#endif
