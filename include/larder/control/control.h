/* control.h: the control routes: invalidate, warm, stats, keys, health.
 *
 * All of them run in the main thread's loop. Requests of the control listener come there at once;
 * those of a mounted route are handed over by mailbox and answered back by mailbox, so that no
 * worker waits for a scan.
 * Thread  control_new, control_free: main. control_on_request: the loop of the gate
 */
#ifndef LARDER_CONTROL_CONTROL_H
#define LARDER_CONTROL_CONTROL_H

#include <larder/flow/worker.h>

struct control;

/* <main_loop> is where the work is done. */
struct control *control_new(struct shared *shared, struct loop *main_loop);
/* Listens for the control listener in the main loop; writes the port back. */
must_check enum err_code control_listen(struct control *c, struct address *addr, struct err *err);
/* ... and on the Unix socket of the config. */
must_check enum err_code control_listen_socket(struct control *c, struct err *err);
/* Once a second, in the main loop: figures of the last minute and hour. */
void control_tick(struct control *c);
/* Warm requests go to this address: larder's own public listener; <is_tls>: it speaks TLS. */
must_check enum err_code control_set_front(struct control *c, const struct address *addr,
                                           bool is_tls, struct err *err);
void control_set_ready(struct control *c, bool is_ready); /* what /health/ready says */
/* Not ready any more; jobs and their streams of events end. Control calls are still answered. */
void control_drain(struct control *c);
/* Ends warm jobs; after this nothing of it uses the network. */
void control_stop(struct control *c);
void control_free(struct control *c);

/* For struct shared: is this, on a public listener, a control route's request, or an alias's? Any
 * thread; allocates nothing. */
bool control_takes(const void *control, const struct head *h);
void control_on_request(void *control, struct gate *g, const struct head *h,
                        struct mailbox *mailbox);

#endif
