/* fuzz_scan.c: any bytes as JSON that streams by: cut or whole it is judged alike and gives the
 * same values, and what the tree reader takes, the scan takes. */
#include <larder/base/json_scan.h>

#include <stdlib.h>

enum { DEPTH = 32 };

static void on_value(void *arg, unsigned pattern, const struct json_value *v)
{
    uint64_t *sum = arg;
    *sum = (*sum ^ (pattern + v->count + (unsigned)v->type)) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < v->text.len; i++)
        *sum = (*sum ^ (uint8_t)v->text.p[i]) * UINT64_C(0x100000001b3);
}

static enum err_code scan(struct span text, size_t piece, uint64_t *sum)
{
    static const struct span patterns[] = {{"", 0},       {"/*", 2}, {"/a", 2},
                                           {"/a/*/b", 6}, {"/0", 2}, {"/errors", 7}};
    struct json_scan *s = json_scan_new(patterns, 6, DEPTH, on_value, sum);
    enum err_code rc = s ? ERR_OK : ERR_NOMEM;
    for (size_t at = 0; !rc && at < text.len; at += piece) {
        size_t left = text.len - at;
        rc = json_scan_feed(s, span_of(text.p + at, left < piece ? left : piece));
    }
    if (!rc)
        rc = json_scan_end(s);
    json_scan_free(s);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct span text = span_of((const char *)data + 1, size - 1);
    struct json_doc *doc = NULL;
    uint64_t whole = 1, cut = 1;
    enum err_code a = scan(text, text.len + 1, &whole), b = scan(text, data[0] % 7 + 1, &cut);
    if (a != b || (a == ERR_OK && whole != cut))
        abort();
    if (json_parse(text, NULL, 0, DEPTH, &doc, NULL) == ERR_OK && a != ERR_OK)
        abort();
    json_doc_free(doc);
    return 0;
}
