"""rows: a batch in; its good rows with their predictions, and its bad ones with the reason, out."""

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
    """The result of a batch; `counts` says how often each violation occurs, `shown` with what."""

    good: pa.Table
    bad: pa.Table
    counts: Mapping[str, int]
    shown: Mapping[str, str]


class RowScorer:
    """Checks and scores batches of tables with the same columns.

    Every column of the contract that is known before the prediction and is in the table is checked;
    all others are kept as they are. Those in `missing` are empty in every row.

    Raises:
        UserError: when the table lacks a column that the model needs, has one of a wrong type, or
            one that has the name of what is added.
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
        """Check the columns; `typed` gives those of the contract in its types."""
        self._scorer, self._version, self._typed = scorer, version, typed
        self._contract, schema = scorer.contract, source.schema
        names = {*schema.names}
        self._checked = [name for name in self._contract.known_before() if name in names]
        self._refuse_absent(source, names, missing)
        mistyped = [] if source.kind == "csv" else checks.mistyped(schema, self._contract)
        for name, column in mistyped:
            if column.known == "before":
                kind = schema.field(name).type
                raise UserError(f"{source.place}: {name} is {kind}, not of type {column.type}")
        notes = [field.with_name(self._contract.added(field.name)) for field in BAD]
        self.bad_schema = pa.schema([*schema, *notes])
        added = {*self._answers({}, 0), *self.bad_schema.names[len(schema) :]}
        if twins := sorted(added & names):
            raise UserError(f"{source.place} already has a column {twins[0]}; rename or drop it")
        self.schema = self(Batch("", schema.empty_table(), np.arange(0), {}, 0)).good.schema

    def __call__(self, batch: Batch) -> Predicted:
        """Check and score the rows."""
        table = batch.table
        checked = checks.check(
            {name: combine_chunks(table[name]) for name in self._checked}, self._contract
        )
        bad = checked.bad(len(table))
        counts = {str(each): each.count for each in checked.violations}
        counts |= {"a line is no row": len(batch.malformed)} if batch.malformed else {}
        typed, kept = checked.columns, table
        if bad.any():
            good = pa.array(~bad)
            kept = table.filter(good)
            typed = {name: values.filter(good) for name, values in typed.items()}
        if self._typed:
            for name in self._checked:
                kept = kept.set_column(kept.schema.get_field_index(name), name, typed[name])
        for name, values in self._answers(typed, len(kept)).items():
            kept = kept.append_column(name, values)
        shown = {}
        for each in checked.violations:
            if values := checks.examples(combine_chunks(table[each.column]), each, self._contract):
                shown[str(each)] = f", e.g. {', '.join(values)}"
        return Predicted(kept, self._bad(batch, checked, bad), counts, shown)

    def _answers(self, typed: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:
        described = self._contract.columns
        types = {name: arrow_type(described[name].type) for name in self._scorer.columns}
        columns = {name: typed.get(name, pa.nulls(rows, kind)) for name, kind in types.items()}
        answers = self._scorer.answers(arrays(columns, columns, self._contract))
        named = answer_columns(answers, self._contract.class_names)
        named[VERSION] = pa.repeat(self._version, rows)
        return {self._contract.added(name): values for name, values in named.items()}

    def _bad(self, batch: Batch, checked: Checked, bad: np.ndarray) -> pa.Table:
        """The bad rows as they came, then the lines that are no rows."""
        count, lines = int(np.count_nonzero(bad)), batch.malformed
        if not count and not lines:
            return self.bad_schema.empty_table()
        rows = [*batch.numbers[bad].tolist(), *lines]
        personal = any(column.personal for column in self._contract.columns.values())
        told = (fault if personal else f"{text!r} {fault}" for text, fault in lines.values())
        why = [*checked.reasons(bad), *told]
        given = batch.table.filter(pa.array(bad))
        empty = [pa.nulls(len(lines), kind) for kind in given.schema.types]
        table = pa.concat_tables([given, pa.table(empty, given.schema)])
        notes = [pa.repeat(batch.path, len(rows)), pa.array(rows, pa.int64()), pa.array(why)]
        return pa.table([*table.columns, *notes], self.bad_schema)

    def _refuse_absent(self, source: Source, names: set[str], missing: Collection[str]) -> None:
        absent = [name for name in self._scorer.columns if name not in names]
        for name in absent:
            nullable = self._contract.columns[name].nullable
            if name in missing and nullable:
                continue
            lacks = f"{source.place} lacks {', '.join(absent)}, which the model needs"
            near = get_close_matches(name, sorted(names), 1)
            remedy = f"rename {near[0]}" if near else "add it"
            if nullable:
                remedy += f", or mean it by --allow-missing {name}"
            elif name in missing:
                remedy += f" (contract.yaml says that {name} is nullable: false)"
            raise UserError(f"{lacks}; {remedy}")
