/* L-BFGS with a line search for the strong Wolfe conditions: Nocedal and Wright, "Numerical Optimization" (2nd edition,
 * 2006), algorithms 7.4, 7.5, 3.5 and 3.6. Initial step, safeguards and stopping rules are PyTorch's, so that runs
 * agree. Vectors are flat: all trained parameters one after another, in the model's order. */
#include "optim/optim_internal.h"
#include "ops/ops_internal.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum { MOST_SEARCH = 25 }; /* evaluations of one line search */

/* Vectors that live from step to step, then the history: pair i is at PAIRS + 2 i (s) and + 1 (y). The work vectors of
 * the line search come after the history. */
enum { DIRECTION, PREVIOUS_GRADIENT, PAIRS };
enum { START, NEW_GRADIENT, GRADIENT, BRACKET0, BRACKET1, LAST_GRADIENT, WORK_VECTORS };

struct tsr_lbfgs {
    double tolerance_gradient, tolerance_change;
    int history, max_iterations, max_evaluations;
    int64_t size;       /* of a vector; 0 until the first step */
    tsr_list vectors;   /* of tsr_real *, PAIRS + 2 history + WORK_VECTORS of them */
    int pairs;          /* in the history */
    int64_t iterations; /* ever */
    double step, scale; /* t and H_diag of PyTorch */
    double *rho, *alpha; /* history numbers each */
};

static const tsr_update_rule lbfgs_rule = {.name = "L-BFGS"};

tsr_optimizer *tsr_lbfgs(tsr_model *m, const tsr_lbfgs_options *options)
{
    const tsr_lbfgs_options o = options ? *options : (tsr_lbfgs_options){0};
    if (!m || m->ctx->failed) return NULL;
    const int iterations = tsr_default_int(o.max_iterations, 20), history = tsr_default_int(o.history, 10);
    const double lr = tsr_default_double(o.lr, 1), gradient = tsr_default_double(o.tolerance_gradient, 1e-7);
    const double change = tsr_default_double(o.tolerance_change, 1e-9);
    if (!(gradient >= 0 && gradient < HUGE_VAL && change >= 0 && change < HUGE_VAL)) {
        tsr_fail(m->ctx, "L-BFGS: tolerance_gradient %g, tolerance_change %g: both must be numbers of at least 0", gradient,
                 change);
        return NULL;
    }
    if (iterations < 1 || history < 1 || history > 1000 || o.max_evaluations < 0 || !(lr > 0 && lr < HUGE_VAL)) {
        tsr_fail(m->ctx,
                 "L-BFGS: lr %g, history %d (1 to 1000), max_iterations %d, max_evaluations %d: all must be above 0", lr,
                 history, iterations, o.max_evaluations);
        return NULL;
    }
    struct tsr_lbfgs *l = tsr_allocate(m->ctx, sizeof *l, "L-BFGS");
    tsr_optimizer *opt = l ? tsr_optimizer_new(m, &lbfgs_rule, (tsr_update){.lr = lr}) : NULL;
    if (!opt) {
        if (l) tsr_release(m->ctx, l, sizeof *l);
        return NULL;
    }
    *l = (struct tsr_lbfgs){.tolerance_gradient = gradient,
                            .tolerance_change = change,
                            .history = history,
                            .max_iterations = iterations,
                            .max_evaluations = tsr_default_int(o.max_evaluations, (int)fmin(1.25 * iterations, INT_MAX)),
                            .scale = 1};
    opt->lbfgs = l;
    return opt;
}

static void free_vectors(tsr_optimizer *opt)
{
    struct tsr_lbfgs *l = opt->lbfgs;
    for (int i = 0; i < l->vectors.count; i++)
        tsr_release(opt->ctx, l->vectors.items[i], (size_t)l->size * sizeof(tsr_real));
    l->vectors.count = 0;
    if (l->rho) tsr_release(opt->ctx, l->rho, 2 * (size_t)l->history * sizeof *l->rho);
    l->rho = NULL;
}

void tsr_lbfgs_free(tsr_optimizer *opt)
{
    free_vectors(opt);
    tsr_list_free(opt->ctx, &opt->lbfgs->vectors);
    tsr_release(opt->ctx, opt->lbfgs, sizeof *opt->lbfgs);
    opt->lbfgs = NULL;
}

static tsr_real *vector(const tsr_optimizer *opt, int i)
{
    return opt->lbfgs->vectors.items[i];
}

static tsr_real *work(const tsr_optimizer *opt, int i)
{
    return vector(opt, PAIRS + 2 * opt->lbfgs->history + i);
}

