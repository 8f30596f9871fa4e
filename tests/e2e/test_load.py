# SPDX-License-Identifier: MIT
"""wrk against weir in front of nginx: no errors, and hardly a connection opened.

WEIR_LOAD_SECONDS sets how long (the acceptance run: 10).
"""

import os
import re
import subprocess

import pytest

from servers import find
from weir import one_upstream

SECONDS = int(os.environ.get("WEIR_LOAD_SECONDS", "2"))


def wrk(address, connections, *more):
    """Run wrk; how many requests were answered. Any error fails."""
    done = subprocess.run([find("wrk"), "-t1", f"-c{connections}", f"-d{SECONDS}s", *more,
                           f"http://{address}/hello.txt"], capture_output=True, text=True,
                          check=True)
    assert "Socket errors" not in done.stdout, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout
    return int(re.search(r"(\d+) requests in", done.stdout).group(1))


@pytest.mark.parametrize("threads", [1, 2])
def test_64_clients_open_at_most_64_connections_a_worker(weir, server, threads):
    nginx = server("nginx")
    proxy = weir(one_upstream(nginx.address, threads=threads, upstream_keepalive_pool_size=128))
    answered = wrk(proxy.address, 64)
    metrics = proxy.metrics()
    opened = metrics.value("weir_upstream_connections_opened_total")
    new = metrics.value("weir_upstream_requests_total", connection="new")
    sent = metrics.value("weir_upstream_requests_total")
    # Who dials may be given a connection that became free first; the dialled one is kept.
    assert 0 < opened <= 2 * 64
    assert new <= opened
    assert sent >= answered > 0, "wrk does not count what it cut off at the end"
    assert metrics.value("weir_requests_total") == metrics.value("weir_requests_total", code="200")
    assert metrics.value("weir_retries_total") == 0


def test_connection_per_request_at_the_client_does_not_reach_the_server(weir, server):
    nginx = server("nginx")
    proxy = weir(one_upstream(nginx.address))
    answered = wrk(proxy.address, 16, "-H", "Connection: close")
    assert answered > 0
    assert proxy.metric("weir_upstream_connections_opened_total") <= 16


def test_more_clients_than_the_pool_keeps(weir, server):
    """Eviction under load: still no error."""
    nginx = server("nginx")
    proxy = weir(one_upstream(nginx.address, upstream_keepalive_pool_size=8))
    assert wrk(proxy.address, 64) > 0
    metrics = proxy.metrics()
    assert metrics.value("weir_pool_idle_connections") <= 8
