#include "apps/facenet/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const training_columns[LOG_COLUMNS] = {"step",     "loss",     "correct", "triplets",  "active",
                                                   "positive", "negative", "lr",      "validation"};

static tsr_optimizer *make_optimizer(tsr_model *m, const training_settings *s)
{
    const double decay = s->weight_decay > 0 ? s->weight_decay : (double)TSR_ZERO;
    switch (s->rule) {
    case TRAINING_ADAM: return tsr_adam(m, NULL);
    case TRAINING_ADAGRAD: return tsr_adagrad(m, NULL);
    case TRAINING_ADAMW: break;
    }
    return tsr_adamw(m, &(tsr_adam_options){.weight_decay = decay});
}

bool training_open(training *t, tsr_model *m, const pictures *set, const training_settings *settings, app_error *error)
{
    tsr_context *ctx = tsr_model_context(m);
    *t = (training){.settings = *settings, .m = m, .set = set};
    if (!sampler_open(&t->sampler, set, settings->per_batch, settings->per_person, tsr_seed(ctx), error)) return false;
    const size_t count = (size_t)t->sampler.per_batch * (size_t)t->sampler.per_person;
    t->numbers = calloc(count, sizeof *t->numbers);
    t->who = calloc(count, sizeof *t->who);
    t->opt = make_optimizer(m, settings);
    if (t->numbers && t->who && t->opt) return true;
    app_fail(error, "%s", tsr_error(ctx) ? tsr_error(ctx) : "out of memory for a batch");
    training_close(t);
    return false;
}

void training_close(training *t)
{
    sampler_close(&t->sampler);
    tsr_optimizer_free(t->opt);
    free(t->numbers);
    free(t->who);
    t->numbers = t->who = NULL;
    t->opt = NULL;
}

static double learning_rate(const training_settings *s, int64_t step)
{
    const bool first = step < s->softmax_steps;
    const int64_t at = first ? step : step - s->softmax_steps, steps = first ? s->softmax_steps : s->steps;
    const double lr = first ? s->softmax_lr : s->lr;
    switch (s->schedule) {
    case TRAINING_CONSTANT: return lr;
    case TRAINING_STEPS: return tsr_lr_multi_step(lr, at, (const int64_t[]){steps / 2, steps * 3 / 4}, 2, 0.1);
    case TRAINING_COSINE: break;
    }
    return tsr_lr_cosine(lr, at, steps, 0) * tsr_lr_warm_up(at, 20);
}

/* ---- classification ---------------------------------------------------------------------------------------------- */

static double share_right(const tsr_tensor *cosines, const int *who)
{
    const int64_t rows = tsr_dim(cosines, 0), classes = tsr_dim(cosines, 1);
    const tsr_real *values = tsr_data(cosines);
    int64_t right = 0;
    for (int64_t i = 0; values && i < rows; i++) {
        int64_t best = 0;
        for (int64_t k = 1; k < classes; k++)
            if (values[i * classes + k] > values[i * classes + best]) best = k;
        right += best == who[i];
    }
    return (double)right / (double)rows;
}

/* Cross-entropy of scale * (cosine - margin at the right class), cosines between embeddings and a row for each
 * person. */
static tsr_tensor *softmax_loss(training *t, tsr_tensor *embeddings, double *row)
{
    tsr_context *ctx = tsr_model_context(t->m);
    const int64_t count = tsr_dim(embeddings, 0), persons = t->sampler.people;
    tsr_tensor *classes = tsr_parameter_init(t->m, TRAINING_CLASSES ".weight",
                                             TSR_SHAPE(persons, tsr_dim(embeddings, -1)),
                                             &(tsr_init){.kind = TSR_INIT_XAVIER_UNIFORM});
    tsr_tensor *cosines = tsr_matmul(tsr_l2_normalize(embeddings, -1), tsr_l2_normalize(classes, -1),
                                     &(tsr_matmul_options){.transpose_b = true});
    tsr_tensor *margins = tsr_zeros(ctx, TSR_SHAPE(count, persons)), *right = tsr_zeros(ctx, TSR_SHAPE(count));
    tsr_real *margin = tsr_write(margins), *label = tsr_write(right);
    for (int64_t i = 0; margin && label && i < count; i++) {
        margin[i * persons + t->who[i]] = (tsr_real)t->settings.softmax_margin;
        label[i] = (tsr_real)t->who[i];
    }
    if (!tsr_is_error(cosines)) row[LOG_CORRECT] = share_right(cosines, t->who);
    return tsr_cross_entropy(tsr_mul_scalar(tsr_sub(cosines, margins), t->settings.softmax_scale), right, NULL);
}

