#include "optim/optim_internal.h"

#include <math.h>

double tsr_lr_step(double lr, int64_t step, int64_t every, double gamma)
{
    const int64_t times = every > 0 ? step / every : 0;
    return lr * pow(gamma, (double)times);
}

double tsr_lr_multi_step(double lr, int64_t step, const int64_t *milestones, int count, double gamma)
{
    for (int i = 0; milestones && i < count; i++)
        if (step >= milestones[i]) lr *= gamma;
    return lr;
}

double tsr_lr_exponential(double lr, int64_t step, double gamma)
{
    return lr * pow(gamma, (double)step);
}

double tsr_lr_cosine(double lr, int64_t step, int64_t total, double least)
{
    const double pi = 3.14159265358979323846;
    if (step >= total) return least;
    if (step < 0) return lr;
    return least + (lr - least) * (1 + cos(pi * (double)step / (double)total)) / 2;
}

double tsr_lr_warm_up(int64_t step, int64_t steps)
{
    return steps < 1 || step >= steps - 1 ? 1 : ((double)step + 1) / (double)steps;
}

double tsr_plateau_update(tsr_plateau *plateau, double lr, double metric)
{
    if (!plateau) return lr;
    const double factor = plateau->factor != 0 ? plateau->factor : 0.1;
    const double threshold = plateau->threshold != 0 ? plateau->threshold : 1e-4;
    const int patience = plateau->patience != 0 ? plateau->patience : 10;
    if (!plateau->started || metric < plateau->best * (1 - threshold)) {
        plateau->best = metric;
        plateau->waited = 0;
        plateau->started = true;
        return lr;
    }
    if (++plateau->waited <= patience) return lr;
    plateau->waited = 0;
    return fmax(lr * factor, plateau->least);
}
