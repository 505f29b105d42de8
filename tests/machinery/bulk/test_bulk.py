"""bulk: any number of rows, in one pass, to files that are whole or not there."""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from machinery.bulk.run import Options, predict
from machinery.bulk.source import Position, Source
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import CheckError, UserError
from machinery.pipeline.model.answers import Answers

from machinery.bulk import rows, run, source, storage, work


class HalfOfSize:
    """Stands in for the model: the probability is a tenth of the size, 0.5 where it is missing."""

    def __init__(self, contract: Contract) -> None:
        self.contract, self.columns = contract, ["colour", "size"]
        self.info = {"sha256": "0123456789abcdef"}

    def answers(self, columns: dict[str, np.ndarray]) -> Answers:
        share = np.nan_to_num(columns["size"] / 10, nan=0.5).astype(np.float32)
        both = np.stack([1 - share, share], axis=1)
        return Answers(both, decision=(share >= 0.5).astype(np.int64), members=both >= 0.5)


@pytest.fixture(autouse=True)
def _small(contract: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in model, and batches of ten rows."""
    monkeypatch.setattr(run, "open_model", lambda folder: HalfOfSize(contract))
    monkeypatch.setattr(source, "BATCH_ROWS", 10)
    monkeypatch.setattr(source, "BLOCK_BYTES", 400)


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


def write(path: Path, table: pa.Table) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=25)
    return str(path)


def read(path: Path) -> pa.Table:
    return csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("given", ["in.parquet", "in.csv"])
@pytest.mark.parametrize("wanted", ["out.parquet", "out.csv"])
def test_every_row_is_there_with_all_its_columns_and_its_prediction(
    tmp_path: Path, given: str, wanted: str
) -> None:
    table = table_of(101)
    summary = predict(write(tmp_path / given, table), str(tmp_path / wanted), Options(part_rows=30))
    assert (summary["rows"], summary["predicted"], summary["bad"]) == (101, 101, 0)
    found = read(tmp_path / wanted)
    assert found.select(table.schema.names).to_pylist() == table.to_pylist()
    sizes = found["size"].to_numpy()
    np.testing.assert_allclose(found["probability_true"].to_numpy(), sizes / 10, atol=1e-6)
    assert found.schema.names[4:] == [
        "probability_false",
        "probability_true",
        "prediction",
        "in_set_false",
        "in_set_true",
        "model_version",
    ]
    assert set(found["model_version"].to_pylist()) == {"unreleased-01234567"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([given, wanted])


def test_a_folder_of_files_becomes_a_folder_of_parts(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(tmp_path / "in" / f"{name}.parquet", table_of(40, note=[name] * 40))
    (tmp_path / "in/_SUCCESS").touch()
    summary = predict(str(tmp_path / "in"), str(tmp_path / "out"), Options(part_rows=30))
    parts = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in parts] == [f"part-{at:06}.parquet" for at in range(3)]
    assert [len(read(part)) for part in parts] == [35, 30, 15]  # of whole batches
    assert read(tmp_path / "out")["note"].to_pylist() == ["a"] * 40 + ["b"] * 40
    assert summary["output"] == str(tmp_path / "out")


def test_each_part_of_a_csv_folder_has_its_header(tmp_path: Path) -> None:
    predict(write(tmp_path / "in.csv", table_of(60)), f"{tmp_path}/out/", Options(part_rows=20))
    parts = sorted((tmp_path / "out").iterdir())
    assert len(parts) > 1
    assert sum(len(read(part)) for part in parts) == 60


@pytest.mark.parametrize("given", ["in.parquet", "in.csv"])
def test_bad_rows_go_to_a_file_of_their_own_with_number_and_reason(
    tmp_path: Path, given: str
) -> None:
    table = table_of(40)
    sizes, colours = table["size"].to_pylist(), table["colour"].to_pylist()
    sizes[3], sizes[25], colours[25] = 99.0, -1.0, "green"
    table = table_of(40, size=sizes, colour=colours)
    name = write(tmp_path / given, table)
    summary = predict(name, str(tmp_path / "out.parquet"), Options(max_bad=0.1))
    assert summary["violations"] == {
        "size is outside 0 to 10": 2,
        "colour is not among the allowed values": 1,
    }
    bad = read(tmp_path / "out.bad.parquet").to_pylist()
    assert [(row["bad_row"], row["bad_reason"]) for row in bad] == [
        (4, "size is outside 0 to 10"),
        (26, "size is outside 0 to 10; colour is not among the allowed values"),
    ]
    assert bad[0]["bad_file"] == name
    assert bad[0]["note"] == "kept, 3"
    kept = read(tmp_path / "out.parquet")["id"].to_pylist()
    assert kept == [f"row {number}" for number in range(40) if number not in (3, 25)]


def test_lines_that_are_no_rows_are_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    lines = [f"row {at},{at % 10},red" for at in range(60)]
    lines[5], lines[40] = "row 5,1", "row 40,1,red,more"
    path.write_text("id,size,colour\n" + "\n".join(lines) + "\nlast\n", encoding="utf-8")
    summary = predict(str(path), str(tmp_path / "out.csv"), Options(max_bad=0.2))
    assert (summary["rows"], summary["bad"]) == (61, 3)
    bad = read(tmp_path / "out.bad.csv").to_pylist()
    assert [row["bad_row"] for row in bad] == [6, 41, 61]
    assert bad[0]["bad_reason"] == "'row 5,1' has 2 fields, not 3"


def test_a_value_that_is_no_number_is_a_bad_row_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('id,size,colour\na,1,red\nb,much,red\n"c\nd",,blue\n', encoding="utf-8")
    predict(str(path), str(tmp_path / "out.csv"), Options(max_bad=0.5))
    assert read(tmp_path / "out.bad.csv").to_pylist()[0]["size"] == "much"
    assert read(tmp_path / "out.csv")["id"].to_pylist() == ["a", "c\nd"]


def test_too_many_bad_rows_leave_no_output_and_can_be_let_pass_later(tmp_path: Path) -> None:
    table = table_of(40, size=[99.0] * 10 + [1.0] * 30)
    name, out = write(tmp_path / "in.parquet", table), tmp_path / "out.parquet"
    with pytest.raises(CheckError, match=r"10 of 40 rows .* size is outside 0 to 10, 10 times"):
        predict(name, str(out), Options())
    assert not out.exists()
    assert len(read(tmp_path / "out.bad.parquet")) == 10
    predict(name, str(out), Options(resume=True, max_bad=0.25))
    assert len(read(out)) == 30


def test_a_run_stops_as_soon_as_too_many_are_certain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    score = rows.RowScorer.__call__

    def counted(self: rows.RowScorer, batch: source.Batch) -> rows.Predicted:
        taken.append(len(batch.table))
        return score(self, batch)

    monkeypatch.setattr(rows.RowScorer, "__call__", counted)
    name = write(tmp_path / "in.parquet", table_of(1000, size=[99.0] * 1000))
    with pytest.raises(CheckError):
        predict(name, str(tmp_path / "out"), Options(part_rows=50))
    assert sum(taken) < 200


class Killed(BaseException):
    """As if the process ended here."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the run before its nth change of the disk; no clean-up is done but that of `with`."""
    left = iter(range(step, -1, -1))
    for name in ("write", "note", "finish_bad", "finish", "_join", "_write"):
        original = getattr(work.Work, name)

        def step_or_die(*given: Any, original: Any = original, **named: Any) -> Any:
            if not next(left, 0):
                raise Killed
            return original(*given, **named)

        monkeypatch.setattr(work.Work, name, step_or_die)


@pytest.mark.parametrize("given", ["in.parquet", "in.csv"])
@pytest.mark.parametrize("wanted", ["out.parquet", "out.csv", "out.parquet/"])
def test_a_run_ended_anywhere_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, wanted: str
) -> None:
    table = table_of(100, size=[99.0, *[float(at % 11) for at in range(99)]])
    name = write(tmp_path / given, table)
    options = Options(part_rows=30, max_bad=0.1)
    predict(name, f"{tmp_path}/whole/{wanted}", options)
    for step in range(30):
        folder = tmp_path / str(step)
        with monkeypatch.context() as patch:
            killed_at(step, patch)
            try:
                predict(name, f"{folder}/{wanted}", options)
                break
            except Killed:
                pass
        predict(name, f"{folder}/{wanted}", options._replace(resume=True, threads=1))
        assert contents(folder) == contents(tmp_path / "whole")
    assert step > 8


