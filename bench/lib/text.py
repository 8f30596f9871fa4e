# SPDX-License-Identifier: MIT
"""Tables as plain text."""


def columns(head, rows):
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row, widths)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("  ".join(cells).rstrip())
    return lines


def number(value, digits, scale=1.0):
    return "-" if value is None else f"{value * scale:.{digits}f}"


def middle(spread, digits, scale=1.0):
    return "-" if spread is None else number(spread["median"], digits, scale)


def ends(spread, digits):
    return "-" if spread is None else f"{spread['low']:.{digits}f}-{spread['high']:.{digits}f}"
