/* key.c: values written so that a key can be read back in one way only.
 *
 * Injective, because each thing has its own bytes, and none of them can be part of a value:
 *
 *   ':'  begins a part            '='  ends a name, a value follows (it may be empty)
 *   ','  between repeated values  '?'  a parameter without '=', so without a value
 *   '!'  a '%' that begins no escape: some apps read "%zz" as "%25zz", others drop it
 *   %XX  any byte but A-Z a-z 0-9 . _ ~ - @
 *
 * Escapes are decoded first, so that all spellings of one value make one key. Values are decoded
 * and escaped in one go; only names, which are compared and sorted, need room, and only those
 * with escapes in them: it is on the stack and bounded.
 */
#include <larder/http/key.h>

#include <larder/http/uri.h>

#include "http-internal.h"

enum { PAIRS_MAX = 64, NAMES_BYTES_MAX = 8192, SECRET_BYTES = 16 };

static bool is_plain(char c)
{
    return byte_is(c, BYTE_UNRESERVED) || c == '@';
}

static const char *skip_plain(const char *p, const char *end)
{
    while (p < end && is_plain(*p))
        p++;
    return p;
}

static void add_byte(struct buf *key, char c)
{
    if (is_plain(c))
        buf_add_char(key, c);
    else
        escape_add(key, c);
}

void key_add_value(struct buf *key, struct span value)
{
    if (value.len == 0)
        return;
    const char *p = value.p, *end = p + value.len;
    while (p < end) {
        const char *run = p;
        p = skip_plain(p, end);
        if (p > run)
            buf_add(key, run, (size_t)(p - run));
        if (p < end)
            escape_add(key, *p++);
    }
}

void key_add_secret(struct buf *key, struct span secret, struct span value)
{
    uint8_t mac[32];
    char hex[2 * SECRET_BYTES];
    hmac_of(secret, value, mac);
    hex_format(mac, SECRET_BYTES, hex);
    buf_add_str(key, "hmac-");
    buf_add(key, hex, sizeof(hex));
}

/* As key_add_value() of the decoded text, but for broken escapes. */
static void add_form_text(struct buf *key, struct span s)
{
    if (s.len == 0)
        return;
    const char *p = s.p, *end = p + s.len;
    while (p < end) {
        const char *run = p;
        p = skip_plain(p, end);
        if (p > run)
            buf_add(key, run, (size_t)(p - run));
        if (p == end)
            break;
        if (is_escape(p, end)) {
            add_byte(key, escape_value(p));
            p += 3;
            continue;
        }
        if (*p == '%')
            buf_add_char(key, '!');
        else
            escape_add(key, *p == '+' ? ' ' : *p);
        p++;
    }
}

static bool has_escapes(struct span s)
{
    return memchr(s.p, '%', s.len) || memchr(s.p, '+', s.len);
}

/* Is <name> what <raw> decodes to? */
static bool is_form_name(struct span raw, struct span name)
{
    const char *p = raw.p, *end = p + raw.len;
    size_t i = 0;
    for (; p < end && i < name.len; i++) {
        char c = *p == '+' ? ' ' : *p;
        size_t step = 1;
        if (is_escape(p, end)) {
            c = escape_value(p);
            step = 3;
        }
        if (c != name.p[i])
            return false;
        p += step;
    }
    return p == end && i == name.len;
}

unsigned key_add_query_values(struct buf *key, struct span query, struct span name)
{
    unsigned count = 0;
    struct span rest = query, raw, value;
    while (uri_query_next(&rest, &raw, &value)) {
        if (!is_form_name(raw, name))
            continue;
        if (count++ > 0)
            buf_add_char(key, ',');
        if (value.p)
            add_form_text(key, value);
        else
            buf_add_char(key, '?');
    }
    return count;
}

bool query_value(struct span query, struct span name, unsigned n, struct buf *out)
{
    struct span rest = query, raw, value;
    while (uri_query_next(&rest, &raw, &value)) {
        if (!is_form_name(raw, name) || n-- > 0)
            continue;
        uri_decode(value, true, out);
        return true;
    }
    return false;
}

