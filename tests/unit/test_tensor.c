/* Creating tensors and looking at them. */
#include "tessera.h"
#include "tests/test.h"

#include <string.h>

static void print_to(const tsr_tensor *t, char *text, size_t size)
{
    FILE *file = tmpfile();
    memset(text, 0, size);
    if (!file) return;
    tsr_print(t, file);
    rewind(file);
    const size_t got = fread(text, 1, size - 1, file);
    text[got] = '\0';
    fclose(file);
}

TEST(print_shows_shape_and_values_and_abbreviates_long_axes)
{
    tsr_context *ctx = tsr_open(NULL);
    char text[2048];
    print_to(tsr_values(ctx, TSR_SHAPE(2, 2), (tsr_real[]){1, 2.5, -3, 4}), text, sizeof text);
    CHECK_CONTAINS(text, "data [2, 2]\n[[");
    CHECK_CONTAINS(text, "2.5");
    print_to(tsr_relu(tsr_arange(ctx, 0, 100, 1)), text, sizeof text);
    CHECK_CONTAINS(text, "relu [100]");
    CHECK_CONTAINS(text, "2, ...,         97");
    print_to(tsr_fail(ctx, "a mistake"), text, sizeof text);
    CHECK_TEXT(text, "error: a mistake\n");
    tsr_close(ctx);
}

TEST(arange_counts_up_down_and_refuses_what_never_ends)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_tensor *up = tsr_arange(ctx, 1, 2, 0.25), *down = tsr_arange(ctx, 3, 0, -1);
    CHECK_EQUAL(tsr_size(up), 4);
    CHECK_EQUAL(tsr_data(up)[3], 1.75);
    CHECK_EQUAL(tsr_size(down), 3);
    CHECK_EQUAL(tsr_data(down)[2], 1);
    CHECK_EQUAL(tsr_size(tsr_arange(ctx, 3, 0, 1)), 0);
    tsr_arange(ctx, 0, 1, 0);
    CHECK_CONTAINS(tsr_error(ctx), "arange: from 0 to 1 by 0 is no finite number of values");
    tsr_close(ctx);
}

TEST(dims_count_from_either_end_and_are_0_where_there_is_none)
{
    tsr_context *ctx = tsr_open(NULL);
    const tsr_tensor *t = tsr_zeros(ctx, TSR_SHAPE(2, 3, 5));
    CHECK_EQUAL(tsr_dim(t, 1), 3);
    CHECK_EQUAL(tsr_dim(t, -1), 5);
    CHECK_EQUAL(tsr_dim(t, 3), 0);
    CHECK_EQUAL(tsr_dim(t, -4), 0);
    CHECK_EQUAL(tsr_rank(t), 3);
    CHECK_EQUAL(tsr_size(t), 30);
    tsr_close(ctx);
}

TEST(uniform_values_fill_their_range)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 8});
    const tsr_tensor *t = tsr_uniform(ctx, TSR_SHAPE(10000), -2, 3, 1);
    double least = 10, most = -10, mean = 0;
    for (int i = 0; i < 10000; i++) {
        const double x = (double)tsr_data(t)[i];
        if (x < least) least = x;
        if (x > most) most = x;
        mean += x / 10000;
    }
    CHECK(least >= -2 && least < -1.99 && most < 3 && most > 2.99);
    CHECK_NEAR(mean, 0.5, 0.05);
    tsr_close(ctx);
}
