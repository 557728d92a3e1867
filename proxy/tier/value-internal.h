/* value-internal.h: what stands in a value, as numbers and texts.
 *
 * value_record.c   its form: two tables, one of numbers, one of texts, and what is no good record
 * value.c          sealing and opening, and what time makes of an entry on its way
 */
#ifndef LARDER_TIER_VALUE_INTERNAL_H
#define LARDER_TIER_VALUE_INTERNAL_H

#include <larder/tier/value.h>

enum { VALUE_VERSION = 1 };
/* No time in a record is longer, so that sums of them overflow nowhere: 35,000 years. */
#define VALUE_TIME_MAX ((uint64_t)1 << 50)

enum value_mark {
    VALUE_FOR_ANY_ORIGIN = 1 << 0,
    VALUE_ETAG_IS_OURS = 1 << 1,
    VALUE_REFETCHABLE = 1 << 2,
    VALUE_PACKED = 1 << 3, /* the body is */
};

enum value_text {
    TEXT_ROUTE,
    TEXT_FINGERPRINT,
    TEXT_KEY,
    TEXT_HEAD,
    TEXT_HIDDEN,
    TEXT_HEAD_304,
    TEXT_ETAG,
    TEXT_TARGET,
    TEXT_HOST,
    TEXT_TAGS,
    TEXT_BODY,
    TEXT_COUNT
};

struct value_record {
    uint64_t version, kind, status, flags;
    uint64_t marks; /* enum value_mark */
    uint64_t length_line_len, primary_len;
    uint64_t body_len;    /* not packed */
    uint64_t resident_ms; /* since it was stored, when it was sealed */
    uint64_t age_at_store_ms, lifetime_ms, overdue_ms, while_ms, error_ms, keep_ms;
    uint64_t unix_ms; /* when it was sealed */
    uint64_t life_ms;
    uint64_t fetch_us;
    uint64_t last_modified_unix_s, date_unix_s; /* as two's complement */
    struct span text[TEXT_COUNT];
};

/* What record_format() appends. */
size_t record_bytes(const struct value_record *r);
void record_format(const struct value_record *r, struct buf *out);
/* False: no record, or one that no entry can be made of. Texts lie in <bytes>. */
bool record_parse(struct span bytes, struct value_record *ret);

#endif
