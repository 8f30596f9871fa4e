/* SPDX-License-Identifier: MIT */
#include "co/scope.h"

#include "co/wait.h"
#include "tests/check.h"
#include "tests/unit/co/drive.h"

/* What a parent and its children tell the test. */
struct family {
    int children;       /* how many to spawn */
    bool cancel;        /* the parent cancels them before it joins */
    int ended, canceled;
    enum weir_err joined;
    bool join_returned;
};

static void sleep_as_child(void *argument)
{
    struct family *family = argument;
    enum weir_err err = co_sleep(weir_span_ms(10));
    family->ended++;
    family->canceled += err == WEIR_E_CANCELED;
}

static void be_parent(void *argument)
{
    struct family *family = argument;
    struct scope scope;
    scope_init(&scope);
    for (int i = 0; i < family->children; i++)
        CHECK_OK(scope_spawn(&scope, "child", sleep_as_child, family));
    CHECK_EQ(family->children == 0, scope_is_empty(&scope));
    if (family->cancel)
        scope_cancel(&scope);
    family->joined = scope_join(&scope);
    family->join_returned = true;
    CHECK_EQ(family->children, family->ended);
    CHECK(scope_is_empty(&scope));
}

static struct co *spawn_parent(struct sched *sched, struct family *family)
{
    struct co *co = NULL;
    CHECK_OK(co_spawn(sched, NULL, "parent", be_parent, family, &co));
    return co;
}

TEST(join_waits_for_every_child)
{
    struct sched sched;
    struct family family = {.children = 5};
    sched_init(&sched, at_ms(0), 10);
    spawn_parent(&sched, &family);
    sched_run(&sched);
    CHECK(!family.join_returned);
    drive(&sched);
    CHECK(family.join_returned);
    CHECK_OK(family.joined);
    CHECK_EQ(0, family.canceled);
    CHECK_EQ(0, sched.co_count);
    sched_fini(&sched);
}

TEST(an_empty_scope_joins_at_once)
{
    struct sched sched;
    struct family family = {.children = 0};
    sched_init(&sched, at_ms(0), 10);
    spawn_parent(&sched, &family);
    sched_run(&sched);
    CHECK(family.join_returned);
    CHECK_OK(family.joined);
    CHECK_EQ(1, sched.switch_count);
    sched_fini(&sched);
}

TEST(canceled_children_end_early)
{
    struct sched sched;
    struct family family = {.children = 3, .cancel = true};
    sched_init(&sched, at_ms(0), 10);
    spawn_parent(&sched, &family);
    sched_run(&sched);
    CHECK(family.join_returned);
    CHECK_OK(family.joined);
    CHECK_EQ(3, family.canceled);
    sched_fini(&sched);
}

TEST(a_canceled_parent_cancels_its_children_and_waits_on)
{
    struct sched sched;
    struct family family = {.children = 3};
    sched_init(&sched, at_ms(0), 10);
    struct co *parent = spawn_parent(&sched, &family);
    sched_run(&sched);
    co_cancel(parent);
    sched_run(&sched);
    CHECK(family.join_returned);
    CHECK_ERR(WEIR_E_CANCELED, family.joined);
    CHECK_EQ(3, family.canceled);
    CHECK_EQ(0, sched.timers.count);
    sched_fini(&sched);
}

static void ignore_cancel_for_a_while(void *argument)
{
    struct family *family = argument;
    for (int i = 0; i < 4; i++)
        co_wait_firm();
    family->ended++;
}

static void be_parent_of_a_slow_one(void *argument)
{
    struct family *family = argument;
    struct scope scope;
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "slow", ignore_cancel_for_a_while, family));
    family->joined = scope_join(&scope);
    family->join_returned = true;
    CHECK_EQ(1, family->ended);
}

TEST(a_canceled_parent_outlives_a_child_that_cannot_be_canceled)
{
    struct sched sched;
    struct family family = {0};
    struct co *parent;
    sched_init(&sched, at_ms(0), 10);
    CHECK_OK(co_spawn(&sched, NULL, "parent", be_parent_of_a_slow_one, &family, &parent));
    sched_run(&sched);
    struct co *child = container_of(list_last(&sched.all), struct co, all_link);
    co_cancel(parent);
    co_cancel(parent);
    for (int i = 0; i < 4; i++) {
        sched_run(&sched);
        CHECK(!family.join_returned);
        co_wake(parent); /* a stray wake does not end it */
        sched_run(&sched);
        CHECK(!family.join_returned);
        co_wake(child);
    }
    sched_run(&sched);
    CHECK(family.join_returned);
    CHECK_ERR(WEIR_E_CANCELED, family.joined);
    sched_fini(&sched);
}

static void be_grandparent(void *argument)
{
    struct scope scope;
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "parent", be_parent, argument));
    (void)scope_join(&scope);
    CHECK(((struct family *)argument)->join_returned);
}

TEST(cancelling_reaches_grandchildren)
{
    struct sched sched;
    struct family family = {.children = 2};
    struct co *grandparent;
    sched_init(&sched, at_ms(0), 10);
    CHECK_OK(co_spawn(&sched, NULL, "grandparent", be_grandparent, &family, &grandparent));
    sched_run(&sched);
    CHECK_EQ(4, sched.co_count);
    co_cancel(grandparent);
    sched_run(&sched);
    CHECK_EQ(0, sched.co_count);
    CHECK_EQ(2, family.canceled);
    sched_fini(&sched);
}

static void spawn_too_many(void *argument)
{
    struct family *family = argument;
    struct scope scope;
    scope_init(&scope);
    CHECK_OK(scope_spawn(&scope, "child", sleep_as_child, family));
    CHECK_ERR(WEIR_E_LIMIT, scope_spawn(&scope, "one too many", sleep_as_child, family));
    CHECK_OK(scope_join(&scope));
    CHECK_EQ(1, family->ended);
}

TEST(the_limit_holds_for_children)
{
    struct sched sched;
    struct family family = {0};
    sched_init(&sched, at_ms(0), 2);
    CHECK_OK(co_spawn(&sched, NULL, "parent", spawn_too_many, &family, NULL));
    drive(&sched);
    CHECK_EQ(0, sched.co_count);
    sched_fini(&sched);
}

CHECK_MAIN
