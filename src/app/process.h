/* SPDX-License-Identifier: MIT */
#ifndef APP_PROCESS_H
#define APP_PROCESS_H

/* What concerns the process as a whole: limits, user, folder, pid file, error log. */

#include "config/snapshot.h"

/* As many descriptors as the hard limit allows. */
void process_raise_limits(void);

/* Sends the error log where the configuration says. */
enum weir_err process_open_error_log(const struct snapshot *snapshot);

/* Only when the listeners are open: until then the file may be that of a weir that runs. */
enum weir_err process_write_pid_file(const struct snapshot *snapshot);
/* Only if this process has written it. */
void process_remove_pid_file(const struct snapshot *snapshot);

/* Changes folder, gives up root for user and group. Failures go to the log. */
enum weir_err process_settle(const struct snapshot *snapshot);

#endif
