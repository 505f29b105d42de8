"""Bad input to the pipeline: one clear sentence, a non-zero exit code, no partial files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import BakedProject

pytestmark = pytest.mark.slow

Change = Callable[[BakedProject], object]


def edit(name: str, **changes: Any) -> Change:
    return lambda project: project.edit(name, **changes)


def append(name: str, text: str) -> Change:
    def change(project: BakedProject) -> None:
        with (project.path / name).open("a", encoding="utf-8") as file:
            file.write(text)

    return change


def tear(name: str, size: int) -> Change:
    def change(project: BakedProject) -> None:
        path = project.path / name
        whole = path.read_bytes()
        path.unlink()  # it may be a link into the cache
        path.write_bytes(whole[:size])

    return change


def source_table(statement: str) -> Change:
    """Change January's flights by a statement on `table`."""
    code = f"""if True:
        import pandas as pd
        path = "data/source/2013-01.parquet"
        table = pd.read_parquet(path)
        {statement}
        import os
        os.unlink(path)
        table.to_parquet(path)"""
    return lambda project: project.run("python", "-c", code)


LEAK = '''

@tag(owner="scheduling", unit="min")
def foreseen_delay(departure_delay: np.ndarray) -> np.ndarray:
    """How late the flight will leave."""
    return _number(departure_delay)
'''
TAIL = '''

@tag(owner="scheduling", unit="")
def aircraft(tail_number: np.ndarray) -> np.ndarray:
    """Which aircraft flies."""
    return _text(tail_number)
'''

FAULTS: dict[str, tuple[str, Change, int, str]] = {
    "an unknown parameter": (
        "ingest",
        edit("params.yaml", ingest__untli="2013-08-01"),
        2,
        "params.yaml: ingest.untli is not a known parameter",
    ),
    "an hour of the future": (
        "ingest",
        edit("params.yaml", ingest__source__hours_before_departure=-5),
        2,
        "hours_before_departure: input should be greater than or equal to 0",
    ),
    "a date without quotes": (
        "ingest",
        append("params.yaml", "\nexplore:\n  since: 2013-07-15\n"),
        2,
        "2013-07-15 differs between versions of YAML; put it in quotes",
    ),
    "a missing month": (
        "ingest",
        lambda project: (project.path / "data/source/2013-03.parquet").unlink(),
        2,
        "data/source/2013-03.parquet is missing between others",
    ),
    "a missing section": (
        "validate",
        edit("params.yaml", validate=None),
        2,
        "params.yaml: section 'validate' is missing",
    ),
    "params that are no YAML": (
        "ingest",
        append("params.yaml", "\n  - ]"),
        2,
        "params.yaml is not readable YAML",
    ),
    "a source parameter of a wrong type": (
        "ingest",
        edit("params.yaml", ingest__source__hours_before_departure="two"),
        2,
        "hours_before_departure: input should be a valid number",
    ),
    "a torn source file": (
        "ingest",
        tear("data/source/2013-01.parquet", size=1000),
        2,
        "data/source/2013-01.parquet is not a readable Parquet file",
    ),
    "an empty source file": (
        "ingest",
        tear("data/source/2013-01.parquet", size=0),
        2,
        "data/source/2013-01.parquet is not a readable Parquet file",
    ),
    "a source without rows": (
        "ingest",
        source_table("table = table.head(0)"),
        2,
        "data/source/2013-01.parquet has no rows",
    ),
    "a source without a column": (
        "ingest",
        source_table("table = table.drop(columns='dest')"),
        2,
        "2013-01.parquet has no column dest",
    ),
    "a source column of a wrong type": (
        "ingest",
        source_table("table['distance'] = 'far'"),
        2,
        "2013-01.parquet: column distance is str, but must be a number",
    ),
    "a window without rows": (
        "ingest",
        edit("params.yaml", ingest__until="2012-01-01"),
        2,
        "ingest.until in params.yaml is 2012-01-01 00:00:00, which is not after 2013-01",
    ),
    "a column that the contract does not know": (
        "validate",
        edit("contract.yaml", columns__visibility=None),
        1,
        "visibility is not in the contract",
    ),
    "a column that only the contract knows": (
        "validate",
        edit(
            "contract.yaml",
            columns__runway={
                "type": "number",
                "unit": None,
                "allowed": None,
                "nullable": True,
                "description": "Which runway",
                "owner": "scheduling",
                "known": "before",
            },
        ),
        1,
        "runway is missing from the table; add it in source.py",
    ),
    "too many rows that break the contract": (
        "validate",
        edit("contract.yaml", columns__distance__allowed={"min": 0, "max": 500}),
        1,
        "distance is outside 0 to 500",
    ),
    "a contract with a wrong word": (
        "validate",
        edit("contract.yaml", columns__distance__known="sometimes"),
        2,
        "contract.yaml: columns.distance.known is 'sometimes'",
    ),
    "a feature of what is known only after": (
        "split",
        append("src/flight_delays/features.py", LEAK),
        2,
        "foreseen_delay uses departure_delay, which is known only after",
    ),
    "a feature of an identifier": (
        "split",
        append("src/flight_delays/features.py", TAIL),
        1,
        "aircraft: is made from tail_number, which only names a row, a thing or a group",
    ),
    "a test window that is the whole table": (
        "split",
        edit("params.yaml", split__test_days=1000),
        2,
        "split.by time leaves no training row",
    ),
    "a feature that nobody makes": (
        "train schedule linear",
        edit("params.yaml", train__features__schedule=["departure_hour", "moon"]),
        2,
        "train.features.schedule names moon, which features.py does not make",
    ),
    "a hyperparameter that does not exist": (
        "train schedule linear",
        edit("params.yaml", train__hyperparameters__linear={"D": 1.0}),
        2,
        "params.yaml: train.hyperparameters.linear has 'D'",
    ),
    "a headline that is no metric": (
        "select",
        edit("params.yaml", select__headline="glory"),
        2,
        "select.headline is glory, which is not a metric of a classification",
    ),
    "a slice by a column that is not there": (
        "evaluate",
        edit("params.yaml", evaluate__slices=["moon"]),
        2,
        "evaluate.slices names moon, which contract.yaml does not describe",
    ),
    "a torn model file": (
        "evaluate",
        tear("models/model.onnx", size=100),
        2,
        "models/model.onnx is not a model file",
    ),
}


