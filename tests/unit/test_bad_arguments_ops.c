/* Every public function of ops/ called with what it cannot use: an error with words, never a crash. */
#include <limits.h>
#include <math.h>

#include "tests/test.h"
#include "tests/unit/bad_arguments.h"

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

/* ---- wrappers that make one signature of many: f(x) with all else as it should be ---------------------------------- */

#define OF_X(name, ...)                                                                                                \
    static tsr_tensor *name##_x(tsr_tensor *x)                                                                         \
    {                                                                                                                  \
        return tsr_##name(__VA_ARGS__);                                                                                \
    }
OF_X(add_scalar, x, 1)
OF_X(mul_scalar, x, 2)
OF_X(pow_scalar, x, 2)
OF_X(clamp, x, 0, 1)
OF_X(leaky_relu, x, 0.1)
OF_X(elu, x, 1)
OF_X(prelu, x, tsr_context_of(x) ? bad.rank1 : NULL)
OF_X(maxout, x, 1)
OF_X(dropout, x, 0.5)
OF_X(reshape, x, TSR_SHAPE(-1))
OF_X(permute, x, (const int[]){0, 1, 2, 3})
OF_X(transpose, x, 0, -1)
OF_X(slice, x, 0, 0, -1)
OF_X(expand, x, TSR_SHAPE(2, 6, 6, 4))
OF_X(flip, x, 0)
OF_X(gather_rows, x, tsr_context_of(x) ? bad.rank1 : NULL)
OF_X(pad, x, &(tsr_pad_options){.before = {1}})
OF_X(upsample, x, &(tsr_upsample_options){.size = {3, 3}, .linear = true})
OF_X(sum, x, NULL)
OF_X(mean, x, NULL)
OF_X(max, x, NULL)
OF_X(min, x, NULL)
OF_X(var, x, NULL)
OF_X(logsumexp, x, NULL)
OF_X(norm, x, NULL)
OF_X(argmax, x, 0)
OF_X(softmax, x, -1)
OF_X(log_softmax, x, -1)
OF_X(max_pool, x, &(tsr_pool_options){.kernel = {2, 2}})
OF_X(avg_pool, x, &(tsr_pool_options){.kernel = {2, 2}})
OF_X(lp_pool, x, &(tsr_pool_options){.kernel = {2, 2}})
OF_X(max_pool_indices, x, &(tsr_pool_options){.kernel = {2, 2}})
OF_X(max_unpool, x, tsr_context_of(x) ? bad.image : NULL, (const int64_t[]){6, 6})
OF_X(adaptive_avg_pool, x, (const int64_t[]){1, 1})
OF_X(adaptive_max_pool, x, (const int64_t[]){1, 1})
OF_X(batch_norm, x, NULL, NULL)
OF_X(layer_norm, x, NULL, NULL, NULL)
OF_X(group_norm, x, 1, NULL, NULL, NULL)
OF_X(instance_norm, x, NULL, NULL, NULL)
OF_X(lrn, x, NULL)
OF_X(l2_normalize, x, -1)
OF_X(gram, x, NULL)

typedef tsr_tensor *(*of_x)(tsr_tensor *x);
static const of_x unary[] = {
    tsr_neg, tsr_abs, tsr_square, tsr_sqrt, tsr_exp, tsr_log, tsr_sin, tsr_cos, tsr_relu, tsr_sigmoid, tsr_tanh,
    tsr_softplus, tsr_gelu, tsr_silu, tsr_total_variation, add_scalar_x, mul_scalar_x, pow_scalar_x, clamp_x,
    leaky_relu_x, elu_x, prelu_x, maxout_x, dropout_x, reshape_x, permute_x, transpose_x, slice_x, expand_x, flip_x,
    gather_rows_x, pad_x, upsample_x, sum_x, mean_x, max_x, min_x, var_x, logsumexp_x, norm_x, argmax_x, softmax_x,
    log_softmax_x, max_pool_x, avg_pool_x, lp_pool_x, max_pool_indices_x, max_unpool_x, adaptive_avg_pool_x,
    adaptive_max_pool_x, batch_norm_x, layer_norm_x, group_norm_x, instance_norm_x, lrn_x, l2_normalize_x, gram_x};

