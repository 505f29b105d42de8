"""What benchmarks/soak.py says of a service that loses, changes or keeps too much."""

import importlib
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
    lost: float | None = None,
    value: float = 0.5,
    growth: float = 1.0,
    refused: str = PAGE,
    status: int = 200,
    broken: float = KILL,
    twice: bool = False,
    heard: bool = True,
) -> list[str]:
    """The faults of a soak of two answers, the second of which was lost at a moment."""
    load, verdict = modules
    record = load.Record(kills=[KILL], broken=[broken], swaps=1, bad=1)
    record.answers["c0-1"] = load.Answer(500.0, "v1", [0.5])
    record.answers["c0-2"] = load.Answer(lost or 500.0, "v2", [0.5])
    record.outcomes["c0-1"] = 500.0
    record.sent |= record.answers.keys()
    record.statuses[status] += 2
    record.memory[1] = [(float(each), 200.0 * (growth if each > 50 else 1)) for each in range(100)]
    logged = [["c0-1", 0, "v1", value, heard]]
    logged += [["c0-2", 0, "v2", 0.5, None]] * ((lost is None) + twice)
    columns = [list(column) for column in zip(*logged, strict=True)]
    return list(verdict.verdict(record, columns, refused, 100.0))


def test_a_soak_in_which_all_holds_has_no_fault(modules: tuple[Any, Any]) -> None:
    assert faults(modules) == []
    assert faults(modules, lost=KILL - 0.9) == []  # handed over since the last flush


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lost": KILL - 60}, "1 answers are lost without a kill"),
        ({"lost": KILL + 5}, "1 answers are lost without a kill"),
        ({"value": 0.6}, "1 answers stand otherwise in the log"),
        ({"twice": True}, "1 rows stand in the log twice"),
        ({"heard": False}, "1 outcomes are lost without a kill"),
        ({"growth": 1.5}, "a worker grew from 200 to 300 MB"),
        ({"refused": ""}, "no bad model was refused"),
        ({"status": 500}, "answers with another status than 200: {500: 2}"),
        ({"broken": KILL - 60}, "1 requests were cut off without a kill"),
    ],
)
def test_a_soak_says_what_did_not_hold(
    modules: tuple[Any, Any], changes: dict[str, Any], words: str
) -> None:
    (found,) = faults(modules, **changes)
    assert found.startswith(words)
