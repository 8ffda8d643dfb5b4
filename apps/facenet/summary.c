/* facenet summary: what a net consists of, beside the figures its paper publishes. */
#include "apps/facenet/facenet.h"

#include "apps/common/command.h"
#include "apps/facenet/nets.h"

#include <string.h>

typedef struct block_work { /* of the blocks of a paper, in its order */
    const paper_row *paper;
    double multiply_adds[32];
} block_work;

static bool is_inside(const char *name, const char *block)
{
    const size_t length = strlen(block);
    return strncmp(name, block, length) == 0 && (name[length] == '.' || name[length] == '\0');
}

static void add_work(void *user, const tsr_summary_row *row)
{
    block_work *work = user;
    for (int i = 0; work->paper[i].block; i++)
        if (is_inside(row->name, work->paper[i].block)) work->multiply_adds[i] += row->multiply_adds;
}

/* "9.408K", "115M" */
static tsr_text in_short(double number)
{
    tsr_text out;
    const double unit = number >= 1e6 ? 1e6 : number >= 1e3 ? 1e3 : 1;
    snprintf(out.text, sizeof out.text, "%.4g%s", number / unit, unit == 1e6 ? "M" : unit == 1e3 ? "K" : "");
    return out;
}

/* Weights of a block, without what papers leave out: biases and norms. */
static double weights_of(const tsr_model *m, const char *block)
{
    double count = 0;
    for (int i = 0; i < tsr_model_count(m); i++)
        if (is_inside(tsr_model_name(m, i), block) && tsr_rank(tsr_model_tensor(m, i)) > 1)
            count += (double)tsr_size(tsr_model_tensor(m, i));
    return count;
}

static void print_comparison(tsr_model *m, tsr_tensor *x, const paper_row *paper)
{
    block_work work = {.paper = paper};
    if (!tsr_summary_rows(m, face_embed, x, add_work, &work)) return;
    printf("\n%-28s %14s %14s %18s %14s\n", "block", "weights", "the paper's", "multiply-adds", "the paper's");
    for (int i = 0; paper[i].block; i++)
        printf("%-28s %14s %14s %18s %14s\n", paper[i].block, in_short(weights_of(m, paper[i].block)).text,
               in_short(paper[i].weights).text, in_short(work.multiply_adds[i]).text,
               in_short(paper[i].multiply_adds).text);
}

static bool summarise(tsr_context *ctx, const face_form *form, app_error *error)
{
    tsr_model *m = tsr_model_new(ctx);
    face_describe(m, form);
    tsr_tensor *x = tsr_zeros(ctx, TSR_SHAPE(1, form->size, form->size, form->channels));
    if (tsr_summary(m, face_embed, x, stdout)) {
        if (form->net->paper_parameters > 0)
            printf("%-28s %-24s %14s\n", "published", "", in_short(form->net->paper_parameters).text);
        if (form->net->paper) print_comparison(m, x, form->net->paper);
    }
    return !tsr_error(ctx) || app_fail(error, "%s", tsr_error(ctx));
}

int facenet_summary(int count, char **arguments)
{
    const char *name = "small";
    face_form wanted = {0}, form;
    bool grey = false;
    const option options[] = {
        {"net", OPTION_TEXT, &name, "small, nn4.small2, nn1, nn2, nn3 or face_resnet29", "NAME", 0, 0, NULL},
        {"size", OPTION_INT, &wanted.size, "side of the square it sees, pixels; 0: the net's own", "N", 0, 1024, NULL},
        {"grey", OPTION_FLAG, &grey, "sees no colours", NULL, 0, 0, NULL},
        {"embedding", OPTION_INT, &wanted.embedding, "length of an embedding; 0: the net's own", "N", 0, 65536, NULL},
    };
    command c = {.program = "facenet", .verb = "summary",
                 .summary = "Layers of a net: result, parameters, multiply-adds for one picture, beside its paper's.",
                 .options = options, .option_count = (int)(sizeof options / sizeof *options)};
    const int status = command_start(&c, count, arguments);
    if (status != COMMAND_GO) return status;
    app_error error = {""};
    tsr_context *ctx = tsr_open(NULL);
    const face_net *net = face_net_find(name, &error);
    wanted.channels = grey ? 1 : 3;
    const bool done = net && (ctx || app_fail(&error, "out of memory")) && face_form_of(&form, net, &wanted, &error) &&
                      summarise(ctx, &form, &error);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "facenet summary: %s\n", error.text);
    return done ? 0 : 1;
}
