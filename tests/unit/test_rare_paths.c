/* What programs rarely do: many scopes, texts taken away, optimizers freed early or given another model's state. */
#include <math.h>
#include <string.h>

#include "tessera.h"
#include "tests/test.h"

TEST(scopes_nest_deeper_than_room_was_made_for)
{
    enum { DEPTH = 300 };
    tsr_context *ctx = tsr_open(NULL);
    tsr_scope scopes[DEPTH];
    tsr_tensor *t = NULL;
    for (int i = 0; i < DEPTH; i++) {
        scopes[i] = tsr_scope_begin(ctx, i % 2 == 1);
        t = tsr_full(ctx, TSR_SHAPE(2), i);
    }
    for (int i = DEPTH; i-- > 0;) {
        t = tsr_keep(t);
        tsr_scope_end(&scopes[i]);
    }
    CHECK(tsr_error(ctx) == NULL);
    CHECK_EQUAL(tsr_data(t)[1], DEPTH - 1);
    CHECK_EQUAL(tsr_statistics_of(ctx).live_tensors, 1);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(texts_of_a_model_are_changed_and_taken_away)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_set_text(m, "a", "1");
    tsr_set_text(m, "b", "2");
    tsr_set_text(m, "c", "3");
    tsr_set_text(m, "b", "two");
    CHECK_TEXT(tsr_text_of(m, "b"), "two");
    tsr_set_text(m, "b", NULL);
    CHECK(tsr_text_of(m, "b") == NULL);
    CHECK_TEXT(tsr_text_of(m, "a"), "1");
    CHECK_TEXT(tsr_text_of(m, "c"), "3");
    CHECK_EQUAL(tsr_close(ctx), 0);
}

typedef struct valley {
    tsr_context *ctx;
    tsr_model *m;
    int parameters;
} valley;

static double look(void *user)
{
    const valley *v = user;
    tsr_tensor *sum = tsr_full(v->ctx, TSR_SCALAR, 0);
    for (int i = 0; i < v->parameters; i++) {
        tsr_tensor *p = tsr_parameter(v->m, i == 0 ? "a" : "b", tsr_full(v->ctx, TSR_SHAPE(3), 2));
        sum = tsr_add(sum, tsr_sum(tsr_square(tsr_add_scalar(p, -1)), NULL));
    }
    tsr_backward(sum);
    return tsr_item(sum);
}

TEST(lbfgs_is_freed_early_and_refuses_parameters_that_come_later)
{
    tsr_context *ctx = tsr_open(NULL);
    valley v = {ctx, tsr_model_new(ctx), 1};
    tsr_optimizer *opt = tsr_lbfgs(v.m, NULL);
    CHECK_NEAR(tsr_step_closure(opt, look, &v), 3, 1e-6);
    v.parameters = 2;
    look(&v);
    CHECK(isnan(tsr_step_closure(opt, look, &v)));
    CHECK_CONTAINS(tsr_error(ctx), "6 values are trained, 3 before");
    tsr_clear_error(ctx);
    const size_t before = tsr_statistics_of(ctx).bytes;
    tsr_optimizer_free(opt);
    CHECK(tsr_statistics_of(ctx).bytes < before);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

TEST(checkpoint_of_a_name_without_end_is_refused)
{
    char name[600];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, NULL);
    TSR_SCOPE(ctx) tsr_backward(tsr_sum(tsr_parameter(m, name, tsr_full(ctx, TSR_SHAPE(2), 1)), NULL));
    CHECK(tsr_step(opt));
    CHECK(!tsr_checkpoint_save(m, opt, test_path("endless")));
    CHECK_CONTAINS(tsr_error(ctx), "is too long");
    tsr_close(ctx);
}

TEST(checkpoint_states_must_fit_their_parameters)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_optimizer *opt = tsr_adam(m, NULL);
    const char *path = test_path("states");
    TSR_SCOPE(ctx) tsr_backward(tsr_sum(tsr_parameter(m, "p", tsr_full(ctx, TSR_SHAPE(2), 1)), NULL));
    CHECK(tsr_step(opt));
    CHECK(tsr_checkpoint_save(m, opt, path));
    tsr_model *other = tsr_model_new(ctx);
    tsr_optimizer *never = tsr_adam(other, NULL);
    CHECK(tsr_checkpoint_load(other, never, path)); /* values and counts wait for parameters that never come */
    tsr_optimizer_free(never);
    tsr_model_free(other);
    CHECK(tsr_error(ctx) == NULL);
    tsr_model *third = tsr_model_new(ctx);
    CHECK(!tsr_checkpoint_load(third, tsr_lbfgs(third, NULL), path));
    CHECK_CONTAINS(tsr_error(ctx), "holds the state of adam");
    tsr_close(ctx);
}
