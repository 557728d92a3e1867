/* The members' tables as a JSON Schema, draft 7, so that an editor knows what the loader knows. */
#include "config-internal.h"

#define SIZE_PATTERN "^[0-9]+(B|KiB|MiB|GiB|TiB)?$"
#define PARAM_PATTERN "^(auth|/.+|(path|query|header|cookie|json|form)[.].+)$"
#define RATE_PATTERN "^[1-9][0-9]{0,9}/[0-9]+(ms|s|m|h|d)$|[$]"
#define ONE_OF_FILE(member)                                                                        \
    "{\"type\": \"object\", \"required\": [\"" member "\"], \"additionalProperties\": false, "     \
    "\"properties\": {\"" member "\": {\"type\": \"string\", \"minLength\": 1}}}"

static const struct {
    const char *name, *schema;
} texts[] = {
    {"duration", "\"type\": \"string\", \"pattern\": \"^[0-9]+(ms|s|m|h|d)$\""},
    {"size", "\"oneOf\": [{\"type\": \"string\", \"pattern\": \"" SIZE_PATTERN "\"}, "
             "{\"type\": \"integer\", \"minimum\": 0}]"},
    {"env", "\"description\": \"in place of any value: that of an environment variable\", "
            "\"type\": \"object\", \"required\": [\"env\"], \"additionalProperties\": false, "
            "\"properties\": {\"env\": {\"type\": \"string\", \"pattern\": "
            "\"^[A-Za-z_][A-Za-z0-9_]*$\"}, \"default\": {\"description\": \"the value where it is "
            "unset or empty; null: the member is left out; without it: an error\"}}"},
    {"address", "\"type\": \"string\", \"pattern\": \":[0-9]{1,5}$|[$]\""},
    {"listener", "\"oneOf\": [{\"$ref\": \"#/definitions/address\"}, "
                 "{\"$ref\": \"#/definitions/listen\"}]"},
    {"server", "\"type\": \"string\", \"pattern\": \"^(https?://)?[^/]+:[0-9]{1,5}/?$|[$]\""},
    {"networks", "\"type\": \"array\", \"maxItems\": 32, \"items\": {\"type\": \"string\", "
                 "\"pattern\": \"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$\"}"},
    {"param", "\"type\": \"string\", \"pattern\": \"" PARAM_PATTERN "\""},
    {"identity", "\"oneOf\": [{\"$ref\": \"#/definitions/param\"}, "
                 "{\"$ref\": \"#/definitions/jwt\"}]"},
    {"secret", "\"oneOf\": [{\"type\": \"string\", \"minLength\": 1}, " ONE_OF_FILE(
                   "file") ", " ONE_OF_FILE("credential") "]"},
    {"rate", "\"oneOf\": [{\"type\": \"string\", \"pattern\": \"" RATE_PATTERN "\"}, "
             "{\"$ref\": \"#/definitions/rate_policy\"}]"},
    {"rate_key", "\"oneOf\": [{\"enum\": [\"client\", \"all\"]}, "
                 "{\"$ref\": \"#/definitions/param\"}, {\"$ref\": \"#/definitions/jwt\"}]"},
    {"rate_limit_set", "\"oneOf\": [{\"type\": \"string\", \"minLength\": 1}, "
                       "{\"type\": \"array\", \"maxItems\": 4, \"uniqueItems\": true, "
                       "\"items\": {\"type\": \"string\", \"minLength\": 1}}]"},
    {"redis_server", "\"type\": \"string\", \"pattern\": "
                     "\"^([^/@]+:[0-9]{1,5}|rediss?://[^/@]+(/[0-9]{0,5})?)$|[$]\""},
};

static const struct {
    const char *name;
    const struct object *object;
} objects[] = {
    {"control", &object_control},
    {"upstream", &object_upstream},
    {"cache", &object_cache},
    {"limits", &object_limits},
    {"log", &object_log},
    {"log_words", &object_log_words},
    {"route", &object_route},
    {"key_part", &object_key_part},
    {"param_decl", &object_param},
    {"jwt", &object_jwt},
    {"tag", &object_tag},
    {"on_write", &object_on_write},
    {"token", &object_token},
    {"write_route", &object_write_route},
    {"ttl_rule", &object_ttl_rule},
    {"stale_if_error", &object_stale_if_error},
    {"warm", &object_warm},
    {"alias", &object_alias},
    {"listen", &object_listen},
    {"tls", &object_tls},
    {"certificate", &object_certificate},
    {"upstream_tls", &object_upstream_tls},
    {"redis", &object_redis},
    {"rate_limit", &object_rate_limit},
    {"rate_policy", &object_rate_policy},
};

/* Wherever a value may stand, {"env": NAME} may, too. */
#define OR_ENV "\"anyOf\": [{\"$ref\": \"#/definitions/env\"}, {"

/* The length of the object that begins <s>. */
static size_t object_len(struct span s)
{
    unsigned depth = 0;
    bool is_string = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (c == '"')
            is_string = !is_string; /* the schemas hold no quote within a string */
        else if (!is_string && c == '{')
            depth++;
        else if (!is_string && c == '}' && --depth == 0)
            return i + 1;
    }
    return s.len;
}

