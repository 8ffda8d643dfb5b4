/* The program that looks into nets: their layers, their pictures, the nine best of each unit, what it makes of them. */
#include "apps/common/feature_nets.h"
#include "apps/facenet/nets.h"
#include "apps/neurons/neurons.h"
#include "tests/apps/files.h"
#include "tests/apps/pictures.h"
#include "tests/apps/weights.h"

#include <stdlib.h>

/* A net of random weights. */
static subject random_subject(tsr_context *ctx, tsr_network net, int size)
{
    subject s = {.name = "random", .m = tsr_model_new(ctx), .net = net, .size = size, .channels = 3, .divisor = 64,
                 .mean = {128, 128, 128}};
    tsr_set_training(s.m, false);
    return s;
}

static tsr_tensor *medium_net(tsr_model *m, tsr_tensor *x)
{
    return medium_embed(m, x, 8);
}

static tsr_tensor *resnet_net(tsr_model *m, tsr_tensor *x)
{
    return face_resnet29_embed(m, x, 128);
}

static const layer *layer_named(const layers *all, const char *name)
{
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->items[i].name, name) == 0) return &all->items[i];
    static const layer none = {.name = "none"};
    return &none;
}

TEST(neurons_layers_of_vgg19_see_what_arithmetic_says)
{
    static const struct {
        const char *name;
        int size, stride, start;
    } known[] = {{"conv1_1", 3, 1, -1},  {"conv1_2", 5, 1, -2},  {"conv2_1", 10, 2, -4},  {"conv2_2", 14, 2, -6},
                 {"conv3_1", 24, 4, -10}, {"conv3_2", 32, 4, -14}, {"conv3_3", 40, 4, -18}, {"conv3_4", 48, 4, -22}};
    tsr_context *ctx = tsr_open(NULL);
    app_error error = {""};
    layers all = {0};
    const subject s = random_subject(ctx, feature_nets[0].net, 32);
    CHECK(layers_find(&all, &s, NULL, &error));
    CHECK_EQUAL(all.count, 8);
    for (int i = 0; i < 8; i++) {
        CHECK_TEXT(all.items[i].name, known[i].name);
        for (int a = 0; a < 2; a++) {
            CHECK_EQUAL(all.items[i].field.size[a], known[i].size);
            CHECK_EQUAL(all.items[i].field.stride[a], known[i].stride);
            CHECK_EQUAL(all.items[i].field.start[a], known[i].start);
        }
    }
    layers_free(&all);
    CHECK(layers_find(&all, &s, "conv3_2,conv1", &error)); /* whole names, or whole parts of them */
    int wanted = 0;
    for (int i = 0; i < all.count; i++) wanted += all.items[i].wanted;
    CHECK_EQUAL(wanted, 1);
    layers_free(&all);
    CHECK(!layers_find(&all, &s, "conv9", &error));
    CHECK_CONTAINS(error.text, "there is no layer \"conv9\"");
    CHECK_EQUAL(tsr_close(ctx), 0);
}

typedef struct pick {
    int row;
    tsr_tensor *found;
} pick;

static void pick_row(void *user, const tsr_trace_row *row)
{
    pick *p = user;
    if (p->row-- == 0) p->found = row->result;
}

/* Whether the places of the picture on which the middle unit of a layer depends, in any of some pictures and channels,
 * fill its field: they reach each of its four borders and not beyond. */
