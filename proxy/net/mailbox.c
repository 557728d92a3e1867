/* A locked singly linked queue and an eventfd. The eventfd is written only when the queue was
 * empty, so a burst of letters costs one wake-up; libevent needs no locks of its own for it. */
#include <larder/net/mailbox.h>

#include <event2/event.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct mailbox {
    pthread_mutex_t lock;
    struct letter *first, **last;
    int fd;
    struct event *wake;
};

static struct letter *take_all(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    struct letter *l = m->first;
    m->first = NULL;
    m->last = &m->first;
    pthread_mutex_unlock(&m->lock);
    return l;
}

void mailbox_deliver(struct mailbox *m)
{
    for (struct letter *l = take_all(m); l;) {
        struct letter *next = l->next; /* on_delivery may free the letter */
        l->on_delivery(l);
        l = next;
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;
    (void)what;
    (void)!read(fd, &count, sizeof(count)); /* level-triggered: a failed read comes again */
    mailbox_deliver(arg);
}

struct mailbox *mailbox_new(struct event_base *base)
{
    struct mailbox *m = calloc(1, sizeof(*m));
    if (!m)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    m->last = &m->first;
    m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->fd < 0)
        goto fail;
    m->wake = event_new(base, m->fd, EV_READ | EV_PERSIST, on_wake, m);
    if (!m->wake || event_add(m->wake, NULL) != 0)
        goto fail;
    return m;
fail:
    mailbox_free(m);
    return NULL;
}

void mailbox_post(struct mailbox *m, struct letter *l)
{
    l->next = NULL;
    pthread_mutex_lock(&m->lock);
    int was_empty = m->first == NULL;
    *m->last = l;
    m->last = &l->next;
    pthread_mutex_unlock(&m->lock);
    if (was_empty) {
        uint64_t one = 1;
        (void)!write(m->fd, &one, sizeof(one)); /* fails only when the counter is already up */
    }
}

void mailbox_free(struct mailbox *m)
{
    if (!m)
        return;
    mailbox_deliver(m);
    if (m->wake)
        event_free(m->wake);
    if (m->fd >= 0)
        close(m->fd);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
