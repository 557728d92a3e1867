#include <larder/net/drain.h>

#include <event2/buffer.h>

void drain_to_buf(struct evbuffer *from, struct buf *to)
{
    size_t len = evbuffer_get_length(from);
    const unsigned char *p = len ? evbuffer_pullup(from, -1) : NULL;
    if (p)
        buf_add(to, p, len);
    else if (len)
        to->failed = to->no_memory = true;
    evbuffer_drain(from, len);
}
