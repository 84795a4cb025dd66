/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"

#define LOG_DIR "/var/log/godwit"

static const char usage[] =
    "godwitd: serves the consoles of this host's guests and acts when they end\n"
    "\n"
    "  godwitd                 in the foreground; messages go to stderr\n"
    "  godwitd --log-dir /srv/logs\n"
    "\n"
    "  -l, --log-dir DIR  consoles are logged to DIR/GUEST.log (" LOG_DIR "); \"\" for none\n"
    "  -h, --help\n";

/* Holds the lock as long as the process lives. */
static int take_instance_lock(struct gw_error *err)
{
    char path[PATH_MAX];
    int fd;

    if (gw_registry_init(err) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/godwitd.lock", gw_registry_dir());
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return gw_error_errno(err, errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        gw_error_set(err, GW_EXIT_STATE, "another godwitd is running on this host");
        close(fd);
        return -1;
    }
    if (ftruncate(fd, 0) == 0)
        dprintf(fd, "%d\n", (int)getpid());
    return fd;
}

/* Nobody else sees guests end: when memory runs out, others go first. */
static void hide_from_oom_killer(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return; /* no /proc */
    (void)dprintf(fd, "-900");
    close(fd);
}

static int run(const char *log_dir, struct gw_error *err)
{
    static struct daemon daemon;
    int lock = take_instance_lock(err);
    int rc;

    if (lock < 0)
        return -1;
    hide_from_oom_killer();
    if (*log_dir && mkdir(log_dir, 0700) < 0 && errno != EEXIST)
        daemon_say("cannot make %s: %s; consoles are not logged", log_dir, strerror(errno));
    else if (*log_dir)
        daemon.log_dir = log_dir;
    rc = daemon_open(&daemon, err);
    if (rc == 0) {
        daemon_say("godwitd %s serves %s", GODWIT_VERSION, gw_registry_dir());
        reserve_mappings(RESERVE_TARGET_PATH);
        daemon_loop(&daemon);
    }
    daemon_close(&daemon);
    close(lock);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'}, {"log-dir", required_argument, NULL, 'l'}, {0}};
    const char *log_dir = LOG_DIR;
    struct gw_error err = {0};
    int c;

    while ((c = getopt_long(argc, argv, "hl:", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return GW_EXIT_OK;
        }
        if (c != 'l')
            return GW_EXIT_USAGE;
        log_dir = optarg;
    }
    if (optind < argc) {
        fprintf(stderr, "godwitd: takes no arguments; see godwitd --help\n");
        return GW_EXIT_USAGE;
    }
    if (run(log_dir, &err) < 0) {
        fprintf(stderr, "godwitd: %s\n", err.message);
        return err.code;
    }
    return GW_EXIT_OK;
}
