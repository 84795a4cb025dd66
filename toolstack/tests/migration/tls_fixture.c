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

#define PATIENCE_MS    30000
#define SECCOMP_FILTER 2 /* in /proc/PID/status */

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
        if (f->in_listener)
            f->in_listener();
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

static struct sockaddr_in address(const struct tls_fixture *f)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(f->port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int tls_connect(struct tls_fixture *f)
{
    struct sockaddr_in to = address(f);
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

int tls_connect_at_once(struct tls_fixture *f)
{
    struct sockaddr_in to = address(f);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)connect(fd, (struct sockaddr *)&to, sizeof(to));
    return fd;
}

/* Carries a connection to the listener, and cuts it after so many bytes from the source. */
static _Noreturn void run_cutter(struct tls_fixture *f, int fd, size_t bytes)
{
    int ends[2] = {accept(fd, NULL, NULL), tls_connect(f)};
    char piece[4096];

    while (bytes > 0) {
        struct pollfd fds[2] = {{.fd = ends[0], .events = POLLIN},
                                {.fd = ends[1], .events = POLLIN}};

        poll(fds, 2, -1);
        for (int i = 0; i < 2 && bytes > 0; i++) {
            size_t most = i == 0 && bytes < sizeof(piece) ? bytes : sizeof(piece);
            ssize_t got = fds[i].revents ? read(ends[i], piece, most) : 0;

            if (fds[i].revents && (got <= 0 || write(ends[1 - i], piece, (size_t)got) != got))
                _exit(0);
            bytes -= i == 0 ? (size_t)got : 0;
        }
    }
    _exit(0);
}

pid_t tls_cut_after(struct tls_fixture *f, size_t bytes, char ret_old[8])
{
    int fd = tls_open_port(f, ret_old);
    pid_t pid = fork();

    if (pid == 0) {
        memcpy(f->port, ret_old, sizeof(f->port));
        run_cutter(f, fd, bytes);
    }
    close(fd);
    return pid;
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

static bool has_name(pid_t pid, const char *name)
{
    char path[64], comm[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    file = fopen(path, "re");
    if (file && fgets(comm, sizeof(comm), file))
        comm[strcspn(comm, "\n")] = '\0';
    if (file)
        fclose(file);
    return strcmp(comm, name) == 0;
}

pid_t tls_look_for_process(pid_t ancestor, const char *name)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    pid_t found = 0;

    while (proc && !found && (entry = readdir(proc))) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 0 && has_name(pid, name) && tls_status_field(pid, "Seccomp") == SECCOMP_FILTER &&
            descends(pid, ancestor))
            found = pid;
    }
    if (proc)
        closedir(proc);
    return found;
}

pid_t tls_find_process(pid_t ancestor, const char *name)
{
    pid_t found = 0;

    for (int waited_ms = 0; !found && waited_ms < PATIENCE_MS; waited_ms += 20) {
        found = tls_look_for_process(ancestor, name);
        if (!found)
            usleep(20000);
    }
    return found;
}

static void look_at_descriptors(pid_t pid, unsigned *ret_sockets, unsigned *ret_pipes,
                                unsigned *ret_others)
{
    char path[64], target[128];
    struct dirent *entry;
    DIR *dir;

    *ret_sockets = *ret_pipes = *ret_others = 0;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    dir = opendir(path);
    if (!dir) { /* a confined process hides from all but root */
        skip();
        return;
    }
    while ((entry = readdir(dir))) {
        ssize_t n;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", pid, entry->d_name);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        if (!strncmp(target, "socket:", 7))
            ++*ret_sockets;
        else if (!strncmp(target, "pipe:", 5))
            ++*ret_pipes;
        else if (strcmp(target, "anon_inode:[eventfd]") != 0) /* a number that both may count */
            ++*ret_others;
    }
    closedir(dir);
}

void tls_assert_holds(pid_t pid, unsigned sockets, unsigned most_pipes)
{
    unsigned has_sockets, has_pipes, others;

    assert_true(pid > 0);
    look_at_descriptors(pid, &has_sockets, &has_pipes, &others);
    assert_int_equal(has_sockets, sockets);
    assert_true(has_pipes >= 1 && has_pipes <= most_pipes);
    assert_int_equal(others, 0); /* the fake host's memory stands for privcmd */
}

/* --- journeys ----------------------------------------------------------------------------------
 */

void tls_begin_journey(struct tls_fixture *f, struct tls_journey *j)
{
    j->err = mmap(NULL, sizeof(*j->err), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(j->err, MAP_FAILED);
    j->pid = fork();
    if (j->pid == 0) {
        int status = tls_migrate(f, "north");
        *j->err = f->err;
        _exit(status);
    }
}

int tls_end_journey(struct tls_fixture *f, struct tls_journey *j)
{
    int status = -1;

    waitpid(j->pid, &status, 0);
    f->err = *j->err;
    munmap(j->err, sizeof(*j->err));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void tls_begin_and_hang(struct tls_fixture *f, struct tls_journey *j, enum gw_transport_kind kind,
                        const char *step)
{
    setenv("GODWIT_FAIL_AT", step, 1);
    tls_listen(f, kind, "south");
    unsetenv("GODWIT_FAIL_AT");
    tls_begin_journey(f, j);
    for (int i = 0; i < 3000 && !fake_guest_find(&f->world->hosts[1], "web--incoming"); i++)
        usleep(10000);
    assert_non_null(fake_guest_find(&f->world->hosts[1], "web--incoming"));
}
