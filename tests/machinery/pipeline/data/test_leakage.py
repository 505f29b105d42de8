"""Each test plants a leak; the probes find it and name its column."""

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


def failed(probes: list[Probe]) -> list[tuple[str, str]]:
    return [(probe.name, probe.column) for probe in probes if not probe.passed]


@pytest.mark.parametrize(
    ("train", "test", "changes", "leaks"),
    [
        ((1, 2, 3), (4, 5), {}, []),
        ((1, 2), (2, 5), {}, [("rows in both parts", "id"), ("same content in both parts", "id")]),
        ((1, 2, 3), (3, 5), {"id": ["a", "b"]}, [("same content in both parts", "id")]),
        ((1, 2, 6), (4, 7), {}, [("time order", "at")]),
    ],
    ids=["none", "a row", "the content of a row", "time"],
)
def test_what_the_parts_share_is_found(
    contract: Contract, train: Any, test: Any, changes: dict[str, Any], leaks: list[Any]
) -> None:
    probes = leakage.between_parts(days(*train), days(*test).assign(**changes), contract)
    assert failed(probes) == leaks


def test_a_group_in_both_parts_is_found(document: dict[str, Any]) -> None:
    contract = contracts.parse(document | {"group": "colour"})
    probes = leakage.between_parts(days(1, 2), days(3), contract)
    assert failed(probes) == [("groups in both parts", "colour")]


@dataclass
class FakeCatalogue:
    """What the probes need of a catalogue: features with these values, made from one column."""

    contract: Contract
    values: dict[str, np.ndarray]
    source: str
    encode: str = ""

    @property
    def inputs(self) -> list[str]:
        return [self.source]

    @property
    def features(self) -> dict[str, Feature]:
        kinds: Any = {"f": "float32", "O": "string"}
        return {
            name: Feature(
                name, "", "", kinds[values.dtype.kind], self.encode, "", (), (self.source,)
            )
            for name, values in self.values.items()
        }

    def compute(self, columns: Any) -> dict[str, np.ndarray]:
        return self.values


def probe(
    contract: Contract, target: np.ndarray, source: str, column: np.ndarray, **values: np.ndarray
) -> list[tuple[str, str]]:
    rows = pd.DataFrame({source: column})
    rows[contract.target] = target if contract.task == "regression" else target.astype(bool)
    catalogue = FakeCatalogue(contract, values, source)
    return failed(leakage.in_features(rows, catalogue, 0.95, seed=1))  # type: ignore[arg-type]


def probe_feature(
    values: np.ndarray,
    contract: Contract,
    *,
    source: str = "size",
    column: np.ndarray | None = None,
    target: np.ndarray = TARGET,
) -> list[tuple[str, str]]:
    """The probes that a feature with these values fails, made from a column."""
    if column is None:
        column = np.zeros(len(values)) if source == "size" and values.dtype == object else values
    return probe(contract, target, source, column, it=values)


def test_an_honest_feature_passes(contract: Contract) -> None:
    noise = np.random.default_rng(1).normal(size=len(TARGET))
    assert probe_feature((TARGET + noise).astype(np.float32), contract) == []


def test_a_copy_of_the_target_is_found(contract: Contract) -> None:
    names = np.array(["no", "yes"], dtype=object)[TARGET]
    assert ("copy of the target", "it") in probe_feature(names, contract)


def contract_of(document: dict[str, Any], task: str) -> Contract:
    target = {"classification": "late", "regression": "delay"}[task]
    return contracts.parse(document | {"task": task, "target": target})


def test_a_multiple_of_a_numeric_target_is_found(document: dict[str, Any]) -> None:
    contract = contract_of(document, "regression")
    target = np.linspace(0, 60, 300)
    hours = (target / 60).astype(np.float32)
    assert ("copy of the target", "it") in probe_feature(hours, contract, target=target)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_feature_that_nearly_gives_the_target_is_found(
    document: dict[str, Any], task: str
) -> None:
    contract, target = contract_of(document, task), TARGET
    if task == "regression":
        target = np.linspace(0, 60, 300)
    noisy = 40 * target + np.random.default_rng(1).normal(size=300)
    probes = probe_feature(noisy.astype(np.float32), contract, target=target)
    assert probes == [("determines the target", "it")]


def test_text_that_differs_in_every_row_is_an_identifier(contract: Contract) -> None:
    names = np.array([f"N{number}" for number in range(len(TARGET))], dtype=object)
    assert probe_feature(names, contract) == [("identifier", "it")]


