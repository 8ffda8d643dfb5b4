/* The triplet loss. What a batch's triplets do to the embeddings is gathered in a matrix W, W[i][j] the derivative of the
 * loss by the squared distance of i and j: there may be N^3 triplets, but there are N^2 distances. */
#include "core/kernels/kernels.h"
#include "ops/distances_internal.h"
#include "ops/indices.h"
#include "ops/ops_internal.h"

#include <math.h>

/* ---- all distances ----------------------------------------------------------------------------------------------- */

enum { MINING_BLOCK = 32 };

typedef struct mining_distances_job {
    const tsr_real *x;
    int64_t rows, width, blocks;
    tsr_real *out; /* [rows][rows] */
} mining_distances_job;

/* Of all rows of a block to all of another, which is turned so that its rows lie side by side; then mirrored. */
static TSR_INLINE void block_of_distances(const mining_distances_job *job, int64_t block_i, int64_t block_j)
{
    const int64_t n = job->rows, width = job->width, i_begin = block_i * MINING_BLOCK, j_begin = block_j * MINING_BLOCK;
    const int64_t i_count = n - i_begin < MINING_BLOCK ? n - i_begin : MINING_BLOCK;
    const int64_t j_count = n - j_begin < MINING_BLOCK ? n - j_begin : MINING_BLOCK;
    tsr_real sums[MINING_BLOCK][MINING_BLOCK] = {{0}}, turned[TSR_DEPTH_BLOCK][MINING_BLOCK];
    for (int64_t first = 0; first < width; first += TSR_DEPTH_BLOCK) {
        const int64_t depth = width - first < TSR_DEPTH_BLOCK ? width - first : TSR_DEPTH_BLOCK;
        const tsr_real *rows[MINING_BLOCK] = {NULL};
        for (int64_t j = 0; j < j_count; j++) rows[j] = job->x + (j_begin + j) * width + first;
        tsr_pack_rows(rows, MINING_BLOCK, depth, turned[0]);
        for (int64_t i = 0; i < i_count; i++) {
            const tsr_real *x = job->x + (i_begin + i) * width + first;
            for (int64_t k = 0; k < depth; k++)
                for (int j = 0; j < MINING_BLOCK; j++) {
                    const tsr_real d = x[k] - turned[k][j];
                    sums[i][j] += d * d;
                }
        }
    }
    for (int64_t i = 0; i < i_count; i++)
        for (int64_t j = 0; j < j_count; j++)
            job->out[(i_begin + i) * n + j_begin + j] = job->out[(j_begin + j) * n + i_begin + i] = sums[i][j];
}

/* Rows of blocks of the upper triangle in pairs, a long and a short one, so that every item is the same work. */
static TSR_LOOP(mining_distances_body)
{
    const mining_distances_job *job = user;
    for (int64_t item = begin; item < end; item++) {
        const int64_t other = job->blocks - 1 - item;
        for (int64_t j = item; j < job->blocks; j++) block_of_distances(job, item, j);
        for (int64_t j = other; j < job->blocks && other != item; j++) block_of_distances(job, other, j);
    }
}

static void find_distances(tsr_node *n, const tsr_real *x, int64_t rows, int64_t width, tsr_real *out)
{
    mining_distances_job job = {.x = x, .rows = rows, .width = width, .blocks = (rows + MINING_BLOCK - 1) / MINING_BLOCK, .out = out};
    const double cost = 3 * (double)width * MINING_BLOCK * MINING_BLOCK * (double)(job.blocks + 1);
    tsr_context *ctx = tsr_node_context(n);
    tsr_parallel(ctx, (job.blocks + 1) / 2, tsr_grain(cost), mining_distances_body[ctx->kernels->level], &job);
    tsr_count_work(n, (double)rows * (double)rows * (double)width / 2);
}

/* ---- mining ------------------------------------------------------------------------------------------------------ */

/* What the triplets of one anchor add up to. */
typedef struct anchor_sums {
    int64_t triplets, active, positives, negatives; /* the last two: other rows of its label, rows of others */
    double loss, positive, negative;                /* the last two: sums of distances to them */
} anchor_sums;

typedef struct mining_job {
    int64_t rows;
    tsr_mining mining;
    double margin;
    tsr_rng rng;
    const tsr_real *distances, *labels;
    tsr_real *weights; /* W, zeroed, or NULL where no gradient is wanted */
    anchor_sums *sums;
} mining_job;

