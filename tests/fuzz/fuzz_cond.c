/* fuzz_cond.c: any text as a condition: it is refused with a place, or it can be asked of an answer
 * that has nothing and of one that has all. */
#include <larder/config/cond.h>

#include <stdlib.h>

static void *blocks[8192];
static unsigned count;

static void *alloc(void *arg, size_t size)
{
    (void)arg;
    return count < 8192 ? blocks[count++] = calloc(1, size) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX: 1\r\n\r\n";
    struct cond_value none[COND_POINTERS_MAX] = {{0}}, all[COND_POINTERS_MAX];
    const struct cond *c = NULL;
    struct err err = {0};
    struct head h;
    if (head_parse_response(text, sizeof(text) - 1, 4096, METHOD_GET, &h) != HEAD_OK)
        abort();
    for (unsigned i = 0; i < COND_POINTERS_MAX; i++)
        all[i] = (struct cond_value){
            .is_there = true, .type = (enum json_type)(i % 7), .number = 1, .text = {"word", 4}};
    enum err_code rc = cond_parse(span_of((const char *)data, size), alloc, NULL, &c, &err);
    if (rc == ERR_OK) {
        struct cond_facts without = {.response = &h, .values = none};
        struct cond_facts with = {.response = &h, .values = all};
        (void)cond_holds(c, &without);
        (void)cond_holds(c, &with);
    } else if (!err.what[0]) {
        abort();
    }
    while (count)
        free(blocks[--count]);
    return 0;
}
