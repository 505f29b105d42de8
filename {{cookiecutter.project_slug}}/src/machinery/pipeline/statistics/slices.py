"""slices: a column in; the rows of each of its values out, those without a value among them."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = "(missing)"

Positions = NDArray[np.intp]


def slices(column: Iterable[Any], least: int) -> Iterator[tuple[str, Positions]]:
    """Each value as text, and the positions of its rows where there are at least so many.

    In the order of the values; what is missing (None, NaN) is the last slice.
    """
    places: dict[Any, list[int]] = {}
    for place, value in enumerate(column):
        known = value is not None and value == value
        places.setdefault((not known, value if known else MISSING), []).append(place)
    for (_, value), rows in sorted(places.items()):
        if len(rows) >= least:
            yield str(value), np.array(rows)
