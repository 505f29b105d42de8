"""Logged rows with outcomes become training rows, the same bytes every time."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from machinery.ci.labelled import BAD, IMPOSSIBLE, take_in, unfit
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.files import read_arrow, write_table
from machinery.pipeline.model.answers import Answers
from machinery.serving.log import PredictionLog

UNTIL = datetime(2026, 3, 1)
Write = Callable[..., None]


@pytest.fixture
def contract(document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contract:
    monkeypatch.chdir(tmp_path)
    document["columns"]["delay"]["nullable"] = True
    return contracts.parse(document)


@pytest.fixture
def write(contract: Contract) -> Iterator[Write]:
    """Log the answer to one row, and its outcome if there is one."""
    log = PredictionLog(Path("log"), contract, lambda *_: None)
    scores, decision = np.array([[0.25, 0.75]], np.float32), np.array([1])
    plain = Answers(scores, decision=decision, members=np.array([[False, True]]))

    def one(key: str, outcome: Any = None, role: str = "champion", **changes: Any) -> None:
        raw = {"id": key, "at": datetime(2026, 1, 2), "size": 1.0, "colour": "red", **changes}
        request = f"{key} {next(numbers)}"
        columns = {name: [value] for name, value in raw.items()}
        log.answers(request, columns, {}, plain, model_version="v1", role=role)
        if outcome is not None:
            log.feedback([(request, 0, outcome)])

    numbers = count()
    yield one
    log.close()


def now() -> datetime:
    return datetime.now(UTC)


def labelled() -> dict[str, list[dict[str, Any]]]:
    files = sorted(Path("data/source/logged").glob("*.parquet"))
    return {path.stem: read_arrow(path).to_pylist() for path in files}


def test_rows_with_an_outcome_become_a_file_a_month_in_the_contracts_types(
    write: Write, contract: Contract
) -> None:
    write("b", True, at=datetime(2026, 2, 3), size=None)
    write("a", False)
    write("without an outcome")
    write("of the shadow", True, role="shadow")
    write("past the end", True, at=UNTIL)
    assert take_in(Path("log"), UNTIL, contract, now()) == (2, {BAD: 0, IMPOSSIBLE: 0})
    plain = {"id": "a", "at": datetime(2026, 1, 2), "size": 1.0, "colour": "red"}
    later = plain | {"id": "b", "at": datetime(2026, 2, 3), "size": None}
    assert labelled() == {
        "2026-01": [plain | {"delay": None, "late": False}],
        "2026-02": [later | {"delay": None, "late": True}],
    }
    schema = read_arrow(Path("data/source/logged/2026-01.parquet")).schema
    assert (schema.field("delay").type, schema.field("at").type) == (
        pa.float64(), pa.timestamp("us"),
    )  # fmt: skip


def test_rows_that_violate_the_contract_are_counted_and_skipped(
    write: Write, contract: Contract
) -> None:
    write("a", True)
    write("too large", True, size=11.0)
    write("no such colour", True, colour="green")
    write("no such class", "perhaps")
    assert take_in(Path("log"), UNTIL, contract, now()) == (1, {BAD: 3, IMPOSSIBLE: 0})
    assert [row["id"] for row in labelled()["2026-01"]] == ["a"]


def test_no_label_is_from_the_future_or_older_than_its_answer(
    write: Write, contract: Contract
) -> None:
    write("a", True)
    (path,) = Path("log").glob("*.jsonl")
    text = path.read_text(encoding="utf-8")
    hour_ago = (now() - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    head, _, outcome = text.rstrip("\n").rpartition("\n")
    moment = outcome.partition('"time":"')[2].partition('"')[0]
    path.write_text(f"{head}\n{outcome.replace(moment, hour_ago)}\n", encoding="utf-8")
    assert take_in(Path("log"), UNTIL, contract, now()) == (0, {BAD: 0, IMPOSSIBLE: 1})
    path.write_text(text, encoding="utf-8")
    early = now() - timedelta(hours=2)
    assert take_in(Path("log"), UNTIL, contract, early) == (0, {BAD: 0, IMPOSSIBLE: 1})
    assert labelled() == {}
    assert take_in(Path("log"), UNTIL, contract, now())[0] == 1


def test_the_newest_answer_of_a_key_wins_and_an_empty_month_is_removed(
    write: Write, contract: Contract
) -> None:
    write("a", False)
    take_in(Path("log"), UNTIL, contract, now())
    write("a", True, at=datetime(2026, 2, 3), size=2.0)
    assert take_in(Path("log"), UNTIL, contract, now())[0] == 1
    ((row,),) = labelled().values()
    assert (row["size"], row["late"]) == (2.0, True)
    assert labelled().keys() == {"2026-02"}


def test_the_same_rows_are_the_same_bytes_and_rows_outlive_the_log(
    write: Write, contract: Contract
) -> None:
    write("b", True)
    write("a", False)
    take_in(Path("log"), UNTIL, contract, now())
    (path,) = Path("data/source/logged").glob("*.parquet")
    first = path.read_bytes()
    take_in(Path("log"), UNTIL, contract, now())
    assert path.read_bytes() == first
    (log,) = Path("log").glob("*.jsonl")
    log.unlink()
    write("c", True)
    assert take_in(Path("log"), UNTIL, contract, now())[0] == 3


def test_rows_of_an_earlier_contract_are_checked_against_the_present_one(
    write: Write, contract: Contract, document: dict[str, Any]
) -> None:
    older = [{"id": "old", "at": datetime(2026, 1, 1), "colour": "red", "late": True}]
    odd = [{**older[0], "id": "odd", "colour": "purple"}]
    write_table(pa.Table.from_pylist(older + odd), Path("data/source/logged/2026-01.parquet"))
    write("a", True)
    assert take_in(Path("log"), UNTIL, contract, now()) == (2, {BAD: 1, IMPOSSIBLE: 0})
    assert [row["size"] for row in labelled()["2026-01"]] == [None, 1.0]


def test_personal_columns_are_null_since_the_log_has_them_hashed(
    write: Write, document: dict[str, Any]
) -> None:
    document["columns"]["colour"] |= {"personal": True}
    write("a", True)
    assert unfit(contracts.parse(document)) == ["colour"]
    document["columns"]["colour"] |= {"nullable": True}
    contract = contracts.parse(document)
    assert unfit(contract) == []
    take_in(Path("log"), UNTIL, contract, now())
    assert [row["colour"] for row in labelled()["2026-01"]] == [None]


def test_columns_that_the_log_lacks_and_that_may_not_be_null_are_named(
    document: dict[str, Any],
) -> None:
    assert unfit(contracts.parse(document)) == ["delay"]
    document["columns"]["id"]["personal"] = True  # the log has only its hash
    assert unfit(contracts.parse(document)) == ["id", "delay"]
