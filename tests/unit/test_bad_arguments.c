/* Every public function of core/ called with what it cannot use: an error with words, never a crash. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "tests/test.h"
#include "tests/unit/bad_arguments.h"

#define NOWHERE "build/no such folder/file"

TEST(contexts_take_bad_arguments)
{
    bad_open();
    tsr_scope ended = {0};
    tsr_context *odd = tsr_open(&(tsr_options){.precision = (tsr_precision)77, .threads = INT_MIN});
    HOLDS(odd && tsr_threads(odd) >= 1);
    SURVIVES(tsr_matmul(tsr_zeros(odd, TSR_SHAPE(20, 20)), tsr_zeros(odd, TSR_SHAPE(20, 20)), NULL));
    HOLDS(tsr_close(odd) == 0);
    HOLDS(tsr_close(NULL) == 1);
    tsr_set_trap(NULL, true);
    HOLDS(tsr_error(NULL) != NULL);
    tsr_clear_error(NULL);
    HOLDS(tsr_fail(NULL, "nowhere") == NULL);
    HOLDS(tsr_seed(NULL) == 0 && tsr_threads(NULL) >= 0);
    (void)tsr_precision_of(NULL);
    HOLDS(tsr_step_count(NULL) == 0);
    tsr_set_step_count(NULL, 3);
    tsr_set_step_count(bad.ctx, INT64_MIN);
    SURVIVES(tsr_dropout(bad.x34, 0.5));
    ended = tsr_scope_begin(NULL, true);
    tsr_scope_end(&ended);
    tsr_scope_end(&ended);
    tsr_scope_end(NULL);
    tsr_scope_end(&(tsr_scope){.ctx = bad.ctx, .depth = 1000});
    HOLDS(tsr_keep(NULL) == NULL);
    REFUSES("", (tsr_fail(bad.ctx, "%s", ""), tsr_keep(bad.error)));
    HOLDS(tsr_statistics_of(NULL).bytes == 0);
    tsr_reset_peak(NULL);
    tsr_trim(NULL);
    tsr_profile_print(NULL, stdout);
    tsr_profile_print(bad.ctx, NULL);
    tsr_parallel(NULL, -1, 0, NULL, NULL);
    tsr_parallel(bad.ctx, 10, -3, NULL, NULL);
    HOLDS(tsr_parallel_slot(NULL) == 0);
    HOLDS(tsr_grain(NAN) > 0 && tsr_grain(-1) > 0 && tsr_grain(0) > 0 && tsr_grain(INFINITY) > 0);
    bad_close();
}

TEST(random_numbers_take_bad_arguments)
{
    const tsr_rng rng = {1, 2};
    bad_open();
    (void)tsr_stream(NULL);
    (void)tsr_substream(UINT64_MAX, UINT64_MAX);
    (void)tsr_random_bits(rng, UINT64_MAX);
    HOLDS(tsr_random_uniform(rng, UINT64_MAX) < 1);
    HOLDS(isfinite(tsr_random_normal(rng, UINT64_MAX)));
    HOLDS(tsr_random_below(rng, 0, 0) == 0);
    tsr_random_permutation(rng, -1, NULL);
    tsr_random_permutation(rng, 0, NULL);
    tsr_random_permutation(rng, 3, NULL);
    bad_close();
}

TEST(tensors_refuse_what_is_no_shape)
{
    const tsr_shape shapes[] = {HUGE_SHAPE, WIDE_SHAPE, NEGATIVE_SHAPE, {.rank = -1}, {.rank = INT_MAX},
                                TSR_SHAPE(INT64_MAX, INT64_MAX), TSR_SHAPE(INT64_MAX)};
    bad_open();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        HOLDS(tsr_shape_size(shapes[i]) == -1);
        HOLDS(strlen(tsr_shape_text(shapes[i]).text) > 0);
        HOLDS(tsr_same_shape(shapes[i], shapes[i]));
        REFUSES("is not a shape", tsr_zeros(bad.ctx, shapes[i]));
        REFUSES("is not a shape", tsr_full(bad.ctx, shapes[i], 1));
        REFUSES("is not a shape", tsr_values(bad.ctx, shapes[i], &(tsr_real){0}));
        REFUSES("is not a shape", tsr_uniform(bad.ctx, shapes[i], 0, 1, 0));
        REFUSES("is not a shape", tsr_normal(bad.ctx, shapes[i], 0, 1, 0));
        REFUSES("is not a shape", tsr_parameter_init(bad.m, "p", shapes[i], NULL));
        REFUSES("is not a shape", tsr_buffer(bad.m, "b", shapes[i], 0));
        REFUSES("expand: ", tsr_expand(bad.rank1, shapes[i]));
        HOLDS(tsr_zeros(NULL, shapes[i]) == NULL);
    }
    HOLDS(tsr_make_shape(-3, NULL).rank != 0);
    HOLDS(tsr_shape_size(tsr_make_shape(3, NULL)) == -1);
    HOLDS(tsr_make_shape(0, NULL).rank == 0);
    HOLDS(tsr_shape_size(tsr_make_shape(INT_MAX, (int64_t[TSR_MAX_RANK]){1})) == -1);
    REFUSES("out of memory", tsr_zeros(bad.ctx, TSR_SHAPE((int64_t)1 << 31)));
    REFUSES("no values were given", tsr_values(bad.ctx, TSR_SHAPE(2), NULL));
    HOLDS(tsr_size(tsr_values(bad.ctx, TSR_SHAPE(0), NULL)) == 0);
    REFUSES("no finite number of values", tsr_arange(bad.ctx, 0, NAN, 1));
    REFUSES("no finite number of values", tsr_arange(bad.ctx, 0, 1, 0));
    REFUSES("", tsr_arange(bad.ctx, 0, 1e300, 1e-300));
    HOLDS(!tsr_full(NULL, TSR_SCALAR, 1) && !tsr_values(NULL, TSR_SCALAR, NULL) && !tsr_arange(NULL, 0, 1, 1));
    HOLDS(!tsr_uniform(NULL, TSR_SCALAR, 0, 1, 0) && !tsr_normal(NULL, TSR_SCALAR, 0, 1, 0));
    SURVIVES(tsr_uniform(bad.ctx, TSR_SHAPE(2), INFINITY, NAN, 0));
    bad_close();
}

TEST(tensors_are_looked_at_with_bad_arguments)
{
    tsr_real values[3] = {0};
    FILE *out = tmpfile();
    bad_open();
    HOLDS(tsr_context_of(NULL) == NULL && tsr_shape_of(NULL).rank == 0 && tsr_rank(NULL) == 0 && tsr_size(NULL) <= 1);
    HOLDS(tsr_dim(NULL, 0) == 0 && tsr_dim(bad.x34, 2) == 0 && tsr_dim(bad.x34, INT_MIN) == 0 &&
          tsr_dim(bad.x34, INT_MAX) == 0);
    HOLDS(tsr_data(NULL) == NULL && tsr_is_error(NULL) && tsr_is_error(bad.error));
    REFUSES("can no longer be read", tsr_data(bad.spent));
    HOLDS(isnan(tsr_item(NULL)));
    HOLDS(isnan(tsr_item(bad.error)));
    REFUSES("needs a single value", tsr_item(bad.v3));
    REFUSES("needs a single value", tsr_item(bad.spent));
    HOLDS(!tsr_copy_out(NULL, values, 3));
    REFUSES("2 values for a tensor [3] of 3", tsr_copy_out(bad.v3, values, 2));
    REFUSES("", tsr_copy_out(bad.v3, NULL, 3));
    REFUSES("", tsr_copy_out(bad.spent, values, 3));
    HOLDS(!tsr_copy_in(NULL, values, 3));
    REFUSES("-1 values for a tensor [3] of 3", tsr_copy_in(bad.v3, values, -1));
    REFUSES("", tsr_copy_in(bad.v3, NULL, 3));
    REFUSES("only data can be changed", tsr_copy_in(bad.computed, values, 3));
    HOLDS(tsr_write(NULL) == NULL);
    REFUSES("only data can be changed", tsr_write(bad.computed));
    HOLDS(tsr_write(bad.error) == NULL);
    tsr_print(NULL, out);
    tsr_print(bad.v3, NULL);
    tsr_print(bad.error, out);
    tsr_print(bad.spent, out);
    tsr_clear_error(bad.ctx);
    if (out) fclose(out);
    bad_close();
}

static tsr_tensor *two_thirds(tsr_tensor *const *inputs)
{
    return tsr_mul_scalar(inputs[0], 2. / 3);
}

TEST(derivatives_refuse_bad_arguments)
{
    bad_open();
    tsr_tensor *loss = tsr_sum(tsr_watch(tsr_zeros(bad.ctx, TSR_SHAPE(3))), NULL);
    HOLDS(!tsr_backward(NULL) && !tsr_backward_releasing(NULL) && !tsr_backward_from(NULL, NULL));
    REFUSES("needs a loss of a single value", tsr_backward(bad.computed));
    REFUSES("nothing to differentiate", tsr_backward(bad.one));
    REFUSES("", tsr_backward(bad.error));
    REFUSES("", tsr_backward(bad.spent));
    REFUSES("", tsr_backward_releasing(bad.error));
    REFUSES("a cotangent [3] for a result []", tsr_backward_from(loss, bad.v3));
    REFUSES("", tsr_backward_from(loss, NULL));
    REFUSES("", tsr_backward_from(loss, bad.foreign));
    REFUSES("", tsr_backward_from(loss, bad.error));
    HOLDS(tsr_watch(NULL) == NULL && tsr_retain_grad(NULL) == NULL && tsr_grad(NULL) == NULL);
    HOLDS(tsr_detach(NULL) == NULL && !tsr_needs_grad(NULL));
    tsr_zero_grad(NULL);
    REFUSES("only data can be watched", tsr_watch(bad.computed));
    HOLDS(tsr_watch(bad.error) == bad.error && !tsr_needs_grad(bad.error));
    HOLDS(tsr_retain_grad(bad.error) == bad.error);
    HOLDS(tsr_grad(bad.error) == NULL);
    tsr_zero_grad(bad.error);
    SURVIVES(tsr_detach(bad.spent));
    HOLDS(tsr_gradcheck(NULL, NULL, 0).checked == 0);
    HOLDS(tsr_gradcheck(two_thirds, NULL, 2).checked == 0);
    HOLDS(tsr_gradcheck(two_thirds, &bad.v3, -1).checked == 0);
    REFUSES("needs a function of 1 to", tsr_gradcheck(NULL, &bad.v3, 1));
    REFUSES("", tsr_gradcheck(two_thirds, (tsr_tensor *[]){bad.v3, NULL}, 2));
    REFUSES("", tsr_gradcheck(two_thirds, &bad.spent, 1));
    bad_close();
}

/* ---- those who write an op ----------------------------------------------------------------------------------------- */

