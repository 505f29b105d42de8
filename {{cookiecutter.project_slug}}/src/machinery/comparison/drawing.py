"""drawing: target and predictions in, plots as Mermaid that GitHub and GitLab draw themselves, out.

Mermaid's xychart spreads the values of a line evenly over the axis and has no legend: all curves
are read off at the same places, and a sentence names the colours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.curves import calibration_curve, roc_curve

Line = NDArray[np.float64]
Lines = Mapping[str, Line]  # name of a model, or of the line that it is held against, to its line
Predictions = Mapping[str, NDArray[Any]]  # name of a model to its predictions

PLACES = 41  # at which a curve is read off
BINS = 10  # of the calibration curve
SHARE_DRAWN = 0.95  # the error curve ends where this share of each model's rows lies below
BLUE, ORANGE, GREY = ("blue", "#0072B2"), ("orange", "#E69F00"), ("grey", "#999999")
COLOURS = {"champion": BLUE, "challenger": ORANGE}  # Okabe & Ito 2008
CHART = """\
**{title}**

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
```

{legend}."""


def curves(task: metrics.Task, target: NDArray[Any], predictions: Predictions) -> str:
    """The plots of a task as Markdown; "" where nothing can be drawn.

    Classification: class codes (n,) and probabilities (n, k) of champion and challenger, for the
    ROC curve and calibration. Regression: values (n,) and values (n,), for the error curve (Bi &
    Bennett 2003).
    """
    if task == "regression":
        return _errors(target, predictions)
    parts = (_roc(target, predictions), _calibration(target, predictions))
    return "\n\n".join(part for part in parts if part)


def _roc(target: NDArray[Any], predictions: Predictions) -> str:
    """The ROC curve; with more than two classes the mean of one against the rest."""
    places, several = np.linspace(0, 1, PLACES), False
    lines: dict[str, Line] = {}
    for name, probability in predictions.items():
        classes = metrics.ranked(probability)
        curves = [roc_curve(target == code, probability[:, code]) for code in classes]
        read = [np.interp(places, *_columns(each, "fpr", "tpr")) for each in curves if each]
        several = len(classes) > 1
        if read:
            lines[name] = np.mean(read, axis=0)
    title = "ROC curve" + (", mean of each class against the rest" if several else "")
    axes = ("false positive rate", "true positive rate")
    return _chart(title, axes, places, {"chance": places} | lines) if lines else ""


def _calibration(target: NDArray[Any], predictions: Predictions) -> str:
    """Observed share over predicted probability, in the range that the models share."""
    points = {}
    for name, probability in predictions.items():
        curve = calibration_curve(*metrics.top_label(target, probability), BINS, level=0.95)
        points[name] = _columns(curve, "predicted", "observed")
    low = max(predicted[0] for predicted, _ in points.values())
    high = min(predicted[-1] for predicted, _ in points.values())
    if low >= high:
        return ""
    places = np.linspace(low, high, PLACES)
    lines = {name: np.interp(places, *curve) for name, curve in points.items()}
    axes = ("predicted probability", "observed share")
    return _chart("Calibration", axes, places, {"perfect": places} | lines)


def _errors(target: NDArray[Any], predictions: Predictions) -> str:
    """The share of rows whose absolute error is at most this large."""
    errors = {name: np.sort(np.abs(target - values)) for name, values in predictions.items()}
    end = max(float(np.quantile(each, SHARE_DRAWN)) for each in errors.values())
    if not end > 0:
        return ""
    places = np.linspace(0, end, PLACES)
    lines = {
        name: np.searchsorted(each, places, side="right") / len(each)
        for name, each in errors.items()
    }
    return _chart("Error curve", ("absolute error", "share of rows"), places, lines)


def _chart(title: str, axes: tuple[str, str], places: Line, lines: Lines) -> str:
    """One chart, and the sentence that says which line is which."""
    colours = {name: COLOURS.get(name, GREY) for name in lines}
    words = (
        f"{colour} is {'the ' if name in COLOURS else ''}{name}"
        for name, (colour, _) in colours.items()
    )
    top = max(float(line.max()) for line in lines.values())
    return CHART.format(
        title=title,
        colours=", ".join(code for _, code in colours.values()),
        x=axes[0],
        y=axes[1],
        low=places[0],
        high=places[-1],
        top=min(1.0, np.ceil(10 * top + 1e-9) / 10),  # the tenth above
        lines="\n".join(
            f"  line [{', '.join(f'{value:.4g}' for value in line)}]" for line in lines.values()
        ),
        legend=", ".join(words).capitalize(),
    )


def _columns(points: Sequence[Mapping[str, float]], x: str, y: str) -> tuple[Line, Line]:
    return np.array([point[x] for point in points]), np.array([point[y] for point in points])
