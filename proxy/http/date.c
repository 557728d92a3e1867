/* date.c: three forms of a date, written as patterns that one reader walks along.
 *
 * Days are counted by the civil calendar from March on, so that a leap day ends its year (Howard
 * Hinnant, "chrono-compatible low-level date algorithms").
 */
#include <larder/http/date.h>

#include "http-internal.h"

enum { DAY_S = 86400, ERA_DAYS = 146097, ERA_YEARS = 400 };

static const char day_names[] = "SunMonTueWedThuFriSat";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char *const long_day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                             "Thursday", "Friday", "Saturday"};

struct date {
    int year, month, day, hour, minute, second; /* month 1..12 */
    bool short_year;
};

static int64_t days_of(int year, int month, int day)
{
    int y = year - (month <= 2);
    int era = (y >= 0 ? y : y - (ERA_YEARS - 1)) / ERA_YEARS;
    int year_of_era = y - era * ERA_YEARS;
    int day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * ERA_DAYS + day_of_era - 719468; /* to 1970-01-01 */
}

static void date_of_days(int64_t days, struct date *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
    int doe = (int)(days - era * ERA_DAYS);
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int from_march = (5 * doy + 2) / 153;
    d->day = doy - (153 * from_march + 2) / 5 + 1;
    d->month = from_march < 10 ? from_march + 3 : from_march - 9;
    d->year = (int)(yoe + era * ERA_YEARS) + (d->month <= 2);
}

static int month_days(int year, int month)
{
    if (month == 2)
        return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static bool take_number(struct span *s, unsigned digits, int *ret)
{
    int value = 0;
    if (s->len < digits)
        return false;
    for (unsigned i = 0; i < digits; i++) {
        char c = s->p[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *s = span_of(s->p + digits, s->len - digits);
    *ret = value;
    return true;
}

/* One of the three-letter names in <all>; *ret counts from 0. */
static bool take_name(struct span *s, const char *all, int *ret)
{
    if (s->len < 3)
        return false;
    for (int i = 0; all[3 * i]; i++) {
        if (span_eq_nocase(span_of(s->p, 3), span_of(all + 3 * i, 3))) {
            *ret = i;
            *s = span_of(s->p + 3, s->len - 3);
            return true;
        }
    }
    return false;
}

static bool take_long_day(struct span *s)
{
    for (int i = 0; i < 7; i++) {
        struct span name = span_str(long_day_names[i]);
        if (s->len >= name.len && span_eq_nocase(span_of(s->p, name.len), name)) {
            *s = span_of(s->p + name.len, s->len - name.len);
            return true;
        }
    }
    return false;
}

static bool take_space_or_digit(struct span *s, int *ret)
{
    if (s->len == 0 || *s->p != ' ')
        return take_number(s, 2, ret);
    *s = span_of(s->p + 1, s->len - 1);
    return take_number(s, 1, ret);
}

/* What each letter of a pattern takes; other bytes stand for themselves. */
static bool take_part(struct span *s, char part, struct date *d)
{
    int ignored;
    switch (part) {
    case 'w':
        return take_name(s, day_names, &ignored);
    case 'W':
        return take_long_day(s);
    case 'd':
        return take_number(s, 2, &d->day);
    case 'e':
        return take_space_or_digit(s, &d->day);
    case 'm':
        if (!take_name(s, month_names, &d->month))
            return false;
        d->month++;
        return true;
    case 'Y':
        return take_number(s, 4, &d->year);
    case 'y':
        d->short_year = true;
        return take_number(s, 2, &d->year);
    case 'h':
        return take_number(s, 2, &d->hour);
    case 'i':
        return take_number(s, 2, &d->minute);
    case 's':
        return take_number(s, 2, &d->second);
    default:
        if (s->len == 0 || byte_lower(*s->p) != byte_lower(part))
            return false;
        *s = span_of(s->p + 1, s->len - 1);
        return true;
    }
}

static bool fits(struct span s, const char *pattern, struct date *ret)
{
    *ret = (struct date){.year = 0};
    for (; *pattern; pattern++) {
        if (!take_part(&s, *pattern, ret))
            return false;
    }
    return s.len == 0;
}

static int64_t unix_s_of(const struct date *d, int year)
{
    return days_of(year, d->month, d->day) * DAY_S + d->hour * 3600 + d->minute * 60 + d->second;
}

/* RFC 9110 section 5.6.7: more than 50 years ahead means the most recent year in the past. */
static int full_year(const struct date *d, int64_t now_unix_s)
{
    struct date now;
    date_of_days((now_unix_s - (now_unix_s < 0 ? DAY_S - 1 : 0)) / DAY_S, &now);
    int year = now.year - now.year % 100 + d->year;
    return unix_s_of(d, year - 50) > now_unix_s ? year - 100 : year;
}

bool date_parse(struct span s, int64_t now_unix_s, int64_t *ret_unix_s)
{
    struct date d;
    if (!fits(s, "w, d m Y h:i:s GMT", &d) && !fits(s, "W, d-m-y h:i:s GMT", &d) &&
        !fits(s, "w m e h:i:s Y", &d))
        return false;
    if (d.short_year)
        d.year = full_year(&d, now_unix_s);
    if (d.day < 1 || d.day > month_days(d.year, d.month) || d.hour > 23 || d.minute > 59 ||
        d.second > 60) /* 60: a leap second */
        return false;
    *ret_unix_s = unix_s_of(&d, d.year);
    return true;
}

static void put_number(char *p, unsigned digits, int value)
{
    while (digits-- > 0) {
        p[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

void date_format(int64_t unix_s, char ret_text[DATE_LEN])
{
    const int64_t first = days_of(0, 1, 1) * DAY_S, last = days_of(10000, 1, 1) * DAY_S - 1;
    if (unix_s < first || unix_s > last) /* the form has four digits for the year */
        unix_s = unix_s < first ? first : last;
    int64_t since = unix_s - first;
    int second = (int)(since % DAY_S);
    int64_t days = since / DAY_S;
    struct date d;
    date_of_days(days + first / DAY_S, &d);

    memcpy(ret_text, "Sun, 00 Jan 0000 00:00:00 GMT", DATE_LEN);
    memcpy(ret_text, day_names + 3 * ((days + 6) % 7), 3); /* 0000-01-01 was a Saturday */
    put_number(ret_text + 5, 2, d.day);
    memcpy(ret_text + 8, month_names + 3 * (d.month - 1), 3);
    put_number(ret_text + 12, 4, d.year);
    put_number(ret_text + 17, 2, second / 3600);
    put_number(ret_text + 20, 2, second / 60 % 60);
    put_number(ret_text + 23, 2, second % 60);
}
