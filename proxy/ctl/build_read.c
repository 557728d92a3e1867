/* What the commands that look ask, and those that take one name. */
#include "ctl-internal.h"

const struct option_spec no_options[] = {{0}};
const struct option_spec stats_options[] = {{"--route", OPTION_ONE}, {"--window", OPTION_ONE}, {0}};
const struct option_spec keys_options[] = {{"--route", OPTION_ONE},  {"--tag", OPTION_ONE},
                                           {"--glob", OPTION_ONE},   {"--limit", OPTION_ONE},
                                           {"--offset", OPTION_ONE}, {0}};
const struct option_spec entry_options[] = {
    {"--key", OPTION_ONE}, {"--url-of", OPTION_ONE}, {"--body", OPTION_FLAG}, {0}};

enum err_code refuse_words(const struct args *a, unsigned max, struct err *err)
{
    if (a->word_count <= max)
        return ERR_OK;
    return err_set(err, ERR_SYNTAX, "arguments", "\"%s\" is one word too many", a->words[max]);
}

enum err_code number_value(const struct args *a, const char *name, uint64_t least,
                           uint64_t *ret_value, struct err *err)
{
    const char *text = args_value(a, name);
    uint64_t value;
    if (!text)
        return ERR_OK;
    if (!span_parse_u64(span_str(text), &value) || value < least)
        return err_set(err, ERR_SYNTAX, "arguments", "%s \"%s\" must be a whole number from %llu",
                       name, text, (unsigned long long)least);
    *ret_value = value;
    return ERR_OK;
}

/* Each word is LABEL=VALUE, a parameter of the key; the names of the options are not labels. */
static enum err_code add_labels(const struct args *a, struct request *r, struct err *err)
{
    for (unsigned i = 0; i < a->word_count; i++) {
        const char *word = a->words[i], *equals = strchr(word, '=');
        if (!equals || equals == word)
            return err_set(err, ERR_SYNTAX, "arguments",
                           "\"%s\" is no LABEL=VALUE, as in organization_id=123", word);
        struct span label = span_of(word, (size_t)(equals - word));
        if (span_eq(label, SPAN_LIT("route")) || span_eq(label, SPAN_LIT("window")))
            return err_set(err, ERR_SYNTAX, "arguments", "write --" SPAN_FMT " %s", SPAN_ARG(label),
                           equals + 1);
        ctl_query_add(r, label, equals + 1);
    }
    return ERR_OK;
}

enum err_code build_stats(const struct args *a, struct request *r, struct err *err)
{
    const char *window = args_value(a, "--window");
    if (window && strcmp(window, "minute") != 0 && strcmp(window, "hour") != 0 &&
        strcmp(window, "start") != 0)
        return err_set(err, ERR_SYNTAX, "arguments",
                       "--window \"%s\" must be minute, hour or start", window);
    buf_add_str(&r->path, "/api/cache/stats");
    ctl_query_add(r, SPAN_LIT("route"), args_value(a, "--route"));
    ctl_query_add(r, SPAN_LIT("window"), window);
    return add_labels(a, r, err);
}

enum err_code build_keys(const struct args *a, struct request *r, struct err *err)
{
    uint64_t unused = 0;
    enum err_code rc = refuse_words(a, 0, err);
    if (!rc)
        rc = number_value(a, "--limit", 1, &unused, err);
    if (!rc)
        rc = number_value(a, "--offset", 0, &unused, err);
    buf_add_str(&r->path, "/api/cache/keys");
    for (const struct option_spec *o = keys_options; o->name; o++)
        ctl_query_add(r, span_str(o->name + 2), args_value(a, o->name));
    return rc;
}

enum err_code build_entry(const struct args *a, struct request *r, struct err *err)
{
    const char *key = args_value(a, "--key"), *url = args_value(a, "--url-of");
    if (!key == !url)
        return err_set(err, ERR_SYNTAX, "arguments", "give one of --key and --url-of");
    buf_add_str(&r->path, "/api/cache/entry");
    ctl_query_add(r, SPAN_LIT("key"), key);
    ctl_query_add(r, SPAN_LIT("url"), url);
    ctl_query_add(r, SPAN_LIT("body"), args_has(a, "--body") ? "1" : NULL);
    return refuse_words(a, 0, err);
}

static void add_segment(struct request *r, const char *segment)
{
    buf_add_char(&r->path, '/');
    ctl_percent_encode(&r->path, span_str(segment));
}

enum err_code build_jobs(const struct args *a, struct request *r, struct err *err)
{
    buf_add_str(&r->path, "/api/cache/jobs");
    if (a->word_count)
        add_segment(r, a->words[0]);
    return refuse_words(a, 1, err);
}

static enum err_code build_for_job(const struct args *a, struct request *r, struct err *err)
{
    if (a->word_count == 0)
        return err_set(err, ERR_SYNTAX, "arguments",
                       "which job? \"larder ctl jobs\" lists their ids");
    return build_jobs(a, r, err);
}

enum err_code build_cancel(const struct args *a, struct request *r, struct err *err)
{
    r->method = "DELETE";
    return build_for_job(a, r, err);
}

enum err_code build_retry(const struct args *a, struct request *r, struct err *err)
{
    enum err_code rc = build_for_job(a, r, err);
    r->method = "POST";
    buf_add_str(&r->path, "/retry");
    return rc;
}

enum err_code build_routes(const struct args *a, struct request *r, struct err *err)
{
    buf_add_str(&r->path, "/api/cache/routes");
    return refuse_words(a, 0, err);
}

static enum err_code write_route_change(const struct args *a, struct json_writer *w,
                                        struct err *err)
{
    const char *what = a->word_count > 1 ? a->words[1] : "";
    if (strcmp(what, "on") == 0 || strcmp(what, "off") == 0) {
        json_write_bool(w, "enabled", what[1] == 'n');
        return refuse_words(a, 2, err);
    }
    if (strcmp(what, "ttl") == 0 && a->word_count > 2) {
        const char *ttl = a->words[2];
        json_write_str(w, "ttl", strcmp(ttl, "config") == 0 ? NULL : ttl);
        return refuse_words(a, 3, err);
    }
    return err_set(err, ERR_SYNTAX, "arguments",
                   "write NAME on, NAME off, NAME ttl 5m, or NAME ttl config");
}

enum err_code build_route(const struct args *a, struct request *r, struct err *err)
{
    struct json_writer w;
    r->method = "POST";
    buf_add_str(&r->path, "/api/cache/routes");
    if (a->word_count)
        add_segment(r, a->words[0]);
    json_writer_init(&w, &r->body);
    json_write_object(&w, NULL);
    enum err_code rc = write_route_change(a, &w, err);
    json_write_object_end(&w);
    return rc;
}