static bool gradient_fills_field(const subject *s, const layer *l)
{
    enum { SAMPLES = 3 };
    tsr_context *ctx = tsr_model_context(s->m);
    int seen[4] = {s->size, s->size, 0, 0}, box[4];
    const int row = l->height / 2, column = l->width / 2;
    TSR_SCOPE(ctx) {
        pick p = {.row = l->row};
        tsr_tensor *x = tsr_watch(tsr_normal(ctx, TSR_SHAPE(SAMPLES, s->size, s->size, 3), 0, 2, 9));
        s->net(s->m, x);
        tsr_trace(x, pick_row, &p);
        tsr_tensor *seed = tsr_zeros(ctx, tsr_shape_of(p.found));
        tsr_real *to = tsr_write(seed);
        for (int i = 0; to && i < SAMPLES * l->channels; i++)
            to[((i / l->channels * l->height + row) * l->width + column) * l->channels + i % l->channels] = 1;
        tsr_backward_from(p.found, seed);
        const tsr_real *g = tsr_data(tsr_grad(x));
        double most = 0; /* Winograd's transforms leave rounding errors where there is nothing */
        for (int64_t i = 0; g && i < tsr_size(x); i++) most = fmax(most, fabs((double)g[i]));
        for (int64_t i = 0; g && i < tsr_size(x); i++) {
            const int at = (int)(i / 3), y = at / s->size % s->size, left = at % s->size;
            if (fabs((double)g[i]) < 1e-6 * most) continue;
            seen[0] = left < seen[0] ? left : seen[0];
            seen[1] = y < seen[1] ? y : seen[1];
            seen[2] = left + 1 > seen[2] ? left + 1 : seen[2];
            seen[3] = y + 1 > seen[3] ? y + 1 : seen[3];
        }
    }
    field_box(l, row, column, s->size, box);
    return seen[0] == box[0] && seen[1] == box[1] && seen[2] == box[0] + box[2] && seen[3] == box[1] + box[3];
}

