/* SPDX-License-Identifier: MIT */
#include "http/scan.h"

/* clang-format off */
const bool scan_is_name[256] = {
    ['!'] = true, ['#' ... '\''] = true, ['*' ... '+'] = true, ['-' ... '.'] = true,
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['^' ... 'z'] = true, ['|'] = true, ['~'] = true,
};
/* clang-format on */

const bool scan_is_value[256] = {
    ['\t'] = true,
    [' ' ... '~'] = true,
    [0x80 ... 0xff] = true,
};

const bool scan_is_target[256] = {
    ['!' ... '"'] = true,
    ['$' ... '~'] = true,
};
