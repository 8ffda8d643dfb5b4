/* The kernels of every instruction set that this CPU has, against sums in double. */
#include "core/core_internal.h"
#include "core/kernels/kernels.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 16 }; /* values past the end of out and workspace that nobody may touch */

typedef struct product_case {
    int64_t rows, columns, depth;
    bool left_turned, right_turned;    /* the depth axis comes first in memory */
    bool left_callback, right_callback;
    bool accumulate, bias;
    tsr_activation activation;
} product_case;

typedef struct product_data {
    const product_case *c;
    tsr_real *left, *right, *bias, *before, *out, *workspace;
    int64_t size; /* of out: one value of padding a row, and the guard */
    size_t workspace_room; /* enough for all tables */
    tsr_product p;
} product_data;

/* Packs as a caller's function would, value by value. */
static void pack_slowly(const tsr_factor *f, const tsr_block_of *block, tsr_real *out)
{
    const tsr_factor *plain = f->user;
    for (int64_t d = 0; d < block->depth; d++)
        for (int64_t r = 0; r < block->tile; r++)
            out[d * block->tile + r] =
                r < block->rows
                    ? plain->data[(block->row + r) * plain->row_stride + (block->k + d) * plain->depth_stride] : 0;
}

/* N(0, 1); the same again after a prime number of values, since drawing them costs more than multiplying. */
static tsr_real *normals(int64_t count, uint64_t stream)
{
    const tsr_rng rng = {.seed = 3, .stream = stream};
    tsr_real *values = malloc((size_t)(count + 1) * sizeof *values);
    for (int64_t i = 0; values && i < count; i++)
        values[i] = i < 65521 ? (tsr_real)tsr_random_normal(rng, (uint64_t)i) : values[i - 65521];
    return values;
}

static bool prepare(product_data *d, const product_case *c, tsr_factor plain[2])
{
    *d = (product_data){.c = c, .size = c->rows * (c->columns + 1) + GUARD};
    d->left = normals(c->rows * c->depth, 1);
    d->right = normals(c->columns * c->depth, 2);
    d->bias = normals(c->columns, 3);
    d->before = normals(d->size, 4);
    d->out = malloc((size_t)d->size * sizeof *d->out);
    plain[0] = (tsr_factor){.data = d->left, .row_stride = c->left_turned ? 1 : c->depth,
                            .depth_stride = c->left_turned ? c->rows : 1};
    plain[1] = (tsr_factor){.data = d->right, .row_stride = c->right_turned ? 1 : c->depth,
                            .depth_stride = c->right_turned ? c->columns : 1};
    d->p = (tsr_product){.rows = c->rows, .columns = c->columns, .depth = c->depth, .left = plain[0], .right = plain[1],
                         .out = d->out, .stride = c->columns + 1, .accumulate = c->accumulate,
                         .bias = c->bias ? d->bias : NULL, .activation = c->activation};
    if (c->left_callback) d->p.left = (tsr_factor){.pack = pack_slowly, .user = &plain[0]};
    if (c->right_callback) d->p.right = (tsr_factor){.pack = pack_slowly, .user = &plain[1]};
    for (int i = 0; tsr_kernels_list(i); i++) {
        const size_t bytes = tsr_product_workspace(tsr_kernels_list(i), &d->p);
        if (bytes > d->workspace_room) d->workspace_room = bytes;
    }
    d->workspace = malloc(d->workspace_room + GUARD);
    return d->left && d->right && d->bias && d->before && d->out && d->workspace;
}

static void give_back(product_data *d)
{
    free(d->left);
    free(d->right);
    free(d->bias);
    free(d->before);
    free(d->out);
    free(d->workspace);
}

/* The product on `ctx` with these kernels, from the same start; ctx NULL: alone. False: something beside was touched. */
static bool multiply_into(product_data *d, tsr_context *ctx, const tsr_kernels *kernels)
{
    memcpy(d->out, d->before, (size_t)d->size * sizeof *d->out);
    memset(d->workspace, 0xff, d->workspace_room + GUARD); /* NaN: nothing may count on what is there */
    if (ctx) {
        ctx->kernels = kernels;
        tsr_multiply(ctx, &d->p, d->workspace);
    } else tsr_multiply_alone(kernels, &d->p, d->workspace);
    bool clean = true;
    const unsigned char *guard = (unsigned char *)d->workspace + tsr_product_workspace(kernels, &d->p);
    for (int k = 0; k < GUARD; k++) clean = clean && guard[k] == 0xff;
    for (int64_t i = 0; i < d->c->rows; i++)
        clean = clean && d->out[i * d->p.stride + d->c->columns] == d->before[i * d->p.stride + d->c->columns];
    for (int64_t i = d->size - GUARD; i < d->size; i++) clean = clean && d->out[i] == d->before[i];
    return clean;
}

