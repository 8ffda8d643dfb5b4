/* core/safetensors.c, writing, and reading what was written. */
#if defined(__unix__) || defined(__APPLE__)
#define POSIX 1
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#endif

#include "core/file_io.h"
#include "tests/test.h"
#include "tests/unit/files.h"

#include <stdlib.h>
#include <string.h>

/* ---- helpers ----------------------------------------------------------------------------------------- */

static const tsr_real *give(void *user, int i)
{
    return ((const tsr_real *const *)user)[i];
}

/* Saves what make_files.py put into saved-*.safetensors. */
static bool save_sample(tsr_context *ctx, const char *path)
{
    static const tsr_real a[] = {-0.25f, -0.125f, 0, 0.125f, 0.25f, 0.375f}, b[] = {(tsr_real)0.1};
    const tsr_real *values[] = {a, a, b};
    const tsr_archive_entry entries[] = {{"z.weight", TSR_SHAPE(2, 3)},
                                         {"empty", TSR_SHAPE(0, 4)},
                                         {"a \"b\"\\ \x01 \xe2\x82\xac", TSR_SCALAR}};
    const tsr_archive_text texts[] = {{"format", "pt"}, {"step", "12\xc3\xbc"}};
    return tsr_archive_save(
        ctx, path,
        &(tsr_archive_content){
            .count = 3, .entries = entries, .values = give, .user = values, .text_count = 2, .texts = texts});
}

/* Temporary files left beside `path`. */
static int leftovers(const char *path)
{
    int count = 0;
#ifdef POSIX
    const char *name = strrchr(path, '/') + 1;
    DIR *folder = opendir("build/test-tmp");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strncmp(entry->d_name, name, strlen(name)) == 0 && strlen(entry->d_name) > strlen(name)) count++;
    if (folder) closedir(folder);
#else
    (void)path;
#endif
    return count;
}

/* ---- writing ------------------------------------------------------------------------------------------- */

