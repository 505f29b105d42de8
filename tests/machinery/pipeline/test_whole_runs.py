"""Whole runs of small, odd tables: each ends with a verdict, a page and a card."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from machinery.bulk.run import Options, predict
from machinery.pipeline import paths
from machinery.pipeline.data import contract as contracts
from machinery.pipeline.data.tags import tag
from machinery.pipeline.files import read_json
from machinery.serving.rows import Reader
from shop import features as shop
from shop.model_folder import column
from shop.project import Shop
from shop.whole_run import ROWS, Run

NAMES = (
    *("self", "cls", "class", "return", "select", "order by", "from", "index", "row", "set", "1"),
    *("with space", "dotted.name", "a/b", "a,b", "it's", "`tick`", "<b>", "a|b", "{y}", "100%"),
    *("😀", "ünïcode", "#hash", "-", "null", "true", "kwargs", "values", "A", "a", "_hidden"),
)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def nothing(run: Run) -> None:
    """The unchanged run."""


def no_late_parcel_in_the_test(run: Run) -> None:
    run.table.loc[run.tested, "late"] = False


def one_late_parcel_in_the_test(run: Run) -> None:
    run.table.loc[run.tested, "late"] = np.arange(run.tested.sum()) == 7


def one_row_in_the_test(run: Run) -> None:
    first = run.table[run.tested].index[0]
    run.table = run.table[~run.tested | (run.table.index == first)]


def three_classes(run: Run) -> None:
    run.table["late"] = np.select([run.effort < 16, run.effort < 27], ["no", "a day"], "days")
    run.contract["columns"]["late"] |= {"type": "category", "allowed": ["no", "a day", "days"]}


def a_third_class_that_the_test_lacks(run: Run) -> None:
    three_classes(run)
    run.table.loc[run.tested & (run.table["late"] == "days"), "late"] = "no"


def a_slice_of_one_class(run: Run) -> None:
    run.table.loc[run.table["colour"] == "red", "late"] = True


def a_slice_column_named_twice(run: Run) -> None:
    run.params["evaluate"]["slices"] = ["colour", "colour"]


def slices_too_small(run: Run) -> None:
    run.params["evaluate"]["slices"] = ["at"]


def the_same_number_of_days_in_the_test(run: Run) -> None:
    run.table.loc[run.tested, "days"] = 1.5


def one_candidate(run: Run) -> None:
    run.params["train"]["models"] = ["linear"]


def one_candidate_that_predicts_the_same_for_all(run: Run) -> None:
    run.params["train"]["models"] = ["prior"]


def a_constant_feature(run: Run) -> None:
    run.table["at"] = run.table["at"].dt.normalize()  # and with it the hour


def nothing_but_constant_features(run: Run) -> None:
    run.table["weight"], run.table["town"] = 20.0, "Aa"
    run.params["train"]["features"]["all"] = ["mass", "place"]


def one_feature(run: Run) -> None:
    run.params["train"]["features"]["all"] = ["mass"]


def one_feature_that_tells_nothing(run: Run) -> None:
    run.params["train"]["features"]["all"] = ["hour"]


SKILL = GAIN, FLOOR, SLICE = "better_than_baseline", "floor", "worst_slice"
Cases = list[tuple[Callable[[Run], None], set[str]]]
ALWAYS: Cases = [
    (nothing, set()),
    (a_constant_feature, set()),
    (one_feature, set()),
    (nothing_but_constant_features, {*SKILL}),
    (one_feature_that_tells_nothing, {*SKILL}),
    (one_candidate, {GAIN}),  # which is the baseline
    (one_candidate_that_predicts_the_same_for_all, {*SKILL}),
    (slices_too_small, {SLICE}),
]
CLASSIFICATION: Cases = [
    (one_row_in_the_test, {*SKILL}),
    (no_late_parcel_in_the_test, {*SKILL}),
    (one_late_parcel_in_the_test, {SLICE}),
    (three_classes, set()),
    (a_third_class_that_the_test_lacks, {*SKILL}),
    (a_slice_of_one_class, {SLICE}),
    (a_slice_column_named_twice, set()),
]
REGRESSION: Cases = [
    (one_row_in_the_test, {GAIN, SLICE}),
    (the_same_number_of_days_in_the_test, {*SKILL}),
]


@pytest.mark.parametrize(
    ("task", "change", "fails"),
    [
        *(("classification", *case) for case in [*ALWAYS, *CLASSIFICATION]),
        *(("regression", *case) for case in [*ALWAYS, *REGRESSION]),
    ],
)
def test_a_run_ends_with_a_verdict_a_page_and_a_card_whatever_the_tables_lack(
    task: str, change: Callable[[Run], None], fails: set[str]
) -> None:
    run = Run(task)
    change(run)
    verdict = run(Shop())
    checks = {check["name"]: check["passed"] for check in verdict["checks"]}
    assert {name for name in SKILL if not checks[name]} == fails
    assert verdict["passed"] is all(checks.values())


class Named(Shop):
    """The shop, with a feature of a column named self."""

    def features(self) -> ModuleType:
        module = ModuleType("features")
        vars(module).update(mass=shop.mass, hour=shop.hour, place=shop.place, own=own)
        return module


@tag(owner="shop", unit="")
def own(self, cls) -> Any:  # type: ignore[no-untyped-def]  # noqa: N805
    """Two columns with names that have a meaning in Python."""
    return self + cls


class Worded(Shop):
    """The shop, with features of a note and of the customer."""

    def features(self) -> ModuleType:
        module = ModuleType("features")
        vars(module).update(wording=wording, customer=customer)
        return module


@tag(owner="shop", unit="", encode="text")
def wording(note: np.ndarray) -> np.ndarray:
    """The words of the note."""
    return np.array([" ".join(text.lower().split()) for text in note], dtype=object)


@tag(owner="shop", unit="", encode="target")
def customer(of: np.ndarray) -> np.ndarray:
    """One of many."""
    return of


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_texts_and_many_categories_go_through_the_pipeline(task: str) -> None:
    run = Run(task)
    late, customers = run.effort > 22, np.arange(ROWS) // 2 % 90
    run.table["note"] = [f"No\t{n} {'Please HURRY' if late[n] else ''}" for n in range(ROWS)]
    run.table["of"] = [f"customer {number}" for number in customers]
    run.contract["columns"] |= {"note": column("string"), "of": column("string")}
    run.params["train"]["features"]["all"] = ["wording", "customer"]
    run.params["train"]["models"] = ["prior", "linear", "boosting"]
    run.params["train"]["hyperparameters"]["boosting"] = {"max_iter": 10}
    assert {check["name"]: check["passed"] for check in run(Worded())["checks"]}[GAIN]
    ranking = read_json(paths.PLOTS / "importance.json")
    importance = {row["feature"]: row["importance"] for row in ranking}
    assert importance["wording"] > 10 * abs(importance["customer"])


def test_a_weight_goes_through_the_pipeline_and_the_card_and_the_page_say_so() -> None:
    run = Run()
    run.contract |= {"weight": "worth"}
    bounds = {"allowed": {"min": 0, "max": None}, "known": "after"}
    run.contract["columns"]["worth"] = column("number", **bounds)
    run.table["worth"] = np.where(run.table["late"], 9.0, 1.0)
    run.params["train"]["models"] = ["prior"]
    run(Shop())
    table = pd.read_parquet(paths.TRAIN_FEATURES)
    shares = pd.read_parquet(paths.PREDICTIONS)["probability_true"]
    assert shares.iloc[0] == pytest.approx(np.average(table["late"], weights=table["worth"]))
    for path in (paths.PAGE, paths.MODEL_CARD):
        assert "Fits weight each row by worth; metrics count" in path.read_text(encoding="utf-8")


def test_columns_of_any_name_go_through_the_pipeline_the_service_and_bulk() -> None:
    run = Run()
    for name in NAMES:
        run.contract["columns"][name] = column("category", allowed=["x", "y"])
        run.table[name] = np.where(np.arange(ROWS) % 3 == 0, "x", "y")
    run.params["evaluate"]["slices"] = [*NAMES]
    run.params["train"]["features"]["all"] += ["own"]
    run(Named())
    assert {row["column"] for row in read_json(paths.SLICES)} == {*NAMES}

    rows, features = run.table.drop(columns="late").head(20), Named().features()
    rows.to_csv("in.csv", index=False)
    rows.to_parquet("in.parquet")
    for kind in ("csv", "parquet"):
        assert predict(features, f"in.{kind}", f"out.{kind}", Options())["predicted"] == 20
    assert {*NAMES} < {*pd.read_parquet("out.parquet")}

    contract = contracts.load()
    columns = {name: contract.columns[name] for name in contract.known_before()}
    row = dict.fromkeys(columns) | dict.fromkeys(NAMES, "x")
    row |= {"id": "a", "at": "2026-01-01T00:00:00", "colour": "red", "town": "Aa"}
    read = Reader(columns, 1).read(json.dumps(row).encode())
    assert {read[name][0] for name in NAMES} == {"x"}
