#include <larder/net/reply.h>

#include <larder/base/json.h>
#include <larder/base/monotime.h>
#include <larder/http/date.h>
#include <larder/http/head.h>

static void add_connection(struct buf *out, bool close, bool keep_alive_10)
{
    if (close)
        buf_add_str(out, "Connection: close\r\n");
    else if (keep_alive_10)
        buf_add_str(out, "Connection: keep-alive\r\n");
}

static void add_start(struct buf *out, unsigned status)
{
    char date[DATE_LEN];
    buf_add_str(out, "HTTP/1.1 ");
    buf_add_u64(out, status);
    buf_add_char(out, ' ');
    buf_add_str(out, status_reason(status));
    date_format(unix_now_ms() / 1000, date);
    buf_add_str(out, "\r\nDate: ");
    buf_add(out, date, sizeof(date));
    buf_add_str(out, "\r\n");
}

const char *reply_proxy_status(unsigned status)
{
    if (status == 401 || status == 403 || status == 405 || status == 429)
        return "http_request_denied";
    if (status == 504) /* no upstream was slow: the request wanted none (only-if-cached) */
        return "http_request_error";
    return status < 500 ? "http_request_error" : "proxy_internal_error";
}

static void write_list(struct json_writer *w, const struct problem *p)
{
    json_write_array(w, p->list_name);
    for (unsigned i = 0; i < p->list_count; i++)
        json_write_span(w, NULL, p->list[i]);
    json_write_array_end(w);
}

size_t reply_problem_format(const struct problem *p, struct buf *out)
{
    struct buf body, type;
    char body_block[4096], type_block[96];
    buf_init_fixed(&body, body_block, sizeof(body_block));
    buf_init_fixed(&type, type_block, sizeof(type_block));
    buf_add_str(&type, "about:blank#");
    buf_add_str(&type, p->type);
    buf_add_char(&type, '\0');

    struct json_writer w;
    json_writer_init(&w, &body);
    json_write_object(&w, NULL);
    json_write_str(&w, "type", p->type_uri ? p->type_uri : type.failed ? "about:blank" : type.p);
    json_write_str(&w, "title", status_reason(p->status));
    json_write_u64(&w, "status", p->status);
    json_write_str(&w, "detail", p->detail);
    if (p->request_id.len)
        json_write_span(&w, "request_id", p->request_id);
    if (p->list_name)
        write_list(&w, p);
    json_write_object_end(&w);
    buf_add_char(&body, '\n');
    if (body.failed) { /* an overlong detail: the status alone still tells */
        buf_reset(&body);
        body.failed = false;
        buf_add_str(&body, "{}\n");
    }

    add_start(out, p->status);
    buf_add_str(out, "Content-Type: application/problem+json\r\nCache-Control: no-store\r\n"
                     "Content-Length: ");
    buf_add_u64(out, body.len);
    buf_add_str(out, "\r\n");
    if (p->proxy_status) {
        buf_add_str(out, "Proxy-Status: larder; error=");
        buf_add_str(out, p->proxy_status);
        buf_add_str(out, "\r\n");
    }
    if (p->retry_after_s) {
        buf_add_str(out, "Retry-After: ");
        buf_add_u64(out, p->retry_after_s);
        buf_add_str(out, "\r\n");
    }
    buf_add_span(out, p->extra_fields);
    add_connection(out, p->close, p->keep_alive_10);
    buf_add_str(out, "\r\n");
    if (p->head_only)
        return 0;
    buf_add_span(out, buf_span(&body));
    return body.len;
}

void reply_json_head_format(unsigned status, size_t body_bytes, bool close, bool keep_alive_10,
                            struct span extra_fields, struct buf *out)
{
    add_start(out, status);
    buf_add_str(out, "Content-Type: application/json\r\nCache-Control: no-store\r\n"
                     "Content-Length: ");
    buf_add_u64(out, body_bytes);
    buf_add_str(out, "\r\n");
    buf_add_span(out, extra_fields);
    add_connection(out, close, keep_alive_10);
    buf_add_str(out, "\r\n");
}
