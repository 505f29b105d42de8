"""Draw the figures of the page as SVG, each with a text alternative.

Lines and text take the page's colour (currentColor), series have colours that show on light and on
dark. The bytes depend on the points alone: no date, no random id, no setting of the user's.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from machinery.pipeline.files import printable

from .render import interval, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[Mapping[str, Any]]

RC = Path(__file__).with_name("figures.mplstyle")
ACCENT, *_ = SERIES = ("#4a86bd", "#c26a1b", "#3f936d", "#b65f96", "#8474c4", "#8f7d2c")
DASHES = ("-", "--", "-.", ":", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3)))
FAINT: dict[str, Any] = {"color": "black", "linewidth": 1, "linestyle": (0, (2, 3))}
MAX_LINES = 20  # of a figure; the table beside it has all
MAX_LABEL = 24  # characters
LETTER_WIDTH = 6.4  # pixels
NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
IDENTIFIER = re.compile(r'( id="|url\(#|href="#)')


class Figure(NamedTuple):
    """A figure of the page: `name` is unique there, `text` is its text alternative."""

    name: str
    title: str
    note: str
    text: str
    svg: Markup
    height: int
    width: int = 330


class Estimate(NamedTuple):
    """A line of a figure of intervals."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    chosen: bool = True


def draw(
    paint: "Callable[[Axes], None]", name: str, title: str, note: str, values: list[str], rows: int
) -> Figure | None:
    """The figure that `paint` draws on empty axes; None if there are no values.

    `values` are its text alternative. It has room for `rows` of text, or is nearly square for 0.
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas

    if not values:
        return None
    text = f"{note}: {'; '.join(values)}."
    figure = Figure(name, title, note, text, Markup(), 32 + 24 * rows if rows else 290)
    file, width, height = StringIO(), figure.width, figure.height
    with matplotlib.rc_context(fname=RC), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # glyphs that DejaVu lacks: the reader's font has them
        canvas = Canvas(figsize=(width / 72, height / 72))
        axes = canvas.add_axes((0, 0, 1, 1))
        paint(axes)
        longest = max((len(label.get_text()) for label in axes.get_yticklabels()), default=0)
        left, bottom, right = (14 + LETTER_WIDTH * longest, 28, 18) if rows else (48, 42, 12)
        size = 1 - (left + right) / width, 1 - (bottom + 8) / height
        axes.set_position((left / width, bottom / height, *size))
        canvas.savefig(file, format="svg", metadata=NO_METADATA)
    document = file.getvalue()
    body = document[document.index('<g id="figure_1">') :].rpartition("</svg>")[0]
    body = IDENTIFIER.sub(rf"\g<1>{name}-", body.replace("#000000", "currentColor"))
    return figure._replace(svg=Markup(body))


def curves(points: Points, name: str, title: str, names: Sequence[str], note: str) -> Figure | None:
    """A curve for each class; with more than six classes, those with the smallest area.

    `names` are those of x and y in the points, then on the axes.
    """
    from numpy import trapezoid

    x, y, across, up = names
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for point in points:
        xs, ys = lines.setdefault(str(point["class"]), ([], []))
        xs.append(point[x])
        ys.append(point[y])
    lowest = sorted(sorted(lines, key=lambda c: trapezoid(*lines[c][::-1]))[: len(SERIES)])

    def paint(axes: "Axes") -> None:
        for label, colour, dash in zip(lowest, SERIES, DASHES, strict=False):
            shown = f"\u200b{_cut(label)}"  # Matplotlib leaves labels out that begin with _
            axes.plot(*lines[label], color=colour, linestyle=dash, linewidth=2, label=shown)
        if name == "roc":
            axes.plot([0, 1], [0, 1], **FAINT)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=across, ylabel=up)
        if len(lines) > 1:
            axes.legend(loc="lower right" if name == "roc" else "lower left")

    if len(lowest) < len(lines):
        title += f" (lowest {len(lowest)} of {len(lines)} classes)"
    return draw(paint, name, title, note, [f"class {printable(label)}" for label in lowest], 0)


def agreement(points: Points, key: str, title: str, note: str, unit: str = "") -> Figure | None:
    """Predicted against observed (or actual) values in bins, with intervals, over the diagonal."""
    points = [point for point in points if None not in point.values()]

    def paint(axes: "Axes") -> None:
        columns = ([point[end] for point in points] for end in ("predicted", key, "low", "high"))
        xs, ys, lows, highs = columns
        ends = [min(xs + lows), max(xs + highs)]
        axes.plot(ends, ends, **FAINT)
        axes.vlines(xs, lows, highs, color=ACCENT, linewidth=2)
        axes.plot(xs, ys, "o-", color=ACCENT, linewidth=1)
        names = ("predicted probability", "observed share")
        if key == "actual":
            names = (f"predicted{unit}", f"actual{unit}")
        axes.set(xlabel=names[0], ylabel=names[1])

    values = [
        f"predicted {number(p['predicted'])}, {key} {number(p[key])} ({interval(p)})"
        for p in points
    ]
    return draw(paint, key, title, note, values, 0)


def residuals(points: Points, unit: str) -> Figure | None:
    """A histogram of actual minus predicted values."""

    def paint(axes: "Axes") -> None:
        edges = [point["from"] for point in points]
        widths = [0.94 * (point["to"] - point["from"]) for point in points]
        axes.bar(edges, [point["rows"] for point in points], widths, align="edge", color=ACCENT)
        axes.axvline(0, **FAINT)
        axes.set(xlabel=f"actual − predicted{unit}", ylabel="rows")

    values = [f"{number(p['from'])} to {number(p['to'])}: {number(p['rows'])} rows" for p in points]
    return draw(paint, "residuals", "Residuals", "Actual minus predicted", values, 0)


def estimates(
    lines: Sequence[Estimate],
    name: str,
    title: str,
    note: str,
    overall: float | None = None,
    ends: tuple[float, float] | None = None,
) -> Figure | None:
    """A line for each estimate, over its interval or from 0; `overall` is dotted through all."""

    def paint(axes: "Axes") -> None:
        if overall is not None:
            axes.axvline(overall, **FAINT)
        for place, (_, value, low, high, chosen) in enumerate(lines):
            style: Any = {"color": ACCENT if chosen else "black", "alpha": 1 if chosen else 0.5}
            span: Any = [0, value] if low is None else [low, high]
            axes.plot(span, [place, place], linewidth=2, **style)
            axes.plot(value, place, marker="o", markersize=6, **style)
        if ends is not None and ends[0] < ends[1]:
            axes.set_xlim(*ends)
        axes.set_yticks(range(len(lines)), [_cut(line.label) for line in lines])
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.locator_params(axis="x", nbins=5)

    values = [
        f"{printable(line.label)} {number(line.value)}"
        + ("" if line.low is None else f" ({interval(line._asdict())})")
        for line in lines
    ]
    return draw(paint, name, title, note, values, len(lines))


def _cut(label: str) -> str:
    text = printable(label)
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 1]}…"
