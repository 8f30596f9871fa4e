# SPDX-License-Identifier: MIT
"""Mixed load while clients and origins die at random: nothing wrong, nothing lost, nothing kept.

WEIR_SOAK_SECONDS sets how long (the acceptance run: an hour), WEIR_SOAK_SEED repeats a run.
"""

import asyncio
import os
import pathlib
import random
import time

from soak_world import Clients, Origins
from waiting import PATIENCE, settled, wait_equal
from weir import one_upstream

SECONDS = float(os.environ.get("WEIR_SOAK_SECONDS", "5"))
SEED = int(os.environ.get("WEIR_SOAK_SEED", "0")) or random.randrange(1 << 30)
CLIENTS = 32
REPORT_SECONDS = 60


def descriptors(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def dirty_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("Private_Dirty:")[1].split()[0])


def buffers_used(proxy):
    return proxy.metric("weir_io_buffers", state="used")


async def report(proxy, clients, sizes):
    """Says now and then how it goes; `sizes` gets the memory at each of these times."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(min(REPORT_SECONDS, SECONDS / 5))
        sizes.append(dirty_kib(proxy.pid))
        print(f"{time.monotonic() - began:.0f} s: {dict(clients.seen)}, {sizes[-1]} KiB, "
              f"{descriptors(proxy.pid)} descriptors", flush=True)


async def soak(weir, rng):
    origins = Origins(rng, 3)
    servers = await origins.start()
    proxy = await asyncio.to_thread(weir, one_upstream(
        *servers, threads=2, access_log="off",
        upstream={"idle_timeout": "1s", "read_timeout": "10s"}))
    # The connection that asked whether it is ready may not be closed yet.
    before = await asyncio.to_thread(settled, lambda: descriptors(proxy.pid))
    clients, sizes = Clients(rng, proxy.address), []
    reporter = asyncio.create_task(report(proxy, clients, sizes))
    ends_at = asyncio.get_running_loop().time() + SECONDS
    results = await asyncio.gather(*(clients.run(ends_at) for _ in range(CLIENTS)),
                                   return_exceptions=True)
    reporter.cancel()
    await asyncio.to_thread(check_rest, proxy, before)
    await origins.stop()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return proxy, clients, sizes


def check_rest(proxy, descriptors_before):
    """Everybody has gone: so must what was held for them."""
    zero = ["weir_downstream_connections", "weir_pool_in_use_connections",
            "weir_pool_dialling_connections", "weir_pool_idle_connections"]
    for name in zero:
        wait_equal(lambda: proxy.metric(name), 0, 30, name)
    wait_equal(lambda: descriptors(proxy.pid), descriptors_before, 10, "descriptors")
    # The request for this very page holds one, or the next one does.
    wait_equal(lambda: buffers_used(proxy) <= 1, True, 10, "buffers back")
    opened = proxy.metric("weir_upstream_connections_opened_total")
    assert opened == proxy.metric("weir_upstream_connections_closed_total") > 0


def test_soak(weir):
    print(f"WEIR_SOAK_SEED={SEED}")
    proxy, clients, sizes = asyncio.run(soak(weir, random.Random(SEED)))
    seen = clients.seen
    print(dict(seen), sizes)
    assert seen["hung"] == 0 and seen["not accepted"] == 0, seen
    assert seen[200] > 10 * SECONDS / PATIENCE and seen["aborted"] > 0, seen
    assert seen[200] > 3 * (seen[502] + seen[503] + seen[504] + seen["cut"]), seen
    # Slabs, stacks and buffers grow to what the load needs, and no further.
    if SECONDS >= 60:
        assert sizes[-1] < 1.3 * max(sizes[:len(sizes) // 2]) + 1024, sizes
