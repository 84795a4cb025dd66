/* SPDX-License-Identifier: MIT */
/*
 * Getting dirty pages out of a log in bounded pieces, and into the caller's bitmap. The log hands
 * out words that are not zero; what lies between them is written as runs of zeros.
 */
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <string.h>

#include "shadow.h"

#define CLEAR_BYTES 65536u /* of a bitmap at once, where nothing is dirty */

/* A word of the caller's bitmap, which is bytes to everybody else. */
typedef uint64_t __attribute__((may_alias)) bitmap_word_t;

/* Pages that the hypervisor itself may write at any time, seen by the final round. */
static void mark_permanent_mappings(struct domain *d)
{
    for (uint32_t id = 0; id < d->max_vcpus; id++) {
        if (d->vcpus[id] != NULL && d->vcpus[id]->vcpu_info_pa.addr != 0) {
            dirty_log_mark(&d->s2, d->vcpus[id]->vcpu_info_ipa, DIRTY_WRITER_SHARED);
        }
    }
    spin_lock(&d->vpl011.lock);
    if (d->vpl011.ring_pa.addr != 0) {
        dirty_log_mark(&d->s2, ipa_from_gfn(d->vpl011.ring_gfn), DIRTY_WRITER_DEVICE);
    }
    spin_unlock(&d->vpl011.lock);
}

bool shadow_must_stop(const struct shadow_session *session)
{
    return cpu_preempt_pending() || session->abandoned;
}

long shadow_report_start(struct domain *d, struct shadow_session *session, bool clean, bool final)
{
    long error = 0;

    if (session->started) {
        return 0;
    }
    session->taken_to = session->request.first;
    session->logging = dirty_log_is_on(&d->s2);
    if (session->logging && final) {
        mark_permanent_mappings(d);
    }
    if (session->logging && clean) {
        error = dirty_log_harvest_begin(&d->s2);
        session->harvesting = error == 0;
    }
    if (error == -EINVAL) { /* somebody is turning it off */
        session->logging = false;
        error = 0;
    }
    session->started = error == 0;
    return error;
}

void shadow_report_get(struct domain *d, struct shadow_session *session, uint64_t end)
{
    uint64_t pages = 0;

    session->next = 0;
    session->count = 0;
    if (!session->logging) {
        session->taken_to = end;
    } else if (session->harvesting) {
        session->count =
            dirty_log_harvest_words(&d->s2, &session->taken_to, end, session->words, &pages);
    } else {
        session->count =
            dirty_log_peek_words(&d->s2, &session->taken_to, end, session->words, &pages);
    }
    session->dirty_pages += pages;
}

bool shadow_report_count(struct domain *d, struct shadow_session *session)
{
    uint64_t pages = 0;

    if (session->logging && session->taken_to != UINT64_MAX) {
        (void)dirty_log_peek_words(&d->s2, &session->taken_to, UINT64_MAX, session->words, &pages);
        session->dirty_pages += pages;
    }
    return !session->logging || session->taken_to == UINT64_MAX;
}

/* Byte of the bitmap at which the next word lies, or where what has been taken ends. */
static uint64_t next_byte(const struct shadow_session *session, uint64_t end)
{
    return session->next < session->count ? session->words[session->next].gfn / 8 : end;
}

/* The part of the word at byte that lies in [at, end) of the bitmap; to is where at lies. */
static void store_part(uint8_t *to, uint64_t at, uint64_t end, uint64_t byte, uint64_t bits)
{
    for (unsigned i = 0; i < 8; i++) {
        if (byte + i >= at && byte + i < end) {
            to[byte + i - at] = (uint8_t)(bits >> (8 * i));
        }
    }
}

/* Stores words from word on while they lie in [at, end) as a whole, one behind the other. */
static const struct dirty_log_word *store_whole(uint8_t *to, uint64_t at, uint64_t end,
                                                const struct dirty_log_word *word,
                                                const struct dirty_log_word *last)
{
    uint64_t room = end - at;

    for (; word < last; word++) {
        uint64_t offset = word->gfn / 8 - at;

        if (offset + 8 > room) {
            break;
        }
        *(bitmap_word_t *)(void *)(to + offset) = word->bits; /* little endian */
    }
    return word;
}

/*
 * Writes [position, position + bytes) of the bitmap: zeros, and then the words, which is cheaper
 * than zeros between the words.
 */
static void fill_bitmap(void *context, uint8_t *to, size_t bytes)
{
    struct shadow_session *session = context;
    const struct dirty_log_word *word = session->words + session->next;
    const struct dirty_log_word *last = session->words + session->count;
    uint64_t at = session->position, end = at + bytes;
    bool aligned = (((uintptr_t)to - at) & 7) == 0;

    if (bytes == PAGE_SIZE_BYTES) {
        page_zero(to);
    } else {
        memset(to, 0, bytes);
    }
    while (word < last && word->gfn / 8 < end) {
        uint64_t byte = word->gfn / 8;

        store_part(to, at, end, byte, word->bits);
        if (byte + 8 > end) {
            break; /* the rest of it comes with the next page */
        }
        word++;
        if (aligned) {
            word = store_whole(to, at, end, word, last);
        }
    }
    session->next = (unsigned)(word - session->words);
    session->position = end;
}

/* Writes one piece of the bitmap, up to byte end at most: zeros, or what lies in one page. */
static long write_piece(struct shadow_session *session, uint64_t end)
{
    uint64_t bitmap = session->request.buffer, at = session->position;
    /* Whole pages of the caller before the one with the next word. */
    uint64_t clean = ((bitmap + next_byte(session, end)) & ~PAGE_MASK) - bitmap;
    uint64_t page_end = ((bitmap + at) | PAGE_MASK) + 1 - bitmap;

    if (clean > at && clean <= end) {
        clean = clean - at < CLEAR_BYTES ? clean : at + CLEAR_BYTES;
        session->position = clean;
        return clear_guest(bitmap + at, (size_t)(clean - at)) != 0 ? -EFAULT : 0;
    }
    page_end = page_end < end ? page_end : end;
    return fill_guest(bitmap + at, (size_t)(page_end - at), fill_bitmap, session) != 0 ? -EFAULT
                                                                                       : 0;
}

/* One bounded piece; *ret_done when the caller has all of it. */
static long report_piece(struct domain *d, struct shadow_session *session, bool *ret_done)
{
    uint64_t bytes = (session->request.end + 7) / 8;
    uint64_t taken = (session->taken_to + 7) / 8 < bytes ? (session->taken_to + 7) / 8 : bytes;

    *ret_done = false;
    if (session->request.buffer == 0) {
        session->position = taken;
    }
    if (session->position < taken) {
        return write_piece(session, taken);
    }
    if (session->position < bytes) {
        /* Whole bytes are reported; marks behind them stay in the log. */
        shadow_report_get(d, session, bytes * 8);
        return 0;
    }
    *ret_done = shadow_report_count(d, session);
    return 0;
}

long shadow_report_pieces(struct domain *d, struct shadow_session *session, shadow_piece_fn piece)
{
    bool done = false;

    for (;;) {
        long error = piece(d, session, &done);

        if (error != 0 || done) {
            return error;
        }
        if (shadow_must_stop(session)) {
            return -ERESTART;
        }
    }
}

long shadow_report_bitmap(struct domain *d, struct shadow_session *session)
{
    return shadow_report_pieces(d, session, report_piece);
}
