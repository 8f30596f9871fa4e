/* SPDX-License-Identifier: MIT */
/* A connection of HTTP/2 to a server; the input is the server and the users (h2_play.h). */
#include "h2_play.h"

#define LINE(name, value)                                                                          \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, 0              \
    }

static nghttp2_nv request[] = {LINE(":method", "POST"), LINE(":scheme", "https"),
                               LINE(":authority", "h"), LINE(":path", "/")};

/* What comes of a response's heads. */
static void take_heads(struct play_user *user)
{
    struct h2_stream *stream = &user->stream;
    for (struct h2_response *each = stream->responses; each; each = each->next) {
        bool comes = each == stream->responses_last && stream->head.fields;
        must(comes || each->err || (each->response.status >= 100 && each->response.status < 600));
        must(each->next || each == stream->responses_last);
    }
}

/* A request, if it is nobody's turn; else the server's answer is read. */
static void play_act(struct play *play, struct play_user *user, unsigned how)
{
    if (user) {
        take_heads(user);
        return;
    }
    user = play_new_user(play);
    if (!user)
        return;
    const struct h2_lines lines = play_lines(user, request, COUNT_OF(request));
    enum weir_err err = h2_stream_request(&user->stream, &play->session, &lines, how & 1);
    must(!err || err == WEIR_E_STREAM_REFUSED);
    must(!err == (user->stream.session != NULL));
    user->asked = true;
    user->answers = !err && !(how & 1);
    if (how & 2 && !err)
        h2_session_has_output(&play->session); /* as h2_stream_flush() does */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct h2_session_options options = {.side = H2_CLIENT};
    play(&options, slice_of((const char *)bytes, size), SLICE("\0\0\0\4\0\0\0\0\0"));
    return 0;
}
