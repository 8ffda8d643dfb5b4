/* Gradient checks of ops/shape.c, pad.c and upsample.c. */
#include "tests/gradcheck/gradcheck.h"

static tsr_shape shape;
static int axes[TSR_MAX_RANK];
static int64_t range[2];

static void check(tsr_context *ctx, tsr_function fn, tsr_shape input)
{
    gradcheck_case(ctx, fn, 1, (tsr_tensor *[]){gradcheck_normal(ctx, input)});
}

/* ---- reshape, permute, transpose --------------------------------------------------------------------------------- */

static tsr_tensor *reshape(tsr_tensor *const *in) { return tsr_reshape(in[0], shape); }
static tsr_tensor *reshape_used_twice(tsr_tensor *const *in)
{
    return tsr_mul(tsr_reshape(in[0], shape), tsr_reshape(in[0], shape));
}

GRADCHECK(reshape)
{
    shape = TSR_SHAPE(4, -1);
    check(ctx, reshape, TSR_SHAPE(2, 3, 4));
    check(ctx, reshape_used_twice, TSR_SHAPE(2, 6));
    shape = TSR_SCALAR;
    check(ctx, reshape, TSR_SHAPE(1, 1));
    shape = TSR_SHAPE(1, 3, 1);
    check(ctx, reshape, TSR_SHAPE(3));
}

static tsr_tensor *permute(tsr_tensor *const *in) { return tsr_permute(in[0], axes); }

static void check_permute(tsr_context *ctx, tsr_shape input, const int *order)
{
    for (int i = 0; i < input.rank; i++) axes[i] = order[i];
    check(ctx, permute, input);
}

GRADCHECK(permute)
{
    check_permute(ctx, TSR_SHAPE(2, 3, 4), (int[]){2, 0, 1});
    check_permute(ctx, TSR_SHAPE(2, 3, 2, 4), (int[]){0, -1, 1, 2});
    check_permute(ctx, TSR_SHAPE(3, 1, 2, 2, 1), (int[]){4, 3, 0, 1, 2});
    check_permute(ctx, TSR_SHAPE(5), (int[]){0});
    check_permute(ctx, TSR_SCALAR, (int[]){0});
}

static tsr_tensor *transpose(tsr_tensor *const *in) { return tsr_transpose(in[0], axes[0], axes[1]); }

GRADCHECK(transpose)
{
    axes[0] = 0, axes[1] = -1;
    check(ctx, transpose, TSR_SHAPE(3, 4));
    check(ctx, transpose, TSR_SHAPE(2, 3, 4));
    axes[0] = 1, axes[1] = 1;
    check(ctx, transpose, TSR_SHAPE(2, 3));
}

/* ---- concat, slice, split ---------------------------------------------------------------------------------------- */

static tsr_tensor *concat_three(tsr_tensor *const *in) { return tsr_concat(in, 3, axes[0]); }
static tsr_tensor *concat_same(tsr_tensor *const *in)
{
    return tsr_concat((tsr_tensor *[]){in[0], in[1], in[0]}, 3, -1);
}

GRADCHECK(concat)
{
    axes[0] = 1;
    gradcheck_case(ctx, concat_three, 3,
                   (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(2, 3, 2)),
                                    gradcheck_normal(ctx, TSR_SHAPE(2, 1, 2)),
                                    gradcheck_normal(ctx, TSR_SHAPE(2, 4, 2))});
    gradcheck_case(
        ctx, concat_same, 2,
        (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(3, 2)), gradcheck_normal(ctx, TSR_SHAPE(3, 1))});
    axes[0] = 0;
    gradcheck_case(ctx, concat_three, 3,
                   (tsr_tensor *[]){gradcheck_normal(ctx, TSR_SHAPE(1)), gradcheck_normal(ctx, TSR_SHAPE(5)),
                                    gradcheck_normal(ctx, TSR_SHAPE(0))});
}

static tsr_tensor *slice(tsr_tensor *const *in) { return tsr_slice(in[0], axes[0], range[0], range[1]); }

static void check_slice(tsr_context *ctx, tsr_shape input, int axis, int64_t begin, int64_t end)
{
    axes[0] = axis, range[0] = begin, range[1] = end;
    check(ctx, slice, input);
}

GRADCHECK(slice)
{
    check_slice(ctx, TSR_SHAPE(5, 3), 0, 1, 4);
    check_slice(ctx, TSR_SHAPE(2, 4, 3), 1, -3, -1);
    check_slice(ctx, TSR_SHAPE(2, 2, 5), -1, 0, 1);
    check_slice(ctx, TSR_SHAPE(1), 0, 0, 1);
}

