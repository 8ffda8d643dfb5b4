/* The public header of ops/: what computes and differentiates.
 *
 * Every op takes and returns tensors of any rank that makes sense for it. N is the batch, C the channels (always last),
 * S stands for one, two or three spatial axes. A wrong shape is an error with words: the result is then the error tensor.
 * Options may be NULL, zeros in them mean the defaults given; a 0 that is meant is TSR_ZERO. Axes may be negative. */
#ifndef TESSERA_OPS_OPS_H
#define TESSERA_OPS_OPS_H

#include "core/core.h"

/* ---- element-wise, two inputs (binary.c): shapes broadcast as in NumPy, aligned at the last axis ----------------- */

tsr_tensor *tsr_add(tsr_tensor *a, tsr_tensor *b);     /* a + b */
tsr_tensor *tsr_sub(tsr_tensor *a, tsr_tensor *b);     /* a - b */
tsr_tensor *tsr_mul(tsr_tensor *a, tsr_tensor *b);     /* a * b */
tsr_tensor *tsr_div(tsr_tensor *a, tsr_tensor *b);     /* a / b */
tsr_tensor *tsr_maximum(tsr_tensor *a, tsr_tensor *b); /* where equal, each gets half of the gradient; NaN wins */
tsr_tensor *tsr_minimum(tsr_tensor *a, tsr_tensor *b);
tsr_tensor *tsr_pow(tsr_tensor *a, tsr_tensor *b);     /* a ^ b; d/db is 0 where a is 0, NaN where a < 0 */

/* condition ? a : b, element by element; condition is true where it is not 0, and gets no gradient. Broadcasts. */
tsr_tensor *tsr_where(tsr_tensor *condition, tsr_tensor *a, tsr_tensor *b);

/* ---- element-wise, one input (unary.c) --------------------------------------------------------------------------- */

tsr_tensor *tsr_add_scalar(tsr_tensor *x, double s); /* x + s */
tsr_tensor *tsr_mul_scalar(tsr_tensor *x, double s); /* x * s */
tsr_tensor *tsr_pow_scalar(tsr_tensor *x, double s); /* x ^ s */
tsr_tensor *tsr_neg(tsr_tensor *x);
tsr_tensor *tsr_abs(tsr_tensor *x);    /* gradient 0 at 0 */
tsr_tensor *tsr_square(tsr_tensor *x);
tsr_tensor *tsr_sqrt(tsr_tensor *x);   /* gradient 0 at 0, where mathematics has none */
tsr_tensor *tsr_exp(tsr_tensor *x);
tsr_tensor *tsr_log(tsr_tensor *x);
tsr_tensor *tsr_sin(tsr_tensor *x);
tsr_tensor *tsr_cos(tsr_tensor *x);
tsr_tensor *tsr_clamp(tsr_tensor *x, double low, double high); /* gradient 1 in [low, high], else 0 */

tsr_tensor *tsr_relu(tsr_tensor *x);                          /* max(x, 0); gradient 0 at 0 */
tsr_tensor *tsr_leaky_relu(tsr_tensor *x, double slope);      /* x > 0 ? x : slope x */
tsr_tensor *tsr_elu(tsr_tensor *x, double alpha);             /* x > 0 ? x : alpha (e^x - 1) */
tsr_tensor *tsr_sigmoid(tsr_tensor *x);                       /* 1 / (1 + e^-x) */
tsr_tensor *tsr_tanh(tsr_tensor *x);
tsr_tensor *tsr_softplus(tsr_tensor *x);                      /* log(1 + e^x) */
tsr_tensor *tsr_gelu(tsr_tensor *x);                          /* x Phi(x), exact; Hendrycks and Gimpel 2016 */
tsr_tensor *tsr_silu(tsr_tensor *x);                          /* x sigmoid(x) */
tsr_tensor *tsr_prelu(tsr_tensor *x, tsr_tensor *slope);      /* slope [C] or [1]; He et al. 2015, eq. 1 */
/* The largest of `pieces` neighbouring channels: [..., C * pieces] -> [..., C], channel c from c * pieces on.
 * Goodfellow et al. 2013. Ties: the first gets the gradient; NaN wins. */
tsr_tensor *tsr_maxout(tsr_tensor *x, int pieces);