static bool make_vectors(tsr_optimizer *opt, int64_t size)
{
    struct tsr_lbfgs *l = opt->lbfgs;
    l->size = size;
    l->rho = tsr_allocate(opt->ctx, 2 * (size_t)l->history * sizeof *l->rho, "L-BFGS");
    l->alpha = l->rho ? l->rho + l->history : NULL;
    while (l->rho && l->vectors.count < PAIRS + 2 * l->history + WORK_VECTORS) {
        tsr_real *v = tsr_allocate(opt->ctx, (size_t)size * sizeof *v, "L-BFGS");
        if (v && tsr_list_add(opt->ctx, &l->vectors, v)) continue;
        if (v) tsr_release(opt->ctx, v, (size_t)size * sizeof *v);
        break;
    }
    if (!opt->ctx->failed) return true;
    free_vectors(opt);
    l->size = 0;
    return false;
}

/* ---- the model as one vector ------------------------------------------------------------------------------------- */

static tsr_tensor *trained(const tsr_model *m, int i)
{
    tsr_tensor *t = tsr_model_tensor(m, i);
    return tsr_model_is_parameter(m, i) && t->needs_grad ? t : NULL;
}

static int64_t trained_size(const tsr_model *m)
{
    int64_t size = 0;
    for (int i = 0; i < tsr_model_count(m); i++)
        if (trained(m, i)) size += trained(m, i)->size;
    return size;
}

static void copy_parameters(const tsr_model *m, tsr_real *to)
{
    for (int i = 0; i < tsr_model_count(m); i++) {
        const tsr_tensor *t = trained(m, i);
        if (!t) continue;
        memcpy(to, t->storage->data, t->storage->bytes);
        to += t->size;
    }
}

static void copy_gradients(const tsr_model *m, tsr_real *to)
{
    for (int i = 0; i < tsr_model_count(m); i++) {
        const tsr_tensor *t = trained(m, i);
        if (!t) continue;
        if (t->gradient) memcpy(to, t->gradient->data, t->storage->bytes);
        else memset(to, 0, t->storage->bytes);
        to += t->size;
    }
}

/* parameters = start + t direction */
static void move_to(tsr_optimizer *opt, double t)
{
    const tsr_real *start = work(opt, START), *direction = vector(opt, DIRECTION);
    for (int i = 0; i < tsr_model_count(opt->m); i++) {
        tsr_tensor *p = trained(opt->m, i);
        tsr_real *x = p ? tsr_write(p) : NULL;
        for (int64_t k = 0; x && k < p->size; k++) x[k] = (tsr_real)((double)*start++ + t * (double)*direction++);
    }
}

typedef struct evaluation {
    tsr_closure closure;
    void *user;
    int count;
} evaluation;

/* The loss here; its gradient into `gradient`. NaN after an error. */
static double evaluate(tsr_optimizer *opt, evaluation *e, tsr_real *gradient)
{
    double loss = NAN;
    tsr_zero_gradients(opt->m);
    TSR_SCOPE(opt->ctx) loss = e->closure(e->user);
    e->count++;
    if (!opt->ctx->failed && !isfinite(loss)) tsr_fail(opt->ctx, "L-BFGS: the loss is %g", loss);
    if (opt->ctx->failed || !tsr_check_gradients(opt->m, "L-BFGS")) return NAN;
    copy_gradients(opt->m, gradient);
    tsr_zero_gradients(opt->m);
    return loss;
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

static double dot(const tsr_optimizer *opt, const tsr_real *a, const tsr_real *b)
{
    return tsr_dot(opt->ctx, a, b, opt->lbfgs->size);
}

static void add_scaled(const tsr_optimizer *opt, tsr_real *to, double factor, const tsr_real *from)
{
    for (int64_t i = 0; i < opt->lbfgs->size; i++) to[i] += (tsr_real)(factor * (double)from[i]);
}

static double largest_magnitude(const tsr_optimizer *opt, const tsr_real *a)
{
    return tsr_largest_magnitude(a, opt->lbfgs->size, 1);
}

static double absolute_sum(const tsr_optimizer *opt, const tsr_real *a)
{
    double sum = 0;
    for (int64_t i = 0; i < opt->lbfgs->size; i++) sum += fabs((double)a[i]);
    return sum;
}

static void swap_vectors(tsr_optimizer *opt, int a, int b)
{
    void **items = opt->lbfgs->vectors.items, *kept = items[a];
    items[a] = items[b];
    items[b] = kept;
}

static int work_index(const tsr_optimizer *opt, int i)
{
    return PAIRS + 2 * opt->lbfgs->history + i;
}

/* ---- the line search --------------------------------------------------------------------------------------------- */

typedef struct point { /* on the line: position, loss, slope, and the work vector that holds its gradient */
    double t, f, slope;
    int gradient;
} point;

/* Minimum of the cubic through two points with slopes (eq. 3.59), kept within [low, high]. */
static double cubic_minimum(point a, point b, double low, double high)
{
    if (a.t > b.t) {
        const point kept = a;
        a = b;
        b = kept;
    }
    const double d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t), square = d1 * d1 - a.slope * b.slope;
    if (!(square >= 0)) return (low + high) / 2;
    const double d2 = sqrt(square), t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2));
    return fmin(fmax(t, low), high);
}

