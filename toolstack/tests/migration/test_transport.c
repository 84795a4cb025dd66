/* SPDX-License-Identifier: MIT */
/* Migration over sockets between two fake hosts: who is let in, and what happens to others. */
#include "tls_fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_moves_by_certificate(void **state)
{
    struct tls_fixture *f = *state;

    tls_listen(f, GW_TRANSPORT_TLS, "south");
    tls_assert_moves(f, "north");
    tls_wait_log(f, "(north.example): received web");
    tls_stop(f);
}

static void test_moves_by_shared_key(void **state)
{
    struct tls_fixture *f = *state;

    tls_listen(f, GW_TRANSPORT_TLS, "psk");
    tls_assert_moves(f, "psk");
    tls_wait_log(f, "(north): received web");
    tls_stop(f);
}

static void test_moves_without_tls(void **state)
{
    struct tls_fixture *f = *state;

    tls_listen(f, GW_TRANSPORT_TCP, "empty");
    tls_wait_log(f, "warning: guests come in without encryption");
    tls_assert_moves(f, "empty");
    tls_wait_log(f, "(not authenticated): received web");
}

static void test_moves_to_a_configured_name(void **state)
{
    struct tls_fixture *f = *state;

    tls_listen(f, GW_TRANSPORT_TLS, "elsewhere");
    f->options.transport.tls.name = "elsewhere.example";
    tls_assert_moves(f, "north");
}

struct refusal {
    const char *receiver, *source; /* roles */
    const char *said;              /* at the source */
    const char *logged;            /* at the receiver */
};

/* Each with one sentence on either side; the guest runs on at the source. */
static void assert_refused(struct tls_fixture *f, const struct refusal *r)
{
    int status;

    tls_listen(f, GW_TRANSPORT_TLS, r->receiver);
    status = tls_migrate(f, r->source);
    if (status != GW_EXIT_MIGRATE_FAILED)
        fail_msg("%s to %s: exit status %d, %s", r->source, r->receiver, status, f->err.message);
    tls_assert_says(f, r->said);
    tls_assert_says(f, "; \"web\" runs on here");
    tls_assert_at_source(f);
    assert_int_equal(f->world->hosts[0].log_takes, 0);
    tls_wait_log(f, r->logged);
    tls_stop(f);
    close(f->log_fd);
    f->log_fd = -1;
    tls_forget_log(f);
}

static void test_wrong_receivers(void **state)
{
    static const struct refusal refusals[] = {
        {"old", "north", "the certificate of 127.0.0.1 has expired", "expired"},
        {"foreign", "north", "is not signed by the CA in ca.pem", "not signed by the CA"},
        {"elsewhere", "north", "is made out to \"elsewhere.example\", not to 127.0.0.1",
         "has not the expected name"},
        {"north", "psk", "127.0.0.1", "127.0.0.1"},
        {"psk", "north", "127.0.0.1", "127.0.0.1"},
    };

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        assert_refused(*state, &refusals[i]);
}

static void test_wrong_sources(void **state)
{
    static const struct refusal refusals[] = {
        {"south", "old", "127.0.0.1 refused our certificate: it has expired", "has expired"},
        {"south", "foreign", "127.0.0.1 refused our certificate: it is not signed by the CA",
         "not signed by the CA in ca.pem"},
        {"south", "server-only", "refused our certificate", "is not made for this purpose"},
        {"with-crl", "revoked", "it has been revoked", "has been revoked"},
        {"choosy", "elsewhere", "its name is not in the file `peers`",
         "is made out to \"elsewhere.example\", a name that the file `peers` lacks"},
        {"psk", "other-psk", "refused our key", "has another key"},
        {"psk", "other-name", "refused our key",
         "has a key named \"east\", which is not known here"},
    };

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        assert_refused(*state, &refusals[i]);
}

static void test_permitted_name(void **state)
{
    struct tls_fixture *f = *state;

    tls_listen(f, GW_TRANSPORT_TLS, "choosy");
    tls_assert_moves(f, "north");
}

