/* Products of bfloat16 parts (core/kernels/parts.h): splitting, tiles and their endings, infinities. The tables that
 * stand in for tile instructions run everywhere; where the CPU has such instructions, they must give the same bits. */
#include "core/core_internal.h"
#include "core/kernels/kernels.h"
#include "tests/test.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef TSR_DOUBLE
enum { SIDE = TSR_PARTS_TILE, DEPTH = TSR_DEPTH_BLOCK, GUARD = 8 };

static const float LARGE = 3.4e38f; /* to the nearest bfloat16 it would be infinite */

typedef struct tile_data {
    float left[SIDE * DEPTH], right[SIDE * DEPTH], bias[SIDE]; /* panels: [d * SIDE + r] */
    float before[SIDE + 1][SIDE + GUARD], out[SIDE + 1][SIDE + GUARD];
} tile_data;

static void fill(tile_data *d)
{
    const tsr_rng rng = {.seed = 5};
    float *values = (float *)d;
    for (size_t i = 0; i < sizeof *d / sizeof *values; i++) values[i] = (float)tsr_random_normal(rng, i);
}

/* d->out = the tile t of `kernels`, from d->before. */
static void multiply(const tsr_kernels *kernels, tile_data *d, tsr_tile t)
{
    _Alignas(64) static float left[3 * SIDE * DEPTH / 2], right[3 * SIDE * DEPTH / 2];
    memset(left, 0xff, sizeof left); /* NaN: depth must be padded */
    memset(right, 0xff, sizeof right);
    const tsr_parts *parts = kernels->parts;
    parts->split(d->left, t.depth, parts->count, true, left);
    parts->split(d->right, t.depth, parts->count, false, right);
    memcpy(d->out, d->before, sizeof d->out);
    t.parts = parts->count;
    t.a = left;
    t.b = right;
    t.c = d->out[0];
    t.stride = SIDE + GUARD;
    parts->begin();
    parts->tile(&t);
    parts->end();
}

/* The tables of products of parts that run here; NULL past the last. */
static const tsr_kernels *table_of_parts(int i)
{
    for (int k = 0; tsr_kernels_list(k); k++)
        if (tsr_kernels_list(k)->parts && i-- == 0) return tsr_kernels_list(k);
    return NULL;
}

/* Root mean square of the error over that of |row| |column|; 1 where something beside was touched. */
static double error_of(const tile_data *d, const tsr_tile *t)
{
    double sum = 0;
    for (int i = 0; i <= SIDE; i++)
        for (int j = 0; j < SIDE + GUARD; j++) {
            if (i >= t->rows || j >= SIDE) {
                if (d->out[i][j] != d->before[i][j]) return 1;
                continue;
            }
            double v = t->accumulate ? (double)d->before[i][j] : 0;
            for (int64_t k = 0; k < t->depth; k++) v += (double)d->left[k * SIDE + i] * (double)d->right[k * SIDE + j];
            if (t->bias) v += (double)t->bias[j];
            if (t->activation == TSR_RELU && v < 0) v = 0;
            sum += pow((double)d->out[i][j] - v, 2);
        }
    return sqrt(sum / (t->rows * SIDE)) / (double)t->depth;
}

TEST_FLOAT(tiles_of_parts_are_right_for_all_rows_depths_and_endings)
{
    static tile_data d;
    fill(&d);
    for (int n = 0; table_of_parts(n); n++) {
        const tsr_kernels *kernels = table_of_parts(n);
        const double bound = kernels->parts->count == 3 ? 2e-7 : kernels->parts->count == 2 ? 1e-5 : 5e-3;
        for (int rows = 1; rows <= SIDE; rows++) {
            tsr_tile t = {.rows = rows, .depth = rows % 5 == 0 ? DEPTH : 1 + rows * 7 % 67};
            t.accumulate = rows & 1;
            t.bias = rows & 2 ? d.bias : NULL;
            t.activation = rows & 4 ? TSR_RELU : TSR_NO_ACTIVATION;
            multiply(kernels, &d, t);
            CHECK(error_of(&d, &t) <= bound);
        }
    }
}

/* Times the unit matrix, on either side, a product is the sum of a value's parts. */
TEST_FLOAT(parts_of_a_value_sum_to_it)
{
    static tile_data d;
    const tsr_rng rng = {.seed = 8};
    for (int n = 0; table_of_parts(n); n++)
        for (int side = 0; side < 2; side++) {
            const tsr_kernels *kernels = table_of_parts(n);
            float *values = side ? d.right : d.left, *unit = side ? d.left : d.right;
            for (int k = 0; k < SIDE; k++)
                for (int r = 0; r < SIDE; r++) {
                    unit[k * SIDE + r] = k == r;
                    const uint64_t bits = tsr_random_bits(rng, (uint64_t)(k * SIDE + r));
                    const float fraction = 1 + (float)(bits >> 41) / (1 << 23); /* all of its 24 bits */
                    values[k * SIDE + r] = (float)ldexp(bits & 1 ? fraction : -fraction, (int)(bits >> 1 & 0xff) - 100);
                    if (!isfinite(values[k * SIDE + r])) values[k * SIDE + r] = LARGE;
                }
            multiply(kernels, &d, (tsr_tile){.rows = SIDE, .depth = SIDE});
            const int bits = 9 * kernels->parts->count - 1; /* 8 and a sign each */
            for (int i = 0; i < SIDE; i++)
                for (int j = 0; j < SIDE; j++) {
                    const float x = side ? values[i * SIDE + j] : values[j * SIDE + i];
                    const bool truncated = fabsf(x) == LARGE;
                    const double error = fabs((double)d.out[i][j] - (double)x);
                    CHECK(kernels->parts->count == 3 ? error == 0 : error <= ldexp(fabs((double)x), truncated - bits));
                }
        }
}

