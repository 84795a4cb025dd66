# SPDX-License-Identifier: MIT
"""The hypervisor with one rule broken: edits (file, text to find exactly once, text in its place),
and the tests that must all notice. The rules: docs/design/dirty-log.md.
"""

ACCESS = ("host", "tests/hypercall/test_hypercall_guest_access")
EVENTS = ("host", "tests/hypercall/test_hypercall_evtchn")
SHADOW = ("host", "tests/hypercall/test_hypercall_shadow")
RANGES = ("host", "tests/hypercall/test_hypercall_ranges")
SHADOW_END = ("host", "tests/hypercall/test_hypercall_shadow_end")
VCPU = ("host", "tests/hypercall/test_hypercall_vcpu")
SCHED = ("host", "tests/domain/test_domain_sched")
PAGES = ("host", "tests/hypercall/test_hypercall_pages")
PAGES_CHANGE = ("host", "tests/hypercall/test_hypercall_pages_change")
DM_OP = ("host", "tests/hypercall/test_hypercall_dm_op")
PL011 = ("host", "tests/vdev/test_vdev_pl011")
PL061 = ("host", "tests/vdev/test_vdev_pl061")
TIME = ("host", "tests/time/test_time_time")
VTIMER = ("host", "tests/time/test_time_vtimer")
FOREIGN = ("host", "tests/p2m/test_p2m_foreign")
WRITERS = ("guests", "dirty log, every writer on a72")
WRITERS_MAX = ("guests", "dirty log, every writer, by faults on max")
STORES = ("guests", "dirty log both directions on a72")
SIMD = ("guests", "fpu beside harvests that use SIMD registers on max")
PAGES_GUEST = ("guests", "contents of pages by hypercall on a72")
TRAPS = ("guests", "traps on a72")
WINDOWS = ("linear", "windows on leaf tables: shut, every look misses on a72")


def mutant(tests, *edits):
    return {"tests": tests, "edits": edits}


HCALL = "hypervisor/hypercall/"

