"""converters: estimators that skl2onnx cannot convert, or not in every case; told how."""

from typing import Any

import numpy as np


def register() -> None:
    """Tell skl2onnx."""
    from skl2onnx import update_registered_converter
    from sklearn.preprocessing import TargetEncoder

    update_registered_converter(TargetEncoder, "TargetMeans", _widths, _target_means)


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
