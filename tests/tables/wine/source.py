"""Read every Parquet file of the folder as one raw table."""

from datetime import datetime
from pathlib import Path

import pandas as pd

from machinery.pipeline.files import read_table


def read(folder: Path, *, until: datetime | None) -> pd.DataFrame:
    """All rows; `ingest` leaves out those after the data window."""
    return pd.concat([read_table(path) for path in sorted(folder.glob("*.parquet"))])
