/* Pictures: PNM in, any out; test_image_files.c has the other formats. Expected figures are PIL's and NumPy's. */
#define _POSIX_C_SOURCE 200809L

#include "apps/common/image.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "apps/common/folder.h"
#include "tests/apps/files.h"
#include "tests/apps/pictures.h"
#include "tests/test.h"

/* ---- PNM ----------------------------------------------------------------------------------------------- */

#define BYTES(text) text, sizeof text - 1

/* Each ends in its last sample, so that every shorter file is broken. */
static const struct pnm_case {
    const char *bytes;
    size_t size;
    int width, height, channels, values[12];
} pnm_cases[] = {
    {BYTES("P1\n3 2\n1 0 1\n01 1"), 3, 2, 1, {0, 255, 0, 255, 0, 0}},
    {BYTES("P2 # grey\n#one\n#two\n2 2\n1000\n0 1 500\n9"), 2, 2, 1, {0, 0, 128, 2}},
    {BYTES("P3\n1 2 7\n0 1 2\n5 6 7"), 1, 2, 3, {0, 36, 73, 182, 219, 255}},
    {BYTES("P4\n9 2\n\xAA\x80\x0F\x00"), 9, 2, 1, {0}}, /* checked apart */
    {BYTES("P5 2 2 255\n\x00\x7F\x80\xFF"), 2, 2, 1, {0, 127, 128, 255}},
    {BYTES("P5\n2#c\n2\n65535\n\x00\x80\x00\x81\x80\x00\xFF\xFF"), 2, 2, 1, {0, 1, 128, 255}},
    {BYTES("P6\r\n1\t2\n255\n\x01\x02\x03\n\x0B\x20"), 1, 2, 3, {1, 2, 3, 10, 11, 32}},
    {BYTES("P6\n1 1\n1000\n\x00\x02\x01\xF4\x03\xE8"), 1, 1, 3, {1, 128, 255}},
};
enum { PNM_CASES = sizeof pnm_cases / sizeof *pnm_cases };

TEST(image_reads_every_kind_of_pnm)
{
    const char *path = test_path("pnm");
    for (int i = 0; i < PNM_CASES; i++) {
        const struct pnm_case *c = &pnm_cases[i];
        if (c->bytes[1] == '4') continue;
        app_error error = {""};
        image p;
        CHECK(write_bytes(path, c->bytes, c->size));
        CHECK(image_recognised(path));
        image_read(&p, path, NULL, &error);
        CHECK_TEXT(error.text, "");
        const bool as_expected = holds(&p, c->width, c->height, c->channels, c->values);
        image_free(&p);
        CHECK(as_expected);
    }
}

TEST(image_reads_packed_bits_as_ink_on_white)
{
    app_error error = {""};
    image p;
    const char *path = test_path("pbm");
    CHECK(write_bytes(path, pnm_cases[3].bytes, pnm_cases[3].size));
    CHECK(image_read(&p, path, NULL, &error));
    const bool as_expected = holds(&p, 9, 2, 1, (int[]){0,   255, 0,   255, 0, 255, 0, 255, 0,
                                                        255, 255, 255, 255, 0, 0,   0, 0,   255});
    image_free(&p);
    CHECK(as_expected);
}

TEST(image_refuses_pnm_files_cut_anywhere)
{
    const char *path = test_path("cut");
    for (int i = 0; i < PNM_CASES; i++)
        for (size_t size = 0; size < pnm_cases[i].size; size++) {
            app_error error = {""};
            image p;
            CHECK(write_bytes(path, pnm_cases[i].bytes, size));
            CHECK(!image_read(&p, path, NULL, &error));
            CHECK(p.pixels == NULL);
            CHECK_CONTAINS(error.text, path);
        }
}

TEST(image_refuses_hostile_headers)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"P5 99999 99999 255\n", "too large a size"},
        {"P5 268435456 268435456 255\n", "too large a size"},
        {"P6 16384 16384 255\n", "too large a size"}, /* 3 * 2^28 bytes */
        {"P5 16384 16384 255\nabc", "is truncated"},  /* allowed, but the file is far too short */
        {"P5 99999999999999999999 1 255\n", "number that is too large"},
        {"P5 4294967297 1 255\n", "number that is too large"},
        {"P5 2147483648 1 255\n", "number that is too large"},
        {"P5 0 5 255\n", "size of 0"},
        {"P5 5 0 255\n", "size of 0"},
        {"P5 -1 5 255\n", "not a picture"},
        {"P5 1x 5 255\n", "not a number"},
        {"P5 1 1 0\na", "highest sample of 0"},
        {"P5 1 1 65536\nab", "number that is too large"},
        {"P5 1 1 9\nz", "above its highest"},
        {"P2 1 1 9\n10", "above its highest"},
        {"P2 1 1 9\n70000", "number that is too large"},
        {"P1 1 1 2", "neither 0 nor 1"},
        {"P7 1 1 255\n", "not a picture"},
        {"Q5 1 1 255\na", "not a picture"},
        {"P5#", "is truncated"},
    };
    const char *path = test_path("hostile");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        app_error error = {""};
        image p;
        CHECK(write_text(path, cases[i].text));
        CHECK(!image_read(&p, path, NULL, &error));
        CHECK_CONTAINS(error.text, cases[i].problem);
    }
}

