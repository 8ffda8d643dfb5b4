/* Losses against PyTorch; mined triplets against a search through all of them (loss.py). */
#include "tests/known-answers/known.h"

#define FILE_NAME "loss.safetensors"

static tsr_loss_options how;
static tsr_triplet_options mining;
static tsr_triplet_report report;

static tsr_tensor *mse(tsr_tensor *const *in) { return tsr_mse_loss(in[0], in[1], &how); }
static tsr_tensor *l1(tsr_tensor *const *in) { return tsr_l1_loss(in[0], in[1], &how); }
static tsr_tensor *huber(tsr_tensor *const *in) { return tsr_huber_loss(in[0], in[1], &how); }
static tsr_tensor *entropy(tsr_tensor *const *in) { return tsr_cross_entropy(in[0], in[1], &how); }
static tsr_tensor *bce(tsr_tensor *const *in) { return tsr_bce_with_logits(in[0], in[1]); }
static tsr_tensor *contrastive(tsr_tensor *const *in) { return tsr_contrastive_loss(in[0], in[1], in[2], 1.5); }
static tsr_tensor *triplet(tsr_tensor *const *in) { return tsr_triplet_loss(in[0], in[1], &mining); }
static tsr_tensor *triplet_of(tsr_tensor *const *in) { return tsr_triplet_loss_of(in[0], in[1], &mining); }
static tsr_tensor *variation(tsr_tensor *const *in) { return tsr_total_variation(in[0]); }

static const char *const endings[] = {"mean", "sum"};

/* NAME_mean, NAME_sum */
static void both(const char *name, tsr_function fn)
{
    for (int i = 0; i < 2; i++) {
        char full[64];
        snprintf(full, sizeof full, "%s_%s", name, endings[i]);
        how.reduction = mining.reduction = i == 0 ? TSR_REDUCE_MEAN : TSR_REDUCE_SUM;
        known_case(FILE_NAME, full, fn, 1);
    }
}

TEST(losses_by_value_agree_with_pytorch)
{
    how = (tsr_loss_options){.delta = 0.7};
    both("mse", mse);
    both("l1", l1);
    both("huber", huber);
}

TEST(cross_entropy_agrees_with_pytorch)
{
    how = (tsr_loss_options){0};
    both("entropy", entropy);
    how = (tsr_loss_options){.smoothing = 0.2, .has_ignored = true, .ignored = 3};
    both("entropy_smooth", entropy);
    how = (tsr_loss_options){.smoothing = 0.1};
    both("entropy_shares", entropy);
    how = (tsr_loss_options){0};
    known_case(FILE_NAME, "entropy_many_axes", entropy, 1);
    known_case(FILE_NAME, "entropy_far", entropy, 1);
}

TEST(bce_with_logits_agrees_with_pytorch)
{
    known_case(FILE_NAME, "bce", bce, 1);
    known_case(FILE_NAME, "bce_far", bce, 1);
}

TEST(contrastive_loss_and_total_variation_agree_with_pytorch)
{
    known_case(FILE_NAME, "contrastive", contrastive, 1);
    known_case(FILE_NAME, "variation", variation, 1);
}

static void mined(const char *name, tsr_mining kind)
{
    char full[64];
    mining = (tsr_triplet_options){.margin = 0.4, .mining = kind, .report = &report};
    both(name, triplet);
    snprintf(full, sizeof full, "%s.report", name);
    tsr_context *ctx = tsr_open(NULL);
    const tsr_tensor *expected = known_tensor(ctx, FILE_NAME, full);
    if (!tsr_is_error(expected)) {
        const tsr_real *e = tsr_data(expected);
        test_equal((double)report.triplets, (double)e[0], full, __FILE__, __LINE__);
        test_equal((double)report.active, (double)e[1], full, __FILE__, __LINE__);
        test_near(report.positive, (double)e[2], 1e-5, full, __FILE__, __LINE__);
        test_near(report.negative, (double)e[3], 1e-5, full, __FILE__, __LINE__);
    }
    tsr_close(ctx);
}

TEST(triplet_mining_finds_what_a_search_through_all_triplets_finds)
{
    mined("triplet_some_semi_hard", TSR_SEMI_HARD);
    mined("triplet_wide_semi_hard", TSR_SEMI_HARD);
    mined("triplet_lone_semi_hard", TSR_SEMI_HARD);
    mined("triplet_some_hardest", TSR_HARDEST);
    mined("triplet_wide_hardest", TSR_HARDEST);
    mined("triplet_lone_hardest", TSR_HARDEST);
    mined("triplet_some_all", TSR_BATCH_ALL);
    mined("triplet_wide_all", TSR_BATCH_ALL);
    mined("triplet_lone_all", TSR_BATCH_ALL);
}

TEST(triplet_loss_of_agrees_with_pytorch)
{
    mining = (tsr_triplet_options){.margin = 0.4};
    both("triplet_given", triplet_of);
}
