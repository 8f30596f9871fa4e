# SPDX-License-Identifier: MIT
"""h2load and nghttp before weir, nginx behind it: no errors, and hardly a connection opened.

WEIR_H2_REQUESTS sets how many (the acceptance run: 100000).
"""

import os
import re
import subprocess

import pytest

import tls
from servers import HELLO, LARGE, find
from waiting import PATIENCE
from weir import one_upstream

REQUESTS = int(os.environ.get("WEIR_H2_REQUESTS", "5000"))


def h2load(url, requests=REQUESTS, connections=10, streams=32, more=()):
    """Run h2load; any request that is not answered with 2xx fails."""
    done = subprocess.run([find("h2load"), "-n", str(requests), "-c", str(connections), "-m",
                           str(streams), *more, url],
                          capture_output=True, text=True, check=True, timeout=120 * PATIENCE)
    assert f"{requests} succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout
    assert f"status codes: {requests} 2xx" in done.stdout, done.stdout
    return done.stdout


@pytest.mark.parametrize("threads", [1, 2])
def test_hardly_more_upstream_connections_than_streams_at_once(weir, server, threads):
    nginx = server("nginx")
    proxy = weir(one_upstream(nginx.address, threads=threads, upstream_keepalive_pool_size=512))
    h2load(f"http://{proxy.address}/hello.txt")
    metrics = proxy.metrics()
    assert metrics.by("weir_downstream_requests_total", "protocol") == {"h2": REQUESTS}
    assert metrics.value("weir_requests_total", code="200") == REQUESTS
    opened = metrics.value("weir_upstream_connections_opened_total")
    new = metrics.value("weir_upstream_requests_total", connection="new")
    # Who dials may be given a connection that became free first; the dialled one is kept.
    assert 0 < opened <= 2 * 320 and new <= opened
    assert metrics.value("weir_retries_total") == 0
    assert metrics.by("weir_downstream_h2_floods_total", "kind") == {}
    proxy.wait_metric(0, "weir_pool_in_use_connections")
    proxy.wait_metric(0, "weir_downstream_connections")


def test_few_upstream_connections_serve_many_streams(weir, server):
    """With a limit the streams wait for each other, and none is lost."""
    nginx = server("nginx")
    proxy = weir(one_upstream(nginx.address, upstream={
        "max_connections": 8, "queue": {"size": 1024, "timeout": "20s"}}))
    h2load(f"http://{proxy.address}/hello.txt")
    metrics = proxy.metrics()
    assert metrics.value("weir_upstream_connections_opened_total") <= 8
    assert metrics.value("weir_upstream_requests_total", connection="reused") >= REQUESTS - 8


def test_over_tls(weir, server, edge_certificate):
    nginx = server("nginx")
    proxy = weir(tls.from_tls(edge_certificate, nginx.address))
    out = h2load(f"https://{proxy.address}/hello.txt")
    assert "Application protocol: h2" in out, out


def test_large_responses_through_narrow_windows(weir, server):
    """Windows of 1 KiB and 2 KiB: hardly a frame that does not wait for one."""
    nginx = server("nginx")
    proxy = weir(one_upstream(nginx.address))
    out = h2load(f"http://{proxy.address}/large.txt", requests=200, connections=4, streams=8,
                 more=["-w10", "-W11"])
    assert int(re.search(r"\((\d+)\) data", out)[1]) == 200 * len(LARGE), out


def test_uploads(weir, origin, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(LARGE)
    proxy = weir(one_upstream(origin.address))
    h2load(f"http://{proxy.address}/", requests=200, connections=4, streams=8,
           more=["-d", str(body)])
    assert {len(exchange.content) for exchange in origin.exchanges} == {len(LARGE)}


def test_nghttp_gets_with_every_option(weir, server):
    nginx = server("nginx")
    proxy = weir(one_upstream(nginx.address))
    for options in ([], ["--window-bits=1"], ["--padding=200"], ["--header-table-size=0"],
                    ["--no-dep"]):
        done = subprocess.run([find("nghttp"), *options, f"http://{proxy.address}/hello.txt"],
                              capture_output=True, check=True, timeout=20 * PATIENCE)
        assert done.stdout == HELLO, (options, done)
