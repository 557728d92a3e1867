/* loop.h: a worker's event base with its evhttp servers, and the timers of a flow.
 *
 * Thread: loop_new and loop_free by main, loop_run and all else by the loop's own thread.
 */
#ifndef LARDER_NET_LOOP_H
#define LARDER_NET_LOOP_H

#include <larder/base/err.h>
#include <larder/base/macros.h>
#include <larder/net/gate.h>
#include <larder/net/mailbox.h>

struct event_base;
struct loop;

struct loop *loop_new(void);
const char *loop_library_version(void); /* libevent's, as linked */
/* From now on the library clears what it frees: buffers have held what clients sent. Before any
 * loop. */
void loop_wipe_freed(void);
void loop_free(struct loop *l);
struct event_base *loop_base(struct loop *l);
struct mailbox *loop_mailbox(struct loop *l);
void loop_run(struct loop *l);  /* until loop_stop() */
void loop_stop(struct loop *l); /* from its own thread: a letter can bring it there */

/* Listens on <addr> with SO_REUSEPORT; where its port is 0 the system's choice is written into it,
 * so that the next loop listens on the same. With <tls> clients speak TLS; NULL: plain. */
must_check enum err_code loop_listen(struct loop *l, struct address *addr,
                                     const struct config *config, struct tls *tls,
                                     const struct gate_ops *ops, void *arg, bool is_control,
                                     struct err *err);
/* Listens for control calls on a Unix socket at <path> with file permissions <mode>. A socket that
 * an earlier run has left behind is removed first. */
must_check enum err_code loop_listen_socket(struct loop *l, const char *path, unsigned mode,
                                            const struct config *config, const struct gate_ops *ops,
                                            void *arg, struct err *err);
/* Accepts no more and closes idle connections; the others are closed after their answer. */
void loop_drain(struct loop *l);
unsigned loop_connections(const struct loop *l);

/* Calls <handler> in the loop when signal <number> has come. One loop of the process only. */
must_check enum err_code loop_catch_signal(struct loop *l, int number,
                                           void (*handler)(void *arg, int number), void *arg);

struct timer;
struct timer *timer_new(struct loop *l, void (*on_fire)(void *arg), void *arg);
void timer_start(struct timer *t, uint64_t ms); /* anew, if it runs */
void timer_stop(struct timer *t);
void timer_free(struct timer *t); /* NULL is fine */

#endif
