/* SPDX-License-Identifier: MIT */
#include "stream_parser.h"

#include "stream_check.h"
#include "stream_confine.h"
#include "stream_merge.h"
#include "stream_unzip.h"
#include "stream_view.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In place of a record's type; no valid stream can bring them this far. */
#define REFUSAL 0xFFFFFFFFu
#define IN_SLOT 0xFFFFFFFEu /* the list of pages (length bytes of it); contents are in the slot */

/* Where a record begins in a slot: behind a list of 64 pages contents are aligned to pages. */
#define SLOT_LIST   (sizeof(struct stream_count_header) + 64 * sizeof(uint64_t))
#define SLOT_BEGIN  (STREAM_PAGE_BYTES - SLOT_LIST)
#define PAGES_UP(n) (((n) + STREAM_PAGE_BYTES - 1) & ~(size_t)(STREAM_PAGE_BYTES - 1))
#define SLOT_BYTES  PAGES_UP(SLOT_BEGIN + STREAM_BODY_MAX + STREAM_ALIGN)
#define LIST_MAX    (sizeof(struct stream_count_header) + STREAM_PAGES_MAX * sizeof(uint64_t))

/* What stands before each record in the pipe. */
struct handed {
    uint32_t type, length;        /* of what follows */
    uint32_t slot, record_length; /* of IN_SLOT: where, and how long with contents; else 0 */
};

static uint8_t *slot_at(uint8_t *slots, uint32_t slot)
{
    return slots + slot * SLOT_BYTES + SLOT_BEGIN;
}

/* --- the child ------------------------------------------------------------------------------- */

/* seccomp's strict mode has no exit_group, which is what _exit() would call. */
static _Noreturn void leave(void)
{
    for (;;)
        syscall(SYS_exit, 0);
}

