/* The verbs train and eval, as they are called. */
#include "apps/facenet/facenet.h"

#include <math.h>
#include <string.h>

#include "apps/common/arrays.h"
#include "tests/apps/files.h"
#include "tests/apps/pictures.h"
#include "tests/test.h"

enum { MOST_ARGUMENTS = 24 };

/* Runs a verb on "a b c", blanks apart; the exit status. */
static int run(int (*called)(int count, char **arguments), const char *words)
{
    char text[2000], *arguments[MOST_ARGUMENTS];
    int count = 0;
    snprintf(text, sizeof text, "%s", words);
    for (char *at = strtok(text, " "); at && count < MOST_ARGUMENTS; at = strtok(NULL, " ")) arguments[count++] = at;
    return called(count, arguments);
}

static bool make_people(const char *root)
{
    static const char *const names[] = {"Ann", "Bob", "Cy"};
    app_error error = {""};
    for (int i = 0; i < 6; i++) {
        char path[400];
        image p;
        if (!add_file(root, names[i / 2], "note.txt", "no picture") || !make_sample(&p, 40 + i, 36, 3)) return false;
        for (int k = 0; k < 3 * p.width * p.height; k++) p.pixels[k] = (unsigned char)(p.pixels[k] + 40 * (i / 2));
        snprintf(path, sizeof path, "%.300s/%s/%d.png", root, names[i / 2], i);
        const bool done = image_write(&p, path, &error);
        image_free(&p);
        if (!done) return false;
    }
    return true;
}

/* The view of a model's file. */
static bool view_of(const char *path, face_view *view, app_error *error)
{
    tsr_context *ctx = tsr_open(NULL);
    const bool done = view_open(tsr_model_new(ctx), path, view, error);
    tsr_close(ctx);
    return done;
}

TEST(facenet_goes_on_from_a_model_with_its_net_and_its_part_of_pictures)
{
    char root[256], out[256], words[1500], model[300];
    app_error error = {""};
    face_view first, second;
    snprintf(root, sizeof root, "%s", test_path("facenet-people"));
    snprintf(out, sizeof out, "%s", test_path("facenet-out"));
    snprintf(model, sizeof model, "%s/model.safetensors", out);
    CHECK(make_people(root));
    snprintf(words, sizeof words, "--data %s --size 16 --embedding 8 --grey --part 0.5 --steps 2 --out %s", root, out);
    CHECK_EQUAL(run(facenet_train, words), 0);
    CHECK(view_of(model, &first, &error));
    snprintf(words, sizeof words, "--data %s --from %s --steps 1 --out %s", root, model, out);
    CHECK_EQUAL(run(facenet_train, words), 0);
    CHECK(view_of(model, &second, &error));
    CHECK(first.form.size == 16 && first.form.channels == 1 && first.form.embedding == 8 && !first.aligned);
    CHECK(memcmp(&first.form, &second.form, sizeof first.form) == 0);
    CHECK_EQUAL(first.part.size, 0.5);
    CHECK_EQUAL(second.part.size, 0.5);
    snprintf(words, sizeof words, "--data %s --model %s --out %s", root, model, out);
    CHECK_EQUAL(run(facenet_eval, words), 0);
    snprintf(words, sizeof words, "--data %s --from %s --size 20", root, model);
    CHECK_EQUAL(run(facenet_train, words), 2);
}

