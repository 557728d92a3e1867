/* A job's figures, and the line that shows them. */
#include "ctl-internal.h"

#include <math.h>
#include <stdio.h>

enum { BAR_LEAST = 5, BAR_MOST = 40 };

static uint64_t count_of(const struct json *job, const char *name)
{
    double v = ctl_number_of(json_member(job, span_str(name)), 0);
    return v > 0 && v < 1e15 ? (uint64_t)v : 0;
}

bool ctl_progress_parse(const struct json *root, struct progress *ret_progress)
{
    const struct json *inner = json_member(root, SPAN_LIT("job"));
    const struct json *job = inner ? inner : root;
    const struct json *state = json_member(job, SPAN_LIT("state"));
    if (!state || state->type != JSON_STRING)
        return false;
    struct progress p = {.total = count_of(job, "total"),
                         .done = count_of(job, "done"),
                         .warmed = count_of(job, "warmed"),
                         .failed = count_of(job, "failed"),
                         .elapsed_ms = count_of(job, "elapsed_ms")};
    if (p.done > p.total)
        p.total = p.done;
    struct buf text;
    buf_init_fixed(&text, p.state, sizeof(p.state) - 1);
    text_clean(&text, state->text, "");
    p.is_final = span_eq(state->text, SPAN_LIT("done")) ||
                 span_eq(state->text, SPAN_LIT("cancelled")) ||
                 span_eq(state->text, SPAN_LIT("failed"));
    *ret_progress = p;
    return true;
}

static void add_figures(const struct progress *p, struct buf *out)
{
    buf_add_fmt(out, "  ok %llu  failed %llu", (unsigned long long)p->warmed,
                (unsigned long long)p->failed);
    if (p->done == 0 || p->elapsed_ms == 0)
        return;
    double rate = (double)p->done * 1000 / (double)p->elapsed_ms;
    buf_add_fmt(out, "  %.1f/s", rate);
    if (p->is_final) {
        buf_add_str(out, "  in ");
        text_duration(out, ceil((double)p->elapsed_ms / 1000));
    } else {
        buf_add_str(out, "  ETA ");
        text_duration(out, ceil((double)(p->total - p->done) / rate));
    }
}

static void add_bar(const struct progress *p, unsigned columns, struct buf *out)
{
    double part = p->total ? (double)p->done / (double)p->total : (p->is_final ? 1 : 0);
    unsigned full = (unsigned)((double)columns * part);
    buf_add_char(out, '[');
    for (unsigned i = 0; i < columns; i++)
        buf_add_char(out, i < full ? '#' : '.');
    buf_add_str(out, "] ");
}

void ctl_progress_format(const struct progress *p, unsigned width, struct buf *out)
{
    char block[256];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    buf_add_fmt(&text, "%llu/%llu", (unsigned long long)p->done, (unsigned long long)p->total);
    if (width == 0 && p->total)
        buf_add_fmt(&text, " (%u %%)", (unsigned)((double)p->done * 100 / (double)p->total));
    add_figures(p, &text);
    if (width >= text.len + 3 + BAR_LEAST) {
        size_t columns = width - text.len - 3;
        add_bar(p, columns < BAR_MOST ? (unsigned)columns : BAR_MOST, out);
    }
    buf_add(out, text.p, width && text.len > width ? width : text.len);
}

bool ctl_progress_is_due(const struct progress *p, int *tenth)
{
    int now = p->total ? (int)((double)p->done * 10 / (double)p->total) : 0;
    bool is_due = now > *tenth || p->is_final;
    if (now > *tenth)
        *tenth = now;
    return is_due;
}
