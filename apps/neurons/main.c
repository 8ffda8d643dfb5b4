/* neurons: what the units of a trained net have learned to see (Zeiler and Fergus, "Visualizing and understanding
 * convolutional networks", 2014): the patches of pictures that excite them most, and, by a deconvnet, what in these
 * patches did. */
#include "apps/common/command.h"
#include "apps/common/report.h"
#include "apps/neurons/neurons.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_UNITS = 1000 };

typedef struct options {
    const char *model, *data, *out, *layers, *unit, *landmarks;
    int size, units, faces, steps, threads;
    bool crops;
    double part;
} options;

static bool open_net(subject *s, tsr_context *ctx, const options *o, app_error *error)
{
    if (o->model ? !subject_open(s, ctx, o->model, error) : !subject_train(s, ctx, o->steps, error)) return false;
    if (o->size > 0 && o->size != s->size && !s->any_size)
        return app_fail(error, "--size: %s sees squares of %dx%d", s->name, s->size, s->size);
    if (o->size > 0) s->size = o->size;
    if (o->part > 0) s->part = (picture_part){.size = o->part};
    return true;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void tell_layers(const layers *all, const subject *s)
{
    printf("%s on %dx%dx%d\n", s->name, s->size, s->size, s->channels);
    printf("%-28s %12s %10s %8s %8s\n", "layer", "result", "field", "stride", "offset");
    for (int i = 0; i < all->count; i++) {
        const layer *l = &all->items[i];
        char result[40], field[40];
        snprintf(result, sizeof result, "%dx%dx%d", l->height, l->width, l->channels);
        snprintf(field, sizeof field, "%dx%d", (int)l->field.size[0], (int)l->field.size[1]);
        printf("%-28s %12s %10s", l->name, result, l->field.whole ? "whole" : field);
        if (!l->field.whole) printf(" %8d %8d", (int)l->field.stride[0], (int)l->field.start[0]);
        printf("\n");
    }
}

static bool list_fields(const options *o, tsr_context *ctx, app_error *error)
{
    subject s = {.m = NULL};
    layers all = {0};
    const bool done = open_net(&s, ctx, o, error) && layers_find(&all, &s, NULL, error);
    if (done) tell_layers(&all, &s);
    layers_free(&all);
    return done && (fflush(stdout) == 0 || app_fail(error, "stdout: could not be written"));
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

typedef struct visit {
    const options *o;
    const subject *s;
    scenes *from;
    report page;
} visit;

/* Writes a picture into the folder and onto the page. */
static bool publish(visit *v, image *picture, const char *name, const char *caption, app_error *error)
{
    char file[160], path[1024];
    snprintf(file, sizeof file, "%.140s.png", name);
    for (char *c = file; *c; c++)
        if (strchr(":/\\ ", *c)) *c = '_';
    const bool done = in_folder(path, sizeof path, v->o->out, file, error) && image_write(picture, path, error) &&
                      report_picture(&v->page, path, caption, error);
    image_free(picture);
    if (done) fprintf(stderr, "neurons look: %s\n", path);
    return done;
}

/* Units of a layer that are shown: those that fired, evenly spread. */
static int choose(const layer *l, int most, int *out)
{
    const int alive = layer_alive(l), count = alive < most ? alive : most;
    for (int c = 0, nth = 0, k = 0; c < l->channels && k < count; c++) {
        if (l->units[c].count == 0) continue;
        if (nth++ == (int)((int64_t)k * alive / count)) out[k++] = c;
    }
    return count;
}

/* Shows some units of a layer, or one of them large. */
static bool show(visit *v, const layer *l, const int *units, int unit_count, bool large, app_error *error)
{
    exhibit *items = calloc((size_t)unit_count * NINE + 1, sizeof *items);
    char caption[240], name[128];
    image picture = {0};
    int count = 0;
    if (!items) return app_fail(error, "out of memory");
    for (int u = 0; u < unit_count; u++)
        for (int k = 0; k < l->units[units[u]].count; k++)
            items[count++] = (exhibit){.unit = units[u], .found = l->units[units[u]].best[k]};
    snprintf(caption, sizeof caption, "%s: %d of %d units fired; the nine best of %lld squares each, one from a square",
             l->name, layer_alive(l), l->channels, (long long)v->from->seen);
    snprintf(name, sizeof name, large ? "%s_%d" : "%s", l->name, large ? units[0] : 0);
    const bool done = exhibits_make(items, count, l, v->s, v->from, error) &&
                      (large ? draw_unit : draw_layer)(&picture, l, v->s->name, items, count, error) &&
                      publish(v, &picture, name, caption, error);
    if (done) printf("%s\n", caption);
    image_free(&picture);
    exhibits_free(items, count);
    free(items);
    return done;
}

/* Takes "layer:k" apart, whose layer may have colons itself. */
static bool read_unit(const char *text, char *name, size_t bytes, int *number, app_error *error)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    const long k = colon ? strtol(colon + 1, &end, 10) : -1;
    if (!colon || end == colon + 1 || *end || k < 0 || k > 100000 || (size_t)(colon - text) >= bytes)
        return app_fail(error, "--unit is layer:number, like conv2_1:7, not \"%.80s\"", text);
    snprintf(name, bytes, "%.*s", (int)(colon - text), text);
    *number = (int)k;
    return true;
}

static bool show_filters(visit *v, app_error *error)
{
    image filters = {0};
    return draw_filters(&filters, v->s, error) && publish(v, &filters, "filters", "filters of the first layer", error);
}

static bool show_layers(visit *v, const layers *all, app_error *error)
{
    bool done = true;
    for (int i = 0; done && i < all->count; i++) {
        const layer *l = &all->items[i];
        int units[MOST_UNITS];
        if (l->wanted) done = show(v, l, units, choose(l, v->o->units, units), false, error);
    }
    return done;
}

/* The layer of --unit; fails where there is none, or no such unit in it. */
static const layer *layer_of(const layers *all, const char *name, int number, app_error *error)
{
    const layer *l = NULL;
    for (int i = 0; i < all->count && !l; i++)
        if (strcmp(all->items[i].name, name) == 0) l = &all->items[i];
    if (!l) app_fail(error, "there is no layer \"%s\"; neurons fields lists them", name);
    else if (number >= l->channels) app_fail(error, "%s has %d units, from 0", name, l->channels);
    return error->text[0] ? NULL : l;
}

static bool show_unit(visit *v, const layer *l, int number, app_error *error)
{
    if (l->units[number].count == 0) return app_fail(error, "unit %d of %s never fired", number, l->name);
    return show(v, l, &number, 1, true, error);
}

static bool look(const options *o, tsr_context *ctx, app_error *error)
{
    subject s = {.m = NULL};
    scenes from = {.held = -1};
    layers all = {0};
    const layer *one = NULL;
    char name[96] = "", path[1024], text[400];
    int number = 0;
    visit v = {.o = o, .s = &s, .from = &from};
    bool done = (!o->unit || read_unit(o->unit, name, sizeof name, &number, error)) && open_net(&s, ctx, o, error) &&
                layers_find(&all, &s, o->unit ? name : o->layers, error) &&
                (!o->unit || (one = layer_of(&all, name, number, error)) != NULL) &&
                folder_make(o->out, error) && in_folder(path, sizeof path, o->out, "neurons.html", error);
    if (done) {
        tell_layers(&all, &s);
        from.size = s.size;
        from.channels = s.channels;
        from.part = s.part;
        from.crops = o->crops;
        if (s.aligned && o->data && !o->landmarks)
            fprintf(stderr, "neurons look: %s was trained on faces aligned by landmarks (--landmarks)\n", s.name);
        done = (!o->landmarks || landmarks_read(&from.faces, o->landmarks, error)) &&
               scenes_open(&from, o->data, o->faces, error) &&
               layers_gather(&all, &s, &from, "neurons: looking for what units like", error);
    }
    if (done) {
        snprintf(text, sizeof text, "%s saw %lld squares of %dx%d pixels out of %d pictures (%.200s)", s.name,
                 (long long)from.seen, s.size, s.size, from.count - (int)from.broken,
                 o->data ? o->data : "built-in faces");
        printf("%s\n", text);
        if (from.broken > 0)
            fprintf(stderr, "neurons look: %lld pictures cannot be read, the first: %s\n", (long long)from.broken,
                    from.first_broken);
        done = report_open(&v.page, path, "What the units have learned", error);
        if (done) {
            report_text(&v.page, text);
            done = show_filters(&v, error) && (one ? show_unit(&v, one, number, error) : show_layers(&v, &all, error));
            done = report_close(&v.page, error) && done;
        }
    }
    layers_free(&all);
    scenes_close(&from);
    return done && (fflush(stdout) == 0 || app_fail(error, "stdout: could not be written"));
}

/* ---- the verbs --------------------------------------------------------------------------------------------------- */

typedef struct task {
    const char *verb, *summary;
    bool (*run)(const options *o, tsr_context *ctx, app_error *error);
    int options; /* it takes so many of the list below; 0: all */
} task;

static int run(const task *t, int count, char **arguments)
{
    options o = {.out = "out/neurons", .units = 12, .faces = 2000, .steps = 400};
    const option list[] = {
        {"model", OPTION_TEXT, &o.model,
         "weights: a model of facenet, face_resnet29, VGG-19 or SqueezeNet 1.1; without: a small net is trained",
         "FILE", 0, 0, NULL},
        {"size", OPTION_INT, &o.size, "side of the squares, where the net takes any; 0: its own", "N", 0, 1024, NULL},
        {"steps", OPTION_INT, &o.steps, "steps of training where there is no --model", "N", 1, 1e5, NULL},
        {"threads", OPTION_INT, &o.threads, "threads; 0: all; changes no result", "N", 0, 1024, NULL},
        {"data", OPTION_TEXT, &o.data, "a folder of pictures, however deep; without: built-in faces", "DIR", 0, 0,
         NULL},
        {"faces", OPTION_INT, &o.faces, "built-in faces that are shown", "N", 1, 1e6, NULL},
        {"crops", OPTION_FLAG, &o.crops, "cut pictures into squares as they are, instead of resizing a part of each",
         NULL, 0, 0, NULL},
        {"part", OPTION_DOUBLE, &o.part,
         "side of the middle square that is taken, in shorter sides; 0: as the model says", "X", 0, 1, NULL},
        {"landmarks", OPTION_TEXT, &o.landmarks,
         "align faces by lines of a picture and x y of both eyes, or of eyes, nose and corners of the mouth", "FILE", 0,
         0, NULL},
        {"layers", OPTION_TEXT, &o.layers, "names of layers, or how they begin, with commas; without: all", "NAMES", 0,
         0, NULL},
        {"units", OPTION_INT, &o.units, "units of each layer that are shown, evenly spread", "N", 1, MOST_UNITS, NULL},
        {"unit", OPTION_TEXT, &o.unit, "show one unit large", "LAYER:K", 0, 0, NULL},
        {"out", OPTION_TEXT, &o.out, "where pictures and neurons.html go", "DIR", 0, 0, NULL}};
    command c = {.program = "neurons", .verb = t->verb, .summary = t->summary, .options = list,
                 .option_count = t->options};
    if (t->options == 0) c.option_count = (int)(sizeof list / sizeof *list);
    const int status = command_start(&c, count, arguments);
    if (status != COMMAND_GO) return status;
    app_error error = {""};
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 1, .threads = o.threads});
    const bool done = (ctx || app_fail(&error, "out of memory")) && t->run(&o, ctx, &error);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "neurons %s: %s\n", t->verb, error.text);
    return done ? 0 : 1;
}

static int run_look(int count, char **arguments)
{
    return run(&(task){"look", "Shows what excites the units of each layer most, and what of it did.", look, 0}, count,
               arguments);
}

static int run_fields(int count, char **arguments)
{
    return run(&(task){"fields", "Lists the layers, and what a unit of each sees of a picture.", list_fields, 4}, count,
               arguments);
}

int main(int count, char **arguments)
{
    static const verb verbs[] = {{"look", "show what the units of a net have learned to see", run_look},
                                 {"fields", "list the layers and what a unit of each sees", run_fields}};
    return command_run("neurons", "Looks into a trained net.", verbs, (int)(sizeof verbs / sizeof *verbs), count,
                       arguments);
}
