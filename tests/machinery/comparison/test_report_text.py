"""Foreign text does no harm in a report, and a report is never too long."""

import re
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from machinery.comparison import tables
from machinery.comparison.comparison import Comparison, Line, Slice
from machinery.comparison.judgement import Judgement
from machinery.comparison.text import LEFT_OUT, Part, fit, notes, verdict
from machinery.pipeline import params
from machinery.pipeline.paths import GATE, METRICS, MODEL_INFO
from machinery.pipeline.statistics.intervals import Interval

HOSTILE = ["@all", "<script>alert(1)</script>", "a|b", "`@all`", "``", "a\n# b", "[x](http://y.z)"]


def spans_removed(text: str) -> str:
    """The text without its code spans, in which a code host changes nothing."""
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)


def long(lines: int) -> str:
    return "\n".join(f"| line {number} | é |" for number in range(lines))


def test_a_report_that_is_short_enough_is_whole() -> None:
    parts = [Part("One", long(3)), Part("Two", "text", folded=True)]
    text = fit(["verdict"], parts, 1000)
    assert text.startswith("verdict\n\n### One\n\n| line 0")
    assert "<summary><b>Two</b></summary>\n\ntext\n\n</details>" in text


def test_the_longest_part_is_left_out_first_and_the_head_stays() -> None:
    parts = [Part("Short", long(50)), Part("Long", long(5000))]
    text = fit(["verdict"], parts, 20_000)
    assert text == f"verdict\n\n### Short\n\n{long(50)}\n\n### Long\n\n{LEFT_OUT}\n"


@pytest.mark.parametrize("body", [long(100_000), "x" * 500_000, f"```\n{long(9000)}\n```"])
def test_nothing_makes_it_too_long(body: str) -> None:
    text = fit(["verdict"], [Part(f"{n}", body, folded=True) for n in range(9)], 59_000)
    assert len(text.encode()) <= 59_000
    assert text.count("<details>") == text.count("</details>") == 9


def check(name: str, *, passed: bool) -> dict[str, Any]:
    return {"name": name, "value": 0.7, "limit": 0.6, "passed": passed, "why": f"{name} is low"}


def judgement(comparison: Comparison | None, **changes: Any) -> Judgement:
    """A judgement on a challenger whose gate passes, unless changed."""
    documents = {
        METRICS: {"roc_auc": {"value": 0.7061, "low": 0.6867, "high": 0.7262}},
        GATE: {"passed": True, "checks": [check("floor", passed=True)]},
        MODEL_INFO: {"positive": "true", "threshold": 0.25, "threshold_rule": "best"},
    }
    side = SimpleNamespace(document=documents.__getitem__, find=documents.get, md5=lambda _: None)
    defaults = {
        "against": "main",
        "champion": side,
        "challenger": side,
        "contract": None,
        "split": None,
        "select": params.Select(
            headline="roc_auc",
            threshold=params.Threshold(rule="balanced_accuracy", value=None),
            coverage=0.9,
        ),
        "evaluate": SimpleNamespace(level=0.95, slices=(), slice_min_rows=100),
        "report": params.Report(relevant=0.005, level=0.95, samples=2000, seed=1),
        "gate": documents[GATE],
        "rows": range(2794),
        "comparison": comparison,
    }
    return Judgement(**(defaults | changes))


def comparison(low: float, high: float, slices: tuple[Slice, ...] = ()) -> Comparison:
    line = Line("roc_auc", 0.7061, 0.7312, Interval((low + high) / 2, low, high))
    return Comparison(2794, "days", 31, (line,), line, slices, same=False)


@pytest.mark.parametrize(
    ("low", "high", "line"),
    [
        (0.012, 0.038, "**Better**: roc_auc 0.7061 → 0.7312, +0.025 (+0.012 to +0.038)"),
        (-0.04, -0.01, "**Worse**: roc_auc 0.7061 → 0.7312, -0.025 (-0.04 to -0.01)"),
        (-0.01, 0.01, "**No significant difference**: roc_auc 0.7061 → 0.7312, 0 (-0.01 to +0.01)"),
    ],
)
def test_the_verdict_has_its_values(low: float, high: float, line: str) -> None:
    assert verdict(judgement(comparison(low, high))) == f"{line} on the same 2,794 test rows"


def test_a_difference_too_small_to_matter_is_no_reason_to_refuse() -> None:
    judged = judgement(comparison(-0.004, -0.001))
    start = (
        "**No relevant difference**: roc_auc 0.7061 → 0.7312, -0.0025 (-0.004 to -0.001) on the "
    )
    assert verdict(judged).startswith(start)
    assert verdict(judged).endswith("; significant, but below report.relevant, 0.005")
    assert judged.refusals() == []


