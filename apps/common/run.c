#include "apps/common/run.h"

#include "apps/common/interrupt.h"
#include "apps/common/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char step_key[] = "run.step", best_key[] = "run.best", best_step_key[] = "run.best_step";

bool run_checkpoint_path(char *path, size_t bytes, const char *folder, app_error *error)
{
    return (size_t)snprintf(path, bytes, "%s/checkpoint.safetensors", folder) < bytes ||
           app_fail(error, "%.60s...: the name is too long", folder);
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

static void set_number(tsr_model *m, const char *key, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    tsr_set_text(m, key, text);
}

static int64_t number_of(const tsr_model *m, const char *key)
{
    const char *text = tsr_text_of(m, key);
    return text ? strtoll(text, NULL, 10) : 0;
}

static bool save(const run_plan *p, const run_result *r, const char *path, app_error *error)
{
    char best[40];
    snprintf(best, sizeof best, "%a", r->best);
    set_number(p->m, step_key, r->steps);
    set_number(p->m, best_step_key, r->best_step);
    tsr_set_text(p->m, best_key, best);
    const bool done = tsr_checkpoint_save(p->m, p->opt, path);
    tsr_set_text(p->m, step_key, NULL); /* a matter of the checkpoint, not of the model */
    tsr_set_text(p->m, best_step_key, NULL);
    tsr_set_text(p->m, best_key, NULL);
    return done || app_fail(error, "%s", tsr_error(tsr_model_context(p->m)));
}

static bool load(const run_plan *p, run_result *r, const char *path, app_error *error)
{
    if (!tsr_checkpoint_load(p->m, p->opt, path))
        return app_fail(error, "%s", tsr_error(tsr_model_context(p->m)));
    const char *best = tsr_text_of(p->m, best_key);
    r->steps = number_of(p->m, step_key);
    r->best_step = number_of(p->m, best_step_key);
    r->best = best ? strtod(best, NULL) : 0;
    tsr_set_text(p->m, step_key, NULL);
    tsr_set_text(p->m, best_step_key, NULL);
    tsr_set_text(p->m, best_key, NULL);
    return r->steps > 0 || app_fail(error, "%s: is no checkpoint of a training run", path);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static bool take_step(const run_plan *p, int64_t step, double *row, app_error *error)
{
    tsr_context *ctx = tsr_model_context(p->m);
    app_error first = {""}, closer = {""};
    for (int i = 0; i < p->column_count; i++) row[i] = NAN;
    row[0] = (double)step;
    if (p->take_step(p->user, step, row, &first)) return true;
    tsr_clear_error(ctx);
    tsr_set_trap(ctx, true);
    const bool again = p->take_step(p->user, step, row, &closer);
    tsr_set_trap(ctx, false);
    return app_fail(error, "step %lld: %s", (long long)step, again ? first.text : closer.text);
}

/* The score of the model as it is now; keeps a better one. */
static bool validate(const run_plan *p, run_result *r, double *score, app_error *error)
{
    if (!p->validate(p->user, score, error)) return false;
    if (r->best_step > 0 && !(*score > r->best)) return true;
    r->best = *score;
    r->best_step = r->steps;
    return p->keep(p->user, error);
}

static bool has_lost_patience(const run_plan *p, const run_result *r)
{
    return p->patience > 0 && p->validate_every > 0 && r->best_step > 0 &&
           r->steps - r->best_step >= (int64_t)p->patience * p->validate_every;
}

static bool is_due(int64_t steps, int every, bool last)
{
    return every > 0 && (last || steps % every == 0);
}

static bool go_on(const run_plan *p, run_result *r, const char *path, progress *bar, app_error *error)
{
    while (r->steps < p->steps && !has_lost_patience(p, r) && !r->interrupted) {
        double row[RUN_MOST_COLUMNS];
        char note[120] = "";
        app_error warning = {""};
        if (!take_step(p, r->steps, row, error)) return false;
        r->steps++;
        const bool last = r->steps == p->steps;
        r->interrupted = !last && interrupt_asked();
        if (is_due(r->steps, p->validate_every, last) && !validate(p, r, &row[p->column_count - 1], error))
            return false;
        if (!run_log_add(&r->log, row, &warning, error)) return false;
        if (warning.text[0]) fprintf(stderr, "%s: %s\n", p->program, warning.text);
        const bool ends = last || r->interrupted || has_lost_patience(p, r);
        if ((ends || is_due(r->steps, p->save_every, false)) && !save(p, r, path, error)) return false;
        p->tell(p->user, row, note, sizeof note);
        progress_show(bar, r->steps * p->pictures, note);
    }
    return true;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

bool run_go(run_result *out, const run_plan *p, bool resume, app_error *error)
{
    char path[1024];
    progress bar;
    *out = (run_result){.steps = 0};
    if ((size_t)snprintf(out->log_path, sizeof out->log_path, "%s/log.csv", p->folder) >= sizeof out->log_path)
        return app_fail(error, "%.60s...: the name is too long", p->folder);
    if (!run_checkpoint_path(path, sizeof path, p->folder, error)) return false;
    if (resume && !load(p, out, path, error)) return false;
    if (!run_log_open(&out->log, out->log_path, p->columns, p->column_count, out->steps, error)) return false;
    if (resume) fprintf(stderr, "%s: goes on after step %lld of %lld\n", p->program, (long long)out->steps,
                        (long long)p->steps);
    interrupt_catch();
    progress_start(&bar, "train", "images", out->steps * p->pictures, p->steps * p->pictures);
    bool done = go_on(p, out, path, &bar, error);
    progress_end(&bar);
    interrupt_release();
    if (out->interrupted && done)
        fprintf(stderr, "%s: stopped after step %lld, all is saved: --resume goes on\n", p->program,
                (long long)out->steps);
    if (done && !out->interrupted && out->best_step == 0) done = p->keep(p->user, error);
    if (!done) run_free(out);
    return done;
}

void run_free(run_result *result)
{
    app_error none = {""};
    run_log_close(&result->log, &none);
}
