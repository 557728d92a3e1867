/* test_wallclock.c: times of day against known instants, against the C library, and against zone
 * files that are small, old or broken. */
#include <larder/base/wallclock.h>

#include <time.h>
#include <unistd.h>

#include "base-test.h"

/* "2026-03-29 01:00:00" of UTC. */
static int64_t utc(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
    assert_true(end && !*end);
    return timegm(&tm);
}

static struct wallclock *clock_of(const char *text)
{
    struct wallclock *w;
    struct err err;
    struct span block = block_of(span_str(text));
    if (wallclock_parse(block, &w, &err))
        fail_msg("%s: %s", text, err.what);
    block_free(block);
    return w;
}

struct instant_case {
    const char *text, *now, *next; /* of UTC */
};

static void check_cases(const struct instant_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct wallclock *w = clock_of(cases[i].text);
        int64_t got = wallclock_next_ms(w, utc(cases[i].now) * 1000);
        int64_t want = utc(cases[i].next) * 1000;
        if (got != want)
            fail_msg("%s after %s: %lld s off", cases[i].text, cases[i].now,
                     (long long)(got - want) / 1000);
        wallclock_free(w);
    }
}

static void the_next_time_is_strictly_later(void **state)
{
    (void)state;
    static const struct instant_case cases[] = {
        {"06:00", "2026-01-01 05:59:59", "2026-01-01 06:00:00"},
        {"06:00", "2026-01-01 06:00:00", "2026-01-02 06:00:00"},
        {"06:00:30", "2026-01-01 06:00:00", "2026-01-01 06:00:30"},
        {"18:30 UTC", "2026-12-31 18:30:00", "2027-01-01 18:30:00"},
        {"00:00", "2028-02-28 00:00:00", "2028-02-29 00:00:00"},
        {" 06:00\t UTC ", "2026-01-01 00:00:00", "2026-01-01 06:00:00"},
        {"06:00 Asia/Kolkata", "2026-01-01 00:29:59", "2026-01-01 00:30:00"},
        {"06:00 Asia/Kolkata", "2026-01-01 00:30:00", "2026-01-02 00:30:00"},
        {"00:00 Asia/Kolkata", "2026-01-01 18:00:00", "2026-01-01 18:30:00"},
        {"00:00 Pacific/Kiritimati", "2026-01-01 00:00:00", "2026-01-01 10:00:00"},
        {"00:00 Etc/GMT+12", "2026-01-01 00:00:00", "2026-01-01 12:00:00"},
    };
    check_cases(cases, array_len(cases));
    struct wallclock *w = clock_of("06:00");
    int64_t six = utc("2026-01-01 06:00:00") * 1000;
    assert_int_equal(wallclock_next_ms(w, six - 1), six);
    assert_int_equal(wallclock_next_ms(w, six), six + 86400000);
    assert_int_equal(wallclock_next_ms(w, six + 1), six + 86400000);
    assert_int_equal(wallclock_next_ms(w, -1), 21600000);
    assert_int_equal(wallclock_next_ms(w, -64800001), -64800000);
    wallclock_free(w);
}