def files(folder: Path) -> dict[Path, bytes]:
    """The content of every file that stages write."""
    paths = (path for name in ("data", "models", "reports") for path in (folder / name).rglob("*"))
    return {path: path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture
def scratch(reproduced: BakedProject, tmp_path: Path) -> BakedProject:
    return reproduced.copy(tmp_path / reproduced.path.name)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_and_leaves_nothing(scratch: BakedProject, fault: str) -> None:
    stage, change, code, sentence = FAULTS[fault]
    change(scratch)
    before = files(scratch.path)
    done = scratch.run("python", "-m", "flight_delays", *stage.split(), check=False)
    assert sentence in done.stdout
    assert done.returncode == code
    assert len(done.stdout.splitlines()) == 1
    assert files(scratch.path) == before


def test_rows_of_one_class_stop_the_run(scratch: BakedProject) -> None:
    module = "src/flight_delays/source.py"
    text = (scratch.path / module).read_text(encoding="utf-8")
    never = text.replace('flights["arr_delay"] > LATE_MINUTES', 'flights["arr_delay"] > 10_000')
    assert never != text
    (scratch.path / module).write_text(never, encoding="utf-8")
    done = scratch.run("dvc", "repro", "split", check=False)
    assert "late is never True in" in done.stdout
    assert "Traceback" not in done.stdout
    assert done.returncode != 0


def checks(project: BakedProject) -> dict[str, Any]:
    """The checks of the gate by name."""
    gate = json.loads((project.path / "reports/gate.json").read_text(encoding="utf-8"))
    return {check["name"]: check for check in gate["checks"]}


def test_a_stated_exception_lets_the_named_column_pass_and_stands_in_gate_and_card(
    scratch: BakedProject,
) -> None:
    append("src/flight_delays/features.py", TAIL)(scratch)
    reason = "the fleet does not change"
    scratch.edit("params.yaml", split__leakage__allow={"identifier": {"aircraft": reason}})
    scratch.edit("params.yaml", train__models=["prior"], train__feature_sets=["schedule"])
    scratch.run("dvc", "repro")
    check = checks(scratch)["leakage"]
    assert check["value"] == 1 and check["passed"] and reason in check["why"]
    assert scratch.file_contains("reports/model_card.md", reason)
    assert scratch.file_contains("reports/index.html", reason)
    scratch.edit("params.yaml", gate__leakage_exceptions=0)
    scratch.run("dvc", "repro", "gate")
    assert not checks(scratch)["leakage"]["passed"]
