/* SPDX-License-Identifier: MIT */
/*
 * One JSON file per guest. Changes happen under one file lock and replace files by rename, so that
 * a reader without the lock sees an old or a new record, never half of one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <libgodwit/registry.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "file.h"

#define RECORD_BYTES_MAX (1u << 20)
#define RECORD_SUFFIX    ".json"

static void record_path(const char *name, char *ret_path, size_t bytes)
{
    snprintf(ret_path, bytes, "%s/%s" RECORD_SUFFIX, gw_registry_dir(), name);
}

/* Returns the lock's descriptor (close it to unlock), or -1. */
static int registry_lock(struct gw_error *err)
{
    char path[PATH_MAX];
    int fd, rc;

    if (gw_registry_init(err) < 0)
        return -1;
    snprintf(path, sizeof(path), "%s/registry.lock", gw_registry_dir());
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return gw_error_errno(err, errno, "cannot open %s", path);
    do
        rc = flock(fd, LOCK_EX);
    while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        gw_error_errno(err, errno, "cannot lock %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

static int get_string(struct json_object *object, const char *key, const char **ret_value)
{
    struct json_object *value;

    if (!json_object_object_get_ex(object, key, &value) ||
        json_object_get_type(value) != json_type_string)
        return -1;
    *ret_value = json_object_get_string(value);
    return 0;
}

static int get_u32(struct json_object *object, const char *key, uint32_t *ret_value)
{
    struct json_object *value;
    int64_t number;

    if (!json_object_object_get_ex(object, key, &value) ||
        json_object_get_type(value) != json_type_int)
        return -1;
    number = json_object_get_int64(value);
    if (number < 0 || number > UINT32_MAX)
        return -1;
    *ret_value = (uint32_t)number;
    return 0;
}

static int record_from_json(struct gw_record *record, struct json_object *object)
{
    const char *name, *uuid, *config, *held;

    if (get_string(object, "name", &name) < 0 || get_string(object, "uuid", &uuid) < 0 ||
        get_string(object, "config", &config) < 0 || get_u32(object, "domid", &record->domid) < 0 ||
        get_u32(object, "console_port", &record->console_port) < 0 || !gw_config_name_valid(name) ||
        gw_uuid_parse(uuid, record->uuid) < 0)
        return -1;
    memcpy(record->name, name, strlen(name) + 1);
    record->config_text = strdup(config);
    if (get_string(object, "held", &held) == 0 && !(record->held = strdup(held)))
        return -1;
    return record->config_text ? 0 : -1;
}

static int record_read(const char *path, struct gw_record *ret_record, struct gw_error *err)
{
    struct gw_record record = {0};
    struct json_object *object;
    struct gw_file file;
    int rc;

    if (gw_file_read(&file, path, RECORD_BYTES_MAX, err) < 0)
        return -1;
    file.data[file.bytes] = '\0'; /* gw_file_read() leaves room for it */
    object = json_tokener_parse((const char *)file.data);
    gw_file_free(&file);
    rc = object ? record_from_json(&record, object) : -1;
    json_object_put(object);
    if (rc < 0)
        gw_record_free(&record);
    if (rc < 0)
        return gw_error_set(err, GW_EXIT_FAILED, "%s is damaged", path);
    *ret_record = record;
    return 0;
}

static int record_write(const struct gw_record *record, struct gw_error *err)
{
    char path[PATH_MAX], temporary[PATH_MAX + 8], uuid[37];
    struct json_object *object = json_object_new_object();
    int rc;

    gw_uuid_format(record->uuid, uuid);
    json_object_object_add(object, "name", json_object_new_string(record->name));
    json_object_object_add(object, "domid", json_object_new_int64(record->domid));
    json_object_object_add(object, "uuid", json_object_new_string(uuid));
    json_object_object_add(object, "console_port", json_object_new_int64(record->console_port));
    json_object_object_add(object, "config", json_object_new_string(record->config_text));
    if (record->held)
        json_object_object_add(object, "held", json_object_new_string(record->held));
    record_path(record->name, path, sizeof(path));
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    rc = json_object_to_file_ext(temporary, object, JSON_C_TO_STRING_PRETTY);
    json_object_put(object);
    if (rc < 0 || rename(temporary, path) < 0) {
        gw_error_errno(err, errno ? errno : EIO, "cannot write %s", path);
        unlink(temporary);
        return -1;
    }
    return 0;
}

int gw_registry_add(const struct gw_record *record, struct gw_error *err)
{
    char path[PATH_MAX];
    int lock = registry_lock(err);
    int rc;

    if (lock < 0)
        return -1;
    record_path(record->name, path, sizeof(path));
    if (access(path, F_OK) == 0)
        rc = gw_error_set(err, GW_EXIT_STATE, "there is already a guest '%s'", record->name);
    else
        rc = record_write(record, err);
    close(lock);
    return rc;
}

int gw_registry_remove(const char *name, uint32_t domid, struct gw_error *err)
{
    struct gw_record record = {0};
    struct gw_error ignored;
    char path[PATH_MAX];
    int lock = registry_lock(err);
    int rc = 0;

    if (lock < 0)
        return -1;
    record_path(name, path, sizeof(path));
    if (record_read(path, &record, &ignored) == 0) {
        if (record.domid == domid && unlink(path) < 0 && errno != ENOENT)
            rc = gw_error_errno(err, errno, "cannot remove %s", path);
        gw_record_free(&record);
    }
    close(lock);
    return rc;
}

int gw_registry_hold(const char *name, uint32_t domid, const char *held, struct gw_error *err)
{
    struct gw_record record = {0};
    char path[PATH_MAX];
    int lock = registry_lock(err);
    int rc = -1;

    if (lock < 0)
        return -1;
    record_path(name, path, sizeof(path));
    if (access(path, F_OK) < 0) {
        gw_error_set(err, GW_EXIT_NO_GUEST, "there is no guest '%s' here", name);
    } else if (record_read(path, &record, err) == 0) {
        free(record.held);
        record.held = held ? strdup(held) : NULL;
        if (record.domid != domid)
            gw_error_set(err, GW_EXIT_NO_GUEST, "%s is another guest by now", name);
        else if (held && !record.held)
            gw_error_set(err, GW_EXIT_FAILED, "out of memory");
        else
            rc = record_write(&record, err);
        gw_record_free(&record);
    }
    close(lock);
    return rc;
}

int gw_registry_rename(const char *name, const char *new_name, struct gw_error *err)
{
    char path[PATH_MAX], new_path[PATH_MAX];
    struct gw_record record;
    int lock = registry_lock(err);
    int rc = -1;

    if (lock < 0)
        return -1;
    record_path(name, path, sizeof(path));
    record_path(new_name, new_path, sizeof(new_path));
    if (!gw_config_name_valid(new_name)) {
        gw_error_set(err, GW_EXIT_USAGE, "'%s' is not a name for a guest", new_name);
    } else if (access(new_path, F_OK) == 0) {
        gw_error_set(err, GW_EXIT_STATE, "there is already a guest '%s'", new_name);
    } else if (record_read(path, &record, err) == 0) {
        memcpy(record.name, new_name, strlen(new_name) + 1);
        rc = record_write(&record, err);
        if (rc == 0)
            unlink(path);
        gw_record_free(&record);
    } else if (access(path, F_OK) < 0) {
        gw_error_set(err, GW_EXIT_NO_GUEST, "there is no guest '%s' here", name);
    }
    close(lock);
    return rc;
}

int gw_registry_find(const char *name, struct gw_record *ret_record, struct gw_error *err)
{
    char path[PATH_MAX];

    record_path(name, path, sizeof(path));
    if (!gw_config_name_valid(name) || access(path, F_OK) < 0)
        return gw_error_set(err, GW_EXIT_NO_GUEST, "there is no guest '%s' here", name);
    return record_read(path, ret_record, err);
}

static int is_record_name(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    size_t suffix = sizeof(RECORD_SUFFIX) - 1;

    return n > suffix && !strcmp(entry->d_name + n - suffix, RECORD_SUFFIX);
}

int gw_registry_list(struct gw_record **ret_records, size_t *ret_n, struct gw_error *err)
{
    struct dirent **entries = NULL;
    int n = scandir(gw_registry_dir(), &entries, is_record_name, alphasort);
    struct gw_record *records;
    size_t read_n = 0;

    if (n < 0 && errno != ENOENT)
        return gw_error_errno(err, errno, "cannot read %s", gw_registry_dir());
    n = n < 0 ? 0 : n;
    records = calloc((size_t)n + 1, sizeof(*records));
    for (int i = 0; i < n; i++) {
        struct gw_error ignored;
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", gw_registry_dir(), entries[i]->d_name);
        if (records && record_read(path, &records[read_n], &ignored) == 0)
            read_n++;
        free(entries[i]);
    }
    free(entries);
    if (!records)
        return gw_error_set(err, GW_EXIT_FAILED, "out of memory");
    *ret_records = records;
    *ret_n = read_n;
    return 0;
}

void gw_record_free(struct gw_record *record)
{
    free(record->config_text);
    record->config_text = NULL;
    free(record->held);
    record->held = NULL;
}

void gw_record_list_free(struct gw_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gw_record_free(&records[i]);
    free(records);
}
