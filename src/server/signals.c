/* SPDX-License-Identifier: MIT */
#include "server/signals.h"

#include "base/check.h"

#include <sys/signalfd.h>
#include <unistd.h>

enum weir_err signals_open(struct signals *signals, const int *numbers)
{
    sigset_t set;
    sigemptyset(&set);
    for (; *numbers; numbers++)
        sigaddset(&set, *numbers);
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0)
        return WEIR_E_NO_DESCRIPTORS;
    signals->descriptor = descriptor;
    must(pthread_sigmask(SIG_BLOCK, &set, &signals->before) == 0);
    return WEIR_OK;
}

void signals_close(struct signals *signals)
{
    while (signals_next(signals))
        ; /* else they would end the program as soon as nothing blocks them any more */
    must(pthread_sigmask(SIG_SETMASK, &signals->before, NULL) == 0);
    close(signals->descriptor);
    signals->descriptor = -1;
}

int signals_next(const struct signals *signals)
{
    struct signalfd_siginfo taken;
    if (read(signals->descriptor, &taken, sizeof taken) != (ssize_t)sizeof taken)
        return 0;
    return (int)taken.ssi_signo;
}

void signals_ignore_pipe(void)
{
    struct sigaction now;
    must(sigaction(SIGPIPE, NULL, &now) == 0);
    if ((now.sa_flags & SA_SIGINFO) || now.sa_handler != SIG_DFL)
        return;
    now.sa_handler = SIG_IGN;
    must(sigaction(SIGPIPE, &now, NULL) == 0);
}
