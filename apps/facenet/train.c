/* facenet train */
#include "apps/facenet/train_options.h"

#include "apps/common/report.h"
#include "core/platform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct trainer {
    const train_options *o;
    training training;
    face_view view;
    portraits data;
    pictures known;      /* those that are trained on: the first of the data's; the others judge */
    pairs judged;        /* of the others, by their numbers among the data's */
    verification result; /* the last judgement */
    char model_path[1024];
} trainer;

static int64_t embedding_parameters(const tsr_model *m)
{
    const int classes = tsr_model_find(m, TRAINING_CLASSES ".weight");
    return tsr_parameter_count(m) - (classes < 0 ? 0 : tsr_size(tsr_model_tensor(m, classes)));
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

/* Parts off the last people, who will judge the model. */
static bool part_off(trainer *t, app_error *error)
{
    const int persons = portraits_people(&t->data), judges = t->o->validate_people;
    const pictures *all = &t->data.pictures;
    t->known = *all;
    if (judges == 0) return true;
    if (judges >= persons)
        return app_fail(error, "--validate-people %d: there are %d people, and some have to be trained on", judges,
                        persons);
    t->known.count = 0;
    while (all->labels[t->known.count] < persons - judges) t->known.count++;
    if (t->known.held > t->known.count) t->known.held = t->known.count;
    const int first = t->known.count;
    return pairs_generate(&t->judged, all->labels + first, all->count - first, 300, 1, error);
}

static bool judge(void *user, double *score, app_error *error)
{
    trainer *t = user;
    contender c = {.name = "validation"};
    const bool done = net_verify(&c, t->training.m, &t->data.pictures, t->known.count, &t->judged, error);
    t->result = c.result;
    *score = c.result.auc;
    contender_free(&c);
    return done;
}

/* Saves the model, without what only training needs. */
static bool keep(void *user, app_error *error)
{
    trainer *t = user;
    char threshold[40];
    tsr_model *m = t->training.m;
    snprintf(threshold, sizeof threshold, "%.6g", t->result.threshold);
    tsr_set_text(m, "threshold", t->judged.count > 0 ? threshold : NULL); /* that of --from holds no longer */
    tsr_set_text(m, "arguments", NULL);
    const bool done = tsr_model_save(m, t->model_path, &(tsr_save_options){.without = TRAINING_CLASSES});
    tsr_set_text(m, "arguments", t->o->arguments);
    return done || app_fail(error, "%s", tsr_error(tsr_model_context(m)));
}

static bool take_step(void *user, int64_t step, double *row, app_error *error)
{
    return training_take_step(&((trainer *)user)->training, step, row, error);
}

static void tell(void *user, const double *row, char *text, size_t bytes)
{
    (void)user;
    training_tell(row, text, bytes);
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

/* Of two steps of a part, the second: by then memory and caches are warm. False after an error. */
static bool time_step(training *t, int64_t first, double *seconds, app_error *error)
{
    double row[LOG_COLUMNS];
    if (!training_take_step(t, first, row, error)) return false;
    const double start = tsr_platform_seconds();
    if (!training_take_step(t, first + 1, row, error)) return false;
    *seconds = tsr_platform_seconds() - start;
    return true;
}

static bool tell_plan(trainer *t, app_error *error)
{
    const training_settings *s = &t->training.settings;
    const pictures *all = &t->data.pictures;
    tsr_model *m = t->training.m;
    double softmax = 0, triplets = 0;
    if (s->softmax_steps > 0 && !time_step(&t->training, 0, &softmax, error)) return false;
    if (s->steps > 0 && !time_step(&t->training, s->softmax_steps, &triplets, error)) return false;
    const double memory = (double)tsr_statistics_of(tsr_model_context(m)).peak_bytes;
    printf("plan: parameters=%lld pictures=%d people=%d batch=%d\n", (long long)embedding_parameters(m), t->known.count,
           t->training.sampler.people, t->training.sampler.per_batch * t->training.sampler.per_person);
    printf("plan: memory_mb=%.0f of them pictures_mb=%.0f (what does not fit into --cache-mb is decoded again)\n",
           (memory + (double)all->held * (double)picture_bytes(all)) / 1048576,
           (double)all->held * (double)picture_bytes(all) / 1048576);
    printf("plan: softmax_steps=%lld of %.3f s, steps=%lld of %.3f s: about %.0f s in all, without judgements\n",
           (long long)s->softmax_steps, softmax, (long long)s->steps, triplets,
           (double)s->softmax_steps * softmax + (double)s->steps * triplets);
    return true;
}

/* A resumed run must find the data that it was begun with. */
static bool check_data(const trainer *t, app_error *error)
{
    char text[64];
    tsr_model *m = t->training.m;
    const char *before = tsr_text_of(m, "data");
    snprintf(text, sizeof text, "%d pictures of %d people", t->data.pictures.count, portraits_people(&t->data));
    if (t->o->resume && before && strcmp(before, text) != 0)
        return app_fail(error, "--resume: the run was begun with %s, now there are %s", before, text);
    tsr_set_text(m, "data", text);
    return true;
}

static bool save_picture(image *picture, bool drawn, const char *folder, const char *name, app_error *error)
{
    char path[1024];
    const bool done = drawn && in_folder(path, sizeof path, folder, name, error) && image_write(picture, path, error);
    image_free(picture);
    return done;
}

/* The curves of the run, and triplets of its last batch. */
static bool draw_run(trainer *t, const run_log *log, app_error *error)
{
    static const run_curve curves[] = {{LOG_LOSS, "loss"}, {LOG_CORRECT, "classified right (share)"},
                                       {LOG_ACTIVE, "active triplets (share of those possible)"},
                                       {LOG_POSITIVE, "mean distance^2, same person"},
                                       {LOG_NEGATIVE, "mean distance^2, different people"},
                                       {LOG_VALIDATION, "AUC, people kept apart"}};
    const training *steps = &t->training;
    const sampler *s = &steps->sampler;
    const char *folder = t->o->out;
    image chart = {0}, sheet = {0};
    bool drawn = run_log_chart(&chart, log, "training", curves, (int)(sizeof curves / sizeof *curves), error);
    if (!save_picture(&chart, drawn, folder, "loss.png", error)) return false;
    sampler_draw(s, steps->settings.steps > 0 ? steps->settings.steps - 1 : 0, steps->numbers);
    drawn = draw_triplets(&sheet, steps->m, &t->known, (picture_list){steps->numbers, s->per_batch * s->per_person},
                          error);
    return save_picture(&sheet, drawn, folder, "triplets.png", error);
}

static bool write_report(const trainer *t, const run_result *r, app_error *error)
{
    report page;
    char path[1024], text[300];
    if (!in_folder(path, sizeof path, t->o->out, "report.html", error) ||
        !report_open(&page, path, "facenet: a training run", error))
        return false;
    snprintf(text, sizeof text, "%s, %lld parameters, %lld steps on %d pictures of %d people, seed %llu.",
             t->view.form.net->name, (long long)embedding_parameters(t->training.m), (long long)r->steps,
             t->known.count, t->training.sampler.people, (unsigned long long)t->o->seed);
    report_text(&page, text);
    if (r->best_step > 0) {
        snprintf(text, sizeof text, "On %d people kept apart: AUC %.4f after step %lld.", t->o->validate_people,
                 r->best, (long long)r->best_step);
        report_text(&page, text);
    }
    for (int i = 0; train_drawings[i].name; i++)
        if (in_folder(path, sizeof path, t->o->out, train_drawings[i].name, error))
            report_picture(&page, path, train_drawings[i].caption, error);
    return report_close(&page, error);
}

static bool run(trainer *t, app_error *error)
{
    const train_options *o = t->o;
    training *steps = &t->training;
    const bool judges = t->judged.count > 0;
    const run_plan plan = {.program = "facenet train", .folder = o->out, .m = steps->m, .opt = steps->opt,
                           .steps = steps->settings.softmax_steps + steps->settings.steps, .save_every = o->save_every,
                           .validate_every = judges ? o->validate_every : 0, .patience = o->patience,
                           .columns = training_columns, .column_count = LOG_COLUMNS,
                           .pictures = steps->sampler.per_batch * steps->sampler.per_person, .user = t,
                           .take_step = take_step, .tell = tell, .validate = judge, .keep = keep};
    run_result r = {.steps = 0};
    image sheet = {0};
    if (!in_folder(t->model_path, sizeof t->model_path, o->out, "model.safetensors", error)) return false;
    tsr_set_text(steps->m, "arguments", o->arguments);
    if (!folder_make(o->out, error) ||
        !save_picture(&sheet, draw_people(&sheet, &t->known, error), o->out, "faces.png", error) ||
        !run_go(&r, &plan, o->resume, error))
        return false;
    bool done = draw_run(t, &r.log, error) && write_report(t, &r, error);
    if (done && !r.interrupted) printf("model: %s steps=%lld\n", t->model_path, (long long)r.steps);
    if (done && r.best_step > 0) printf("validation: auc=%.4f step=%lld\n", r.best, (long long)r.best_step);
    run_free(&r);
    return done && (!r.interrupted || app_fail(error, "interrupted"));
}

/* Of a new model, or of the one to go on from. */
static bool make_view(face_view *out, tsr_model *m, train_options *o, app_error *error)
{
    char path[1024];
    *out = (face_view){0};
    if (o->resume && !run_checkpoint_path(path, sizeof path, o->out, error)) return false;
    if (o->resume || o->from) {
        if (!view_open(m, o->resume ? path : o->from, out, error)) return false;
    } else {
        const face_net *net = face_net_find(o->net, error);
        const face_form wanted = {.size = o->size, .channels = o->grey ? 1 : 3, .embedding = o->embedding};
        if (!net || !face_form_of(&out->form, net, &wanted, error)) return false;
    }
    view_choose(out, &o->faces, o->from, o->nets);
    view_describe(m, out);
    return true;
}

static bool train(trainer *t, tsr_model *m, app_error *error)
{
    const training_settings *wanted = &t->o->training;
    portraits_tell(&t->data, "facenet train");
    if (!part_off(t, error) || !training_open(&t->training, m, &t->known, wanted, error)) return false;
    if (t->training.sampler.per_batch < wanted->per_batch)
        fprintf(stderr, "facenet train: %d people have two pictures or more: a batch holds all of them, not %d\n",
                t->training.sampler.people, wanted->per_batch);
    const bool done = check_data(t, error) && (t->o->plan ? tell_plan : run)(t, error);
    training_close(&t->training);
    return done;
}

int facenet_train(int count, char **arguments)
{
    train_options o;
    const int status = train_options_parse(&o, count, arguments);
    if (status != COMMAND_GO) return status;
    app_error error = {""};
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = o.seed, .threads = o.threads});
    tsr_model *m = tsr_model_new(ctx);
    trainer t = {.o = &o};
    bool done = m || app_fail(&error, "out of memory");
    done = done && make_view(&t.view, m, &o, &error) && view_open_faces(&t.view, &t.data, ctx, &o.faces, &error) &&
           train(&t, m, &error);
    pairs_free(&t.judged);
    portraits_close(&t.data);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "facenet train: %s\n", error.text);
    return done ? 0 : 1;
}
