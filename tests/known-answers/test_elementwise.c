/* What is computed element by element, against PyTorch. */
#include "tests/known-answers/known.h"

#define FILE_NAME "elementwise.safetensors"

static tsr_tensor *add(tsr_tensor *const *in) { return tsr_add(in[0], in[1]); }
static tsr_tensor *sub(tsr_tensor *const *in) { return tsr_sub(in[0], in[1]); }
static tsr_tensor *mul(tsr_tensor *const *in) { return tsr_mul(in[0], in[1]); }
static tsr_tensor *div(tsr_tensor *const *in) { return tsr_div(in[0], in[1]); }
static tsr_tensor *maximum(tsr_tensor *const *in) { return tsr_maximum(in[0], in[1]); }
static tsr_tensor *minimum(tsr_tensor *const *in) { return tsr_minimum(in[0], in[1]); }
static tsr_tensor *power(tsr_tensor *const *in) { return tsr_pow(in[0], in[1]); }
static tsr_tensor *where(tsr_tensor *const *in) { return tsr_where(in[0], in[1], in[2]); }

static void binary_cases(const char *name, tsr_function fn)
{
    char full[64];
    known_case(FILE_NAME, name, fn, 1);
    snprintf(full, sizeof full, "%s_row", name);
    known_case(FILE_NAME, full, fn, 1);
    snprintf(full, sizeof full, "%s_crossed", name);
    known_case(FILE_NAME, full, fn, 1);
}

TEST(elementwise_of_two_agrees_with_pytorch)
{
    binary_cases("add", add);
    binary_cases("sub", sub);
    binary_cases("mul", mul);
    binary_cases("maximum", maximum);
    binary_cases("minimum", minimum);
    known_case(FILE_NAME, "maximum_ties", maximum, 1);
    known_case(FILE_NAME, "mul_long", mul, 1);
    known_case(FILE_NAME, "div", div, 1);
    known_case(FILE_NAME, "div_crossed", div, 1);
    known_case(FILE_NAME, "pow", power, 1);
    known_case(FILE_NAME, "pow_row", power, 1);
    known_case(FILE_NAME, "pow_edges", power, 1);
    known_case(FILE_NAME, "pow_of_zero", power, 1);
    known_case(FILE_NAME, "where", where, 1);
}

static tsr_tensor *add_scalar(tsr_tensor *const *in) { return tsr_add_scalar(in[0], -1.5); }
static tsr_tensor *mul_scalar(tsr_tensor *const *in) { return tsr_mul_scalar(in[0], -1.5); }
static tsr_tensor *pow_scalar(tsr_tensor *const *in) { return tsr_pow_scalar(in[0], 2.5); }
static tsr_tensor *pow_whole(tsr_tensor *const *in) { return tsr_pow_scalar(in[0], 3); }
static tsr_tensor *neg(tsr_tensor *const *in) { return tsr_neg(in[0]); }
static tsr_tensor *absolute(tsr_tensor *const *in) { return tsr_abs(in[0]); }
static tsr_tensor *square(tsr_tensor *const *in) { return tsr_square(in[0]); }
static tsr_tensor *root(tsr_tensor *const *in) { return tsr_sqrt(in[0]); }
static tsr_tensor *exponential(tsr_tensor *const *in) { return tsr_exp(in[0]); }
static tsr_tensor *logarithm(tsr_tensor *const *in) { return tsr_log(in[0]); }
static tsr_tensor *sine(tsr_tensor *const *in) { return tsr_sin(in[0]); }
static tsr_tensor *cosine(tsr_tensor *const *in) { return tsr_cos(in[0]); }
static tsr_tensor *clamp(tsr_tensor *const *in) { return tsr_clamp(in[0], -0.5, 2); }

TEST(elementwise_of_one_agrees_with_pytorch)
{
    known_case(FILE_NAME, "add_scalar", add_scalar, 1);
    known_case(FILE_NAME, "mul_scalar", mul_scalar, 1);
    known_case(FILE_NAME, "pow_scalar", pow_scalar, 1);
    known_case(FILE_NAME, "pow_scalar_whole", pow_whole, 1);
    known_case(FILE_NAME, "neg", neg, 1);
    known_case(FILE_NAME, "abs", absolute, 1);
    known_case(FILE_NAME, "square", square, 1);
    known_case(FILE_NAME, "sqrt", root, 1);
    known_case(FILE_NAME, "exp", exponential, 1);
    known_case(FILE_NAME, "log", logarithm, 1);
    known_case(FILE_NAME, "sin", sine, 1);
    known_case(FILE_NAME, "cos", cosine, 1);
    known_case(FILE_NAME, "clamp", clamp, 1);
}

static tsr_tensor *relu(tsr_tensor *const *in) { return tsr_relu(in[0]); }
static tsr_tensor *leaky_relu(tsr_tensor *const *in) { return tsr_leaky_relu(in[0], 0.2); }
static tsr_tensor *elu(tsr_tensor *const *in) { return tsr_elu(in[0], 1.3); }
static tsr_tensor *elu_one(tsr_tensor *const *in) { return tsr_elu(in[0], 1); }
static tsr_tensor *sigmoid(tsr_tensor *const *in) { return tsr_sigmoid(in[0]); }
static tsr_tensor *tangent(tsr_tensor *const *in) { return tsr_tanh(in[0]); }
static tsr_tensor *softplus(tsr_tensor *const *in) { return tsr_softplus(in[0]); }
static tsr_tensor *gelu(tsr_tensor *const *in) { return tsr_gelu(in[0]); }
static tsr_tensor *silu(tsr_tensor *const *in) { return tsr_silu(in[0]); }
static tsr_tensor *prelu(tsr_tensor *const *in) { return tsr_prelu(in[0], in[1]); }
static tsr_tensor *maxout(tsr_tensor *const *in) { return tsr_maxout(in[0], 3); }

TEST(activations_agree_with_pytorch)
{
    known_case(FILE_NAME, "relu", relu, 1);
    known_case(FILE_NAME, "leaky_relu", leaky_relu, 1);
    known_case(FILE_NAME, "elu", elu, 1);
    known_case(FILE_NAME, "sigmoid", sigmoid, 1);
    known_case(FILE_NAME, "tanh", tangent, 1);
    known_case(FILE_NAME, "softplus", softplus, 1);
    known_case(FILE_NAME, "gelu", gelu, 1);
    known_case(FILE_NAME, "silu", silu, 1);
    known_case(FILE_NAME, "prelu", prelu, 1);
    known_case(FILE_NAME, "prelu_one", prelu, 1);
    known_case(FILE_NAME, "maxout", maxout, 1);
}

TEST(activations_far_out_agree_with_pytorch)
{
    known_case(FILE_NAME, "sigmoid_far", sigmoid, 1);
    known_case(FILE_NAME, "tanh_far", tangent, 1);
    known_case(FILE_NAME, "softplus_far", softplus, 1);
    known_case(FILE_NAME, "elu_far", elu_one, 1);
    known_case(FILE_NAME, "silu_far", silu, 1);
    known_case(FILE_NAME, "gelu_far", gelu, 1);
}