def test_free_text_may_differ_in_every_row(contract: Contract) -> None:
    rows = pd.DataFrame({"size": np.arange(300.0) % 7, "late": np.arange(300) % 2 == 0})
    texts = np.array([f"the {number}th text" for number in range(300)], dtype=object)
    catalogue: Any = FakeCatalogue(contract, {"it": texts}, "size", encode="text")
    assert failed(leakage.in_features(rows, catalogue, 0.95, seed=1)) == []


@pytest.mark.parametrize("source", ["id", "colour"])
def test_a_feature_made_from_an_identifier_or_the_group_is_found(
    document: dict[str, Any], source: str
) -> None:
    contract = contracts.parse(document | {"group": "colour"})
    names = np.tile(np.array(["red", "blue"], dtype=object), 150)
    assert probe_feature(names, contract, source=source) == [("identifier", "it")]


@pytest.mark.parametrize(
    ("column", "flagged"),
    [
        (np.arange(300), True),
        (np.arange(300) + 2_024_000_000_000.0, True),  # beyond what float32 tells apart
        (np.where(np.arange(300) < 100, np.nan, np.arange(300)), True),
        (np.arange(300) / 4, False),
        (np.arange(300) ** 4, False),  # as populations are: most of them small
        (np.arange(300) // 2, False),
        (np.where(np.arange(300) < 201, np.nan, np.arange(300)), False),
    ],
    ids=["counted", "long", "some missing", "measured", "amounts", "each twice", "too few to tell"],
)
def test_whole_numbers_that_differ_in_every_row_are_an_identifier(
    contract: Contract, column: np.ndarray, flagged: bool
) -> None:
    values = np.random.default_rng(1).permutation(column)
    probes = probe_feature(values.astype(np.float32), contract, column=values)
    assert probes == ([("identifier", "it")] if flagged else [])


@pytest.mark.parametrize("share", [0.6, 0.3])
def test_a_copy_of_the_target_in_a_part_of_the_rows_is_found(
    contract: Contract, share: float
) -> None:
    target = np.tile(TARGET, 3)
    present = np.random.default_rng(1).random(len(target)) < share
    values = np.where(present, target, np.nan).astype(np.float32)
    probes = probe_feature(values, contract, column=np.zeros(len(target)), target=target)
    assert probes == [("determines the target", "it")]


def several(contract: Contract, target: np.ndarray, **values: np.ndarray) -> list[tuple[str, str]]:
    """The probes that several features of 2,000 rows fail."""
    features = {name: column.astype(np.float32) for name, column in values.items()}
    return probe(contract, target, "size", np.zeros(len(target)), **features)


def noise(seed: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, 2000)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_columns_that_give_the_target_only_together_are_found(
    document: dict[str, Any], task: str
) -> None:
    contract = contract_of(document, task)
    minutes = noise(1, 20.0)
    outcome = minutes if task == "regression" else (minutes > 15).astype(int)
    half = noise(2, 100.0)
    probes = several(contract, outcome, other=noise(3), one=half, rest=minutes - half)
    assert probes == [("determine the target together", "one, rest")]


def test_columns_that_are_good_together_are_honest(contract: Contract) -> None:
    signals = {f"part {number}": noise(number) for number in range(8)}
    target = (sum(signals.values()) + noise(9) > 0).astype(int)
    assert several(contract, target, **signals) == []


def test_a_feature_far_better_than_all_others_is_found(contract: Contract) -> None:
    minutes = noise(1, 20.0)
    target = (minutes + noise(5, 8.0) > 15).astype(int)
    steps, weak = minutes // 15 * 15, minutes + noise(3, 40.0)
    assert several(contract, target, steps=steps, weak=weak) == [("dominates", "steps")]
    strong = minutes + noise(4, 4.0)
    assert several(contract, target, steps=steps, strong=strong) == []


def test_the_one_good_column_of_a_small_table_is_honest(contract: Contract) -> None:
    sex = (noise(1) > 0).astype(float)
    target = (noise(2) < np.where(sex == 1, 0.72, -0.72)).astype(int)  # a skill of one half
    assert several(contract, target, sex=sex, age=noise(3), fare=noise(4)) == []


def probe_means(contract: Contract, values: np.ndarray, target: np.ndarray) -> list[Any]:
    """The probes of means that the column `size` fails, in 2,000 training and 1,000 test rows."""
    table = pd.DataFrame({"size": values, "late": target.astype(bool)})
    catalogue: Any = FakeCatalogue(contract, {}, "size")
    return failed(leakage.of_means(table.iloc[:2000], table.iloc[2000:], catalogue))


def hours(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The hour of 3,000 rows, and a target that depends on the hour."""
    random = np.random.default_rng(seed)
    hour = random.integers(0, 200, 3000)
    return hour, (random.random(3000) < random.uniform(0.1, 0.6, 200)[hour]).astype(int)


def test_the_mean_of_the_target_over_a_rows_own_group_is_found(contract: Contract) -> None:
    hour, target = hours(1)
    own = (np.bincount(hour, target) / np.bincount(hour))[hour]
    assert probe_means(contract, own, target) == [("mean of the target", "size")]
    assert probe_means(contract, own * 60, target) == [("mean of the target", "size")]


def test_the_mean_of_the_target_over_other_rows_is_honest(contract: Contract) -> None:
    hour, target = hours(1)
    chance = (np.bincount(hour, target) / np.bincount(hour))[hour]
    fresh = (np.random.default_rng(2).random(3000) < chance).astype(int)
    assert probe_means(contract, chance, fresh) == []
    assert probe_means(contract, np.round(noise(1)[hour], 1), target) == []


def identifier_probes() -> list[Probe]:
    return [
        Probe("identifier", column, value=1, limit=0.9, meaning="tells rows apart")
        for column in ("tail", "flight")
    ]


def test_an_exception_lets_only_the_named_column_pass() -> None:
    reasons = {"identifier": {"tail": "the fleet is fixed"}}
    tail, flight = leakage.allow(identifier_probes(), reasons)
    assert (tail.passed, tail.allowed, flight.passed) == (True, "the fleet is fixed", False)


def test_an_exception_for_rows_of_the_same_content_holds_for_every_seed(contract: Contract) -> None:
    """The seed decides whether they are split, so the exception may be unneeded."""
    probes = leakage.between_parts(days(1, 2, 3), days(4, 5), contract)
    reasons = {"same content in both parts": {"id": "the days are alike"}}
    assert failed(leakage.allow(probes, reasons)) == []


def test_rows_of_the_same_content_are_named_with_the_remedy(contract: Contract) -> None:
    test = days(4, 3).assign(id=["new", "newer"])
    probes = leakage.between_parts(days(1, 2, 3), test, contract)
    (same,) = (probe for probe in probes if probe.name == "same content in both parts")
    assert "e.g. the test row newer; deduplicate in source.py" in str(same)


def test_an_exception_lets_only_the_named_probe_pass(contract: Contract) -> None:
    """Different rows may have the same content, but no row may be in both parts."""
    probes = leakage.between_parts(days(1, 2, 3), days(3, 5), contract)
    reasons = {"same content in both parts": {"id": "the days are alike"}}
    assert failed(leakage.allow(probes, reasons)) == [("rows in both parts", "id")]


@pytest.mark.parametrize(
    ("name", "column"), [("identifier", "tial"), ("names", "tail"), ("time order", "tail")]
)
def test_an_exception_that_nothing_needs_is_refused_by_name(name: str, column: str) -> None:
    with pytest.raises(UserError) as caught:
        leakage.allow(identifier_probes(), {name: {column: "a reason"}})
    assert f"split.leakage.allow lets {column} pass the probe '{name}'" in str(caught.value)


@pytest.mark.parametrize("late", [[True] * 4, [False] * 300])
def test_too_few_rows_and_rows_of_one_class_are_refused(
    contract: Contract, late: list[bool]
) -> None:
    with pytest.raises(UserError, match=f"{len(late)} training rows with late .* are too few"):
        leakage.require_rows(pd.DataFrame({"late": late}), contract)


def test_five_rows_are_enough_for_every_probe_to_answer(contract: Contract) -> None:
    target = np.array([0, 1, 0, 0, 0])
    leakage.require_rows(pd.DataFrame({"late": target.astype(bool)}), contract)
    assert probe_feature(np.full(5, np.nan, np.float32), contract, target=target) == []


@pytest.mark.parametrize("value", [0.0, 0.95])
def test_a_probe_passes_up_to_its_limit(value: float) -> None:
    assert Probe("determines the target", "it", value, limit=0.95, meaning="").passed
