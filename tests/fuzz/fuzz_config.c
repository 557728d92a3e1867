/* fuzz_config.c: any bytes as a config. What is refused must say where and why; what is accepted
 * must keep its promises, explain itself, and make keys of requests. */
#include <larder/config/config.h>

#include <stdio.h>
#include <stdlib.h>

static void demand(bool ok)
{
    if (!ok)
        abort();
}

static void on_tag(void *arg, struct span tag)
{
    unsigned *count = arg;
    demand(tag.len > 0);
    (*count)++;
}

/* One request through matching and key; the head is small and always good. */
static void try_request(const struct config *c, const char *text)
{
    static struct head h;
    struct route_captures captures;
    char block[4096], kept_block[4096];
    struct buf key, kept;
    struct json_doc *doc = NULL;
    const char *why = NULL;
    unsigned tags = 0;
    demand(head_parse_request(text, strlen(text), 4096, &h) == HEAD_OK);
    const struct route *r = route_match(c->routes, c->route_count, &h, &captures);
    demand(r >= c->routes && r < c->routes + c->route_count && captures.count <= 8);
    if (!r->cached)
        return;
    demand(json_parse(SPAN_LIT("{\"a\":{\"b\":[1]},\"c\":\"x\"}"), NULL, 0, 8, &doc, NULL) ==
           ERR_OK);
    struct route_request req = {.head = &h,
                                .captures = &captures,
                                .body = SPAN_LIT("a=1&b"),
                                .body_json = json_root(doc),
                                .secret = c->secret};
    buf_init_fixed(&key, block, sizeof(block));
    enum key_result rc = route_key_build(r, &req, &key, on_tag, &tags, &why);
    demand(rc != KEY_OK || (key.len > 0 && tags >= 2));
    demand((rc == KEY_REJECT) == (why != NULL));
    buf_init_fixed(&kept, kept_block, sizeof(kept_block));
    route_query_keep(r, h.query, &kept);
    demand(kept.len <= h.query.len);
    json_doc_free(doc);
}

static void check_good(struct config *c)
{
    struct buf out;
    demand(c->upstream_count > 0 && c->route_count > 0 && c->workers >= 1 && c->workers <= 64);
    demand(c->listen_count >= 1 && c->listen_count <= CONFIG_LISTEN_MAX);
    demand(c->routes[c->route_count - 1].any_method && !c->routes[c->route_count - 1].cached);
    for (unsigned i = 0; i < c->route_count; i++)
        demand(c->routes[i].upstream < c->upstream_count && c->routes[i].index == i);
    buf_init(&out, 16 << 20);
    config_explain(c, &out);
    demand(out.len > 0);
    buf_fini(&out);
    try_request(c, "GET /a/b?a=1&b&%61=x%zz HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nCookie: a=b\r\n\r\n");
    try_request(c, "POST /a?c=1 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n\r\n");
    try_request(c, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\n\r\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err errs[8];
    unsigned max = size % 9, count = 99;
    struct config *c = NULL;
    enum err_code rc =
        config_parse(span_of((const char *)data, size), "fuzz", &c, errs, max, &count);
    demand((rc == ERR_OK) == (c != NULL));
    if (rc == ERR_OK) {
        demand(count == 0);
        check_good(c);
        config_free(c);
        return 0;
    }
    demand(count <= max && (count > 0 || max == 0));
    for (unsigned i = 0; i < count; i++)
        demand(strncmp(errs[i].where, "fuzz", 4) == 0 && errs[i].what[0]);
    return 0;
}