/* Root mean square of out - (double result), over that of |row| |column|, which is depth for N(0, 1). Of a large result
 * only some rows are looked at. */
static double error_of(const product_data *d, const tsr_factor plain[2])
{
    const product_case *c = d->c;
    const int64_t step = 1 + c->rows * c->columns * c->depth / 10000000;
    double sum = 0;
    for (int64_t i = 0; i < c->rows; i += step)
        for (int64_t j = 0; j < c->columns; j++) {
            const tsr_real *a = plain[0].data + i * plain[0].row_stride, *b = plain[1].data + j * plain[1].row_stride;
            double v = c->accumulate ? (double)d->before[i * d->p.stride + j] : 0;
            for (int64_t k = 0; k < c->depth; k++)
                v += (double)a[k * plain[0].depth_stride] * (double)b[k * plain[1].depth_stride];
            if (c->bias) v += (double)d->bias[j];
            if (c->activation == TSR_RELU && v < 0) v = 0;
            if (c->activation == TSR_SIGMOID) v = 1 / (1 + exp(-v));
            if (c->activation == TSR_TANH) v = tanh(v);
            const double e = (double)d->out[i * d->p.stride + j] - v;
            sum += e * e;
        }
    const double count = (double)(((c->rows - 1) / step + 1) * c->columns), scale = c->depth > 0 ? (double)c->depth : 1;
    return count > 0 ? sqrt(sum / count) / scale : 0;
}

/* What a table may be wrong by: `bound` in float, or what its parts of 8 bits leave. */
static double bound_of(const tsr_kernels *kernels, double bound)
{
    if (!kernels->parts || kernels->parts->count == 3) return bound;
    return kernels->parts->count == 2 ? 1e-5 : 5e-3;
}

/* One case at every level: right, within its memory, and the same bits on one thread, on three, and alone. */
static void check_product(const product_case *c, double bound)
{
    tsr_context *one = tsr_open(&(tsr_options){.threads = 1}), *three = tsr_open(&(tsr_options){.threads = 3});
    product_data d;
    tsr_factor plain[2];
    char what[200];
    if (!test_check(prepare(&d, c, plain), "there is memory", __FILE__, __LINE__)) return;
    tsr_real *first = malloc((size_t)d.size * sizeof *first);
    for (int i = 0; first && tsr_kernels_list(i); i++) {
        const tsr_kernels *kernels = tsr_kernels_list(i);
        if (test_leaves_out(kernels->name)) continue;
        snprintf(what, sizeof what, "%s, %d parts: %lld x %lld x %lld", kernels->name,
                 kernels->parts ? kernels->parts->count : 0, (long long)c->rows, (long long)c->columns,
                 (long long)c->depth);
        const size_t bytes = (size_t)d.size * sizeof *first;
        if (!test_check(multiply_into(&d, one, kernels), what, __FILE__, __LINE__)) break;
        if (!test_check(error_of(&d, plain) <= bound_of(kernels, bound), what, __FILE__, __LINE__)) break;
        memcpy(first, d.out, bytes);
        multiply_into(&d, three, kernels);
        if (!test_check(memcmp(first, d.out, bytes) == 0, what, __FILE__, __LINE__)) break;
        multiply_into(&d, NULL, kernels);
        if (!test_check(memcmp(first, d.out, bytes) == 0, what, __FILE__, __LINE__)) break;
    }
    free(first);
    give_back(&d);
    tsr_close(one);
    tsr_close(three);
}

static const double short_sum_bound = sizeof(tsr_real) == 8 ? 1e-14 : 3e-7; /* short sums are nearly exact */

/* A number in 1 .. most from a counter. */
static int64_t draw(uint64_t *counter, int64_t most)
{
    return 1 + (int64_t)tsr_random_below((tsr_rng){.seed = 11}, (*counter)++, (uint64_t)most);
}