/* ---- triplets ---------------------------------------------------------------------------------------------------- */

/* All pairs of one person, each with a picture of anybody else. */
static tsr_tensor *unmined_triplets(const training *t, int64_t step)
{
    tsr_context *ctx = tsr_model_context(t->m);
    const int64_t people_count = t->sampler.per_batch, each = t->sampler.per_person, count = people_count * each;
    const tsr_rng rng = {tsr_seed(ctx), tsr_substream(tsr_stream("any negative"), (uint64_t)step)};
    tsr_tensor *triplets = tsr_zeros(ctx, TSR_SHAPE(count * (each - 1), 3));
    tsr_real *out = tsr_write(triplets);
    int64_t made = 0;
    for (int64_t anchor = 0; out && anchor < count; anchor++)
        for (int64_t positive = anchor / each * each; positive < (anchor / each + 1) * each; positive++) {
            if (positive == anchor) continue;
            const int64_t other = (int64_t)tsr_random_below(rng, (uint64_t)made, (uint64_t)(count - each));
            *out++ = (tsr_real)anchor;
            *out++ = (tsr_real)positive;
            *out++ = (tsr_real)(other < anchor / each * each ? other : other + each);
            made++;
        }
    return triplets;
}

static tsr_tensor *triplet_loss(const training *t, tsr_tensor *embeddings, int64_t step, tsr_triplet_report *report)
{
    const sampler *s = &t->sampler;
    if (t->settings.unmined)
        return tsr_triplet_loss_of(embeddings, unmined_triplets(t, step),
                                   &(tsr_triplet_options){.margin = t->settings.margin, .report = report,
                                                          .reduction = t->settings.reduction});
    tsr_tensor *who = tsr_reshape(tsr_arange(tsr_model_context(t->m), 0, s->per_batch, 1), TSR_SHAPE(s->per_batch, 1));
    tsr_tensor *labels = tsr_reshape(tsr_expand(who, TSR_SHAPE(s->per_batch, s->per_person)), TSR_SHAPE(-1));
    return tsr_triplet_loss(embeddings, labels,
                            &(tsr_triplet_options){.margin = t->settings.margin, .mining = t->settings.mining,
                                                   .reduction = t->settings.reduction, .report = report});
}

/* Embeds x without recording, a chunk at a time. */
static tsr_tensor *embed_in_chunks(const training *t, tsr_tensor *x)
{
    const int64_t count = tsr_dim(x, 0), chunk = t->settings.chunk;
    tsr_context *ctx = tsr_model_context(t->m);
    tsr_tensor *all = NULL;
    for (int64_t first = 0; first < count && !tsr_error(ctx); first += chunk) {
        const int64_t end = first + chunk < count ? first + chunk : count;
        TSR_NO_GRAD(ctx) {
            const tsr_tensor *e = face_embed(t->m, tsr_slice(x, 0, first, end));
            if (!all) all = tsr_keep(tsr_zeros(ctx, TSR_SHAPE(count, tsr_dim(e, -1))));
            tsr_real *out = tsr_write(all);
            if (out) tsr_copy_out(e, out + first * tsr_dim(e, -1), tsr_size(e));
        }
    }
    return all;
}

/* Rows of g that are not all zero: pictures that are in a triplet with a loss. */
static int rows_with_gradient(const tsr_tensor *g, tsr_real *rows)
{
    const int64_t length = tsr_dim(g, -1);
    int found = 0;
    for (int64_t i = 0; i < tsr_dim(g, 0); i++) {
        const tsr_real *row = tsr_data(g) + i * length;
        int64_t k = 0;
        while (k < length && row[k] == 0) k++;
        if (k < length) rows[found++] = (tsr_real)i;
    }
    return found;
}

/* Adds up the gradients of a batch that is too large to be recorded at once: the loss is differentiated by the
 * embeddings, and these gradients are where the chunks' backward passes begin. Returns the loss. */
