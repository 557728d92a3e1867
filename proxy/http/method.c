/* method.c: methods and statuses, as RFC 9110 sections 9 and 15 name them. */
#include <larder/http/head.h>

static const struct span method_names[] = {
    [METHOD_GET] = {"GET", 3},         [METHOD_HEAD] = {"HEAD", 4},
    [METHOD_POST] = {"POST", 4},       [METHOD_PUT] = {"PUT", 3},
    [METHOD_PATCH] = {"PATCH", 5},     [METHOD_DELETE] = {"DELETE", 6},
    [METHOD_OPTIONS] = {"OPTIONS", 7}, [METHOD_PURGE] = {"PURGE", 5},
    [METHOD_TRACE] = {"TRACE", 5},     [METHOD_CONNECT] = {"CONNECT", 7},
    [METHOD_QUERY] = {"QUERY", 5},
};

enum method method_of(struct span text)
{
    for (unsigned m = METHOD_GET; m <= METHOD_QUERY; m++) {
        if (span_eq(text, method_names[m]))
            return (enum method)m;
    }
    return METHOD_OTHER;
}

bool method_is_safe(enum method m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS || m == METHOD_TRACE ||
           m == METHOD_QUERY;
}

/* RFC 9110 section 9.2.2; PURGE has no definition to rely on. */
bool method_is_idempotent(enum method m)
{
    return method_is_safe(m) || m == METHOD_PUT || m == METHOD_DELETE;
}

bool status_has_body(unsigned status, enum method request_method)
{
    if (request_method == METHOD_HEAD || status < 200 || status == 204 || status == 304)
        return false;
    return request_method != METHOD_CONNECT || status >= 300; /* a tunnel has no body */
}

static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {404, "Not Found"},
    {304, "Not Modified"},
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

const char *status_reason(unsigned status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

bool status_is_known(unsigned status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return true;
    }
    return false;
}