#define OF_AB(name, ...)                                                                                               \
    static tsr_tensor *name##_ab(tsr_tensor *a, tsr_tensor *b)                                                         \
    {                                                                                                                  \
        return tsr_##name(__VA_ARGS__);                                                                                \
    }
OF_AB(where, a, b, b)
OF_AB(matmul, a, b, NULL)
OF_AB(linear, a, b, NULL, NULL)
OF_AB(conv, a, b, NULL, NULL)
OF_AB(conv_transpose, a, b, NULL, NULL)
OF_AB(locally_connected, a, b, NULL, NULL)
OF_AB(mse_loss, a, b, NULL)
OF_AB(l1_loss, a, b, NULL)
OF_AB(huber_loss, a, b, NULL)
OF_AB(cross_entropy, a, b, NULL)
OF_AB(contrastive_loss, a, a, b, 1)
OF_AB(triplet_loss, a, b, &(tsr_triplet_options){.margin = 1})
OF_AB(triplet_loss_of, a, b, &(tsr_triplet_options){.margin = 1})

typedef tsr_tensor *(*of_ab)(tsr_tensor *a, tsr_tensor *b);
static const of_ab binary[] = {
    tsr_add, tsr_sub, tsr_mul, tsr_div, tsr_maximum, tsr_minimum, tsr_pow, tsr_bce_with_logits,
    tsr_pairwise_squared_distance, tsr_prelu, tsr_gather_rows, where_ab, matmul_ab, linear_ab, conv_ab,
    conv_transpose_ab, locally_connected_ab, mse_loss_ab, l1_loss_ab, huber_loss_ab, cross_entropy_ab,
    contrastive_loss_ab, triplet_loss_ab, triplet_loss_of_ab};

/* The tensors of `bad`, well or not. */
static int everything(tsr_tensor **all)
{
    tsr_tensor *const list[] = {bad.one, bad.rank1, bad.v3, bad.v4, bad.x23, bad.x34, bad.image,
                                bad.nan3, bad.empty, bad.error, bad.spent, bad.foreign, bad.computed, NULL};
    for (int i = 0; i < COUNT(list); i++) all[i] = list[i];
    return COUNT(list);
}

TEST(ops_of_one_tensor_refuse_what_is_none)
{
    bad_open();
    for (int i = 0; i < COUNT(unary); i++) {
        HOLDS(unary[i](NULL) == NULL);
        REFUSES("is the error tensor of an earlier failure", unary[i](bad.error));
        REFUSES("was given back by tsr_backward_releasing", unary[i](bad.spent));
        HOLDS(unary[i](bad.foreign) != bad.error);
        tsr_clear_error(bad.other_ctx);
    }
    bad_close();
}

TEST(ops_of_two_tensors_refuse_what_is_none)
{
    bad_open();
    for (int i = 0; i < COUNT(binary); i++) {
        HOLDS(binary[i](NULL, NULL) == NULL);
        REFUSES("is NULL", binary[i](bad.v3, NULL));
        REFUSES("is NULL", binary[i](NULL, bad.v3));
        REFUSES("is the error tensor of an earlier failure", binary[i](bad.v3, bad.error));
        REFUSES("was given back by tsr_backward_releasing", binary[i](bad.v3, bad.spent));
        REFUSES("belongs to another context", binary[i](bad.v3, bad.foreign));
    }
    bad_close();
}

TEST(ops_survive_every_pair_of_tensors)
{
    tsr_tensor *all[16];
    bad_open();
    const int count = everything(all);
    for (int i = 0; i < COUNT(unary); i++)
        for (int k = 0; k < count; k++) SURVIVES(unary[i](all[k]));
    for (int i = 0; i < COUNT(binary); i++)
        for (int k = 0; k < count * count; k++) SURVIVES(binary[i](all[k / count], all[k % count]));
    tsr_clear_error(bad.other_ctx);
    HOLDS(!tsr_is_error(tsr_add(bad.v3, bad.v3)));
    bad_close();
}

