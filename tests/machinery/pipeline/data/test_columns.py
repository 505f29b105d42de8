"""columns: pipeline, service and `predict` give the same arrays, whatever rows are near."""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from machinery.pipeline.data.checks import cast
from machinery.pipeline.data.columns import arrow_type, dtype, from_arrow, from_python
from machinery.pipeline.data.contract import Column

VALUES: dict[str, Any] = {
    "string": some.text("ab é"),
    "integer": some.integers(-(2**62), 2**62),
    "number": some.floats(allow_nan=False, allow_infinity=False),
    "boolean": some.booleans(),
    "datetime": some.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
}


def plain(values: np.ndarray) -> list[Any]:
    """None where a value is missing."""
    return [None if value != value else value for value in values.tolist()]


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("kind", VALUES)
@settings(deadline=None)
@given(data=some.data())
def test_every_path_gives_the_same_array(kind: str, nullable: bool, data: Any) -> None:
    column = Column(
        type=kind,  # type: ignore[arg-type]
        unit=None,
        allowed=None,
        nullable=nullable,
        description="it",
        owner="us",
        known="before",
    )
    value = VALUES[kind] | some.none() if nullable else VALUES[kind]
    values = data.draw(some.lists(value, max_size=6))
    wanted = from_python(values, column)  # as the service does
    table, lost = cast(
        pa.array(values, arrow_type(kind)), column
    )  # as `predict` and the pipeline do
    assert not lost.any()
    assert wanted.dtype == dtype(column)
    for rows in range(len(values) + 1):
        made = from_arrow(table[:rows], column)
        assert made.dtype == wanted.dtype
        assert plain(made) == plain(wanted[:rows])
