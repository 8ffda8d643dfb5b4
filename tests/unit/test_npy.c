/* core/npy.c */
#include "core/file_io.h"
#include "tests/test.h"
#include "tests/unit/files.h"

#include <string.h>

/* The start of a file of version 1.0 with this header and so many bytes of values; returns all bytes. */
static size_t put_file(unsigned char *bytes, const char *header, size_t value_bytes)
{
    const size_t length = strlen(header);
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    tsr_store_bits(bytes + 8, length, 2);
    memcpy(bytes + 10, header, length);
    memset(bytes + 10 + length, 0, value_bytes);
    return 10 + length + value_bytes;
}

static const char *header_refusal(const char *header, size_t value_bytes)
{
    unsigned char bytes[1024];
    const char *path = test_path("npy-header");
    write_bytes(path, bytes, put_file(bytes, header, value_bytes));
    return npy_refusal(path);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

TEST(npy_reads_every_type_order_and_version_as_numpy_wrote_them)
{
    static const struct {
        const char *name;
        double scale, offset;
    } files[] = {{"f8-fortran", 1, -5}, {"f4-big", 1, -5}, {"f8-big-fortran", 1, -5}, {"f2", 0.5, -2.5},
                 {"f2-big", 0.5, -2.5}, {"i8", 1, -5},     {"i8-big", 1, -5},         {"i4-fortran", 1, -5},
                 {"i4-big", 1, -5},     {"u1", 1, 0}};
    tsr_context *ctx = tsr_open(NULL);
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        char path[96];
        snprintf(path, sizeof path, FILES "%s.npy", files[f].name);
        tsr_tensor *t = tsr_npy_load(ctx, path);
        CHECK(!tsr_error(ctx));
        CHECK(tsr_same_shape(tsr_shape_of(t), TSR_SHAPE(2, 3, 4)));
        for (int i = 0; i < 24; i++) CHECK_EQUAL(tsr_data(t)[i], i * files[f].scale + files[f].offset);
    }
    tsr_tensor *t = tsr_npy_load(ctx, FILES "b1.npy");
    for (int i = 0; i < 24; i++) CHECK_EQUAL(tsr_data(t)[i], i % 3 == 0);
    t = tsr_npy_load(ctx, FILES "scalar.npy");
    CHECK_EQUAL(tsr_rank(t), 0);
    CHECK_EQUAL(tsr_item(t), -5);
    t = tsr_npy_load(ctx, FILES "vector.npy");
    CHECK(tsr_same_shape(tsr_shape_of(t), TSR_SHAPE(2)) && tsr_data(t)[0] == -5 && tsr_data(t)[1] == -4);
    t = tsr_npy_load(ctx, FILES "empty.npy");
    CHECK(tsr_same_shape(tsr_shape_of(t), TSR_SHAPE(3, 0, 2)));
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(npy_fortran_order_is_right_beyond_one_part)
{
    static unsigned char bytes[128 + 40 * 50 * 2];
    const char *path = test_path("npy-fortran");
    size_t at = put_file(bytes, "{'descr':'|u1','fortran_order':True,'shape':(40,50,2)}", 0);
    for (int k = 0; k < 2; k++)
        for (int j = 0; j < 50; j++)
            for (int i = 0; i < 40; i++) bytes[at++] = (unsigned char)(7 * i + 3 * j + 101 * k);
    write_bytes(path, bytes, at);
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *t = tsr_npy_load(ctx, path);
    CHECK_EQUAL(tsr_size(t), 4000);
    for (int n = 0; n < 4000; n++)
        CHECK_EQUAL(tsr_data(t)[n], (unsigned char)(7 * (n / 100) + 3 * (n / 2 % 50) + 101 * (n % 2)));
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(npy_takes_keys_in_any_order_with_any_blanks_and_quotes)
{
    CHECK_TEXT(header_refusal("{'shape':(2,),'descr':'<f4','fortran_order':False}", 8), "");
    CHECK_TEXT(
        header_refusal(" {\"shape\" : ( 2 , ) ,\n\"fortran_order\" : True , \"descr\" : \"<f4\" , }  \n", 8),
        "");
    CHECK_TEXT(header_refusal("{'descr': '>i8', 'fortran_order': False, 'shape': (1, 2,), }\n", 16), "");
    CHECK_TEXT(header_refusal("{'descr': '<u1', 'fortran_order': False, 'shape': ()}", 1), "");
}

/* ---- refusing ------------------------------------------------------------------------------------------ */

#define HEADER(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"
#define DICTIONARY ": its header is not a dictionary of descr, fortran_order and shape, each once"
#define TUPLE ": its shape is not a tuple of numbers"

/* Each with eight bytes of values. */
static const struct {
    const char *header, *message;
} hostile[] = {
    {HEADER("'<c8'", "False", "(1,)"), ": type '<c8' is none of f8, f4, f2, i8, i4, i2, i1, u4, u2, u1, b1"},
    {HEADER("'|O'", "False", "(1,)"), ": type '|O' is none of"},
    {HEADER("'=f8'", "False", "(1,)"), ": type '=f8' is none of"},
    {HEADER("'|f8'", "False", "(1,)"), ": type '|f8' is none of"},
    {HEADER("'f8'", "False", "(1,)"), ": type 'f8' is none of"},
    {HEADER("''", "False", "(1,)"), ": type '' is none of"},
    {HEADER("'<f88'", "False", "(1,)"), ": type '<f88' is none of"},
    {HEADER("'<f\x1b[31m'", "False", "(1,)"), ": type '<f?[31m' is none of"},
    {HEADER("[('x', '<f8')]", "False", "(1,)"), ": holds something other than an array of plain numbers"},
    {HEADER("'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", "False", "(1,)"),
     ": holds something other than"},
    {HEADER("'<f8'", "false", "(1,)"), DICTIONARY},
    {HEADER("'<f8'", "0", "(1,)"), DICTIONARY},
    {HEADER("'<f8'", "False", "(1)"), TUPLE},
    {HEADER("'<f8'", "False", "[1]"), TUPLE},
    {HEADER("'<f8'", "False", "(,)"), TUPLE},
    {HEADER("'<f8'", "False", "(1 1)"), TUPLE},
    {HEADER("'<f8'", "False", "(-1,)"), TUPLE},
    {HEADER("'<f8'", "False", "(1e99,)"), TUPLE},
    {HEADER("'<f8'", "False", "(9223372036854775808,)"), TUPLE},
    {HEADER("'<f8'", "False", "((((((((((1,),),),),),),),),),)"), TUPLE},
    {HEADER("'<f8'", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), ": has more than 8 dimensions"},
    {HEADER("'<f8'", "False", "(4294967296, 4294967296)"),
     ": the shape [4294967296, 4294967296] is too large"},
    {HEADER("'<f8'", "False", "(2,)"), ": has 8 bytes of values; [2] of 8 bytes each are expected"},
    {HEADER("'<f4'", "False", "()"), ": has 8 bytes of values; [] of 4 bytes each are expected"},
    {HEADER("'<f8'", "False", "(0,)"), ": has 8 bytes of values; [0] of 8 bytes each are expected"},
    {"", DICTIONARY},
    {"{}", DICTIONARY},
    {"{'descr': '<f8', 'fortran_order': False}", DICTIONARY},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'more': 1}", DICTIONARY},
    {"{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", DICTIONARY},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)", DICTIONARY},
    {"{'descr': '<f8' 'fortran_order': False, 'shape': (1,)}", DICTIONARY},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} x", DICTIONARY},
    {"{'descr': '<f8', 'fortran_order': False, 'sha\\x70e': (1,)}", DICTIONARY},
    {"{'descr", DICTIONARY},
    {"{'descr': '<f8", ": holds something other than"},
};

