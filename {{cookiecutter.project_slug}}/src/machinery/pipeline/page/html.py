"""html: text and attributes in, markup out; whatever is not markup already is escaped."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

VOID = {"br", "col", "link", "meta"}


class Html(str):
    """Markup. Only `tag`, `join` and the plots make it, so other text cannot pass for it."""

    __slots__ = ()


def tag(name: str, /, *content: Any, **attributes: str | float | None) -> Html:
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


def number(value: float | None) -> str:
    """A figure for people: three significant digits, thousands parted by commas."""
    if value is None:
        return "–"
    whole = isinstance(value, int) or abs(value) >= 1000
    return (f"{value:,.0f}" if whole else f"{value:.3g}").replace("-", "−")


def precise(value: float | None) -> str:
    """A measured figure: like `number`, but zeros at the end are shown, since they are known."""
    if not value or isinstance(value, int) or abs(value) >= 1000:
        return number(value)
    return f"{value:#.3g}".rstrip(".").replace("-", "−")


def estimate(value: float | None, low: float | None, high: float | None) -> Html:
    """A measured figure, and its interval below it."""
    limits = "no interval" if low is None else f"{precise(low)} to {precise(high)}"
    return join([precise(value), tag("small", limits, class_="nowrap")])


def breakable(text: str) -> Html:
    """A name that may be broken after its underlines, dashes, dots and strokes."""
    return Html(re.sub(r"([_./-])", r"\1<wbr>", _escaped(text)))


def table(
    label: str,
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    numbers: Sequence[int] = (),
    stacked: bool = False,
) -> Html:
    """A table that scrolls within its own box.

    Args:
        label: what it is, for those who hear it.
        header: a name for each column.
        rows: the cells; the first of each names the row.
        numbers: the columns that are aligned right.
        stacked: on a narrow screen, each row is shown as a block instead.
    """

    def cell(place: int, value: Any) -> Html:
        if place == 0:
            return tag("th", value, scope="row")
        kind = "number" if place in numbers else None
        label = header[place] if stacked and value and header[place] else None
        return tag("td", value, class_=kind, data_label=label)

    def head(place: int, name: str) -> Html:
        return tag("th", name, scope="col", class_="number" if place in numbers else None)

    names = tag("tr", *(head(place, name) for place, name in enumerate(header)))
    lines = (tag("tr", *(cell(place, value) for place, value in enumerate(row))) for row in rows)
    whole = tag("table", tag("thead", names), tag("tbody", *lines))
    kind = "scroll stacked" if stacked else "scroll"
    return tag("div", whole, class_=kind, role="region", aria_label=label, tabindex=0)


def facts(pairs: Iterable[tuple[Any, Any]]) -> Html:
    """Names and what they are, as a list."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs))


def _markup(part: Any) -> str:
    return part if isinstance(part, Html) else _escaped(part)


def _escaped(value: Any) -> str:
    return escape(printable(value), quote=True)
