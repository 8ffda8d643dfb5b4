/* Reading JSON of a known structure from memory, value by value, without a tree and without recursion: how
 * deep a text may nest is how deep the caller asks. Strings are unescaped where they lie. */
#ifndef TESSERA_CORE_JSON_H
#define TESSERA_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*   tsr_json_enter(json, '{');
 *   while (tsr_json_more(json, '}')) { key = tsr_json_key(json); ... read the value ... }
 * After the first thing that is not as asked, every call does nothing and returns false or NULL. */
typedef struct tsr_json {
    char *begin, *at, *end;
    bool fresh;           /* right after '{' or '[': no comma comes before what follows */
    const char *expected; /* what should have stood at `at`; NULL while all is well */
} tsr_json;

tsr_json tsr_json_begin(char *text, size_t bytes);

bool tsr_json_enter(tsr_json *json, char open); /* '{' or '[' */
bool tsr_json_more(tsr_json *json, char close); /* whether another value comes; past `close` if not */

/* Valid UTF-8 without NUL inside, terminated; lies in the text. */
const char *tsr_json_string(tsr_json *json);
const char *tsr_json_key(tsr_json *json); /* a string and its colon */

/* A whole number from 0 to 2^63 - 1, written without fraction or exponent. */
bool tsr_json_count(tsr_json *json, int64_t *value);

/* Any number of up to 98 characters that a double can hold, '.' before the fraction whatever the language. */
bool tsr_json_number(tsr_json *json, double *value);

/* Passes over a value of any kind, nested up to 32 deep. */
bool tsr_json_skip(tsr_json *json);

/* Nothing but blanks is left. */
bool tsr_json_finish(tsr_json *json);

#endif
