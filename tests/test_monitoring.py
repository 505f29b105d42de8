"""Monitoring as its users see it: the months after the data window, through the service itself."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from conftest import BakedProject
from machinery.serving.log_files import read
from service import serving

pytestmark = pytest.mark.slow

MONTHS = ["2013-08", "2013-09", "2013-10"]


def counted(*columns: pd.Series) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(column.astype(str) for column in columns), strict=True))


def completed(folder: Path) -> Counter[tuple[str, ...]]:
    """Every completed flight of the source files of the months, and whether it was late."""
    flights = pd.concat([pd.read_parquet(folder / f"{month}.parquet") for month in MONTHS])
    flights = flights[flights["arr_delay"].notna()]
    local = flights["time_hour"].dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d")
    columns = local, flights["origin"], flights["carrier"], flights["flight"].astype("int64")
    return counted(*columns, flights["arr_delay"] > 15)


def logged(folder: Path) -> Counter[tuple[str, ...]]:
    """The same of the prediction log and its outcomes."""
    rows = read(folder).to_pandas()
    day = rows["raw_scheduled_departure"].dt.strftime("%Y-%m-%d")
    columns = day, rows["raw_origin"], rows["raw_carrier"], rows["raw_flight_number"]
    return counted(*columns, rows["outcome"])


def test_the_sample_s_autumn_is_replayed_and_calibration_goes(
    reproduced: BakedProject, tmp_path: Path
) -> None:
    copy = reproduced.copy(tmp_path / reproduced.path.name)
    with serving(copy, api_keys="", demo=True) as server:
        url = f"http://127.0.0.1:{server.port}"
        span = "--from", "2013-08-01", "--to", "2013-11-01"
        said = copy.run("flight-delays", "replay", *span, "--url", url).stdout
        assert server.stop() == 0
    flights = completed(copy.path / "data/source")
    count = f"{flights.total():,}"
    assert f"{count} rows answered, {count} outcomes delivered" in said
    assert "refused" not in said
    assert logged(copy.path / "logs/predictions") == flights
    report = json.loads(copy.run("flight-delays", "monitor", "--json").stdout)
    windows = {window["name"]: window["violations"] for window in report["windows"]}
    assert list(windows) == MONTHS
    assert "calibration" not in windows["2013-08"]
    assert "calibration" in windows["2013-09"]
    assert "calibration" in windows["2013-10"]
    assert report["retrain"]["answer"] is True
