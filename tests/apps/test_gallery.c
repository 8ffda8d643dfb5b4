/* Galleries: files that lose nothing, scans that find the nearest, and the door's answers. */
#include "apps/common/door.h"
#include "apps/common/faces.h"
#include "apps/facenet/facenet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_io.h"
#include "tests/apps/files.h"
#include "tests/test.h"

enum { LENGTH = 5, ROOM = 4096 };

typedef struct newcomer {
    const char *name, *source;
    tsr_real row[LENGTH];
} newcomer;

static bool add(gallery *g, void *user, app_error *error)
{
    const newcomer *n = user;
    return gallery_add(g, n->name, n->source, n->row, LENGTH, error);
}

static bool refuse(gallery *g, void *user, app_error *error)
{
    (void)user;
    gallery_remove(g, "Ann");
    return app_fail(error, "refused");
}

static bool calibrated(gallery *g, void *user, app_error *error)
{
    (void)user;
    (void)error;
    g->threshold = 0.75;
    g->far = 0.001;
    g->frr = 0.25;
    return true;
}

/* Ann with two rows, Bob with one. */
static bool make_gallery(const char *path, app_error *error)
{
    newcomer some[] = {
        {"Ann", "1.jpg", {1, 0, 0, 0, 0}}, {"Bob", "1.jpg", {0, 1, 0, 0, 0}}, {"Ann", "2.jpg", {1, 1, 1, 1, 1}}};
    remove(path);
    for (int i = 0; i < 3; i++)
        if (!gallery_change(path, 77, true, add, &some[i], error)) return false;
    return true;
}

TEST(gallery_comes_back_as_it_was_written)
{
    char path[256];
    app_error error = {""};
    gallery g;
    newcomer again = {"Ann", "1.jpg", {3, 0, 0, 0, 0}};
    snprintf(path, sizeof path, "%s", test_path("gallery"));
    CHECK(make_gallery(path, &error));
    CHECK(gallery_change(path, 77, true, calibrated, NULL, &error) && gallery_change(path, 77, false, add, &again, &error));
    CHECK(gallery_read(&g, path, &error));
    CHECK(g.count == 3 && g.length == LENGTH && g.model == 77 && g.threshold == 0.75 && g.far == 0.001 && g.frr == 0.25);
    CHECK_TEXT(g.entries[2].name, "Ann");
    CHECK_TEXT(g.entries[2].source, "2.jpg");
    CHECK(g.rows[0] == 3 && g.rows[LENGTH + 1] == 1 && g.rows[2 * LENGTH + 4] == 1); /* the same picture took its place */
    CHECK_EQUAL(gallery_remove(&g, "Ann"), 2);
    CHECK(g.count == 1 && strcmp(g.entries[0].name, "Bob") == 0 && g.rows[1] == 1);
    CHECK_EQUAL(gallery_remove(&g, "Ann"), 0);
    gallery_free(&g);
}

TEST(gallery_that_cannot_be_changed_stays_as_it_was)
{
    char path[256];
    unsigned char before[ROOM], after[ROOM];
    app_error error = {""}, refused = {""}, longer = {""}, other = {""}, missing = {""};
    newcomer nobody = {"", "1.jpg", {0}};
    snprintf(path, sizeof path, "%s", test_path("gallery-kept"));
    CHECK(make_gallery(path, &error));
    const size_t count = read_bytes(path, before, ROOM);
    CHECK(!gallery_change(path, 77, true, refuse, NULL, &refused));
    CHECK_TEXT(refused.text, "refused");
    CHECK(!gallery_change(path, 77, true, add, &nobody, &longer));
    CHECK_CONTAINS(longer.text, "a name has 1 to 255 bytes, not 0");
    CHECK(!gallery_change(path, 78, true, refuse, NULL, &other));
    CHECK_CONTAINS(other.text, "was made by another model (000000000000004d, this one is 000000000000004e)");
    CHECK(count > 0 && read_bytes(path, after, ROOM) == count && memcmp(before, after, count) == 0);
    CHECK(!gallery_change("build/test-tmp/no such folder/gallery", 77, true, refuse, NULL, &missing));
    CHECK_CONTAINS(missing.text, "build/test-tmp/no such folder/gallery.lock: cannot be written");
}