/* ---- numbers ------------------------------------------------------------------------------------------------------- */

static const int whole[] = {INT_MIN, -INT_MAX, -1, 0, 1, 2, 3, 7, 1 << 16, INT_MAX - 1, INT_MAX};
static const int64_t sizes[] = {INT64_MIN, -1, 0, 1, 7, (int64_t)1 << 31, (int64_t)1 << 40, INT64_MAX};
static const double numbers[] = {NAN, INFINITY, -INFINITY, -1, 0, 1e-320, 1e300};

TEST(ops_survive_every_whole_number)
{
    bad_open();
    tsr_tensor *x = bad.image;
    const int64_t rows[] = {1, 2};
    for (int i = 0; i < COUNT(whole); i++) {
        const int n = whole[i];
        SURVIVES(tsr_maxout(x, n));
        SURVIVES(tsr_permute(x, (const int[]){n, 1, 2, 0}));
        SURVIVES(tsr_transpose(x, n, 1));
        SURVIVES(tsr_concat((tsr_tensor *const[]){x, x}, 2, n));
        SURVIVES(tsr_slice(x, n, 0, 1));
        SURVIVES(tsr_flip(x, n));
        SURVIVES(tsr_argmax(x, n));
        SURVIVES(tsr_softmax(x, n));
        SURVIVES(tsr_log_softmax(x, n));
        SURVIVES(tsr_l2_normalize(x, n));
        SURVIVES(tsr_sum(x, &(tsr_reduce_options){.axes = (unsigned)n}));
        SURVIVES(tsr_group_norm(x, n, NULL, NULL, NULL));
        SURVIVES(tsr_layer_norm(x, NULL, NULL, &(tsr_norm_options){.axes = n}));
        SURVIVES(tsr_lrn(x, &(tsr_lrn_options){.size = n}));
        SURVIVES(tsr_pad(x, &(tsr_pad_options){.before = {0, n}}));
        SURVIVES(tsr_pad(x, &(tsr_pad_options){.before = {0, 0, 0, 0, n}}));
        SURVIVES(tsr_pad(x, &(tsr_pad_options){.after = {n, n, n, n}, .mode = TSR_PAD_REPLICATE}));
        SURVIVES(tsr_pad(x, &(tsr_pad_options){.after = {0, n}, .mode = (tsr_pad_mode)n}));
        SURVIVES(tsr_triplet_loss(bad.x34, bad.v3, &(tsr_triplet_options){.margin = 1, .mining = (tsr_mining)n}));
        SURVIVES(tsr_mse_loss(x, x, &(tsr_loss_options){.reduction = (tsr_reduction)n}));
        tsr_tensor *parts[4] = {NULL};
        if (n <= COUNT(parts)) (void)tsr_split(x, n, n, parts);
        tsr_clear_error(bad.ctx);
    }
    for (int i = 0; i < COUNT(sizes); i++) {
        const int64_t n = sizes[i];
        SURVIVES(tsr_reshape(x, TSR_SHAPE(n, -1)));
        SURVIVES(tsr_expand(bad.rank1, TSR_SHAPE(n, n, 1)));
        SURVIVES(tsr_slice(x, 0, n, 1));
        SURVIVES(tsr_slice(x, 0, 0, n));
        SURVIVES(tsr_upsample(x, &(tsr_upsample_options){.size = {n, 2}}));
        SURVIVES(tsr_upsample(x, &(tsr_upsample_options){.size = {n, n}, .linear = true}));
        SURVIVES(tsr_max_unpool(x, bad.image, (const int64_t[]){n, n}));
        SURVIVES(tsr_adaptive_avg_pool(x, (const int64_t[]){n, rows[0]}));
        SURVIVES(tsr_adaptive_max_pool(x, (const int64_t[]){n, rows[1]}));
    }
    bad_close();
}

