/* Products against PyTorch. */
#include "tests/known-answers/known.h"

#define FILE_NAME "matmul.safetensors"

static tsr_tensor *matmul(tsr_tensor *const *in) { return tsr_matmul(in[0], in[1], NULL); }
static tsr_tensor *matmul_a(tsr_tensor *const *in)
{
    return tsr_matmul(in[0], in[1], &(tsr_matmul_options){.transpose_a = true});
}
static tsr_tensor *matmul_b(tsr_tensor *const *in)
{
    return tsr_matmul(in[0], in[1], &(tsr_matmul_options){.transpose_b = true});
}
static tsr_tensor *matmul_both(tsr_tensor *const *in)
{
    return tsr_matmul(in[0], in[1], &(tsr_matmul_options){.transpose_a = true, .transpose_b = true});
}

TEST(matmul_agrees_with_pytorch)
{
    known_case(FILE_NAME, "matmul", matmul, 1);
    known_case(FILE_NAME, "matmul_a_transposed", matmul_a, 1);
    known_case(FILE_NAME, "matmul_b_transposed", matmul_b, 1);
    known_case(FILE_NAME, "matmul_both_transposed", matmul_both, 1);
    known_case(FILE_NAME, "matmul_shared_right", matmul, 1);
    known_case(FILE_NAME, "matmul_shared_left", matmul, 1);
    known_case(FILE_NAME, "matmul_crossed", matmul, 1);
    known_case(FILE_NAME, "matmul_deep", matmul, 1);
}

static tsr_activation activation;
static tsr_tensor *linear(tsr_tensor *const *in)
{
    return tsr_linear(in[0], in[1], in[2], &(tsr_linear_options){.activation = activation});
}

TEST(linear_agrees_with_pytorch)
{
    activation = TSR_NO_ACTIVATION;
    known_case(FILE_NAME, "linear", linear, 1);
    known_case(FILE_NAME, "linear_no_bias", linear, 1);
    activation = TSR_RELU;
    known_case(FILE_NAME, "linear_relu", linear, 1);
    activation = TSR_SIGMOID;
    known_case(FILE_NAME, "linear_sigmoid", linear, 1);
    activation = TSR_TANH;
    known_case(FILE_NAME, "linear_tanh", linear, 1);
}

static tsr_tensor *gram(tsr_tensor *const *in) { return tsr_gram(in[0], NULL); }
static tsr_tensor *gram_gatys(tsr_tensor *const *in) { return tsr_gram(in[0], &(tsr_gram_options){.scale = 1}); }
static tsr_tensor *distance(tsr_tensor *const *in) { return tsr_pairwise_squared_distance(in[0], in[1]); }

TEST(gram_agrees_with_pytorch)
{
    known_case(FILE_NAME, "gram", gram, 1);
    known_case(FILE_NAME, "gram_gatys", gram_gatys, 1);
}

TEST(pairwise_squared_distance_agrees_with_pytorch)
{
    known_case(FILE_NAME, "distance", distance, 1);
}