TEST(safetensors_writes_the_bytes_that_python_wrote_for_the_same_content)
{
    tsr_context *ctx = tsr_open(NULL);
    const char *path = test_path("sample");
    char known[64];
    snprintf(known, sizeof known, FILES "saved-%s.safetensors", REAL);
    CHECK(save_sample(ctx, path));
    CHECK(same_file(path, known));
    CHECK(save_sample(ctx, path)); /* over itself */
    CHECK(same_file(path, known));
    CHECK_EQUAL(leftovers(path), 0);
    tsr_archive *archive = tsr_archive_open(ctx, known);
    CHECK_TEXT(tsr_archive_name(archive, 2), "a \"b\"\\ \x01 \xe2\x82\xac");
    CHECK_TEXT(tsr_archive_metadata(archive, "step"), "12\xc3\xbc");
    CHECK(tsr_item(tsr_archive_tensor(archive, 2)) == (tsr_real)0.1);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(safetensors_round_trip_keeps_every_bit_of_any_rank_and_size)
{
    tsr_context *ctx = tsr_open(NULL);
    const char *path = test_path("round");
    const tsr_shape shapes[] = {TSR_SCALAR, TSR_SHAPE(70001), TSR_SHAPE(2, 1, 1, 3, 1, 1, 1, 2), TSR_SHAPE(0),
                                TSR_SHAPE(300, 257)};
    tsr_archive_entry entries[5];
    const tsr_real *values[5];
    char names[5][8];
    for (int i = 0; i < 5; i++) {
        snprintf(names[i], sizeof names[i], "t%d", 4 - i);
        entries[i] = (tsr_archive_entry){names[i], shapes[i]};
        values[i] = tsr_data(tsr_normal(ctx, shapes[i], 0, 1, (uint64_t)i));
    }
    CHECK(tsr_archive_save(
        ctx, path, &(tsr_archive_content){.count = 5, .entries = entries, .values = give, .user = values}));
    tsr_archive *archive = tsr_archive_open(ctx, path);
    CHECK_EQUAL(tsr_archive_count(archive), 5);
    for (int i = 4; i >= 0; i--) { /* in another order than they lie */
        tsr_tensor *t = tsr_archive_tensor(archive, i);
        CHECK(!tsr_error(ctx));
        CHECK_TEXT(tsr_archive_name(archive, i), names[i]);
        CHECK(tsr_same_shape(tsr_shape_of(t), shapes[i]));
        CHECK(memcmp(tsr_data(t), values[i], (size_t)tsr_size(t) * sizeof(tsr_real)) == 0);
    }
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* What saving one entry says; "" where it succeeds. */
static const char *save_refusal(const char *path, tsr_archive_entry first, tsr_archive_entry second,
                                tsr_archive_text text)
{
    static char message[600];
    static const tsr_real numbers[4] = {1, 2, 3, 4};
    const tsr_real *values[] = {numbers, numbers};
    tsr_context *ctx = tsr_open(NULL);
    const size_t before = tsr_statistics_of(ctx).bytes;
    const bool saved = tsr_archive_save(
        ctx, path,
        &(tsr_archive_content){.count = 2,
                               .entries = (tsr_archive_entry[]){first, second},
                               .values = give,
                               .user = values,
                               .text_count = text.key ? 1 : 0,
                               .texts = &text});
    snprintf(message, sizeof message, "%s", saved ? "" : tsr_error(ctx));
    if (tsr_statistics_of(ctx).bytes != before || leftovers(path) > 0)
        snprintf(message, sizeof message, "leaves things");
    tsr_close(ctx);
    return message;
}

TEST(safetensors_refuses_to_write_what_nobody_could_read)
{
    const tsr_archive_entry a = {"a", TSR_SHAPE(4)}, b = {"b", TSR_SHAPE(2, 2)};
    const tsr_archive_text none = {NULL, NULL};
    const char *path = test_path("refused");
    write_bytes(path, "old", 3);
    CHECK_CONTAINS(save_refusal(path, a, a, none), ": has two tensors named 'a'");
    CHECK_CONTAINS(save_refusal(path, a, (tsr_archive_entry){NULL, a.shape}, none),
                   "entry 1, NULL, has no name or no valid shape: [4]");
    CHECK_CONTAINS(save_refusal(path, a, (tsr_archive_entry){"\xff", a.shape}, none), "expected valid UTF-8");
    CHECK_CONTAINS(save_refusal(path, a, (tsr_archive_entry){"__metadata__", a.shape}, none),
                   "has __metadata__ twice");
    CHECK_CONTAINS(save_refusal(path, a, (tsr_archive_entry){"b", TSR_SHAPE(-1)}, none),
                   "entry 1, b, has no name or no valid shape: [-1]");
    CHECK_CONTAINS(save_refusal(path, a, (tsr_archive_entry){"b", TSR_SHAPE(1LL << 62, 4)}, none),
                   "no valid shape");
    CHECK_CONTAINS(save_refusal(path, a, b, (tsr_archive_text){"checksum", "x"}),
                   "metadata 0 is NULL or has our key 'checksum'");
    CHECK_CONTAINS(save_refusal(path, a, b, (tsr_archive_text){"key", NULL}), "metadata 0 is NULL");
    CHECK_CONTAINS(save_refusal(path, a, b, (tsr_archive_text){"key", "\xc3"}), "expected valid UTF-8");
    unsigned char bytes[4096];
    const size_t count = read_bytes(path, bytes, sizeof bytes);
    CHECK(count == 3 && memcmp(bytes, "old", 3) == 0);
    CHECK_TEXT(save_refusal(path, a, b, (tsr_archive_text){"", ""}), "");
}

static const tsr_real *give_one(void *user, int i)
{
    static const tsr_real numbers[4] = {1, 2, 3, 4};
    (void)user;
    return i == 0 ? numbers : NULL;
}

TEST(safetensors_keeps_the_old_file_when_writing_fails)
{
    const char *path = test_path("kept");
    tsr_context *ctx = tsr_open(NULL);
    CHECK(save_sample(ctx, path));
    const size_t before = tsr_statistics_of(ctx).bytes;
    const tsr_archive_entry entries[] = {{"a", TSR_SHAPE(4)}, {"b", TSR_SHAPE(4)}};
    const tsr_archive_content content = {.count = 2, .entries = entries, .values = give_one};
    CHECK(!tsr_archive_save(ctx, path, &content));
    CHECK_CONTAINS(tsr_error(ctx), ": not written: there are no values for 'b'");
    CHECK_EQUAL(leftovers(path), 0);
    CHECK(!tsr_archive_save(ctx, path, &content)); /* after an error nothing happens */
    tsr_clear_error(ctx);
    char known[64];
    snprintf(known, sizeof known, FILES "saved-%s.safetensors", REAL);
    CHECK(same_file(path, known));

    CHECK(!save_sample(ctx, "build/no-such-folder/file"));
    CHECK_CONTAINS(tsr_error(ctx), "build/no-such-folder/file: cannot be written: No such file or directory");
    tsr_clear_error(ctx);
    CHECK(!save_sample(ctx, "build/test-tmp")); /* a folder */
    CHECK_CONTAINS(tsr_error(ctx), "build/test-tmp: cannot be replaced: ");
    tsr_clear_error(ctx);
    CHECK_EQUAL(tsr_statistics_of(ctx).bytes, before);
    tsr_close(ctx);
}

static const tsr_real *give_zeros(void *user, int i)
{
    (void)i;
    return user;
}

TEST(safetensors_names_the_path_when_the_disk_is_full)
{
#if defined(POSIX) && !defined(__EMSCRIPTEN__)
    const char *path = test_path("full");
    tsr_context *ctx = tsr_open(NULL);
    CHECK(save_sample(ctx, path));
    const tsr_archive_entry entry = {"a", TSR_SHAPE(1 << 18)};
    tsr_tensor *zeros = tsr_zeros(ctx, entry.shape);
    const tsr_archive_content content = {
        .count = 1, .entries = &entry, .values = give_zeros, .user = (void *)(size_t)tsr_data(zeros)};
    struct rlimit limit, small;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = 300000;
    setrlimit(RLIMIT_FSIZE, &small);
    const bool saved = tsr_archive_save(ctx, path, &content);
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, handler);
    CHECK(!saved);
    CHECK_CONTAINS(tsr_error(ctx), path);
    CHECK_CONTAINS(tsr_error(ctx), ": cannot be written: ");
    CHECK_EQUAL(leftovers(path), 0);
    char known[64];
    snprintf(known, sizeof known, FILES "saved-%s.safetensors", REAL);
    CHECK(same_file(path, known));
    tsr_close(ctx);
#else
    (void)give_zeros;
    test_skip("this system limits no file's size");
#endif
}

/* ---- damage ------------------------------------------------------------------------------------------ */

TEST(safetensors_refuses_its_own_file_cut_at_every_length)
{
    tsr_context *ctx = tsr_open(NULL);
    const char *path = test_path("whole"), *cut = test_path("cut");
    CHECK(save_sample(ctx, path));
    unsigned char bytes[4096];
    const size_t count = read_bytes(path, bytes, sizeof bytes);
    CHECK(count > 300);
    for (size_t n = 0; n < count; n++) {
        write_bytes(cut, bytes, n);
        CHECK(archive_refusal(cut)[0] != '\0');
    }
    write_bytes(cut, bytes, count);
    CHECK_TEXT(archive_refusal(cut), "");
    bytes[count] = 0;
    write_bytes(cut, bytes, count + 1);
    CHECK_CONTAINS(archive_refusal(cut), "belong to no tensor");
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(safetensors_notices_each_flipped_bit_of_the_values)
{
    tsr_context *ctx = tsr_open(NULL);
    const char *path = test_path("flip");
    CHECK(save_sample(ctx, path));
    unsigned char bytes[4096];
    const size_t count = read_bytes(path, bytes, sizeof bytes);
    const size_t first = 8 + (size_t)tsr_load_bits(bytes, 8);
    CHECK_EQUAL(count - first, 7 * sizeof(tsr_real));
    for (size_t bit = 0; bit < 8 * count; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        write_bytes(path, bytes, count);
        const char *why = archive_refusal(
            path); /* in the header: whatever it says, it says it in an orderly way */
        if (bit / 8 >= first) CHECK_CONTAINS(why, ": is damaged: the checksum of its values is crc64:");
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* ---- handles ------------------------------------------------------------------------------------------- */

TEST(safetensors_reads_values_only_when_asked_and_holds_them_once)
{
    const char *path = test_path("lazy");
    tsr_context *ctx = tsr_open(NULL);
    const tsr_archive_entry entry = {"a", TSR_SHAPE(1 << 20)};
    const size_t bytes = sizeof(tsr_real) << 20;
    TSR_SCOPE (ctx) {
        const tsr_real *values[] = {tsr_data(tsr_full(ctx, entry.shape, 3))};
        tsr_archive_save(
            ctx, path, &(tsr_archive_content){.count = 1, .entries = &entry, .values = give, .user = values});
    }
    tsr_trim(ctx);
    tsr_reset_peak(ctx);
    const size_t before = tsr_statistics_of(ctx).bytes;
    tsr_archive *archive = tsr_archive_open(ctx, path);
    CHECK(archive && tsr_statistics_of(ctx).peak_bytes < before + 16384);
    tsr_tensor *t = tsr_archive_tensor(archive, 0);
    CHECK(tsr_data(t)[0] == 3 && tsr_data(t)[(1 << 20) - 1] == 3);
    CHECK(tsr_statistics_of(ctx).peak_bytes < before + bytes + bytes / 8 + 16384);
    tsr_archive_close(archive);
    remove(path);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(safetensors_says_when_a_file_shrinks_while_it_is_open)
{
    const char *path = test_path("shrinks");
    tsr_context *ctx = tsr_open(NULL);
    const tsr_archive_entry entry = {"a", TSR_SHAPE(1 << 16)};
    const tsr_real *values[] = {tsr_data(tsr_zeros(ctx, entry.shape))};
    CHECK(tsr_archive_save(
        ctx, path, &(tsr_archive_content){.count = 1, .entries = &entry, .values = give, .user = values}));
    tsr_archive *archive = tsr_archive_open(ctx, path);
    FILE *file = fopen(path, "wb"); /* the same file, now empty */
    CHECK(file && fclose(file) == 0);
    const int64_t tensors = tsr_statistics_of(ctx).live_tensors;
    CHECK(tsr_is_error(tsr_archive_tensor(archive, 0)));
    CHECK_CONTAINS(tsr_error(ctx), ": ends early; was it changed while being read?");
    CHECK_EQUAL(tsr_statistics_of(ctx).live_tensors, tensors);
    tsr_close(ctx);
}

/* An allocator that runs dry after so many blocks. */
static void *run_dry(void *user, void *pointer, size_t old_size, size_t new_size)
{
    int *left = user;
    (void)old_size;
    if (new_size > 0) return (*left)-- > 0 ? malloc(new_size) : NULL;
    free(pointer);
    return NULL;
}

TEST(safetensors_out_of_memory_is_an_error_at_each_allocation)
{
    const char *path = test_path("memory");
    bool finished = false;
    for (int blocks = 1; blocks < 40 && !finished; blocks++) {
        int left = blocks;
        tsr_context *ctx = tsr_open(&(tsr_options){.allocator = {run_dry, &left}});
        const tsr_archive_entry entry = {"a", TSR_SHAPE(30000)};
        const tsr_real *values[] = {tsr_data(tsr_zeros(ctx, entry.shape))};
        char key[9001] = {0}; /* so long that the header needs blocks of its own */
        memset(key, 'k', 9000);
        const tsr_archive_text text = {key, "value"};
        tsr_archive_save(ctx, path,
                         &(tsr_archive_content){.count = 1,
                                                .entries = &entry,
                                                .values = give,
                                                .user = values,
                                                .text_count = 1,
                                                .texts = &text});
        tsr_archive *archive = tsr_archive_open(ctx, path);
        tsr_tensor *t = tsr_archive_tensor(archive, 0);
        finished = !tsr_error(ctx);
        if (!finished) CHECK_CONTAINS(tsr_error(ctx), "out of memory");
        else CHECK_EQUAL(tsr_size(t), 30000);
        tsr_close(ctx);
    }
    CHECK(finished);
}
