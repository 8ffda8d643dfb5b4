/* Decoders beside reference decoders: image_files.py made the files and pictures in image_files.safetensors. */
#include "apps/common/bytes.h"
#include "apps/common/image_formats.h"
#include "apps/common/inflate.h"

#include <stdlib.h>
#include <string.h>

#include "tests/apps/files.h"
#include "tests/apps/pictures.h"
#include "tests/apps/stored.h"
#include "tests/test.h"
#include "tessera.h"

#define STORED "tests/known-answers/image_files.safetensors"

static bool open_stored(stored *s)
{
    return stored_open(s, STORED, ".pixels");
}

/* The largest difference from the reference, or 999: another size or channels. Adds to *sum and *values. */
static int difference(const stored *s, const image *p, double *sum, double *values)
{
    const tsr_shape shape = tsr_shape_of(s->content);
    int largest = 0;
    if (shape.dims[0] != p->height || shape.dims[1] != p->width || shape.dims[2] != p->channels) return 999;
    for (int64_t i = 0; i < tsr_size(s->content); i++) {
        const int d = abs((int)tsr_data(s->content)[i] - p->pixels[i]);
        if (d > largest) largest = d;
        *sum += d;
    }
    *values += (double)tsr_size(s->content);
    return largest;
}

/* Decodes all of a kind; how many, with the largest and the mean difference; -1: not all. */
static int decode_all(const char *begin, int *largest, double *mean)
{
    stored s;
    double sum = 0, values = 0;
    int files = 0;
    *largest = 0;
    if (!open_stored(&s)) files = -1;
    while (files >= 0 && next_stored(&s, begin)) {
        image p;
        app_error error = {""};
        const bool done = image_decode(&p, s.bytes, s.count, NULL, &error);
        const int d = done ? difference(&s, &p, &sum, &values) : 999;
        image_free(&p);
        files++;
        if (d > *largest) *largest = d;
        if (d < 999) continue;
        printf("    %s: %s\n", s.name, done ? "another size" : error.text);
        files = -1;
    }
    *mean = values > 0 ? sum / values : 0;
    close_stored(&s);
    return files;
}

TEST(image_decodes_jpeg_as_libjpeg_does)
{
    int largest;
    double mean;
    CHECK_EQUAL(decode_all("jpeg_", &largest, &mean), 58);
    CHECK(mean <= 0.001);
    CHECK(largest <= 1);
}

TEST(image_decodes_png_and_bmp_exactly)
{
    int largest;
    double mean;
    CHECK_EQUAL(decode_all("png_", &largest, &mean), 42);
    CHECK_EQUAL(largest, 0);
    CHECK_EQUAL(decode_all("bmp_", &largest, &mean), 16);
    CHECK_EQUAL(largest, 0);
}

/* ---- broken files -------------------------------------------------------------------------------------- */

TEST(image_refuses_files_cut_anywhere)
{
    stored s;
    CHECK(open_stored(&s));
    int whole = 0;
    while (next_stored(&s, ""))
        for (size_t count = 0; count < s.count; count++) {
            image p;
            app_error error = {""};
            unsigned char *part = malloc(count + 1);
            memcpy(part + 1, s.bytes, count); /* ends where the memory does */
            const bool done = image_decode(&p, part + 1, count, NULL, &error);
            double sum = 0, values = 0;
            /* What lacks only an end, a checksum, or padding that nobody reads is a picture still. */
            const bool good = done ? s.count - count <= 12 && difference(&s, &p, &sum, &values) <= 1 : error.text[0] != '\0';
            whole += done;
            image_free(&p);
            free(part);
            if (!good) printf("    %s cut to %zu: %s\n", s.name, count, done ? "another picture" : "no message");
            CHECK(good);
        }
    close_stored(&s);
    CHECK(whole > 0);
}

static void put_big32(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) to[i] = (unsigned char)(value >> (24 - 8 * i));
}

static size_t put_chunk(unsigned char *to, const char *type, const unsigned char *data, size_t size)
{
    put_big32(to, (uint32_t)size);
    memcpy(to + 4, type, 4);
    memcpy(to + 8, data, size);
    put_big32(to + 8 + size, bytes_crc32(0, to + 4, size + 4));
    return size + 12;
}

/* Makes a PNG's checksums right, so that damage is met behind them; leaves other files as they are. */
static void repair(unsigned char *bytes, size_t count)
{
    if (!png_recognised(bytes, count)) return;
    for (size_t at = 8; count - at >= 12;) {
        const size_t size = bytes_big32(bytes + at);
        if (size > count - at - 12) return;
        put_big32(bytes + at + 8 + size, bytes_crc32(0, bytes + at + 4, size + 4));
        at += size + 12;
    }
}