@pytest.mark.parametrize("wanted", ["out.parquet", "out.csv", "out.parquet/"])
def test_a_run_ended_when_its_output_was_in_place_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    name, move = write(tmp_path / "in.parquet", table_of(10)), storage.Disk.move

    def move_and_die(self: storage.Disk, path: str, target: str) -> None:
        move(self, path, target)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(storage.Disk, "move", move_and_die)
        with pytest.raises(Killed):
            predict(name, f"{tmp_path}/ended/{wanted}", Options())
    predict(name, f"{tmp_path}/whole/{wanted}", Options())
    predict(name, f"{tmp_path}/ended/{wanted}", Options(resume=True))
    assert contents(tmp_path / "ended") == contents(tmp_path / "whole")


def test_what_was_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, out = write(tmp_path / "in.parquet", table_of(100)), str(tmp_path / "out.parquet")
    with monkeypatch.context() as patch:
        killed_at(7, patch)
        with pytest.raises(Killed):
            predict(name, out, Options(part_rows=30))
    summary = predict(name, out, Options(part_rows=30, resume=True))
    assert (summary["resumed_from"], summary["rows"]) == (70, 100)


@pytest.mark.parametrize("change", ["input", "form", "code"])
def test_a_run_is_not_gone_on_with_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    name, out = write(tmp_path / "in.parquet", table_of(100)), str(tmp_path / "out.parquet")
    with monkeypatch.context() as patch:
        killed_at(4, patch)
        with pytest.raises(Killed):
            predict(name, out, Options())
    if change == "input":
        write(tmp_path / "in.parquet", table_of(90))
    if change == "code":
        monkeypatch.setattr(run, "_hash_of", lambda module: "that of another features.py")
    rows = 30 if change == "form" else run.PART_ROWS
    with pytest.raises(UserError, match=f"another {change}; run without --resume"):
        predict(name, out, Options(resume=True, part_rows=rows))
    assert predict(name, out, Options())["resumed_from"] == 0


