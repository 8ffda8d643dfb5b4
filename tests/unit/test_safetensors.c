/* core/safetensors.c, reading, with json.c and file_io.c below it. */
#include "core/file_io.h"
#include "core/json.h"
#include "tests/test.h"
#include "tests/unit/files.h"

#include <math.h>
#include <string.h>

/* ---- reading what others wrote ------------------------------------------------------------------------- */

static bool same_number(tsr_real a, tsr_real b)
{
    return isnan(b) ? isnan(a) != 0 : a == b && !signbit(a) == !signbit(b);
}

TEST(safetensors_reads_every_type_as_numpy_and_torch_do)
{
    static const char *const names[] = {"half", "brain", "single", "i64", "i32", "u8"};
    static const char *const types[] = {"F16", "BF16", "F32", "I64", "I32", "U8"};
    tsr_context *ctx = tsr_open(NULL);
    tsr_archive *archive = tsr_archive_open(ctx, FILES "types.safetensors");
    CHECK_EQUAL(tsr_archive_count(archive), 16);
    for (int n = 0; n < 6; n++) {
        char name[32];
        snprintf(name, sizeof name, "%s.value", names[n]);
        const int i = tsr_archive_find(archive, names[n]);
        tsr_tensor *ours = tsr_archive_tensor(archive, i);
        tsr_tensor *theirs = tsr_archive_tensor(archive, tsr_archive_find(archive, name));
        CHECK(!tsr_error(ctx));
        CHECK_TEXT(tsr_archive_type(archive, i), types[n]);
        CHECK(tsr_same_shape(tsr_archive_shape(archive, i), tsr_shape_of(ours)));
        CHECK(tsr_same_shape(tsr_shape_of(ours), tsr_shape_of(theirs)));
        for (int64_t k = 0; k < tsr_size(ours); k++)
            CHECK(same_number(tsr_data(ours)[k], tsr_data(theirs)[k]));
    }
    tsr_tensor *t = tsr_archive_tensor(archive, tsr_archive_find(archive, "double"));
    CHECK(tsr_data(t)[0] == (tsr_real)0.1 && tsr_data(t)[1] == (tsr_real)-1.5e-300);
    CHECK_EQUAL(tsr_item(tsr_archive_tensor(archive, tsr_archive_find(archive, "scalar"))), -7);
    t = tsr_archive_tensor(archive, tsr_archive_find(archive, "empty"));
    CHECK(tsr_size(t) == 0 && tsr_rank(t) == 3 && tsr_dim(t, 0) == 3);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(safetensors_unescapes_names_and_metadata)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_archive *archive = tsr_archive_open(ctx, FILES "types.safetensors");
    CHECK_TEXT(tsr_archive_name(archive, 0), "half");
    CHECK_TEXT(tsr_archive_name(archive, 15), "a \"quoted\"\\ \t\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80");
    CHECK_EQUAL(tsr_item(tsr_archive_tensor(archive, 15)), 42);
    CHECK_TEXT(tsr_archive_metadata(archive, "format"), "pt");
    CHECK_TEXT(tsr_archive_metadata(archive, "\xc3\xbc"), "two\nlines \xf0\x9f\x98\x80");
    CHECK(!tsr_archive_metadata(archive, "forma"));
    CHECK(!tsr_archive_metadata(archive, "pt"));
    const char *key = NULL;
    CHECK_TEXT(tsr_archive_text_at(archive, 0, &key), "pt");
    CHECK_TEXT(key, "format");
    CHECK_TEXT(tsr_archive_text_at(archive, 1, &key), "two\nlines \xf0\x9f\x98\x80");
    CHECK_TEXT(key, "\xc3\xbc");
    CHECK(!tsr_archive_text_at(archive, 2, &key) && !tsr_archive_text_at(archive, -1, &key));
    CHECK_EQUAL(tsr_archive_find(archive, "halF"), -1);
    CHECK_EQUAL(tsr_archive_find(archive, ""), -1);
    for (int i = 0; i < tsr_archive_count(archive); i++)
        CHECK_EQUAL(tsr_archive_find(archive, tsr_archive_name(archive, i)), i);
    tsr_close(ctx);
}

