/* limits-internal.h: what the files of limits.h share: tables, decisions and figures (limits.c),
 * who asks (limits_client.c), and what is said about it (limits_fields.c). */
#ifndef LARDER_FLOW_LIMITS_INTERNAL_H
#define LARDER_FLOW_LIMITS_INTERNAL_H

#include <larder/flow/limits.h>

/* The client's own address: the peer's, or what trusted proxies say of it. */
void limits_client_address(const struct config *c, const struct limits_request *r, uint8_t ret[16]);
const struct rate_class *limits_class_of(const struct config *c, const struct rate_limit *l,
                                         const struct limits_request *r);
void limits_name_client(const struct config *c, const struct rate_limit *l,
                        const struct rate_class *class, const struct limits_request *r,
                        uint8_t ret_name[32]);

#endif