TEST(product_is_right_for_all_shapes_strides_and_endings_at_every_level)
{
    uint64_t counter = 0;
    for (int i = 0; i < 120 && !test_failed(); i++) {
        const bool tall = i % 4 == 0, wide = i % 4 == 1, deep = i % 8 == 2;
        product_case c = {.rows = draw(&counter, tall ? 250 : 40), .columns = draw(&counter, wide ? 250 : 40)};
        c.depth = draw(&counter, deep ? 700 : 40);
        const int64_t bits = draw(&counter, 64);
        c.left_turned = bits & 1;
        c.right_turned = bits & 2;
        c.left_callback = bits & 4;
        c.right_callback = bits & 8;
        c.accumulate = bits & 16;
        c.bias = bits & 32;
        c.activation = (tsr_activation)(draw(&counter, 4) - 1);
        check_product(&c, short_sum_bound);
    }
}

/* A matrix and a few vectors, on either side, and what is nearly that. */
TEST(product_with_few_rows_or_columns_is_right_at_every_level)
{
    uint64_t counter = 1000;
    for (int i = 0; i < 64 && !test_failed(); i++) {
        const int64_t few = draw(&counter, 6), many = draw(&counter, i % 8 == 0 ? 2500 : 400), bits = draw(&counter, 16);
        product_case c = {.rows = i & 1 ? few : many, .columns = i & 1 ? many : few,
                          .depth = draw(&counter, i % 8 == 7 ? 5000 : 90)};
        c.left_turned = i & 2;
        c.right_turned = i & 4;
        c.accumulate = bits & 1;
        c.bias = bits & 2;
        c.activation = (tsr_activation)(bits / 4 % 4);
        check_product(&c, short_sum_bound);
    }
}

TEST(product_of_blocks_that_do_not_come_out_even_is_right_at_every_level)
{
    for (int64_t rows = 190; rows < 206; rows += 3) /* about what the cache holds */
        check_product(&(product_case){.rows = rows, .columns = 70, .depth = 300, .right_turned = true}, short_sum_bound);
    check_product(&(product_case){.rows = 64, .columns = 530, .depth = 520, .right_turned = true}, short_sum_bound);
    check_product(&(product_case){.rows = 397, .columns = 397, .depth = 40, .left_turned = true, .right_turned = true,
                                  .accumulate = true, .bias = true}, short_sum_bound);
}

TEST(products_of_a_few_tiles_need_no_workspace)
{
    CHECK_EQUAL(tsr_product_workspace(tsr_kernels_list(0), &(tsr_product){.rows = 4, .columns = 16, .depth = 2}), 0);
    CHECK(tsr_product_workspace(tsr_kernels_list(0), &(tsr_product){.rows = 64, .columns = 64, .depth = 64}) > 0);
}

TEST(product_sums_of_long_rows_keep_their_error_bound_at_every_level)
{
    const double bound = sizeof(tsr_real) == 8 ? 1e-15 : 1e-6;
    check_product(&(product_case){.rows = 7, .columns = 18, .depth = 131072, .left_turned = true}, bound);
    check_product(&(product_case){.rows = 19, .columns = 3, .depth = 20000, .accumulate = true, .bias = true,
                                  .activation = TSR_RELU}, bound);
    check_product(&(product_case){.rows = 3, .columns = 2400, .depth = 2100, .right_turned = true}, bound);
    check_product(&(product_case){.rows = 41, .columns = 9, .depth = 20000, .left_turned = true, .right_turned = true,
                                  .accumulate = true, .bias = true, .activation = TSR_TANH}, bound);
    check_product(&(product_case){.rows = 2, .columns = 5, .depth = 131072}, bound);
    check_product(&(product_case){.rows = 2, .columns = 300, .depth = 131072, .right_turned = true}, bound);
    check_product(&(product_case){.rows = 2300, .columns = 2, .depth = 17000, .accumulate = true, .bias = true}, bound);
}

/* A product just large enough to be one of parts, where the table has them. */
static void check_precision(const tsr_kernels *kernels, int64_t depth)
{
    const int64_t side = kernels->parts ? TSR_PARTS_TILE * kernels->parts->count + 1 : 20;
    const product_case c = {.rows = side - 1, .columns = side, .depth = depth, .left_turned = true};
    product_data d;
    tsr_factor plain[2];
    char what[100];
    snprintf(what, sizeof what, "%s, depth %lld", kernels->name, (long long)depth);
    if (test_check(prepare(&d, &c, plain), "there is memory", __FILE__, __LINE__)) {
        test_check(multiply_into(&d, NULL, kernels), what, __FILE__, __LINE__);
        test_check(error_of(&d, plain) <= bound_of(kernels, sizeof(tsr_real) == 8 ? 1e-15 : 1e-6), what, __FILE__,
                   __LINE__);
    }
    give_back(&d);
}

