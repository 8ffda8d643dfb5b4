/* The command line, the progress line and the log of numbers. */
#define _POSIX_C_SOURCE 200809L

#include "apps/common/command.h"

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "apps/common/csv.h"
#include "apps/common/progress.h"
#include "tests/apps/files.h"
#include "tests/test.h"

/* ---- options ------------------------------------------------------------------------------------------- */

typedef struct settings {
    int steps;
    uint64_t seed;
    double margin;
    bool quiet;
    const char *out, *mining;
} settings;

static const settings defaults = {1000, 1, 0.2, false, NULL, "semi-hard"};

/* What `facenet train` with these arguments leaves; the command's outcome is in *c, whose options point into
 * *s. */
static bool parse(settings *s, command *c, app_error *error, int count, char **arguments)
{
    *s = defaults;
    *error = (app_error){""};
    const option options[] = {
        {.name = "steps",
         .type = OPTION_INT,
         .value = &s->steps,
         .minimum = 1,
         .maximum = 1e9,
         .help = "training steps"},
        {.name = "seed", .type = OPTION_UINT64, .value = &s->seed, .help = "of everything drawn at random"},
        {.name = "margin",
         .type = OPTION_DOUBLE,
         .value = &s->margin,
         .minimum = 0,
         .maximum = 4,
         .help = "alpha"},
        {.name = "quiet", .type = OPTION_FLAG, .value = &s->quiet, .help = "no progress"},
        {.name = "out",
         .type = OPTION_TEXT,
         .value = &s->out,
         .placeholder = "FOLDER",
         .help = "where results go"},
        {.name = "mining",
         .type = OPTION_TEXT,
         .value = &s->mining,
         .choices = "all|semi-hard|hard",
         .help = "negatives"},
    };
    *c = (command){.program = "facenet",
                   .verb = "train",
                   .summary = "Trains.",
                   .operands = "FOLDER [PAIRS]",
                   .most = 2,
                   .options = options,
                   .option_count = 6};
    const bool done = command_parse(c, count, arguments, error);
    c->options = NULL;
    return done;
}

#define PARSE(...)                                                                                           \
    parse(&s, &c, &error, (int)(sizeof(char *[]){__VA_ARGS__} / sizeof(char *)), (char *[]){__VA_ARGS__})

TEST(command_reads_every_type_in_both_forms)
{
    settings s;
    command c;
    app_error error;
    char *arguments[] = {"faces", "--steps", "7", "--seed=18446744073709551615", "--margin=-0", "--quiet",
                         "--out", "a=b", "--mining=hard", "--", "--list.txt"};
    CHECK(parse(&s, &c, &error, 11, arguments));
    CHECK_EQUAL(s.steps, 7);
    CHECK(s.seed == UINT64_MAX);
    CHECK_EQUAL(s.margin, 0);
    CHECK(s.quiet);
    CHECK_TEXT(s.out, "a=b");
    CHECK_TEXT(s.mining, "hard");
    CHECK_EQUAL(c.rest_count, 2);
    CHECK_TEXT(c.rest[0], "faces");
    CHECK_TEXT(c.rest[1], "--list.txt");
}

TEST(command_keeps_defaults_and_takes_the_last_of_equal_options)
{
    settings s;
    command c;
    app_error error;
    CHECK(parse(&s, &c, &error, 0, NULL));
    CHECK_EQUAL(s.steps, defaults.steps);
    CHECK(s.seed == defaults.seed && s.margin == defaults.margin && !s.quiet && !s.out &&
          s.mining == defaults.mining);
    CHECK_EQUAL(c.rest_count, 0);
    CHECK(PARSE("--margin", "1e-3", "--steps=5", "--steps=6", "-"));
    CHECK_EQUAL(s.margin, 1e-3);
    CHECK_EQUAL(s.steps, 6);
    CHECK_EQUAL(c.rest_count, 1);
}

