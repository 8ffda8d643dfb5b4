/* facenet lessons: the arguments for triplets and for one-shot recognition, as measured curves. */
#include "apps/facenet/training.h"

#include "apps/common/plot.h"
#include "core/platform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct lessons_options {
    portraits_request faces;
    const char *characters, *out;
    int steps, threads;
    uint64_t seed;
} lessons_options;

/* ---- a class of pictures: some to learn from, some to be asked about --------------------------------------------- */

/* Some pictures of another set, by number. */
typedef struct selection {
    const pictures *of;
    const int *numbers;
} selection;

static bool make_selected(const pictures *set, int number, unsigned char *pixels, app_error *error)
{
    const selection *s = set->source;
    return pictures_fetch(s->of, &s->numbers[number], 1, pixels, error);
}

static bool select_pictures(pictures *out, const selection *from, int count, app_error *error)
{
    *out = *from->of;
    out->count = count;
    out->make = make_selected;
    out->source = from;
    if (!pictures_open(out, 256, NULL, error)) return false;
    for (int i = 0; i < count; i++) out->labels[i] = from->of->labels[from->numbers[i]];
    return true;
}

static int people_of(const pictures *set)
{
    return set->count > 0 ? set->labels[set->count - 1] + 1 : 0;
}

/* All but the last fifth of the people, who are kept as strangers. */
static pictures without_strangers(const pictures *set)
{
    const int count = people_of(set), strangers = count / 5 > 1 ? count / 5 : 2;
    pictures known = *set;
    known.count = 0;
    while (known.count < set->count && set->labels[known.count] < count - strangers) known.count++;
    if (known.held > known.count) known.held = known.count;
    return known;
}

/* A model to begin with: the small net, the same weights each time. */
typedef struct learner {
    tsr_context *ctx;
    tsr_model *m;
    training training;
} learner;

static bool learner_open(learner *out, const lessons_options *o, const face_view *view, const pictures *set,
                         const training_settings *settings, app_error *error)
{
    *out = (learner){.ctx = tsr_open(&(tsr_options){.seed = o->seed, .threads = o->threads})};
    out->m = tsr_model_new(out->ctx);
    if (!out->m) return app_fail(error, "out of memory");
    view_describe(out->m, view);
    return training_open(&out->training, out->m, set, settings, error);
}

static void learner_close(learner *l)
{
    if (l->m) training_close(&l->training);
    tsr_close(l->ctx);
}

static training_settings settings_of(const lessons_options *o)
{
    return (training_settings){.steps = o->steps, .per_batch = 24, .per_person = 4, .lr = 0.003, .softmax_lr = 0.003,
                               .weight_decay = 0.01, .margin = 0.2, .softmax_margin = 0.2, .softmax_scale = 20,
                               .variation = {.shift = 0.06, .scale = 0.06, .rotation = 0.08, .flip = true}};
}

static bool draw(const plot_chart *chart, const char *folder, const char *name, app_error *error)
{
    char path[1024];
    image picture = {0};
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return app_fail(error, "--out: the name is too long");
    const bool done = plot_draw(&picture, chart, error) && image_write(&picture, path, error);
    image_free(&picture);
    if (done) fprintf(stderr, "facenet lessons: %s\n", path);
    return done;
}

/* ---- 1: triplets drawn at random stop teaching ------------------------------------------------------------------- */

enum { POINTS = 16 };

typedef struct progress_of {
    double step[POINTS], active[POINTS], eer[POINTS];
} progress_of;

static bool learn_by(progress_of *out, const lessons_options *o, const face_view *view, const pictures *set,
                     bool unmined, app_error *error)
{
    learner l;
    pairs list = {0};
    training_settings settings = settings_of(o);
    settings.unmined = unmined;
    const pictures known = without_strangers(set);
    bool done = learner_open(&l, o, view, &known, &settings, error) &&
                pairs_generate(&list, set->labels + known.count, set->count - known.count, 300, 1, error);
    const int64_t every = (settings.steps + POINTS - 1) / POINTS;
    double active = 0;
    for (int64_t step = 0; done && step < every * POINTS; step++) {
        double row[LOG_COLUMNS];
        contender c = {.name = "model"};
        done = training_take_step(&l.training, step < settings.steps ? step : settings.steps - 1, row, error);
        active += row[LOG_ACTIVE] / (double)every;
        if (!done || (step + 1) % every != 0) continue;
        const int64_t at = step / every;
        done = net_verify(&c, l.m, set, known.count, &list, error);
        out->step[at] = (double)step + 1;
        out->active[at] = active;
        out->eer[at] = c.result.eer;
        printf("triplets: mining=%s step=%lld active=%.3f auc=%.4f eer=%.4f\n", unmined ? "any" : "semi-hard",
               (long long)step + 1, active, c.result.auc, c.result.eer);
        active = 0;
        contender_free(&c);
    }
    pairs_free(&list);
    learner_close(&l);
    return done;
}