TEST(product_keeps_the_error_bound_of_its_precision_at_every_level)
{
    for (int i = 0; tsr_kernels_list(i); i++) {
        const tsr_kernels *kernels = tsr_kernels_list(i);
        if (test_leaves_out(kernels->name)) continue;
        check_precision(kernels, 64);
        check_precision(kernels, 1000);
        check_precision(kernels, 1 << 14);
        if (!kernels->emulated) check_precision(kernels, 1 << 17);
    }
}

TEST_LONG(product_of_emulated_parts_keeps_its_error_bound_in_long_sums)
{
    for (int i = 0; tsr_kernels_list(i); i++)
        if (tsr_kernels_list(i)->emulated && !test_leaves_out(tsr_kernels_list(i)->name))
            check_precision(tsr_kernels_list(i), 1 << 17);
}

TEST_LONG(product_of_factors_too_large_to_pack_at_once_is_right)
{
    check_product(&(product_case){.rows = 270, .columns = 262, .depth = 16384, .bias = true}, 1e-6);
    check_product(&(product_case){.rows = 530, .columns = 520, .depth = 16640, .right_turned = true}, 1e-6);
}

TEST(product_without_depth_is_bias_or_what_was_there)
{
    check_product(&(product_case){.rows = 5, .columns = 9}, 0);
    check_product(&(product_case){.rows = 5, .columns = 9, .bias = true, .activation = TSR_RELU}, 0);
    check_product(&(product_case){.rows = 5, .columns = 9, .accumulate = true}, 0);
    check_product(&(product_case){.rows = 0, .columns = 9, .depth = 3}, 0);
    check_product(&(product_case){.rows = 5, .columns = 0, .depth = 3}, 0);
}

TEST(pack_rows_transposes_and_fills_with_zeros)
{
    tsr_real values[8][9], out[9 * 8 + 1];
    for (int r = 0; r < 8; r++)
        for (int d = 0; d < 9; d++) values[r][d] = (tsr_real)(10 * r + d + 1);
    for (int tile = 1; tile <= 8; tile++)
        for (int depth = 0; depth <= 9; depth++) {
            const tsr_real *rows[8];
            for (int r = 0; r < 8; r++) rows[r] = r % 3 == 1 ? NULL : values[r];
            for (int i = 0; i <= 72; i++) out[i] = -1;
            tsr_pack_rows(rows, tile, depth, out);
            for (int d = 0; d < depth; d++)
                for (int r = 0; r < tile; r++) CHECK_EQUAL(out[d * tile + r], rows[r] ? rows[r][d] : 0);
            CHECK_EQUAL(out[depth * tile], -1);
        }
}

TEST(kernels_are_listed_from_plain_to_the_one_chosen)
{
    CHECK_TEXT(tsr_kernels_list(0)->name, "plain");
    int count = 0;
    bool chosen = false;
    for (; tsr_kernels_list(count); count++) {
        const tsr_kernels *k = tsr_kernels_list(count);
        CHECK(k->tile_rows <= TSR_MAX_TILE && k->tile_columns <= TSR_MAX_TILE);
        CHECK(k->tile_rows * k->tile_columns <= TSR_MAX_TILE_AREA);
        chosen = chosen || k == tsr_kernels_choose(TSR_HIGH);
    }
    CHECK(chosen);
    const char *wanted = getenv("TSR_KERNELS");
    const bool known = wanted && strcmp(wanted, tsr_kernels_choose(TSR_HIGH)->name) == 0;
    if (!wanted) CHECK_TEXT(tsr_kernels_choose(TSR_HIGH)->name, tsr_kernels_list(count - 1)->name);
    for (int i = 0; wanted && tsr_kernels_list(i); i++) CHECK(known || strcmp(tsr_kernels_list(i)->name, wanted) != 0);
    const tsr_precision precisions[] = {TSR_MEDIUM, TSR_HIGH, TSR_HIGHEST}; /* in 1, 2, 3 parts */
    for (int i = 0; i < 3; i++) {
        const tsr_kernels *k = tsr_kernels_choose(precisions[i]);
        CHECK_TEXT(k->name, tsr_kernels_choose(TSR_HIGH)->name);
        CHECK(!k->parts || k->parts->count == i + 1);
        CHECK(!k->emulated || known);
    }
}

