/* signals shapes: the same two layers along one axis, two and three, by real ops. */
#include "apps/common/command.h"
#include "apps/signals/signals.h"

typedef struct story {
    const char *title;
    tsr_shape shape; /* of one input, channels last */
} story;

/* Two convolutions of five taps along each axis. */
static tsr_tensor *two_convolutions(tsr_model *m, tsr_tensor *x)
{
    const tsr_conv_options five = {.kernel = {5, tsr_rank(x) > 3 ? 5 : 0, tsr_rank(x) > 4 ? 5 : 0},
                                   .activation = TSR_RELU};
    return tsr_nn_conv(m, "conv2", tsr_nn_conv(m, "conv1", x, 16, &five), 32, &five);
}

static bool tell_story(const story *s, app_error *error)
{
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    tsr_shape batch = {.rank = s->shape.rank + 1, .dims = {1}};
    for (int d = 0; d < s->shape.rank; d++) batch.dims[d + 1] = s->shape.dims[d];
    printf("%s: input %s\n", s->title, tsr_shape_text(batch).text);
    tsr_summary(m, two_convolutions, tsr_zeros(ctx, batch), stdout);
    printf("\n");
    if (!ctx || tsr_error(ctx)) app_fail(error, "%s", tsr_error(ctx));
    return tsr_close(ctx) == 0;
}

int signals_shapes(int count, char **arguments)
{
    command c = {.program = "signals", .verb = "shapes",
                 .summary = "Two convolutions along one axis, two and three: shapes, parameters, multiply-adds."};
    const int status = command_start(&c, count, arguments);
    if (status != COMMAND_GO) return status;
    const story stories[] = {{"1-D, 14 samples * 5 taps", TSR_SHAPE(14, 1)},
                             {"2-D, 14 x 14 pixels of 3 colours * 5 x 5", TSR_SHAPE(14, 14, 3)},
                             {"3-D, 14 x 14 x 14 voxels * 5 x 5 x 5", TSR_SHAPE(14, 14, 14, 1)}};
    app_error error = {""};
    bool done = true;
    for (int i = 0; done && i < 3; i++) done = tell_story(&stories[i], &error);
    if (!done) fprintf(stderr, "signals shapes: %s\n", error.text);
    return done ? 0 : 1;
}
