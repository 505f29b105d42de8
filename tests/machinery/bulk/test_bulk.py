"""Bulk predictions: every row in one pass, and output that is complete or absent."""

import gzip
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from machinery.bulk import run, source, target
from machinery.bulk.run import Options
from machinery.pipeline.compute import local_map
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import UserError
from machinery.pipeline.model.answers import Answers


class TenthOfSize:
    """A fake model: the probability is a tenth of the size, 0.5 where it is missing."""

    def __init__(self, contract: Contract) -> None:
        self.contract, self.columns = contract, ["colour", "size"]
        self.info = {"sha256": "0123456789abcdef"}

    def answers(self, columns: dict[str, np.ndarray]) -> Answers:
        share = np.nan_to_num(columns["size"] / 10, nan=0.5).astype(np.float32)
        both = np.stack([1 - share, share], axis=1)
        return Answers(both, decision=(share >= 0.5).astype(np.int64), members=both >= 0.5)


@pytest.fixture(autouse=True)
def _small(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the fake model, and batches of ten rows."""
    use_model(contract, monkeypatch)
    monkeypatch.setattr(source, "BATCH_ROWS", 10)
    monkeypatch.setattr(source, "BLOCK_BYTES", 400)


def use_model(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "open_model", lambda features, folder: TenthOfSize(contract))


def predict(
    source: str | Path, target: str | Path, spread: Any = local_map, **options: Any
) -> dict[str, Any]:
    return run.predict(ModuleType("features"), str(source), str(target), Options(**options), spread)


def refuses(source: str | Path, target: str | Path, sentence: str, **options: Any) -> None:
    """Predict is refused with the sentence, and changes no file."""
    folder = Path(source).parent
    before = contents(folder)
    with pytest.raises(UserError, match=sentence):
        predict(source, target, **options)
    assert contents(folder) == before


def table_of(count: int, **changes: Any) -> pa.Table:
    return pa.table(
        {
            "id": [f"row {number}" for number in range(count)],
            "size": [float(number % 11) for number in range(count)],
            "colour": ["red", "blue"] * (count // 2) + ["red"] * (count % 2),
            "note": [f"kept, {number}" for number in range(count)],
            **changes,
        }
    )


def write(path: Path, table: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=25)
    return path


def text(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path) -> pa.Table:
    return csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("source_name", ["in.parquet", "in.csv"])
@pytest.mark.parametrize("out", ["out.parquet", "out.csv"])
def test_every_row_keeps_its_columns_and_gets_a_prediction(
    tmp_path: Path, source_name: str, out: str
) -> None:
    table = table_of(101)
    summary = predict(write(tmp_path / source_name, table), tmp_path / out)
    assert (summary["rows"], summary["predicted"], summary["bad"]) == (101, 101, 0)
    result = read(tmp_path / out)
    assert result.select(table.schema.names).to_pylist() == table.to_pylist()
    sizes = result["size"].to_numpy()
    np.testing.assert_allclose(result["probability_true"].to_numpy(), sizes / 10, atol=1e-6)
    assert result.schema.names[4:] == [
        "probability_false",
        "probability_true",
        "prediction",
        "in_set_false",
        "in_set_true",
        "model_version",
    ]
    assert set(result["model_version"].to_pylist()) == {"unreleased-01234567"}
    assert {path.name for path in tmp_path.iterdir()} == {source_name, out}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_folder_of_files_becomes_a_folder_of_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for name in ("b", "a"):
        write(tmp_path / f"in/{name}.{kind}", table_of(40, note=[name] * 40))
    (tmp_path / "in/_SUCCESS").touch()
    monkeypatch.setattr(target, "PART_ROWS", 30)
    summary = predict(tmp_path / "in", tmp_path / "out")
    parts = sorted((tmp_path / "out").glob("part-*"))
    assert len(parts) > 2
    notes = [note for part in parts for note in read(part)["note"].to_pylist()]
    assert notes == ["a"] * 40 + ["b"] * 40
    assert summary["output"] == str(tmp_path / "out")


@pytest.mark.parametrize("source_name", ["in.parquet", "in.csv"])
def test_bad_rows_go_to_a_separate_file_with_number_and_reason(
    tmp_path: Path, source_name: str
) -> None:
    table = table_of(40)
    sizes, colours = table["size"].to_pylist(), table["colour"].to_pylist()
    sizes[3], sizes[25], colours[25] = 99.0, -1.0, "green"
    name = write(tmp_path / source_name, table_of(40, size=sizes, colour=colours))
    summary = predict(name, tmp_path / "out.parquet", max_bad=0.1)
    assert summary["violations"] == {
        "size is outside 0 to 10": 2,
        "colour is not among the allowed values": 1,
    }
    colour = "colour is not among the allowed values, once, e.g. 'green'"
    with pytest.raises(UserError, match=colour):
        predict(name, tmp_path / "other.parquet", max_bad=0)
    bad = read(tmp_path / "out.bad.parquet").to_pylist()
    assert [(row["bad_row"], row["bad_reason"]) for row in bad] == [
        (4, "size is outside 0 to 10"),
        (26, "size is outside 0 to 10; colour is not among the allowed values"),
    ]
    assert (bad[0]["bad_file"], bad[0]["note"]) == (str(name), "kept, 3")
    ids = read(tmp_path / "out.parquet")["id"].to_pylist()
    assert ids == [f"row {number}" for number in range(40) if number not in (3, 25)]


def test_malformed_lines_are_bad_rows(tmp_path: Path) -> None:
    lines = [f"row {at},{at % 10},red" for at in range(60)]
    lines[5], lines[40] = "row 5,1", "row 40,1,red,more"
    path = text(tmp_path / "in.csv", "id,size,colour\n" + "\n".join(lines) + "\nlast\n")
    summary = predict(path, tmp_path / "out.csv", max_bad=0.2)
    assert (summary["rows"], summary["bad"]) == (61, 3)
    bad = read(tmp_path / "out.bad.csv").to_pylist()
    assert [row["bad_row"] for row in bad] == [6, 41, 61]
    assert bad[0]["bad_reason"] == "'row 5,1' has 2 fields, not 3"


def test_csv_values_are_parsed_row_by_row_and_a_quoted_empty_value_is_missing(
    tmp_path: Path,
) -> None:
    path = text(tmp_path / "in.csv", 'id,size,colour\na,1,red\nb,much,red\n"c\nd",,blue\n"","1",""')
    predict(path, tmp_path / "out.csv", max_bad=0.5)
    bad = read(tmp_path / "out.bad.csv").to_pylist()
    assert bad[0]["size"] == "much"
    assert bad[1]["bad_reason"].startswith("id is empty")
    assert read(tmp_path / "out.csv")["id"].to_pylist() == ["a", "c\nd"]


def test_a_boolean_column_of_csv_is_read(
    tmp_path: Path, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    document["columns"]["sold"] = document["columns"]["size"] | {"type": "boolean", "allowed": None}
    use_model(contracts.parse(document), monkeypatch)
    path = text(tmp_path / "in.csv", "id,size,colour,sold\na,1,red,true\nb,1,red,\nc,1,red,no\n")
    assert predict(path, tmp_path / "out.parquet", max_bad=0.5)["bad"] == 1
    assert read(tmp_path / "out.parquet")["sold"].to_pylist() == [True, None]


def test_a_later_file_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    table = table_of(20)
    write(tmp_path / "in/a.parquet", table)
    b = write(tmp_path / "in/b.parquet", table.append_column("note", table["note"]))
    refuses(tmp_path / "in", tmp_path / "out.parquet", f"{b} has two columns note; rename one")


@pytest.mark.parametrize("out", ["out.parquet", "out.csv", "out/"])
def test_a_run_that_fails_leaves_no_output(tmp_path: Path, out: str) -> None:
    write(tmp_path / "in/a.parquet", table_of(100))
    b = write(tmp_path / "in/b.parquet", table_of(2).drop(["note"]))
    sentence = rf"{b} has other columns or types than .*a.parquet \(note\); predict them separately"
    refuses(tmp_path / "in", f"{tmp_path}/{out}", sentence)


@pytest.mark.parametrize("out_name", ["out.parquet", "out.csv", "out"])
def test_only_force_replaces_an_output_of_predict(tmp_path: Path, out_name: str) -> None:
    out = tmp_path / out_name
    name = write(tmp_path / "in.parquet", table_of(10, size=[99.0] + [1.0] * 9))
    predict(name, out, max_bad=0.2)
    refuses(name, out, f"{out.name} already exists; remove it or pass --force", max_bad=0.2)
    name = write(tmp_path / "in.parquet", table_of(20))
    predict(name, out, force=True)
    parts = [out] if out.is_file() else sorted(out.glob("part-*"))
    assert sum(len(read(part)) for part in parts) == 20
    assert not list(tmp_path.glob("out.bad*")), "of the previous run"


@pytest.mark.parametrize(
    ("existing", "out"),
    [
        ("out/.git/HEAD", "out"),
        ("out/_delta_log/0.json", "out/"),
        ("out/part-000000.parquet", "out/"),
        ("out.parquet", "out.parquet"),
        ("out.parquet/x", "out.parquet"),
        ("out.bad.parquet", "out.parquet"),
        ("out.bad.parquet/x", "out.parquet"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_files_that_predict_did_not_write_are_never_replaced(
    tmp_path: Path, existing: str, out: str, force: bool
) -> None:
    text(tmp_path / existing, "not a prediction")
    name = write(tmp_path / "in.parquet", table_of(10))
    sentence = "was not written by predict" if force else "already exists"
    refuses(name, f"{tmp_path}/{out}", sentence, force=force)


@pytest.mark.parametrize(
    ("source_name", "out"),
    [
        ("out.parquet", "out.parquet"),
        ("out.bad.parquet", "out.parquet"),
        ("out/part-000000.parquet", "out"),
        ("out/part-000000.parquet", "in/../out/"),
    ],
)
def test_the_input_is_never_replaced(tmp_path: Path, source_name: str, out: str) -> None:
    (tmp_path / "in").mkdir()
    name = write(tmp_path / source_name, table_of(10))
    refuses(name, f"{tmp_path}/{out}", "would replace the input", force=True)


@pytest.mark.parametrize("out", ["", ".", "..", "/", "a/..", "~/x.csv", "s3://bucket", "out.xlsx"])
def test_an_invalid_output_is_refused_before_a_row_is_read(
    tmp_path: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refuses(write(tmp_path / "in.parquet", table_of(2)), out, r"OUT is .*; use NAME\.parquet")


def test_an_s3_address_without_s3fs_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match=r"needs the package s3fs; run pip install"):
        predict("s3://bucket/in.parquet", tmp_path / "out.parquet")


def test_an_output_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "there")
    refuses(write(tmp_path / "in.parquet", table_of(2)), tmp_path / "out", "is a link", force=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": ["1", "2"]}, "size is string, not of type number"),
        ({"prediction": [1, 2]}, "already has a column prediction"),
        ({"bad_row": [1, 2]}, "already has a column bad_row"),
    ],
)
def test_columns_of_a_wrong_type_or_name_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    refuses(write(tmp_path / "in.parquet", table_of(2, **changes)), tmp_path / "out", message)


@pytest.mark.parametrize("out", ["out.parquet", "out.csv"])
@pytest.mark.parametrize("column", ["prediction", "low", "high", "model_version", "bad_row"])
def test_columns_of_the_contract_may_have_the_names_of_added_ones(
    tmp_path: Path,
    document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    column: str,
    out: str,
) -> None:
    document["columns"][column] = document["columns"]["size"]
    use_model(contracts.parse(document), monkeypatch)
    path = write(tmp_path / "in.parquet", table_of(20, **{column: [99.0] + [1.0] * 19}))
    for options in ({}, {"force": True}):
        predict(path, tmp_path / out, max_bad=0.1, **options)
    result = read(tmp_path / out)
    assert result[column].to_pylist() == [1.0] * 19
    assert result.schema.names[-6:] == [
        "probability_false_",
        "probability_true_",
        "prediction_",
        "in_set_false_",
        "in_set_true_",
        "model_version_",
    ]
    (bad,) = read(tmp_path / out.replace("out", "out.bad")).to_pylist()
    assert (bad[column], bad["bad_row_"]) == (99.0, 1)
    path = write(tmp_path / "in.parquet", table_of(2, prediction_=[1, 2], **{column: [1.0, 1.0]}))
    refuses(path, tmp_path / "other.csv", "already has a column prediction_; rename or drop it")


def test_an_absent_column_is_refused_with_the_closest_name_unless_allowed(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    table = table_of(4).rename_columns(["id", "sise", "colour", "note"])
    name = write(tmp_path / "in.parquet", table)
    refuses(name, out, "lacks size, .*; rename sise, or pass --allow-missing size")
    predict(name, out, missing=("size",))
    assert read(out)["probability_true"].to_pylist() == [0.5] * 4
    name = write(tmp_path / "in.parquet", table_of(4).drop(["colour"]))
    refuses(name, tmp_path / "b", "lacks colour, which the model needs; add it$")
    refuses(
        name,
        tmp_path / "b",
        "contract.yaml says that colour is nullable: false",
        missing=("colour",),
    )


def test_csv_of_other_programs_is_read(tmp_path: Path) -> None:
    content = '\ufeff\r\n"id","size","the ""colour""",colour\r\na,1,x,red\r\n"b,b",,"y\nz",blue\r\n'
    path = text(tmp_path / "IN.CSV.GZ", gzip.compress(content.encode()))
    predict(path, tmp_path / "out.parquet")
    rows = read(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in rows] == ["a", "b,b"]
    assert [row['the "colour"'] for row in rows] == ["x", "y\nz"]
    assert [row["size"] for row in rows] == [1.0, None]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.parquet", b"not Parquet at all", "is not readable"),
        ("in.csv", b"", "is not readable"),
        (
            "in.csv",
            b"id,size,colour\na,1,\xff\xfe\n",
            "not text in UTF-8 .*; save it as CSV in UTF-8",
        ),
        (
            "in.csv.gz",
            gzip.compress(b"id,size,colour\na,1,red\n" * 99, mtime=0)[:-20],
            "is not readable",
        ),
        ("in.csv", b"id,size,size\na,1,2\n", "two columns size"),
        ("in.csv", "id,size,colour\na,1,red\n".encode("utf-16"), "not text in UTF-8"),
        ("in.csv", "id,size,colour\na,1,red\n".encode("utf-16-be"), "is UTF-16; save it as UTF-8"),
        ("in.csv", b"id;size;colour\na;1;red\n", "is separated by ';'; save it with commas"),
        ("in.csv", b"id;size, kg;colour\na;1,5;red\n", "is separated by ';'; save it with commas"),
        ("in.csv", b"sep=;\r\nid;size\r\n", "begins with the line 'sep=;'; save it with commas"),
        ("in.csv", b"sep=,\r\nid,size\r\n", "begins with the line 'sep=,'"),
        ("in.csv", gzip.compress(b"id\na\n", mtime=0), "is compressed by gzip; name it .csv.gz"),
        ("in.csv", b"PK\x03\x04xl/", "is a spreadsheet or a zip archive; save it as CSV"),
        ("in.csv", b"PAR1\x15\x04", "is Parquet; name it .parquet"),
        ("in.txt", b"id", "must end in"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    refuses(text(tmp_path / name, content), tmp_path / "out.parquet", message)


@pytest.mark.parametrize("name", ["in.parquet", "in.csv", "in.csv.gz"])
@pytest.mark.parametrize("change", ["cut", "written again", "removed"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, name: str, change: str
) -> None:
    path = tmp_path / name
    rows = b"id,size,colour\n" + b"a,1,red\n" * 200
    if name == "in.parquet":
        write(path, table_of(200))
    else:
        text(path, gzip.compress(rows) if name.endswith("gz") else rows)
    content = path.read_bytes()

    def meanwhile(*args: Any, **options: Any) -> Iterator[Any]:
        batches = local_map(*args, **options)
        yield next(batches)
        if change == "removed":
            path.unlink()
        else:
            os.truncate(path, 0 if change == "written again" else len(content) - 24)
        if change == "written again":
            text(path, content)
        yield from batches

    with pytest.raises(UserError, match="changed while it was read; run again|is not readable"):
        predict(path, tmp_path / "out.parquet", meanwhile)
    assert {file.name for file in tmp_path.iterdir()} <= {name}


@pytest.mark.parametrize("out", ["out.parquet", "out"])
@pytest.mark.parametrize("bad", [0, 1])
def test_an_output_that_another_run_writes_meanwhile_is_not_replaced(
    tmp_path: Path, out: str, bad: int
) -> None:
    path, other = (
        write(tmp_path / name, table_of(20, size=[99.0] * count + [1.0] * (20 - count)))
        for name, count in (("in.parquet", 1 - bad), ("other.parquet", bad))
    )
    after = {}

    def meanwhile(*args: Any, **options: Any) -> Iterator[Any]:
        yield from local_map(*args, **options)
        predict(other, tmp_path / out, max_bad=0.1)
        after.update(contents(tmp_path))

    with pytest.raises(UserError, match=f"{out} already exists; remove it or pass --force"):
        predict(path, tmp_path / out, meanwhile, max_bad=0.1)
    assert contents(tmp_path) == {name: data for name, data in after.items() if name[0] != "."}


@pytest.mark.parametrize("out", ["out.parquet", "out"])
def test_concurrent_runs_replace_one_output_one_after_another(tmp_path: Path, out: str) -> None:
    path = write(tmp_path / "in.parquet", table_of(20, size=[99.0] + [1.0] * 19))
    with ThreadPoolExecutor(8) as pool:
        runs = [
            pool.submit(predict, path, tmp_path / out, force=True, max_bad=0.1) for _ in range(24)
        ]
    assert [future.result()["bad"] for future in runs] == [1] * 24


def test_a_missing_input_and_files_that_differ_are_named(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    refuses(folder, out, "is missing or an empty folder")
    write(folder / "a.parquet", table_of(2, note=[1, 2]))
    write(folder / "b.parquet", table_of(2))  # its values must not be shown
    refuses(folder, out, r"or types than .*a\.parquet \(note\); predict them separately$")
    write(folder / "c.csv", table_of(2))
    refuses(folder, out, "are of two kinds")


def test_a_column_that_csv_cannot_store_is_refused(tmp_path: Path) -> None:
    name = write(tmp_path / "in.parquet", table_of(2, note=[["a"], ["b"]]))
    refuses(name, tmp_path / "out.csv", r"note is list<.*>, which CSV cannot store")


@pytest.mark.parametrize("name", ["in.parquet", "in.csv"])
def test_an_empty_table_gives_an_empty_table(tmp_path: Path, name: str) -> None:
    summary = predict(write(tmp_path / name, table_of(0)), tmp_path / "out.parquet")
    assert summary["rows"] == 0
    assert read(tmp_path / "out.parquet").schema.names[:4] == ["id", "size", "colour", "note"]


def test_the_version_of_an_unpacked_model_is_in_every_row(tmp_path: Path) -> None:
    text(tmp_path / "version.json", json.dumps({"version": "v1.2.0"}))
    predict(write(tmp_path / "in.parquet", table_of(3)), tmp_path / "out.parquet", model=tmp_path)
    assert read(tmp_path / "out.parquet")["model_version"].to_pylist() == ["v1.2.0"] * 3


def test_the_time_grows_linearly_with_the_number_of_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BLOCK_BYTES", 8_000_000)
    names = ",".join(f"c{number}" for number in range(20_000))
    path = text(tmp_path / "in.csv", f"id,size,colour,{names}\na,1,red{',' * 20_000}\n")
    start = time.process_time()
    assert predict(path, tmp_path / "out.csv")["rows"] == 1
    assert time.process_time() - start < 10
