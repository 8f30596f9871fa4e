# SPDX-License-Identifier: MIT
"""The admin pages: health, readiness, metrics and pools."""

import threading

import yaml

import sockets
from client import get_once, request
from waiting import wait_until
from weir import one_upstream

METRICS = {
    "weir_requests_total": "counter",
    "weir_request_duration_seconds": "histogram",
    "weir_downstream_connections": "gauge",
    "weir_downstream_requests_total": "counter",
    "weir_downstream_h2_floods_total": "counter",
    "weir_auth_requests_total": "counter",
    "weir_mirrored_requests_total": "counter",
    "weir_subrequests_total": "counter",
    "weir_program_faults_total": "counter",
    "weir_upstream_requests_total": "counter",
    "weir_upstream_connections_opened_total": "counter",
    "weir_upstream_connections_closed_total": "counter",
    "weir_upstream_connect_duration_seconds": "histogram",
    "weir_upstream_connect_errors_total": "counter",
    "weir_upstream_goaways_total": "counter",
    "weir_upstream_h2_pings_total": "counter",
    "weir_upstream_h2_floods_total": "counter",
    "weir_pool_idle_connections": "gauge",
    "weir_pool_in_use_connections": "gauge",
    "weir_pool_streams": "gauge",
    "weir_pool_dialling_connections": "gauge",
    "weir_pool_not_kept_total": "counter",
    "weir_pool_unexpected_data_total": "counter",
    "weir_pool_idle_age_seconds": "histogram",
    "weir_retries_total": "counter",
}


def test_health_and_ready(proxy):
    for path in ("/health", "/ready"):
        assert get_once(proxy.admin, path).status == 200


def test_other_paths_are_404_and_other_methods_do_nothing(proxy, connect):
    assert get_once(proxy.admin, "/nothing").status == 404
    assert connect(proxy.admin).request("POST", "/metrics", body=b"x").status in (404, 405, 501)


def test_head_of_a_page(proxy, connect):
    client = connect(proxy.admin)
    response = client.request("HEAD", "/metrics")
    assert response.status == 200
    assert client.get("/health").status == 200


def test_metrics_have_their_names_kinds_and_help(proxy, connect):
    connect(proxy).get()
    response = get_once(proxy.admin, "/metrics")
    assert response.get("content-type").startswith("text/plain")
    metrics = proxy.metrics()
    assert {name: metrics.kinds.get(name) for name in METRICS} == METRICS
    assert all(metrics.help.get(name) for name in metrics.kinds)


def test_metrics_bear_their_labels(proxy, connect):
    connect(proxy).get()
    proxy.wait_idle(1)
    metrics = proxy.metrics()
    assert metrics.value("weir_requests_total", service="edge", code="200") == 1
    web = {"service": "edge", "upstream": "web"}
    assert metrics.value("weir_upstream_requests_total", connection="new", **web) == 1
    assert metrics.value("weir_upstream_connections_opened_total", **web) == 1
    assert metrics.value("weir_pool_idle_connections", protocol="http/1.1", **web) == 1
    assert metrics.value("weir_upstream_connect_duration_seconds_count", **web) == 1


def test_histograms_add_up(proxy, connect):
    client = connect(proxy)
    for _ in range(5):
        client.get()
    proxy.wait_metric(5, "weir_request_duration_seconds_count", service="edge")
    metrics = proxy.metrics()
    for name, count in (("weir_request_duration_seconds", 5), ("weir_pool_idle_age_seconds", 4)):
        buckets = sorted((float(dict(pairs)["le"]), value)
                         for (sample, pairs), value in metrics.samples.items()
                         if sample == name + "_bucket")
        assert buckets[-1] == (float("inf"), count)
        assert [value for _, value in buckets] == sorted(value for _, value in buckets)
        assert metrics.value(name + "_sum") > 0


def test_downstream_connections_gauge_follows(proxy, connect):
    clients = [connect(proxy) for _ in range(3)]
    for client in clients:
        client.get()
    proxy.wait_metric(3, "weir_downstream_connections", service="edge")
    clients[0].close()
    proxy.wait_metric(2, "weir_downstream_connections", service="edge")


def test_gauges_and_counters_balance(origin, proxy, connect):
    """opened - closed = idle + in use, at rest and within a request."""
    go = threading.Event()
    origin.paths["/hold"] = lambda exchange: (exchange.hold(go), exchange.respond())
    client = connect(proxy)
    connect(proxy).send(request(target="/hold"))
    wait_until(lambda: origin.exchanges)
    client.get()
    metrics = proxy.metrics()
    gauges = [metrics.value(f"weir_pool_{state}_connections")
              for state in ("idle", "in_use", "dialling")]
    assert gauges == [1, 1, 0]
    assert metrics.value("weir_upstream_connections_opened_total") - metrics.value(
        "weir_upstream_connections_closed_total") == 2
    go.set()
    proxy.wait_idle(2)


def test_pools_page_has_its_shape(origin, proxy, connect):
    connect(proxy).get()
    proxy.wait_idle(1)
    pools = proxy.pools()
    assert isinstance(pools["version"], str) and pools["uptime_ms"] >= 0
    (service,) = pools["services"]
    assert service["name"] == "edge"
    assert service["pool"] == {"size": 128, "idle": 1, "in_use": 0}
    (peer,) = service["peers"]
    expected = {"upstream": "web", "address": origin.address, "protocol": "http/1.1", "tls": False,
                "idle": 1, "in_use": 0, "streams": 0, "dialling": 0, "waiting": 0, "opened": 1,
                "reused": 0, "taken_over": 0, "learned_idle_timeout_ms": None,
                "learned_max_requests": None}
    assert {key: peer[key] for key in expected} == expected
    (connection,) = peer["connections"]
    assert connection["state"] == "idle" and connection["requests"] == 1
    assert connection["protocol"] == "http/1.1" and connection["streams"] is None
    assert connection["worker"] == 0 and connection["id"] > 0
    assert connection["age_ms"] >= connection["idle_ms"] >= 0


def test_connection_ids_are_never_used_again(weir, origin, connect):
    proxy = weir(one_upstream(origin.address, upstream={"max_requests_per_connection": 1}))
    client = connect(proxy)
    for _ in range(10):
        client.get()
    assert len({line["connection_id"] for line in proxy.logged(10)}) == 10


def test_without_admin_there_are_no_pages(origin, weir, tmp_path):
    listen = sockets.free_address()
    config = one_upstream(origin.address, service={"listen": [listen]})
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(config))
    weir(arguments=["-c", str(tmp_path / "plain.yaml")], ready=listen)
    assert get_once(listen, "/metrics").body == b"GET /metrics\n", "it is the origin's"