static void assert_bad_keys(struct tls_fixture *f, const char *role, const char *words)
{
    f->options.transport.kind = GW_TRANSPORT_TLS;
    assert_int_equal(tls_migrate(f, role), GW_EXIT_MIGRATE_FAILED);
    tls_assert_says(f, words);
    f->listening.where = (struct gw_transport){
        .kind = GW_TRANSPORT_TLS, .host = "127.0.0.1", .port = "0", .tls.dir = tls_dir(f, role)};
    assert_int_not_equal(gw_migrate_listen(&f->listening, &f->err), 0);
    tls_assert_says(f, words);
}

static void test_bad_keys(void **state)
{
    struct tls_fixture *f = *state;

    assert_bad_keys(f, "empty", "there is neither cert.pem nor psk in");
    assert_bad_keys(f, "open-psk", "may be read or written by others; run `chmod 600");
    assert_bad_keys(f, "old-crl", "crl.pem is out of date: get the CA's latest");
    assert_bad_keys(f, "other-crl", "crl.pem is not signed by the CA in ca.pem");
    assert_bad_keys(f, "short-psk", "a key has 16 to 64 bytes, this one 5");
    tls_assert_at_source(f);
}

/* As on a kernel without seccomp. */
static void take_seccomp_away(void)
{
    static struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        _exit(99);
}

/* Nobody reads what comes from outside without being confined. */
static void test_no_seccomp(void **state)
{
    struct tls_fixture *f = *state;

    f->in_listener = take_seccomp_away;
    tls_listen(f, GW_TRANSPORT_TLS, "south");
    assert_int_equal(tls_migrate(f, "north"), GW_EXIT_MIGRATE_FAILED);
    tls_wait_log(f, "the process that holds the connection cannot be confined");
    tls_assert_at_source(f);
    tls_stop(f);
    tls_forget_log(f);
    tls_listen(f, GW_TRANSPORT_TCP, "south");
    assert_int_equal(tls_migrate(f, "north"), GW_EXIT_MIGRATE_FAILED);
    tls_assert_says(f, "the process that reads the stream cannot be confined");
    tls_assert_at_source(f);
}

/* --- those who do not speak the protocol --------------------------------------------------------
 */

/* A listener outlives them all. */
static void test_strangers_at_the_listener(void **state)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct tls_fixture *f = *state;
    static const unsigned char handshake[] = {0x16, 3, 1, 2}; /* how one begins */
    unsigned char noise[4096];
    char command[512];
    int fd;

    tls_listen(f, GW_TRANSPORT_TLS, "south");
    fd = tls_connect(f);
    assert_int_equal(write(fd, http, sizeof(http)), sizeof(http));
    tls_wait_log(f, "sent \"GET / HTTP/1.1..\", which is not TLS");
    close(fd);

    fd = tls_connect(f);
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (unsigned char)(i * 2654435761u >> 7);
    memcpy(noise, handshake, sizeof(handshake));
    assert_int_equal(send(fd, noise, sizeof(noise), MSG_NOSIGNAL), sizeof(noise));
    tls_wait_log(f, "TLS with 127.0.0.1:");
    close(fd);

    fd = tls_connect(f);
    close(fd);
    tls_wait_log(f, "was cut");

    snprintf(command, sizeof(command),
             "gnutls-cli -p %s --x509cafile %s/ca.pem --priority NORMAL:-VERS-ALL:+VERS-TLS1.2 "
             "localhost </dev/null >/dev/null 2>&1",
             f->port, tls_dir(f, "north"));
    assert_int_not_equal(system(command), 0);
    tls_wait_log(f, "does not offer TLS 1.3 of our kind");

    snprintf(command, sizeof(command),
             "gnutls-cli -p %s --x509cafile %s/ca.pem --alpn godwit/1 localhost </dev/null "
             ">/dev/null 2>&1",
             f->port, tls_dir(f, "north"));
    assert_int_not_equal(system(command), 0);
    tls_wait_log(f, "has shown no certificate");

    tls_assert_at_source(f);
    tls_assert_moves(f, "north");
    tls_stop(f);
}

/* The other end of a source that is no receiver. */
enum manners { ANSWERS, SPEAKS_FIRST, SAYS_NOTHING };