static float of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

TEST_FLOAT(parts_give_the_infinities_and_nans_that_float_gives)
{
    static tile_data d, f;
    fill(&d);
    float *l = d.left, *r = d.right;
    l[5 * SIDE + 3] = INFINITY;
    l[1 * SIDE + 7] = -INFINITY;
    l[0 * SIDE + 9] = INFINITY; /* with the next one: NaN in about half of the columns */
    l[39 * SIDE + 9] = -INFINITY;
    l[2 * SIDE + 11] = of_bits(0x7f800001); /* a NaN that would be cut to infinity */
    l[2 * SIDE + 12] = NAN;
    l[6 * SIDE + 13] = LARGE;
    l[8 * SIDE + 14] = -LARGE;
    r[5 * SIDE + 20] = 0; /* times infinity: NaN */
    r[4 * SIDE + 21] = INFINITY;
    for (int j = 0; j < SIDE; j++) r[6 * SIDE + j] = j & 1 ? 1 : 0.5f, r[8 * SIDE + j] = 0.25f;
    for (int64_t depth = 33; depth <= 40; depth += 7) {
        const tsr_kernels *plain = tsr_kernels_list(0);
        memcpy(&f, &d, sizeof f);
        for (int i = 0; i < SIDE; i += plain->tile_rows)
            for (int j = 0; j < SIDE; j += plain->tile_columns)
                plain->tile(&(tsr_tile){.rows = plain->tile_rows, .columns = plain->tile_columns, .depth = depth,
                                        .a = f.left + i, .b = f.right + j, .a_row = 1, .a_step = SIDE, .b_step = SIDE,
                                        .c = &f.out[i][j], .stride = SIDE + GUARD});
        for (int n = 0; table_of_parts(n); n++) {
            multiply(table_of_parts(n), &d, (tsr_tile){.rows = SIDE, .depth = depth});
            for (int i = 0; i < SIDE; i++)
                for (int j = 0; j < SIDE; j++) {
                    const float want = f.out[i][j], got = d.out[i][j];
                    if (isnan(want)) CHECK(isnan(got));
                    else if (isinf(want)) CHECK_EQUAL(got, want);
                    else CHECK(fabsf(got - want) <= 0.01f * fabsf(want) + 0.2f);
                }
        }
    }
}

TEST_FLOAT(parts_take_subnormal_numbers_for_zero)
{
    static tile_data d;
    for (int n = 0; table_of_parts(n); n++) {
        for (int i = 0; i < SIDE * SIDE; i++) d.left[i] = d.right[i] = 0;
        d.left[0] = FLT_MIN / 4;
        d.left[1] = d.right[1] = FLT_MIN;
        d.left[2] = d.right[2] = 1e-30f;
        d.right[0] = 1;
        multiply(table_of_parts(n), &d, (tsr_tile){.rows = SIDE, .depth = 1});
        CHECK_EQUAL(d.out[0][0], 0);
        CHECK_EQUAL(d.out[1][0], FLT_MIN);
        CHECK_EQUAL(d.out[2][2], 0); /* 1e-60 */
    }
}

TEST_FLOAT(tile_instructions_give_the_bits_of_their_stand_in)
{
    static tile_data d;
    static float stand_in[SIDE + 1][SIDE + GUARD];
    int compared = 0;
    for (int n = 0; table_of_parts(n); n++)
        for (int m = 0; table_of_parts(m); m++) {
            const tsr_kernels *real = table_of_parts(n), *other = table_of_parts(m);
            if (real->emulated || !other->emulated || real->parts->count != other->parts->count) continue;
            fill(&d);
            for (int i = 0; i < SIDE * DEPTH; i += 7) d.left[i] *= i & 64 ? 1e-37f : 1e30f;
            for (int64_t depth = 1; depth <= DEPTH; depth += 51) {
                multiply(other, &d, (tsr_tile){.rows = SIDE, .depth = depth, .accumulate = true});
                memcpy(stand_in, d.out, sizeof stand_in);
                multiply(real, &d, (tsr_tile){.rows = SIDE, .depth = depth, .accumulate = true});
                CHECK(memcmp(stand_in, d.out, sizeof stand_in) == 0);
            }
            compared++;
        }
    if (compared == 0) test_skip("this CPU has no tile instructions");
}
#endif