static void add_triplet(const mining_job *job, int64_t anchor, int64_t positive, int64_t negative)
{
    const tsr_real *d = job->distances + anchor * job->rows;
    anchor_sums *sums = &job->sums[anchor];
    const double loss = ((double)d[positive] + job->margin) - (double)d[negative];
    sums->triplets++;
    if (!(loss > 0)) return;
    sums->active++;
    sums->loss += loss;
    if (!job->weights) return;
    job->weights[anchor * job->rows + positive] += 1;
    job->weights[anchor * job->rows + negative] -= 1;
}

/* The nearest negative with a distance between `above` and `below`, -1 for none; the first of several. How near it is
 * comes first, then where, in lanes that need no branch: this runs for every anchor and positive. */
static TSR_INLINE int64_t nearest_negative(const mining_job *job, int64_t anchor, tsr_real above, double below)
{
    enum { LANES = 32 }; /* so many that compilers keep the loops and do several at once */
    const tsr_real *restrict d = job->distances + anchor * job->rows, *restrict labels = job->labels;
    const tsr_real label = labels[anchor], none = INFINITY;
    tsr_real lanes[LANES], nearest = none;
    int64_t i = 0;
    for (int j = 0; j < LANES; j++) lanes[j] = none;
    for (; i + LANES <= job->rows; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const tsr_real farther = d[i + j] > above ? d[i + j] : none;
            const tsr_real candidate = labels[i + j] != label ? farther : none;
            lanes[j] = candidate < lanes[j] ? candidate : lanes[j];
        }
    for (; i < job->rows; i++)
        if (labels[i] != label && d[i] > above && d[i] < nearest) nearest = d[i];
    for (int j = 0; j < LANES; j++) nearest = lanes[j] < nearest ? lanes[j] : nearest;
    if (!((double)nearest < below)) return -1;
    for (i = 0; i + LANES <= job->rows; i += LANES) {
        int here = 0;
        for (int j = 0; j < LANES; j++) here |= d[i + j] == nearest;
        if (here) break;
    }
    for (; i < job->rows; i++)
        if (d[i] == nearest && labels[i] != label) return i;
    return -1;
}

static TSR_INLINE void mine_semi_hard(const mining_job *job, int64_t anchor, int64_t positive)
{
    const tsr_real d = job->distances[anchor * job->rows + positive];
    const int64_t negative = nearest_negative(job, anchor, d, (double)d + job->margin);
    if (negative >= 0) add_triplet(job, anchor, positive, negative);
}

static TSR_INLINE void mine_all(const mining_job *job, int64_t anchor, int64_t positive)
{
    enum { LANES = 32 };
    const tsr_real *restrict d = job->distances + anchor * job->rows, *restrict labels = job->labels;
    const tsr_real label = labels[anchor];
    const double limit = (double)d[positive] + job->margin;
    double losses[LANES] = {0};
    tsr_real active[LANES] = {0}; /* whole numbers: exact */
    anchor_sums *sums = &job->sums[anchor];
    int64_t i = 0;
    for (; i + LANES <= job->rows; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const double other = labels[i + j] != label ? limit - (double)d[i + j] : 0, loss = other > 0 ? other : 0;
            losses[j] += loss;
            active[j] += loss > 0 ? (tsr_real)1 : 0;
        }
    for (; i < job->rows; i++) {
        const double loss = labels[i] != label ? limit - (double)d[i] : 0;
        losses[0] += loss > 0 ? loss : 0;
        active[0] += loss > 0;
    }
    double count = 0;
    for (int j = 0; j < LANES; j++) {
        count += (double)active[j];
        sums->loss += losses[j];
    }
    sums->triplets += sums->negatives;
    sums->active += (int64_t)count;
    if (!job->weights) return;
    tsr_real *restrict weights = job->weights + anchor * job->rows;
    for (i = 0; i < job->rows; i++) {
        const double loss = labels[i] != label ? limit - (double)d[i] : 0;
        weights[i] -= loss > 0 ? (tsr_real)1 : 0;
    }
    weights[positive] += (tsr_real)count;
}

