#include "apps/common/command.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 63 };

/* ---- suggestions --------------------------------------------------------------------------------------- */

/* Levenshtein's distance between names of up to LONGEST_NAME characters. */
static int edit_distance(const char *a, size_t a_length, const char *b)
{
    int row[LONGEST_NAME + 1];
    const size_t b_length = strlen(b);
    if (a_length > LONGEST_NAME || b_length > LONGEST_NAME) return INT_MAX;
    for (size_t j = 0; j <= b_length; j++) row[j] = (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_length];
}

/* The nearest so far of the names offered one after the other. */
typedef struct suggestion {
    const char *wrong, *name; /* name NULL: none is near */
    size_t length;            /* of `wrong` */
    int distance;
} suggestion;

static void suggest(suggestion *s, const char *name)
{
    const int distance = edit_distance(s->wrong, s->length, name);
    if (distance > 2 && distance > (int)s->length / 3) return;
    if (distance >= (int)s->length || (s->name && distance >= s->distance)) return;
    s->name = name;
    s->distance = distance;
}

const char *command_suggest(const char *wrong, char *const *names, int count)
{
    suggestion s = {.wrong = wrong, .length = strlen(wrong)};
    for (int i = 0; i < count; i++) suggest(&s, names[i]);
    return s.name;
}

/* ---- parsing ------------------------------------------------------------------------------------------- */

typedef struct full_name {
    char text[128];
} full_name;

static full_name name_of(const command *c)
{
    full_name name;
    snprintf(name.text, sizeof name.text, "%s%s%s", c->program, c->verb ? " " : "", c->verb ? c->verb : "");
    return name;
}

static const option *find_option(const command *c, const char *name, size_t length)
{
    for (int i = 0; i < c->option_count; i++)
        if (strlen(c->options[i].name) == length && strncmp(c->options[i].name, name, length) == 0)
            return &c->options[i];
    return NULL;
}

static bool unknown_option(const command *c, const char *name, size_t length, app_error *error)
{
    suggestion s = {.wrong = name, .length = length};
    for (int i = 0; i < c->option_count; i++) suggest(&s, c->options[i].name);
    if (s.name)
        return app_fail(error, "%s: unknown option --%.*s (did you mean --%s?)", name_of(c).text, (int)length,
                        name, s.name);
    return app_fail(error, "%s: unknown option --%.*s (see %s --help)", name_of(c).text, (int)length, name,
                    name_of(c).text);
}

static bool is_choice(const char *text, const char *choices)
{
    const size_t length = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strcspn(at, "|") == length && strncmp(at, text, length) == 0) return true;
    return false;
}

static bool in_range(const option *o, double value)
{
    return (o->minimum == 0 && o->maximum == 0) || (value >= o->minimum && value <= o->maximum);
}

/* Whether the text is a value for the option; sets it if so. */
static bool set_value(const option *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    if (o->type == OPTION_TEXT) {
        if (o->choices && !is_choice(text, o->choices)) return false;
        *(const char **)o->value = text;
        return true;
    }
    if (text[0] == '\0' || strchr(" \t\n\v\f\r", text[0])) return false;
    if (o->type == OPTION_DOUBLE) {
        const double value = strtod(text, &end);
        if (*end || !isfinite(value) || !in_range(o, value)) return false;
        *(double *)o->value = value;
    } else if (o->type == OPTION_INT) {
        const long long value = strtoll(text, &end, 10);
        if (*end || errno || value < INT_MIN || value > INT_MAX || !in_range(o, (double)value)) return false;
        *(int *)o->value = (int)value;
    } else {
        const unsigned long long value = strtoull(text, &end, 10);
        if (*end || errno || text[0] == '-' || value > UINT64_MAX || !in_range(o, (double)value))
            return false;
        *(uint64_t *)o->value = value;
    }
    return true;
}

/* What an option takes, in words: "a number from 1 to 9". */
static void describe(const option *o, char *text, size_t size)
{
    const char *kind = o->type == OPTION_DOUBLE ? "a number" : "a whole number";
    if (o->type == OPTION_TEXT) snprintf(text, size, "one of %s", o->choices ? o->choices : "any text");
    else if (o->minimum == 0 && o->maximum == 0)
        snprintf(text, size, "%s%s", kind, o->type == OPTION_UINT64 ? " from 0 to 2^64 - 1" : "");
    else if (isinf(o->maximum)) snprintf(text, size, "%s of at least %.15g", kind, o->minimum);
    else snprintf(text, size, "%s from %.15g to %.15g", kind, o->minimum, o->maximum);
}

/* Reads the option at arguments[*i], moving *i to its last argument. */
static bool parse_option(const command *c, int count, char **arguments, int *i, app_error *error)
{
    const char *name = arguments[*i] + 2, *value = strchr(name, '=');
    const size_t length = value ? (size_t)(value - name) : strlen(name);
    const option *o = find_option(c, name, length);
    if (!o) return unknown_option(c, name, length, error);
    if (o->type == OPTION_FLAG) {
        if (value) return app_fail(error, "%s: --%s takes no value", name_of(c).text, o->name);
        *(bool *)o->value = true;
        return true;
    }
    if (value) value++;
    else if (*i + 1 < count && strncmp(arguments[*i + 1], "--", 2) != 0) value = arguments[++*i];
    else return app_fail(error, "%s: --%s needs a value", name_of(c).text, o->name);
    if (set_value(o, value)) return true;
    char wanted[160];
    describe(o, wanted, sizeof wanted);
    return app_fail(error, "%s: --%s wants %s, not \"%s\"", name_of(c).text, o->name, wanted, value);
}

