/* SPDX-License-Identifier: MIT */
#include "proxy/budget.h"

enum { TRY = 100 };

void budget_init(struct budget *budget, unsigned percent)
{
    *budget = (struct budget){.percent = percent};
    if (percent > 0)
        budget->saved = BUDGET_TRIES_MAX * TRY;
}

void budget_save(struct budget *budget)
{
    unsigned most = BUDGET_TRIES_MAX * TRY;
    budget->saved += budget->percent;
    if (budget->saved > most)
        budget->saved = most;
}

bool budget_has(const struct budget *budget)
{
    return budget->saved >= TRY;
}

bool budget_spend(struct budget *budget)
{
    if (!budget_has(budget))
        return false;
    budget->saved -= TRY;
    return true;
}