/* How many negatives with a distance below `limit` there are from row `begin` on, before `end`. */
static TSR_INLINE uint64_t count_violators(const mining_job *job, int64_t anchor, double limit, int64_t begin,
                                           int64_t end)
{
    const tsr_real *d = job->distances + anchor * job->rows, *labels = job->labels, label = labels[anchor];
    int count = 0; /* rows are fewer than 2^31: there are distances of all pairs */
    for (int64_t i = begin; i < end; i++) {
        const double other = labels[i] != label ? (double)d[i] : limit;
        count += other < limit ? 1 : 0;
    }
    return (uint64_t)count;
}

static TSR_INLINE void mine_random(const mining_job *job, int64_t anchor, int64_t positive)
{
    enum { STRIDE = 64 };
    const double limit = (double)job->distances[anchor * job->rows + positive] + job->margin;
    const uint64_t violators = count_violators(job, anchor, limit, 0, job->rows);
    if (violators == 0) return;
    uint64_t left = tsr_random_below(job->rng, (uint64_t)(anchor * job->rows + positive), violators);
    int64_t i = 0;
    for (uint64_t here; i + STRIDE < job->rows; i += STRIDE, left -= here) {
        here = count_violators(job, anchor, limit, i, i + STRIDE);
        if (here > left) break;
    }
    for (;; i++) {
        const uint64_t here = count_violators(job, anchor, limit, i, i + 1);
        if (left < here) break;
        left -= here;
    }
    add_triplet(job, anchor, positive, i);
}

static TSR_INLINE void mine_hardest(const mining_job *job, int64_t anchor)
{
    const tsr_real *d = job->distances + anchor * job->rows;
    const int64_t negative = nearest_negative(job, anchor, -1, INFINITY);
    int64_t positive = -1;
    for (int64_t i = 0; i < job->rows; i++)
        if (i != anchor && job->labels[i] == job->labels[anchor] && (positive < 0 || d[i] > d[positive])) positive = i;
    if (positive >= 0 && negative >= 0) add_triplet(job, anchor, positive, negative);
}

static TSR_INLINE void mine_positive(const mining_job *job, int64_t anchor, int64_t positive)
{
    switch (job->mining) {
    case TSR_SEMI_HARD: mine_semi_hard(job, anchor, positive); break;
    case TSR_BATCH_ALL: mine_all(job, anchor, positive); break;
    case TSR_RANDOM_VIOLATOR: mine_random(job, anchor, positive); break;
    case TSR_HARDEST: break; /* not by positives */
    }
}

static TSR_LOOP(mining_body)
{
    enum { LANES = 32 };
    const mining_job *job = user;
    for (int64_t anchor = begin; anchor < end; anchor++) {
        const tsr_real *d = job->distances + anchor * job->rows, *labels = job->labels, label = labels[anchor];
        double same[LANES] = {0}, other[LANES] = {0};
        anchor_sums *sums = &job->sums[anchor];
        *sums = (anchor_sums){.negatives = job->rows};
        int64_t i = 0;
        for (; i + LANES <= job->rows; i += LANES)
            for (int j = 0; j < LANES; j++) {
                const tsr_real own = labels[i + j] == label ? d[i + j] : 0;
                const tsr_real foreign = labels[i + j] == label ? 0 : d[i + j];
                same[j] += (double)own; /* the anchor itself is 0, or NaN like all others */
                other[j] += (double)foreign;
            }
        for (; i < job->rows; i++) *(labels[i] == label ? &same[0] : &other[0]) += (double)d[i];
        for (int j = 0; j < LANES; j++) {
            sums->positive += same[j];
            sums->negative += other[j];
        }
        for (i = 0; i < job->rows; i++) sums->negatives -= labels[i] == label;
        for (i = 0; i < job->rows; i++) {
            if (labels[i] != label || i == anchor) continue;
            sums->positives++;
            mine_positive(job, anchor, i);
        }
        if (job->mining == TSR_HARDEST) mine_hardest(job, anchor);
    }
}

static anchor_sums total_of(const anchor_sums *sums, int64_t anchors)
{
    anchor_sums all = {0};
    for (int64_t i = 0; i < anchors; i++) {
        all.triplets += sums[i].triplets;
        all.active += sums[i].active;
        all.positives += sums[i].positives;
        all.negatives += sums[i].negatives;
        all.loss += sums[i].loss;
        all.positive += sums[i].positive;
        all.negative += sums[i].negative;
    }
    return all;
}

