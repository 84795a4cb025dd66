/* SPDX-License-Identifier: MIT */
#include "fake_move.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define STALL_MS 20000

struct fake_move *fake_move_begin(unsigned busy)
{
    struct fake_move *m = calloc(1, sizeof(*m));
    int fd;

    if (m)
        m->world = fake_world_create(&fd);
    if (!m || !m->world) {
        free(m);
        return NULL;
    }
    m->source = fake_opener(m->world, 0);
    m->guest = fake_guest_add(&m->world->hosts[0], "web");
    snprintf(m->fd_text, sizeof(m->fd_text), "%d", fd);
    m->command[0] = "/proc/self/exe";
    m->command[1] = "--receive";
    m->command[2] = m->fd_text;
    m->options = (struct gw_migrate_options){
        .name = "web",
        .host = "south",
        .transport.command = m->command,
        .stall_ms = STALL_MS,
        .opener = &m->source,
    };
    m->world->busy = busy;
    m->vcpus = fake_vcpus_start(m->world);
    return m;
}

void fake_move_end(struct fake_move *move)
{
    move->world->stop = true;
    pthread_join(move->vcpus, NULL);
    close(atoi(move->fd_text));
    munmap(move->world, sizeof(*move->world));
    free(move);
    unsetenv("GODWIT_FAIL_AT");
}

_Noreturn void fake_move_receive(const char *fd_text)
{
    struct fake_world *world = fake_world_open(atoi(fd_text));
    struct migrate_opener opener = fake_opener(world, 1);
    struct gw_receive_options options = {.stall_ms = STALL_MS, .opener = &opener};
    struct gw_error err = {0};

    _exit(gw_migrate_receive(&options, 0, 1, &err)); /* its memory was the child's: no leaks here */
}

bool fake_move_left_nothing(struct fake_move *move)
{
    for (int i = 0; i < 500; i++) {
        bool empty = true;
        for (unsigned g = 0; g < FAKE_GUESTS; g++)
            empty &= !move->world->hosts[1].guests[g].used;
        if (empty)
            return true;
        usleep(10000);
    }
    return false;
}
