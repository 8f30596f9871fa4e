# SPDX-License-Identifier: MIT
"""Authentication that is bound to the connection: whoever got that connection next would speak as
somebody else, so it is never given to another request."""

import pytest

from origin import answer


@pytest.mark.parametrize("credentials", ["NTLM TlRMTVNTUAAB", "Negotiate YIIJvwYG", "negotiate x"])
def test_connection_that_carried_credentials_is_not_shared(origin, proxy, connect, credentials):
    client = connect(proxy)
    assert client.get("/", f"Authorization: {credentials}").connection == 1
    assert client.get().connection == 2
    assert proxy.not_kept()["private"] == 1


@pytest.mark.parametrize("challenge", ["Negotiate", "NTLM TlRMTVNTUAAC"])
def test_connection_that_carried_a_challenge_is_not_shared(origin, proxy, connect, challenge):
    origin.at[1, 1] = answer(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=a\r\n"
                             b"WWW-Authenticate: %s\r\nContent-Length: 0\r\n\r\n"
                             % challenge.encode())
    client = connect(proxy)
    assert client.get().status == 401
    assert client.get().connection == 2
    assert proxy.not_kept()["private"] == 1


@pytest.mark.parametrize("credentials", ["Basic dXNlcjpwYXNz", "Bearer NTLM", "NTLMv9 x"])
def test_other_credentials_belong_to_their_request(origin, proxy, connect, credentials):
    client = connect(proxy)
    assert client.get("/", f"Authorization: {credentials}").connection == 1
    assert client.get().connection == 1