struct pair {
    struct span name; /* decoded */
    struct span raw_name, value;
};

static int name_compare(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.p, b.p, len) : 0;
    if (order == 0 && a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return order;
}

/* Stable: the values of a repeated name stay in their order, which apps see. */
static void insert_pair(struct pair *pairs, unsigned count, const struct pair *new)
{
    unsigned i = count;
    for (; i > 0 && name_compare(pairs[i - 1].name, new->name) > 0; i--)
        pairs[i] = pairs[i - 1];
    pairs[i] = *new;
}

/* The decoded <raw>: itself where it has no escapes, else a piece of <room>. */
static struct span decode_name(struct span raw, struct buf *room)
{
    if (!has_escapes(raw))
        return raw;
    size_t start = room->len;
    uri_decode(raw, true, room);
    return span_of(room->p + start, room->len - start);
}

/* Apps from before 2021 also split at ';' (CVE-2021-23336): they would see a parameter inside an
 * ignored one, so such a one is not ignored. */
static bool may_ignore(const struct pair *pair)
{
    return !memchr(pair->raw_name.p, ';', pair->raw_name.len) &&
           !(pair->value.len > 0 && memchr(pair->value.p, ';', pair->value.len));
}

static void add_pair(struct buf *key, const struct pair *pair)
{
    buf_add_char(key, ':');
    add_form_text(key, pair->raw_name);
    buf_add_char(key, pair->value.p ? '=' : '?');
    add_form_text(key, pair->value);
}

void key_add_query_all(struct buf *key, struct span query,
                       bool (*is_ignored)(void *arg, struct span name), void *arg)
{
    char block[NAMES_BYTES_MAX];
    struct pair pairs[PAIRS_MAX];
    struct buf room;
    buf_init_fixed(&room, block, sizeof(block));

    unsigned count = 0;
    struct span rest = query;
    struct pair pair;
    while (uri_query_next(&rest, &pair.raw_name, &pair.value)) {
        pair.name = decode_name(pair.raw_name, &room);
        if (is_ignored && !room.failed && may_ignore(&pair) && is_ignored(arg, pair.name))
            continue;
        if (room.failed || count == PAIRS_MAX) {
            key->failed = true;
            return;
        }
        insert_pair(pairs, count++, &pair);
    }
    for (unsigned i = 0; i < count; i++)
        add_pair(key, &pairs[i]);
}

/* What some apps strip from a cookie's name: white space of every alphabet. */
static struct span trim_to_token(struct span s)
{
    while (s.len > 0 && !byte_is(s.p[0], BYTE_TOKEN)) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && !byte_is(s.p[s.len - 1], BYTE_TOKEN))
        s.len--;
    return s;
}

/* How often a cookie was met, and the bytes from its first to its last value. */
struct cookie_find {
    unsigned count;
    const char *first, *last_end;
};

static void find_in_line(struct span line, struct span name, struct cookie_find *find)
{
    for (struct span rest = line; rest.p;) {
        struct span pair = span_trim(span_split(rest, ';', &rest)), value;
        struct span raw = span_trim(span_split(pair, '=', &value));
        if (!value.p || !span_eq(trim_to_token(raw), name))
            continue;
        value = span_trim(value);
        if (find->count == 0)
            find->first = raw.len == name.len ? value.p : raw.p;
        find->count++;
        find->last_end = value.p + value.len;
    }
}

/* Apps take the first or the last of two equal names. Given twice, the value is all that lies
 * between: it holds a ';' or a line's end, so that no single value is equal to it. A name that
 * only some apps read as <name> is a part of the value. */
bool cookie_value(const struct head *h, struct span name, struct span *ret_value)
{
    struct cookie_find find = {0, NULL, NULL};
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id == FIELD_COOKIE)
            find_in_line(h->fields[i].value, name, &find);
    }
    if (find.count == 0)
        return false;
    *ret_value = span_of(find.first, (size_t)(find.last_end - find.first));
    return true;
}
