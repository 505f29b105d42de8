"""Features made from a number, a time and a string."""

import numpy as np

from machinery.pipeline.data.tags import tag


@tag(owner="shop", unit="kg")
def mass(weight: np.ndarray) -> np.ndarray:
    """How heavy it is."""
    return np.asarray(weight, dtype=np.float32)


@tag(owner="shop", unit="h")
def hour(at: np.ndarray) -> np.ndarray:
    """When it was sent."""
    since = at - at.astype("datetime64[D]")
    return np.asarray(since / np.timedelta64(1, "h"), dtype=np.float32)


@tag(owner="shop", unit="")
def place(town: np.ndarray) -> np.ndarray:
    """Where it goes."""
    return np.array([name if isinstance(name, str) else "missing" for name in town], dtype=object)