/* Copies a schema that was written by hand, with OR_ENV for the elements of its arrays. */
static void add_schema(struct span s, struct buf *out)
{
    struct span items = SPAN_LIT("\"items\": {");
    for (const char *at; (at = memmem(s.p, s.len, items.p, items.len)) != NULL;) {
        const char *open = at + items.len - 1;
        size_t len = object_len(span_of(open, (size_t)(s.p + s.len - open)));
        buf_add_span(out, span_of(s.p, (size_t)(open - s.p)));
        buf_add_str(out, "{" OR_ENV);
        add_schema(span_of(open + 1, len - 2), out);
        buf_add_str(out, "}]}");
        s = span_of(open + len, (size_t)(s.p + s.len - open) - len);
    }
    buf_add_span(out, s);
}

static void add_words(const struct member *m, struct buf *out)
{
    buf_add_str(out, "\"enum\": [");
    for (unsigned i = 0; m->words[i]; i++)
        buf_add_fmt(out, "%s\"%s\"", i ? ", " : "", m->words[i]);
    buf_add_char(out, ']');
}

static void add_type(const struct member *m, struct buf *out)
{
    switch (m->type) {
    case MEMBER_DURATION:
        buf_add_str(out, "\"$ref\": \"#/definitions/duration\"");
        return;
    case MEMBER_SIZE:
        buf_add_str(out, "\"$ref\": \"#/definitions/size\"");
        return;
    case MEMBER_UINT:
    case MEMBER_U64:
        buf_add_fmt(out, "\"type\": \"integer\", \"minimum\": %llu", (unsigned long long)m->min);
        if (m->max)
            buf_add_fmt(out, ", \"maximum\": %llu", (unsigned long long)m->max);
        return;
    case MEMBER_BOOL:
        buf_add_str(out, "\"type\": \"boolean\"");
        return;
    case MEMBER_TEXT:
        buf_add_str(out, "\"type\": \"string\", \"minLength\": 1");
        return;
    case MEMBER_CHOICE:
    case MEMBER_FLAG:
        add_words(m, out);
        return;
    case MEMBER_OWN:
        add_schema(span_str(m->schema), out);
        return;
    }
}

/* Numbers and booleans stand bare in a file, all else in quotes. */
static void add_default(const struct member *m, struct buf *out)
{
    bool is_bare = m->type == MEMBER_UINT || m->type == MEMBER_U64 || m->type == MEMBER_BOOL;
    buf_add_str(out, ", \"default\": ");
    if (is_bare)
        buf_add_str(out, m->fallback);
    else
        json_string_format(span_str(m->fallback), out);
}

static void add_member(const struct member *m, struct buf *out)
{
    bool may_be_env = !span_starts_with(span_str(m->name), SPAN_LIT("$profiles")) &&
                      !span_starts_with(span_str(m->name), SPAN_LIT("$schema"));
    buf_add_fmt(out, "\"%s\": {\"description\": ", m->name);
    json_string_format(span_str(m->doc), out);
    if (m->fallback)
        add_default(m, out);
    buf_add_str(out, may_be_env ? ", " OR_ENV : ", ");
    add_type(m, out);
    buf_add_str(out, may_be_env ? "}]}" : "}");
}

static void add_object(const struct object *o, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, "\"type\": \"object\", \"additionalProperties\": false, \"required\": [");
    for (unsigned i = 0; i < o->count; i++) {
        if (!o->members[i].is_required)
            continue;
        buf_add_fmt(out, "%s\"%s\"", comma, o->members[i].name);
        comma = ", ";
    }
    buf_add_str(out, "], \"properties\": {");
    for (unsigned i = 0; i < o->count; i++) {
        buf_add_str(out, i ? ", " : "");
        add_member(&o->members[i], out);
    }
    buf_add_char(out, '}');
}

/* What a table cannot say: of two members exactly one, or at most one. */
static void add_choice(const struct object *o, struct buf *out)
{
    if (o == &object_upstream)
        buf_add_str(out, ", \"oneOf\": [{\"required\": [\"server\"]}, "
                         "{\"required\": [\"servers\"]}]");
    else if (o == &object_redis)
        buf_add_str(out, ", \"oneOf\": [{\"required\": [\"server\"]}, "
                         "{\"required\": [\"sentinels\", \"master\"]}]");
    else if (o == &object_route)
        buf_add_str(out, ", \"not\": {\"required\": [\"key\", \"key_template\"]}");
}

/* Of the members that it may have, only the names: they hold what differs. */
static void add_profile(struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, "\"profile\": {\"type\": \"object\", \"propertyNames\": {\"enum\": [");
    for (unsigned i = 0; i < object_root.count; i++) {
        if (object_root.members[i].name[0] == '$')
            continue;
        buf_add_fmt(out, "%s\"%s\"", comma, object_root.members[i].name);
        comma = ", ";
    }
    buf_add_str(out, "]}}, ");
}

void config_schema_format(struct buf *out)
{
    buf_add_str(out, "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", "
                     "\"title\": \"larder's configuration\", ");
    add_object(&object_root, out);
    buf_add_str(out, ", \"definitions\": {");
    for (unsigned i = 0; i < array_len(texts); i++) {
        buf_add_fmt(out, "\"%s\": {", texts[i].name);
        add_schema(span_str(texts[i].schema), out);
        buf_add_str(out, "}, ");
    }
    add_profile(out);
    for (unsigned i = 0; i < array_len(objects); i++) {
        buf_add_fmt(out, "%s\"%s\": {", i ? ", " : "", objects[i].name);
        add_object(objects[i].object, out);
        add_choice(objects[i].object, out);
        buf_add_char(out, '}');
    }
    buf_add_str(out, "}}");
}
