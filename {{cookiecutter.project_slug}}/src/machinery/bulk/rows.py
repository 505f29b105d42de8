"""rows: a batch in; its good rows with their predictions, and its bad ones with the reason, out."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from machinery.pipeline.data import violations
from machinery.pipeline.data.columns import TYPES, from_arrow
from machinery.pipeline.files import UserError
from machinery.pipeline.model.answers import answer_columns
from machinery.pipeline.model.scoring import Scorer
from .source import Batch, Position, Source

BAD = pa.schema([("bad_file", pa.string()), ("bad_row", pa.int64()), ("bad_reason", pa.string())])


class Predicted(NamedTuple):
    """What came of a batch; `counts` tells how often each violation occurs."""

    good: pa.Table
    bad: pa.Table
    counts: Mapping[str, int]


class RowScorer:
    """Checks and scores batches of tables with the same columns.

    Every column of the contract that is known before the prediction and stands in the table is
    checked; all others are kept as they are. One that may be empty may also be left out.

    Raises:
        UserError: when the table lacks a column that the model needs, has one of a wrong type, or
            one that has the name of what is added.
    """

    def __init__(
        self, scorer: Scorer, source: Source, version: str, *, typed: bool = False
    ) -> None:
        """Look at the columns; `typed` gives those that are checked in the contract's types."""
        self._scorer, self._version, self._typed = scorer, version, typed
        self._path, schema = source.path, source.schema
        self._contract = scorer.contract
        self._checked = [name for name in self._contract.known_before() if name in schema.names]
        self._refuse_missing(schema)
        if source.kind != "csv":  # where all is text, and read as what it should be
            self._refuse_types(schema)
        self._bad_schema = pa.schema([*schema, *BAD])
        added = set(self._answer(self._arrays({}, 0))) | set(BAD.names)
        if twins := sorted(added & set(schema.names)):
            raise UserError(f"{source.path} already has a column {twins[0]}; rename or drop it")
        nothing = Batch(source.path, 1, schema.empty_table(), [], None, Position(), 0)
        self.schema, self.bad_schema = self(nothing).good.schema, self._bad_schema

    def __call__(self, batch: Batch) -> Predicted:
        """Check and score the rows."""
        table = batch.table
        columns = {name: _whole(table[name]) for name in self._checked}
        checked = violations.check(columns, self._contract)
        bad = checked.bad(len(table))
        counts = {why: int(mask.sum()) for why, mask in checked.violations.items()}
        counts |= {"a line is no row": len(batch.malformed)} if batch.malformed else {}
        typed, kept = checked.columns, table
        if bad.any():
            good = pa.array(~bad)
            kept = table.filter(good)
            typed = {name: values.filter(good) for name, values in typed.items()}
        answers = self._answer(self._arrays(typed, len(kept)))
        if self._typed:
            for name in self._checked:
                kept = kept.set_column(kept.schema.get_field_index(name), name, typed[name])
        for name, values in answers.items():
            kept = kept.append_column(name, values)
        return Predicted(kept, self._bad(batch, checked, bad), counts)

    def _answer(self, arrays: dict[str, np.ndarray]) -> dict[str, pa.Array]:
        answers = self._scorer.answers(arrays)
        columns = answer_columns(answers, self._contract.class_names)
        version = pa.array([self._version]).take(
            pa.array(np.zeros(len(answers.prediction), dtype=np.int32))
        )
        return {**columns, "model_version": version}

    def _arrays(self, typed: Mapping[str, pa.Array], rows: int) -> dict[str, np.ndarray]:
        described = self._contract.columns
        return {
            name: from_arrow(
                typed.get(name, pa.nulls(rows, TYPES[described[name].type])), described[name]
            )
            for name in self._scorer.columns
        }

    def _bad(self, batch: Batch, checked: violations.Checked, bad: np.ndarray) -> pa.Table:
        """The bad rows as they came, then the lines that are no rows."""
        count = int(np.count_nonzero(bad))
        if not count and not batch.malformed:
            return self._bad_schema.empty_table()
        numbers = np.array(batch.numbers or np.arange(len(bad)) + batch.first, dtype=np.int64)[bad]
        rows = [*numbers.tolist(), *(line.row for line in batch.malformed)]
        why = [*checked.reasons(bad), *(line.reason for line in batch.malformed)]
        columns = [
            pa.chunked_array(
                [*values.filter(pa.array(bad)).chunks, _nulls(values, len(rows) - count)]
            )
            for values in batch.table.columns
        ]
        noted = [pa.array([batch.path] * len(rows), pa.string()), pa.array(rows), pa.array(why)]
        return pa.table([*columns, *noted], schema=self._bad_schema)

    def _refuse_missing(self, schema: pa.Schema) -> None:
        described = self._contract.columns
        needed = [name for name in self._scorer.columns if not described[name].nullable]
        if absent := [name for name in needed if name not in schema.names]:
            raise UserError(f"{self._path} lacks {', '.join(absent)}, which the model needs")

    def _refuse_types(self, schema: pa.Schema) -> None:
        for name in self._checked:
            column, kind = self._contract.columns[name], schema.field(name).type
            if not violations.castable(kind, column):
                raise UserError(f"{self._path}: {name} is {kind}, not of type {column.type}")


def _whole(values: pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)


def _nulls(like: pa.ChunkedArray, rows: int) -> pa.Array:
    return pa.nulls(rows, like.type)
