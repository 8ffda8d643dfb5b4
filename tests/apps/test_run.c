/* Training runs: stopped and resumed to the same bits, judged, ended early, and failing with words. */
#include "apps/common/run.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/apps/files.h"
#include "tests/test.h"

static const char *const columns[] = {"step", "loss", "validation"};

/* Learns y = 3 x - 1 from one point a step. */
typedef struct toy {
    tsr_context *ctx;
    tsr_model *m;
    tsr_optimizer *opt;
    int64_t stop_at, break_at; /* Ctrl-C, and an infinite input, in these steps; 0: never */
    int judged, kept;
    double scores[8];
} toy;

static tsr_tensor *net(tsr_model *m, tsr_tensor *x)
{
    tsr_enter(m, "deep");
    x = tsr_nn_linear(m, "first", x, 8, NULL);
    x = tsr_nn_linear(m, "second", tsr_tanh(x), 1, NULL);
    tsr_leave(m);
    return x;
}

static bool take_step(void *user, int64_t step, double *row, app_error *error)
{
    toy *t = user;
    const double at = (double)(step * 7 % 11) / 11;
    if (t->stop_at > 0 && step == t->stop_at) raise(SIGINT);
    TSR_SCOPE(t->ctx) {
        const tsr_real in = t->break_at > 0 && step >= t->break_at ? INFINITY : (tsr_real)at;
        tsr_tensor *x = tsr_values(t->ctx, TSR_SHAPE(1, 1), &in);
        tsr_tensor *y = tsr_values(t->ctx, TSR_SHAPE(1, 1), (tsr_real[]){(tsr_real)(3 * at - 1)});
        tsr_tensor *loss = tsr_mse_loss(net(t->m, x), y, NULL);
        row[1] = tsr_item(loss);
        tsr_backward(loss);
        tsr_step(t->opt);
    }
    return !tsr_error(t->ctx) || app_fail(error, "%s", tsr_error(t->ctx));
}

static void tell(void *user, const double *row, char *text, size_t bytes)
{
    (void)user;
    snprintf(text, bytes, "loss %.4f", row[1]);
}

static bool judge(void *user, double *score, app_error *error)
{
    toy *t = user;
    (void)error;
    *score = t->scores[t->judged++ % 8];
    return true;
}

static bool keep(void *user, app_error *error)
{
    (void)error;
    ((toy *)user)->kept++;
    return true;
}

static run_plan plan_of(toy *t, const char *folder, int64_t steps)
{
    return (run_plan){.program = "toy", .folder = folder, .m = t->m, .opt = t->opt, .steps = steps, .save_every = 4,
                      .columns = columns, .column_count = 3, .pictures = 1, .user = t, .take_step = take_step,
                      .tell = tell, .validate = judge, .keep = keep};
}

static toy toy_open(const char *folder)
{
    app_error error = {""};
    toy t = {.ctx = tsr_open(&(tsr_options){.seed = 5})};
    t.m = tsr_model_new(t.ctx);
    t.opt = tsr_adam(t.m, &(tsr_adam_options){.lr = 0.02});
    folder_make(folder, &error);
    return t;
}

static bool same_file(const char *a, const char *b)
{
    static unsigned char first[65536], second[65536];
    const size_t count = read_bytes(a, first, sizeof first);
    return count > 0 && count == read_bytes(b, second, sizeof second) && memcmp(first, second, count) == 0;
}

static bool saved(const toy *t, const char *path)
{
    return tsr_model_save(t->m, path, NULL);
}

TEST(run_stopped_and_resumed_ends_in_the_same_bits)
{
    char whole[256], broken[256], a[300], b[300];
    app_error error = {""};
    run_result r;
    snprintf(whole, sizeof whole, "%s", test_path("run-whole"));
    snprintf(broken, sizeof broken, "%s", test_path("run-broken"));
    toy t = toy_open(whole);
    run_plan plan = plan_of(&t, whole, 30);
    CHECK(run_go(&r, &plan, false, &error) && r.steps == 30 && t.kept == 1 && !r.interrupted);
    run_free(&r);
    snprintf(a, sizeof a, "%s/model.safetensors", whole);
    CHECK(saved(&t, a));
    CHECK_EQUAL(tsr_close(t.ctx), 0);

    t = toy_open(broken);
    t.stop_at = 13;
    plan = plan_of(&t, broken, 30);
    CHECK(run_go(&r, &plan, false, &error) && r.interrupted && r.steps == 14 && t.kept == 0);
    run_free(&r);
    tsr_close(t.ctx);
    t = toy_open(broken);
    plan = plan_of(&t, broken, 30);
    CHECK(run_go(&r, &plan, true, &error) && !r.interrupted && r.steps == 30 && r.log.count == 30);
    run_free(&r);
    snprintf(b, sizeof b, "%s/model.safetensors", broken);
    CHECK(saved(&t, b));
    tsr_close(t.ctx);
    CHECK(same_file(a, b));
    snprintf(a, sizeof a, "%s/log.csv", whole);
    snprintf(b, sizeof b, "%s/log.csv", broken);
    CHECK(same_file(a, b));
}

TEST(run_that_breaks_names_step_op_and_layer_and_leaves_the_last_checkpoint)
{
    char folder[256], path[300];
    static unsigned char before[65536], after[65536];
    app_error error = {""};
    run_result r;
    snprintf(folder, sizeof folder, "%s", test_path("run-breaks"));
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", folder);
    toy t = toy_open(folder);
    run_plan plan = plan_of(&t, folder, 10);
    CHECK(run_go(&r, &plan, false, &error));
    run_free(&r);
    const size_t count = read_bytes(path, before, sizeof before);
    plan.steps = 20;
    t.break_at = 11;
    CHECK(!run_go(&r, &plan, true, &error));
    CHECK_TEXT(error.text, "step 11: linear (deep.first): the result [1, 8] has a value that is not finite");
    CHECK(count > 0 && read_bytes(path, after, sizeof after) == count && memcmp(before, after, count) == 0);
    tsr_close(t.ctx);
}

TEST(run_keeps_the_best_model_and_ends_when_nothing_better_comes)
{
    char folder[256];
    app_error error = {""};
    run_result r;
    snprintf(folder, sizeof folder, "%s", test_path("run-judged"));
    toy t = toy_open(folder);
    const double scores[] = {0.5, 0.7, 0.6, 0.7, 0.65, 0.9, 0, 0};
    memcpy(t.scores, scores, sizeof scores);
    run_plan plan = plan_of(&t, folder, 100);
    plan.validate_every = 3;
    plan.patience = 3;
    CHECK(run_go(&r, &plan, false, &error));
    CHECK_EQUAL(r.steps, 15); /* judged after 3, 6, ... 15: the fifth is the third without a better one */
    CHECK_EQUAL(r.best_step, 6);
    CHECK_EQUAL(r.best, 0.7);
    CHECK_EQUAL(t.kept, 2);
    CHECK(isnan(r.log.values[2 * 3 + 1 - 2]) && r.log.values[5 * 3 + 2] == 0.7);
    run_free(&r);
    CHECK(run_go(&r, &plan, true, &error) && r.steps == 15); /* there is no patience left after resuming either */
    run_free(&r);
    tsr_close(t.ctx);
}

TEST(run_cannot_resume_what_is_not_there)
{
    app_error error = {""};
    run_result r;
    toy t = toy_open(test_path("run-nothing"));
    run_plan plan = plan_of(&t, "build/test-tmp/no such folder", 3);
    CHECK(!run_go(&r, &plan, true, &error));
    CHECK_CONTAINS(error.text, "build/test-tmp/no such folder/checkpoint.safetensors: cannot be opened");
    tsr_close(t.ctx);
}

TEST(run_log_goes_on_from_a_file_that_was_cut_off)
{
    char path[256], text[200];
    app_error error = {""}, warning = {""};
    run_log log;
    snprintf(path, sizeof path, "%s", test_path("cut.csv"));
    CHECK(write_text(path, "step,loss,validation\n0,1.5,nan\n1,0.25,0.5\n2,0."));
    CHECK(run_log_open(&log, path, columns, 3, 5, &error));
    CHECK_EQUAL(log.count, 2);
    CHECK(isnan(log.values[2]) && log.values[3] == 1 && log.values[4] == 0.25);
    CHECK(run_log_add(&log, (double[]){2, 0.125, NAN}, &warning, &error) && run_log_close(&log, &error));
    CHECK_TEXT(read_text(path, text, sizeof text), "step,loss,validation\n0,1.5,nan\n1,0.25,0.5\n2,0.125,nan\n");
}
