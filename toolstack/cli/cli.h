/* SPDX-License-Identifier: MIT */
/* What the cmd_*.c files share: the command table's row, errors, options, JSON output. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <getopt.h>
#include <json-c/json.h>
#include <libgodwit/domain.h>
#include <libgodwit/error.h>
#include <libgodwit/hv.h>
#include <libgodwit/migrate.h>
#include <stdbool.h>

struct cli_command {
    const char *name;
    const char *arguments;             /* synopsis after the name */
    const char *summary;               /* one line for the list of commands */
    const char *help;                  /* examples first, then options */
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns enum gw_exit */
};

/* commands.c */
extern const struct cli_command cli_commands[]; /* ends with a NULL name */
const struct cli_command *cli_command_find(const char *name);
/* The command whose name is nearest to what was typed; NULL if none is near. */
const struct cli_command *cli_command_suggest(const char *typed);
void cli_command_help(const struct cli_command *command);
void cli_help(void);

/* Runs the program: argv[1] is the command. Returns the exit code. */
int cli_run(int argc, char **argv);

/* --- for the commands ----------------------------------------------------------------------------
 */

/* Prints "godwit COMMAND: message" on stderr. Returns err's exit code. */
int cli_fail(const char *command, const struct gw_error *err);
/* A wrong command line: message and a pointer to --help. Returns GW_EXIT_USAGE. */
/* What commands that take long say meanwhile: a line that is rewritten on a terminal only. */
enum gw_progress cli_progress(void);
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Values of long options without a letter. */
enum { CLI_OPT_JSON = 256, CLI_OPT_OWN };

/*
 * getopt_long() that knows -h/--help of every command. Returns the option, -1 at the end of the
 * options (optind is then the first operand), or CLI_OPT_EXIT with *ret_exit set: help was printed
 * or the command line is wrong.
 */
#define CLI_OPT_EXIT (-2)
int cli_getopt(int argc, char **argv, const char *letters, const struct option *options,
               int *ret_exit);

/* A decimal number within [low, high]: 0 or -1. */
int cli_parse_number(const char *text, unsigned long low, unsigned long high,
                     unsigned long *ret_number);
/* Seconds with a fraction ("0.5") as milliseconds, 1 ms to one day: 0 or -1. */
int cli_parse_seconds(const char *text, unsigned *ret_ms);

/* Prints the object on stdout, one document, and frees it. */
void cli_print_json(struct json_object *object);

/* Most commands take one guest: opens the hypervisor and finds it. Close with gw_hv_close(). */
int cli_open_guest(const char *name_or_domid, struct gw_hv **ret_hv, struct gw_guest *ret_guest,
                   struct gw_error *err);

/* One command per function; cmd_NAME.c each. */
int cmd_console(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_destroy(int argc, char **argv);
int cmd_dirty(int argc, char **argv);
int cmd_domid(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_migrate_cancel(int argc, char **argv);
int cmd_migrate_receive(int argc, char **argv);
int cmd_migrate_set(int argc, char **argv);
int cmd_migrate_status(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_resolve(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_save(int argc, char **argv);
int cmd_shutdown(int argc, char **argv);
int cmd_stream_check(int argc, char **argv);
int cmd_unpause(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
