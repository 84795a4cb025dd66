/* SPDX-License-Identifier: MIT */
#include "migrate_step.h"

#include "handover/handover_guard.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The action for step in the list, or NULL. *ret_length: how long it is. */
static const char *find_action(const char *list, const char *step, size_t *ret_length)
{
    size_t length = strlen(step);

    while (list && *list) {
        const char *end = strchrnul(list, ',');
        if (!strncmp(list, step, length) && list[length] == ':') {
            *ret_length = (size_t)(end - (list + length + 1));
            return list + length + 1;
        }
        list = *end ? end + 1 : end;
    }
    return NULL;
}

int migrate_step(const char *step, struct gw_error *err)
{
    size_t length;
    const char *action = find_action(getenv("GODWIT_FAIL_AT"), step, &length);

    if (!action)
        return 0;
    if (length == 4 && !strncmp(action, "kill", length))
        raise(SIGKILL);
    if (length == 4 && !strncmp(action, "hang", length))
        while (!handover_cancelled)
            usleep(10000);
    if (length == 4 && !strncmp(action, "stop", length)) {
        raise(SIGSTOP);
        return 0;
    }
    if (length == 6 && !strncmp(action, "cancel", length)) {
        raise(SIGINT);
        return 0;
    }
    return gw_error_set(err, GW_EXIT_FAILED, "failed at %s, as GODWIT_FAIL_AT asked", step);
}
