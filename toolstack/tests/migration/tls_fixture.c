/* SPDX-License-Identifier: MIT */
#include "tls_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 30000

static char keys[] = "/tmp/godwit-keys-XXXXXX";

int tls_keys_set_up(void **state)
{
    char command[256];

    if (!mkdtemp(keys))
        return -1;
    snprintf(command, sizeof(command), "%s %s", MAKE_KEYS, keys);
    return system(command) ? -1 : 0;
}

int tls_keys_tear_down(void **state)
{
    char command[64];

    snprintf(command, sizeof(command), "rm -r %s", keys);
    return system(command) ? -1 : 0;
}

const char *tls_dir(struct tls_fixture *f, const char *role)
{
    char *dir = f->dirs[f->dirs_used++ % 4];

    snprintf(dir, sizeof(f->dirs[0]), "%s/%s", keys, role);
    return dir;
}

int tls_set_up(void **state)
{
    struct tls_fixture *f = calloc(1, sizeof(*f));

    f->world = fake_world_create(&f->world_fd);
    assert_non_null(f->world);
    f->source = fake_opener(f->world, 0);
    f->destination = fake_opener(f->world, 1);
    f->guest = fake_guest_add(&f->world->hosts[0], "web");
    f->neighbour = fake_guest_add(&f->world->hosts[1], "neighbour");
    fake_guest_pause(f->neighbour);
    f->options = (struct gw_migrate_options){
        .name = "web",
        .host = "127.0.0.1",
        .limits = {.max_rounds = 3, .max_downtime_ms = 1, .on_timeout = GW_ON_TIMEOUT_STOP},
        .stall_ms = 20000,
        .verify = true,
        .opener = &f->source,
    };
    f->options.transport.host = "127.0.0.1";
    f->options.transport.port = f->port;
    f->listening.opener = &f->destination;
    f->listening.stall_ms = 20000;
    f->log_fd = -1;
    f->world->busy = 8;
    f->vcpus = fork();
    if (f->vcpus == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fake_vcpus(f->world);
        _exit(0);
    }
    *state = f;
    return 0;
}

int tls_tear_down(void **state)
{
    struct tls_fixture *f = *state;

    unsetenv("GODWIT_FAIL_AT");
    if (f->listener) {
        kill(f->listener, SIGTERM);
        waitpid(f->listener, NULL, 0);
    }
    close(f->log_fd);
    f->world->stop = true;
    waitpid(f->vcpus, NULL, 0);
    close(f->world_fd);
    munmap(f->world, sizeof(*f->world));
    free(f);
    return 0;
}

/* --- the listener ------------------------------------------------------------------------------
 */

static void log_line(void *arg, const char *line)
{
    dprintf(*(int *)arg, "%s\n", line);
}

static _Noreturn void run_listener(struct tls_fixture *f, int log_fd)
{
    struct gw_error err = {0};
    int rc;

    f->listening.log = log_line;
    f->listening.log_arg = &log_fd;
    rc = gw_migrate_listen(&f->listening, &err);
    if (rc)
        dprintf(log_fd, "cannot listen: %s\n", err.message);
    _exit(rc);
}

/* Takes what the listener has said by now; false: it has said its last word. */
static bool read_log(struct tls_fixture *f)
{
    size_t used = strlen(f->log);
    struct pollfd fd = {.fd = f->log_fd, .events = POLLIN};
    ssize_t got;

    assert_true(used < sizeof(f->log) - 1);
    if (poll(&fd, 1, 100) <= 0)
        return true;
    got = read(f->log_fd, f->log + used, sizeof(f->log) - 1 - used);
    return got > 0;
}

void tls_wait_log(struct tls_fixture *f, const char *words)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 100) {
        if (strstr(f->log, words))
            return;
        if (!read_log(f) && !strstr(f->log, words))
            break;
    }
    if (!strstr(f->log, words))
        fail_msg("the listener does not say \"%s\", but:\n%s", words, f->log);
}

void tls_forget_log(struct tls_fixture *f)
{
    memset(f->log, 0, sizeof(f->log));
}

