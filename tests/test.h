/* Tests. In any .c file below tests/:
 *
 *     TEST(name_says_what_it_proves)
 *     {
 *         CHECK(condition);
 *     }
 * The Makefile finds each TEST by its line and lists it for main. TEST runs in the float and in the double build,
 * TEST_FLOAT and TEST_DOUBLE in one of them, TEST_LONG only in `make test-long`. A failed check ends its test. */
#ifndef TESSERA_TESTS_TEST_H
#define TESSERA_TESTS_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TEST(name)                                                                                                     \
    void test_##name(void);                                                                                            \
    void test_##name(void)
#define TEST_FLOAT(name) TEST(name)
#define TEST_DOUBLE(name) TEST(name)
#define TEST_LONG(name) TEST(name)

/* Each leaves the test, with a line that says where and what, unless it holds. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!test_check((condition), #condition, __FILE__, __LINE__)) return;                                          \
    } while (0)
#define CHECK_EQUAL(a, b)                                                                                              \
    do {                                                                                                               \
        if (!test_equal((double)(a), (double)(b), #a " == " #b, __FILE__, __LINE__)) return;                           \
    } while (0)
/* |a - b| <= tolerance * max(1, |b|); false for NaN. */
#define CHECK_NEAR(a, b, tolerance)                                                                                    \
    do {                                                                                                               \
        if (!test_near((double)(a), (double)(b), (double)(tolerance), #a " ~ " #b, __FILE__, __LINE__)) return;        \
    } while (0)
#define CHECK_TEXT(a, b)                                                                                               \
    do {                                                                                                               \
        if (!test_text((a), (b), #a, __FILE__, __LINE__)) return;                                                      \
    } while (0)
/* `part` occurs in `text`. */
#define CHECK_CONTAINS(text, part)                                                                                     \
    do {                                                                                                               \
        if (!test_contains((text), (part), #text, __FILE__, __LINE__)) return;                                         \
    } while (0)

bool test_check(bool holds, const char *what, const char *file, int line);
bool test_equal(double a, double b, const char *what, const char *file, int line);
bool test_near(double a, double b, double tolerance, const char *what, const char *file, int line);
bool test_text(const char *a, const char *b, const char *what, const char *file, int line);
bool test_contains(const char *text, const char *part, const char *what, const char *file, int line);

/* For checks inside helper functions: whether a check of the running test has failed. */
bool test_failed(void);

/* Skips the rest of the running test, saying why: `return test_skip("no file ...")`. Counted apart. */
void test_skip(const char *why);

/* Whether TSR_KERNELS forces other kernels than these: tests/run.sh has each table tested once. */
bool test_leaves_out(const char *kernels);

/* A path below build/test-tmp/, unique to `name`; valid until the 8th call after. The folder exists. */
const char *test_path(const char *name);

#endif