typedef struct search {
    tsr_optimizer *opt;
    evaluation *evaluation;
    point start;
    int evaluations;
} search;

/* Evaluates at t; the gradient goes to NEW_GRADIENT. */
static point look(search *s, double t)
{
    tsr_optimizer *opt = s->opt;
    move_to(opt, t);
    const double f = evaluate(opt, s->evaluation, work(opt, NEW_GRADIENT));
    s->evaluations++;
    return (point){t, f, dot(opt, work(opt, NEW_GRADIENT), vector(opt, DIRECTION)), NEW_GRADIENT};
}

/* Moves the gradient of a point just looked at to the work vector `to`, which is free. */
static point settle_at(search *s, point p, int to)
{
    swap_vectors(s->opt, work_index(s->opt, p.gradient), work_index(s->opt, to));
    p.gradient = to;
    return p;
}

static bool too_high(const search *s, point p)
{
    return p.f > s->start.f + 1e-4 * p.t * s->start.slope; /* first Wolfe condition, c1 */
}

static bool flat_enough(const search *s, point p)
{
    return fabs(p.slope) <= -0.9 * s->start.slope; /* second, strong, c2 */
}

/* Algorithm 3.5: steps out until the minimum is between two points (false) or a good one is found (true, in
 * bracket[0]). */
static bool bracket_minimum(search *s, double t, point bracket[2])
{
    point last = s->start, now = look(s, t);
    for (int i = 0; i < MOST_SEARCH && !s->opt->ctx->failed; i++) {
        if (too_high(s, now) || (i > 1 && now.f >= last.f) || now.slope >= 0) {
            if (!too_high(s, now) && !(i > 1 && now.f >= last.f) && flat_enough(s, now)) break;
            bracket[0] = last.gradient == GRADIENT ? last : settle_at(s, last, BRACKET0);
            bracket[1] = settle_at(s, now, BRACKET1);
            return false;
        }
        if (flat_enough(s, now)) break;
        const double next = cubic_minimum(last, now, now.t + 0.01 * (now.t - last.t), 10 * now.t);
        last = settle_at(s, now, LAST_GRADIENT);
        now = look(s, next);
    }
    bracket[0] = bracket[1] = settle_at(s, now, BRACKET0);
    return true;
}

/* Keeps a trial away from the ends: too near twice in a row, and it is moved a tenth inside. */
static double guarded(double t, const point bracket[2], bool *was_near)
{
    const double low = fmin(bracket[0].t, bracket[1].t), high = fmax(bracket[0].t, bracket[1].t);
    const double margin = 0.1 * (high - low);
    if (fmin(high - t, t - low) >= margin) {
        *was_near = false;
        return t;
    }
    if (*was_near || t >= high || t <= low) {
        *was_near = false;
        return fabs(t - high) < fabs(t - low) ? high - margin : low + margin;
    }
    *was_near = true;
    return t;
}

/* Algorithm 3.6: narrows the bracket; the good point ends in bracket[*low]. */
static void zoom(search *s, point bracket[2], int *low)
{
    const double length = largest_magnitude(s->opt, vector(s->opt, DIRECTION));
    bool was_near = false;
    *low = bracket[0].f <= bracket[1].f ? 0 : 1;
    while (s->evaluations <= MOST_SEARCH && !s->opt->ctx->failed) {
        if (fabs(bracket[1].t - bracket[0].t) * length < s->opt->lbfgs->tolerance_change) return;
        double t = cubic_minimum(bracket[0], bracket[1], fmin(bracket[0].t, bracket[1].t),
                                 fmax(bracket[0].t, bracket[1].t));
        t = guarded(t, bracket, &was_near);
        const point now = look(s, t);
        const int high = 1 - *low;
        /* The end that leaves gives its vector to the new one. */
        if (too_high(s, now) || now.f >= bracket[*low].f) {
            bracket[high] = settle_at(s, now, bracket[high].gradient);
            *low = bracket[0].f <= bracket[1].f ? 0 : 1;
            continue;
        }
        const bool done = flat_enough(s, now);
        int room = bracket[*low].gradient;
        if (!done && now.slope * (bracket[high].t - bracket[*low].t) >= 0) {
            room = bracket[high].gradient;
            bracket[high] = bracket[*low];
        }
        bracket[*low] = settle_at(s, now, room);
        if (done) return;
    }
}

