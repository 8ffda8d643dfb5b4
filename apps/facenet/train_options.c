#include "apps/facenet/train_options.h"

#include "apps/common/command.h"

#include <stdlib.h>
#include <string.h>

typedef struct texts { /* options that are told by name */
    const char *mining, *rule, *schedule;
    double vary, jitter, erase;
    bool no_flip, sum;
    int steps, softmax_steps;
} texts;

static int place_of(const char *name, const char *const *names)
{
    int i = 0;
    while (names[i + 1] && strcmp(name, names[i]) != 0) i++;
    return i;
}

/* The numbers into the settings that they stand for. */
static void settle(train_options *o, const texts *t)
{
    static const char *const minings[] = {"semi-hard", "hardest", "all", "random", "any", NULL};
    static const tsr_mining mining_kinds[] = {TSR_SEMI_HARD, TSR_HARDEST, TSR_BATCH_ALL, TSR_RANDOM_VIOLATOR,
                                              TSR_RANDOM_VIOLATOR};
    static const char *const rules[] = {"adamw", "adam", "adagrad", NULL};
    static const double rates[] = {0.003, 0.001, 0.05};
    static const char *const schedules[] = {"cosine", "constant", "steps", NULL};
    training_settings *s = &o->training;
    s->mining = mining_kinds[place_of(t->mining, minings)];
    s->unmined = strcmp(t->mining, "any") == 0;
    s->rule = (training_rule)place_of(t->rule, rules);
    s->schedule = (training_schedule)place_of(t->schedule, schedules);
    if (s->lr <= 0) s->lr = rates[s->rule];
    s->reduction = t->sum ? TSR_REDUCE_SUM : TSR_REDUCE_MEAN;
    s->softmax_steps = t->softmax_steps;
    s->steps = t->steps >= 0 ? t->steps : o->faces.who.data ? 300 : 800;
    s->variation = (augmentation){.shift = 0.06 * t->vary, .scale = 0.06 * t->vary, .rotation = 0.08 * t->vary,
                                  .flip = !t->no_flip, .brightness = 0.3 * t->jitter, .contrast = 0.3 * t->jitter,
                                  .saturation = 0.3 * t->jitter, .blur = t->jitter, .noise = 8 * t->jitter,
                                  .erase = t->erase};
    if (!o->faces.who.data && o->faces.who.limit == 0) o->faces.who.limit = 1000;
}