TEST(neurons_fields_of_our_nets_are_those_of_the_gradient)
{
    static const struct {
        tsr_network net;
        int size;
        const char *names[4];
    } nets[] = {{medium_net, 64, {"block1.b.bn", "block2.a.bn", "block2.b.bn", "block3.b.bn"}},
                {resnet_net, 131, {"conv32_1.conv2.scale:relu", "conv64_down.conv2.scale:relu"}},
                {NULL, 112, {"conv1", "fire2.expand3x3", "fire4.expand1x1", "fire6.expand3x3"}}};
    tsr_context *ctx = tsr_open(NULL);
    for (int n = 0; n < 3; n++) {
        app_error error = {""};
        layers all = {0};
        const subject s = random_subject(ctx, nets[n].net ? nets[n].net : feature_nets[1].net, nets[n].size);
        CHECK(layers_find(&all, &s, NULL, &error));
        for (int i = 0; i < 4 && nets[n].names[i]; i++) {
            const layer *l = layer_named(&all, nets[n].names[i]);
            CHECK_TEXT(l->name, nets[n].names[i]);
            if (!gradient_fills_field(&s, l)) CHECK_TEXT(l->name, "a layer whose gradient fills its field");
        }
        layers_free(&all);
    }
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(neurons_scenes_are_squares_of_pictures_one_after_the_other)
{
    app_error error = {""};
    image wide = {0};
    char path[400];
    const char *folder = test_path("neurons_scenes");
    CHECK(make_sample(&wide, 25, 17, 3));
    CHECK(add_file(folder, "deep", "b.png", "\x89PNG\r\n\x1a\nbroken"));
    CHECK(add_file(folder, "deep", "c.txt", "no picture"));
    snprintf(path, sizeof path, "%.300s/deep/a.png", folder);
    CHECK(image_write(&wide, path, &error));
    scenes s = {.size = 8, .channels = 3, .crops = true};
    CHECK(scenes_open(&s, folder, 0, &error));
    unsigned char square[8 * 8 * 3], again[8 * 8 * 3];
    scene where, fourth = {0};
    int count = 0;
    for (; scenes_next(&s, &where, square); count++) {
        if (count == 3) {
            fourth = where;
            memcpy(again, square, sizeof again);
        }
    }
    CHECK_EQUAL(count, 6); /* three across, two down, in the middle */
    CHECK_EQUAL(s.seen, 6);
    CHECK_EQUAL(s.broken, 1);
    CHECK_CONTAINS(s.first_broken, "b.png");
    CHECK(scenes_again(&s, fourth, square, &error) && memcmp(square, again, sizeof square) == 0);
    CHECK_EQUAL(square[1], sample(0, 8, 1));
    scenes_close(&s);

    s = (scenes){.size = 8, .channels = 1};
    CHECK(scenes_open(&s, path, 0, &error)); /* a single picture, resized */
    CHECK(scenes_next(&s, &where, square) && !scenes_next(&s, &where, square));
    scenes_close(&s);

    s = (scenes){.size = 8, .channels = 1};
    snprintf(path, sizeof path, "%.300s/deep/c.txt", folder);
    CHECK(!scenes_open(&s, path, 0, &error));
    CHECK_CONTAINS(error.text, "no picture is in it");
    scenes_close(&s);

    s = (scenes){.size = 8, .channels = 3}; /* aligned, as far as there are landmarks */
    const landmarks face = {.count = 2, .marks = {{8, 8}, {14, 8}}};
    error.text[0] = '\0';
    folder = test_path("neurons_aligned");
    CHECK(landmarks_add(&s.faces, &face, "a.ppm"));
    CHECK(add_file(folder, "deep", "a.ppm", "P6 1 1 255 abc") && add_file(folder, "deep", "b.ppm", "P6 1 1 255 abc"));
    CHECK(scenes_open(&s, folder, 0, &error));
    CHECK(scenes_next(&s, &where, square) && !scenes_next(&s, &where, square));
    CHECK_EQUAL(s.broken, 1);
    CHECK_CONTAINS(s.first_broken, "b.ppm: has no landmarks");
    scenes_close(&s);
    image_free(&wide);
}

enum { FACES = 21 };

/* What a unit's map has at most in each of the drawn faces, one by one. */
static bool largest_values(const subject *s, const layer *l, int channel, double out[FACES])
{
    app_error error = {""};
    tsr_context *ctx = tsr_model_context(s->m);
    scenes from = {.size = s->size, .channels = 3};
    unsigned char *square = malloc((size_t)s->size * (size_t)s->size * 3);
    scene where;
    bool done = square && scenes_open(&from, NULL, FACES, &error);
    for (int i = 0; done && i < FACES; i++) {
        out[i] = 0;
        done = scenes_next(&from, &where, square) && where.file == i;
        if (done) TSR_SCOPE(ctx) {
            pick p = {.row = l->row};
            tsr_tensor *x = subject_input(s, square, 1);
            s->net(s->m, x);
            tsr_trace(x, pick_row, &p);
            for (int64_t k = channel; k < tsr_size(p.found); k += l->channels)
                if ((double)tsr_data(p.found)[k] > out[i]) out[i] = (double)tsr_data(p.found)[k];
        }
    }
    scenes_close(&from);
    free(square);
    return done;
}

TEST(neurons_keep_the_nine_best_of_what_was_seen)
{
    tsr_context *ctx = tsr_open(NULL);
    app_error error = {""};
    layers all = {0};
    const subject s = random_subject(ctx, medium_net, 32);
    scenes from = {.size = 32, .channels = 3};
    CHECK(layers_find(&all, &s, "block2", &error) && scenes_open(&from, NULL, FACES, &error));
    CHECK(layers_gather(&all, &s, &from, NULL, &error));
    CHECK_EQUAL(from.seen, FACES);
    const layer *l = layer_named(&all, "block2.b.bn");
    for (int channel = 0; channel < l->channels; channel += 21) {
        double values[FACES];
        const unit *u = &l->units[channel];
        CHECK(largest_values(&s, l, channel, values));
        for (int k = 0; k < u->count; k++) {
            int larger = 0;
            for (int i = 0; i < FACES; i++) larger += values[i] > values[u->best[k].where.file];
            CHECK_EQUAL(larger, k); /* so that no picture comes twice */
            CHECK_NEAR(u->best[k].value, values[u->best[k].where.file], 1e-5);
        }
        int fired = 0;
        for (int i = 0; i < FACES; i++) fired += values[i] > 0;
        CHECK_EQUAL(u->count, fired < NINE ? fired : NINE);
    }
    scenes_close(&from);
    layers_free(&all);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(neurons_reconstruct_inside_the_field_only)
{
    tsr_context *ctx = tsr_open(NULL);
    app_error error = {""};
    layers all = {0};
    exhibit items[2 * NINE] = {{0}};
    image sheet = {0};
    int count = 0;
    const subject s = random_subject(ctx, medium_net, 32);
    scenes from = {.size = 32, .channels = 3};
    CHECK(layers_find(&all, &s, "block2.a", &error) && scenes_open(&from, NULL, 12, &error));
    CHECK(layers_gather(&all, &s, &from, NULL, &error));
    const layer *l = layer_named(&all, "block2.a.bn");
    for (int u = 0; u < 2; u++)
        for (int k = 0; k < l->units[u].count; k++)
            items[count++] = (exhibit){.unit = u, .found = l->units[u].best[k]};
    CHECK(count > 2);
    CHECK(exhibits_make(items, count, l, &s, &from, &error));
    for (int i = 0; i < count; i++) {
        int box[4], coloured = 0;
        field_box(l, items[i].found.row, items[i].found.column, 32, box);
        for (int p = 0; p < 32 * 32 * 3; p++) {
            const int x = p / 3 % 32, y = p / 96;
            const bool inside = x >= box[0] && x < box[0] + box[2] && y >= box[1] && y < box[1] + box[3];
            CHECK(inside || items[i].reconstruction.pixels[p] == 128);
            coloured += items[i].reconstruction.pixels[p] != 128;
        }
        CHECK(coloured > box[2] * box[3]);
    }
    CHECK(draw_layer(&sheet, l, s.name, items, count, &error));
    image_free(&sheet);
    CHECK(draw_unit(&sheet, l, s.name, items, l->units[0].count, &error));
    image_free(&sheet);
    CHECK(draw_filters(&sheet, &s, &error));
    image_free(&sheet);
    exhibits_free(items, count);
    scenes_close(&from);
    layers_free(&all);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* Published weights, run on stored pictures, against what PyTorch made of them. */
static void check_known_net(tsr_context *ctx, const char *file, const char *input, const char *layer_name,
                            const char *answer)
{
    app_error error = {""};
    layers all = {0};
    subject s;
    CHECK(subject_open(&s, ctx, file, &error));
    tsr_tensor *picture = known_answer(ctx, input), *y = known_answer(ctx, answer);
    tsr_tensor *x = tsr_watch(tsr_zeros(ctx, TSR_SHAPE(1, tsr_dim(picture, 0), tsr_dim(picture, 1), 3)));
    CHECK(layers_find(&all, &s, NULL, &error));
    pick p = {.row = layer_named(&all, layer_name)->row};
    tsr_real *to = tsr_write(x);
    for (int64_t i = 0; to && i < tsr_size(picture); i++)
        to[i] = (tsr_real)(tsr_data(picture)[i - i % 3 + 2 - i % 3] - s.mean[i % 3]);
    s.net(s.m, x);
    CHECK(tsr_trace(x, pick_row, &p));
    tsr_tensor *ours = p.found;
    if (tsr_rank(y) == 1) ours = tsr_mean(ours, &(tsr_reduce_options){.axes = TSR_AXIS(1) | TSR_AXIS(2)}); /* logits */
    else if (tsr_dim(y, 0) == tsr_dim(ours, 3)) ours = tsr_permute(ours, (const int[]){0, 3, 1, 2});
    CHECK(relative_error(ours, y) < 1e-4);
    layers_free(&all);
}

TEST(neurons_published_nets_give_their_known_answers)
{
    if (!have_weights()) return;
    tsr_context *ctx = tsr_open(NULL);
    const char *vgg = WEIGHTS "vgg19_conv1-3.safetensors", *squeezenet = WEIGHTS "squeezenet1_1.safetensors";
    check_known_net(ctx, vgg, "vgg19.input_small", "conv2_2", "vgg19.relu_conv2_2_small");
    check_known_net(ctx, vgg, "vgg19.input_small", "conv3_4", "vgg19.relu_conv3_4_small");
    check_known_net(ctx, squeezenet, "squeezenet1_1.input_coffee", "conv10", "squeezenet1_1.logits_coffee");
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(neurons_refuse_a_file_of_no_net)
{
    tsr_context *ctx = tsr_open(NULL);
    app_error error = {""};
    subject s;
    CHECK(!subject_open(&s, ctx, test_path("neurons_nothing.safetensors"), &error));
    CHECK_CONTAINS(error.text, "neurons_nothing.safetensors");
    tsr_close(ctx);
}
