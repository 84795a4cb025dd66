/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

int support_setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/godwit-test-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    return setenv("GODWIT_RUN_DIR", dir, 1);
}

static void empty(const char *path)
{
    DIR *entries = opendir(path);
    struct dirent *entry;

    while (entries && (entry = readdir(entries)))
        unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        closedir(entries);
}

int support_teardown(void **state)
{
    char migrations[sizeof(dir) + 16];

    (void)state;
    snprintf(migrations, sizeof(migrations), "%s/migrations", dir);
    empty(migrations);
    rmdir(migrations);
    empty(dir);
    return rmdir(dir);
}

const char *support_dir(void)
{
    return dir;
}

const char *support_file(const char *name, const void *data, size_t bytes)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    FILE *f;

    snprintf(path, PATH_MAX, "%s/%s", dir, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
    return path;
}

void support_assert_contains(const char *text, const char *part, const char *file, int line)
{
    if (!strstr(text, part)) {
        print_error("\"%s\" does not contain \"%s\"\n", text, part);
        _fail(file, line);
    }
}
