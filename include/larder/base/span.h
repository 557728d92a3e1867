/* span.h: a run of bytes that somebody else owns: never NUL-terminated, may hold NULs.
 *
 * Thread any. Memory: borrows; the owner must outlive the span.
 */
#ifndef LARDER_BASE_SPAN_H
#define LARDER_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *p;
    size_t len; /* bytes */
};

#define SPAN_LIT(s) ((struct span){(s), sizeof(s) - 1})
#define SPAN_FMT "%.*s" /* with SPAN_ARG: printf a span that is known to be text */
#define SPAN_ARG(s) (int)(s).len, (s).p

static inline struct span span_of(const char *p, size_t len)
{
    return (struct span){p, len};
}

static inline struct span span_str(const char *s)
{
    return (struct span){s, s ? strlen(s) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Equal but for the case of ASCII letters (field names, RFC 9110 section 5.1). */
bool span_eq_nocase(struct span a, struct span b);
bool span_starts_with(struct span s, struct span prefix);

/* Without leading and trailing SP and HTAB (OWS, RFC 9110 section 5.6.3). */
struct span span_trim(struct span s);

/* The part before the first <sep>; *rest is what follows it, or empty with p == NULL at the end. */
struct span span_split(struct span s, char sep, struct span *rest);

/* Decimal digits only, without sign or space; false on anything else or past UINT64_MAX. */
bool span_parse_u64(struct span s, uint64_t *ret_value);

#endif
