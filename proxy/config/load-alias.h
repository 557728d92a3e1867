/* load-alias.h: what the files that read aliases share. */
#ifndef LARDER_LOAD_ALIAS_H
#define LARDER_LOAD_ALIAS_H

#include "config-internal.h"

#include <larder/config/alias.h>
#include <larder/http/uri.h>

/* "with"; <alias> is its struct alias_config, whose "on" and "do" have been read. */
void load_alias_with(struct reading *r, const struct json *j, void *alias);

#endif
