/* Shape ops, padding and upsampling against PyTorch. */
#include "tests/known-answers/known.h"

#include <stdio.h>
#include <string.h>

#define FILE_NAME "shape.safetensors"

static void known(const char *name, tsr_function fn)
{
    known_case(FILE_NAME, name, fn, 1);
}

static tsr_tensor *reshape(tsr_tensor *const *in) { return tsr_reshape(in[0], TSR_SHAPE(-1, 6)); }
static tsr_tensor *permute(tsr_tensor *const *in) { return tsr_permute(in[0], (int[]){2, 0, 3, 1}); }
static tsr_tensor *permute_images(tsr_tensor *const *in) { return tsr_permute(in[0], (int[]){0, -1, 1, 2}); }
static tsr_tensor *transpose(tsr_tensor *const *in) { return tsr_transpose(in[0], 0, -1); }
static tsr_tensor *concat(tsr_tensor *const *in) { return tsr_concat(in, 3, 1); }
static tsr_tensor *concat_channels(tsr_tensor *const *in) { return tsr_concat(in, 2, -1); }
static tsr_tensor *slice(tsr_tensor *const *in) { return tsr_slice(in[0], 1, 1, -1); }
static tsr_tensor *slice_last(tsr_tensor *const *in) { return tsr_slice(in[0], -1, 2, 4); }
static tsr_tensor *expand(tsr_tensor *const *in) { return tsr_expand(in[0], TSR_SHAPE(2, 3, 4, 5)); }
static tsr_tensor *flip(tsr_tensor *const *in) { return tsr_flip(in[0], 1); }
static tsr_tensor *gather_rows(tsr_tensor *const *in) { return tsr_gather_rows(in[0], in[1]); }
static tsr_tensor *split(tsr_tensor *const *in)
{
    tsr_tensor *parts[3];
    tsr_split(in[0], 1, 3, parts);
    return tsr_sub(tsr_mul(parts[0], parts[1]), parts[2]);
}

TEST(known_reshape) { known("reshape", reshape); }
TEST(known_permute)
{
    known("permute", permute);
    known("permute_images", permute_images);
}
TEST(known_transpose) { known("transpose", transpose); }
TEST(known_concat)
{
    known("concat", concat);
    known("concat_channels", concat_channels);
}
TEST(known_slice)
{
    known("slice", slice);
    known("slice_last", slice_last);
}
TEST(known_split) { known("split", split); }
TEST(known_expand) { known("expand", expand); }
TEST(known_flip) { known("flip", flip); }
TEST(known_gather_rows) { known("gather_rows", gather_rows); }

static tsr_pad_options padding;
static tsr_tensor *pad(tsr_tensor *const *in) { return tsr_pad(in[0], &padding); }

TEST(known_pad)
{
    static const char *const modes[] = {"constant", "reflect", "replicate"};
    char name[64];
    for (int mode = 0; mode < 3; mode++) {
        padding = (tsr_pad_options){
            .before = {0, 2, 1}, .after = {0, 0, 2}, .mode = (tsr_pad_mode)mode, .value = 1.5};
        snprintf(name, sizeof name, "pad_%s", modes[mode]);
        known(name, pad);
        padding = (tsr_pad_options){
            .before = {0, 4}, .after = {0, 3}, .mode = (tsr_pad_mode)mode, .value = 1.5};
        snprintf(name, sizeof name, "pad_%s_signal", modes[mode]);
        known(name, pad);
    }
    padding = (tsr_pad_options){.before = {1, 0, 1}, .after = {1, 2, 0}, .value = -0.5};
    known("pad_constant_everywhere", pad);
}

static tsr_upsample_options sizes;
static tsr_tensor *upsample(tsr_tensor *const *in) { return tsr_upsample(in[0], &sizes); }

static void known_upsample(bool linear)
{
    static const struct {
        const char *name;
        int64_t size[3];
    } cases[] = {
        {"signal", {11, 0, 0}}, {"up", {7, 8, 0}},     {"wide", {2, 3, 0}},
        {"down", {3, 2, 0}},    {"volume", {4, 3, 5}}, {"one", {3, 1, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64];
        sizes.linear = linear;
        memcpy(sizes.size, cases[i].size, sizeof sizes.size);
        snprintf(name, sizeof name, "upsample_%s_%s", linear ? "linear" : "nearest", cases[i].name);
        known(name, upsample);
    }
}

TEST(known_upsample_nearest) { known_upsample(false); }
TEST(known_upsample_linear) { known_upsample(true); }
