/* upgrade.c: RFC 9110 section 7.8. */
#include <larder/http/head.h>

static bool is_asked(const struct head *request, struct span protocol)
{
    return field_has_token(request, FIELD_UPGRADE, protocol);
}

bool head_answers_upgrade(const struct head *request, const struct head *response)
{
    for (unsigned i = 0; i < response->field_count; i++) {
        if (response->fields[i].id != FIELD_UPGRADE)
            continue;
        struct span rest = response->fields[i].value, protocol;
        while (field_list_next(&rest, &protocol)) {
            if (is_asked(request, protocol))
                return true;
        }
    }
    return false;
}
