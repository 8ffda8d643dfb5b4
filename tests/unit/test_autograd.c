/* Memory, errors and differentiation, seen through ops that a user might write. */
#include "core/core_internal.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- ops of the user's own --------------------------------------------------------------------------------------- */

static void swish_backward(tsr_node *n)
{
    const tsr_real *x = tsr_data(tsr_input(n, 0)), *g = tsr_data(tsr_cotangent(n));
    tsr_real *gx = tsr_gradient(n, 0);
    for (int64_t i = 0; gx && i < tsr_size(tsr_input(n, 0)); i++) {
        const double s = 1 / (1 + exp(-(double)x[i]));
        gx[i] = (tsr_real)((double)g[i] * (s + (double)x[i] * s * (1 - s)));
    }
}

static const tsr_op swish_op = {.name = "swish", .backward = swish_backward};

static tsr_tensor *swish(tsr_tensor *x)
{
    tsr_node *n = tsr_begin(&swish_op, TSR_INPUTS(x));
    tsr_real *y = tsr_output(n, tsr_shape_of(x));
    const tsr_real *from = tsr_data(x);
    for (int64_t i = 0; y && i < tsr_size(x); i++) y[i] = (tsr_real)((double)from[i] / (1 + exp(-(double)from[i])));
    return tsr_end(n);
}

static int products_differentiated; /* gradients of factors that were computed */

static void times_backward(tsr_node *n)
{
    const tsr_real *g = tsr_data(tsr_cotangent(n));
    for (int side = 0; side < 2; side++) {
        const tsr_real *other = tsr_data(tsr_input(n, 1 - side));
        tsr_real *to = tsr_gradient(n, side);
        if (to) products_differentiated++;
        for (int64_t i = 0; to && i < tsr_size(tsr_result(n)); i++) to[i] = g[i] * other[i];
    }
}

static const tsr_op times_op = {.name = "times", .backward = times_backward};

static tsr_tensor *times(tsr_tensor *a, tsr_tensor *b)
{
    tsr_node *n = tsr_begin(&times_op, TSR_INPUTS(a, b));
    if (tsr_dead(n)) return tsr_end(n);
    if (!tsr_same_shape(tsr_shape_of(a), tsr_shape_of(b)))
        return tsr_reject(n, "%s by %s", tsr_shape_text(tsr_shape_of(a)).text, tsr_shape_text(tsr_shape_of(b)).text);
    tsr_real *y = tsr_output(n, tsr_shape_of(a));
    for (int64_t i = 0; y && i < tsr_size(a); i++) y[i] = tsr_data(a)[i] * tsr_data(b)[i];
    return tsr_end(n);
}

static void total_backward(tsr_node *n)
{
    tsr_real *gx = tsr_gradient(n, 0);
    for (int64_t i = 0; gx && i < tsr_size(tsr_input(n, 0)); i++) gx[i] = tsr_data(tsr_cotangent(n))[0];
}

static const tsr_op total_op = {.name = "total", .backward = total_backward};

static tsr_tensor *total(tsr_tensor *x)
{
    tsr_node *n = tsr_begin(&total_op, TSR_INPUTS(x));
    tsr_real *y = tsr_output(n, TSR_SCALAR);
    if (y) *y = 0;
    for (int64_t i = 0; y && i < tsr_size(x); i++) *y += tsr_data(x)[i];
    return tsr_end(n);
}

static tsr_tensor *ramp(tsr_context *ctx, int64_t count)
{
    return tsr_arange(ctx, 1, (double)count + 1, 1);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

TEST(error_sticks_and_later_calls_do_nothing)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *bad = times(ramp(ctx, 2), ramp(ctx, 3));
    CHECK_TEXT(tsr_error(ctx), "times: [2] by [3]");
    CHECK(tsr_is_error(bad));
    CHECK(isnan(tsr_item(bad)));
    CHECK(tsr_is_error(swish(times(bad, ramp(ctx, 2)))));
    CHECK_TEXT(tsr_error(ctx), "times: [2] by [3]");
    tsr_clear_error(ctx);
    CHECK(!tsr_error(ctx));
    CHECK(!tsr_is_error(ramp(ctx, 2)));
    CHECK(tsr_is_error(swish(bad)));
    CHECK_CONTAINS(tsr_error(ctx), "swish: input 0 is the error tensor");
    CHECK_EQUAL(tsr_close(ctx), 1);
}