static bool asks_for_help(int count, char **arguments)
{
    for (int i = 0; i < count && strcmp(arguments[i], "--") != 0; i++)
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) return true;
    return false;
}

bool command_parse(command *c, int count, char **arguments, app_error *error)
{
    int kept = 0;
    bool options_over = false;
    c->help_asked = asks_for_help(count, arguments);
    for (int i = 0; i < count && !c->help_asked; i++) {
        char *argument = arguments[i];
        if (options_over || argument[0] != '-' || argument[1] == '\0') arguments[kept++] = argument;
        else if (strcmp(argument, "--") == 0) options_over = true;
        else if (argument[1] != '-')
            return app_fail(error, "%s: unknown option %s (options begin with two dashes)", name_of(c).text,
                            argument);
        else if (!parse_option(c, count, arguments, &i, error)) return false;
    }
    c->rest = (const char *const *)arguments;
    c->rest_count = kept;
    if (c->help_asked) return true;
    if (kept > c->most)
        return app_fail(error, "%s: \"%s\" is one argument too many", name_of(c).text, arguments[c->most]);
    if (kept < c->fewest) return app_fail(error, "%s: %s is missing", name_of(c).text, c->operands);
    return true;
}

/* ---- help ---------------------------------------------------------------------------------------------- */

static void print_default(const option *o, FILE *stream)
{
    const char *text = o->type == OPTION_TEXT ? *(const char **)o->value : NULL;
    if (o->type == OPTION_INT) fprintf(stream, " (default %d)", *(int *)o->value);
    if (o->type == OPTION_UINT64) fprintf(stream, " (default %" PRIu64 ")", *(uint64_t *)o->value);
    if (o->type == OPTION_DOUBLE) fprintf(stream, " (default %.9g)", *(double *)o->value);
    if (text) fprintf(stream, " (default %s)", text);
}

static void left_column(const option *o, char *text, size_t size)
{
    static const char *const placeholders[] = {"", "N", "N", "X", "TEXT"};
    const char *placeholder = o->choices ? o->choices : placeholders[o->type];
    if (o->placeholder) placeholder = o->placeholder;
    snprintf(text, size, "--%s%s%s", o->name, *placeholder ? " " : "", placeholder);
}

void command_help(const command *c, FILE *stream)
{
    char left[160] = "--help";
    size_t width = strlen(left);
    for (int i = 0; i < c->option_count; i++) {
        left_column(&c->options[i], left, sizeof left);
        if (strlen(left) > width && strlen(left) <= 32) width = strlen(left);
    }
    fprintf(stream, "%s\n\nusage: %s [OPTIONS]%s%s\n\n", c->summary, name_of(c).text, c->operands ? " " : "",
            c->operands ? c->operands : "");
    for (int i = 0; i < c->option_count; i++) {
        left_column(&c->options[i], left, sizeof left);
        if (strlen(left) > width) fprintf(stream, "  %s\n  %*s", left, (int)width, "");
        else fprintf(stream, "  %-*s", (int)width, left);
        fprintf(stream, "  %s", c->options[i].help);
        print_default(&c->options[i], stream);
        fputc('\n', stream);
    }
    fprintf(stream, "  %-*s  print this\n", (int)width, "--help");
}

/* ---- running ------------------------------------------------------------------------------------------- */

int command_start(command *c, int count, char **arguments)
{
    app_error error = {""};
    if (!command_parse(c, count, arguments, &error)) {
        fprintf(stderr, "%s\n", error.text);
        return COMMAND_WRONG_USAGE;
    }
    if (!c->help_asked) return COMMAND_GO;
    command_help(c, stdout);
    return 0;
}

static void print_verbs(const char *program, const char *about, const verb *verbs, int verb_count,
                        FILE *stream)
{
    int width = 0;
    for (int i = 0; i < verb_count; i++)
        if ((int)strlen(verbs[i].name) > width) width = (int)strlen(verbs[i].name);
    fprintf(stream, "%s\n\nusage: %s VERB [OPTIONS]\n\n", about, program);
    for (int i = 0; i < verb_count; i++)
        fprintf(stream, "  %-*s  %s\n", width, verbs[i].name, verbs[i].summary);
    fprintf(stream, "\n%s VERB --help tells a verb's options.\n", program);
}

/* What was said must have been taken: of results that nobody got a script must hear. */
static int after_output(int status, const char *program, const char *name)
{
    const bool lost = fflush(stdout) != 0 || ferror(stdout);
    if (status != 0 || !lost) return status;
    fprintf(stderr, "%s %s: stdout: could not be written\n", program, name);
    return 1;
}

int command_run(const char *program, const char *about, const verb *verbs, int verb_count, int count,
                char **arguments)
{
    const char *name = count > 1 ? arguments[1] : NULL;
    const bool help =
        name && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0);
    for (int i = 0; name && i < verb_count; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return after_output(verbs[i].run(count - 2, arguments + 2), program, name);
    if (help || !name) {
        print_verbs(program, about, verbs, verb_count, help ? stdout : stderr);
        return help ? after_output(0, program, name) : COMMAND_WRONG_USAGE;
    }
    suggestion s = {.wrong = name, .length = strlen(name)};
    for (int i = 0; i < verb_count; i++) suggest(&s, verbs[i].name);
    if (s.name) fprintf(stderr, "%s: unknown verb %s (did you mean %s?)\n", program, name, s.name);
    else fprintf(stderr, "%s: unknown verb %s (see %s --help)\n", program, name, program);
    return COMMAND_WRONG_USAGE;
}