void tls_listen(struct tls_fixture *f, enum gw_transport_kind kind, const char *role)
{
    int fds[2];
    char *at;

    f->listening.where = (struct gw_transport){
        .kind = kind, .host = "127.0.0.1", .port = "0", .tls.dir = tls_dir(f, role)};
    f->options.transport.kind = kind;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    f->listener = fork();
    if (f->listener == 0) {
        close(fds[0]);
        run_listener(f, fds[1]);
    }
    close(fds[1]);
    f->log_fd = fds[0];
    tls_wait_log(f, "listening on ");
    at = strstr(f->log, "127.0.0.1:");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "127.0.0.1:%7[0-9]", f->port), 1);
}

void tls_stop(struct tls_fixture *f)
{
    int status = -1;

    kill(f->listener, SIGTERM);
    waitpid(f->listener, &status, 0);
    f->listener = 0;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    tls_wait_log(f, "stopped");
}

int tls_connect(struct tls_fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(f->port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

int tls_open_port(struct tls_fixture *f, char ret_old[8])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    memcpy(ret_old, f->port, sizeof(f->port));
    snprintf(f->port, sizeof(f->port), "%u", ntohs(at.sin_port));
    return fd;
}

/* --- the guest ---------------------------------------------------------------------------------
 */

int tls_migrate(struct tls_fixture *f, const char *role)
{
    memset(&f->err, 0, sizeof(f->err));
    f->options.transport.tls.dir = tls_dir(f, role);
    return gw_migrate(&f->options, &f->err);
}

static struct fake_guest *at_destination(struct tls_fixture *f, const char *name)
{
    return fake_guest_find(&f->world->hosts[1], name);
}

void tls_assert_moves(struct tls_fixture *f, const char *role)
{
    int status = tls_migrate(f, role);
    struct fake_guest *moved;

    if (status)
        fail_msg("exit status %d: %s\n%s", status, f->err.message, f->log);
    moved = at_destination(f, "web");
    assert_non_null(moved);
    assert_false(f->guest->used);
    fake_guest_pause(moved);
    assert_true(fake_guest_is_sound(moved));
    fake_guest_unpause(moved);
    assert_false(f->world->ran_twice);
    tls_wait_log(f, "received web");
}

void tls_assert_at_source(struct tls_fixture *f)
{
    uint64_t before = f->world->steps;

    assert_true(f->guest->used);
    assert_int_equal(f->guest->pauses, 0);
    assert_false(f->guest->logging);
    for (int i = 0; i < 500 && f->world->steps == before; i++)
        usleep(10000);
    assert_true(f->world->steps > before);
    for (int i = 0; i < 3000 && (at_destination(f, "web") || at_destination(f, "web--incoming"));
         i++)
        usleep(10000);
    assert_null(at_destination(f, "web"));
    assert_null(at_destination(f, "web--incoming"));
    assert_false(f->world->ran_twice);
    tls_assert_neighbour_is_well(f);
}

void tls_assert_says(struct tls_fixture *f, const char *words)
{
    if (!strstr(f->err.message, words))
        fail_msg("\"%s\" is not in \"%s\"", words, f->err.message);
}

void tls_assert_neighbour_is_well(struct tls_fixture *f)
{
    unsigned guests = 0;

    for (unsigned i = 0; i < FAKE_GUESTS; i++)
        guests += f->world->hosts[1].guests[i].used;
    assert_int_equal(guests, 1);
    assert_true(f->neighbour->used);
    assert_string_equal(f->neighbour->name, "neighbour");
    assert_int_equal(f->neighbour->pauses, 1);
    assert_true(fake_guest_is_sound(f->neighbour));
}

/* --- processes ---------------------------------------------------------------------------------
 */

int tls_status_field(pid_t pid, const char *field)
{
    char path[64], line[256];
    int number = -1;
    size_t length = strlen(field);
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, field, length) && line[length] == ':')
            number = atoi(line + length + 1);
    if (file)
        fclose(file);
    return number;
}

static bool descends(pid_t pid, pid_t ancestor)
{
    while (pid > 1 && pid != ancestor)
        pid = tls_status_field(pid, "PPid");
    return pid == ancestor;
}

pid_t tls_find_process(pid_t ancestor, int seccomp)
{
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += 20) {
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        pid_t found = 0;

        while (proc && !found && (entry = readdir(proc))) {
            pid_t pid = atoi(entry->d_name);
            if (pid > 0 && tls_status_field(pid, "Seccomp") == seccomp && descends(pid, ancestor))
                found = pid;
        }
        if (proc)
            closedir(proc);
        if (found)
            return found;
        usleep(20000);
    }
    return 0;
}