TEST(image_names_what_cannot_be_opened)
{
    app_error missing = {""}, folder = {""};
    image p;
    CHECK(!image_read(&p, "build/test-tmp/no\nsuch.pgm", NULL, &missing));
    CHECK_CONTAINS(missing.text, "build/test-tmp/no?such.pgm: cannot be opened (");
    CHECK(!image_read(&p, "build", NULL, &folder));
    CHECK_CONTAINS(folder.text, "build: ");
    CHECK(!image_recognised("build"));
    CHECK(!image_recognised("build/test-tmp/no such"));
}

/* ---- writing ----------------------------------------------------------------------------------------------- */

static bool write_small(const char *path, app_error *error)
{
    unsigned char pixels[] = {0, 40, 80, 120, 160, 200};
    return image_write(&(image){3, 2, 1, pixels}, path, error);
}

/* The number of entries of the folder. */
static int entries(const char *folder)
{
    app_error error = {""};
    name_list names;
    if (!folder_list(&names, folder, &error)) return -1;
    const int count = names.count;
    name_list_free(&names);
    return count;
}

TEST(image_reports_a_png_that_cannot_be_written_and_leaves_nothing)
{
    app_error error = {""}, in_the_way = {""};
    char folder[256], path[300];
    snprintf(folder, sizeof folder, "%s", test_path("png-folder"));
    snprintf(path, sizeof path, "%s/taken.png/x", folder);
    CHECK(folder_make(path, &error));
    const int before = entries(folder);
    CHECK(!write_small("build/test-tmp/no such folder/a.png", &error));
    CHECK_CONTAINS(error.text, "build/test-tmp/no such folder/a.png: cannot be written (");
    snprintf(path, sizeof path, "%s/taken.png", folder); /* a folder that is not empty */
    CHECK(!write_small(path, &in_the_way));
    CHECK_CONTAINS(in_the_way.text, "taken.png: cannot be written (");
    CHECK_EQUAL(entries(folder), before);
}

TEST(image_is_written_only_in_formats_it_knows)
{
    app_error error = {""};
    CHECK(!write_small(test_path("a.jpg"), &error));
    CHECK_CONTAINS(error.text, "a.jpg");
    CHECK_CONTAINS(error.text, ": pictures are written as .png, .pnm, .pgm or .ppm");
}

TEST(image_keeps_the_older_file_where_the_disk_is_full)
{
    app_error error = {""}, full = {""};
    image p;
    char folder[256], path[300], text[16];
    snprintf(folder, sizeof folder, "%s", test_path("full-disk"));
    snprintf(path, sizeof path, "%s/a.png", folder);
    CHECK(folder_make(folder, &error));
    CHECK(write_text(path, "older"));
    const int files = entries(folder);
    CHECK(make_sample(&p, 300, 300, 3));
    struct rlimit before, small = {1000, 1000};
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    const bool done = image_write(&p, path, &full);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    image_free(&p);
    CHECK(!done);
    CHECK_CONTAINS(full.text, "a.png: cannot be written (");
    CHECK_EQUAL(entries(folder), files);
    CHECK_TEXT(read_text(path, text, sizeof text), "older");
}

/* ---- sizes --------------------------------------------------------------------------------------------- */

TEST(image_refuses_sizes_that_make_no_sense)
{
    static const int sizes[][3] = {
        {0, 1, 1}, {1, 0, 1},         {-5, 1, 1},      {1, 1, 2},
        {1, 1, 4}, {16384, 16385, 1}, {1 << 28, 1, 3}, {2147483647, 2147483647, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        app_error error = {""};
        image p;
        CHECK(!image_new(&p, sizes[i][0], sizes[i][1], sizes[i][2], &error));
        CHECK(error.text[0] != '\0');
        CHECK(p.pixels == NULL);
    }
}