static int parse(train_options *o, texts *t, int count, char **arguments)
{
    training_settings *s = &o->training;
    const option own[] = {
        {"net", OPTION_TEXT, &o->net, "which net: see facenet summary", "NAME", 0, 0, NULL},
        {"embedding", OPTION_INT, &o->embedding, "length of the embeddings; 0: the net's own", "N", 0, 65536, NULL},
        {"size", OPTION_INT, &o->size, "side of the square that the net sees, pixels; 0: the net's own", "N", 0, 1024,
         NULL},
        {"grey", OPTION_FLAG, &o->grey, "see no colours", NULL, 0, 0, NULL},
        {"from", OPTION_TEXT, &o->from, "go on from this model, its net, size and weights", "FILE", 0, 0, NULL},
        {"resume", OPTION_FLAG, &o->resume, "go on with the run in --out, with its options, to the same bits", NULL, 0,
         0, NULL},
        {"plan", OPTION_FLAG, &o->plan, "print parameters, memory and time, and train nothing", NULL, 0, 0, NULL},
        {"softmax-steps", OPTION_INT, &t->softmax_steps, "batches to classify people on, before the triplets", "N", 0,
         1e9, NULL},
        {"steps", OPTION_INT, &t->steps, "batches of triplets; -1: 300 on your data, 800 on the built-in faces", "N",
         -1, 1e9, NULL},
        {"batch-people", OPTION_INT, &s->per_batch, "people in a batch", "N", 2, 4096, NULL},
        {"batch-pictures", OPTION_INT, &s->per_person, "pictures of each of them", "N", 2, 4096, NULL},
        {"chunk", OPTION_INT, &s->chunk,
         "pictures through the net at once, for triplets of batches larger than memory; "
         "0: all",
         "N", 0, 1e6, NULL},
        {"margin", OPTION_DOUBLE, &s->margin, "between squared distances of same and different", "X", 1e-6, 4, NULL},
        {"mining", OPTION_TEXT, &t->mining,
         "which triplets of a batch are learnt from; random: of those inside the margin; "
         "any: of all",
         "KIND", 0, 0, "semi-hard|hardest|all|random|any"},
        {"sum", OPTION_FLAG, &t->sum, "add the triplets' losses up, instead of their mean", NULL, 0, 0, NULL},
        {"softmax-margin", OPTION_DOUBLE, &s->softmax_margin, "taken off the cosine of the right person", "X", 0, 2,
         NULL},
        {"softmax-scale", OPTION_DOUBLE, &s->softmax_scale, "of the cosines", "X", 1e-3, 1e3, NULL},
        {"optimizer", OPTION_TEXT, &t->rule, "adagrad with 0.05 is the paper's", "RULE", 0, 0, "adamw|adam|adagrad"},
        {"lr", OPTION_DOUBLE, &s->lr, "learning rate for triplets; 0: 0.003 (adamw), 0.001 (adam), 0.05 (adagrad)", "X",
         0, 1e30, NULL},
        {"softmax-lr", OPTION_DOUBLE, &s->softmax_lr, "learning rate for classification", "X", 0, 1e30, NULL},
        {"schedule", OPTION_TEXT, &t->schedule,
         "of the rate: rising over 20 steps and falling to 0 along a cosine, or "
         "constant, or falling to a tenth after 1/2 and 3/4",
         "KIND", 0, 0, "cosine|constant|steps"},
        {"weight-decay", OPTION_DOUBLE, &s->weight_decay, "of adamw", "X", 0, 1e3, NULL},
        {"vary", OPTION_DOUBLE, &t->vary, "how much pictures are shifted, turned, scaled in training; 0: not", "X", 0,
         5, NULL},
        {"jitter", OPTION_DOUBLE, &t->jitter, "how much light, colour, sharpness and noise are varied in training", "X",
         0, 2, NULL},
        {"erase", OPTION_DOUBLE, &t->erase, "share of the pictures that lose a rectangle in training", "X", 0, 1, NULL},
        {"no-flip", OPTION_FLAG, &t->no_flip, "do not mirror every other picture in training", NULL, 0, 0, NULL},
        {"validate-people", OPTION_INT, &o->validate_people,
         "keep the last N people out of training, to judge it by: the "
         "model that tells them apart best is kept",
         "N", 0, 1e6, NULL},
        {"validate-every", OPTION_INT, &o->validate_every, "steps from one judgement to the next", "N", 1, 1e9, NULL},
        {"patience", OPTION_INT, &o->patience, "judgements without a better one that end the run; 0: none do", "N", 0,
         1e6, NULL},
        {"save-every", OPTION_INT, &o->save_every, "steps from checkpoint to checkpoint; 0: only at the end", "N", 0,
         1e9, NULL},
        {"seed", OPTION_UINT64, &o->seed, "of everything random", "N", 0, 0, NULL},
        {"threads", OPTION_INT, &o->threads, "0: all; changes no result", "N", 0, 1024, NULL},
        {"out", OPTION_TEXT, &o->out, "folder for model.safetensors, checkpoint.safetensors, log.csv, report.html",
         "DIR", 0, 0, NULL},
    };
    command c = {.program = "facenet", .verb = "train",
                 .summary = "Trains an embedding net from scratch, by triplets, after classification if asked to."};
    return portraits_start(&c, &o->faces, own, (int)(sizeof own / sizeof *own), count, arguments);
}