/* Whatever comes out, nothing else may happen; the sanitizers look on. */
TEST(image_survives_every_damaged_byte)
{
    stored s;
    CHECK(open_stored(&s));
    int refused = 0;
    while (next_stored(&s, ""))
        for (size_t i = 0; i < s.count; i++) {
            static const unsigned char damage[] = {0xFF, 0x01, 0x80};
            image p;
            app_error error = {""};
            unsigned char *damaged = malloc(s.count);
            memcpy(damaged, s.bytes, s.count);
            damaged[i] ^= damage[i % 3];
            repair(damaged, s.count);
            if (!image_decode(&p, damaged, s.count, NULL, &error)) refused++;
            image_free(&p);
            free(damaged);
        }
    close_stored(&s);
    CHECK(refused > 0);
}

/* Scans that bring nothing new would let a small file ask for any amount of work. */
TEST(image_refuses_a_jpeg_scan_that_comes_twice)
{
    stored s;
    CHECK(open_stored(&s) && next_stored(&s, "jpeg_grey_progressive"));
    size_t at = s.count;
    for (size_t i = 0; i + 1 < s.count; i++)
        if (s.bytes[i] == 0xFF && s.bytes[i + 1] == 0xDA) at = i; /* the last scan, a refinement */
    const size_t scan = s.count - 2 - at, count = s.count + scan;
    unsigned char *twice = malloc(count);
    memcpy(twice, s.bytes, s.count - 2);
    memcpy(twice + s.count - 2, s.bytes + at, scan + 2);
    image p;
    app_error error = {""};
    const bool done = image_decode(&p, twice, count, NULL, &error);
    image_free(&p);
    free(twice);
    close_stored(&s);
    CHECK(!done);
    CHECK_TEXT(error.text, "has a bad scan header");
}

