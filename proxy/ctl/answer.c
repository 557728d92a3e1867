/* One HTTP/1.1 answer (RFC 9112), byte by byte where there are lines and in runs where there is
 * data. What ctl does not need (field order, trailers, extensions) is read over. */
#include "ctl-internal.h"

enum { HEADS_MAX = 64 * 1024 };

void ctl_answer_init(struct answer *a)
{
    *a = (struct answer){.state = ANSWER_STATUS};
}

bool ctl_answer_is_whole(const struct answer *a)
{
    return a->state == ANSWER_DONE || a->state == ANSWER_TO_END;
}

static enum err_code fail(struct err *err, const char *what)
{
    return err_set(err, ERR_SYNTAX, "answer", "%s", what);
}

/* Section 6.3: how long the body is, now that the head is over. */
static void begin_body(struct answer *a)
{
    if (a->status < 200) {
        ctl_answer_init(a); /* an interim answer: the real one follows */
        return;
    }
    if (a->status == 204 || a->status == 304)
        a->state = ANSWER_DONE;
    else if (a->is_chunked)
        a->state = ANSWER_CHUNK;
    else if (a->has_length)
        a->state = a->left ? ANSWER_LENGTH : ANSWER_DONE;
    else
        a->state = ANSWER_TO_END;
}

static enum err_code read_status(struct answer *a, struct span line, struct err *err)
{
    uint64_t status;
    if (!span_starts_with(line, SPAN_LIT("HTTP/1.")) || line.len < 12 ||
        !span_parse_u64(span_of(line.p + 9, 3), &status) || status < 100)
        return fail(err, "this is no HTTP/1.1");
    a->status = (unsigned)status;
    a->state = ANSWER_FIELD;
    return ERR_OK;
}

static void keep_type(struct answer *a, struct span value)
{
    struct span rest, type = span_trim(span_split(value, ';', &rest));
    size_t n = type.len < sizeof(a->type) - 1 ? type.len : sizeof(a->type) - 1;
    for (size_t i = 0; i < n; i++) {
        char c = type.p[i];
        a->type[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    a->type[n] = '\0';
}

static enum err_code read_field(struct answer *a, struct span line, struct err *err)
{
    struct span value, name = span_split(line, ':', &value);
    if (line.len == 0) {
        begin_body(a);
        return ERR_OK;
    }
    value = span_trim(value);
    if (span_eq_nocase(name, SPAN_LIT("content-length"))) {
        a->has_length = true;
        if (!span_parse_u64(value, &a->left))
            return fail(err, "its Content-Length is no number");
    } else if (span_eq_nocase(name, SPAN_LIT("transfer-encoding"))) {
        a->is_chunked = span_eq_nocase(value, SPAN_LIT("chunked"));
        if (!a->is_chunked)
            return fail(err, "its Transfer-Encoding is not chunked");
    } else if (span_eq_nocase(name, SPAN_LIT("content-type"))) {
        keep_type(a, value);
    }
    return ERR_OK;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

static enum err_code read_chunk_size(struct answer *a, struct span line, struct err *err)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < line.len && digit_of(line.p[i]) >= 0; i++) {
        if (i == 15)
            return fail(err, "a chunk is too large");
        size = size * 16 + (uint64_t)digit_of(line.p[i]);
    }
    if (i == 0 || (i < line.len && !strchr("; \t", line.p[i])))
        return fail(err, "a chunk has no size");
    a->left = size;
    a->state = size ? ANSWER_DATA : ANSWER_TRAILER;
    return ERR_OK;
}

static enum err_code take_line(struct answer *a, struct err *err)
{
    struct span line = span_of(a->line, a->line_len);
    if (line.len && line.p[line.len - 1] == '\r')
        line.len--;
    a->line_len = 0;
    switch (a->state) {
    case ANSWER_STATUS:
        return read_status(a, line, err);
    case ANSWER_FIELD:
        return read_field(a, line, err);
    case ANSWER_CHUNK:
        return read_chunk_size(a, line, err);
    case ANSWER_AFTER:
        a->state = ANSWER_CHUNK;
        return line.len ? fail(err, "a chunk is longer than it says") : ERR_OK;
    default:
        if (line.len == 0)
            a->state = ANSWER_DONE;
        return ERR_OK;
    }
}

/* A line longer than the block is cut: nothing that long is of interest. Chunk lines stay within
 * the limit as data resets the count. */
static enum err_code feed_line(struct answer *a, char c, struct err *err)
{
    if (++a->heads > HEADS_MAX)
        return fail(err, "its head is over 64 KiB");
    if (c == '\n')
        return take_line(a, err);
    if (a->line_len < sizeof(a->line))
        a->line[a->line_len++] = c;
    return ERR_OK;
}

/* Takes what of <bytes> belongs to the body; returns how much that is. */
static size_t feed_data(struct answer *a, struct span bytes, struct buf *body)
{
    size_t n = bytes.len;
    if (a->state != ANSWER_TO_END) {
        n = a->left < n ? (size_t)a->left : n;
        a->left -= n;
    }
    buf_add(body, bytes.p, n);
    a->heads = 0;
    if (a->state == ANSWER_LENGTH && a->left == 0)
        a->state = ANSWER_DONE;
    else if (a->state == ANSWER_DATA && a->left == 0)
        a->state = ANSWER_AFTER;
    return n;
}

enum err_code ctl_answer_feed(struct answer *a, struct span bytes, struct buf *body,
                              struct err *err)
{
    for (size_t i = 0; i < bytes.len && a->state != ANSWER_DONE;) {
        if (a->state == ANSWER_LENGTH || a->state == ANSWER_TO_END || a->state == ANSWER_DATA) {
            i += feed_data(a, span_of(bytes.p + i, bytes.len - i), body);
            continue;
        }
        enum err_code rc = feed_line(a, bytes.p[i++], err);
        if (rc)
            return rc;
    }
    if (body->failed)
        return err_set(err, ERR_TOO_LARGE, "answer", "it is over 64 MiB, or memory is short");
    return ERR_OK;
}
