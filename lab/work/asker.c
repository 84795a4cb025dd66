/* SPDX-License-Identifier: MIT */
/*
 * Writes to a redis-server without pause and knows what it must answer, byte for byte.
 *
 * usage: asker SOCKET KEYS STOP
 *
 * Sends batches of commands (SET, GET, DEL, INCR, LPUSH, RPOP) together with a model of what the
 * server holds. The first answer that differs from the model's is told as "WRONG" and ends the
 * program. Each second it tells its progress. When the file STOP exists it asks for every key once
 * more, and for their number. Exit status: 0 all was right, 1 not.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 24, VALUE_MAX = 2048, COUNTERS = 64, QUEUE_MAX = 2000, BUFFER = 1 << 20 };

struct buffer {
    char bytes[BUFFER];
    size_t used;
};

/* What the server must hold. Generation 0 of a key: it is not there. */
struct model {
    uint32_t *generation, *deleted;
    uint64_t keys, counter[COUNTERS], queue_first, queue_end;
};

struct asker {
    int fd;
    struct buffer send, expect;
    struct model model;
    uint64_t random, answers, sets;
    int64_t last_ms, real_offset_ms;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 27;
    x *= 0x94d049bb133111eb;
    return x ^ x >> 31;
}

static uint64_t draw(struct asker *a, uint64_t below)
{
    a->random += 0x9e3779b97f4a7c15;
    return mix(a->random) % below;
}

static int64_t clock_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Ends the program: it is the one place that says that something was lost. */
__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("redis WRONG: ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    exit(1);
}

/* -- what is sent, and what must come back -------------------------------------------------------
 */

static void put(struct buffer *b, const void *bytes, size_t size)
{
    if (size > sizeof(b->bytes) - b->used)
        wrong("a batch does not fit into the buffer");
    memcpy(b->bytes + b->used, bytes, size);
    b->used += size;
}

__attribute__((format(printf, 2, 3))) static void put_text(struct buffer *b, const char *format,
                                                           ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put(b, text, (size_t)size);
}

static void put_bulk(struct buffer *b, const void *bytes, size_t size)
{
    put_text(b, "$%zu\r\n", size);
    put(b, bytes, size);
    put(b, "\r\n", 2);
}

/* The value of a key's generation, or of a queue's element: 16 to VALUE_MAX bytes that follow from
 * both. */
static size_t value_of(char *value, uint64_t key, uint64_t generation)
{
    uint64_t seed = mix(key << 32 ^ generation);
    size_t size = 16 + seed % (VALUE_MAX - 16);
    for (size_t i = 0; i < size; i += 8) {
        seed += 0x9e3779b97f4a7c15;
        uint64_t word = mix(seed);
        memcpy(value + i, &word, 8);
    }
    return size;
}

static void put_value(struct buffer *b, uint64_t key, uint64_t generation)
{
    char value[VALUE_MAX + 8];
    put_bulk(b, value, value_of(value, key, generation));
}

/* A command and its key; the caller adds the arguments that are left. */
static void ask(struct asker *a, int words, const char *command, const char *kind, uint64_t number)
{
    char key[64];
    int size = snprintf(key, sizeof(key), "%s:%llu", kind, (unsigned long long)number);
    put_text(&a->send, "*%d\r\n", words);
    put_bulk(&a->send, command, strlen(command));
    put_bulk(&a->send, key, (size_t)size);
}

static void ask_set(struct asker *a, uint64_t key)
{
    struct model *m = &a->model;
    m->generation[key] = m->generation[key] ? m->generation[key] + 1 : ++m->deleted[key];
    ask(a, 3, "SET", "key", key);
    put_value(&a->send, key, m->generation[key]);
    put_text(&a->expect, "+OK\r\n");
    a->sets++;
}

static void ask_get(struct asker *a, uint64_t key)
{
    ask(a, 2, "GET", "key", key);
    if (a->model.generation[key])
        put_value(&a->expect, key, a->model.generation[key]);
    else
        put_text(&a->expect, "$-1\r\n");
}

static void ask_del(struct asker *a, uint64_t key)
{
    struct model *m = &a->model;
    ask(a, 2, "DEL", "key", key);
    put_text(&a->expect, ":%d\r\n", m->generation[key] != 0);
    if (m->generation[key])
        m->deleted[key] = m->generation[key];
    m->generation[key] = 0;
}

static void ask_incr(struct asker *a, uint64_t i)
{
    ask(a, 2, "INCR", "counter", i);
    put_text(&a->expect, ":%llu\r\n", (unsigned long long)++a->model.counter[i]);
}

/* The queue's elements are numbered; they come out in the order in which they went in. */
static void ask_queue(struct asker *a)
{
    struct model *m = &a->model;
    uint64_t length = m->queue_end - m->queue_first;
    if (length < QUEUE_MAX && draw(a, 2)) {
        ask(a, 3, "LPUSH", "queue", 0);
        put_value(&a->send, UINT32_MAX, m->queue_end++);
        put_text(&a->expect, ":%llu\r\n", (unsigned long long)length + 1);
    } else if (length) {
        ask(a, 2, "RPOP", "queue", 0);
        put_value(&a->expect, UINT32_MAX, m->queue_first++);
    }
}

static void ask_something(struct asker *a)
{
    uint64_t key = draw(a, a->model.keys), kind = draw(a, 100);
    if (kind < 50)
        ask_set(a, key);
    else if (kind < 80)
        ask_get(a, key);
    else if (kind < 83)
        ask_del(a, key);
    else if (kind < 90)
        ask_incr(a, draw(a, COUNTERS));
    else
        ask_queue(a);
}

