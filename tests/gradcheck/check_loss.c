/* Gradient checks of the losses. */
#include "tests/gradcheck/gradcheck.h"

static tsr_loss_options how;
static tsr_triplet_options mining;
static tsr_tensor *target; /* what gets no gradient */

static tsr_tensor *mse(tsr_tensor *const *in) { return tsr_mse_loss(in[0], in[1], &how); }
static tsr_tensor *l1(tsr_tensor *const *in) { return tsr_l1_loss(in[0], in[1], &how); }
static tsr_tensor *huber(tsr_tensor *const *in) { return tsr_huber_loss(in[0], in[1], &how); }
static tsr_tensor *entropy(tsr_tensor *const *in) { return tsr_cross_entropy(in[0], target, &how); }
static tsr_tensor *bce(tsr_tensor *const *in) { return tsr_bce_with_logits(in[0], target); }
static tsr_tensor *contrastive(tsr_tensor *const *in) { return tsr_contrastive_loss(in[0], in[1], target, 3); }
static tsr_tensor *triplet(tsr_tensor *const *in) { return tsr_triplet_loss(in[0], target, &mining); }
static tsr_tensor *triplet_of(tsr_tensor *const *in) { return tsr_triplet_loss_of(in[0], target, &mining); }
static tsr_tensor *variation(tsr_tensor *const *in) { return tsr_total_variation(in[0]); }

static const tsr_reduction reductions[] = {TSR_REDUCE_MEAN, TSR_REDUCE_SUM};

static void one(tsr_context *ctx, tsr_function fn, tsr_shape shape)
{
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_normal(ctx, shape)});
}

/* Two inputs whose differences keep away from 0 and from the end of huber's parabola, at `delta`. */
static void two(tsr_context *ctx, tsr_function fn, tsr_shape shape, double delta)
{
    for (int i = 0; i < 2; i++) {
        how = (tsr_loss_options){.reduction = reductions[i], .delta = delta};
        tsr_tensor *y = gradcheck_off_zero(ctx, shape), *t = gradcheck_uniform(ctx, shape, -0.01, 0.01);
        tsr_real *values = tsr_write(y);
        for (int64_t k = 0; k < tsr_size(y); k++) {
            const double size = values[k] < 0 ? -(double)values[k] : (double)values[k];
            if (size > delta - 0.05 && size < delta + 0.05) values[k] *= 2;
        }
        gradcheck_case(ctx, fn, 2, (tsr_tensor *[]){y, t});
    }
}

GRADCHECK(mse_loss) { two(ctx, mse, TSR_SHAPE(3, 5), 1); two(ctx, mse, TSR_SHAPE(1), 1); two(ctx, mse, TSR_SCALAR, 1); }
GRADCHECK(l1_loss) { two(ctx, l1, TSR_SHAPE(3, 5), 1); two(ctx, l1, TSR_SHAPE(2, 2, 3), 1); }
GRADCHECK(huber_loss) { two(ctx, huber, TSR_SHAPE(3, 7), 1); two(ctx, huber, TSR_SHAPE(9), 0.3); }

static void entropy_cases(tsr_context *ctx, tsr_shape shape)
{
    for (int i = 0; i < 2; i++)
        for (int smooth = 0; smooth < 2; smooth++) {
            how.reduction = reductions[i];
            how.smoothing = 0.3 * smooth;
            one(ctx, entropy, shape);
        }
}

