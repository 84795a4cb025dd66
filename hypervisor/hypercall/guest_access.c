/* SPDX-License-Identifier: MIT */
/*
 * Copies between the hypervisor and guest memory, a page at a time. A page in use is held by a
 * reference to its frame, so that no lock is needed while bytes move: the guest may unmap the page
 * meanwhile, the frame stays until the copy is over.
 */
#include <core/dirty_log.h>
#include <hv/domain.h>
#include <hv/errno.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/p2m.h>
#include <string.h>

/* A page that is written to: opened again when somebody closes it between fault and look-up. */
#define OPEN_TRIES 16

struct guest_page {
    pa_t frame;
    ipa_t ipa;
    uint8_t *va; /* of the first byte asked for */
};

static bool page_open(struct domain *d, ipa_t ipa, bool write, struct guest_page *ret_page)
{
    for (unsigned try = 0; try < OPEN_TRIES; try++) {
        struct s2_leaf leaf = s2_lookup_hold(&d->s2, ipa, frame_get);
        pa_t frame = pa_make(leaf.pa.addr & ~PAGE_MASK);
        bool ram = leaf.type == S2_RAM_RW || leaf.type == S2_FOREIGN_RW;
        bool read_only = leaf.type == S2_RAM_RO || leaf.type == S2_FOREIGN_RO;

        if (!ram && !read_only) {
            return false;
        }
        if (!write || leaf.type == S2_RAM_RW || (leaf.type == S2_FOREIGN_RW && leaf.writable)) {
            ret_page->frame = frame;
            ret_page->ipa = ipa;
            ret_page->va = (uint8_t *)pa_to_va(frame) + (ipa.addr & PAGE_MASK);
            return true;
        }
        frame_put(frame);
        if (read_only || p2m_fault_write(d, ipa) != S2_FAULT_RETRY) {
            return false;
        }
    }
    return false;
}

/* What to do with one piece: exactly one of the two is set, or none (probe). */
struct transfer {
    void *to;
    const void *from;
    guest_fill_fn fill;
    void *context; /* of fill */
    bool write;    /* the guest's side is written: by fill, else from, else zeros */
    bool probe;
    enum dirty_log_writer writer; /* for whom a page that was written is counted */
};

static void page_close(struct domain *d, const struct guest_page *page,
                       const struct transfer *transfer)
{
    if (transfer->write && !transfer->probe) {
        /* After the write: a harvest in between finds it next time. */
        dirty_log_mark(&d->s2, page->ipa, transfer->writer);
    }
    frame_put(page->frame);
}

static size_t page_rest(uint64_t address, size_t bytes)
{
    size_t rest = PAGE_SIZE_BYTES - (address & PAGE_MASK);

    return bytes < rest ? bytes : rest;
}

static void transfer_piece(struct transfer *transfer, uint8_t *guest, size_t bytes)
{
    if (transfer->probe) {
        return;
    }
    if (!transfer->write) {
        memcpy(transfer->to, guest, bytes);
        transfer->to = (uint8_t *)transfer->to + bytes;
    } else if (transfer->fill != NULL) {
        transfer->fill(transfer->context, guest, bytes);
    } else if (transfer->from != NULL) {
        memcpy(guest, transfer->from, bytes);
        transfer->from = (const uint8_t *)transfer->from + bytes;
    } else if (bytes == PAGE_SIZE_BYTES) {
        page_zero(guest);
    } else {
        memset(guest, 0, bytes);
    }
}

static size_t transfer_gva(struct transfer *transfer, uint64_t gva, size_t bytes)
{
    struct domain *d = vcpu_current()->domain;

    if (bytes != 0 && gva + (bytes - 1) < gva) {
        return bytes;
    }
    while (bytes != 0) {
        size_t piece = page_rest(gva, bytes);
        struct guest_page page;
        ipa_t ipa;

        if (!arch_translate_gva(gva, transfer->write, &ipa) ||
            !page_open(d, ipa, transfer->write, &page)) {
            break;
        }
        transfer_piece(transfer, page.va, piece);
        page_close(d, &page, transfer);
        gva += piece;
        bytes -= piece;
    }
    return bytes;
}

static int transfer_ipa(struct domain *d, struct transfer *transfer, ipa_t ipa, size_t bytes)
{
    if (bytes != 0 && ipa.addr + (bytes - 1) < ipa.addr) {
        return -EFAULT;
    }
    while (bytes != 0) {
        size_t piece = page_rest(ipa.addr, bytes);
        struct guest_page page;

        if (!page_open(d, ipa, transfer->write, &page)) {
            return -EFAULT;
        }
        transfer_piece(transfer, page.va, piece);
        page_close(d, &page, transfer);
        ipa = ipa_add(ipa, piece);
        bytes -= piece;
    }
    return 0;
}

size_t copy_from_guest(void *to, uint64_t from_gva, size_t bytes)
{
    struct transfer transfer = {.to = to};

    return transfer_gva(&transfer, from_gva, bytes);
}

size_t copy_to_guest(uint64_t to_gva, const void *from, size_t bytes)
{
    struct transfer transfer = {.from = from, .write = true, .writer = DIRTY_WRITER_HYPERCALL};

    return transfer_gva(&transfer, to_gva, bytes);
}

size_t copy_to_guest_area(uint64_t to_gva, const void *from, size_t bytes)
{
    struct transfer transfer = {.from = from, .write = true, .writer = DIRTY_WRITER_SHARED};

    return transfer_gva(&transfer, to_gva, bytes);
}

size_t clear_guest(uint64_t to_gva, size_t bytes)
{
    struct transfer transfer = {.write = true, .writer = DIRTY_WRITER_HYPERCALL};

    return transfer_gva(&transfer, to_gva, bytes);
}

size_t fill_guest(uint64_t to_gva, size_t bytes, guest_fill_fn fill, void *context)
{
    struct transfer transfer = {
        .fill = fill, .context = context, .write = true, .writer = DIRTY_WRITER_HYPERCALL};

    return transfer_gva(&transfer, to_gva, bytes);
}

size_t probe_guest_write(uint64_t gva, size_t bytes)
{
    struct transfer transfer = {.write = true, .probe = true};

    return transfer_gva(&transfer, gva, bytes);
}

int copy_to_ipa(struct domain *d, ipa_t to, const void *from, size_t bytes)
{
    struct transfer transfer = {.from = from, .write = true, .writer = DIRTY_WRITER_HYPERCALL};

    return transfer_ipa(d, &transfer, to, bytes);
}

int copy_from_ipa(struct domain *d, void *to, ipa_t from, size_t bytes)
{
    struct transfer transfer = {.to = to};

    return transfer_ipa(d, &transfer, from, bytes);
}
