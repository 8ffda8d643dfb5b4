/* apps/common/arrays.c beside NumPy: archive_files.py made archive_files.safetensors. */
#include "apps/common/arrays.h"

#include <math.h>

#include "tests/apps/files.h"
#include "tests/apps/stored.h"
#include "tests/test.h"

#define STORED "tests/known-answers/archive_files.safetensors"
#define DATA "../shared/data/"

static bool same_array(const array *a, const tsr_tensor *expected)
{
    bool same = a->rank == tsr_rank(expected);
    for (int d = 0; same && d < a->rank; d++) same = a->dims[d] == tsr_dim(expected, d);
    return same && memcmp(a->values, tsr_data(expected), (size_t)tsr_size(expected) * sizeof *a->values) == 0;
}

TEST(array_reads_every_type_as_numpy_wrote_it)
{
    stored s;
    int files = 0;
    CHECK(stored_open(&s, STORED, ".values"));
    while (next_stored(&s, "archive_array_")) {
        array a;
        app_error error = {""};
        const bool same = array_decode(&a, s.bytes, s.count, strstr(s.name, "_npz_") ? "x" : NULL, &error) &&
                          same_array(&a, s.content);
        array_free(&a);
        if (!same) printf("    %s: %s\n", s.name, error.text);
        CHECK(same);
        files++;
    }
    close_stored(&s);
    CHECK_EQUAL(files, 36);
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static const char *text_refusal(const char *text)
{
    static app_error error;
    array a;
    error.text[0] = '\0';
    array_decode(&a, (const unsigned char *)text, strlen(text), NULL, &error);
    array_free(&a);
    return error.text;
}

TEST(array_refuses_tables_that_are_none_with_the_line)
{
    CHECK_TEXT(text_refusal("1,2\n\n3,4"), "");
    CHECK_TEXT(text_refusal("\xEF\xBB\xBF" "1\r\n-2e3\r\n"), "");
    CHECK_TEXT(text_refusal(" a b\n 1  2 \n\t3 4\n"), "");
    CHECK_TEXT(text_refusal("1,2\n3\n"), "line 2: has 1 values, not 2");
    CHECK_TEXT(text_refusal("1 2\n\n3 4 5\n"), "line 3: has 3 values, not 2");
    CHECK_TEXT(text_refusal("1,2\n3,x\n"), "line 2: 'x' is not a number");
    CHECK_TEXT(text_refusal("1,2\n3,\n"), "line 2: '' is not a number");
    CHECK_TEXT(text_refusal("1\t2\n\t4\n"), "line 2: '' is not a number");
    CHECK_TEXT(text_refusal("x,2\n3,4\n"), "line 1: 'x' is not a number");
    CHECK_TEXT(text_refusal("a,b\nc,d\n1,2\n"), "line 2: 'c' is not a number");
    CHECK_TEXT(text_refusal("1;2,5\n"), "line 1: '2,5' is not a number");
    CHECK_TEXT(text_refusal("a,b\n"), "holds no numbers");
    CHECK_TEXT(text_refusal(" \n\n"), "is empty");
    CHECK_TEXT(text_refusal(""), "is empty");
}

/* ---- broken files -------------------------------------------------------------------------------------- */

TEST(array_refuses_files_cut_anywhere)
{
    stored s;
    CHECK(stored_open(&s, STORED, ".values"));
    while (next_stored(&s, "archive_array_"))
        for (size_t cut = 0; cut < s.count; cut++) {
            unsigned char *part = malloc(cut + 1);
            array a;
            app_error error = {""};
            memcpy(part + 1, s.bytes, cut); /* ends where the memory does */
            const bool done = array_decode(&a, part + 1, cut, NULL, &error);
            /* A table may lack lines and digits. */
            const bool good = done ? strstr(s.name, "_text_") != NULL : error.text[0] != '\0';
            array_free(&a);
            free(part);
            if (!good) printf("    %s cut to %zu\n", s.name, cut);
            CHECK(good);
        }
    close_stored(&s);
}

/* Whatever comes out, nothing else may happen; the sanitizers look on. */
TEST(array_survives_every_damaged_byte)
{
    stored s;
    int refused = 0;
    CHECK(stored_open(&s, STORED, ".values"));
    while (next_stored(&s, "archive_array_"))
        for (size_t i = 0; i < s.count; i++)
            for (int bit = 0; bit < 8; bit++) {
                array a;
                app_error error = {""};
                s.bytes[i] ^= (unsigned char)(1 << bit);
                const bool done = array_decode(&a, s.bytes, s.count, NULL, &error);
                array_free(&a);
                s.bytes[i] ^= (unsigned char)(1 << bit);
                refused += !done;
                CHECK(done || error.text[0] != '\0');
            }
    close_stored(&s);
    CHECK(refused > 0);
}

TEST(array_believes_no_dimensions_of_a_small_file)
{
    static const struct {
        const char *bytes, *problem;
        size_t count;
    } cases[] = {
#define CASE(bytes, problem) {bytes, problem, sizeof bytes - 1}
        CASE("\0\0\x08\x01\0\0\0\x02\x07\x09", ""),
        CASE("\0\0\x08\x02\0\0\0\0\xff\xff\xff\xff", ""),
        CASE("\0\0\x08\x01\xff\xff\xff\xff\x07\x09", "has 2 bytes of values"),
        CASE("\0\0\x08\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "has 0 bytes of values"),
        CASE("\0\0\x08\x02\x80\0\0\0\x80\0\0\0", "has 0 bytes of values"),
        CASE("\0\0\x0b\x01\0\0\0\x01\x07\x09\x01", "has 3 bytes of values"),
        CASE("\0\0\x08\xff\0\0\0\x01", "has 255 dimensions, more than 8"),
        CASE("\0\0\x08\x03\0\0\0\x01", "is truncated"),
        CASE("\0\0\x0a\x01\0\0\0\x01\0", "is none of"),
        CASE("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "has no members"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        array a;
        app_error error = {""};
        const bool done = array_decode(&a, (const unsigned char *)cases[i].bytes, cases[i].count, NULL, &error);
        array_free(&a);
        CHECK_EQUAL(done, cases[i].problem[0] == '\0');
        CHECK_CONTAINS(error.text, cases[i].problem);
    }
}

TEST(array_read_names_the_file)
{
    const char *path = test_path("table.csv");
    array a;
    app_error error = {""}, missing = {""}, other = {""};
    CHECK(write_text(path, "1,2\n3\n"));
    CHECK(!array_read(&a, path, NULL, &error));
    CHECK_CONTAINS(error.text, "table.csv: line 2: has 1 values, not 2");
    CHECK(!array_read(&a, path, "x", &other));
    CHECK_CONTAINS(other.text, "table.csv: is no zip archive, and so has no member x");
    CHECK(!array_read(&a, "build/no-such-file", NULL, &missing));
    CHECK_CONTAINS(missing.text, "cannot be opened");
}

/* ---- published files ----------------------------------------------------------------------------------- */

typedef struct published {
    const char *path, *member;
    int rank;
    int64_t dims[4];
    double sum; /* by Python */
} published;

static bool have(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    return file != NULL;
}

/* Skips those that are not there. */
static void check_published(const published *files, int count)
{
    for (int i = 0; i < count; i++) {
        const published *f = &files[i];
        array a;
        app_error error = {""};
        double sum = 0;
        int64_t size = 1;
        if (!have(f->path)) {
            test_skip(f->path);
            return;
        }
        const bool done = array_read(&a, f->path, f->member, &error);
        bool same = done && a.rank == f->rank;
        for (int d = 0; same && d < a.rank; d++) {
            same = a.dims[d] == f->dims[d];
            size *= a.dims[d];
        }
        for (int64_t k = 0; same && k < size; k++) sum += (double)a.values[k];
        array_free(&a);
        CHECK_TEXT(error.text, "");
        CHECK(same);
        CHECK_NEAR(sum, f->sum, 1e-6);
    }
}

TEST(array_reads_mnist)
{
    static const published files[] = {
        {DATA "mnist_t10k/t10k-images-idx3-ubyte.gz", NULL, 3, {10000, 28, 28}, 264923200.0},
        {DATA "mnist_t10k/t10k-labels-idx1-ubyte.gz", NULL, 1, {10000}, 44434.0},
    };
    check_published(files, sizeof files / sizeof *files);
}

TEST(array_reads_adrenalmnist3d)
{
    static const published files[] = {
        {DATA "adrenalmnist3d/adrenalmnist3d.npz", "val_images", 4, {98, 28, 28, 28}, 8922960.0},
        {DATA "adrenalmnist3d/adrenalmnist3d.npz", "test_labels", 2, {298, 1}, 69.0},
    };
    check_published(files, sizeof files / sizeof *files);
}

TEST(array_reads_ecg)
{
    static const published files[] = {
        {DATA "ecg/ECG200/ECG200_TEST.tsv", NULL, 2, {100, 97}, 64.0000003314035},
        {DATA "ecg/ECG5000/ECG5000_TRAIN.tsv", NULL, 2, {500, 141}, 762.0000149518783},
    };
    check_published(files, sizeof files / sizeof *files);
}

TEST(array_lists_members_where_none_is_chosen)
{
    const char *path = DATA "adrenalmnist3d/adrenalmnist3d.npz";
    array a;
    app_error error = {""}, other = {""};
    if (!have(path)) {
        test_skip(path);
        return;
    }
    CHECK(!array_read(&a, path, NULL, &error));
    CHECK_CONTAINS(error.text, "train_images.npy, ");
    CHECK(!array_read(&a, path, "nothing", &other));
    CHECK_CONTAINS(other.text, "has no member nothing; there are: train_images.npy");
}