/* Keeps each value with probability 1 - p and divides it by that; 0 <= p < 1. The draws are keyed by the context's seed,
 * its step count and the number of draws since the last step. Whether to call it at all is the caller's choice. */
tsr_tensor *tsr_dropout(tsr_tensor *x, double p);

/* ---- shape (shape.c, pad.c, upsample.c) -------------------------------------------------------------------------- */

tsr_tensor *tsr_reshape(tsr_tensor *x, tsr_shape shape);                /* a view; one dimension may be -1: inferred */
tsr_tensor *tsr_permute(tsr_tensor *x, const int *axes);                /* axis i of the result is axis axes[i] of x */
tsr_tensor *tsr_transpose(tsr_tensor *x, int a, int b);                 /* swaps two axes */
tsr_tensor *tsr_concat(tsr_tensor *const *parts, int count, int axis);  /* at most 64 parts */
tsr_tensor *tsr_slice(tsr_tensor *x, int axis, int64_t begin, int64_t end); /* [begin, end); negative: from the end */
bool tsr_split(tsr_tensor *x, int axis, int count, tsr_tensor **parts); /* equal parts; false after an error */
tsr_tensor *tsr_expand(tsr_tensor *x, tsr_shape shape);                 /* repeats axes of length 1, new ones in front */
tsr_tensor *tsr_flip(tsr_tensor *x, int axis);
/* Rows of x [R, ...] by whole numbers: [indices' shape..., ...]. A row taken twice gathers both gradients. */
tsr_tensor *tsr_gather_rows(tsr_tensor *x, tsr_tensor *indices);

typedef enum tsr_pad_mode {
    TSR_PAD_CONSTANT,
    TSR_PAD_REFLECT,  /* the edge is not repeated; pads at most length - 1 */
    TSR_PAD_REPLICATE
} tsr_pad_mode;

typedef struct tsr_pad_options {
    int before[TSR_MAX_RANK], after[TSR_MAX_RANK]; /* per axis, counted from axis 0; negative: error */
    tsr_pad_mode mode;
    double value; /* of TSR_PAD_CONSTANT */
} tsr_pad_options;
tsr_tensor *tsr_pad(tsr_tensor *x, const tsr_pad_options *options);

/* [N, S..., C] to new spatial sizes: nearest (result i is the value at floor(i S / S')), or linear between pixel centres
 * (PyTorch's align_corners = False). */
typedef struct tsr_upsample_options {
    int64_t size[3]; /* required, one per spatial axis */
    bool linear;     /* default: nearest */
} tsr_upsample_options;
tsr_tensor *tsr_upsample(tsr_tensor *x, const tsr_upsample_options *options);

/* ---- reductions (reduce.c) --------------------------------------------------------------------------------------- */

/* A set of axes: TSR_AXIS(1) | TSR_AXIS(-1). */
#define TSR_AXIS(axis) (1u << ((unsigned)(axis) & 31u))

typedef struct tsr_reduce_options {
    unsigned axes;   /* default: all */
    bool keep_dims;  /* reduced axes stay, with length 1 */
    double power;    /* norm: sum(|x|^p)^(1/p), p finite and above 0, default 2 */
    bool population; /* var: divide by n, default n - 1 */
} tsr_reduce_options;

/* Sums are made in double. Of no values sum and norm are 0, logsumexp is -infinity, the others are errors. */
tsr_tensor *tsr_sum(tsr_tensor *x, const tsr_reduce_options *options);
tsr_tensor *tsr_mean(tsr_tensor *x, const tsr_reduce_options *options);
tsr_tensor *tsr_max(tsr_tensor *x, const tsr_reduce_options *options);  /* gradient to the first; NaN wins */
tsr_tensor *tsr_min(tsr_tensor *x, const tsr_reduce_options *options);
tsr_tensor *tsr_var(tsr_tensor *x, const tsr_reduce_options *options);
tsr_tensor *tsr_logsumexp(tsr_tensor *x, const tsr_reduce_options *options);
tsr_tensor *tsr_norm(tsr_tensor *x, const tsr_reduce_options *options); /* gradient 0 at 0 */
tsr_tensor *tsr_argmax(tsr_tensor *x, int axis); /* of the first largest (NaN wins); the axis goes; no gradient */

tsr_tensor *tsr_softmax(tsr_tensor *x, int axis);
tsr_tensor *tsr_log_softmax(tsr_tensor *x, int axis);

