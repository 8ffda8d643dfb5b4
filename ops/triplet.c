/* The triplet loss. What a batch's triplets do to the embeddings is gathered in a matrix W, W[i][j] the derivative of the
 * loss by the squared distance of i and j: there may be N^3 triplets, but there are N^2 distances. */
#include "ops/distances_internal.h"
#include "ops/indices.h"
#include "ops/ops_internal.h"

#include <math.h>

/* ---- all distances ------------------------------------------------------------------------------------------------------ */

enum { BLOCK = 32 };

typedef struct distances_job {
    const tsr_real *x;
    int64_t rows, width, blocks;
    tsr_real *out; /* [rows][rows] */
} distances_job;

static void block_of_distances(const distances_job *job, int64_t block_i, int64_t block_j)
{
    const int64_t n = job->rows, width = job->width, j_begin = block_j * BLOCK;
    const int64_t i_end = block_i * BLOCK + BLOCK < n ? block_i * BLOCK + BLOCK : n;
    const int64_t j_end = j_begin + BLOCK < n ? j_begin + BLOCK : n;
    for (int64_t i = block_i * BLOCK; i < i_end; i++)
        for (int64_t j = block_i == block_j ? i : j_begin; j < j_end; j++) {
            const tsr_real d = tsr_squared_distance(job->x + i * width, job->x + j * width, width);
            job->out[i * n + j] = job->out[j * n + i] = d;
        }
}

/* Rows of blocks of the upper triangle in pairs, a long and a short one, so that every item is the same work. */
static void distances_body(void *user, int64_t begin, int64_t end)
{
    const distances_job *job = user;
    for (int64_t item = begin; item < end; item++) {
        const int64_t other = job->blocks - 1 - item;
        for (int64_t j = item; j < job->blocks; j++) block_of_distances(job, item, j);
        for (int64_t j = other; j < job->blocks && other != item; j++) block_of_distances(job, other, j);
    }
}

static void find_distances(tsr_node *n, const tsr_real *x, int64_t rows, int64_t width, tsr_real *out)
{
    distances_job job = {.x = x, .rows = rows, .width = width, .blocks = (rows + BLOCK - 1) / BLOCK, .out = out};
    const double cost = 3 * (double)width * BLOCK * BLOCK * (double)(job.blocks + 1);
    tsr_parallel(tsr_node_context(n), (job.blocks + 1) / 2, tsr_grain(cost), distances_body, &job);
    tsr_count_work(n, (double)rows * (double)rows * (double)width / 2);
}

/* ---- mining -------------------------------------------------------------------------------------------------------------- */

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
 * comes first, in lanes that need no branch: this runs for every anchor and positive. */
static int64_t nearest_negative(const mining_job *job, int64_t anchor, tsr_real above, double below)
{
    enum { LANES = 32 }; /* so many that compilers keep the loop and do several at once */
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
    for (i = 0; (double)nearest < below && i < job->rows; i++)
        if (d[i] == nearest && labels[i] != label) return i;
    return -1;
}

static void mine_semi_hard(const mining_job *job, int64_t anchor, int64_t positive)
{
    const tsr_real d = job->distances[anchor * job->rows + positive];
    const int64_t negative = nearest_negative(job, anchor, d, (double)d + job->margin);
    if (negative >= 0) add_triplet(job, anchor, positive, negative);
}

static void mine_all(const mining_job *job, int64_t anchor, int64_t positive)
{
    for (int64_t i = 0; i < job->rows; i++)
        if (job->labels[i] != job->labels[anchor]) add_triplet(job, anchor, positive, i);
}

static void mine_random(const mining_job *job, int64_t anchor, int64_t positive)
{
    const tsr_real *d = job->distances + anchor * job->rows, *labels = job->labels, label = labels[anchor];
    const double limit = (double)d[positive] + job->margin;
    uint64_t violators = 0;
    for (int64_t i = 0; i < job->rows; i++) violators += (uint64_t)((labels[i] != label) & ((double)d[i] < limit));
    if (violators == 0) return;
    uint64_t left = tsr_random_below(job->rng, (uint64_t)(anchor * job->rows + positive), violators);
    for (int64_t i = 0; i < job->rows; i++)
        if (labels[i] != label && (double)d[i] < limit && left-- == 0) {
            add_triplet(job, anchor, positive, i);
            return;
        }
}

static void mine_hardest(const mining_job *job, int64_t anchor)
{
    const tsr_real *d = job->distances + anchor * job->rows;
    const int64_t negative = nearest_negative(job, anchor, -1, INFINITY);
    int64_t positive = -1;
    for (int64_t i = 0; i < job->rows; i++)
        if (i != anchor && job->labels[i] == job->labels[anchor] && (positive < 0 || d[i] > d[positive])) positive = i;
    if (positive >= 0 && negative >= 0) add_triplet(job, anchor, positive, negative);
}

static void mine_positive(const mining_job *job, int64_t anchor, int64_t positive)
{
    switch (job->mining) {
    case TSR_SEMI_HARD: mine_semi_hard(job, anchor, positive); break;
    case TSR_BATCH_ALL: mine_all(job, anchor, positive); break;
    case TSR_RANDOM_VIOLATOR: mine_random(job, anchor, positive); break;
    case TSR_HARDEST: break; /* not by positives */
    }
}

