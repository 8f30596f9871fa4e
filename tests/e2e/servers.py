# SPDX-License-Identifier: MIT
"""Real servers as origins, each with a configuration of our own on a free port: nginx, caddy, node,
nghttpd.

All of them serve the same: /hello.txt (with validators), /large.txt (chunked when gzip is asked
for), /echo where they can. With `certificate`, nginx and caddy speak TLS, and tell of it in X-TLS:
whether the session was resumed, the version, and the name that was asked for. With `http2` they
speak HTTP/2: by prior knowledge without `certificate`, else by ALPN. nghttpd knows nothing else.
"""

import os
import pathlib
import random
import shutil
import subprocess

import sockets
from waiting import wait_until

PACKAGES = {"nginx": "nginx-light", "caddy": "caddy", "node": "nodejs", "curl": "curl",
            "wrk": "wrk", "dnsmasq": "dnsmasq-base", "openssl": "openssl",
            "nghttp": "nghttp2-client", "h2load": "nghttp2-client", "nghttpd": "nghttp2-server"}
HELLO = b"hello from a file\n"
LARGE = random.Random(1).randbytes(1 << 16).hex().encode()  # too much for gzip to make small


def find(name):
    """The path of a program that the tests need; failing says which package brings it."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
    assert path, f"{name} is not installed: apt-get install {PACKAGES[name]} (see deps.txt)"
    return path


class Server:
    """A running server process; `address` is where it listens."""

    def __init__(self, directory, command, address, environment=None):
        self.address = address
        self.log = directory / "server.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=directory,
                                            env={**os.environ, **(environment or {})})
        wait_until(self.is_ready, 15, f"{command[0]} listening")

    def is_ready(self):
        assert self.process.poll() is None, f"it ended:\n{self.log.read_text()}"
        return sockets.accepts(self.address)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def document_root(directory):
    root = directory / "root"
    root.mkdir(exist_ok=True)
    (root / "hello.txt").write_bytes(HELLO)
    (root / "large.txt").write_bytes(LARGE)
    return root


NGINX = """
daemon off; master_process off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    types {{ text/plain txt; }}
    keepalive_requests 1000000000; keepalive_timeout {keepalive_timeout};
    gzip on; gzip_types text/plain; gzip_proxied any;
    server {{ listen {address}{http2}{tls}; root {root}; {more} }}
}}
"""
NGINX_TLS = """ ssl;
        ssl_certificate {cert}; ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:sessions:1m;
        add_header X-TLS "$ssl_session_reused $ssl_protocol $ssl_server_name" always;
        add_header X-Connection $connection always;
        add_header X-Request $connection_requests always"""


def nginx(directory, keepalive_timeout="75s", more="", certificate=None, http2=False):
    address = sockets.free_address()
    config = directory / "nginx.conf"
    config.write_text(NGINX.format(directory=directory, address=address, more=more,
                                   http2=" http2" if http2 else "",
                                   root=document_root(directory),
                                   tls=NGINX_TLS.format(**certificate.files) if certificate else "",
                                   keepalive_timeout=keepalive_timeout))
    command = [find("nginx"), "-e", str(directory / "error.log"), "-p", str(directory), "-c",
               str(config)]
    return Server(directory, command, address)


CADDY = """
{{
    admin off
    auto_https off
    servers {{
        protocols {protocols}
        timeouts {{
            idle {idle}
        }}
    }}
}}
{scheme}://:{port} {{
    bind 127.0.0.1
    {tls}
    root * {root}
    encode gzip
    file_server
}}
"""


CADDY_TLS = """tls {cert} {key}
    header X-TLS "{{http.request.tls.resumed}} {{http.request.tls.version}} \
{{http.request.tls.server_name}}"
    header X-Remote {{http.request.remote}}"""


def caddy(directory, idle="75s", certificate=None, http2=False):
    address = sockets.free_address()
    config = directory / "Caddyfile"
    spoken = "h1" if not http2 else "h1 h2" if certificate else "h1 h2c"
    config.write_text(CADDY.format(
        port=address.rpartition(":")[2], root=document_root(directory), idle=idle,
        scheme="https" if certificate else "http", protocols=spoken,
        tls=CADDY_TLS.format(**certificate.files) if certificate else ""))
    command = [find("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]
    home = {"HOME": str(directory), "XDG_CONFIG_HOME": str(directory),
            "XDG_DATA_HOME": str(directory)}
    return Server(directory, command, address, home)


def node(directory, certificate=None, http2=False):
    address = sockets.free_address()
    script = pathlib.Path(__file__).with_name("node_origin.js")
    files = [certificate.key, certificate.cert] if certificate else []
    command = [find("node"), str(script), address.rpartition(":")[2],
               str(document_root(directory)), "http2" if http2 else "http", *files]
    return Server(directory, command, address)


def nghttpd(directory, certificate=None, more=(), echo=True, http2=True):
    """It sends a POST's body back, if it is to, and always a trailer field."""
    assert http2, "it speaks nothing else"
    address = sockets.free_address()
    host, _, port = address.rpartition(":")
    over = [certificate.key, certificate.cert] if certificate else []
    command = [find("nghttpd"), "-a", host, "-d", str(document_root(directory)),
               "--trailer=x-sum: 42", *(["--echo-upload"] if echo else []), *more,
               *([] if certificate else ["--no-tls"]), port, *over]
    return Server(directory, command, address)


REAL = {"nginx": nginx, "caddy": caddy, "node": node, "nghttpd": nghttpd}
