"""Read the parcels of a table."""

from datetime import datetime
from pathlib import Path

import pandas as pd


def read(folder: Path, *, until: datetime | None, days: int = 1) -> pd.DataFrame:
    """All parcels; `days` is ignored."""
    return pd.read_parquet(folder)
