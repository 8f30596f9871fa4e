/* SPDX-License-Identifier: MIT */
/*
 * A program for test_gdb.py to look at: two threads with coroutines in several states. With an
 * argument it aborts when it is there.
 */
#include "base/check.h"
#include "co/wait.h"
#include "tests/unit/co/drive.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

static sem_t parked, leave;
static bool dies;

/* Where the debugger stops. */
static void stop_here(int number)
{
    __asm__ volatile("" ::"r"(number) : "memory");
    if (dies)
        abort();
}

static int read_line(int left)
{
    if (left > 0)
        return read_line(left - 1) + 1;
    return (int)co_wait(WEIR_NEVER);
}

static void be_reader(void *argument)
{
    *(int *)argument = read_line(2);
}

static void be_sleeper(void *argument)
{
    *(int *)argument = (int)co_sleep(weir_span_s(100));
}

static void be_running(void *argument)
{
    stop_here(*(int *)argument);
}

static void spawn(struct sched *sched, const char *name, co_fn *fn, int *argument)
{
    must(co_spawn(sched, NULL, name, fn, argument, NULL) == WEIR_OK);
}

static void end_all(struct sched *sched)
{
    list_each(link, &sched->all)
        co_cancel(container_of(link, struct co, all_link));
    drive(sched);
    sched_fini(sched);
}

static void *run_second_thread(void *argument)
{
    struct sched sched;
    int result;
    sched_init(&sched, at_ms(0), 10);
    spawn(&sched, "lonely", be_reader, &result);
    sched_run(&sched);
    sem_post(&parked);
    while (sem_wait(&leave) != 0)
        ;
    end_all(&sched);
    return argument;
}

int main(int argc, char **argv)
{
    (void)argv;
    dies = argc > 1;
    struct sched sched;
    pthread_t second;
    int reader, sleeper, running = 17, late;
    sem_init(&parked, 0, 0);
    sem_init(&leave, 0, 0);
    must(pthread_create(&second, NULL, run_second_thread, NULL) == 0);
    while (sem_wait(&parked) != 0)
        ;
    sched_init(&sched, at_ms(0), 10);
    spawn(&sched, "reader", be_reader, &reader);
    spawn(&sched, "sleeper", be_sleeper, &sleeper);
    spawn(&sched, "runner", be_running, &running);
    spawn(&sched, "late", be_sleeper, &late);
    sched_run(&sched);
    end_all(&sched);
    sem_post(&leave);
    pthread_join(second, NULL);
    printf("ended in order: %d %d\n", reader, sleeper);
    return 0;
}
