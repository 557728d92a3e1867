/* What the commands with a body ask: invalidate, warm, explain. */
#include "ctl-internal.h"

const struct option_spec invalidate_options[] = {
    {"--key", OPTION_ONE},   {"--url-of", OPTION_ONE},   {"--path", OPTION_ONE},
    {"--glob", OPTION_ONE},  {"--tag", OPTION_MANY},     {"--all-of", OPTION_MANY},
    {"--route", OPTION_ONE}, {"--param", OPTION_MANY},   {"--all", OPTION_FLAG},
    {"--soft", OPTION_FLAG}, {"--hard", OPTION_FLAG},    {"--refresh", OPTION_FLAG},
    {"--wait", OPTION_FLAG}, {"--dry-run", OPTION_FLAG}, {0}};
const struct option_spec warm_options[] = {
    {"--route", OPTION_ONE},    {"--param", OPTION_MANY},
    {"--hottest", OPTION_ONE},  {"--concurrency", OPTION_ONE},
    {"--rate", OPTION_ONE},     {"--header", OPTION_MANY},
    {"--no-wait", OPTION_FLAG}, {0}};
const struct option_spec explain_options[] = {
    {"--header", OPTION_MANY}, {"--data", OPTION_ONE}, {0}};

/* The part of <text> before <sep>, and what follows it; false without <sep> or without a name. */
static bool part(const char *text, char sep, struct span *name, struct span *value)
{
    const char *at = strchr(text, sep);
    if (!at || at == text)
        return false;
    *name = span_of(text, (size_t)(at - text));
    *value = span_str(at + 1);
    return true;
}

/* Whether an option before <end> has the name <name> in front of its <sep>. */
static bool is_repeated(const struct args *a, const char *option, char sep, struct span name,
                        unsigned end)
{
    struct span other, value;
    const char *text;
    for (unsigned at = 0; (text = args_next(a, option, &at)) && at < end;) {
        if (!part(text, sep, &other, &value))
            continue;
        other = span_trim(other);
        if (sep == ':' ? span_eq_nocase(other, name) : span_eq(other, name))
            return true;
    }
    return false;
}

static void write_all(struct json_writer *w, const char *name, const struct args *a,
                      const char *option, bool with_words)
{
    const char *text;
    json_write_array(w, name);
    for (unsigned at = 0; (text = args_next(a, option, &at));)
        json_write_str(w, NULL, text);
    for (unsigned i = 0; with_words && i < a->word_count; i++)
        json_write_str(w, NULL, a->words[i]);
    json_write_array_end(w);
}

static enum err_code write_headers(struct json_writer *w, const struct args *a, struct err *err)
{
    const char *text;
    struct span name, value;
    if (!args_has(a, "--header"))
        return ERR_OK;
    json_write_object(w, "headers");
    for (unsigned at = 0; (text = args_next(a, "--header", &at));) {
        if (!part(text, ':', &name, &value))
            return err_set(err, ERR_SYNTAX, "arguments", "--header \"%s\" is no 'Name: value'",
                           text);
        name = span_trim(name);
        if (is_repeated(a, "--header", ':', name, at))
            return err_set(err, ERR_SYNTAX, "arguments",
                           "--header " SPAN_FMT " is given twice; join the values with a comma",
                           SPAN_ARG(name));
        json_write_name(w, name);
        json_write_span(w, NULL, span_trim(value));
    }
    json_write_object_end(w);
    return ERR_OK;
}

static enum err_code write_params(struct json_writer *w, const struct args *a, struct err *err)
{
    const char *text;
    struct span name, value;
    if (!args_has(a, "--param"))
        return ERR_OK;
    json_write_object(w, "params");
    for (unsigned at = 0; (text = args_next(a, "--param", &at));) {
        if (!part(text, '=', &name, &value))
            return err_set(err, ERR_SYNTAX, "arguments",
                           "--param \"%s\" is no LABEL=VALUE, as in organization_id=123", text);
        if (is_repeated(a, "--param", '=', name, at))
            return err_set(err, ERR_SYNTAX, "arguments", "--param " SPAN_FMT " is given twice",
                           SPAN_ARG(name));
        json_write_name(w, name);
        json_write_span(w, NULL, value);
    }
    json_write_object_end(w);
    return ERR_OK;
}

/* Exactly one of them says what shall go. */
static const struct {
    const char *option, *member;
    bool is_list;
} selectors[] = {
    {"--key", "key", false},     {"--url-of", "url", false}, {"--path", "path", false},
    {"--glob", "glob", false},   {"--tag", "tags", true},    {"--all-of", "all_of", true},
    {"--route", "route", false}, {"--all", "all", false},
};

static enum err_code write_selector(struct json_writer *w, const struct args *a, struct err *err)
{
    unsigned count = 0, which = 0;
    for (unsigned i = 0; i < array_len(selectors); i++) {
        if (!args_has(a, selectors[i].option))
            continue;
        count++;
        which = i;
    }
    if (count != 1)
        return err_set(err, ERR_SYNTAX, "arguments",
                       "give %s of --key, --url-of, --path, --glob, --tag, --all-of, --route "
                       "and --all",
                       count ? "only one" : "one");
    const char *option = selectors[which].option, *value = args_value(a, option);
    bool is_route = strcmp(option, "--route") == 0;
    if (args_has(a, "--param") && !is_route)
        return err_set(err, ERR_SYNTAX, "arguments", "--param goes with --route");
    if (value && !*value)
        return err_set(err, ERR_SYNTAX, "arguments", "%s is empty", option);
    if (selectors[which].is_list)
        write_all(w, selectors[which].member, a, option, true);
    else if (value)
        json_write_str(w, selectors[which].member, value);
    else
        json_write_bool(w, selectors[which].member, true);
    if (is_route)
        return write_params(w, a, err);
    return selectors[which].is_list ? ERR_OK : refuse_words(a, 0, err);
}

