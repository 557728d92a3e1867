/* The very questions that a running larder asks itself, over a config alone: nothing is cached, and
 * no app is asked. */
#include "explain_main.h"

#include <larder/base/json.h>
#include <larder/flow/explain.h>

#include <stdio.h>

static void print_text(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        putchar((unsigned char)s.p[i] < 0x20 ? '?' : s.p[i]);
}

static void print_value(const struct json *j)
{
    switch (j->type) {
    case JSON_STRING:
    case JSON_NUMBER:
        print_text(j->text);
        break;
    case JSON_TRUE:
        printf("yes");
        break;
    case JSON_FALSE:
        printf("no");
        break;
    case JSON_NULL:
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        for (const struct json *c = j->first; c; c = c->next) {
            printf("%s", c == j->first ? "" : ", ");
            if (c->name.len) {
                print_text(c->name);
                printf("=");
            }
            print_value(c);
        }
        break;
    }
}

static int print(struct span text)
{
    enum { DEPTH = 8 };
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    if (json_parse(text, NULL, 0, DEPTH, &doc, NULL) != ERR_OK)
        return 1;
    for (const struct json *j = json_root(doc)->first; j; j = j->next) {
        print_text(j->name);
        printf("%*s", (int)(j->name.len < 18 ? 18 - j->name.len : 1), "");
        print_value(j);
        putchar('\n');
    }
    return 0;
}

int explain_main(const struct config *c, const struct explain_arguments *a)
{
    struct shared s = {.config = c};
    struct err err = {0};
    const char *why = "";
    cleanup(buf_fini) struct buf out;
    struct explain_request r = {.method = span_str(a->method),
                                .target = span_str(a->url),
                                .fields = buf_span(a->fields),
                                .body = span_str(a->body)};
    buf_init(&out, 1 << 20);
    int code = 1;
    if (shared_init(&s, &err) != ERR_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.what);
    else if (explain_format(&s, &r, &out, &why) != ERR_OK)
        fprintf(stderr, "this is no request that larder takes: %s\n", why);
    else
        code = print(buf_span(&out));
    shared_fini(&s);
    return code;
}
