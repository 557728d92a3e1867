/* Templates filled: each value is asked for when its turn comes, goes through its filters, and is
 * written as its JSON type, or as text within a text. */
#include <larder/config/reply_template.h>

#include <larder/http/key.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TEXT_MAX = 64 * 1024, TIME_MAX = 64, PLAIN_DECIMALS = 6 };

struct filling {
    const struct reply_source *source;
    struct json_writer w;
    const struct reply_value *bad;
    enum err_code rc; /* the first that went wrong */
    int decimals;     /* of the present value; -1: as many as it needs */
    char time[TIME_MAX];
};

static bool give_up(struct filling *f, enum err_code rc, const struct reply_value *v)
{
    if (!f->rc) {
        f->rc = rc;
        f->bad = v;
    }
    return false;
}

/* --- filters --- */

static bool text_number(struct span text, double *ret)
{
    char block[64], *end;
    if (!text.len || text.len >= sizeof(block))
        return false;
    memcpy(block, text.p, text.len);
    block[text.len] = '\0';
    if (strspn(block, "+-.0123456789eE") != text.len)
        return false;
    *ret = strtod(block, &end);
    return *end == '\0' && end != block && isfinite(*ret);
}

static bool number_of(const struct reply_datum *d, double *ret)
{
    switch (d->kind) {
    case DATUM_COUNT:
        *ret = (double)d->count;
        return true;
    case DATUM_REAL:
        *ret = d->real;
        return true;
    case DATUM_TEXT:
        return text_number(d->text, ret);
    case DATUM_JSON:
        return (d->json->type == JSON_NUMBER || d->json->type == JSON_STRING) &&
               text_number(d->json->text, ret);
    default:
        return false;
    }
}

static void set_real(struct reply_datum *d, double v)
{
    d->kind = DATUM_REAL;
    d->real = isfinite(v) ? v : 0;
}

static double in_ms(enum reply_unit unit, double v)
{
    return unit == REPLY_UNIT_S ? v * 1000 : v;
}

