/* apps/signals: its data, its judgements, what it draws from, and its verbs as they are called. */
#include "apps/signals/signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/apps/files.h"
#include "tests/test.h"

enum { MOST_ARGUMENTS = 24 };

/* ---- data -------------------------------------------------------------------------------------------------------- */

/* Reads a table in the UCR layout; the message of a refusal, or "". */
static const char *refusal(signal_set *out, const char *text, const signal_set *like)
{
    static app_error error;
    const char *path = test_path("signals.tsv");
    error.text[0] = '\0';
    if (!write_text(path, text)) return "no file";
    signals_read(out, &(signal_source){path, NULL, "train"}, like, &error);
    return error.text;
}

TEST(signals_tables_are_read_with_the_label_first)
{
    signal_set s, other;
    CHECK_TEXT(refusal(&s, "1\t5\t6\t7\n-1\t2\t3\t4\n1\t0\t0\t9\n", NULL), "");
    CHECK_EQUAL(s.count, 3);
    CHECK_EQUAL(s.classes, 2);
    CHECK(tsr_same_shape(s.shape, TSR_SHAPE(3)));
    CHECK_TEXT(s.names[0], "-1");
    CHECK_TEXT(s.names[1], "1");
    CHECK(s.labels[0] == 1 && s.labels[1] == 0 && s.labels[2] == 1);
    CHECK(s.values[0] == 5 && s.values[3] == 2 && s.values[8] == 9);
    CHECK_TEXT(refusal(&other, "5\t6\t7\n2\t3\t4\n", &s), ""); /* as long as a signal: no labels */
    CHECK(other.count == 2 && !other.labels && other.classes == 2 && other.values[5] == 4);
    signals_free(&other);
    CHECK_CONTAINS(refusal(&other, "2\t5\t6\t7\n", &s), "label 2 of signal 1 is none of the classes");
    CHECK_CONTAINS(refusal(&other, "1\t5\t6\t7\t8\n", &s), "signals are [4], not [3]");
    CHECK_CONTAINS(refusal(&other, "1\t5\n1\t6\n", NULL), "one class is nothing to learn");
    CHECK(refusal(&other, "1\tx\n2\t6\n", NULL)[0]);
    CHECK(!other.values && !other.labels);
    signals_free(&s);
}

TEST(signals_folds_part_every_class_and_lose_nothing)
{
    app_error error = {""};
    signal_set all, kept, apart;
    int times[40] = {0};
    CHECK(signals_new(&all, 40, TSR_SHAPE(2), 2, &error));
    for (int i = 0; i < 40; i++) {
        all.labels[i] = i % 4 == 0;
        all.values[2 * i] = (tsr_real)i;
    }
    for (int fold = 0; fold < 5; fold++) {
        int ones = 0;
        CHECK(signals_split(&kept, &apart, &all, fold, 5, 0, &error));
        CHECK(kept.count == 32 && apart.count == 8);
        for (int i = 0; i < apart.count; i++) {
            const int row = (int)apart.values[2 * i];
            times[row]++;
            ones += apart.labels[i];
            CHECK_EQUAL(apart.labels[i], row % 4 == 0);
        }
        CHECK_EQUAL(ones, 2);
        signals_free(&kept);
        signals_free(&apart);
    }
    for (int i = 0; i < 40; i++) CHECK_EQUAL(times[i], 1);
    CHECK(!signals_split(&kept, &apart, &all, 99, 100, 0, &error));
    CHECK_CONTAINS(error.text, "too few signals");
    signals_free(&all);
}

TEST(signals_slices_are_the_middle_ones)
{
    app_error error = {""};
    signal_set s;
    CHECK(signals_new(&s, 2, TSR_SHAPE(4, 2, 3), 0, &error));
    for (int i = 0; i < 48; i++) s.values[i] = (tsr_real)i;
    signals_to_slices(&s);
    CHECK(tsr_same_shape(s.shape, TSR_SHAPE(2, 3)));
    for (int i = 0; i < 6; i++) {
        CHECK_EQUAL(s.values[i], 12 + i);
        CHECK_EQUAL(s.values[6 + i], 36 + i);
    }
    signals_free(&s);
}

