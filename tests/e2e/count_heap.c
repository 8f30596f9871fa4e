/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into weir by test_steady_state.py: counts the calls that get memory from the heap, in a
 * file named by HEAP_COUNT that the test maps as well.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);

static _Atomic uint64_t *shared;

__attribute__((constructor)) static void map_shared(void)
{
    const char *path = getenv("HEAP_COUNT");
    int descriptor = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = MAP_FAILED;
    if (descriptor >= 0)
        at = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (at != MAP_FAILED)
        shared = at;
    if (descriptor >= 0)
        close(descriptor);
}

static void count(void)
{
    if (shared)
        atomic_fetch_add(shared, 1);
}

void *malloc(size_t bytes)
{
    count();
    return __libc_malloc(bytes);
}

void *calloc(size_t number, size_t bytes)
{
    count();
    return __libc_calloc(number, bytes);
}

void *realloc(void *old, size_t bytes)
{
    count();
    return __libc_realloc(old, bytes);
}
