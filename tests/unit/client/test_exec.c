/* SPDX-License-Identifier: MIT */
/* What a child is given and how it ends; tests/e2e/test_exec.py has what it is for. */
#include "client/transports.h"

#include "tests/unit/http/stage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

static struct stream *stream;

WEIR_SUSPENDS static bool run(const char *command)
{
    struct custom_transport exec = {.bytes = &exec_transport};
    stream = NULL;
    return CHECK_OK(
        custom_stream_open(&stage.streams.custom, &exec, command, in_ms(5000), &stream));
}

static char said[4096];

/* All that it says, to its end. */
WEIR_SUSPENDS static const char *read_all(void)
{
    size_t len = 0;
    struct iobuf *buf = NULL;
    while (stream_recv(stream, in_ms(5000), &buf) == WEIR_OK) {
        struct weir_slice bytes = iobuf_slice(buf);
        must(len + bytes.len < sizeof said);
        memcpy(said + len, bytes.at, bytes.len);
        len += bytes.len;
        iobuf_give(&stage.loop.bufs, &buf);
    }
    said[len] = '\0';
    return said;
}

/* The number that it says first; it goes on. */
WEIR_SUSPENDS static pid_t read_pid(void)
{
    struct iobuf *buf = NULL;
    if (!CHECK_OK(stream_recv(stream, in_ms(5000), &buf)))
        return 0;
    struct weir_slice bytes = iobuf_slice(buf);
    char text[16] = "";
    memcpy(text, bytes.at, bytes.len < 15 ? bytes.len : 15);
    iobuf_give(&stage.loop.bufs, &buf);
    return (pid_t)strtol(text, NULL, 10);
}

STAGE_EACH(a_command_has_our_ends_as_input_and_output)
{
    struct weir_slice text = SLICE("hello");
    unsigned descriptors = count_descriptors();
    if (!run("cat"))
        return;
    CHECK_OK(stream_send(stream, &text, 1, in_ms(5000), NULL));
    stream_shut(stream, in_ms(5000));
    CHECK(!strcmp("hello", read_all()));
    stream_close(&stream, false);
    stage_turns();
    CHECK_EQ(descriptors, count_descriptors());
}

/* Ours may ignore what a program expects to end by. */
STAGE_TEST(a_child_has_default_signals_and_a_group_of_its_own)
{
    sigset_t all, before;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, was;
    sigfillset(&all);
    sigaction(SIGTERM, &ignore, &was);
    sigprocmask(SIG_BLOCK, &all, &before);
    if (run("echo $$ $(ps -o pgid= -p $$); grep -E '^Sig(Blk|Ign)' /proc/self/status")) {
        int pid = 0, group = 0;
        CHECK_EQ(2, sscanf(read_all(), "%d %d", &pid, &group));
        CHECK_EQ(pid, group);
        CHECK(strstr(said, "SigBlk:\t0000000000000000"));
        const char *ignored = strstr(said, "SigIgn:\t");
        /* But for those above SIGSYS that are the C library's own. */
        CHECK(ignored && (strtoull(ignored + 8, NULL, 16) & 0x7fffffff) == 0);
        stream_close(&stream, false);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGTERM, &was, NULL);
}

STAGE_TEST(a_close_ends_the_child_with_all_it_has_started)
{
    pid_t pid, grandchild;
    if (!run("sleep 1000 & echo $!; read line; sleep 1000"))
        return;
    grandchild = read_pid();
    stream_close(&stream, true);
    CHECK(grandchild > 0);
    STAGE_UNTIL(kill(grandchild, 0) != 0);

    /* Who comes next has waited for those before. */
    if (!run("echo $$; cat"))
        return;
    pid = read_pid();
    stream_close(&stream, false);
    for (bool gone = false; !gone && stage_breathe();) {
        if (!run("true"))
            return;
        stream_close(&stream, false);
        gone = kill(pid, 0) != 0;
    }
}

STAGE_TEST(one_that_takes_no_notice_is_killed_later)
{
    if (!run("trap '' TERM; echo $$; while true; do sleep 1; done"))
        return;
    pid_t pid = read_pid();
    struct weir_time began = loop_now(&stage.loop);
    stream_close(&stream, false);
    bool gone = false;
    while (!gone && stage_breathe()) {
        if (!run("true"))
            return;
        stream_close(&stream, false);
        gone = kill(pid, 0) != 0;
    }
    CHECK(weir_time_between(began, loop_now(&stage.loop)).ns >= weir_span_s(3).ns);
}

STAGE_TEST(a_command_that_is_none_just_ends)
{
    if (!run("exec /nowhere/at/all 2>/dev/null"))
        return;
    CHECK(!strcmp("", read_all()));
    stream_close(&stream, false);
}

/* The pair is given the very numbers that the child's ends have. */
STAGE_TEST(standard_descriptors_that_are_closed_do_no_harm)
{
    int input = fcntl(0, F_DUPFD_CLOEXEC, 100), output = fcntl(1, F_DUPFD_CLOEXEC, 100);
    fflush(stdout);
    close(0);
    close(1);
    bool began = run("read line; echo good $line");
    struct weir_slice line = SLICE("day\n");
    if (began && stream_send(stream, &line, 1, in_ms(5000), NULL) == WEIR_OK)
        read_all();
    stream_close(&stream, false);
    dup2(input, 0);
    dup2(output, 1);
    close(input);
    close(output);
    CHECK(began);
    CHECK_SLICE(slice_str(said), "good day\n");
}

CHECK_MAIN
