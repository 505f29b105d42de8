"""Bulk predictions of the reproduced model: like the pipeline's, when killed, and in S3."""

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import s3
from conftest import BakedProject, need

pytestmark = pytest.mark.slow

WITHIN = 60  # seconds
COMPARE = """
import sys
import numpy as np
import pandas as pd
read = lambda path: pd.read_csv(path) if path.endswith("csv") else pd.read_parquet(path)
found, given = read(sys.argv[1]), pd.read_parquet("data/test.parquet")
expected = pd.read_parquet("data/predictions.parquet")
assert list(found["flight_id"]) == list(given["flight_id"])
assert list(found.columns[: given.shape[1]]) == list(given.columns)
if sys.argv[1].endswith("parquet"):
    assert found[list(given.columns)].equals(given), "a column was changed"
for name in ("probability_false", "probability_true"):
    assert np.abs(found[name] - expected[name]).max() < 1e-6, name
for name in ("prediction", "in_set_false", "in_set_true"):
    assert list(found[name].astype(str).str.lower()) == list(expected[name].astype(str).str.lower())
assert found["model_version"].str.fullmatch("unreleased-[0-9a-f]{8}").all()
"""
MANY = """
import sys
import pandas as pd
table = pd.concat([pd.read_parquet("data/test.parquet")] * int(sys.argv[2]), ignore_index=True)
table["flight_id"] += "-" + table.index.astype(str)
table.loc[table.index % 1000 == 7, "distance"] = -1.0
table.to_parquet(sys.argv[1], index=False, row_group_size=30_000)
"""
SPOIL = """
import pandas as pd
table = pd.read_parquet("data/test.parquet").head(10)
table.loc[0, "destination"] = "QQQ"
table.loc[1, ["temperature", "dew_point", "wind_speed", "pressure", "visibility"]] = None
table.loc[2, "carrier"] = "??"
table.loc[3, "distance"] = None
table.drop(columns=["late", "air_time", "tail_number"]).to_parquet("odd.parquet", index=False)
"""
ROWS = """
import json, sys
import pyarrow.parquet as pq
print(json.dumps(pq.read_table(sys.argv[1]).to_pylist(), default=str))
"""
WITHOUT = """
import sys
for name in ("sklearn", "skl2onnx", "dvc", "scipy", "matplotlib"):
    sys.modules[name] = None
from flight_delays.__main__ import command
command()
"""


@pytest.fixture(scope="module")
def here(reproduced: BakedProject, tmp_path_factory: pytest.TempPathFactory) -> BakedProject:
    return reproduced.copy(tmp_path_factory.mktemp("predict") / reproduced.path.name)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.parquet"


def exits(project: BakedProject, code: int, *command: str | Path, **environment: str) -> str:
    """Run predict, which must exit with this code and without a traceback; returns its output."""
    done = project.run("flight-delays", "predict", *command, check=False, **environment)
    assert done.returncode == code, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


@pytest.mark.parametrize("form", ["out.parquet", "out.csv"])
def test_bulk_answers_are_those_of_the_pipeline_and_every_column_is_kept(
    here: BakedProject, tmp_path: Path, form: str
) -> None:
    output = exits(here, 0, "data/test.parquet", tmp_path / form, "--json")
    summary = json.loads(output)
    assert summary["rows"] == summary["predicted"] > 2000
    here.run("python", "-c", COMPARE, tmp_path / form)


def test_features_that_are_not_the_models_are_refused_before_a_row_is_predicted(
    here: BakedProject, tmp_path: Path, out: Path
) -> None:
    """As after a `git pull` that changed features.py, before `dvc repro`."""
    copy = here.copy(tmp_path / "changed")
    features = copy.path / "src/flight_delays/features.py"
    text = features.read_text(encoding="utf-8")
    features.write_text(text.replace("_number(distance)", "_number(distance) / 1.609"))
    output = exits(copy, 2, "data/test.parquet", out)
    assert "features.py do not belong together" in output
    assert not list(out.parent.glob("*.parquet"))


def test_a_csv_file_is_answered_as_the_parquet_file_it_was_made_from(
    here: BakedProject, tmp_path: Path
) -> None:
    write = "import pandas as pd; pd.read_parquet('data/test.parquet').to_csv('t.csv', index=False)"
    here.run("python", "-c", write)
    exits(here, 0, "t.csv", tmp_path / "out.csv")
    here.run("python", "-c", COMPARE, tmp_path / "out.csv")


def test_unknown_texts_and_missing_values_are_answered_and_what_breaks_the_contract_is_quarantined(
    here: BakedProject, out: Path
) -> None:
    here.run("python", "-c", SPOIL)
    refused = exits(here, 1, "odd.parquet", out)
    assert "2 of 10 rows break the contract, more than --max-bad 0.01" in refused
    assert not out.exists()
    output = exits(here, 0, "odd.parquet", out, "--force", "--max-bad", "0.2")
    assert "8 rows by model unreleased-" in output
    assert "carrier is not among the allowed values: 1" in output
    assert "distance is empty where the contract says nullable: false: 1" in output
    bad = json.loads(here.run("python", "-c", ROWS, out.with_name("out.bad.parquet")).stdout)
    assert [(row["bad_row"], row["carrier"] == "??") for row in bad] == [(3, True), (4, False)]
    good = json.loads(here.run("python", "-c", ROWS, out).stdout)
    assert good[0]["destination"] == "QQQ"
    assert all(0 < row["probability_true"] < 1 for row in good)


