/* apps/common/archive.c beside Python's gzip and zipfile: archive_files.py made archive_files.safetensors. */
#include "apps/common/archive.h"

#include "apps/common/bytes.h"
#include "apps/common/image.h"

#include "tests/apps/stored.h"
#include "tests/test.h"

#define STORED "tests/known-answers/archive_files.safetensors"
#define OMNIGLOT "../shared/data/omniglot_small1/images_background_small1.zip"

static bool same_bytes(const unsigned char *bytes, size_t size, const tsr_tensor *expected)
{
    bool same = (int64_t)size == tsr_size(expected);
    for (size_t i = 0; same && i < size; i++) same = bytes[i] == tsr_data(expected)[i];
    return same;
}

/* All members one after the other, in new memory. */
static bool unpack_all(unsigned char **out, size_t *size, const unsigned char *bytes, size_t count, app_error *error)
{
    zip_archive zip;
    *out = NULL;
    *size = 0;
    bool good = zip_open(&zip, bytes, count, error);
    for (int i = 0; good && i < zip.member_count; i++) {
        unsigned char *part;
        const size_t more = zip.members[i].size;
        if (!(good = zip_unpack(&zip, i, &part, error))) break;
        unsigned char *larger = realloc(*out, *size + more + 1);
        if ((good = larger != NULL)) {
            memcpy(larger + *size, part, more);
            *out = larger;
            *size += more;
        }
        free(part);
    }
    zip_close(&zip);
    return good;
}

typedef bool unpacker(unsigned char **out, size_t *size, const unsigned char *bytes, size_t count, app_error *error);

static const struct {
    const char *begin;
    unpacker *unpack;
} kinds[] = {{"archive_gzip_", gzip_unpack}, {"archive_zip_", unpack_all}};

TEST(archive_unpacks_what_python_packs)
{
    int files = 0;
    for (int kind = 0; kind < 2; kind++) {
        stored s;
        CHECK(stored_open(&s, STORED, ".bytes"));
        while (next_stored(&s, kinds[kind].begin)) {
            unsigned char *bytes;
            size_t size;
            app_error error = {""};
            const bool same = kinds[kind].unpack(&bytes, &size, s.bytes, s.count, &error) &&
                              same_bytes(bytes, size, s.content);
            free(bytes);
            if (!same) printf("    %s: %s\n", s.name, error.text);
            CHECK(same);
            files++;
        }
        close_stored(&s);
    }
    CHECK_EQUAL(files, 15);
}

TEST(archive_lists_members_by_name)
{
    stored s;
    zip_archive zip;
    app_error error = {""};
    CHECK(stored_open(&s, STORED, ".bytes") && next_stored(&s, "archive_zip_deflated"));
    CHECK(zip_open(&zip, s.bytes, s.count, &error));
    CHECK_EQUAL(zip.member_count, 4);
    CHECK_TEXT(zip.members[0].name, "folder/");
    CHECK_EQUAL(zip_find(&zip, "folder/a.txt"), 1);
    CHECK_EQUAL(zip_find(&zip, "\xC3\xBC.bin"), 3);
    CHECK_EQUAL(zip_find(&zip, "a.txt"), -1);
    CHECK_EQUAL(zip.members[1].size, tsr_size(s.content) / 2);
    zip_close(&zip);
    close_stored(&s);
}

/* ---- broken files -------------------------------------------------------------------------------------- */

TEST(archive_refuses_files_cut_anywhere)
{
    int whole = 0;
    for (int kind = 0; kind < 2; kind++) {
        stored s;
        CHECK(stored_open(&s, STORED, ".bytes"));
        while (next_stored(&s, kinds[kind].begin))
            for (size_t cut = 0; cut < s.count; cut++) {
                unsigned char *bytes, *part = malloc(cut + 1);
                size_t size;
                app_error error = {""};
                memcpy(part + 1, s.bytes, cut); /* ends where the memory does */
                const bool done = kinds[kind].unpack(&bytes, &size, part + 1, cut, &error);
                /* Members may be missing, and zeros. */
                const bool good = done ? strstr(s.name, "_members") || strstr(s.name, "_zeros") : error.text[0] != '\0';
                whole += done;
                free(bytes);
                free(part);
                if (!good) printf("    %s cut to %zu\n", s.name, cut);
                CHECK(good);
            }
        close_stored(&s);
    }
    CHECK_EQUAL(whole, 2 + 20);
}

/* What comes out is what was packed, wherever the damage is: all of it is under a checksum. */
TEST(archive_finds_every_damaged_byte)
{
    for (int kind = 0; kind < 2; kind++) {
        stored s;
        int refused = 0;
        CHECK(stored_open(&s, STORED, ".bytes"));
        while (next_stored(&s, kinds[kind].begin))
            for (size_t i = 0; i < s.count; i++) {
                static const unsigned char damage[] = {0xFF, 0x01, 0x80};
                unsigned char *bytes;
                size_t size;
                app_error error = {""};
                s.bytes[i] ^= damage[i % 3];
                const bool done = kinds[kind].unpack(&bytes, &size, s.bytes, s.count, &error);
                const bool good = done ? same_bytes(bytes, size, s.content) : error.text[0] != '\0';
                refused += !done;
                s.bytes[i] ^= damage[i % 3];
                free(bytes);
                if (!good) printf("    %s damaged at %zu: %s\n", s.name, i, done ? "other bytes" : "no message");
                CHECK(good);
            }
        close_stored(&s);
        CHECK(refused > 0);
    }
}

