/* tls_main.h: the certificates and keys of all listeners and upstreams: tested, opened, read anew.
 * Thread: main. */
#ifndef LARDER_TLS_MAIN_H
#define LARDER_TLS_MAIN_H

#include <larder/flow/worker.h>
#include <larder/tier/tier.h>

/* Reads all files that <c> names and prints what is wrong to stderr; false: something is. */
bool tls_main_test(const struct config *c);
/* Opens what the listeners need; upstreams open theirs. Warnings go to the log, errors to <err>,
 * the first of them, and the others to the log. */
must_check enum err_code tls_main_open(struct shared *s, struct err *err);
/* Makes s->tier, with what its TLS needs, where the config has a Redis; like tls_main_open(). */
must_check enum err_code tls_main_open_tier(struct shared *s, struct loop *main_loop,
                                            struct err *err);
/* Reads all files anew. What cannot be used stays as it was; the log tells. */
void tls_main_reload(struct shared *s);
void tls_main_close(struct shared *s); /* what is open, if anything */

#endif
