"""drawing: target and predictions in, plots as Mermaid that GitHub and GitLab draw themselves, out.

Mermaid's xychart spreads the values of a line evenly over the axis and has no legend: all curves
are read off at the same places, and a sentence names the colours.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.statistics.curves import calibration_curve, roc_curve
from machinery.pipeline.statistics.metrics import Task, top_label

Line = NDArray[np.float64]
Predictions = Mapping[str, NDArray[Any]]  # name of a model to its predictions

PLACES = 41  # at which a curve is read off
BINS = 10  # of the calibration curve
LEVEL = 0.95
REACH = 0.95  # the error curve ends where so many rows of each model lie below
COLOURS = {"blue": "#0072B2", "orange": "#E69F00", "grey": "#999999"}  # Okabe & Ito 2008
CHART = """\
```mermaid
---
config:
  xyChart:
    width: 600
    height: 400
  themeVariables:
    xyChart:
      plotColorPalette: "{colours}"
---
xychart-beta
  x-axis "{x}" {low:.6g} --> {high:.6g}
  y-axis "{y}" 0 --> {top:.6g}
{lines}
```"""


def curves(task: Task, target: NDArray[Any], predictions: Predictions) -> str:
    """The plots of a task as Markdown; "" where nothing can be drawn.

    Classification: class codes (n,) and probabilities (n, k) of each model, for the ROC curve and
    calibration. Regression: values (n,) and values (n,), for the error curve (Bi & Bennett 2003).
    """
    if task == "regression":
        return _errors(target, predictions)
    parts = (_roc(target, predictions), _calibration(target, predictions))
    return "\n\n".join(part for part in parts if part)


def _roc(target: NDArray[Any], predictions: Predictions) -> str:
    """The ROC curve; with more than two classes the mean of one against the rest."""
    places = np.linspace(0, 1, PLACES)
    lines = {name: _mean_roc(target, each, places) for name, each in predictions.items()}
    drawn = _coloured(predictions, {name: line for name, line in lines.items() if line is not None})
    if not drawn:
        return ""
    several = next(iter(predictions.values())).shape[1] > 2
    title = "ROC curve" + (", mean of each class against the rest" if several else "")
    axes = ("false positive rate", "true positive rate")
    return _chart(title, axes, places, {("grey", "chance"): places, **drawn})


def _mean_roc(target: NDArray[Any], probability: NDArray[Any], places: Line) -> Line | None:
    classes = range(probability.shape[1])
    found = [
        roc_curve(target == code, probability[:, code])
        for code in (classes if len(classes) > 2 else classes[1:])
    ]
    read = [_read(places, _columns(points, "fpr", "tpr")) for points in found if points]
    return np.mean(read, axis=0) if read else None


def _calibration(target: NDArray[Any], predictions: Predictions) -> str:
    """Observed share over predicted probability, where the models that can be drawn overlap."""
    found = {}
    for name, probability in predictions.items():
        points = calibration_curve(*top_label(target, probability), BINS, LEVEL)
        predicted, observed = _columns(points, "predicted", "observed")
        if predicted[-1] > predicted[0]:
            found[name] = (predicted, observed)
    if not found:
        return ""
    low = max(predicted[0] for predicted, _ in found.values())
    high = min(predicted[-1] for predicted, _ in found.values())
    if low >= high:  # they never say the same: the last one, which is the challenger, alone
        found = dict([list(found.items())[-1]])
        ((predicted, _),) = found.values()
        low, high = predicted[0], predicted[-1]
    places = np.linspace(low, high, PLACES)
    lines = {name: _read(places, points) for name, points in found.items()}
    drawn = {("grey", "perfect"): places, **_coloured(predictions, lines)}
    text = _chart("Calibration", ("predicted probability", "observed share"), places, drawn)
    return text + "".join(
        f" Not drawn: the {name}, whose probabilities are all alike or in another range."
        for name in predictions
        if name not in lines
    )


def _errors(target: NDArray[Any], predictions: Predictions) -> str:
    """The share of rows whose absolute error is at most so large."""
    errors = {name: np.sort(np.abs(target - each)) for name, each in predictions.items()}
    furthest = max(float(np.quantile(each, REACH)) for each in errors.values())
    if not furthest > 0:
        return ""
    places = np.linspace(0, furthest, PLACES)
    lines = {
        name: np.searchsorted(each, places, side="right") / len(each)
        for name, each in errors.items()
    }
    drawn = _coloured(predictions, lines)
    return _chart("Error curve", ("absolute error", "share of rows"), places, drawn)


def _coloured(predictions: Predictions, lines: Mapping[str, Line]) -> dict[tuple[str, str], Line]:
    """Each line by its colour and name: the last model, which is the challenger, in orange."""
    colours = zip(reversed(list(predictions)), ("orange", "blue"), strict=False)
    found = {name: (colour, f"the {name}") for name, colour in colours}
    return {found[name]: line for name, line in lines.items()}


def _chart(
    title: str, axes: tuple[str, str], places: Line, lines: Mapping[tuple[str, str], Line]
) -> str:
    """One chart, and the sentence that says which line is which."""
    chart = CHART.format(
        colours=", ".join(COLOURS[colour] for colour, _ in lines),
        x=axes[0],
        y=axes[1],
        low=places[0],
        high=places[-1],
        top=_top(lines.values()),
        lines="\n".join(f"  line [{_figures(line)}]" for line in lines.values()),
    )
    words = [f"{colour} is {name}" for colour, name in lines]
    legend = ", ".join(words)
    return f"**{title}**\n\n{chart}\n\n{legend[0].upper()}{legend[1:]}."


def _top(lines: Iterable[Line]) -> float:
    """The end of the vertical axis: the tenth above the highest value, 1 at most."""
    return min(1.0, float(np.ceil(10 * max(line.max() for line in lines) + 1e-9) / 10))


def _figures(line: Line) -> str:
    return ", ".join(f"{value:.4g}" for value in line)


def _columns(points: Sequence[Mapping[str, float]], x: str, y: str) -> tuple[Line, Line]:
    return np.array([point[x] for point in points]), np.array([point[y] for point in points])


def _read(places: Line, curve: tuple[Line, Line]) -> Line:
    return np.asarray(np.interp(places, *curve))
