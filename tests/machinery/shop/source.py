"""source: the parcels of a table as they lie there."""

from datetime import datetime
from pathlib import Path

import pandas as pd


def read(folder: Path, *, until: datetime | None, days: int = 1) -> pd.DataFrame:
    """All parcels, whatever `days` says."""
    return pd.read_parquet(folder)
