/* SPDX-License-Identifier: MIT */
#include "http/h2_stream.h"

#include "tests/unit/http/h2_end.h"

static void open_server(void)
{
    end_open(&end, end_serving());
    end_feed_hello(&end);
    end_feed(&end, NGHTTP2_WINDOW_UPDATE, 0, 0, SLICE("\0\x10\0\0"));
    end_send(&end, NULL);
    end_forget(&end);
}

/* One stream fills all buffers to the last byte; the other ends with nothing but a frame's head. */
STAGE_TEST(an_end_without_bytes_waits_for_room_too)
{
    static struct end_sender long_one, short_one;
    open_server();
    for (int32_t id = 1; id <= 3; id += 2) {
        end_feed(&end, NGHTTP2_HEADERS, END_WHOLE, id, END_GET);
        end_feed(&end, NGHTTP2_WINDOW_UPDATE, 0, id, SLICE("\0\x10\0\0"));
        end_answer(&end.users[id / 2], false);
    }
    end_send(&end, NULL);
    end_spawn(&long_one, &end.users[1].stream, sizeof end_body, true);
    STAGE_UNTIL(end.session.out_count == H2_OUT_BUFS);
    end_spawn(&short_one, &end.users[0].stream, 0, true);
    stage_turns();
    CHECK(long_one.co && short_one.co);
    while ((long_one.co || short_one.co) && stage_breathe())
        end_send(&end, NULL);
    CHECK_OK(long_one.err);
    CHECK_OK(short_one.err);
    CHECK_EQ(sizeof end_body, end.body_bytes);
    end_close(&end);
}

CHECK_MAIN
