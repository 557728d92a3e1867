/* Texts with values in them, filled from a request and, where there is one, its answer. A value
 * that comes several times makes several texts. */
#include "route-internal.h"

#include <larder/base/hash.h>
#include <larder/http/key.h>

enum { TEXT_BYTES_MAX = 1000 };

struct filling {
    const struct text_template *t;
    const struct template_source *s;
    void (*on_text)(void *arg, struct span text);
    void *arg;
    unsigned piece;
    struct buf text;
    unsigned count;
    bool is_bad; /* a text too long, or with bytes that no tag has, or too many of them */
};

static void fill_from(struct filling *f, unsigned piece);

static bool is_clean(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

static void put_value(void *arg, struct span value)
{
    struct filling *f = arg;
    const struct template_piece *p = &f->t->pieces[f->piece];
    size_t len = f->text.len;
    if (f->is_bad)
        return;
    if (p->kind == PIECE_REQUEST && p->param.secret)
        key_add_secret(&f->text, f->s->request->secret, value);
    else if (f->s->escape)
        key_add_value(&f->text, value);
    else
        buf_add_span(&f->text, value);
    f->is_bad |= f->text.failed || !is_clean(value);
    unsigned piece = f->piece;
    fill_from(f, piece + 1);
    f->piece = piece;
    f->text.len = len;
}

static void fill_from(struct filling *f, unsigned piece)
{
    if (f->is_bad)
        return;
    if (piece == f->t->piece_count) {
        f->is_bad = ++f->count > f->t->max;
        if (!f->is_bad)
            f->on_text(f->arg, buf_span(&f->text));
        return;
    }
    const struct template_piece *p = &f->t->pieces[piece];
    size_t len = f->text.len;
    f->piece = piece;
    buf_add_span(&f->text, p->literal);
    f->is_bad |= f->text.failed;
    if (p->kind == PIECE_END)
        fill_from(f, piece + 1);
    else if (p->kind == PIECE_REQUEST)
        f->is_bad |= !route_param_each(&p->param, f->s->request, put_value, f);
    else if (f->s->each_response)
        f->s->each_response(f->s->each_arg, &p->pointer, put_value, f);
    f->text.len = len;
}

int template_fill(const struct text_template *t, const struct template_source *s,
                  void (*on_text)(void *arg, struct span text), void *arg)
{
    char block[TEXT_BYTES_MAX];
    struct filling f = {.t = t, .s = s, .on_text = on_text, .arg = arg};
    buf_init_fixed(&f.text, block, sizeof(block));
    fill_from(&f, 0);
    return f.is_bad ? -1 : (int)f.count;
}
