/* fuzz_caching.c: a request and a response, one after the other, as RFC 9111 reads them. What may
 * be stored must make sense, and what is forbidden in plain words must never be. */
#include <larder/http/conditional.h>
#include <larder/http/fresh.h>
#include <larder/http/range.h>
#include <larder/http/reuse.h>
#include <larder/http/vary.h>

#include <stdlib.h>

enum { NOW = 1795000000 };

static void demand(bool ok)
{
    if (!ok)
        abort();
}

static const struct fresh_policy policies[] = {
    {.is_http = true, .keep_ms = 1000},
    {.is_http = true},
    {.is_http = true, .while_ms = 500, .error_ms = 1000, .set_cookie = SET_COOKIE_STORE},
    {.has_ttl = true, .ttl_ms = 60000},
    {.has_ttl = true, .ttl_ms = 60000, .ignore_cache_control = true, .share_authorized = true},
};

static void check_freshness(const struct fresh_policy *p, const struct head *request,
                            const struct head *response)
{
    struct freshness f = {0};
    struct cache_control cc, targeted;
    struct fresh_case c = {.policy = p,
                           .request = request,
                           .response = response,
                           .has_credentials = head_field(request, FIELD_AUTHORIZATION) != NULL,
                           .now_unix_s = NOW,
                           .delay_ms = 10};
    if (fresh_judge(&c, &f) != STORE_YES)
        return;
    cache_control_parse(response, FIELD_CACHE_CONTROL, &cc);
    bool is_targeted =
        targeted_cache_control_parse(response, FIELD_LARDER_CACHE_CONTROL, &targeted) ||
        targeted_cache_control_parse(response, FIELD_CDN_CACHE_CONTROL, &targeted);
    demand(response->status >= 200 && response->status != 304 && response->status != 206);
    demand(response->status != 401 && response->status != 407);
    demand(f.lifetime_ms == 0 || f.overdue_ms == 0);
    if (!p->ignore_cache_control && !is_targeted) {
        demand(!(cc.flags & CC_PRIVATE));
        demand(!(cc.flags & CC_NO_STORE) || cc.flags & CC_MUST_UNDERSTAND);
        demand(!(cc.flags & CC_NO_CACHE) || f.flags & FRESH_MUST_VALIDATE);
        demand(!(cc.flags & CC_MUST_REVALIDATE) || (f.while_ms == 0 && f.error_ms == 0));
    }
    if (p->set_cookie == SET_COOKIE_OBEY)
        demand(!head_field(response, FIELD_SET_COOKIE));
}

static void check_range(const struct head *request)
{
    uint64_t first = 0, last = 0;
    for (uint64_t length = 0; length < 12; length++) {
        struct range_facts facts = {SPAN_LIT("\"a\""), NOW, length};
        if (range_judge(request, &facts, &first, &last) == RANGE_PART)
            demand(first <= last && last < length);
    }
}

static void check_vary(const struct head *request, const struct head *response)
{
    char names_block[1024], again_block[1024], key_block[8192], best_block[64];
    struct buf names, again, key, best;
    struct vary_case c = {.request = request, .response = response, .is_cors = true};
    buf_init_fixed(&names, names_block, sizeof(names_block));
    buf_init_fixed(&again, again_block, sizeof(again_block));
    buf_init_fixed(&key, key_block, sizeof(key_block));
    buf_init_fixed(&best, best_block, sizeof(best_block));
    (void)vary_best_language(request, &best);
    if (!vary_names(&c, &names) || names.failed)
        return;
    /* what is known already changes nothing when it comes again */
    c.known = buf_span(&names);
    demand(vary_names(&c, &again) && span_eq(buf_span(&names), buf_span(&again)));
    for (int order = 0; order < 2; order++) {
        struct vary_rules rules = {.is_any_language_order = order};
        buf_reset(&key);
        vary_key(request, buf_span(&names), &rules, &key);
        demand(key.failed || !key.len || key.p[0] == '|');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head request, response;
    const char *p = (const char *)data;
    if (head_parse_request(p, size, size, &request) != HEAD_OK)
        return 0;
    p += request.bytes;
    size -= request.bytes;
    if (head_parse_response(p, size, size, METHOD_GET, &response) != HEAD_OK)
        return 0;
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
        check_freshness(&policies[i], &request, &response);
    struct cache_control cc;
    struct reuse_facts facts = {.age_s = 5, .ttl_s = 5, .is_fresh = true};
    reuse_request_parse(&request, &cc);
    if (reuse_is_allowed(&cc, &facts))
        demand(!(cc.flags & CC_NO_CACHE));
    (void)conditional_is_not_modified(&request, SPAN_LIT("\"a\""), NOW);
    check_range(&request);
    check_vary(&request, &response);
    return 0;
}