TEST(image_believes_no_header_of_a_small_file)
{
    static const struct {
        const char *bytes, *problem;
        size_t count;
    } cases[] = {
#define CASE(bytes, problem) {bytes, problem, sizeof bytes - 1}
        /* 8000 x 8000, with the checksums that belong to it */
        CASE("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x1f\x40\0\0\x1f\x40\x08\0\0\0\0\x23\x9a\xf2\x28\0\0\0\0IEND\xae\x42\x60\x82",
             "is truncated"),
        CASE("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\0\0\0\0\0\0\0\0", "checksum"),
        CASE("\xff\xd8\xff\xc0\0\x0b\x08\xea\x60\xea\x60\x01\x01\x11\0\xff\xd9", "too large a size"),
        CASE("\xff\xd8\xff\xc0\0\x0b\x08\x1f\x40\x1f\x40\x01\x01\x11\0\xff\xd9", "is truncated"),
        CASE("BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x60\xea\0\0\x60\xea\0\0\1\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
             "too large a size"),
        CASE("BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
             "is truncated"),
        CASE("BM\0\0\0\0\0\0\0\0\x3a\0\0\0\x28\0\0\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
             "\0\0\0\0\0\1", "is truncated"),
        CASE("GIF89a", "is not a picture in JPEG, PNG, PNM or BMP format"),
        CASE("", "is empty"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image p;
        app_error error = {""};
        CHECK(!image_decode(&p, (const unsigned char *)cases[i].bytes, cases[i].count, NULL, &error));
        CHECK_CONTAINS(error.text, cases[i].problem);
    }
}

/* One grey pixel, its checksums right, and one thing wrong. */
TEST(image_refuses_png_with_right_checksums_and_wrong_content)
{
    static const struct {
        const char *extra, *problem; /* a chunk besides those that must be */
        unsigned char header[5], filter, rows;
    } cases[] = {{NULL, "", {8, 0, 0, 0, 0}, 4, 1},
                 {"abCd", "", {8, 0, 0, 0, 0}, 0, 1},
                 {"ABCD", "holds a critical chunk of an unknown kind", {8, 0, 0, 0, 0}, 0, 1},
                 {NULL, "has a bad filter", {8, 0, 0, 0, 0}, 5, 1},
                 {NULL, "holds more than it should", {8, 0, 0, 0, 0}, 0, 2},
                 {NULL, "holds less than it should", {8, 0, 0, 0, 0}, 0, 0},
                 {NULL, "lacks a palette", {8, 3, 0, 0, 0}, 0, 1},
                 {"PLTE", "has a bad palette", {8, 3, 0, 0, 0}, 0, 1},
                 {NULL, "has a bad header", {3, 0, 0, 0, 0}, 0, 1},
                 {NULL, "has a bad header", {4, 2, 0, 0, 0}, 0, 1},
                 {NULL, "has a bad header", {8, 1, 0, 0, 0}, 0, 1},
                 {NULL, "has a bad header", {8, 7, 0, 0, 0}, 0, 1},
                 {NULL, "has a bad header", {8, 0, 1, 0, 0}, 0, 1},
                 {NULL, "has a bad header", {8, 0, 0, 1, 0}, 0, 1},
                 {NULL, "has a bad header", {8, 0, 0, 0, 2}, 0, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char file[200] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'}, header[13] = {[3] = 1, [7] = 1};
        const unsigned char rows[4] = {cases[i].filter, 77, 0, 0};
        size_t packed_size, count = 8;
        unsigned char *packed = deflate_zlib(rows, 2u * cases[i].rows, &packed_size);
        CHECK(packed && packed_size < 50);
        memcpy(header + 8, cases[i].header, 5);
        count += put_chunk(file + count, "IHDR", header, 13);
        if (cases[i].extra) count += put_chunk(file + count, cases[i].extra, header, 13);
        count += put_chunk(file + count, "IDAT", packed, packed_size);
        count += put_chunk(file + count, "IEND", header, 0);
        free(packed);
        image p;
        app_error error = {""};
        const bool done = image_decode(&p, file, count, NULL, &error);
        const bool right = done && p.pixels[0] == 77;
        image_free(&p);
        CHECK_TEXT(error.text, cases[i].problem);
        CHECK(right == (cases[i].problem[0] == '\0'));
    }
}

TEST(image_tells_what_a_file_says_of_its_picture)
{
    static const struct {
        const char *name, *format, *detail;
        int orientation;
    } cases[] = {{"jpeg_turned_6", "JPEG", "sequential", 6}, {"jpeg_grey_progressive", "JPEG", "progressive", 1},
                 {"png_3_4_interlaced", "PNG", "interlaced", 1}, {"png_turned_6", "PNG", "plain", 6},
                 {"bmp_runs_8", "BMP", "runs", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stored s;
        image p;
        image_about about;
        app_error error = {""};
        CHECK(open_stored(&s) && next_stored(&s, cases[i].name));
        const bool done = image_decode(&p, s.bytes, s.count, &about, &error);
        image_free(&p);
        close_stored(&s);
        CHECK(done);
        CHECK_TEXT(about.format, cases[i].format);
        CHECK_TEXT(about.detail, cases[i].detail);
        CHECK_EQUAL(about.orientation, cases[i].orientation);
    }
}

/* ---- writing ------------------------------------------------------------------------------------------- */

typedef unsigned char painter(int i);

static unsigned char flat(int i) { return (unsigned char)(i * 0 + 77); }
static unsigned char noise(int i)
{
    unsigned value = (unsigned)i * 2654435761u;
    value = (value ^ value >> 15) * 2246822519u;
    return (unsigned char)(value >> 13);
}
static unsigned char stripes(int i) { return (unsigned char)(i / 7 % 2 * 200); }
static unsigned char ramp(int i) { return (unsigned char)(i / 40); }

TEST(image_reads_what_it_writes)
{
    static painter *const painters[] = {flat, noise, stripes, ramp};
    static const int sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {300, 260}};
    static const char *const names[] = {"written.png", "written.pnm"};
    for (size_t i = 0; i < 4 * 4 * 2 * 2; i++) {
        const int *size = sizes[i % 4], channels = i / 4 % 2 ? 3 : 1;
        const char *path = test_path(names[i / 8 % 2]);
        app_error error = {""};
        image p, back;
        CHECK(image_new(&p, size[0], size[1], channels, &error));
        const int bytes = p.width * p.height * channels;
        for (int k = 0; k < bytes; k++) p.pixels[k] = painters[i / 16](k);
        const bool done = image_write(&p, path, &error) && image_read(&back, path, NULL, &error);
        const bool same = done && back.width == p.width && back.height == p.height && back.channels == channels &&
                          memcmp(back.pixels, p.pixels, (size_t)bytes) == 0;
        image_free(&p);
        if (done) image_free(&back);
        CHECK_TEXT(error.text, "");
        CHECK(same);
    }
}

TEST(deflate_packs_what_repeats)
{
    enum { COUNT = 200000 };
    static unsigned char bytes[COUNT], back[COUNT];
    painter *const painters[] = {flat, noise, stripes, ramp};
    const size_t most[] = {400, COUNT + COUNT / 400, 2000, 6000}; /* zlib at level 6: 212, 200071, 410, 1370 */
    for (int kind = 0; kind < 4; kind++) {
        size_t size;
        for (int i = 0; i < COUNT; i++) bytes[i] = painters[kind](i);
        unsigned char *packed = deflate_zlib(bytes, COUNT, &size);
        CHECK(packed);
        const char *problem = inflate_zlib(packed, size, back, COUNT);
        const char *less = inflate_zlib(packed, size, back, COUNT - 1);
        free(packed);
        CHECK(!problem);
        CHECK_TEXT(less, "holds more than it should");
        CHECK(memcmp(bytes, back, COUNT - 1) == 0);
        CHECK(size <= most[kind]);
    }
}