/* From the parameters in START with gradient GRADIENT: moves to a good point, its gradient in GRADIENT. Returns its
 * loss. */
static double line_search(tsr_optimizer *opt, evaluation *e, double f, double slope, double *t)
{
    search s = {.opt = opt, .evaluation = e, .start = {0, f, slope, GRADIENT}};
    point bracket[2];
    int low = 0;
    if (!bracket_minimum(&s, *t, bracket)) zoom(&s, bracket, &low);
    if (opt->ctx->failed) return NAN;
    *t = bracket[low].t;
    if (bracket[low].gradient != GRADIENT) settle_at(&s, bracket[low], GRADIENT);
    move_to(opt, *t);
    return bracket[low].f;
}

/* ---- the step ---------------------------------------------------------------------------------------------------- */

/* Adds the pair (s, y) of the last move, dropping the oldest where the history is full. */
static void remember(tsr_optimizer *opt)
{
    struct tsr_lbfgs *l = opt->lbfgs;
    tsr_real *s = work(opt, BRACKET0), *y = work(opt, BRACKET1);
    const tsr_real *g = work(opt, GRADIENT), *before = vector(opt, PREVIOUS_GRADIENT), *d = vector(opt, DIRECTION);
    for (int64_t i = 0; i < l->size; i++) {
        s[i] = (tsr_real)(l->step * (double)d[i]);
        y[i] = g[i] - before[i];
    }
    const double ys = dot(opt, y, s);
    if (!(ys > 1e-10)) return;
    if (l->pairs == l->history) {
        for (int i = 0; i < 2 * (l->history - 1); i++) swap_vectors(opt, PAIRS + i, PAIRS + i + 2);
        memmove(l->rho, l->rho + 1, (size_t)(l->history - 1) * sizeof *l->rho);
        l->pairs--;
    }
    swap_vectors(opt, PAIRS + 2 * l->pairs, work_index(opt, BRACKET0));
    swap_vectors(opt, PAIRS + 2 * l->pairs + 1, work_index(opt, BRACKET1));
    l->rho[l->pairs++] = 1 / ys;
    l->scale = ys / dot(opt, vector(opt, PAIRS + 2 * l->pairs - 1), vector(opt, PAIRS + 2 * l->pairs - 1));
}

/* Algorithm 7.4: direction = -H gradient. */
static void two_loops(tsr_optimizer *opt)
{
    struct tsr_lbfgs *l = opt->lbfgs;
    tsr_real *d = vector(opt, DIRECTION);
    const tsr_real *g = work(opt, GRADIENT);
    for (int64_t i = 0; i < l->size; i++) d[i] = -g[i];
    for (int i = l->pairs - 1; i >= 0; i--) {
        l->alpha[i] = l->rho[i] * dot(opt, vector(opt, PAIRS + 2 * i), d);
        add_scaled(opt, d, -l->alpha[i], vector(opt, PAIRS + 2 * i + 1));
    }
    for (int64_t i = 0; i < l->size; i++) d[i] = (tsr_real)(l->scale * (double)d[i]);
    for (int i = 0; i < l->pairs; i++) {
        const double beta = l->rho[i] * dot(opt, vector(opt, PAIRS + 2 * i + 1), d);
        add_scaled(opt, d, l->alpha[i] - beta, vector(opt, PAIRS + 2 * i));
    }
}

static void iterate(tsr_optimizer *opt, evaluation *e, double loss)
{
    struct tsr_lbfgs *l = opt->lbfgs;
    for (int i = 1; i <= l->max_iterations && !opt->ctx->failed; i++) {
        tsr_real *g = work(opt, GRADIENT);
        l->iterations++;
        if (l->iterations > 1) remember(opt);
        two_loops(opt);
        memcpy(vector(opt, PREVIOUS_GRADIENT), g, (size_t)l->size * sizeof *g);
        l->step = l->iterations == 1 ? fmin(1, 1 / absolute_sum(opt, g)) * opt->numbers.lr : opt->numbers.lr;
        const double slope = dot(opt, g, vector(opt, DIRECTION)), before = loss;
        if (slope > -l->tolerance_change) return;
        copy_parameters(opt->m, work(opt, START));
        loss = line_search(opt, e, loss, slope, &l->step);
        if (opt->ctx->failed || e->count >= l->max_evaluations) return;
        if (largest_magnitude(opt, work(opt, GRADIENT)) <= l->tolerance_gradient) return;
        if (largest_magnitude(opt, vector(opt, DIRECTION)) * l->step <= l->tolerance_change) return;
        if (fabs(loss - before) < l->tolerance_change) return;
    }
}

