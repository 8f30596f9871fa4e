#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Passes its standard input and output on to a server: exec_relay.py HOST PORT."""

import os
import select
import socket
import sys


def main():
    server = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    open_ends = [0, server.fileno()]
    while server.fileno() in open_ends:
        for ready in select.select(open_ends, [], [])[0]:
            got = os.read(ready, 65536)
            if not got:
                open_ends.remove(ready)
                if ready == 0:
                    server.shutdown(socket.SHUT_WR)
            elif ready == 0:
                server.sendall(got)
            else:
                sys.stdout.buffer.write(got)
                sys.stdout.buffer.flush()


main()