enum err_code build_invalidate(const struct args *a, struct request *r, struct err *err)
{
    struct json_writer w;
    bool is_soft = args_has(a, "--soft"), is_hard = args_has(a, "--hard");
    if (is_soft && is_hard)
        return err_set(err, ERR_SYNTAX, "arguments", "give one of --soft and --hard");
    r->method = "POST";
    buf_add_str(&r->path, "/api/cache/invalidate");
    json_writer_init(&w, &r->body);
    json_write_object(&w, NULL);
    enum err_code rc = write_selector(&w, a, err);
    if (!rc && args_has(a, "--route"))
        rc = refuse_words(a, 0, err);
    if (is_soft || is_hard)
        json_write_str(&w, "mode", is_soft ? "soft" : "hard");
    if (args_has(a, "--refresh"))
        json_write_bool(&w, "refresh", true);
    if (args_has(a, "--wait"))
        json_write_str(&w, "wait", "all");
    if (args_has(a, "--dry-run"))
        json_write_bool(&w, "dry_run", true);
    json_write_object_end(&w);
    return rc;
}

/* "1,2\,3" is the values "1" and "2,3". */
static void write_values(struct json_writer *w, struct span list)
{
    struct buf one;
    buf_init(&one, REQUEST_MAX);
    for (size_t i = 0; i <= list.len; i++) {
        bool is_comma = i < list.len && list.p[i] == ',';
        if (i == list.len || is_comma) {
            json_write_span(w, NULL, buf_span(&one));
            buf_reset(&one);
            continue;
        }
        if (list.p[i] == '\\' && i + 1 < list.len &&
            (list.p[i + 1] == ',' || list.p[i + 1] == '\\'))
            i++;
        buf_add_char(&one, list.p[i]);
    }
    w->out->failed |= one.failed;
    buf_fini(&one);
}

/* A label may come again: its values then are one list, as a member may stand only once. */
static enum err_code write_param_lists(struct json_writer *w, const struct args *a, struct err *err)
{
    const char *text, *other;
    struct span name, value, again;
    json_write_object(w, "params");
    for (unsigned at = 0; (text = args_next(a, "--param", &at));) {
        if (!part(text, '=', &name, &value))
            return err_set(err, ERR_SYNTAX, "arguments",
                           "--param \"%s\" is no LABEL=VALUE,VALUE, as in organization_id=1,2",
                           text);
        if (is_repeated(a, "--param", '=', name, at))
            continue;
        json_write_name(w, name);
        json_write_array(w, NULL);
        for (unsigned k = 0; (other = args_next(a, "--param", &k));)
            if (part(other, '=', &again, &value) && span_eq(again, name))
                write_values(w, value);
        json_write_array_end(w);
    }
    json_write_object_end(w);
    return ERR_OK;
}

static enum err_code write_targets(struct json_writer *w, const struct args *a, struct err *err)
{
    const char *route = args_value(a, "--route");
    uint64_t hottest = 0;
    enum err_code rc = number_value(a, "--hottest", 1, &hottest, err);
    if (rc)
        return rc;
    if (!!a->word_count + !!route + !!hottest != 1)
        return err_set(err, ERR_SYNTAX, "arguments",
                       "give one of: URLs, --route with --param, --hottest N");
    if (!!route != args_has(a, "--param"))
        return err_set(err, ERR_SYNTAX, "arguments",
                       "--route and --param go together: --route courses --param "
                       "organization_id=1,2");
    if (hottest)
        json_write_u64(w, "hottest", hottest);
    if (a->word_count)
        write_all(w, "urls", a, "", true);
    if (!route)
        return ERR_OK;
    json_write_str(w, "route", route);
    return write_param_lists(w, a, err);
}

enum err_code build_warm(const struct args *a, struct request *r, struct err *err)
{
    struct json_writer w;
    uint64_t concurrency = 0, rate = 0;
    r->method = "POST";
    buf_add_str(&r->path, "/api/cache/warm");
    json_writer_init(&w, &r->body);
    json_write_object(&w, NULL);
    enum err_code rc = write_targets(&w, a, err);
    if (!rc)
        rc = number_value(a, "--concurrency", 1, &concurrency, err);
    if (!rc)
        rc = number_value(a, "--rate", 1, &rate, err);
    if (concurrency)
        json_write_u64(&w, "concurrency", concurrency);
    if (rate)
        json_write_u64(&w, "rate", rate);
    if (!rc)
        rc = write_headers(&w, a, err);
    json_write_object_end(&w);
    return rc;
}

enum err_code build_explain(const struct args *a, struct request *r, struct err *err)
{
    struct json_writer w;
    if (a->word_count < 2)
        return err_set(err, ERR_SYNTAX, "arguments",
                       "explain takes a method and a URL: explain GET /api/courses");
    r->method = "POST";
    buf_add_str(&r->path, "/api/cache/explain");
    json_writer_init(&w, &r->body);
    json_write_object(&w, NULL);
    json_write_str(&w, "method", a->words[0]);
    json_write_str(&w, "url", a->words[1]);
    enum err_code rc = refuse_words(a, 2, err);
    if (!rc)
        rc = write_headers(&w, a, err);
    if (args_has(a, "--data"))
        json_write_str(&w, "body", args_value(a, "--data"));
    json_write_object_end(&w);
    return rc;
}