TEST(safetensors_accepts_files_without_tensors_and_any_order_of_ranges)
{
    const char *path = test_path("order");
    write_archive(path, "{}", 2, 0);
    CHECK_TEXT(archive_refusal(path), "");
    write_archive(path, " { \"__metadata__\" : { } }\t\n  ", 29, 0);
    CHECK_TEXT(archive_refusal(path), "");
    const char *header =
        "{\"b\":{\"data_offsets\":[4,6],\"shape\":[2],\"dtype\":\"U8\"},\"none\":{\"dtype\":\"F32\","
        "\"shape\":"
        "[0],\"data_offsets\":[4,4]},\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    write_archive(path, header, strlen(header), 6);
    CHECK_TEXT(archive_refusal(path), "");
    tsr_context *ctx = tsr_open(NULL);
    tsr_archive *archive = tsr_archive_open(ctx, path);
    CHECK_TEXT(tsr_archive_name(archive, 0), "b");
    CHECK_TEXT(tsr_archive_name(archive, 2), "a");
    tsr_close(ctx);
}

/* ---- refusing ------------------------------------------------------------------------------------------ */

#define ONE(fields) "{\"w\":{" fields "}}"
#define NAMED(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}"
#define TWO(first, second)                                                                                   \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":" first                                         \
    "},\"b\":{\"dtype\":\"U8\",\"shape\":[2],"                                                               \
    "\"data_offsets\":" second "}}"
#define SHAPE(shape) ONE("\"dtype\":\"U8\",\"shape\":" shape ",\"data_offsets\":[0,4]")
#define OFFSETS(offsets) ONE("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" offsets)

