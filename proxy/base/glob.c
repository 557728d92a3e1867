/* One backtrack point is enough: a later `*` makes every earlier choice good enough. */
#include <larder/base/glob.h>

bool glob_match(struct span pattern, struct span text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, resume = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.p[p] == '*') {
            star = p++;
            resume = t;
            continue;
        }
        if (p < pattern.len) {
            bool is_escaped = pattern.p[p] == '\\' && p + 1 < pattern.len;
            char want = pattern.p[p + (is_escaped ? 1 : 0)];
            if ((!is_escaped && want == '?') || want == text.p[t]) {
                p += is_escaped ? 2 : 1;
                t++;
                continue;
            }
        }
        if (star == SIZE_MAX)
            return false;
        p = star + 1;
        t = ++resume;
    }
    while (p < pattern.len && pattern.p[p] == '*')
        p++;
    return p == pattern.len;
}