def test_an_output_that_stands_is_replaced_only_by_force(tmp_path: Path) -> None:
    name = write(tmp_path / "in.parquet", table_of(10))
    for out in (tmp_path / "out.parquet", tmp_path / "out"):
        predict(name, str(out), Options())
        for resume in (False, True):
            with pytest.raises(UserError, match="is there already"):
                predict(name, str(out), Options(resume=resume))
        predict(name, str(out), Options(force=True))
        assert len(read(out)) == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": ["1", "2"]}, "size is string, not of type number"),
        ({"prediction": [1, 2]}, "already has a column prediction"),
        ({"bad_row": [1, 2]}, "already has a column bad_row"),
    ],
)
def test_a_table_of_other_columns_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    name = write(tmp_path / "in.parquet", table_of(2, **changes))
    with pytest.raises(UserError, match=message):
        predict(name, str(tmp_path / "out.parquet"), Options())


def test_csv_of_other_programs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.csv.gz"
    text = '\ufeff\r\n"id","size","the ""colour""",colour\r\na,1,x,red\r\n"b,b",,"y\nz",blue\r\n'
    path.write_bytes(gzip.compress(text.encode()))
    predict(str(path), str(tmp_path / "out.parquet"), Options())
    found = read(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in found] == ["a", "b,b"]
    assert [row['the "colour"'] for row in found] == ["x", "y\nz"]
    assert [row["size"] for row in found] == [1.0, None]


