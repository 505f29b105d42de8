"""markdown: values in; Markdown out, in which nothing that somebody else wrote can do harm.

Code hosts look for mentions, references and links after they have made HTML of Markdown, so that
entities and backslashes do not keep `@all` from notifying everybody; code spans do, and in free
text a zero-width space behind the sign does.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

ESCAPES = str.maketrans({"|": r"\|", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " "})
MAX_LENGTH = 200  # characters of one name or sentence
MAX_ROWS = 40  # of a table that may have any number
MAX_NAMES = 10  # in a sentence that may have any number
ZERO_WIDTH = "\u200b"
ACTIVE = re.compile(r"([\\`*_\[\]|~$])")  # within a line of Markdown, as code hosts read it
BAR = re.compile(r"(?<!\\)\|")  # which ends a cell of a table, even within a code span
CALLS = re.compile(r"([@#!&%~$:]|www\.)", re.IGNORECASE)  # a mention, a reference, a link
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class Markdown(str):
    """A string that is Markdown on purpose, made of what is harmless."""


def code(value: Any) -> Markdown:
    """A name or value in a code span, whatever is in it."""
    text = _clipped(value)
    if not text:
        return Markdown("–")
    fence = _fence(text, 1)
    space = " " if text[0] in "` " or text[-1] in "` " else ""
    return Markdown(f"{fence}{space}{text}{space}{fence}")


def plain(value: Any) -> Markdown:
    """A sentence as it reads, in which nothing is formatted, linked or mentioned."""
    text = CALLS.sub(rf"\1{ZERO_WIDTH}", _clipped(value))
    text = ACTIVE.sub(r"\\\1", text.replace("&", "&amp;"))
    return Markdown(text.replace("<", "&lt;").replace(">", "&gt;"))


def number(value: Any) -> Markdown:
    """A number for people; a code span of what else a file has in its place."""
    if isinstance(value, int):
        return Markdown(f"{value:,}")
    return Markdown(cell(value)) if value is None or isinstance(value, float) else code(value)


def fenced(text: str, language: str) -> Markdown:
    """A block of code that no text can end."""
    lines = "\n".join(CONTROL.sub(" ", line) for line in text.split("\n"))
    fence = _fence(lines, 3)
    return Markdown(f"{fence}{language}\n{lines}\n{fence}")


def first_names(names: Iterable[str]) -> Markdown:
    """The first few names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - MAX_NAMES:,} more" if len(every) > MAX_NAMES else ""
    return Markdown(", ".join(every[:MAX_NAMES]) + more)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markdown:
    """A Markdown table; numbers are rounded to four significant digits."""
    lines = [header, ["---"] * len(header), *rows]
    return Markdown("\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines))


def first_rows(header: Sequence[str], rows: Sequence[Sequence[Any]], what: str) -> Markdown:
    """A table of the first rows, and how many more there are; "" where there is none."""
    if not rows:
        return Markdown("")
    more = f"\n\n… and {len(rows) - MAX_ROWS:,} more {what}." if len(rows) > MAX_ROWS else ""
    return Markdown(f"{table(header, rows[:MAX_ROWS])}{more}")


def cell(value: Any) -> str:
    """One value as text for people."""
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return BAR.sub(r"\|", value) if isinstance(value, Markdown) else str(value).translate(ESCAPES)


def estimate(interval: Mapping[str, float | None]) -> str:
    """An estimate with its confidence interval, such as `0.7421 (0.7188 to 0.7663)`."""
    if interval["low"] is None:
        return f"{cell(interval['value'])} (no interval)"
    return f"{cell(interval['value'])} ({cell(interval['low'])} to {cell(interval['high'])})"


def _clipped(value: Any) -> str:
    text = CONTROL.sub(" ", str(value)).strip()
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def _fence(text: str, least: int) -> str:
    """More backticks than stand together in the text."""
    return "`" * max(least, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
