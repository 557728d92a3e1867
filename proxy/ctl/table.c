/* Columns as wide as their widest cell: one pass to measure, one to write. */
#include "ctl-internal.h"

enum { COLUMNS_MAX = 16 };

static unsigned width_of(struct span s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static void pad(struct buf *out, unsigned from, unsigned to)
{
    for (; from < to; from++)
        buf_add_char(out, ' ');
}

/* The last column is not filled up: no line ends in spaces. */
static void write_row(struct span row, const char *align, const unsigned *widths, struct buf *out)
{
    size_t columns = strlen(align);
    for (size_t i = 0; i < columns && row.len; i++) {
        struct span cell = span_split(row, '\t', &row);
        unsigned width = width_of(cell);
        if (i)
            buf_add_str(out, "  ");
        if (align[i] == 'r')
            pad(out, width, widths[i]);
        buf_add_span(out, cell);
        if (align[i] == 'l' && row.len)
            pad(out, width, widths[i]);
    }
    buf_add_char(out, '\n');
}

void ctl_table_format(struct span cells, const char *align, struct buf *out)
{
    unsigned widths[COLUMNS_MAX] = {0};
    struct span rest = cells, row;
    size_t columns = strlen(align);
    while (rest.len) {
        row = span_split(rest, '\n', &rest);
        for (size_t i = 0; i < columns && i < COLUMNS_MAX && row.len; i++) {
            unsigned width = width_of(span_split(row, '\t', &row));
            if (width > widths[i])
                widths[i] = width;
        }
    }
    for (rest = cells; rest.len;)
        write_row(span_split(rest, '\n', &rest), align, widths, out);
}