def test_wrong_use_is_reported_in_one_sentence(here: BakedProject, out: Path) -> None:
    assert "nothing.csv is missing" in exits(here, 2, "nothing.csv", out)
    assert "params.yaml must end in .parquet" in exits(here, 2, "params.yaml", out)
    lacking = exits(here, 2, "data/predictions.parquet", out)
    assert "lacks" in lacking
    assert "which the model needs" in lacking
    out.touch()
    assert "already exists" in exits(here, 2, "data/test.parquet", out)


def test_bulk_needs_none_of_the_packages_that_train(here: BakedProject, out: Path) -> None:
    here.run("python", "-c", WITHOUT, "predict", "data/test.parquet", out)
    here.run("python", "-c", COMPARE, out)


def test_a_killed_run_leaves_no_output_and_does_not_hinder_the_next(
    here: BakedProject, tmp_path: Path
) -> None:
    here.run("python", "-c", MANY, "many.parquet", "100")
    command = ["flight-delays", "predict", "many.parquet", str(tmp_path / "out.parquet")]
    with subprocess.Popen(command, cwd=here.path, env=here.environment) as process:
        limit = time.monotonic() + WITHIN
        while not list(tmp_path.glob(".out.parquet.*/good")) and time.monotonic() < limit:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not list(tmp_path.glob("out*"))
    exits(here, 0, *command[2:])
    assert {path.name for path in tmp_path.glob("out*")} == {"out.parquet", "out.bad.parquet"}


def test_a_terminal_sees_the_progress_and_a_pipe_sees_nothing(
    here: BakedProject, tmp_path: Path
) -> None:
    here.run("python", "-c", MANY, "many.parquet", "50")
    out = str(tmp_path / "out.parquet")
    command = ["flight-delays", "predict", "many.parquet", out, "--json"]
    terminal, inside = pty.openpty()
    environment = here.environment | {"TERM": "xterm", "COLUMNS": "100", "CI": ""}
    with subprocess.Popen(
        command, cwd=here.path, env=environment, stderr=inside, stdout=subprocess.PIPE
    ) as process:
        os.close(inside)
        shown = b"".join(iter(lambda: read_some(terminal), b""))
        assert process.stdout is not None
        assert json.loads(process.stdout.read())["bad"] > 0
    os.close(terminal)
    assert re.search(rb"\d+%", shown)
    assert re.search(rb"\d+:\d\d:\d\d", shown), "no time left"
    quiet = here.run(*command[:-1], "--force").stdout
    assert "rows/s" not in quiet


def read_some(terminal: int) -> bytes:
    try:
        return os.read(terminal, 10_000)
    except OSError:  # Linux says so at the end
        return b""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.Server]:
    need(*s3.programs("rclone"))
    with s3.start("rclone", tmp_path_factory.mktemp("rclone")) as running:
        running.rclone("mkdir", ":s3:bucket")
        yield running


def test_files_in_s3_are_read_and_written_like_others(
    here: BakedProject, server: s3.Server, tmp_path: Path
) -> None:
    keys = server.environment() | {"AWS_ENDPOINT_URL": server.url}
    user = BakedProject(here.path, here.environment | keys)
    server.rclone("copyto", here.path / "data/test.parquet", ":s3:bucket/in/a.parquet")
    exits(user, 0, "s3://bucket/in", "s3://bucket/out.parquet")
    exits(user, 0, "s3://bucket/in/a.parquet", "s3://bucket/parts/")
    source = here.path / "data/test.parquet"
    server.rclone("copyto", source, ":s3:bucket/parts/part-000007.parquet")
    exits(user, 0, "data/test.parquet", "s3://bucket/parts/", "--force")
    assert "part-000007" not in server.rclone("ls", ":s3:bucket/parts"), "a part of the old output"
    assert server.names("bucket") == {
        "in/a.parquet",
        "out.parquet",
        "parts/_predicted.json",
        "parts/part-000000.parquet",
    }
    for name in ("out.parquet", "parts/part-000000.parquet"):
        server.rclone("copyto", f":s3:bucket/{name}", tmp_path / "got.parquet")
        here.run("python", "-c", COMPARE, tmp_path / "got.parquet")
    wrong = exits(
        user, 2, "s3://bucket/in", "s3://bucket/new.parquet", AWS_SECRET_ACCESS_KEY="of-another"
    )
    assert "AWS_ENDPOINT_URL" in wrong
    assert "is missing" in exits(user, 2, "s3://bucket/nothing", "s3://bucket/new.parquet")
    assert len(server.names("bucket")) == 4
