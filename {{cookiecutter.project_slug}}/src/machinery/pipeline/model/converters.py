"""Converters for estimators that skl2onnx cannot convert, or not always correctly."""

import sys
from typing import Any

import numpy as np

OPTIONS = {"zipmap": [True, False], "nocl": [True, False]}  # that skl2onnx sets for classifiers


def register() -> None:
    """Register them with skl2onnx; LightGBM's and XGBoost's only if a candidate imported these."""
    from skl2onnx import update_registered_converter as update
    from skl2onnx.common import shape_calculator
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.preprocessing import TargetEncoder

    update(TargetEncoder, "TargetMeans", _widths, _target_means)
    classes = shape_calculator.calculate_linear_classifier_output_shapes
    values = shape_calculator.calculate_linear_regressor_output_shapes
    update(HistGradientBoostingRegressor, "Histograms", values, _histograms)
    if lightgbm := sys.modules.get("lightgbm"):
        update(lightgbm.LGBMClassifier, "LGBMClassifier", classes, _lightgbm, options=OPTIONS)
        update(lightgbm.LGBMRegressor, "LGBMRegressor", values, _lightgbm)
    if xgboost := sys.modules.get("xgboost"):
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        update(xgboost.XGBClassifier, "XGBClassifier", classes, convert_xgboost, options=OPTIONS)
        update(xgboost.XGBRegressor, "XGBRegressor", values, convert_xgboost)


class _Trees:
    """An ONNX node container that makes trees split float32 as they would split float64.

    For any float32 x, `x <= threshold` equals `x <= threshold rounded down`. Rounding to nearest is
    wrong where a threshold is between neighbouring float32, which is common for differences.
    """

    def __init__(self, container: Any, link: str | None = None) -> None:
        """`link` is the ONNX operator from the sum of the trees to the prediction."""
        self._container, self._link = container, link

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, kind: str, inputs: Any, outputs: Any, **attributes: Any) -> None:
        if "nodes_values" in attributes:
            exact = np.array(attributes["nodes_values"], dtype=np.float64)
            nearest = exact.astype(np.float32)
            below = np.nextafter(nearest, np.float32(-np.inf))
            attributes["nodes_values"] = np.where(nearest > exact, below, nearest).tolist()
        if self._link is not None and kind == "TreeEnsembleRegressor":
            total = f"{outputs}_before_{self._link}"
            self._container.add_node(self._link, total, outputs, name=f"{self._link}_of_trees")
            outputs = total
        self._container.add_node(kind, inputs, outputs, **attributes)


def _histograms(scope: Any, operator: Any, container: Any) -> None:
    """Add the log link of the Poisson and gamma losses, which skl2onnx omits."""
    from skl2onnx.operator_converters import random_forest

    link = "Exp" if operator.raw_operator.loss in ("poisson", "gamma") else None
    convert = random_forest.convert_sklearn_random_forest_regressor_converter
    convert(scope, operator, _Trees(container, link))


def _lightgbm(scope: Any, operator: Any, container: Any) -> None:
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    convert_lightgbm(scope, operator, _Trees(container))


def _widths(operator: Any) -> None:
    from skl2onnx.common.data_types import FloatTensorType

    operator.outputs[0].type = FloatTensorType([None, len(operator.raw_operator.encodings_)])


def _target_means(scope: Any, operator: Any, container: Any) -> None:
    """Look a category up in a table of target means, whose last row is for unknown categories.

    skl2onnx's own converter does not support several classes.
    """
    from skl2onnx.algebra.onnx_ops import (
        OnnxArrayFeatureExtractor_1,
        OnnxConcat,
        OnnxGather,
        OnnxLabelEncoder_2,
        OnnxReshape,
    )

    encoder, opset = operator.raw_operator, {"op_version": container.target_opset}
    overall = np.atleast_1d(encoder.target_mean_)
    shape = np.array([-1, len(overall)], dtype=np.int64)
    columns, parts = OnnxConcat(*operator.inputs, axis=1, **opset), []
    for number, categories in enumerate(encoder.categories_):
        means = encoder.encodings_[number * len(overall) : (number + 1) * len(overall)]
        table = np.vstack([np.column_stack(means), overall]).astype(np.float32)
        index = OnnxLabelEncoder_2(
            OnnxArrayFeatureExtractor_1(columns, np.array([number], dtype=np.int64)),
            keys_strings=[str(category) for category in categories],
            values_int64s=list(range(len(categories))),
            default_int64=len(categories),
        )
        parts.append(OnnxReshape(OnnxGather(table, index, axis=0, **opset), shape, **opset))
    OnnxConcat(*parts, axis=1, output_names=operator.outputs, **opset).add_to(scope, container)
