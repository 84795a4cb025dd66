/* SPDX-License-Identifier: MIT */
/* Guest access for tests of everything above it: a guest pointer is a pointer of the test. */
#include <hv/frame.h>
#include <hv/guest_access.h>

#include "fake_host.h"

void page_zero(void *page)
{
    memset(page, 0, PAGE_SIZE_BYTES);
}

/* How many of the bytes may be accessed, from the first on. */
static size_t reachable(uint64_t gva, size_t bytes)
{
    if (fake.copies_until_fault == 0) {
        return 0;
    }
    if (fake.copies_until_fault > 0) {
        fake.copies_until_fault--;
    }
    if (gva < fake.hole_end && gva + bytes > fake.hole_start) {
        return gva < fake.hole_start ? (size_t)(fake.hole_start - gva) : 0;
    }
    return bytes;
}

size_t copy_from_guest(void *to, uint64_t from_gva, size_t bytes)
{
    size_t good = reachable(from_gva, bytes);

    memcpy(to, (const void *)(uintptr_t)from_gva, good);
    return bytes - good;
}

size_t copy_to_guest(uint64_t to_gva, const void *from, size_t bytes)
{
    size_t good = reachable(to_gva, bytes);

    memcpy((void *)(uintptr_t)to_gva, from, good);
    return bytes - good;
}

size_t clear_guest(uint64_t to_gva, size_t bytes)
{
    size_t good = reachable(to_gva, bytes);

    memset((void *)(uintptr_t)to_gva, 0, good);
    return bytes - good;
}

size_t fill_guest(uint64_t to_gva, size_t bytes, guest_fill_fn fill, void *context)
{
    size_t good = reachable(to_gva, bytes);

    if (good != 0) {
        fill(context, (uint8_t *)(uintptr_t)to_gva, good);
    }
    return bytes - good;
}

size_t probe_guest_write(uint64_t gva, size_t bytes)
{
    return bytes - reachable(gva, bytes);
}
