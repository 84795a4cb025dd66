/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

int cli_fail(const char *command, const struct gw_error *err)
{
    fflush(stdout);
    fprintf(stderr, "godwit %s: %s\n", command, err->message);
    return err->code ? err->code : GW_EXIT_FAILED;
}

enum gw_progress cli_progress(void)
{
    return isatty(STDERR_FILENO) ? GW_PROGRESS_TERMINAL : GW_PROGRESS_LINES;
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "godwit %s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "; see godwit %s --help\n", command);
    return GW_EXIT_USAGE;
}

int cli_getopt(int argc, char **argv, const char *letters, const struct option *options,
               int *ret_exit)
{
    char with_help[64];
    int c;

    /* ':' first: a missing argument is told apart from an unknown option, and getopt is silent. */
    snprintf(with_help, sizeof(with_help), ":h%s", letters);
    opterr = 0;
    c = getopt_long(argc, argv, with_help, options, NULL);
    if (c == 'h') {
        cli_command_help(cli_command_find(argv[0]));
        *ret_exit = GW_EXIT_OK;
        return CLI_OPT_EXIT;
    }
    if (c == ':' || c == '?') {
        const char *option = argv[optind - 1];

        *ret_exit = c == ':' ? cli_usage(argv[0], "option '%s' needs an argument", option)
                    : optopt && optopt < 256 && option[1] != '-'
                        ? cli_usage(argv[0], "unknown option '-%c'", optopt)
                        : cli_usage(argv[0], "unknown option '%s'", option);
        return CLI_OPT_EXIT;
    }
    return c;
}

int cli_parse_number(const char *text, unsigned long low, unsigned long high,
                     unsigned long *ret_number)
{
    char *end;
    unsigned long value;

    if (*text < '0' || *text > '9')
        return -1;
    value = strtoul(text, &end, 10);
    if (*end || value < low || value > high)
        return -1;
    *ret_number = value;
    return 0;
}

int cli_parse_seconds(const char *text, unsigned *ret_ms)
{
    const double day = 86400;
    char *end;
    double value;

    if ((*text < '0' || *text > '9') && *text != '.')
        return -1;
    value = strtod(text, &end);
    if (*end || !(value >= 0.001 && value <= day))
        return -1;
    *ret_ms = (unsigned)(value * 1000 + 0.5);
    return 0;
}

void cli_print_json(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object,
                                        JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    fflush(stdout);
    json_object_put(object);
}

int cli_open_guest(const char *name_or_domid, struct gw_hv **ret_hv, struct gw_guest *ret_guest,
                   struct gw_error *err)
{
    struct gw_hv *hv;

    if (gw_hv_open(&hv, err) < 0)
        return -1;
    if (gw_guest_find(hv, name_or_domid, ret_guest, err) < 0) {
        gw_hv_close(hv);
        return -1;
    }
    *ret_hv = hv;
    return 0;
}

int cli_run(int argc, char **argv)
{
    const struct cli_command *command, *near;
    const char *name = argc > 1 ? argv[1] : NULL;
    int rc;

    if (!name) {
        fprintf(stderr, "godwit: which command? See godwit help\n");
        return GW_EXIT_USAGE;
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        name = "help";
    if (!strcmp(name, "--version"))
        name = "version";
    command = cli_command_find(name);
    if (!command) {
        near = cli_command_suggest(name);
        fprintf(stderr, "godwit: there is no command '%s'%s%s%s; see godwit help\n", name,
                near ? ", did you mean '" : "", near ? near->name : "", near ? "'?" : "");
        return GW_EXIT_USAGE;
    }
    optind = 0; /* restarts getopt, also for tests that run several commands */
    rc = command->run(argc - 1, argv + 1);
    if (fflush(stdout) != 0 && rc == GW_EXIT_OK) {
        fprintf(stderr, "godwit %s: cannot write the result\n", name);
        rc = GW_EXIT_FAILED;
    }
    return rc;
}
