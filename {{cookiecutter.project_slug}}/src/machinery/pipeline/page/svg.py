"""svg: what to paint in; an inline SVG of Matplotlib out, with the page's colours and its text.

The bytes depend on the points alone: no date, no random identifier, coordinates of two decimals,
and no setting of the user's. Text stays text, in the reader's own font and colour.
"""

import os
import re
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

from machinery.pipeline.paths import PLOT_CACHE
from .html import Html, printable, tag

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, LINE, ACCENT, BACK = "#010101", "#020202", "#030303", "#040404", "#050505"
SERIES = tuple(f"#06060{place}" for place in range(1, 7))
COLOURS = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    ACCENT: "accent",
    BACK: "card",
    **{colour: f"series-{place}" for place, colour in enumerate(SERIES, 1)},
}
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",  # comes with Matplotlib: the layout is the same everywhere
    "font.size": 11,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "page",
    "text.color": INK,
    "text.parse_math": False,  # a name with dollar signs is a name
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": MUTED,
}
NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
GEOMETRY = {"d", "height", "points", "transform", "width", "x", "y"}
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e[-+]?\d+)?|-?\d+(?:\.\d+)?e[-+]?\d+")
REFERENCE = re.compile(r"(?:url\(|^)#([\w-]+)\)?")
COLOUR = re.compile("|".join(COLOURS))
FONT = re.compile(r"font-family:[^;]*;?|font:\s*([\d.]+px)[^;]*")


class Size(NamedTuple):
    """Width and height of a plot, and the margins around its axes, in CSS pixels."""

    width: float = 330
    height: float = 290
    left: float = 46
    right: float = 12
    top: float = 10
    bottom: float = 42


def draw(
    paint: "Callable[[Axes], object]",
    name: str,
    title: str,
    told: str,
    size: Size | None = None,
    note: str | None = None,
) -> Html:
    """The figure: what `paint` puts on the axes, with a title and its text alternative.

    Args:
        paint: fills the axes.
        name: unique on the page, a word.
        title: what is shown.
        told: the figures that a reader who cannot see the plot needs.
        size: None for the usual one.
        note: what is shown below the title.
    """
    picture = _inline(_rendered(paint, size or Size()), name, title, told)
    small = None if note is None else tag("small", note)
    return tag("figure", tag("figcaption", title, small), picture)


def _rendered(paint: "Callable[[Axes], object]", size: Size) -> bytes:
    os.environ.setdefault("MPLCONFIGDIR", str(PLOT_CACHE))  # before the import, which reads it
    import matplotlib
    from matplotlib.figure import Figure

    width, height, left, right, top, bottom = size
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    written = BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that DejaVu lacks: the reader's font has it
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width / 72, height / 72))
        paint(figure.add_axes(box))
        figure.savefig(written, format="svg", metadata=NO_METADATA)
    return written.getvalue()


def _inline(document: bytes, name: str, title: str, told: str) -> Html:
    """Matplotlib's document as an element of the page."""
    root = ElementTree.fromstring(document)
    names: dict[str, str] = {}
    for element in root.iter():
        for child in list(element):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                element.remove(child)
        element.tag = element.tag.rpartition("}")[2]
        _clean(element, names, name)
    for element in root.iter():
        if (given := element.attrib.pop("id", None)) in names:
            element.set("id", names[str(given)])
    box = root.get("viewBox", "")
    root.attrib = {
        "viewBox": box,
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
        "style": f"--wide: {float(box.split()[2]):g}px",
    }
    for place, (word, text) in enumerate({"title": title, "desc": told}.items()):
        label = ElementTree.Element(word, id=f"{name}-{word}")
        label.text = printable(text)
        root.insert(place, label)
    return Html(ElementTree.tostring(root, encoding="unicode"))


def _clean(element: ElementTree.Element, names: dict[str, str], name: str) -> None:
    """The element with the page's colours, short numbers, and references by plain names."""

    def referred(found: re.Match[str]) -> str:
        new = names.setdefault(found[1], f"{name}-{len(names) + 1}")
        return found[0].replace(found[1], new)

    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        local = key.rpartition("}")[2]
        if local in ("href", "clip-path", "style"):
            value = REFERENCE.sub(referred, value)
        if local in GEOMETRY:
            value = LONG_NUMBER.sub(_short, value)
        if local == "style":
            value = FONT.sub(lambda found: f"font-size: {found[1]}" if found[1] else "", value)
            value = COLOUR.sub(lambda found: f"var(--{COLOURS[found[0]]})", value).strip("; ")
        element.set(local, value)


def _short(found: re.Match[str]) -> str:
    return f"{round(float(found[0]), 2) + 0:g}"
