/* SPDX-License-Identifier: MIT */
#include <weir/err.h>

#include "base/check.h"
#include "tests/check.h"
#include "tests/unit/base/aborts.h"

/* The error types that RFC 9209 section 2.3 registers. */
static const char *const registered[] = {
    "dns_timeout",
    "dns_error",
    "destination_not_found",
    "destination_unavailable",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "connection_read_timeout",
    "connection_write_timeout",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "tls_alert_received",
    "http_request_error",
    "http_request_denied",
    "http_response_incomplete",
    "http_response_header_section_size",
    "http_response_header_size",
    "http_response_body_size",
    "http_response_trailer_section_size",
    "http_response_trailer_size",
    "http_response_transfer_coding",
    "http_response_content_coding",
    "http_response_timeout",
    "http_upgrade_failed",
    "http_protocol_error",
    "proxy_internal_response",
    "proxy_internal_error",
    "proxy_configuration_error",
    "proxy_loop_detected",
};

static bool is_registered(const char *type)
{
    for (size_t i = 0; i < COUNT_OF(registered); i++)
        if (strcmp(type, registered[i]) == 0)
            return true;
    return false;
}

static bool is_snake_case(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

TEST(every_row_is_whole)
{
    for (int i = WEIR_OK + 1; i < WEIR_E_COUNT; i++) {
        enum weir_err err = (enum weir_err)i;
        CHECK(is_snake_case(weir_err_name(err)));
        CHECK(strlen(weir_err_text(err)) > 5);
        int status = weir_err_status(err);
        CHECK(status == 0 || (status >= 400 && status <= 599));
        CHECK((unsigned)weir_err_retry(err) <= WEIR_RETRY_UNPROCESSED);
        const char *type = weir_err_proxy_error(err);
        if (!CHECK(*type == '\0' || is_registered(type)))
            printf("# %s\n", type);
    }
}

TEST(names_tell_errors_apart)
{
    for (int i = 0; i < WEIR_E_COUNT; i++)
        for (int j = i + 1; j < WEIR_E_COUNT; j++)
            if (!CHECK(strcmp(weir_err_name((enum weir_err)i), weir_err_name((enum weir_err)j))))
                printf("# %s\n", weir_err_name((enum weir_err)i));
}

TEST(some_rows_by_hand)
{
    CHECK(strcmp(weir_err_name(WEIR_OK), "ok") == 0);
    CHECK_EQ(0, WEIR_OK);
    CHECK_EQ(504, weir_err_status(WEIR_E_TIMEOUT));
    CHECK_EQ(0, weir_err_status(WEIR_E_CLIENT_GONE));
    CHECK_EQ(WEIR_RETRY_ANYWHERE, weir_err_retry(WEIR_E_REFUSED));
    CHECK_EQ(WEIR_RETRY_IF_REUSED, weir_err_retry(WEIR_E_RESET));
    CHECK_EQ(WEIR_RETRY_NEVER, weir_err_retry(WEIR_E_RESPONSE_TIMEOUT));
    CHECK(strcmp(weir_err_proxy_error(WEIR_E_CANCELED), "") == 0);
}

static void name_what_is_no_error(void)
{
    printf("%s", weir_err_name(WEIR_E_COUNT));
}

TEST(a_number_that_is_no_error_is_a_mistake)
{
    CHECK(aborts(name_what_is_no_error));
}

CHECK_MAIN