TEST(npy_refuses_each_hostile_header_with_its_message)
{
    CHECK_TEXT(header_refusal(HEADER("'<f8'", "False", "(1,)"), 8), "");
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++)
        CHECK_CONTAINS(header_refusal(hostile[i].header, 8), hostile[i].message);
}

TEST(npy_refuses_what_is_no_npy_file_or_of_a_later_version)
{
    const char *path = test_path("npy-frame");
    write_bytes(path, "", 0);
    CHECK_CONTAINS(npy_refusal(path), ": is no .npy file");
    write_bytes(path, "PK\x03\x04........", 12);
    CHECK_CONTAINS(npy_refusal(path), ": is no .npy file");
    write_bytes(path, "\x93NUMPY\x04\x00........", 16);
    CHECK_CONTAINS(npy_refusal(path), ": has version 4.0; known are 1.0, 2.0 and 3.0");
    write_bytes(path, "\x93NUMPY\x01\x01........", 16);
    CHECK_CONTAINS(npy_refusal(path), ": has version 1.1");
    write_bytes(path, "\x93NUMPY\x00\x00........", 16);
    CHECK_CONTAINS(npy_refusal(path), ": has version 0.0");
    write_bytes(path, "\x93NUMPY\x02\x00\xff\xff\xff\xff....", 16);
    CHECK_CONTAINS(npy_refusal(path),
                   ": its header of 4294967295 bytes is longer than the 65535 that are accepted");
    write_bytes(path, "\x93NUMPY\x02\x00\xff", 9);
    CHECK_CONTAINS(npy_refusal(path), ": is no .npy file");
    write_bytes(path, "\x93NUMPY\x02\x00\xff\x00", 10);
    CHECK_CONTAINS(npy_refusal(path), ": is cut off in its header");
    write_bytes(path, "\x93NUMPY\x01\x00\x05\x00{   ", 14);
    CHECK_CONTAINS(npy_refusal(path), ": is cut off in its header");
    CHECK_CONTAINS(npy_refusal("build/test-tmp/no-such-file"), ": cannot be opened: ");
    CHECK(npy_refusal("tests")[0] != '\0');
}

