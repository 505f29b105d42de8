"""A feature gets the same row from every source: the types depend on the contract alone."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from inspect import Parameter, Signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from machinery.bulk import run, source
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.checks import check, conform, for_pandas
from machinery.pipeline.data.columns import Arrays, arrays, arrow_type, combine_chunks, from_pandas
from machinery.pipeline.data.tags import tag
from machinery.pipeline.model.scoring import Scorer
from machinery.serving.app import Service, application
from machinery.serving.log_files import compact, read
from machinery.serving.settings import Settings
from shop.model_folder import column, write_folder

BIG = 2**53 + 1  # not representable as float64
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    "category": st.sampled_from(["NA", "null", "red"]),
    "integer": st.integers(-(2**63), 2**63 - 1) | st.just(BIG),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "datetime": st.datetimes(),
}
AFTERWARDS = datetime(2100, 1, 1, tzinfo=UTC)  # when every day of the log is over
Row = dict[str, Any]


def document() -> dict[str, Any]:
    """A column of every type, each also as a nullable one."""
    kinds = {
        f"{kind}{'_or_null' * nullable}": column(
            kind, nullable=nullable, allowed=["NA", "null", "red"] if kind == "category" else None
        )
        for kind in VALUES
        for nullable in (False, True)
    }
    target = {"id": column("string"), "late": column("boolean", known="after")}
    roles = {"target": "late", "key": "id", "time": None, "group": None}
    return {"version": 1, "task": "classification", **roles, "columns": {**target, **kinds}}


CONTRACT = contracts.parse(document())
NAMES = [name for name in CONTRACT.known_before() if name != "id"]


FULL: Row = {"id": "a row", "string": "NA", "category": "NA", "integer": BIG, "number": 0.1}
FULL |= {"boolean": True, "datetime": datetime(2026, 1, 2, 3, 4, 5, 678901)}
HALF_EMPTY = FULL | {name: None for name in NAMES if name not in FULL}
FULL |= {name: FULL[name.removesuffix("_or_null")] for name in NAMES}


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Rows, possibly none; a nullable column is null in some rows, in all, or in none."""
    count, names = draw(st.integers(0, 4)), NAMES
    columns = {}
    for name in names:
        values = VALUES[CONTRACT.columns[name].type]
        if CONTRACT.columns[name].nullable:
            values = draw(st.sampled_from([values, st.none(), values | st.none()]))
        columns[name] = draw(st.lists(values, min_size=count, max_size=count))
    return [
        {"id": f"row {at}", **{name: columns[name][at] for name in names}} for at in range(count)
    ]


def to_arrow(rows: list[Row]) -> pa.Table:
    kinds = {name: CONTRACT.columns[name].type for name in ["id", *NAMES]}
    return pa.table(
        {name: pa.array([row[name] for row in rows], arrow_type(of)) for name, of in kinds.items()}
    )


def to_pandas(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series([row[name] for row in rows], dtype=CONTRACT.columns[name].dtype)
            for name in ["id", *NAMES]
        }
    )


