/* The update rules: one loop each, in PyTorch's order of operations. */
#include "optim/optim_internal.h"
#include "core/kernels/levels.h"
#include "ops/ops_internal.h"

#include <math.h>

static TSR_INLINE tsr_real square_root(tsr_real x)
{
#ifdef TSR_DOUBLE
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

static TSR_LOOP(sgd_update)
{
    const tsr_update_job *job = user;
    const tsr_real lr = (tsr_real)job->update.lr, decay = (tsr_real)job->update.weight_decay;
    const tsr_real momentum = (tsr_real)job->update.momentum;
    tsr_real *p = job->p, *velocity = job->states[0];
    TSR_INDEPENDENT
    for (int64_t i = begin; i < end; i++) {
        const tsr_real g = job->g[i] + decay * p[i];
        velocity[i] = momentum * velocity[i] + g;
        p[i] -= lr * (job->update.nesterov ? g + momentum * velocity[i] : velocity[i]);
    }
}

static TSR_LOOP(plain_sgd_update)
{
    const tsr_update_job *job = user;
    const tsr_real lr = (tsr_real)job->update.lr, decay = (tsr_real)job->update.weight_decay;
    TSR_INDEPENDENT
    for (int64_t i = begin; i < end; i++) job->p[i] -= lr * (job->g[i] + decay * job->p[i]);
}

static TSR_LOOP(adagrad_update)
{
    const tsr_update_job *job = user;
    const tsr_real lr = (tsr_real)job->update.lr, decay = (tsr_real)job->update.weight_decay;
    const tsr_real eps = (tsr_real)job->update.eps;
    tsr_real *p = job->p, *sum = job->states[0];
    TSR_INDEPENDENT
    for (int64_t i = begin; i < end; i++) {
        const tsr_real g = job->g[i] + decay * p[i];
        sum[i] += g * g;
        p[i] -= lr * g / (square_root(sum[i]) + eps);
    }
}

static TSR_LOOP(rmsprop_update)
{
    const tsr_update_job *job = user;
    const tsr_real lr = (tsr_real)job->update.lr, decay = (tsr_real)job->update.weight_decay;
    const tsr_real eps = (tsr_real)job->update.eps, alpha = (tsr_real)job->update.beta2;
    const tsr_real rest = (tsr_real)(1 - job->update.beta2), momentum = (tsr_real)job->update.momentum;
    tsr_real *p = job->p, *mean_square = job->states[0], *velocity = job->states[1];
    TSR_INDEPENDENT
    for (int64_t i = begin; i < end; i++) {
        const tsr_real g = job->g[i] + decay * p[i];
        mean_square[i] = alpha * mean_square[i] + rest * g * g;
        velocity[i] = momentum * velocity[i] + g / (square_root(mean_square[i]) + eps);
        p[i] -= lr * velocity[i];
    }
}

/* Adam's loop; `decay` enters the gradient, `shrink` the parameter. */
static TSR_INLINE void adam_loop(const tsr_update_job *job, int64_t begin, int64_t end, double decay_, double shrink_)
{
    const tsr_update *u = &job->update;
    const double correction1 = 1 - pow(u->beta1, (double)u->t), correction2 = 1 - pow(u->beta2, (double)u->t);
    const tsr_real beta1 = (tsr_real)u->beta1, rest1 = (tsr_real)(1 - u->beta1);
    const tsr_real beta2 = (tsr_real)u->beta2, rest2 = (tsr_real)(1 - u->beta2);
    const tsr_real step = (tsr_real)(u->lr / correction1), scale = (tsr_real)sqrt(correction2), eps = (tsr_real)u->eps;
    const tsr_real decay = (tsr_real)decay_, shrink = (tsr_real)shrink_;
    tsr_real *p = job->p, *mean = job->states[0], *mean_square = job->states[1];
    TSR_INDEPENDENT
    for (int64_t i = begin; i < end; i++) {
        const tsr_real g = job->g[i] + decay * p[i];
        mean[i] = beta1 * mean[i] + rest1 * g;
        mean_square[i] = beta2 * mean_square[i] + rest2 * g * g;
        p[i] = p[i] * shrink - step * mean[i] / (square_root(mean_square[i]) / scale + eps);
    }
}

static TSR_LOOP(adam_update)
{
    const tsr_update_job *job = user;
    adam_loop(job, begin, end, job->update.weight_decay, 1);
}

static TSR_LOOP(adamw_update)
{
    const tsr_update_job *job = user;
    adam_loop(job, begin, end, 0, 1 - job->update.lr * job->update.weight_decay);
}

static const tsr_update_rule plain_sgd = {"sgd", 0, {0}, plain_sgd_update};
static const tsr_update_rule sgd = {"sgd with momentum", 1, {"momentum_buffer"}, sgd_update};
static const tsr_update_rule adagrad = {"adagrad", 1, {"sum"}, adagrad_update};
static const tsr_update_rule rmsprop = {"rmsprop", 2, {"square_avg", "momentum_buffer"}, rmsprop_update};
static const tsr_update_rule adam = {"adam", 2, {"exp_avg", "exp_avg_sq"}, adam_update};
static const tsr_update_rule adamw = {"adamw", 2, {"exp_avg", "exp_avg_sq"}, adamw_update};

/* ---- making them ------------------------------------------------------------------------------------------------- */

/* Rejects NaN and what lies outside [0, below). */
static bool in_range(tsr_model *m, const char *rule, const char *what, double value, double below)
{
    if (value >= 0 && value < below) return true;
    if (m) tsr_fail(m->ctx, "%s: %s = %g; it must be at least 0 and below %g", rule, what, value, below);
    return false;
}

static tsr_optimizer *checked(tsr_model *m, const tsr_update_rule *rule, tsr_update u)
{
    const bool good = in_range(m, rule->name, "lr", u.lr, HUGE_VAL) && in_range(m, rule->name, "momentum", u.momentum, 1) &&
                      in_range(m, rule->name, "beta1", u.beta1, 1) && in_range(m, rule->name, "beta2 or alpha", u.beta2, 1) &&
                      in_range(m, rule->name, "eps", u.eps, HUGE_VAL) &&
                      in_range(m, rule->name, "weight_decay", u.weight_decay, HUGE_VAL);
    return good ? tsr_optimizer_new(m, rule, u) : NULL;
}

tsr_optimizer *tsr_sgd(tsr_model *m, const tsr_sgd_options *options)
{
    const tsr_sgd_options o = options ? *options : (tsr_sgd_options){0};
    const tsr_update u = {.lr = tsr_default_double(o.lr, 0.01), .momentum = tsr_default_double(o.momentum, 0),
                          .nesterov = o.nesterov, .weight_decay = tsr_default_double(o.weight_decay, 0)};
    if (o.nesterov && u.momentum == 0) {
        if (m) tsr_fail(m->ctx, "sgd: nesterov needs momentum");
        return NULL;
    }
    return checked(m, u.momentum == 0 ? &plain_sgd : &sgd, u);
}

tsr_optimizer *tsr_adagrad(tsr_model *m, const tsr_adagrad_options *options)
{
    const tsr_adagrad_options o = options ? *options : (tsr_adagrad_options){0};
    return checked(m, &adagrad, (tsr_update){.lr = tsr_default_double(o.lr, 0.01), .eps = tsr_default_double(o.eps, 1e-10),
                                             .weight_decay = tsr_default_double(o.weight_decay, 0)});
}

tsr_optimizer *tsr_rmsprop(tsr_model *m, const tsr_rmsprop_options *options)
{
    const tsr_rmsprop_options o = options ? *options : (tsr_rmsprop_options){0};
    return checked(m, &rmsprop, (tsr_update){.lr = tsr_default_double(o.lr, 0.01), .beta2 = tsr_default_double(o.alpha, 0.99),
                                             .eps = tsr_default_double(o.eps, 1e-8),
                                             .momentum = tsr_default_double(o.momentum, 0),
                                             .weight_decay = tsr_default_double(o.weight_decay, 0)});
}

static tsr_update adam_numbers(const tsr_adam_options *options, double weight_decay)
{
    const tsr_adam_options o = options ? *options : (tsr_adam_options){0};
    return (tsr_update){.lr = tsr_default_double(o.lr, 0.001), .beta1 = tsr_default_double(o.beta1, 0.9),
                        .beta2 = tsr_default_double(o.beta2, 0.999), .eps = tsr_default_double(o.eps, 1e-8),
                        .weight_decay = tsr_default_double(o.weight_decay, weight_decay)};
}

tsr_optimizer *tsr_adam(tsr_model *m, const tsr_adam_options *options)
{
    return checked(m, &adam, adam_numbers(options, 0));
}

tsr_optimizer *tsr_adamw(tsr_model *m, const tsr_adam_options *options)
{
    return checked(m, &adamw, adam_numbers(options, 0.01));
}
