#include <larder/base/ip.h>

#include <arpa/inet.h>
#include <string.h>

_Static_assert((int)IP_TEXT_MAX == (int)INET6_ADDRSTRLEN, "the longest text");

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

bool ip_is_v4(const uint8_t ip[16])
{
    return memcmp(ip, mapped, sizeof(mapped)) == 0;
}

bool ip_parse(struct span s, uint8_t ret[16])
{
    char text[IP_TEXT_MAX];
    uint8_t v4[4], v6[16];
    if (s.len == 0 || s.len >= sizeof(text))
        return false;
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    if (inet_pton(AF_INET, text, v4) == 1) {
        memcpy(ret, mapped, sizeof(mapped));
        memcpy(ret + sizeof(mapped), v4, sizeof(v4));
        return true;
    }
    if (inet_pton(AF_INET6, text, v6) != 1)
        return false;
    memcpy(ret, v6, sizeof(v6));
    return true;
}

void ip_format(const uint8_t ip[16], char out[IP_TEXT_MAX])
{
    bool is_v4 = ip_is_v4(ip);
    if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? ip + 12 : ip, out, IP_TEXT_MAX))
        out[0] = '\0';
}
