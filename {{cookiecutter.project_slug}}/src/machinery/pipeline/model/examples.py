"""examples: test rows in; the rows stored with a model, and what it must answer to them, out.

Whoever opens the model checks these answers first: a model file and a features.py that do not
belong together, or a library that computes otherwise, are found before they answer a request.
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
RELATIVE, ABSOLUTE = 1e-5, 1e-6  # how far an answer may be from one stored with six digits

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Examples:
    """Rows stored with a model, the first `real` of them from the table, and their predictions.

    A stand-in that the contract allows takes the place of each personal value.
    """

    rows: Rows
    predictions: np.ndarray
    real: int
    where: str


def make(table: "pd.DataFrame", prediction: np.ndarray, scorer: Scorer) -> dict[str, Any]:
    """Rows from all over the test table, one that lacks what it may lack, one of unknown texts.

    Args:
        table: the raw columns of the test rows.
        prediction: what the pipeline predicted from the features that `featurize` wrote.
        scorer: what will answer requests.

    Returns:
        `rows`, with the columns known before the prediction; `predictions`, probabilities or
        values; `real`, how many rows are those of the table (the first ones). What is personal is
        not stored: a stand-in takes its place, and the predictions are of that.

    Raises:
        UserError: when the scorer does not answer as the pipeline did.
    """
    at = np.unique(np.linspace(0, len(table) - 1, REAL_ROWS).astype(int))
    known = scorer.contract.known_before()
    real = [_plain(row) for row in table[known].iloc[at].astype(object).to_dict("records")]
    _check(_predictions(scorer, real), prediction[at], "data/test.parquet")
    columns = {name: scorer.contract.columns[name] for name in known}
    hidden = _plain({name: placeholder(of) for name, of in columns.items() if of.personal})
    real = [row | hidden for row in real]
    rows = rounded([*real, *_unusual(real[0], scorer)])
    return {"rows": rows, "predictions": _predictions(scorer, rows).tolist(), "real": len(real)}


def read(folder: Path) -> Examples:
    """The examples stored in the folder.

    Raises:
        UserError: when they are missing, or are none.
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
    """Answer the examples.

    Raises:
        UserError: naming the first row whose answer is not the stored one.
    """
    _check(_predictions(scorer, stored.rows), stored.predictions, stored.where)


def _predictions(scorer: Scorer, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    columns = {name: [row.get(name) for row in rows] for name in scorer.columns}
    return scorer.answers(scorer.arrays(columns)).prediction


def _check(given: np.ndarray, wanted: np.ndarray, where: str) -> None:
    close = np.isclose(given, wanted, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    wrong = np.flatnonzero(~close.reshape(len(close), -1).all(axis=1))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"{where}: example {row} is answered {given[row].tolist()}, but the pipeline said "
            f"{wanted[row].tolist()}; model.onnx and features.py do not belong together: run "
            "'dvc repro', or take both from one version"
        )


def _unusual(row: dict[str, Any], scorer: Scorer) -> Rows:
    columns = scorer.contract.columns
    free = [name for name in scorer.columns if columns[name].type == "string"]
    return [
        row | {name: None for name in row if columns[name].nullable},
        row | dict.fromkeys(free, UNSEEN),
    ]


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of a table as JSON has it: what is missing is null, times are ISO 8601."""
    import pandas as pd

    values = {name: None if pd.isna(value) else value for name, value in row.items()}
    return {
        str(name): value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }
