/* Whole files: what comes, and what is refused. */
#include "../unit-test.h"

#include <larder/base/file.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/larder-file-XXXXXX", path[64];

static void write_file(size_t bytes)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    for (size_t i = 0; i < bytes; i++)
        fputc('a' + (int)(i % 26), f);
    assert_int_equal(fclose(f), 0);
}

static void all_bytes_come_up_to_the_limit(void **state)
{
    static const size_t sizes[] = {0, 1, 16384, 16385, 100000};
    (void)state;
    for (size_t i = 0; i < array_len(sizes); i++) {
        struct buf out;
        write_file(sizes[i]);
        buf_init(&out, sizes[i]);
        assert_int_equal(file_read(path, FILE_REGULAR, &out), ERR_OK);
        assert_int_equal(out.len, sizes[i]);
        for (size_t n = 0; n < out.len; n++)
            assert_int_equal(out.p[n], 'a' + (int)(n % 26));
        buf_fini(&out);
        buf_init(&out, sizes[i] ? sizes[i] - 1 : 0);
        assert_int_equal(file_read(path, FILE_ANY, &out), sizes[i] ? ERR_TOO_LARGE : ERR_OK);
        buf_fini(&out);
    }
}

static void what_is_no_file_is_refused_at_once(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    (void)unlink(path);
    assert_int_equal(file_read(path, FILE_REGULAR, &out), ERR_NOT_FOUND);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(file_read(path, FILE_REGULAR, &out), ERR_IO); /* it would never end */
    assert_int_equal(errno, EINVAL);
    assert_int_equal(file_read(dir, FILE_REGULAR, &out), ERR_IO);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(file_read(dir, FILE_ANY, &out), ERR_IO);
    assert_int_equal(errno, EISDIR);
    buf_fini(&out);
}

static int make_dir(void **state)
{
    (void)state;
    bool is_made = mkdtemp(dir) != NULL;
    snprintf(path, sizeof(path), "%s/f", dir);
    return is_made ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_come_up_to_the_limit),
        cmocka_unit_test(what_is_no_file_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
