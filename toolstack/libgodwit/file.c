/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

static int read_all(int fd, struct gw_file *file)
{
    size_t done = 0;

    while (done < file->bytes) {
        ssize_t n = read(fd, file->data + done, file->bytes - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    file->bytes = done; /* it may have shrunk meanwhile */
    return 0;
}

int gw_file_read(struct gw_file *ret_file, const char *path, uint64_t bytes_max,
                 struct gw_error *err)
{
    struct gw_file file = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = -1;

    if (fd < 0 || fstat(fd, &st) < 0) {
        gw_error_errno(err, errno, "cannot read %s", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        gw_error_set(err, GW_EXIT_FAILED, "cannot read %s: it is not a regular file", path);
        goto out;
    }
    if ((uint64_t)st.st_size > bytes_max) {
        gw_error_set(err, GW_EXIT_FAILED,
                     "%s is too large: %" PRIu64 " bytes, at most %" PRIu64 " are possible", path,
                     (uint64_t)st.st_size, bytes_max);
        goto out;
    }
    file.bytes = (size_t)st.st_size;
    file.data = malloc(file.bytes + 1);
    if (!file.data) {
        gw_error_set(err, GW_EXIT_FAILED, "cannot read %s: out of memory", path);
        goto out;
    }
    if (read_all(fd, &file) < 0) {
        gw_error_errno(err, errno, "cannot read %s", path);
        goto out;
    }
    *ret_file = file;
    file.data = NULL;
    rc = 0;
out:
    free(file.data);
    if (fd >= 0)
        close(fd);
    return rc;
}

void gw_file_free(struct gw_file *file)
{
    free(file->data);
    file->data = NULL;
    file->bytes = 0;
}