/* -- the exchange --------------------------------------------------------------------------------
 */

static void send_all(struct asker *a)
{
    for (size_t done = 0; done < a->send.used;) {
        ssize_t n = send(a->fd, a->send.bytes + done, a->send.used - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            wrong("cannot send to the server: %s", strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
    a->send.used = 0;
}

static void tell_difference(const struct asker *a, const char *got, size_t size, size_t from)
{
    size_t at = 0;
    while (got[at] == a->expect.bytes[from + at])
        at++;
    printf("redis: after %llu answers, at byte %zu of a batch:\n", (unsigned long long)a->answers,
           from + at);
    printf("redis: came ");
    for (size_t i = at; i < size && i < at + 16; i++)
        printf(" %02x", (unsigned char)got[i]);
    printf("\nredis: not  ");
    for (size_t i = from + at; i < a->expect.used && i < from + at + 16; i++)
        printf(" %02x", (unsigned char)a->expect.bytes[i]);
    printf("\n");
    wrong("an answer is not what was written");
}

/* Sends the batch and compares what comes back as it comes. */
static void exchange(struct asker *a, uint64_t answers)
{
    static char got[65536];
    send_all(a);
    for (size_t done = 0; done < a->expect.used;) {
        size_t left = a->expect.used - done;
        ssize_t n = recv(a->fd, got, left < sizeof(got) ? left : sizeof(got), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            wrong("the server is gone: %s", n ? strerror(errno) : "it closed the connection");
        if (memcmp(got, a->expect.bytes + done, (size_t)n) != 0)
            tell_difference(a, got, (size_t)n, done);
        done += (size_t)n;
    }
    a->expect.used = 0;
    a->answers += answers;
}

/* One line of answer to a command that may be answered in several ways. */
static void ask_line(struct asker *a, const char *command, char *line, size_t size)
{
    size_t used = 0;
    put_text(&a->send, "%s\r\n", command);
    send_all(a);
    while (used + 1 < size && (used == 0 || line[used - 1] != '\n')) {
        if (recv(a->fd, line + used, 1, 0) != 1)
            wrong("the server is gone: no answer to %s", command);
        used++;
    }
    line[used] = '\0';
}

/* Lets the server fork and write its data to a file, every now and then; it says no while it is at
 * that. */
static void save(struct asker *a)
{
    char line[256];
    ask_line(a, "BGSAVE", line, sizeof(line));
    if (line[0] != '+' && !strstr(line, "already in progress"))
        wrong("BGSAVE was answered with %s", line);
}

/* -- progress and end ----------------------------------------------------------------------------
 */

static void check_clocks(struct asker *a)
{
    int64_t now = clock_ms(CLOCK_MONOTONIC), offset = clock_ms(CLOCK_REALTIME) - now;
    if (now < a->last_ms)
        wrong("the clock went back by %lld ms", (long long)(a->last_ms - now));
    if (llabs(offset - a->real_offset_ms) > 1000)
        wrong("the time of day moved against the clock by %lld ms",
              (long long)(offset - a->real_offset_ms));
    a->last_ms = now;
}

static void check_everything(struct asker *a)
{
    struct model *m = &a->model;
    uint64_t there = 0;
    for (uint64_t i = 0; i < m->keys; i++) {
        ask_get(a, i);
        there += m->generation[i] != 0;
        exchange(a, 1);
    }
    for (uint64_t i = 0; i < COUNTERS; i++, there++) {
        ask_incr(a, i);
        exchange(a, 1);
    }
    for (; m->queue_first < m->queue_end; m->queue_first++) {
        ask(a, 2, "RPOP", "queue", 0);
        put_value(&a->expect, UINT32_MAX, m->queue_first);
        exchange(a, 1);
    }
    put_text(&a->send, "DBSIZE\r\n");
    put_text(&a->expect, ":%llu\r\n", (unsigned long long)there);
    exchange(a, 1);
    printf("redis all %llu keys are right\n", (unsigned long long)there);
}

static void run(struct asker *a, const char *stop)
{
    int64_t told = clock_ms(CLOCK_MONOTONIC);
    for (uint64_t beats = 0; access(stop, F_OK) != 0;) {
        int64_t until = told + 1000;
        while (clock_ms(CLOCK_MONOTONIC) < until) {
            for (int i = 0; i < BATCH; i++)
                ask_something(a);
            exchange(a, BATCH);
        }
        check_clocks(a);
        told = a->last_ms;
        printf("redis beat %llu: %llu answers right, %llu written, at %lld.%03lld s\n",
               (unsigned long long)++beats, (unsigned long long)a->answers,
               (unsigned long long)a->sets, (long long)told / 1000, (long long)told % 1000);
        if (beats % 8 == 0)
            save(a);
    }
    check_everything(a);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        wrong("cannot reach the server at %s: %s", path, strerror(errno));
    return fd;
}

int main(int argc, char **argv)
{
    static struct asker a;
    if (argc != 4 || strtoull(argv[2], NULL, 10) == 0) {
        fprintf(stderr, "usage: asker SOCKET KEYS STOP\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    a.model.keys = strtoull(argv[2], NULL, 10);
    a.model.generation = calloc(a.model.keys, sizeof(uint32_t));
    a.model.deleted = calloc(a.model.keys, sizeof(uint32_t));
    if (!a.model.generation || !a.model.deleted)
        wrong("no memory for %s keys", argv[2]);
    a.fd = connect_to(argv[1]);
    a.last_ms = clock_ms(CLOCK_MONOTONIC);
    a.real_offset_ms = clock_ms(CLOCK_REALTIME) - a.last_ms;
    run(&a, argv[3]);
    return 0;
}