TEST(npy_refuses_a_file_cut_at_every_length_or_too_long)
{
    unsigned char bytes[4096] = {0};
    static const char *const names[] = {FILES "f8-big-fortran.npy", FILES "i8.npy", FILES "u1.npy"};
    const char *path = test_path("npy-cut");
    for (int f = 0; f < 3; f++) {
        const size_t count = read_bytes(names[f], bytes, sizeof bytes);
        CHECK(count > 128);
        for (size_t n = 0; n < count; n++) {
            write_bytes(path, bytes, n);
            CHECK(npy_refusal(path)[0] != '\0');
        }
        write_bytes(path, bytes, count + 1);
        CHECK_CONTAINS(npy_refusal(path), " are expected");
    }
}

/* ---- writing ------------------------------------------------------------------------------------------- */

TEST(npy_writes_the_bytes_that_numpy_writes)
{
    unsigned char ours[4096], theirs[4096];
    char known[64];
    snprintf(known, sizeof known, FILES "saved-%s.npy", REAL);
    const char *path = test_path("npy-saved");
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *t = tsr_values(ctx, TSR_SHAPE(2, 3), (tsr_real[]){-0.25f, -0.125f, 0, 0.125f, 0.25f, 0.375f});
    CHECK(tsr_npy_save(t, path));
    const size_t count = read_bytes(path, ours, sizeof ours);
    CHECK_EQUAL(count, read_bytes(known, theirs, sizeof theirs));
    CHECK(memcmp(ours, theirs, count) == 0);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(npy_round_trip_keeps_every_bit_of_any_rank_and_size)
{
    const tsr_shape shapes[] = {TSR_SCALAR,         TSR_SHAPE(100003), TSR_SHAPE(0),
                                TSR_SHAPE(3, 0, 2), TSR_SHAPE(7, 11),  TSR_SHAPE(2, 1, 3, 1, 2, 1, 1, 2)};
    tsr_context *ctx = tsr_open(NULL);
    for (int i = 0; i < 6; i++) {
        const char *path = test_path("npy-round");
        tsr_tensor *t = tsr_normal(ctx, shapes[i], 0, 1, (uint64_t)i);
        CHECK(tsr_npy_save(t, path));
        tsr_tensor *again = tsr_npy_load(ctx, path);
        CHECK(!tsr_error(ctx) && tsr_same_shape(tsr_shape_of(again), shapes[i]));
        CHECK(memcmp(tsr_data(again), tsr_data(t), (size_t)tsr_size(t) * sizeof(tsr_real)) == 0);
    }
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(npy_misuse_and_failed_writing_are_errors)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *t = tsr_full(ctx, TSR_SHAPE(2), 1);
    CHECK(!tsr_npy_save(t, "build/no-such-folder/file"));
    CHECK_CONTAINS(tsr_error(ctx), "build/no-such-folder/file: cannot be written: ");
    CHECK(!tsr_npy_save(t, test_path("npy-after")));
    CHECK(tsr_is_error(tsr_npy_load(ctx, FILES "scalar.npy")));
    tsr_tensor *bad = tsr_npy_load(ctx, FILES "scalar.npy");
    tsr_clear_error(ctx);
    CHECK(!tsr_npy_save(bad, test_path("npy-after")));
    CHECK_TEXT(tsr_error(ctx), "npy: an error tensor cannot be saved");
    tsr_clear_error(ctx);
    CHECK(!tsr_npy_save(t, NULL));
    tsr_clear_error(ctx);
    CHECK(tsr_is_error(tsr_npy_load(ctx, NULL)));
    CHECK(!tsr_npy_save(NULL, "x") && !tsr_npy_load(NULL, "x"));
    CHECK_EQUAL(tsr_close(ctx), 1);
}