/* Not symmetric in the parts. */
static tsr_tensor *split(tsr_tensor *const *in)
{
    tsr_tensor *parts[3];
    tsr_split(in[0], axes[0], 3, parts);
    return tsr_sub(tsr_mul(parts[0], parts[1]), parts[2]);
}

GRADCHECK(split)
{
    axes[0] = 1;
    check(ctx, split, TSR_SHAPE(2, 6));
    axes[0] = -3;
    check(ctx, split, TSR_SHAPE(3, 2, 2));
}

/* ---- expand, flip, gather_rows ----------------------------------------------------------------------------------- */

static tsr_tensor *expand(tsr_tensor *const *in) { return tsr_expand(in[0], shape); }

GRADCHECK(expand)
{
    shape = TSR_SHAPE(2, 3, 4);
    check(ctx, expand, TSR_SHAPE(3, 1));
    check(ctx, expand, TSR_SHAPE(2, 1, 4));
    check(ctx, expand, TSR_SHAPE(1, 1, 1));
    check(ctx, expand, TSR_SHAPE(2, 3, 4));
    check(ctx, expand, TSR_SCALAR);
}

static tsr_tensor *flip(tsr_tensor *const *in) { return tsr_flip(in[0], axes[0]); }

GRADCHECK(flip)
{
    axes[0] = 1;
    check(ctx, flip, TSR_SHAPE(2, 5, 3));
    axes[0] = -1;
    check(ctx, flip, TSR_SHAPE(2, 4));
    axes[0] = 0;
    check(ctx, flip, TSR_SHAPE(3));
    check(ctx, flip, TSR_SHAPE(1, 2));
}

static const tsr_real rows[] = {3, 0, 3, 1, 3, 0};
static tsr_tensor *gather_rows(tsr_tensor *const *in)
{
    return tsr_gather_rows(in[0], tsr_values(tsr_context_of(in[0]), shape, rows));
}

GRADCHECK(gather_rows)
{
    shape = TSR_SHAPE(6);
    check(ctx, gather_rows, TSR_SHAPE(5, 3));
    shape = TSR_SHAPE(2, 3);
    check(ctx, gather_rows, TSR_SHAPE(4, 2, 2));
    check(ctx, gather_rows, TSR_SHAPE(4));
    shape = TSR_SCALAR;
    check(ctx, gather_rows, TSR_SHAPE(4, 2));
}

/* ---- pad, upsample ----------------------------------------------------------------------------------------------- */

static tsr_pad_options padding;
static tsr_tensor *pad(tsr_tensor *const *in) { return tsr_pad(in[0], &padding); }

GRADCHECK(pad)
{
    for (int mode = TSR_PAD_CONSTANT; mode <= TSR_PAD_REPLICATE; mode++) {
        padding = (tsr_pad_options){
            .before = {0, 2, 1}, .after = {0, 1, 2}, .mode = (tsr_pad_mode)mode, .value = 3};
        check(ctx, pad, TSR_SHAPE(2, 3, 4, 2));
        padding = (tsr_pad_options){.before = {0, 0, 3}, .after = {1}, .mode = (tsr_pad_mode)mode};
        check(ctx, pad, TSR_SHAPE(2, 2, 4));
        padding = (tsr_pad_options){.mode = (tsr_pad_mode)mode};
        check(ctx, pad, TSR_SHAPE(3));
    }
    padding = (tsr_pad_options){.before = {2}, .after = {3}, .mode = TSR_PAD_REPLICATE};
    check(ctx, pad, TSR_SHAPE(1, 2));
}

static tsr_upsample_options sizes;
static tsr_tensor *upsample(tsr_tensor *const *in) { return tsr_upsample(in[0], &sizes); }

GRADCHECK(upsample)
{
    for (int linear = 0; linear < 2; linear++) {
        sizes = (tsr_upsample_options){.size = {7, 5}, .linear = linear};
        check(ctx, upsample, TSR_SHAPE(2, 3, 4, 2));
        sizes = (tsr_upsample_options){.size = {2, 3}, .linear = linear};
        check(ctx, upsample, TSR_SHAPE(1, 5, 4, 9));
        sizes = (tsr_upsample_options){.size = {5}, .linear = linear};
        check(ctx, upsample, TSR_SHAPE(2, 3, 1));
        check(ctx, upsample, TSR_SHAPE(1, 5, 2));
        check(ctx, upsample, TSR_SHAPE(1, 1, 2));
        sizes = (tsr_upsample_options){.size = {3, 1, 4}, .linear = linear};
        check(ctx, upsample, TSR_SHAPE(1, 2, 3, 2, 2));
    }
}