/* ---- products (matmul.c) ----------------------------------------------------------------------------------------- */

typedef struct tsr_matmul_options {
    bool transpose_a, transpose_b; /* of the last two axes */
} tsr_matmul_options;

/* [..., M, K] x [..., K, N] -> [..., M, N]; leading axes broadcast. Both need rank 2 or more. */
tsr_tensor *tsr_matmul(tsr_tensor *a, tsr_tensor *b, const tsr_matmul_options *options);

/* Where a layer of nn/ takes the same options, the fields it alone reads come last. */
struct tsr_init;

typedef struct tsr_linear_options {
    tsr_activation activation;
    bool no_bias;                                /* nn only, */
    const struct tsr_init *weight_init, *bias_init; /* these too */
} tsr_linear_options;

/* x [..., I] by weight [I, O], plus bias [O] (may be NULL): [..., O]. */
tsr_tensor *tsr_linear(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias, const tsr_linear_options *options);

/* ---- convolution (conv.c, conv_transpose.c, local.c) ------------------------------------------------------------- */

/* Per spatial axis in order (D, H, W / H, W / L). */
typedef struct tsr_conv_options {
    int stride[3];      /* default 1 */
    int padding[3];     /* zeros before, default 0 */
    int padding_end[3]; /* zeros after; default: as padding. TSR_ZERO: none */
    int dilation[3];    /* default 1 */
    int groups;         /* default 1; group g reads its share of the input channels and makes its share of the output's */
    tsr_activation activation;
    int output_padding[3]; /* conv_transpose only: extends the result at the end, less than stride or dilation */
    int kernel[3];         /* nn only (ops see it in the weight): required there, */
    bool no_bias;          /* and these */
    const struct tsr_init *weight_init, *bias_init;
} tsr_conv_options;

/* x [N, S..., I], weight [K..., I / groups, O], bias [O] or NULL -> [N, S'..., O] with
 * S' = floor((S + padding + padding_end - dilation (K - 1) - 1) / stride) + 1. One to three spatial axes. */
tsr_tensor *tsr_conv(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias, const tsr_conv_options *options);

/* The adjoint of tsr_conv by the same weight and options: x [N, S..., I], weight [K..., O / groups, I], bias [O] or NULL
 * -> [N, S'..., O], S' = (S - 1) stride - padding - padding_end + dilation (K - 1) + output_padding + 1. */
tsr_tensor *tsr_conv_transpose(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias, const tsr_conv_options *options);

/* A convolution whose weights are not shared: x [N, H, W, I], weight [H', W', KH, KW, I, O], bias [H', W', O] or NULL
 * -> [N, H', W', O]. Stride and padding as tsr_conv; no dilation, no groups. Taigman et al. 2014, layers L4 to L6. */
tsr_tensor *tsr_locally_connected(tsr_tensor *x, tsr_tensor *weight, tsr_tensor *bias, const tsr_conv_options *options);

/* ---- pooling (pool.c, max_pool.c, unpool.c) ---------------------------------------------------------------------- */

typedef struct tsr_pool_options {
    int kernel[3];        /* required, one per spatial axis */
    int stride[3];        /* default: the kernel */
    int padding[3];       /* before, default 0; less than the kernel */
    int padding_end[3];   /* after; default: as padding. TSR_ZERO: none */
    bool ceil_mode;       /* a last window that is only partly inside counts too, if it begins inside (or in the padding before) */
    bool exclude_padding; /* avg_pool: divide by the values inside; default: by the window clipped to the padded input */
    double power;         /* lp_pool: 1 or more, default 2 */
} tsr_pool_options;

/* [N, S..., C] -> [N, S'..., C], window by window. max: ties to the first, NaN wins, padding never. lp: (sum |x|^p)^(1/p). */
tsr_tensor *tsr_max_pool(tsr_tensor *x, const tsr_pool_options *options);
tsr_tensor *tsr_avg_pool(tsr_tensor *x, const tsr_pool_options *options);
tsr_tensor *tsr_lp_pool(tsr_tensor *x, const tsr_pool_options *options);

