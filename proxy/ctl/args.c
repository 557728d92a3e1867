/* Options before and behind the command, and the URL among them. */
#include "ctl-internal.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option_spec common[] = {
    {"--json", OPTION_FLAG}, {"--help", OPTION_FLAG}, {"-h", OPTION_FLAG}, {0}};
static const struct option_spec before[] = {
    {"--url", OPTION_ONE}, {"--socket", OPTION_ONE}, {"--token-file", OPTION_ONE}, {0}};

static const struct option_spec *find(const struct option_spec *known, const char *arg)
{
    size_t len = strcspn(arg, "=");
    for (; known->name; known++)
        if (strlen(known->name) == len && memcmp(known->name, arg, len) == 0)
            return known;
    return NULL;
}

/* Reads the option at argv[*at] and moves *at to its last argument. */
static enum err_code read_option(const struct option_spec *spec, int argc, char **argv, int *at,
                                 struct given *ret, struct err *err)
{
    const char *equals = strchr(argv[*at], '=');
    *ret = (struct given){.name = spec->name};
    if (spec->kind == OPTION_FLAG) {
        if (equals)
            return err_set(err, ERR_SYNTAX, "arguments", "%s takes no value", spec->name);
        return ERR_OK;
    }
    if (equals)
        ret->value = equals + 1;
    else if (*at + 1 < argc)
        ret->value = argv[++*at];
    else
        return err_set(err, ERR_SYNTAX, "arguments", "%s needs a value", spec->name);
    return ERR_OK;
}

bool args_has(const struct args *a, const char *name)
{
    for (unsigned i = 0; i < a->option_count; i++)
        if (strcmp(a->options[i].name, name) == 0)
            return true;
    return false;
}

const char *args_next(const struct args *a, const char *name, unsigned *at)
{
    while (*at < a->option_count) {
        const struct given *g = &a->options[(*at)++];
        if (strcmp(g->name, name) == 0)
            return g->value;
    }
    return NULL;
}

const char *args_value(const struct args *a, const char *name)
{
    unsigned at = 0;
    return args_next(a, name, &at);
}

static enum err_code fail_unknown(const struct option_spec *known, const char *arg, struct err *err)
{
    if (find(before, arg))
        return err_set(err, ERR_SYNTAX, "arguments", "%.*s goes before the command",
                       (int)strcspn(arg, "="), arg);
    char names[200];
    struct buf list;
    buf_init_fixed(&list, names, sizeof(names));
    for (; known->name; known++)
        buf_add_fmt(&list, " %s", known->name);
    return err_set(err, ERR_SYNTAX, "arguments", "unknown option \"%s\"; there are%.*s --json -h",
                   arg, (int)list.len, list.len ? list.p : "");
}

static enum err_code take_option(const struct option_spec *known, int argc, char **argv, int *at,
                                 struct args *a, struct err *err)
{
    const struct option_spec *spec = find(known, argv[*at]);
    if (!spec)
        spec = find(common, argv[*at]);
    if (!spec)
        return fail_unknown(known, argv[*at], err);
    struct given g;
    enum err_code rc = read_option(spec, argc, argv, at, &g, err);
    if (rc)
        return rc;
    if (spec->kind == OPTION_ONE && args_has(a, spec->name))
        return err_set(err, ERR_SYNTAX, "arguments", "%s is given twice", spec->name);
    if (strcmp(spec->name, "--json") == 0)
        a->is_json = true;
    else if (find(common, spec->name))
        a->is_help = true;
    else
        a->options[a->option_count++] = g;
    return ERR_OK;
}

enum err_code args_parse(const struct option_spec *known, int argc, char **argv,
                         struct args *ret_args, struct err *err)
{
    size_t room = (size_t)argc + 1;
    struct args *a = ret_args;
    *a = (struct args){.options = calloc(room, sizeof(*a->options)),
                       .words = calloc(room, sizeof(*a->words))};
    if (!a->options || !a->words)
        return err_set(err, ERR_NOMEM, "arguments", "out of memory");
    bool is_ended = false;
    for (int i = 0; i < argc; i++) {
        bool is_option = !is_ended && argv[i][0] == '-' && argv[i][1];
        if (is_option && strcmp(argv[i], "--") == 0) {
            is_ended = true;
        } else if (is_option) {
            enum err_code rc = take_option(known, argc, argv, &i, a, err);
            if (rc)
                return rc;
        } else {
            a->words[a->word_count++] = argv[i];
        }
    }
    return ERR_OK;
}

