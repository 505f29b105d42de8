"""What benchmarks/soak.py reports of a service that loses or changes data, or leaks memory."""

import importlib
from math import exp
from pathlib import Path
from typing import Any

import pytest

PAGE = 'serving_models_total{outcome="refused",role="champion"} 2.0\n'
KILL = 1000.0


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("_soak_load"), importlib.import_module("_soak_verdict")


def faults(
    modules: tuple[Any, Any],
    *,
    logged: int = 1,
    value: float = 0.5,
    leak: float = 0.0,
    refused: str = PAGE,
    status: int = 200,
    broken: float = KILL,
    cut_off: str = "c0-3",
    heard: bool = True,
    outcomes: int = 1,
) -> list[str]:
    """The faults of a soak of two answers, the second of which is logged `logged` times."""
    load, verdict = modules
    record = load.Record(kills=[KILL], broken={"c0-3": broken}, swaps=1, bad=1)
    record.answers["c0-1"] = load.Answer("v1", [0.5])
    record.answers["c0-2"] = load.Answer("v2", [0.5])
    record.outcomes.add("c0-1")
    record.statuses[status] += 2
    record.memory[1] = [(float(second), warm(second) + leak * second) for second in range(300)]
    rows = [["c0-1", 0, "v1", value, heard], [cut_off, 0, "v1", 0.5, None]]
    rows += [["c0-2", 0, "v2", 0.5, None]] * logged
    columns = [list(column) for column in zip(*rows, strict=True)]
    return list(verdict.verdict(record, columns, ["c0-1"] * outcomes, refused))


def warm(second: int) -> float:
    """The megabytes of a worker that is warming up."""
    return 185.0 - 25.0 * exp(-second / 40)


def test_a_soak_without_violations_has_no_faults(modules: tuple[Any, Any]) -> None:
    assert faults(modules) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"logged": 0}, "1 answers are lost"),
        ({"value": 0.6}, "1 answers differ in the log"),
        ({"logged": 2}, "1 rows are in the log twice"),
        ({"heard": False}, "1 outcomes are lost"),
        ({"outcomes": 2}, "1 outcomes are in the log twice"),
        ({"cut_off": "c9-1"}, "the log has requests that had no answer"),
        ({"leak": 0.06}, "a worker grew by 4."),
        ({"refused": ""}, "no bad model was refused"),
        ({"status": 500}, "answers with another status than 200: {500: 2}"),
        ({"broken": KILL - 60}, "1 requests were cut off without a kill"),
    ],
)
def test_a_soak_reports_what_is_violated(
    modules: tuple[Any, Any], changes: dict[str, Any], words: str
) -> None:
    (fault,) = faults(modules, **changes)
    assert fault.startswith(words)
