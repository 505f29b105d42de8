"""markdown: rows in, a Markdown table out, in which no cell can break the page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ESCAPES = str.maketrans({"|": r"\|", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; numbers are rounded to four significant digits."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell(value) for value in line)} |" for line in lines)


def cell(value: Any) -> str:
    """One value as text for people."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).translate(ESCAPES)


def estimate(interval: Mapping[str, float | None]) -> str:
    """An estimate with its confidence interval, such as `0.7421 (0.7188 to 0.7663)`."""
    if interval["low"] is None:
        return f"{cell(interval['value'])} (no interval)"
    return f"{cell(interval['value'])} ({cell(interval['low'])} to {cell(interval['high'])})"
