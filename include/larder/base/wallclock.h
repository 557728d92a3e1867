/* wallclock.h: times of day in a time zone: "06:00 Asia/Kolkata", "mon-fri 05:30 Europe/Berlin".
 *
 * The zone is read once, at parse time, from the system's tz database, and never through the C
 * library's TZ, which is one for all threads. A database that changes later is not noticed.
 * Thread  any, after parse: nothing in it changes
 * Time    Unix milliseconds, always passed in; no clock is read
 * Memory  one object and its zone's table, a few KB; the caller owns it
 * Source  RFC 9636 (TZif), POSIX.1-2024 section 8.3 (TZ)
 */
#ifndef LARDER_BASE_WALLCLOCK_H
#define LARDER_BASE_WALLCLOCK_H

#include <larder/base/err.h>
#include <larder/base/macros.h>
#include <larder/base/span.h>

struct wallclock;

/* Reads "[days ]HH:MM[:SS][ zone]". Days are names and ranges, "mon-fri" or "sat,sun", in any
 * case; a range may go round the week's end ("fri-mon"). Without days: every day. Without zone:
 * UTC, which like the zone "UTC" needs no database. The database is the directory that TZDIR
 * names, else /usr/share/zoneinfo.
 *
 * On ERR_OK *ret is the caller's, for wallclock_free(). Else nothing is written but <err> (may be
 * NULL), whose <what> says what would be right: ERR_SYNTAX (the text, or a zone's file that cannot
 * be read as TZif of version 2 or later without leap seconds), ERR_NOT_FOUND (no such zone),
 * ERR_IO (the system refused), ERR_NOMEM. Reads a file, so it may block: not for the loop. */
must_check enum err_code wallclock_parse(struct span text, struct wallclock **ret, struct err *err);

void wallclock_free(struct wallclock *w); /* NULL is fine */

/* The next instant strictly after <unix_ms> at which that time of day begins there, as Unix
 * milliseconds. A time that a gap leaves out (summer time begins, or a day is skipped) is taken at
 * the gap's end; one that comes twice, at its first. INT64_MAX where it would lie behind that.
 * Allocates nothing, takes no lock, about a microsecond. Thread any. */
int64_t wallclock_next_ms(const struct wallclock *w, int64_t unix_ms);

#endif