static bool lesson_triplets(const lessons_options *o, const face_view *view, const pictures *set, app_error *error)
{
    progress_of any, hard;
    if (!learn_by(&any, o, view, set, true, error) || !learn_by(&hard, o, view, set, false, error)) return false;
    const plot_series active[] = {{"random triplets", any.step, any.active, POINTS},
                                  {"semi-hard triplets", hard.step, hard.active, POINTS}};
    const plot_series errors[] = {{"random triplets", any.step, any.eer, POINTS},
                                  {"semi-hard triplets", hard.step, hard.eer, POINTS}};
    return draw(&(plot_chart){.title = "which triplets go on teaching?", .x_label = "step",
                              .y_label = "share of the triplets that have a loss", .series = active, .series_count = 2,
                              .y_min = 0, .y_max = 1},
                o->out, "lesson_triplets.png", error) &&
           draw(&(plot_chart){.title = "and what that is worth", .x_label = "step",
                              .y_label = "equal error rate on strangers", .series = errors, .series_count = 2},
                o->out, "lesson_errors.png", error);
}

/* ---- 2: a classifier has to be trained again for a newcomer, a gallery has not ----------------------------------- */

enum { ASKED = 2 }; /* the last pictures of each are asked about */

/* Where the pictures of each person begin, [count + 1]. */
static int *places_of(const pictures *set, int people_count)
{
    int *first = malloc(((size_t)people_count + 1) * sizeof *first);
    for (int i = 0, who = 0; first && who <= people_count; who++) {
        while (i < set->count && set->labels[i] < who) i++;
        first[who] = i;
    }
    return first;
}

typedef struct reception {
    const pictures *set;
    int known, people;   /* those who were trained on, and all */
    const int *first;    /* [people + 1] */
    int length;
    const tsr_real *rows; /* embeddings of all pictures */
    const tsr_real *classes; /* [known, length] */
} reception;

/* Who comes nearest to picture i: of the first `count` people, by the first picture of each. */
static int nearest_enrolled(const reception *r, int i, int count)
{
    int best = 0;
    double least = INFINITY;
    for (int who = 0; who < count; who++) {
        const double d = squared_distance(r->rows + (ptrdiff_t)i * r->length,
                                          r->rows + (ptrdiff_t)r->first[who] * r->length, r->length);
        if (d < least) {
            least = d;
            best = who;
        }
    }
    return best;
}

/* Of the known people, the class with the largest cosine. */
static int classified(const reception *r, int i)
{
    const tsr_real *row = r->rows + (ptrdiff_t)i * r->length;
    int best = 0;
    double most = -INFINITY;
    for (int who = 0; who < r->known; who++) {
        double dot = 0, square = 0;
        for (int k = 0; k < r->length; k++) {
            const double w = (double)r->classes[who * r->length + k];
            dot += w * (double)row[k];
            square += w * w;
        }
        if (dot / sqrt(square) > most) {
            most = dot / sqrt(square);
            best = who;
        }
    }
    return best;
}

/* As people come, how many of all are still recognised, with nothing retrained. */
static bool receive(const reception *r, const char *folder, app_error *error)
{
    const int points = r->people - r->known + 1;
    double *room = malloc(3 * (size_t)points * sizeof *room);
    if (!room) return app_fail(error, "out of memory");
    double *x = room, *softmax = room + points, *one_shot = softmax + points;
    for (int count = r->known; count <= r->people; count++) {
        int right[2] = {0, 0}, asked = 0;
        for (int who = 0; who < count; who++)
            for (int i = r->first[who + 1] - ASKED; i < r->first[who + 1]; i++, asked++) {
                right[0] += classified(r, i) == who;
                right[1] += nearest_enrolled(r, i, count) == who;
            }
        x[count - r->known] = count - r->known;
        softmax[count - r->known] = (double)right[0] / asked;
        one_shot[count - r->known] = (double)right[1] / asked;
    }
    printf("newcomers: known=%d newcomers=0 softmax=%.4f one_shot=%.4f\n", r->known, softmax[0], one_shot[0]);
    printf("newcomers: known=%d newcomers=%d softmax=%.4f one_shot=%.4f\n", r->known, points - 1, softmax[points - 1],
           one_shot[points - 1]);
    const plot_series series[] = {{"N-way softmax, not retrained", x, softmax, points},
                                  {"one enrolled picture each", x, one_shot, points}};
    const bool done = draw(&(plot_chart){.title = "newcomers", .x_label = "people who came after training",
                                         .y_label = "pictures of all, recognised", .series = series, .series_count = 2,
                                         .y_min = 0, .y_max = 1},
                           folder, "lesson_newcomers.png", error);
    free(room);
    return done;
}

