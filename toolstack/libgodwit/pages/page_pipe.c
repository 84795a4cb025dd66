/* SPDX-License-Identifier: MIT */
#include "page_pipe.h"

#include "page_zip.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COMPRESSORS_MAX 4u
#define SLICE_NS        100000000L /* the reader looks so often whether the user has cancelled */

struct queue {
    struct page_job *first, **last;
    pthread_cond_t filled;
};

struct lane {
    struct page_pipe *pipe;
    struct stream_writer *writer;
    struct handover_io io; /* as the writer's own, but given up when another lane has failed */
    struct queue queue;
    pthread_t thread;
};

struct compressor {
    struct page_pipe *pipe;
    struct page_zip *zip;
    pthread_t thread;
};

struct page_pipe {
    const volatile sig_atomic_t *cancelled;
    struct rate_limit *limit;
    pthread_mutex_t lock; /* of all lists, and of error */
    pthread_cond_t freed; /* a job came back */
    struct page_job *free, *jobs;
    unsigned under_way;    /* jobs sent and not yet written */
    _Atomic bool gone;     /* relaxed: a hint to give up waiting; the lock orders the rest */
    struct gw_error error; /* of the first failure */
    uint64_t saved_bytes;
    struct queue raw; /* to be compressed */
    unsigned lanes_n, compressors_n, jobs_n;
    unsigned lane_threads, compressor_threads; /* running */
    struct lane lanes[STREAM_STREAMS_MAX];
    struct compressor compressors[COMPRESSORS_MAX];
};

static void queue_init(struct queue *q)
{
    q->last = &q->first;
    pthread_cond_init(&q->filled, NULL);
}

/* The lock is held. */
static void queue_add(struct queue *q, struct page_job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
    pthread_cond_signal(&q->filled);
}

static bool is_gone(struct page_pipe *p)
{
    return atomic_load_explicit(&p->gone, memory_order_relaxed);
}

/* The next job; NULL: the pipe ends. */
static struct page_job *queue_take(struct page_pipe *p, struct queue *q)
{
    struct page_job *job;

    pthread_mutex_lock(&p->lock);
    while (!q->first && !is_gone(p))
        pthread_cond_wait(&q->filled, &p->lock);
    job = is_gone(p) ? NULL : q->first;
    if (job) {
        q->first = job->next;
        if (!q->first)
            q->last = &q->first;
    }
    pthread_mutex_unlock(&p->lock);
    return job;
}

/* Ends all waiting. The first reason is kept; NULL: none, the pipe is closed. */
static void end(struct page_pipe *p, const struct gw_error *why)
{
    pthread_mutex_lock(&p->lock);
    if (why && !is_gone(p))
        p->error = *why;
    atomic_store_explicit(&p->gone, true, memory_order_relaxed);
    pthread_cond_broadcast(&p->raw.filled);
    for (unsigned i = 0; i < p->lanes_n; i++)
        pthread_cond_broadcast(&p->lanes[i].queue.filled);
    pthread_cond_broadcast(&p->freed);
    pthread_mutex_unlock(&p->lock);
}

/* --- the threads ----------------------------------------------------------------------------- */

static void *compress(void *arg)
{
    struct compressor *c = arg;
    struct page_pipe *p = c->pipe;
    struct page_job *job;

    while ((job = queue_take(p, &p->raw))) {
        uint64_t began = migrate_now_ns();

        job->frame_bytes = page_zip(c->zip, job->data, job->contents, job->frame);
        migrate_times_add(job->times, MIGRATE_COMPRESS, began);
        pthread_mutex_lock(&p->lock);
        if (job->frame_bytes)
            p->saved_bytes += job->contents * STREAM_PAGE_BYTES - job->frame_bytes;
        queue_add(&p->lanes[job->stream].queue, job);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

static bool may_go_on(void *arg)
{
    return !is_gone(arg);
}

static int write_job(struct lane *lane, const struct page_job *job, struct gw_error *err)
{
    uint64_t began = migrate_now_ns();
    uint64_t bytes = job->frame_bytes ? job->frame_bytes : job->contents * STREAM_PAGE_BYTES;
    struct handover_io *own = lane->writer->io;
    int rc;

    if (!rate_limit_wait(lane->pipe->limit, bytes + job->pages * sizeof(job->words[0]), may_go_on,
                         lane->pipe))
        return -1;
    lane->writer->io = &lane->io;
    if (job->frame_bytes)
        rc = stream_write_zipped(lane->writer, job->words, job->pages, job->frame, job->frame_bytes,
                                 err);
    else
        rc =
            stream_write_pages(lane->writer, job->words, job->pages, job->data, job->contents, err);
    lane->writer->io = own;
    migrate_times_add(job->times, MIGRATE_SEND, began);
    return rc;
}

static void *write_lane(void *arg)
{
    struct lane *lane = arg;
    struct page_pipe *p = lane->pipe;
    struct gw_error err = {0};
    struct page_job *job;

    while ((job = queue_take(p, &lane->queue))) {
        if (write_job(lane, job, &err)) {
            end(p, &err);
            break;
        }
        pthread_mutex_lock(&p->lock);
        job->next = p->free;
        p->free = job;
        p->under_way--;
        pthread_cond_signal(&p->freed);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

/* --- the reader's side ----------------------------------------------------------------------- */

/* Waits a little for a job to come back. The lock is held. -1: failed or cancelled. */
static int wait_a_little(struct page_pipe *p, struct gw_error *err)
{
    struct timespec until;

    if (p->cancelled && *p->cancelled)
        return gw_error_set(err, GW_EXIT_MIGRATE_CANCELLED, "cancelled");
    if (is_gone(p)) {
        *err = p->error;
        return -1;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += SLICE_NS;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&p->freed, &p->lock, &until);
    return 0;
}

struct page_job *page_pipe_job(struct page_pipe *p, uint64_t *waited_ns, struct gw_error *err)
{
    uint64_t began = migrate_now_ns();
    struct page_job *job;
    int rc = 0;

    if (p->cancelled && *p->cancelled) {
        gw_error_set(err, GW_EXIT_MIGRATE_CANCELLED, "cancelled");
        return NULL;
    }
    pthread_mutex_lock(&p->lock);
    while (rc == 0 && (!p->free || is_gone(p)))
        rc = wait_a_little(p, err);
    job = rc ? NULL : p->free;
    if (job)
        p->free = job->next;
    pthread_mutex_unlock(&p->lock);
    *waited_ns += migrate_now_ns() - began;
    if (job)
        job->pages = job->contents = job->frame_bytes = 0;
    return job;
}

void page_pipe_send(struct page_pipe *p, struct page_job *job)
{
    pthread_mutex_lock(&p->lock);
    p->under_way++;
    queue_add(p->compressors_n && job->contents ? &p->raw : &p->lanes[job->stream].queue, job);
    pthread_mutex_unlock(&p->lock);
}

int page_pipe_drain(struct page_pipe *p, struct gw_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&p->lock);
    while (rc == 0 && (p->under_way > 0 || is_gone(p)))
        rc = wait_a_little(p, err);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

uint64_t page_pipe_saved_bytes(struct page_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    uint64_t bytes = p->saved_bytes;
    pthread_mutex_unlock(&p->lock);
    return bytes;
}

/* --- beginning and end ----------------------------------------------------------------------- */

static unsigned choose_compressors(int level)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (level == 0)
        return 0;
    return cpus < 1 ? 1 : cpus > (long)COMPRESSORS_MAX ? COMPRESSORS_MAX : (unsigned)cpus;
}

/* The reader may hold one job per stream: there are more. */
static int make_jobs(struct page_pipe *p)
{
    p->jobs_n = 2 * p->lanes_n + p->compressors_n + 2;
    p->jobs = aligned_alloc(STREAM_PAGE_BYTES, p->jobs_n * sizeof(*p->jobs));
    if (!p->jobs)
        return -1;
    memset(p->jobs, 0, p->jobs_n * sizeof(*p->jobs)); /* and all of it is there */
    for (unsigned i = 0; i < p->jobs_n; i++) {
        if (p->compressors_n && !(p->jobs[i].frame = malloc(PAGE_JOB_CONTENTS * STREAM_PAGE_BYTES)))
            return -1;
        p->jobs[i].next = p->free;
        p->free = &p->jobs[i];
    }
    return 0;
}

static int make_parts(struct page_pipe *p, const struct page_pipe_setup *setup)
{
    for (unsigned i = 0; i < p->lanes_n; i++) {
        struct lane *lane = &p->lanes[i];

        lane->pipe = p;
        lane->writer = setup->writers[i];
        lane->io = *lane->writer->io;
        lane->io.cancelled = NULL; /* the reader sees to it */
        lane->io.given_up = &p->gone;
        queue_init(&lane->queue);
    }
    for (unsigned i = 0; i < p->compressors_n; i++) {
        p->compressors[i].pipe = p;
        p->compressors[i].zip = page_zip_open(setup->compress_level);
        if (!p->compressors[i].zip)
            return -1;
    }
    return make_jobs(p);
}

/* Signals are for the thread that began all this. */
static int start_threads(struct page_pipe *p)
{
    sigset_t all, before;
    int rc = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; rc == 0 && i < p->lanes_n; i++) {
        rc = pthread_create(&p->lanes[i].thread, NULL, write_lane, &p->lanes[i]);
        p->lane_threads += rc == 0;
    }
    for (unsigned i = 0; rc == 0 && i < p->compressors_n; i++) {
        rc = pthread_create(&p->compressors[i].thread, NULL, compress, &p->compressors[i]);
        p->compressor_threads += rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

struct page_pipe *page_pipe_open(const struct page_pipe_setup *setup, struct gw_error *err)
{
    struct page_pipe *p = calloc(1, sizeof(*p));

    if (!p) {
        gw_error_set(err, GW_EXIT_FAILED, "out of memory");
        return NULL;
    }
    p->cancelled = setup->writers[0]->io->cancelled;
    p->limit = setup->limit;
    p->lanes_n = setup->streams;
    p->compressors_n = choose_compressors(setup->compress_level);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->freed, NULL);
    queue_init(&p->raw);
    if (make_parts(p, setup) || start_threads(p)) {
        gw_error_set(err, GW_EXIT_FAILED, "no memory for buffers or threads");
        page_pipe_close(p);
        return NULL;
    }
    return p;
}

void page_pipe_close(struct page_pipe *p)
{
    if (!p)
        return;
    end(p, NULL);
    for (unsigned i = 0; i < p->lane_threads; i++)
        pthread_join(p->lanes[i].thread, NULL);
    for (unsigned i = 0; i < p->compressor_threads; i++)
        pthread_join(p->compressors[i].thread, NULL);
    for (unsigned i = 0; i < p->compressors_n; i++)
        page_zip_close(p->compressors[i].zip);
    for (unsigned i = 0; p->jobs && i < p->jobs_n; i++)
        free(p->jobs[i].frame);
    free(p->jobs);
    free(p);
}
