# SPDX-License-Identifier: MIT
"""What connections at rest cost in memory: weir on both backends.

Growth of the process's own memory (Private_Dirty: io_uring's buffers are in it) divided by the
connections that were added. Downstream: clients that made one request each and stay. Upstream: one
connection to each of many servers, made by one request at a time, so that nothing else grows.
"""

import contextlib
import json
import os
import resource
import shutil
import socket
import ssl
import tempfile
import time
import urllib.request

from lib import certificate, text
from lib.children import Child, Failed, free_ports
from lib.proxies import PROXIES, find_program

NAME = "memory"
HEAD = ["proxy", "idle downstream", "bytes each", "kernel each", "idle upstream", "bytes each",
        "kernel each"]
TLS_HEAD = ["proxy", "TLS connections", "idle downstream, bytes each",
            "pooled upstream, bytes each"]
WARM_UP_REQUESTS = 20


def add_arguments(parser):
    parser.add_argument("--downstream", type=int, default=10000, help="clients (default: 10000)")
    parser.add_argument("--upstream", type=int, default=1000, help="servers (default: 1000)")
    parser.add_argument("--tls", type=int, default=500,
                        help="connections over TLS on each side (default: 500)")


def dirty_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) * 1024
    raise Failed(f"process {pid} tells nothing of its memory")


def slab_bytes():
    """The kernel's small objects, of the whole machine: sockets of both ends are among them."""
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        return next(int(line.split()[1]) * 1024 for line in meminfo if line.startswith("Slab:"))


