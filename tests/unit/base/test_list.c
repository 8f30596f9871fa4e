/* SPDX-License-Identifier: MIT */
#include "base/list.h"

#include "tests/check.h"

struct item {
    int number;
    struct list link;
};

static struct item items[6];

static void fill(struct list *list, int first, int count)
{
    list_init(list);
    for (int i = first; i < first + count; i++) {
        items[i].number = i;
        list_push_back(list, &items[i].link);
    }
}

/* The members as digits, forwards; checks that the way back is the same. */
static int digits(struct list *list)
{
    int forwards = 0, backwards = 0, place = 1;
    list_each(link, list)
        forwards = forwards * 10 + container_of(link, struct item, link)->number;
    for (struct list *link = list->prev; link != list; link = link->prev, place *= 10)
        backwards += container_of(link, struct item, link)->number * place;
    CHECK_EQ(forwards, backwards);
    return forwards;
}

TEST(an_empty_list)
{
    struct list list;
    list_init(&list);
    CHECK(list_is_empty(&list));
    CHECK(!list_first(&list));
    CHECK(!list_last(&list));
    CHECK(!list_pop_front(&list));
    CHECK_EQ(0, digits(&list));
}

TEST(pushing_and_popping)
{
    struct list list;
    fill(&list, 1, 3);
    CHECK_EQ(123, digits(&list));
    items[4].number = 4;
    list_push_front(&list, &items[4].link);
    CHECK_EQ(4123, digits(&list));
    items[5].number = 5;
    list_insert(&items[1].link, &items[5].link);
    CHECK_EQ(41523, digits(&list));
    CHECK(list_first(&list) == &items[4].link);
    CHECK(list_last(&list) == &items[3].link);
    CHECK(list_pop_front(&list) == &items[4].link);
    CHECK_EQ(1523, digits(&list));
}

TEST(removing_twice_is_harmless)
{
    struct list list;
    fill(&list, 1, 3);
    list_remove(&items[2].link);
    list_remove(&items[2].link);
    CHECK(list_is_empty(&items[2].link));
    CHECK_EQ(13, digits(&list));
}

TEST(a_member_may_be_removed_on_the_way)
{
    struct list list;
    fill(&list, 1, 5);
    list_each(link, &list)
        if (container_of(link, struct item, link)->number % 2)
            list_remove(link);
    CHECK_EQ(24, digits(&list));
    list_each(link, &list)
        list_remove(link);
    CHECK(list_is_empty(&list));
}

TEST(splicing_keeps_the_order)
{
    struct list to, from;
    fill(&to, 1, 2);
    fill(&from, 3, 3);
    list_splice(&to, &from);
    CHECK_EQ(12345, digits(&to));
    CHECK(list_is_empty(&from));
    list_splice(&to, &from);
    CHECK_EQ(12345, digits(&to));
    list_splice(&from, &to);
    CHECK_EQ(12345, digits(&from));
    CHECK(list_is_empty(&to));
}

CHECK_MAIN
