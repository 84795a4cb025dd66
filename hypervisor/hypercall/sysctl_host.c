/* SPDX-License-Identifier: MIT */
/* sysctl: the host's CPUs and memory. One socket, one node, no threads: more the tree does not say.
 */
#include <hv/console.h>
#include <hv/cpu.h>
#include <hv/frame.h>
#include <hv/guest_access.h>
#include <hv/time.h>
#include <string.h>

#include "sysctl.h"

#define CONSOLE_PIECE_BYTES 256u
#define LOCAL_DISTANCE      10u

long sysctl_physinfo(struct xen_sysctl *op)
{
    struct xen_sysctl_physinfo *info = &op->u.physinfo;

    memset(info, 0, sizeof(*info));
    info->threads_per_core = 1;
    info->cores_per_socket = cpu_count();
    info->nr_cpus = cpu_count();
    info->max_cpu_id = cpu_count() - 1;
    info->nr_nodes = 1;
    info->cpu_khz = (uint32_t)(time_frequency_hz() / 1000);
    info->capabilities = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap;
    info->total_pages = frame_total_pages();
    info->free_pages = frame_free_pages();
    info->max_mfn = frame_max_mfn();
    return 0;
}

/* Copies the ring of messages piece by piece. A reader that falls behind finds the oldest gone. */
long sysctl_read_console(struct xen_sysctl *op)
{
    struct xen_sysctl_readconsole *read = &op->u.readconsole;
    uint32_t position = read->incremental ? read->index : 0, done = 0;
    char piece[CONSOLE_PIECE_BYTES];

    while (done < read->count) {
        size_t room = read->count - done < sizeof(piece) ? read->count - done : sizeof(piece);
        size_t got = console_ring_read(&position, piece, room, 0);

        if (got == 0) {
            break;
        }
        if (copy_to_guest(read->buffer.q + done, piece, got) != 0) {
            return -EFAULT;
        }
        done += (uint32_t)got;
    }
    if (read->clear) {
        (void)console_ring_read(&position, piece, 0, 1);
    }
    read->count = done;
    read->index = position;
    return 0;
}

long sysctl_sched_id(struct xen_sysctl *op)
{
    op->u.sched_id.sched_id = XEN_SCHEDULER_CREDIT2; /* of Xen's list the one that is most alike */
    return 0;
}

long sysctl_cpu_info(struct xen_sysctl *op)
{
    struct xen_sysctl_getcpuinfo *request = &op->u.getcpuinfo;
    uint32_t count = request->max_cpus < cpu_count() ? request->max_cpus : cpu_count();

    for (uint32_t i = 0; i < count; i++) {
        struct xen_sysctl_cpuinfo info = {.idletime = cpus[i].idle_ns};

        if (copy_to_guest(request->info.q + i * sizeof(info), &info, sizeof(info)) != 0) {
            return -EFAULT;
        }
    }
    request->nr_cpus = count;
    return 0;
}

long sysctl_avail_heap(struct xen_sysctl *op)
{
    op->u.availheap.avail_bytes = frame_free_pages() << PAGE_SHIFT;
    return 0;
}

long sysctl_cpu_topology(struct xen_sysctl *op)
{
    struct xen_sysctl_cputopoinfo *request = &op->u.cputopoinfo;
    uint32_t count = request->num_cpus < cpu_count() ? request->num_cpus : cpu_count();

    for (uint32_t i = 0; request->cputopo.q != 0 && i < count; i++) {
        struct xen_sysctl_cputopo topology = {.core = i};

        if (copy_to_guest(request->cputopo.q + i * sizeof(topology), &topology, sizeof(topology)) !=
            0) {
            return -EFAULT;
        }
    }
    request->num_cpus = cpu_count();
    return 0;
}

long sysctl_numa_info(struct xen_sysctl *op)
{
    struct xen_sysctl_numainfo *request = &op->u.numainfo;
    struct xen_sysctl_meminfo memory = {frame_total_pages() << PAGE_SHIFT, frame_free_pages()
                                                                               << PAGE_SHIFT};
    uint32_t distance = LOCAL_DISTANCE;

    if (request->num_nodes != 0 && request->meminfo.q != 0 &&
        copy_to_guest(request->meminfo.q, &memory, sizeof(memory)) != 0) {
        return -EFAULT;
    }
    if (request->num_nodes != 0 && request->distance.q != 0 &&
        copy_to_guest(request->distance.q, &distance, sizeof(distance)) != 0) {
        return -EFAULT;
    }
    request->num_nodes = 1;
    return 0;
}
