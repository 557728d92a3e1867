/* Access records as bytes in a ring: a header of fixed size, then the texts one after another.
 * Records wrap around byte by byte; head and tail only grow. */
#include "log-internal.h"

#include <larder/base/json.h>

#include <stdlib.h>

/* In the order of their lines in a record. */
enum { RING_MAX = 1 << 30, WORDS_MAX = 1024 };

enum { METHOD, TARGET, CLIENT, ROUTE, KEY, REASON, REQUEST_ID };

struct record {
    uint32_t bytes; /* of header and texts */
    uint32_t status, age_s;
    uint32_t len[ACCESS_TEXTS];
    int64_t time_unix_ms;
    uint64_t body_bytes, request_bytes, total_us, upstream_us;
    const char *outcome;
    bool is_stored;
};

struct access_queue *access_queue_make(size_t bytes)
{
    size_t size = 4096;
    while (size < bytes && size < RING_MAX)
        size *= 2;
    struct access_queue *q = aligned_alloc(64, sizeof(*q) + size);
    if (!q)
        return NULL;
    memset(q, 0, sizeof(*q));
    q->size = size;
    return q;
}

void access_queue_free(struct access_queue *q)
{
    free(q);
}

static void ring_put(struct access_queue *q, uint64_t at, const void *p, size_t len)
{
    size_t off = (size_t)at & (q->size - 1);
    size_t first = len < q->size - off ? len : q->size - off;
    if (first)
        memcpy(q->ring + off, p, first);
    if (len > first)
        memcpy(q->ring, (const char *)p + first, len - first);
}

static void ring_get(const struct access_queue *q, uint64_t at, void *p, size_t len)
{
    size_t off = (size_t)at & (q->size - 1);
    size_t first = len < q->size - off ? len : q->size - off;
    memcpy(p, q->ring + off, first);
    if (len > first)
        memcpy((char *)p + first, q->ring, len - first);
}

void log_access(struct access_queue *q, const struct access_record *r)
{
    const struct span texts[ACCESS_TEXTS] = {
        [METHOD] = r->method, [TARGET] = r->target, [CLIENT] = r->client,        [ROUTE] = r->route,
        [KEY] = r->key,       [REASON] = r->reason, [REQUEST_ID] = r->request_id};
    struct record rec = {.bytes = sizeof(rec),
                         .status = r->status,
                         .age_s = r->age_s,
                         .time_unix_ms = r->time_unix_ms,
                         .body_bytes = r->body_bytes,
                         .request_bytes = r->request_bytes,
                         .total_us = r->total_us,
                         .upstream_us = r->upstream_us,
                         .outcome = r->outcome,
                         .is_stored = r->is_stored};
    for (unsigned i = 0; i < ACCESS_TEXTS; i++) {
        rec.len[i] = (uint32_t)(texts[i].len < ACCESS_TEXT_MAX ? texts[i].len : ACCESS_TEXT_MAX);
        rec.bytes += rec.len[i];
    }
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);
    if (q->size - (head - tail) < rec.bytes) {
        log_count_dropped(1);
        return;
    }
    uint64_t at = head;
    ring_put(q, at, &rec, sizeof(rec));
    at += sizeof(rec);
    for (unsigned i = 0; i < ACCESS_TEXTS; i++) {
        ring_put(q, at, texts[i].p, rec.len[i]);
        at += rec.len[i];
    }
    atomic_store_explicit(&q->head, at, memory_order_release);
    size_t used = (size_t)(at - tail), half = q->size / 2;
    if (used >= half && used - rec.bytes < half)
        log_wake(); /* the only system call here, and only when the writer is late */
}

static void write_text(struct json_writer *w, const char *name, struct span text)
{
    if (text.len)
        json_write_span(w, name, text);
}

