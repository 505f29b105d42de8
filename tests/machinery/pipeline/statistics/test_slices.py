"""Slices: every value of a column is one, and rows without a value are not left out."""

from math import nan
from typing import Any

import pandas as pd
import pytest

from machinery.pipeline.statistics.slices import MISSING, slices


@pytest.mark.parametrize("absent", [None, nan])
def test_rows_without_a_value_are_a_slice_of_their_own(absent: Any) -> None:
    found = {
        value: rows.tolist()
        for value, rows in slices(pd.Series(["b", absent, "a", absent]), least=1)
    }
    assert found == {"a": [2], "b": [0], MISSING: [1, 3]}
    assert list(found)[-1] == MISSING


def test_numbers_are_in_their_own_order_and_small_slices_are_left_out() -> None:
    assert [value for value, _ in slices(pd.Series([10, 9, 9, 10, 8]), least=2)] == ["9", "10"]
