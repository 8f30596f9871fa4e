#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Draws the table `cost` as a bar chart: `bench/plot.py OUT.svg [--from build/bench/cost.json]`."""

import argparse
import json
from xml.sax.saxutils import escape

WIDTH, MARGIN = 760, 28
NAME_WIDTH, FIGURE_WIDTH = 104, 176
BAR_HEIGHT, BAR_STEP = 18, 27
PANEL_HEAD, PANEL_GAP = 30, 18
TITLE_HEIGHT, FOOT_HEIGHT = 74, 46

PAPER, INK, FAINT, RULE = "#ffffff", "#1f2933", "#6b7785", "#e4e8ec"
COLORS = {"weir": "#1668b8", "peer": "#9db7cf", "floor": "#c9ced4"}
FONT = "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\""


def words(x, y, content, size=13, color=INK, weight="normal", anchor="start"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" '
            f'font-weight="{weight}" text-anchor="{anchor}">{escape(content)}</text>')


def box(x, y, width, height, color, radius=2):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{radius}" fill="{color}"/>')


def line(x1, y1, x2, y2, color, width=1.0):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
            f'stroke-width="{width}"/>')


def whisker(x, y, scale, spread):
    """From the lowest to the highest round, over the bar."""
    low, high = x + spread["low"] * scale, x + spread["high"] * scale
    return [line(low, y, high, y, INK, 1.2), line(low, y - 3, low, y + 3, INK, 1.2),
            line(high, y - 3, high, y + 3, INK, 1.2)]


def bar(y, proxy, scale):
    left = MARGIN + NAME_WIDTH
    middle, cost = y + BAR_HEIGHT / 2, proxy["cost_us"]
    weight = "bold" if proxy["kind"] == "weir" else "normal"
    name = proxy["name"] + (" (errors)" if proxy["errors"] else "")
    beside = WIDTH - MARGIN - FIGURE_WIDTH + 76
    ratio = ""
    if proxy["kind"] != "floor" and proxy["x_floor"]:
        ratio = f"{proxy['x_floor']:.2f} × floor"
    return [words(left - 10, middle + 4.5, name, weight=weight, anchor="end"),
            box(left, y, cost["median"] * scale, BAR_HEIGHT, COLORS[proxy["kind"]]),
            *whisker(left, middle, scale, cost),
            words(beside, middle + 4.5, f"{cost['median']:.1f} µs", weight=weight, anchor="end"),
            words(WIDTH - MARGIN, middle + 4.5, ratio, weight=weight, anchor="end")]


def shown(case):
    able = [proxy for proxy in case["proxies"] if proxy["cost_us"]]
    return sorted(able, key=lambda proxy: proxy["cost_us"]["median"])


def panel_height(case):
    return PANEL_HEAD + BAR_STEP * len(shown(case)) + PANEL_GAP


def panel(y, case, scale):
    size = case["response_bytes"]
    size_text = f"{size // 1024} KiB" if size >= 1024 and size % 1024 == 0 else f"{size}-byte"
    parts = [words(MARGIN, y + 14, f"{size_text} responses, {case['connections']} connections",
                   14, weight="bold"),
             line(MARGIN, y + 22, WIDTH - MARGIN, y + 22, RULE)]
    for index, proxy in enumerate(shown(case)):
        parts += bar(y + PANEL_HEAD + BAR_STEP * index, proxy, scale)
    return parts


def chart(result):
    cases = [case for case in result["cases"] if shown(case)]
    highest = max(proxy["cost_us"]["high"] for case in cases for proxy in shown(case))
    scale = (WIDTH - 2 * MARGIN - NAME_WIDTH - FIGURE_WIDTH) / highest
    height = TITLE_HEIGHT + sum(map(panel_height, cases)) + FOOT_HEIGHT
    parts = [box(0, 0, WIDTH, height, PAPER, 8),
             words(MARGIN, 38, "Processor time a request", 20, weight="bold"),
             words(MARGIN, 58, "HTTP/1 to HTTP/1 through one worker; shorter is better. "
                   "The floor is a relay with no HTTP in it.", 13, FAINT)]
    y = TITLE_HEIGHT + 10
    for case in cases:
        parts += panel(y, case, scale)
        y += panel_height(case)
    versions = ", ".join(f"{name} {text}" for name, text in result["versions"].items())
    how = (f"Median of {result['rounds']} rounds of {result['seconds']} s in turn, "
           f"lowest to highest; Linux {result['machine']['kernel']}")
    parts += [words(MARGIN, height - 34, versions, 11, FAINT),
              words(MARGIN, height - 18, how, 11, FAINT)]
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" {FONT}>\n{body}\n</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", help="the SVG file to write")
    parser.add_argument("--from", dest="source", default="build/bench/cost.json")
    options = parser.parse_args()
    with open(options.source, encoding="utf-8") as source:
        drawing = chart(json.load(source))
    with open(options.out, "w", encoding="utf-8") as out:
        out.write(drawing)


if __name__ == "__main__":
    main()