static void a_gap_ends_it_and_the_first_of_two_counts(void **state)
{
    (void)state;
    static const struct instant_case cases[] = {
        {"05:30 Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 03:30:00"},
        {"05:30 Europe/Berlin", "2026-03-27 12:00:00", "2026-03-28 04:30:00"},
        {"02:30 Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
        {"02:00 Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
        {"02:59:59 Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
        {"03:00 Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
        {"01:59:59 Europe/Berlin", "2026-03-28 12:00:00", "2026-03-29 00:59:59"},
        {"02:30 Europe/Berlin", "2026-03-29 01:00:00", "2026-03-30 00:30:00"},
        {"02:30 Europe/Berlin", "2026-10-24 12:00:00", "2026-10-25 00:30:00"},
        {"02:30 Europe/Berlin", "2026-10-25 00:30:00", "2026-10-26 01:30:00"},
        {"02:30 Europe/Berlin", "2026-10-25 01:15:00", "2026-10-26 01:30:00"},
        {"02:00 Europe/Berlin", "2026-10-24 12:00:00", "2026-10-25 00:00:00"},
        {"03:00 Europe/Berlin", "2026-10-24 12:00:00", "2026-10-25 02:00:00"},
        {"05:30 Europe/Berlin", "2026-10-24 12:00:00", "2026-10-25 04:30:00"},
        {"02:30 America/New_York", "2026-03-08 00:00:00", "2026-03-08 07:00:00"},
        {"01:30 America/New_York", "2026-11-01 00:00:00", "2026-11-01 05:30:00"},
        {"01:30 America/New_York", "2026-11-01 06:30:00", "2026-11-02 06:30:00"},
        {"09:00 America/New_York", "2026-07-01 00:00:00", "2026-07-01 13:00:00"},
        {"02:15 Australia/Lord_Howe", "2026-10-03 00:00:00", "2026-10-03 15:30:00"}, /* by 30 min */
        {"01:45 Australia/Lord_Howe", "2026-04-04 00:00:00", "2026-04-04 14:45:00"},
        {"02:30 Europe/Berlin", "2099-03-28 12:00:00", "2099-03-29 01:00:00"}, /* by the rule */
        {"02:30 Europe/Berlin", "2099-10-24 12:00:00", "2099-10-25 00:30:00"},
        {"06:00 Pacific/Apia", "2011-12-29 17:00:00", "2011-12-30 10:00:00"}, /* a day skipped */
        {"06:00 Pacific/Apia", "2011-12-30 10:00:00", "2011-12-30 16:00:00"},
    };
    check_cases(cases, array_len(cases));
}

static void days_are_those_of_the_place(void **state)
{
    (void)state; /* 2026-01-01 is a Thursday */
    static const struct instant_case cases[] = {
        {"mon-fri 06:00", "2026-01-02 06:00:00", "2026-01-05 06:00:00"},
        {"sat,sun 08:00", "2026-01-01 00:00:00", "2026-01-03 08:00:00"},
        {"SUN 08:00", "2026-01-01 00:00:00", "2026-01-04 08:00:00"},
        {"thu 08:00", "2026-01-01 08:00:00", "2026-01-08 08:00:00"},
        {"fri-mon 08:00", "2026-01-05 08:00:00", "2026-01-09 08:00:00"},
        {"mon-wed,sat 08:00", "2026-01-01 00:00:00", "2026-01-03 08:00:00"},
        {"mon,mon-mon 08:00", "2026-01-01 00:00:00", "2026-01-05 08:00:00"},
        {"mon-fri 06:00 Asia/Kolkata", "2026-01-02 00:30:00", "2026-01-05 00:30:00"},
        {"mon 04:00 Asia/Kolkata", "2026-01-03 00:00:00", "2026-01-04 22:30:00"},
        {"sun 02:30 Europe/Berlin", "2026-03-24 00:00:00", "2026-03-29 01:00:00"},
    };
    check_cases(cases, array_len(cases));
}

static void bad_texts_are_told_what_would_be_right(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *says;
    } cases[] = {
        {"", ERR_SYNTAX, "no time of day"},
        {" ", ERR_SYNTAX, "no time of day"},
        {"6:00", ERR_SYNTAX, "two digits"},
        {"24:00", ERR_SYNTAX, "\"24:00\""},
        {"06:60", ERR_SYNTAX, "23:59:59"},
        {"06:00:60", ERR_SYNTAX, "23:59:59"},
        {"06:00:", ERR_SYNTAX, "two digits"},
        {"06.00", ERR_SYNTAX, "two digits"},
        {"06:0x", ERR_SYNTAX, "two digits"},
        {"0600", ERR_SYNTAX, "two digits"},
        {"06:00Z", ERR_SYNTAX, "two digits"},
        {"-6:00", ERR_SYNTAX, "two digits"},
        {"mon-fri", ERR_SYNTAX, "no time of day"},
        {"mon-fr 06:00", ERR_SYNTAX, "\"mon-fr\" are no days"},
        {"mon--fri 06:00", ERR_SYNTAX, "no days"},
        {"mon-wed-fri 06:00", ERR_SYNTAX, "no days"},
        {"mon, 06:00", ERR_SYNTAX, "no days"},
        {"monday 06:00", ERR_SYNTAX, "mon, tue"},
        {"Europe/Berlin 06:00", ERR_SYNTAX, "no days"},
        {"06:00 UTC mon-fri", ERR_SYNTAX, "\"mon-fri\" stands after"},
        {"06:00 Asia/Calcuta", ERR_NOT_FOUND, "\"Asia/Calcuta\" is no time zone"},
        {"06:00 Asia", ERR_NOT_FOUND, "\"Asia\""},
        {"06:00 Asia/", ERR_NOT_FOUND, "no name"},
        {"06:00 /etc/passwd", ERR_NOT_FOUND, "no name"},
        {"06:00 Europe/../Europe/Berlin", ERR_NOT_FOUND, "no name"},
        {"06:00 ./Europe/Berlin", ERR_NOT_FOUND, "no name"},
        {"06:00 Europe//Berlin", ERR_NOT_FOUND, "no name"},
        {"06:00 ..", ERR_NOT_FOUND, "no name"},
        {"06:00 mon-fri", ERR_NOT_FOUND, "\"mon-fri\""},
        {"06:00 leapseconds", ERR_SYNTAX, "TZif"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct wallclock *w = NULL;
        struct err err = {.code = ERR_OK};
        struct span block = block_of(span_str(cases[i].text));
        enum err_code rc = wallclock_parse(block, &w, &err);
        if (rc != cases[i].code || err.code != rc || !strstr(err.what, cases[i].says) || w)
            fail_msg("\"%s\": %s, \"%s\"", cases[i].text, err_name(rc), err.what);
        assert_int_equal(wallclock_parse(block, &w, NULL), rc);
        block_free(block);
    }
    struct wallclock *w = NULL;
    char text[4096] = "06:00 ";
    memset(text + 6, 'a', sizeof(text) - 6);
    for (size_t len = 6; len < sizeof(text); len += 13) {
        enum err_code rc = wallclock_parse(span_of(text, len), &w, NULL);
        assert_int_equal(rc, len == 6 ? ERR_OK : ERR_NOT_FOUND);
        wallclock_free(len == 6 ? w : NULL);
    }
}

/* Local time as a count of seconds, as the C library has it in the zone that TZ names. */
static int64_t local_of(int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    localtime_r(&t, &tm);
    return unix_s + tm.tm_gmtoff;
}

/* The first instant whose local time is <local_s> or later: from mktime()'s guess, which in a gap
 * or a fold may be an hour off either way, by quarters of an hour and then by seconds. */
static int64_t instant_by_libc(int64_t local_s)
{
    time_t as_utc = (time_t)local_s;
    struct tm tm;
    gmtime_r(&as_utc, &tm);
    tm.tm_isdst = -1;
    int64_t t = mktime(&tm) - 3 * 3600;
    while (local_of(t) < local_s)
        t += 900;
    if (local_of(t) != local_s)
        while (local_of(t - 1) >= local_s)
            t--;
    return t;
}

static int64_t next_by_libc(int64_t second_of_day, int64_t now)
{
    int64_t day = local_of(now) / 86400;
    for (;; day++) {
        int64_t at = instant_by_libc(day * 86400 + second_of_day);
        if (at > now)
            return at;
    }
}

static uint32_t random_seed = 1;

static uint32_t random_below(uint32_t n)
{
    random_seed = random_seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_seed * n >> 32);
}

static void check_zone_by_libc(const char *zone, unsigned times)
{
    setenv("TZ", zone, 1);
    tzset();
    for (unsigned i = 0; i < times; i++) {
        char text[64];
        int64_t from = utc("2020-01-01 00:00:00"), days = 26 * 365;
        int64_t now = from + (int64_t)random_below((uint32_t)days) * 86400 + random_below(86400);
        /* Half of them in the small hours, where clocks are changed. */
        unsigned second = i % 2 ? random_below(86400) : 60 * random_below(240);
        snprintf(text, sizeof(text), "%02u:%02u:%02u %s", second / 3600, second / 60 % 60,
                 second % 60, zone);
        struct wallclock *w = clock_of(text);
        for (unsigned step = 0; step < 3; step++) {
            int64_t got = wallclock_next_ms(w, now * 1000 + random_below(1000));
            int64_t want = next_by_libc(second, now);
            if (got != want * 1000)
                fail_msg("%s after %lld: %lld, not %lld", text, (long long)now, (long long)got,
                         (long long)want * 1000);
            now = want;
        }
        wallclock_free(w);
    }
}

static void the_c_library_agrees(void **state)
{
    (void)state;
    static const char *const zones[] = {
        "UTC",           "Asia/Kolkata",        "Europe/Berlin",    "America/New_York",
        "Europe/Dublin", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca",
        "Asia/Tehran",   "Pacific/Auckland",    "Asia/Gaza",        "America/St_Johns",
    };
    for (size_t i = 0; i < array_len(zones); i++)
        check_zone_by_libc(zones[i], 300);
    unsetenv("TZ");
}

/* Each change of 2020 to 2045 in some zones, day by day: nothing is left to chance. */
static void the_c_library_agrees_on_every_day_of_change(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin", "America/Santiago", "Asia/Beirut"};
    for (size_t i = 0; i < array_len(zones); i++) {
        char text[64];
        setenv("TZ", zones[i], 1);
        tzset();
        snprintf(text, sizeof(text), "00:30 %s", zones[i]);
        struct wallclock *w = clock_of(text);
        int64_t now = utc("2020-01-01 00:00:00"), end = utc("2046-01-01 00:00:00");
        while (now < end) {
            int64_t got = wallclock_next_ms(w, now * 1000) / 1000;
            if (got - now != 86400)
                assert_int_equal(got, next_by_libc(1800, now));
            now = got;
        }
        wallclock_free(w);
    }
    unsetenv("TZ");
}

/* A database of one zone, "Zone", made by the test. */
struct database {
    char dir[32], path[48];
};

static void database_init(struct database *db)
{
    strcpy(db->dir, "/tmp/larder-zone-XXXXXX");
    assert_non_null(mkdtemp(db->dir));
    snprintf(db->path, sizeof(db->path), "%s/Zone", db->dir);
    setenv("TZDIR", db->dir, 1);
}

static void database_fini(struct database *db)
{
    unsetenv("TZDIR");
    unlink(db->path);
    assert_int_equal(rmdir(db->dir), 0);
}

static enum err_code database_try(struct database *db, struct span file, struct wallclock **ret)
{
    FILE *f = fopen(db->path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(file.p, 1, file.len, f), file.len);
    fclose(f);
    return wallclock_parse(SPAN_LIT("02:30 Zone"), ret, NULL);
}

static void add_be(struct buf *b, int64_t v, unsigned bytes)
{
    while (bytes-- > 0)
        buf_add_char(b, (char)((uint64_t)v >> 8 * bytes & 0xff));
}

static void add_header(struct buf *b, char version, unsigned leaps, unsigned times, unsigned types,
                       unsigned chars)
{
    static const char zeros[15] = {0};
    buf_add_str(b, "TZif");
    buf_add_char(b, version);
    buf_add(b, zeros, sizeof(zeros));
    add_be(b, 0, 4);
    add_be(b, 0, 4);
    add_be(b, leaps, 4);
    add_be(b, times, 4);
    add_be(b, types, 4);
    add_be(b, chars, 4);
}

static void add_type(struct buf *b, int64_t offset_s, bool dst)
{
    add_be(b, offset_s, 4);
    buf_add_char(b, (char)dst);
    buf_add_char(b, 0);
}

/* As `zic -b slim` writes it: an empty first part, one change at <at> from <before> to <after>, and
 * the rule <tz>. */
static void make_slim(struct buf *b, int64_t at, int64_t before, int64_t after, const char *tz)
{
    buf_init(b, 65536);
    add_header(b, '3', 0, 0, 1, 1);
    add_type(b, 0, false);
    buf_add_char(b, 0);
    add_header(b, '3', 0, 1, 2, 4);
    add_be(b, at, 8);
    buf_add_char(b, 1);
    add_type(b, before, false);
    add_type(b, after, false);
    buf_add(b, "XYZ", 4);
    buf_add_char(b, '\n');
    buf_add_str(b, tz);
    buf_add_char(b, '\n');
}

static void slim_files_go_on_by_their_rule(void **state)
{
    (void)state;
    static const struct {
        const char *tz, *now, *next;
    } cases[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2026-10-24 12:00:00", "2026-10-25 00:30:00"},
        {"CET-1CEST,M3.5.0,M10.5.0/3", "1990-06-01 12:00:00", "1990-06-02 04:30:00"}, /* table */
        {"CET-1CEST,M3.5.0,M10.5.0/3", "2500-06-01 12:00:00", "2500-06-02 00:30:00"},
        {"<+0530>-5:30", "2026-06-01 12:00:00", "2026-06-01 21:00:00"},
        {"<-03>3", "2026-06-01 00:00:00", "2026-06-01 05:30:00"},
        {"", "2026-06-01 12:00:00", "2026-06-01 23:30:00"}, /* the last change holds on: 3 h */
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-01-01 00:00:00", "2026-01-01 02:30:00"},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-07-01 00:00:00", "2026-07-01 01:30:00"},
        {"AAA0BBB,J60/0,J61/0", "2024-02-29 00:00:00", "2024-02-29 02:30:00"},
        {"AAA0BBB,J60/0,J61/0", "2024-03-01 00:00:00", "2024-03-01 01:30:00"}, /* March 1 */
        {"AAA0BBB,59/0,60/0", "2024-02-29 00:00:00", "2024-02-29 01:30:00"},   /* February 29 */
        {"AAA0BBB,59/0,60/0", "2024-03-01 00:00:00", "2024-03-01 02:30:00"},
        {"AAA3BBB,0/0,J365/25", "2026-01-01 02:59:59", "2026-01-01 04:30:00"}, /* all year */
        {"AAA3BBB,0/0,J365/25", "2026-06-01 00:00:00", "2026-06-01 04:30:00"},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-28 12:00:00", "2026-03-29 03:30:00"},
        {"EET-2EEST,M3.4.4/50,M10.4.4/50", "2026-03-27 12:00:00", "2026-03-28 00:00:00"},
    };
    struct database db;
    database_init(&db);
    for (size_t i = 0; i < array_len(cases); i++) {
        struct buf file;
        struct wallclock *w;
        make_slim(&file, utc("2000-01-01 00:00:00"), -7200, 10800, cases[i].tz);
        assert_int_equal(database_try(&db, buf_span(&file), &w), ERR_OK);
        int64_t got = wallclock_next_ms(w, utc(cases[i].now) * 1000) / 1000;
        if (got != utc(cases[i].next))
            fail_msg("%s after %s: %lld s off", cases[i].tz, cases[i].now,
                     (long long)(got - utc(cases[i].next)));
        wallclock_free(w);
        buf_fini(&file);
    }
    database_fini(&db);
}

static void broken_rules_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "C-1",
        "CET",
        "CET-25",
        "CET-1:60",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,",
        "CET-1CEST,M3.5.0,M10.5.0/3x",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5,M10.5.0",
        "CET-1CEST,J0,M10.5.0",
        "CET-1CEST,J366,M10.5.0",
        "CET-1CEST,366,M10.5.0",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "<+01-1",
        "<>-1",
        ":Europe/Berlin",
    };
    struct database db;
    database_init(&db);
    for (size_t i = 0; i < array_len(cases); i++) {
        struct buf file;
        struct wallclock *w = NULL;
        make_slim(&file, 0, 0, 0, cases[i]);
        if (database_try(&db, buf_span(&file), &w) != ERR_SYNTAX || w)
            fail_msg("taken: %s", cases[i]);
        buf_fini(&file);
    }
    database_fini(&db);
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    struct database db;
    struct buf file;
    struct wallclock *w = NULL;
    struct err err;
    database_init(&db);
    make_slim(&file, 0, 0, 0, "CET-1CEST,M3.5.0,M10.5.0/3");
    for (size_t len = 0; len < file.len; len++)
        assert_int_equal(database_try(&db, span_of(file.p, len), &w), ERR_SYNTAX);
    file.p[4] = 0; /* version 1 */
    assert_int_equal(database_try(&db, buf_span(&file), &w), ERR_SYNTAX);
    buf_fini(&file);

    buf_init(&file, 65536); /* "right/": leap seconds counted */
    add_header(&file, '2', 0, 0, 1, 0);
    add_type(&file, 0, false);
    add_header(&file, '2', 1, 0, 1, 0);
    add_type(&file, 0, false);
    add_be(&file, 78796800, 8);
    add_be(&file, 1, 4);
    buf_add_str(&file, "\nUTC0\n");
    assert_int_equal(database_try(&db, buf_span(&file), &w), ERR_SYNTAX);
    buf_fini(&file);

    make_slim(&file, 0, 0, 26 * 3600, "");
    assert_int_equal(database_try(&db, buf_span(&file), &w), ERR_SYNTAX);
    buf_fini(&file);

    unlink(db.path);
    assert_int_equal(wallclock_parse(SPAN_LIT("02:30 Zone"), &w, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.what, db.dir));
    setenv("TZDIR", "/tmp/larder-no-such-directory", 1);
    assert_int_equal(wallclock_parse(SPAN_LIT("02:30 Zone"), &w, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.what, "install tzdata"));
    assert_null(w);
    database_fini(&db);
}

