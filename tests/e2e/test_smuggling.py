# SPDX-License-Identifier: MIT
"""Messages that two readers could understand differently are refused, on either side.

Every malformed request carries a second one behind it, for /smuggled, that must never arrive.
"""

import pytest

from framing import LAST_CHUNK, chunk
from origin import answer
from waiting import wait_until

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"\r\n" + chunk(b"hello") + LAST_CHUNK


def length(value):
    return POST + b"Content-Length: " + value + b"\r\n\r\nhello"


def field(line):
    return GET + line + b"\r\n\r\n"


BAD_HEADS = {
    # both framings, or one that is not clear
    "length_and_chunked": (400, POST + b"Content-Length: 5\r\n" + TE + CHUNKS),
    "chunked_and_length": (400, POST + TE + b"Content-Length: 5\r\n" + CHUNKS),
    "length_zero_and_chunked": (400, POST + b"Content-Length: 0\r\n" + TE + CHUNKS),
    "length_twice_the_same": (400, length(b"5\r\nContent-Length: 5")),
    "length_twice_differing": (400, length(b"5\r\nContent-Length: 6")),
    "length_list_the_same": (400, length(b"5, 5")),
    "length_list_differing": (400, length(b"5, 6")),
    "length_plus": (400, length(b"+5")),
    "length_minus": (400, length(b"-5")),
    "length_minus_zero": (400, length(b"-0")),
    "length_inner_space": (400, length(b"5 5")),
    "length_hexadecimal": (400, length(b"0x5")),
    "length_decimal_point": (400, length(b"5.0")),
    "length_exponent": (400, length(b"5e0")),
    "length_quoted": (400, length(b'"5"')),
    "length_empty": (400, length(b"")),
    "length_overflow": (400, length(b"18446744073709551621")),
    "length_negative_as_signed": (400, length(b"9223372036854775808")),
    "chunked_not_last": (400, POST + b"Transfer-Encoding: chunked, gzip\r\n" + CHUNKS),
    "chunked_twice": (400, POST + b"Transfer-Encoding: chunked, chunked\r\n" + CHUNKS),
    "chunked_in_two_fields": (400, POST + TE + TE + CHUNKS),
    "chunked_with_identity_behind": (400, POST + TE + b"Transfer-Encoding: identity\r\n" + CHUNKS),
    "unknown_coding": (501, POST + b"Transfer-Encoding: foo, chunked\r\n" + CHUNKS),
    "gzip_chunked": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n" + CHUNKS),
    "unknown_coding_alone": (501, POST + b"Transfer-Encoding: xchunked\r\n" + CHUNKS),
    "coding_with_parameter": (501, POST + b"Transfer-Encoding: chunked;q=1\r\n" + CHUNKS),
    "coding_with_vertical_tab": (400, POST + b"Transfer-Encoding: \x0bchunked\r\n" + CHUNKS),
    "coding_empty_member": (400, POST + b"Transfer-Encoding: ,chunked\r\n" + CHUNKS),
    "chunked_in_http10": (400, b"POST / HTTP/1.0\r\nHost: a\r\n" + TE + CHUNKS),
    # lines and fields
    "fold": (400, field(b"X-A: 1\r\n folded")),
    "fold_with_tab": (400, field(b"X-A: 1\r\n\tfolded")),
    "fold_of_the_coding": (400, POST + b"Transfer-Encoding:\r\n chunked\r\n" + CHUNKS),
    "first_field_folded": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "bare_lf_in_fields": (400, b"GET / HTTP/1.1\r\nHost: a\nX-A: 1\r\n\r\n"),
    "bare_lf_at_the_request_line": (400, b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    "bare_lf_at_the_end": (400, b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    "only_bare_lf": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bare_cr_in_value": (400, field(b"X-A: 1\rX-B: 2")),
    "bare_cr_before_crlf": (400, field(b"X-A: 1\r")),
    "nul_in_value": (400, field(b"X-A: 1\x002")),
    "nul_in_name": (400, field(b"X-\x00A: 1")),
    "control_character_in_value": (400, field(b"X-A: 1\x012")),
    "space_before_colon": (400, field(b"X-A : 1")),
    "tab_before_colon": (400, field(b"X-A\t: 1")),
    "space_before_the_colon_of_the_coding": (400, POST + b"Transfer-Encoding : chunked\r\n"
                                             + CHUNKS),
    "space_in_name": (400, field(b"X A: 1")),
    "empty_name": (400, field(b": 1")),
    "no_colon": (400, field(b"X-A")),
    "name_not_a_token": (400, field(b"X(A): 1")),
    # the request line
    "two_spaces": (400, b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "space_behind_the_version": (400, b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    "space_in_target": (400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "control_character_in_target": (400, b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no_version": (400, b"GET /\r\nHost: a\r\n\r\n"),
    "lower_case_version": (400, b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    "version_with_two_digits": (400, b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    "version_without_minor": (400, b"GET / HTTP/1\r\nHost: a\r\n\r\n"),
    "unknown_version": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "method_not_a_token": (400, b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "relative_target": (400, b"GET path HTTP/1.1\r\nHost: a\r\n\r\n"),
    "asterisk_with_get": (400, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    # Host
    "no_host": (400, b"GET / HTTP/1.1\r\nX-A: 1\r\n\r\n"),
    "two_hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "two_hosts_the_same": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    "host_list": (400, b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    "host_with_a_path": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "host_with_user": (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    # limits
    "long_field": (431, field(b"X-A: " + b"a" * 200_000)),
    "many_fields": (431, GET + b"X-A: 1\r\n" * 20_000 + b"\r\n"),
    "long_target": (414, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "long_target_without_end": (414, b"GET /" + b"a" * 200_000),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_bad_request_head(origin, proxy, connect, name):
    status, raw = BAD_HEADS[name]
    client = connect(proxy)
    client.send_unless_refused(raw + SMUGGLED)
    response = client.receive()
    assert response.status == status, response
    assert response.error
    assert response.get("cache-control") == "no-store"
    assert client.ended() in ("fin", "reset")
    assert origin.received == b""


@pytest.mark.parametrize("name", ["length_and_chunked", "bare_lf_in_fields", "two_hosts"])
def test_bad_request_head_byte_by_byte_is_refused_the_same(origin, proxy, connect, name):
    status, raw = BAD_HEADS[name]
    client = connect(proxy)
    client.send_unless_refused(*(raw[at:at + 1] for at in range(len(raw))))
    assert client.receive().status == status
    assert origin.received == b""


BAD_CHUNKS = {
    "size_not_hexadecimal": b"xyz\r\nhello\r\n",
    "size_with_prefix": b"0x5\r\nhello\r\n",
    "size_with_sign": b"+5\r\nhello\r\n",
    "size_negative": b"-1\r\nhello\r\n",
    "size_with_space_before": b" 5\r\nhello\r\n",
    "size_empty": b"\r\nhello\r\n",
    "size_overflow": b"10000000000000005\r\nhello\r\n",
    "size_overflow_signed": b"8000000000000005\r\nhello\r\n",
    "size_with_bare_lf": b"5\nhello\r\n",
    "size_with_bare_cr": b"5\rhello\r\n",
    "data_longer_than_said": b"5\r\nhello!\r\n",
    "data_with_bare_lf": b"5\r\nhello\n",
    "data_without_end": b"5\r\nhello0\r\n\r\n",
    "extension_with_bare_cr": b"5;a\rb\r\nhello\r\n",
    "extension_with_bare_lf": b"5;a\nb\r\nhello\r\n",
    "extension_with_nul": b"5;a\x00b\r\nhello\r\n",
    "extension_too_long": b"5;" + b"a" * 20_000 + b"\r\nhello\r\n",
    "last_chunk_with_bare_lf": b"5\r\nhello\r\n0\n\n",
    "trailer_with_space_before_colon": b"5\r\nhello\r\n0\r\nX-A : 1\r\n\r\n",
    "trailer_folded": b"5\r\nhello\r\n0\r\nX-A: 1\r\n b\r\n\r\n",
    "trailers_too_long": b"0\r\n" + (b"X-A: " + b"a" * 1000 + b"\r\n") * 500 + b"\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_bad_chunk_in_a_request(origin, proxy, connect, name):
    """The head may have gone up before the fault was seen; a whole request never arrives."""
    client = connect(proxy)
    client.send_unless_refused(POST + TE + b"\r\n" + BAD_CHUNKS[name] + LAST_CHUNK + SMUGGLED)
    response = client.receive()
    assert response.status in ((431, 400) if name == "trailers_too_long" else (400,)), response
    assert client.ended() in ("fin", "reset")
    wait_until(origin.is_left, 5, "the upstream connection closed")
    assert not any(exchange.complete for exchange in origin.exchanges)
    assert "/smuggled" not in origin.targets


def test_connect_makes_no_tunnel(origin, proxy, connect):
    client = connect(proxy)
    client.send(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" + SMUGGLED)
    assert client.receive("CONNECT").status >= 400
    assert client.reader.head() is None, "what follows may be meant for a tunnel"
    assert "/smuggled" not in origin.targets


def test_fields_that_look_like_framing_do_not_frame(origin, proxy, connect):
    client = connect(proxy)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\nX-Transfer-Encoding: chunked"
                b"\r\nContent-Length: 5\r\n\r\nhello")
    assert client.receive().status == 200
    assert origin.exchanges[0].content == b"hello"


# --- Responses ---

OK = b"HTTP/1.1 200 OK\r\n"
FIVE = b"Content-Length: 5\r\n"
PROTOCOL = "http_protocol_error"


def said(line):
    return OK + FIVE + line + b"\r\n\r\nEVIL!"


BAD_RESPONSES = {
    "length_twice_the_same": said(b"Content-Length: 5"),
    "length_twice_differing": said(b"Content-Length: 4"),
    "length_list": OK + b"Content-Length: 5, 5\r\n\r\nEVIL!",
    "length_plus": OK + b"Content-Length: +5\r\n\r\nEVIL!",
    "length_minus": OK + b"Content-Length: -5\r\n\r\nEVIL!",
    "length_hexadecimal": OK + b"Content-Length: 0x5\r\n\r\nEVIL!",
    "length_inner_space": OK + b"Content-Length: 5 5\r\n\r\nEVIL!",
    "length_empty": OK + b"Content-Length:\r\n\r\nEVIL!",
    "length_overflow": OK + b"Content-Length: 18446744073709551621\r\n\r\nEVIL!",
    "chunked_not_last": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nEVIL!\r\n0\r\n\r\n",
    "chunked_twice": OK + TE + TE + b"\r\n5\r\nEVIL!\r\n0\r\n\r\n",
    "fold": said(b"X-A: 1\r\n EVIL"),
    "bare_lf_in_fields": OK + FIVE + b"X-A: 1\nX-B: EVIL\r\n\r\nEVIL!",
    "only_bare_lf": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nEVIL!",
    "bare_cr": said(b"X-A: 1\rX-B: EVIL"),
    "nul": said(b"X-A: \x00EVIL"),
    "control_character": said(b"X-A: \x01EVIL"),
    "space_before_colon": said(b"X-EVIL : 1"),
    "space_in_name": said(b"X EVIL: 1"),
    "no_colon": said(b"X-EVIL"),
    "empty_name": said(b": EVIL"),
    "status_two_digits": b"HTTP/1.1 20 EVIL\r\n" + FIVE + b"\r\nEVIL!",
    "status_four_digits": b"HTTP/1.1 2000 EVIL\r\n" + FIVE + b"\r\nEVIL!",
    "status_zero": b"HTTP/1.1 000 EVIL\r\n" + FIVE + b"\r\nEVIL!",
    "status_too_large": b"HTTP/1.1 999 EVIL\r\n" + FIVE + b"\r\nEVIL!",
    "status_not_a_number": b"HTTP/1.1 2x0 EVIL\r\n" + FIVE + b"\r\nEVIL!",
    "unknown_version": b"HTTP/2.0 200 EVIL\r\n" + FIVE + b"\r\nEVIL!",
    "lower_case_version": b"http/1.1 200 EVIL\r\n" + FIVE + b"\r\nEVIL!",
    "no_http": b"EVIL bytes of something else\r\n\r\n",
    "nul_in_reason": b"HTTP/1.1 200 \x00EVIL\r\n" + FIVE + b"\r\nEVIL!",
    "leading_empty_lines": b"\r\n\r\n" + OK + FIVE + b"\r\nEVIL!",
    "unasked_101": b"HTTP/1.1 101 EVIL\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nEVIL",
}
OTHER_ERRORS = {
    "unknown_coding": (OK + b"Transfer-Encoding: foo, chunked\r\n\r\n5\r\nEVIL!\r\n0\r\n\r\n",
                       "http_response_transfer_coding"),
    "long_field": (said(b"X-A: " + b"EVIL" * 100_000), "http_response_header_section_size"),
    "many_fields": (OK + FIVE + b"X-A: EVIL\r\n" * 20_000 + b"\r\nEVIL!",
                    "http_response_header_section_size"),
}
ALL_BAD_RESPONSES = {**{name: (raw, PROTOCOL) for name, raw in BAD_RESPONSES.items()},
                     **OTHER_ERRORS}


@pytest.mark.parametrize("name", ALL_BAD_RESPONSES)
def test_bad_response_head(origin, proxy, connect, name):
    raw, error = ALL_BAD_RESPONSES[name]
    origin.at[1, 1] = answer(raw, label=False)
    response = connect(proxy).get()
    assert response.status == 502, response
    assert response.error == error
    assert b"EVIL" not in response.head.raw + response.body
    after = connect(proxy).get()
    assert (after.status, after.connection) == (200, 2)
    assert len(origin.exchanges) == 2, "a bad response is not asked for again"


BAD_RESPONSE_CHUNKS = {
    "size_not_hexadecimal": b"xyz\r\nEVIL!\r\n",
    "size_overflow": b"10000000000000005\r\nEVIL!\r\n",
    "size_with_bare_lf": b"5\nEVIL!\r\n",
    "size_negative": b"-5\r\nEVIL!\r\n",
    "data_with_bare_lf": b"4\r\ngood\nEVIL",
    "data_longer_than_said": b"4\r\ngoodEVIL\r\n",
    "extension_with_nul": b"5;\x00\r\nEVIL!\r\n",
}


@pytest.mark.parametrize("name", BAD_RESPONSE_CHUNKS)
def test_bad_chunk_in_a_response_cuts_it(origin, proxy, connect, name):
    origin.at[1, 1] = answer(OK + TE + b"\r\n" + chunk(b"good") + BAD_RESPONSE_CHUNKS[name]
                             + LAST_CHUNK)
    client = connect(proxy)
    response = client.get()
    assert response.status == 502 or not response.complete
    assert b"EVIL" not in response.body
    assert connect(proxy).get().connection == 2