double tsr_step_closure(tsr_optimizer *opt, tsr_closure closure, void *user)
{
    if (!opt || opt->ctx->failed) return NAN;
    struct tsr_lbfgs *l = opt->lbfgs;
    if (!l || !closure) {
        tsr_fail(opt->ctx, "step_closure: needs a closure and an L-BFGS optimizer, this is %s", opt->rule->name);
        return NAN;
    }
    evaluation e = {.closure = closure, .user = user};
    tsr_zero_gradients(opt->m);
    double loss = NAN; /* the first evaluation may make the parameters: their number is known after it */
    TSR_SCOPE(opt->ctx) loss = closure(user);
    e.count = 1;
    if (!opt->ctx->failed && !isfinite(loss)) tsr_fail(opt->ctx, "L-BFGS: the loss is %g", loss);
    if (opt->ctx->failed || !tsr_check_gradients(opt->m, "L-BFGS")) return NAN;
    const int64_t size = trained_size(opt->m);
    if (l->size == 0 && !make_vectors(opt, size)) return NAN;
    if (l->size != size) {
        tsr_fail(opt->ctx, "L-BFGS: %lld values are trained, %lld before: parameters came or were frozen between steps",
                 (long long)size, (long long)l->size);
        return NAN;
    }
    copy_gradients(opt->m, work(opt, GRADIENT));
    tsr_zero_gradients(opt->m);
    if (largest_magnitude(opt, work(opt, GRADIENT)) > l->tolerance_gradient) iterate(opt, &e, loss);
    tsr_count_step(opt->ctx);
    return opt->ctx->failed ? NAN : loss;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

int tsr_lbfgs_vector_count(const tsr_optimizer *opt)
{
    return opt->lbfgs->size == 0 ? 0 : PAIRS + 2 * opt->lbfgs->pairs;
}

const tsr_real *tsr_lbfgs_vector(const tsr_optimizer *opt, int i)
{
    return vector(opt, i);
}

int64_t tsr_lbfgs_size(const tsr_optimizer *opt)
{
    return opt->lbfgs->size;
}

/* Line 0 has what is not a list, line 1 + i the rho of pair i; %a keeps every bit. */
tsr_text tsr_lbfgs_numbers(const tsr_optimizer *opt, int i)
{
    const struct tsr_lbfgs *l = opt->lbfgs;
    tsr_text line = {""};
    if (i == 0) snprintf(line.text, sizeof line.text, "%lld %a %a", (long long)l->iterations, l->step, l->scale);
    else if (i <= l->pairs) snprintf(line.text, sizeof line.text, "%a", l->rho[i - 1]);
    return line;
}

bool tsr_lbfgs_restore(tsr_optimizer *opt, const char *const *lines, int line_count, tsr_tensor *const *vectors,
                       int count)
{
    struct tsr_lbfgs *l = opt->lbfgs;
    long long iterations;
    if (count == 0) return true; /* saved before its first step */
    const int64_t size = tsr_size(vectors[0]);
    bool good = line_count >= 1 && count == PAIRS + 2 * (line_count - 1) && line_count - 1 <= l->history && size > 0 &&
                sscanf(lines[0], "%lld %la %la", &iterations, &l->step, &l->scale) == 3;
    for (int i = 0; i < count; i++) good = good && tsr_size(vectors[i]) == size;
    if (!good) {
        tsr_fail(opt->ctx, "checkpoint: the state of L-BFGS does not fit (%d vectors, %d lines, history %d)", count,
                 line_count,
                 l->history);
        return false;
    }
    free_vectors(opt);
    if (!make_vectors(opt, size)) return false;
    l->iterations = iterations;
    l->pairs = line_count - 1;
    for (int i = 0; i < count; i++) memcpy(vector(opt, i), tsr_data(vectors[i]), (size_t)size * sizeof(tsr_real));
    for (int i = 1; i < line_count; i++)
        if (sscanf(lines[i], "%la", &l->rho[i - 1]) != 1)
            tsr_fail(opt->ctx, "checkpoint: \"%s\" is not a number", lines[i]);
    return !opt->ctx->failed;
}