/* ---- drawn signals ----------------------------------------------------------------------------------------------- */

TEST(signals_heartbeats_have_their_r_wave_in_the_middle_and_are_the_same_every_time)
{
    app_error error = {""};
    signal_set a, b, other;
    const signal_task *task = signal_task_find("heartbeat", &error);
    CHECK(task && signals_make(&a, task, "train", 30, &error) && signals_make(&b, task, "train", 30, &error) &&
          signals_make(&other, task, "test", 30, &error));
    const size_t bytes = 30 * (size_t)tsr_shape_size(a.shape) * sizeof *a.values;
    CHECK(memcmp(a.values, b.values, bytes) == 0);
    CHECK(memcmp(a.values, other.values, bytes) != 0);
    for (int i = 0; i < 30; i++) {
        const tsr_real *beat = a.values + 96 * i;
        int top = 0;
        for (int k = 1; k < 96; k++)
            if (beat[k] > beat[top]) top = k;
        CHECK(top > 40 && top < 56);
        CHECK_EQUAL(a.labels[i], i % 3);
    }
    signals_free(&a);
    signals_free(&b);
    signals_free(&other);
    CHECK(!signal_task_find("none", &error));
}

/* Mean product of each pixel with the one at (x + dx, y + dy), `later` frames on. */
static double match(const tsr_real *clip, int dx, int dy, int later)
{
    double sum = 0;
    for (int t = 0; t + later < 12; t++)
        for (int y = 2; y < 14; y++)
            for (int x = 2; x < 14; x++)
                sum += (double)(clip[(t * 16 + y) * 16 + x] * clip[((t + later) * 16 + y + dy) * 16 + x + dx]);
    return sum;
}

