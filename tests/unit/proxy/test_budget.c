/* SPDX-License-Identifier: MIT */
#include "proxy/budget.h"

#include "tests/check.h"

static unsigned spend_all(struct budget *budget)
{
    unsigned spent = 0;
    while (spent < 1000 && budget_spend(budget))
        spent++;
    return spent;
}

TEST(a_quiet_upstream_has_a_few_tries)
{
    struct budget budget;
    budget_init(&budget, 20);
    CHECK_EQ(BUDGET_TRIES_MAX, spend_all(&budget));
    CHECK(!budget_has(&budget));
}

TEST(tries_are_a_part_of_all_requests)
{
    static const struct {
        unsigned percent, requests, tries;
    } rows[] = {{20, 4, 0},  {20, 5, 1}, {20, 49, 9}, {20, 1000, BUDGET_TRIES_MAX},
                {100, 3, 3}, {1, 99, 0}, {1, 100, 1}, {0, 1000, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct budget budget;
        budget_init(&budget, rows[i].percent);
        spend_all(&budget);
        for (unsigned k = 0; k < rows[i].requests; k++)
            budget_save(&budget);
        CHECK_EQ(rows[i].tries, spend_all(&budget));
    }
}

TEST(without_a_budget_nothing_is_tried_again)
{
    struct budget budget;
    budget_init(&budget, 0);
    budget_save(&budget);
    CHECK(!budget_has(&budget) && !budget_spend(&budget));
}

CHECK_MAIN
