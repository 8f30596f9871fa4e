/* SPDX-License-Identifier: MIT */
/* The way that this build has chosen. */
#include "tests/unit/http/scan_cases.h"
