"""Format values as Markdown, with text by others rendered harmless.

Code hosts look for mentions, references and links after they have turned Markdown into HTML, so
entities and backslashes do not stop `@all` from notifying everybody. Code spans do, and in plain
text a zero-width space after the sign does.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ESCAPES = str.maketrans({"|": r"\|", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})
MAX_LENGTH = 200  # characters of a name or sentence
MAX_ROWS = 40  # of a table
MAX_NAMES = 10  # in a sentence
ZERO_WIDTH = "\u200b"
ACTIVE = re.compile(r"([\\`*_\[\]|~$])")  # characters that format text within a line
BAR = re.compile(r"(?<!\\)\|")  # ends a cell of a table, even within a code span
CALLS = re.compile(r"([@#!&%~$:]|www\.)", re.IGNORECASE)  # a mention, a reference, a link
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class Markdown(str):
    """A string of safe Markdown, which is not escaped again."""


def code(value: Any) -> Markdown:
    """A name or value in a code span."""
    text = _clipped(value)
    if not text:
        return Markdown("–")
    fence = _fence(text, 1)
    space = " " if text[0] in "` " or text[-1] in "` " else ""
    return Markdown(f"{fence}{space}{text}{space}{fence}")


def plain(value: Any) -> Markdown:
    """A sentence without formatting, links or mentions."""
    text = CALLS.sub(rf"\1{ZERO_WIDTH}", _clipped(value))
    text = ACTIVE.sub(r"\\\1", text.replace("&", "&amp;"))
    return Markdown(text.replace("<", "&lt;").replace(">", "&gt;"))


def number(value: Any) -> Markdown:
    """A number, or a code span for anything else that a file has in its place."""
    if isinstance(value, int):
        return Markdown(f"{value:,}")
    return Markdown(cell(value)) if value is None or isinstance(value, float) else code(value)


def fenced(text: str, language: str) -> Markdown:
    """A code block with a fence longer than any in the text."""
    lines = "\n".join(CONTROL.sub(" ", line) for line in text.split("\n"))
    fence = _fence(lines, 3)
    return Markdown(f"{fence}{language}\n{lines}\n{fence}")


def first_names(names: Iterable[str]) -> Markdown:
    """The first few names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    return Markdown(", ".join(names[:MAX_NAMES]) + more)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markdown:
    """A table; floats have four significant digits."""
    lines = [header, ["---"] * len(header), *rows]
    return Markdown("\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines))


def first_rows(header: Sequence[str], rows: Sequence[Sequence[Any]], noun: str) -> Markdown:
    """A table of the first rows, and how many more there are; "" without rows."""
    if not rows:
        return Markdown("")
    more = f"\n\n… and {len(rows) - MAX_ROWS:,} more {noun}." if len(rows) > MAX_ROWS else ""
    return Markdown(f"{table(header, rows[:MAX_ROWS])}{more}")


def cell(value: Any) -> str:
    """The text of a table cell."""
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return BAR.sub(r"\|", value) if isinstance(value, Markdown) else str(value).translate(ESCAPES)


def estimate(interval: Mapping[str, float | None]) -> str:
    """An estimate with its confidence interval, such as `0.7421 (0.7188 to 0.7663)`."""
    value, low, high = (cell(interval[key]) for key in ("value", "low", "high"))
    return f"{value} (no interval)" if interval["low"] is None else f"{value} ({low} to {high})"


def _clipped(value: Any) -> str:
    text = CONTROL.sub(" ", str(value)).strip()
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def _fence(text: str, least: int) -> str:
    """At least so many backticks, and more than any run of them in the text."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))
