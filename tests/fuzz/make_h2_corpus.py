#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the corpora of fuzz_h2_server and fuzz_h2_client: scripts for h2_play.h, which says what
the steps are. Run it after a change of the steps: make_h2_corpus.py tests/fuzz/corpus"""

import pathlib
import sys

(FRAME, CUT, RAW, MANY, BODY, HEAD, SEND_OUT, TAKE, SEND, ACT, END, WAIT, ALL) = range(13)
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION = range(10)
UNKNOWN = 77
END_STREAM, ACK, END_HEADERS = 1, 1, 4
(GET, POST, POST_5, BAD_NAME, CONNECT, OK, OK_5, EARLY, CONTINUE, NOT_MODIFIED, TRAILERS,
 BAD_TRAILERS) = range(12)
WINDOWS, LARGE_STREAM, LARGE_CONNECTION, NO_HELLO, CUT_OFF = 0, 2, 8, 16, 32
INTERIM, LONG, ENDS, FLUSH = 1, 2, 4, 8
LAST, WITH_TRAILERS, MORE = 1, 2, 4


def frame(kind, flags, stream, payload=b"", step=FRAME):
    return bytes([step, kind, flags, stream, len(payload)]) + payload


def many(times, kind, flags, stream, payload=b""):
    return bytes([MANY, times, kind, flags, stream, len(payload)]) + payload


def raw(text):
    return bytes([RAW, len(text)]) + text


def head(stream, flags, block):
    return bytes([HEAD, stream, flags | END_HEADERS, block])


def body(stream, flags, blocks_of_64):
    return bytes([BODY, stream, flags, blocks_of_64])


def send(user, count, how):
    return bytes([SEND, user, count >> 8, count & 255, how])


def number(value):
    return value.to_bytes(4, "big")


OUT = bytes([SEND_OUT])
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GET_BLOCK = b"\x82\x87\x84\x41\x01h"


def act(user, how):
    return bytes([ACT, user, how])


def take(user):
    return bytes([TAKE, user])


def end(user, code):
    return bytes([END, user, code])


def for_all(which, code=0):
    return bytes([ALL, which]) + (bytes([code]) if which == 2 else b"")


def downloads(how):
    """Two requests whose responses are sent at once, more than the buffers hold."""
    return (head(1, END_STREAM, GET) + head(3, END_STREAM, GET) + frame(UPDATE, 0, 0,
    number(1 << 20))
            + frame(UPDATE, 0, 1, number(1 << 20)) + act(0, 0) + act(1, 0) + send(0, 65280, MORE)
            + send(1, 0, LAST | how) + OUT + OUT + OUT + OUT)


def full():
    """Two requests, and a response that fills the buffers."""
    return (head(1, END_STREAM, GET) + head(3, END_STREAM, GET) + frame(UPDATE, 0, 0,
    number(1 << 20))
            + frame(UPDATE, 0, 3, number(1 << 20)) + act(0, 0) + act(1, FLUSH) + send(1, 65280,
            MORE))


SERVER = {
    "get": [0, head(1, END_STREAM, GET), act(0, ENDS | FLUSH), OUT, end(0, 0), OUT],
    "get_raw": [NO_HELLO, raw(PREFACE), frame(SETTINGS, 0, 0), frame(SETTINGS, ACK, 0),
                frame(HEADERS, 5, 1, GET_BLOCK, CUT), act(0, ENDS), OUT, end(0, 0)],
    "bad_preface": [NO_HELLO, raw(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"), OUT],
    "post": [0, head(1, 0, POST), act(0, INTERIM), body(1, 0, 200), take(0), body(1, 0, 200),
             take(0),
             body(1, 0, 250), take(0), body(1, END_STREAM, 20), take(0), act(0, 0),
             send(0, 5000, 0), OUT, send(0, 0, LAST), OUT, end(0, 0), OUT],
    "post_length": [0, head(1, 0, POST_5), frame(DATA, END_STREAM, 1, b"fiver"), take(0)],
    "post_wrong_length": [0, head(1, 0, POST_5), frame(DATA, 0, 1, b"sixsix"), OUT, end(0, 1)],
    "padded": [0, head(1, 0, POST), frame(DATA, 8 | END_STREAM, 1, b"\3abc\0\0\0"), take(0)],
    "trailers": [0, head(1, 0, POST), frame(DATA, 0, 1, b"abc"), head(1, END_STREAM, TRAILERS),
                 take(0),
                 act(0, 0), send(0, 10, LAST | WITH_TRAILERS), OUT, end(0, 0)],
    "bad_trailers": [0, head(1, 0, POST), head(1, END_STREAM, BAD_TRAILERS), OUT, end(0, 0)],
    "continuation": [0, frame(HEADERS, 1, 1, GET_BLOCK[:2]), frame(CONTINUATION, 0, 1,
                     GET_BLOCK[2:4]),
                     frame(CONTINUATION, END_HEADERS, 1, GET_BLOCK[4:], CUT), act(0, LONG | ENDS),
                     OUT],
    "continuation_flood": [0, frame(HEADERS, 1, 1, GET_BLOCK), many(1, CONTINUATION, 0, 1), OUT],
    "bad_head": [0, head(1, END_STREAM, BAD_NAME), OUT, head(3, END_STREAM, CONNECT), act(0, 0),
                 OUT],
    "bad_heads": [0] + [head(i, END_STREAM, BAD_NAME) + OUT for i in range(1, 80, 2)],
    "too_many_streams": [0] + [head(i, 0, GET) for i in range(1, 20, 2)] + [OUT],
    "reset_by_client": [0, head(1, 0, POST), act(0, 0), send(0, 65000, 0), frame(RST, 0, 1,
                        number(8)), OUT,
                        end(0, 2)],
    "reset_by_us": [CUT_OFF, head(1, 0, POST), body(1, 0, 100), end(0, 5), body(1, 0, 100), OUT],
    "rapid_reset": [0] + [head(i, 1, GET) + frame(RST, 0, i, number(8)) + end(0,
                    8) for i in range(1, 250, 2)]
                   + [OUT],
    "downloads": [0, downloads(0)],
    "downloads_trailers": [0, downloads(WITH_TRAILERS)],
    "window_small": [0, frame(SETTINGS, 0, 0, b"\0\4" + number(10)), head(1, END_STREAM, GET),
                     act(0, 0),
                     send(0, 100, LAST), OUT, frame(UPDATE, 0, 1, number(90)), OUT, end(0, 0)],
    "window_zero_then_settings": [0, frame(SETTINGS, 0, 0, b"\0\4" + number(0)), head(1,
                                  END_STREAM, GET),
                                  act(0, 0), send(0, 10, LAST), OUT, frame(SETTINGS, 0, 0,
                                  b"\0\4" + number(99)),
                                  OUT],
    "nobody_reads": [CUT_OFF] + [head(i, 0, POST) for i in (1, 3)] + [body(1, 0, 255)] * 4
                     + [body(3, 0, 255)] * 4
                    + [OUT, take(0), take(0), OUT],
    "reader_keeps_up": [LARGE_STREAM | LARGE_CONNECTION, head(1, 0, POST)] + [body(1, 0, 255),
                        take(0), OUT] * 12
                       + [take(0)],
    "goaway": [0, head(1, END_STREAM, GET), frame(GOAWAY, 0, 0, number(0) + number(0)), act(0,
               ENDS), OUT, end(0, 0)],
    "drain": [0, head(1, END_STREAM, GET), for_all(0), OUT, frame(PING, ACK, 0, bytes(8)),
              for_all(1),
              head(3, END_STREAM, GET), act(0, ENDS), OUT, end(0, 0)],
    "terminated_in_flight": [0, head(1, 0, POST), act(0, LONG), send(0, 65000, LAST), for_all(2,
                             11),
                             body(1, 0, 1), end(0, 0), OUT, OUT],
    "ended_before_it_went": [0, full(), head(5, END_STREAM, GET), act(2, 0),
                             many(5, PING, 0, 0, bytes(8)), end(2, 0), end(1, 0), end(0, 0), OUT,
                             OUT],
    "bad_heads_to_full": [0, full()] + [head(i, 0, POST_5) + frame(DATA, 0, i,
                          b"sixsix") for i in range(5, 250, 2)]
                         + [OUT] * 3,
    "ended": [0, head(1, 0, POST), act(0, 0), send(0, 65000, LAST), for_all(3), end(0, 0), OUT],
    "ping_flood": [0, many(5, PING, 0, 0, bytes(8)), head(1, 1, GET), OUT],
    "settings_flood": [0, many(3, SETTINGS, 0, 0), OUT],
    "update_flood": [0, many(255, UPDATE, 0, 0, number(1)), OUT],
    "priority_flood": [0, many(60, PRIORITY, 0, 1, number(0) + b"\0"), OUT],
    "unknown_flood": [0, many(60, UNKNOWN, 0, 1), OUT],
    "empty_flood": [0, head(1, 0, POST), many(5, DATA, 0, 1), OUT, end(0, 0)],
    "times": [0] + [many(3, PING, 0, 0, bytes(8)) + OUT + bytes([WAIT, 100])] * 4,
    "frame_too_long": [0, raw(b"\0\x40\1\0\0\0\0\0\1"), OUT],
    "data_on_idle": [0, frame(DATA, 0, 9, b"x"), OUT],
    "push_promise": [0, frame(PUSH, 4, 1, number(2) + GET_BLOCK), OUT],
}

CLIENT = {
    "get": [0, act(0, 3), OUT, head(1, END_STREAM, OK), take(0), act(0, 0), end(0, 0), OUT],
    "get_body": [0, act(0, 3), OUT, head(1, 0, OK), body(1, 0, 100), take(0), body(1, END_STREAM,
                 1), take(0), take(0),
                 end(0, 0)],
    "post": [0, act(0, 2), send(0, 65000, 0), OUT, send(0, 100, LAST), OUT, frame(UPDATE, 0, 0,
             number(1 << 20)),
             frame(UPDATE, 0, 1, number(1 << 20)), OUT, OUT, head(1, END_STREAM, OK), end(0, 0)],
    "post_trailers": [0, act(0, 2), send(0, 100, LAST | WITH_TRAILERS), OUT, head(1, 0, CONTINUE),
                      head(1, 0, OK),
                      head(1, END_STREAM, TRAILERS), take(0), end(0, 0)],
    "uploads": [0, act(0, 2), act(1, 2), frame(UPDATE, 0, 0, number(1 << 20)), frame(UPDATE, 0, 1,
                number(1 << 20)),
                send(0, 65280, MORE), send(1, 0, LAST | WITH_TRAILERS), OUT, OUT, OUT, OUT],
    "early_answer": [0, act(0, 2), send(0, 65000, 0), head(1, END_STREAM, OK), frame(RST, 0, 1,
                     number(0)), OUT,
                     take(0), end(0, 0)],
    "interim": [0, act(0, 3), OUT] + [head(1, 0, EARLY)] * 20 + [act(0, 0), OUT, end(0, 8)],
    "not_modified": [0, act(0, 3), OUT, head(1, END_STREAM, NOT_MODIFIED), act(0, 0), end(0, 0)],
    "wrong_length": [0, act(0, 3), OUT, head(1, 0, OK_5), frame(DATA, 1, 1, b"four"), OUT, take(0),
                     end(0, 0)],
    "bad_head": [0, act(0, 3), OUT, head(1, 1, BAD_NAME), OUT, end(0, 0)],
    "bad_trailers": [0, act(0, 3), OUT, head(1, 0, OK), head(1, 1, BAD_TRAILERS), OUT, take(0),
                     end(0, 0)],
    "refused": [0, act(0, 3), OUT, frame(RST, 0, 1, number(7)), end(0, 0), act(0, 3)],
    "goaway": [0, act(0, 3), act(1, 3), OUT, frame(GOAWAY, 0, 0, number(1) + number(0)), head(1, 1,
               OK), end(1, 0),
               end(0, 0), act(0, 3)],
    "goaway_before_it_went": [0, frame(SETTINGS, 0, 0, b"\0\3" + number(1)), act(0, 3), act(1, 3),
                              act(2, 0), OUT,
                              frame(GOAWAY, 0, 0, number(0) + number(0)), OUT, end(0, 0), end(1,
                              0), end(2, 0)],
    "streams_lowered": [0, frame(SETTINGS, 0, 0, b"\0\3" + number(1)), act(0, 3), act(1, 2), OUT,
                        end(1, 8),
                        head(1, 1, OK), end(0, 0), act(0, 3), OUT],
    "push": [0, act(0, 3), OUT, frame(PUSH, 4, 1, number(2) + GET_BLOCK), OUT],
    "nobody_reads": [CUT_OFF, act(0, 3), act(1, 3), OUT, head(1, 0, OK), head(3, 0, OK)] + [body(1,
                     0, 255)] * 4
                    + [body(3, 0, 255)] * 4 + [OUT, take(0), OUT, take(0)],
    "large_windows": [LARGE_STREAM | LARGE_CONNECTION, act(0, 3), OUT, head(1, 0, OK)]
                     + [body(1, 0, 255), take(0)] * 12 + [OUT, frame(SETTINGS, ACK, 0)] + [body(1,
                     0, 255), take(0)] * 12,
    "windows_before_ack": [15, act(0, 3), OUT, head(1, 0, OK)] + [body(1, 0, 255), take(0)] * 5
                          + [OUT, frame(SETTINGS, ACK, 0)] + [body(1, 0, 255)] * 12 + [take(0),
                          OUT],
    "ping": [0, for_all(4), OUT, frame(PING, ACK, 0, bytes(8)), for_all(1), OUT],
    "floods": [0, act(0, 3), OUT, many(5, PING, 0, 0, bytes(8)), OUT, end(0, 0)],
    "terminated": [0, act(0, 2), send(0, 65000, LAST), for_all(2, 2), head(1, 0, OK), end(0, 0),
                   OUT],
}


def main():
    for name, scripts in (("h2_server", SERVER), ("h2_client", CLIENT)):
        folder = pathlib.Path(sys.argv[1], name)
        folder.mkdir(parents=True, exist_ok=True)
        for script, steps in scripts.items():
            text = b"".join(bytes([step]) if isinstance(step, int) else step for step in steps)
            (folder / script).write_bytes(text)


main()
