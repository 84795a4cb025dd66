/* SPDX-License-Identifier: MIT */
#include "fake_save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fake_save *fake_save_begin(unsigned busy)
{
    struct fake_save *f =
        mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (f == MAP_FAILED)
        return NULL;
    strcpy(f->folder, "/tmp/godwit-save-XXXXXX");
    f->world = fake_world_create(&f->fd);
    if (!f->world || !mkdtemp(f->folder)) {
        munmap(f, sizeof(*f));
        return NULL;
    }
    f->opener = fake_opener(f->world, 0);
    f->guest = fake_guest_add(&f->world->hosts[0], "web");
    for (unsigned i = 0; i < FAKE_SAVE_FILES; i++)
        snprintf(f->files[i], sizeof(f->files[i]), "%s/%u.save", f->folder, i);
    f->world->busy = busy;
    f->vcpus = fake_vcpus_start(f->world);
    return f;
}

bool fake_save_end(struct fake_save *f)
{
    f->world->stop = true;
    pthread_join(f->vcpus, NULL);
    munmap(f->world, sizeof(*f->world));
    close(f->fd);
    for (unsigned i = 0; i < FAKE_SAVE_FILES; i++)
        unlink(f->files[i]);
    bool empty = rmdir(f->folder) == 0;
    munmap(f, sizeof(*f));
    unsetenv("GODWIT_FAIL_AT");
    return empty;
}

struct gw_save_options fake_save_options(struct fake_save *f, unsigned i, int since)
{
    return (struct gw_save_options){.name = "web",
                                    .path = f->files[i],
                                    .since = since < 0 ? NULL : f->files[since],
                                    .after = GW_SAVE_RUN_ON,
                                    .incremental = true,
                                    .verify = true,
                                    .opener = &f->opener};
}

int fake_save_run(struct fake_save *f, const struct gw_save_options *options)
{
    memset(&f->err, 0, sizeof(f->err));
    return gw_save(options, &f->err);
}

pid_t fake_save_start(struct fake_save *f, const struct gw_save_options *options)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(fake_save_run(f, options));
    return pid;
}

int fake_save_restore(struct fake_save *f, const unsigned *which, unsigned n)
{
    const char *more[FAKE_SAVE_FILES];
    struct gw_restore_options o = {.path = f->files[which[0]],
                                   .more = more,
                                   .more_n = n - 1,
                                   .paused = true,
                                   .verify = true,
                                   .opener = &f->opener};

    for (unsigned i = 1; i < n; i++)
        more[i - 1] = f->files[which[i]];
    memset(&f->err, 0, sizeof(f->err));
    return gw_restore(&o, &f->err);
}

struct fake_guest *fake_save_guest(struct fake_save *f)
{
    return fake_guest_find(&f->world->hosts[0], "web");
}

void fake_save_let_work(struct fake_save *f)
{
    uint64_t steps = f->guest->steps;

    while (f->guest->steps < steps + 20)
        usleep(100);
}
