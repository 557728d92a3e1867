/* The name that was meant: edit distance in which two neighbours swapped count as one slip, as
 * fingers make them (optimal string alignment). Names are short, so three rows do. */
#include "config-internal.h"

enum { LONGEST = 40 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned distance(struct span a, struct span b)
{
    unsigned rows[3][LONGEST + 1];
    if (a.len > LONGEST || b.len > LONGEST)
        return LONGEST;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *over = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            row[j] = above[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            row[j] = least(row[j], least(row[j - 1], above[j]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                row[j] = least(row[j], over[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

/* Camel case, dashes and capitals are other habits, not slips: "maxBytes" is "max_bytes". */
static struct span plain(struct span s, char block[LONGEST])
{
    size_t n = 0;
    for (size_t i = 0; i < s.len && n < LONGEST; i++) {
        char c = s.p[i];
        if (c != '_' && c != '-')
            block[n++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    return span_of(block, n);
}

const char *nearest_name(struct span given, const char *const *names, unsigned count)
{
    const char *best = NULL;
    char given_block[LONGEST], block[LONGEST];
    if (given.len == 0 || given.len > LONGEST)
        return NULL;
    struct span mine = plain(given, given_block);
    unsigned fewest = (unsigned)mine.len / 3 + 2; /* so many slips are no longer the same name */
    for (unsigned i = 0; i < count; i++) {
        struct span name = plain(span_str(names[i]), block);
        unsigned d = distance(mine, name);
        if (d < fewest && d < name.len) {
            fewest = d;
            best = names[i];
        }
    }
    return best;
}