/* ---- what both losses do ----------------------------------------------------------------------------------------- */

typedef struct triplet_saved {
    double share;      /* of a triplet in the loss */
    tsr_real *weights; /* mined: W + its transpose. Given: 1 for each triplet with a loss */
} triplet_saved;

/* NULL, or what to return. */
static tsr_tensor *check_options(tsr_node *n, const tsr_triplet_options *options)
{
    const double margin = options ? options->margin : 0;
    const tsr_shape shape = tsr_shape_of(tsr_input(n, 0));
    if (!(margin > 0 && isfinite(margin))) return tsr_reject(n, "margin is %g, needs to be finite and above 0", margin);
    if (shape.rank != 2) return tsr_reject(n, "embeddings %s are not [N, D]", tsr_shape_text(shape).text);
    return NULL;
}

/* The loss into y, the report, and the share of a triplet. Where a distance is NaN or infinite no comparison can be
 * relied on: loss and gradient are then not finite either, so that nobody takes it for a batch without triplets. */
static double settle(const tsr_triplet_options *options, const anchor_sums *all, tsr_real *y)
{
    const bool sum = options->reduction == TSR_REDUCE_SUM;
    const double share = sum ? 1 : all->triplets > 0 ? 1 / (double)all->triplets : 0;
    const double distances = all->positive + all->negative;
    *y = (tsr_real)(isfinite(distances) ? all->loss * share : distances);
    if (options->report)
        *options->report = (tsr_triplet_report){
            .triplets = all->triplets,
            .active = all->active,
            .positive = all->positives > 0 ? all->positive / (double)all->positives : 0,
            .negative = all->negatives > 0 ? all->negative / (double)all->negatives : 0};
    return isfinite(distances) ? share : NAN;
}

/* ---- mined triplets ---------------------------------------------------------------------------------------------- */

enum { PULLED_COLUMNS = 64 };

typedef struct pull_embeddings_job {
    const tsr_real *x, *weights;
    int64_t rows, width;
    double factor;
    tsr_real *out;
} pull_embeddings_job;

/* The gradient of row i is twice the sum over j of (W_ij + W_ji) (x_i - x_j). */
static TSR_LOOP(pull_embeddings_body)
{
    const pull_embeddings_job *job = user;
    for (int64_t i = begin; i < end; i++)
        for (int64_t first = 0; first < job->width; first += PULLED_COLUMNS) {
            const int64_t columns = job->width - first < PULLED_COLUMNS ? job->width - first : PULLED_COLUMNS;
            const tsr_real *x = job->x + i * job->width + first;
            double sums[PULLED_COLUMNS] = {0};
            for (int64_t j = 0; j < job->rows; j++) {
                const double weight = (double)job->weights[i * job->rows + j];
                const tsr_real *other = job->x + j * job->width + first;
                if (weight == 0) continue;
                for (int64_t k = 0; k < columns; k++) sums[k] += weight * (double)(x[k] - other[k]);
            }
            for (int64_t k = 0; k < columns; k++)
                job->out[i * job->width + first + k] = (tsr_real)(job->factor * sums[k]);
        }
}

static void triplet_backward(tsr_node *n)
{
    const triplet_saved *saved = tsr_saved(n);
    const tsr_tensor *x = tsr_input(n, 0);
    const int64_t rows = tsr_dim(x, 0), width = tsr_dim(x, 1);
    pull_embeddings_job job = {.x = tsr_data(x), .weights = saved->weights, .rows = rows, .width = width,
                    .factor = 2 * saved->share * tsr_item(tsr_cotangent(n)), .out = tsr_gradient(n, 0)};
    tsr_context *ctx = tsr_node_context(n);
    if (job.out) tsr_parallel(ctx, rows, tsr_grain((double)rows * (double)width), pull_embeddings_body[ctx->kernels->level], &job);
}

static void add_transpose(tsr_real *w, int64_t rows)
{
    for (int64_t first = 0; first < rows; first += MINING_BLOCK) /* in blocks, for the cache's sake */
        for (int64_t second = 0; second <= first; second += MINING_BLOCK)
            for (int64_t i = first; i < rows && i < first + MINING_BLOCK; i++)
                for (int64_t j = second; j < i && j < second + MINING_BLOCK; j++)
                    w[i * rows + j] = w[j * rows + i] = w[i * rows + j] + w[j * rows + i];
}