static void misuses_everything(tsr_node *n)
{
    tsr_gradient(n, -1);
    tsr_gradient(n, 7);
    tsr_accumulate(n, 7, bad.v3);
    tsr_accumulate(n, 0, NULL);
    tsr_accumulate(n, 0, bad.foreign);
    tsr_accumulate(n, 0, bad.v4);
}

TEST(ops_written_badly_are_errors)
{
    const tsr_op op = {.name = "clumsy", .backward = misuses_everything};
    bad_open();
    tsr_tensor *x = tsr_watch(tsr_zeros(bad.ctx, TSR_SHAPE(3)));
    for (int i = 0; i < 3; i++) { /* the node of no context, a dead one, none at all */
        tsr_node *n = i == 2 ? NULL : tsr_begin(&op, 1, i ? &bad.error : (tsr_tensor *[]){NULL});
        tsr_clear_error(bad.ctx);
        HOLDS(tsr_dead(n));
        HOLDS(tsr_output(n, TSR_SHAPE(3)) == NULL);
        tsr_output_view(n, 0, TSR_SHAPE(3));
        HOLDS(tsr_save(n, 8) == NULL && tsr_saved(n) == NULL && tsr_scratch(n, 8) == NULL);
        HOLDS(!tsr_wants(n, 0) && !tsr_wants(n, -1));
        tsr_count_work(n, 1);
        (void)tsr_node_context(n);
        HOLDS(tsr_input_count(n) == 0 && tsr_input(n, 0) == NULL);
        (void)tsr_result(n), (void)tsr_cotangent(n);
        HOLDS(tsr_gradient(n, 0) == NULL);
        tsr_accumulate(n, 0, x);
        HOLDS(tsr_is_error(tsr_reject(n, "%d", 1)));
        HOLDS(tsr_is_error(tsr_end(n)));
    }
    HOLDS(tsr_dead(tsr_begin(&op, 0, NULL)) && tsr_dead(tsr_begin(&op, -1, NULL)) && tsr_dead(tsr_begin(&op, 2, NULL)));
    HOLDS(tsr_dead(tsr_begin(NULL, 0, NULL)));
    REFUSES("", tsr_begin(NULL, 1, &x));
    REFUSES("made no result", tsr_end(tsr_begin(&op, 1, &x)));
    tsr_node *n = tsr_begin(&op, 1, &x);
    HOLDS(tsr_input(n, 1) == NULL && tsr_input(n, -1) == NULL && !tsr_wants(n, 9));
    REFUSES("is not a shape", (tsr_output(n, HUGE_SHAPE), tsr_end(n)));
    n = tsr_begin(&op, 1, &x);
    REFUSES("", (tsr_output_view(n, 0, TSR_SHAPE(4)), tsr_end(n)));
    n = tsr_begin(&op, 1, &x);
    REFUSES("", (tsr_output_view(n, 5, TSR_SHAPE(3)), tsr_end(n)));
    n = tsr_begin(&op, 1, &x);
    REFUSES("out of memory", (tsr_save(n, SIZE_MAX), tsr_end(n)));
    n = tsr_begin(&op, 1, &x);
    REFUSES("out of memory", (tsr_scratch(n, SIZE_MAX - 1), tsr_end(n)));
    n = tsr_begin(&op, 1, &x);
    tsr_real *y = tsr_output(n, TSR_SHAPE(3));
    if (y) memset(y, 0, 3 * sizeof *y);
    REFUSES("clumsy", tsr_backward(tsr_sum(tsr_end(n), NULL)));
    bad_close();
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static const tsr_real *no_values(void *user, int i)
{
    (void)user, (void)i;
    return NULL;
}

TEST(files_refuse_bad_arguments)
{
    const tsr_archive_entry entry = {"a", {.rank = 1, .dims = {2}}}, huge = {"a", HUGE_SHAPE}, unnamed = {NULL, {0}};
    const tsr_archive_content contents[] = {
        {.count = -1}, {.count = 1}, {.count = 1, .entries = &entry}, {.count = 1, .entries = &entry, .values = no_values},
        {.count = 1, .entries = &huge, .values = no_values}, {.count = 1, .entries = &unnamed, .values = no_values},
        {.text_count = 1}, {.text_count = -1}, {.text_count = 1, .texts = &(tsr_archive_text){NULL, NULL}}};
    bad_open();
    HOLDS(!tsr_archive_open(NULL, "x") && !tsr_archive_open(NULL, NULL));
    REFUSES("the path is NULL", tsr_archive_open(bad.ctx, NULL));
    REFUSES("", tsr_archive_open(bad.ctx, ""));
    REFUSES(NOWHERE ": cannot be opened", tsr_archive_open(bad.ctx, NOWHERE));
    REFUSES("build", tsr_archive_open(bad.ctx, "build"));
    tsr_archive_close(NULL);
    HOLDS(tsr_archive_count(NULL) == 0 && !tsr_archive_name(NULL, 0) && tsr_archive_shape(NULL, 0).rank == 0);
    HOLDS(!tsr_archive_type(NULL, 0) && tsr_archive_find(NULL, "a") == -1 && !tsr_archive_metadata(NULL, "a"));
    HOLDS(!tsr_archive_text_at(NULL, 0, NULL) && !tsr_archive_tensor(NULL, 0));
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++)
        REFUSES("", tsr_archive_save(bad.ctx, test_path("bad.safetensors"), &contents[i]));
    HOLDS(!tsr_archive_save(NULL, "x", &contents[0]));
    REFUSES("NULL", tsr_archive_save(bad.ctx, NULL, &(tsr_archive_content){0}));
    REFUSES("NULL", tsr_archive_save(bad.ctx, "x", NULL));
    REFUSES(NOWHERE, tsr_archive_save(bad.ctx, NOWHERE, &(tsr_archive_content){0}));
    const char *path = test_path("good.safetensors"), *key;
    HOLDS(tsr_archive_save(bad.ctx, path, &(tsr_archive_content){0}));
    tsr_archive *archive = tsr_archive_open(bad.ctx, path);
    HOLDS(!tsr_archive_name(archive, -1) && !tsr_archive_type(archive, INT_MAX) && tsr_archive_find(archive, NULL) == -1);
    HOLDS(tsr_archive_shape(archive, -1).rank == 0 && !tsr_archive_metadata(archive, NULL));
    HOLDS(!tsr_archive_text_at(archive, -1, &key) && !tsr_archive_text_at(archive, 99, NULL));
    HOLDS(tsr_archive_text_at(archive, 0, NULL) != NULL);
    REFUSES("", tsr_archive_tensor(archive, 0));
    REFUSES("", tsr_archive_tensor(archive, INT_MIN));
    HOLDS(!tsr_npy_load(NULL, "x") && !tsr_npy_load_bytes(NULL, "x", "", 0) && !tsr_npy_save(NULL, "x"));
    REFUSES("the path is NULL", tsr_npy_load(bad.ctx, NULL));
    REFUSES("cannot be opened", tsr_npy_load(bad.ctx, NOWHERE));
    REFUSES("", tsr_npy_load(bad.ctx, "build"));
    REFUSES("", tsr_npy_load_bytes(bad.ctx, "n", NULL, 0));
    REFUSES("", tsr_npy_load_bytes(bad.ctx, "n", NULL, 100));
    REFUSES("", tsr_npy_load_bytes(bad.ctx, NULL, "abc", 3));
    REFUSES("the path is NULL", tsr_npy_save(bad.v3, NULL));
    REFUSES(NOWHERE, tsr_npy_save(bad.v3, NOWHERE));
    REFUSES("an error tensor cannot be saved", tsr_npy_save(bad.error, test_path("bad.npy")));
    REFUSES("", tsr_npy_save(bad.spent, test_path("bad.npy")));
    bad_close();
}
