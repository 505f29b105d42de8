"""What others wrote does no harm in a report, and a report is never too long."""

import re

import pytest

from {{cookiecutter.project_slug}}.report.escape import code, plain, table
from {{cookiecutter.project_slug}}.report.length import DROPPED, Part, fit

HOSTILE = ["@all", "<script>alert(1)</script>", "a|b", "`@all`", "``", "a\n# b", "[x](http://y.z)"]


def spans_removed(text: str) -> str:
    """The text without its code spans, in which a code host changes nothing."""
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_a_code_span_whatever_is_in_it(name: str) -> None:
    assert spans_removed(code(name)) == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_a_table(name: str) -> None:
    for line in table([code(name), name], [[name, code(name)]]).splitlines():
        assert len(re.split(r"(?<!\\)\|", line)) == 4


@pytest.mark.parametrize("name", HOSTILE)
def test_a_sentence_formats_calls_and_links_nothing(name: str) -> None:
    text = plain(name)
    assert not re.search(r"[@#]\w|https?:/|<|>|\n", text)
    assert not re.search(r"(?<!\\)[`\[\]*_|]", text)


def test_a_name_of_any_length_is_clipped() -> None:
    assert len(code("x" * 100_000)) < 250
    assert len(plain("@" * 100_000)) < 500


def test_a_direction_that_is_turned_round_is_taken_out() -> None:
    assert plain("a\u202eb\x00c") == "a b c"


def long(lines: int) -> str:
    return "\n".join(f"| line {number} | é |" for number in range(lines))


def test_a_report_that_is_short_enough_is_whole() -> None:
    parts = [Part("One", long(3), weight=1), Part("Two", "text", weight=2, folded=True)]
    text = fit(["verdict"], parts, 1000)
    assert text.startswith("verdict\n\n### One\n\n| line 0")
    assert "<summary><b>Two</b></summary>\n\ntext\n\n</details>" in text


def test_the_lightest_part_is_cut_first_and_the_head_stays() -> None:
    parts = [Part("Heavy", long(50), weight=9), Part("Light", long(5000), weight=1)]
    text = fit(["verdict"], parts, 20_000)
    assert len(text.encode()) <= 20_000
    assert text.startswith("verdict")
    assert long(50) in text
    assert "more lines are left out" in text


def test_a_plot_is_whole_or_not_there() -> None:
    plot = Part("Plot", f"```mermaid\n{long(5000)}\n```", weight=1)
    parts = [Part("Heavy", "text", weight=9), plot]
    text = fit(["verdict"], parts, 10_000)
    assert "mermaid" not in text
    assert DROPPED in text


@pytest.mark.parametrize("body", [long(100_000), "x" * 500_000, f"```\n{long(9000)}\n```"])
def test_nothing_makes_it_too_long(body: str) -> None:
    text = fit(["verdict"], [Part(f"{n}", body, weight=n, folded=True) for n in range(9)], 59_000)
    assert len(text.encode()) <= 59_000
    assert text.count("<details>") == text.count("</details>") == 9