/* Each with four bytes of values. */
static const struct {
    const char *header, *message;
} hostile[] = {
    /* ranges */
    {OFFSETS("[0,5]"), "'w' ends at byte 5, but there are 4 of values; is the file cut off?"},
    {OFFSETS("[9223372036854775803,9223372036854775807]"), "'w' ends at byte 9223372036854775807, but"},
    {OFFSETS("[4,0]"), "'w' ends at byte 0, before it begins (4)"},
    {OFFSETS("[0,3]"), "'w': 3 bytes do not hold [4] of type U8"},
    {OFFSETS("[0]"), "'w': data_offsets are not two numbers"},
    {OFFSETS("[0,1,2]"), "'w': data_offsets are not two numbers"},
    {ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"),
     "'w': 4 bytes do not hold [2] of type F32"},
    {ONE("\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,3]"),
     "'w': 3 bytes do not hold [1] of type F16"},
    {ONE("\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[1,4]"),
     "bytes 0 to 1 of the values belong to no tensor"},
    {ONE("\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]"),
     "bytes 3 to 4 of the values belong to no tensor"},
    {"{}", "bytes 0 to 4 of the values belong to no tensor"},
    {TWO("[0,2]", "[1,3]"), "'a' and 'b' share bytes"},
    {TWO("[2,4]", "[2,4]"), "bytes 0 to 2 of the values belong to no tensor"},
    {TWO("[0,2]", "[0,2]"), "share bytes"},
    /* shapes */
    {SHAPE("[4294967296,4294967296]"), "'w': the shape [4294967296, 4294967296] is too large"},
    {SHAPE("[9223372036854775807]"), "'w': the shape [9223372036854775807] is too large"},
    {SHAPE("[1,1,1,1,1,1,1,4,1]"), "'w' has more than 8 dimensions"},
    {SHAPE("4"), "header, byte 27: expected '['"},
    {SHAPE("[4,]"), "header, byte 30: expected a whole number from 0 to 2^63 - 1"},
    {SHAPE("[,4]"), "expected a whole number"},
    {SHAPE("[2 2]"), "header, byte 30: expected ',' or ']'"},
    {SHAPE("[[[[[[[[[[[[4]]]]]]]]]]]]"), "header, byte 28: expected a whole number"},
    /* numbers */
    {SHAPE("[-4]"), "header, byte 28: expected a whole number"},
    {SHAPE("[1e99]"), "expected a whole number"},
    {SHAPE("[4E0]"), "expected a whole number"},
    {SHAPE("[4.0]"), "expected a whole number"},
    {SHAPE("[04]"), "expected a whole number"},
    {SHAPE("[9223372036854775808]"), "expected a whole number"},
    {SHAPE("[99999999999999999999999999]"), "expected a whole number"},
    {SHAPE("[0x4]"), "expected ',' or ']'"},
    {SHAPE("[\"4\"]"), "expected a whole number"},
    {SHAPE("[null]"), "expected a whole number"},
    /* fields and names */
    {ONE("\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[0,4]"),
     "'w' has type 'I16', which is none of F64, F32, F16, BF16, I64, I32, U8"},
    {ONE("\"dtype\":\"U8\",\"shape\":[4]"), "'w' lacks one of dtype, shape, data_offsets"},
    {ONE(""), "'w' lacks one of dtype, shape, data_offsets"},
    {ONE("\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]"), "'w' has 'dtype' twice"},
    {ONE("\"shape\":[4],\"shape\":[4],\"dtype\":\"U8\",\"data_offsets\":[0,4]"), "'w' has 'shape' twice"},
    {ONE("\"dtype\":\"U8\",\"strides\":[1]"), "'w' has an unknown field 'strides'"},
    {ONE("\"dtype\":{}"), "header, byte 14: expected a string"},
    {"{\"w\":[]}", "header, byte 5: expected '{'"},
    {"{\"w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"w\":{\"dtype\":\"U8\",\"shape\":[0],"
     "\"data_offsets\":[4,4]}}",
     "has two tensors named 'w'"},
    {"{\"w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},\"\\u0077\":{\"dtype\":\"U8\",\"shape\":"
     "[0],"
     "\"data_offsets\":[4,4]}}",
     "has two tensors named 'w'"},
    {"{\"__metadata__\":{\"a\":1}}", "header, byte 21: expected a string"},
    {"{\"__metadata__\":[]}", "header, byte 16: expected '{'"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", "has __metadata__ twice"},
    {"{\"__metadata__\":{\"checksum\":\"crc64:\"},\"w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,"
     "4]}}",
     "is damaged: the checksum of its values is crc64:"},
    /* strings */
    {NAMED("\xff"), "header, byte 2: expected valid UTF-8"},
    {NAMED("\xc0\x80"), "expected valid UTF-8"},
    {NAMED("\xc1\xbf"), "expected valid UTF-8"},
    {NAMED("\xe0\x80\x80"), "expected valid UTF-8"},
    {NAMED("\xed\xa0\x80"), "expected valid UTF-8"},
    {NAMED("\xf4\x90\x80\x80"), "expected valid UTF-8"},
    {NAMED("\xe2\x82"), "expected valid UTF-8"},
    {NAMED("\x80"), "expected valid UTF-8"},
    {NAMED("\xf8\x90\x80\x80"), "expected valid UTF-8"},
    {NAMED("a\nb"), "header, byte 3: expected no control character inside a string"},
    {NAMED("\\x41"), "header, byte 3: expected an escape that JSON knows"},
    {NAMED("\\u12g4"), "expected four hexadecimal digits"},
    {NAMED("\\u0000"), "expected an escape of a character other than NUL"},
    {NAMED("\\ud800"), "expected an escape of a character other than NUL"},
    {NAMED("\\ud800\\u0041"), "expected an escape of a character other than NUL"},
    {NAMED("\\udc00"), "expected an escape of a character other than NUL"},
    /* the frame */
    {"", "header, byte 0: expected '{'"},
    {"[]", "header, byte 0: expected '{'"},
    {"{\"w", "header, byte 3: expected the end of a string"},
    {"{\"w\\", "header, byte 4: expected an escape that JSON knows"},
    {"{\"w\"", "header, byte 4: expected ':'"},
    {"{\"w\":", "header, byte 5: expected '{'"},
    {"{w:1}", "header, byte 1: expected a string"},
    {NAMED("w") "x", "expected nothing more"},
    {NAMED("w") "{}", "expected nothing more"},
    {"{\"w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}", "expected ',' or '}'"},
};

TEST(safetensors_refuses_each_hostile_header_with_its_message)
{
    const char *path = test_path("hostile");
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        write_archive(path, hostile[i].header, strlen(hostile[i].header), 4);
        CHECK_CONTAINS(archive_refusal(path), hostile[i].message);
    }
    write_archive(path, "{}\0", 3, 0);
    CHECK_CONTAINS(archive_refusal(path), "header, byte 2: expected nothing more");
}