/* Trains the classifier on all but the last pictures of the known people, then opens the doors. */
static bool train_and_receive(reception *r, const lessons_options *o, const face_view *view, int *numbers,
                              app_error *error)
{
    int count = 0;
    learner l = {0};
    pictures trained = {0};
    training_settings settings = settings_of(o);
    settings.softmax_steps = settings.steps;
    settings.steps = 0;
    for (int who = 0; who < r->known; who++)
        for (int i = r->first[who]; i < r->first[who + 1] - ASKED; i++) numbers[count++] = i;
    const selection chosen = {r->set, numbers};
    bool done = select_pictures(&trained, &chosen, count, error) &&
                learner_open(&l, o, view, &trained, &settings, error);
    const double start = tsr_platform_seconds();
    for (int64_t step = 0; done && step < settings.softmax_steps; step++) {
        double row[LOG_COLUMNS];
        done = training_take_step(&l.training, step, row, error);
    }
    const double seconds = tsr_platform_seconds() - start;
    tsr_real *rows = malloc((size_t)r->set->count * (size_t)r->length * sizeof *rows);
    if (done && !rows) done = app_fail(error, "out of memory for %d embeddings", r->set->count);
    done = done && net_embed(l.m, r->set, (net_range){.count = r->set->count}, rows, error);
    const int classes = done ? tsr_model_find(l.m, TRAINING_CLASSES ".weight") : -1;
    if (done && l.training.sampler.people == r->known && classes >= 0) {
        r->rows = rows;
        r->classes = tsr_data(tsr_model_tensor(l.m, classes));
        const double begin = tsr_platform_seconds();
        done = net_embed(l.m, r->set, (net_range){.count = 1}, rows, error);
        const double enrolling = tsr_platform_seconds() - begin;
        done = done && receive(r, o->out, error);
        if (done)
            printf("newcomers: training the softmax took %.1f s, enrolling a picture takes %.2f ms\n", seconds,
                   1000 * enrolling);
    } else if (done) done = app_fail(error, "some of the first %d people have fewer than four pictures", r->known);
    free(rows);
    pictures_close(&trained);
    learner_close(&l);
    return done;
}

static bool lesson_newcomers(const lessons_options *o, const face_view *view, const pictures *set, app_error *error)
{
    const int people_count = people_of(set);
    int *first = places_of(set, people_count), *numbers = malloc(((size_t)set->count + 1) * sizeof *numbers);
    reception r = {.set = set, .known = people_count / 2, .people = people_count, .first = first,
                   .length = view->form.embedding};
    bool done = (first && numbers) || app_fail(error, "out of memory");
    for (int who = 0; done && who < people_count; who++)
        if (first[who + 1] - first[who] < ASKED + 2)
            done = app_fail(error, "the lesson about newcomers needs four pictures of everybody");
    done = done && train_and_receive(&r, o, view, numbers, error);
    free(first);
    free(numbers);
    return done;
}

/* ---- 3: it is not about faces ------------------------------------------------------------------------------------ */

enum { WAYS = 20, EPISODES = 1000 };

/* Shown one picture of each of some strangers, which of them is another picture of? The share answered right, by
 * rows of numbers [pictures from `begin` on, length]. */
static double one_shot_accuracy(const pictures *set, int begin, const tsr_real *rows, int length, const int *first,
                                int ways)
{
    const int strangers = people_of(set) - set->labels[begin], base = set->labels[begin];
    int right = 0;
    for (int episode = 0; episode < EPISODES; episode++) {
        int64_t who[1024];
        const tsr_rng rng = {1, tsr_substream(tsr_stream("episode"), (uint64_t)episode)};
        tsr_random_permutation(rng, strangers, who);
        int best = 0, asked = 0;
        double least = INFINITY;
        for (int way = 0; way < ways; way++) {
            const int at = first[base + who[way]], some = first[base + who[way] + 1] - at;
            const int shown = (int)tsr_random_below(rng, 10000 + (uint64_t)way, (uint64_t)some);
            if (way == 0) /* the right answer, by another picture than the one shown */
                asked = at + (shown + 1 + (int)tsr_random_below(rng, 20000, (uint64_t)some - 1)) % some;
            const double d = squared_distance(rows + (ptrdiff_t)(asked - begin) * length,
                                          rows + (ptrdiff_t)(at + shown - begin) * length, length);
            if (d < least) {
                least = d;
                best = way;
            }
        }
        right += best == 0;
    }
    return (double)right / EPISODES;
}