/* ---- convolutions ------------------------------------------------------------------------------------------------ */

/* A gathered tile of so many vectors against sums in double; false where one is wrong. */
static bool gathers_as_defined(const tsr_kernels *k, int vectors, bool all)
{
    enum { DEPTH = 29, SIZE = 400 };
    const int width = vectors * k->lanes, step = width + 3;
    tsr_real *image = normals(SIZE, 1), *b = normals(DEPTH * step, 2), *bias = normals(TSR_GATHER_WIDTH, 3);
    tsr_real *out = normals(TSR_GATHER_ROWS * (TSR_GATHER_WIDTH + 2), 4), *places[TSR_GATHER_ROWS];
    const tsr_real *rows[TSR_GATHER_ROWS];
    tsr_real before[TSR_GATHER_ROWS * (TSR_GATHER_WIDTH + 2)];
    int64_t offsets[DEPTH];
    memcpy(before, out, sizeof before);
    for (int d = 0; d < DEPTH; d++) offsets[d] = (d * 37) % 300;
    for (int i = 0; i < k->gather_rows; i++) {
        rows[i] = image + (i * 13) % 90;
        places[i] = out + i * (width + 2);
    }
    k->gather(&(tsr_gathered){.rows = rows, .b = b, .offsets = offsets, .depth = DEPTH, .channel = 5, .column = 1,
                              .b_step = step, .vectors = vectors, .c = places, .bias = all ? bias : NULL,
                              .accumulate = all, .relu = all});
    bool right = true;
    for (int i = 0; i < k->gather_rows; i++)
        for (int j = 0; j < width + 2; j++) {
            double sum = all ? (double)before[i * (width + 2) + j] + (double)bias[j > 0 ? j - 1 : 0] : 0;
            for (int d = 0; j > 0 && d < DEPTH; d++) sum += (double)rows[i][5 + offsets[d]] * (double)b[d * step + j - 1];
            if (all && sum < 0) sum = 0;
            if (j == 0 || j > width) sum = (double)before[i * (width + 2) + j];
            right = right && fabs(sum - (double)out[i * (width + 2) + j]) < 1e-4;
        }
    free(image);
    free(b);
    free(bias);
    free(out);
    return right;
}

TEST(kernels_gather_as_defined_on_every_table)
{
    for (int i = 0; tsr_kernels_list(i); i++)
        for (int vectors = 1; vectors <= tsr_kernels_list(i)->gather_vectors; vectors++)
            for (int all = 0; all < 2; all++) CHECK(gathers_as_defined(tsr_kernels_list(i), vectors, all == 1));
}

/* Channels apart, against the plain table, for numbers of channels and pixels that leave rests. */
TEST(kernels_with_channels_apart_agree_on_every_table)
{
    enum { MOST = 70, PIXELS = 11 };
    const tsr_kernels *plain = tsr_kernels_list(0);
    tsr_real *x = normals(4 * PIXELS * MOST * 3, 1), *w = normals(6 * MOST, 2);
    for (int i = 1; tsr_kernels_list(i); i++)
        for (int64_t channels = 1; channels <= MOST; channels += 3) {
            tsr_real out[2][PIXELS * MOST] = {{0}};
            double sums[2][MOST] = {{0}};
            for (int t = 0; t < 2; t++) {
                const tsr_kernels *k = t ? tsr_kernels_list(i) : plain;
                k->depthwise(&(tsr_depthwise){.x = x, .w = w, .bias = w, .out = out[t], .count = {1, 2, 3},
                                              .x_step = {0, PIXELS * channels, channels}, .channels = channels,
                                              .w_step = {0, 3 * channels, channels}, .pixels = PIXELS,
                                              .x_pixel = 2 * channels, .out_pixel = channels});
                k->correlate(&(tsr_correlation){x, x + 7, PIXELS, 2 * channels, channels}, sums[t]);
            }
            bool agree = true;
            for (int64_t j = 0; j < PIXELS * channels; j++) agree = agree && fabs((double)(out[0][j] - out[1][j])) < 1e-4;
            for (int64_t j = 0; j < channels; j++) agree = agree && fabs(sums[0][j] - sums[1][j]) < 1e-4;
            CHECK(agree);
        }
    free(x);
    free(w);
}
