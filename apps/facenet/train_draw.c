/* What training shows of itself. */
#include "apps/facenet/facenet.h"

#include "apps/common/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const train_drawing train_drawings[] = {
    {"loss.png", "Loss, share of active triplets, and distances over the steps"},
    {"triplets.png", "Pictures of the last batch as triplets: anchor, positive, and the nearest negative that is farther"},
    {"faces.png", "Pictures that were trained on, a person a row"},
    {NULL, NULL}};

/* Pictures by number, a person a row, or, with captions, triplets. */
static bool draw_sheet(image *out, const pictures *set, picture_list list, char (*captions)[32], int columns,
                       app_error *error)
{
    const size_t count = (size_t)list.count;
    const colour same = plot_colour(0), different = plot_colour(1); /* as in the chart of distances */
    const sheet_layout layout = captions ? (sheet_layout){.columns = columns, .cell = 144, .group = 3}
                                         : (sheet_layout){.columns = columns, .cell = 72};
    contact *contacts = calloc(count + 1, sizeof *contacts);
    image *views = malloc((count + 1) * sizeof *views);
    unsigned char *pixels = malloc(count * picture_bytes(set) + 1);
    bool done = (contacts && views && pixels) || app_fail(error, "out of memory for a sheet");
    for (size_t i = 0; done && i < count; i++) {
        views[i] = (image){set->size, set->size, set->channels, pixels + i * picture_bytes(set)};
        contacts[i] = (contact){.picture = &views[i]};
        if (captions) contacts[i].caption = captions[i];
        if (captions && i % 3 > 0) contacts[i].frame = i % 3 == 1 ? &same : &different;
    }
    done = done && pictures_fetch(set, list.numbers, list.count, pixels, error) &&
           contact_sheet(out, contacts, list.count, &layout, error);
    free(contacts);
    free(views);
    free(pixels);
    return done;
}

bool draw_people(image *out, const pictures *set, app_error *error)
{
    enum { ROWS = 8, COLUMNS = 8 };
    int numbers[ROWS * COLUMNS], shown = 0, last = -1, row = -1, column = 0;
    for (int i = 0; i < set->count && shown < ROWS * COLUMNS; i++) {
        if (set->labels[i] != last) {
            last = set->labels[i];
            column = 0;
            row++;
        }
        if (column++ < COLUMNS && row < ROWS) numbers[shown++] = i;
    }
    return draw_sheet(out, set, (picture_list){numbers, shown}, NULL, COLUMNS, error);
}

/* The nearest picture of somebody else that is farther than the positive; -1: there is none. */
static int semi_hard(const double *distances, const int *labels, int count, int anchor, int positive)
{
    int best = -1;
    for (int i = 0; i < count; i++)
        if (labels[i] != labels[anchor] && distances[i] > distances[positive] &&
            (best < 0 || distances[i] < distances[best]))
            best = i;
    return best;
}

bool draw_triplets(image *out, tsr_model *m, const pictures *set, picture_list batch, app_error *error)
{
    enum { SHOWN = 12, MOST = 256, COLUMNS = 6 };
    face_form form;
    char captions[3 * SHOWN][32];
    int numbers[3 * SHOWN], labels[MOST], shown = 0;
    double distances[MOST];
    const int count = batch.count < MOST ? batch.count : MOST;
    if (!face_form_in(&form, m, error)) return false;
    tsr_real *rows = malloc((size_t)count * (size_t)form.embedding * sizeof *rows);
    bool done = rows || app_fail(error, "out of memory for a sheet");
    for (int i = 0; done && i < count; i++) {
        labels[i] = set->labels[batch.numbers[i]];
        done = net_embed(m, set, (net_range){.first = batch.numbers[i], .count = 1},
                         rows + (ptrdiff_t)i * form.embedding, error);
    }
    for (int anchor = 0; done && anchor + 1 < count && shown < SHOWN; anchor++) {
        const int positive = anchor + 1; /* of a batch by people; the last of each has none */
        if (labels[positive] != labels[anchor] || (anchor > 0 && labels[anchor - 1] == labels[anchor])) continue;
        for (int i = 0; i < count; i++)
            distances[i] = squared_distance(rows + (ptrdiff_t)anchor * form.embedding,
                                            rows + (ptrdiff_t)i * form.embedding, form.embedding);
        const int negative = semi_hard(distances, labels, count, anchor, positive);
        if (negative < 0) continue;
        const int three[] = {anchor, positive, negative};
        for (int k = 0; k < 3; k++) numbers[3 * shown + k] = batch.numbers[three[k]];
        snprintf(captions[3 * shown], sizeof captions[0], "anchor");
        snprintf(captions[3 * shown + 1], sizeof captions[0], "same %.3f", distances[positive]);
        snprintf(captions[3 * shown + 2], sizeof captions[0], "other %.3f", distances[negative]);
        shown++;
    }
    free(rows);
    if (done && shown == 0) return image_new(out, 8, 8, 3, error); /* no two pictures of one person: nothing to show */
    return done && draw_sheet(out, set, (picture_list){numbers, 3 * shown}, captions, COLUMNS, error);
}