/* Writes `value` over so many bytes of the stored deflated zip and says what is wrong with it. */
static const char *zip_refusal(size_t at, size_t bytes, uint32_t value)
{
    static app_error error;
    stored s;
    unsigned char *out;
    size_t size;
    error.text[0] = '\0';
    if (!stored_open(&s, STORED, ".bytes") || !next_stored(&s, "archive_zip_deflated")) return "nothing is stored";
    const size_t end = s.count - 22, directory = bytes_little32(s.bytes + end + 16);
    unsigned char *p = s.bytes + (at < 100 ? directory + at : end + (at - 100));
    for (size_t i = 0; i < bytes; i++) p[i] = (unsigned char)(value >> 8 * i);
    if (unpack_all(&out, &size, s.bytes, s.count, &error)) error.text[0] = '\0';
    free(out);
    close_stored(&s);
    return error.text;
}

TEST(zip_believes_no_number_of_a_directory)
{
    enum { END = 100 }; /* fields of the end; else of the first entry, that of a folder */
    CHECK_TEXT(zip_refusal(0, 0, 0), "");
    CHECK_CONTAINS(zip_refusal(END + 4, 2, 1), "several parts");
    CHECK_CONTAINS(zip_refusal(END + 8, 4, 0xFFFFFFFF), "zip64");
    CHECK_CONTAINS(zip_refusal(END + 8, 4, 0xFFFEFFFE), "is damaged (its directory)");
    CHECK_CONTAINS(zip_refusal(END + 12, 4, 4 * 46), "is damaged (member 4)");
    CHECK_CONTAINS(zip_refusal(END + 12, 4, 0xFFFFFFFE), "is damaged (its directory)");
    CHECK_CONTAINS(zip_refusal(END + 16, 4, 0xFFFFFFFF), "zip64");
    CHECK_CONTAINS(zip_refusal(END + 16, 4, 0x7FFFFFFF), "is damaged (its directory)");
    CHECK_CONTAINS(zip_refusal(8, 2, 1), "folder/: is encrypted");
    CHECK_CONTAINS(zip_refusal(10, 2, 14), "method 14");
    CHECK_CONTAINS(zip_refusal(20, 4, 0x7FFFFFFF), "is damaged (member 1)");
    CHECK_CONTAINS(zip_refusal(20, 4, 0xFFFFFFFF), "zip64");
    CHECK_CONTAINS(zip_refusal(24, 4, 0x7FFFFFFF), "folder/: is damaged (the size)");
    CHECK_CONTAINS(zip_refusal(28, 2, 0xFFFF), "is damaged (member 1)");
    CHECK_CONTAINS(zip_refusal(42, 4, 0xFFFFFFF0), "is damaged (member 1)");
}

/* A size at the end of 30 bytes is not allocated, and what packs densest is not unpacked beyond it. */
TEST(gzip_believes_no_size_beyond_what_deflate_can_pack)
{
    static const unsigned char file[] = "\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xbe\xb7\xe8\xff\xff\xff\xff";
    unsigned char *out;
    size_t size;
    app_error error = {""};
    CHECK(!gzip_unpack(&out, &size, file, sizeof file - 1, &error));
    CHECK_TEXT(error.text, "is damaged (the size)");
    CHECK(!out);
}

/* ---- published files ----------------------------------------------------------------------------------- */

TEST(archive_unpacks_omniglot)
{
    unsigned char *bytes;
    size_t count;
    zip_archive zip;
    app_error error = {""};
    int pictures = 0, ink = 0;
    if (!bytes_read(&bytes, &count, OMNIGLOT, ARCHIVE_LARGEST, &error)) {
        test_skip("no " OMNIGLOT);
        return;
    }
    CHECK(zip_open(&zip, bytes, count, &error));
    for (int i = 0; i < zip.member_count; i++) {
        unsigned char *file;
        image p;
        const char *name = zip.members[i].name;
        const bool done = zip_unpack(&zip, i, &file, &error);
        if (done && strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".png") == 0) {
            CHECK(image_decode(&p, file, zip.members[i].size, NULL, &error));
            CHECK(p.width == 105 && p.height == 105 && p.channels == 1);
            for (int k = 0; k < 105 * 105; k++) ink += p.pixels[k] == 0;
            pictures++;
            image_free(&p);
        }
        free(file);
        CHECK(done);
    }
    zip_close(&zip);
    free(bytes);
    CHECK_EQUAL(pictures, 2720);
    CHECK(ink > 0);
}
