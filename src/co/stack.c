/* SPDX-License-Identifier: MIT */
/*
 * A slab is one mapping, aligned to its own size, so that the slab of a stack is found from its
 * address:
 *
 *     [ page: struct stack_slab | page: guard | stack | guard | stack | ... | rest ]
 *
 * A slot is carved (its guard made) when it is needed for the first time. Then a stack is in use,
 * or free: in the list that begins at stacks.free, its link in its last bytes; or cold: its memory
 * went back to the kernel, so that it cannot hold a link, and a bit of its slab says so.
 */
#include "co/stack.h"

#include "base/check.h"
#include "base/poison.h"
#include "co/san.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Linux 6.13; older C libraries do not name it. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define SLAB_BYTES ((size_t)STACK_BYTES * 64)

enum { SLAB_STACKS_MAX = 64 };

struct stack_slab {
    struct stack_slab *next;
    struct stack_slab *next_cold; /* among those with a cold stack */
    uint64_t cold;                /* bit per stack */
    unsigned carved_count;
    unsigned valgrind_numbers[SLAB_STACKS_MAX];
};

/* In the last bytes of a free stack. */
struct free_link {
    void *next;
};

static struct free_link *link_of(void *base)
{
    return (struct free_link *)((char *)base + STACK_BYTES - sizeof(struct free_link));
}

static size_t slot_bytes(const struct stacks *stacks)
{
    return stacks->page_bytes + STACK_BYTES;
}

static unsigned slab_capacity(const struct stacks *stacks)
{
    return (unsigned)((SLAB_BYTES - stacks->page_bytes) / slot_bytes(stacks));
}

static struct stack_slab *slab_of(void *base)
{
    return (struct stack_slab *)((uintptr_t)base & ~(SLAB_BYTES - 1));
}

static void *stack_at(const struct stacks *stacks, struct stack_slab *slab, unsigned index)
{
    return (char *)slab + stacks->page_bytes * 2 + index * slot_bytes(stacks);
}

static unsigned index_of(const struct stacks *stacks, void *base)
{
    size_t offset = (uintptr_t)base & (SLAB_BYTES - 1);
    return (unsigned)((offset - stacks->page_bytes * 2) / slot_bytes(stacks));
}

/* Whether the kernel knows guards, rather than some emulation that nods at every advice. */
static bool kernel_guards(size_t page_bytes)
{
    void *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    bool guarded = madvise(page, page_bytes, MADV_GUARD_INSTALL) == 0 &&
                   madvise(page, page_bytes, MADV_POPULATE_READ) < 0 && errno == EFAULT;
    munmap(page, page_bytes);
    return guarded;
}

void stacks_init(struct stacks *stacks, size_t limit)
{
    *stacks = (struct stacks){.limit = limit, .page_bytes = (size_t)sysconf(_SC_PAGESIZE)};
    must(sizeof(struct stack_slab) <= stacks->page_bytes);
    stacks->kernel_guards = kernel_guards(stacks->page_bytes);
}

void stacks_fini(struct stacks *stacks)
{
    must(stacks->used_count == 0);
    for (struct stack_slab *slab = stacks->slabs, *next; slab; slab = next) {
        next = slab->next;
        for (unsigned i = 0; i < slab->carved_count; i++) {
            san_stack_deregister(slab->valgrind_numbers[i]);
            san_remove_root(stack_at(stacks, slab, i), STACK_BYTES);
        }
        unpoison(slab, SLAB_BYTES);
        munmap(slab, SLAB_BYTES);
    }
    stacks->slabs = stacks->cold_slabs = NULL;
    stacks->free = NULL;
    stacks->free_count = stacks->total_count = 0;
}