static void write_all(int fd, const void *data, size_t n)
{
    const char *from = data;

    while (n > 0) {
        ssize_t done = write(fd, from, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            leave();
        from += done;
        n -= (size_t)done;
    }
}

static void hand_over(int fd, uint32_t type, const void *body, uint32_t length)
{
    struct handed header = {.type = type, .length = length};

    write_all(fd, &header, sizeof(header));
    write_all(fd, body, length);
}

/* What was standard output is no place for this: there may be the source. */
static _Noreturn void refuse(int pipe_fd, const char *why)
{
    hand_over(pipe_fd, REFUSAL, why, (uint32_t)strlen(why));
    leave();
}

/* The next record as the builder gets it: checked, its pages unpacked. */
static int next_record(struct stream_reader *reader, struct stream_checker *checker,
                       struct stream_unzip *unzip, struct stream_record *ret_record)
{
    static uint8_t plain[STREAM_BODY_MAX];

    if (stream_read_record(reader, ret_record) || stream_check_record(checker, reader, ret_record))
        return -1;
    if (ret_record->type != STREAM_PAGES_ZSTD)
        return 0;
    return stream_unzip(unzip, &checker->memory, reader, ret_record, plain);
}

/* Slots that the builder has are in the order in which it got them, and comes back in that order.
 */
struct slot_pool {
    uint8_t *slots;
    uint32_t lent, next; /* how many it has, and which it gets next */
};

/* A slot that nobody uses: waits until the builder is done with one. */
static uint8_t *slot_take(struct slot_pool *pool)
{
    uint64_t returned;

    while (pool->lent == STREAM_PARSER_SLOTS) {
        ssize_t got = read(STREAM_FD_RETURNED, &returned, sizeof(returned));

        if (got < 0 && errno == EINTR)
            continue;
        if (got != sizeof(returned))
            leave();
        pool->lent -= (uint32_t)returned;
    }
    return slot_at(pool->slots, pool->next);
}

/*
 * The builder gets the slot that was taken, of which it knows the list by heart. In one piece, for
 * which there is room before the record: else it would wake up for the first and sleep again.
 */
static void slot_lend(struct slot_pool *pool, const struct stream_record *record)
{
    uint8_t *at = slot_at(pool->slots, pool->next) - sizeof(struct handed);
    struct handed header = {.type = IN_SLOT, .slot = pool->next, .record_length = record->length};
    struct stream_count_header count;

    memcpy(&count, record->body, sizeof(count));
    header.length = (uint32_t)(sizeof(count) + count.count * sizeof(uint64_t));
    memcpy(at, &header, sizeof(header));
    write_all(STREAM_FD_PIPE, at, sizeof(header) + header.length);
    pool->next = (pool->next + 1) % STREAM_PARSER_SLOTS;
    pool->lent++;
}

static void parse(struct stream_reader *reader, struct stream_unzip *unzip, uint8_t *slots)
{
    struct slot_pool pool = {.slots = slots};
    struct stream_checker checker = {0};
    struct stream_record record;
    uint32_t major, minor;
    char text[256];

    if (stream_read_headers(reader, &major, &minor) == 0) {
        reader->body = slot_take(&pool);
        while (next_record(reader, &checker, unzip, &record) == 0) {
            if (record.type == STREAM_PAGE_DATA && record.body == reader->body) {
                slot_lend(&pool, &record);
                reader->body = slot_take(&pool);
            } else if (!stream_check_is_skipped(&record)) {
                hand_over(STREAM_FD_PIPE, record.type, record.body, record.length);
            }
            if (checker.stage == STREAM_ENDED)
                return;
        }
    }
    stream_read_explain(reader, text, sizeof(text));
    hand_over(STREAM_FD_PIPE, REFUSAL, text, (uint32_t)strlen(text));
}

static int next_of_chain(void *arg, struct stream_reader *reader, struct stream_checker *checker,
                         struct stream_record *ret_record)
{
    return next_record(reader, checker, arg, ret_record);
}

static void emit_of_chain(void *arg, const struct stream_record *record)
{
    hand_over(1, record->type, record->body, record->length);
}

static void parse_chain(uint8_t *body, struct stream_unzip *unzip, const int *fds,
                        const char *const *paths, unsigned n)
{
    static struct stream_merge_file files[STREAM_CHAIN_MAX];
    static int sources[STREAM_CHAIN_MAX];
    struct stream_merge merge = {
        .files = files, .n = n, .next = next_of_chain, .emit = emit_of_chain, .arg = unzip};

    for (unsigned i = 0; i < n; i++) {
        sources[i] = fds[i];
        files[i].name = paths[i];
        files[i].reader =
            (struct stream_reader){.read = stream_read_fd, .source = &sources[i], .body = body};
    }
    if (stream_merge_run(&merge))
        hand_over(1, REFUSAL, merge.why, (uint32_t)strlen(merge.why));
}

/* Moves the descriptors to 2 and up, and the pipe to 1; nothing else stays open. */
static int gather(int *fds, unsigned n, int pipe_fd)
{
    const int away = 3 + STREAM_CHAIN_MAX;
    int pipe_away = fcntl(pipe_fd, F_DUPFD, away);

    for (unsigned i = 0; i < n; i++)
        fds[i] = fcntl(fds[i], F_DUPFD, away);
    if (pipe_away < 0 || dup2(pipe_away, 1) < 0)
        return -1;
    for (unsigned i = 0; i < n; i++) {
        if (fds[i] < 0 || dup2(fds[i], (int)i + 2) < 0)
            return -1;
        fds[i] = (int)i + 2;
    }
    return close_range(n + 2, ~0u, 0) < 0 || close(0) < 0 ? -1 : 0;
}

static void leave_signals(void)
{
    signal(SIGINT, SIG_IGN);  /* the builder decides what ^C means */
    signal(SIGPIPE, SIG_IGN); /* a write to a builder that is gone fails, and that ends us */
}

static _Noreturn void run_child(const struct stream_parser *parser, int stream_fd, int pipe_fd)
{
    int source = STREAM_FD_STREAM, fds[STREAM_FDS] = {stream_fd, pipe_fd, parser->returned_fd};
    struct stream_reader reader = {.read = stream_read_fd, .source = &source};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct stream_unzip *unzip = stream_unzip_open(); /* once confined, nothing can be allocated */
    if (!unzip)
        refuse(pipe_fd, "the process that reads the stream has no memory");
    leave_signals();
    if (stream_confine(fds))
        refuse(fds[STREAM_FD_PIPE], "the process that reads the stream cannot be confined");
    parse(&reader, unzip, parser->slots);
    leave();
}

static _Noreturn void run_chain_child(const int *fds, const char *const *paths, unsigned n,
                                      int pipe_fd)
{
    static uint8_t body[STREAM_BODY_MAX + STREAM_ALIGN];
    int own[STREAM_CHAIN_MAX];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    leave_signals();
    memcpy(own, fds, n * sizeof(own[0]));
    struct stream_unzip *unzip = stream_unzip_open(); /* once confined, nothing can be allocated */
    if (!unzip)
        refuse(pipe_fd, "the process that reads the chain has no memory");
    if (gather(own, n, pipe_fd) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0))
        refuse(1, "the process that reads the chain cannot be confined");
    parse_chain(body, unzip, own, paths, n);
    leave();
}

/* --- the builder's side ---------------------------------------------------------------------- */

