/* The command line: PROGRAM VERB [--option VALUE]... [OPERAND]... An app lists its verbs, and for each verb
 * its options; help, checks and messages come from the lists. */
#ifndef TESSERA_APPS_COMMAND_H
#define TESSERA_APPS_COMMAND_H

#include "apps/common/error.h"

typedef enum option_type {
    OPTION_FLAG,   /* bool: --name sets it */
    OPTION_INT,    /* int */
    OPTION_UINT64, /* uint64_t */
    OPTION_DOUBLE, /* double, with '.' whatever the language */
    OPTION_TEXT    /* const char * into the arguments; NULL as a default: none */
} option_type;

typedef struct option {
    const char *name; /* without the two dashes */
    option_type type;
    void *value;             /* of the type's kind; holds the default before, the outcome after */
    const char *help;        /* one line; the default is added to it */
    const char *placeholder; /* of the value in the help, like FOLDER; NULL: after the type */
    double minimum, maximum; /* of a number; both 0: no limits */
    const char *choices;     /* of a text, like "adam|sgd"; NULL: any */
} option;

typedef struct command {
    const char *program, *verb; /* verb NULL: a program without verbs */
    const char *summary;        /* one line */
    const char *operands;       /* for the help, like "FOLDER [PAIRS]"; NULL: there are none */
    int fewest, most;           /* operands */
    const option *options;
    int option_count;
    bool help_asked;         /* outcome */
    const char *const *rest; /* outcome: the operands */
    int rest_count;
} command;

/* Takes the arguments after the verb apart: `--name VALUE` or `--name=VALUE`; `--` ends the options; the last
 * of equal options counts. Operands are gathered at the front of `arguments`, in order. With --help anywhere
 * nothing else is looked at. The error is a line like
 *     facenet train: unknown option --stpes (did you mean --steps?) */
bool command_parse(command *c, int count, char **arguments, app_error *error);

/* Prints the usage, the options and, while it is called before command_parse has set them, their defaults. */
void command_help(const command *c, FILE *stream);

enum { COMMAND_GO = -1, COMMAND_WRONG_USAGE = 2 };

/* What an app does first: command_parse, then help on stdout or the error on stderr. Returns COMMAND_GO, or
 * the status to exit with. */
int command_start(command *c, int count, char **arguments);

/* Of the names the one that is most like what was written, to be asked for; NULL: none is near. */
const char *command_suggest(const char *wrong, char *const *names, int count);

typedef struct verb {
    const char *name, *summary;
    int (*run)(int count, char **arguments); /* gets what follows the verb; returns the exit status */
} verb;

/* The whole of a main with verbs: runs the one that is named, or helps. `count` and `arguments` are
 * main's. */
int command_run(const char *program, const char *about, const verb *verbs, int verb_count, int count,
                char **arguments);

#endif
