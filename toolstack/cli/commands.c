/* SPDX-License-Identifier: MIT */
/* The table of commands, with the help of each: the one place that lists them. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

const struct cli_command cli_commands[] = {
    {"console", "[OPTION...] GUEST", "attach this terminal to a guest's console",
     "  godwit console web1            ^] detaches; the guest runs on\n"
     "  godwit console -t 5 web1 </dev/null   print what comes in 5 seconds\n"
     "\n"
     "  -t, --timeout SECONDS  end after so long (exit code 0)\n",
     cmd_console},
    {"create", "[OPTION...] CONFIG [KEY=VALUE...]", "start a guest from a configuration file",
     "  godwit create web1.cfg\n"
     "  godwit create -c web1.cfg 'memory=512' 'extra=\"quiet\"'\n"
     "\n"
     "  -c, --console   attach to its console\n"
     "  -p, --paused    leave it paused\n"
     "  -n, --dry-run   check the configuration and print it, create nothing\n"
     "      --json      print name and domain id as JSON\n"
     "\n"
     "KEY=VALUE has the syntax of the file and wins over it. See godwit.cfg(5).\n",
     cmd_create},
    {"destroy", "GUEST", "end a guest at once, as if its power was cut", "  godwit destroy web1\n",
     cmd_destroy},
    {"dirty", "[OPTION...] GUEST", "show how many pages a guest dirties per second",
     "  godwit dirty web1\n"
     "  godwit dirty -i 0.5 -n 20 --json web1\n"
     "\n"
     "  -i, --interval SECONDS  between two lines (1)\n"
     "  -n, --count N           end after N lines\n"
     "      --json              one JSON object per line\n"
     "\n"
     "Beside a save or a migration it only looks on. ^C ends it and switches the log off.\n",
     cmd_dirty},
    {"domid", "GUEST", "print the domain id of a guest", "  godwit domid web1\n", cmd_domid},
    {"help", "[COMMAND]", "list the commands, or explain one", "  godwit help create\n", cmd_help},
    {"info", "[--json] [GUEST]", "show facts about this host, or counters of a guest",
     "  godwit info\n"
     "  godwit info --json web1\n",
     cmd_info},
    {"list", "[OPTION...] [GUEST...]", "list guests",
     "  godwit list\n"
     "  godwit list -l web1\n"
     "\n"
     "  -l, --long  with configuration, as JSON\n"
     "      --json  the table as JSON\n"
     "\n"
     "State: r running, b blocked, p paused, s shut down, c crashed, d dying; h in place of p: held,\n"
     "as another host may run it, see godwit resolve.\n",
     cmd_list},
    {"migrate", "[OPTION...] GUEST HOST", "move a running guest to another host",
     "  godwit migrate web1 south\n"
     "  godwit migrate --verify -s 'ssh -p 2222' web1 root@south\n"
     "  godwit migrate web1 tls://south:7700\n"
     "\n"
     "  -s, --ssh COMMAND      run COMMAND instead of ssh; '' makes HOST a command of its own\n"
     "      --tls-dir DIR      where ca.pem, cert.pem and key.pem are (/etc/godwit/tls)\n"
     "      --tls-psk FILE     a shared key instead of certificates\n"
     "      --tls-name NAME    what the receiver's certificate must be made out to (HOST)\n"
     "      --insecure         allow tcp://HOST:PORT, which anybody on the way can read and change\n"
     "  -n, --dry-run          ask both hosts whether it would work, and move nothing\n"
     "  -p, --paused           leave it paused there\n"
     "      --verify           compare every page while it is stopped (also --debug)\n"
     "      --streams N        use N connections at once, up to 16 (1)\n"
     "      --compress[=LEVEL] compress pages with zstd, level 1 to 19 (1)\n"
     "      --max-downtime T   the guest may stand still for so long: 300ms, 2s (300ms)\n"
     "      --bandwidth RATE   send no faster: 40MiB/s, 1Gbit, 512M\n"
     "      --timeout T        stop the guest or give up after so long: 90s, 10m\n"
     "      --max-rounds N     the same after so many rounds (30; with --timeout 1000)\n"
     "      --on-timeout WHAT  then: cancel (exit code 12) or stop, however long that takes\n"
     "      --no-throttle      take no CPU time from a guest that writes too fast\n"
     "      --stall SECONDS    give up when HOST is silent for so long (60)\n"
     "      --json             a report on stdout\n"
     "  -q, --quiet            no progress\n"
     "\n"
     "^C before the guest is handed over cancels it (exit code 11); a second one leaves that to the\n"
     "background (exit code 130). See godwit-migration(7).\n",
     cmd_migrate},
    {"migrate-cancel", "GUEST", "end a migration; the guest runs on here",
     "  godwit migrate-cancel web1\n"
     "\n"
     "Returns when the guest is as if nobody had tried to move it. Exit code 7: it is not being\n"
     "migrated, or it has been handed over and cannot be taken back.\n",
     cmd_migrate_cancel},
    {"migrate-receive", "[-p] [--listen URL [OPTION...]]", "the other end of migrate",
     "  ssh south godwit migrate-receive      this is what migrate runs\n"
     "  godwit migrate-receive --listen tls://:7700\n"
     "\n"
     "  -p, --paused             leave guests paused\n"
     "      --listen URL         receive until SIGTERM on tls://ADDRESS:PORT, or tcp:// with\n"
     "                           --insecure; no ADDRESS: all of them\n"
     "      --tls-dir DIR        where ca.pem, cert.pem and key.pem are (/etc/godwit/tls)\n"
     "      --tls-psk FILE       shared keys instead of certificates\n"
     "      --insecure           allow tcp://: guests from anybody who can reach the port\n"
     "      --max-connections N  at once (16)\n"
     "      --stall SECONDS      end a connection on which nothing moves for so long (60)\n"
     "\n"
     "See godwit-migration(7) for keys.\n",
     cmd_migrate_receive},
    {"migrate-set", "OPTION... GUEST", "change the limits of a migration while it runs",
     "  godwit migrate-set --bandwidth 200MiB/s web1\n"
     "  godwit migrate-set --max-downtime 2s --timeout 10m --on-timeout stop web1\n"
     "\n"
     "      --max-downtime T   as for migrate; what is not named stays as it is\n"
     "      --bandwidth RATE   unlimited takes the limit away\n"
     "      --timeout T        from the beginning of the migration; 0 takes it away\n"
     "      --max-rounds N     from the beginning, too\n"
     "      --on-timeout WHAT  cancel or stop\n"
     "      --throttle WHAT    auto or off; off gives back what was taken\n"
     "      --json             as JSON\n"
     "\n"
     "Prints the limits that are in force. Exit code 7: the guest is not being migrated, or has\n"
     "been stopped for the last round.\n",
     cmd_migrate_set},
    {"migrate-status", "[--json] GUEST", "show how a migration goes, or how the last one went",
     "  godwit migrate-status web1\n"
     "  godwit migrate-status --json web1 | godwit report -o web1.html -\n"
     "\n"
     "      --json  as migrate --json prints; result is \"active\" while it runs\n"
     "\n"
     "Known until the next migration of that guest from this host, or until this host is started\n"
     "again. Exit code 7: none is known.\n",
     cmd_migrate_status},
    {"pause", "GUEST", "stop a guest where it is", "  godwit pause web1\n", cmd_pause},
    {"report", "[-o FILE] FILE", "draw a finished migration as a page for browsers",
     "  godwit migrate --json web1 south >web1.json\n"
     "  godwit report web1.json -o web1.html\n"
     "\n"
     "  -o, --output FILE  the page (standard output)\n"
     "\n"
     "FILE is what migrate --json or migrate-status --json printed; - is standard input. The page\n"
     "needs no network. Needs no hypervisor. Exit code 6: FILE holds no report.\n",
     cmd_report},
    {"resolve", "[OPTION...] GUEST", "decide where a guest runs after exit code 13 of migrate",
     "  godwit resolve web1                             ask the destination, and do what is certain\n"
     "  godwit resolve --there --checked runs-there web1\n"
     "  godwit resolve --here --checked no-power web1\n"
     "\n"
     "      --here          let it run on here\n"
     "      --there         it is at the destination: destroy the copy here\n"
     "      --checked WHAT  what you saw at the destination, if it cannot be asked or does not\n"
     "                      have the guest: runs-there (or did), never-ran, or no-power (the host\n"
     "                      is off, or was started again since)\n"
     "\n"
     "The destination is asked in the way in which the guest was sent. Exit code 13: nothing is\n"
     "certain, and nothing was changed. A guest that runs twice ruins what it writes to.\n",
     cmd_resolve},
    {"restore", "[OPTION...] FILE...", "start a saved guest where it was stopped",
     "  godwit restore web1.save\n"
     "  godwit restore mon.save tue.save wed.save   a chain, the oldest first\n"
     "\n"
     "  -p, --paused  leave it paused\n"
     "      --verify  compare all pages with the sums that save --verify has written\n"
     "  -q, --quiet   no message\n"
     "\n"
     "An incremental save alone finds its chain by the names in the files, in its own folder.\n",
     cmd_restore},
    {"save", "[OPTION...] GUEST FILE", "write a guest to a file and end it",
     "  godwit save web1 web1.save\n"
     "  godwit save -c -l web1 web1.save   the guest runs on, also meanwhile\n"
     "  godwit save -c -i web1 mon.save && godwit save -c -i --since mon.save web1 tue.save\n"
     "\n"
     "  -c, --checkpoint   let it run on afterwards\n"
     "  -p, --paused       leave it paused afterwards\n"
     "  -l, --live         let it run while its memory is written, with a short stop at the end\n"
     "  -i, --incremental  note what it writes from now on, so that --since can follow\n"
     "      --since FILE   only what was written since that save; restore needs both\n"
     "      --verify       sums of all pages, for restore --verify\n"
     "      --compress[=LEVEL]  with zstd, 1 (default) to 19\n"
     "  -q, --quiet        no message\n",
     cmd_save},
    {"shutdown", "[OPTION...] GUEST | -a", "press a guest's power key",
     "  godwit shutdown -w web1\n"
     "\n"
     "  -a, --all              all guests\n"
     "  -w, --wait             until they have shut down\n"
     "  -t, --timeout SECONDS  longest wait (120); then exit code 9\n",
     cmd_shutdown},
    {"stream-check", "[OPTION...] FILE...", "check saved guests, on any machine",
     "  godwit stream-check web1.save\n"
     "\n"
     "  -a, --all    a line for each record, also of memory\n"
     "  -q, --quiet  do not list the records\n"
     "      --json   records, damage and what the file holds, as JSON\n"
     "\n"
     "Finds any flipped bit and says between which offsets it is. Needs no hypervisor.\n"
     "Exit code 6: a file is damaged or no saved guest. Once called check-stream.\n",
     cmd_stream_check},
    {"unpause", "GUEST", "let a paused guest run on", "  godwit unpause web1\n", cmd_unpause},
    {"version", "[--json]", "print the versions of toolstack and hypervisor", "  godwit version\n",
     cmd_version},
    {0},
};

/* Names of earlier versions, so that scripts go on working. */
static const char *present_name(const char *name)
{
    return strcmp(name, "check-stream") ? name : "stream-check";
}

