/* Texts to values: what is written has a unit, fits, and means one thing. */
#include "../unit-test.h"

#include "../../../proxy/config/config-internal.h"

static void durations_have_a_unit(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
        uint64_t ms;
    } cases[] = {
        {"0s", true, 0},
        {"1500ms", true, 1500},
        {"90s", true, 90000},
        {"10m", true, 600000},
        {"2h", true, 7200000},
        {"30d", true, 2592000000},
        {"49710d", true, 4294944000000},
        {"49711d", false, 0},
        {"18446744073709551615ms", false, 0},
        {"18446744073709551616s", false, 0},
        {"", false, 0},
        {"s", false, 0},
        {"5", false, 0},
        {"5 s", false, 0},
        {" 5s", false, 0},
        {"-5s", false, 0},
        {"+5s", false, 0},
        {"1.5s", false, 0},
        {"5S", false, 0},
        {"5sec", false, 0},
        {"1h30m", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        uint64_t ms = 7;
        bool is_good = config_duration_parse(span_str(cases[i].text), &ms);
        if (is_good != cases[i].is_good || ms != (is_good ? cases[i].ms : 7))
            fail_msg("\"%s\": %d, %llu", cases[i].text, is_good, (unsigned long long)ms);
    }
}

static void sizes_are_binary(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
        uint64_t bytes;
    } cases[] = {
        {"0", true, 0},
        {"512", true, 512},
        {"512B", true, 512},
        {"64KiB", true, 65536},
        {"256MiB", true, 256ull << 20},
        {"1GiB", true, 1ull << 30},
        {"8388607TiB", true, 8388607ull << 40},
        {"8388608TiB", false, 0},
        {"9223372036854775808", false, 0},
        {"1GB", false, 0},
        {"1kb", false, 0},
        {"1 MiB", false, 0},
        {"", false, 0},
        {"MiB", false, 0},
        {"-1", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        uint64_t bytes = 7;
        bool is_good = size_parse(span_str(cases[i].text), &bytes);
        if (is_good != cases[i].is_good || bytes != (is_good ? cases[i].bytes : 7))
            fail_msg("\"%s\": %d, %llu", cases[i].text, is_good, (unsigned long long)bytes);
    }
}

static void addresses_have_a_host_and_a_port(void **state)
{
    static const struct {
        const char *text;
        bool may_lack_host, is_good;
        const char *host;
        unsigned port;
    } cases[] = {
        {"127.0.0.1:8080", false, true, "127.0.0.1", 8080},
        {"[::1]:80", false, true, "::1", 80},
        {"api-2.internal:8000", false, true, "api-2.internal", 8000},
        {":8080", true, true, "", 8080},
        {"127.0.0.1:0", true, true, "127.0.0.1", 0},
        {":8080", false, false, "", 0},
        {"::1:80", true, false, "", 0},
        {"[]:80", true, false, "", 0},
        {"[::1:80", true, false, "", 0},
        {"[localhost]:80", true, false, "", 0},
        {"localhost", true, false, "", 0},
        {"localhost:", true, false, "", 0},
        {"localhost:65536", true, false, "", 0},
        {"local host:80", true, false, "", 0},
        {"user@host:80", true, false, "", 0},
        {"host/path:80", true, false, "", 0},
        {"", true, false, "", 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct address a;
        bool is_good = address_parse(span_str(cases[i].text), cases[i].may_lack_host, &a);
        if (is_good != cases[i].is_good)
            fail_msg("\"%s\": %d", cases[i].text, is_good);
        if (!is_good)
            continue;
        assert_string_equal(a.host, cases[i].host);
        assert_int_equal(a.port, cases[i].port);
    }
}

static void networks_hold_the_addresses_of_their_prefix(void **state)
{
    static const struct {
        const char *network, *address;
        bool is_inside;
    } cases[] = {
        {"127.0.0.0/8", "127.255.0.1", true},
        {"127.0.0.0/8", "128.0.0.1", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.4", false},
        {"192.168.4.0/22", "192.168.7.9", true},
        {"192.168.4.0/22", "192.168.8.0", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "203.0.113.9", true},
        {"fd00::/8", "fdff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct cidr network, address;
        assert_true(cidr_parse(span_str(cases[i].network), &network));
        assert_true(cidr_parse(span_str(cases[i].address), &address));
        if (cidr_contains(&network, 1, address.addr) != cases[i].is_inside)
            fail_msg("%s in %s", cases[i].address, cases[i].network);
        assert_false(cidr_contains(&network, 0, address.addr));
    }
    static const char *const bad[] = {"",          "10.0.0.0/33", "::1/129",     "10.0.0/8",
                                      "10.0.0.0/", "host/8",      "10.0.0.0/-1", "10.0.0.0/8 ",
                                      "::g"};
    for (size_t i = 0; i < array_len(bad); i++) {
        struct cidr c;
        if (cidr_parse(span_str(bad[i]), &c))
            fail_msg("\"%s\" is taken for a network", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_a_unit),
        cmocka_unit_test(sizes_are_binary),
        cmocka_unit_test(addresses_have_a_host_and_a_port),
        cmocka_unit_test(networks_hold_the_addresses_of_their_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