/* Where each maximum of tsr_max_pool lies: its flat position in the spatial axes of x. No gradient. */
tsr_tensor *tsr_max_pool_indices(tsr_tensor *x, const tsr_pool_options *options);
/* Puts values back where the indices say, zeros elsewhere: x and indices [N, S..., C] -> [N, size..., C]. Where two go to
 * one place the last in order stays. size has one number per spatial axis. */
tsr_tensor *tsr_max_unpool(tsr_tensor *x, tsr_tensor *indices, const int64_t *size);

/* Windows floor(i S / S') to ceil((i + 1) S / S'), as PyTorch; size per spatial axis. All ones: global pooling. */
tsr_tensor *tsr_adaptive_avg_pool(tsr_tensor *x, const int64_t *size);
tsr_tensor *tsr_adaptive_max_pool(tsr_tensor *x, const int64_t *size);

/* ---- normalisation (norm.c, layer_norm.c, lrn.c, l2_normalize.c) ------------------------------------------------- */

typedef struct tsr_norm_options {
    double eps;                 /* default 1e-5 */
    double momentum;            /* batch_norm: weight of the new value in the running ones, default 0.1 */
    bool evaluate;              /* batch_norm: use the running statistics and leave them alone */
    tsr_activation activation;
    int axes;                   /* layer_norm: how many trailing axes are one sample, default 1 */
    bool no_affine;             /* nn only: no scale and shift */
} tsr_norm_options;

/* (x - mean) / sqrt(var + eps) * scale + shift per channel, x [N, S..., C], all other [C]; scale and shift may be NULL
 * together. In training the statistics are the batch's, and running_mean and running_var (unbiased) are moved towards
 * them in place (may be NULL together; the result does not depend on them). Ioffe and Szegedy 2015. */
typedef struct tsr_batch_norm_state {
    tsr_tensor *scale, *shift, *running_mean, *running_var;
} tsr_batch_norm_state;
tsr_tensor *tsr_batch_norm(tsr_tensor *x, const tsr_batch_norm_state *state, const tsr_norm_options *options);

/* Over the last `axes` axes; scale and shift have their shape, or are NULL. Ba et al. 2016. */
tsr_tensor *tsr_layer_norm(tsr_tensor *x, tsr_tensor *scale, tsr_tensor *shift, const tsr_norm_options *options);
/* x [N, S..., C]: over S and the C / groups channels of a group; scale and shift [C] or NULL. Wu and He 2018.
 * groups = C is instance normalisation. */
tsr_tensor *tsr_group_norm(tsr_tensor *x, int groups, tsr_tensor *scale, tsr_tensor *shift, const tsr_norm_options *options);
tsr_tensor *tsr_instance_norm(tsr_tensor *x, tsr_tensor *scale, tsr_tensor *shift, const tsr_norm_options *options);

typedef struct tsr_lrn_options {
    int size;           /* channels, default 5 */
    double alpha, beta; /* default 1e-4, 0.75 */
    double k;           /* default 1 */
} tsr_lrn_options;
/* x / (k + alpha / size * sum of squares of `size` neighbouring channels)^beta: PyTorch's convention (Krizhevsky et al.
 * 2012, section 3.3, has alpha without the division). */
tsr_tensor *tsr_lrn(tsr_tensor *x, const tsr_lrn_options *options);

/* x / max(|x|, 1e-12) along an axis; where |x| is below 1e-12, at 0 too, the gradient is that of a division by it, as in
 * PyTorch. Schroff et al. 2015, section 3. */
tsr_tensor *tsr_l2_normalize(tsr_tensor *x, int axis);

/* ---- losses (loss.c, pair_loss.c, triplet.c, image_loss.c): one value unless said otherwise ---------------------- */

typedef enum tsr_reduction {
    TSR_REDUCE_MEAN, /* the default */
    TSR_REDUCE_SUM
} tsr_reduction;

typedef struct tsr_loss_options {
    tsr_reduction reduction;
    double delta;          /* huber: where the parabola ends, default 1 */
    double smoothing;      /* cross_entropy: share of the target spread evenly over the classes, default 0 */
    bool has_ignored;      /* cross_entropy with indices: rows labelled `ignored` count for nothing */
    double ignored;
} tsr_loss_options;

