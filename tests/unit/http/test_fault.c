/* SPDX-License-Identifier: MIT */
#include "http/h1_parse.h"
#include "tests/check.h"

struct row {
    enum h1_fault fault;
    enum weir_err request_err;
    enum weir_err response_err;
    int request_status;
};

/* Those that do not end in "malformed". */
static const struct row special[] = {
    {H1_FAULT_TARGET_LENGTH, WEIR_E_REQUEST_TARGET_LENGTH, WEIR_E_RESPONSE_MALFORMED, 414},
    {H1_FAULT_HEAD_LENGTH, WEIR_E_REQUEST_HEAD_LENGTH, WEIR_E_RESPONSE_HEAD_LENGTH, 431},
    {H1_FAULT_FIELD_COUNT, WEIR_E_REQUEST_HEAD_LENGTH, WEIR_E_RESPONSE_HEAD_LENGTH, 431},
    {H1_FAULT_VERSION, WEIR_E_REQUEST_VERSION, WEIR_E_RESPONSE_MALFORMED, 505},
    {H1_FAULT_CODING, WEIR_E_REQUEST_CODING, WEIR_E_RESPONSE_CODING, 501},
    {H1_FAULT_METHOD_LENGTH, WEIR_E_REQUEST_METHOD, WEIR_E_RESPONSE_MALFORMED, 501},
};

static const struct row *find_special(enum h1_fault fault)
{
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
        if (special[i].fault == fault)
            return &special[i];
    return NULL;
}

TEST(every_fault_has_its_errors_and_words)
{
    for (int i = H1_FAULT_NONE + 1; i < H1_FAULT_COUNT; i++) {
        enum h1_fault fault = (enum h1_fault)i;
        const struct row *row = find_special(fault);
        enum weir_err request_err = row ? row->request_err : WEIR_E_REQUEST_MALFORMED;
        enum weir_err response_err = row ? row->response_err : WEIR_E_RESPONSE_MALFORMED;
        CHECK_EQ(request_err, h1_fault_request_err(fault));
        CHECK_EQ(response_err, h1_fault_response_err(fault));
        CHECK_EQ(row ? row->request_status : 400, weir_err_status(h1_fault_request_err(fault)));
        CHECK_EQ(502, weir_err_status(h1_fault_response_err(fault)));
        CHECK(strlen(h1_fault_text(fault)) > 0);
        for (int k = H1_FAULT_NONE; k < i; k++)
            CHECK(strcmp(h1_fault_name(fault), h1_fault_name((enum h1_fault)k)) != 0);
    }
}

TEST(no_fault_is_no_error)
{
    CHECK_EQ(WEIR_OK, h1_fault_request_err(H1_FAULT_NONE));
    CHECK_EQ(WEIR_OK, h1_fault_response_err(H1_FAULT_NONE));
}

CHECK_MAIN
