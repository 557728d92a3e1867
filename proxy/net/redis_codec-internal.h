/* redis_codec-internal.h: RESP2, commands out and replies in. hiredis is used nowhere else.
 *
 * Thread  the owner's. Memory: redis_codec_free() frees what has not been taken out.
 */
#ifndef LARDER_NET_REDIS_CODEC_INTERNAL_H
#define LARDER_NET_REDIS_CODEC_INTERNAL_H

#include <larder/net/redis.h>

enum { CODEC_ELEMENTS_MAX = 1 << 20 }; /* of all arrays of a reply together */

struct redis_codec;

/* Replies have at most <reply_max> bytes, a line of one 64 KiB. NULL: no memory. */
struct redis_codec *redis_codec_new(size_t reply_max);
void redis_codec_free(struct redis_codec *c); /* NULL is fine */

/* Takes bytes of the server in, a few kilobytes at a time; false: no memory. */
bool redis_codec_feed(struct redis_codec *c, const char *p, size_t len);

enum codec_result { CODEC_REPLY, CODEC_MORE, CODEC_BAD };
/* The next whole reply, which the caller frees. After CODEC_BAD there is none any more. */
enum codec_result redis_codec_next(struct redis_codec *c, struct redis_reply **ret);
bool redis_codec_is_within(const struct redis_codec *c);    /* after CODEC_MORE: one has begun */
const char *redis_codec_error(const struct redis_codec *c); /* after CODEC_BAD, for people */
void redis_reply_free(struct redis_reply *r);               /* NULL is fine */
bool redis_reply_is_error(const struct redis_reply *r);

/* <args> as the server reads them; codec_command_free() frees. False: no memory. */
bool codec_command_format(const struct span *args, unsigned count, char **ret, size_t *ret_len);
void codec_command_free(char *command);

#endif
