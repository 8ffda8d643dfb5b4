/* neurons: what the units of a trained net have learned to see (Zeiler and Fergus, "Visualizing and understanding
 * convolutional networks", 2014): the patches of pictures that excite them most, and, by a deconvnet, what in these
 * patches did. */
#include "apps/common/command.h"
#include "apps/common/report.h"
#include "apps/neurons/neurons.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    const char *model, *data, *out, *layers, *unit;
    int size, units, faces, steps, threads;
    bool crops;
    double part;
} options;

static bool open_net(subject *s, tsr_context *ctx, const options *o, app_error *error)
{
    if (!ctx) return app_fail(error, "out of memory");
    if (o->model ? !subject_open(s, ctx, o->model, error) : !subject_train(s, ctx, o->steps, error)) return false;
    if (o->size > 0 && o->size != s->size && !s->any_size)
        return app_fail(error, "--size: %s sees squares of %dx%d", s->name, s->size, s->size);
    if (o->size > 0) s->size = o->size;
    if (o->part > 0) s->part = (picture_part){.size = o->part};
    return true;
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

static void tell_layers(const layers *all, const subject *s)
{
    printf("%s on %dx%dx%d\n%-28s %12s %10s %8s %8s\n", s->name, s->size, s->size, s->channels, "layer", "result", "field",
           "stride", "offset");
    for (int i = 0; i < all->count; i++) {
        const layer *l = &all->items[i];
        char result[40], field[40];
        snprintf(result, sizeof result, "%dx%dx%d", l->height, l->width, l->channels);
        snprintf(field, sizeof field, "%dx%d", (int)l->field.size[0], (int)l->field.size[1]);
        if (l->field.whole) printf("%-28s %12s %10s\n", l->name, result, "whole");
        else
            printf("%-28s %12s %10s %8d %8d\n", l->name, result, field, (int)l->field.stride[0], (int)l->field.start[0]);
    }
}

static int run_fields(int count, char **arguments)
{
    options o = {.steps = 0};
    const option list[] = {
        {"model", OPTION_TEXT, &o.model, "weights: a model of facenet, face_resnet29, VGG-19 or SqueezeNet 1.1", "FILE", 0, 0,
         NULL},
        {"size", OPTION_INT, &o.size, "side of the squares, where the net takes any; 0: its own", "N", 0, 1024, NULL}};
    command c = {.program = "neurons", .verb = "fields", .summary = "Lists layers: what a unit of each sees of a picture.",
                 .options = list, .option_count = (int)(sizeof list / sizeof *list)};
    const int status = command_start(&c, count, arguments);
    if (status != COMMAND_GO) return status;
    app_error error = {""};
    subject s;
    static layers all;
    tsr_context *ctx = tsr_open(NULL);
    const bool done = open_net(&s, ctx, &o, &error) && layers_find(&all, &s, NULL, &error);
    if (done) tell_layers(&all, &s);
    else fprintf(stderr, "neurons fields: %s\n", error.text);
    layers_free(&all);
    tsr_close(ctx);
    return done ? 0 : 1;
}

/* ---- looking ------------------------------------------------------------------------------------------------------ */

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

static bool show_all(visit *v, const layers *all, const char *unit_layer, int number, app_error *error)
{
    image filters = {0};
    bool done = draw_filters(&filters, v->s, error) && publish(v, &filters, "filters", "filters of the first layer", error);
    for (int i = 0; done && i < all->count; i++) {
        const layer *l = &all->items[i];
        if (!l->wanted) continue;
        int units[1000];
        const bool large = unit_layer[0] != '\0';
        if (large && strcmp(l->name, unit_layer) != 0) continue; /* "conv1" fits "conv1:relu", too */
        if (large && (number >= l->channels || l->units[number].count == 0))
            return app_fail(error, number < l->channels ? "unit %d of %s never fired" : "there is no unit %d in %s", number,
                            l->name);
        units[0] = number;
        done = show(v, l, units, large ? 1 : choose(l, v->o->units, units), large, error);
    }
    return done;
}

static bool look(const options *o, tsr_context *ctx, app_error *error)
{
    subject s = {.m = NULL};
    scenes from = {.held = -1};
    static layers all;
    char unit_layer[96] = "", path[1024], text[400];
    int number = 0;
    visit v = {.o = o, .s = &s, .from = &from};
    bool done = (!o->unit || read_unit(o->unit, unit_layer, sizeof unit_layer, &number, error)) &&
                open_net(&s, ctx, o, error) && layers_find(&all, &s, o->unit ? unit_layer : o->layers, error) &&
                folder_make(o->out, error) && in_folder(path, sizeof path, o->out, "neurons.html", error);
    if (done) {
        tell_layers(&all, &s);
        from.size = s.size;
        from.channels = s.channels;
        from.part = s.part;
        from.crops = o->crops;
        done = scenes_open(&from, o->data, o->faces, error) &&
               layers_gather(&all, &s, &from, "neurons: looking for what units like", error);
    }
    if (done) {
        snprintf(text, sizeof text, "%s saw %lld squares of %dx%d pixels out of %d pictures (%.200s)%s", s.name,
                 (long long)from.seen, s.size, s.size, from.count - (int)from.broken, o->data ? o->data : "built-in faces",
                 from.broken > 0 ? "; some could not be read" : "");
        printf("%s\n", text);
        if (from.broken > 0)
            fprintf(stderr, "neurons look: %lld pictures cannot be read, the first: %s\n", (long long)from.broken,
                    from.first_broken);
        done = report_open(&v.page, path, "What the units have learned", error);
        if (done) {
            report_text(&v.page, text);
            done = show_all(&v, &all, unit_layer, number, error);
            done = report_close(&v.page, error) && done;
        }
    }
    layers_free(&all);
    scenes_close(&from);
    return done && (fflush(stdout) == 0 || app_fail(error, "stdout: could not be written"));
}

static int run_look(int count, char **arguments)
{
    options o = {.out = "out/neurons", .units = 12, .faces = 2000, .steps = 150};
    const option list[] = {
        {"model", OPTION_TEXT, &o.model,
         "weights: a model of facenet, face_resnet29, VGG-19 or SqueezeNet 1.1; without: a small net is trained", "FILE", 0, 0,
         NULL},
        {"data", OPTION_TEXT, &o.data, "a folder of pictures, however deep; without: built-in faces", "DIR", 0, 0, NULL},
        {"out", OPTION_TEXT, &o.out, "where pictures and neurons.html go", "DIR", 0, 0, NULL},
        {"layers", OPTION_TEXT, &o.layers, "names of layers, or how they begin, with commas; without: all", "NAMES", 0, 0,
         NULL},
        {"units", OPTION_INT, &o.units, "units of each layer that are shown, evenly spread", "N", 1, 1000, NULL},
        {"unit", OPTION_TEXT, &o.unit, "show one unit large", "LAYER:K", 0, 0, NULL},
        {"crops", OPTION_FLAG, &o.crops, "cut pictures into squares as they are, instead of resizing one part of each", NULL,
         0, 0, NULL},
        {"part", OPTION_DOUBLE, &o.part, "side of the middle square that is taken, in shorter sides; 0: as the model says",
         "X", 0, 1, NULL},
        {"size", OPTION_INT, &o.size, "side of the squares, where the net takes any; 0: its own", "N", 0, 1024, NULL},
        {"faces", OPTION_INT, &o.faces, "built-in faces that are shown", "N", 1, 1e6, NULL},
        {"steps", OPTION_INT, &o.steps, "steps of training where there is no --model", "N", 1, 1e5, NULL},
        {"threads", OPTION_INT, &o.threads, "threads; 0: all; changes no result", "N", 0, 1024, NULL}};
    command c = {.program = "neurons", .verb = "look",
                 .summary = "Shows the patches that excite the units of each layer most, and what in them did.",
                 .options = list, .option_count = (int)(sizeof list / sizeof *list)};
    const int status = command_start(&c, count, arguments);
    if (status != COMMAND_GO) return status;
    app_error error = {""};
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = 1, .threads = o.threads});
    const bool done = look(&o, ctx, &error);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "neurons look: %s\n", error.text);
    return done ? 0 : 1;
}

int main(int count, char **arguments)
{
    static const verb verbs[] = {{"look", "show what the units of a net have learned to see", run_look},
                                 {"fields", "list the layers and what a unit of each sees", run_fields}};
    return command_run("neurons", "Looks into a trained net.", verbs, (int)(sizeof verbs / sizeof *verbs), count, arguments);
}