GRADCHECK(cross_entropy)
{
    how = (tsr_loss_options){0};
    target = tsr_values(ctx, TSR_SHAPE(4), (tsr_real[]){0, 4, 2, 2});
    entropy_cases(ctx, TSR_SHAPE(4, 5));
    entropy_cases(ctx, TSR_SHAPE(4, 19));
    how = (tsr_loss_options){.has_ignored = true, .ignored = 2};
    entropy_cases(ctx, TSR_SHAPE(4, 5));
    how = (tsr_loss_options){0};
    target = tsr_values(ctx, TSR_SHAPE(2, 2), (tsr_real[]){0, 1, 2, 2});
    entropy_cases(ctx, TSR_SHAPE(2, 2, 3));
    target = tsr_zeros(ctx, TSR_SCALAR);
    entropy_cases(ctx, TSR_SHAPE(6));
    target = gradcheck_uniform(ctx, TSR_SHAPE(2, 3, 4), 0, 1); /* rows that need not add up to 1 */
    entropy_cases(ctx, TSR_SHAPE(2, 3, 4));
    target = tsr_zeros(ctx, TSR_SHAPE(3));
    gradcheck_zero_case(ctx, entropy, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 1))});
}

GRADCHECK(bce_with_logits)
{
    target = gradcheck_uniform(ctx, TSR_SHAPE(3, 5), 0, 1);
    gradcheck_case(ctx, bce, 1, (tsr_tensor *[]){gradcheck_off_zero(ctx, TSR_SHAPE(3, 5))});
    target = tsr_values(ctx, TSR_SHAPE(4), (tsr_real[]){0, 1, 1, 0});
    one(ctx, bce, TSR_SHAPE(4));
}

GRADCHECK(contrastive_loss)
{
    for (int width = 1; width <= 17; width += 8) {
        target = tsr_values(ctx, TSR_SHAPE(5), (tsr_real[]){0, 1, 1, 0, 0});
        gradcheck_case(ctx, contrastive, 2, (tsr_tensor *[]){gradcheck_uniform(ctx, TSR_SHAPE(5, width), 0, 0.3),
                                                             gradcheck_uniform(ctx, TSR_SHAPE(5, width), 0.4, 0.6)});
    }
    target = tsr_zeros(ctx, TSR_SHAPE(1)); /* farther apart than the margin */
    gradcheck_zero_case(ctx, contrastive, 2, (tsr_tensor *[]){tsr_full(ctx, TSR_SHAPE(1, 2), 5), tsr_zeros(ctx, TSR_SHAPE(1, 2))});
}

/* A margin between the distances of random embeddings, so that some triplets have a loss; inputs move by 1e-5 only, and
 * which triplets are mined is the same for all of these. */
GRADCHECK(triplet_loss)
{
    const tsr_real labels[] = {0, 0, 1, 1, 2, 2, 2, 0, 3, 1};
    target = tsr_values(ctx, TSR_SHAPE(10), labels);
    for (int kind = TSR_SEMI_HARD; kind <= TSR_RANDOM_VIOLATOR; kind++)
        for (int i = 0; i < 2; i++) {
            mining = (tsr_triplet_options){.margin = 3, .mining = (tsr_mining)kind, .reduction = reductions[i]};
            one(ctx, triplet, TSR_SHAPE(10, 3));
            one(ctx, triplet, TSR_SHAPE(10, 70));
        }
    target = tsr_values(ctx, TSR_SHAPE(3), labels + 7); /* no two alike: no triplets */
    mining.mining = TSR_BATCH_ALL;
    gradcheck_zero_case(ctx, triplet, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 4))});
}

GRADCHECK(triplet_loss_of)
{
    target = tsr_values(ctx, TSR_SHAPE(5, 3), (tsr_real[]){0, 1, 2, 1, 0, 3, 2, 3, 0, 3, 2, 1, 0, 0, 1});
    for (int i = 0; i < 2; i++) {
        mining = (tsr_triplet_options){.margin = 2, .reduction = reductions[i]};
        one(ctx, triplet_of, TSR_SHAPE(4, 5));
        mining.margin = 60; /* distances grow with the width */
        one(ctx, triplet_of, TSR_SHAPE(4, 40));
    }
}

GRADCHECK(total_variation)
{
    one(ctx, variation, TSR_SHAPE(2, 3, 4, 3));
    one(ctx, variation, TSR_SHAPE(1, 1, 5, 2));
    one(ctx, variation, TSR_SHAPE(2, 5, 1, 1));
    gradcheck_zero_case(ctx, variation, 1, (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 1, 1, 2))});
}
