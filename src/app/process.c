/* SPDX-License-Identifier: MIT */
#include "app/process.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void process_raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_line(LOG_WARN, "the limit of descriptors stays low: %s", strerror(errno));
}

static enum weir_err failed(const char *what, const char *name)
{
    log_line(LOG_ERROR, "cannot %s %s: %s", what, name, strerror(errno));
    return errno == EACCES || errno == EPERM ? WEIR_E_PERMISSION : WEIR_E_IO;
}

enum weir_err process_open_error_log(const struct snapshot *snapshot)
{
    if (strcmp(snapshot->error_log, "stderr") == 0)
        return WEIR_OK;
    int descriptor = open(snapshot->error_log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0)
        return failed("open the error log", snapshot->error_log);
    log_set_descriptor(descriptor);
    return WEIR_OK;
}

enum weir_err process_write_pid_file(const struct snapshot *snapshot)
{
    const char *path = snapshot->pid_file;
    char text[32];
    if (!path)
        return WEIR_OK;
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor < 0)
        return failed("write the pid file", path);
    bool written = write(descriptor, text, (size_t)len) == len;
    close(descriptor);
    return written ? WEIR_OK : failed("write the pid file", path);
}

void process_remove_pid_file(const struct snapshot *snapshot)
{
    /* As another user it may not be ours to remove; a stale file is harmless. */
    if (snapshot->pid_file)
        (void)unlink(snapshot->pid_file);
}

static enum weir_err change_group_id(gid_t id, const char *name)
{
    if (setgroups(0, NULL) != 0 || setgid(id) != 0)
        return failed("become group", name);
    return WEIR_OK;
}

static enum weir_err change_group(const char *name)
{
    const struct group *group = getgrnam(name);
    if (!group) {
        log_line(LOG_ERROR, "there is no group %s", name);
        return WEIR_E_PERMISSION;
    }
    return change_group_id(group->gr_gid, name);
}

static enum weir_err change_user(const char *name, bool has_group)
{
    const struct passwd *user = getpwnam(name);
    if (!user) {
        log_line(LOG_ERROR, "there is no user %s", name);
        return WEIR_E_PERMISSION;
    }
    /* Who names no group does not want to stay in root's; who is not root has none to give up. */
    if (!has_group && geteuid() == 0)
        TRY(change_group_id(user->pw_gid, name));
    if (setuid(user->pw_uid) != 0)
        return failed("become user", name);
    return WEIR_OK;
}

enum weir_err process_settle(const struct snapshot *snapshot)
{
    if (snapshot->working_directory && chdir(snapshot->working_directory) != 0)
        return failed("change to", snapshot->working_directory);
    /* The group first: afterwards the right to change it is gone. */
    if (snapshot->group)
        TRY(change_group(snapshot->group));
    if (snapshot->user)
        TRY(change_user(snapshot->user, snapshot->group != NULL));
    return WEIR_OK;
}
