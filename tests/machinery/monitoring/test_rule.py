"""The rule for retraining: k of the last n windows and the latest, after the cool-down."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from machinery.monitoring.rule import decide
from machinery.pipeline.params import Retrain

START = datetime(2026, 1, 1)


def windows(marks: str, version: str = "v1") -> list[dict[str, Any]]:
    """x violates calibration, q data quality, . nothing, ? has no verdict, _ is not over."""
    violations = {"x": {"calibration": "far off"}, "q": {"quality": "few"}}
    return [
        {
            "name": f"w{number}",
            "to": (START + timedelta(days=7 * (number + 1))).isoformat(),
            "model_version": version,
            "over": mark != "_",
            "enough": mark != "?",
            "violations": violations.get(mark, {}),
        }
        for number, mark in enumerate(marks)
    ]


def settings(cooldown: int = 0) -> Retrain:
    return Retrain(counts=["calibration"], windows=3, violated=2, cooldown_days=cooldown)


@pytest.mark.parametrize(
    ("marks", "answer", "reason"),
    [
        ("xx", True, "2 of the last 2 windows violate (w0: calibration; w1: calibration)"),
        (".x.x", True, "2 of the last 3 windows violate (w1: calibration; w3: calibration)"),
        ("x..x", False, "1 of the last 3 windows violate (w3: calibration); 2 are needed"),
        ("..x", False, "1 of the last 3 windows violate (w2: calibration); 2 are needed"),
        ("xx.", False, "but not the latest, w2"),
        ("xq", False, "but not the latest, w1"),  # quality does not count here
        ("x?x", True, "2 of the last 2 windows violate"),  # what is unknown is neither
        ("xx?", True, "2 of the last 2 windows violate"),  # its outcomes are yet to come
        ("xx_", True, "2 of the last 2 windows violate"),
        ("...", False, "none of the last 3 windows violates calibration"),
        ("??", False, "no window that is over has enough rows with outcomes"),
        ("", False, "no window that is over has enough rows with outcomes"),
    ],
)
def test_k_of_the_last_n_windows_and_the_latest(marks: str, answer: bool, reason: str) -> None:
    decided = decide(windows(marks), settings(), START)
    assert decided["answer"] is answer
    assert reason in decided["why"]
    assert decided["rule"] == "2 of the last 3 windows, the latest among them, by calibration"


def test_windows_of_the_model_before_do_not_count_against_a_new_one() -> None:
    before, after = windows("xxx")[:2], windows("xxx", "v2")[2:]
    decided = decide([*before, *after], settings(), START)
    assert not decided["answer"] and "1 of the last 1" in decided["why"]


def test_there_is_no_retraining_before_the_cool_down_is_over() -> None:
    assert not decide(windows("xx"), settings(cooldown=15), START)["answer"]
    assert "cool-down lasts until 2026-01-16" in decide(windows("xx"), settings(15), START)["why"]
    assert decide(windows("xx"), settings(cooldown=14), START)["answer"]