MUTANTS = {
    # A look through a window that misses leaves no trace (docs/design/stage2.md, "Finding the leaf").
    "miss-loses-the-way-back": mutant([WINDOWS], (
        "hypervisor/arch/arm64/port/find_linear/find_entry.h", "    msr     elr_el2, x2\n", "")),
    # A scan in the hypervisor leaves SIMD registers, which are a guest's, as they were.
    "scan-keeps-a-simd-register": mutant([SIMD], (
        "hypervisor/arch/arm64/port/closed_runs.S", "    ldp     q16, q17, [sp, #128]\n", "")),
    # Guests are told nothing of this host's caches, and what they write to debug registers counts.
    "guests-see-the-hosts-caches": mutant([TRAPS], (
        "hypervisor/arch/arm64/switch.c", "HCR_TID2 | HCR_TID3", "HCR_TID3")),
    "cache-selection-is-lost": mutant([TRAPS], (
        "hypervisor/arch/arm64/trap_caches.c", "write ? *value & CSSELR_BITS", "write ? 0")),
    "debug-registers-are-written-in-vain": mutant([TRAPS], (
        "hypervisor/arch/arm64/debug.c", "        *reg = *value;\n        debug_load(debug);", "        *reg = *value;")),
    # Every writer marks, after its write.
    "hypercall-output-unmarked": mutant([ACCESS, WRITERS], (
        HCALL + "guest_access.c",
        "        dirty_log_mark(&d->s2, page->ipa, transfer->writer);", "        (void)d;")),
    "hypercall-output-marked-before-the-write": mutant([ACCESS], (
        HCALL + "guest_access.c", """
        transfer_piece(transfer, page.va, piece);
        page_close(d, &page, transfer);
        gva += piece;
""", """
        frame_get(page.frame);
        page_close(d, &page, transfer);
        transfer_piece(transfer, page.va, piece);
        frame_put(page.frame);
        gva += piece;
""")),
    "copied-pages-unmarked": mutant([PAGES, PAGES_GUEST], (
        HCALL + "godwit_pages.c",
        "        dirty_log_mark_list(&b->t->d->s2, b->gfns, b->touched, DIRTY_WRITER_HYPERCALL);\n", "")),
    "copied-pages-marked-before-the-write": mutant([PAGES], (
        HCALL + "godwit_pages.c",
        "        dirty_log_mark_list(&b->t->d->s2, b->gfns, b->touched, DIRTY_WRITER_HYPERCALL);\n", ""), (
        HCALL + "godwit_pages.c", """    if (!t->write) {
        cache_before_reading(""", """    if (t->write) {
        dirty_log_mark_list(&t->d->s2, b->gfns, b->held, DIRTY_WRITER_HYPERCALL);
    } else {
        cache_before_reading(""")),
    "copied-to-pages-of-the-caller-unmarked": mutant([PAGES], (
        HCALL + "caller_pages.c", "    if (pages->write && pages->used != 0) {", "    if (false) {")),
    "half-a-copied-page-unmarked": mutant([PAGES], (
        HCALL + "godwit_pages.c", "    b->touched = at + 1;\n", "    b->touched = at;\n")),
    # A frame is held while it is copied, no longer.
    "copied-pages-stay-held": mutant([PAGES, PAGES_GUEST], (
        HCALL + "godwit_pages.c", "    frame_put_list(b->frames, b->held);", "    frame_put_list(b->frames, b->touched);")),
    "pages-of-the-caller-stay-held": mutant([PAGES], (
        HCALL + "caller_pages.c", "    frame_put_list(pages->frames, pages->count);",
        "    frame_put_list(pages->frames, pages->used);")),
    "copied-pages-are-not-held": mutant([PAGES_CHANGE], (
        HCALL + "godwit_pages.c", "    if (!t->write) {\n        cache_before_reading(", """    frame_put_list(b->frames, b->held);
    if (!t->write) {
        cache_before_reading("""), (
        HCALL + "godwit_pages.c", "    frame_put_list(b->frames, b->held);\n}", "}")),
    "pages-of-the-caller-are-not-held": mutant([PAGES_CHANGE], (
        HCALL + "caller_pages.c", "                                      frame_get_list, pages->frames);\n}",
        "                                      frame_get_list, pages->frames);\n"
        "    frame_put_list(pages->frames, pages->count);\n}"), (
        HCALL + "caller_pages.c", "    frame_put_list(pages->frames, pages->count);\n    pages->count", "    pages->count")),
    # The next batch finds what is there by then, and writes no page that may not be written.
    "copied-to-read-only-pages": mutant([PAGES_CHANGE], (
        "core/src/hold.c", "(type == S2_RAM_RO && !write)", "type == S2_RAM_RO")),
    "copied-to-what-is-not-the-guests": mutant([PAGES_CHANGE], (
        "core/src/hold.c", "return type == S2_RAM_RW ||", "return type == S2_FOREIGN_RW || type == S2_RAM_RW ||")),
    "unmapped-frames-outlive-their-batch": mutant([PAGES_CHANGE], (
        "hypervisor/mm/frame_domain.c", "        put(frame, frames[i]);", "        drop(frame);")),
    # What was done is what the caller can know of.
    "pages-are-done-whose-zeros-nobody-knows": mutant([PAGES_CHANGE], (
        HCALL + "godwit_pages.c", "        *t = before;\n", "        *t = before;\n        *ret_done = at;\n")),
    "room-is-used-of-pages-not-done": mutant([PAGES_CHANGE], (
        HCALL + "godwit_pages.c", "        *t = before;\n", "")),
    "a-run-frees-frames-that-are-held": mutant([PAGES_GUEST], (
        "hypervisor/mm/frame_domain.c", "        if (drop(frame)) {\n            run++;", "        if (drop(frame) || true) {\n            run++;")),
    # A copy leaves SIMD registers as they were, and finds each byte.
    "copy-keeps-a-simd-register": mutant([PAGES_GUEST], (
        "hypervisor/arch/arm64/page_copy.S", "    ld1     {v20.16b-v23.16b}, [sp], #64\n", "    add     sp, sp, #64\n")),
    "copy-looks-at-half-the-bytes": mutant([PAGES_GUEST], (
        "hypervisor/arch/arm64/page_copy.S", "    orr     v24.16b, v24.16b, v28.16b\n", "")),
    "copy-forgets-zeros-in-front": mutant([PAGES_GUEST], (
        "hypervisor/arch/arm64/page_copy.S", "3:  stp     q24, q24, [x0], #STEP_BYTES", "3:  add     x0, x0, #STEP_BYTES")),
    "vcpu-info-unmarked": mutant([EVENTS, WRITERS], (
        HCALL + "evtchn_deliver.c",
        "        dirty_log_mark(&v->domain->s2, v->vcpu_info_ipa, DIRTY_WRITER_SHARED);", ";")),
    "vcpu-info-marked-before-the-write": mutant([EVENTS], (
        HCALL + "evtchn_deliver.c",
        "    if ((atomic_fetch_or(selector, selector_bits) & selector_bits) == selector_bits) {",
        "    vcpu_info_written(v);\n"
        "    if ((atomic_fetch_or(selector, selector_bits) & selector_bits) == selector_bits) {"), (
        HCALL + "evtchn_deliver.c", "\n    vcpu_info_written(v);\n    /*\n     * Before the line", "\n    /*\n     * Before the line")),
    # An upcall's level follows its flag, whoever of sender and receiver is faster.
    "raised-line-is-not-looked-at": mutant([EVENTS], (
        HCALL + "evtchn_deliver.c", """
    vgic_set_line(v->domain, v, v->domain->evtchn_upcall_ppi, true);
    atomic_store(&v->evtchn_upcall_check, true);
""", """
    vgic_set_line(v->domain, v, v->domain->evtchn_upcall_ppi, true);
""")),
    "console-ring-unmarked": mutant([PL011, WRITERS], (
        "hypervisor/vdev/vpl011.c",
        "        dirty_log_mark(&d->s2, ipa_from_gfn(d->vpl011.ring_gfn), DIRTY_WRITER_DEVICE);", "")),
    "console-ring-marked-before-the-write": mutant([PL011], (
        "hypervisor/vdev/vpl011.c", "    } else if (vpl011_ring_put(ring, &byte, 1)) {\n        after->ring_written = true;",
        "    } else if (dirty_log_mark(&d->s2, ipa_from_gfn(uart->ring_gfn), DIRTY_WRITER_DEVICE),\n"
        "               vpl011_ring_put(ring, &byte, 1)) {")),
    "final-round-forgets-permanent-mappings": mutant([WRITERS], (
        HCALL + "shadow_report.c", "        mark_permanent_mappings(d);", "        (void)mark_permanent_mappings;")),
    "device-model-is-not-believed": mutant([DM_OP, WRITERS], (
        HCALL + "dm_op_memory.c",
        "        dirty_log_mark(&d->s2, ipa_from_gfn(extent->first_pfn + *opaque), DIRTY_WRITER_MODEL);", "")),
    "device-model-off-by-one": mutant([DM_OP, WRITERS], (
        HCALL + "dm_op_memory.c", "extent->first_pfn + *opaque), DIRTY", "extent->first_pfn + *opaque + 1), DIRTY")),
    # The page-table walker writes, whatever the syndrome says.
    "table-walks-are-reads": mutant([WRITERS_MAX], (
        "hypervisor/arch/arm64/trap_abort.c", "        if (esr & (ABORT_WNR | ABORT_S1PTW)) {",
        "        if (esr & ABORT_WNR) {")),
    # Foreign mappings: the owner's log knows before the page is opened, by the owner's address.
    "pin-after-open": mutant([FOREIGN], (
        "hypervisor/p2m/foreign.c", """
    if (dirty_log_pin(&owner->s2, owner_ipa) != 0) {
        return S2_FAULT_READONLY; /* no memory to remember the writer: it may not write */
    }
    if (!s2_open_foreign(&d->s2, ipa, frame)) {
        dirty_log_unpin(&owner->s2, owner_ipa); /* opened by another CPU, or unmapped meanwhile */
    }
""", """
    if (s2_open_foreign(&d->s2, ipa, frame) && dirty_log_pin(&owner->s2, owner_ipa) != 0) {
        return S2_FAULT_READONLY;
    }
""")),
    "pin-by-the-mappers-address": mutant([FOREIGN, WRITERS], (
        "hypervisor/p2m/foreign.c", "    ipa_t owner_ipa = ipa_from_gfn(frame_gfn(frame));",
        "    ipa_t owner_ipa = ipa;")),
    "opened-without-a-pin": mutant([FOREIGN], (
        "hypervisor/p2m/foreign.c",
        "        return S2_FAULT_READONLY; /* no memory to remember the writer: it may not write */", "")),
    # Sessions: an error returns all bits, nobody steals, nobody holds the log for ever.
    "error-commits": mutant([SHADOW], (
        HCALL + "shadow_session.c", "    if (error == 0) {\n        if (session->harvesting)",
        "    if (true) {\n        if (session->harvesting)")),
    "failed-call-does-not-wait-for-its-bits": mutant([SHADOW_END], (
        HCALL + "shadow_session.c", "put_back_locked(d, session) == 0 ? error : -ERESTART;",
        "put_back_locked(d, session) == 0 ? error : error;")),
    "session-ends-before-all-is-back": mutant([SHADOW_END], (
        HCALL + "shadow_session.c", "dirty_log_harvest_abort(&d->s2) != 0) {",
        "dirty_log_harvest_abort(&d->s2) > 0) {")),
    "last-byte-is-lost": mutant([SHADOW], (
        HCALL + "shadow_report.c", "        shadow_report_get(d, session, bytes * 8);",
        "        shadow_report_get(d, session, (bytes * 8 + 63) & ~UINT64_C(63));")),
    "second-caller-steals": mutant([SHADOW], (
        HCALL + "shadow_session.c",
        "    if (session != NULL && !session->ending && session->owner != v &&\n        time_now_ns() <",
        "    if (session != NULL && session->owner == NULL &&\n        time_now_ns() <")),
    "abandoned-caller-keeps-the-log": mutant([SHADOW], (
        HCALL + "shadow_session.c", " &&\n        time_now_ns() < session->deadline_ns) {", ") {")),
    # The epoch of a log: no taker goes unnoticed.
    "clean-keeps-the-epoch": mutant([RANGES], (
        HCALL + "shadow_session.c", "session->epoch != 0 ? session->epoch : shadow_epoch_new()",
        "session->epoch != 0 ? session->epoch : d->logdirty_epoch")),
    "switching-off-keeps-the-epoch": mutant([RANGES], (
        HCALL + "domctl_shadow.c", "    shadow_epoch_begin(domctl->d);\n", ""), (
        HCALL + "domctl_shadow.c", "        shadow_epoch_begin(d);\n", "        (void)d;\n")),
    "epoch-is-not-compared": mutant([RANGES], (
        HCALL + "godwit_ranges.c", "op->epoch != 0 && op->epoch != shadow_epoch(d)",
        "op->epoch != 0 && shadow_epoch(d) == 0")),
    # A throttle ends with the logging, and takes what it says.
    "off-keeps-the-throttle": mutant([VCPU], (
        HCALL + "domctl_shadow.c", "    sched_domain_may_throttle(domctl->d, false);\n", "")),
    "destruction-keeps-the-throttle": mutant([VCPU], (
        HCALL + "domain_kill.c", "    sched_domain_may_throttle(d, false);\n", "")),
    "unlogged-guests-are-throttled": mutant([SCHED], (
        "hypervisor/domain/sched_throttle.c", "    if (!d->may_throttle) {\n        error = -EINVAL;\n    }\n", "")),
    "budget-is-never-used-up": mutant([SCHED], (
        "hypervisor/domain/throttle_budget.h", "    throttle->used_ns += ns;", "    (void)ns;")),
    "sleepers-are-spared": mutant([SCHED], (
        "hypervisor/domain/sched_state.c", "        sched_charge_sleep(v, now_ns);\n", "")),
    # A timer fires once, not before it is time, and not after what it belongs to has gone.
    "timer-is-early-after-a-long-uptime": mutant([TIME], (
        "hypervisor/platform/time.c", "    return wait < UINT64_MAX - count ? count + wait + 1 : UINT64_MAX;",
        "    (void)wait;\n    return time_ns_to_ticks(deadline_ns) + 1;")),
    "last-moment-has-passed": mutant([TIME], (
        "hypervisor/platform/time.c", "wait < UINT64_MAX - count ? count + wait + 1 : UINT64_MAX;", "count + wait + 1;")),
    "two-set-one-timer-of-a-guest": mutant([VTIMER], (
        "hypervisor/vdev/vtimer.c", """    spin_lock(&v->vtimer.lock);
    fired(v, PPI_PHYSICAL, v->vtimer.cntp_ctl, v->vtimer.cntp_cval, timer);
    spin_unlock(&v->vtimer.lock);
""", "    fired(v, PPI_PHYSICAL, v->vtimer.cntp_ctl, v->vtimer.cntp_cval, timer);\n")),
    "fired-timer-believes-what-was": mutant([VTIMER], (
        "hypervisor/vdev/vtimer.c", """    spin_lock(&v->vtimer.lock);
    fired(v, PPI_VIRTUAL, v->vtimer.cntv_ctl, v->vtimer.cntv_cval, timer);
""", """    uint64_t cval = v->vtimer.cntv_cval;
    spin_lock(&v->vtimer.lock);
    fired(v, PPI_VIRTUAL, v->vtimer.cntv_ctl, cval, timer);
""")),
    "timer-outlives-its-domain": mutant([VTIMER], (
        "hypervisor/vdev/vtimer.c", " && !clock_stands(v) && !v->vtimer.stopped;", " && !clock_stands(v);")),
    "fired-timer-outlives-its-domain": mutant([VTIMER], (
        "hypervisor/vdev/vtimer.c", "    } else if (!v->vtimer.stopped) {", "    } else {")),
    "ring-comes-after-the-end": mutant([PL011], (
        "hypervisor/vdev/vpl011.c", "    uart->present = false; /* no ring", "    /* no ring")),
    "pressed-key-outlives-its-domain": mutant([PL061], (
        "hypervisor/vdev/vpl061.c", "    if (gpio->present) { /* still", "    if (true) { /* still")),
    "wait-never-ends": mutant([SCHED], (
        "hypervisor/domain/sched_account.c", "        timer_set(&v->throttle_end, v->throttle.until_ns);", ";")),
    # The port: both kinds of TLB entries go, on all CPUs.
    "port-keeps-combined-entries": mutant([STORES], (
        "hypervisor/arch/arm64/port/tlb.c",
        "    tlbi(vmalle1is);\n    dsb(ish); /* complete on all", "    dsb(ish); /* complete on all")),
}

# What the runner itself must say.
SELF_TEST = {
    "of nothing": ("FAIL", mutant([SHADOW], (
        HCALL + "shadow_session.c", "/* Who owns an unfinished", "/* Who has an unfinished"))),
    "of a text that is gone": ("ERROR", mutant([SHADOW], (HCALL + "shadow_session.c", "no such text", ""))),
    "that does not compile": ("ERROR", mutant([SHADOW], (
        HCALL + "shadow_session.c", "#define ABANDON_NS", "error\n#define ABANDON_NS"))),
}
