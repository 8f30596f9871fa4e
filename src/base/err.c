/* SPDX-License-Identifier: MIT */
#include <weir/err.h>

#include "base/check.h"

struct err_row {
    const char *name;
    const char *text;
    const char *proxy_error;
    int status;
    enum weir_retry retry;
};

#define RETRY_NEVER WEIR_RETRY_NEVER
#define RETRY_IF_REUSED WEIR_RETRY_IF_REUSED
#define RETRY_ANYWHERE WEIR_RETRY_ANYWHERE
#define RETRY_UNPROCESSED WEIR_RETRY_UNPROCESSED

static const struct err_row rows[WEIR_E_COUNT] = {
    [WEIR_OK] = {"ok", "no error", "", 200, WEIR_RETRY_NEVER},
#define X(NAME, name, status, retry, proxy_error, text)                                            \
    [WEIR_E_##NAME] = {name, text, proxy_error, status, RETRY_##retry},
#include <weir/err.def>
#undef X
};

static const struct err_row *row_of(enum weir_err err)
{
    must((unsigned)err < WEIR_E_COUNT);
    return &rows[err];
}

const char *weir_err_name(enum weir_err err)
{
    return row_of(err)->name;
}

const char *weir_err_text(enum weir_err err)
{
    return row_of(err)->text;
}

int weir_err_status(enum weir_err err)
{
    return row_of(err)->status;
}

enum weir_retry weir_err_retry(enum weir_err err)
{
    return row_of(err)->retry;
}

const char *weir_err_proxy_error(enum weir_err err)
{
    return row_of(err)->proxy_error;
}
