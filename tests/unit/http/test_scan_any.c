/* SPDX-License-Identifier: MIT */
/* Plain C, also where the build has chosen another: these definitions win over the library's. */
#include "http/scan_any.c"

#include "tests/unit/http/scan_cases.h"