TEST(null_and_foreign_inputs_are_errors_with_words)
{
    tsr_context *ctx = tsr_open(NULL), *other = tsr_open(NULL);
    times(ramp(ctx, 2), NULL);
    CHECK_TEXT(tsr_error(ctx), "times: input 1 is NULL");
    tsr_clear_error(ctx);
    times(ramp(ctx, 2), ramp(other, 2));
    CHECK_TEXT(tsr_error(ctx), "times: input 1 belongs to another context");
    CHECK(!tsr_error(other));
    tsr_close(ctx);
    CHECK_EQUAL(tsr_close(other), 0);
}

TEST(a_null_context_is_accepted_everywhere)
{
    CHECK_TEXT(tsr_error(NULL), "out of memory");
    CHECK(tsr_zeros(NULL, TSR_SHAPE(2)) == NULL);
    CHECK(swish(NULL) == NULL);
    CHECK(isnan(tsr_item(NULL)));
    CHECK(!tsr_backward(NULL));
    int ran = 0;
    TSR_SCOPE(NULL) ran++;
    CHECK_EQUAL(ran, 1);
    CHECK_EQUAL(tsr_close(NULL), 1);
}

TEST(shapes_that_cannot_be_are_refused)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_zeros(ctx, TSR_SHAPE(2, -1));
    CHECK_CONTAINS(tsr_error(ctx), "zeros: [2, -1] is not a shape");
    tsr_clear_error(ctx);
    tsr_zeros(ctx, TSR_SHAPE((int64_t)1 << 31, (int64_t)1 << 31, 4));
    CHECK_CONTAINS(tsr_error(ctx), "is not a shape");
    tsr_clear_error(ctx);
    tsr_zeros(ctx, TSR_SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1));
    CHECK_CONTAINS(tsr_error(ctx), "at most 8 dimensions");
    tsr_clear_error(ctx);
    tsr_zeros(ctx, TSR_SHAPE((int64_t)1 << 45));
    CHECK_CONTAINS(tsr_error(ctx), "out of memory: zeros needs");
    tsr_clear_error(ctx);
    CHECK_EQUAL(tsr_size(tsr_zeros(ctx, TSR_SHAPE(0, 3))), 0);
    CHECK_EQUAL(tsr_size(tsr_zeros(ctx, TSR_SCALAR)), 1);
    tsr_close(ctx);
}

TEST(item_and_copies_check_their_sizes)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_real values[3] = {0};
    CHECK(isnan(tsr_item(ramp(ctx, 3))));
    CHECK_CONTAINS(tsr_error(ctx), "item: needs a single value, got [3]");
    tsr_clear_error(ctx);
    CHECK(!tsr_copy_out(ramp(ctx, 4), values, 3));
    CHECK_CONTAINS(tsr_error(ctx), "copy_out: 3 values for a tensor [4]");
    tsr_clear_error(ctx);
    CHECK(tsr_copy_out(ramp(ctx, 3), values, 3));
    CHECK_EQUAL(values[2], 3);
    tsr_tensor *t = tsr_zeros(ctx, TSR_SHAPE(3));
    CHECK(tsr_copy_in(t, values, 3));
    CHECK_EQUAL(tsr_data(t)[1], 2);
    tsr_close(ctx);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