static void set_defaults(train_options *o, texts *t)
{
    *o = (train_options){.faces = {.per_person = 12, .cache_mb = 2048}, .net = "small", .out = "out",
                         .training = {.per_batch = 32, .per_person = 4, .softmax_lr = 0.001, .weight_decay = 0.01,
                                      .margin = 0.2, .softmax_margin = 0.2, .softmax_scale = 20},
                         .validate_every = 100, .save_every = 100, .seed = 1};
    *t = (texts){.mining = "semi-hard", .rule = "adamw", .schedule = "cosine", .vary = 1, .steps = -1};
}

/* ---- resuming ---------------------------------------------------------------------------------------------------- */

/* The lines that the checkpoint's run was begun with. */
static bool read_arguments(const char *folder, char *text, size_t bytes, app_error *error)
{
    char path[1024];
    if (!run_checkpoint_path(path, sizeof path, folder, error)) return false;
    tsr_context *ctx = tsr_open(NULL);
    tsr_archive *archive = tsr_archive_open(ctx, path);
    const char *found = tsr_archive_metadata(archive, "arguments");
    if (tsr_error(ctx)) app_fail(error, "%s", tsr_error(ctx));
    else if (!found || strlen(found) >= bytes) app_fail(error, "%s: is no checkpoint of facenet train", path);
    else strcpy(text, found);
    tsr_close(ctx);
    return error->text[0] == '\0';
}

enum { MOST_ARGUMENTS = 256 };

/* Takes lines apart in place. */
static int split(char *text, char **out)
{
    int count = 0;
    for (char *at = strtok(text, "\n"); at && count < MOST_ARGUMENTS; at = strtok(NULL, "\n")) out[count++] = at;
    return count;
}

/* Adds those given now, but for what is about this call alone. */
static bool append_arguments(char *text, size_t bytes, int count, char *const *given, app_error *error)
{
    for (int i = 0; i < count; i++) {
        const size_t used = strlen(text);
        if (strcmp(given[i], "--resume") == 0 || strcmp(given[i], "--plan") == 0) continue;
        if (strchr(given[i], '\n') || used + strlen(given[i]) + 2 > bytes)
            return app_fail(error, "the arguments are too long to be kept, or hold a line break");
        snprintf(text + used, bytes - used, "%s\n", given[i]);
    }
    return true;
}

static const char *wrong(const train_options *o)
{
    if ((o->faces.landmarks || o->faces.align) && !o->faces.who.data) return "--landmarks and --align need --data";
    if (o->from && (o->size || o->grey || o->embedding))
        return "--from has a size, channels and an embedding: no --size, --grey or --embedding with it";
    if (o->training.steps + o->training.softmax_steps < 1)
        return "neither --steps nor --softmax-steps: nothing to train";
    if (o->patience > 0 && o->validate_people == 0) return "--patience needs --validate-people";
    return NULL;
}

/* The run's own options, and those given now on top; the status. */
static int parse_resumed(train_options *o, texts *t, int count, char **given, app_error *error)
{
    char *words[MOST_ARGUMENTS], arguments[sizeof o->arguments];
    const char *folder = o->out; /* it may have been renamed since */
    if (!read_arguments(folder, arguments, sizeof arguments, error)) return 1;
    set_defaults(o, t);
    strcpy(o->arguments, arguments);
    strcpy(o->kept, arguments);
    int status = parse(o, t, split(o->kept, words), words);
    if (status == COMMAND_GO) status = parse(o, t, count, given);
    o->out = folder;
    o->resume = true;
    return status;
}

int train_options_parse(train_options *o, int count, char **given)
{
    texts t;
    app_error error = {""};
    set_defaults(o, &t);
    int status = parse(o, &t, count, given);
    if (status == COMMAND_GO && o->resume) status = parse_resumed(o, &t, count, given, &error);
    if (status == COMMAND_GO) {
        settle(o, &t);
        if (wrong(o)) app_fail(&error, "%s", wrong(o));
        else append_arguments(o->arguments, sizeof o->arguments, count, given, &error);
        if (error.text[0]) status = COMMAND_WRONG_USAGE;
    }
    if (error.text[0]) fprintf(stderr, "facenet train: %s\n", error.text);
    return status;
}
