// SPDX-License-Identifier: MIT
// The client's door from C++17: options by assignment, ownership by std::unique_ptr.
#include <weir/weir.h>

#include <cstdio>
#include <memory>
#include <string_view>

namespace {

// What frees a T frees it by a pointer to its pointer.
template <auto release> struct freer {
    template <typename T> void operator()(T *mine) const
    {
        release(&mine);
    }
};
using peer_ptr = std::unique_ptr<weir_peer, freer<weir_peer_free>>;
using connector_ptr = std::unique_ptr<weir_connector, freer<weir_connector_free>>;
using request_ptr = std::unique_ptr<weir_request, freer<weir_request_free>>;
using reply_ptr = std::unique_ptr<weir_reply, freer<weir_reply_free>>;

weir_err get(weir_connector *connector, weir_peer *peer)
{
    weir_request *made = nullptr;
    if (weir_err err = weir_request_new("GET", "localhost", "/", &made))
        return err;
    request_ptr request(made);

    weir_reply *received = nullptr;
    if (weir_err err = weir_fetch(connector, peer, request.get(), weir_slice{}, 1 << 20,
                                  weir_in(weir_span_s(10)), &received))
        return err;
    reply_ptr reply(received);

    weir_connection connection;
    weir_reply_connection(reply.get(), &connection);
    weir_slice body = weir_reply_body(reply.get());
    std::string_view text(body.at, body.len);
    std::printf("%u %.*s, %s connection\n", weir_response_status(weir_reply_response(reply.get())),
                static_cast<int>(text.size()), text.data(), connection.reused ? "reused" : "new");
    return WEIR_OK;
}

weir_err get_twice(const char *url)
{
    weir_peer_options options;
    weir_peer_options_init(&options);
    options.url = url;
    options.idle_timeout = weir_span_s(60);
    weir_peer *made = nullptr;
    if (weir_err err = weir_peer_new(&options, nullptr, &made))
        return err;
    peer_ptr peer(made);

    weir_connector *opened = nullptr;
    if (weir_err err = weir_connector_new(weir_loop_here(), nullptr, &opened))
        return err;
    connector_ptr connector(opened);
    if (weir_err err = get(connector.get(), peer.get()))
        return err;
    return get(connector.get(), peer.get());
}

void run(void *argument)
{
    const char *url = static_cast<const char *>(argument);
    if (weir_err err = get_twice(url))
        std::fprintf(stderr, "%s: %s\n", url, weir_err_text(err));
}

} // namespace

int main(int argc, char **argv)
{
    return argc == 2 && weir_run(nullptr, run, argv[1]) == WEIR_OK ? 0 : 1;
}