TEST(scopes_give_back_everything_made_inside)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *w = tsr_watch(ramp(ctx, 100));
    const tsr_statistics before = tsr_statistics_of(ctx);
    for (int i = 0; i < 3; i++)
        TSR_SCOPE(ctx) {
            tsr_tensor *y = swish(times(w, ramp(ctx, 100)));
            TSR_SCOPE(ctx) {
                swish(y);
                if (i == 1) break;
            }
            if (i == 2) continue;
            total(y);
        }
    const tsr_statistics after = tsr_statistics_of(ctx);
    CHECK_EQUAL(after.bytes, before.bytes);
    CHECK_EQUAL(after.live_tensors, before.live_tensors);
    CHECK(after.peak_bytes > before.bytes);
    tsr_close(ctx);
}

static void leave_early(tsr_context *ctx)
{
    TSR_SCOPE(ctx) {
        TSR_NO_GRAD(ctx) {
            ramp(ctx, 50);
            return;
        }
    }
}

TEST(return_inside_scopes_is_undone_by_the_outer_one)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *w = tsr_watch(ramp(ctx, 4));
    const tsr_statistics before = tsr_statistics_of(ctx);
    TSR_SCOPE(ctx) leave_early(ctx);
    CHECK_EQUAL(tsr_statistics_of(ctx).bytes, before.bytes);
    CHECK(tsr_needs_grad(swish(w))); /* gradient mode is back */
    tsr_close(ctx);
}

TEST(kept_tensors_outlive_their_scope_as_constants)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *w = tsr_watch(ramp(ctx, 4)), *kept = NULL;
    TSR_SCOPE(ctx) {
        TSR_SCOPE(ctx) kept = tsr_keep(tsr_keep(total(w)));
        CHECK(!tsr_needs_grad(kept));
    }
    CHECK_EQUAL(tsr_item(kept), 10);
    CHECK(!tsr_backward(kept));
    CHECK_CONTAINS(tsr_error(ctx), "nothing to differentiate");
    tsr_close(ctx);
}

TEST(no_system_allocation_after_the_first_step)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *w = tsr_watch(ramp(ctx, 3000));
    int64_t calls = 0;
    for (int step = 0; step < 20; step++) {
        TSR_SCOPE(ctx) {
            tsr_tensor *y = w;
            for (int i = 0; i < 10; i++) y = swish(y);
            tsr_backward(total(y));
            tsr_zero_grad(w);
        }
        if (step == 0) calls = tsr_statistics_of(ctx).system_calls;
    }
    CHECK_EQUAL(tsr_statistics_of(ctx).system_calls, calls);
    CHECK(!tsr_error(ctx));
    tsr_close(ctx);
}

TEST(trim_gives_unused_blocks_back)
{
    tsr_context *ctx = tsr_open(NULL);
    TSR_SCOPE(ctx) ramp(ctx, 1000000);
    const size_t before = tsr_statistics_of(ctx).system_bytes;
    tsr_trim(ctx);
    CHECK(tsr_statistics_of(ctx).system_bytes + 1000000 * sizeof(tsr_real) <= before);
    CHECK_EQUAL(tsr_data(ramp(ctx, 1000000))[999999], 1000000);
    tsr_close(ctx);
}

/* ---- differentiation --------------------------------------------------------------------------------------------- */

TEST(a_value_used_twice_gets_both_gradients)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(ramp(ctx, 3));
    CHECK(tsr_backward(total(times(x, times(x, x)))));
    CHECK_EQUAL(tsr_data(tsr_grad(x))[1], 12); /* 3 x^2 */
    CHECK(tsr_backward(total(times(x, x))));
    CHECK_EQUAL(tsr_data(tsr_grad(x))[1], 16); /* adds up until zeroed */
    tsr_zero_grad(x);
    CHECK(tsr_grad(x) == NULL);
    tsr_close(ctx);
}