/* Which words tell of <rec>; LOG_WORDS: none. */
static enum log_word word_of(const struct record *rec, struct span reason, const struct span *words)
{
    static const char *const outcomes[] = {
        [LOG_WORD_HIT] = "hit",       [LOG_WORD_STALE] = "stale",
        [LOG_WORD_MISS] = "miss",     [LOG_WORD_COALESCED] = "coalesced",
        [LOG_WORD_BYPASS] = "bypass",
    };
    unsigned word = 0;
    while (word < array_len(outcomes) && strcmp(outcomes[word], rec->outcome) != 0)
        word++;
    if (word == array_len(outcomes))
        return LOG_WORDS;
    if (word == LOG_WORD_HIT && span_eq(reason, SPAN_LIT("redis")) && words[LOG_WORD_REDIS_HIT].len)
        return LOG_WORD_REDIS_HIT;
    return word == LOG_WORD_STALE && !words[word].len ? LOG_WORD_HIT : (enum log_word)word;
}

static void add_words(struct span words, struct span key, struct buf *out)
{
    struct span variable = SPAN_LIT("${key}");
    for (const char *at;
         words.len && (at = memmem(words.p, words.len, variable.p, variable.len)) != NULL;) {
        buf_add_span(out, span_of(words.p, (size_t)(at - words.p)));
        buf_add_span(out, key);
        words = span_of(at + variable.len, (size_t)(words.p + words.len - at) - variable.len);
    }
    buf_add_span(out, words);
}

static void write_words(struct json_writer *w, const struct record *rec, const struct span *texts,
                        const struct span *words)
{
    char block[2 * (WORDS_MAX + ACCESS_TEXT_MAX)];
    struct buf message;
    buf_init_fixed(&message, block, sizeof(block));
    enum log_word word = word_of(rec, texts[REASON], words);
    if (word != LOG_WORDS)
        add_words(words[word], texts[KEY], &message);
    if (rec->is_stored && words[LOG_WORD_STORE].len) {
        buf_add_str(&message, message.len ? "; " : "");
        add_words(words[LOG_WORD_STORE], texts[KEY], &message);
    }
    write_text(w, "message", buf_span(&message));
}

static void format_record(const struct record *rec, const struct span *texts,
                          const struct span *words, struct buf *out)
{
    struct json_writer w;
    struct buf when;
    char when_block[40];
    buf_init_fixed(&when, when_block, sizeof(when_block));
    log_time_format(rec->time_unix_ms, &when);
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    json_write_span(&w, "@timestamp", buf_span(&when));
    write_text(&w, "client.ip", texts[CLIENT]);
    write_text(&w, "http.request.method", texts[METHOD]);
    write_text(&w, "url.original", texts[TARGET]);
    json_write_u64(&w, "http.response.status_code", rec->status);
    json_write_u64(&w, "http.response.body.bytes", rec->body_bytes);
    if (rec->request_bytes)
        json_write_u64(&w, "http.request.body.bytes", rec->request_bytes);
    json_write_u64(&w, "event.duration", rec->total_us * 1000);
    write_text(&w, "http.request.id", texts[REQUEST_ID]);
    write_text(&w, "larder.route", texts[ROUTE]);
    write_text(&w, "larder.key", texts[KEY]);
    json_write_str(&w, "larder.outcome", rec->outcome);
    write_text(&w, "larder.reason", texts[REASON]);
    json_write_u64(&w, "larder.age_s", rec->age_s);
    json_write_double(&w, "larder.upstream_ms", (double)rec->upstream_us / 1000, 3);
    if (words)
        write_words(&w, rec, texts, words);
    json_write_object_end(&w);
    buf_add_char(out, '\n');
}

bool access_queue_format(struct access_queue *q, const struct span *words, struct buf *out)
{
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&q->head, memory_order_acquire))
        return false;
    struct record rec;
    char block[ACCESS_TEXTS * ACCESS_TEXT_MAX];
    struct span texts[ACCESS_TEXTS];
    ring_get(q, tail, &rec, sizeof(rec));
    ring_get(q, tail + sizeof(rec), block, rec.bytes - sizeof(rec));
    atomic_store_explicit(&q->tail, tail + rec.bytes, memory_order_release);
    for (size_t i = 0, at = 0; i < ACCESS_TEXTS; at += rec.len[i++])
        texts[i] = span_of(block + at, rec.len[i]);
    format_record(&rec, texts, words, out);
    return true;
}

void access_queue_clear(struct access_queue *q)
{
    uint64_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    atomic_store_explicit(&q->tail, head, memory_order_release);
}
