"""converters: estimators that skl2onnx cannot convert, or not in every case; told how."""

import sys
from typing import Any

import numpy as np

OPTIONS = {"zipmap": [True, False], "nocl": [True, False]}  # which skl2onnx sets of classifiers


def register() -> None:
    """Tell skl2onnx, of LightGBM and XGBoost where a candidate has imported them."""
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
    """A container of nodes whose trees split float32 as they would split float64.

    `x <= threshold` is `x <= threshold rounded down` of any x in float32; rounded to the nearest,
    it is not where a threshold stands between neighbours, as differences and ratios often are.
    """

    def __init__(self, container: Any, link: str | None = None) -> None:
        """`link` is the function from the sum of the trees to the prediction."""
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
    """With the logarithmic link of counts and amounts, which skl2onnx forgets."""
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
    """A category's place in a table of means, the last line of which is for an unknown category.

    skl2onnx's own converter has no means of several classes.
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
    given, parts = OnnxConcat(*operator.inputs, axis=1, **opset), []
    for number, categories in enumerate(encoder.categories_):
        means = encoder.encodings_[number * len(overall) : (number + 1) * len(overall)]
        lines = np.vstack([np.column_stack(means), overall]).astype(np.float32)
        column = OnnxArrayFeatureExtractor_1(given, np.array([number], dtype=np.int64))
        line = OnnxLabelEncoder_2(
            column,
            keys_strings=[str(category) for category in categories],
            values_int64s=list(range(len(categories))),
            default_int64=len(categories),
        )
        parts.append(OnnxReshape(OnnxGather(lines, line, axis=0, **opset), shape, **opset))
    OnnxConcat(*parts, axis=1, output_names=operator.outputs, **opset).add_to(scope, container)
