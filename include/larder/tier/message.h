/* message.h: an invalidation as it travels in the log: what matches, and how.
 *
 *     kind 1 | soft 1 | count 2 | tags 8 each, or the pattern's text
 *
 * Numbers are big-endian. Tags are hashes under a seed that all instances have from the secret.
 * Thread any: pure functions.
 */
#ifndef LARDER_TIER_MESSAGE_H
#define LARDER_TIER_MESSAGE_H

#include <larder/base/buf.h>
#include <larder/cache/pattern.h>
#include <larder/cache/store.h>

enum { TIER_INSTANCES_MAX = 64, TIER_ID_LEN = 16, MESSAGE_TAGS_MAX = 512 };

enum message_kind { MESSAGE_ANY_TAG, MESSAGE_ALL_OF, MESSAGE_PATTERN };
struct message {
    enum message_kind kind;
    bool is_soft;
    bool wants_ack; /* its publisher waits until all have applied it */
    unsigned tag_count;
    uint64_t tags[MESSAGE_TAGS_MAX];
    struct pattern pattern; /* its text lies in what was parsed */
};

/* What the store was told, as a message; a STORE_TEST's test must be pattern_test(). */
void message_from_match(const struct store_match *m, bool is_soft, struct message *ret);
/* ... and back. It points into <m>. */
struct store_match message_match(struct message *m);

/* Appends one message with its length before it, so that several stand one behind the other. */
void message_add(const struct message *m, struct buf *out);
/* Takes the next message off <list> as bytes; an empty span: there is none. */
struct span message_next(struct span *list);
/* The tags of a MESSAGE_ANY_TAG, as they stand in its bytes. */
struct span message_tags(struct span bytes);
/* Makes the message at <bytes> one whose publisher waits until all have applied it. */
void message_want_ack(char *bytes);
/* False: no message, or one of a later format. */
bool message_parse(struct span bytes, struct message *ret);

#endif
