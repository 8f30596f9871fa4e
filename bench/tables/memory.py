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
import tempfile

from lib import text
from lib.children import Child, Failed, free_ports
from lib.proxies import PROXIES, find_program

NAME = "memory"
HEAD = ["proxy", "idle downstream", "bytes each", "kernel each", "idle upstream", "bytes each",
        "kernel each"]
WARM_UP_REQUESTS = 20


def add_arguments(parser):
    parser.add_argument("--downstream", type=int, default=10000, help="clients (default: 10000)")
    parser.add_argument("--upstream", type=int, default=1000, help="servers (default: 1000)")


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


def raise_limits(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        raise Failed(f"needs {wanted} descriptors; ulimit -n allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def run(options):
    """Prints the table."""
    raise_limits(options.downstream + options.upstream + 1000)
    rows, result = [], {"table": NAME, "proxies": []}
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="weir-bench-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        origin_port, = free_ports(1)
        program = os.path.abspath(os.path.join(options.build, "bench/origin"))
        origin = Child("origin", [program, "--listen", f"0.0.0.0:{origin_port}"], directory)
        stack.callback(origin.stop)
        origin.wait_ready(origin_port)
        for proxy in (one for one in PROXIES if one.kind == "weir"):
            down = measure_downstream(options, proxy, origin_port)
            up = measure_upstream(options, proxy, origin_port)
            result["proxies"].append({
                "name": proxy.name,
                "downstream": {"count": options.downstream, "bytes": down[0], "kernel": down[1]},
                "upstream": {"count": options.upstream, "bytes": up[0], "kernel": up[1]}})
            rows.append([proxy.name, str(options.downstream), *(text.number(n, 0) for n in down),
                         str(options.upstream), *(text.number(n, 0) for n in up)])
    print("\n".join(text.columns(HEAD, rows)))
    path = os.path.join(options.build, "bench", f"{NAME}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    print(f"\n{path} written")
    return 0