static void to_local(struct filling *f, struct reply_datum *d)
{
    time_t s = (time_t)(d->unix_us / 1000000);
    struct tm tm;
    char day[32];
    localtime_r(&s, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(f->time, sizeof(f->time), "%s.%06lld", day, (long long)(d->unix_us % 1000000));
    d->kind = DATUM_TEXT;
    d->text = span_str(f->time);
}

static void to_utc(struct filling *f, struct reply_datum *d)
{
    time_t s = (time_t)(d->unix_us / 1000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(f->time, sizeof(f->time), "%Y-%m-%dT%H:%M:%SZ", &tm);
    d->kind = DATUM_TEXT;
    d->text = span_str(f->time);
}

/* False: the value is none for this filter. */
static bool apply(struct filling *f, const struct reply_value *v, const struct reply_filter *filter,
                  struct reply_datum *d)
{
    static const double ms_of[] = {
        [REPLY_IN_MS] = 1, [REPLY_IN_S] = 1000, [REPLY_IN_M] = 60000, [REPLY_IN_H] = 3600000};
    double number = 0;
    if (filter->kind == REPLY_LOCAL || filter->kind == REPLY_UTC) {
        if (filter->kind == REPLY_LOCAL)
            to_local(f, d);
        else
            to_utc(f, d);
        return true;
    }
    if (!number_of(d, &number))
        return false;
    switch (filter->kind) {
    case REPLY_PERCENT:
        set_real(d, number * 100);
        return true;
    case REPLY_DECIMALS:
        set_real(d, number);
        f->decimals = (int)filter->decimals;
        return true;
    case REPLY_INT:
        set_real(d, trunc(number));
        f->decimals = 0;
        return true;
    default:
        set_real(d, in_ms(reply_unit_of(v), number) / ms_of[filter->kind]);
        return true;
    }
}

static bool is_absent(const struct reply_datum *d)
{
    return d->kind == DATUM_ABSENT || (d->kind == DATUM_JSON && d->json->type == JSON_NULL);
}

/* The value as its filters leave it. False: it is not there, or <f->rc> is set. */
static bool read_value(struct filling *f, const struct reply_value *v, struct reply_datum *d)
{
    *d = (struct reply_datum){0};
    f->decimals = -1;
    if (!f->source->value_of(f->source->arg, v, d))
        return give_up(f, ERR_NOMEM, v);
    if (is_absent(d)) {
        if (v->group == REPLY_OF_REQUEST && !v->is_optional)
            return give_up(f, ERR_NOT_FOUND, v);
        return false;
    }
    if (d->kind == DATUM_TIME && v->filter_count == 0)
        to_utc(f, d);
    for (unsigned i = 0; i < v->filter_count; i++) {
        if (apply(f, v, &v->filters[i], d))
            continue;
        if (v->group == REPLY_OF_REQUEST)
            return give_up(f, ERR_SYNTAX, v);
        break; /* what the app or stats give is told as it is */
    }
    return true;
}

/* --- writing --- */

/* Rounded as asked for; otherwise with the digits that say something. */
static void add_real(const struct filling *f, double v, struct buf *out)
{
    struct json_writer w;
    json_writer_init(&w, out);
    if (f->decimals >= 0) {
        json_write_double(&w, NULL, v, f->decimals);
        return;
    }
    size_t before = out->len;
    json_write_double(&w, NULL, v, PLAIN_DECIMALS);
    if (out->failed || out->len == before || !memchr(out->p + before, '.', out->len - before))
        return;
    while (out->p[out->len - 1] == '0')
        out->len--;
    if (out->p[out->len - 1] == '.')
        out->len--;
}

/* Its JSON, or, <is_text>, what stands in a text for it. */
static void add_datum(const struct filling *f, const struct reply_datum *d, bool is_text,
                      struct buf *out)
{
    bool is_string =
        d->kind == DATUM_TEXT || (d->kind == DATUM_JSON && d->json->type == JSON_STRING);
    struct span text = d->kind == DATUM_JSON ? d->json->text : d->text;
    if (is_string && is_text)
        buf_add_span(out, text);
    else if (is_string)
        json_string_format(text, out);
    else if (d->kind == DATUM_COUNT)
        buf_add_u64(out, d->count);
    else if (d->kind == DATUM_REAL)
        add_real(f, d->real, out);
    else if (d->kind == DATUM_BOOL)
        buf_add_str(out, d->is_true ? "true" : "false");
    else if (d->kind == DATUM_JSON)
        json_format(d->json, out);
    else
        buf_add_span(out, d->text);
}

static void note_room(struct filling *f, const struct buf *b)
{
    if (b->failed)
        (void)give_up(f, b->no_memory ? ERR_NOMEM : ERR_TOO_LARGE, NULL);
}

static void begin(struct filling *f, const struct reply_node *n, bool is_member)
{
    if (is_member)
        json_write_name(&f->w, n->name);
    else if (f->w.need_comma)
        buf_add_char(f->w.out, ',');
    f->w.need_comma = true;
}

/* Not there: of the request, it takes its member with it; of the rest, it is null. */
static void write_alone(struct filling *f, const struct reply_node *n, bool is_member)
{
    const struct reply_value *v = n->pieces[0].value;
    struct reply_datum d;
    bool is_there = read_value(f, v, &d);
    if (f->rc || (!is_there && v->is_optional))
        return;
    if (is_there && n->is_plain && d.kind == DATUM_JSON && d.json->type == JSON_OBJECT) {
        (void)give_up(f, ERR_DENIED, v);
        return;
    }
    begin(f, n, is_member);
    if (is_there)
        add_datum(f, &d, false, f->w.out);
    else
        buf_add_str(f->w.out, "null");
}

static bool add_piece(struct filling *f, const struct reply_node *n, const struct reply_piece *p,
                      struct buf *text)
{
    struct reply_datum d;
    buf_add_span(text, p->literal);
    if (!p->value)
        return true;
    if (!read_value(f, p->value, &d))
        return !f->rc && !p->value->is_optional;
    if (!n->is_escaped) {
        add_datum(f, &d, true, text);
        return true;
    }
    cleanup(buf_fini) struct buf plain;
    buf_init(&plain, TEXT_MAX);
    add_datum(f, &d, true, &plain);
    key_add_value(text, buf_span(&plain));
    note_room(f, &plain);
    return true;
}

static void write_text(struct filling *f, const struct reply_node *n, bool is_member)
{
    cleanup(buf_fini) struct buf text;
    buf_init(&text, TEXT_MAX);
    for (unsigned i = 0; i < n->piece_count; i++)
        if (!add_piece(f, n, &n->pieces[i], &text))
            return;
    note_room(f, &text);
    begin(f, n, is_member);
    json_string_format(buf_span(&text), f->w.out);
}

static void write_node(struct filling *f, const struct reply_node *n, bool is_member)
{
    bool is_object = n->type == JSON_OBJECT;
    if (f->rc)
        return;
    if (n->piece_count) {
        bool is_alone = n->piece_count == 1 && n->pieces[0].value && !n->pieces[0].literal.len;
        if (is_alone)
            write_alone(f, n, is_member);
        else
            write_text(f, n, is_member);
        return;
    }
    begin(f, n, is_member);
    struct json scalar = {.type = n->type, .text = n->text};
    if (!is_object && n->type != JSON_ARRAY) {
        json_format(&scalar, f->w.out);
        return;
    }
    buf_add_char(f->w.out, is_object ? '{' : '[');
    f->w.need_comma = false;
    for (unsigned i = 0; i < n->count; i++)
        write_node(f, &n->children[i], is_object);
    buf_add_char(f->w.out, is_object ? '}' : ']');
    f->w.need_comma = true;
}

enum err_code reply_fill(const struct reply_node *n, const struct reply_source *s, struct buf *out,
                         const struct reply_value **ret_bad)
{
    struct filling f = {.source = s};
    size_t before = out->len;
    json_writer_init(&f.w, out);
    write_node(&f, n, false);
    if (!f.rc && out->len == before)
        buf_add_str(out, "null"); /* a lone value that may be absent, and is */
    note_room(&f, out);
    if (f.rc)
        *ret_bad = f.bad;
    return f.rc;
}
