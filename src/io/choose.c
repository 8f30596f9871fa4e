/* SPDX-License-Identifier: MIT */
#include "io/choose.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void append(char text[static BACKEND_TEXT_SIZE],
                                                         const char *format, ...)
{
    size_t len = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + len, BACKEND_TEXT_SIZE - len, format, arguments);
    va_end(arguments);
}

/* "io_uring on Linux 6.1, which has this, that; without the other (what happens instead)" */
static void tell_features(const struct uring_probe *probe, char ret_text[static BACKEND_TEXT_SIZE])
{
    const char *between = ", which has ";
    append(ret_text, "io_uring on %s", probe->kernel);
    for (unsigned i = 0; i < URING_FEATURES; i++) {
        if (!probe->has[i])
            continue;
        append(ret_text, "%s%s", between, uring_features[i].name);
        between = ", ";
    }
    between = "; without ";
    for (unsigned i = 0; i < URING_FEATURES; i++) {
        if (probe->has[i])
            continue;
        append(ret_text, "%s%s (%s)", between, uring_features[i].name, uring_features[i].fallback);
        between = ", ";
    }
}

enum weir_err backend_choose_by(enum io_choice choice, const struct uring_probe *probe,
                                char ret_text[static BACKEND_TEXT_SIZE],
                                const struct backend_ops **ret_ops)
{
    ret_text[0] = '\0';
    if (choice == IO_EPOLL) {
        append(ret_text, "epoll, as configured");
        *ret_ops = &epoll_ops;
        return WEIR_OK;
    }
    if (!probe->err) {
        tell_features(probe, ret_text);
        *ret_ops = &uring_ops;
        return WEIR_OK;
    }
    if (choice == IO_URING) {
        append(ret_text, "%s", probe->reason);
        return probe->err;
    }
    append(ret_text, "epoll, because %s", probe->reason);
    *ret_ops = &epoll_ops;
    return WEIR_OK;
}

enum weir_err backend_choose(enum io_choice choice, char ret_text[static BACKEND_TEXT_SIZE],
                             const struct backend_ops **ret_ops)
{
    struct uring_probe probe = {.err = WEIR_OK};
    if (choice != IO_EPOLL)
        uring_probe(&probe);
    return backend_choose_by(choice, &probe, ret_text, ret_ops);
}