void args_fini(struct args *a)
{
    free(a->options);
    free(a->words);
    *a = (struct args){0};
}

enum err_code options_parse(int argc, char **argv, struct options *ret_options, struct err *err)
{
    struct options o = {0};
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        const struct option_spec *spec = find(before, argv[i]);
        if (!spec)
            spec = find(common, argv[i]);
        if (!spec)
            return err_set(err, ERR_SYNTAX, "arguments",
                           "unknown option \"%s\"; before the command there are --url, --socket, "
                           "--token-file, --json and -h",
                           argv[i]);
        struct given g;
        enum err_code rc = read_option(spec, argc, argv, &i, &g, err);
        if (rc)
            return rc;
        if (strcmp(g.name, "--url") == 0)
            o.url = g.value;
        else if (strcmp(g.name, "--socket") == 0)
            o.socket_path = g.value;
        else if (strcmp(g.name, "--token-file") == 0)
            o.token_file = g.value;
        else if (strcmp(g.name, "--json") == 0)
            o.is_json = true;
        else
            o.is_help = true;
    }
    o.command_at = i;
    *ret_options = o;
    return ERR_OK;
}

static enum err_code fail_url(struct err *err, const char *why)
{
    return err_set(err, ERR_SYNTAX, "--url", "%s; write http://127.0.0.1:8081", why);
}

/* host, host:port, [v6] or [v6]:port. */
static enum err_code read_authority(struct span a, struct target *t, struct err *err)
{
    struct span host, port;
    if (a.len && a.p[0] == '[') {
        const char *end = memchr(a.p, ']', a.len);
        if (!end)
            return fail_url(err, "the address has a \"[\" and no \"]\"");
        host = span_of(a.p + 1, (size_t)(end - a.p) - 1);
        port = span_of(end + 1, a.len - host.len - 2);
    } else {
        const char *colon = memchr(a.p, ':', a.len);
        host = span_of(a.p, colon ? (size_t)(colon - a.p) : a.len);
        port = span_of(a.p + host.len, a.len - host.len);
    }
    uint64_t number = 80;
    bool has_port = port.len > 1 && port.p[0] == ':';
    if (has_port && (!span_parse_u64(span_of(port.p + 1, port.len - 1), &number) || number == 0 ||
                     number > 65535))
        return fail_url(err, "the port is no number from 1 to 65535");
    if ((port.len && !has_port) || host.len == 0 || host.len >= sizeof(t->host) ||
        a.len >= sizeof(t->authority))
        return fail_url(err, "this is no host and port");
    snprintf(t->host, sizeof(t->host), SPAN_FMT, SPAN_ARG(host));
    snprintf(t->port, sizeof(t->port), "%u", (unsigned)number);
    snprintf(t->authority, sizeof(t->authority), SPAN_FMT, SPAN_ARG(a));
    return ERR_OK;
}

/* It becomes part of the head of each request: nothing in it may end a line. */
static bool is_plain(const char *s)
{
    for (; *s; s++)
        if (*s <= ' ' || *s >= 0x7f)
            return false;
    return true;
}

enum err_code ctl_target_parse(const char *url, const char *socket_path, struct target *ret_target,
                               struct err *err)
{
    static const struct span scheme = SPAN_LIT("http://");
    struct target t = {.socket_path = socket_path};
    struct span s = span_str(url);
    if (span_starts_with(s, SPAN_LIT("https://")))
        return fail_url(err, "larder's control API speaks plain HTTP");
    if (!span_starts_with(s, scheme))
        return fail_url(err, "a URL starts with \"http://\"");
    const char *rest = url + scheme.len;
    if (!is_plain(rest) || strpbrk(rest, "?#"))
        return fail_url(err, "it has a character that does not belong here");
    if (strchr(rest, '@'))
        return fail_url(err, "a URL here has no user; the token comes by --token-file");
    size_t host_len = strcspn(rest, "/");
    struct span prefix = span_str(rest + host_len);
    while (prefix.len && prefix.p[prefix.len - 1] == '/')
        prefix.len--;
    if (prefix.len >= sizeof(t.prefix))
        return fail_url(err, "its path is too long");
    snprintf(t.prefix, sizeof(t.prefix), SPAN_FMT, SPAN_ARG(prefix));
    enum err_code rc = read_authority(span_of(rest, host_len), &t, err);
    if (!rc)
        *ret_target = t;
    return rc;
}
