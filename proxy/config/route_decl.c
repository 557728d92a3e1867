/* A parameter's value in the form that its declaration makes of all its spellings. */
#include "route-internal.h"

static bool add_folded(const struct param_decl *d, struct span value, struct buf *out)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.p[i];
        if (d->letter_case == DECL_CASE_LOWER && c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        else if (d->letter_case == DECL_CASE_UPPER && c >= 'a' && c <= 'z')
            c = (char)(c & ~0x20);
        buf_add_char(out, c);
    }
    return true;
}

static size_t digits_at(struct span s, size_t i)
{
    size_t n = 0;
    while (i + n < s.len && s.p[i + n] >= '0' && s.p[i + n] <= '9')
        n++;
    return n;
}

/* [+-]digits[.digits]: without leading zeros, a sign of plus or of zero, and trailing zeros. */
static bool add_number(struct span s, bool may_have_fraction, struct buf *out)
{
    size_t i = s.len && (s.p[0] == '-' || s.p[0] == '+');
    size_t whole = digits_at(s, i), frac_at = i + whole + 1, frac = 0;
    if (whole == 0)
        return false;
    if (i + whole < s.len) {
        if (!may_have_fraction || s.p[i + whole] != '.')
            return false;
        frac = digits_at(s, frac_at);
        if (frac == 0 || frac_at + frac != s.len)
            return false;
    }
    while (frac > 0 && s.p[frac_at + frac - 1] == '0')
        frac--;
    for (; whole > 1 && s.p[i] == '0'; whole--)
        i++;
    bool is_zero = whole == 1 && s.p[i] == '0' && frac == 0;
    if (s.p[0] == '-' && !is_zero)
        buf_add_char(out, '-');
    buf_add(out, s.p + i, whole);
    if (frac > 0) {
        buf_add_char(out, '.');
        buf_add(out, s.p + frac_at, frac);
    }
    return true;
}

static bool add_bool(struct span s, struct buf *out)
{
    static const char *const words[][2] = {{"false", "true"}, {"0", "1"}, {"no", "yes"},
                                           {"off", "on"},     {"f", "t"}, {"n", "y"}};
    for (size_t i = 0; i < array_len(words); i++) {
        for (int is_true = 0; is_true < 2; is_true++) {
            if (!span_eq_nocase(s, span_str(words[i][is_true])))
                continue;
            buf_add_str(out, is_true ? "true" : "false");
            return true;
        }
    }
    return false;
}

bool param_canonical(const struct param_decl *d, struct span value, struct buf *out)
{
    switch (d->type) {
    case DECL_INT:
        return add_number(value, false, out);
    case DECL_NUMBER:
        return add_number(value, true, out);
    case DECL_BOOL:
        return add_bool(value, out);
    case DECL_STRING:
        break;
    }
    return add_folded(d, value, out);
}