/* y and target of the same shape; the target gets a gradient too where it wants one. */
tsr_tensor *tsr_mse_loss(tsr_tensor *y, tsr_tensor *target, const tsr_loss_options *options);   /* (y - t)^2 */
tsr_tensor *tsr_l1_loss(tsr_tensor *y, tsr_tensor *target, const tsr_loss_options *options);    /* |y - t| */
tsr_tensor *tsr_huber_loss(tsr_tensor *y, tsr_tensor *target, const tsr_loss_options *options);

/* -log softmax(logits)[target] over the last axis: logits [..., K]; target [...] of whole numbers 0 .. K-1, or [..., K] of
 * probabilities (no gradient to the target). The mean is over the rows that count; none: 0. */
tsr_tensor *tsr_cross_entropy(tsr_tensor *logits, tsr_tensor *target, const tsr_loss_options *options);

/* -(t log sigmoid(z) + (1 - t) log(1 - sigmoid(z))), target of the same shape (no gradient to it); finite for any z. */
tsr_tensor *tsr_bce_with_logits(tsr_tensor *logits, tsr_tensor *target);

/* Pairs of rows a, b [N, D], same [N] (1 or 0): mean of same d^2 + (1 - same) max(0, margin - d)^2, d = |a - b|.
 * Hadsell et al. 2006, eq. 4 without its halves; gradient 0 at d = 0. */
tsr_tensor *tsr_contrastive_loss(tsr_tensor *a, tsr_tensor *b, tsr_tensor *same, double margin);

/* |a_i - b_j|^2 for all rows: a [N, D], b [M, D] -> [N, M]. Computed as |a_i|^2 + |b_j|^2 - 2 a_i b_j, whose rounding
 * error is about 1e-7 (|a_i|^2 + |b_j|^2) in float; never negative (what is raised to 0 keeps its gradient), and exactly 0
 * between a row and itself where a is b. */
tsr_tensor *tsr_pairwise_squared_distance(tsr_tensor *a, tsr_tensor *b);

typedef enum tsr_mining {
    TSR_SEMI_HARD, /* all anchor-positive pairs, each with the negative that is the nearest of those farther than the
                      positive but inside the margin (Schroff et al. 2015, section 3.2); pairs without one are left out.
                      Here and below the first row wins where distances are equal */
    TSR_HARDEST,   /* each anchor with its farthest positive and nearest negative (Hermans et al. 2017, eq. 5) */
    TSR_BATCH_ALL, /* every valid triplet */
    TSR_RANDOM_VIOLATOR /* all anchor-positive pairs, each with a random negative inside the margin (as OpenFace does) */
} tsr_mining;

typedef struct tsr_triplet_report {
    int64_t triplets;          /* that were formed */
    int64_t active;            /* of these, with a loss above 0 */
    double positive, negative; /* mean squared distances over all pairs of the batch (given triplets: over these) */
} tsr_triplet_report;

typedef struct tsr_triplet_options {
    double margin;              /* required, above 0 */
    tsr_mining mining;
    tsr_reduction reduction;    /* mean over the triplets that were formed (batch-all: all that are valid, those with a
                                   loss of 0 too); none: 0 */
    tsr_triplet_report *report; /* filled in, if given */
} tsr_triplet_options;

/* Sum or mean of max(0, |a - p|^2 - |a - n|^2 + margin) over triplets (Schroff et al. 2015, eq. 3): mined from embeddings
 * [N, D] and labels [N]. Where a distance is NaN or infinite the loss is not finite, and the gradient neither. */
tsr_tensor *tsr_triplet_loss(tsr_tensor *embeddings, tsr_tensor *labels, const tsr_triplet_options *options);
/* The same, given as rows of embeddings: triplets [T, 3] of whole numbers (anchor, positive, negative); mining is not
 * looked at. */
tsr_tensor *tsr_triplet_loss_of(tsr_tensor *embeddings, tsr_tensor *triplets, const tsr_triplet_options *options);

typedef struct tsr_gram_options {
    double scale; /* default 1 / (positions * channels) */
} tsr_gram_options;
/* x [N, S..., C] -> [N, C, C]: scale * sum over positions of x_i x_j. Gatys et al. 2016, eq. 3, has scale 1. */
tsr_tensor *tsr_gram(tsr_tensor *x, const tsr_gram_options *options);

/* x [N, H, W, C]: sum of squared differences of neighbours, down and right (Mahendran and Vedaldi 2015, beta = 2). */
tsr_tensor *tsr_total_variation(tsr_tensor *x);

#endif
