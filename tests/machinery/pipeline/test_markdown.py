"""Text by others is harmless in Markdown: it formats, links and mentions nothing."""

import re

import pytest

from machinery.pipeline.markdown import code, fenced, number, plain, table

HOSTILE = ["@all", "<script>alert(1)</script>", "a|b", "`@all`", "``", "a\n# b", "[x](http://y.z)"]


def spans_removed(text: str) -> str:
    """The text without its code spans, which a code host leaves alone."""
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_a_code_span(name: str) -> None:
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


def test_control_characters_are_removed() -> None:
    assert plain("a\u202eb\x00c") == "a b c"


@pytest.mark.parametrize("text", ["```", "a\n````\n@all", "~~~\n```\n<b>"])
def test_no_text_ends_the_fence_around_it(text: str) -> None:
    first, *inside, last = fenced(text, "diff").splitlines()
    assert first == f"{last}diff"
    assert set(last) == {"`"}
    assert not any(line.strip().startswith(last) for line in inside)


def test_anything_but_a_number_is_a_code_span() -> None:
    assert [number(value) for value in (None, 0.123456, 2794)] == ["–", "0.1235", "2,794"]
    assert number("@all") == "`@all`"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bar_is_escaped_in_a_table_and_nowhere_else(name: str) -> None:
    assert r"\|" not in code(name)
    assert table([code("a|b")], []).startswith(r"| `a\|b` |")
