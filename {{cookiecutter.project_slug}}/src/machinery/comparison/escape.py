"""escape: text that somebody else wrote in, Markdown that can do no harm out.

Code hosts look for mentions, references and links after they have made HTML of Markdown, so that
entities and backslashes do not keep `@all` from calling everybody; code spans do, and in free text
a space of no width behind the sign does.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

LONGEST = 200  # characters of one name or sentence
MOST = 40  # rows of a table that may have any number
FEW = 10  # names in a sentence that may have any number
NO_WIDTH = "\u200b"
ACTIVE = re.compile(r"([\\`*_\[\]|~$])")  # within a line of Markdown, as code hosts read it
BAR = re.compile(r"(?<!\\)\|")  # which ends a cell of a table, even within a code span
CALLS = re.compile(r"([@#!&%~$:]|www\.)", re.IGNORECASE)  # a mention, a reference, a link
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class Markdown(str):
    """Text that is Markdown on purpose, made of what is harmless."""


def code(value: Any) -> Markdown:
    """A name or value in a code span, whatever is in it."""
    text = _clipped(value)
    if not text:
        return Markdown("–")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text[0] in "` " or text[-1] in "` " else ""
    return Markdown(f"{fence}{space}{text}{space}{fence}")


def plain(value: Any) -> Markdown:
    """A sentence as it reads, in which nothing is formatted, linked or called."""
    text = CALLS.sub(rf"\1{NO_WIDTH}", _clipped(value))
    text = ACTIVE.sub(r"\\\1", text.replace("&", "&amp;"))
    return Markdown(text.replace("<", "&lt;").replace(">", "&gt;"))


def cell(value: Any) -> str:
    """What stands in a table: Markdown as it is, numbers rounded, all else escaped."""
    if value is None:
        return "–"
    if isinstance(value, Markdown):
        return BAR.sub(r"\|", value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    return plain(value)


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Markdown:
    """A Markdown table of such cells."""
    lines = [header, [Markdown("---")] * len(header), *rows]
    return Markdown("\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines))


def first_rows(header: Sequence[Any], rows: Sequence[Sequence[Any]], what: str) -> Markdown:
    """A table of the first rows, and how many more there are; "" where there is none."""
    if not rows:
        return Markdown("")
    more = f"\n\n… and {len(rows) - MOST:,} more {what}." if len(rows) > MOST else ""
    return Markdown(f"{table(header, rows[:MOST])}{more}")


def few(names: Iterable[Markdown]) -> Markdown:
    """Some names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - FEW:,} more" if len(every) > FEW else ""
    return Markdown(", ".join(every[:FEW]) + more)


def fenced(text: str, language: str) -> Markdown:
    """A block of code that no text can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markdown(f"{fence}{language}\n{text}\n{fence}")


def _clipped(value: Any) -> str:
    text = CONTROL.sub(" ", str(value)).strip()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