TEST(frozen_inputs_cost_no_gradient)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(ramp(ctx, 3)), *frozen = ramp(ctx, 3);
    products_differentiated = 0;
    CHECK(tsr_backward(total(times(x, frozen))));
    CHECK_EQUAL(products_differentiated, 1);
    CHECK(tsr_grad(frozen) == NULL);
    CHECK(!tsr_needs_grad(times(frozen, frozen)));
    TSR_NO_GRAD(ctx) CHECK(!tsr_needs_grad(times(x, x)));
    CHECK(!tsr_needs_grad(tsr_detach(times(x, x))));
    tsr_close(ctx);
}

TEST(a_second_pass_over_the_same_graph_is_an_error)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *y = swish(tsr_watch(ramp(ctx, 3)));
    CHECK(tsr_backward(total(y)));
    CHECK(!tsr_backward(total(y)));
    CHECK_CONTAINS(tsr_error(ctx), "second pass over the same graph: swish");
    tsr_close(ctx);
}

TEST(backward_needs_one_value_and_something_to_differentiate)
{
    tsr_context *ctx = tsr_open(NULL);
    CHECK(!tsr_backward(swish(tsr_watch(ramp(ctx, 3)))));
    CHECK_CONTAINS(tsr_error(ctx), "backward: needs a loss of a single value, got [3]");
    tsr_clear_error(ctx);
    CHECK(!tsr_backward(total(ramp(ctx, 3))));
    CHECK_CONTAINS(tsr_error(ctx), "nothing to differentiate");
    tsr_close(ctx);
}

TEST(a_value_changed_after_its_use_is_noticed)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(ramp(ctx, 3));
    tsr_tensor *loss = total(times(x, x));
    tsr_copy_in(x, (tsr_real[]){7, 8, 9}, 3);
    CHECK(!tsr_backward(loss));
    CHECK_CONTAINS(tsr_error(ctx), "input 0 [3] of times was changed after it was used");
    CHECK(tsr_grad(x) == NULL);
    tsr_close(ctx);
}

TEST(retained_gradients_of_intermediates_stay)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(ramp(ctx, 3)), *y = tsr_retain_grad(times(x, x)), *z = times(y, y);
    CHECK(tsr_backward(total(z)));
    CHECK_EQUAL(tsr_data(tsr_grad(y))[2], 18);
    CHECK(tsr_grad(z) == NULL);
    tsr_close(ctx);
}

TEST(releasing_backward_gives_activations_back_and_guards_them)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *x = tsr_watch(ramp(ctx, 100000)), *y = swish(x), *loss = total(swish(y));
    const size_t before = tsr_statistics_of(ctx).bytes;
    CHECK(tsr_backward_releasing(loss));
    CHECK(tsr_statistics_of(ctx).bytes + 100000 * sizeof(tsr_real) <= before);
    CHECK(tsr_item(loss) > 0);
    CHECK(tsr_grad(x) != NULL);
    CHECK(tsr_data(y) == NULL);
    CHECK_CONTAINS(tsr_error(ctx), "swish: this result was given back by tsr_backward_releasing");
    tsr_clear_error(ctx);
    swish(y);
    CHECK_CONTAINS(tsr_error(ctx), "input 0, a result of swish, was given back");
    tsr_close(ctx);
}

TEST(trap_names_the_op_that_made_the_first_nan)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.trap = true});
    tsr_tensor *x = tsr_full(ctx, TSR_SHAPE(2), 1e38);
    swish(times(times(x, x), times(x, times(x, times(x, times(x, times(x, x)))))));
    if (sizeof(tsr_real) == sizeof(float)) CHECK_CONTAINS(tsr_error(ctx), "times: the result [2] has a value that is not finite");
    else CHECK(!tsr_error(ctx));
    tsr_clear_error(ctx);
    times(x, tsr_full(ctx, TSR_SHAPE(2), NAN));
    CHECK_CONTAINS(tsr_error(ctx), "times: the result");
    tsr_close(ctx);
}

