"""The model file: convert a fitted pipeline to ONNX, and open it for scoring.

The file holds the whole pipeline, from named features of shape (rows, 1) to one output: class
probabilities or predicted values. Loading it runs no code and needs no scikit-learn.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import onnxruntime

from machinery.pipeline.files import UserError, first_line, missing, replace

from . import converters

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

Kind = Literal["number", "string"]

KINDS: dict[str, Kind] = {"tensor(float)": "number", "tensor(string)": "string"}
DTYPES: dict[Kind, type] = {"number": np.float32, "string": object}
BATCH_ROWS = 65_536  # bounds the memory of text and of one-hot columns
OPSETS = {"": 21, "ai.onnx.ml": 3}  # fixed, so that a newer onnx does not change the bytes
UNSEEN = "(never seen)"  # a category that no training table has


def save(pipeline: "Pipeline", features: Mapping[str, Kind], path: Path) -> None:
    """Convert the fitted pipeline to ONNX and write it; the bytes depend on the pipeline alone.

    Raises:
        UserError: when a part of the pipeline has no converter.
    """
    file = _convert(pipeline, features, path.stem)
    if hasattr(pipeline, "predict_proba"):
        del file.graph.output[0]  # the label, which follows from probabilities and threshold
    file.opset_import.sort(key=lambda opset: opset.domain)  # skl2onnx writes them in hash order
    file.producer_version = ""
    replace(path, lambda part: part.write_bytes(file.SerializeToString(deterministic=True)))


def _convert(pipeline: "Pipeline", features: Mapping[str, Kind], name: str) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    types = {"number": FloatTensorType, "string": StringTensorType}
    inputs = [(feature, types[kind]([None, 1])) for feature, kind in features.items()]
    options = {"zipmap": False} if hasattr(pipeline, "predict_proba") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # internal to the libraries; parity is checked
        try:
            converters.register()
            file = to_onnx(pipeline, initial_types=inputs, options=options, target_opset=OPSETS)
            onnxruntime.InferenceSession(file.SerializeToString())
        except Exception as error:  # converters raise anything
            raise UserError(
                f"{name}: {type(pipeline[-1]).__name__} does not convert to ONNX "
                f"({first_line(error)}); build it in candidates.py of parts that skl2onnx supports"
            ) from error
    for feature, tensor in zip(features, file.graph.input, strict=True):
        if feature != tensor.name:
            raise UserError(f"{name}: '{feature}' cannot name an ONNX input; rename the feature")
    return file


class Model:
    """A model file, open for scoring. `features` maps the names of its inputs to their kinds.

    Raises:
        UserError: for a file that is missing, damaged or not written by `save`.
    """

    def __init__(self, path: Path, threads: int = 1, content: bytes | None = None) -> None:
        """Open the file, or its `content`; scoring takes `threads` threads."""
        if content is None and not path.is_file():
            raise missing(path)
        self.path, self._threads = path, threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # errors are raised; the log would repeat them
        try:
            self._session = onnxruntime.InferenceSession(content or path, options)
            self.features = {node.name: KINDS[node.type] for node in self._session.get_inputs()}
            (self._output,) = (node.name for node in self._session.get_outputs())
        except Exception as error:  # onnxruntime's errors share no base class
            reason = first_line(error)
            raise UserError(f"{path} is not a model file that 'train' wrote: {reason}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the content, since the file may not exist where this is unpickled."""
        return Model, (self.path, self._threads, self.path.read_bytes())

    def predict(self, columns: "Mapping[str, Any] | pd.DataFrame") -> "NDArray[np.float32]":
        """Class probabilities of shape (rows, classes), or predicted values of shape (rows,).

        Raises:
            UserError: unless the names of `columns` are exactly the features.
        """
        self._check_names({*columns.keys()})
        rows = len(columns[next(iter(self.features))])
        if not rows:  # text vectorizers cannot take none
            row = {name: ["0"] for name in self.features}
            return self._score(row, slice(1))[:0]
        starts = range(0, rows, BATCH_ROWS)
        return np.concatenate([self._score(columns, slice(at, at + BATCH_ROWS)) for at in starts])

    def _score(self, columns: Any, rows: slice) -> "NDArray[np.float32]":
        feed: dict[str, NDArray[Any]] = {
            name: np.asarray(columns[name][rows], dtype=DTYPES[kind]).reshape(-1, 1)
            for name, kind in self.features.items()
        }
        output = cast("NDArray[np.float32]", self._session.run([self._output], feed)[0])
        return output if self._output == "probabilities" else output.reshape(-1)

    def _check_names(self, names: set[str]) -> None:
        if names != self.features.keys():
            absent = ", ".join(sorted(self.features.keys() - names)) or "none"
            unknown = ", ".join(sorted(names - self.features.keys())) or "none"
            raise UserError(f"wrong features for {self.path}: missing {absent}, unknown {unknown}")