static int make_slots(struct stream_parser *parser)
{
    void *slots = mmap(NULL, STREAM_PARSER_SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (slots == MAP_FAILED)
        return -1;
    parser->slots = slots;
    parser->returned_fd = eventfd(0, EFD_CLOEXEC);
    return parser->returned_fd < 0 ? -1 : 0;
}

int stream_parser_start_chain(struct stream_parser *parser, const int *stream_fds,
                              const char *const *paths, unsigned n, unsigned stall_ms,
                              const volatile sig_atomic_t *cancelled, struct gw_error *err)
{
    const char *origin = paths[n - 1];
    int fds[2];

    memset(parser, 0, sizeof(*parser));
    parser->returned_fd = -1;
    parser->io = (struct handover_io){
        .out_fd = -1, .in_fd = -1, .stall_ms = stall_ms, .cancelled = cancelled, .peer = origin};
    parser->body = malloc(STREAM_BODY_MAX);
    if (!parser->body || (n == 1 && make_slots(parser)))
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    if (pipe2(fds, O_CLOEXEC) < 0)
        return gw_error_errno(err, errno, "cannot make a pipe");
    parser->pid = fork();
    if (parser->pid == 0 && n > 1)
        run_chain_child(stream_fds, paths, n, fds[1]);
    if (parser->pid == 0)
        run_child(parser, stream_fds[0], fds[1]);
    close(fds[1]);
    if (parser->slots)
        madvise(parser->slots, STREAM_PARSER_SLOTS * SLOT_BYTES, MADV_DONTFORK); /* its own alone */
    parser->io.in_fd = fds[0];
    if (parser->pid < 0) {
        parser->pid = 0;
        return gw_error_errno(err, errno, "cannot start the process that reads the stream");
    }
    return 0;
}

int stream_parser_start(struct stream_parser *parser, int stream_fd, const char *origin,
                        unsigned stall_ms, const volatile sig_atomic_t *cancelled,
                        struct gw_error *err)
{
    return stream_parser_start_chain(parser, &stream_fd, &origin, 1, stall_ms, cancelled, err);
}

static int report_refusal(struct stream_parser *parser, uint32_t length, struct gw_error *err)
{
    if (length > sizeof(parser->message) - 1)
        length = sizeof(parser->message) - 1;
    memset(parser->message, 0, sizeof(parser->message));
    if (handover_io_read(&parser->io, parser->message, length, NULL, err))
        return -1;
    return gw_error_set(err, GW_EXIT_CONFIG, "%s: %s", parser->io.peer, parser->message);
}

/* The slot of the last record is the child's again. */
static void return_slot(struct stream_parser *parser)
{
    if (parser->in_slot && eventfd_write(parser->returned_fd, 1) < 0)
        kill(parser->pid, SIGKILL); /* cannot be, and else we would wait for each other */
    parser->in_slot = false;
    parser->contents = NULL;
}

static int went_wrong(struct gw_error *err)
{
    return gw_error_set(err, GW_EXIT_FAILED, "the process that reads the stream went wrong");
}

static int take_slot(struct stream_parser *parser, const struct handed *header,
                     struct stream_record *ret_record, struct gw_error *err)
{
    uint32_t list_bytes = header->length;

    if (!parser->slots || header->slot >= STREAM_PARSER_SLOTS || list_bytes > LIST_MAX ||
        header->record_length > STREAM_BODY_MAX || header->record_length < list_bytes)
        return went_wrong(err);
    if (handover_io_read(&parser->io, parser->body, list_bytes, NULL, err))
        return -1;
    parser->in_slot = true;
    parser->list_bytes = list_bytes;
    parser->contents = slot_at(parser->slots, header->slot) + list_bytes;
    *ret_record = (struct stream_record){
        .type = STREAM_PAGE_DATA, .length = header->record_length, .body = parser->body};
    return 0;
}

int stream_parser_view_pages(const struct stream_parser *parser, const struct stream_record *record,
                             const struct stream_memory *memory, struct stream_pages *ret_pages,
                             const char **ret_why)
{
    struct stream_count_header count = {0};

    if (!parser->contents)
        return stream_view_pages(record->body, record->length, memory, ret_pages, ret_why);
    *ret_why = "the list of pages has another length than was said";
    if (parser->list_bytes >= sizeof(count))
        memcpy(&count, record->body, sizeof(count));
    if (parser->list_bytes != sizeof(count) + count.count * sizeof(uint64_t))
        return -1;
    if (stream_view_pages(record->body, record->length, memory, ret_pages, ret_why))
        return -1;
    ret_pages->contents = parser->contents;
    return 0;
}

int stream_parser_next(struct stream_parser *parser, struct stream_record *ret_record,
                       struct gw_error *err)
{
    struct handed header;

    return_slot(parser);
    if (handover_io_read(&parser->io, &header, sizeof(header), NULL, err))
        return -1;
    if (header.type == REFUSAL)
        return report_refusal(parser, header.length, err);
    if (header.type == IN_SLOT)
        return take_slot(parser, &header, ret_record, err);
    if (header.length > STREAM_BODY_MAX)
        return went_wrong(err);
    if (handover_io_read(&parser->io, parser->body, header.length, NULL, err))
        return -1;
    ret_record->type = header.type;
    ret_record->length = header.length;
    ret_record->body = parser->body;
    return 0;
}

void stream_parser_stop(struct stream_parser *parser)
{
    if (parser->pid > 0) {
        close(parser->io.in_fd);
        kill(parser->pid, SIGKILL);
        waitpid(parser->pid, NULL, 0);
        parser->pid = 0;
    }
    if (parser->slots) {
        munmap(parser->slots, STREAM_PARSER_SLOTS * SLOT_BYTES);
        close(parser->returned_fd);
    }
    parser->slots = NULL;
    free(parser->body);
    parser->body = NULL;
}
