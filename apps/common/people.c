#include "apps/common/people.h"

#include "apps/common/lines.h"

#include <ctype.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 16 };

static char *copy_of(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

/* `folder`/`name`, of the folder only the first `length` characters. */
static char *join(const char *folder, size_t length, const char *name)
{
    const size_t room = length + strlen(name) + 2;
    char *path = malloc(room);
    if (path) snprintf(path, room, "%.*s/%s", (int)length, folder, name);
    return path;
}

/* ---- gathering: pictures are added, then closed as one person's -------------------------------------------------- */

typedef struct gathering {
    people *set;
    const people_request *request;
    name_list wanted; /* sorted; those that request->names names */
    int left_out;     /* people so far */
} gathering;

static bool is_wanted(const gathering *g, const char *name)
{
    return !g->request->names || name_list_has(&g->wanted, name);
}

static bool is_full(const gathering *g)
{
    return g->request->limit > 0 && g->set->count == g->request->limit;
}

/* Room for one more of `count` items: where those fill a power of two, twice as many. */
static bool grow(void **items, int count, size_t size)
{
    if ((count & (count - 1)) != 0) return true;
    if (count > INT_MAX / 2 || (size_t)count > SIZE_MAX / 4 / size) return false;
    void *grown = realloc(*items, (count ? 2 * (size_t)count : 1) * size);
    if (grown) *items = grown;
    return grown != NULL;
}

/* Takes the path, which may be NULL where there was no memory for it. */
static bool add_picture(people *set, char *path, app_error *error)
{
    void *paths = set->paths, *places = set->places;
    const bool done = path && grow(&paths, set->picture_count, sizeof *set->paths) &&
                      grow(&places, set->picture_count, sizeof *set->places);
    set->paths = paths;
    set->places = places;
    if (done) set->paths[set->picture_count++] = path;
    else free(path);
    return done || app_fail(error, "out of memory for the names of %d pictures", set->picture_count);
}

static void skip_file(people *set, char *path)
{
    if (set->skipped++ == 0) set->first_skipped = path;
    else free(path);
}

static void drop_pictures(people *set, int first)
{
    while (set->picture_count > first) free(set->paths[--set->picture_count]);
}

/* All pictures from `first` on are this person's, or nobody's if there are none. */
static bool close_person(gathering *g, const char *name, int first, app_error *error)
{
    people *set = g->set;
    if (set->picture_count == first) return true;
    if (g->left_out < g->request->skip) {
        g->left_out++;
        drop_pictures(set, first);
        return true;
    }
    void *persons = set->persons;
    char *copy = copy_of(name);
    const bool done = copy && grow(&persons, set->count, sizeof *set->persons);
    set->persons = persons;
    if (!done) {
        free(copy);
        return app_fail(error, "out of memory for %d people", set->count);
    }
    for (int i = first; i < set->picture_count; i++) set->places[i] = i - first + 1;
    set->persons[set->count++] = (person){.name = copy, .first = first, .count = set->picture_count - first};
    return true;
}

/* Notes who of those wanted is not there; fails where all are missing. */
static bool note_missing(gathering *g, const name_list *there, app_error *error)
{
    people *set = g->set;
    for (int i = 0; i < g->wanted.count; i++)
        if (!name_list_has(there, g->wanted.names[i]) && set->missing++ == 0)
            set->first_missing = copy_of(g->wanted.names[i]);
    return g->wanted.count == 0 || set->missing < g->wanted.count ||
           app_fail(error, "%s: none of its %d people is in %s, which lacks %s", g->request->names, g->wanted.count,
                    g->request->data, set->first_missing ? set->first_missing : "them");
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

typedef struct branch {
    const char *path;
    const struct branch *above;
    int depth;
} branch;

static bool leads_back(const branch *here, const char *path)
{
    for (; here; here = here->above)
        if (is_same_folder(here->path, path)) return true;
    return false;
}

static bool is_called_like_a_picture(const char *path)
{
    static const char *const endings[] = {"jpg", "jpeg", "png", "bmp", "pgm", "ppm", "pbm", "pnm"};
    const char *dot = strrchr(path, '.');
    char ending[5] = "";
    if (!dot || strlen(dot + 1) >= sizeof ending) return false;
    for (int i = 0; dot[1 + i]; i++) ending[i] = (char)tolower((unsigned char)dot[1 + i]);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(ending, endings[i]) == 0) return true;
    return false;
}

/* Adds all pictures in and below a folder to the end of set->paths. */
static bool add_folder(people *set, const branch *here, app_error *error)
{
    name_list files;
    if (here->depth > DEEPEST)
        return app_fail(error, "%s: lies more than %d folders deep in the data", here->path, DEEPEST);
    if (!folder_list(&files, here->path, error)) return false;
    bool done = true;
    for (int i = 0; done && i < files.count; i++) {
        char *path = join(here->path, strlen(here->path), files.names[i]);
        if (!path) done = app_fail(error, "%s: out of memory", here->path);
        else if (is_folder(path) && !leads_back(here, path)) {
            done = add_folder(set, &(branch){path, here, here->depth + 1}, error);
            free(path);
        } else if (is_plain_file(path) && (is_called_like_a_picture(path) || image_recognised(path)))
            done = add_picture(set, path, error);
        else skip_file(set, path);
    }
    name_list_free(&files);
    return done;
}

static bool gather_folder(gathering *g, app_error *error)
{
    const char *data = g->request->data;
    name_list names;
    if (!folder_list(&names, data, error)) return false;
    const branch root = {data, NULL, 0};
    bool done = note_missing(g, &names, error);
    for (int i = 0; done && i < names.count && !is_full(g); i++) {
        char *path = join(data, strlen(data), names.names[i]);
        const int first = g->set->picture_count;
        if (!path) done = app_fail(error, "%s: out of memory", data);
        else if (!is_folder(path) || leads_back(&root, path)) {
            skip_file(g->set, path);
            continue;
        } else if (is_wanted(g, names.names[i]))
            done = add_folder(g->set, &(branch){path, &root, 1}, error) &&
                   close_person(g, names.names[i], first, error);
        free(path);
    }
    name_list_free(&names);
    return done;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

typedef struct entry {
    char *path, *label;
    int line;
} entry;

typedef struct entries {
    int count;
    entry *items;
} entries;

static void entries_free(entries *list)
{
    for (int i = 0; i < list->count; i++) {
        free(list->items[i].path);
        free(list->items[i].label);
    }
    free(list->items);
}

static int compare_lines(const entry *x, const entry *y)
{
    return x->line < y->line ? -1 : x->line > y->line;
}

static int compare_paths(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const int order = strcmp(x->path, y->path);
    return order ? order : compare_lines(x, y);
}

static int compare_labels(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const int order = strcmp(x->label, y->label);
    return order ? order : compare_lines(x, y);
}

static bool read_entries(entries *list, const char *path, app_error *error)
{
    line_file f;
    const char *slash = strrchr(path, '/');
    if (!lines_open(&f, path, error)) return false;
    bool done = true;
    while (done && lines_next(&f, error)) {
        if (f.field_count == 0) continue;
        if (f.field_count != 2) {
            done = app_fail(error, "%s: line %d should be a path, a tab and a label", path, f.number);
            break;
        }
        void *items = list->items;
        done = grow(&items, list->count, sizeof *list->items);
        list->items = items;
        if (!done) break;
        const bool relative = slash && f.fields[0][0] != '/';
        entry *e = &list->items[list->count++];
        *e = (entry){relative ? join(path, (size_t)(slash - path), f.fields[0]) : copy_of(f.fields[0]),
                     copy_of(f.fields[1]), f.number};
        done = e->path && e->label;
    }
    lines_close(&f);
    return error->text[0] == '\0' && (done || app_fail(error, "%s: out of memory", path));
}

static bool refuse_repeats(entries *list, const char *path, app_error *error)
{
    if (list->count > 0) qsort(list->items, (size_t)list->count, sizeof *list->items, compare_paths);
    for (int i = 1; i < list->count; i++)
        if (strcmp(list->items[i].path, list->items[i - 1].path) == 0)
            return app_fail(error, "%s: line %d has the picture of line %d again", path, list->items[i].line,
                            list->items[i - 1].line);
    return true;
}

static bool gather_entries(gathering *g, entries *list, app_error *error)
{
    if (list->count > 0) qsort(list->items, (size_t)list->count, sizeof *list->items, compare_labels);
    name_list labels = {0};
    bool done = true;
    for (int i = 0; done && i < list->count; i++)
        if (i == 0 || strcmp(list->items[i].label, list->items[i - 1].label) != 0)
            done = name_list_add(&labels, list->items[i].label) || app_fail(error, "out of memory for a list");
    done = done && note_missing(g, &labels, error);
    name_list_free(&labels);
    for (int begin = 0, end; done && begin < list->count && !is_full(g); begin = end) {
        const char *label = list->items[begin].label;
        const int first = g->set->picture_count;
        for (end = begin; end < list->count && strcmp(list->items[end].label, label) == 0; end++) {
            if (!done || !is_wanted(g, label)) continue;
            done = add_picture(g->set, list->items[end].path, error);
            list->items[end].path = NULL;
        }
        done = done && close_person(g, label, first, error);
    }
    return done;
}

static bool gather_list(gathering *g, app_error *error)
{
    entries list = {0};
    const bool done = read_entries(&list, g->request->data, error) &&
                      refuse_repeats(&list, g->request->data, error) && gather_entries(g, &list, error);
    entries_free(&list);
    return done;
}

/* ---- who is wanted ----------------------------------------------------------------------------------------------- */

/* See people_request for the layout. The first number is one of folds if another number follows at once. */
static bool read_names(name_list *out, const char *path, app_error *error)
{
    line_file f;
    int folds = 1, begun = 0, left = 0;
    if (!lines_open(&f, path, error)) return false;
    while (error->text[0] == '\0' && lines_next(&f, error)) {
        const int number = f.field_count > 0 ? whole_number(f.fields[f.field_count - 1]) : 0;
        if (f.field_count == 0) continue;
        if (number == 0 || f.field_count > 2)
            app_fail(error, "%s: line %d should be a number of people, or \"name pictures\"", path, f.number);
        else if (f.field_count == 2 && left-- == 0)
            app_fail(error, "%s: line %d has more people than were announced", path, f.number);
        else if (f.field_count == 2 && !name_list_add(out, f.fields[0])) app_fail(error, "%s: out of memory", path);
        else if (f.field_count == 1 && begun == 1 && out->count == 0) {
            folds = left;
            left = number;
        } else if (f.field_count == 1 && (left > 0 || begun == folds))
            app_fail(error, "%s: line %d is a number, where %d more people should be", path, f.number, left);
        else if (f.field_count == 1) {
            left = number;
            begun++;
        }
    }
    if (left > 0 || begun < folds)
        app_fail(error, "%s: ends after line %d, before all people that it announces", path, f.number);
    lines_close(&f);
    name_list_sort(out);
    return error->text[0] == '\0';
}

/* ---- the set ----------------------------------------------------------------------------------------------------- */

bool people_open(people *set, const people_request *request, app_error *error)
{
    const char *data = request->data;
    gathering g = {.set = set, .request = request};
    *set = (people){0};
    bool done = (!request->names || read_names(&g.wanted, request->names, error)) &&
                (is_plain_file(data) ? gather_list : gather_folder)(&g, error);
    name_list_free(&g.wanted);
    if (done && set->count == 0 && g.left_out > 0)
        done = app_fail(error, "%s: has %d people, none is left after the first %d", data, g.left_out, request->skip);
    else if (done && set->count == 0)
        done = app_fail(error, "%s: %s%s%s", data,
                        is_folder(data) ? "holds no folder per person with pictures in it" : "lists no pictures",
                        set->first_skipped ? "; not a picture: " : "", set->first_skipped ? set->first_skipped : "");
    if (!done) people_free(set);
    return done;
}

void people_free(people *set)
{
    drop_pictures(set, 0);
    for (int i = 0; i < set->count; i++) free(set->persons[i].name);
    free(set->persons);
    free(set->paths);
    free(set->places);
    free(set->first_skipped);
    free(set->first_missing);
    *set = (people){0};
}

void people_keep(people *set, const bool *keep)
{
    int persons = 0, pictures = 0;
    for (int p = 0; p < set->count; p++) {
        person *who = &set->persons[p];
        const int first = pictures;
        for (int i = who->first; i < who->first + who->count; i++) {
            if (!keep[i]) {
                free(set->paths[i]);
                continue;
            }
            set->paths[pictures] = set->paths[i];
            set->places[pictures++] = set->places[i];
        }
        if (pictures > first) set->persons[persons++] = (person){who->name, first, pictures - first};
        else free(who->name);
    }
    set->count = persons;
    set->picture_count = pictures;
}

int people_find(const people *set, const char *name)
{
    int low = 0, high = set->count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (strcmp(set->persons[middle].name, name) < 0) low = middle + 1;
        else high = middle;
    }
    return low < set->count && strcmp(set->persons[low].name, name) == 0 ? low : -1;
}

int people_singles(const people *set)
{
    int singles = 0;
    for (int p = 0; p < set->count; p++) singles += set->persons[p].count == 1;
    return singles;
}