TEST(signals_clips_move_as_their_class_says)
{
    static const int dx[] = {-2, 2, 0, 0}, dy[] = {0, 0, -2, 2};
    app_error error = {""};
    signal_set s;
    int right = 0;
    const signal_task *task = signal_task_find("motion", &error);
    CHECK(task && signals_make(&s, task, "train", 12, &error));
    for (int i = 0; i < 12; i++) {
        if (s.labels[i] > 3) continue;
        int best = 0;
        for (int k = 1; k < 4; k++)
            if (match(s.values + i * 3072, dx[k], dy[k], 2) > match(s.values + i * 3072, dx[best], dy[best], 2))
                best = k;
        right += best == s.labels[i];
    }
    CHECK_EQUAL(right, 8);
    signals_free(&s);
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

TEST(signals_are_judged_by_hand_counted_figures)
{
    app_error error = {""};
    signal_set s;
    judgement j;
    const tsr_real scores[] = {2, 0, 0, 1, 1, 0, 0, 3}; /* second less first: -2, 1, -1, 3 */
    CHECK(signals_new(&s, 4, TSR_SHAPE(1), 2, &error));
    s.labels[2] = s.labels[3] = 1;
    judge(&j, &s, scores);
    CHECK_NEAR(j.accuracy, 0.5, 1e-12);
    CHECK_NEAR(j.auc, 0.75, 1e-12);
    CHECK(j.confusion[0][0] == 1 && j.confusion[0][1] == 1 && j.confusion[1][0] == 1 && j.confusion[1][1] == 1);
    CHECK_NEAR(j.loss, (log(1 + exp(-2)) + 2 * log(1 + exp(1)) + log(1 + exp(-3))) / 4, 1e-6);
    signals_free(&s);
}

TEST(signals_baselines_tell_what_lies_apart)
{
    app_error error = {""};
    signal_set s;
    judgement j;
    tsr_real scores[24];
    tsr_context *ctx = tsr_open(NULL);
    CHECK(signals_new(&s, 12, TSR_SHAPE(4), 2, &error));
    for (int i = 0; i < 12; i++) {
        s.labels[i] = i % 2;
        for (int k = 0; k < 4; k++) s.values[4 * i + k] = (tsr_real)((i % 2 ? 1 : -1) * (k + 1) + 0.1 * i);
    }
    CHECK(nearest_scores(scores, ctx, &s, &s, &error));
    judge(&j, &s, scores);
    CHECK_EQUAL(j.accuracy, 1);
    for (int i = 0; i < 12; i++) CHECK(scores[2 * i + i % 2] == 0 && scores[2 * i + 1 - i % 2] < 0);
    CHECK(logistic_scores(scores, ctx, &s, &s, &error));
    judge(&j, &s, scores);
    CHECK_EQUAL(j.accuracy, 1);
    signals_free(&s);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* A gradient times its input is what the score changes by, to first order, where the input shrinks by a share. */
TEST(signals_saliency_is_gradient_times_input)
{
    app_error error = {""};
    signal_set s;
    tsr_context *ctx = tsr_open(NULL);
    tsr_model *m = tsr_model_new(ctx);
    const signal_task *task = signal_task_find("heartbeat", &error);
    tsr_real before[3], after[3], seen[96];
    CHECK(task && signals_make(&s, task, "train", 1, &error));
    signal_form form = {.width = 4, .classes = 3, .deviation = 1, .shape = s.shape};
    signal_describe(m, &form);
    CHECK(net_scores(before, m, &s, &error) && saliency(seen, m, &s, &error));
    int said = 0, most = 0;
    for (int k = 1; k < 3; k++)
        if (before[k] > before[said]) said = k;
    for (int i = 1; i < 96; i++)
        if (fabs((double)seen[i]) > fabs((double)seen[most])) most = i;
    const double share = 0.01;
    s.values[most] *= (tsr_real)(1 - share);
    CHECK(net_scores(after, m, &s, &error));
    CHECK_NEAR((double)(before[said] - after[said]) / share / (double)seen[most], 1, 0.05);
    signals_free(&s);
    CHECK_EQUAL(tsr_close(ctx), 0);
}

/* ---- the verbs --------------------------------------------------------------------------------------------------- */

/* Runs a verb on "a b c", blanks apart; the exit status. */
static int run(int (*called)(int count, char **arguments), const char *words)
{
    char text[1000], *arguments[MOST_ARGUMENTS];
    int count = 0;
    snprintf(text, sizeof text, "%s", words);
    for (char *at = strtok(text, " "); at && count < MOST_ARGUMENTS; at = strtok(NULL, " ")) arguments[count++] = at;
    return called(count, arguments);
}

/* Trains, judges, predicts in folder `out`; `more` for the training. */
static bool goes_through(const char *out, const char *task, const char *more)
{
    char words[800];
    bool done = true;
    snprintf(words, sizeof words, "--task %s --out %s --count 24 --steps 4 --batch 4 --width 2 --folds 3 "
             "--validate-every 2 --seed 3 %s", task, out, more);
    done = done && run(signals_train, words) == 0;
    snprintf(words, sizeof words, "--task %s --count 12 --model %s/model.safetensors", task, out);
    done = done && run(signals_eval, words) == 0;
    snprintf(words, sizeof words, "--task %s --count 3 --model %s/model.safetensors --picture %s/a.png", task, out,
             out);
    return done && run(signals_predict, words) == 0;
}

TEST(signals_verbs_go_through_in_one_two_and_three_dimensions)
{
    char out[256];
    snprintf(out, sizeof out, "%s", test_path("signals-out")); /* each call has a path of its own */
    CHECK(goes_through(out, "heartbeat", ""));
    CHECK(goes_through(out, "motion", "--slice"));
    CHECK(goes_through(out, "nodule", "--flip --noise 0.1 --mixup --flat"));
    CHECK(goes_through(out, "nodule", "--flip --noise 0.1 --mixup --flat --resume"));
    CHECK(!goes_through(out, "nodule", "--flip --noise 0.2 --mixup --flat --resume")); /* not as the run was begun */
    CHECK_EQUAL(run(signals_train, "--slice --count 6"), 1);
    CHECK_EQUAL(run(signals_train, "--folds 3 --fold 3"), 1);
    CHECK_EQUAL(run(signals_eval, ""), 1);
    CHECK_EQUAL(run(signals_eval, "--model none.safetensors"), 1);
}