TEST(command_says_what_is_wrong_in_one_line)
{
    static const struct {
        const char *argument, *next, *message;
    } cases[] = {
        {"--stpes", "5", "facenet train: unknown option --stpes (did you mean --steps?)"},
        {"--sead=5", NULL, "facenet train: unknown option --sead (did you mean --seed?)"},
        {"--no-such-thing", NULL, "facenet train: unknown option --no-such-thing (see facenet train --help)"},
        {"-s", "5", "facenet train: unknown option -s (options begin with two dashes)"},
        {"--steps", NULL, "facenet train: --steps needs a value"},
        {"--steps", "--quiet", "facenet train: --steps needs a value"},
        {"--steps", "0", "facenet train: --steps wants a whole number from 1 to 1000000000, not \"0\""},
        {"--steps", "5x", "facenet train: --steps wants a whole number from 1 to 1000000000, not \"5x\""},
        {"--steps=1.5", NULL,
         "facenet train: --steps wants a whole number from 1 to 1000000000, not \"1.5\""},
        {"--steps=", NULL, "facenet train: --steps wants a whole number from 1 to 1000000000, not \"\""},
        {"--steps", "99999999999999999999",
         "facenet train: --steps wants a whole number from 1 to 1000000000, not "
         "\"99999999999999999999\""},
        {"--seed", "-1", "facenet train: --seed wants a whole number from 0 to 2^64 - 1, not \"-1\""},
        {"--seed", "18446744073709551616",
         "facenet train: --seed wants a whole number from 0 to 2^64 - 1, not \"18446744073709551616\""},
        {"--margin", "4.1", "facenet train: --margin wants a number from 0 to 4, not \"4.1\""},
        {"--margin", "nan", "facenet train: --margin wants a number from 0 to 4, not \"nan\""},
        {"--margin", "0,2", "facenet train: --margin wants a number from 0 to 4, not \"0,2\""},
        {"--margin", " 1", "facenet train: --margin wants a number from 0 to 4, not \" 1\""},
        {"--quiet=yes", NULL, "facenet train: --quiet takes no value"},
        {"--mining", "semi", "facenet train: --mining wants one of all|semi-hard|hard, not \"semi\""},
        {"--mining", "all|semi-hard",
         "facenet train: --mining wants one of all|semi-hard|hard, not \"all|semi-hard\""},
        {"--mining", "", "facenet train: --mining wants one of all|semi-hard|hard, not \"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        settings s;
        command c;
        app_error error;
        char argument[64], next[64];
        snprintf(argument, sizeof argument, "%s", cases[i].argument);
        snprintf(next, sizeof next, "%s", cases[i].next ? cases[i].next : "");
        CHECK(!parse(&s, &c, &error, cases[i].next ? 2 : 1, (char *[]){argument, next}));
        CHECK_TEXT(error.text, cases[i].message);
    }
}

TEST(command_refuses_numbers_that_their_type_cannot_hold)
{
    int count = 1;
    double rate = 1;
    const option options[] = {{.name = "count", .type = OPTION_INT, .value = &count},
                              {.name = "rate", .type = OPTION_DOUBLE, .value = &rate}};
    command c = {.program = "bench", .options = options, .option_count = 2};
    static const char *const wrong[] = {"--count=2147483648", "--count=-2147483649", "--rate=inf",
                                        "--rate=1e999"};
    for (int i = 0; i < 4; i++) {
        char argument[40];
        app_error error = {""};
        snprintf(argument, sizeof argument, "%s", wrong[i]);
        CHECK(!command_parse(&c, 1, (char *[]){argument}, &error));
        CHECK_CONTAINS(error.text, i < 2 ? "--count wants a whole number, not \"" : "wants a number, not \"");
    }
    app_error error = {""};
    CHECK(command_parse(&c, 2, (char *[]){"--count=-2147483648", "--rate=-1e300"}, &error));
    CHECK_EQUAL(count, -2147483647 - 1);
    CHECK_EQUAL(rate, -1e300);
}

TEST(command_counts_operands)
{
    settings s;
    command c;
    app_error error;
    CHECK(!PARSE("a", "b", "--quiet", "c"));
    CHECK_TEXT(error.text, "facenet train: \"c\" is one argument too many");
    command needs = {.program = "style", .operands = "PHOTO PAINTING", .fewest = 2, .most = 2};
    app_error missing = {""};
    CHECK(!command_parse(&needs, 1, (char *[]){"a.png"}, &missing));
    CHECK_TEXT(missing.text, "style: PHOTO PAINTING is missing");
}

TEST(command_help_comes_first_and_shows_defaults)
{
    settings s;
    command c;
    app_error error;
    CHECK(PARSE("--steps", "wrong", "--help"));
    CHECK(c.help_asked);
    CHECK_EQUAL(s.steps, 1000);
    CHECK(!PARSE("--", "--help", "b", "c"));
    CHECK(!c.help_asked);

    int steps = 10;
    const char *out = "here";
    uint64_t seed = UINT64_MAX;
    double rate = 0.05;
    bool quiet = false;
    const option options[] = {
        {.name = "steps", .type = OPTION_INT, .value = &steps, .help = "how many"},
        {.name = "out", .type = OPTION_TEXT, .value = &out, .placeholder = "FOLDER", .help = "where to"},
        {.name = "seed", .type = OPTION_UINT64, .value = &seed, .help = "of all"},
        {.name = "lr", .type = OPTION_DOUBLE, .value = &rate, .help = "rate"},
        {.name = "quiet", .type = OPTION_FLAG, .value = &quiet, .help = "no talk"},
    };
    command help = {.program = "facenet",
                    .verb = "train",
                    .summary = "Trains a net.",
                    .operands = "[FOLDER]",
                    .most = 1,
                    .options = options,
                    .option_count = 5};
    const char *path = test_path("help");
    char text[1000];
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    command_help(&help, file);
    fclose(file);
    CHECK_TEXT(read_text(path, text, sizeof text), "Trains a net.\n"
                                                   "\n"
                                                   "usage: facenet train [OPTIONS] [FOLDER]\n"
                                                   "\n"
                                                   "  --steps N     how many (default 10)\n"
                                                   "  --out FOLDER  where to (default here)\n"
                                                   "  --seed N      of all (default 18446744073709551615)\n"
                                                   "  --lr X        rate (default 0.05)\n"
                                                   "  --quiet       no talk\n"
                                                   "  --help        print this\n");
}

/* ---- verbs --------------------------------------------------------------------------------------------- */

static int verb_count_seen;

static int train(int count, char **arguments)
{
    verb_count_seen = count;
    return count > 0 && strcmp(arguments[0], "--quiet") == 0 ? 0 : 7;
}

static const verb verbs[] = {{"train", "trains a net", train}, {"evaluate", "measures it", train}};

/* Runs `facenet` with these arguments and what it writes to descriptor 1 or 2 in `text`. */
static int run_captured(int descriptor, char *text, size_t room, int count, char **arguments)
{
    const char *path = test_path("captured");
    FILE *file = fopen(path, "w");
    fflush(NULL);
    const int kept = dup(descriptor);
    if (!file || kept < 0 || dup2(fileno(file), descriptor) < 0) return -1;
    const int status = command_run("facenet", "Faces.", verbs, 2, count, arguments);
    fflush(NULL);
    dup2(kept, descriptor);
    close(kept);
    fclose(file);
    read_text(path, text, room);
    return status;
}

TEST(command_runs_the_verb_that_is_named)
{
    char text[500];
    CHECK_EQUAL(command_run("facenet", "Faces.", verbs, 2, 3, (char *[]){"facenet", "train", "--quiet"}), 0);
    CHECK_EQUAL(verb_count_seen, 1);
    CHECK_EQUAL(command_run("facenet", "Faces.", verbs, 2, 2, (char *[]){"facenet", "evaluate"}), 7);
    CHECK_EQUAL(run_captured(2, text, sizeof text, 2, (char *[]){"facenet", "trian"}), 2);
    CHECK_TEXT(text, "facenet: unknown verb trian (did you mean train?)\n");
    CHECK_EQUAL(run_captured(2, text, sizeof text, 2, (char *[]){"facenet", "x"}), 2);
    CHECK_TEXT(text, "facenet: unknown verb x (see facenet --help)\n");
    const char *help =
        "Faces.\n\nusage: facenet VERB [OPTIONS]\n\n  train     trains a net\n  evaluate  measures it\n\n"
        "facenet VERB --help tells a verb's options.\n";
    CHECK_EQUAL(run_captured(1, text, sizeof text, 2, (char *[]){"facenet", "--help"}), 0);
    CHECK_TEXT(text, help);
    CHECK_EQUAL(run_captured(2, text, sizeof text, 1, (char *[]){"facenet"}), 2);
    CHECK_TEXT(text, help);
}

/* ---- progress ------------------------------------------------------------------------------------------ */

TEST(progress_tells_rate_and_time_left)
{
    const progress p = {.what = "train", .unit = "steps", .first = 200, .total = 1000};
    CHECK_TEXT(progress_print(&p, 400, 16, "loss 0.123").text,
               "train  40% 400/1000 steps  12.5 steps/s  48 s left  loss 0.123");
    CHECK_TEXT(progress_print(&p, 210, 100, NULL).text,
               "train  21% 210/1000 steps  0.1 steps/s  2 h 11 min left");
    CHECK_TEXT(progress_print(&p, 400, 100, NULL).text,
               "train  40% 400/1000 steps  2 steps/s  5 min 00 s left");
    CHECK_TEXT(progress_print(&p, 1000, 90, NULL).text,
               "train 100% 1000/1000 steps  8.89 steps/s  1 min 30 s in all");
    CHECK_TEXT(progress_print(&p, 200, 0, NULL).text, "train  20% 200/1000 steps  0 steps/s  ? left");
}

static void work(progress *p, const char *path, bool terminal)
{
    progress_start(p, "load", "pictures", 0, 1000);
    p->stream = fopen(path, "w");
    p->terminal = terminal;
    for (int i = 1; p->stream && i <= 1000; i++) progress_show(p, i, NULL);
    progress_end(p);
    if (p->stream) fclose(p->stream);
}

TEST(progress_is_ten_lines_in_a_file_and_one_on_a_terminal)
{
    progress p;
    char text[4000];
    const char *path = test_path("progress");
    work(&p, path, false);
    int lines = 0;
    for (const char *c = read_text(path, text, sizeof text); *c; c++) lines += *c == '\n';
    CHECK_EQUAL(lines, 10);
    CHECK_CONTAINS(text, "load  10% 100/1000 pictures");
    CHECK_CONTAINS(text, "load 100% 1000/1000 pictures");
    work(&p, path, true);
    lines = 0;
    for (const char *c = read_text(path, text, sizeof text); *c; c++) lines += *c == '\n';
    CHECK_EQUAL(lines, 1);
    CHECK_CONTAINS(text, "\rload 100% 1000/1000 pictures");
}

/* ---- logs ---------------------------------------------------------------------------------------------- */

TEST(csv_writes_each_row_at_once_with_nine_digits)
{
    csv_log log;
    app_error error = {""};
    char text[200];
    const char *path = test_path("log.csv");
    CHECK(csv_open(&log, path, (const char *const[]){"step", "loss"}, 2, &error));
    CHECK(csv_row(&log, (double[]){1, 0.1}, &error));
    CHECK(csv_row(&log, (double[]){123456789, -1.0 / 3e10}, &error));
    CHECK_TEXT(read_text(path, text, sizeof text),
               "step,loss\n1,0.1\n123456789,-3.33333333e-11\n"); /* still open */
    CHECK(csv_row(&log, (double[]){3, INFINITY}, &error));
    CHECK(csv_close(&log, &error));
    CHECK(csv_close(&log, &error));
    CHECK_CONTAINS(read_text(path, text, sizeof text), "\n3,inf\n");
}

TEST(csv_reports_a_failure_once_and_goes_on)
{
    csv_log log, nowhere;
    app_error error = {""}, full = {""}, again = {""};
    CHECK(
        !csv_open(&nowhere, "build/test-tmp/no such folder/log.csv", (const char *const[]){"a"}, 1, &error));
    CHECK_CONTAINS(error.text, "build/test-tmp/no such folder/log.csv: cannot be written (");
    CHECK(csv_row(&nowhere, (double[]){1}, &again) && csv_close(&nowhere, &again));
    CHECK_TEXT(again.text, "");

    const char *path = test_path("full.csv");
    CHECK(csv_open(&log, path, (const char *const[]){"a"}, 1, &again));
    struct rlimit before, small = {20, 20};
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int failures = 0;
    for (int i = 0; i < 30; i++) failures += !csv_row(&log, (double[]){i}, &full);
    const bool closed = csv_close(&log, &full);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    CHECK_EQUAL(failures, 1);
    CHECK(closed);
    CHECK_CONTAINS(full.text, path);
    CHECK_CONTAINS(full.text, ": cannot be written (");
}