static double backward_in_chunks(training *t, tsr_tensor *x, int64_t step, tsr_triplet_report *report)
{
    tsr_context *ctx = tsr_model_context(t->m);
    tsr_tensor *embeddings = tsr_watch(embed_in_chunks(t, x)), *loss = triplet_loss(t, embeddings, step, report);
    tsr_backward(loss);
    tsr_tensor *g = tsr_grad(embeddings), *used = tsr_zeros(ctx, TSR_SHAPE(tsr_dim(x, 0)));
    tsr_real *rows = tsr_write(used);
    const int count = g && rows ? rows_with_gradient(g, rows) : 0;
    for (int first = 0; first < count && !tsr_error(ctx); first += t->settings.chunk)
        TSR_SCOPE(ctx) {
            const int end = first + t->settings.chunk < count ? first + t->settings.chunk : count;
            tsr_tensor *which = tsr_slice(used, 0, first, end);
            tsr_backward_from(face_embed(t->m, tsr_gather_rows(x, which)), tsr_gather_rows(g, which));
        }
    return tsr_item(loss);
}

/* Collapse: embeddings of different people in one point, where the loss is the margin and no gradient leads away
 * (Schroff et al. 2015, section 3.2). A start may lie there too, hence the patience. */
static void watch_collapse(training *t, const tsr_triplet_report *report)
{
    const double near = 0.1; /* trained embeddings of different people lie 1 to 2 apart */
    const int patience = 20;
    t->low_steps = report->negative < near ? t->low_steps + 1 : 0;
    if (t->told || t->low_steps < patience) return;
    t->told = true;
    fprintf(stderr, "facenet train: the embedding has collapsed: all faces lie in one point, the loss stays at the "
                    "margin (%g). Lower --lr (now %g), choose --mining semi-hard, or begin with --softmax-steps\n",
            t->settings.margin, t->settings.lr);
}

static void note_triplets(const training *t, const tsr_triplet_report *report, double *row)
{
    const sampler *s = &t->sampler;
    const int batch = s->per_batch * s->per_person;
    /* Hardest triplets are one per anchor, semi-hard and random ones at most one per anchor and positive. */
    const double pairs_in_batch = t->settings.mining == TSR_HARDEST ? batch : batch * (s->per_person - 1.0);
    const double formed = (double)report->triplets;
    const double possible = t->settings.mining == TSR_BATCH_ALL ? formed : pairs_in_batch;
    row[LOG_TRIPLETS] = formed;
    row[LOG_ACTIVE] = possible > 0 ? (double)report->active / possible : 0;
    row[LOG_POSITIVE] = report->positive;
    row[LOG_NEGATIVE] = report->negative;
}

/* ---- a step ------------------------------------------------------------------------------------------------------ */

bool training_take_step(training *t, int64_t step, double *row, app_error *error)
{
    tsr_context *ctx = tsr_model_context(t->m);
    const training_settings *s = &t->settings;
    const int count = t->sampler.per_batch * t->sampler.per_person;
    const bool classifies = step < s->softmax_steps;
    tsr_triplet_report report = {0};
    if (classifies) sampler_draw_singly(&t->sampler, step, t->numbers, t->who);
    else sampler_draw(&t->sampler, step - s->softmax_steps, t->numbers);
    row[LOG_RATE] = learning_rate(s, step);
    tsr_set_learning_rate(t->opt, row[LOG_RATE]);
    TSR_SCOPE(ctx) {
        tsr_tensor *x = net_batch(ctx, t->set, t->numbers, count, &s->variation, step);
        if (!classifies && s->chunk > 0 && s->chunk < count) row[LOG_LOSS] = backward_in_chunks(t, x, step, &report);
        else {
            tsr_tensor *e = face_embed(t->m, x);
            tsr_tensor *loss = classifies ? softmax_loss(t, e, row) : triplet_loss(t, e, step, &report);
            row[LOG_LOSS] = tsr_item(loss);
            tsr_backward(loss);
        }
        tsr_step(t->opt);
    }
    if (tsr_error(ctx)) return app_fail(error, "%s", tsr_error(ctx));
    if (!isfinite(row[LOG_LOSS])) return app_fail(error, "the loss is not finite");
    if (classifies) return true;
    note_triplets(t, &report, row);
    watch_collapse(t, &report);
    return true;
}

void training_tell(const double *row, char *text, size_t bytes)
{
    if (isfinite(row[LOG_CORRECT]))
        snprintf(text, bytes, "loss %.4f  right %.0f %%", row[LOG_LOSS], 100 * row[LOG_CORRECT]);
    else
        snprintf(text, bytes, "loss %.4f  active %.0f %%  same %.3f  different %.3f", row[LOG_LOSS],
                 100 * row[LOG_ACTIVE], row[LOG_POSITIVE], row[LOG_NEGATIVE]);
}