/* NULL, or what to return. */
static tsr_tensor *check_labels(tsr_node *n, tsr_shape shape, const tsr_tensor *labels)
{
    const tsr_shape given = tsr_shape_of(labels);
    if (given.rank != 1 || given.dims[0] != shape.dims[0])
        return tsr_reject(n, "labels %s do not fit embeddings %s: expected [%lld]", tsr_shape_text(given).text,
                          tsr_shape_text(shape).text, (long long)shape.dims[0]);
    for (int64_t i = 0; i < given.dims[0]; i++)
        if (isnan(tsr_data(labels)[i])) return tsr_reject(n, "label %lld is NaN", (long long)i);
    if (shape.dims[0] > 0 && tsr_shape_size(TSR_SHAPE(shape.dims[0], shape.dims[0])) < 0)
        return tsr_reject(n, "%lld embeddings have too many distances to keep", (long long)shape.dims[0]);
    return NULL;
}

static const tsr_op triplet_op = {.name = "triplet_loss", .backward = triplet_backward};

tsr_tensor *tsr_triplet_loss(tsr_tensor *embeddings, tsr_tensor *labels, const tsr_triplet_options *options)
{
    if (options && options->report) *options->report = (tsr_triplet_report){0};
    tsr_node *n = tsr_begin(&triplet_op, TSR_INPUTS(embeddings, labels));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_context *ctx = tsr_node_context(n);
    const tsr_shape shape = tsr_shape_of(embeddings);
    tsr_tensor *failed = check_options(n, options);
    if (!failed) failed = check_labels(n, shape, labels);
    if (failed) return failed;
    if ((int)options->mining < TSR_SEMI_HARD || options->mining > TSR_RANDOM_VIOLATOR)
        return tsr_reject(n, "there is no mining %d", (int)options->mining);

    const int64_t rows = shape.dims[0];
    const size_t bytes = (size_t)(rows * rows) * sizeof(tsr_real);
    mining_job job = {.rows = rows, .mining = options->mining, .margin = options->margin, .labels = tsr_data(labels)};
    tsr_real *y = tsr_output(n, TSR_SCALAR), *distances = tsr_scratch(n, bytes);
    triplet_saved *saved = tsr_save(n, sizeof *saved);
    if (tsr_wants(n, 0)) job.weights = tsr_save(n, bytes);
    job.sums = tsr_scratch(n, (size_t)rows * sizeof *job.sums);
    if (tsr_dead(n)) return tsr_end(n);
    if (job.mining == TSR_RANDOM_VIOLATOR) {
        const uint64_t step = tsr_substream(tsr_stream("random violator"), (uint64_t)tsr_step_count(ctx));
        job.rng = (tsr_rng){.seed = tsr_seed(ctx), .stream = tsr_substream(step, ctx->draw_count++)};
    }
    find_distances(n, tsr_data(embeddings), rows, shape.dims[1], distances);
    job.distances = distances;
    tsr_parallel(ctx, rows, tsr_grain(4 * (double)rows), mining_body[ctx->kernels->level], &job);
    const anchor_sums all = total_of(job.sums, rows);
    saved->share = settle(options, &all, y);
    saved->weights = job.weights;
    if (job.weights) add_transpose(job.weights, rows);
    return tsr_end(n);
}

/* ---- given triplets ---------------------------------------------------------------------------------------------- */

typedef struct given_job {
    const tsr_real *x, *triplets, *active;
    int64_t count, width;
    double factor;
    double *distances; /* to the positive and the negative; forward */
    tsr_real *out;     /* set to 0 before; backward */
} given_job;

/* Columns [begin, end): row `to` of the gradient += factor * (row a - row b). */
static TSR_INLINE void add_difference(const given_job *job, int64_t to, int64_t a, int64_t b, int64_t begin,
                                      int64_t end)
{
    const tsr_real factor = (tsr_real)job->factor, *x = job->x;
    TSR_INDEPENDENT
    for (int64_t k = begin; k < end; k++) job->out[to + k] += factor * (x[a + k] - x[b + k]);
}

