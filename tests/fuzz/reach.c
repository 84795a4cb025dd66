/* SPDX-License-Identifier: MIT */
/*
 * Keeps the corpus of streams honest. An input's name says what the decoder accepts of it and how
 * it ends; a change of the format that has the inputs refused early changes what their names would
 * be, and the corpus has to grow anew.
 *
 *   reach --seeds DIR    writes streams of this version there
 *   reach --rename DIR   gives each file its name
 *   reach --check DIR    are the names right, and is every type of record accepted in one of them?
 */
#include "fuzz_stream.h"
#include "seeds.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define INPUT_MAX (1u << 20)

static const struct {
    uint32_t type;
    const char *name;
} types[] = {
    {STREAM_VERSIONS, "versions"}, {STREAM_HOST, "host"},
    {STREAM_CONFIG, "config"},     {STREAM_MEMORY, "memory"},
    {STREAM_BASE, "base"},         {STREAM_LANE, "lane"},
    {STREAM_DIGEST, "digest"},     {STREAM_STATIC_DATA_END, "head"},
    {STREAM_PAGE_DATA, "pages"},   {STREAM_PAGES_ZSTD, "zstd"},
    {STREAM_MARK, "mark"},         {STREAM_READONLY, "readonly"},
    {STREAM_HVM_CONTEXT, "state"}, {STREAM_PAGE_SUMS, "sums"},
    {STREAM_VERIFY, "verify"},     {STREAM_LANE_ENDS, "ends"},
    {STREAM_CHAIN, "chain"},       {STREAM_END, "end"},
};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* Of one input: bits of `types`. */
static uint32_t accepted, refused;
static unsigned version;

static void note(const struct stream_reader *reader, const struct stream_checker *checker,
                 uint32_t type, bool good)
{
    version = reader->version;
    for (unsigned i = 0; i < TYPES; i++)
        if (types[i].type == type)
            *(good ? &accepted : &refused) |= 1u << i;
}

static long read_input(const char *path, uint8_t *ret_data)
{
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(ret_data, 1, INPUT_MAX, file) : 0;

    if (!file)
        return -1;
    fclose(file);
    return (long)n;
}

static int add(char *text, int at, size_t bytes, const char *word)
{
    return at + snprintf(text + at, bytes - (size_t)at, "%s%s", at ? "+" : "", word);
}

/* VERSION-ACCEPTED-not-REFUSED-SUM; a file's sum keeps two apart that reach the same. */
static int name_of(const char *path, char *ret_name, size_t bytes)
{
    static uint8_t data[INPUT_MAX];
    char good[256] = "", bad[64] = "";
    long n = read_input(path, data);
    int good_at = 0, bad_at = 0;

    if (n < 0)
        return -1;
    accepted = refused = version = 0;
    LLVMFuzzerTestOneInput(data, (size_t)n);
    for (unsigned i = 0; i < TYPES; i++) {
        if (accepted & 1u << i)
            good_at = add(good, good_at, sizeof(good), types[i].name);
        if (refused & 1u << i)
            bad_at = add(bad, bad_at, sizeof(bad), types[i].name);
    }
    snprintf(ret_name, bytes, "%u-%s%s%s-%08lx", version, good_at ? good : "nothing",
             bad_at ? "-not-" : "", bad, crc32(0, data, (unsigned)n));
    return 0;
}

/* What an input of either version must have got through, so that something starts from there. */
static int check_all(uint32_t all, uint32_t all_refused)
{
    int bad = 0;

    for (unsigned i = 0; i < TYPES; i++) {
        if (!(all & 1u << i)) {
            printf("no input has a %s that is accepted\n", types[i].name);
            bad++;
        }
        if (!(all_refused & 1u << i)) {
            printf("no input has a %s that is refused\n", types[i].name);
            bad++;
        }
    }
    return bad;
}

static int look_at(const char *folder, bool rename_them)
{
    uint32_t all = 0, all_refused = 0;
    DIR *dir = opendir(folder);
    unsigned n = 0, stale = 0;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char path[PATH_MAX], name[NAME_MAX + 1], to[PATH_MAX];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (name_of(path, name, sizeof(name)))
            continue;
        n++;
        all |= accepted;
        all_refused |= refused;
        if (!strcmp(name, entry->d_name))
            continue;
        stale++;
        snprintf(to, sizeof(to), "%s/%s", folder, name);
        if (!rename_them)
            printf("%s is now %s\n", entry->d_name, name);
        else if (rename(path, to))
            perror(to);
    }
    if (dir)
        closedir(dir);
    printf("%u inputs, %u with %s name\n", n, stale, rename_them ? "a new" : "another");
    if (rename_them)
        return n == 0;
    return check_all(all, all_refused) || stale || n == 0;
}

int main(int argc, char **argv)
{
    int rc = 2;

    fuzz_stream_tell = note;
    if (argc == 3 && !strcmp(argv[1], "--seeds"))
        rc = seeds_write(argv[2]) ? 1 : 0;
    else if (argc == 3 && (!strcmp(argv[1], "--rename") || !strcmp(argv[1], "--check")))
        rc = look_at(argv[2], argv[1][2] == 'r');
    if (rc == 2)
        fprintf(stderr, "usage: reach --seeds|--rename|--check DIR\n");
    else if (rc)
        fprintf(stderr, "run tests/fuzz/grow, and look at what it makes\n");
    return rc;
}
