"""lineage: the catalogue's features in; the graph from columns to features out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .html import Html, printable
from .svg import ACCENT, BACK, INK, MUTED, Size, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Features = Sequence[Mapping[str, Any]]

MOST = 60  # features in the picture; the catalogue lists all
ROW, GAP, LABEL = 19, 64, 22  # height of a line, width between layers, letters of a name
LETTER, BESIDE = 6.3, 9  # pixels a letter, and from a node to its name
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
    across = _across(layers)
    places = {
        name: (x, ROW * (row + 1))
        for x, names in zip(across, layers, strict=False)
        for name, row in names
    }
    tallest = max(down for _, down in places.values())
    size = Size(across[-1], tallest + ROW, 0, 0, 0, 0)

    def paint(axes: "Axes") -> None:
        axes.set(xlim=(0, size.width), ylim=(size.height, 0))
        axes.axis("off")
        for feature in drawn:
            for parent in feature["parents"]:
                _edge(axes, places[parent], places[feature["name"]], feature["name"] in used)
        for name, place in places.items():
            column = place[0] == across[0]
            _node(axes, name, place, column, column or name in used)

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


def _across(layers: Sequence[Sequence[tuple[str, float]]]) -> list[float]:
    """Where the nodes of each layer stand, and last where the picture ends."""
    widths = [LETTER * max(len(_short(name)) for name, _ in names) for names in layers]
    across = [widths[0] + BESIDE + 2]
    for width in (0.0, *widths[1:-1]):
        across.append(across[-1] + width + BESIDE + GAP)
    return [*across, across[-1] + widths[-1] + BESIDE + 2]


def _edge(axes: "Axes", start: tuple[float, float], end: tuple[float, float], used: bool) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    (left, upper), (right, lower) = start, end
    turn = (right - left) * CURVE
    points = [(left, upper), (left + turn, upper), (right - turn, lower), (right, lower)]
    path = Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    colour, alpha = (ACCENT, 0.55) if used else (MUTED, 0.3)
    axes.add_patch(PathPatch(path, facecolor="none", edgecolor=colour, alpha=alpha, linewidth=1.2))


def _node(axes: "Axes", name: str, place: tuple[float, float], column: bool, used: bool) -> None:
    shape, inside = ("s", BACK) if column else ("o", ACCENT if used else BACK)
    edge = ACCENT if used else MUTED
    axes.plot(*place, shape, color=inside, markeredgecolor=edge, markersize=5.5)
    axes.text(
        place[0] + (-BESIDE if column else BESIDE),
        place[1],
        _short(name),
        ha="right" if column else "left",
        va="center_baseline",
        color=INK if used else MUTED,
        fontsize=11,
    )


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"
