/* SPDX-License-Identifier: MIT */
/* What the tests of the toolstack share. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A fresh folder in /tmp that is also GODWIT_RUN_DIR; removed by support_teardown(). */
int support_setup(void **state);
int support_teardown(void **state);
const char *support_dir(void);
/* Writes a file into the folder and returns its path (static storage, a few at a time). */
const char *support_file(const char *name, const void *data, size_t bytes);

#define assert_contains(text, part) support_assert_contains((text), (part), __FILE__, __LINE__)
void support_assert_contains(const char *text, const char *part, const char *file, int line);

#endif
