/* SPDX-License-Identifier: MIT */
/* The folder of all that is true only as long as the host runs. */
#include <errno.h>
#include <libgodwit/registry.h>
#include <stdlib.h>
#include <sys/stat.h>

const char *gw_registry_dir(void)
{
    const char *dir = getenv("GODWIT_RUN_DIR");

    return dir && *dir ? dir : "/run/godwit";
}

int gw_registry_init(struct gw_error *err)
{
    const char *dir = gw_registry_dir();

    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return gw_error_errno(err, errno, "cannot make %s", dir);
    return 0;
}
