/* glob.h: `*` is any run of bytes, `?` any one, `\` takes the next literally; all else is itself.
 * Linear in pattern times text at worst, never exponential (one backtrack point). Thread: any.
 */
#ifndef LARDER_BASE_GLOB_H
#define LARDER_BASE_GLOB_H

#include <larder/base/span.h>

bool glob_match(struct span pattern, struct span text);

#endif
