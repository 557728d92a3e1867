/* zone_rule.c: the TZ text that stands at the end of a zone's file and holds for the years after
 * its table: "CET-1CEST,M3.5.0,M10.5.0/3".
 *
 * The text's offsets count westwards, ours eastwards. For an instant the changes of its year and
 * of both neighbours are laid out in order: six at most, and no case for zones whose summer time
 * goes round the year's end. Source POSIX.1-2024 section 8.3, RFC 9636 section 3.3.1 (hours up to
 * 167 in changes).
 */
#include "wallclock-internal.h"

struct change {
    int64_t at, offset_s;
};

static bool take_char(struct span *s, char c)
{
    if (s->len == 0 || *s->p != c)
        return false;
    *s = span_of(s->p + 1, s->len - 1);
    return true;
}

static bool is_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "CEST" or "<+0530>": passed over, for nobody is shown it. */
static bool take_name(struct span *s)
{
    size_t n = 0;
    bool quoted = take_char(s, '<');
    while (n < s->len && (is_alpha(s->p[n]) ||
                          (quoted && (is_digit(s->p[n]) || s->p[n] == '+' || s->p[n] == '-'))))
        n++;
    *s = span_of(s->p + n, s->len - n);
    return n >= 3 && (!quoted || take_char(s, '>'));
}

static bool take_number(struct span *s, int least, int most, int *ret)
{
    int value = 0;
    size_t n = 0;
    for (; n < s->len && n < 3 && is_digit(s->p[n]); n++)
        value = value * 10 + (s->p[n] - '0');
    *s = span_of(s->p + n, s->len - n);
    *ret = value;
    return n > 0 && value >= least && value <= most;
}

/* "[+-]hh[:mm[:ss]]" */
static bool take_time(struct span *s, int hours_max, int64_t *ret_s)
{
    bool minus = take_char(s, '-');
    int hours, minutes = 0, seconds = 0;
    if (!minus)
        (void)take_char(s, '+'); /* it may stand there and says nothing */
    if (!take_number(s, 0, hours_max, &hours))
        return false;
    if (take_char(s, ':')) {
        if (!take_number(s, 0, 59, &minutes))
            return false;
        if (take_char(s, ':') && !take_number(s, 0, 59, &seconds))
            return false;
    }
    *ret_s = (int64_t)(hours * 3600 + minutes * 60 + seconds) * (minus ? -1 : 1);
    return true;
}

static bool take_day(struct span *s, struct zone_day *d)
{
    *d = (struct zone_day){.form = ZONE_DAY_COUNT, .time_s = 2 * 3600};
    bool good;
    if (take_char(s, 'M')) {
        d->form = ZONE_DAY_WEEK;
        good = take_number(s, 1, 12, &d->month) && take_char(s, '.') &&
               take_number(s, 1, 5, &d->week) && take_char(s, '.') && take_number(s, 0, 6, &d->day);
    } else if (take_char(s, 'J')) {
        d->form = ZONE_DAY_JULIAN;
        good = take_number(s, 1, 365, &d->day);
    } else {
        good = take_number(s, 0, 365, &d->day);
    }
    return good && (!take_char(s, '/') || take_time(s, 167, &d->time_s));
}

bool zone_rule_parse(struct span s, struct zone_rule *ret)
{
    struct zone_rule r = {.has_dst = false};
    if (!take_name(&s) || !take_time(&s, 24, &r.std_s))
        return false;
    r.std_s = -r.std_s;
    if (s.len > 0) {
        r.has_dst = true;
        r.dst_s = r.std_s + 3600;
        if (!take_name(&s))
            return false;
        if (s.len > 0 && *s.p != ',') {
            if (!take_time(&s, 24, &r.dst_s))
                return false;
            r.dst_s = -r.dst_s;
        }
        /* POSIX leaves the days out at will, but then they are the implementation's choice: a
         * file that says so little is no zone. */
        if (!take_char(&s, ',') || !take_day(&s, &r.start) || !take_char(&s, ',') ||
            !take_day(&s, &r.end) || s.len > 0)
            return false;
    }
    *ret = r;
    return true;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* January 1, in days since 1970. */
static int64_t year_days(int64_t year)
{
    int64_t y = year - 1;
    return y * 365 + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) - 719162;
}

static int64_t year_of(int64_t unix_s)
{
    int64_t days = floor_div(unix_s, DAY_S);
    int64_t year = 1970 + floor_div(days * 400, 146097); /* near: a year of mean length */
    while (year_days(year) > days)
        year--;
    while (year_days(year + 1) <= days)
        year++;
    return year;
}

static int64_t month_day(const struct zone_day *d, int64_t year)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    bool leap = is_leap(year);
    int64_t first = year_days(year) + before[d->month - 1] + (leap && d->month > 2);
    int length = before[d->month] - before[d->month - 1] + (leap && d->month == 2);
    int weekday = (int)(first + 4 - 7 * floor_div(first + 4, 7)); /* 1970-01-01: a Thursday */
    int day = (d->day - weekday + 7) % 7 + 7 * (d->week - 1);
    return first + (day < length ? day : day - 7);
}

/* The change in <year>, as Unix seconds; <offset_s> holds before it. */
static int64_t change_at(const struct zone_day *d, int64_t year, int64_t offset_s)
{
    int64_t day;
    if (d->form == ZONE_DAY_WEEK)
        day = month_day(d, year);
    else if (d->form == ZONE_DAY_JULIAN)
        day = year_days(year) + d->day - 1 + (is_leap(year) && d->day >= 60);
    else
        day = year_days(year) + d->day;
    return day * DAY_S + d->time_s - offset_s;
}

/* Keeps the order; of two at one instant the later added comes later. */
static void add_change(struct change *all, unsigned count, int64_t at, int64_t offset_s)
{
    unsigned i = count;
    for (; i > 0 && all[i - 1].at > at; i--)
        all[i] = all[i - 1];
    all[i] = (struct change){at, offset_s};
}

struct zone_span zone_rule_at(const struct zone_rule *r, int64_t unix_s)
{
    struct zone_span span = {r->std_s, INT64_MAX};
    if (!r->has_dst)
        return span;
    struct change all[6];
    unsigned count = 0;
    int64_t year = year_of(unix_s);
    for (int64_t y = year - 1; y <= year + 1; y++) {
        /* The end first: where a year's summer begins as the last one's ends, it goes on. */
        add_change(all, count++, change_at(&r->end, y, r->dst_s), r->std_s);
        add_change(all, count++, change_at(&r->start, y, r->std_s), r->dst_s);
    }
    for (unsigned i = 0; i < count; i++) {
        if (all[i].at > unix_s) {
            span.end_unix_s = all[i].at;
            break;
        }
        span.offset_s = all[i].offset_s;
    }
    return span;
}
