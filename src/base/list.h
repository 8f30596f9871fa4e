/* SPDX-License-Identifier: MIT */
#ifndef BASE_LIST_H
#define BASE_LIST_H

/*
 * An intrusive doubly linked list. A `struct list` is both the head and the link in each member. A
 * link that is in no list points at itself, so removing it twice is harmless.
 */

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *list)
{
    list->prev = list->next = list;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_insert(struct list *after, struct list *link)
{
    link->prev = after;
    link->next = after->next;
    after->next->prev = link;
    after->next = link;
}

static inline void list_push_front(struct list *list, struct list *link)
{
    list_insert(list, link);
}

static inline void list_push_back(struct list *list, struct list *link)
{
    list_insert(list->prev, link);
}

static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* NULL when empty. */
static inline struct list *list_first(struct list *list)
{
    return list_is_empty(list) ? NULL : list->next;
}

static inline struct list *list_last(struct list *list)
{
    return list_is_empty(list) ? NULL : list->prev;
}

static inline struct list *list_pop_front(struct list *list)
{
    struct list *link = list_first(list);
    if (link)
        list_remove(link);
    return link;
}

/* Moves all members of `from` to the end of `to`, in order. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* `link` may be removed in the body; nothing else may be. */
#define list_each(link, head)                                                                      \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head);              \
         link = link##_next, link##_next = link->next)

#endif