/* Each of the numbers in each field of the options of windows, first on one spatial axis, then on both. */
TEST(windows_survive_every_whole_number)
{
    bad_open();
    tsr_tensor *x = bad.image, *w = tsr_full(bad.ctx, TSR_SHAPE(2, 2, 4, 4), 1);
    tsr_tensor *own = tsr_full(bad.ctx, TSR_SHAPE(5, 5, 2, 2, 4, 4), 1);
    for (int field = 0; field < 8; field++)
        for (int i = 0; i < COUNT(whole) * 2; i++) {
            const int n = whole[i / 2], other = i % 2 ? n : field == 4 ? 2 : 0;
            tsr_conv_options o = {0};
            tsr_pool_options p = {.kernel = {2, 2}};
            int *const conv_fields[] = {o.stride, o.padding, o.padding_end, o.dilation, o.kernel, o.output_padding,
                                        &o.groups, NULL};
            int *const pool_fields[] = {p.stride, p.padding, p.padding_end, NULL, p.kernel, NULL, NULL, NULL};
            if (conv_fields[field]) conv_fields[field][0] = n;
            if (conv_fields[field] && field < 6) conv_fields[field][1] = other;
            if (pool_fields[field]) pool_fields[field][0] = n, pool_fields[field][1] = other;
            if (field == 7) o.activation = (tsr_activation)n;
            p.ceil_mode = i % 4 > 1;
            SURVIVES(tsr_conv(x, w, NULL, &o));
            SURVIVES(tsr_conv_transpose(x, w, NULL, &o));
            SURVIVES(tsr_locally_connected(x, own, NULL, &o));
            SURVIVES(tsr_max_pool(x, &p));
            SURVIVES(tsr_avg_pool(x, &p));
            SURVIVES(tsr_lp_pool(x, &p));
            SURVIVES(tsr_max_pool_indices(x, &p));
        }
    HOLDS(!tsr_is_error(tsr_conv(x, w, NULL, NULL)));
    bad_close();
}

TEST(ops_survive_every_number)
{
    bad_open();
    tsr_tensor *x = bad.x34;
    for (int i = 0; i < COUNT(numbers); i++) {
        const double s = numbers[i];
        SURVIVES(tsr_add_scalar(x, s));
        SURVIVES(tsr_mul_scalar(x, s));
        SURVIVES(tsr_pow_scalar(x, s));
        SURVIVES(tsr_clamp(x, s, 1));
        SURVIVES(tsr_leaky_relu(x, s));
        SURVIVES(tsr_elu(x, s));
        SURVIVES(tsr_dropout(x, s));
        SURVIVES(tsr_norm(x, &(tsr_reduce_options){.power = s}));
        SURVIVES(tsr_lp_pool(bad.image, &(tsr_pool_options){.kernel = {2, 2}, .power = s}));
        SURVIVES(tsr_batch_norm(x, NULL, &(tsr_norm_options){.eps = s, .momentum = s}));
        SURVIVES(tsr_lrn(x, &(tsr_lrn_options){.alpha = s, .beta = s, .k = s}));
        SURVIVES(tsr_huber_loss(x, x, &(tsr_loss_options){.delta = s}));
        SURVIVES(tsr_cross_entropy(x, bad.v3, &(tsr_loss_options){.smoothing = s, .has_ignored = true, .ignored = s}));
        SURVIVES(tsr_contrastive_loss(x, x, bad.v3, s));
        SURVIVES(tsr_triplet_loss(x, bad.v3, &(tsr_triplet_options){.margin = s}));
        SURVIVES(tsr_gram(x, &(tsr_gram_options){.scale = s}));
    }
    bad_close();
}

/* ---- words --------------------------------------------------------------------------------------------------------- */

