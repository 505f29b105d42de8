"""Files are written atomically, and unreadable ones are reported in one sentence."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from machinery.pipeline.files import (
    UserError,
    printable,
    read_json,
    read_table,
    read_yaml,
    replace,
    write_json,
    write_table,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json({"kept": True}, path)

    def half(part: Path) -> None:
        part.write_text("half of it")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace(path, half)
    assert read_json(path) == {"kept": True}
    assert list(tmp_path.iterdir()) == [path]


def test_json_keeps_six_digits_and_has_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json({"auc": 0.123456789, "low": float("nan"), "all": [float("inf"), 1]}, path)
    assert json.loads(path.read_text()) == {"auc": 0.123457, "low": None, "all": [None, 1]}


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a", None], "size": [1.5, 2.5]})
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    write_table(table, first)
    write_table(table.copy(), second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("text", ["", "torn off", "PAR1"])
def test_an_unreadable_table_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "torn.parquet"
    path.write_text(text)
    with pytest.raises(UserError, match=r"torn\.parquet is not a readable Parquet file"):
        read_table(path)


@pytest.mark.parametrize(
    ("read", "remedy"),
    [(read_table, "run 'dvc repro'"), (read_json, "run 'dvc repro'"), (read_yaml, "restore it")],
)
def test_a_missing_file_says_how_to_get_it(tmp_path: Path, read: Any, remedy: str) -> None:
    with pytest.raises(UserError, match=f"is missing; {remedy}"):
        read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1", "did not find expected"),
        ("just words", "has no 'name: value' lines"),
        ("\tb: 1", "cannot start any token (line 1, column 1)"),
        ("a: 1\nb: {c: 2, c: 3}", "c is a duplicate key; keep one of them (line 2, column 4)"),
        ("until: 2013-07-15", "2013-07-15 differs between versions of YAML; put it in quotes"),
        ("until: 2013-07-15T10:00:00", "2013-07-15T10:00:00 differs"),
        ("a: [no]", "no differs between versions of YAML"),
        ("a: 010", "010 differs"),
        ("a: 1:30", "1:30 differs"),
        ("a: 1_000", "1_000 differs"),
        ("a: *b", "undefined alias"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ("a: " + "[" * 3000 + "]" * 3000, "too deeply nested"),
        ("a: \x00", "control characters are not allowed"),
    ],
)
def test_unreadable_yaml_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert "params.yaml" in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_anchors_that_multiply_cost_no_memory(tmp_path: Path) -> None:
    lines = [
        "a0: &a0 [x]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)),
    ]
    (tmp_path / "params.yaml").write_text("\n".join(lines))
    assert len(read_yaml(tmp_path / "params.yaml")["a59"]) == 9


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e5", 1e5), ("-0.5", -0.5), (".5", 0.5), ("0", 0), ("True", True), ("'no'", "no")],
)
def test_yaml_is_read_as_dvc_reads_it(tmp_path: Path, text: str, value: object) -> None:
    (tmp_path / "params.yaml").write_text(f"base: &it {{a: 1}}\na: {text}\nb: {{<<: *it, a: 2}}")
    document = read_yaml(tmp_path / "params.yaml")
    assert (document["a"], document["b"]) == (value, {"a": 2})


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert printable("red\x1b[31m\nnext") == "red [31m next"
