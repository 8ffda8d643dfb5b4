/* Pooling against PyTorch. */
#include "tests/known-answers/known.h"

#include <stdio.h>

#define FILE_NAME "pool.safetensors"

static tsr_pool_options options;
static tsr_tensor *max_pool(tsr_tensor *const *in) { return tsr_max_pool(in[0], &options); }
static tsr_tensor *avg_pool(tsr_tensor *const *in) { return tsr_avg_pool(in[0], &options); }
static tsr_tensor *lp_pool(tsr_tensor *const *in) { return tsr_lp_pool(in[0], &options); }
static tsr_tensor *indices(tsr_tensor *const *in) { return tsr_max_pool_indices(in[0], &options); }

static void known(const char *name, tsr_function fn)
{
    known_case(FILE_NAME, name, fn, 1);
}

static void known_geometries(const char *op, tsr_function fn, bool exclude_padding)
{
    static const struct {
        const char *name;
        tsr_pool_options options;
    } cases[] = {
        {"halves", {.kernel = {2, 2}}},
        {"overlap", {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}},
        {"overlap_ceil", {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true}},
        {"gaps", {.kernel = {2, 1}, .stride = {3, 2}}},
        {"ceil_left_over", {.kernel = {2, 3}, .ceil_mode = true}},
        {"ceil_dropped", {.kernel = {2, 2}, .stride = {2, 4}, .padding = {1, 1}, .ceil_mode = true}},
        {"wide", {.kernel = {1, 2}, .stride = {1, 1}, .padding = {TSR_ZERO, 1}}},
        {"signal", {.kernel = {4}, .stride = {3}, .padding = {2}, .ceil_mode = true}},
        {"volume", {.kernel = {2, 3, 3}, .stride = {1, 2, 2}, .padding = {1, 1}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64];
        options = cases[i].options;
        options.exclude_padding = exclude_padding;
        snprintf(name, sizeof name, "%s_%s", op, cases[i].name);
        known(name, fn);
    }
}

TEST(known_max_pool) { known_geometries("max", max_pool, false); }
TEST(known_max_pool_indices) { known_geometries("indices", indices, false); }
TEST(known_avg_pool) { known_geometries("avg", avg_pool, false); }
TEST(known_avg_pool_excluding_padding) { known_geometries("avg_inside", avg_pool, true); }

TEST(known_pool_uneven_padding)
{
    options = (tsr_pool_options){
        .kernel = {3, 3}, .stride = {2, 2}, .padding = {0, 2}, .padding_end = {1, TSR_ZERO}};
    known("max_uneven", max_pool);
    known("avg_uneven", avg_pool);
}

TEST(known_lp_pool)
{
    static const char *const names[] = {"lp_1", "lp_2", "lp_3"};
    for (int power = 1; power <= 3; power++) {
        options = (tsr_pool_options){.kernel = {2, 3}, .stride = {1, 2}, .power = power};
        known(names[power - 1], lp_pool);
    }
    options = (tsr_pool_options){.kernel = {2, 2}};
    known("lp_signs", lp_pool);
    options = (tsr_pool_options){.kernel = {3}, .stride = {2}, .power = 2.5};
    known("lp_signal", lp_pool);
}

static int64_t size[3];
static tsr_tensor *adaptive_avg_pool(tsr_tensor *const *in) { return tsr_adaptive_avg_pool(in[0], size); }
static tsr_tensor *adaptive_max_pool(tsr_tensor *const *in) { return tsr_adaptive_max_pool(in[0], size); }

TEST(known_adaptive_pool)
{
    static const int64_t sizes[3][3] = {{3, 0, 0}, {3, 4, 0}, {2, 5, 3}};
    for (int n = 1; n <= 3; n++) {
        char name[64];
        for (int i = 0; i < 3; i++) size[i] = sizes[n - 1][i];
        snprintf(name, sizeof name, "adaptive_avg_%d", n);
        known(name, adaptive_avg_pool);
        snprintf(name, sizeof name, "adaptive_max_%d", n);
        known(name, adaptive_max_pool);
    }
    size[0] = size[1] = 1;
    known("adaptive_avg_global", adaptive_avg_pool);
}

static tsr_tensor *max_unpool(tsr_tensor *const *in) { return tsr_max_unpool(in[0], in[1], size); }

TEST(known_max_unpool)
{
    size[0] = 4, size[1] = 6;
    known("unpool", max_unpool);
}
