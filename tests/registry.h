/* The table of tests that tests/list.sh writes from the sources. */
#ifndef TESSERA_TESTS_REGISTRY_H
#define TESSERA_TESTS_REGISTRY_H

#include "core/core.h"

typedef struct test_entry {
    const char *name;
    void (*run)(void);
    bool is_long;     /* only in `make test-long` */
    bool of_programs; /* --library leaves it out */
} test_entry;

typedef struct gradcheck_entry {
    const char *name; /* of the public function, without tsr_ */
    void (*run)(tsr_context *ctx);
} gradcheck_entry;

extern const test_entry test_entries[];           /* each list ends with a NULL name */
extern const gradcheck_entry gradcheck_entries[]; /* empty in the float build */
extern const char *const op_names[];              /* ops of the library that have a backward */

/* gradcheck.c: runs all checks whose name contains `filter`; a table for people on stdout if `table`. */
void gradcheck_run_all(const char *filter, bool table);

/* main.c: runs one test, printing and recording how it ended. */
void test_run(const char *name, void (*run)(void *user), void *user);

#endif