def ask(connection):
    """One request; the response is read to its last byte."""
    connection.sendall(b"GET /75 HTTP/1.1\r\nHost: bench\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = connection.recv(4096)
        if not piece:
            raise Failed("a connection ended without an answer")
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200"):
        raise Failed(f"answered with {answer[:40]!r}")
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(4096)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def servers(count, port):
    """So many addresses of one listener."""
    return [f"127.0.{1 + i // 250}.{1 + i % 250}:{port}" for i in range(count)]


def write_config(directory, port, addresses):
    path = os.path.join(directory, "weir.yaml")
    with open(path, "w", encoding="utf-8") as config:
        config.write("version: 1\nthreads: 1\naccess_log: off\n"
                     "upstream_keepalive_pool_size: 100000\n"
                     "services:\n  - name: bench\n"
                     f"    listen: [ 127.0.0.1:{port} ]\n"
                     "    keepalive_timeout: 600s\n"
                     "    routes: [ { upstream: web } ]\n"
                     "    upstreams: { web: { idle_timeout: 600s, servers: ["
                     + ", ".join(addresses) + "] } }\n")
    return path


@contextlib.contextmanager
def weir(options, proxy, addresses):
    """A running weir over these servers; (pid, port)."""
    directory = tempfile.mkdtemp(prefix="weir-bench-")
    port, = free_ports(1)
    config = write_config(directory, port, addresses)
    argv = [find_program(proxy, options.build)]
    argv += [config if word == "@CONFIG@" else word for word in proxy.argv]
    child = Child(proxy.name, argv, directory)
    try:
        child.wait_ready(port)
        yield child.pid, port
    finally:
        child.stop()
        shutil.rmtree(directory, ignore_errors=True)


def grow(pid, count, step):
    """Bytes of ours and of the kernel's for each of `count` calls of step()."""
    before, kernel_before = dirty_bytes(pid), slab_bytes()
    for _ in range(count):
        step()
    return ((dirty_bytes(pid) - before) / count, (slab_bytes() - kernel_before) / count)


def measure_downstream(options, proxy, origin_port):
    with contextlib.ExitStack() as stack:
        pid, port = stack.enter_context(weir(options, proxy, servers(1, origin_port)))

        def come():
            client = stack.enter_context(connect(port))
            ask(client)

        for _ in range(WARM_UP_REQUESTS):
            come()
        return grow(pid, options.downstream, come)


def measure_upstream(options, proxy, origin_port):
    addresses = servers(options.upstream + WARM_UP_REQUESTS, origin_port)
    with weir(options, proxy, addresses) as (pid, port), connect(port) as client:
        for _ in range(WARM_UP_REQUESTS):
            ask(client)
        return grow(pid, options.upstream, lambda: ask(client))


# --- TLS ---


def tls_config(directory, port, admin_port, origin_port, count, files):
    path = os.path.join(directory, "weir.yaml")
    with open(path, "w", encoding="utf-8") as config:
        config.write("version: 1\nthreads: 1\naccess_log: off\n"
                     "upstream_keepalive_pool_size: 100000\n"
                     f"admin: {{ listen: 127.0.0.1:{admin_port} }}\n"
                     "services:\n  - name: bench\n    keepalive_timeout: 600s\n"
                     f"    listen: [ {{ address: 127.0.0.1:{port},"
                     f" tls: {{ cert: {files.cert}, key: {files.key} }} }} ]\n"
                     f"    upstream: {{ servers: [ 127.0.0.1:{origin_port} ], idle_timeout: 600s,"
                     f" min_idle: {count}, tls: {{ ca: {files.ca}, sni: {certificate.NAME} }} }}\n")
    return path


def idle_connections(admin_port):
    with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/metrics", timeout=10) as page:
        for line in page.read().decode().splitlines():
            if line.startswith("weir_pool_idle_connections{"):
                return int(line.split()[-1])
    raise Failed("no weir_pool_idle_connections")


def wait_idle(admin_port, count, seconds=120):
    end = time.monotonic() + seconds
    while idle_connections(admin_port) < count:
        if time.monotonic() > end:
            raise Failed(f"not {count} idle connections in {seconds} s")
        time.sleep(0.1)


def measure_tls(options, proxy, origin_port, files):
    """Bytes of each idle connection over TLS: of a client, and pooled (dialled ahead)."""
    directory = tempfile.mkdtemp(prefix="weir-bench-")
    port, admin_port = free_ports(2)
    config = tls_config(directory, port, admin_port, origin_port, options.tls, files)
    argv = [find_program(proxy, options.build)]
    argv += [config if word == "@CONFIG@" else word for word in proxy.argv]
    child = Child(proxy.name, argv, directory)
    context = ssl.create_default_context(cafile=files.ca)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.callback(child.stop)
        child.wait_ready(port)
        wait_idle(admin_port, WARM_UP_REQUESTS)
        first, before = idle_connections(admin_port), dirty_bytes(child.pid)
        wait_idle(admin_port, options.tls)
        pooled = (dirty_bytes(child.pid) - before) / (options.tls - first)

        def come():
            plain = stack.enter_context(connect(port))
            ask(stack.enter_context(context.wrap_socket(plain, server_hostname=certificate.NAME)))

        for _ in range(WARM_UP_REQUESTS):
            come()
        return grow(child.pid, options.tls, come)[0], pooled


def raise_limits(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        raise Failed(f"needs {wanted} descriptors; ulimit -n allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def start_origin(options, directory, files):
    """(its port, its port for TLS, the child)"""
    port, tls_port = free_ports(2)
    program = os.path.abspath(os.path.join(options.build, "bench/origin"))
    argv = [program, "--listen", f"0.0.0.0:{port}",
            "--tls", f"127.0.0.1:{tls_port}", files.cert, files.key]
    child = Child("origin", argv, directory)
    child.wait_ready(port)
    return port, tls_port, child


def print_tables(options, proxies):
    rows = [[one["name"],
             *(word for side in ("downstream", "upstream")
               for word in (str(one[side]["count"]), text.number(one[side]["bytes"], 0),
                            text.number(one[side]["kernel"], 0)))] for one in proxies]
    print("\n".join(text.columns(HEAD, rows)))
    rows = [[one["name"], str(options.tls), text.number(one["tls"]["downstream"], 0),
             text.number(one["tls"]["upstream"], 0)] for one in proxies]
    print("\n" + "\n".join(text.columns(TLS_HEAD, rows)))


def measure(options, proxy, ports, files):
    down = measure_downstream(options, proxy, ports[0])
    up = measure_upstream(options, proxy, ports[0])
    tls = measure_tls(options, proxy, ports[1], files)
    return {"name": proxy.name,
            "downstream": {"count": options.downstream, "bytes": down[0], "kernel": down[1]},
            "upstream": {"count": options.upstream, "bytes": up[0], "kernel": up[1]},
            "tls": {"count": options.tls, "downstream": tls[0], "upstream": tls[1]}}


def run(options):
    """Prints the tables."""
    raise_limits(options.downstream + options.upstream + 1000)
    result = {"table": NAME, "proxies": []}
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="weir-bench-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        files = certificate.make(directory)
        *ports, origin = start_origin(options, directory, files)
        stack.callback(origin.stop)
        for proxy in (one for one in PROXIES if one.kind == "weir"):
            result["proxies"].append(measure(options, proxy, ports, files))
    print_tables(options, result["proxies"])
    path = os.path.join(options.build, "bench", f"{NAME}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    print(f"\n{path} written")
    return 0
