"""lineage: the catalogue's features in; the graph from columns to features out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .html import Html, printable
from .svg import ACCENT, BACK, INK, MUTED, Size, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Features = Sequence[Mapping[str, Any]]

MOST = 60  # features in the picture; the catalogue lists all
ROW, LAYER, LABEL = 19, 176, 22  # height of a line, width of a layer, letters of a name
CURVE = 0.45  # of the way, before an edge turns


def lineage(features: Features, used: Sequence[str]) -> Html | None:
    """Columns on the left, features right of all that they are made from.

    Args:
        features: name, parents and inputs of each feature.
        used: the features of the model, the most important first; others are drawn faintly, and
            left out where there are too many.
    """
    if not features:
        return None
    drawn, left_out = _drawn(features, used)
    layers = _layers(drawn)
    places = {name: (depth, row) for depth, names in enumerate(layers) for name, row in names}
    tallest = max(row for names in layers for _, row in names)
    size = Size(40 + LAYER * len(layers), ROW * (tallest + 2), 0, 0, 0, 0)

    def paint(axes: "Axes") -> None:
        axes.set(xlim=(0, size.width), ylim=(size.height, 0))
        axes.axis("off")
        for feature in drawn:
            for parent in feature["parents"]:
                _edge(axes, places[parent], places[feature["name"]], feature["name"] in used)
        for name, place in places.items():
            _node(axes, name, place, name in used or place[0] == 0)

    told = "; ".join(
        f"{feature['name']} from {', '.join(feature['parents']) or 'nothing'}" for feature in drawn
    )
    title = f"From columns to features{f' ({left_out} more in the catalogue)' if left_out else ''}"
    return draw(paint, "lineage", title, f"Made by features.py: {told}.", size)


def _drawn(features: Features, used: Sequence[str]) -> tuple[list[Mapping[str, Any]], int]:
    """The features to draw, with all that they are made from, and how many are left out."""
    if len(features) <= MOST:
        return list(features), 0
    known = {feature["name"]: feature for feature in features}
    wanted = [name for name in used if name in known][:MOST]
    for name in wanted:  # grows as it goes
        wanted += [p for p in known[name]["parents"] if p in known and p not in wanted]
    return [known[name] for name in wanted], len(features) - len(wanted)


def _layers(features: Features) -> list[list[tuple[str, float]]]:
    """Names with their rows, layer by layer; each at the mean of its parents, none on another."""
    known = {feature["name"]: feature["parents"] for feature in features}
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 1 + max(map(depth, known[name]), default=0) if name in known else 0
        return depths[name]

    for name in known:
        depth(name)
    columns = [name for name in depths if depths[name] == 0]
    layers = [[(name, float(row)) for row, name in enumerate(columns)]]
    rows = dict(layers[0])
    for level in range(1, max(depths.values()) + 1):
        names = [name for name in known if depths[name] == level]
        mean = {
            name: sum(rows[parent] for parent in known[name]) / max(len(known[name]), 1)
            for name in names
        }
        layers.append(_spread(sorted(names, key=lambda name: (mean[name], name)), mean))
        rows |= dict(layers[-1])
    return layers


def _spread(names: Sequence[str], wanted: Mapping[str, float]) -> list[tuple[str, float]]:
    """The names in order, near the row that each wants, at least a row apart."""
    found: list[tuple[str, float]] = []
    for name in names:
        row = max(wanted[name], found[-1][1] + 1) if found else wanted[name]
        found.append((name, row))
    return found


def _at(place: tuple[int, float]) -> tuple[float, float]:
    layer, row = place
    return 150.0 + LAYER * layer if layer == 0 else 60.0 + LAYER * layer, ROW * (row + 1)


def _edge(axes: "Axes", start: tuple[int, float], end: tuple[int, float], used: bool) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (left, upper), (right, lower) = _at(start), _at(end)
    turn = (right - left) * CURVE
    points = [(left, upper), (left + turn, upper), (right - turn, lower), (right, lower)]
    path = Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    colour, alpha = (ACCENT, 0.55) if used else (MUTED, 0.3)
    axes.add_patch(PathPatch(path, facecolor="none", edgecolor=colour, alpha=alpha, linewidth=1.2))


def _node(axes: "Axes", name: str, place: tuple[int, float], used: bool) -> None:
    across, down = _at(place)
    column = place[0] == 0
    shape, inside = ("s", BACK) if column else ("o", ACCENT if used else BACK)
    edge = ACCENT if used else MUTED
    axes.plot(across, down, shape, color=inside, markeredgecolor=edge, markersize=5.5)
    side = "right" if column else "left"
    text = printable(name)
    shown = text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"
    axes.text(
        across + (-9 if column else 9),
        down,
        shown,
        ha=side,
        va="center_baseline",
        color=INK if used else MUTED,
        fontsize=11,
    )