TEST(only_data_can_be_watched_or_changed)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *y = swish(tsr_watch(ramp(ctx, 2)));
    tsr_watch(y);
    CHECK_CONTAINS(tsr_error(ctx), "watch: swish computed this tensor");
    tsr_clear_error(ctx);
    CHECK(!tsr_copy_in(y, (tsr_real[]){1, 2}, 2));
    CHECK_CONTAINS(tsr_error(ctx), "write: swish computed this tensor");
    tsr_close(ctx);
}

TEST(profile_lists_ops_with_their_calls)
{
    tsr_context *ctx = tsr_open(&(tsr_options){.profile = true});
    tsr_tensor *x = tsr_watch(ramp(ctx, 10));
    tsr_backward(total(swish(swish(x))));
    FILE *file = tmpfile();
    char text[2048] = {0};
    CHECK(file != NULL);
    tsr_profile_print(ctx, file);
    rewind(file);
    CHECK(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    CHECK_CONTAINS(text, "swish                       2");
    CHECK_CONTAINS(text, "total");
    tsr_close(ctx);
}

/* ---- the checker ------------------------------------------------------------------------------------------------- */

static tsr_tensor *swish_of(tsr_tensor *const *in)
{
    return swish(in[0]);
}

static tsr_tensor *product_of(tsr_tensor *const *in)
{
    return times(swish(in[0]), times(in[1], in[0]));
}

TEST_DOUBLE(gradcheck_accepts_an_op_of_the_users_own)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *inputs[] = {tsr_normal(ctx, TSR_SHAPE(3, 4), 0, 1, 1), tsr_normal(ctx, TSR_SHAPE(3, 4), 0, 1, 2)};
    tsr_gradcheck_report r = tsr_gradcheck(swish_of, inputs, 1);
    CHECK_EQUAL(r.checked, 36);
    CHECK(r.max_error < 1e-7);
    r = tsr_gradcheck(product_of, inputs, 2);
    CHECK(r.max_error < 1e-7);
    CHECK(!tsr_needs_grad(inputs[0]));
    tsr_close(ctx);
}

static void wrong_backward(tsr_node *n)
{
    const tsr_real *x = tsr_data(tsr_input(n, 0)), *g = tsr_data(tsr_cotangent(n));
    tsr_real *gx = tsr_gradient(n, 0);
    for (int64_t i = 0; gx && i < tsr_size(tsr_input(n, 0)); i++) gx[i] = (i == 5 ? -2 : 2) * x[i] * g[i];
}

static const tsr_op wrong_op = {.name = "wrong", .backward = wrong_backward};

static tsr_tensor *wrong_square(tsr_tensor *const *in)
{
    tsr_node *n = tsr_begin(&wrong_op, TSR_INPUTS(in[0]));
    tsr_real *y = tsr_output(n, tsr_shape_of(in[0]));
    for (int64_t i = 0; y && i < tsr_size(in[0]); i++) y[i] = tsr_data(in[0])[i] * tsr_data(in[0])[i];
    return tsr_end(n);
}

TEST_DOUBLE(gradcheck_names_input_and_index_of_a_flipped_sign)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *inputs[] = {tsr_normal(ctx, TSR_SHAPE(2, 4), 0, 1, 1)};
    const tsr_gradcheck_report r = tsr_gradcheck(wrong_square, inputs, 1);
    CHECK(r.max_error > 1.9);
    CHECK_EQUAL(r.worst_input, 0);
    CHECK_EQUAL(r.worst_index, 5);
    tsr_close(ctx);
}

TEST_FLOAT(gradcheck_in_float_is_good_to_a_few_per_cent)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_tensor *inputs[] = {tsr_normal(ctx, TSR_SHAPE(3, 4), 0, 1, 1)};
    CHECK(tsr_gradcheck(swish_of, inputs, 1).max_error < 0.02);
    CHECK(tsr_gradcheck(wrong_square, inputs, 1).max_error > 1);
    tsr_close(ctx);
}