/* The verbs print on stdout, which the tests do not look at: what they write into --out is read. */
TEST(facenet_embed_writes_what_eval_compares)
{
    enum { COUNT = 6, LENGTH = 8 };
    char root[256], out[256], words[1500], table[4000], wanted[400];
    tsr_real rows[2][COUNT * LENGTH];
    app_error error = {""};
    snprintf(root, sizeof root, "%s", test_path("facenet-embedded"));
    snprintf(out, sizeof out, "%s", test_path("facenet-embeddings"));
    CHECK(make_people(root));
    snprintf(words, sizeof words, "--data %s --size 16 --embedding 8 --steps 2 --out %s", root, out);
    CHECK_EQUAL(run(facenet_train, words), 0);
    for (int flip = 0; flip < 2; flip++) {
        array a;
        snprintf(words, sizeof words, "--data %s --model %s/model.safetensors --out %s%s", root, out, out,
                 flip ? " --flip" : "");
        CHECK_EQUAL(run(facenet_embed, words), 0);
        snprintf(words, sizeof words, "%s/embeddings.npy", out);
        CHECK(array_read(&a, words, NULL, &error));
        const bool right = a.rank == 2 && a.dims[0] == COUNT && a.dims[1] == LENGTH;
        if (right) memcpy(rows[flip], a.values, sizeof rows[flip]);
        array_free(&a);
        CHECK(right);
    }
    for (int i = 0; i < COUNT; i++) {
        double lengths[2] = {0}, apart = 0;
        for (int k = i * LENGTH; k < (i + 1) * LENGTH; k++) {
            for (int flip = 0; flip < 2; flip++) lengths[flip] += (double)rows[flip][k] * (double)rows[flip][k];
            apart += fabs((double)(rows[0][k] - rows[1][k]));
        }
        CHECK_NEAR(lengths[0], 1, 1e-5);
        CHECK_NEAR(lengths[1], 1, 1e-5);
        CHECK(apart > 1e-5); /* mirrored pictures differ */
    }
    snprintf(words, sizeof words, "%s/embeddings.csv", out);
    snprintf(wanted, sizeof wanted, "path,person,e0,e1,e2,e3,e4,e5,e6,e7\n%s/Ann/0.png,Ann,%.9g,%.9g,", root,
             (double)rows[1][0], (double)rows[1][1]);
    CHECK(strncmp(read_text(words, table, sizeof table), wanted, strlen(wanted)) == 0);
}

TEST(facenet_eval_measures_by_either_distance_with_and_without_identification)
{
    char root[256], out[256], csv[400], words[1500], text[400] = "";
    snprintf(root, sizeof root, "%s", test_path("facenet-evaluated"));
    snprintf(out, sizeof out, "%s", test_path("facenet-evaluation"));
    snprintf(csv, sizeof csv, "%s/identification.csv", out);
    CHECK(make_people(root));
    remove(csv);
    snprintf(words, sizeof words, "--data %s --size 16 --embedding 8 --steps 2 --out %s", root, out);
    CHECK_EQUAL(run(facenet_train, words), 0);
    snprintf(words, sizeof words, "--data %s --model %s/model.safetensors --out %s --no-identification", root, out,
             out);
    CHECK_EQUAL(run(facenet_eval, words), 0);
    CHECK_TEXT(read_text(csv, text, sizeof text), "");
    snprintf(words, sizeof words, "--data %s --model %s/model.safetensors --out %s --distance cosine --flip", root, out,
             out);
    CHECK_EQUAL(run(facenet_eval, words), 0);
    CHECK_CONTAINS(read_text(csv, text, sizeof text), "\n3,1,3,"); /* all three people, whose other pictures are 3 */
    snprintf(words, sizeof words, "--data %s --model %s/model.safetensors --distance near", root, out);
    CHECK_EQUAL(run(facenet_eval, words), 2);
}

TEST(facenet_cuts_faces_out_as_asked_and_else_as_the_model_was_trained)
{
    face_view aligned = {.aligned = true}, middle = {.part = {.size = 0.25, .down = 0.02}};
    portraits_request none = {0}, same = {0}, part = {.part.size = 0.75}, points = {.landmarks = "points.tsv"};
    portraits_request crop = {.align = "crop"}, whole = {.align = "none", .part.size = 0.5};
    portraits_request again = {0};
    char folder[1024];
    view_choose(&aligned, &none, "nets/a.safetensors", folder);
    CHECK(aligned.aligned);
    CHECK_TEXT(none.align, "auto");
    CHECK_TEXT(none.nets, "nets");
    view_choose(&middle, &same, "a.safetensors", folder);
    CHECK_TEXT(same.align, "crop");
    CHECK_TEXT(same.nets, ".");
    CHECK(same.part.size == 0.25 && same.part.down == 0.02);
    view_choose(&middle, &crop, NULL, folder);
    CHECK(crop.part.size == 0.25 && !middle.aligned && !crop.nets);
    view_choose(&aligned, &part, NULL, folder);
    CHECK(!aligned.aligned && aligned.part.size == 0.75);
    view_choose(&middle, &points, NULL, folder);
    CHECK(middle.aligned && middle.part.size == 0);
    view_choose(&aligned, &whole, NULL, folder);
    CHECK(!aligned.aligned && aligned.part.whole && whole.part.whole && whole.part.size == 0);
    view_choose(&aligned, &again, NULL, folder);
    CHECK_TEXT(again.align, "none");
}

