"""files: written whole or not at all; unreadable ones are told in a sentence."""

import json
from pathlib import Path

import pandas as pd
import pytest

from machinery.pipeline.files import (
    UserError,
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
    path = tmp_path / "figures.json"
    write_json({"auc": 0.123456789, "low": float("nan"), "all": [float("inf"), 1]}, path)
    assert json.loads(path.read_text()) == {"auc": 0.123457, "low": None, "all": [None, 1]}


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a", None], "size": [1.5, 2.5]})
    write_table(table, tmp_path / "first.parquet")
    write_table(table.copy(), tmp_path / "second.parquet")
    first, second = (tmp_path / f"{each}.parquet" for each in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("text", ["", "torn off", "PAR1"])
def test_an_unreadable_table_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "torn.parquet"
    path.write_text(text)
    with pytest.raises(UserError, match=r"torn\.parquet is not a readable Parquet file"):
        read_table(path)


@pytest.mark.parametrize("read", [read_table, read_json, read_yaml])
def test_a_missing_file_says_how_to_get_it(tmp_path: Path, read: object) -> None:
    with pytest.raises(UserError, match="is missing; run 'dvc repro'"):
        read(tmp_path / "absent")  # type: ignore[operator]


@pytest.mark.parametrize("text", ["a: [1", "just words", "\tb: 1"])
def test_unreadable_yaml_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert "params.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
