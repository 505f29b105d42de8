"""Slices: every value of a column is one, and rows without a value are not left out."""

from math import nan
from typing import Any

import pandas as pd
import pytest

from machinery.pipeline.files import UserError
from machinery.pipeline.statistics.slices import MISSING, slices


@pytest.mark.parametrize("absent", [None, nan])
def test_rows_without_a_value_are_a_slice_of_their_own(absent: Any) -> None:
    table = pd.DataFrame({"shop": ["b", absent, "a", absent]})
    lines = [(*names, rows.tolist()) for *names, rows in slices(table, ["shop"], least=1)]
    assert lines == [("shop", "a", [2]), ("shop", "b", [0]), ("shop", MISSING, [1, 3])]


def test_numbers_are_in_their_own_order_and_small_slices_are_left_out() -> None:
    table = pd.DataFrame({"size": [10, 9, 9, 10, 8]})
    assert [value for _, value, _ in slices(table, ["size"], least=2)] == ["9", "10"]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(UserError, match="evaluate.slices names size, which the table lacks"):
        list(slices(pd.DataFrame(), ["size"], least=1))