const struct cli_command *cli_command_find(const char *name)
{
    name = present_name(name);
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (!strcmp(c->name, name))
            return c;
    return NULL;
}

/* Levenshtein distance of short words; longer ones count as far away. */
static unsigned word_distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t n = strlen(b);

    if (strlen(a) >= 32 || n >= 32)
        return 99;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= n; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
        }
    }
    return row[n];
}

const struct cli_command *cli_command_suggest(const char *typed)
{
    const struct cli_command *best = NULL;
    unsigned best_distance = 4;

    for (const struct cli_command *c = cli_commands; c->name; c++) {
        unsigned distance = word_distance(typed, c->name);

        /* More than half of the word wrong is not a slip of the finger. */
        if (distance < best_distance && distance * 2 <= strlen(c->name) + 1) {
            best = c;
            best_distance = distance;
        }
    }
    return best;
}

void cli_command_help(const struct cli_command *command)
{
    printf("godwit %s: %s\n\n%s\nusage: godwit %s %s\n", command->name, command->summary,
           command->help, command->name, command->arguments);
}

void cli_help(void)
{
    puts("godwit: manage the guests of this host\n\n"
         "  godwit create web1.cfg && godwit console web1\n");
    for (const struct cli_command *c = cli_commands; c->name; c++)
        printf("  %-16s %s\n", c->name, c->summary);
    puts("\nEvery command explains itself with --help. See godwit(1).");
}