TEST(ops_say_which_number_is_wrong)
{
    bad_open();
    tsr_tensor *x = bad.x34, *image = bad.image, *w = tsr_full(bad.ctx, TSR_SHAPE(2, 2, 4, 4), 1);
    const tsr_triplet_options triplet = {.margin = 1};
    tsr_tensor *parts[2];
    REFUSES("labels [4] do not fit", tsr_triplet_loss(x, bad.v4, &triplet));
    REFUSES("label 0 is NaN", tsr_triplet_loss(x, bad.nan3, &triplet));
    REFUSES("margin is 0", tsr_triplet_loss(x, bad.v3, NULL));
    REFUSES("are not [T, 3]", tsr_triplet_loss_of(x, bad.v3, &triplet));
    REFUSES("index 0 of [1, 3] is nan",
            tsr_triplet_loss_of(x, tsr_full(bad.ctx, TSR_SHAPE(1, 3), NAN), &triplet));
    REFUSES("the target of row 0 is nan", tsr_cross_entropy(x, bad.nan3, NULL));
    REFUSES("the target of row 0 is 9", tsr_cross_entropy(x, tsr_full(bad.ctx, TSR_SHAPE(3), 9), NULL));
    REFUSES("expected a whole number from 0 to", tsr_gather_rows(x, bad.nan3));
    REFUSES("expected a whole number from 0 to", tsr_gather_rows(x, tsr_full(bad.ctx, TSR_SHAPE(1), -1)));
    REFUSES("expected a whole number from 0 to", tsr_gather_rows(x, tsr_full(bad.ctx, TSR_SHAPE(1), 1e30)));
    REFUSES("expected a whole number from 0 to", tsr_max_unpool(image, image, (const int64_t[]){9, 9}));
    REFUSES("expected 0 or 1", tsr_contrastive_loss(x, x, bad.nan3, 1));
    REFUSES("stride -1", tsr_conv(image, w, NULL, &(tsr_conv_options){.stride = {-1, 1}}));
    REFUSES("padding -2", tsr_conv(image, w, NULL, &(tsr_conv_options){.padding = {-2, 0}}));
    REFUSES("is smaller than the kernel",
            tsr_conv(image, w, NULL, &(tsr_conv_options){.dilation = {1000, 1}}));
    REFUSES("is not a shape", tsr_expand(bad.rank1, HUGE_SHAPE));
    REFUSES("do not fit", tsr_reshape(x, TSR_SHAPE(5)));
    REFUSES("expected at most 8", tsr_reshape(x, WIDE_SHAPE));
    REFUSES("is not inside", tsr_slice(x, 0, 0, 5));
    REFUSES("axes are required", tsr_permute(x, NULL));
    REFUSES("is not there", tsr_flip(x, 2));
    REFUSES("cannot be cut into 2 equal parts", tsr_split(x, 0, 2, parts));
    REFUSES("", tsr_split(x, 1, 2, NULL));
    REFUSES("expected at most 64", tsr_concat((tsr_tensor *const[]){x}, 65, 0));
    REFUSES("NULL", tsr_concat((tsr_tensor *const[]){x, NULL}, 2, 0));
    HOLDS(tsr_concat(NULL, 3, 0) == NULL);
    HOLDS(tsr_concat((tsr_tensor *const[]){x}, 0, 0) == NULL);
    HOLDS(tsr_concat((tsr_tensor *const[]){x}, -1, 0) == NULL);
    HOLDS(!tsr_split(NULL, 0, 2, parts));
    REFUSES("options that say how far are required", tsr_pad(x, NULL));
    REFUSES("options with a size are required", tsr_upsample(image, NULL));
    REFUSES("options with a kernel are required", tsr_max_pool(image, NULL));
    REFUSES("options with a kernel are required", tsr_lp_pool(image, NULL));
    REFUSES("a size is required", tsr_adaptive_avg_pool(image, NULL));
    REFUSES("a size is required", tsr_max_unpool(image, image, NULL));
    REFUSES("does not broadcast", tsr_add(bad.v3, bad.v4));
    REFUSES("p is 1", tsr_dropout(x, 1));
    REFUSES("there are no values to reduce", tsr_mean(bad.empty, NULL));
    REFUSES("running_mean is given without", tsr_batch_norm(x, &(tsr_batch_norm_state){.running_mean = bad.v4}, NULL));
    bad_close();
}
