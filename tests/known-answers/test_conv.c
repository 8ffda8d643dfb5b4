/* Convolutions against PyTorch. */
#include "tests/known-answers/known.h"

#include <stdio.h>

#define FILE_NAME "conv.safetensors"

static tsr_conv_options options;

static tsr_tensor *conv(tsr_tensor *const *in) { return tsr_conv(in[0], in[1], in[2], &options); }
static tsr_tensor *conv_transpose(tsr_tensor *const *in)
{
    return tsr_conv_transpose(in[0], in[1], in[2], &options);
}
static tsr_tensor *local(tsr_tensor *const *in)
{
    return tsr_locally_connected(in[0], in[1], in[2], &options);
}

typedef struct known_options {
    const char *name;
    tsr_conv_options options;
} known_options;

static void run_all(const char *op, tsr_function fn, const known_options *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[64];
        options = cases[i].options;
        snprintf(name, sizeof name, "%s_%s", op, cases[i].name);
        known_case(FILE_NAME, name, fn, 1);
    }
}

TEST(known_conv)
{
    static const known_options cases[] = {
        {"plain", {.stride = {1}}},
        {"same_relu", {.padding = {1, 1}, .activation = TSR_RELU}},
        {"first_layer", {.stride = {2, 2}, .padding = {2, 1}, .activation = TSR_TANH}},
        {"uneven",
         {.stride = {2, 3}, .padding = {2, 0}, .padding_end = {TSR_ZERO, 3}, .activation = TSR_SIGMOID}},
        {"dilated", {.padding = {2, 1}, .dilation = {2, 3}}},
        {"dilated_stride", {.stride = {2, 4}, .padding = {3, 2}, .dilation = {3, 2}}},
        {"grouped", {.stride = {1, 2}, .padding = {1, 1}, .groups = 2, .activation = TSR_RELU}},
        {"grouped_few", {.stride = {2, 1}, .padding = {1, 1}, .groups = 3}},
        {"depthwise",
         {.stride = {1, 2}, .padding = {1, 2}, .dilation = {2, 1}, .groups = 5, .activation = TSR_RELU}},
        {"depthwise_two", {.stride = {2, 1}, .padding = {0, 1}, .groups = 3}},
        {"pointwise", {.activation = TSR_RELU}},
        {"pointwise_stride", {.stride = {2, 2}}},
        {"whole", {.stride = {1, 1}}},
        {"far_padding", {.stride = {3, 2}, .padding = {4, 5}}},
        {"signal", {.stride = {2}, .padding = {2}, .padding_end = {1}, .activation = TSR_RELU}},
        {"signal_wide", {.stride = {3}, .padding = {1}, .dilation = {2}}},
        {"volume", {.padding = {1, 1, 1}}},
        {"volume_stride",
         {.stride = {2, 1, 2},
          .padding = {TSR_ZERO, 1, 1},
          .padding_end = {1, 1, TSR_ZERO},
          .activation = TSR_TANH}},
        {"no_bias", {.groups = 1}},
        {"winograd", {.padding = {1, 1}, .activation = TSR_RELU}},
    };
    run_all("conv", conv, cases, sizeof cases / sizeof *cases);
}

TEST(known_conv_transpose)
{
    static const known_options cases[] = {
        {"plain", {.stride = {1}}},
        {"double", {.stride = {2, 2}, .padding = {1, 1}, .activation = TSR_RELU}},
        {"tiles", {.stride = {2, 2}, .activation = TSR_TANH}},
        {"to_image", {.stride = {2, 3}, .padding = {1}, .output_padding = {0, 1}, .activation = TSR_SIGMOID}},
        {"gaps", {.stride = {3, 2}, .output_padding = {1, 1}, .activation = TSR_RELU}},
        {"uneven", {.stride = {2, 2}, .padding = {2, 0}, .padding_end = {1, 2}, .output_padding = {0, 1}}},
        {"dilated", {.stride = {2, 1}, .padding = {1}, .output_padding = {1}, .dilation = {3, 2}}},
        {"grouped",
         {.stride = {2, 1}, .padding = {1, 1}, .output_padding = {1}, .groups = 2, .activation = TSR_RELU}},
        {"depthwise",
         {.stride = {2, 2}, .padding = {1}, .output_padding = {0, 1}, .groups = 4, .activation = TSR_RELU}},
        {"signal", {.stride = {3}, .padding = {1}, .padding_end = {2}}},
        {"volume", {.stride = {2, 1, 2}, .padding = {1, 0, 1}, .output_padding = {1}}},
    };
    run_all("transpose", conv_transpose, cases, sizeof cases / sizeof *cases);
}

TEST(known_locally_connected)
{
    static const known_options cases[] = {
        {"plain", {.stride = {1}}},
        {"stride_relu", {.stride = {2, 2}, .padding = {1, 1}, .activation = TSR_RELU}},
        {"uneven", {.stride = {3, 1}, .padding = {2}, .padding_end = {TSR_ZERO, 3}, .activation = TSR_TANH}},
        {"no_bias", {.groups = 1}},
    };
    run_all("local", local, cases, sizeof cases / sizeof *cases);
}
