/* mailbox.h: the one way for threads to speak: a locked queue and an eventfd in the receiver's
 * loop. Thread: post from any; the handlers run in the receiver's. Memory: a letter belongs to the
 * mailbox from mailbox_post() until its on_delivery is called.
 */
#ifndef LARDER_NET_MAILBOX_H
#define LARDER_NET_MAILBOX_H

struct event_base;
struct mailbox;

struct letter {
    struct letter *next;
    void (*on_delivery)(struct letter *l);
};

struct mailbox *mailbox_new(struct event_base *base); /* NULL: no memory or no descriptor */
void mailbox_post(struct mailbox *m, struct letter *l);
/* By the receiver's thread, or once its loop runs no more: delivers what waits, at once. */
void mailbox_deliver(struct mailbox *m);
/* Delivers what is left, then frees. No thread may post any more. */
void mailbox_free(struct mailbox *m);

#endif
