"""Score raw columns: features, predictions, prediction sets or intervals, and decisions.

It answers requests, scores files in bulk and checks a model's stored examples, with the functions
of features.py and the model file as in training. Of the pipeline it needs the model's files alone.
"""

from collections.abc import Mapping, Sequence
from hashlib import file_digest
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from machinery.pipeline.data import contract
from machinery.pipeline.data.catalogue import Catalogue
from machinery.pipeline.data.columns import Arrays, from_python
from machinery.pipeline.files import UserError, read_json, read_yaml
from machinery.pipeline.paths import CONTRACT, MODEL, MODEL_INFO, VERSION

from .answers import Answers, answer
from .decision import rule
from .model_file import Model

INFO_KEYS = frozenset(
    ("candidate", "features", "trained_on", "sha256", "contract_version", "task", "target")
    + ("classes", "threshold", "coverage", "conformal_quantile")
)
REMEDY = "run 'dvc pull' in a checkout, or copy both again"
SHORT_HASH = 8


class Scorer:
    """The model in a folder (a checkout, or an unpacked model), open for scoring.

    `info` is model.json, `columns` names the raw columns that the features are made from,
    `personal` the features that are made from a personal one.

    Raises:
        UserError: for a file that is missing, damaged or of another model, and for a features.py
            that does not make the features that the model was trained on.
    """

    def __init__(self, features: ModuleType, folder: Path = Path(), threads: int = 1) -> None:
        """Open the folder's model; `features` is the module that makes its features."""
        path = folder / CONTRACT
        self.contract = contract.parse(read_yaml(path), path)
        self.info = _read_info(folder / MODEL_INFO)
        self.model = Model(folder / MODEL, threads)
        _check_info(self.info, self.model.path, self.contract.version)
        self._catalogue = Catalogue(self.contract, features, list(self.model.features))
        self.columns, self.personal = self._catalogue.inputs, self._catalogue.personal
        self._rule = rule(self.info)
        for name, trained in self.model.features.items():
            kind = "string" if self._catalogue.features[name].type == "string" else "number"
            if kind != trained:
                raise UserError(
                    f"features.py makes {name} a {kind}, but {self.model.path} was trained "
                    f"on a {trained}; run 'dvc repro', or take the features.py of that model"
                )

    def arrays(self, columns: Mapping[str, Sequence[Any]]) -> Arrays:
        """Convert plain Python values, None where missing, to the arrays that features take."""
        described = self.contract.columns
        return {name: from_python(values, described[name]) for name, values in columns.items()}

    def features(self, columns: Mapping[str, np.ndarray]) -> Arrays:
        """The model's features of each row, from arrays as `arrays` makes them."""
        return self._catalogue(columns)

    def answers(self, columns: Mapping[str, np.ndarray]) -> Answers:
        """The answers for rows of raw columns."""
        return self.score(self.features(columns))

    def score(self, features: Mapping[str, np.ndarray]) -> Answers:
        """The answers for rows of features."""
        return answer(self.model.predict(features), self._rule)


def version_of(folder: Path, info: Mapping[str, Any], otherwise: str = "unreleased") -> str:
    """The version in the folder's version.json; without one, `otherwise` and the model's hash."""
    path = folder / VERSION
    version = read_json(path).get("version") if path.is_file() else None
    return str(version or f"{otherwise}-{info['sha256'][:SHORT_HASH]}")


def _read_info(path: Path) -> dict[str, Any]:
    info = read_json(path)
    if absent := sorted(INFO_KEYS - info.keys() if isinstance(info, dict) else INFO_KEYS):
        raise UserError(
            f"{path} lacks {', '.join(absent)}; run 'dvc repro', or fetch it again with its model"
        )
    return dict(info)


def _check_info(info: Mapping[str, Any], path: Path, version: int) -> None:
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if info["sha256"] != digest:
        raise UserError(f"{path} is not the file that model.json describes; {REMEDY}")
    if info["contract_version"] != version:
        raise UserError(
            f"{path} was trained on version {info['contract_version']} of the contract, but "
            f"contract.yaml is version {version}; {REMEDY}, or run 'dvc repro'"
        )