def test_a_needed_column_is_named_and_an_optional_one_may_be_left_out(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    lacking = write(tmp_path / "a.parquet", table_of(4).drop(["colour"]))
    with pytest.raises(UserError, match="lacks colour, which the model needs"):
        predict(lacking, str(out), Options())
    predict(write(tmp_path / "b.parquet", table_of(4).drop(["size"])), str(out), Options())
    assert read(out)["probability_true"].to_pylist() == [0.5] * 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.parquet", b"not Parquet at all", "is not readable"),
        ("in.csv", b"", "is not readable"),
        ("in.csv", b"id,size,colour\na,1,\xff\xfe\n", "is not readable"),
        ("in.csv", b"id,size,size\na,1,2\n", "two columns size"),
        ("in.txt", b"id", "must end in"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        predict(str(tmp_path / name), str(tmp_path / "out.parquet"), Options())


def test_a_missing_input_and_files_that_differ_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing or an empty folder"):
        Source(str(tmp_path / "nothing"))
    write(tmp_path / "in/a.parquet", table_of(2))
    write(tmp_path / "in/b.parquet", table_of(2).drop(["note"]))
    with pytest.raises(UserError, match=r"b.parquet lacks note, unlike"):
        predict(str(tmp_path / "in"), str(tmp_path / "out"), Options())
    write(tmp_path / "in/b.parquet", table_of(2, note=[["a"], ["b"]]))
    with pytest.raises(UserError, match="other types than"):
        predict(str(tmp_path / "in"), str(tmp_path / "out"), Options())
    write(tmp_path / "in/c.csv", table_of(2))
    with pytest.raises(UserError, match="are of two kinds"):
        Source(str(tmp_path / "in"))


def test_a_column_that_csv_cannot_hold_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    name = write(tmp_path / "in.parquet", table_of(2, note=[["a"], ["b"]]))
    with pytest.raises(UserError, match=r"note is list<.*>, which CSV cannot hold"):
        predict(name, str(tmp_path / "out.csv"), Options())
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_a_compressed_file_may_have_its_name_in_capitals(tmp_path: Path) -> None:
    path = tmp_path / "IN.CSV.GZ"
    path.write_bytes(gzip.compress(b"id,size,colour\na,1,red\n"))
    predict(str(path), str(tmp_path / "out.parquet"), Options())
    assert read(tmp_path / "out.parquet")["size"].to_pylist() == [1.0]


def test_an_address_of_s3_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match=r"needs the package s3fs; run pip install"):
        predict("s3://bucket/in.parquet", str(tmp_path / "out.parquet"), Options())


def test_an_output_of_no_known_form_is_refused(tmp_path: Path) -> None:
    name = write(tmp_path / "in.parquet", table_of(2))
    with pytest.raises(UserError, match="must end in .parquet, .csv or /"):
        predict(name, str(tmp_path / "out.xlsx"), Options())


@pytest.mark.parametrize("given", ["in.parquet", "in.csv"])
def test_no_rows_in_are_no_rows_out(tmp_path: Path, given: str) -> None:
    summary = predict(
        write(tmp_path / given, table_of(0)), str(tmp_path / "out.parquet"), Options()
    )
    assert summary["rows"] == 0
    found = read(tmp_path / "out.parquet")
    assert found.schema.names[:4] == ["id", "size", "colour", "note"]


def test_the_version_of_a_packed_model_stands_in_every_row(tmp_path: Path) -> None:
    (tmp_path / "version.json").write_text(json.dumps({"version": "v1.2.0"}), encoding="utf-8")
    name = write(tmp_path / "in.parquet", table_of(3))
    predict(name, str(tmp_path / "out.parquet"), Options(model=tmp_path))
    assert read(tmp_path / "out.parquet")["model_version"].to_pylist() == ["v1.2.0"] * 3


def test_the_reader_is_few_batches_ahead_and_ends_when_nobody_takes_more() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    taken = run.ahead(numbers(), 2)
    assert next(taken) == 0
    taken.close()  # type: ignore[attr-defined]
    assert len(made) < 10


def test_a_fault_of_the_reader_is_raised_where_the_rows_are_taken() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise UserError("the disk is gone")

    taken = run.ahead(broken(), 2)
    assert next(taken) == 1
    with pytest.raises(UserError, match="the disk is gone"):
        next(taken)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a", None, "a"]), ["a", np.nan, "a"]),
        (pa.array([1, None]), [1.0, np.nan]),
        (pa.array([True, None]), [1.0, np.nan]),
        (pa.array([True, False]), [True, False]),
    ],
)
def test_columns_become_what_training_saw(values: pa.Array, expected: list[Any]) -> None:
    found = rows.to_numpy(values)
    for one, other in zip(found.tolist(), expected, strict=True):
        assert one == other or (one != one and other != other)


def test_a_position_can_be_written_as_json() -> None:
    assert Position(*json.loads(json.dumps(Position(1, 2, 3, 4)))) == Position(1, 2, 3, 4)
