"""Monitoring for its users: the months after the data window, replayed through the service."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from browser import DESK, PHONE, chromium, fits, needs_chromium
from conftest import BakedProject
from machinery.serving.log_files import read
from service import serving

pytestmark = pytest.mark.slow

MONTHS = ["2013-08", "2013-09", "2013-10"]


def counted(*columns: pd.Series) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(column.astype(str) for column in columns), strict=True))


def completed(folder: Path) -> Counter[tuple[str, ...]]:
    """Every completed flight in the source files of the months, and whether it was late."""
    flights = pd.concat([pd.read_parquet(folder / f"{month}.parquet") for month in MONTHS])
    flights = flights[flights["arr_delay"].notna()]
    local = flights["time_hour"].dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d")
    columns = local, flights["origin"], flights["carrier"], flights["flight"].astype("int64")
    return counted(*columns, flights["arr_delay"] > 15)


def logged(folder: Path) -> Counter[tuple[str, ...]]:
    """The same for the prediction log and its outcomes."""
    rows = read(folder).to_pandas()
    day = rows["raw_scheduled_departure"].dt.strftime("%Y-%m-%d")
    columns = day, rows["raw_origin"], rows["raw_carrier"], rows["raw_flight_number"]
    return counted(*columns, rows["outcome"])


@pytest.fixture(scope="module")
def replayed(reproduced: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    """A project whose service answered the autumn; `replay.txt` has the output of replay."""
    copy = reproduced.copy(tmp_path_factory.mktemp("replayed") / reproduced.path.name)
    with serving(copy, api_keys="", demo=True) as server:
        url = f"http://127.0.0.1:{server.port}"
        span = "--from", "2013-08-01", "--to", "2013-11-01"
        output = copy.run("flight-delays", "replay", *span, "--url", url).stdout
        (copy.path / "replay.txt").write_text(output)
        assert server.stop() == 0
    return copy


def test_every_flight_of_the_autumn_is_answered_and_logged_with_its_outcome(
    replayed: BakedProject,
) -> None:
    output = (replayed.path / "replay.txt").read_text()
    flights = completed(replayed.path / "data/source")
    count = f"{flights.total():,}"
    assert f"{count} rows answered, {count} outcomes delivered" in output
    assert "refused" not in output
    assert logged(replayed.path / "logs/predictions") == flights


def test_calibration_degrades_in_autumn_and_the_rule_says_to_retrain(
    replayed: BakedProject,
) -> None:
    report = json.loads(replayed.run("flight-delays", "monitor", "--json").stdout)
    windows = {window["name"]: window["violations"] for window in report["windows"]}
    assert list(windows) == MONTHS
    assert "calibration" not in windows["2013-08"]
    assert "calibration" in windows["2013-09"]
    assert "calibration" in windows["2013-10"]
    assert report["retrain"]["answer"] is True


@needs_chromium
def test_the_page_fits_a_phone_and_a_desktop_also_in_dark_mode(replayed: BakedProject) -> None:
    replayed.run("flight-delays", "monitor")
    page = replayed.path / "reports/monitoring/index.html"
    with chromium() as browser:
        for width in (PHONE, DESK):
            for scheme in ("light", "dark"):
                fits(browser, page, width, scheme)


def test_dvc_shows_the_metrics_and_plots_the_windows(replayed: BakedProject) -> None:
    replayed.run("flight-delays", "monitor")
    folder = "reports/monitoring"
    shown = replayed.run("dvc", "metrics", "show", f"{folder}/metrics.json").stdout
    assert "calibration" in shown and "coverage" in shown
    options = ["-x", "window", "-y", "calibration", "--out", "drawn"]
    replayed.run("dvc", "plots", "show", f"{folder}/windows.json", *options)
    assert all(month in (replayed.path / "drawn/index.html").read_text() for month in MONTHS)
