/* SPDX-License-Identifier: MIT */
#include "proxy/health.h"

bool health_note(struct health *health, const struct health_options *options, bool passed)
{
    unsigned limit = health->unwell ? options->rise : options->fall;
    if (passed != health->unwell) {
        health->against = 0;
        return false;
    }
    if (++health->against < limit)
        return false;
    health->unwell = !passed;
    health->against = 0;
    return true;
}

bool health_passes(unsigned status)
{
    return status >= 200 && status < 400;
}
