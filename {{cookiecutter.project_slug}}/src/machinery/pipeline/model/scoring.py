"""scoring: raw columns in; features, predictions, sets or intervals, and decisions out.

What answers a request, scores a file in bulk and checks a model's stored examples: the functions of
features.py and the model file, as in training. Of the pipeline it needs the model's files alone.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from hashlib import file_digest
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from . import conformal
from machinery.pipeline.data import contract
from .answers import Answers
from machinery.pipeline.data.contract import Column
from .decision import rule
from machinery.pipeline.files import UserError, read_json, read_yaml
from machinery.pipeline.statistics.metrics import decide
from .model_file import Model
from machinery.pipeline.paths import CONTRACT, MODEL, MODEL_INFO, VERSION
from machinery.pipeline.data.recipe import Arrays, Recipe

Maker = Callable[[Sequence[Any]], np.ndarray]
EPOCH = datetime(1970, 1, 1)
NEVER = timedelta(microseconds=-(2**63))  # since EPOCH: the number that NumPy takes for NaT
TOLD = frozenset(  # by model.json, of every model
    ("candidate", "features", "trained_on", "sha256", "contract_version", "task", "target")
    + ("classes", "threshold", "coverage", "conformal_quantile")
)
SHORT = 8  # characters of a hash


class Scorer:
    """The model in a folder (a checkout, or an unpacked model), open for scoring.

    `info` is model.json, `columns` names the raw columns that the features are made from.

    Raises:
        UserError: for a file that is missing, damaged or of another model, and for a features.py
            that does not make the features that the model was trained on.
    """

    def __init__(
        self, features: ModuleType, folder: Path = Path(), threads: int = 1
    ) -> None:
        """Open the folder's model; `features` is the module that makes its features."""
        path = folder / CONTRACT
        self.contract = contract.parse(read_yaml(path), path)
        self.info = _read_info(folder / MODEL_INFO)
        self.model = Model(folder / MODEL, threads)
        _check_info(self.info, self.model.path, self.contract.version)
        self._recipe = Recipe(list(self.model.features), features)
        self.columns = self._recipe.columns
        self._check_kinds()
        self._makers = {name: maker(column) for name, column in self.contract.columns.items()}
        self._rule = rule(self.info)

    def arrays(self, columns: Mapping[str, Sequence[Any]]) -> Arrays:
        """Plain Python values, None where missing, as arrays that the features take."""
        makers = self._makers
        return {name: makers[name](values) for name, values in columns.items()}

    def features(self, columns: Mapping[str, np.ndarray]) -> Arrays:
        """The model's features of each row, from arrays as `arrays` makes them."""
        return self._recipe(columns)

    def answers(self, columns: Mapping[str, np.ndarray]) -> Answers:
        """What the model says of each row of raw columns."""
        return self.score(self.features(columns))

    def score(self, features: Mapping[str, np.ndarray]) -> Answers:
        """What the model says of each row of features."""
        prediction = self.model.predict(features)
        if self.contract.task == "regression":
            low, high = conformal.interval(prediction, self._rule.quantile)
            return Answers(prediction, low=low, high=high)
        return Answers(
            prediction,
            decision=decide(prediction, self._rule.threshold),
            members=conformal.sets(prediction, self._rule.quantile),
        )

    def _check_kinds(self) -> None:
        made = self._recipe.kinds(self.contract)
        for name, kind in self.model.features.items():
            if made[name] != kind:
                raise UserError(
                    f"features.py makes {name} a {made[name]}, but {self.model.path} was trained "
                    f"on a {kind}; run 'dvc repro', or take the features.py of that model"
                )


def maker(column: Column) -> Maker:
    """What makes an array of a column's plain values, None where missing, typed as in training."""
    match column.type:
        case "string" | "category" if not column.nullable:
            return partial(_filled, dtype=object)
        case "string" | "category":
            return _texts
        case "datetime":
            return _moments
        case "integer" if not column.nullable:
            return partial(_filled, dtype=np.int64)
        case "boolean" if not column.nullable:
            return partial(_filled, dtype=np.bool_)
        case _:
            return partial(_filled, dtype=np.float64)


def _filled(values: Sequence[Any], dtype: Any) -> np.ndarray:
    """As `np.array` makes it, without its look for the shape and the type of what it is given."""
    return np.fromiter(values, dtype, len(values))


def _texts(values: Sequence[Any]) -> np.ndarray:
    return _filled([np.nan if value is None else value for value in values], object)


def _moments(values: Sequence[Any]) -> np.ndarray:
    """Times, as datetime or ISO 8601; NumPy itself takes eight times as long for datetime."""
    try:
        since = [NEVER if value is None else value - EPOCH for value in values]
    except TypeError:
        return np.array(values, dtype="datetime64[us]")
    return np.array(
        [(each.days * 86_400 + each.seconds) * 1_000_000 + each.microseconds for each in since],
        dtype=np.int64,
    ).view("datetime64[us]")


def version_of(folder: Path, info: Mapping[str, Any], otherwise: str = "unreleased") -> str:
    """What version.json calls the folder's model; without one, `otherwise` and of what hash it is.

    So that two models are never called the same.
    """
    path = folder / VERSION
    named = read_json(path).get("version") if path.is_file() else None
    return str(named or f"{otherwise}-{info['sha256'][:SHORT]}")


def _read_info(path: Path) -> dict[str, Any]:
    info = read_json(path)
    if lacking := sorted(TOLD - info.keys() if isinstance(info, dict) else TOLD):
        raise UserError(
            f"{path} lacks {', '.join(lacking)}; run 'dvc repro', or fetch it again with its model"
        )
    return dict(info)


def _check_info(info: Mapping[str, Any], path: Path, version: int) -> None:
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if info["sha256"] != digest:
        raise UserError(f"{path} is not the file that model.json describes; fetch both again")
    if info["contract_version"] != version:
        raise UserError(
            f"{path} keeps version {info['contract_version']} of the contract, but contract.yaml "
            f"is version {version}; fetch both again, or run 'dvc repro'"
        )
