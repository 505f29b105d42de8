"""Every leak is planted here, and found with its column named."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data import leakage
from machinery.pipeline.data.catalogue import Feature
from machinery.pipeline.data.contract import Contract
from machinery.pipeline.data.leakage import Probe
from machinery.pipeline.files import UserError

TARGET = np.tile([0, 0, 1], 100)


def days(*numbers: int) -> pd.DataFrame:
    """Rows of these days of January, all different."""
    return pd.DataFrame(
        {
            "id": [f"row {day}" for day in numbers],
            "at": pd.to_datetime([f"2013-01-{day:02}" for day in numbers]),
            "size": [float(day) for day in numbers],
            "colour": "red",
            "delay": 0.0,
            "late": False,
        }
    )


def found(probes: list[Probe]) -> list[tuple[str, str]]:
    return [(probe.name, probe.column) for probe in probes if not probe.passed]


def test_parts_that_share_nothing_pass(contract: Contract) -> None:
    assert found(leakage.between_parts(days(1, 2, 3), days(4, 5), contract)) == []


def test_a_row_in_both_parts_is_found(contract: Contract) -> None:
    test = days(3, 5)
    assert ("rows in both parts", "id") in found(
        leakage.between_parts(days(1, 2, 3), test, contract)
    )


def test_a_row_with_a_new_key_but_the_same_content_is_found(contract: Contract) -> None:
    test = days(3, 5).assign(id=["new", "newer"])
    probes = leakage.between_parts(days(1, 2, 3), test, contract)
    assert found(probes) == [("same content in both parts", "id")]


def test_a_test_row_older_than_a_training_row_is_found(contract: Contract) -> None:
    probes = leakage.between_parts(days(1, 2, 6), days(4, 7), contract)
    assert found(probes) == [("time order", "at")]


def test_a_group_in_both_parts_is_found(document: dict[str, Any]) -> None:
    contract = contracts.parse(document | {"group": "colour"})
    probes = leakage.between_parts(days(1, 2), days(3), contract)
    assert found(probes) == [("groups in both parts", "colour")]


@dataclass
class OneFeature:
    """As much of a catalogue as the probes of one feature need."""

    contract: Contract
    values: np.ndarray
    source: str

    @property
    def inputs(self) -> list[str]:
        return [self.source]

    @property
    def features(self) -> dict[str, Feature]:
        type = "float32" if self.values.dtype.kind == "f" else "string"
        return {"it": Feature("it", "", "", type, "", (), (self.source,))}  # type: ignore[arg-type]

    def compute(self, columns: Any) -> dict[str, np.ndarray]:
        return {"it": self.values}


def probe_feature(
    values: np.ndarray,
    contract: Contract,
    *,
    source: str = "size",
    column: np.ndarray | None = None,
    target: np.ndarray = TARGET,
) -> list[tuple[str, str]]:
    """What the probes find in a feature with these values, made from a column."""
    if column is None:
        column = np.zeros(len(values)) if source == "size" and values.dtype == object else values
    rows = pd.DataFrame({source: column})
    rows[contract.target] = target if contract.task == "regression" else target.astype(bool)
    catalogue = OneFeature(contract, values, source)
    return found(leakage.in_features(rows, catalogue, 0.95, seed=1))  # type: ignore[arg-type]


def test_an_honest_feature_passes(contract: Contract) -> None:
    noise = np.random.default_rng(1).normal(size=len(TARGET))
    assert probe_feature((TARGET + noise).astype(np.float32), contract) == []


def test_a_copy_of_the_target_is_found(contract: Contract) -> None:
    names = np.array(["no", "yes"], dtype=object)[TARGET]
    assert ("copy of the target", "it") in probe_feature(names, contract)


def test_a_multiple_of_a_number_to_foresee_is_found(document: dict[str, Any]) -> None:
    contract = contracts.parse(document | {"task": "regression", "target": "delay"})
    target = np.linspace(0, 60, 300)
    hours = (target / 60).astype(np.float32)
    assert ("copy of the target", "it") in probe_feature(hours, contract, target=target)


def test_a_feature_that_nearly_gives_the_target_is_found(contract: Contract) -> None:
    delay = np.where(TARGET == 1, 40, 3) + np.random.default_rng(1).normal(size=len(TARGET))
    probes = probe_feature(delay.astype(np.float32), contract)
    assert probes == [("determines the target", "it")]


def test_a_feature_that_nearly_gives_a_number_is_found(document: dict[str, Any]) -> None:
    contract = contracts.parse(document | {"task": "regression", "target": "delay"})
    target = np.linspace(0, 60, 300)
    noisy = (2 * target + np.random.default_rng(1).normal(size=300)).astype(np.float32)
    probes = probe_feature(noisy, contract, target=target)
    assert probes == [("determines the target", "it")]


def test_text_that_differs_in_every_row_is_an_identifier(contract: Contract) -> None:
    names = np.array([f"N{number}" for number in range(len(TARGET))], dtype=object)
    assert probe_feature(names, contract) == [("identifier", "it")]


def test_a_feature_made_from_a_column_named_identifier_is_found(contract: Contract) -> None:
    names = np.tile(np.array(["a", "b"], dtype=object), 150)
    assert probe_feature(names, contract, source="id") == [("identifier", "it")]


@pytest.mark.parametrize(
    ("column", "flagged"),
    [
        (np.arange(300), True),
        (np.arange(300) + 2_024_000_000_000.0, True),  # beyond what float32 tells apart
        (np.where(np.arange(300) < 100, np.nan, np.arange(300)), True),
        (np.arange(300) / 4, False),
        (np.arange(300) // 2, False),
        (np.where(np.arange(300) < 201, np.nan, np.arange(300)), False),
    ],
    ids=["counted", "long", "some missing", "measured", "each twice", "too few to tell"],
)
def test_whole_numbers_that_differ_in_every_row_are_an_identifier(
    contract: Contract, column: np.ndarray, flagged: bool
) -> None:
    values = np.random.default_rng(1).permutation(column)
    probes = probe_feature(values.astype(np.float32), contract, column=values)
    assert probes == ([("identifier", "it")] if flagged else [])


def identifier_probes() -> list[Probe]:
    return [
        Probe("identifier", column, value=1, limit=0.9, meaning="tells rows apart")
        for column in ("tail", "flight")
    ]


def test_an_exception_lets_only_the_named_column_pass() -> None:
    reasons = {"identifier": {"tail": "the fleet is fixed"}}
    tail, flight = leakage.allow(identifier_probes(), reasons)
    assert (tail.passed, tail.allowed, flight.passed) == (True, "the fleet is fixed", False)


def test_an_exception_lets_only_the_named_probe_pass(contract: Contract) -> None:
    """Different rows may be alike, but no row may stand on both sides."""
    probes = leakage.between_parts(days(1, 2, 3), days(3, 5), contract)
    reasons = {"same content in both parts": {"id": "the days are alike"}}
    assert found(leakage.allow(probes, reasons)) == [("rows in both parts", "id")]


@pytest.mark.parametrize(
    ("name", "column"), [("identifier", "tial"), ("names", "tail"), ("time order", "tail")]
)
def test_an_exception_that_nothing_needs_is_refused_by_name(name: str, column: str) -> None:
    with pytest.raises(UserError) as caught:
        leakage.allow(identifier_probes(), {name: {column: "a reason"}})
    assert f"split.leakage.allow lets {column} pass the probe '{name}'" in str(caught.value)


@pytest.mark.parametrize("late", [[True] * 4, [False] * 300])
def test_rows_that_cannot_tell_a_leak_are_refused(contract: Contract, late: list[bool]) -> None:
    with pytest.raises(UserError, match=f"{len(late)} training rows with late .* are too few"):
        leakage.require_rows(pd.DataFrame({"late": late}), contract)


def test_five_rows_are_enough_for_every_probe_to_answer(contract: Contract) -> None:
    target = np.array([0, 1, 0, 0, 0])
    leakage.require_rows(pd.DataFrame({"late": target.astype(bool)}), contract)
    assert probe_feature(np.full(5, np.nan, np.float32), contract, target=target) == []


@pytest.mark.parametrize("value", [0.0, 0.95])
def test_a_probe_passes_up_to_its_limit(value: float) -> None:
    assert Probe("determines the target", "it", value, limit=0.95, meaning="").passed