/* SLAB_BYTES of address space at a multiple of it: twice as much is mapped and the ends cut off. */
static void *map_aligned(void)
{
    char *wide = mmap(NULL, SLAB_BYTES * 2, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (wide == MAP_FAILED)
        return NULL;
    char *at = (char *)(((uintptr_t)wide + SLAB_BYTES - 1) & ~(SLAB_BYTES - 1));
    size_t before = (size_t)(at - wide);
    if (before)
        munmap(wide, before);
    munmap(at + SLAB_BYTES, SLAB_BYTES - before);
    /* A huge page would make each stack that is touched cost as much as thirty. */
    madvise(at, SLAB_BYTES, MADV_NOHUGEPAGE);
    return at;
}

static bool guard(const struct stacks *stacks, void *page)
{
    if (stacks->kernel_guards)
        return madvise(page, stacks->page_bytes, MADV_GUARD_INSTALL) == 0;
    return mprotect(page, stacks->page_bytes, PROT_NONE) == 0;
}

/* A stack that was never used: the next slot of the newest slab, or of another one. */
static void *carve(struct stacks *stacks)
{
    struct stack_slab *slab = stacks->slabs;
    if (!slab || slab->carved_count == slab_capacity(stacks)) {
        slab = map_aligned();
        if (!slab)
            return NULL;
        slab->next = stacks->slabs;
        stacks->slabs = slab;
    }
    void *base = stack_at(stacks, slab, slab->carved_count);
    if (!guard(stacks, (char *)base - stacks->page_bytes))
        return NULL;
    slab->valgrind_numbers[slab->carved_count] = san_stack_register(base, STACK_BYTES);
    san_add_root(base, STACK_BYTES);
    slab->carved_count++;
    stacks->total_count++;
    return base;
}

static void *get_cold(struct stacks *stacks)
{
    struct stack_slab *slab = stacks->cold_slabs;
    unsigned index = (unsigned)__builtin_ctzll(slab->cold);
    slab->cold &= slab->cold - 1;
    if (!slab->cold)
        stacks->cold_slabs = slab->next_cold;
    return stack_at(stacks, slab, index);
}

enum weir_err stack_get(struct stacks *stacks, void **ret_base)
{
    void *base = stacks->free;
    if (stacks->used_count >= stacks->limit)
        return WEIR_E_LIMIT;
    if (base) {
        unpoison(base, STACK_BYTES);
        stacks->free = link_of(base)->next;
        stacks->free_count--;
    } else if (stacks->cold_slabs) {
        base = get_cold(stacks);
        unpoison(base, STACK_BYTES);
        stacks->free_count--;
    } else {
        base = carve(stacks);
        if (!base)
            return WEIR_E_NO_MEMORY;
    }
    stacks->used_count++;
    *ret_base = base;
    return WEIR_OK;
}

void stack_release(struct stacks *stacks, void *base)
{
    must(stacks->used_count > 0);
    stacks->used_count--;
    stacks->free_count++;
    unpoison(link_of(base), sizeof(struct free_link));
    link_of(base)->next = stacks->free;
    stacks->free = base;
    poison(base, STACK_BYTES);
}

/* Gives the memory of a stack back; its address space stays. */
static void chill(struct stacks *stacks, void *base)
{
    struct stack_slab *slab = slab_of(base);
    madvise(base, STACK_BYTES, MADV_DONTNEED);
    if (!slab->cold) {
        slab->next_cold = stacks->cold_slabs;
        stacks->cold_slabs = slab;
    }
    slab->cold |= (uint64_t)1 << index_of(stacks, base);
}

void stacks_trim(struct stacks *stacks, size_t keep)
{
    void **at = &stacks->free;
    for (size_t kept = 0; *at && kept < keep; kept++) {
        unpoison(link_of(*at), sizeof(struct free_link));
        at = &link_of(*at)->next;
    }
    for (void *base; (base = *at);) {
        unpoison(link_of(base), sizeof(struct free_link));
        *at = link_of(base)->next;
        poison(link_of(base), sizeof(struct free_link));
        chill(stacks, base);
    }
}

const char *stacks_guard_name(void)
{
    if (kernel_guards((size_t)sysconf(_SC_PAGESIZE)))
        return "guarded by MADV_GUARD_INSTALL, as many as memory holds";
    return "guarded by mprotect, at most half of vm.max_map_count";
}
