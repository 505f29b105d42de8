"""The prediction log as a dataset: imported by the repository, and from there at a version."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from conftest import BakedProject
from service import serving

READ = """
import sys
from pathlib import Path
from machinery.serving.log_files import read
table = read(Path(sys.argv[1]))
print(len(table), table["outcome"].drop_null().to_pylist())
"""


def answer(project: BakedProject, folder: Path, age: int, outcome: bool) -> None:
    """Answer a request and accept its outcome, in a log file that is `age` days old."""
    row = json.loads((project.path / "models/examples.json").read_text(encoding="utf-8"))["rows"][0]
    with serving(project, prediction_log=str(folder)) as server:
        feedback = {"request_id": server.ask("/predict", row)[1]["request_id"], "outcome": outcome}
        assert server.ask("/feedback", feedback)[0] == 200
        server.stop()
    day = datetime.now(UTC).date() - timedelta(days=age)
    for path in folder.glob("*.jsonl"):
        path.rename(path.with_name(f"{day}-{path.name[11:]}"))


def test_another_repository_imports_the_log_at_a_version(
    work: BakedProject, tmp_path: Path
) -> None:
    host = tmp_path / "predictions"

    def read(folder: Path | str) -> str:
        return work.run("python", "-c", READ, folder).stdout.strip()

    def release(version: str) -> None:
        work.run("git", "add", "data")
        work.run("git", "commit", "--quiet", "--no-verify", "--message", version)
        work.run("git", "tag", version)
        work.run("dvc", "push")

    answer(work, host, 2, True)
    work.run("flight-delays", "log", "compact", host)
    work.run("dvc", "import-url", host, "data/log")
    assert work.has_file("data/log.dvc")
    ignored = work.run("git", "check-ignore", "data/log.dvc", "data/.gitignore", check=False)
    assert not ignored.stdout
    release("v1.2.0")
    assert read("data/log") == "1 [True]"

    answer(work, host, 1, False)
    work.run("flight-delays", "log", "compact", host, FLIGHT_DELAYS_PREDICTION_LOG_DAYS="1")
    answer(work, host, 0, False)  # a file that is still written to
    assert read(host) == "2 [False, False]"
    work.run("dvc", "update", "data/log.dvc")
    release("v1.3.0")
    assert read("data/log") == "2 [False, False]"
    assert "up to date" in work.run("dvc", "status").stdout
    assert work.run("flight-delays", "doctor").returncode == 0

    other = BakedProject(tmp_path / "other", work.environment)
    other.path.mkdir()
    for words in ("git init --quiet", "dvc init --quiet"):
        other.run(*words.split())
    other.run("dvc", "import", work.path, "data/log", "--rev", "v1.2.0")
    assert read(other.path / "log") == "1 [True]"
    other.run("dvc", "update", "log.dvc", "--rev", "v1.3.0")
    assert read(other.path / "log") == "2 [False, False]"
