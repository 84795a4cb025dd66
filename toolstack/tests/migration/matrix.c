/* SPDX-License-Identifier: MIT */
#include "matrix.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STALL_MS 20000
#define WAIT_MS  20000
#define STEP_US  10000

/* --- beginning and end ----------------------------------------------------------------------- */

/* Each host has files of its own. */
static void set_run_dir(const char *dir, unsigned host)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/%u", dir, host);
    mkdir(path, 0700);
    setenv("GODWIT_RUN_DIR", path, 1);
}

void matrix_aim(struct matrix *m, unsigned host)
{
    m->from = host;
    m->opener = fake_opener(m->world, host);
    m->command[3] = host ? "0" : "1";
    faults_host = host;
}

void matrix_begin(struct matrix *m)
{
    int fd;

    memset(m, 0, sizeof(*m));
    m->world = fake_world_create(&fd);
    snprintf(m->dir, sizeof(m->dir), "%s/XXXXXX", case_folder());
    CASE_CHECK(m->world && mkdtemp(m->dir) && (faults = faults_make(m->dir)));
    snprintf(m->fd_text, sizeof(m->fd_text), "%d", fd);
    faults_world = m->world;
    m->command[0] = "/proc/self/exe";
    m->command[1] = "--receive";
    m->command[2] = m->fd_text;
    m->command[4] = m->dir;
    matrix_aim(m, 0);
    m->options = (struct gw_migrate_options){
        .name = "web",
        .host = "south",
        .transport.command = m->command,
        .verify = true,
        .limits = {.max_rounds = 2, .max_downtime_ms = 1, .on_timeout = GW_ON_TIMEOUT_STOP},
        .stall_ms = STALL_MS,
        .opener = &m->opener,
    };
    fake_guest_add(&m->world->hosts[0], "web");
    m->world->busy = 8;
    m->world->rest_us = 300;
    m->vcpus = fork(); /* a process: what forks here must have one thread */
    if (m->vcpus == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fake_vcpus(m->world);
        _exit(0);
    }
}

void matrix_end(struct matrix *m)
{
    m->world->stop = true;
    waitpid(m->vcpus, NULL, 0);
}

/* --- a migration -------------------------------------------------------------------------------
 */

pid_t matrix_start(struct matrix *m)
{
    fflush(NULL);
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        faults_side = FAULT_SOURCE;
        set_run_dir(m->dir, m->from);
        memset(&faults->err, 0, sizeof(faults->err));
        _exit(gw_migrate(&m->options, &faults->err));
    }
    return pid;
}

