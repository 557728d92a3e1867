/* fuzz_template.c: any text as a template in an alias: it is refused with a place, or it can be
 * filled with values of every kind, and gives one JSON value. */
#include <larder/config/alias.h>
#include <larder/config/config.h>

#include <stdlib.h>

static void demand(bool ok)
{
    if (!ok)
        abort();
}

struct values {
    unsigned next; /* which kind comes next */
    const struct json *json;
};

static bool value_of(void *arg, const struct reply_value *v, struct reply_datum *ret)
{
    struct values *values = arg;
    (void)v;
    *ret = (struct reply_datum){.kind = values->next++ % 8,
                                .count = UINT64_MAX,
                                .real = 0.5,
                                .is_true = true,
                                .unix_us = 1757446458553911,
                                .text = SPAN_LIT("7"),
                                .json = values->json};
    return true;
}

/* Filled from each kind on. */
static void fill(const struct reply_node *n)
{
    struct json_doc *doc = NULL;
    demand(json_parse(SPAN_LIT("{\"a\":[1,null,\"x\"]}"), NULL, 0, 8, &doc, NULL) == ERR_OK);
    for (unsigned kind = 0; kind < 8; kind++) {
        struct values values = {.next = kind, .json = json_root(doc)};
        struct reply_source source = {.value_of = value_of, .arg = &values};
        const struct reply_value *bad = NULL;
        struct json_doc *read = NULL;
        struct buf out;
        buf_init(&out, 1 << 20);
        enum err_code rc = reply_fill(n, &source, &out, &bad);
        demand(rc == ERR_OK || rc == ERR_TOO_LARGE || bad);
        if (rc == ERR_OK)
            demand(json_parse(buf_span(&out), NULL, 0, 64, &read, NULL) == ERR_OK);
        json_doc_free(read);
        buf_fini(&out);
    }
    json_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char start[] =
        "{\"upstreams\":{\"app\":{\"server\":\"127.0.0.1:1\"}},\"routes\":[{\"name\":\"r\","
        "\"match\":"
        "\"GET /r\",\"ttl\":\"1s\",\"key\":[\"query.k\"]}],\"aliases\":[{\"on\":\"POST "
        "/x/{id}\",\"open\":true,"
        "\"do\":\"warm\",\"with\":{\"route\":\"r\"},\"reply\":[";
    struct err errs[2];
    unsigned count = 0;
    struct config *c = NULL;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_add(&text, start, sizeof(start) - 1);
    json_string_format(span_of((const char *)data, size), &text); /* as one text... */
    if (size && memchr("[{\"", data[0], 3)) {                     /* ... or as a tree */
        buf_add_char(&text, ',');
        buf_add(&text, data, size);
    }
    buf_add_str(&text, "]}]}");
    enum err_code rc = config_parse(buf_span(&text), "f", &c, errs, 2, &count);
    demand(rc == ERR_OK || (count > 0 && errs[0].where[0] && errs[0].what[0]));
    if (rc == ERR_OK && c->alias_count == 1)
        fill(c->aliases[0].reply);
    if (rc == ERR_OK)
        config_free(c);
    buf_fini(&text);
    return 0;
}
