/* SPDX-License-Identifier: MIT */
/*
 * memtype: makes pages of a guest read-only, and shows which are, for tests of save and migration.
 *
 *   memtype DOMID GFN PAGES ro     make them read-only
 *   memtype DOMID GFN PAGES show   print how many of them are
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xencall.h>
#include <xendevicemodel.h>

/* Needs the types of the headers above. */
#include <xen/hvm/hvm_op.h>

static int make_readonly(domid_t domid, uint64_t gfn, uint32_t pages)
{
    xendevicemodel_handle *model = xendevicemodel_open(NULL, 0);
    int rc = model ? xendevicemodel_set_mem_type(model, domid, HVMMEM_ram_ro, gfn, pages) : -1;

    if (rc)
        perror("memtype");
    return rc ? 1 : 0;
}

static int show(domid_t domid, uint64_t gfn, uint32_t pages)
{
    xencall_handle *call = xencall_open(NULL, 0);
    struct xen_hvm_get_mem_type *get = call ? xencall_alloc_buffer(call, sizeof(*get)) : NULL;
    uint32_t readonly = 0;

    for (uint32_t i = 0; get && i < pages; i++) {
        *get = (struct xen_hvm_get_mem_type){.domid = domid, .pfn = gfn + i};
        if (xencall2(call, __HYPERVISOR_hvm_op, HVMOP_get_mem_type, (uintptr_t)get) < 0) {
            perror("memtype");
            return 1;
        }
        readonly += get->mem_type == HVMMEM_ram_ro;
    }
    printf("%u\n", readonly);
    return get ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    domid_t domid = (domid_t)atoi(argv[1]);
    uint64_t gfn = strtoull(argv[2], NULL, 0);
    uint32_t pages = (uint32_t)atoi(argv[3]);

    return strcmp(argv[4], "ro") == 0 ? make_readonly(domid, gfn, pages) : show(domid, gfn, pages);
}