static void mining_body(void *user, int64_t begin, int64_t end)
{
    const mining_job *job = user;
    for (int64_t anchor = begin; anchor < end; anchor++) {
        anchor_sums *sums = &job->sums[anchor];
        *sums = (anchor_sums){0};
        for (int64_t i = 0; i < job->rows; i++) {
            const double d = (double)job->distances[anchor * job->rows + i];
            const bool same = job->labels[i] == job->labels[anchor];
            if (same && i != anchor) {
                sums->positives++;
                sums->positive += d;
                mine_positive(job, anchor, i);
            } else if (!same) {
                sums->negatives++;
                sums->negative += d;
            }
        }
        if (job->mining == TSR_HARDEST) mine_hardest(job, anchor);
    }
}

static anchor_sums add_up(const anchor_sums *sums, int64_t anchors)
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

/* ---- what both losses do ------------------------------------------------------------------------------------------------- */

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

/* ---- mined triplets ------------------------------------------------------------------------------------------------------ */

enum { COLUMNS = 64 };

typedef struct pull_job {
    const tsr_real *x, *weights;
    int64_t rows, width;
    double factor;
    tsr_real *out;
} pull_job;

/* The gradient of row i is twice the sum over j of (W_ij + W_ji) (x_i - x_j). */
static void pull_body(void *user, int64_t begin, int64_t end)
{
    const pull_job *job = user;
    for (int64_t i = begin; i < end; i++)
        for (int64_t first = 0; first < job->width; first += COLUMNS) {
            const int64_t columns = job->width - first < COLUMNS ? job->width - first : COLUMNS;
            const tsr_real *x = job->x + i * job->width + first;
            double sums[COLUMNS] = {0};
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
    pull_job job = {.x = tsr_data(x), .weights = saved->weights, .rows = rows, .width = width,
                    .factor = 2 * saved->share * tsr_item(tsr_cotangent(n)), .out = tsr_gradient(n, 0)};
    if (job.out) tsr_parallel(tsr_node_context(n), rows, tsr_grain((double)rows * (double)width), pull_body, &job);
}

static void add_transpose(tsr_real *w, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < i; j++) w[i * rows + j] = w[j * rows + i] = w[i * rows + j] + w[j * rows + i];
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
    tsr_parallel(ctx, rows, tsr_grain(4 * (double)rows), mining_body, &job);
    const anchor_sums all = add_up(job.sums, rows);
    saved->share = settle(options, &all, y);
    saved->weights = job.weights;
    if (job.weights) add_transpose(job.weights, rows);
    return tsr_end(n);
}

/* ---- given triplets ------------------------------------------------------------------------------------------------------ */

typedef struct given_job {
    const tsr_real *x, *triplets, *active;
    int64_t count, width;
    double factor;
    tsr_real *out; /* set to 0 before */
} given_job;

/* For some columns, all triplets in order. */
static void given_body(void *user, int64_t begin, int64_t end)
{
    const given_job *job = user;
    const tsr_real factor = (tsr_real)job->factor;
    for (int64_t t = 0; t < job->count; t++) {
        if (job->active[t] == 0) continue;
        int64_t at[3];
        for (int i = 0; i < 3; i++) at[i] = (int64_t)job->triplets[3 * t + i] * job->width;
        for (int64_t k = begin; k < end; k++) {
            const tsr_real a = job->x[at[0] + k], p = job->x[at[1] + k], q = job->x[at[2] + k];
            job->out[at[0] + k] += factor * (q - p);
            job->out[at[1] + k] += factor * (p - a);
            job->out[at[2] + k] += factor * (a - q);
        }
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
    for (int64_t i = 0; i < tsr_size(x); i++) job.out[i] = (tsr_real)(0 * job.factor); /* 0, or NaN */
    int64_t grain = tsr_grain(6 * (double)job.count);
    if (grain < 16) grain = 16; /* columns of a cache line together */
    tsr_parallel(tsr_node_context(n), job.width, grain, given_body, &job);
}

static const tsr_op triplet_of_op = {.name = "triplet_loss_of", .backward = triplet_of_backward};

static anchor_sums sum_given(const given_job *job, double margin, tsr_real *active)
{
    anchor_sums all = {.triplets = job->count, .positives = job->count, .negatives = job->count};
    for (int64_t t = 0; t < job->count; t++) {
        const tsr_real *row[3];
        for (int i = 0; i < 3; i++) row[i] = job->x + (int64_t)job->triplets[3 * t + i] * job->width;
        const double near = (double)tsr_squared_distance(row[0], row[1], job->width);
        const double far = (double)tsr_squared_distance(row[0], row[2], job->width);
        const double loss = (near + margin) - far;
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
    if (!y || !saved || !active) return tsr_end(n);
    const given_job job = {.x = tsr_data(embeddings), .triplets = tsr_data(triplets), .count = given.dims[0],
                           .width = tsr_dim(embeddings, 1)};
    const anchor_sums all = sum_given(&job, options->margin, active);
    saved->share = settle(options, &all, y);
    saved->weights = active;
    return tsr_end(n);
}
