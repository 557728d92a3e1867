/* wallclock.c: the text of a time of day, and when it comes next.
 *
 * The instant of a local time L is the earliest t whose local time is L or later. That one rule
 * gives the gap's end where L is left out, the first where L comes twice, and it grows with L: so
 * days can be tried in order, from today on, until one is in the future.
 */
#include <larder/base/wallclock.h>

#include "wallclock-internal.h"

#include <stdlib.h>

enum {
    ALL_DAYS = 0x7f,
    DAYS_TRIED = 16, /* a week, and the days that the oddest change of offset may take or repeat */
    QUOTED_MAX = 60,
};

struct wallclock {
    int64_t second_of_day;
    unsigned days;     /* bit 0: Sunday */
    struct zone *zone; /* NULL: UTC */
};

/* As much of <s> as a message should hold. */
static struct span brief(struct span s)
{
    return span_of(s.p, s.len < QUOTED_MAX ? s.len : QUOTED_MAX);
}

/* The next word between white space; empty at the end. */
static struct span take_word(struct span *s)
{
    size_t n = 0;
    *s = span_trim(*s);
    while (n < s->len && s->p[n] != ' ' && s->p[n] != '\t')
        n++;
    struct span word = span_of(s->p, n);
    *s = span_of(s->p + n, s->len - n);
    return word;
}

/* 0 to 6 from Sunday on, or -1. */
static int day_of(struct span name)
{
    static const char names[] = "sunmontuewedthufrisat";
    for (int i = 0; i < 7; i++) {
        if (span_eq_nocase(name, span_of(names + 3 * i, 3)))
            return i;
    }
    return -1;
}

/* "mon-fri,sun" */
static bool parse_days(struct span list, unsigned *ret_days)
{
    unsigned days = 0;
    while (list.p) {
        struct span last, member = span_split(list, ',', &list);
        int from = day_of(span_split(member, '-', &last));
        int to = last.p ? day_of(last) : from;
        if (from < 0 || to < 0)
            return false;
        for (days |= 1u << to; from != to; from = (from + 1) % 7)
            days |= 1u << from;
    }
    *ret_days = days;
    return true;
}

/* Two digits up to <most>. */
static bool parse_pair(const char *p, int most, int *ret)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return false;
    *ret = (p[0] - '0') * 10 + (p[1] - '0');
    return *ret <= most;
}

/* "06:00" or "06:00:30" */
static bool parse_time(struct span s, int64_t *ret_s)
{
    int hour, minute, second = 0;
    if ((s.len != 5 && s.len != 8) || s.p[2] != ':' || !parse_pair(s.p, 23, &hour) ||
        !parse_pair(s.p + 3, 59, &minute))
        return false;
    if (s.len == 8 && (s.p[5] != ':' || !parse_pair(s.p + 6, 59, &second)))
        return false;
    *ret_s = hour * 3600 + minute * 60 + second;
    return true;
}

static bool begins_with_letter(struct span s)
{
    return s.len > 0 && (*s.p | 0x20) >= 'a' && (*s.p | 0x20) <= 'z';
}

/* Everything but the zone, whose name is left in *ret_zone (empty: none). */
static enum err_code parse_text(struct span text, struct wallclock *w, struct span *ret_zone,
                                struct err *err)
{
    struct span rest = text, word = take_word(&rest);
    w->days = ALL_DAYS;
    if (begins_with_letter(word)) {
        if (!parse_days(word, &w->days))
            return err_set(err, ERR_SYNTAX, "",
                           "\"" SPAN_FMT "\" are no days; write mon, tue, wed, thu, fri, sat or "
                           "sun, as in \"mon-fri 06:00\" or \"sat,sun 08:00\"",
                           SPAN_ARG(brief(word)));
        word = take_word(&rest);
    }
    if (!parse_time(word, &w->second_of_day))
        return err_set(err, ERR_SYNTAX, "",
                       "\"" SPAN_FMT "\" holds no time of day; write two digits for each part, "
                       "from 00:00 to 23:59:59, as in \"06:00\" or \"mon-fri 06:00 Asia/Kolkata\"",
                       SPAN_ARG(brief(text)));
    *ret_zone = take_word(&rest);
    rest = span_trim(rest);
    if (rest.len > 0)
        return err_set(err, ERR_SYNTAX, "",
                       "\"" SPAN_FMT "\" stands after the time and its zone; write days, time and "
                       "zone in that order, as in \"mon-fri 06:00 Asia/Kolkata\"",
                       SPAN_ARG(brief(rest)));
    return ERR_OK;
}

enum err_code wallclock_parse(struct span text, struct wallclock **ret, struct err *err)
{
    struct wallclock parsed = {.zone = NULL};
    struct span zone;
    enum err_code rc = parse_text(text, &parsed, &zone, err);
    if (rc)
        return rc;
    if (zone.len > 0 && !span_eq(zone, SPAN_LIT("UTC"))) {
        rc = zone_load(zone, &parsed.zone, err);
        if (rc)
            return rc;
    }
    struct wallclock *w = malloc(sizeof(*w));
    if (!w) {
        zone_free(parsed.zone);
        return err_set(err, ERR_NOMEM, "", "no memory for a time of day");
    }
    *w = parsed;
    *ret = w;
    return ERR_OK;
}

void wallclock_free(struct wallclock *w)
{
    if (!w)
        return;
    zone_free(w->zone);
    free(w);
}

/* The earliest instant whose local time is <local_s> or later. */
static int64_t instant_of(const struct zone *z, int64_t local_s)
{
    int64_t t = local_s - ZONE_OFFSET_MAX_S; /* there it is earlier in every zone */
    for (;;) {
        struct zone_span span = zone_at(z, t);
        int64_t at = local_s - span.offset_s;
        if (at < t)
            at = t; /* the change at <t> left it out */
        if (at < span.end_unix_s)
            return at;
        t = span.end_unix_s;
    }
}

int64_t wallclock_next_ms(const struct wallclock *w, int64_t unix_ms)
{
    int64_t now = floor_div(unix_ms, 1000);
    int64_t today = floor_div(now + zone_at(w->zone, now).offset_s, DAY_S);
    for (int64_t day = today; day < today + DAYS_TRIED; day++) {
        unsigned weekday = (unsigned)(day + 4 - 7 * floor_div(day + 4, 7)); /* day 0: Thursday */
        if (!(w->days >> weekday & 1))
            continue;
        int64_t at = instant_of(w->zone, day * DAY_S + w->second_of_day);
        if (at > now)
            return at > INT64_MAX / 1000 ? INT64_MAX : at * 1000;
    }
    return INT64_MAX; /* days that all lie in one gap: no zone has them */
}
