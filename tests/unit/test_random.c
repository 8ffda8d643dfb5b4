#include "core/core_internal.h"
#include "core/kernels/kernels.h"
#include "tests/test.h"

#include <math.h>

TEST(random_philox_gives_the_published_words)
{
    /* Known answers of the authors' Random123 library (kat_vectors, philox4x32 with 10 rounds), first two words. */
    CHECK(tsr_random_bits((tsr_rng){0, 0}, 0) == 0xE169C58D6627E8D5u);
    CHECK(tsr_random_bits((tsr_rng){UINT64_MAX, UINT64_MAX}, UINT64_MAX) == 0x41C83B0E408F276Du);
    CHECK(tsr_random_bits((tsr_rng){0x299F31D0A4093822u, 0x0370734413198A2Eu}, 0x85A308D3243F6A88u) ==
          0x94FDCCEBD16CFE09u);
}

TEST(random_draws_depend_on_seed_stream_and_index_alone)
{
    const tsr_rng rng = {.seed = 5, .stream = 6};
    CHECK(tsr_random_bits(rng, 7) == tsr_random_bits((tsr_rng){5, 6}, 7));
    CHECK(tsr_random_bits(rng, 7) != tsr_random_bits(rng, 8));
    CHECK(tsr_random_bits(rng, 7) != tsr_random_bits((tsr_rng){5, 7}, 7));
    CHECK(tsr_random_bits(rng, 7) != tsr_random_bits((tsr_rng){6, 6}, 7));
    CHECK(tsr_stream("a") != tsr_stream("b"));
    CHECK(tsr_substream(1, 2) != tsr_substream(2, 1));
}

TEST(random_normals_have_the_moments_and_bits_they_should)
{
    const tsr_rng rng = {.seed = 1, .stream = 2};
    double mean = 0, square = 0, fourth = 0, largest = 0;
    const int count = 200000;
    for (int i = 0; i < count; i++) {
        const double x = tsr_random_normal(rng, (uint64_t)i);
        mean += x / count;
        square += x * x / count;
        fourth += x * x * x * x / count;
        largest = fmax(largest, fabs(x));
    }
    CHECK_NEAR(mean, 0, 0.01);
    CHECK_NEAR(square, 1, 0.01);
    CHECK_NEAR(fourth, 3, 0.02);
    CHECK(largest > 4 && largest < 6);
}

TEST(random_portable_log_agrees_with_libm)
{
    for (int i = 1; i < 20000; i++) {
        const double x = i * i * 0x1p-28;
        CHECK_NEAR(tsr_portable_log(x), log(x), 3e-16);
    }
}

TEST(random_below_is_even_and_in_range)
{
    const tsr_rng rng = {.seed = 3, .stream = 4};
    int counts[7] = {0};
    for (uint64_t i = 0; i < 70000; i++) counts[tsr_random_below(rng, i, 7)]++;
    for (int k = 0; k < 7; k++) CHECK(counts[k] > 9600 && counts[k] < 10400);
    const uint64_t most = (uint64_t)1 << 63; /* half of all draws above: every other one is refused */
    for (uint64_t i = 0; i < 1000; i++) CHECK(tsr_random_below(rng, i, most + 1) <= most);
    CHECK_EQUAL(tsr_random_below(rng, 0, 0), 0);
    CHECK_EQUAL(tsr_random_below(rng, 0, 1), 0);
}

TEST(random_permutation_holds_each_number_once)
{
    int64_t order[101];
    bool seen[101] = {0};
    tsr_random_permutation((tsr_rng){9, 9}, 101, order);
    for (int i = 0; i < 101; i++) {
        CHECK(order[i] >= 0 && order[i] < 101 && !seen[order[i]]);
        seen[order[i]] = true;
    }
    CHECK(order[0] != 0 || order[1] != 1 || order[2] != 2);
}

TEST(random_tensors_are_the_same_for_any_number_of_threads)
{
    tsr_context *one = tsr_open(&(tsr_options){.seed = 3, .threads = 1}), *four = tsr_open(&(tsr_options){.seed = 3, .threads = 4});
    const tsr_tensor *a = tsr_normal(one, TSR_SHAPE(50000), 1, 2, 11), *b = tsr_normal(four, TSR_SHAPE(50000), 1, 2, 11);
    for (int64_t i = 0; i < 50000; i++) CHECK_EQUAL(tsr_data(a)[i], tsr_data(b)[i]);
    tsr_close(one);
    tsr_close(four);
}

TEST(random_numbers_drawn_many_at_a_time_have_the_same_bits)
{
    enum { COUNT = 1001 };
    const tsr_rng rng = {.seed = 3, .stream = 0x123456789ABCDEFu};
    const uint64_t first = 0xFFFFFFFFu - 500; /* the words of the index carry on the way */
    double uniforms[COUNT], normals[COUNT];
    uint64_t words[COUNT];
    tsr_context *ctx = tsr_open(NULL);
    for (int k = 0; tsr_kernels_list(k); k++) {
        ctx->kernels = tsr_kernels_list(k);
        tsr_random_uniforms(ctx, rng, first, COUNT, uniforms);
        tsr_random_normals(ctx, rng, first, COUNT, normals);
        tsr_random_words(ctx, rng, first, COUNT, words);
        for (uint64_t i = 0; i < COUNT; i++) {
            CHECK_EQUAL(uniforms[i], tsr_random_uniform(rng, first + i));
            CHECK_EQUAL(normals[i], tsr_random_normal(rng, first + i));
            CHECK(words[i] == tsr_random_bits(rng, first + i));
        }
    }
    tsr_close(ctx);
}
