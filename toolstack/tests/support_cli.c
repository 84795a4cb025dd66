/* SPDX-License-Identifier: MIT */
#include "support_cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../cli/cli.h"

char out[65536], errors[65536];

static void slurp(FILE *f, char *text, size_t bytes)
{
    size_t n;

    rewind(f);
    n = fread(text, 1, bytes - 1, f);
    text[n] = '\0';
    fclose(f);
}

int run(const char *line)
{
    static char words[1024];
    FILE *out_file = tmpfile(), *error_file = tmpfile();
    int saved_out, saved_error, argc = 1, rc;
    char *argv[32] = {(char *)(uintptr_t) "godwit"};

    snprintf(words, sizeof(words), "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    fflush(stdout);
    fflush(stderr);
    saved_out = dup(1);
    saved_error = dup(2);
    dup2(fileno(out_file), 1);
    dup2(fileno(error_file), 2);
    rc = cli_run(argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(saved_out, 1);
    dup2(saved_error, 2);
    close(saved_out);
    close(saved_error);
    slurp(out_file, out, sizeof(out));
    slurp(error_file, errors, sizeof(errors));
    return rc;
}
