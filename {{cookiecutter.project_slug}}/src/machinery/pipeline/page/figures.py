"""figures: rows of the reports in; plots out, each with a text that tells its figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .html import Html, number, printable
from .svg import ACCENT, BACK, INK, LINE, MUTED, SERIES, Size, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rows = Sequence[Mapping[str, Any]]

LABEL = 24  # letters that fit beside a plot; the table below it has the whole name
LETTER = 6.4  # pixels a letter
DASHES = ("-", "--", "-.", ":", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3)))
AT = (0.1, 0.2, 0.5)  # where a curve is told in words


class Estimate(NamedTuple):
    """A line of a plot of intervals."""

    label: str
    value: float
    low: float
    high: float
    chosen: bool = True


def roc(points: Rows) -> Html | None:
    """One ROC curve a class, over the diagonal of chance."""
    told = "At a false positive rate of {}, the share of positives found is {}."
    return _curves(points, ("fpr", "tpr"), "ROC curve", told, ("false positives", "found"))


def precision_recall(points: Rows) -> Html | None:
    """One precision-recall curve a class."""
    told = "Where a share of {} is found, the precision is {}."
    title, axes = "Precision and recall", ("found (recall)", "right (precision)")
    return _curves(points, ("recall", "precision"), title, told, axes)


def calibration(points: Rows) -> Html | None:
    """Predicted probability and observed share, with its interval, in bins of equal count."""
    if not points:
        return None
    most = max(max(point["high"], point["predicted"]) for point in points) * 1.05

    def paint(axes: "Axes") -> None:
        axes.plot([0, most], [0, most], color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        _whiskers(axes, points, "observed")
        axes.set(xlim=(0, most), ylim=(0, most))
        axes.set(xlabel="predicted probability", ylabel="observed share")

    told = "; ".join(
        f"predicted {number(point['predicted'])}, observed {number(point['observed'])} "
        f"({number(point['low'])} to {number(point['high'])})"
        for point in points
    )
    note = "with intervals, in bins of equal count"
    return draw(paint, "calibration", "Calibration", f"In bins of equal count: {told}.", note=note)


def actual(points: Rows, unit: str) -> Html | None:
    """Mean prediction and the spread of what came, in bins of equal count, of a regression."""
    if not points:
        return None
    ends = [point[key] for point in points for key in ("predicted", "low", "high")]
    low, high = min(ends), max(ends)

    def paint(axes: "Axes") -> None:
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        _whiskers(axes, points, "actual")
        axes.set(xlabel=f"predicted{unit}", ylabel=f"actual{unit}")

    told = "; ".join(
        f"predicted {number(point['predicted'])}, actual {number(point['actual'])} "
        f"({number(point['low'])} to {number(point['high'])})"
        for point in points
    )
    note = "mean of what came, and its middle 80%, in bins of equal count"
    return draw(paint, "actual", "Predicted and actual", f"{note}: {told}.", note=note)


def residuals(points: Rows, unit: str) -> Html | None:
    """How often the prediction was how far off, of a regression."""
    if not points:
        return None

    def paint(axes: "Axes") -> None:
        edges = [point["from"] for point in points]
        widths = [point["to"] - point["from"] for point in points]
        rows = [point["rows"] for point in points]
        axes.bar(edges, rows, widths, align="edge", color=ACCENT, edgecolor=BACK, linewidth=0.8)
        axes.axvline(0, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        axes.grid(visible=False, axis="x")
        axes.set(xlabel=f"actual − predicted{unit}", ylabel="rows")

    told = "; ".join(
        f"{number(point['from'])} to {number(point['to'])}: {number(point['rows'])} rows"
        for point in points
    )
    return draw(paint, "residuals", "Residuals", f"Actual minus predicted, {told}.")


def estimates(
    rows: Sequence[Estimate],
    name: str,
    title: str,
    axis: str,
    whole: float | None = None,
    span: tuple[float, float] | None = None,
) -> Html | None:
    """A line for each estimate with its interval; `whole` is drawn as a line through all."""
    if not rows:
        return None
    labels, size = _labelled([row.label for row in rows])

    def paint(axes: "Axes") -> None:
        if whole is not None:
            axes.axvline(whole, color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        for place, row in enumerate(rows):
            colour = ACCENT if row.chosen else MUTED
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2)
            axes.plot(row.value, place, marker="o", markersize=6, color=colour)
        if span is not None:
            axes.set_xlim(*span)
        _list(axes, labels)

    told = "; ".join(
        f"{printable(row.label)} {number(row.value)} ({number(row.low)} to {number(row.high)})"
        for row in rows
    )
    return draw(paint, name, title, f"{axis}: {told}.", size, axis)


def bars(rows: Sequence[tuple[str, float]], name: str, title: str, axis: str) -> Html | None:
    """A bar for each figure."""
    if not rows:
        return None
    labels, size = _labelled([label for label, _ in rows])

    def paint(axes: "Axes") -> None:
        axes.barh(range(len(rows)), [value for _, value in rows], 0.62, color=ACCENT)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        _list(axes, labels)

    told = "; ".join(f"{printable(label)} {number(value)}" for label, value in rows)
    return draw(paint, name, title, f"{axis}: {told}.", size, axis)


def _curves(
    points: Rows, keys: tuple[str, str], title: str, told: str, names: tuple[str, str]
) -> Html | None:
    """The curves of the classes, of more than six the six that are lowest."""
    lines = _by_class(points, keys)
    if not lines:
        return None
    worst = sorted(sorted(lines, key=lambda label: _area(lines[label]))[: len(SERIES)])
    style = list(zip(worst, SERIES, DASHES, strict=False))

    def paint(axes: "Axes") -> None:
        if keys[0] == "fpr":
            axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 3)))
        for label, colour, dash in style:
            shown = f"\u200b{_short(label)}"  # a label that begins with _ would be left out
            axes.plot(*lines[label], color=colour, linestyle=dash, linewidth=2, label=shown)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel=names[0], ylabel=names[1])
        if len(lines) > 1:
            axes.legend(loc="lower right" if keys[0] == "fpr" else "lower left")

    some = "" if len(worst) == len(lines) else f" (the lowest {len(worst)} of {len(lines)} classes)"
    words = [
        f"{printable(label)}: area {number(_area(lines[label]))}. "
        + " ".join(told.format(x, number(_at(lines[label], x))) for x in AT)
        for label in worst
    ]
    return draw(paint, keys[1], f"{title}{some}", " ".join(words))


def _by_class(points: Rows, keys: tuple[str, str]) -> dict[str, tuple[list[float], list[float]]]:
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for point in points:
        across, up = lines.setdefault(str(point["class"]), ([], []))
        across.append(point[keys[0]])
        up.append(point[keys[1]])
    return lines


def _area(line: tuple[list[float], list[float]]) -> float:
    """The area under the drawn line, by trapezoids."""
    steps = zip(*line, line[0][1:], line[1][1:], strict=False)
    return sum((right - left) * (low + high) / 2 for left, low, right, high in steps)


def _at(line: tuple[list[float], list[float]], x: float) -> float:
    """The height of the drawn line at x: of its last corner there or before."""
    return [up for across, up in zip(*line, strict=True) if across <= x][-1]


def _whiskers(axes: "Axes", points: Rows, key: str) -> None:
    across = [point["predicted"] for point in points]
    lows, highs = ([point[end] for point in points] for end in ("low", "high"))
    axes.vlines(across, lows, highs, color=ACCENT, linewidth=2)
    axes.plot(across, [point[key] for point in points], color=ACCENT, linewidth=1, alpha=0.5)
    axes.plot(across, [point[key] for point in points], "o", color=ACCENT, markersize=6)


def _list(axes: "Axes", labels: Sequence[str]) -> None:
    """Labels beside the lines of the plot, the first on top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.locator_params(axis="x", nbins=5)


def _labelled(labels: Sequence[str]) -> tuple[list[str], Size]:
    """The labels as they are shown, and a plot with room for them."""
    shown = [_short(label) for label in labels]
    left = 14 + LETTER * max(map(len, shown))
    return shown, Size(height=32 + 24 * len(shown), left=left, right=18, top=4, bottom=28)


def _short(label: str, most: int = LABEL) -> str:
    text = printable(label)
    return text if len(text) <= most else f"{text[: most - 1]}…"
