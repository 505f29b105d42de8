"""split: by time, by group, stratified; and what is refused."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.data.leakage import Probe
from machinery.pipeline.files import CheckError, UserError, parse_yaml
from machinery.pipeline.params import Split, parse
from machinery.pipeline.stages import split as stage
from machinery.pipeline.stages.split import split


def params(**changes: Any) -> Split:
    leakage = {"limit": 0.95, "rows": 100, "allow": {}}
    section = {"by": "time", "test_days": 2, "test_share": 0.25, "seed": 1, "leakage": leakage}
    return parse(Split, {"split": section | changes})


def table(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"row {number}" for number in range(rows)],
            "at": pd.date_range("2013-01-01", periods=rows),
            "size": 1.0,
            "colour": [("red", "blue")[number % 2] for number in range(rows)],
            "late": [number % 4 == 3 for number in range(rows)],
        }
    )


def test_by_time_the_last_days_of_the_window_are_the_test_table(contract: Contract) -> None:
    train, test = split(table(8), datetime(2013, 1, 9), contract, params())
    assert test["id"].tolist() == ["row 6", "row 7"]
    assert len(train) == 6


def test_by_group_no_group_is_in_both_parts(document: dict[str, Any]) -> None:
    contract = contracts.parse(document | {"group": "colour"})
    rows = table(8).assign(late=[False, False, True, True] * 2)
    train, test = split(rows, None, contract, params(by="group", test_share=0.5))
    assert set(train["colour"]).isdisjoint(test["colour"])


def test_stratified_keeps_the_share_of_each_class(contract: Contract) -> None:
    train, test = split(table(80), None, contract, params(by="stratified"))
    assert (len(train), len(test)) == (60, 20)
    assert train["late"].mean() == test["late"].mean() == 0.25


def test_the_seed_decides_which_rows_are_tested(contract: Contract) -> None:
    first, again, other = (
        split(table(80), None, contract, params(by="stratified", seed=seed))[1]["id"].tolist()
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("rows", "changes", "sentence"),
    [
        (8, {"test_days": 30}, "split.by time leaves no training row of 8"),
        (4, {"test_days": 1}, "late is never True in 3 training rows"),
    ],
)
def test_an_impossible_split_is_refused(
    contract: Contract, rows: int, changes: dict[str, Any], sentence: str
) -> None:
    end = datetime(2013, 1, 1 + rows)
    with pytest.raises(UserError) as caught:
        split(table(rows), end, contract, params(**changes))
    assert sentence in str(caught.value)


@pytest.mark.parametrize("column", ["one, rest", "it's", "a: b", 'a "b"', "größe"])
def test_the_proposed_exception_allows_the_leak_when_pasted(
    contract: Contract, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    leak = [Probe("determine the target together", column, 1.0, 0.998, "together give it")]
    monkeypatch.setattr(stage.leakage, "require_rows", lambda *_: None)
    monkeypatch.setattr(stage.leakage, "between_parts", lambda *_: leak)
    monkeypatch.setattr(stage.leakage, "in_features", lambda *_: [])
    monkeypatch.setattr(stage.leakage, "of_means", lambda *_: [])
    parts, catalogue, leakage = (table(4), table(4)), SimpleNamespace(contract=contract), params()
    with pytest.raises(CheckError) as caught:
        stage.probe(parts, catalogue, leakage.leakage, 1)  # type: ignore[arg-type]
    typed = parse_yaml(f"allow: {str(caught.value).partition('allow: ')[2]}".encode(), "it")
    allowed = leakage.leakage.model_copy(update=typed)
    (passed,) = stage.probe(parts, catalogue, allowed, 1)  # type: ignore[arg-type]
    assert passed.allowed == "REASON"
