/* SPDX-License-Identifier: MIT */
#include "base/check.h"
#include "http/h1_parse.h"

struct fault_row {
    const char *name;
    const char *text;
    enum weir_err request_err;
    enum weir_err response_err;
};

static const struct fault_row rows[H1_FAULT_COUNT] = {
    [H1_FAULT_NONE] = {"none", "nothing is wrong", WEIR_OK, WEIR_OK},
#define X(NAME, name, request_err, response_err, text)                                             \
    [H1_FAULT_##NAME] = {name, text, request_err, response_err},
#include "http/fault.def"
#undef X
};

static const struct fault_row *row_of(enum h1_fault fault)
{
    must((unsigned)fault < H1_FAULT_COUNT);
    return &rows[fault];
}

const char *h1_fault_name(enum h1_fault fault)
{
    return row_of(fault)->name;
}

const char *h1_fault_text(enum h1_fault fault)
{
    return row_of(fault)->text;
}

enum weir_err h1_fault_request_err(enum h1_fault fault)
{
    return row_of(fault)->request_err;
}

enum weir_err h1_fault_response_err(enum h1_fault fault)
{
    return row_of(fault)->response_err;
}