/* For some columns, all triplets in order. */
static TSR_LOOP(given_body)
{
    const given_job *job = user;
    for (int64_t t = 0; t < job->count; t++) {
        if (job->active[t] == 0) continue;
        int64_t at[3];
        for (int i = 0; i < 3; i++) at[i] = (int64_t)job->triplets[3 * t + i] * job->width;
        add_difference(job, at[0], at[2], at[1], begin, end);
        add_difference(job, at[1], at[1], at[0], begin, end);
        add_difference(job, at[2], at[0], at[2], begin, end);
    }
}

static void triplet_of_backward(tsr_node *n)
{
    const triplet_saved *saved = tsr_saved(n);
    const tsr_tensor *x = tsr_input(n, 0), *triplets = tsr_input(n, 1);
    given_job job = {.x = tsr_data(x), .triplets = tsr_data(triplets), .active = saved->weights,
                     .count = tsr_dim(triplets, 0), .width = tsr_dim(x, 1),
                     .factor = 2 * saved->share * tsr_item(tsr_cotangent(n)), .out = tsr_gradient(n, 0)};
    if (!job.out) return;
    const int64_t size = tsr_size(x);
    const tsr_real nothing = (tsr_real)(0 * job.factor); /* 0, or NaN */
    for (int64_t i = 0; i < size; i++) job.out[i] = nothing;
    enum { COLUMNS_TOGETHER = 64 }; /* fewer would read each row in too small pieces */
    tsr_context *ctx = tsr_node_context(n);
    tsr_parallel(ctx, job.width, COLUMNS_TOGETHER, given_body[ctx->kernels->level], &job);
}

static const tsr_op triplet_of_op = {.name = "triplet_loss_of", .backward = triplet_of_backward};

static TSR_LOOP(given_distances_body)
{
    const given_job *job = user;
    for (int64_t t = begin; t < end; t++) {
        const tsr_real *row[3];
        for (int i = 0; i < 3; i++) row[i] = job->x + (int64_t)job->triplets[3 * t + i] * job->width;
        for (int i = 0; i < 2; i++)
            job->distances[2 * t + i] = (double)tsr_squared_distance(row[0], row[i + 1], job->width);
    }
}

static anchor_sums sum_given(const given_job *job, double margin, tsr_real *active)
{
    anchor_sums all = {.triplets = job->count, .positives = job->count, .negatives = job->count};
    for (int64_t t = 0; t < job->count; t++) {
        const double near = job->distances[2 * t], far = job->distances[2 * t + 1], loss = (near + margin) - far;
        all.positive += near;
        all.negative += far;
        active[t] = loss > 0;
        all.active += loss > 0;
        if (loss > 0) all.loss += loss;
    }
    return all;
}

tsr_tensor *tsr_triplet_loss_of(tsr_tensor *embeddings, tsr_tensor *triplets, const tsr_triplet_options *options)
{
    if (options && options->report) *options->report = (tsr_triplet_report){0};
    tsr_node *n = tsr_begin(&triplet_of_op, TSR_INPUTS(embeddings, triplets));
    if (tsr_dead(n)) return tsr_end(n);
    tsr_tensor *failed = check_options(n, options);
    if (failed) return failed;
    const tsr_shape given = tsr_shape_of(triplets);
    if (given.rank != 2 || given.dims[1] != 3)
        return tsr_reject(n, "triplets %s are not [T, 3]", tsr_shape_text(given).text);
    failed = tsr_check_indices(n, triplets, tsr_dim(embeddings, 0));
    if (failed) return failed;
    tsr_real *y = tsr_output(n, TSR_SCALAR);
    triplet_saved *saved = tsr_save(n, sizeof *saved);
    tsr_real *active = tsr_save(n, (size_t)given.dims[0] * sizeof *active);
    given_job job = {.x = tsr_data(embeddings), .triplets = tsr_data(triplets), .count = given.dims[0],
                     .width = tsr_dim(embeddings, 1)};
    job.distances = tsr_scratch(n, (size_t)given.dims[0] * 2 * sizeof *job.distances);
    if (tsr_dead(n)) return tsr_end(n);
    tsr_context *ctx = tsr_node_context(n);
    tsr_parallel(ctx, job.count, tsr_grain(6 * (double)job.width), given_distances_body[ctx->kernels->level], &job);
    const anchor_sums all = sum_given(&job, options->margin, active);
    saved->share = settle(options, &all, y);
    saved->weights = active;
    return tsr_end(n);
}
