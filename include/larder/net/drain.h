/* drain.h: bytes that have come, out of the library's buffer into one of ours.
 *
 * Thread: the loop's.
 */
#ifndef LARDER_NET_DRAIN_H
#define LARDER_NET_DRAIN_H

#include <larder/base/buf.h>

struct evbuffer;

/* Moves all of <from> to the end of <to>. For want of memory <to> has failed, and <from> is empty
 * all the same. */
void drain_to_buf(struct evbuffer *from, struct buf *to);

#endif
