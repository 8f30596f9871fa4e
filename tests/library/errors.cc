// SPDX-License-Identifier: MIT
// What C++17 has of libweir without a loop: errors, spans, slices, options by assignment.
#include <weir/weir.h>

#include <cstdio>
#include <string_view>

int main()
{
    weir_listen_options listen = {};
    listen.address = ":0";
    listen.http1 = true;
    weir_slice slice = weir_str(weir_err_name(WEIR_E_TIMEOUT));
    bool good = std::string_view(slice.at, slice.len) == "timeout" &&
                weir_err_retry(WEIR_E_REFUSED) == WEIR_RETRY_ANYWHERE &&
                weir_span_to_ms(weir_span_s(2)) == 2000 && !listen.http2;
    std::puts(good ? "errors: as in C" : "errors: not as in C");
    return good ? 0 : 1;
}
