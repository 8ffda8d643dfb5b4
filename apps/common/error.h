/* How the programs report what went wrong: one line, made where it happened, printed once by main. */
#ifndef TESSERA_APPS_ERROR_H
#define TESSERA_APPS_ERROR_H

#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct app_error {
    char text[512]; /* empty: no error so far */
} app_error;

#if defined(__GNUC__)
#define APP_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define APP_PRINTF(text, first)
#endif

/* Writes the message unless an earlier one stands (the first error is the one that explains). It stays one
 * line whatever a path or a file holds: control characters become '?'. Returns false, so that a function can
 * `return app_fail(error, ...)`. */
APP_PRINTF(2, 3)
static inline bool app_fail(app_error *error, const char *format, ...)
{
    if (error->text[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof error->text, format, arguments);
        va_end(arguments);
        for (char *c = error->text; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7F) *c = '?';
    }
    return false;
}

#endif