static pid_t serve_once(struct tls_fixture *f, const char *answer, size_t n, enum manners manners)
{
    char heard[256], unused[sizeof(f->port)];
    int fd = tls_open_port(f, unused), peer;
    pid_t pid;

    pid = fork();
    if (pid == 0) {
        peer = accept(fd, NULL, NULL);
        if (manners == SAYS_NOTHING)
            for (;;)
                pause();
        if (manners == ANSWERS && read(peer, heard, sizeof(heard)) <= 0)
            _exit(1);
        _exit(write(peer, answer, n) < 0);
    }
    close(fd);
    return pid;
}

static void assert_not_a_receiver(struct tls_fixture *f, const char *answer, size_t n,
                                  enum manners manners, const char *words)
{
    pid_t pid = serve_once(f, answer, n, manners);

    assert_int_equal(tls_migrate(f, "north"), GW_EXIT_MIGRATE_FAILED);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    tls_assert_says(f, words);
    tls_assert_at_source(f);
}

static void test_strangers_instead_of_a_receiver(void **state)
{
    struct tls_fixture *f = *state;

    /* "protocol version", as a server says that has no TLS 1.3 */
    static const char alert[] = "\x15\x03\x03\x00\x02\x02\x46";
    static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

    f->options.transport.kind = GW_TRANSPORT_TLS;
    assert_not_a_receiver(f, http, strlen(http), ANSWERS,
                          "127.0.0.1 sent \"HTTP/1.1 400 Bad\", which is not TLS");
    assert_not_a_receiver(f, alert, 7, ANSWERS, "127.0.0.1 refused TLS 1.3");
    f->options.stall_ms = 300;
    assert_not_a_receiver(f, "", 0, SAYS_NOTHING, "127.0.0.1 did not answer for 1 s");
    f->options.stall_ms = 20000;
    f->options.transport.kind = GW_TRANSPORT_TCP;
    assert_not_a_receiver(f, http, strlen(http), SPEAKS_FIRST, "which is not Godwit");
    assert_int_equal(tls_migrate(f, "north"), GW_EXIT_MIGRATE_FAILED); /* nobody listens now */
    tls_assert_says(f, "no connection to 127.0.0.1 port");
    tls_assert_says(f, "Connection refused");
    f->options.transport.host = "host.invalid";
    assert_int_equal(tls_migrate(f, "north"), GW_EXIT_MIGRATE_FAILED);
    tls_assert_says(f, "cannot find the address of host.invalid");
}

/* --- limits --------------------------------------------------------------------------------------
 */

/* Who says nothing is sent away, and until then takes a place of the few. */
static void test_silent_visitors(void **state)
{
    struct tls_fixture *f = *state;
    int first, second, third;

    f->listening.greet_ms = 300;
    f->listening.max_connections = 2;
    tls_listen(f, GW_TRANSPORT_TLS, "south");
    first = tls_connect(f);
    second = tls_connect(f);
    third = tls_connect(f);
    tls_wait_log(f, "refused: 2 connections already");
    tls_wait_log(f, "did not show who it is within 1 s");
    close(first);
    close(second);
    close(third);
    for (int i = 0; i < 100 && tls_migrate(f, "north") != 0; i++) {
        tls_assert_at_source(f);
        usleep(50000);
    }
    tls_assert_says(f, "");
    tls_wait_log(f, "received web");
}

static void test_many_connections(void **state)
{
    struct tls_fixture *f = *state;
    struct fake_guest *second = fake_guest_add(&f->world->hosts[0], "second");
    pid_t pid;
    int status;

    second->config.uuid[0] = 'X';
    tls_listen(f, GW_TRANSPORT_TLS, "south");
    pid = fork();
    if (pid == 0) {
        f->options.name = "second";
        _exit(tls_migrate(f, "north"));
    }
    tls_assert_moves(f, "north");
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_false(second->used);
    tls_wait_log(f, "received second");
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_set_up, tls_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_moves_by_certificate),
        TEST(test_moves_by_shared_key),
        TEST(test_moves_without_tls),
        TEST(test_moves_to_a_configured_name),
        TEST(test_wrong_receivers),
        TEST(test_wrong_sources),
        TEST(test_permitted_name),
        TEST(test_bad_keys),
        TEST(test_no_seccomp),
        TEST(test_strangers_at_the_listener),
        TEST(test_strangers_instead_of_a_receiver),
        TEST(test_silent_visitors),
        TEST(test_many_connections),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, tls_keys_set_up, tls_keys_tear_down);
}
