"""Repeat monthly source files over several years.

Keys stay unique, since they contain the date. Run with a generated project's Python.
"""

import sys
from pathlib import Path

import pandas as pd


def main(source: Path, out: Path, years: int) -> None:
    """Write 2013-01.parquet also as 2014-01.parquet and so on, and the weather likewise."""
    for path in sorted(source.rglob("*.parquet")):
        table = pd.read_parquet(path)
        folder = out / path.relative_to(source).parent
        folder.mkdir(parents=True, exist_ok=True)
        year, month = path.stem.split("-")
        for later in range(years):
            moved = table.assign(time_hour=table["time_hour"] + pd.DateOffset(years=later))
            name = f"{int(year) + later}-{month}.parquet"
            moved.to_parquet(folder / name, compression="zstd", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
