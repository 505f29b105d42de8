"""Examples: rows stored with a model, and the predictions that they must get.

Whoever opens the model checks them first, so that a model file and a features.py that do not belong
together, or a library that computes differently, are noticed before they answer a request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from machinery.pipeline.data.columns import placeholder
from machinery.pipeline.files import UserError, first_line, read_json, rounded
from machinery.pipeline.paths import EXAMPLES

from .model_file import UNSEEN
from .scoring import Scorer

if TYPE_CHECKING:
    import pandas as pd

REAL_ROWS = 16
RELATIVE, ABSOLUTE = 1e-5, 1e-6  # tolerances for predictions stored with six digits

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Examples:
    """Rows, the first `real` of them from the test table, and their predictions.

    They have the columns known before the prediction; a placeholder replaces personal values.
    """

    rows: Rows
    predictions: np.ndarray
    real: int
    where: str


def make(table: "pd.DataFrame", prediction: np.ndarray, scorer: Scorer) -> dict[str, Any]:
    """Rows of the table, one with missing values and one with unknown strings, for JSON.

    `table` holds the raw columns of the test rows, `prediction` what the pipeline predicted from
    the features that `featurize` wrote.

    Raises:
        UserError: when the scorer does not predict what the pipeline did.
    """
    at = np.unique(np.linspace(0, len(table) - 1, REAL_ROWS).astype(int))
    columns = {name: scorer.contract.columns[name] for name in scorer.contract.known_before()}
    real = [_plain(row) for row in table[[*columns]].iloc[at].astype(object).to_dict("records")]
    _check(_predictions(scorer, real), prediction[at], "data/test.parquet")
    personal = {name: column for name, column in columns.items() if column.personal}
    hidden = _plain({name: placeholder(column) for name, column in personal.items()})
    real = [row | hidden for row in real]
    nullable = {name: None for name in real[0] if columns[name].nullable}
    strings = [name for name in scorer.columns if columns[name].type == "string"]
    rows = rounded([*real, real[0] | nullable, real[0] | dict.fromkeys(strings, UNSEEN)])
    return {"rows": rows, "predictions": _predictions(scorer, rows).tolist(), "real": len(real)}


def read(folder: Path) -> Examples:
    """The examples stored in the folder.

    Raises:
        UserError: when they are missing or malformed.
    """
    path = folder / EXAMPLES
    stored = read_json(path)
    try:
        predictions = np.array(stored["predictions"], dtype=np.float64)
        return Examples(stored["rows"], predictions, stored["real"], str(path))
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} holds no examples ({first_line(error)}); run 'dvc repro' to make them"
        ) from None


def check(scorer: Scorer, stored: Examples) -> None:
    """Predict the examples.

    Raises:
        UserError: naming the first row whose prediction differs from the stored one.
    """
    _check(_predictions(scorer, stored.rows), stored.predictions, stored.where)


def _predictions(scorer: Scorer, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    columns = {name: [row.get(name) for row in rows] for name in scorer.columns}
    return scorer.answers(scorer.arrays(columns)).prediction


def _check(actual: np.ndarray, expected: np.ndarray, where: str) -> None:
    close = np.isclose(actual, expected, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    wrong = np.flatnonzero(~close.reshape(len(close), -1).all(axis=1))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"{where}: the prediction of example {row} is {actual[row].tolist()}, but the "
            f"pipeline's was {expected[row].tolist()}; model.onnx and features.py do not belong "
            "together: run 'dvc repro', or take both from one version"
        )


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of a table as JSON values: missing ones are null, times ISO 8601."""
    import pandas as pd

    values = {name: None if pd.isna(value) else value for name, value in row.items()}
    return {
        str(name): value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }
