#include "apps/facenet/training.h"

#include <math.h>
#include <stdlib.h>

bool training_open(training *t, tsr_model *m, const pictures *set, const training_settings *settings, app_error *error)
{
    *t = (training){.settings = *settings, .m = m, .set = set};
    if (!sampler_open(&t->sampler, set, settings->per_batch, settings->per_person, tsr_seed(tsr_model_context(m)), error))
        return false;
    t->numbers = calloc((size_t)t->sampler.per_batch * (size_t)t->sampler.per_person, sizeof *t->numbers);
    t->opt = tsr_adamw(m, &(tsr_adam_options){.lr = settings->lr, .weight_decay = settings->weight_decay > 0
                                                                                      ? settings->weight_decay
                                                                                      : (double)TSR_ZERO});
    if (t->numbers && t->opt) return true;
    app_fail(error, "%s", tsr_error(tsr_model_context(m)) ? tsr_error(tsr_model_context(m)) : "out of memory for a batch");
    training_close(t);
    return false;
}

void training_close(training *t)
{
    sampler_close(&t->sampler);
    tsr_optimizer_free(t->opt);
    free(t->numbers);
    t->numbers = NULL;
    t->opt = NULL;
}

static tsr_tensor *batch_labels(tsr_context *ctx, const sampler *s)
{
    tsr_tensor *people_of = tsr_reshape(tsr_arange(ctx, 0, s->per_batch, 1), TSR_SHAPE(s->per_batch, 1));
    return tsr_reshape(tsr_expand(people_of, TSR_SHAPE(s->per_batch, s->per_person)), TSR_SHAPE(-1));
}

/* Collapse: embeddings of different people in one point, where the loss is the margin and no gradient leads away
 * (Schroff et al. 2015, section 3.2). A start may lie there too, hence the patience. */
static bool has_collapsed(training *t, const tsr_triplet_report *report)
{
    const double near = 0.1; /* trained embeddings of different people lie 1 to 2 apart */
    const int patience = 20;
    t->low_steps = report->negative < near ? t->low_steps + 1 : 0;
    if (t->told || t->low_steps < patience) return false;
    t->told = true;
    return true;
}

bool training_take_step(training *t, int64_t step, training_step *out, app_error *error)
{
    tsr_context *ctx = tsr_model_context(t->m);
    const training_settings *s = &t->settings;
    const int count = t->sampler.per_batch * t->sampler.per_person;
    *out = (training_step){.lr = tsr_lr_cosine(s->lr, step, s->steps, 0) * tsr_lr_warm_up(step, 20)};
    sampler_draw(&t->sampler, step, t->numbers);
    tsr_set_learning_rate(t->opt, out->lr);
    TSR_SCOPE(ctx) {
        tsr_tensor *x = net_batch(ctx, t->set, t->numbers, count, &s->variation, step);
        tsr_tensor *loss = tsr_triplet_loss(face_embed(t->m, x), batch_labels(ctx, &t->sampler),
                                            &(tsr_triplet_options){.margin = s->margin, .mining = s->mining,
                                                                   .report = &out->triplets});
        out->loss = tsr_item(loss);
        tsr_backward(loss);
        tsr_step(t->opt);
    }
    out->collapsed = has_collapsed(t, &out->triplets);
    if (!tsr_error(ctx) && isfinite(out->loss)) return true;
    return app_fail(error, "step %lld: %s", (long long)step, tsr_error(ctx) ? tsr_error(ctx) : "the loss is not finite");
}
