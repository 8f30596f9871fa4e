/* SPDX-License-Identifier: MIT */
/* A client's connection of HTTP/2, of which the input is the client and the users (h2_play.h). */
#include "h2_play.h"

#define LINE(name, value)                                                                          \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, 0              \
    }

static char long_value[40 * 1024];
static nghttp2_nv interim[] = {LINE(":status", "103"), LINE("link", "</a>")};
static nghttp2_nv final[] = {LINE(":status", "200"), LINE("server", "weir"), LINE("x-long", "")};

static struct h2_stream *on_begin(void *owner)
{
    struct play_user *user = play_new_user(owner);
    return user ? &user->stream : NULL;
}

static void on_request(void *owner, struct h2_stream *stream, enum weir_err err)
{
    struct play_user *user = container_of(stream, struct play_user, stream);
    (void)owner;
    must(stream->request && !user->asked);
    must(!err || stream->request->fields.count == 0);
    user->asked = true;
}

/* An interim response, or the final one. */
static void play_act(struct play *play, struct play_user *user, unsigned how)
{
    (void)play;
    if (!user || !user->asked || user->stream.submitted)
        return;
    const struct h2_lines interim_lines = {interim, COUNT_OF(interim)};
    if (how & 1) {
        (void)!h2_stream_interim(&user->stream, &interim_lines);
        return;
    }
    final[2].value = (uint8_t *)long_value;
    final[2].valuelen = how & 2 ? sizeof long_value : 1;
    const struct h2_lines lines = play_lines(user, final, COUNT_OF(final));
    enum weir_err err = h2_stream_response(&user->stream, &lines, how & 4);
    user->answers = !err && !(how & 4);
    if (how & 8 && user->stream.session)
        h2_session_has_output(user->stream.session); /* as h2_stream_flush() does */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct h2_events events = {.begin = on_begin, .request = on_request};
    static const struct h2_session_options options = {.side = H2_SERVER, .events = &events};
    memset(long_value, 'v', sizeof long_value);
    play(&options, slice_of((const char *)bytes, size),
         SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"));
    return 0;
}
