"""Plots of both models as Mermaid charts, which GitHub and GitLab draw themselves.

Mermaid's xychart spaces the values of a line evenly and has no legend: all curves are interpolated
at the same places, and a sentence names the colours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machinery.pipeline.statistics import metrics
from machinery.pipeline.statistics.curves import calibration_curve, roc_curve

Line = NDArray[np.float64]
Predictions = Mapping[str, NDArray[Any]]  # by model

PLACES = 41  # values of each line
BINS = 10  # of the calibration curve
SHARE_SHOWN = 0.95  # the error curve ends where it has this share of each model's rows
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
    """The plots of a task as Markdown; "" if there are none.

    Classification: ROC and calibration curve, from class codes (n,) and each model's probabilities
    (n, k). Regression: error curve (Bi & Bennett 2003), from values (n,) and predictions (n,).
    """
    if task == "regression":
        return _errors(target, predictions)
    plots = (_roc(target, predictions), _calibration(target, predictions))
    return "\n\n".join(plot for plot in plots if plot)


def _roc(target: NDArray[Any], predictions: Predictions) -> str:
    """The ROC curve; with more than two classes the mean of the one-vs-rest curves."""
    title, places = "ROC curve", np.linspace(0, 1, PLACES)
    lines = {"chance": places}
    for name, probability in predictions.items():
        classes = metrics.ranked(probability)
        if len(classes) > 1:
            title = "ROC curve, mean of each class against the rest"
        curves = [roc_curve(target == code, probability[:, code]) for code in classes]
        values = [_interpolate(places, curve, "fpr", "tpr") for curve in curves if curve]
        if values:
            lines[name] = np.mean(values, axis=0)
    axes = ("false positive rate", "true positive rate")
    return _chart(title, axes, places, lines) if len(lines) > 1 else ""


def _calibration(target: NDArray[Any], predictions: Predictions) -> str:
    """Observed share over predicted probability, in the range that the models share."""
    curves = {
        name: calibration_curve(*metrics.top_label(target, probability), BINS, level=0.95)
        for name, probability in predictions.items()
    }
    low = max(curve[0]["predicted"] for curve in curves.values())
    high = min(curve[-1]["predicted"] for curve in curves.values())
    if low >= high:
        return ""
    lines = {"perfect": (places := np.linspace(low, high, PLACES))}
    for name, curve in curves.items():
        lines[name] = _interpolate(places, curve, "predicted", "observed")
    return _chart("Calibration", ("predicted probability", "observed share"), places, lines)


def _errors(target: NDArray[Any], predictions: Predictions) -> str:
    """The share of rows whose absolute error is at most this large."""
    errors = {name: np.sort(np.abs(target - values)) for name, values in predictions.items()}
    end = max(float(np.quantile(values, SHARE_SHOWN)) for values in errors.values())
    if not end > 0:
        return ""
    places = np.linspace(0, end, PLACES)
    lines = {
        name: np.searchsorted(values, places, side="right") / len(values)
        for name, values in errors.items()
    }
    return _chart("Error curve", ("absolute error", "share of rows"), places, lines)


def _interpolate(places: Line, curve: Sequence[Mapping[str, float]], x: str, y: str) -> Line:
    line: Line = np.interp(places, [point[x] for point in curve], [point[y] for point in curve])
    return line


def _chart(title: str, axes: tuple[str, str], places: Line, lines: Mapping[str, Line]) -> str:
    """One chart, and the sentence that says which line is which."""
    colours = {name: COLOURS.get(name, GREY) for name in lines}
    legend = ", ".join(
        f"{colour} is {'the ' if name in COLOURS else ''}{name}"
        for name, (colour, _) in colours.items()
    )
    values = (", ".join(f"{value:.4g}" for value in line) for line in lines.values())
    top = max(float(line.max()) for line in lines.values())
    return CHART.format(
        title=title,
        colours=", ".join(code for _, code in colours.values()),
        x=axes[0],
        y=axes[1],
        low=places[0],
        high=places[-1],
        top=min(1.0, np.ceil(10 * top + 1e-9) / 10),  # rounded up to a tenth
        lines="\n".join(f"  line [{line}]" for line in values),
        legend=legend.capitalize(),
    )
