/* surrogate.h: the tags (surrogate keys) that messages name.
 *
 * Thread any; allocates nothing. Memory: a tag's span holds for the callback alone.
 * Field            form
 * Surrogate-Key    tags between spaces
 * xkey             tags between spaces and commas; xkey-purge and xkey-softpurge, too
 * Cache-Tag        tags between commas, trimmed: a space may stand within one
 * Cache-Groups     RFC 9875: a list of strings (RFC 9651); Cache-Group-Invalidation, too
 *
 * A field may come several times, in any case. Empty tags of the first three are passed over; the
 * empty string is a group like others. A tag may have bytes of 0x80 and above (UTF-8), a group not.
 */
#ifndef LARDER_HTTP_SURROGATE_H
#define LARDER_HTTP_SURROGATE_H

#include <larder/http/head.h>

enum { SURROGATE_TAG_MAX = 1024 }; /* bytes */

/* Calls <on_tag> for each tag that Surrogate-Key, xkey, Cache-Tag and Cache-Groups of the answer
 * <h> name, repeated ones each time. Returns false where a tag is over SURROGATE_TAG_MAX bytes or
 * holds a control, or as soon as <on_tag> does: then the answer must not be stored, for a purge
 * could miss it. Tags before that one have been given already. Groups that do not parse, or are not
 * all strings, count as absent and hold up nothing; their parameters are passed over.
 * Source RFC 9875 section 2, RFC 9651 section 4.2. */
bool surrogate_tags(const struct head *h, bool (*on_tag)(void *arg, struct span tag), void *arg);

/* Calls <on_tag> for each group of Cache-Group-Invalidation, the same way. The caller has to pass
 * over the field in answers to safe methods, and a group of one origin is none of another.
 * Source RFC 9875 section 3. */
bool surrogate_invalidated_groups(const struct head *h, bool (*on_tag)(void *arg, struct span tag),
                                  void *arg);

/* Calls <on_tag> for each tag that a purge <request> names in Surrogate-Key, xkey, xkey-purge,
 * xkey-softpurge or Cache-Tag; false as above, and then *ret_is_soft is untouched. It is true (what
 * is stored becomes stale and stays) with xkey-softpurge, unless xkey-purge stands beside it, with
 * "Fastly-Soft-Purge: 1" and with "Surrogate-Purge-Mode: soft". */
bool surrogate_purge_tags(const struct head *request, bool (*on_tag)(void *arg, struct span tag),
                          void *arg, bool *ret_is_soft);

#endif
