"""html: text and attributes in, markup out; whatever is not markup already is escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

VOID = {"br", "col", "link", "meta"}


class Html(str):
    """Markup. Only `tag`, `join` and the plots make it, so other text cannot pass for it."""

    __slots__ = ()


def tag(name: str, /, *content: Any, **attributes: str | int | None) -> Html:
    """An element; `class_` stands for class, `data_x` for data-x, None leaves one out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{join(content)}</{name}>")


def join(parts: Iterable[Any], between: str = "") -> Html:
    """The parts in a row, None left out."""
    return Html(_escaped(between).join(_markup(part) for part in parts if part is not None))


def printable(value: Any) -> str:
    """Somebody's text on one line, without characters that steer a reader or break a file."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def number(value: Any) -> str:
    """A figure for people: three significant digits, thousands parted by commas."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return printable(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(
    label: str, header: Sequence[Any], rows: Iterable[Sequence[Any]], numbers: Sequence[int] = ()
) -> Html:
    """A table that scrolls within its own box; the columns in `numbers` are aligned right."""

    def line(cells: Sequence[Any], kind: str) -> Html:
        return tag(
            "tr",
            *(
                tag("th", cell, scope="row")
                if kind == "td" and place == 0
                else tag(
                    kind,
                    cell,
                    scope="col" if kind == "th" else None,
                    class_="number" if place in numbers else None,
                )
                for place, cell in enumerate(cells)
            ),
        )

    body = tag("tbody", *(line(row, "td") for row in rows))
    whole = tag("table", tag("thead", line(header, "th")), body)
    return tag("div", whole, class_="scroll", role="region", aria_label=label, tabindex=0)


def facts(pairs: Iterable[tuple[Any, Any]]) -> Html:
    """Names and what they are, as a list."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs))


def _markup(part: Any) -> str:
    return part if isinstance(part, Html) else _escaped(part)


def _escaped(value: Any) -> str:
    return escape(printable(value), quote=True)
