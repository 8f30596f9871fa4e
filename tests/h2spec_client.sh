#!/bin/sh
# SPDX-License-Identifier: MIT
# One case of h2specd: its server waits at the URL that is given, for a client. That is weir, behind
# which a curl asks for a page; h2specd looks at what weir does, not at what curl gets.
set -eu
port=${1##*:}
port=${port%/}
front=$((port + 5000))
"${WEIR:-build/weir}" --listen "127.0.0.1:$front" --to "h2c://127.0.0.1:$port" --threads 1 \
    >/dev/null 2>&1 &
weir=$!
curl --silent --max-time 1.5 --retry 20 --retry-connrefused --retry-delay 0 --output /dev/null \
    "http://127.0.0.1:$front/" || true
kill -INT $weir
wait $weir || true
