#include "apps/common/csv.h"
#include "apps/common/folder.h"
#include "apps/signals/signals.h"

#include <math.h>
#include <stdlib.h>

/* ---- figures ----------------------------------------------------------------------------------------------------- */

/* How often a signal of the second class scores higher for it than one of the first; ties count as half. */
static double auc_of(const signal_set *s, const tsr_real *scores)
{
    double wins = 0, pairs = 0;
    for (int i = 0; i < s->count; i++)
        for (int k = 0; s->labels[i] == 1 && k < s->count; k++) {
            if (s->labels[k] == 1) continue;
            const tsr_real a = scores[2 * i + 1] - scores[2 * i], b = scores[2 * k + 1] - scores[2 * k];
            wins += a > b ? 1 : a == b ? 0.5 : 0;
            pairs++;
        }
    return pairs > 0 ? wins / pairs : NAN;
}

void judge(judgement *out, const signal_set *s, const tsr_real *scores)
{
    *out = (judgement){.count = s->count, .classes = s->classes, .auc = s->classes == 2 ? auc_of(s, scores) : NAN};
    for (int i = 0; i < s->count; i++) {
        const tsr_real *row = scores + i * s->classes;
        int said = 0;
        double sum = 0;
        for (int k = 1; k < s->classes; k++)
            if (row[k] > row[said]) said = k;
        for (int k = 0; k < s->classes; k++) sum += exp((double)(row[k] - row[said]));
        out->loss += log(sum) + (double)(row[said] - row[s->labels[i]]);
        out->accuracy += said == s->labels[i];
        out->confusion[s->labels[i]][said]++;
    }
    out->accuracy /= s->count;
    out->loss /= s->count;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static bool went_well(const tsr_context *ctx, app_error *error)
{
    return !tsr_error(ctx) || app_fail(error, "%s", tsr_error(ctx));
}

/* Scores by `net`, some signals at a time. */
static bool scores_in_parts(tsr_real *scores, tsr_model *m, tsr_network net, const signal_set *s, app_error *error)
{
    enum { PART = 32 };
    tsr_context *ctx = tsr_model_context(m);
    const bool trained = tsr_is_training(m);
    tsr_set_training(m, false);
    for (int first = 0; first < s->count && !tsr_error(ctx); first += PART) {
        const int count = s->count - first < PART ? s->count - first : PART;
        TSR_NO_GRAD(ctx) {
            tsr_copy_out(net(m, signals_batch(ctx, s, first, count)), scores + first * s->classes,
                         (int64_t)count * s->classes);
        }
    }
    tsr_set_training(m, trained);
    return went_well(ctx, error);
}

bool net_scores(tsr_real *scores, tsr_model *m, const signal_set *s, app_error *error)
{
    return scores_in_parts(scores, m, signal_net, s, error);
}

bool nearest_scores(tsr_real *scores, tsr_context *ctx, const signal_set *train, const signal_set *s,
                    app_error *error)
{
    TSR_NO_GRAD(ctx) {
        const tsr_shape rows = TSR_SHAPE(-1, tsr_shape_size(s->shape));
        tsr_tensor *a = tsr_reshape(signals_batch(ctx, s, 0, s->count), rows);
        tsr_tensor *b = tsr_reshape(signals_batch(ctx, train, 0, train->count), rows);
        tsr_tensor *away = tsr_sqrt(tsr_pairwise_squared_distance(a, b));
        for (int i = 0; i < s->count && !tsr_is_error(away); i++) {
            tsr_real *row = scores + i * s->classes;
            for (int k = 0; k < s->classes; k++) row[k] = (tsr_real)-1e30;
            for (int j = 0; j < train->count; j++) {
                const tsr_real score = -tsr_data(away)[(int64_t)i * train->count + j];
                if (score > row[train->labels[j]]) row[train->labels[j]] = score;
            }
        }
    }
    return went_well(ctx, error);
}

static tsr_tensor *logistic_net(tsr_model *m, tsr_tensor *x)
{
    const char *classes = tsr_text_of(m, "classes");
    return tsr_nn_linear(m, "logistic", x, classes ? strtol(classes, NULL, 10) : 0, NULL);
}

bool logistic_scores(tsr_real *scores, tsr_context *ctx, const signal_set *train, const signal_set *s,
                     app_error *error)
{
    enum { STEPS = 150 };
    char classes[16];
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, &(tsr_adam_options){.lr = 0.01, .weight_decay = 1e-3});
    snprintf(classes, sizeof classes, "%d", s->classes);
    tsr_set_text(m, "classes", classes);
    TSR_SCOPE(ctx) {
        tsr_tensor *x = signals_batch(ctx, train, 0, train->count), *right = tsr_zeros(ctx, TSR_SHAPE(train->count));
        tsr_real *label = tsr_write(right);
        for (int i = 0; label && i < train->count; i++) label[i] = (tsr_real)train->labels[i];
        for (int step = 0; step < STEPS && !tsr_error(ctx); step++)
            TSR_SCOPE(ctx) {
                tsr_set_learning_rate(opt, tsr_lr_cosine(0.01, step, STEPS, 0));
                tsr_backward(tsr_cross_entropy(logistic_net(m, x), right, NULL));
                tsr_step(opt);
            }
    }
    const bool done = scores_in_parts(scores, m, logistic_net, s, error);
    tsr_optimizer_free(opt);
    tsr_model_free(m);
    return done;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void tell_row(const char *name, const judgement *j)
{
    printf("%-24s %8.2f %% %8s\n", name, 100 * j->accuracy, figure_of(j->auc, 3).text);
}

static void tell_confusion(const judgement *j, const signal_set *s)
{
    printf("\n%-16s", "is \\ said");
    for (int k = 0; k < j->classes; k++) printf(" %13.13s", s->names[k]);
    for (int i = 0; i < j->classes; i++) {
        printf("\n%-16s", s->names[i]);
        for (int k = 0; k < j->classes; k++) printf(" %13d", j->confusion[i][k]);
    }
    printf("\n");
}

static bool save(image *picture, bool drawn, const char *folder, const char *name, app_error *error)
{
    char path[1024];
    const bool done = drawn && in_folder(path, sizeof path, folder, name, error) && image_write(picture, path, error);
    image_free(picture);
    return done;
}

bool judge_and_tell(tsr_model *m, const signal_set *train, const signal_set *test, const char *folder,
                    app_error *error)
{
    tsr_context *ctx = tsr_model_context(m);
    judgement of_net, other;
    image picture = {0};
    tsr_real *scores = malloc((size_t)test->count * (size_t)test->classes * sizeof *scores);
    bool done = scores || app_fail(error, "out of memory");
    done = done && net_scores(scores, m, test, error);
    if (done) {
        judge(&of_net, test, scores);
        printf("%-24s %10s %8s   (%d signals not trained on)\n", "", "right", "AUC", test->count);
        tell_row("convolutional net", &of_net);
    }
    if (done && train) {
        done = nearest_scores(scores, ctx, train, test, error);
        if (done) judge(&other, test, scores), tell_row("nearest neighbour", &other);
        done = done && logistic_scores(scores, ctx, train, test, error);
        if (done) judge(&other, test, scores), tell_row("logistic regression", &other);
    }
    if (done) tell_confusion(&of_net, test);
    if (done && folder)
        done = save(&picture, draw_confusion(&picture, &of_net, test, error), folder, "confusion.png", error) &&
               save(&picture, draw_looked_at(&picture, m, test, "What the net looked at", error), folder,
                    "looked-at.png", error);
    free(scores);
    return done;
}
