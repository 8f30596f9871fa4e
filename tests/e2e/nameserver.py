# SPDX-License-Identifier: MIT
"""A real name server: dnsmasq on a free port of 127.0.0.1, whose names a test changes."""

import os
import pathlib
import signal
import socket
import struct
import subprocess

import servers
import sockets
from waiting import PATIENCE, wait_until

TTL_S = 1


def question(name):
    """A query for IPv4 addresses (RFC 1035 section 4)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


class NameServer:
    """`config` is what weir.yaml says to ask it. Names are a dict: name -> list of addresses."""

    def __init__(self, directory, names):
        self.hosts = pathlib.Path(directory) / "hosts"
        self.address = sockets.free_address()
        self.config = {"nameservers": [self.address], "timeout": "300ms", "attempts": 2}
        self.process = None
        self.write(names)
        self.start()

    def write(self, names):
        lines = [f"{address} {name}" for name, addresses in names.items() for address in addresses]
        self.hosts.write_text("\n".join([*lines, "192.0.2.1 ready.test"]) + "\n")

    def start(self):
        port = self.address.rpartition(":")[2]
        command = [servers.find("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null",
                   "--pid-file=", "--no-resolv", "--no-hosts", "--bind-interfaces",
                   "--listen-address=127.0.0.1", f"--port={port}", "--local=/test/",
                   f"--addn-hosts={self.hosts}", f"--local-ttl={TTL_S}", "--log-facility=-"]
        if os.geteuid() == 0:
            command.append("--user=root")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, 10, "dnsmasq answers")

    def answers(self):
        assert self.process.poll() is None, "dnsmasq ended"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.2 * PATIENCE)
            host, _, port = self.address.rpartition(":")
            try:
                asking.sendto(question("ready.test"), (host, int(port)))
                return len(asking.recv(512)) > 12
            except OSError:
                return False

    def change(self, names):
        """It reads its names again; answers that were given hold until their time is over."""
        self.write(names)
        self.process.send_signal(signal.SIGHUP)

    def pause(self):
        """Questions wait for an answer until it goes on."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