def test_notes_are_below_the_verdict() -> None:
    plain = judgement(comparison(-0.04, -0.01))
    assert "Note" not in "".join(notes(plain)) and "Stale" not in "".join(notes(plain))
    text = "".join(
        notes(
            judgement(comparison(-0.04, -0.01), behind=3, overlap="it saw @all", stale=("a | b",))
        )
    )
    assert "`main` has 3 commits that this branch lacks: their changes appear" in text
    assert "**Note**: the champion has an unfair advantage here: it saw @" in text
    assert r"**Stale**: a \| b. Run `dvc repro`" in text
    assert "@all" not in text


def test_another_test_table_is_noted_with_what_was_recorded_on_it() -> None:
    files = iter(["1", "2"])
    judged = judgement(comparison(-0.04, -0.01))
    assert judged.champion is not None
    judged.champion.md5 = lambda _: next(files)  # type: ignore[method-assign]
    note = "on its own the champion had roc_auc 0.7061 (0.6867 to 0.7262)."
    assert note in "".join(notes(judged))


def test_a_difference_without_an_interval_is_shown_as_such() -> None:
    none = Interval(0.1, float("nan"), float("nan"))
    assert tables.change(none) == "+0.1 (no interval)"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"champion": None}, "**No champion**: there is no model at `main`"),
        ({"obstacle": "the target differs: @all"}, "**Not compared**: the target differs"),
    ],
)
def test_without_a_comparison_the_verdict_has_the_reason_and_the_value(
    changes: dict[str, Any], reason: str
) -> None:
    text = verdict(judgement(None, **changes))
    assert text.startswith(reason) and "@all" not in text
    assert text.endswith("roc_auc 0.7061 (0.6867 to 0.7262) on 2,794 test rows")


def test_without_test_rows_what_is_recorded_of_both_is_shown_and_check_refuses() -> None:
    absent = judgement(None, rows=None, obstacle="there are no credentials")
    figure = "0.7061 (0.6867 to 0.7262)"
    why = "**Not compared**: there are no credentials"
    assert verdict(absent) == f"{why}; roc_auc {figure} as recorded"
    assert f"| `roc_auc` | {figure} | {figure} |" in tables.metrics(absent)
    assert absent.refusals() == ["there are no test predictions (there are no credentials)"]


def test_check_refuses_a_worse_model_and_a_failed_gate() -> None:
    assert judgement(comparison(0.01, 0.04)).refusals() == []
    assert judgement(comparison(-0.01, 0.01)).refusals() == []
    assert judgement(comparison(-0.04, -0.01)).refusals() == ["roc_auc is worse than at main"]
    failed = {"passed": False, "checks": [check("floor", passed=False)]}
    refused = judgement(comparison(0.01, 0.04), gate=failed)
    assert refused.refusals() == ["the gate failed (floor)"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_slice_or_check_does_harm_in_its_table(name: str) -> None:
    line = Line("roc_auc", 0.7, 0.6, Interval(-0.1, -0.2, -0.05))
    compared = comparison(-0.1, 0.1, (Slice(name, name, 100, line),))
    failed = check(name, passed=False) | {"value": name, "limit": name}
    gate = {"passed": False, "checks": [failed]}
    champion = SimpleNamespace(find={GATE: gate}.get)
    judged = judgement(compared, gate=gate, champion=champion)
    for text in (tables.slices(judged), tables.gate(judged)):
        assert not re.search(r"@\w|<|https?:/", spans_removed(text))
        lines = [line for line in text.splitlines() if line.startswith("|")]
        assert len({len(re.split(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_the_chance_of_a_false_alarm_is_given_beside_the_slices() -> None:
    line = Line("roc_auc", 0.7, 0.6, Interval(-0.1, -0.2, -0.05))
    compared = comparison(-0.1, 0.1, tuple(Slice("carrier", str(n), 9, line) for n in range(40)))
    assert tables.slices(judgement(compared)).startswith(
        "40 of 40 slices got significantly worse in roc_auc; about 1 would by chance"
    )


def test_slices_that_are_too_small_are_counted_and_named() -> None:
    rows = pd.DataFrame({"town": ["Ulm"] * 100 + ["Aa"] * 3 + ["@all"]})
    evaluate = SimpleNamespace(level=0.95, slices=("town",), slice_min_rows=100)
    text = tables.slices(judgement(comparison(-0.1, 0.1), rows=rows, evaluate=evaluate))
    assert text == "Too small to compare, fewer than 100 rows each: `town` `Aa`, `@all` (4 rows)."
