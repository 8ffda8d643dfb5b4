/* Products, their sums with themselves, and distances. */
#include "tests/gradcheck/gradcheck.h"

static tsr_matmul_options matmul_how;
static tsr_tensor *matmul_of(tsr_tensor *const *in) { return tsr_matmul(in[0], in[1], &matmul_how); }
static tsr_tensor *square_of(tsr_tensor *const *in) { return tsr_matmul(in[0], in[0], NULL); }

static void matmul_case(tsr_context *ctx, tsr_shape a, tsr_shape b, bool transpose_a, bool transpose_b)
{
    matmul_how = (tsr_matmul_options){.transpose_a = transpose_a, .transpose_b = transpose_b};
    gradcheck_case(ctx, matmul_of, 2, (tsr_tensor *[]){gradcheck_normal(ctx, a), gradcheck_normal(ctx, b)});
}

GRADCHECK(matmul)
{
    matmul_case(ctx, TSR_SHAPE(3, 4), TSR_SHAPE(4, 5), false, false);
    matmul_case(ctx, TSR_SHAPE(4, 3), TSR_SHAPE(5, 4), true, true);
    matmul_case(ctx, TSR_SHAPE(4, 7), TSR_SHAPE(4, 2), true, false);
    matmul_case(ctx, TSR_SHAPE(9, 4), TSR_SHAPE(17, 4), false, true);
    matmul_case(ctx, TSR_SHAPE(1, 1), TSR_SHAPE(1, 1), false, false);
    matmul_case(ctx, TSR_SHAPE(1, 30), TSR_SHAPE(30, 1), false, false);
    matmul_case(ctx, TSR_SHAPE(13, 1), TSR_SHAPE(1, 11), false, false);
    matmul_case(ctx, TSR_SHAPE(3, 2, 4), TSR_SHAPE(3, 4, 5), false, false);
    matmul_case(ctx, TSR_SHAPE(3, 2, 4), TSR_SHAPE(4, 5), false, false);
    matmul_case(ctx, TSR_SHAPE(2, 3, 4, 2), TSR_SHAPE(1, 1, 5, 4), true, true);
    matmul_case(ctx, TSR_SHAPE(2, 4), TSR_SHAPE(3, 4, 5), false, false);
    matmul_case(ctx, TSR_SHAPE(2, 1, 2, 3), TSR_SHAPE(4, 3, 2), false, false);
    matmul_case(ctx, TSR_SHAPE(4, 3, 2), TSR_SHAPE(2, 1, 5, 3), true, true);
    matmul_case(ctx, TSR_SHAPE(3, 1, 1, 2), TSR_SHAPE(2, 1, 4, 2, 3), false, false);
    gradcheck_case(ctx, square_of, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(2, 3, 3))});
}

static tsr_linear_options linear_how;
static tsr_tensor *linear_of(tsr_tensor *const *in) { return tsr_linear(in[0], in[1], in[2], &linear_how); }
static tsr_tensor *linear_without_bias(tsr_tensor *const *in) { return tsr_linear(in[0], in[1], NULL, &linear_how); }

static void linear_case(tsr_context *ctx, tsr_shape x, int64_t out, tsr_activation activation)
{
    linear_how.activation = activation;
    const int64_t in = x.dims[x.rank - 1];
    tsr_tensor *inputs[] = {gradcheck_normal(ctx, x), gradcheck_normal(ctx, TSR_SHAPE(in, out)),
                            gradcheck_normal(ctx, TSR_SHAPE(out))};
    gradcheck_case(ctx, linear_of, 3, inputs);
    gradcheck_case(ctx, linear_without_bias, 2, inputs);
}

GRADCHECK(linear)
{
    linear_case(ctx, TSR_SHAPE(5, 4), 3, TSR_NO_ACTIVATION);
    linear_case(ctx, TSR_SHAPE(5, 4), 3, TSR_RELU);
    linear_case(ctx, TSR_SHAPE(5, 4), 3, TSR_SIGMOID);
    linear_case(ctx, TSR_SHAPE(5, 4), 3, TSR_TANH);
    linear_case(ctx, TSR_SHAPE(4), 1, TSR_TANH);
    linear_case(ctx, TSR_SHAPE(2, 3, 1, 5), 17, TSR_TANH);
    linear_case(ctx, TSR_SHAPE(40, 3), 2, TSR_RELU);
}

static tsr_gram_options gram_how;
static tsr_tensor *gram_of(tsr_tensor *const *in) { return tsr_gram(in[0], &gram_how); }

static void gram_case(tsr_context *ctx, tsr_shape x, double scale)
{
    gram_how.scale = scale;
    gradcheck_case(ctx, gram_of, 1, (tsr_tensor *[]){gradcheck_normal(ctx, x)});
}

GRADCHECK(gram)
{
    gram_case(ctx, TSR_SHAPE(2, 3, 4), 0);
    gram_case(ctx, TSR_SHAPE(2, 3, 2, 4), 1);
    gram_case(ctx, TSR_SHAPE(1, 2, 3, 2, 3), -0.5);
    gram_case(ctx, TSR_SHAPE(3, 5, 1), 0);
    gram_case(ctx, TSR_SHAPE(3, 4), 0);
    gram_case(ctx, TSR_SHAPE(1, 2, 131), 0.1);
}

static tsr_tensor *distance_of(tsr_tensor *const *in) { return tsr_pairwise_squared_distance(in[0], in[1]); }
static tsr_tensor *distance_within(tsr_tensor *const *in) { return tsr_pairwise_squared_distance(in[0], in[0]); }

static void distance_case(tsr_context *ctx, tsr_shape a, tsr_shape b)
{
    gradcheck_case(ctx, distance_of, 2, (tsr_tensor *[]){gradcheck_normal(ctx, a), gradcheck_normal(ctx, b)});
}

GRADCHECK(pairwise_squared_distance)
{
    distance_case(ctx, TSR_SHAPE(3, 4), TSR_SHAPE(5, 4));
    distance_case(ctx, TSR_SHAPE(1, 1), TSR_SHAPE(1, 1));
    distance_case(ctx, TSR_SHAPE(1, 7), TSR_SHAPE(20, 7));
    distance_case(ctx, TSR_SHAPE(20, 1), TSR_SHAPE(2, 1));
    gradcheck_case(ctx, distance_within, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(5, 3))});
}
