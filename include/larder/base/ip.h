/* ip.h: addresses of clients: 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).
 *
 * Thread: any.
 */
#ifndef LARDER_BASE_IP_H
#define LARDER_BASE_IP_H

#include <larder/base/span.h>

enum { IP_TEXT_MAX = 46 }; /* with its NUL */

/* "10.0.0.1", "fd00::1"; false: it is neither. */
bool ip_parse(struct span text, uint8_t ret[16]);
void ip_format(const uint8_t ip[16], char out[IP_TEXT_MAX]);
bool ip_is_v4(const uint8_t ip[16]);

#endif
