# SPDX-License-Identifier: MIT
"""How many requests find a connection: many workers, many origins, sparse traffic.

Each request comes on a connection of its own, so that any worker may get it, and goes to an origin
that chance picks. Counted at the origins: connections accepted and requests answered.
"""

import contextlib
import http.client
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time

from lib import machine, text
from lib.children import Child, Failed, free_ports
from lib.proxies import PROXIES, find_program, version_of

NAME = "reuse"
HEAD = ["proxy", "requests", "failed", "new connections", "reused %", "new a second", "of nginx's"]
LOADERS = 4


def add_arguments(parser):
    parser.add_argument("--workers", type=int, default=16, help="of each proxy (default: 16)")
    parser.add_argument("--origins", type=int, default=200, help="(default: 200)")
    parser.add_argument("--rate", type=int, default=100, help="requests a second (default: 100)")
    parser.add_argument("--warm-up", type=int, default=10, help="seconds (default: 10)")
    parser.add_argument("--seconds", type=int, default=30, help="that count (default: 30)")


def address(number, port):
    return f"127.0.{1 + number // 250}.{1 + number % 250}:{port}"


def weir_config(options, port, origin_port, _directory):
    count = range(options.origins)
    routes = "".join(f"      - {{ host: o{i}.test, upstream: o{i} }}\n" for i in count)
    upstreams = "".join(f"      o{i}: http://{address(i, origin_port)}\n" for i in count)
    return (f"version: 1\nthreads: {options.workers}\naccess_log: off\nservices:\n  - name: bench\n"
            f"    listen: [ 127.0.0.1:{port} ]\n    upstream_keepalive_pool_size: 1024\n"
            f"    routes:\n{routes}    upstreams:\n{upstreams}")


def nginx_config(options, port, origin_port, directory):
    blocks = "".join(
        f"upstream o{i} {{ server {address(i, origin_port)}; keepalive 64; "
        f"keepalive_timeout 60s; keepalive_requests 1000000; }}\n"
        f"server {{ listen 127.0.0.1:{port}; server_name o{i}.test; location / {{ "
        f"proxy_pass http://o{i}; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}\n"
        for i in range(options.origins))
    temporary = "".join(f"{name}_temp_path {directory}/{name};\n" for name in (
        "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return (f"daemon off; worker_processes {options.workers}; pid {directory}/nginx.pid;\n"
            "error_log stderr error; worker_rlimit_nofile 16384;\n"
            "events { worker_connections 4096; }\n"
            "http { access_log off; server_names_hash_max_size 4096;\n"
            f"{temporary}{blocks}}}\n")


def haproxy_config(options, port, origin_port, _directory):
    backends = "".join(
        f"backend o{i}.test\n    server s {address(i, origin_port)} pool-max-conn 1024 "
        "pool-purge-delay 60s\n" for i in range(options.origins))
    return (f"global\n    nbthread {options.workers}\n    maxconn 4096\ndefaults\n    mode http\n"
            "    no log\n    option http-keep-alive\n    http-reuse always\n"
            "    timeout connect 5s\n    timeout client 75s\n    timeout server 75s\n"
            f"frontend bench\n    bind 127.0.0.1:{port}\n"
            "    use_backend %[req.hdr(host),lower]\n"
            f"{backends}")


CONFIGS = {"weir-epoll": weir_config, "weir-uring": weir_config, "nginx": nginx_config,
           "haproxy": haproxy_config}


def ask(port, origin):
    """One request on a connection of its own; whether it was answered well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/75", headers={"Host": f"o{origin}.test",
                                                  "Connection": "close"})
        response = connection.getresponse()
        response.read()
        return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Load:
    """Requests that come by chance, so many a second; what failed is counted."""

    def __init__(self, port, options, seconds, seed):
        self.port, self.options, self.failed, self.sent = port, options, 0, 0
        self.lock = threading.Lock()
        threads = [threading.Thread(target=self.run, args=(seconds, seed + i))
                   for i in range(LOADERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run(self, seconds, seed):
        chance = random.Random(seed)
        rate = self.options.rate / LOADERS
        due = time.monotonic()
        for _ in range(int(seconds * rate)):
            due += chance.expovariate(rate)
            time.sleep(max(0, due - time.monotonic()))
            good = ask(self.port, chance.randrange(self.options.origins))
            with self.lock:
                self.sent += 1
                self.failed += not good


class Origins:
    """One program on many addresses."""

    def __init__(self, options, directory):
        self.port, = free_ports(1)
        program = os.path.abspath(os.path.join(options.build, "bench/origin"))
        self.child = Child("origin", [program, "--listen", f"0.0.0.0:{self.port}"], directory)
        self.child.wait_ready(self.port)
        self.asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)

    def accepted(self):
        self.asking.request("GET", "/served")
        return int(self.asking.getresponse().read().split()[3])


def measure(options, proxy, origins):
    """(requests, failed, new connections) of the seconds that count."""
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="weir-bench-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        port, = free_ports(1)
        config = os.path.join(directory, "config")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIGS[proxy.name](options, port, origins.port, directory))
        marks = {"@CONFIG@": config, "@DIR@": directory}
        argv = [find_program(proxy, options.build)] + [marks.get(w, w) for w in proxy.argv]
        child = Child(proxy.name, argv, directory)
        stack.callback(child.stop)
        child.wait_ready(port)
        for origin in range(options.origins):
            ask(port, origin)
        Load(port, options, options.warm_up, 1)
        before = origins.accepted()
        load = Load(port, options, options.seconds, 1000)
        return load.sent, load.failed, origins.accepted() - before


def run(options):
    """Prints the table; 1 if a request failed."""
    rows, results = [], []
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="weir-bench-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        for proxy in (one for one in PROXIES if one.name in CONFIGS):
            program = find_program(proxy, options.build)
            if not program:
                print(f"{proxy.name} is not here")
                continue
            origins = Origins(options, directory)
            try:
                sent, failed, new = measure(options, proxy, origins)
            except (Failed, subprocess.SubprocessError) as why:
                if not proxy.optional:
                    raise
                print(f"{proxy.name} is left out: {why}")
                continue
            finally:
                origins.child.stop()
            version = version_of(program, proxy.version_argv) if proxy.version_argv else ""
            results.append({"name": proxy.name, "version": version, "requests": sent,
                            "failed": failed, "new": new})
    nginx = next((r["new"] for r in results if r["name"] == "nginx"), 0)
    for one in results:
        share = 100 * (1 - one["new"] / one["requests"])
        rows.append([f"{one['name']} {one['version']}", str(one["requests"]), str(one["failed"]),
                     str(one["new"]), text.number(share, 3),
                     text.number(one["new"] / options.seconds, 2),
                     text.number(one["new"] / nginx, 4) if nginx else "-"])
    print(f"{options.workers} workers, {options.origins} origins, {options.rate} requests a second "
          f"for {options.seconds} s after {options.warm_up} s\n")
    print("\n".join(text.columns(HEAD, rows)))
    path = os.path.join(options.build, "bench", f"{NAME}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"table": NAME, "machine": machine.describe(), "workers": options.workers,
                   "origins": options.origins, "rate": options.rate, "seconds": options.seconds,
                   "proxies": results}, file, indent=1)
    print(f"\n{path} written")
    return 1 if any(one["failed"] for one in results) else 0