static bool ask_characters(const pictures *set, int begin, const face_view *view, tsr_model *m, app_error *error)
{
    const int count = set->count - begin, length = view->form.embedding, values = (int)picture_bytes(set);
    const int strangers = people_of(set) - set->labels[begin], ways = strangers < WAYS ? strangers : WAYS;
    int *first = places_of(set, people_of(set));
    unsigned char *bytes = malloc((size_t)values);
    tsr_real *rows = malloc((size_t)count * (size_t)length * sizeof *rows);
    tsr_real *pixels = malloc((size_t)count * (size_t)values * sizeof *pixels);
    bool done = (first && bytes && rows && pixels && strangers <= 1024) || app_fail(error, "out of memory");
    for (int i = 0; done && i < count; i++) {
        const int number = begin + i;
        done = pictures_fetch(set, &number, 1, bytes, error);
        for (int k = 0; k < values; k++) pixels[(ptrdiff_t)i * values + k] = (tsr_real)bytes[k];
    }
    done = done && net_embed(m, set, (net_range){begin, count, false}, rows, error);
    if (done)
        printf("characters: one-shot among %d never seen: model=%.3f pixels=%.3f chance=%.3f\n", ways,
               one_shot_accuracy(set, begin, rows, length, first, ways),
               one_shot_accuracy(set, begin, pixels, values, first, ways), 1.0 / ways);
    free(first);
    free(bytes);
    free(rows);
    free(pixels);
    return done;
}

static bool lesson_characters(const lessons_options *o, tsr_context *ctx, app_error *error)
{
    face_view view = {.aligned = false};
    learner l = {0};
    portraits set = {0};
    training_settings settings = settings_of(o);
    settings.variation.flip = false;
    const portraits_request request = {.who.data = o->characters, .cache_mb = 1024};
    const face_form wanted = {.size = 32, .channels = 1};
    if (!face_form_of(&view.form, face_net_find("small", error), &wanted, error)) return false;
    if (!view_open_faces(&view, &set, ctx, &request, error)) return false;
    portraits_tell(&set, "facenet lessons");
    const pictures known = without_strangers(&set.pictures);
    bool done = learner_open(&l, o, &view, &known, &settings, error);
    for (int64_t step = 0; done && step < settings.steps; step++) {
        double row[LOG_COLUMNS];
        done = training_take_step(&l.training, step, row, error);
    }
    done = done && ask_characters(&set.pictures, known.count, &view, l.m, error);
    learner_close(&l);
    portraits_close(&set);
    return done;
}

/* ---- the verb ---------------------------------------------------------------------------------------------------- */

static bool teach(const lessons_options *o, tsr_context *ctx, app_error *error)
{
    face_view view = {.part = o->faces.part};
    portraits set = {0};
    const face_form wanted = {.size = 32, .channels = 3};
    if (!folder_make(o->out, error)) return false;
    if (!face_form_of(&view.form, face_net_find("small", error), &wanted, error)) return false;
    if (!view_open_faces(&view, &set, ctx, &o->faces, error)) return false;
    portraits_tell(&set, "facenet lessons");
    bool done = portraits_people(&set) >= 10 || app_fail(error, "the lessons need ten people at least");
    done = done && lesson_triplets(o, &view, &set.pictures, error) && lesson_newcomers(o, &view, &set.pictures, error);
    portraits_close(&set);
    return done && (!o->characters || lesson_characters(o, ctx, error));
}

int facenet_lessons(int count, char **arguments)
{
    lessons_options o = {.faces = {.per_person = 8, .cache_mb = 1024}, .out = "out", .steps = 320, .seed = 1};
    const option own[] = {
        {"characters", OPTION_TEXT, &o.characters,
         "a list of lines \"path<TAB>character\" (Omniglot's), for the lesson that it is not about faces", "LIST", 0, 0,
         NULL},
        {"steps", OPTION_INT, &o.steps, "batches for each of the four trainings", "N", 16, 1e6, NULL},
        {"seed", OPTION_UINT64, &o.seed, "of everything random", "N", 0, 0, NULL},
        {"threads", OPTION_INT, &o.threads, "0: all; changes no result", "N", 0, 1024, NULL},
        {"out", OPTION_TEXT, &o.out, "folder for the pictures of the lessons", "DIR", 0, 0, NULL},
    };
    command c = {.program = "facenet", .verb = "lessons",
                 .summary = "Shows by measured curves why triplets are mined, and why nobody retrains for a newcomer."};
    const int status = portraits_start(&c, &o.faces, own, (int)(sizeof own / sizeof *own), count, arguments);
    if (status != COMMAND_GO) return status;
    if (!o.faces.who.data && o.faces.who.limit == 0) o.faces.who.limit = 200;
    app_error error = {""};
    tsr_context *ctx = tsr_open(&(tsr_options){.seed = o.seed, .threads = o.threads});
    bool done = teach(&o, ctx, &error);
    tsr_close(ctx);
    if (!done) fprintf(stderr, "facenet lessons: %s\n", error.text);
    return done ? 0 : 1;
}