TEST(json_numbers_are_what_json_says_they_are)
{
    static const struct {
        const char *text;
        double value; /* NaN: none */
    } cases[] = {{"0", 0}, {" -0.5e-1", -0.05}, {"12.25", 12.25}, {"1E+3", 1000}, {"5,", 5}, {"01", NAN}, {".5", NAN},
                 {"1.", NAN}, {"1e", NAN}, {"+1", NAN}, {"-", NAN}, {"1e999", NAN}, {"nan", NAN}, {"0x10", 0}, {"", NAN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        double value = -1;
        snprintf(text, sizeof text, "%s", cases[i].text);
        tsr_json json = tsr_json_begin(text, strlen(text));
        CHECK_EQUAL(tsr_json_number(&json, &value), !isnan(cases[i].value));
        if (!isnan(cases[i].value)) CHECK_EQUAL(value, cases[i].value);
    }
    char longest[150];
    double value;
    memset(longest, '1', sizeof longest);
    longest[1] = '.';
    for (size_t length = 98; length <= 99; length++) {
        tsr_json json = tsr_json_begin(longest, length);
        CHECK_EQUAL(tsr_json_number(&json, &value), length == 98);
    }
}

TEST(json_takes_nothing_that_lies_behind_the_end_of_its_text)
{
    static const char whole[] = "\"\xf0\x9f\x98\x80\\ud83d\\ude00\\n\"12345";
    for (size_t n = 0; n < 20; n++) { /* the string has 20 bytes */
        char text[sizeof whole];
        memcpy(text, whole, sizeof whole);
        tsr_json json = tsr_json_begin(text, n);
        CHECK(!tsr_json_string(&json) && json.at <= json.end);
    }
    char text[sizeof whole];
    memcpy(text, whole, sizeof whole);
    tsr_json json = tsr_json_begin(text, 22);
    CHECK_TEXT(tsr_json_string(&json), "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\n");
    int64_t value = 0;
    CHECK(tsr_json_count(&json, &value) && value == 12 && tsr_json_finish(&json));
}

TEST(safetensors_refuses_a_header_longer_than_the_file_or_the_limit)
{
    const char *path = test_path("length");
    write_bytes(path, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    CHECK_CONTAINS(archive_refusal(path), "a header of 18446744073709551615 bytes in 10");
    write_bytes(path, "\x03\0\0\0\0\0\0\0{}", 10);
    CHECK_CONTAINS(archive_refusal(path), ": is cut off or no safetensors file: a header of 3 bytes in 10");
    write_bytes(path, "", 0);
    CHECK_CONTAINS(archive_refusal(path), ": is no safetensors file: it has 0 bytes");
    write_bytes(path, "\x01\0\0\0", 4);
    CHECK_CONTAINS(archive_refusal(path), ": is no safetensors file: it has 4 bytes");

    FILE *file = fopen(path, "wb"); /* a hole of 100 MB costs nothing on most systems */
    CHECK(file && fwrite("\x01\xe1\xf5\x05\0\0\0\0", 1, 8, file) == 8 &&
          fseek(file, 100000010, SEEK_SET) == 0);
    CHECK(fputc(0, file) == 0 && fclose(file) == 0);
    CHECK_CONTAINS(archive_refusal(path),
                   ": its header of 100000001 bytes is longer than the 100000000 that are accepted");
    remove(path);
}

TEST(safetensors_names_the_file_that_cannot_be_opened)
{
    CHECK_CONTAINS(archive_refusal("build/test-tmp/no-such-file"), ": cannot be opened: ");
    CHECK(archive_refusal("tests")[0] != '\0');
    char path[600];
    memset(path, 'x', sizeof path);
    memcpy(path, "a\n", 2);
    memcpy(path + 580, "/the-end", 9);
    CHECK_CONTAINS(archive_refusal(path), "xxx/the-end: cannot be opened: ");
    CHECK_CONTAINS(archive_refusal("a\nb"), "a?b: cannot be opened: ");
}

TEST(safetensors_puts_hostile_names_on_one_line_without_control_characters)
{
    const char *path = test_path("names");
    const char *header = "{\"a\\n\\u001b[31m\":{\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[0,4]}}";
    write_archive(path, header, strlen(header), 4);
    CHECK_CONTAINS(archive_refusal(path), "'a??[31m' has type 'I16'");
    char text[600], *at = text;
    at += sprintf(at, "{\"");
    for (int i = 0; i < 200; i++) at += sprintf(at, "\xc3\xbc");
    at += sprintf(at, "tail\":{\"dtype\":\"I16\"}}");
    write_archive(path, text, strlen(text), 4);
    CHECK_CONTAINS(archive_refusal(path), "'...\xc3\xbc");
    CHECK_CONTAINS(archive_refusal(path), "\xc3\xbctail' has type 'I16'");
}

TEST(safetensors_leaves_checksums_of_others_alone)
{
    const char *path = test_path("foreign");
    const char *header = "{\"__metadata__\":{\"checksum\":\"d41d8cd98f00b204\"}}";
    write_archive(path, header, strlen(header), 0);
    CHECK_TEXT(archive_refusal(path), "");
}

TEST(crc64_has_the_published_check_value_however_it_is_cut)
{
    tsr_crc64 crc;
    for (size_t cut = 0; cut <= 9; cut++) {
        tsr_crc64_begin(&crc);
        tsr_crc64_add(&crc, "123456789", cut);
        tsr_crc64_add(&crc, &"123456789"[cut], 9 - cut);
        CHECK(tsr_crc64_value(&crc) == UINT64_C(0x995dc9bbdf1939fa));
    }
    tsr_crc64_begin(&crc);
    CHECK(tsr_crc64_value(&crc) == 0);
}

TEST(safetensors_misuse_is_an_error_or_nothing_but_no_crash)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_archive *archive = tsr_archive_open(ctx, FILES "types.safetensors");
    CHECK(!tsr_archive_name(archive, 16) && !tsr_archive_name(archive, -1) && !tsr_archive_type(archive, 16));
    CHECK_EQUAL(tsr_archive_shape(archive, -1).rank, 0);
    CHECK(tsr_is_error(tsr_archive_tensor(archive, tsr_archive_find(archive, "no such"))));
    CHECK_TEXT(tsr_error(ctx), FILES "types.safetensors: holds 16 tensors, there is no tensor -1");
    CHECK(tsr_is_error(tsr_archive_tensor(archive, 0)));
    CHECK(!tsr_archive_open(ctx, FILES "types.safetensors"));
    tsr_clear_error(ctx);
    CHECK(!tsr_archive_open(ctx, NULL));
    CHECK_TEXT(tsr_error(ctx), "archive: the path is NULL");
    tsr_clear_error(ctx);
    CHECK(!tsr_archive_save(ctx, NULL, NULL));
    tsr_clear_error(ctx);

    CHECK(!tsr_archive_open(NULL, "x") && !tsr_archive_save(NULL, "x", NULL));
    CHECK(tsr_archive_count(NULL) == 0 && tsr_archive_find(NULL, "x") == -1 &&
          !tsr_archive_metadata(NULL, "x"));
    CHECK(!tsr_archive_tensor(NULL, 0));
    tsr_archive_close(NULL);
    tsr_archive *second = tsr_archive_open(ctx, FILES "types.safetensors");
    tsr_archive *third = tsr_archive_open(ctx, FILES "types.safetensors");
    CHECK(second && third);
    tsr_archive_close(second); /* the others close with the context */
    CHECK_EQUAL(tsr_item(tsr_archive_tensor(third, 15)), 42);
    CHECK_EQUAL(tsr_close(ctx), 0);
}
