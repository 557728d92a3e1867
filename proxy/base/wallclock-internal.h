/* wallclock-internal.h: what the files of wallclock share: time zones as spans of one offset.
 *
 * Thread any after loading. Offsets are seconds east of UTC, times are Unix seconds.
 */
#ifndef LARDER_BASE_WALLCLOCK_INTERNAL_H
#define LARDER_BASE_WALLCLOCK_INTERNAL_H

#include <larder/base/err.h>
#include <larder/base/macros.h>
#include <larder/base/span.h>

enum {
    DAY_S = 86400,
    ZONE_OFFSET_MAX_S = 26 * 3600, /* RFC 9636 section 3.2: -25:59:59 to 25:59:59 at most */
};

/* The offset at some instant, and the first instant that may have another one. */
struct zone_span {
    int64_t offset_s;
    int64_t end_unix_s; /* INT64_MAX: none */
};

enum zone_day_form {
    ZONE_DAY_WEEK,   /* Mm.w.d */
    ZONE_DAY_JULIAN, /* Jn: 1 to 365, February 29 is never counted */
    ZONE_DAY_COUNT,  /* n: 0 to 365, February 29 is counted */
};

struct zone_day {
    enum zone_day_form form;
    int month, week; /* of ZONE_DAY_WEEK: 1 to 12, 1 to 5 (the last) */
    int day;         /* 0 to 6 from Sunday on, or n */
    int64_t time_s;  /* local time after that day's midnight, -167 to 167 hours */
};

/* What a TZ text says of each year. */
struct zone_rule {
    int64_t std_s, dst_s; /* offsets */
    bool has_dst;
    struct zone_day start, end; /* of summer time */
};

bool zone_rule_parse(struct span text, struct zone_rule *ret);
struct zone_span zone_rule_at(const struct zone_rule *r, int64_t unix_s);

struct zone;

/* Reads zone <name> from the database; errors as in wallclock_parse(). */
must_check enum err_code zone_load(struct span name, struct zone **ret, struct err *err);
void zone_free(struct zone *z);
/* NULL is UTC. */
struct zone_span zone_at(const struct zone *z, int64_t unix_s);

static inline int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

#endif