def joined(parts: list[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in NAMES}


def same(actual: Arrays, expected: Arrays, where: str) -> None:
    for name in NAMES:
        one, other = actual[name], expected[name]
        assert (one.dtype, len(one)) == (other.dtype, len(other)), f"{name} {where}"
        if one.dtype == object:
            one, other = (
                [value if value == value else None for value in of] for of in (one, other)
            )
            assert one == other, f"{name} {where}"
        else:
            np.testing.assert_array_equal(one, other, f"{name} {where}")


class Paths:
    """All the paths by which a row reaches a feature."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.features, self.calls = folder, ModuleType("features"), []

        def record(**columns: np.ndarray) -> np.ndarray:
            """Record the arguments."""
            self.calls.append(columns)
            return np.arange(len(columns["number"]), dtype=np.float32)

        parameters = [Parameter(name, Parameter.KEYWORD_ONLY) for name in NAMES]
        record.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        self.features.record = tag(owner="shop", unit="")(record)  # type: ignore[attr-defined]
        table = to_pandas([HALF_EMPTY] * 4)
        table["late"] = [False, True] * 2
        write_folder(folder / "model", document(), self.features, table)
        self.scorer = Scorer(self.features, folder / "model")
        options = {"model_folder": folder / "model", "prediction_log": folder / "log"}
        self.service = Service(self.features, Settings(demo=True, **options))

    def pipeline(self, rows: list[Row]) -> Arrays:
        table = conform(to_pandas(rows), CONTRACT)
        typed = check({name: combine_chunks(table[name]) for name in table.column_names}, CONTRACT)
        assert not typed.violations
        return arrays(typed.columns, NAMES, CONTRACT)

    def pandas(self, rows: list[Row]) -> Arrays:
        pq.write_table(for_pandas(to_arrow(rows), CONTRACT), self.folder / "table.parquet")
        return from_pandas(pd.read_parquet(self.folder / "table.parquet"), NAMES, CONTRACT)

    def bulk(self, table: pa.Table, name: str) -> Arrays:
        path = self.folder / name
        if name.endswith("csv"):
            csv.write_csv(table, path)
        else:
            pq.write_table(table, path)
        self.calls.clear()
        options = run.Options(force=True, threads=1)
        done = run.predict(self.features, str(path), str(self.folder / "out.parquet"), options)
        assert done["predicted"] == len(table)
        return joined(self.calls)

    def http(self, client: TestClient, rows: list[Row]) -> str:
        def plain(value: Any) -> Any:
            return value.isoformat() if isinstance(value, datetime) else value

        self.calls.clear()
        body = [{name: plain(value) for name, value in row.items()} for row in rows]
        answer = client.post("/predict", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["request_id"])

    def log(self, request_id: str) -> Arrays:
        table = read(self.folder / "log")
        table = table.filter(pa.compute.equal(table["request_id"], request_id))
        return arrays({name: table[f"raw_{name}"] for name in NAMES}, NAMES, CONTRACT)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return Paths(tmp_path_factory.mktemp("types"))


@pytest.fixture(scope="module")
def client(paths: Paths) -> Iterator[TestClient]:
    with TestClient(application(paths.service)) as client:
        yield client


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(rows=[])
@example(rows=[FULL, FULL, FULL])
@example(rows=[HALF_EMPTY, HALF_EMPTY, FULL])
@given(rows=tables())
def test_a_value_is_the_same_to_a_feature_on_every_path(
    paths: Paths, client: TestClient, monkeypatch: pytest.MonkeyPatch, rows: list[Row]
) -> None:
    monkeypatch.setattr(run, "open_model", lambda features, folder: paths.scorer)
    monkeypatch.setattr(source, "BATCH_ROWS", 2)
    monkeypatch.setattr(os, "fsync", lambda file: None)
    expected = paths.pipeline(rows)
    same(paths.pandas(rows), expected, "read from Parquet by pandas")
    table = to_arrow(rows)
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        kinds = [kind if type_ == pa.string() else type_ for type_ in table.schema.types]
        parquet = table.cast(pa.schema(zip(table.schema.names, kinds, strict=True)))
        same(paths.bulk(parquet, "in.parquet"), expected, f"in bulk, of {kind}")
    coded = pa.table({name: table[name].dictionary_encode() for name in table.schema.names})
    same(paths.bulk(coded, "in.parquet"), expected, "in bulk, of dictionaries")
    same(paths.bulk(table, "in.csv"), expected, "in bulk from CSV")
    if rows:
        request_id = paths.http(client, rows)
        same(joined(paths.calls), expected, "over HTTP")
        same(paths.log(request_id), expected, "in the log")
        compact(paths.folder / "log", AFTERWARDS)
        same(paths.log(request_id), expected, "in the compacted log")
        shutil.rmtree(paths.folder / "log")
