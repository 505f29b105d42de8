"""Check and score batches of rows; bad rows get a reason instead of a prediction."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from machinery.pipeline.data import checks
from machinery.pipeline.data.checks import Checked
from machinery.pipeline.data.columns import arrays, arrow_type, combine_chunks
from machinery.pipeline.files import UserError
from machinery.pipeline.model.answers import answer_columns
from machinery.pipeline.model.scoring import Scorer

from .source import Batch, Source

BAD = pa.schema([("bad_file", pa.string()), ("bad_row", pa.int64()), ("bad_reason", pa.string())])
VERSION = "model_version"


class Predicted(NamedTuple):
    """The result of a batch: `counts` of each violation, and `examples` of its values as text."""

    good: pa.Table
    bad: pa.Table
    counts: Mapping[str, int]
    examples: Mapping[str, str]
    done: int  # as in Batch


class RowScorer:
    """Checks and scores batches with the columns of a source.

    Columns of the contract that are known before the prediction are checked; all others are copied.

    Raises:
        UserError: if a column that the model needs is missing or has the wrong type, or a column
            has the name of one that is added.
    """

    def __init__(
        self,
        scorer: Scorer,
        source: Source,
        version: str,
        *,
        missing: Collection[str] = (),
        typed: bool = False,
    ) -> None:
        """Check the columns.

        Those in `missing` may be absent, and are then null. With `typed`, columns of the contract
        are written in their types.
        """
        self._scorer, self._version, self._typed = scorer, version, typed
        self._contract, schema = scorer.contract, source.schema
        names = {*schema.names}
        self._checked = [name for name in self._contract.known_before() if name in names]
        self._refuse_absent(source, names, missing)
        mistyped = [] if source.kind == "csv" else checks.mistyped(schema, self._contract)
        for name, column in mistyped:
            if column.known == "before":
                kind = schema.field(name).type
                raise UserError(f"{source.location}: {name} is {kind}, not of type {column.type}")
        notes = [field.with_name(self._contract.added(field.name)) for field in BAD]
        self.bad_schema = pa.schema([*schema, *notes])
        added = {*self._answers({}, 0), *self.bad_schema.names[len(schema) :]}
        if taken_names := sorted(added & names):
            fault = f"{source.location} already has a column {taken_names[0]}"
            raise UserError(f"{fault}; rename or drop it")
        self.schema = self.score(Batch("", schema.empty_table(), np.arange(0), {}, 0)).good.schema

    def score(self, batch: Batch) -> Predicted:
        """Check and score the rows."""
        table = batch.table
        checked = checks.check(
            {name: combine_chunks(table[name]) for name in self._checked}, self._contract
        )
        bad = checked.bad(len(table))
        typed, good = checked.columns, table
        if bad.any():
            valid = pa.array(~bad)
            typed = {name: values.filter(valid) for name, values in typed.items()}
            good = table.filter(valid)
        if self._typed:
            for name in self._checked:
                good = good.set_column(good.schema.get_field_index(name), name, typed[name])
        for name, values in self._answers(typed, len(good)).items():
            good = good.append_column(name, values)
        counts = {str(violation): violation.count for violation in checked.violations}
        if batch.malformed:
            counts["a line is malformed"] = len(batch.malformed)
        examples = {}
        for violation in checked.violations:
            column = combine_chunks(table[violation.column])
            if values := checks.examples(column, violation, self._contract):
                examples[str(violation)] = f", e.g. {', '.join(values)}"
        return Predicted(good, self._bad(batch, checked, bad), counts, examples, batch.done)

    def _answers(self, typed: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:
        described = self._contract.columns
        types = {name: arrow_type(described[name].type) for name in self._scorer.columns}
        columns = {name: typed.get(name, pa.nulls(rows, kind)) for name, kind in types.items()}
        answers = self._scorer.answers(arrays(columns, columns, self._contract))
        added = answer_columns(answers, self._contract.class_names)
        added[VERSION] = pa.repeat(self._version, rows)
        return {self._contract.added(name): values for name, values in added.items()}

    def _bad(self, batch: Batch, checked: Checked, bad: np.ndarray) -> pa.Table:
        """The bad rows unchanged, then the malformed lines."""
        lines = batch.malformed
        if not bad.any() and not lines:
            return self.bad_schema.empty_table()
        rows = [*batch.numbers[bad].tolist(), *lines]
        personal = any(column.personal for column in self._contract.columns.values())
        faults = (fault if personal else f"{text!r} {fault}" for text, fault in lines.values())
        table = batch.table.filter(pa.array(bad))
        empty = [pa.nulls(len(lines), kind) for kind in table.schema.types]
        table = pa.concat_tables([table, pa.table(empty, table.schema)])
        notes = [
            pa.repeat(batch.path, len(rows)),
            pa.array(rows, pa.int64()),
            pa.array([*checked.reasons(bad), *faults], pa.string()),
        ]
        return pa.table([*table.columns, *notes], self.bad_schema)

    def _refuse_absent(self, source: Source, names: set[str], missing: Collection[str]) -> None:
        absent = [name for name in self._scorer.columns if name not in names]
        for name in absent:
            nullable = self._contract.columns[name].nullable
            if name in missing and nullable:
                continue
            fault = f"{source.location} lacks {', '.join(absent)}, which the model needs"
            matches = get_close_matches(name, sorted(names), 1)
            remedy = f"rename {matches[0]}" if matches else "add it"
            if nullable:
                remedy += f", or pass --allow-missing {name}"
            elif name in missing:
                remedy += f" (contract.yaml says that {name} is nullable: false)"
            raise UserError(f"{fault}; {remedy}")
