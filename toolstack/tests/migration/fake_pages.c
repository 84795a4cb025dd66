/* SPDX-License-Identifier: MIT */
/* Contents of the fake host's guests. */
#include "fake_pages.h"

#include <string.h>
#include <unistd.h>

int fake_no_page(struct fake_host *host, struct gw_error *err)
{
    host->strays++;
    return gw_error_set(err, GW_EXIT_FAILED, "no page there");
}

uint8_t *fake_page_at(struct fake_guest *guest, uint64_t gfn)
{
    if (gfn == FAKE_CONSOLE_GFN)
        return guest->memory[0];
    return gfn >= FAKE_RAM_GFN && gfn < FAKE_GFN_LIMIT ? guest->memory[1 + gfn - FAKE_RAM_GFN]
                                                       : NULL;
}

int fake_read_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n, void *data,
                    unsigned room, bool *ret_zero, unsigned *ret_done, struct gw_error *err)
{
    static const uint8_t zeros[STREAM_PAGE_BYTES];
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);
    uint8_t *to = data;

    ((struct fake_host *)ctx)->reads++;
    *ret_done = 0;
    while (guest && *ret_done < n && room > 0) {
        const uint8_t *page = fake_page_at(guest, gfns[*ret_done]);

        if (!page)
            return fake_no_page(ctx, err);
        ret_zero[*ret_done] = memcmp(page, zeros, sizeof(zeros)) == 0;
        if (!ret_zero[(*ret_done)++]) {
            memcpy(to, page, STREAM_PAGE_BYTES);
            to += STREAM_PAGE_BYTES;
            room--;
            ((struct fake_host *)ctx)->pages_read++;
        }
    }
    return guest ? 0 : -1;
}

/* Others see it at work for a while. */
static void linger(struct fake_host *host)
{
    unsigned now = atomic_fetch_add(&host->writing, 1) + 1, most = host->writing_most;

    while (now > most && !atomic_compare_exchange_weak(&host->writing_most, &most, now))
        ;
    if (host->write_us)
        usleep(host->write_us);
    atomic_fetch_sub(&host->writing, 1);
}

int fake_write_pages(void *ctx, uint32_t domid, const uint64_t *gfns, unsigned n, const void *data,
                     struct gw_error *err)
{
    struct fake_guest *guest = fake_by_domid(ctx, domid, err);

    linger(ctx);
    for (unsigned i = 0; guest && i < n; i++) {
        uint8_t *page = fake_page_at(guest, gfns[i]);
        if (!page)
            return fake_no_page(ctx, err);
        if (guest->readonly[(page - guest->memory[0]) / STREAM_PAGE_BYTES])
            return gw_error_set(err, GW_EXIT_FAILED, "the page is read-only");
        if (data)
            memcpy(page, (const uint8_t *)data + (size_t)i * STREAM_PAGE_BYTES, STREAM_PAGE_BYTES);
        else
            memset(page, 0, STREAM_PAGE_BYTES);
        if (((struct fake_host *)ctx)->corrupt_write && gfns[i] == FAKE_RAM_GFN + 4)
            page[17] ^= 1;
    }
    ((struct fake_host *)ctx)->pages_written += guest && data ? n : 0;
    return guest ? 0 : -1;
}
