/* test_json_writer.c: JSON that any reader takes, whatever the bytes and the locale. */
#include <larder/base/json.h>

#include "base-test.h"

#include <float.h>
#include <locale.h>
#include <math.h>

static void commas_stand_where_they_belong(void **state)
{
    (void)state;
    struct buf out;
    struct json_writer w;
    buf_init(&out, 1000);
    json_writer_init(&w, &out);
    json_write_object(&w, NULL);
    json_write_object(&w, "empty");
    json_write_object_end(&w);
    json_write_array(&w, "list");
    json_write_u64(&w, NULL, UINT64_MAX);
    json_write_i64(&w, NULL, INT64_MIN);
    json_write_i64(&w, NULL, 5);
    json_write_array(&w, NULL);
    json_write_array_end(&w);
    json_write_object(&w, NULL);
    json_write_object_end(&w);
    json_write_array_end(&w);
    json_write_str(&w, "text", "t");
    json_write_str(&w, "none", NULL);
    json_write_span(&w, "nul", SPAN_LIT("a\0b"));
    json_write_name(&w, SPAN_LIT("a \"name\""));
    json_write_bool(&w, NULL, true);
    json_write_bool(&w, "last", false);
    json_write_object_end(&w);
    assert_span(buf_span(&out),
                SPAN_LIT("{\"empty\":{},\"list\":[18446744073709551615,-9223372036854775808,5,[],{}"
                         "],\"text\":\"t\",\"none\":null,\"nul\":\"a\\u0000b\",\"a \\\"name\\\"\":"
                         "true,\"last\":false}"),
                "written");
    buf_fini(&out);
}

static void strings_are_escaped_and_become_unicode_text(void **state)
{
    (void)state;
    static const struct {
        struct span text, want;
    } cases[] = {
        {{NULL, 0}, SPAN_LIT("\"\"")},
        {SPAN_LIT("a/b"), SPAN_LIT("\"a/b\"")},
        {SPAN_LIT("\"\\\n\r\t"), SPAN_LIT("\"\\\"\\\\\\n\\r\\t\"")},
        {SPAN_LIT("\0\b\x1f\x7f"), SPAN_LIT("\"\\u0000\\u0008\\u001f\\u007f\"")},
        {SPAN_LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
         SPAN_LIT("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"")},
        {SPAN_LIT("\xff"), SPAN_LIT("\"\xef\xbf\xbd\"")},
        {SPAN_LIT("\xc0\x80"), SPAN_LIT("\"\xef\xbf\xbd\xef\xbf\xbd\"")},
        {SPAN_LIT("\xe2\x82"), SPAN_LIT("\"\xef\xbf\xbd\xef\xbf\xbd\"")}, /* cut off */
        {SPAN_LIT("\xe2\x82\"x"), SPAN_LIT("\"\xef\xbf\xbd\xef\xbf\xbd\\\"x\"")},
        {SPAN_LIT("\xed\xa0\x80"), SPAN_LIT("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct buf out;
        struct span text = block_of(cases[i].text);
        buf_init(&out, 100);
        json_string_format(text, &out);
        assert_span(buf_span(&out), cases[i].want, "string");
        buf_fini(&out);
        block_free(text);
    }
}

/* All texts of one and two bytes, and many of four. */
static void whatever_is_written_can_be_read(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 1 << 17; n++) {
        uint32_t mixed = n < 1 << 16 ? n : n * 2654435761u;
        struct json_doc *doc = NULL;
        struct buf out;
        char bytes[4], room[64];
        memcpy(bytes, &mixed, sizeof(bytes));
        buf_init_fixed(&out, room, sizeof(room));
        json_string_format(span_of(bytes, n < 1 << 16 ? 2 : 4), &out);
        assert_false(out.failed);
        assert_int_equal(json_parse(buf_span(&out), NULL, 0, 1, &doc, NULL), ERR_OK);
        json_doc_free(doc);
    }
}

static void assert_double(double value, int decimals, const char *want)
{
    char room[400];
    struct buf out;
    struct json_writer w;
    buf_init_fixed(&out, room, sizeof(room));
    json_writer_init(&w, &out);
    json_write_double(&w, NULL, value, decimals);
    assert_span(buf_span(&out), span_str(want), "double");
}

static void numbers_have_their_decimals(void **state)
{
    (void)state;
    static const struct {
        double value;
        int decimals;
        const char *want;
    } cases[] = {
        {0, 3, "0.000"},
        {0.8741, 3, "0.874"},
        {0.0005, 3, "0.001"},
        {1234.5678, 1, "1234.6"},
        {-1.5, 2, "-1.50"},
        {-0.0004, 3, "0.000"}, /* no minus before nothing */
        {-0.0, 0, "0"},
        {-0.6, 0, "-1"},
        {9.999, 2, "10.00"},
        {1e14, 6, "100000000000000.000000"},
        {1e22, 3, "10000000000000000000000.000"},
        {NAN, 3, "null"},
        {INFINITY, 3, "null"},
        {-INFINITY, 3, "null"},
        {0.1, 99, "0.10000000000000001"},
        {2.5, -1, "2"},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_double(cases[i].value, cases[i].decimals, cases[i].want);
    char room[400];
    struct buf out;
    struct json_writer w;
    buf_init_fixed(&out, room, sizeof(room));
    json_writer_init(&w, &out);
    json_write_double(&w, NULL, -DBL_MAX, 17);
    assert_int_equal(out.len, 1 + 309 + 1 + 17);
}

static void the_point_is_a_point_in_every_locale(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
    bool has_one = false;
    for (size_t i = 0; i < array_len(names); i++) {
        if (!setlocale(LC_ALL, names[i]))
            continue; /* not on this machine */
        has_one = true;
        assert_double(1234.5, 3, "1234.500");
    }
    setlocale(LC_ALL, "C");
    if (!has_one)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_where_they_belong),
        cmocka_unit_test(strings_are_escaped_and_become_unicode_text),
        cmocka_unit_test(whatever_is_written_can_be_read),
        cmocka_unit_test(numbers_have_their_decimals),
        cmocka_unit_test(the_point_is_a_point_in_every_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
