"""The pipeline, the service and `predict` make the same arrays, whatever other rows there are."""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machinery.pipeline.data.checks import cast
from machinery.pipeline.data.columns import arrow_type, dtype, from_arrow, from_python
from machinery.pipeline.data.contract import Column

VALUES: dict[str, Any] = {
    "string": st.text("ab é"),
    "integer": st.integers(-(2**62), 2**62),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "datetime": st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
}


def plain(values: np.ndarray) -> list[Any]:
    """The values, None for missing ones."""
    return [None if value != value else value for value in values.tolist()]


@pytest.mark.parametrize("nullable", [False, True])
@pytest.mark.parametrize("kind", VALUES)
@settings(deadline=None)
@given(data=st.data())
def test_every_path_gives_the_same_array(kind: str, nullable: bool, data: Any) -> None:
    about = {"unit": None, "allowed": None, "description": "it", "owner": "us", "known": "before"}
    column = Column.model_validate({**about, "type": kind, "nullable": nullable})
    value = VALUES[kind] | st.none() if nullable else VALUES[kind]
    values = data.draw(st.lists(value, max_size=6))
    served = from_python(values, column)
    table, invalid = cast(pa.array(values, arrow_type(kind)), column)  # as in the pipeline
    assert not invalid.any()
    assert served.dtype == dtype(column)
    for rows in range(len(values) + 1):
        array = from_arrow(table[:rows], column)
        assert array.dtype == served.dtype
        assert plain(array) == plain(served[:rows])
