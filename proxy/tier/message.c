#include <larder/tier/message.h>

#include <larder/base/octets.h>

enum { FLAG_SOFT = 1, FLAG_ACK = 2, HEAD = 4, PATTERN_TEXT_MAX = 8192 };

void message_from_match(const struct store_match *m, bool is_soft, struct message *ret)
{
    *ret = (struct message){.is_soft = is_soft};
    if (m->kind == STORE_TEST) {
        ret->kind = MESSAGE_PATTERN;
        ret->pattern = *(const struct pattern *)m->arg;
        return;
    }
    ret->kind = m->kind == STORE_ALL_OF ? MESSAGE_ALL_OF : MESSAGE_ANY_TAG;
    ret->tag_count = m->tag_count;
    memcpy(ret->tags, m->tags, m->tag_count * sizeof(*m->tags));
}

struct store_match message_match(struct message *m)
{
    if (m->kind == MESSAGE_PATTERN)
        return (struct store_match){.kind = STORE_TEST, .test = pattern_test, .arg = &m->pattern};
    return (struct store_match){.kind = m->kind == MESSAGE_ALL_OF ? STORE_ALL_OF : STORE_ANY_TAG,
                                .tags = m->tags,
                                .tag_count = m->tag_count};
}

void message_add(const struct message *m, struct buf *out)
{
    bool is_pattern = m->kind == MESSAGE_PATTERN;
    size_t len = HEAD + (is_pattern ? m->pattern.text.len : m->tag_count * sizeof(uint64_t));
    octets_add(out, len, 4);
    octets_add(out, m->kind, 1);
    octets_add(out, (m->is_soft ? FLAG_SOFT : 0) | (m->wants_ack ? FLAG_ACK : 0), 1);
    octets_add(out, is_pattern ? (unsigned)m->pattern.kind : m->tag_count, 2);
    if (is_pattern)
        buf_add_span(out, m->pattern.text);
    for (unsigned i = 0; !is_pattern && i < m->tag_count; i++)
        octets_add(out, m->tags[i], sizeof(uint64_t));
}

struct span message_next(struct span *list)
{
    struct span message;
    if (!octets_take_text(list, &message))
        return span_of(NULL, 0);
    return message;
}

struct span message_tags(struct span bytes)
{
    return span_of(bytes.p + HEAD, bytes.len - HEAD);
}

void message_want_ack(char *bytes)
{
    bytes[1] = (char)(bytes[1] | FLAG_ACK);
}

static bool parse_tags(struct span bytes, struct message *ret)
{
    unsigned max = ret->kind == MESSAGE_ALL_OF ? TAG_ALL_OF_MAX : MESSAGE_TAGS_MAX;
    if (ret->tag_count == 0 || ret->tag_count > max ||
        bytes.len != ret->tag_count * sizeof(uint64_t))
        return false;
    for (unsigned i = 0; i < ret->tag_count; i++)
        (void)octets_take(&bytes, sizeof(uint64_t), &ret->tags[i]); /* the length is right */
    return true;
}

bool message_parse(struct span bytes, struct message *ret)
{
    uint64_t kind, flags, count;
    if (!octets_take(&bytes, 1, &kind) || !octets_take(&bytes, 1, &flags) ||
        !octets_take(&bytes, 2, &count) || kind > MESSAGE_PATTERN || flags > (FLAG_SOFT | FLAG_ACK))
        return false;
    ret->kind = (enum message_kind)kind;
    ret->is_soft = flags & FLAG_SOFT;
    ret->wants_ack = flags & FLAG_ACK;
    ret->tag_count = 0;
    if (ret->kind != MESSAGE_PATTERN) {
        ret->tag_count = (unsigned)count;
        return parse_tags(bytes, ret);
    }
    ret->pattern = (struct pattern){.kind = (enum pattern_kind)count, .text = bytes};
    return count < PATTERN_KIND_COUNT && bytes.len <= PATTERN_TEXT_MAX;
}
