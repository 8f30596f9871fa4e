# SPDX-License-Identifier: MIT
"""From rounds to figures. A round is what one proxy did in a few seconds; all have equally many.

Ratios are taken round by round, between neighbours in time, and their median is shown: what else
the machine did then touched both alike.
"""

from statistics import median

SHOWN = ["cost_us", "requests_per_second", "p50_us", "p99_us", "busy", "dials", "used",
         "resumed"]


def ratio(rounds, others, key="cost_us"):
    """The median of the ratios of two proxies' rounds; None where one of them has no figure."""
    pairs = [(one[key], other[key]) for one, other in zip(rounds, others)]
    if not pairs or any(not one or not other for one, other in pairs):
        return None
    return median(one / other for one, other in pairs)


def spread(rounds, key):
    """Median, lowest and highest over the rounds; None if a round has no figure."""
    values = [one[key] for one in rounds]
    if not values or None in values:
        return None
    return {"median": median(values), "low": min(values), "high": max(values)}


def total_errors(rounds):
    """Errors by name, over all rounds; only those that happened."""
    totals = {}
    for one in rounds:
        for name, count in one["errors"].items():
            totals[name] = totals.get(name, 0) + count
    return {name: count for name, count in totals.items() if count}


def _best(summaries, kind):
    able = [one for one in summaries if one["kind"] == kind and not one["errors"] and
            one["cost_us"]]
    return min(able, key=lambda one: one["cost_us"]["median"], default=None)


def summarize(proxies, rounds):
    """One case's figures, proxy by proxy: each beside the floor that waits as it does, the best
    peer, and every peer. `rounds`: name -> its rounds."""
    summaries = []
    for proxy in proxies:
        name = proxy.name
        summary = {"name": name, "kind": proxy.kind, "errors": total_errors(rounds[name])}
        summary.update({key: spread(rounds[name], key) for key in SHOWN})
        summary["rounds"] = rounds[name]
        summaries.append(summary)
    peer = _best(summaries, "peer")
    for proxy, summary in zip(proxies, summaries):
        own = summary["rounds"]
        summary["x_floor"] = ratio(own, rounds[proxy.floor]) if proxy.floor in rounds else None
        summary["x_best_peer"] = ratio(own, peer["rounds"]) if peer else None
        summary["x_peers"] = {other.name: ratio(own, rounds[other.name]) for other in proxies
                              if other.kind == "peer"}
    return {"best_peer": peer and peer["name"], "proxies": summaries}