TEST(facenet_says_which_net_is_missing_to_align_faces)
{
    app_error error = {""}, unnamed = {""};
    photo_cutter cutter;
    landmark_list faces;
    tsr_context *ctx = tsr_open(NULL);
    const portraits_request request = {.align = "auto", .nets = "no such folder"}, nowhere = {.align = "auto"};
    CHECK(!portraits_cutter(&cutter, &faces, ctx, &request, &error));
    CHECK_CONTAINS(error.text, "no face detector: no such folder/tiny_face_detector.safetensors: cannot be opened");
    CHECK(!portraits_cutter(&cutter, &faces, ctx, &nowhere, &unnamed));
    CHECK_CONTAINS(unnamed.text, "--align auto needs --detector and --points");
    tsr_close(ctx);
}

TEST(facenet_train_resumes_with_the_options_it_was_begun_with)
{
    char out[256], words[1500], path[300];
    static unsigned char first[1 << 20], second[1 << 20];
    snprintf(out, sizeof out, "%s", test_path("facenet-resume"));
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    const char *const rest = "--people 7 --pictures 3 --size 16 --embedding 8 --softmax-steps 3 --batch-people 3 "
                             "--batch-pictures 2 --validate-people 3 --validate-every 2";
    snprintf(words, sizeof words, "--out %s --steps 3 %s", out, rest);
    CHECK_EQUAL(run(facenet_train, words), 0);
    snprintf(words, sizeof words, "--out %s --resume --steps 6", out);
    CHECK_EQUAL(run(facenet_train, words), 0);
    const size_t count = read_bytes(path, first, sizeof first);
    CHECK(count > 1000 && count < sizeof first);
    snprintf(words, sizeof words, "--out %s --resume", out); /* at its end: nothing to do, with 6 steps kept */
    CHECK_EQUAL(run(facenet_train, words), 0);
    CHECK(read_bytes(path, second, sizeof second) == count && memcmp(first, second, count) == 0);
    CHECK(!strstr((const char *)first + 8, "classes.weight"));
    snprintf(words, sizeof words, "--out %s --resume --people 6", out);
    CHECK_EQUAL(run(facenet_train, words), 1); /* other data */
    snprintf(words, sizeof words, "--out %s --plan %s", out, rest);
    CHECK_EQUAL(run(facenet_train, words), 0);
    CHECK(read_bytes(path, second, sizeof second) == count && memcmp(first, second, count) == 0);
    CHECK_EQUAL(run(facenet_train, "--steps 0"), 2);
    CHECK_EQUAL(run(facenet_train, "--patience 2"), 2);
    CHECK_EQUAL(run(facenet_train, "--people 5 --pictures 2 --validate-people 5"), 1);
}

TEST(facenet_lessons_draw_their_curves)
{
    char out[256], words[600], path[300];
    snprintf(out, sizeof out, "%s", test_path("facenet-lessons"));
    snprintf(words, sizeof words, "--people 10 --pictures 5 --steps 16 --out %s", out);
    CHECK_EQUAL(run(facenet_lessons, words), 0);
    snprintf(path, sizeof path, "%s/lesson_triplets.png", out);
    CHECK(image_recognised(path));
    snprintf(path, sizeof path, "%s/lesson_errors.png", out);
    CHECK(image_recognised(path));
    snprintf(path, sizeof path, "%s/lesson_newcomers.png", out);
    CHECK(image_recognised(path));
    snprintf(words, sizeof words, "--people 9 --pictures 5 --steps 16 --out %s", out);
    CHECK_EQUAL(run(facenet_lessons, words), 1);
    snprintf(words, sizeof words, "--people 10 --pictures 3 --steps 16 --out %s", out);
    CHECK_EQUAL(run(facenet_lessons, words), 1);
}