int matrix_wait(struct matrix *m, pid_t pid)
{
    int status = -1;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    m->err = faults->err;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int matrix_migrate(struct matrix *m)
{
    return matrix_wait(m, matrix_start(m));
}

pid_t matrix_await_stop(unsigned n)
{
    for (unsigned i = 0; i < WAIT_MS * 1000 / STEP_US; i++) {
        struct case_processes found = case_look(0);
        if (found.stopped >= n)
            return found.stopped_pid;
        usleep(STEP_US);
    }
    case_fail("no process stopped");
}

void matrix_await_processes(struct matrix *m, unsigned n)
{
    for (unsigned i = 0; i < WAIT_MS * 1000 / STEP_US; i++) {
        struct case_processes found = case_look(m->vcpus);
        if (found.n == n)
            return;
        if (n == 0 && found.stopped)
            kill(found.stopped_pid, SIGCONT); /* some steps come more than once */
        usleep(STEP_US);
    }
    case_fail("%u processes are left", case_look(m->vcpus).n);
}

/* --- afterwards ----------------------------------------------------------------------------------
 */

static struct fake_guest *only_guest(struct fake_host *host)
{
    struct fake_guest *found = NULL;

    for (unsigned i = 0; i < FAKE_GUESTS; i++) {
        if (!host->guests[i].used)
            continue;
        if (found)
            case_fail("two guests at one host: %s and %s", found->name, host->guests[i].name);
        found = &host->guests[i];
    }
    return found;
}

static bool may_run(const struct fake_guest *guest)
{
    return guest && guest->pauses == 0 && !guest->shut_down && !strcmp(guest->name, "web");
}

/* What the exit status says, held against what is there. */
static enum matrix_end end_of(struct matrix *m, int status)
{
    struct fake_guest *here = only_guest(&m->world->hosts[0]);
    struct fake_guest *there = only_guest(&m->world->hosts[1]);

    if (there && !strcmp(there->name, "web--incoming") && there->pauses != 1)
        case_fail("an incoming guest has %d pauses", there->pauses);
    switch (status) {
    case GW_EXIT_OK:
        if (!may_run(there) || here)
            case_fail("it says that it moved, but it did not");
        return END_MOVED;
    case GW_EXIT_MIGRATE_UNKNOWN:
        if (!here || here->pauses != 1 || (there && !may_run(there) && there->pauses != 1))
            case_fail("it is not held here: %s", m->err.message);
        if (!here->note[0])
            case_fail("nothing says for good that it is held");
        return END_HELD;
    case GW_EXIT_FAILED:
        if (may_run(there) && here && here->pauses == 1)
            return END_OLD;
        break;
    case GW_EXIT_STATE:
    case GW_EXIT_NO_GUEST:
        if (!may_run(here)) {
            if (there || (here && here->pauses))
                case_fail("it ended, but something is left of it: %s", m->err.message);
            return END_GONE;
        }
        break;
    default:
        break;
    }
    if (!may_run(here) || there)
        case_fail("exit status %d (%s), and it does not run on here alone: here %s with %d pauses, "
                  "there %s",
                  status, m->err.message, here ? here->name : "nothing", here ? here->pauses : 0,
                  there ? there->name : "nothing");
    return END_HERE;
}

static void check_host(struct fake_host *host)
{
    unsigned frames = 0;

    for (unsigned i = 0; i < FAKE_GUESTS; i++) {
        struct fake_guest *guest = &host->guests[i];
        if (!guest->used)
            continue;
        frames += FAKE_GUEST_FRAMES;
        if (guest->logging || guest->split || guest->sampling)
            case_fail("%s is logged, split or sampled", guest->name);
        if (guest->note[0] && guest->pauses == 0)
            case_fail("%s runs, and is said to be held", guest->name);
        for (unsigned v = 0; v < FAKE_VCPUS; v++)
            if (guest->vcpus[v].percent)
                case_fail("vCPU %u of %s is throttled", v, guest->name);
    }
    if (host->frames != frames)
        case_fail("%u frames are used where %u should be", host->frames, frames);
}

/* Files that somebody was going to rename or remove. */
static void check_files(const char *path)
{
    static const char *const temporary[] = {".new", ".partial", ".tmp", "~"};
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        for (unsigned i = 0; i < sizeof(temporary) / sizeof(temporary[0]); i++) {
            const char *at = strstr(entry->d_name, temporary[i]);
            if (at && at[strlen(temporary[i])] == '\0')
                case_fail("%s is left", entry->d_name);
        }
    if (dir)
        closedir(dir);
}

static void check_all(struct matrix *m)
{
    char path[sizeof(m->dir) + 16];

    matrix_await_processes(m, 0);
    if (m->world->ran_twice)
        case_fail("it ran twice");
    check_host(&m->world->hosts[0]);
    check_host(&m->world->hosts[1]);
    for (unsigned host = 0; host < 2; host++) {
        snprintf(path, sizeof(path), "%s/%u", m->dir, host);
        check_files(path);
        snprintf(path, sizeof(path), "%s/%u/migrations", m->dir, host);
        check_files(path);
    }
}

/* What the message says to do: whoever runs stays, and if nobody does it runs here. */
static void resolve(struct matrix *m)
{
    struct fake_guest *here = only_guest(&m->world->hosts[0]);
    struct fake_guest *there = only_guest(&m->world->hosts[1]);

    if (may_run(there)) {
        fake_guest_remove(&m->world->hosts[0], here);
        return;
    }
    if (there)
        fake_guest_remove(&m->world->hosts[1], there);
    here->note[0] = '\0';
    fake_guest_unpause(here);
}

static void forget_plan(void)
{
    unsetenv("GODWIT_FAIL_AT");
    faults->step[0] = '\0';
    faults->fail_allocation[0] = faults->fail_allocation[1] = faults->fail_write = 0;
    faults->short_writes = false;
    faults->hurry = false;
    for (unsigned i = 0; i < 2; i++)
        faults_world->hosts[i].fail_call = 0;
}

static void move_again(struct matrix *m)
{
    unsigned from = only_guest(&m->world->hosts[0]) ? 0 : 1;
    uint64_t steps;

    forget_plan();
    matrix_aim(m, from);
    int status = matrix_migrate(m);
    if (status)
        case_fail("afterwards it cannot be moved: %s", m->err.message);
    check_all(m);
    struct fake_guest *moved = only_guest(&m->world->hosts[!from]);
    if (!may_run(moved) || only_guest(&m->world->hosts[from]))
        case_fail("afterwards it did not move");
    fake_guest_pause(moved);
    if (!fake_guest_is_sound(moved))
        case_fail("afterwards its memory is wrong");
    fake_guest_unpause(moved);
    steps = moved->steps;
    for (unsigned i = 0; i < WAIT_MS && moved->steps == steps; i++)
        usleep(1000);
    CASE_CHECK(moved->steps > steps);
}

enum matrix_end matrix_check(struct matrix *m, int status, unsigned allowed)
{
    matrix_await_processes(m, 0);
    enum matrix_end end = end_of(m, status);
    struct fake_guest *here = only_guest(&m->world->hosts[0]);

    if (!(end & allowed))
        case_fail("exit status %d: %s", status, m->err.message);
    if (status && !m->err.message[0])
        case_fail("exit status %d without a reason", status);
    if (end == END_HELD &&
        !strstr(m->err.message, ", after the guest was handed over; \"web\" is held paused here, "))
        case_fail("held without its sentence: %s", m->err.message);
    check_all(m);
    if (end == END_HELD || end == END_OLD)
        resolve(m);
    if (end == END_GONE) {
        if (here)
            fake_guest_remove(&m->world->hosts[0], here);
        check_all(m);
        fake_guest_add(&m->world->hosts[0], "web");
    }
    move_again(m);
    return end;
}

/* --- the receiver
 * ---------------------------------------------------------------------------------- */

static _Noreturn void receive(char **argv)
{
    unsigned host = (unsigned)atoi(argv[3]);
    struct gw_error err = {0};

    faults_world = fake_world_open(atoi(argv[2]));
    faults_host = host;
    faults = faults_make(argv[4]);
    faults_side = FAULT_DESTINATION;
    set_run_dir(argv[4], host);
    struct migrate_opener opener = fake_opener(faults_world, host);
    struct gw_receive_options options = {.stall_ms = STALL_MS, .opener = &opener};
    _exit(gw_migrate_receive(&options, 0, 1, &err)); /* its memory was the child's: no leaks here */
}

/* As ssh does: a process between the two that ends when it is told to, and the receiver does not.
 */
static int run_behind(char **argv)
{
    pid_t pid = fork();

    if (pid == 0)
        receive(argv);
    close(0);
    close(1);
    waitpid(pid, NULL, 0);
    return 0;
}

int matrix_main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "--receive"))
        receive(argv);
    return argc == 5 && !strcmp(argv[1], "--behind") ? run_behind(argv) : -1;
}