/* Any byte changed: refused, or a zone that still has an answer. */
static void changed_files_do_no_harm(void **state)
{
    (void)state;
    static const int64_t instants[] = {INT64_MIN, -1, 0, 1763596800000, INT64_MAX};
    struct database db;
    struct buf file;
    database_init(&db);
    make_slim(&file, 1000000000, -7200, 10800, "CET-1CEST,M3.5.0,M10.5.0/3");
    for (size_t at = 0; at < file.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct wallclock *w = NULL;
            file.p[at] ^= (char)(1u << bit);
            if (database_try(&db, buf_span(&file), &w) == ERR_OK)
                for (size_t i = 0; i < array_len(instants); i++)
                    assert_true(wallclock_next_ms(w, instants[i]) > instants[i] ||
                                instants[i] == INT64_MAX);
            wallclock_free(w);
            file.p[at] ^= (char)(1u << bit);
        }
    }
    buf_fini(&file);
    database_fini(&db);
}

static void the_ends_of_time_are_held(void **state)
{
    (void)state;
    static const char *const texts[] = {"06:00", "mon 06:00 Asia/Kolkata", "06:00 Europe/Berlin"};
    for (size_t i = 0; i < array_len(texts); i++) {
        struct wallclock *w = clock_of(texts[i]);
        assert_true(wallclock_next_ms(w, INT64_MAX) == INT64_MAX);
        assert_true(wallclock_next_ms(w, INT64_MAX - 1) == INT64_MAX);
        assert_true(wallclock_next_ms(w, INT64_MIN) < INT64_MIN + 8 * INT64_C(86400000));
        wallclock_free(w);
    }
    wallclock_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_time_is_strictly_later),
        cmocka_unit_test(a_gap_ends_it_and_the_first_of_two_counts),
        cmocka_unit_test(days_are_those_of_the_place),
        cmocka_unit_test(bad_texts_are_told_what_would_be_right),
        cmocka_unit_test(the_c_library_agrees),
        cmocka_unit_test(the_c_library_agrees_on_every_day_of_change),
        cmocka_unit_test(slim_files_go_on_by_their_rule),
        cmocka_unit_test(broken_rules_are_refused),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(changed_files_do_no_harm),
        cmocka_unit_test(the_ends_of_time_are_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