TEST(gallery_cut_off_anywhere_or_changed_anywhere_is_refused)
{
    char path[256];
    unsigned char bytes[ROOM];
    app_error error = {""};
    gallery g;
    snprintf(path, sizeof path, "%s", test_path("gallery-cut"));
    CHECK(make_gallery(path, &error));
    const size_t count = read_bytes(path, bytes, ROOM);
    for (size_t i = 0; i < count; i++) {
        app_error cut = {""}, changed = {""};
        CHECK(!gallery_decode(&g, bytes, i, &cut) && cut.text[0]);
        bytes[i] ^= 4;
        CHECK(!gallery_decode(&g, bytes, count, &changed) && changed.text[0]);
        bytes[i] ^= 4;
    }
}

/* Damage whose checksum is right. */
TEST(gallery_says_what_is_wrong_with_its_numbers)
{
    static const struct {
        int at, bytes;
        uint64_t value;
        const char *says;
    } wrong[] = {{44, 4, 0xffffffffu, "4294967295 rows of 5 numbers do not fill it"}, {40, 4, 7, "3 rows of 7 numbers"},
                 {48, 8, UINT64_MAX, "rows of 5 numbers do not fill it"}, {85, 1, 'x', "the name of row 3 is broken"},
                 {86, 4, 0x7fc00000u, "a number is not finite"}};
    char path[256];
    unsigned char bytes[ROOM];
    app_error error = {""};
    gallery g;
    snprintf(path, sizeof path, "%s", test_path("gallery-wrong"));
    CHECK(make_gallery(path, &error));
    for (int i = 0; i < 5; i++) {
        tsr_crc64 crc;
        app_error problem = {""};
        const size_t count = read_bytes(path, bytes, ROOM);
        tsr_store_bits(bytes + wrong[i].at, wrong[i].value, wrong[i].bytes);
        tsr_crc64_begin(&crc);
        tsr_crc64_add(&crc, bytes, count - 8);
        tsr_store_bits(bytes + count - 8, tsr_crc64_value(&crc), 8);
        CHECK(!gallery_decode(&g, bytes, count, &problem));
        CHECK_CONTAINS(problem.text, wrong[i].says);
    }
}

TEST(gallery_finds_the_nearest_people_by_any_threads)
{
    enum { ROWS = 9000, PEOPLE = 1500, TOP = 4 };
    app_error error = {""};
    gallery g = gallery_new(1);
    gallery_match found[2][TOP];
    tsr_real row[LENGTH];
    const tsr_rng rng = {9, 9};
    for (int i = 0; i < ROWS; i++) {
        char name[20], source[20];
        snprintf(name, sizeof name, "p%d", i % PEOPLE);
        snprintf(source, sizeof source, "%d", i);
        for (int k = 0; k < LENGTH; k++) row[k] = (tsr_real)tsr_random_uniform(rng, (uint64_t)(i * LENGTH + k));
        if (i == 50) memcpy(row, (tsr_real[]){0.5, 0.5, 0.5, 0.5, 0.5}, sizeof row);
        CHECK(gallery_add(&g, name, source, row, LENGTH, &error));
    }
    for (int k = 0; k < LENGTH; k++) row[k] = (tsr_real)0.5;
    for (int threads = 1; threads <= 2; threads++) {
        tsr_context *ctx = tsr_open(&(tsr_options){.threads = threads});
        CHECK_EQUAL(gallery_nearest(&g, ctx, row, NULL, found[threads - 1], TOP), TOP);
        tsr_close(ctx);
    }
    for (int i = 0; i < TOP; i++)
        CHECK(found[0][i].row == found[1][i].row && found[0][i].distance == found[1][i].distance);
    CHECK(found[0][0].row == 50 && found[0][0].distance == 0);
    for (int i = 1; i < TOP; i++) { /* by hand: nobody of another name is nearer and left out */
        CHECK(found[0][i].distance >= found[0][i - 1].distance);
        for (int r = 0; r < g.count; r++) {
            bool named = false;
            for (int k = 0; k <= i; k++) named = named || strcmp(g.entries[r].name, g.entries[found[0][k].row].name) == 0;
            CHECK(named || squared_distance(g.rows + (ptrdiff_t)r * LENGTH, row, LENGTH) >= found[0][i].distance - 1e-6);
        }
    }
    CHECK_EQUAL(gallery_nearest(&g, NULL, row, cosine_distance, found[0], 1), 1);
    CHECK_NEAR(found[0][0].distance, 0, 1e-6);
    gallery_free(&g);
}

