/* SPDX-License-Identifier: MIT */
#ifndef WEIR_ERR_H
#define WEIR_ERR_H

/*
 * Errors are values. A function that can fail returns an enum weir_err, which must be looked at;
 * WEIR_OK is 0. What each error means for a client and for a retry is a row of err.def.
 */

#include <weir/api.h>

#include <stdbool.h>

#if defined(__cplusplus) && __cplusplus >= 201703L
#define WEIR_MUST_USE [[nodiscard]]
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ > 201710L
#define WEIR_MUST_USE [[nodiscard]]
#else
#define WEIR_MUST_USE
#endif

enum WEIR_MUST_USE weir_err {
    WEIR_OK = 0,
#define X(NAME, name, status, retry, proxy_error, text) WEIR_E_##NAME,
#include <weir/err.def>
#undef X
    WEIR_E_COUNT
};

/* When the same request may be tried again after an error (docs/reuse.md gives the rest). */
enum weir_retry {
    WEIR_RETRY_NEVER,
    WEIR_RETRY_IF_REUSED,
    WEIR_RETRY_ANYWHERE,
    WEIR_RETRY_UNPROCESSED,
};

#ifdef __cplusplus
extern "C" {
#endif

/* The stable name of an error: what logs, metrics and the access log show. Never NULL. */
WEIR_API const char *weir_err_name(enum weir_err err);

/* One sentence for a person. Never NULL. */
WEIR_API const char *weir_err_text(enum weir_err err);

/* The status that a proxy answers when this error ends an exchange; 0: nobody is left to answer. */
WEIR_API int weir_err_status(enum weir_err err);

/* Whether a request that met this error may be tried again. */
WEIR_API enum weir_retry weir_err_retry(enum weir_err err);

/* The error type for Proxy-Status (RFC 9209 section 2.3); "" if none applies. Never NULL. */
WEIR_API const char *weir_err_proxy_error(enum weir_err err);

#ifdef __cplusplus
}
#endif

#endif
