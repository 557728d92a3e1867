/* config-internal.h: what the config's files share.
 *
 * units.c    durations, sizes, addresses, CIDRs
 * reader.c   members of a JSON object by a table, with errors that have a place
 * load.c     the whole config
 * load_route.c, load_key.c   a route and its key
 */
#ifndef LARDER_CONFIG_INTERNAL_H
#define LARDER_CONFIG_INTERNAL_H

#include <larder/config/config.h>

struct config_block {
    _Alignas(16) struct config_block *next;
};
void *config_alloc(struct config *c, size_t count, size_t size);

/* One reading: where errors go, and who owns the texts. */
struct reading {
    const char *file;
    const struct json_doc *doc;
    struct config *config;
    struct err *errs;
    unsigned max, count;
};

enum member_type {
    MEMBER_DURATION, /* uint64_t, milliseconds */
    MEMBER_SIZE,     /* uint64_t, bytes */
    MEMBER_UINT,     /* unsigned */
    MEMBER_U64,
    MEMBER_BOOL,
    MEMBER_TEXT, /* struct span */
    MEMBER_ANY,  /* read by its owner */
};

struct member {
    const char *name;
    enum member_type type;
    size_t offset; /* in the struct that is filled; none for MEMBER_ANY */
    uint64_t min, max;
};

/* Notes an error at <j>; goes on, so that all errors of a file are told. */
void reading_fail(struct reading *r, const struct json *j, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Fills <into> from object <j>; members that the table does not know are errors. */
void reading_members(struct reading *r, const struct json *j, const struct member *table,
                     unsigned count, void *into);
struct span reading_copy(struct reading *r, struct span text);     /* config's own, NUL behind it */
void *reading_alloc(struct reading *r, size_t count, size_t size); /* zeroed, the config's own */
/* A string, {"file": path} or {"env": NAME}; empty on error. */
struct span reading_secret(struct reading *r, const struct json *j);

bool duration_parse(struct span s, uint64_t *ret_ms);
bool size_parse(struct span s, uint64_t *ret_bytes);
bool address_parse(struct span s, bool may_lack_host, struct address *ret);
bool cidr_parse(struct span s, struct cidr *ret);
/* The nearest of <count> names, if it is near enough to be meant; else NULL. */
const char *nearest_name(struct span given, const char *const *names, unsigned count);

void load_upstreams(struct reading *r, const struct json *j);
void load_routes(struct reading *r, const struct json *j);
/* Reads "key" or "key_template" into <route>. */
void load_key(struct reading *r, struct route *route, const struct json *key,
              const struct json *template);

#endif