/* ---- the verbs ---------------------------------------------------------------------------------------------------- */

static int call(int (*verb_called)(int count, char **arguments), const char *words)
{
    enum { MOST = 24 };
    char text[2000], *arguments[MOST];
    int count = 0;
    snprintf(text, sizeof text, "%s", words);
    for (char *at = strtok(text, " "); at && count < MOST; at = strtok(NULL, " ")) arguments[count++] = at;
    return verb_called(count, arguments);
}

static bool make_people(const char *root)
{
    app_error error = {""};
    for (int i = 0; i < 12; i++) {
        char folder[300], path[400];
        image p;
        snprintf(folder, sizeof folder, "%.200s/p%d", root, i / 3);
        snprintf(path, sizeof path, "%s/%d.png", folder, i % 3);
        if (!folder_make(folder, &error) || !image_new(&p, 40, 40, 3, &error)) return false;
        const bool done = faces_draw(&p, 1, i / 3, i % 3, &error) && image_write(&p, path, &error);
        image_free(&p);
        if (!done) return false;
    }
    return true;
}

TEST(door_enrolls_names_calibrates_and_removes)
{
    char root[256], out[256], words[1500], path[300], model[700], before[ROOM], after[ROOM];
    app_error error = {""};
    gallery g;
    snprintf(root, sizeof root, "%s", test_path("door-people"));
    snprintf(out, sizeof out, "%s", test_path("door-out"));
    snprintf(path, sizeof path, "%s/gallery", out);
    snprintf(model, sizeof model, "--model %s/model.safetensors --gallery %s", out, path);
    CHECK(make_people(root));
    remove(path);
    snprintf(words, sizeof words, "--data %s --size 16 --embedding 8 --steps 2 --out %s", root, out);
    CHECK_EQUAL(call(facenet_train, words), 0);
    snprintf(words, sizeof words, "%s Ann %s/p0/0.png %s/p0/none.png", model, root, root); /* one of them is not there */
    CHECK_EQUAL(call(facenet_enroll, words), 0);
    snprintf(words, sizeof words, "%s --data %s", model, root);
    CHECK_EQUAL(call(facenet_enroll, words), 0);
    CHECK(gallery_read(&g, path, &error));
    CHECK(g.count == 13 && g.length == 8 && isnan(g.threshold) && strcmp(g.entries[12].name, "p3") == 0);
    for (int k = 0; k < 8; k++) CHECK_NEAR(g.rows[k], g.rows[8 + k], 1e-4); /* the same picture, alone and among others */
    gallery_free(&g);
    CHECK_EQUAL(call(facenet_calibrate, model), 0);
    CHECK(gallery_read(&g, path, &error));
    CHECK(g.threshold > 0 && g.far >= 0 && g.far <= 1 && g.frr >= 0 && g.frr <= 1);
    gallery_free(&g);
    snprintf(words, sizeof words, "%s %s/p0/1.png %s/p1/2.png", model, root, root);
    CHECK_EQUAL(call(facenet_identify, words), 0);
    CHECK_EQUAL(call(facenet_verify, words), 0);
    snprintf(words, sizeof words, "--gallery %s Ann", path);
    CHECK_EQUAL(call(facenet_remove, words), 0);
    read_text(path, before, sizeof before);
    CHECK_EQUAL(call(facenet_remove, words), 1);
    read_text(path, after, sizeof after);
    CHECK(memcmp(before, after, 100) == 0);
    snprintf(words, sizeof words, "--gallery %s", path);
    CHECK_EQUAL(call(facenet_list, words), 0);
    snprintf(words, sizeof words, "%s Nobody %s/p0/none.png", model, root);
    CHECK_EQUAL(call(facenet_enroll, words), 1);
    CHECK_EQUAL(call(facenet_identify, model), 1);
    snprintf(words, sizeof words, "%s %s/p0/none.png", model, root);
    CHECK_EQUAL(call(facenet_identify, words), 1);
}
